package node

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
)

// collectionOf mints a collection record with whatever properties its owner cares to write, which a node of ours would not.
func (h *hostileWorld) collectionOf(owner *org, id string, epoch uint32, properties wire.Collection, readers ...*org) consortium.Event {
	h.t.Helper()
	of := id + "/" + strconv.FormatUint(uint64(epoch), 10)
	if h.keys[of] == nil {
		key, err := seal.NewEpochKey()
		must(h.t, err)
		h.keys[of] = key
	}
	key := h.keys[of]
	plaintext, err := json.Marshal(properties)
	must(h.t, err)
	sealed, err := key.Seal(plaintext)
	must(h.t, err)
	keyring, err := wire.Keyring{Collection: id, Epochs: []wire.KeyringEpoch{{Epoch: epoch, Secret: key.Secret()}}}.Encode()
	must(h.t, err)
	recipients := []string{owner.identity.Recipient()}
	for _, reader := range readers {
		recipients = append(recipients, reader.identity.Recipient())
	}
	forReaders, err := seal.SealTo(recipients, keyring)
	must(h.t, err)
	payload, err := wire.CollectionRecord{Collection: id, Keyrings: [][]byte{forReaders}, Sealed: sealed}.Encode()
	must(h.t, err)
	metadata := wire.NewMetadata(wire.Properties{
		Kind: wire.KindCollection, Consortium: h.id, Collection: id, Epoch: epoch, StoredAt: wire.FormatTime(time.Now()),
	}, payload)
	encoded, err := metadata.Encode()
	must(h.t, err)
	return h.mint(owner, consortium.Draft{
		Note: wire.Note{Kind: wire.KindCollection, Collection: id}, Metadata: encoded, Payload: payload, PayloadName: metadata.Properties.Path,
	})
}

// hostileWorld is the world of a member, self, whose founder and fellow member write what they like.
type hostileWorld struct {
	*world
	founder, mallory *org
	keys             map[string]*seal.EpochKey // by collection and epoch
	recorded         uint64                    // the last item of the outbox that was put on the chain
	own              string                    // a collection of self's that nobody else reads; sorted last
}

func newHostileWorld(t *testing.T) *hostileWorld {
	self, founder, mallory := newOrg(t, "self"), newOrg(t, "founder"), newOrg(t, "mallory")
	h := &hostileWorld{world: newWorld(t, self), founder: founder, mallory: mallory, keys: map[string]*seal.EpochKey{}, own: "ffffffff" + uuid.NewString()[8:]}
	events := h.found(founder, self, mallory)
	h.open()
	h.takes(events...)
	h.takes(h.collectionOf(self, h.own, 1, h.named("Own", "notes")))
	return h
}

func (h *hostileWorld) takes(events ...consortium.Event) {
	h.t.Helper()
	must(h.t, h.deliver(events...))
	h.drain()
}

func (h *hostileWorld) named(title, alias string) wire.Collection {
	return wire.Collection{Title: title, Alias: alias, DefaultLevel: "green", Metadata: wire.MetadataOpen}
}

// everybody is a collection that all members read and write, under an alias.
func (h *hostileWorld) everybody(alias string) wire.Collection {
	p, all := h.named("For everybody", alias), wire.Accounts{Members: true}
	p.Readers, p.Contributors = all, all
	return p
}

// changes is what a change of keys changes.
type changes struct{ account, peer, identity bool }

// rotates mints the rotation of a member by itself.
func (h *hostileWorld) rotates(o *org, k changes) {
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

// records puts the records that wait on the chain, and gives their kinds.
func (h *hostileWorld) records() (kinds []wire.Kind) {
	h.t.Helper()
	items, err := h.r.Outbox.Queue(repo.Stored, h.recorded, 100)
	must(h.t, err)
	for _, item := range items {
		h.recorded = item.Number
		kinds = append(kinds, item.Note.Kind)
		root, err := cid.Decode(item.Directory)
		must(h.t, err)
		h.takes(h.mintDirectory(h.self, item.Note, root, item.MetadataHash))
	}
	return kinds
}
