package chainwatch

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Witness is another source than the indexer of what the chain's last round is: algod. It returns an error if it can't
// be asked, or knows itself that it is behind.
type Witness func(ctx context.Context) (uint64, error)

// tip decides up to which round the indexer's word is taken. One wrong answer must not let the cursor pass what was
// never read: it would never be read. So a round counts as reached when two answers of the indexer, one after the
// other, say so, and not before algod has it.
//
// It also finds out whether the indexer follows: what algod had a while ago the indexer must have now.
type tip struct {
	witness Witness
	lagging time.Duration

	mu     sync.Mutex
	before uint64 // what the indexer said last but one
	latest uint64 // … and last
	heard  time.Time
	algod  uint64 // algod's last round, as far as it is known; 0 if it isn't
	seen   time.Time
	failed error // why algod could not be asked last

	asked    time.Time // algod was, last
	failures int

	owed   uint64 // a round that algod has and the indexer did not say yet
	owedAt time.Time
	useful time.Time // when it last answered, and had what it owed
	ahead  time.Time // since when the indexer says more than algod has
}

const (
	askWitness     = 30 * time.Second // algod is asked that often at least
	hurriedWitness = time.Second      // … and no more often than that while it is only hints that speak of news
	witnessTimeout = 5 * time.Second
	// lagging is for how long the indexer may lack what algod has. Usually it is a third of a second; a follower with a
	// single relay stalls for some 17 seconds now and then.
	lagging = 30 * time.Second
	// unwitnessed is by how many rounds the chain may have grown since algod could be asked last, beside one a second.
	unwitnessed = 1000
)

// answered notes what an answer of the indexer says that its last round is.
func (t *tip) answered(said uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before, t.latest, t.heard = t.latest, said, time.Now()
	if t.owed == 0 || said >= t.owed {
		t.useful = t.heard
		t.owe()
	}
}

// usefulAt is when the indexer last answered, and had what it owed.
func (t *tip) usefulAt() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.useful
}

// heardAt is when the indexer last answered.
func (t *tip) heardAt() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.heard
}

// seenAt is when algod last answered.
func (t *tip) seenAt() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

// said is the indexer's last round, as its last answer says.
func (t *tip) said() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.latest
}

// expect lets the indexer owe a round that others have.
func (t *tip) expect(round uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.owed == 0 && round > t.latest {
		t.owed, t.owedAt = round, time.Now()
	}
}

// witnessed reports whether algod answered when it was asked last.
func (t *tip) witnessed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.algod > 0 && t.failed == nil
}

// owe looks for what the indexer lacks now. The lock is held.
func (t *tip) owe() {
	t.owed = 0
	if t.algod > t.latest {
		t.owed, t.owedAt = t.algod, time.Now()
	}
}

// has notes that algod has a round.
func (t *tip) has(round uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told(max(round, t.algod))
}

// told notes what algod says. The lock is held.
func (t *tip) told(round uint64) {
	t.algod, t.seen, t.failed, t.failures = round, time.Now(), nil, 0
	if t.owed == 0 || t.owed > round { // it was wrong, perhaps
		t.owe()
	}
}

// agreed is the round that the indexer's last two answers say.
func (t *tip) agreed() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return min(t.before, t.latest)
}

// reached gives the round up to which the indexer is believed. If the indexer says at least wanted, and algod is not
// known to have that, algod is asked; otherwise it is asked now and then.
func (t *tip) reached(ctx context.Context, wanted uint64) uint64 {
	t.mu.Lock()
	agreed := min(t.before, t.latest)
	wanted = min(wanted, agreed)
	t.mu.Unlock()
	t.ask(ctx, wanted)
	t.mu.Lock()
	defer t.mu.Unlock()
	bound := agreed
	switch {
	case t.witness == nil || t.algod == 0: // nobody else can tell
	case t.failed == nil:
		bound = t.algod
	default:
		bound = t.algod + unwitnessed + uint64(time.Since(t.seen)/time.Second)
	}
	if agreed <= bound {
		t.ahead = time.Time{}
	} else if t.ahead.IsZero() {
		t.ahead = time.Now()
	}
	return min(agreed, bound)
}

// ask asks algod for its last round, if it is time to or it isn't known to have the wanted one.
func (t *tip) ask(ctx context.Context, wanted uint64) {
	t.mu.Lock()
	since := time.Since(t.asked)
	due := since >= askWitness || wanted > t.algod
	if t.failures > 0 {
		due = since >= min(hurriedWitness<<min(t.failures-1, 8), askWitness)
	}
	due = due && t.witness != nil
	if due {
		t.asked = time.Now()
	}
	t.mu.Unlock()
	if !due {
		return
	}
	askCtx, cancel := context.WithTimeout(ctx, witnessTimeout)
	defer cancel()
	round, err := t.witness(askCtx)
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed = err
		t.failures++
		return
	}
	t.told(round)
}

// hurry lets algod be asked for a round that somebody says has news, though it isn't time.
func (t *tip) hurry(ctx context.Context, round uint64) {
	t.mu.Lock()
	early := time.Since(t.asked) < hurriedWitness
	known := round <= t.algod || round <= t.latest
	t.mu.Unlock()
	if !early && !known {
		t.ask(ctx, round)
	}
}

// problem says what is wrong between the two sources, by a word and in a sentence.
func (t *tip) problem(cursor uint64) (word, detail string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	agreed := min(t.before, t.latest)
	switch {
	case t.owed > 0 && t.heard.Sub(t.owedAt) > t.lagging:
		return ProblemBehind, fmt.Sprintf("the indexer says that round %d is the last, and algod has had round %d since %s", t.latest, t.owed, t.owedAt.UTC().Format(time.RFC3339))
	case !t.ahead.IsZero() && time.Since(t.ahead) > t.lagging && t.failed == nil:
		return ProblemAlgod, fmt.Sprintf("the indexer is at round %d, algod at round %d: what algod doesn't have is not believed", agreed, t.algod)
	case agreed > 0 && t.algod > 0 && t.failed == nil && cursor > max(agreed, t.algod)+lostRounds:
		return ProblemAhead, fmt.Sprintf("the log goes to round %d, and the chain to round %d: algod and the indexer were restored, or were wrong before", cursor, max(agreed, t.algod))
	}
	return "", ""
}

// lostRounds is by how many rounds two servers of one chain may differ.
const lostRounds = 100

// last is the chain's last round as far as it is known: algod's or, where that isn't known, the indexer's.
func (t *tip) last() (chain, algod, indexer uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	indexer = min(t.before, t.latest)
	if chain = t.algod; t.failed != nil || chain == 0 {
		chain = max(chain, indexer)
	}
	return chain, t.algod, indexer
}
