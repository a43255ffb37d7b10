package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/retry"
)

// follow reads every block while groups are in flight: one request a round finds all confirmations.
func (m *Minter) follow(ctx context.Context) error {
	round, failures := uint64(0), 0
	for ctx.Err() == nil {
		changed := m.flights.landed.Changed()
		flights := m.flights.list()
		if len(flights) == 0 {
			round = 0
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		if round == 0 {
			round = flights[0].FirstValid - 1
		}
		reached, err := m.scan(ctx, round)
		round = reached
		if err == nil {
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			break
		}
		var own *outboxError
		if errors.As(err, &own) {
			return err
		}
		if !errors.Is(err, ledger.ErrNoBlock) { // one server behind algod's address has it, another not yet
			m.askFailed(err)
		}
		retry.Wait(ctx, algorand.Pause(err, algodBackoff.After(failures)))
		failures++
	}
	return nil
}

// outboxError is a failure of our own store, in a place where most failures are algod's.
type outboxError struct{ error }

func (e *outboxError) Unwrap() error { return e.error }

// onlyOwn is an error if it is our own store's.
func onlyOwn(err error) error {
	var own *outboxError
	if errors.As(err, &own) {
		return err
	}
	return nil
}

// serversApart is by how many rounds the servers behind algod's address may differ.
const serversApart = 10

// scan waits for a round after the given one and reads the blocks up to it. It returns the last that was read.
func (m *Minter) scan(ctx context.Context, round uint64) (uint64, error) {
	tip, err := m.Ledger.WaitAfter(ctx, round)
	if err != nil {
		return round, err
	}
	if tip > round+scanAtMost || tip < round {
		return tip, nil // after a long pause, or a wrong answer: lookAfter asks for the transactions one by one
	}
	for round < tip {
		minted, err := m.Ledger.Minted(ctx, round+1)
		if errors.Is(err, ledger.ErrNoBlock) && tip > round+1+serversApart {
			return tip, nil // as above
		}
		if err != nil {
			return round, err
		}
		round++
		if err := m.Confirm(ctx, minted); err != nil {
			return round, &outboxError{err}
		}
	}
	return round, nil
}

// Confirm records that transactions of ours are on the chain. It may be told twice, by algod and by the indexer.
func (m *Minter) Confirm(ctx context.Context, places []consortium.Place) error {
	items, err := m.Outbox.Confirm(places)
	if err != nil || len(items) == 0 {
		return err
	}
	round := uint64(0)
	groups := map[uint64]bool{}
	for _, item := range items {
		groups[item.Group] = true
		round = max(round, item.Round)
	}
	for group := range groups {
		if err := m.endIfDone(group); err != nil {
			return err
		}
	}
	if !m.holdsUp.Load() { // what has landed brings no ALGO to what waits behind it
		m.Condition.Clear() // last: who asked about these groups and got no answer says nothing any more
	}
	m.refusals.Store(0)
	m.Log.Debug("transactions are confirmed", "transactions", len(items), "round", round)
	m.Hint(round)
	m.announce(ctx, items)
	return nil
}

// lookAfter finds out the result of groups that are not confirmed in time: sends them again, or gives them up
// when it is proved that they can never be confirmed.
func (m *Minter) lookAfter(ctx context.Context) error {
	ticker := time.NewTicker(m.Timeout / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		flights := m.flights.list()
		if len(flights) == 0 {
			continue
		}
		round, err := m.Ledger.Round(ctx)
		if err != nil {
			continue // submit and follow have said so
		}
		for _, f := range flights {
			taken := f.takenAt()
			overdue := !taken.IsZero() && time.Since(taken) > m.Timeout
			if !overdue && round <= f.LastValid {
				continue
			}
			if err := m.settle(ctx, f, true); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				if onlyOwn(err) != nil {
					return err
				}
				if _, throttled := algorand.IsThrottled(err); throttled {
					break // the others wait, too
				}
				m.Log.Warn("the result of a group is not known yet", "group", f.Number, "error", err)
			}
		}
	}
}

// settle decides about one overdue group: it may be confirmed, waiting, to be sent again or, once that is proved, over
// for good. Whichever of its signings was confirmed, the others can't be any more. It is sent again only if again says
// so.
func (m *Minter) settle(ctx context.Context, f *flight, again bool) error {
	f = m.flights.now(f)
	if err := m.endIfDone(f.Number); err != nil || !m.flights.has(f.Number) {
		return err
	}
	pending := false
	for _, txids := range f.Signings() {
		fate, _, err := m.Ledger.Fate(ctx, txids[0], f.FirstValid, f.LastValid)
		if err != nil {
			return err
		}
		if fate == ledger.Confirmed {
			return m.confirmOneByOne(ctx, f, txids)
		}
		pending = pending || fate == ledger.Pending
	}
	if pending {
		f.setTaken(time.Now())
		return nil
	}
	round, err := m.Ledger.Round(ctx)
	if err != nil {
		return err
	}
	over := round > f.LastValid
	for _, txids := range f.Signings() {
		found, err := m.search(ctx, txids[0], f, over)
		if err != nil {
			return err
		}
		if found.Found {
			return m.confirmFound(ctx, txids)
		}
		if over && found.Round <= f.LastValid {
			return nil // the indexer will tell when it has reached that round
		}
	}
	if over {
		return m.expire(f)
	}
	// Neither knows it, and it can still be confirmed: it was dropped. Sending it again is harmless.
	f.setTaken(time.Time{})
	if !again || !m.flights.again(f) { // the next time
		f.setTaken(time.Now())
	}
	return nil
}

// search asks the indexer for a transaction. Before it is given up its absence has to be proved.
func (m *Minter) search(ctx context.Context, txid string, f *flight, over bool) (chainwatch.Finding, error) {
	if !over {
		return m.Finder.Find(ctx, txid)
	}
	return m.Finder.Trace(ctx, txid, m.Ledger.Address(), f.FirstValid, f.LastValid)
}

// expire lets a group be signed again that can't be confirmed any more: algod is past its last round and doesn't have
// it, nor has the indexer. What was followed of the chain has to be past that round, too: it would have shown the
// group.
func (m *Minter) expire(f *flight) error {
	cursor, err := m.View.Cursor()
	if err != nil {
		return &outboxError{err}
	}
	if cursor <= f.LastValid {
		return nil
	}
	m.Log.Info("a group was never confirmed and is signed again", "group", f.Number, "last_valid", f.LastValid)
	if err := m.Outbox.Expire(f.Group); err != nil {
		return &outboxError{err}
	}
	m.flights.end(f.Number)
	return nil
}

func (m *Minter) confirmOneByOne(ctx context.Context, f *flight, txids []string) error {
	var minted []consortium.Place
	for _, txid := range txids {
		fate, one, err := m.Ledger.Fate(ctx, txid, f.FirstValid, f.LastValid)
		if err != nil {
			return err
		}
		if fate != ledger.Confirmed {
			return fmt.Errorf("transaction %s of a confirmed group is not confirmed", txid)
		}
		minted = append(minted, one)
	}
	if err := m.Confirm(ctx, minted); err != nil {
		return &outboxError{err}
	}
	return nil
}

func (m *Minter) confirmFound(ctx context.Context, txids []string) error {
	var minted []consortium.Place
	for _, txid := range txids {
		found, err := m.Finder.Find(ctx, txid)
		if err != nil {
			return err
		}
		if !found.Found {
			return fmt.Errorf("the indexer does not have transaction %s of a confirmed group", txid)
		}
		minted = append(minted, found.Event.Place())
	}
	if err := m.Confirm(ctx, minted); err != nil {
		return &outboxError{err}
	}
	return nil
}

// Timeout is how long a group that algod has taken may stay unconfirmed before it is looked after: some rounds of a
// real network.
const Timeout = 10 * time.Second

const scanAtMost = 400 // blocks that are read one by one to find confirmations; beyond, transactions are asked for
