package chainwatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
)

// Blocks is algod as a source of blocks.
type Blocks interface {
	// WaitAfter waits until there is a round after the given one, and gives the last one that there is. After a minute it
	// gives the same.
	WaitAfter(ctx context.Context, round uint64) (uint64, error)
	// Read reads a block. Found is false if algod says that it doesn't have it.
	Read(ctx context.Context, round uint64) (r onchain.Reading, found bool, err error)
	// Forget has a block asked for anew, when it is read next.
	Forget(round uint64)
}

// AlgodName is what algod is called among the sources.
const AlgodName = "algod"

const (
	// blockReach is how many rounds from the tip the blocks are read; what is longer ago is asked of the indexers account
	// by account. Algod keeps a thousand.
	blockReach   = 900
	blocksAtOnce = 64
	// serversApart is by how many rounds the servers behind algod's address may differ.
	serversApart = 10
	// rememberWrong is for how long it is shown that algod gave a block that doesn't fit.
	rememberWrong = time.Hour
	tooSoon       = time.Second // for an answer to a wait that brings nothing
	maxShown      = 10_000      // transactions of blocks that the indexers' answers are held against
)

// blocks follows the chain by algod's blocks. Only Run's goroutine uses it, save for what the lock is for.
type blocks struct {
	Blocks
	failures int
	retryAt  time.Time // algod isn't asked before
	probed   bool      // it was seen to be of the network, and not catching up
	tip      uint64    // algod's last round
	link     onchain.Reading
	doubt    *window // that doesn't fit its headers: the indexers are asked, too

	mu      sync.Mutex
	state   SourceState
	wrongAt time.Time
	shown   shown
}

// shown is what the blocks of some rounds have shown, so that the indexers can be held against it.
type shown struct {
	first, last uint64
	events      []consortium.Event
}

func newBlocks(of Blocks) *blocks { return &blocks{Blocks: of, state: SourceState{Name: AlgodName}} }

// byBlocks reports whether the tip is followed by algod's blocks now.
func (w *Watcher) byBlocks() bool {
	return w.blocks != nil && w.blocks.failures < 2
}

// due reports whether algod may be asked.
func (b *blocks) due() bool { return b.failures < 2 || !time.Now().Before(b.retryAt) }

// stateNow is how it goes with algod.
func (b *blocks) stateNow() SourceState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// wrong notes that algod gave something that doesn't fit.
func (w *Watcher) wrong(problem, detail string) {
	b := w.blocks
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Problem != problem {
		b.state.Problem, b.state.Since = problem, time.Now().UTC()
		w.config.Log.Warn("something is wrong with algod's blocks", "problem", problem, "detail", detail)
	}
	b.state.Detail, b.wrongAt = detail, time.Now()
}

// well notes that a block was read and fits.
func (w *Watcher) well(round uint64) {
	b := w.blocks
	b.failures = 0
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Round = max(b.state.Round, round)
	if b.state.Problem != "" && (b.state.Problem == ProblemAlgod || time.Since(b.wrongAt) > rememberWrong) {
		w.config.Log.Info("algod's blocks are well again", "problem", b.state.Problem)
		b.state.Problem, b.state.Detail, b.state.Since = "", "", time.Time{}
	}
}

// failed notes that algod could not be asked. After two times the indexers alone are followed for a while.
func (w *Watcher) blocksFailed(err error) {
	b := w.blocks
	b.failures++
	b.probed, b.doubt = false, nil
	b.retryAt = time.Now().Add(algorand.Pause(err, min(retryPause(b.failures), askWitness)))
	if b.failures >= 2 {
		w.wrong(ProblemAlgod, err.Error())
	}
}

// nextBlocks reads the next blocks of algod. Turned is true if the indexers have to be asked instead, for at most so
// many rounds.
func (w *Watcher) nextBlocks(ctx context.Context, cursor uint64) (did progress, turned bool, most uint64, err error) {
	b := w.blocks
	did = progress{cursor: cursor, blocks: true, more: true}
	began, waited := time.Now(), b.probed
	if err := w.advance(ctx, cursor); err != nil {
		if ctx.Err() != nil {
			return did, false, 0, ctx.Err()
		}
		w.blocksFailed(err)
		did.rest = firstLook
		return did, b.failures >= 2, tipWindow, nil
	}
	w.has(b.tip)
	switch {
	case b.tip <= cursor:
		w.arrived(cursor)
		if did.whole = true; waited && time.Since(began) < tooSoon {
			did.rest = tooSoon
		}
		return did, false, 0, nil
	case b.tip > cursor+tipWindow && !w.alone():
		return did, true, tipWindow, nil
	}
	next, lacks, err := w.readBlocks(ctx, cursor)
	var sinkFailed *sinkError
	switch {
	case ctx.Err() != nil || errors.As(err, &sinkFailed):
		return did, false, 0, errors.Join(err, ctx.Err())
	case err != nil && next.last == cursor:
		w.blocksFailed(err)
		did.rest = firstLook
		return did, b.failures >= 2, tipWindow, nil
	case lacks && next.last == cursor:
		if b.tip <= cursor+serversApart { // one server behind the address has it, another not yet
			did.rest = resettle
			return did, false, 0, nil
		}
		return did, true, (b.tip - cursor) / 2, nil
	}
	did, err = w.takeBlocks(ctx, cursor, next)
	return did, false, 0, err
}

// alone reports whether no indexer can be waited for, so that blocks are read however many there are.
func (w *Watcher) alone() bool {
	for _, s := range w.sources {
		if !w.isOut(s) {
			return false
		}
	}
	return true
}

// advance finds out algod's last round: at once where it isn't known to be beyond the cursor, or else when there is a
// new one.
func (w *Watcher) advance(ctx context.Context, cursor uint64) (err error) {
	b := w.blocks
	if !b.probed {
		askCtx, cancel := context.WithTimeout(ctx, witnessTimeout)
		defer cancel()
		round := uint64(0)
		if w.config.Witness == nil {
			round, err = b.WaitAfter(askCtx, 0)
		} else {
			round, err = w.config.Witness(askCtx)
		}
		if err != nil {
			return err
		}
		b.probed, b.tip = true, round
		return nil
	}
	if b.tip > cursor {
		return nil
	}
	b.tip, err = b.WaitAfter(ctx, cursor)
	return err
}

// readBlocks reads the next blocks, as far as they all fit their headers, or as none does. Lacks is true if algod
// doesn't have the one after that.
func (w *Watcher) readBlocks(ctx context.Context, cursor uint64) (next window, lacks bool, err error) {
	b := w.blocks
	next = window{first: cursor + 1, last: cursor}
	if b.doubt != nil && b.doubt.first == cursor+1 {
		return *b.doubt, false, nil
	}
	b.doubt = nil
	doubtful := false
	for round := cursor + 1; round <= min(b.tip, cursor+blocksAtOnce) && len(next.events) < maxEvents; round++ {
		r, found, err := b.Read(ctx, round)
		if err == nil && r.GenesisHash != w.config.GenesisHash && found {
			err = fmt.Errorf("algod's block %d is of another network", round)
		}
		if err != nil || !found {
			return next, !found, err
		}
		fits := w.fits(r)
		if round > next.first && fits == doubtful {
			break // it belongs to the next window
		}
		b.link, doubtful = r, !fits
		events, list := w.decode.events(r)
		next.events, next.bad, next.last = append(next.events, events...), append(next.bad, list...), round
	}
	if doubtful {
		b.doubt = &next
	}
	return next, false, nil
}

// fits reports whether a block has what its header commits to, and follows the one before. If not, algod is named.
func (w *Watcher) fits(r onchain.Reading) bool {
	b := w.blocks
	switch before := b.link; {
	case r.Fit == onchain.Unclear:
		w.wrong(ProblemUnclear, fmt.Sprintf("block %d can't be compared with its header: the network is newer than this program", r.Round))
		return false
	case r.Fit == onchain.Differs:
		w.wrong(ProblemLies, fmt.Sprintf("block %d has other transactions than its header commits to", r.Round))
		b.Forget(r.Round)
		return false
	case before.Round+1 == r.Round && before.Hash != [32]byte{} && before.Hash != r.Prev:
		// One of them is not the chain's. What the indexers have of the earlier one more than it has is looked for.
		w.wrong(ProblemLies, fmt.Sprintf("block %d doesn't follow block %d", r.Round, before.Round))
		b.Forget(r.Round)
		b.Forget(before.Round)
		w.missed(before.Round, before.Round, nil)
		return false
	}
	w.well(r.Round)
	return true
}

// takeBlocks delivers what blocks have shown; of those that don't fit, together with what the indexers have of the same
// rounds.
func (w *Watcher) takeBlocks(ctx context.Context, cursor uint64, next window) (did progress, err error) {
	b := w.blocks
	did = progress{cursor: cursor, blocks: true, more: true}
	if b.doubt == nil {
		if err := w.hand(ctx, &did, next); err != nil {
			return did, err
		}
		b.show(next)
		return did, nil
	}
	if w.alone() { // nobody else can be asked
		b.doubt = nil
		w.missed(next.first, next.last, nil)
		return did, w.hand(ctx, &did, next)
	}
	parts, done, err := w.readTip(ctx, next.first, next.last)
	if err != nil || !done {
		return did, err
	}
	if w.reached(ctx, next.last) < next.last || slices.ContainsFunc(parts, func(p part) bool { return p.last < next.last }) {
		w.again()
		did.rest = min(tooSoon, w.config.Poll)
		return did, nil
	}
	joined, err := w.join(ctx, append([]part{{window: next}}, parts...))
	if err != nil {
		w.again()
		return did, err
	}
	b.doubt = nil
	b.forgetShown()
	w.again()
	w.missed(next.first, next.last, w.active())
	return did, w.hand(ctx, &did, joined)
}

// show remembers what blocks have shown that fit.
func (b *blocks) show(next window) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown.last+1 != next.first {
		b.shown = shown{first: next.first}
	}
	b.shown.last, b.shown.events = next.last, append(b.shown.events, next.events...)
	if n := len(b.shown.events) - maxShown; n > 0 {
		b.shown.first = b.shown.events[n-1].Round + 1
		b.shown.events = slices.DeleteFunc(b.shown.events, func(e consortium.Event) bool { return e.Round < b.shown.first })
	}
	if b.shown.last > b.shown.first+tipWindow {
		b.shown.first = b.shown.last - tipWindow
		b.shown.events = slices.DeleteFunc(b.shown.events, func(e consortium.Event) bool { return e.Round < b.shown.first })
	}
}

// trim forgets what all indexers were held against.
func (b *blocks) trim(upTo uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if upTo >= b.shown.first && upTo <= b.shown.last {
		b.shown.first = upTo + 1
		b.shown.events = slices.DeleteFunc(b.shown.events, func(e consortium.Event) bool { return e.Round <= upTo })
	}
}

func (b *blocks) forgetShown() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shown = shown{}
}

// showed is what the blocks of some rounds from one on have shown; first is 0 if that isn't known.
func (b *blocks) showed(from, most uint64) (first, last uint64, events []consortium.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first, last = max(from, b.shown.first), b.shown.last
	if b.shown.first == 0 || first > last {
		return 0, 0, nil
	}
	last = min(last, first+most-1)
	for _, e := range b.shown.events {
		if e.Round >= first && e.Round <= last {
			events = append(events, e)
		}
	}
	return first, last, events
}
