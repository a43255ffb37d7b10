package collections

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
)

func TestAnOwnerPaysForNoChangeOfAKeyThatOpensNothing(t *testing.T) {
	h, ring := newOwningWorld(t)
	for _, k := range []worldtest.Changes{{Peer: true}, {Account: true}, {Peer: true}, {Account: true, Peer: true}} {
		h.Rotates(h.Mallory, k)
		if minted := h.looksAfter(); len(minted) != 0 {
			t.Errorf("a rotation of %+v makes the owner mint %v", k, minted)
		}
	}
	if c := ring(); c.Epoch != 1 || !c.MayRead(h.Mallory.Address()) {
		t.Errorf("the collection is %+v", c)
	}
}

func TestAChangeOfIdentityDoesNotWaitBecauseOfOneOfOtherKeys(t *testing.T) {
	h, ring := newOwningWorld(t)
	h.Rotates(h.Mallory, worldtest.Changes{Peer: true, Account: true})
	h.Rotates(h.Founder, worldtest.Changes{Identity: true})
	h.looksAfter()
	h.Rotates(h.Mallory, worldtest.Changes{Identity: true})
	if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != 3 {
		t.Errorf("it makes the owner mint %v, the epoch is %d", minted, ring().Epoch)
	}
}

func TestAMemberMakesAnOwnerPayForOneKeyADay(t *testing.T) {
	h, ring := newOwningWorld(t)
	h.Rotates(h.Mallory, worldtest.Changes{Identity: true})
	if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != 2 {
		t.Errorf("the first change of identity makes the owner mint %v, want the next epoch and the keys for the reader", minted)
	}
	began := ring().Began.Round
	for range 5 {
		h.Rotates(h.Mallory, worldtest.Changes{Account: true, Identity: true, Peer: true})
		h.Pass(100)
		if minted := h.looksAfter(); len(minted) != 0 {
			t.Fatalf("another one makes it mint %v", minted)
		}
	}
	h.Pass(began + rekeyEvery - h.Round - 1)
	if minted := h.looksAfter(); len(minted) != 0 {
		t.Errorf("before its time it mints %v", minted)
	}
	h.Pass(1)
	if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != 3 {
		t.Errorf("all of them together make it mint %v, want the next epoch and the keys for the reader", minted)
	}
	// Nobody else waits for that: neither another member's change, nor a removal.
	h.Rotates(h.Founder, worldtest.Changes{Identity: true})
	if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != 4 {
		t.Errorf("another member's first change makes the owner mint %v", minted)
	}
	h.Rotates(h.Mallory, worldtest.Changes{Identity: true})
	h.looksAfter()
	if ring().Epoch != 4 {
		t.Error("a member's changes are not limited after another's")
	}
	h.Removes(h.Mallory)
	if minted := h.looksAfter(); len(minted) != 1 || ring().Epoch != 5 || ring().MayRead(h.Mallory.Address()) {
		t.Errorf("the removal makes the owner mint %v", minted)
	}
}

func TestTheGovernorsReplacementOfAMembersIdentityIsActedUponAtOnce(t *testing.T) {
	h, ring := newOwningWorld(t)
	for epoch := uint32(2); epoch < 5; epoch++ {
		next := nodetest.NewOrg(t, "mallory")
		draft, err := consortium.DraftRotation(h.ID, h.Mallory.Address(), next.Document, nil, time.Now())
		nodetest.Must(t, err)
		h.Takes(h.Mint(h.Founder, draft))
		*h.Mallory = *next
		if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != epoch {
			t.Errorf("it makes the owner mint %v, the epoch is %d", minted, ring().Epoch)
		}
	}
}

func TestWhoIsAdmittedAgainWithTheSameKeysCostsNoEpoch(t *testing.T) {
	h, ring := newOwningWorld(t)
	h.Removes(h.Mallory)
	h.Admits(h.Mallory)
	if minted := h.looksAfter(); len(minted) != 0 || ring().Epoch != 1 {
		t.Errorf("it makes the owner mint %v", minted)
	}
}

// The record that begins an epoch is on the chain only after it was made: who was removed in between has its key.
func TestWhoWasRemovedWhileANewKeyWasOnItsWayIsShutOutOfThatToo(t *testing.T) {
	h, ring := newOwningWorld(t)
	h.Rotates(h.Founder, worldtest.Changes{Identity: true})
	nodetest.Must(t, h.owner.lookAfter(t.Context())) // the epoch's record is made, with a keyring for mallory
	h.Removes(h.Mallory)
	if h.looksAfter(); ring().Epoch != 3 || ring().MayRead(h.Mallory.Address()) {
		t.Errorf("the collection is %+v: mallory was given the key of epoch 2", ring())
	}
	if minted := h.looksAfter(); len(minted) != 0 {
		t.Errorf("for nothing it mints %v", minted)
	}
}

// Its node may be the only one that has the record, and is asked for it.
func TestAMemberThatKeepsItsPeerIDIsServedBeforeItsRecordHasArrived(t *testing.T) {
	h := newOwnersWorld(t)
	id, err := peer.Decode(h.Mallory.Document.Peer)
	nodetest.Must(t, err)
	other, err := peer.Decode(h.Founder.Document.Peer)
	nodetest.Must(t, err)
	rotates := func(digest string) {
		t.Helper()
		draft, err := consortium.DraftRotation(h.ID, h.Mallory.Address(), h.Mallory.Document, nil, time.Now())
		nodetest.Must(t, err)
		draft.Note.PeerDigest = digest
		draft = nodetest.By(t, h.Mallory.Address(), draft)
		dir, err := publish.DirectoryOf(draft)
		nodetest.Must(t, err)
		hash := wire.MetadataHash(draft.Metadata) // its blocks are nowhere
		nodetest.Must(t, h.Deliver(h.MintDirectory(h.Mallory, draft.Note, dir.Root(), hash[:])))
	}
	if rotates(wire.PeerDigest(h.Mallory.Document.Peer)); !h.State.IsMember(id) {
		t.Error("its peer is no member's any more")
	}
	if rotates(wire.PeerDigest("another")); h.State.IsMember(id) {
		t.Error("a peer id that it gives up is a member's still")
	}
	h.Removes(h.Founder)
	if rotates(wire.PeerDigest(h.Founder.Document.Peer)); h.State.IsMember(other) {
		t.Error("it makes a removed member's peer a member's again")
	}
}

// ownersWorld is a hostile world in which self looks after its collections.
type ownersWorld struct {
	*worldtest.HostileWorld
	owner  *Owner
	outbox *publish.Outbox
}

func newOwnersWorld(t *testing.T) *ownersWorld {
	h := worldtest.NewHostileWorld(t)
	outbox := publish.NewOutbox(h.R.Outbox)
	return &ownersWorld{h, ownerOf(h.World, outbox), outbox}
}

// carriesOut puts on the chain what an order waits for, and gives what was minted for it.
func (h *ownersWorld) carriesOut(order func(context.Context) (consortium.Collection, error)) (c consortium.Collection, minted []wire.Kind, err error) {
	h.T.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err = order(h.T.Context())
	}()
	for {
		stored := h.outbox.Stored.Changed()
		minted = append(minted, h.Records()...)
		select {
		case <-done:
			return c, minted, err
		case <-stored:
		}
	}
}

// looksAfter lets the owner do what is to be done and puts it on the chain, until nothing is left, and gives what was
// minted.
func (h *ownersWorld) looksAfter() (kinds []wire.Kind) {
	h.T.Helper()
	for {
		nodetest.Must(h.T, h.owner.lookAfter(h.T.Context()))
		minted := h.Records()
		if len(minted) == 0 {
			return kinds
		}
		if kinds = append(kinds, minted...); len(kinds) > 50 {
			h.T.Fatalf("the owner never comes to rest: %v", kinds)
		}
	}
}

// newOwningWorld is a hostile world in which self has a collection that mallory and the founder read.
func newOwningWorld(t *testing.T) (*ownersWorld, func() consortium.Collection) {
	h := newOwnersWorld(t)
	id := uuid.NewString()
	p := h.Named("Ring", "ring")
	p.Readers = wire.Accounts{Named: []string{h.Founder.Address(), h.Mallory.Address()}}
	h.owner.begins()
	_, err := h.owner.begin(t.Context(), id, p)
	nodetest.Must(t, err)
	h.looksAfter()
	ring := func() consortium.Collection {
		t.Helper()
		c, found := h.State.Collection(id)
		if !found {
			t.Fatal("the collection is not known")
		}
		return c
	}
	if c := ring(); c.Epoch != 1 || c.Revision != 1 {
		t.Fatalf("the collection is %+v", c)
	}
	return h, ring
}

func TestACollectionWhoseIdIsTakenIsMadeAgain(t *testing.T) {
	h := newOwnersWorld(t)
	stolen := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for after := uint64(0); ; {
			items, err := h.R.Outbox.Queue(outbox.Stored, after, 10)
			if err != nil || t.Context().Err() != nil {
				return
			}
			for _, item := range items {
				after = item.Number
				if stolen++; stolen <= 2 {
					h.Takes(h.CollectionOf(h.Mallory, item.Collection, 1, h.Everybody(""), h.Self))
					continue
				}
				root, err := cid.Decode(item.Directory)
				if err != nil {
					return
				}
				h.Takes(h.MintDirectory(h.Self, item.Note, root, item.MetadataHash))
				return
			}
		}
	}()
	c, err := h.owner.Create(t.Context(), Spec{Title: "Ours"})
	<-done
	if err != nil || c.Owner != h.Self.Address() || stolen != 3 {
		t.Errorf("after %d records it is %+v (%v)", stolen, c, err)
	}
}

func TestTheFoundersAliasDoesNotKeepAMemberFromChangingItsCollection(t *testing.T) {
	h := newOwnersWorld(t)
	h.Takes(h.CollectionOf(h.Founder, h.Collection, 2, h.Everybody("notes"), h.Self, h.Mallory))
	c, err := h.owner.find(h.Own)
	nodetest.Must(t, err)
	if err := h.owner.check(c, c.Properties); err != nil {
		t.Errorf("a change that leaves the alias is refused: %v", err)
	}
	renamed := c.Properties
	for alias, want := range map[string]bool{"other": true, "notes": true, state.EverythingAlias: false, state.OthersAlias: false, h.Own: false} {
		renamed.Alias = alias
		if err := h.owner.check(c, renamed); (err == nil) != want {
			t.Errorf("the alias %q: %v", alias, err)
		}
	}
	renamed.Alias = "notes"
	if err := h.owner.check(consortium.Collection{}, renamed); err == nil {
		t.Error("a second collection gets the alias of the first")
	}
}

// A contributor's own definition says what its object's marking means; what is granted to new readers goes by that.
func TestTheOwnerDisclosesOnlyWhatItsPublishersMarkingsAllow(t *testing.T) {
	for says, want := range map[string]bool{"statement": true, "tlp green": true, "tlp amber": false, "": false} {
		h := newOwnersWorld(t)
		c := consortium.Collection{ID: h.Collection, Owner: h.Self.Address(), Properties: h.Named("Ring", "ring")}
		if says != "" {
			h.EnterBy(h.Mallory.Address(), worldtest.DefinitionOf(says))
		}
		h.EnterBy(h.Founder.Address(), strings.Replace(worldtest.Definition("statement", "(c)"), "2026-01-02", "2026-02-02", 1))
		h.EnterBy(h.Mallory.Address(), worldtest.MarkedIndicator(1))
		if err := h.owner.mayDisclose(c, h.Everybody("ring")); (err == nil) != want {
			t.Errorf("its publisher says %q: %v", says, err)
		}
	}
}
