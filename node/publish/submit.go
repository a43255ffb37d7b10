package publish

import (
	"context"
	"errors"
	"time"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
)

// submit sends a group until algod has taken it, or its flight is over.
func (m *Minter) submit(ctx context.Context, f *flight) error {
	for failures := 0; ; failures++ {
		err := m.Ledger.Submit(ctx, f.Raw)
		if err == nil {
			f.setTaken(time.Now())
			m.refusals.Store(0)
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		var refused *ledger.RefusedError
		if errors.As(err, &refused) {
			m.refusals.Store(0)
			raised, over, err := m.refused(ctx, f, refused)
			if err != nil || over {
				return err
			}
			if raised != nil {
				f = raised
				continue
			}
		} else {
			m.askFailed(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.over:
			return nil
		case <-time.After(algorand.Pause(err, algodBackoff.After(failures))):
		}
	}
}

// refused decides what to do about a group that algod won't have. Over means that it is not sent again from here;
// raised is the same group with a higher fee.
func (m *Minter) refused(ctx context.Context, f *flight, refused *ledger.RefusedError) (raised *flight, over bool, err error) {
	switch refused.Reason {
	case ledger.LeaseHeld, ledger.Expired:
		// After a restart that is mostly a group that was confirmed meanwhile.
		f.setTaken(time.Now()) // lookAfter goes on, if it isn't known yet
		if err := m.settle(ctx, f, false); err != nil {
			return nil, true, onlyOwn(err)
		}
		if m.flights.has(f.Number) && f.firstRefusal() {
			m.Log.Info("algod refuses a group", "group", f.Number, "reason", refused.Message)
		}
		return nil, true, nil
	case ledger.NoFunds:
		m.waitsFor("funds", refused.Error())
		return nil, false, nil
	case ledger.Congested:
		raised, err = m.raise(ctx, f)
		return raised, false, err
	}
	// It may be only this one: the others go on, and lookAfter tries it again.
	m.waitsFor("refused", refused.Error())
	f.setTaken(time.Now())
	return nil, true, nil
}

// raise signs a group again with the fee that the network asks for now. It returns nil if that can't be done.
func (m *Minter) raise(ctx context.Context, f *flight) (*flight, error) {
	params, err := m.Ledger.Params(ctx)
	if err != nil {
		m.askFailed(err)
		return nil, nil
	}
	signed, err := m.Ledger.Raise(params, f.Raw)
	var congested *ledger.CongestedError
	if errors.As(err, &congested) {
		m.waitsFor("congestion", err.Error())
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if signed.TxIDs == nil {
		m.waitsFor("congestion", "algod refuses the fee of a group, and asks for no higher one")
		return nil, nil
	}
	group, found, err := m.Outbox.Resign(f.Number, signed.TxIDs, signed.Raw, signed.Fee)
	if err != nil || !found {
		return nil, err
	}
	m.Log.Info("a group is signed again with a higher fee", "group", f.Number)
	raised := m.flights.replace(group)
	// The one before may have been confirmed in this moment.
	return raised, m.endIfDone(f.Number)
}

// algodFailed notes that algod could not be asked. That it refuses one request too many, once, is no problem yet.
func (m *Minter) algodFailed(err error) {
	if after, throttled := algorand.IsThrottled(err); throttled && m.refusals.Add(1) < 2 && after < longRefusal {
		return
	}
	m.Condition.Set("algod", err.Error())
}

// askFailed is algodFailed where algod was asked about groups on their way: when all have landed meanwhile, nothing
// waits.
func (m *Minter) askFailed(err error) {
	if !m.flights.areEmpty() {
		m.algodFailed(err)
	}
}

// waitsFor says why groups on their way don't get on, unless all have landed meanwhile.
func (m *Minter) waitsFor(problem, detail string) {
	if !m.flights.areEmpty() {
		m.Condition.Set(problem, detail)
	}
}

// longRefusal is how long a server may ask to be left alone until that is a problem at once.
const longRefusal = 30 * time.Second

// Problem is what keeps things from being published, as an error.
func (m *Minter) Problem() error {
	if c := m.Condition.Get(); c.Problem != "" {
		return errors.New(c.Detail)
	}
	return m.Disk.Room()
}
