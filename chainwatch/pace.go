package chainwatch

import (
	"math/rand/v2"
	"time"
)

// progress is what one step has brought.
type progress struct {
	cursor    uint64
	events    int
	whole     bool // a window was read to its end
	more      bool // there is more to read at once
	held      bool // something was read that algod isn't known to have
	unsettled bool // the tip was never reached
}

// The pace of asking. The indexer is asked once a poll when nothing happens, and twice for what is hinted at: for a page
// with the news, and for the end of the pages.
const (
	firstLook    = 250 * time.Millisecond // after a look for a hinted round that came too early; then less and less often
	hintPatience = 30 * time.Second       // how long a promised round is looked for
	hintCredit   = 8                      // hints in a row that may lead to nothing before they are followed more slowly
	maxExpected  = 2 * time.Second
	slowestRetry = time.Minute
)

// pace says when to ask next. A hint comes when algod has confirmed something: how much later the indexer has it is
// learnt, so that it is asked once and not before.
type pace struct {
	poll     time.Duration
	expected time.Duration // from a hint until the indexer has it

	target   uint64 // the round that is looked for; 0 if none is
	missed   uint64 // the last one that was looked for in vain
	since    time.Time
	looks    int
	pause    time.Duration
	barren   int // rounds that were looked for and had nothing, in a row
	fruitful bool
}

func newPace(poll time.Duration) pace { return pace{poll: poll} }

// hinted is told that a round has news. It says in how long to look, if that changes anything: while one is looked for
// already, another doesn't hasten it.
func (p *pace) hinted(round uint64) (in time.Duration, change bool) {
	if round <= p.missed {
		return 0, false
	}
	if p.target > 0 {
		p.target = max(p.target, round)
		return 0, false
	}
	p.target, p.since, p.looks, p.pause, p.fruitful = round, time.Now(), 0, min(firstLook, p.poll), false
	in = p.expected
	if p.barren >= hintCredit {
		// A member that hints without end costs the indexer no more than polling does.
		in = max(in, min(firstLook<<min(p.barren-hintCredit, 10), p.poll))
	}
	return in, true
}

// after chooses when to ask next, after a step.
func (p *pace) after(did progress, hint uint64) time.Duration {
	p.looks++
	p.fruitful = p.fruitful || did.events > 0
	if p.target > 0 && did.cursor >= p.target {
		p.found()
	}
	if hint > did.cursor && p.target == 0 && !did.more { // it came while something else was read
		if in, change := p.hinted(hint); change {
			return in
		}
	}
	switch {
	case did.more:
		return 0
	case did.unsettled, did.held:
		return min(firstLook, p.poll)
	case p.target > 0 && time.Since(p.since) < hintPatience:
		pause := p.pause
		p.pause = min(p.pause*3/2, max(p.poll/2, firstLook))
		return min(pause, p.poll)
	case p.target > 0:
		p.missed, p.target = p.target, 0
		p.barren++
	}
	return p.poll
}

// found ends the search for a round.
func (p *pace) found() {
	took := time.Since(p.since)
	if p.looks <= 1 {
		p.expected = p.expected * 4 / 5
	} else {
		p.expected = min(took, maxExpected)
	}
	p.barren++
	if p.fruitful {
		p.barren = 0
	}
	p.target = 0
}

// retryPause doubles from a quarter of a second, with jitter, so that nodes don't come back all at once.
func retryPause(failures int) time.Duration {
	pause := min(250*time.Millisecond<<min(failures, 10), slowestRetry)
	return pause/2 + rand.N(pause/2)
}
