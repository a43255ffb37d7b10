package node

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
)

// looksAfter lets the owner do what it has to until there is nothing left, puts each record on the chain, and returns what
// kinds they were.
func (h *hostileWorld) looksAfter() (kinds []wire.Kind) {
	h.t.Helper()
	for {
		must(h.t, h.owner.lookAfter(h.t.Context()))
		items, err := h.r.Outbox.Queue(repo.Stored, h.recorded, 100)
		must(h.t, err)
		if len(items) == 0 {
			return kinds
		}
		for _, item := range items {
			h.recorded = item.Number
			kinds = append(kinds, item.Note.Kind)
			root, err := cid.Decode(item.Directory)
			must(h.t, err)
			h.takes(h.mintDirectory(h.self, item.Note, root, item.MetadataHash))
		}
		if len(kinds) > 50 {
			h.t.Fatalf("the owner never comes to rest: %v", kinds)
		}
	}
}

// keys is what a change of keys changes.
type keys struct{ account, peer, identity bool }

// rotates mints the rotation of a member by itself.
func (h *hostileWorld) rotates(o *org, k keys) {
	h.t.Helper()
	next := newOrg(h.t, o.document.Organisation)
	now := *o
	peerKey, _, err := p2pcrypto.GenerateEd25519Key(rand.Reader)
	must(h.t, err)
	id, err := peer.IDFromPrivateKey(peerKey)
	must(h.t, err)
	now.document.Peer = id.String()
	if k.account {
		now.account, now.document.Account, now.sequence = next.account, next.address(), 0
	}
	if k.identity {
		now.identity, now.document.Recipient = next.identity.With(o.identity), next.identity.Recipient()
	}
	now.document, err = now.document.Sign(now.account.PrivateKey, peerKey)
	must(h.t, err)
	draft, err := consortium.DraftRotation(h.id, o.address(), now.document, now.account.PrivateKey, time.Now())
	must(h.t, err)
	h.takes(h.mint(o, draft))
	*o = now
}

func (h *hostileWorld) removes(o *org) {
	h.t.Helper()
	draft, err := consortium.DraftRemoval(h.id, o.address(), time.Now())
	must(h.t, err)
	h.takes(h.mint(h.founder, draft))
}

func (h *hostileWorld) admits(o *org) {
	h.t.Helper()
	draft, err := consortium.DraftMember(h.id, o.document, time.Now())
	must(h.t, err)
	h.takes(h.mint(h.founder, draft))
}

// pass lets rounds pass.
func (h *hostileWorld) pass(rounds uint64) {
	h.t.Helper()
	h.round += rounds
	must(h.t, h.replicator.Deliver(h.t.Context(), h.round, nil))
}

// newOwningWorld is a hostile world in which self has a collection that mallory and the founder read.
func newOwningWorld(t *testing.T) (*hostileWorld, func() consortium.Collection) {
	h := newHostileWorld(t)
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

func TestAnOwnerPaysForNoChangeOfAKeyThatOpensNothing(t *testing.T) {
	h, ring := newOwningWorld(t)
	for _, k := range []keys{{peer: true}, {account: true}, {peer: true}, {account: true, peer: true}} {
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
	h.rotates(h.mallory, keys{peer: true, account: true})
	h.rotates(h.founder, keys{identity: true})
	h.looksAfter()
	h.rotates(h.mallory, keys{identity: true})
	if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != 3 {
		t.Errorf("it makes the owner mint %v, the epoch is %d", minted, ring().Epoch)
	}
}

func TestAMemberMakesAnOwnerPayForOneKeyADay(t *testing.T) {
	h, ring := newOwningWorld(t)
	h.rotates(h.mallory, keys{identity: true})
	if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != 2 {
		t.Errorf("the first change of identity makes the owner mint %v, want the next epoch and the keys for the reader", minted)
	}
	began := ring().Began.Round
	for range 5 {
		h.rotates(h.mallory, keys{account: true, identity: true, peer: true})
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
	h.rotates(h.founder, keys{identity: true})
	if minted := h.looksAfter(); len(minted) != 2 || ring().Epoch != 4 {
		t.Errorf("another member's first change makes the owner mint %v", minted)
	}
	h.rotates(h.mallory, keys{identity: true})
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
	h.rotates(h.founder, keys{identity: true})
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
	h := newHostileWorld(t)
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
