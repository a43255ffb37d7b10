package node

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
)

func TestAnOwnerPaysForNoChangeOfAKeyThatOpensNothing(t *testing.T) {
	h, ring := newOwningWorld(t)
	for _, k := range []changes{{peer: true}, {account: true}, {peer: true}, {account: true, peer: true}} {
		h.rotates(h.mallory, k)
		if minted := h.looksAfter(); len(minted) != 0 {
			t.Errorf("a rotation of %+v makes the owner mint %v", k, minted)
		}
	}
	if c := ring(); c.Epoch != 1 || !c.MayRead(h.mallory.address()) {
		t.Errorf("the collection is %+v", c)
	}
}

func TestAChangeOfIdentityDoesNotWaitBecauseOfOneOfOtherKeys(t *testing.T) {
	h, ring := newOwningWorld(t)
	h.rotates(h.mallory, changes{peer: true, account: true})
	h.rotates(h.founder, changes{identity: true})
	h.looksAfter()
	h.rotates(h.mallory, changes{identity: true})
	if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != 3 {
		t.Errorf("it makes the owner mint %v, the epoch is %d", minted, ring().Epoch)
	}
}

func TestAMemberMakesAnOwnerPayForOneKeyADay(t *testing.T) {
	h, ring := newOwningWorld(t)
	h.rotates(h.mallory, changes{identity: true})
	if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != 2 {
		t.Errorf("the first change of identity makes the owner mint %v, want the next epoch and the keys for the reader", minted)
	}
	began := ring().Began.Round
	for range 5 {
		h.rotates(h.mallory, changes{account: true, identity: true, peer: true})
		h.pass(100)
		if minted := h.looksAfter(); len(minted) != 0 {
			t.Fatalf("another one makes it mint %v", minted)
		}
	}
	h.pass(began + rekeyEvery - h.round - 1)
	if minted := h.looksAfter(); len(minted) != 0 {
		t.Errorf("before its time it mints %v", minted)
	}
	h.pass(1)
	if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != 3 {
		t.Errorf("all of them together make it mint %v, want the next epoch and the keys for the reader", minted)
	}
	// Nobody else waits for that: neither another member's change, nor a removal.
	h.rotates(h.founder, changes{identity: true})
	if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != 4 {
		t.Errorf("another member's first change makes the owner mint %v", minted)
	}
	h.rotates(h.mallory, changes{identity: true})
	h.looksAfter()
	if ring().Epoch != 4 {
		t.Error("a member's changes are not limited after another's")
	}
	h.removes(h.mallory)
	if minted := h.looksAfter(); len(minted) != 1 || ring().Epoch != 5 || ring().MayRead(h.mallory.address()) {
		t.Errorf("the removal makes the owner mint %v", minted)
	}
}

func TestTheGovernorsReplacementOfAMembersIdentityIsActedUponAtOnce(t *testing.T) {
	h, ring := newOwningWorld(t)
	for epoch := uint32(2); epoch < 5; epoch++ {
		next := newOrg(t, "mallory")
		draft, err := consortium.DraftRotation(h.id, h.mallory.address(), next.document, nil, time.Now())
		must(t, err)
		h.takes(h.mint(h.founder, draft))
		*h.mallory = *next
		if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != epoch {
			t.Errorf("it makes the owner mint %v, the epoch is %d", minted, ring().Epoch)
		}
	}
}

func TestWhoIsAdmittedAgainWithTheSameKeysCostsNoEpoch(t *testing.T) {
	h, ring := newOwningWorld(t)
	h.removes(h.mallory)
	h.admits(h.mallory)
	if minted := h.looksAfter(); len(minted) != 0 || ring().Epoch != 1 {
		t.Errorf("it makes the owner mint %v", minted)
	}
}

// The record that begins an epoch is on the chain only after it was made: who was removed in between has its key.
func TestWhoWasRemovedWhileANewKeyWasOnItsWayIsShutOutOfThatToo(t *testing.T) {
	h, ring := newOwningWorld(t)
	h.rotates(h.founder, changes{identity: true})
	must(t, h.owner.lookAfter(t.Context())) // the epoch's record is made, with a keyring for mallory
	h.removes(h.mallory)
	if h.looksAfter(); ring().Epoch != 3 || ring().MayRead(h.mallory.address()) {
		t.Errorf("the collection is %+v: mallory was given the key of epoch 2", ring())
	}
	if minted := h.looksAfter(); len(minted) != 0 {
		t.Errorf("for nothing it mints %v", minted)
	}
}

// Its node may be the only one that has the record, and is asked for it.
func TestAMemberThatKeepsItsPeerIDIsServedBeforeItsRecordHasArrived(t *testing.T) {
	h := newOwnersWorld(t)
	id, err := peer.Decode(h.mallory.document.Peer)
	must(t, err)
	other, err := peer.Decode(h.founder.document.Peer)
	must(t, err)
	rotates := func(digest string) {
		t.Helper()
		draft, err := consortium.DraftRotation(h.id, h.mallory.address(), h.mallory.document, nil, time.Now())
		must(t, err)
		draft.Note.PeerDigest = digest
		dir, err := directoryOf(draft)
		must(t, err)
		hash := wire.MetadataHash(draft.Metadata) // its blocks are nowhere
		must(t, h.deliver(h.mintDirectory(h.mallory, draft.Note, dir.Root(), hash[:])))
	}
	if rotates(wire.PeerDigest(h.mallory.document.Peer)); !h.fold.IsMember(id) {
		t.Error("its peer is no member's any more")
	}
	if rotates(wire.PeerDigest("another")); h.fold.IsMember(id) {
		t.Error("a peer id that it gives up is a member's still")
	}
	h.removes(h.founder)
	if rotates(wire.PeerDigest(h.founder.document.Peer)); h.fold.IsMember(other) {
		t.Error("it makes a removed member's peer a member's again")
	}
}

// ownersWorld is a hostile world in which self looks after its collections.
type ownersWorld struct {
	*hostileWorld
	owner *owner
}

func newOwnersWorld(t *testing.T) *ownersWorld {
	h := newHostileWorld(t)
	return &ownersWorld{h, ownerIn(h.world)}
}

// looksAfter lets the owner do what is to be done and puts it on the chain, until nothing is left, and gives what was minted.
func (h *ownersWorld) looksAfter() (kinds []wire.Kind) {
	h.t.Helper()
	for {
		must(h.t, h.owner.lookAfter(h.t.Context()))
		minted := h.records()
		if len(minted) == 0 {
			return kinds
		}
		if kinds = append(kinds, minted...); len(kinds) > 50 {
			h.t.Fatalf("the owner never comes to rest: %v", kinds)
		}
	}
}

// newOwningWorld is a hostile world in which self has a collection that mallory and the founder read.
func newOwningWorld(t *testing.T) (*ownersWorld, func() consortium.Collection) {
	h := newOwnersWorld(t)
	id := uuid.NewString()
	p := h.named("Ring", "ring")
	p.Readers = wire.Accounts{Named: []string{h.founder.address(), h.mallory.address()}}
	h.owner.begins()
	_, err := h.owner.begin(t.Context(), id, p)
	must(t, err)
	h.looksAfter()
	ring := func() consortium.Collection {
		t.Helper()
		c, found := h.fold.collection(id)
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
			items, err := h.r.Outbox.Queue(repo.Stored, after, 10)
			if err != nil || t.Context().Err() != nil {
				return
			}
			for _, item := range items {
				after = item.Number
				if stolen++; stolen <= 2 {
					h.takes(h.collectionOf(h.mallory, item.Collection, 1, h.everybody(""), h.self))
					continue
				}
				root, err := cid.Decode(item.Directory)
				if err != nil {
					return
				}
				h.takes(h.mintDirectory(h.self, item.Note, root, item.MetadataHash))
				return
			}
		}
	}()
	c, err := h.owner.create(t.Context(), CollectionSpec{Title: "Ours"})
	<-done
	if err != nil || c.Owner != h.self.address() || stolen != 3 {
		t.Errorf("after %d records it is %+v (%v)", stolen, c, err)
	}
}

func TestTheFoundersAliasDoesNotKeepAMemberFromChangingItsCollection(t *testing.T) {
	h := newOwnersWorld(t)
	h.takes(h.collectionOf(h.founder, h.collection, 2, h.everybody("notes"), h.self, h.mallory))
	c, err := h.owner.find(h.own)
	must(t, err)
	if err := h.owner.check(c, c.Properties); err != nil {
		t.Errorf("a change that leaves the alias is refused: %v", err)
	}
	renamed := c.Properties
	for alias, want := range map[string]bool{"other": true, "notes": true, everythingAlias: false, h.own: false} {
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
		c := consortium.Collection{ID: h.collection, Owner: h.self.address(), Properties: h.named("Ring", "ring")}
		if says != "" {
			h.enterBy(h.mallory.address(), definitionOf(says))
		}
		h.enterBy(h.founder.address(), strings.Replace(definition("statement", "(c)"), "2026-01-02", "2026-02-02", 1))
		h.enterBy(h.mallory.address(), markedIndicator(1))
		if err := h.owner.mayDisclose(c, h.everybody("ring")); (err == nil) != want {
			t.Errorf("its publisher says %q: %v", says, err)
		}
	}
}
