// Package worldtest is a nodetest.Chain that a node follows, for tests of what stands above package replicate, and a
// world with hostile members.
package worldtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/replicate"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// World is a chain and one node's replicate side over it.
type World struct {
	*nodetest.Chain
	Replicator *replicate.Replicator
	Fetcher    *replicate.Fetcher
	Saw        func([]consortium.Event) error
}

func NewWorld(t testing.TB, self *nodetest.Org) *World {
	return &World{Chain: nodetest.NewChain(t, self), Saw: func([]consortium.Event) error { return nil }}
}

// NewStoredWorld is a world for a node whose repository is in a folder.
func NewStoredWorld(t testing.TB, self *nodetest.Org) *World {
	return &World{Chain: nodetest.NewStoredChain(t, self), Saw: func([]consortium.Event) error { return nil }}
}

// NewKeyedWorld is a world for a node that has keys, whose repository is in memory otherwise.
func NewKeyedWorld(t testing.TB, self *nodetest.Org) *World {
	return &World{Chain: nodetest.NewKeyedChain(t, self), Saw: func([]consortium.Event) error { return nil }}
}

// Open makes the parts, as node.Open does, and restores.
func (w *World) Open() {
	w.T.Helper()
	own := w.Begin()
	work := &signal.Signal{}
	w.Replicator = &replicate.Replicator{Consortium: own, Identity: w.Self.Identity, Outbox: w.R.Outbox, View: w.R.View, State: w.State, Blocks: w.Blocks,
		Confirmed: func(_ context.Context, places []consortium.Place) error {
			_, err := w.R.Outbox.Confirm(places)
			return err
		}, Work: work, Log: nodetest.Discard,
		Saw: func(events []consortium.Event) error { return w.Saw(events) }}
	w.Fetcher = &replicate.Fetcher{View: w.R.View, State: w.State, Blocks: w.Blocks, Work: work, Gone: w.Replicator,
		Memory: 32 << 10, RecordTime: time.Minute, Log: nodetest.Discard}
	nodetest.Must(w.T, w.Replicator.Restore(w.T.Context()))
}

// Drain runs the fetcher until nothing waits for its first turn.
func (w *World) Drain() {
	w.T.Helper()
	nodetest.Must(w.T, w.TryDrain(w.T.Context()))
}

// TryDrain is Drain for goroutines that can't end the test.
func (w *World) TryDrain(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		stop(w.Fetcher.Run(ctx))
	}()
	err := w.Fetcher.AwaitFetched(ctx)
	stop(nil)
	<-ended
	if failure := context.Cause(ctx); !errors.Is(failure, context.Canceled) {
		err = failure
	}
	return err
}

func (w *World) Deliver(events ...consortium.Event) error {
	return w.Replicator.Deliver(w.T.Context(), events[len(events)-1].Round, events)
}

// CaughtUp has followed the chain to its end.
type CaughtUp struct{}

func (CaughtUp) AwaitTip(context.Context) error { return nil }

func (CaughtUp) State() chainwatch.State { return chainwatch.State{CaughtUp: true} }

// Seal does to what was accepted what the sealer does, as far as the outbox is concerned.
func (w *World) Seal() {
	w.T.Helper()
	items, err := w.R.Outbox.Queue(outbox.Accepted, 0, 100)
	nodetest.Must(w.T, err)
	nodetest.Must(w.T, w.R.Outbox.SetStored(items))
}

// EnterBy brings an object of the member with an account into the view, and gives its NFT.
func (w *World) EnterBy(account, object string) uint64 {
	w.T.Helper()
	parsed, err := stix.Parse([]byte(object))
	nodetest.Must(w.T, err)
	hash, err := parsed.ContentHash()
	nodetest.Must(w.T, err)
	e := w.Mint(w.Self, w.Object(w.N))
	e.Sender = account
	nodetest.Must(w.T, w.R.View.Append([]view.NewEvent{{Event: e}}, nil))
	entry := state.EntryOf(w.Collection, parsed, hash, time.Now())
	entry.Position, entry.TxID, entry.Asset, entry.Directory, entry.Publisher = e.Position, e.TxID, e.Asset, e.Directory, account
	nodetest.Must(w.T, w.R.View.Settle([]view.Outcome{{Event: view.Event{Event: e}, State: view.InView, Entry: entry}}))
	return e.Asset
}

// Confirm makes the first object that is not confirmed so, as far as the outbox is concerned.
func (w *World) Confirm(asset uint64, txid string) {
	w.T.Helper()
	w.Seal()
	items, err := w.R.Outbox.Queue(outbox.Stored, 0, 100)
	nodetest.Must(w.T, err)
	items = slices.DeleteFunc(items, func(item outbox.Item) bool { return item.Note.Kind == wire.KindDestroy })[:1]
	_, err = w.R.Outbox.AddGroups([]outbox.Group{{TxIDs: []string{txid}}}, items)
	nodetest.Must(w.T, err)
	_, err = w.R.Outbox.Confirm([]consortium.Place{{TxID: txid, Round: 1, Asset: asset}})
	nodetest.Must(w.T, err)
}

// LastItem is the item that was accepted last.
func (w *World) LastItem() outbox.Item {
	w.T.Helper()
	var last outbox.Item
	for n := uint64(1); ; n++ {
		item, found, err := w.R.Outbox.Item(n)
		nodetest.Must(w.T, err)
		if !found {
			return last
		}
		last = item
	}
}

func NewFoundedWorld(t testing.TB) *World { return founded(t, NewWorld) }

// NewStoredFoundedWorld is a founded world for a node whose repository is in a folder.
func NewStoredFoundedWorld(t testing.TB) *World { return founded(t, NewStoredWorld) }

func founded(t testing.TB, world func(testing.TB, *nodetest.Org) *World) *World {
	alpha := nodetest.NewOrg(t, "alpha")
	w := world(t, alpha)
	events := w.Found(alpha)
	w.Open()
	nodetest.Must(t, w.Deliver(events...))
	w.Drain()
	return w
}

const someMarking = "marking-definition--0000aaaa-17d4-4cbf-938f-98ee46b3cd3f"

func Definition(kind, value string) string {
	return fmt.Sprintf(`{"type":"marking-definition","spec_version":"2.1","id":%q,"created":"2026-01-02T03:04:05.678Z","definition_type":%q,"definition":{%q:%q}}`,
		someMarking, kind, kind, value)
}

func MarkedIndicator(n int) string {
	return strings.Replace(nodetest.IndicatorJSON(n), `"name"`, `"object_marking_refs":["`+someMarking+`"],"name"`, 1)
}

func DefinitionOf(text string) string {
	kind, value, _ := strings.Cut(text, " ")
	return Definition(kind, value)
}

// VersionOf is a version of an indicator, with other properties.
func VersionOf(n int, created, modified, more string) string {
	return strings.NewReplacer(`"created":"2026-01-02T03:04:05.678Z"`, `"created":"`+created+`"`, `"modified":"2026-01-02T03:04:05.678Z"`,
		`"modified":"`+modified+`"`, `"name"`, more+`"name"`).Replace(nodetest.IndicatorJSON(n))
}

const (
	FirstTime  = "2026-01-02T03:04:05.678Z" // of indicatorJSON
	SecondTime = "2026-02-02T03:04:05.678Z"
	ThirdTime  = "2026-03-02T03:04:05.678Z"
	Author     = `"created_by_ref":"identity--f431f809-377b-45e0-aa1c-6a4751cae5ff",`
	Revoked    = `"revoked":true,`
)
