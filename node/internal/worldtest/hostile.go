package worldtest

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
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

// CollectionOf mints a collection record with whatever properties its owner cares to write, which a node of ours would
// not.
func (h *HostileWorld) CollectionOf(owner *nodetest.Org, id string, epoch uint32, properties wire.Collection, readers ...*nodetest.Org) consortium.Event {
	h.T.Helper()
	of := id + "/" + strconv.FormatUint(uint64(epoch), 10)
	if h.Keys[of] == nil {
		key, err := seal.NewEpochKey()
		nodetest.Must(h.T, err)
		h.Keys[of] = key
	}
	key := h.Keys[of]
	plaintext, err := json.Marshal(properties)
	nodetest.Must(h.T, err)
	sealed, err := key.Seal(plaintext)
	nodetest.Must(h.T, err)
	keyring, err := wire.Keyring{Collection: id, Epochs: []wire.KeyringEpoch{{Epoch: epoch, Secret: key.Secret()}}}.Encode()
	nodetest.Must(h.T, err)
	recipients := []string{owner.Identity.Recipient()}
	for _, reader := range readers {
		recipients = append(recipients, reader.Identity.Recipient())
	}
	forReaders, err := seal.SealTo(recipients, keyring)
	nodetest.Must(h.T, err)
	commitment := key.Commitment(id, epoch)
	payload, err := wire.CollectionRecord{Collection: id, Key: commitment[:], Keyrings: [][]byte{forReaders}, Sealed: sealed}.Encode()
	nodetest.Must(h.T, err)
	metadata := wire.NewMetadata(wire.Properties{
		Kind: wire.KindCollection, Consortium: h.ID, Publisher: owner.Address(), Collection: id, Epoch: epoch, StoredAt: wire.FormatTime(time.Now()),
	}, payload)
	encoded, err := metadata.Encode()
	nodetest.Must(h.T, err)
	return h.Mint(owner, consortium.Draft{
		Note: wire.Note{Kind: wire.KindCollection, Collection: id}, Metadata: encoded, Payload: payload, PayloadName: metadata.Properties.Path,
	})
}

// HostileWorld is the world of a member, self, whose founder and fellow member write what they like.
type HostileWorld struct {
	*World
	Founder, Mallory *nodetest.Org
	Keys             map[string]*seal.EpochKey // by collection and epoch
	Recorded         uint64                    // the last item of the outbox that was put on the chain
	Own              string                    // a collection of self's that nobody else reads; sorted last
}

func NewHostileWorld(t testing.TB) *HostileWorld { return newHostileWorld(t, NewWorld) }

// NewStoredHostileWorld is one for a node whose repository is in a folder.
func NewStoredHostileWorld(t *testing.T) *HostileWorld { return newHostileWorld(t, NewStoredWorld) }

func newHostileWorld(t testing.TB, newWorld func(testing.TB, *nodetest.Org) *World) *HostileWorld {
	self, founder, mallory := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "founder"), nodetest.NewOrg(t, "mallory")
	h := &HostileWorld{World: newWorld(t, self), Founder: founder, Mallory: mallory, Keys: map[string]*seal.EpochKey{}, Own: "ffffffff" + uuid.NewString()[8:]}
	events := h.Found(founder, self, mallory)
	h.Open()
	h.Takes(events...)
	h.Takes(h.CollectionOf(self, h.Own, 1, h.Named("Own", "notes")))
	return h
}

func (h *HostileWorld) Takes(events ...consortium.Event) {
	h.T.Helper()
	nodetest.Must(h.T, h.Deliver(events...))
	h.Drain()
}

func (h *HostileWorld) Named(title, alias string) wire.Collection {
	return wire.Collection{Title: title, Alias: alias, DefaultLevel: "green", Metadata: wire.MetadataOpen}
}

// Everybody is a collection that all members read and write, under an alias.
func (h *HostileWorld) Everybody(alias string) wire.Collection {
	p, all := h.Named("For everybody", alias), wire.Accounts{Members: true}
	p.Readers, p.Contributors = all, all
	return p
}

// Changes is what a change of keys changes.
type Changes struct{ Account, Peer, Identity bool }

// Rotates mints the rotation of a member by itself.
func (h *HostileWorld) Rotates(o *nodetest.Org, k Changes) {
	h.T.Helper()
	next := nodetest.NewOrg(h.T, o.Document.Organisation)
	now := *o
	peerKey, _, err := p2pcrypto.GenerateEd25519Key(rand.Reader)
	nodetest.Must(h.T, err)
	id, err := peer.IDFromPrivateKey(peerKey)
	nodetest.Must(h.T, err)
	now.Document.Peer = id.String()
	if k.Account {
		now.Account, now.Document.Account, now.Sequence = next.Account, next.Address(), 0
	}
	if k.Identity {
		now.Identity, now.Document.Recipient = next.Identity.With(o.Identity), next.Identity.Recipient()
	}
	now.Document, err = now.Document.Sign(now.Account.PrivateKey, peerKey)
	nodetest.Must(h.T, err)
	draft, err := consortium.DraftRotation(h.ID, o.Address(), now.Document, now.Account.PrivateKey, time.Now())
	nodetest.Must(h.T, err)
	h.Takes(h.Mint(o, draft))
	*o = now
}

func (h *HostileWorld) Removes(o *nodetest.Org) {
	h.T.Helper()
	draft, err := consortium.DraftRemoval(h.ID, o.Address(), time.Now())
	nodetest.Must(h.T, err)
	h.Takes(h.Mint(h.Founder, draft))
}

func (h *HostileWorld) Admits(o *nodetest.Org) {
	h.T.Helper()
	draft, err := consortium.DraftMember(h.ID, o.Document, time.Now())
	nodetest.Must(h.T, err)
	h.Takes(h.Mint(h.Founder, draft))
}

// Pass lets rounds pass.
func (h *HostileWorld) Pass(rounds uint64) {
	h.T.Helper()
	h.Round += rounds
	nodetest.Must(h.T, h.Replicator.Deliver(h.T.Context(), h.Round, nil))
}

// Records puts the records that wait on the chain, and gives their kinds.
func (h *HostileWorld) Records() (kinds []wire.Kind) {
	h.T.Helper()
	items, err := h.R.Outbox.Queue(outbox.Stored, h.Recorded, 100)
	nodetest.Must(h.T, err)
	for _, item := range items {
		h.Recorded = item.Number
		kinds = append(kinds, item.Note.Kind)
		root, err := cid.Decode(item.Directory)
		nodetest.Must(h.T, err)
		h.Takes(h.MintDirectory(h.Self, item.Note, root, item.MetadataHash))
	}
	return kinds
}

var PublisherRole = taxii.Principal{User: "u", Role: taxii.RolePublisher}
