package publish

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
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/sole"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/outbox"
)

// signs takes objects of self's into the outbox as signed, and gives them as the chain will.
func (h *soleWorld) signs(n int) consortium.Event {
	h.T.Helper()
	before := h.R.Outbox.Count()[outbox.Stored]
	h.stores(n)
	items, err := h.R.Outbox.Queue(outbox.Stored, 0, 1000)
	nodetest.Must(h.T, err)
	if len(items) != before+1 {
		h.T.Fatalf("%d items are stored, want %d", len(items), before+1)
	}
	item := items[before:]
	item, err = h.R.Outbox.Number(item)
	nodetest.Must(h.T, err)
	e := h.Mint(h.Self, h.Object(n))
	_, err = h.R.Outbox.AddGroups([]outbox.Group{{TxIDs: []string{e.TxID}, FirstValid: 1, LastValid: 1000}}, item)
	nodetest.Must(h.T, err)
	return e
}

func (h *soleWorld) disputed() bool { return h.sole.Disputed() }

func TestTransactionsThatThisNodeNeverSignedShowAnotherOne(t *testing.T) {
	h := newSoleWorld(t)
	nodetest.Must(t, h.R.Outbox.SetSole(outbox.Sole{Account: h.Self.Address()}))
	own, expired := h.signs(1), h.signs(2)
	groups, err := h.R.Outbox.Groups(0, 10)
	nodetest.Must(t, err)
	nodetest.Must(t, h.R.Outbox.Expire(groups[1])) // given up, and confirmed all the same
	h.Takes(own, expired, h.Mint(h.Mallory, h.Object(3)))
	if h.disputed() {
		t.Fatal("what it signed itself, or another member, is taken for another node's")
	}
	foreign := h.Mint(h.Self, h.Object(4))
	h.Takes(foreign)
	c := h.sole.Condition.Get()
	if !h.disputed() || c.Problem != "duplicate" || !strings.Contains(c.Detail, foreign.TxID) || !strings.Contains(c.Detail, "slnode keys sole") {
		t.Fatalf("the condition is %+v", c)
	}
	// Nothing that goes well elsewhere hides it, nor does a restart or the same log once more.
	h.sole.Condition.Set("funds", "x")
	h.sole.Condition.Clear()
	nodetest.Must(t, h.Replicator.Deliver(t.Context(), h.Round, []consortium.Event{foreign}))
	again := &sole.Sole{Outbox: h.R.Outbox, Self: h.Self.Address(), Condition: problem.NewMonitor("", nodetest.Discard), Log: nodetest.Discard}
	nodetest.Must(t, again.Load())
	if known, err := h.R.Outbox.Sole(); err != nil || !h.disputed() || !again.Disputed() || known.Foreign.Count != 1 || known.Foreign.Round != foreign.Round {
		t.Errorf("%+v, %v, %v (%v)", known, h.disputed(), again.Disputed(), err)
	}
	// With another account it is another identity.
	other := &sole.Sole{Outbox: h.R.Outbox, Self: "OTHER", Condition: problem.NewMonitor("", nodetest.Discard), Log: nodetest.Discard}
	nodetest.Must(t, other.Load())
	if other.Disputed() {
		t.Error("it is said of another account")
	}
}

func TestWhatALostNodeSignedIsNoSignOfAnotherOne(t *testing.T) {
	for name, c := range map[string]struct {
		before func(h *soleWorld) // … the foreign transaction, of the round after it
		want   bool
	}{
		"an outbox that was not made with the account, before it knows":     {func(h *soleWorld) {}, false},
		"one that has begun, within a window":                               {func(h *soleWorld) { h.begins(h.Round) }, false},
		"one that has begun, after the window":                              {func(h *soleWorld) { h.begins(h.Round - ledger.Window) }, true},
		"a restored one, before it knows for how long":                      {func(h *soleWorld) { h.restored(0) }, false},
		"a restored one, within its time":                                   {func(h *soleWorld) { h.restored(h.Round + 1) }, false},
		"a restored one, later: what it was restored from is alive":         {func(h *soleWorld) { h.restored(h.Round) }, true},
		"one with an account of before a change of keys, which it has made": {func(h *soleWorld) { h.changed() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newSoleWorld(t)
			h.Pass(2 * ledger.Window)
			c.before(h)
			h.Takes(h.Mint(h.Self, h.Object(1)))
			if h.disputed() != c.want {
				t.Errorf("another node is seen: %v, want %v", h.disputed(), c.want)
			}
		})
	}
}

func (h *soleWorld) begins(round uint64) { nodetest.Must(h.T, h.sole.Begin(round)) }

func (h *soleWorld) restored(until uint64) {
	nodetest.Must(h.T, h.R.Outbox.SetSole(outbox.Sole{Account: h.Self.Address()}))
	nodetest.Must(h.T, h.R.Outbox.SetRecovery(&outbox.Recovery{Until: until}))
	if until > 0 {
		nodetest.Must(h.T, h.sole.Recovers(until))
	}
}

func (h *soleWorld) changed() {
	nodetest.Must(h.T, h.R.Outbox.SetSole(outbox.Sole{Account: "BEFORE", Foreign: outbox.Foreign{Count: 1}}))
	nodetest.Must(h.T, h.sole.Rotated())
}

func TestANewRepositoryIsTheOnlyOneWithItsKeys(t *testing.T) {
	dir := t.TempDir()
	config := config.Default()
	config.Organisation.Name = "self"
	keys, err := repo.Init(dir, config, "")
	nodetest.Must(t, err)
	r, err := repo.Open(dir, nil)
	nodetest.Must(t, err)
	defer func() { nodetest.Must(t, r.Close()) }()
	if known, err := r.Outbox.Sole(); err != nil || known != (outbox.Sole{Account: keys.Address()}) {
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
	nodetest.Must(t, err)
	return ledger.New(client, nodetest.NewOrg(t, "x").Account, 1000)
}

func TestNothingIsSignedWhileAnotherNodeHasTheSameKeys(t *testing.T) {
	h := newSoleWorld(t)
	nodetest.Must(t, h.R.Outbox.SetSole(outbox.Sole{Account: h.Self.Address()}))
	h.stores(1)
	h.Takes(h.Mint(h.Self, h.Object(9)))
	var round atomic.Uint64
	round.Store(h.Round)
	m := NewMinter(Config{
		Outbox: NewOutbox(h.R.Outbox), View: h.R.View, State: h.State, Fresh: NewFresh(h.Blocks), Log: nodetest.Discard,
		Sole: h.sole, Condition: h.sole.Condition, Ledger: algodAt(t, &round),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.sign(ctx) }()
	defer func() {
		cancel()
		nodetest.Must(t, <-done)
	}()
	if items, err := m.otherKeys(); err != nil || len(items) != 0 {
		t.Errorf("%d items are signed all the same (%v)", len(items), err)
	}
	nodetest.Must(t, RotationPlan{Key: []byte("rotation"), Account: "NEXT"}.Keep(h.R.Outbox))
	_, err := h.R.Outbox.Accept([]outbox.Submission{{Item: outbox.Item{Key: []byte("rotation"), Note: wire.Note{Kind: wire.KindRotation}}}})
	nodetest.Must(t, err)
	if items, err := m.otherKeys(); err != nil || len(items) != 1 || items[0].Note.Kind != wire.KindRotation {
		t.Errorf("other keys can't be taken: %d items (%v)", len(items), err)
	}
	if c := m.Condition.Get(); c.Problem != "duplicate" {
		t.Errorf("the condition is %+v", c)
	}

	// When an operator has settled it, the chain is awaited as after a restore.
	nodetest.Must(t, m.Sole.Settle())
	if err := m.Sole.Settle(); err == nil {
		t.Error("it is settled twice")
	}
	waiting.Until(t, "it waits as a restored node does", func() bool { return m.Condition.Get().Problem == "restored" })
	if detail := m.Condition.Get().Detail; !strings.Contains(detail, "another node had") {
		t.Errorf("what is said is %q", detail)
	}
	recovery, err := h.R.Outbox.Recovery()
	if err != nil || recovery == nil || recovery.Until != round.Load()+ledger.Window {
		t.Errorf("the recovery is %+v (%v)", recovery, err)
	}
	h.Takes(h.Mint(h.Self, h.Object(10))) // what the other has signed before it ended
	if h.disputed() {
		t.Error("what was signed before is taken for a new sign")
	}
	h.Pass(ledger.Window + 1)
	h.Takes(h.Mint(h.Self, h.Object(11)))
	if !h.disputed() {
		t.Error("the other one goes on, and it is not seen")
	}
}

// soleWorld is a hostile world in which it is watched that nobody else has self's keys.
type soleWorld struct {
	*worldtest.HostileWorld
	sole *sole.Sole
}

func newSoleWorld(t *testing.T) *soleWorld {
	h := worldtest.NewHostileWorld(t)
	watch := &sole.Sole{Outbox: h.R.Outbox, Self: h.Self.Address(), Condition: problem.NewMonitor("", nodetest.Discard), Log: nodetest.Discard}
	h.Saw = watch.Saw
	return &soleWorld{h, watch}
}

// stores takes an object into the outbox and seals it.
func (h *soleWorld) stores(n int) {
	h.T.Helper()
	_, err := h.R.Outbox.Accept([]outbox.Submission{{Payload: []byte(nodetest.IndicatorJSON(n)), Item: outbox.Item{
		Key: []byte{byte(n)}, Note: wire.Note{Kind: wire.KindObject}, Collection: h.Collection, ObjectID: fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n),
		Version: "2026-01-02T03:04:05.678Z", Revealing: true, StoredAt: state.Now(),
	}}})
	nodetest.Must(h.T, err)
	items, err := h.R.Outbox.Queue(outbox.Accepted, 0, sealBatch)
	nodetest.Must(h.T, err)
	s := &Sealer{Outbox: NewOutbox(h.R.Outbox), State: h.State, Blocks: h.Blocks, Fresh: NewFresh(h.Blocks), Consortium: h.ID,
		Memory: SealBytes, Condition: problem.NewMonitor("", nodetest.Discard), Log: nodetest.Discard}
	_, err = s.seal(h.T.Context(), items)
	nodetest.Must(h.T, err)
}
