package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// publishersWorld is a hostile world in which self publishes, and looks after its collections.
type publishersWorld struct {
	*hostileWorld
	owner *owner
}

func newPublishersWorld(t *testing.T) *publishersWorld {
	h := newHostileWorld(t)
	return &publishersWorld{h, &owner{
		outbox: h.r.Outbox, view: h.r.View, fold: h.fold, watcher: caughtUp{}, consortium: h.id,
		records:   newRecords(h.r.Outbox, h.blocks, newFresh(h.blocks), func() {}),
		recipient: h.self.identity.Recipient(), problem: func() error { return nil }, log: discard,
	}}
}

// newRing is such a world in which self has a collection that mallory and the founder read.
func newRing(t *testing.T) (*publishersWorld, string) {
	h := newPublishersWorld(t)
	id := uuid.NewString()
	p := h.named("Ring", "ring")
	p.Readers = wire.Accounts{Named: []string{h.founder.address(), h.mallory.address()}}
	must(t, h.owner.found(t.Context(), id, p))
	h.records()
	return h, id
}

func (h *publishersWorld) sealer() *sealer {
	return &sealer{outbox: h.r.Outbox, fold: h.fold, blocks: h.blocks, fresh: newFresh(h.blocks), consortium: h.id, stored: func() {}, done: &signal{},
		memory: sealBytes, condition: newMonitor("", discard), log: discard}
}

// minter is one that has this much to spend.
func (h *publishersWorld) minter(free uint64) *minter {
	h.t.Helper()
	const locked = 100_000
	algod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"address":%q,"amount":%d,"min-balance":%d,"round":1}`, h.self.address(), locked+free, locked)
	}))
	h.t.Cleanup(algod.Close)
	client, err := algorand.NewAlgod(algod.URL, "")
	must(h.t, err)
	return &minter{outbox: h.r.Outbox, view: h.r.View, fold: h.fold, fresh: newFresh(h.blocks), confirmed: &signal{}, reopened: func() {},
		ledger: ledger.New(client, h.self.account, 10_000), log: discard}
}

func (h *publishersWorld) publisher() *publisher {
	return &publisher{outbox: h.r.Outbox, view: h.r.View, fold: h.fold, recipients: h.owner, wake: func() {}, done: &signal{}, delay: noDelay()}
}

// stores posts indicators into a collection and seals them.
func (h *publishersWorld) stores(collection string, first, count int) taxii.Status {
	h.t.Helper()
	p := h.publisher()
	into, err := p.target(taxii.Collection{ID: collection})
	must(h.t, err)
	var incoming []taxii.Incoming
	for n := range count {
		incoming = append(incoming, taxii.Incoming{Raw: []byte(indicatorJSON(first + n))})
	}
	id, err := p.accept(publisherRole, taxii.Collection{Root: "self", ID: collection}, into, taxii.Addition{Objects: incoming})
	must(h.t, err)
	for {
		items, err := h.r.Outbox.Queue(repo.Accepted, 0, sealBatch)
		must(h.t, err)
		if len(items) == 0 {
			break
		}
		_, err = h.sealer().seal(h.t.Context(), items)
		must(h.t, err)
	}
	status, err := p.status(id)
	must(h.t, err)
	return status.Status
}

func count(items []repo.Item, kind wire.Kind) (n int) {
	for _, item := range items {
		if item.Note.Kind == kind {
			n++
		}
	}
	return n
}

func TestObjectsLeaveWhatANewKeyCosts(t *testing.T) {
	h, ring := newRing(t)
	second := uuid.NewString()
	p := h.named("Second", "second")
	p.Readers = wire.Accounts{Members: true}
	h.takes(h.collectionOf(h.self, second, 1, p, h.founder, h.mallory))
	if n := h.fold.toRekey(); n != 2 { // and not the one that nobody else reads
		t.Fatalf("%d collections may need another key, want 2", n)
	}
	h.stores(ring, 1, 6)
	const fee = 1000
	m, params := h.minter(5*ledger.Cost(1, fee)), ledger.Params{MinFee: fee}
	items, err := h.r.Outbox.Reader(repo.Stored).Next(signBatch)
	must(t, err)
	items = without(items, func(item repo.Item) bool { return item.Number <= h.recorded })
	affordable, problem, err := m.affordable(t.Context(), params, items)
	if err != nil || problem != nil || len(affordable) != 3 {
		t.Errorf("with ALGO for 5 NFTs %d objects are signed (%v, %v), want 3", len(affordable), problem, err)
	}
	poor := h.minter(2 * ledger.Cost(1, fee))
	if affordable, problem, err = poor.affordable(t.Context(), params, items); err != nil || problem == nil || problem.Problem != "funds" || !strings.Contains(problem.Detail, "0.202000 for other keys") {
		t.Errorf("with ALGO for the keys alone %d objects are signed (%+v, %v)", len(affordable), problem, err)
	}
	h.removes(h.mallory)
	must(t, h.owner.lookAfter(t.Context()))
	if items, err = h.r.Outbox.Reader(repo.Stored).Next(signBatch); err != nil {
		t.Fatal(err)
	}
	items = without(items, func(item repo.Item) bool { return item.Number <= h.recorded })
	affordable, problem, err = poor.affordable(t.Context(), params, items)
	if err != nil || problem != nil || count(affordable, wire.KindCollection) != 2 || len(affordable) != 2 {
		t.Errorf("after the removal %d items are signed (%v, %v), want both keys", len(affordable), problem, err)
	}
}

func TestANewKeyComesBeforeAllThatWaits(t *testing.T) {
	h, ring := newRing(t)
	h.stores(ring, 1, signBatch+44)
	h.removes(h.mallory)
	must(t, h.owner.lookAfter(t.Context()))
	items, err := h.r.Outbox.Reader(repo.Stored).Next(signBatch)
	must(t, err)
	items = without(items, func(item repo.Item) bool { return item.Number <= h.recorded })
	if len(items) == 0 || items[0].Note.Kind != wire.KindCollection {
		t.Errorf("%d items are signed next, the first is a %s", len(items), items[0].Note.Kind)
	}
	if counted := count(items, wire.KindCollection); counted != 1 {
		t.Errorf("the record is signed %d times", counted)
	}
}

func TestNothingIsPublishedUnderAKeyThatARemovedMemberHas(t *testing.T) {
	h, ring := newRing(t)
	h.stores(ring, 1, 3)
	h.stores(h.collection, 4, 1) // another's collection, which others read anyway
	h.removes(h.mallory)
	m := h.minter(0)
	items, err := h.r.Outbox.Queue(repo.Stored, h.recorded, 100)
	must(t, err)
	rest, problem, err := m.upToDate(t.Context(), items)
	if err != nil || problem == nil || problem.Problem != "rekeying" || !strings.Contains(problem.Detail, "mallory") {
		t.Errorf("what is said is %+v (%v)", problem, err)
	}
	if len(rest) != 1 || rest[0].Collection != h.collection {
		t.Errorf("%d objects are signed, want that of the founder's collection", len(rest))
	}
	// The next epoch is on its way as long as it isn't on the chain.
	must(t, h.owner.lookAfter(t.Context()))
	if rest, problem, err = m.upToDate(t.Context(), items); err != nil || problem == nil || len(rest) != 1 {
		t.Errorf("%d objects are signed (%v, %v)", len(rest), problem, err)
	}
}

// exposed is what a node says of one collection.
func (h *publishersWorld) exposed(collection string) *ExposedKey {
	h.t.Helper()
	list, err := h.owner.exposedKeys()
	must(h.t, err)
	for _, e := range list {
		if e.Collection == collection {
			return &e
		}
	}
	return nil
}

func TestWhoStillHasAKeyIsSaidToTheOwnerAndToWhoPublishes(t *testing.T) {
	h, ring := newRing(t)
	if status := h.stores(h.collection, 1, 1); status.Pendings[0].Note != "" || h.exposed(h.collection) != nil || h.exposed(ring) != nil {
		t.Fatalf("it is said without a reason: %+v", status)
	}
	h.removes(h.mallory)
	own, founders := h.exposed(ring), h.exposed(h.collection)
	if own == nil || !own.Own || len(own.Removed) != 1 || own.Removed[0] != "mallory" || own.Since != h.round || !strings.Contains(own.Detail(), "a removed member still has the key of") {
		t.Errorf("of its own collection the owner is told %+v", own)
	}
	if founders == nil || founders.Own || len(founders.Removed) != 1 || founders.Owner != "founder" {
		t.Errorf("of the founder's collection it is told %+v", founders)
	}
	status := h.stores(h.collection, 2, 1)
	if note := status.Pendings[0].Note; !strings.Contains(note, "mallory") || !strings.Contains(note, "removed member") {
		t.Errorf("who publishes in the founder's collection is told %q", note)
	}
	told := map[string]ExposedKey{}
	must(t, h.owner.tellExposed(told))
	if len(told) != 2 {
		t.Errorf("the log is told of %d collections, want 2", len(told))
	}

	must(t, h.owner.lookAfter(t.Context()))
	h.records()
	h.takes(h.collectionOf(h.founder, h.collection, 2, h.everybody(""), h.self))
	if own, founders := h.exposed(ring), h.exposed(h.collection); own != nil || founders != nil {
		t.Errorf("with other keys it is still said: %+v, %+v", own, founders)
	}
	if status := h.stores(h.collection, 3, 1); status.Pendings[0].Note != "" {
		t.Errorf("who publishes is still told %q", status.Pendings[0].Note)
	}
	must(t, h.owner.tellExposed(told))
	if len(told) != 0 {
		t.Errorf("the log is not told that it has ended: %v", told)
	}
	// A former identity is said as well, until its turn.
	h.rotates(h.founder, changes{identity: true})
	if own := h.exposed(ring); own == nil || len(own.Replaced) != 1 || own.Replaced[0] != "founder" || len(own.Removed) != 0 {
		t.Errorf("of a former identity the owner is told %+v", own)
	}
}

// labelled is an indicator with a TLP level.
func labelled(n int, level string) string {
	return strings.Replace(indicatorJSON(n), `"name"`, `"labels":["tlp:`+level+`"],"name"`, 1)
}

func TestWhatWasAcceptedIsNotPublishedWhenOthersReadTheCollectionMeanwhile(t *testing.T) {
	for _, stage := range []string{"accepted", "sealed"} {
		t.Run(stage, func(t *testing.T) {
			h := newPublishersWorld(t)
			ring := uuid.NewString()
			p := h.named("Ring", "ring")
			p.Readers.Named, p.Contributors.Named = []string{h.self.address()}, []string{h.self.address()}
			h.takes(h.collectionOf(h.mallory, ring, 1, p, h.self))
			publisher := &publisher{outbox: h.r.Outbox, view: h.r.View, fold: h.fold, recipients: h.owner, wake: func() {}, done: &signal{}, delay: noDelay()}
			into, err := publisher.target(taxii.Collection{ID: ring})
			must(t, err)
			id, err := publisher.accept(publisherRole, taxii.Collection{Root: "mallory", ID: ring}, into,
				taxii.Addition{Objects: []taxii.Incoming{{Raw: []byte(labelled(1, "amber"))}, {Raw: []byte(labelled(2, "green"))}}})
			must(t, err)
			sealed := func() []repo.Item {
				t.Helper()
				items, err := h.r.Outbox.Queue(repo.Accepted, 0, 10)
				must(t, err)
				if len(items) > 0 {
					_, err = h.sealer().seal(t.Context(), items)
					must(t, err)
				}
				items, err = h.r.Outbox.Queue(repo.Stored, 0, 10)
				must(t, err)
				return items
			}
			if stage == "sealed" {
				if n := len(sealed()); n != 2 {
					t.Fatalf("%d objects are sealed, want 2", n)
				}
			}
			// The owner lets everybody in, without another key: everybody can be given the one that there is.
			p.Readers, p.Contributors = wire.Accounts{Members: true}, wire.Accounts{Members: true}
			h.takes(h.collectionOf(h.mallory, ring, 1, p, h.self))
			if c, _ := h.fold.collection(ring); !c.Properties.Readers.Members {
				t.Fatalf("the collection is %+v", c)
			}
			m := &minter{outbox: h.r.Outbox, view: h.r.View, fold: h.fold, fresh: newFresh(h.blocks), confirmed: &signal{}, reopened: func() {}, log: discard}
			directories := h.blocks.count()
			rest, problem, err := m.upToDate(t.Context(), sealed())
			if err != nil || problem != nil || len(rest) != 1 || rest[0].Level != uint8(stix.Green) {
				t.Errorf("%+v are signed (%v, %v), want the green one", rest, problem, err)
			}
			if stage == "sealed" && h.blocks.count() != directories-1 {
				t.Error("the blocks of the amber one are kept")
			}
			status, err := publisher.status(id)
			must(t, err)
			if len(status.Failures) != 1 || !strings.Contains(status.Failures[0].Message, "TLP:AMBER") {
				t.Errorf("the status is %+v", status)
			}
			if _, err := h.r.Outbox.Payload(1); err == nil {
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
			p := &publisher{outbox: h.r.Outbox, view: h.r.View, fold: h.fold, recipients: h.owner, wake: func() {}, done: &signal{}, delay: noDelay()}
			to, err := h.owner.AdHoc(t.Context(), []string{"founder"})
			must(t, err)
			red := strings.Replace(indicatorJSON(1), `"name"`, `"labels":["tlp:red"],"name"`, 1)
			id, err := p.accept(publisherRole, taxii.Collection{Root: "self", ID: to.ID}, to, taxii.Addition{Objects: []taxii.Incoming{{Raw: []byte(red)}, {Raw: []byte(indicatorJSON(2))}}})
			must(t, err)
			readers := []*org{h.self}
			if name == "which it can't read" {
				readers = nil
			}
			if name == "made to look the same" {
				hostile.Readers.Named, hostile.Contributors.Named = to.Properties.Readers.Named, []string{h.self.address()}
			}
			h.takes(h.collectionOf(h.mallory, to.ID, 1, hostile, readers...))

			s := h.sealer()
			items, err := h.r.Outbox.Queue(repo.Accepted, 0, 10)
			must(t, err)
			_, err = s.seal(t.Context(), items)
			must(t, err)
			if counts := h.r.Outbox.Count(); counts[repo.Accepted]+counts[repo.Stored]-1 != 0 { // the record that came too late
				t.Errorf("%v wait to be published", counts)
			}
			status, err := p.status(id)
			must(t, err)
			if len(status.Failures) != 2 || !strings.Contains(status.Failures[0].Message, "taken the id") {
				t.Errorf("the status is %+v", status)
			}
			again, err := h.owner.AdHoc(t.Context(), []string{"founder"})
			if err != nil || again.ID == to.ID {
				t.Errorf("what is posted again goes to %s (%v)", again.ID, err)
			}
			if c, err := h.owner.await(t.Context(), to.ID, 1); err == nil {
				t.Errorf("%+v passes for the collection that was made", c)
			}
		})
	}
}

// madeForOne is an ad hoc collection.
func madeForOne(level string, readers, contributors wire.Accounts) wire.Collection {
	return wire.Collection{Title: "For founder", Readers: readers, Contributors: contributors, DefaultLevel: level, Metadata: wire.MetadataSealed, AdHoc: true}
}

func TestNothingIsTakenInWhileTheDiskIsFull(t *testing.T) {
	w := newFoundedWorld(t)
	var free atomic.Uint64
	p := &publisher{outbox: w.r.Outbox, view: w.r.View, fold: w.fold, wake: func() {}, done: &signal{}, disk: diskWith(&free)}
	_, err := p.Publish(t.Context(), taxii.Principal{User: "u", Role: taxii.RolePublisher}, taxii.Collection{ID: w.collection},
		taxii.Addition{Objects: []taxii.Incoming{{Raw: []byte(indicatorJSON(1))}}})
	if !errors.Is(err, taxii.ErrFull) || w.r.Outbox.Count()[repo.Accepted] != 0 {
		t.Errorf("%v, %v", err, w.r.Outbox.Count())
	}
}

func TestPublishingAndFetchingWaitForSpace(t *testing.T) {
	w := newFoundedWorld(t)
	post(w, indicatorJSON(1))
	must(t, w.deliver(w.mint(w.self, w.object(2))))
	var free atomic.Uint64
	guard := diskWith(&free)
	s := &sealer{outbox: w.r.Outbox, fold: w.fold, blocks: w.blocks, fresh: newFresh(w.blocks), consortium: w.id, stored: func() {}, done: &signal{},
		memory: 16 << 10, disk: guard, condition: newMonitor("", discard), log: discard}
	w.fetcher.disk = guard
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- s.run(ctx) }()
	go func() { ended <- w.fetcher.run(ctx) }()
	eventually(t, func() bool { return guard.condition.get().Problem == "disk" })
	if w.shown() != 0 || w.r.Outbox.Count()[repo.Stored] != 0 {
		t.Errorf("%d objects are served, %v in the outbox", w.shown(), w.r.Outbox.Count())
	}
	free.Store(1000)
	eventually(t, func() bool { return w.shown() == 1 && w.r.Outbox.Count()[repo.Stored] == 1 })
	stop()
	must(t, errors.Join(<-ended, <-ended))
}

func TestABatchOfLargeObjectsIsSealedInPortions(t *testing.T) {
	w := newFoundedWorld(t)
	const size, count = 4 << 10, 20
	for n := range count {
		if failures := post(w, describedIndicator(n, strings.Repeat("x", size))); len(failures) > 0 {
			t.Fatal(failures)
		}
	}
	s := &sealer{outbox: w.r.Outbox, fold: w.fold, blocks: w.blocks, fresh: newFresh(w.blocks), consortium: w.id, stored: func() {}, done: &signal{}, memory: 16 << 10,
		condition: newMonitor("", discard), log: discard}
	items, err := w.r.Outbox.Queue(repo.Accepted, 0, sealBatch)
	must(t, err)
	for portions := 0; len(items) > 0; portions++ {
		_, err = s.seal(t.Context(), items)
		must(t, err)
		rest, err := w.r.Outbox.Queue(repo.Accepted, 0, sealBatch)
		must(t, err)
		if len(rest) == 0 && portions == 0 {
			t.Error("all were sealed at once")
		}
		if len(rest) == len(items) {
			t.Fatal("nothing was sealed")
		}
		items = rest
	}
}

// diskWith is a disk with so much room, of which 100 bytes are a reserve.
func diskWith(free *atomic.Uint64) *diskGuard {
	return newDiskGuard(100, func(string) (uint64, error) { return free.Load(), nil }, discard, "/")
}
