package chainwatch

import (
	"math/rand/v2"
	"slices"
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
	blocks    bool // it was by algod's blocks, which come as soon as there are any
	rest      time.Duration
}

// The pace of asking. The indexer is asked once a poll when nothing happens, and twice for what is hinted at: for a
// page with the news, and for the end of the pages.
const (
	firstLook    = 25 * time.Millisecond  // after a look that came too early; then less and less often
	resettle     = 250 * time.Millisecond // between looks until the tip was reached once
	hintPatience = 30 * time.Second       // how long a promised round is looked for
	hintCredit   = 8                      // hints of one member that may lead to nothing before it isn't listened to
	forgiveAfter = 10 * time.Minute       // … for so long
	maxTargets   = 64                     // rounds that are looked for at a time …
	maxOfOne     = 4                      // … on the word of one member
	quick        = 100 * time.Millisecond // a delay that is not worth waiting for
	maxExpected  = 10 * time.Second
	slowestRetry = time.Minute
)

// hint is a member's word that a round has news; the node's own, if it is from nobody.
type hint struct {
	round uint64
	from  string
}

// target is a round that is looked for.
type target struct {
	hint
	since  time.Time
	looked bool
}

// credit is how a member's hints went.
type credit struct {
	barren int // in a row
	last   time.Time
}

// pace says when to ask next. A hint comes when algod has confirmed something: how much later the indexer has it is
// learnt, so that it is asked once and not before. Hints that lead to nothing slow down only who gives them.
type pace struct {
	poll     time.Duration
	expected time.Duration // from a hint until the indexer has it
	late     int           // the last look for a hint was too early
	targets  []target
	credits  map[string]credit
	last     time.Time     // of the last step's end
	pause    time.Duration // between looks for what is promised
}

func newPace(poll time.Duration) pace { return pace{poll: poll, credits: map[string]credit{}} }

// hinted is told that a round has news. It reports whether that is looked for from now on.
func (p *pace) hinted(h hint, cursor uint64) bool {
	if h.round <= cursor || len(p.targets) >= maxTargets || p.promised(h.from) >= maxOfOne || slices.ContainsFunc(p.targets, func(t target) bool { return t.round == h.round }) {
		return false
	}
	if c := p.credits[h.from]; h.from != "" && c.barren >= hintCredit {
		if time.Since(c.last) < forgiveAfter {
			return false
		}
		p.credits[h.from] = credit{barren: hintCredit - 1}
	}
	p.targets = append(p.targets, target{hint: h, since: time.Now()})
	return true
}

// promised counts what is looked for on the word of a member. One's own has no limit but that of all.
func (p *pace) promised(from string) (n int) {
	for _, t := range p.targets {
		if from != "" && t.from == from {
			n++
		}
	}
	return n
}

// after notes what a step has brought and says when to ask next.
func (p *pace) after(did progress) time.Duration {
	p.last = time.Now()
	waiting := len(p.targets)
	p.targets = slices.DeleteFunc(p.targets, func(t target) bool {
		reached := did.cursor >= t.round
		if reached {
			p.learn(t)
		}
		if reached || time.Since(t.since) > hintPatience {
			p.settle(t.from, reached && did.events > 0)
			return true
		}
		return false
	})
	for i := range p.targets {
		p.targets[i].looked = p.targets[i].looked || did.whole // a page alone is not a look yet
	}
	switch {
	case did.events > 0 || len(p.targets) < waiting:
		p.pause = 0
	case waiting > 0 && !did.more:
		p.pause = min(max(2*p.pause, firstLook, p.expected/4), max(p.poll/2, firstLook))
	}
	switch {
	case did.more:
		return 0
	case did.unsettled, did.held:
		return min(resettle, p.poll)
	}
	return p.next()
}

// next is in how long to ask, as far as the targets are concerned, or else the poll.
func (p *pace) next() time.Duration {
	at := p.last.Add(p.poll)
	for _, t := range p.targets {
		due := t.since.Add(p.expected)
		if earliest := p.last.Add(p.pause); earliest.After(due) {
			due = earliest
		}
		if again := p.last.Add(firstLook); t.looked && again.After(due) {
			due = again
		}
		if due.Before(at) {
			at = due
		}
	}
	return max(0, min(time.Until(at), p.poll))
}

// learn notes how long it took from a hint until the indexer had the round. Once late is not always late, and an
// indexer that is as quick as algod is asked at once.
func (p *pace) learn(t target) {
	switch {
	case !t.looked:
		p.late = 0
		if p.expected = p.expected * 19 / 20; p.expected < quick {
			p.expected = 0
		}
	case p.late > 0:
		p.expected = min(time.Since(t.since)*5/4, 2*p.expected+time.Second, maxExpected)
	default:
		p.late++
	}
}

// settle notes whether a member's hint led to something.
func (p *pace) settle(from string, fruitful bool) {
	switch {
	case from == "":
	case fruitful:
		delete(p.credits, from)
	default:
		p.credits[from] = credit{barren: p.credits[from].barren + 1, last: time.Now()}
	}
}

// retryPause doubles from a quarter of a second, with jitter, so that nodes don't come back all at once.
func retryPause(failures int) time.Duration {
	pause := min(250*time.Millisecond<<min(failures, 10), slowestRetry)
	return pause/2 + rand.N(pause/2)
}
