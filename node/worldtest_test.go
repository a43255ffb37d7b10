package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
)

// world is a chain and one node's replicate side over it.
type world struct {
	*chain
	replicator *replicator
	fetcher    *fetcher
	saw        func([]consortium.Event) error
}

func newWorld(t testing.TB, self *org) *world {
	return &world{chain: newChain(t, self), saw: func([]consortium.Event) error { return nil }}
}

// open makes the parts, as node.Open does, and restores.
func (w *world) open() {
	w.t.Helper()
	own := w.begin()
	work := &signal{}
	w.replicator = &replicator{consortium: own, identity: w.self.identity, outbox: w.r.Outbox, view: w.r.View, fold: w.fold, blocks: w.blocks,
		confirmed: func(_ context.Context, minted []ledger.Minted) error {
			var cs []repo.Confirmation
			for _, m := range minted {
				cs = append(cs, repo.Confirmation{TxID: m.TxID, Round: m.Round, Asset: m.Asset})
			}
			_, err := w.r.Outbox.Confirm(cs)
			return err
		}, work: work, withdrawn: &signal{}, log: discard,
		saw: func(events []consortium.Event) error { return w.saw(events) }}
	w.fetcher = &fetcher{view: w.r.View, fold: w.fold, blocks: w.blocks, work: work, memory: 32 << 10, recordTime: time.Minute, log: discard}
	must(w.t, w.replicator.restore(w.t.Context()))
}

// drain does what the fetcher's lanes do, one load after the other, until nothing fresh waits.
func (w *world) drain() {
	w.t.Helper()
	must(w.t, w.fetcher.Drain(w.t.Context()))
}

func (w *world) deliver(events ...consortium.Event) error {
	return w.replicator.Deliver(w.t.Context(), events[len(events)-1].Round, events)
}

// caughtUp has followed the chain to its end.
type caughtUp struct{}

func (caughtUp) AwaitTip(context.Context) error { return nil }

func (caughtUp) State() chainwatch.State { return chainwatch.State{CaughtUp: true} }

// seal does to what was accepted what the sealer does, as far as the outbox is concerned.
func (w *world) seal() {
	w.t.Helper()
	items, err := w.r.Outbox.Queue(repo.Accepted, 0, 100)
	must(w.t, err)
	must(w.t, w.r.Outbox.SetStored(items))
}

// enter brings somebody's object into the view.
func (w *world) enter(object string) { w.enterBy("", object) }

// enterBy brings an object of the member with an account into the view, and gives its NFT.
func (w *world) enterBy(account, object string) uint64 {
	w.t.Helper()
	parsed, err := stix.Parse([]byte(object))
	must(w.t, err)
	hash, err := parsed.ContentHash()
	must(w.t, err)
	e := w.mint(w.self, w.object(w.n))
	must(w.t, w.r.View.Append([]repo.NewEvent{{Event: e}}, nil))
	entry := entryOf(w.collection, parsed, hash, time.Now())
	entry.Position, entry.TxID, entry.Asset, entry.Directory, entry.Publisher = e.Position, e.TxID, e.Asset, e.Directory, account
	must(w.t, w.r.View.Settle([]repo.Outcome{{Event: repo.LoggedEvent{Event: e}, State: repo.InView, Entry: entry}}))
	return e.Asset
}

// confirm makes the first object that is not confirmed so, as far as the outbox is concerned.
func (w *world) confirm(asset uint64, txid string) {
	w.t.Helper()
	w.seal()
	items, err := w.r.Outbox.Queue(repo.Stored, 0, 100)
	must(w.t, err)
	items = slices.DeleteFunc(items, func(item repo.Item) bool { return item.Note.Kind == wire.KindDestroy })[:1]
	_, err = w.r.Outbox.AddGroups([]repo.Group{{TxIDs: []string{txid}}}, items)
	must(w.t, err)
	_, err = w.r.Outbox.Confirm([]repo.Confirmation{{TxID: txid, Round: 1, Asset: asset}})
	must(w.t, err)
}

// lastItem is the item that was accepted last.
func (w *world) lastItem() repo.Item {
	w.t.Helper()
	var last repo.Item
	for n := uint64(1); ; n++ {
		item, found, err := w.r.Outbox.Item(n)
		must(w.t, err)
		if !found {
			return last
		}
		last = item
	}
}

func newFoundedWorld(t *testing.T) *world {
	alpha := newOrg(t, "alpha")
	w := newWorld(t, alpha)
	events := w.found(alpha)
	w.open()
	must(t, w.deliver(events...))
	w.drain()
	return w
}

const someMarking = "marking-definition--0000aaaa-17d4-4cbf-938f-98ee46b3cd3f"

func definition(kind, value string) string {
	return fmt.Sprintf(`{"type":"marking-definition","spec_version":"2.1","id":%q,"created":"2026-01-02T03:04:05.678Z","definition_type":%q,"definition":{%q:%q}}`,
		someMarking, kind, kind, value)
}

func markedIndicator(n int) string {
	return strings.Replace(indicatorJSON(n), `"name"`, `"object_marking_refs":["`+someMarking+`"],"name"`, 1)
}

func definitionOf(text string) string {
	kind, value, _ := strings.Cut(text, " ")
	return definition(kind, value)
}

// versionOf is a version of an indicator, with other properties.
func versionOf(n int, created, modified, more string) string {
	return strings.NewReplacer(`"created":"2026-01-02T03:04:05.678Z"`, `"created":"`+created+`"`, `"modified":"2026-01-02T03:04:05.678Z"`,
		`"modified":"`+modified+`"`, `"name"`, more+`"name"`).Replace(indicatorJSON(n))
}

const (
	firstTime  = "2026-01-02T03:04:05.678Z" // of indicatorJSON
	secondTime = "2026-02-02T03:04:05.678Z"
	thirdTime  = "2026-03-02T03:04:05.678Z"
	author     = `"created_by_ref":"identity--f431f809-377b-45e0-aa1c-6a4751cae5ff",`
	revoked    = `"revoked":true,`
)
