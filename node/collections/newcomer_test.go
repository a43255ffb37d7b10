package collections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
)

// withoutHistory amends the charter: newcomers may not read what was published before.
func (h *ownersWorld) withoutHistory() {
	h.T.Helper()
	draft, err := consortium.DraftAmendment(h.ID, wire.Amendment{Name: "Test", Governor: wire.Quorum{Threshold: 1, Accounts: []string{h.Founder.Address()}}}, state.Now())
	nodetest.Must(h.T, err)
	h.Takes(h.Mint(h.Founder, draft))
}

// A newcomer is given the keys of what every member reads: all of them, or, as the charter says, those from now on.
func TestANewcomerReadsThePastOnlyWhereTheCharterSaysSo(t *testing.T) {
	for history, want := range map[bool][]uint32{true: {1, 2}, false: {3}} {
		h := newOwnersWorld(t)
		everybody := h.creates(Spec{Title: "Everybody", Readers: []string{"all"}})
		few := h.creates(Spec{Title: "Few", Readers: []string{"mallory"}})
		everybody, _, err := h.rotates(everybody.ID)
		nodetest.Must(t, err)
		if !history {
			h.withoutHistory()
		}
		if minted := h.looksAfter(); len(minted) != 0 {
			t.Errorf("without a newcomer %v are minted", minted)
		}
		delta := nodetest.NewOrg(t, "delta")
		h.Admits(delta)
		minted := h.looksAfter()
		if kind := map[bool]wire.Kind{true: wire.KindKeyring, false: wire.KindCollection}[history]; !slices.Equal(minted, []wire.Kind{kind}) {
			t.Errorf("with history %v: %v are minted", history, minted)
		}
		h.has(delta, everybody, want...)
		h.has(delta, few)
		// Its identity changed, it gets what it had, and the next.
		h.Rotates(delta, worldtest.Changes{Identity: true})
		h.looksAfter()
		fresh := *delta
		fresh.Identity = delta.Identity
		if got := h.EpochsOf(&fresh, everybody.ID); !slices.Equal(got, append(slices.Clone(want), want[len(want)-1]+1)) {
			t.Errorf("with another identity it has %v", got)
		}
	}
}

// Whoever reads what every member reads and has no keys yet, when an epoch begins, gets all at once by a keyring.
func TestANewcomerDoesNotGetTheNextKeyAloneWhereItMayReadAll(t *testing.T) {
	h := newOwnersWorld(t)
	c := h.creates(Spec{Title: "Everybody", Readers: []string{"all"}})
	delta := nodetest.NewOrg(t, "delta")
	h.Admits(delta)
	c, _, err := h.rotates(c.ID)
	nodetest.Must(t, err)
	h.has(delta, c)
	h.has(h.Mallory, c, 1, 2)
	if minted := h.looksAfter(); !slices.Equal(minted, []wire.Kind{wire.KindKeyring}) {
		t.Errorf("%v are minted", minted)
	}
	h.has(delta, c, 1, 2)
}

// arrives lets the content of a record arrive after all.
func arrives(w *worldtest.World, e consortium.Event, d unixfs.Directory) {
	w.T.Helper()
	files, err := d.Files()
	nodetest.Must(w.T, err)
	metadata, err := wire.ParseMetadata(files[0].Data)
	nodetest.Must(w.T, err)
	w.State.Change(func(s *consortium.State) { nodetest.Must(w.T, s.Attach(e.TxID, metadata, files[1].Data)) })
}

// A reader that was named while its record had not arrived gets the key when it has: the present one.
func TestAReaderWhoseRecordComesLateGetsThePresentKey(t *testing.T) {
	h := newOwnersWorld(t)
	next := nodetest.NewOrg(t, "mallory")
	draft, err := consortium.DraftRotation(h.ID, h.Mallory.Address(), next.Document, nil, state.Now())
	nodetest.Must(t, err)
	e := h.Mint(h.Founder, draft)
	root, err := cid.Decode(e.Directory)
	nodetest.Must(t, err)
	late := h.Blocks.Dirs[root]
	delete(h.Blocks.Dirs, root)
	h.Takes(e)
	p := h.Named("Ring", "")
	p.Readers = wire.Accounts{Named: []string{next.Address()}}
	id := uuid.NewString()
	nodetest.Must(t, h.owner.Found(t.Context(), id, p))
	if minted := h.looksAfter(); len(minted) != 1 {
		t.Errorf("before it is there %v are minted", minted)
	}
	c, _, err := h.rotates(id)
	nodetest.Must(t, err)
	h.has(next, c)
	arrives(h.World, e, late)
	if minted := h.looksAfter(); !slices.Equal(minted, []wire.Kind{wire.KindKeyring}) {
		t.Errorf("when it is there %v are minted", minted)
	}
	h.has(next, c, 2)
}

// Without the charter it is not known what newcomers may read: nobody is given anything.
func TestNoKeysAreGivenBeforeTheCharterIsKnown(t *testing.T) {
	self, delta := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "delta")
	w := worldtest.NewWorld(t, self)
	events := w.Found(self)
	charter, err := cid.Decode(events[0].Directory)
	nodetest.Must(t, err)
	late := w.Blocks.Dirs[charter]
	delete(w.Blocks.Dirs, charter)
	w.Open()
	draft, err := consortium.DraftMember(w.ID, delta.Document, state.Now())
	nodetest.Must(t, err)
	nodetest.Must(t, w.Deliver(append(events, w.Mint(self, draft))...))
	w.Drain()
	o := ownerIn(w)
	stored := func() int {
		t.Helper()
		nodetest.Must(t, o.lookAfter(t.Context()))
		items, err := w.R.Outbox.Queue(outbox.Stored, 0, 10)
		nodetest.Must(t, err)
		return len(items)
	}
	if n := stored(); n != 0 {
		t.Errorf("%d records are made", n)
	}
	arrives(w, events[0], late)
	if n := stored(); n != 1 {
		t.Errorf("with the charter %d records are made, want the keys", n)
	}
}

// Members who are not members any more, or of whom no keys are known, are given none; the owner's own node gives none
// while it is no member.
func TestKeysGoToMembersWithKeysAlone(t *testing.T) {
	h := newOwnersWorld(t)
	h.creates(Spec{Title: "Everybody", Readers: []string{"all"}})
	unknown := nodetest.NewOrg(t, "unknown")
	draft, err := consortium.DraftMember(h.ID, unknown.Document, state.Now())
	nodetest.Must(t, err)
	e := h.Mint(h.Founder, draft)
	clear(h.Blocks.Dirs)
	h.Takes(e)
	if minted := h.looksAfter(); len(minted) != 0 {
		t.Errorf("without its record %v are minted", minted)
	}
	h.Removes(h.Self)
	h.Admits(nodetest.NewOrg(t, "delta"))
	if minted := h.looksAfter(); len(minted) != 0 {
		t.Errorf("by a former member %v are minted", minted)
	}
}

// Whoever has a key and should not is said, until it has ended.
func TestWhoHasAKeyAndShouldNotIsSaid(t *testing.T) {
	h, ring := newOwningWorld(t)
	list := func() map[string]ExposedKey {
		t.Helper()
		all, err := h.owner.ExposedKeys()
		nodetest.Must(t, err)
		by := map[string]ExposedKey{}
		for _, e := range all {
			by[e.Title] = e
		}
		return by
	}
	told := map[string]ExposedKey{}
	nodetest.Must(t, h.owner.tellExposed(told))
	if len(list())+len(told) != 0 {
		t.Errorf("without a reason %v", list())
	}
	h.Rotates(h.Founder, worldtest.Changes{Identity: true})
	since := h.Round
	h.Removes(h.Mallory)
	own := list()["Ring"]
	want := fmt.Sprintf(`a removed member still has the key of "Ring": mallory; a former identity still opens the key of "Ring": that of founder, since round %d; its owner self gives it another key`, since)
	if !own.Own || own.Owner != "self" || own.Collection != ring().ID || own.Since != since || own.Detail() != want {
		t.Errorf("said is %+v: %s", own, own.Detail())
	}
	// Of the founder's collection it is said as well, since self publishes there; not of what it only reads.
	if founders := list()["Default"]; founders.Own || founders.Owner != "founder" || !slices.Equal(founders.Removed, []string{"mallory"}) {
		t.Errorf("of the founder's collection is said %+v", founders)
	}
	nodetest.Must(t, h.owner.tellExposed(told))
	if len(told) != 2 {
		t.Errorf("the log is told of %d collections", len(told))
	}
	h.looksAfter()
	nodetest.Must(t, h.owner.tellExposed(told))
	if _, said := list()["Ring"]; said || len(told) != 1 {
		t.Errorf("with another key it is said: %v; the log was told %v", list(), told)
	}
}

// An account that nobody is called like is named as it is.
func TestTheLogTellsOfAKeyOnceAndThatItHasEnded(t *testing.T) {
	h, _ := newOwningWorld(t)
	var log strings.Builder
	h.owner.Log = nodetest.LogTo(&log)
	told := map[string]ExposedKey{}
	h.Removes(h.Mallory)
	for range 3 {
		nodetest.Must(t, h.owner.tellExposed(told))
	}
	h.looksAfter()
	h.Takes(h.CollectionOf(h.Founder, h.Collection, 2, h.Everybody(""), h.Self))
	for range 3 {
		nodetest.Must(t, h.owner.tellExposed(told))
	}
	said := strings.Count(log.String(), "a removed member still has the key of a collection")
	ended := strings.Count(log.String(), "a collection has another key, that no removed member has")
	if said != 2 || ended != 2 {
		t.Errorf("it is said %d times that somebody has a key, and %d times that it has ended:\n%s", said, ended, log.String())
	}
}

// Run looks after collections at every change of the state, until its context ends; WatchKeys tells of their keys.
func TestCollectionsAreLookedAfterAsLongAsTheNodeRuns(t *testing.T) {
	h, ring := newOwningWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- h.owner.Run(ctx) }()
	go func() { ended <- h.owner.WatchKeys(ctx) }()
	for ring().Epoch == 1 {
		stored := h.outbox.Stored.Changed()
		if c := ring(); c.MayRead(h.Mallory.Address()) {
			if m, _ := h.State.Member(h.Mallory.Address()); m.Removed == nil {
				h.Removes(h.Mallory)
			}
		}
		if len(h.Records()) == 0 {
			<-stored
		}
	}
	stop()
	nodetest.Must(t, errors.Join(<-ended, <-ended))
	h.has(h.Mallory, ring(), 1)
	h.has(h.Founder, ring(), 1, 2)
}
