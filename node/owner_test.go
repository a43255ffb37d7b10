package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/serviceledger/slnode/repo"
)

// newOwner looks after the collections of a founded world's own organisation.
func newOwner(t *testing.T) (*world, *owner) {
	t.Helper()
	self := newOrg(t, "self")
	w := newWorld(t, self)
	events := w.found(self)
	w.open()
	must(t, w.deliver(events...))
	w.drain()
	return w, ownerIn(w)
}

// ownerIn makes one, as a start does.
func ownerIn(w *world) *owner {
	return &owner{
		outbox: w.r.Outbox, view: w.r.View, fold: w.fold, watcher: caughtUp{}, consortium: w.id,
		records:   newRecords(w.r.Outbox, w.blocks, newFresh(w.blocks), func() {}),
		recipient: w.self.identity.Recipient(), problem: func() error { return nil }, log: discard,
	}
}

// soon is a context that ends when somebody waits for the chain.
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
	spec := CollectionSpec{Title: "Reports", Alias: "reports"}
	gone, leave := context.WithCancel(t.Context())
	leave()
	// The client left before anything was stored: at its turn, or while the blocks were written.
	if _, err := o.create(gone, spec); !errors.Is(err, context.Canceled) || errors.Is(err, errOnItsWay) {
		t.Fatal(err)
	}
	w.blocks.putFails = errors.New("no disk")
	if _, err := o.create(t.Context(), spec); err == nil || errors.Is(err, errOnItsWay) {
		t.Fatal(err)
	}
	w.blocks.putFails = nil

	if _, err := o.create(soon(t), spec); !errors.Is(err, errOnItsWay) {
		t.Fatalf("the first one that is stored: %v", err)
	}
	for range 2 {
		if _, err := o.create(soon(t), spec); !errors.Is(err, errOnItsWay) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("another while it is on its way: %v", err)
		}
		o = ownerIn(w) // as after a restart
	}
	if _, err := o.create(soon(t), CollectionSpec{Title: "Reports", Alias: "other"}); !errors.Is(err, errOnItsWay) {
		t.Errorf("another alias: %v", err)
	}
	if items, err := w.r.Outbox.Queue(repo.Stored, 0, 10); err != nil || len(items) != 2 {
		t.Errorf("%d collections are on their way, %v", len(items), err)
	}
}

// Nobody waits for the turn of somebody who waits for the chain: while a collection is on its way others are made, and
// who gives up waiting is let go.
func TestNobodyWaitsForWhoWaitsForTheChain(t *testing.T) {
	_, o := newOwner(t)
	waiting := make(chan error)
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		_, err := o.create(ctx, CollectionSpec{Title: "One", Alias: "one"})
		waiting <- err
	}()
	if _, err := o.create(soon(t), CollectionSpec{Title: "Two", Alias: "two"}); !errors.Is(err, errOnItsWay) {
		t.Error(err)
	}
	must(t, o.turn.take(t.Context()))
	if _, err := o.AdHoc(soon(t), []string{"nobody"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who waits for a turn does not give up: %v", err)
	}
	o.turn.give()
	leave()
	if err := <-waiting; !errors.Is(err, errOnItsWay) {
		t.Error(err)
	}
}
