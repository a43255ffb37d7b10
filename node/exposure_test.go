package node

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// minter is one that has this much to spend.
func (h *hostileWorld) minter(free uint64) *minter {
	h.t.Helper()
	const locked = 100_000
	algod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"address":%q,"amount":%d,"min-balance":%d,"round":1}`, h.self.address(), locked+free, locked)
	}))
	h.t.Cleanup(algod.Close)
	client, err := algorand.NewAlgod(algod.URL, "")
	must(h.t, err)
	return &minter{outbox: h.r.Outbox, view: h.r.View, fold: h.fold, fresh: &freshDirectories{blocks: h.blocks}, confirmed: &signal{}, reopened: func() {},
		ledger: ledger.New(client, h.self.account, 10_000), log: discard}
}

func (h *hostileWorld) publisher() *publisher {
	return &publisher{outbox: h.r.Outbox, view: h.r.View, fold: h.fold, recipients: h.owner, wake: func() {}, done: &signal{}, delay: noDelay()}
}

// stores posts indicators into a collection and seals them.
func (h *hostileWorld) stores(collection string, first, count int) taxii.Status {
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
	h, ring := newOwningWorld(t)
	second := uuid.NewString()
	p := h.named("Second", "second")
	p.Readers = wire.Accounts{Members: true}
	h.takes(h.collectionOf(h.self, second, 1, p, h.founder, h.mallory))
	if n := h.fold.toRekey(); n != 2 { // and not the one that nobody else reads
		t.Fatalf("%d collections may need another key, want 2", n)
	}
	h.stores(ring().ID, 1, 6)
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
	h, ring := newOwningWorld(t)
	h.stores(ring().ID, 1, signBatch+44)
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
	h, ring := newOwningWorld(t)
	h.stores(ring().ID, 1, 3)
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
func (h *hostileWorld) exposed(collection string) *ExposedKey {
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
	h, ring := newOwningWorld(t)
	if status := h.stores(h.collection, 1, 1); status.Pendings[0].Note != "" || h.exposed(h.collection) != nil || h.exposed(ring().ID) != nil {
		t.Fatalf("it is said without a reason: %+v", status)
	}
	h.removes(h.mallory)
	own, founders := h.exposed(ring().ID), h.exposed(h.collection)
	if own == nil || !own.Own || len(own.Removed) != 1 || own.Removed[0] != "mallory" || own.Since != h.round || !strings.Contains(own.Detail(), "a removed member still has the key of") {
		t.Errorf("of its own collection the owner is told %+v", own)
	}
	if founders == nil || founders.Own || len(founders.Removed) != 1 || founders.Owner != "founder" {
		t.Errorf("of the founder's collection it is told %+v", founders)
	}
	counts := exposedBy([]ExposedKey{*own, *founders})
	if counts[exposedLabel{"self", "removed"}] != 1 || counts[exposedLabel{"member", "removed"}] != 1 {
		t.Errorf("the metrics are %v", counts)
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

	h.looksAfter()
	h.takes(h.collectionOf(h.founder, h.collection, 2, h.everybody(""), h.self))
	if own, founders := h.exposed(ring().ID), h.exposed(h.collection); own != nil || founders != nil {
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
	h.rotates(h.founder, keys{identity: true})
	if own := h.exposed(ring().ID); own == nil || len(own.Replaced) != 1 || own.Replaced[0] != "founder" || len(own.Removed) != 0 {
		t.Errorf("of a former identity the owner is told %+v", own)
	}
}
