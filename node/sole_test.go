package node

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
)

// signs takes objects of self's into the outbox as signed, and gives them as the chain will.
func (h *soleWorld) signs(n int) consortium.Event {
	h.t.Helper()
	before := h.r.Outbox.Count()[repo.Stored]
	h.stores(n)
	items, err := h.r.Outbox.Queue(repo.Stored, 0, 1000)
	must(h.t, err)
	if len(items) != before+1 {
		h.t.Fatalf("%d items are stored, want %d", len(items), before+1)
	}
	item := items[before:]
	item, err = h.r.Outbox.Number(item)
	must(h.t, err)
	e := h.mint(h.self, h.object(n))
	_, err = h.r.Outbox.AddGroups([]repo.Group{{TxIDs: []string{e.TxID}, FirstValid: 1, LastValid: 1000}}, item)
	must(h.t, err)
	return e
}

func (h *soleWorld) disputed() bool { return h.sole.disputed() }

func TestTransactionsThatThisNodeNeverSignedShowAnotherOne(t *testing.T) {
	h := newSoleWorld(t)
	must(t, h.r.Outbox.SetSole(repo.Sole{Account: h.self.address()}))
	own, expired := h.signs(1), h.signs(2)
	groups, err := h.r.Outbox.Groups(0, 10)
	must(t, err)
	must(t, h.r.Outbox.Expire(groups[1])) // given up, and confirmed all the same
	h.takes(own, expired, h.mint(h.mallory, h.object(3)))
	if h.disputed() {
		t.Fatal("what it signed itself, or another member, is taken for another node's")
	}
	foreign := h.mint(h.self, h.object(4))
	h.takes(foreign)
	c := h.sole.condition.get()
	if !h.disputed() || c.Problem != "duplicate" || !strings.Contains(c.Detail, foreign.TxID) || !strings.Contains(c.Detail, "slnode keys sole") {
		t.Fatalf("the condition is %+v", c)
	}
	// Nothing that goes well elsewhere hides it, nor does a restart or the same log once more.
	h.sole.condition.set("funds", "x")
	h.sole.condition.clear()
	must(t, h.replicator.Deliver(t.Context(), h.round, []consortium.Event{foreign}))
	again := &sole{outbox: h.r.Outbox, self: h.self.address(), condition: newMonitor("", discard), log: discard}
	must(t, again.load())
	if known, err := h.r.Outbox.Sole(); err != nil || !h.disputed() || !again.disputed() || known.Foreign.Count != 1 || known.Foreign.Round != foreign.Round {
		t.Errorf("%+v, %v, %v (%v)", known, h.disputed(), again.disputed(), err)
	}
	// With another account it is another identity.
	other := &sole{outbox: h.r.Outbox, self: "OTHER", condition: newMonitor("", discard), log: discard}
	must(t, other.load())
	if other.disputed() {
		t.Error("it is said of another account")
	}
}

func TestWhatALostNodeSignedIsNoSignOfAnotherOne(t *testing.T) {
	for name, c := range map[string]struct {
		before func(h *soleWorld) // … the foreign transaction, of the round after it
		want   bool
	}{
		"an outbox that was not made with the account, before it knows":     {func(h *soleWorld) {}, false},
		"one that has begun, within a window":                               {func(h *soleWorld) { h.begins(h.round) }, false},
		"one that has begun, after the window":                              {func(h *soleWorld) { h.begins(h.round - ledger.Window) }, true},
		"a restored one, before it knows for how long":                      {func(h *soleWorld) { h.restored(0) }, false},
		"a restored one, within its time":                                   {func(h *soleWorld) { h.restored(h.round + 1) }, false},
		"a restored one, later: what it was restored from is alive":         {func(h *soleWorld) { h.restored(h.round) }, true},
		"one with an account of before a change of keys, which it has made": {func(h *soleWorld) { h.changed() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newSoleWorld(t)
			h.pass(2 * ledger.Window)
			c.before(h)
			h.takes(h.mint(h.self, h.object(1)))
			if h.disputed() != c.want {
				t.Errorf("another node is seen: %v, want %v", h.disputed(), c.want)
			}
		})
	}
}

func (h *soleWorld) begins(round uint64) { must(h.t, h.sole.begin(round)) }

func (h *soleWorld) restored(until uint64) {
	must(h.t, h.r.Outbox.SetSole(repo.Sole{Account: h.self.address()}))
	must(h.t, h.r.Outbox.SetRecovery(&repo.Recovery{Until: until}))
	if until > 0 {
		must(h.t, h.sole.recovers(until))
	}
}

func (h *soleWorld) changed() {
	must(h.t, h.r.Outbox.SetSole(repo.Sole{Account: "BEFORE", Foreign: repo.Foreign{Count: 1}}))
	must(h.t, h.sole.rotated())
}

func TestANewRepositoryIsTheOnlyOneWithItsKeys(t *testing.T) {
	dir := t.TempDir()
	config := repo.DefaultConfig()
	config.Organisation.Name = "self"
	keys, err := repo.Init(dir, config, "")
	must(t, err)
	r, err := repo.Open(dir, nil)
	must(t, err)
	defer func() { must(t, r.Close()) }()
	if known, err := r.Outbox.Sole(); err != nil || known != (repo.Sole{Account: keys.Address()}) {
		t.Errorf("%+v (%v)", known, err)
	}
}

// algodAt is an algod that is in a round, and counts how often it was asked.
func algodAt(t *testing.T, round *atomic.Uint64) *ledger.Ledger {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"last-round":%d}`, round.Load())
	}))
	t.Cleanup(server.Close)
	client, err := algorand.NewAlgod(server.URL, "")
	must(t, err)
	return ledger.New(client, newOrg(t, "x").account, 1000)
}

func TestNothingIsSignedWhileAnotherNodeHasTheSameKeys(t *testing.T) {
	h := newSoleWorld(t)
	must(t, h.r.Outbox.SetSole(repo.Sole{Account: h.self.address()}))
	h.stores(1)
	h.takes(h.mint(h.self, h.object(9)))
	var round atomic.Uint64
	round.Store(h.round)
	m := &minter{
		outbox: h.r.Outbox, view: h.r.View, fold: h.fold, fresh: newFresh(h.blocks), confirmed: &signal{}, reopened: func() {}, log: discard,
		sole: h.sole, condition: h.sole.condition, ledger: algodAt(t, &round),
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	submissions := newSubmissions()
	go func() { done <- m.sign(ctx, submissions) }()
	defer func() {
		cancel()
		must(t, <-done)
	}()
	if items, err := m.otherKeys(); err != nil || len(items) != 0 {
		t.Errorf("%d items are signed all the same (%v)", len(items), err)
	}
	must(t, rotationPlan{Key: []byte("rotation"), Account: "NEXT"}.keep(h.r.Outbox))
	_, err := h.r.Outbox.Accept([]repo.Submission{{Item: repo.Item{Key: []byte("rotation"), Note: wire.Note{Kind: wire.KindRotation}}}})
	must(t, err)
	if items, err := m.otherKeys(); err != nil || len(items) != 1 || items[0].Note.Kind != wire.KindRotation {
		t.Errorf("other keys can't be taken: %d items (%v)", len(items), err)
	}
	if c := m.condition.get(); c.Problem != "duplicate" {
		t.Errorf("the condition is %+v", c)
	}

	// When an operator has settled it, the chain is awaited as after a restore.
	must(t, m.sole.settle())
	if err := m.sole.settle(); err == nil {
		t.Error("it is settled twice")
	}
	eventually(t, func() bool { return m.condition.get().Problem == "restored" })
	if detail := m.condition.get().Detail; !strings.Contains(detail, "another node had") {
		t.Errorf("what is said is %q", detail)
	}
	recovery, err := h.r.Outbox.Recovery()
	if err != nil || recovery == nil || recovery.Until != round.Load()+ledger.Window {
		t.Errorf("the recovery is %+v (%v)", recovery, err)
	}
	h.takes(h.mint(h.self, h.object(10))) // what the other has signed before it ended
	if h.disputed() {
		t.Error("what was signed before is taken for a new sign")
	}
	h.pass(ledger.Window + 1)
	h.takes(h.mint(h.self, h.object(11)))
	if !h.disputed() {
		t.Error("the other one goes on, and it is not seen")
	}
}

// soleWorld is a hostile world in which it is watched that nobody else has self's keys.
type soleWorld struct {
	*hostileWorld
	sole *sole
}

func newSoleWorld(t *testing.T) *soleWorld {
	h := newHostileWorld(t)
	watch := &sole{outbox: h.r.Outbox, self: h.self.address(), condition: newMonitor("", discard), log: discard}
	h.saw = watch.saw
	return &soleWorld{h, watch}
}

// stores takes an object into the outbox and seals it.
func (h *soleWorld) stores(n int) {
	h.t.Helper()
	_, err := h.r.Outbox.Accept([]repo.Submission{{Payload: []byte(indicatorJSON(n)), Item: repo.Item{
		Key: []byte{byte(n)}, Note: wire.Note{Kind: wire.KindObject}, Collection: h.collection, ObjectID: fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n),
		Version: "2026-01-02T03:04:05.678Z", Revealing: true, StoredAt: now(),
	}}})
	must(h.t, err)
	items, err := h.r.Outbox.Queue(repo.Accepted, 0, sealBatch)
	must(h.t, err)
	s := &sealer{outbox: h.r.Outbox, fold: h.fold, blocks: h.blocks, fresh: newFresh(h.blocks), consortium: h.id, stored: func() {}, done: &signal{},
		memory: sealBytes, condition: newMonitor("", discard), log: discard}
	_, err = s.seal(h.t.Context(), items)
	must(h.t, err)
}
