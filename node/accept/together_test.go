package accept

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

// publishersWorld is a hostile world in which self publishes, and looks after its collections.
type publishersWorld struct {
	*worldtest.HostileWorld
	owner *collections.Owner
}

func newPublishersWorld(t *testing.T) *publishersWorld {
	h := worldtest.NewHostileWorld(t)
	return &publishersWorld{h, &collections.Owner{
		Outbox: h.R.Outbox, View: h.R.View, State: h.State, Watcher: worldtest.CaughtUp{}, Consortium: h.ID,
		Records:   publish.NewRecords(h.State.Self, publish.NewOutbox(h.R.Outbox), h.Blocks, publish.NewFresh(h.Blocks)),
		Recipient: h.Self.Identity.Recipient(), Problem: func() error { return nil }, Log: nodetest.Discard,
	}}
}

// newRing is such a world in which self has a collection that mallory and the founder read.
func newRing(t *testing.T) (*publishersWorld, string) {
	h := newPublishersWorld(t)
	id := uuid.NewString()
	p := h.Named("Ring", "ring")
	p.Readers = wire.Accounts{Named: []string{h.Founder.Address(), h.Mallory.Address()}}
	nodetest.Must(t, h.owner.Found(t.Context(), id, p))
	h.mintsRecords()
	return h, id
}

// looksAfter lets the owner look after its collections until so many of its records are on their way.
func (h *publishersWorld) looksAfter(records int) {
	h.T.Helper()
	ctx, stop := context.WithCancel(h.T.Context())
	ended := make(chan error)
	go func() { ended <- h.owner.Run(ctx) }()
	waiting.Until(h.T, "the next keys are on their way", func() bool {
		items, err := h.R.Outbox.Queue(outbox.Stored, h.Recorded, 1000)
		nodetest.Must(h.T, err)
		rest := slices.DeleteFunc(items, func(item outbox.Item) bool { return item.Note.Kind != wire.KindCollection })
		return len(rest) == records
	})
	stop()
	nodetest.Must(h.T, <-ended)
}

func (h *publishersWorld) publisher() *Publisher {
	return &Publisher{Outbox: publish.NewOutbox(h.R.Outbox), View: h.R.View, State: h.State, Recipients: h.owner, Delay: noDelay()}
}

// stores posts indicators into a collection and seals them.
func (h *publishersWorld) stores(collection string, first, count int) taxii.Status {
	h.T.Helper()
	p := h.publisher()
	into, err := p.target(taxii.Collection{ID: collection})
	nodetest.Must(h.T, err)
	var incoming taxii.Listed
	for n := range count {
		incoming = append(incoming, taxii.Incoming{Raw: []byte(nodetest.IndicatorJSON(first + n))})
	}
	id, err := p.Accept(worldtest.PublisherRole, taxii.Collection{Root: "self", ID: collection}, into, taxii.Addition{Objects: incoming})
	nodetest.Must(h.T, err)
	h.seals()
	status, err := p.status(id)
	nodetest.Must(h.T, err)
	return status.Status
}

func TestObjectsLeaveWhatANewKeyCosts(t *testing.T) {
	h, ring := newRing(t)
	second := uuid.NewString()
	p := h.Named("Second", "second")
	p.Readers = wire.Accounts{Members: true}
	h.Takes(h.CollectionOf(h.Self, second, 1, p, h.Founder, h.Mallory))
	if n := h.State.ToRekey(); n != 2 { // and not the one that nobody else reads
		t.Fatalf("%d collections may need another key, want 2", n)
	}
	h.stores(ring, 1, 6)
	free := 5 * ledger.Cost(1, ledger.LowestFee) // what was signed is not confirmed, and not paid for
	signed, waits := h.signs(free)
	if !slices.Equal(signed, []wire.Kind{wire.KindObject, wire.KindObject, wire.KindObject}) {
		t.Errorf("with ALGO for 5 NFTs %v are signed, want 3 objects", signed)
	}
	if signed, waits = h.signs(free); len(signed) != 0 || waits.Problem != "funds" || !strings.Contains(waits.Detail, "0.202 for other keys") {
		t.Errorf("with ALGO for the keys alone %v are signed, and the rest waits for %+v", signed, waits)
	}
	h.Removes(h.Mallory)
	h.looksAfter(2)
	if signed, _ = h.signs(free); !slices.Equal(signed, []wire.Kind{wire.KindCollection, wire.KindCollection}) {
		t.Errorf("after the removal %v are signed, want both keys", signed)
	}
}

func TestANewKeyComesBeforeAllThatWaits(t *testing.T) {
	h, ring := newRing(t)
	h.stores(ring, 1, 300)
	h.Removes(h.Mallory)
	h.looksAfter(1)
	items, err := h.R.Outbox.Reader(outbox.Stored).Next(256)
	nodetest.Must(t, err)
	if len(items) != 256 || items[0].Note.Kind != wire.KindCollection || items[1].Note.Kind != wire.KindObject {
		t.Errorf("%d items are signed next, the first is a %s", len(items), items[0].Note.Kind)
	}
}

func TestNothingIsPublishedUnderAKeyThatARemovedMemberHas(t *testing.T) {
	h, ring := newRing(t)
	h.stores(ring, 1, 3)
	h.stores(h.Collection, 4, 1) // another's collection, which others read anyway
	h.Removes(h.Mallory)
	signed, waits := h.signs(1e9)
	if waits.Problem != "rekeying" || !strings.Contains(waits.Detail, "mallory") {
		t.Errorf("what is said is %+v", waits)
	}
	if items, err := h.R.Outbox.Queue(outbox.Signed, 0, 10); err != nil || len(signed) != 1 || len(items) != 1 || items[0].Collection != h.Collection {
		t.Errorf("%v are signed, want the object of the founder's collection (%v)", items, err)
	}
	// The next epoch is on its way as long as it isn't on the chain.
	h.looksAfter(1)
	if signed, waits = h.signs(1e9); waits.Problem != "rekeying" || !slices.Equal(signed, []wire.Kind{wire.KindCollection}) {
		t.Errorf("%v are signed, and the rest waits for %+v", signed, waits)
	}
}

// exposed is what a node says of one collection.
func (h *publishersWorld) exposed(collection string) *collections.ExposedKey {
	h.T.Helper()
	list, err := h.owner.ExposedKeys()
	nodetest.Must(h.T, err)
	for _, e := range list {
		if e.Collection == collection {
			return &e
		}
	}
	return nil
}

func TestWhoStillHasAKeyIsSaidToTheOwnerAndToWhoPublishes(t *testing.T) {
	h, ring := newRing(t)
	if status := h.stores(h.Collection, 1, 1); status.Pendings[0].Note != "" || h.exposed(h.Collection) != nil || h.exposed(ring) != nil {
		t.Fatalf("it is said without a reason: %+v", status)
	}
	h.Removes(h.Mallory)
	own, founders := h.exposed(ring), h.exposed(h.Collection)
	if own == nil || !own.Own || len(own.Removed) != 1 || own.Removed[0] != "mallory" || own.Since != h.Round || !strings.Contains(own.Detail(), "a removed member still has the key of") {
		t.Errorf("of its own collection the owner is told %+v", own)
	}
	if founders == nil || founders.Own || len(founders.Removed) != 1 || founders.Owner != "founder" {
		t.Errorf("of the founder's collection it is told %+v", founders)
	}
	status := h.stores(h.Collection, 2, 1)
	if note := status.Pendings[0].Note; !strings.Contains(note, "mallory") || !strings.Contains(note, "removed member") {
		t.Errorf("who publishes in the founder's collection is told %q", note)
	}

	h.looksAfter(1)
	h.mintsRecords()
	h.Takes(h.CollectionOf(h.Founder, h.Collection, 2, h.Everybody(""), h.Self))
	if own, founders := h.exposed(ring), h.exposed(h.Collection); own != nil || founders != nil {
		t.Errorf("with other keys it is still said: %+v, %+v", own, founders)
	}
	if status := h.stores(h.Collection, 3, 1); status.Pendings[0].Note != "" {
		t.Errorf("who publishes is still told %q", status.Pendings[0].Note)
	}
	// A former identity is said as well, until its turn.
	h.Rotates(h.Founder, worldtest.Changes{Identity: true})
	if own := h.exposed(ring); own == nil || len(own.Replaced) != 1 || own.Replaced[0] != "founder" || len(own.Removed) != 0 {
		t.Errorf("of a former identity the owner is told %+v", own)
	}
}

// labelled is an indicator with a TLP level.
func labelled(n int, level string) string {
	return strings.Replace(nodetest.IndicatorJSON(n), `"name"`, `"labels":["tlp:`+level+`"],"name"`, 1)
}

func TestWhatWasAcceptedIsNotPublishedWhenOthersReadTheCollectionMeanwhile(t *testing.T) {
	for _, stage := range []string{"accepted", "sealed"} {
		t.Run(stage, func(t *testing.T) {
			h := newPublishersWorld(t)
			ring := uuid.NewString()
			p := h.Named("Ring", "ring")
			p.Readers.Named, p.Contributors.Named = []string{h.Self.Address()}, []string{h.Self.Address()}
			h.Takes(h.CollectionOf(h.Mallory, ring, 1, p, h.Self))
			publisher := &Publisher{Outbox: publish.NewOutbox(h.R.Outbox), View: h.R.View, State: h.State, Recipients: h.owner, Delay: noDelay()}
			into, err := publisher.target(taxii.Collection{ID: ring})
			nodetest.Must(t, err)
			id, err := publisher.Accept(worldtest.PublisherRole, taxii.Collection{Root: "mallory", ID: ring}, into,
				taxii.Addition{Objects: taxii.Listed{{Raw: []byte(labelled(1, "amber"))}, {Raw: []byte(labelled(2, "green"))}}})
			nodetest.Must(t, err)
			if stage == "sealed" {
				if h.seals(); h.R.Outbox.Count()[outbox.Stored] != 2 {
					t.Fatalf("%v are sealed, want 2", h.R.Outbox.Count())
				}
			}
			// The owner lets everybody in, without another key: everybody can be given the one that there is.
			p.Readers, p.Contributors = wire.Accounts{Members: true}, wire.Accounts{Members: true}
			h.Takes(h.CollectionOf(h.Mallory, ring, 1, p, h.Self))
			if c, _ := h.State.Collection(ring); !c.Properties.Readers.Members {
				t.Fatalf("the collection is %+v", c)
			}
			directories := h.Blocks.Count()
			h.seals()
			signed, waits := h.signs(1e9)
			items, err := h.R.Outbox.Queue(outbox.Signed, 0, 10)
			if err != nil || waits.Problem != "" || len(signed) != 1 || len(items) != 1 || items[0].Level != uint8(stix.Green) {
				t.Errorf("%+v are signed (%+v, %v), want the green one", items, waits, err)
			}
			if stage == "sealed" && h.Blocks.Count() != directories-1 {
				t.Error("the blocks of the amber one are kept")
			}
			status, err := publisher.status(id)
			nodetest.Must(t, err)
			if len(status.Failures) != 1 || !strings.Contains(status.Failures[0].Message, "TLP:AMBER") {
				t.Errorf("the status is %+v", status)
			}
			if _, err := h.R.Outbox.Payload(1); err == nil {
				t.Error("its content is kept")
			}
		})
	}
}

// A collection's id stands in a note on its way to the chain: another member can be first with it.
func TestWhatIsForNamedRecipientsNeverGoesIntoACollectionThatSomebodyElseMade(t *testing.T) {
	for name, hostile := range map[string]wire.Collection{
		"which it can't read":   madeForOne("red", wire.Accounts{}, wire.Accounts{}),
		"made to look the same": madeForOne("red", wire.Accounts{}, wire.Accounts{}),
		"for everybody":         madeForOne("clear", wire.Accounts{Members: true}, wire.Accounts{Members: true}),
	} {
		t.Run(name, func(t *testing.T) {
			h := newPublishersWorld(t)
			p := &Publisher{Outbox: publish.NewOutbox(h.R.Outbox), View: h.R.View, State: h.State, Recipients: h.owner, Delay: noDelay()}
			to, err := h.owner.AdHoc(t.Context(), []string{"founder"})
			nodetest.Must(t, err)
			red := strings.Replace(nodetest.IndicatorJSON(1), `"name"`, `"labels":["tlp:red"],"name"`, 1)
			id, err := p.Accept(worldtest.PublisherRole, taxii.Collection{Root: "self", ID: to.ID}, to, taxii.Addition{Objects: taxii.Listed{{Raw: []byte(red)}, {Raw: []byte(nodetest.IndicatorJSON(2))}}})
			nodetest.Must(t, err)
			readers := []*nodetest.Org{h.Self}
			if name == "which it can't read" {
				readers = nil
			}
			if name == "made to look the same" {
				hostile.Readers.Named, hostile.Contributors.Named = to.Properties.Readers.Named, []string{h.Self.Address()}
			}
			h.Takes(h.CollectionOf(h.Mallory, to.ID, 1, hostile, readers...))

			h.seals()
			if counts := h.R.Outbox.Count(); counts[outbox.Accepted]+counts[outbox.Stored]-1 != 0 { // the record that came too late
				t.Errorf("%v wait to be published", counts)
			}
			status, err := p.status(id)
			nodetest.Must(t, err)
			if len(status.Failures) != 2 || !strings.Contains(status.Failures[0].Message, "taken the id") {
				t.Errorf("the status is %+v", status)
			}
			again, err := h.owner.AdHoc(t.Context(), []string{"founder"})
			if err != nil || again.ID == to.ID {
				t.Errorf("what is posted again goes to %s (%v)", again.ID, err)
			}
		})
	}
}

// madeForOne is an ad hoc collection.
func madeForOne(level string, readers, contributors wire.Accounts) wire.Collection {
	return wire.Collection{Title: "For founder", Readers: readers, Contributors: contributors, DefaultLevel: level, Metadata: wire.MetadataSealed, AdHoc: true}
}

func TestNothingIsTakenInWhileTheDiskIsFull(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	var free atomic.Uint64
	p := &Publisher{Outbox: publish.NewOutbox(w.R.Outbox), View: w.R.View, State: w.State, Disk: diskWith(&free)}
	_, err := p.Publish(t.Context(), taxii.Principal{User: "u", Role: taxii.RolePublisher}, taxii.Collection{ID: w.Collection},
		taxii.Addition{Objects: taxii.Listed{{Raw: []byte(nodetest.IndicatorJSON(1))}}})
	if !errors.Is(err, taxii.ErrFull) || w.R.Outbox.Count()[outbox.Accepted] != 0 {
		t.Errorf("%v, %v", err, w.R.Outbox.Count())
	}
}

func TestPublishingAndFetchingWaitForSpace(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	post(w, nodetest.IndicatorJSON(1))
	nodetest.Must(t, w.Deliver(w.Mint(w.Self, w.Object(2))))
	var free atomic.Uint64
	guard := diskWith(&free)
	s := &publish.Sealer{Outbox: publish.NewOutbox(w.R.Outbox), State: w.State, Blocks: w.Blocks, Fresh: publish.NewFresh(w.Blocks), Consortium: w.ID,
		Memory: 16 << 10, Disk: guard, Condition: problem.NewMonitor("", nodetest.Discard), Log: nodetest.Discard}
	w.Fetcher.Disk = guard
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- s.Run(ctx) }()
	go func() { ended <- w.Fetcher.Run(ctx) }()
	waiting.Until(t, "the disk is full", func() bool { return guard.Condition.Get().Problem == "disk" })
	if w.Shown() != 0 || w.R.Outbox.Count()[outbox.Stored] != 0 {
		t.Errorf("%d objects are served, %v in the outbox", w.Shown(), w.R.Outbox.Count())
	}
	free.Store(1000)
	waiting.Until(t, "one object is shown and one stored", func() bool { return w.Shown() == 1 && w.R.Outbox.Count()[outbox.Stored] == 1 })
	stop()
	nodetest.Must(t, errors.Join(<-ended, <-ended))
}

// diskWith is a disk with so much room, of which 100 bytes are a reserve.
func diskWith(free *atomic.Uint64) *problem.Disk {
	return problem.NewDisk(100, func(string) (uint64, error) { return free.Load(), nil }, nodetest.Discard, "/")
}
