package replicate

import (
	"context"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/internal/nodetest"
)

// world is a chain and one node's replicate side over it.
type world struct {
	*nodetest.Chain
	Replicator *Replicator
	Fetcher    *Fetcher
	Saw        func([]consortium.Event) error
}

func newWorld(t testing.TB, self *nodetest.Org) *world {
	return &world{Chain: nodetest.NewChain(t, self), Saw: func([]consortium.Event) error { return nil }}
}

// newFoundedWorld is that of the first of the organisations, which has founded the consortium with the others.
func newFoundedWorld(t testing.TB, members ...*nodetest.Org) *world {
	t.Helper()
	w := newWorld(t, members[0])
	events := w.Found(members...)
	w.Open()
	nodetest.Must(t, w.Deliver(events...))
	return w
}

// Open makes the parts, as node.Open does, and restores.
func (w *world) Open() {
	w.T.Helper()
	own := w.Begin()
	work := &signal.Signal{}
	w.Replicator = &Replicator{Consortium: own, Identity: w.Self.Identity, Outbox: w.R.Outbox, View: w.R.View, State: w.State, Blocks: w.Blocks,
		Confirmed: func(_ context.Context, places []consortium.Place) error {
			_, err := w.R.Outbox.Confirm(places)
			return err
		}, Work: work, Log: nodetest.Discard,
		Saw: func(events []consortium.Event) error { return w.Saw(events) }}
	w.Fetcher = &Fetcher{View: w.R.View, State: w.State, Blocks: w.Blocks, Work: work, Memory: 32 << 10, RecordTime: time.Minute, Log: nodetest.Discard}
	nodetest.Must(w.T, w.Replicator.Restore(w.T.Context()))
	nodetest.Must(w.T, w.Fetcher.reconsider())
}

// Drain does what the fetcher's lanes do, one load after the other, until nothing fresh waits.
func (w *world) Drain() {
	w.T.Helper()
	nodetest.Must(w.T, w.Fetcher.Drain(w.T.Context()))
}

func (w *world) Deliver(events ...consortium.Event) error {
	return w.Replicator.Deliver(w.T.Context(), events[len(events)-1].Round, events)
}
