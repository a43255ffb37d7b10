package collections

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/repo/outbox"
)

// newOwner looks after the collections of a founded world's own organisation.
func newOwner(t *testing.T) (*worldtest.World, *Owner) {
	t.Helper()
	self := nodetest.NewOrg(t, "self")
	w := worldtest.NewWorld(t, self)
	events := w.Found(self)
	w.Open()
	nodetest.Must(t, w.Deliver(events...))
	w.Drain()
	return w, ownerIn(w)
}

// ownerIn makes one, as a start does.
func ownerIn(w *worldtest.World) *Owner {
	return ownerOf(w, publish.NewOutbox(w.R.Outbox))
}

func ownerOf(w *worldtest.World, outbox *publish.Outbox) *Owner {
	return &Owner{
		Outbox: w.R.Outbox, View: w.R.View, State: w.State, Watcher: worldtest.CaughtUp{}, Consortium: w.ID,
		Records:   publish.NewRecords(w.State.Self, outbox, w.Blocks, publish.NewFresh(w.Blocks)),
		Recipient: w.Self.Identity.Recipient(), Problem: func() error { return nil }, Log: nodetest.Discard,
	}
}

// stored is a context that ends when so many collections are on their way: who waits then waits for the chain.
func stored(t *testing.T, w *worldtest.World, n int) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		defer cancel()
		for ctx.Err() == nil {
			if items, err := w.R.Outbox.Queue(outbox.Stored, 0, n); err != nil || len(items) == n {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-watching
	})
	return ctx
}

// soon is a context that ends when somebody waits for a turn.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// An alias is taken from the moment when its collection is stored, also after a restart, and by nothing that came to
// nothing before.
func TestAnAliasIsTakenByWhatIsOnItsWayAndByNothingElse(t *testing.T) {
	w, o := newOwner(t)
	spec := Spec{Title: "Reports", Alias: "reports"}
	gone, leave := context.WithCancel(t.Context())
	leave()
	// The client left before anything was stored: at its turn, or while the blocks were written.
	if _, err := o.Create(gone, spec); !errors.Is(err, context.Canceled) || errors.Is(err, ErrOnItsWay) {
		t.Fatal(err)
	}
	w.Blocks.PutFails = errors.New("no disk")
	if _, err := o.Create(t.Context(), spec); err == nil || errors.Is(err, ErrOnItsWay) {
		t.Fatal(err)
	}
	w.Blocks.PutFails = nil

	if _, err := o.Create(stored(t, w, 1), spec); !errors.Is(err, ErrOnItsWay) {
		t.Fatalf("the first one that is stored: %v", err)
	}
	for range 2 {
		if _, err := o.Create(waiting.Context(t), spec); !errors.Is(err, ErrOnItsWay) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("another while it is on its way: %v", err)
		}
		o = ownerIn(w) // as after a restart
	}
	if _, err := o.Create(stored(t, w, 2), Spec{Title: "Reports", Alias: "other"}); !errors.Is(err, ErrOnItsWay) {
		t.Errorf("another alias: %v", err)
	}
	for n := range 2 { // without an alias there is none to be taken
		if _, err := o.Create(stored(t, w, 3+n), Spec{Title: "Ring"}); !errors.Is(err, ErrOnItsWay) {
			t.Errorf("one without an alias: %v", err)
		}
	}
	if items, err := w.R.Outbox.Queue(outbox.Stored, 0, 10); err != nil || len(items) != 4 {
		t.Errorf("%d collections are on their way, %v", len(items), err)
	}
}

// Nobody waits for the turn of somebody who waits for the chain: while a collection is on its way others are made, and
// who gives up waiting is let go.
func TestNobodyWaitsForWhoWaitsForTheChain(t *testing.T) {
	w, o := newOwner(t)
	left := make(chan error)
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		_, err := o.Create(ctx, Spec{Title: "One", Alias: "one"})
		left <- err
	}()
	if _, err := o.Create(stored(t, w, 2), Spec{Title: "Two", Alias: "two"}); !errors.Is(err, ErrOnItsWay) {
		t.Error(err)
	}
	nodetest.Must(t, o.turn.take(t.Context()))
	if _, err := o.AdHoc(soon(t), []string{"nobody"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who waits for a turn does not give up: %v", err)
	}
	o.turn.give()
	leave()
	if err := <-left; !errors.Is(err, ErrOnItsWay) {
		t.Error(err)
	}
}

// poor is an account that can pay for so many NFTs.
type poor int

var errPoor = errors.New("the account is empty")

func (p poor) Afford(_ context.Context, nfts, _ int) error {
	if nfts > int(p) {
		return errPoor
	}
	return nil
}

func TestWhatCantBePaidIsNotBegun(t *testing.T) {
	h := newOwnersWorld(t)
	o := h.owner
	o.Money = poor(0)
	before, err := h.R.Outbox.Queue(outbox.Stored, 0, 10)
	nodetest.Must(t, err)
	spec := Spec{Title: "Reports", Alias: "reports"}
	for what, do := range map[string]func() error{
		"a new one":  func() error { _, err := o.Create(t.Context(), spec); return err },
		"a grant":    func() error { _, err := o.Grant(t.Context(), h.Own, Grant{Organisations: []string{"all"}}); return err },
		"a new key":  func() error { _, err := o.Rotate(t.Context(), h.Own); return err },
		"recipients": func() error { _, err := o.AdHoc(t.Context(), []string{"mallory"}); return err },
	} {
		if err := do(); !errors.Is(err, errPoor) {
			t.Errorf("%s: %v", what, err)
		}
	}
	o.Money = poor(1)
	if _, err := o.AdHoc(t.Context(), []string{"mallory"}); !errors.Is(err, errPoor) {
		t.Errorf("recipients, without the money for an object: %v", err)
	}
	after, err := h.R.Outbox.Queue(outbox.Stored, 0, 10)
	nodetest.Must(t, err)
	if memo, err := h.R.Outbox.Memo(makingMemo(spec.Alias)); err != nil || memo != nil || len(after) != len(before) {
		t.Errorf("%d records are stored, there were %d; the alias is taken by %q, %v", len(after), len(before), memo, err)
	}
	if _, err := o.Create(stored(t, h.World, len(before)+1), spec); !errors.Is(err, ErrOnItsWay) {
		t.Errorf("with the money for it: %v", err)
	}
}
