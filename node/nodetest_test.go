package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// memStore is a replicaStore in memory.
type memStore struct {
	mu       sync.Mutex
	dirs     map[cid.Cid]p2p.Directory
	failNext error // Forget fails once with it
	reading  func()
	peers    map[peer.ID]time.Time // Connected
	asked    int                   // how often Fetch was called
	silent   bool                  // Fetch waits until its context ends
	putFails error                 // Put fails with it
}

func newMemStore() *memStore { return &memStore{dirs: map[cid.Cid]p2p.Directory{}} }

func (m *memStore) Put(_ context.Context, ds []p2p.Directory) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.putFails != nil {
		return m.putFails
	}
	for _, d := range ds {
		m.dirs[d.Root()] = d
	}
	return nil
}

func (m *memStore) Has(_ context.Context, root cid.Cid) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, found := m.dirs[root]
	return found, nil
}

func (m *memStore) Read(_ context.Context, root cid.Cid) ([]p2p.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reading != nil {
		m.reading()
	}
	d, ok := m.dirs[root]
	if !ok {
		return nil, fmt.Errorf("%s: %w", root, p2p.ErrNotFound)
	}
	return d.Files()
}

func (m *memStore) Fetch(ctx context.Context, roots []cid.Cid) (f p2p.Fetched, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.silent {
		m.mu.Unlock()
		<-ctx.Done()
		m.mu.Lock()
		return p2p.Fetched{Missing: roots}, ctx.Err()
	}
	for _, r := range roots {
		if _, ok := m.dirs[r]; !ok {
			f.Missing = append(f.Missing, r)
		}
	}
	return f, nil
}

func (m *memStore) fetches() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

func (m *memStore) Forget(_ context.Context, roots []cid.Cid) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failNext; err != nil {
		m.failNext = nil
		return err
	}
	for _, r := range roots {
		delete(m.dirs, r)
	}
	return nil
}

func (m *memStore) Connected() map[peer.ID]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.peers)
}

func (m *memStore) connect(id peer.ID, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peers = map[peer.ID]time.Time{id: since}
}

// org is an organisation with its keys.
type org struct {
	account  crypto.Account
	identity *seal.Identity
	document wire.Member
	sequence uint64
}

func (o *org) address() string { return o.account.Address.String() }

func newOrg(t testing.TB, name string) *org {
	t.Helper()
	identity, err := seal.NewIdentity()
	must(t, err)
	peerKey, _, err := p2pcrypto.GenerateEd25519Key(rand.Reader)
	must(t, err)
	id, err := peer.IDFromPrivateKey(peerKey)
	must(t, err)
	o := &org{account: crypto.GenerateAccount(), identity: identity}
	o.document, err = wire.Member{Organisation: name, Title: strings.ToUpper(name), Account: o.address(), Peer: id.String(), Recipient: identity.Recipient()}.Sign(o.account.PrivateKey, peerKey)
	must(t, err)
	return o
}

// chain is one that exists only in the test, and the repository and the state of one node that follows it.
type chain struct {
	t          testing.TB
	r          *repo.Repo
	blocks     *memStore
	self       *org
	fold       *fold
	assets     uint64
	id         uint64
	charterTx  string
	collection string
	key        *seal.EpochKey
	round      uint64
	n          int
}

var discard = slog.New(slog.DiscardHandler)

func newChain(t testing.TB, self *org) *chain {
	t.Helper()
	dir := t.TempDir()
	config := repo.DefaultConfig()
	config.Organisation.Name = "self"
	_, err := repo.Init(dir, config, "")
	must(t, err)
	r, err := repo.Open(dir, nil)
	must(t, err)
	w := &chain{t: t, r: r, blocks: newMemStore(), self: self, assets: 1000, id: 1001, collection: uuid.NewString()}
	t.Cleanup(func() { must(t, w.r.Close()) })
	return w
}

// begin begins with the state of somebody who knows nothing but the charter.
func (w *chain) begin() repo.Consortium {
	w.fold = newFold(w.self.address(), consortium.New(w.id, w.charterTx, w.self.identity), nil)
	return repo.Consortium{ID: w.id, Charter: w.charterTx}
}

// mint puts a draft on the chain in a round of its own.
func (w *chain) mint(sender *org, d consortium.Draft) consortium.Event {
	w.t.Helper()
	dir, err := p2p.BuildDirectory(p2p.File{Name: wire.MetadataName, Data: d.Metadata}, p2p.File{Name: d.PayloadName, Data: d.Payload})
	must(w.t, err)
	must(w.t, w.blocks.Put(w.t.Context(), []p2p.Directory{dir}))
	hash := wire.MetadataHash(d.Metadata)
	return w.mintDirectory(sender, d.Note, dir.Root(), hash[:])
}

func (w *chain) mintDirectory(sender *org, note wire.Note, root cid.Cid, hash []byte) consortium.Event {
	w.assets++
	w.round++
	w.n++
	id := w.id
	if note.Kind == wire.KindCharter {
		id = 0
	} else {
		sender.sequence++
		note.Sequence = sender.sequence
	}
	return consortium.Event{Position: consortium.Position{Round: w.round}, Time: time.Now(), TxID: fmt.Sprintf("TX%d", w.n), Sender: sender.address(),
		Asset: w.assets, Consortium: id, Note: note, Directory: root.String(), MetadataHash: hash}
}

func (w *chain) destroy(sender *org, asset uint64) consortium.Event {
	w.round++
	w.n++
	sender.sequence++
	return consortium.Event{Position: consortium.Position{Round: w.round}, Time: time.Now(), TxID: fmt.Sprintf("TX%d", w.n), Sender: sender.address(),
		Asset: asset, Consortium: w.id, Note: wire.Note{Kind: wire.KindDestroy, Sequence: sender.sequence}}
}

// found gives the events of a founding: charter, the members, the default collection with keys for all members.
func (w *chain) found(members ...*org) []consortium.Event {
	w.t.Helper()
	founder := members[0]
	charter, err := consortium.DraftCharter(wire.Charter{Name: "Test", GenesisID: "t-v1", GenesisHash: bytes.Repeat([]byte{7}, 32), Network: wire.NetworkPrivate,
		Founder: founder.address(), DefaultCollection: w.collection, History: true}, time.Now())
	must(w.t, err)
	e := w.mint(founder, charter)
	w.id, w.charterTx = e.Asset, e.TxID
	events := []consortium.Event{e}
	var recipients []string
	for _, m := range members {
		d, err := consortium.DraftMember(w.id, m.document, time.Now())
		must(w.t, err)
		events = append(events, w.mint(founder, d))
		recipients = append(recipients, m.identity.Recipient())
	}
	w.key, err = seal.NewEpochKey()
	must(w.t, err)
	all := wire.Accounts{Members: true}
	d, err := consortium.DraftCollection(w.id, w.collection, 1, wire.Collection{Title: "Default", Readers: all, Contributors: all, DefaultLevel: "green", Metadata: wire.MetadataOpen},
		map[uint32]*seal.EpochKey{1: w.key}, recipients, time.Now())
	must(w.t, err)
	return append(events, w.mint(founder, d))
}

func indicatorJSON(n int) string {
	return fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":"indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-02T03:04:05.678Z",`+
		`"modified":"2026-01-02T03:04:05.678Z","name":"Indicator %d","pattern":"[file:hashes.MD5 = '%032x']","pattern_type":"stix","valid_from":"2026-01-02T03:04:05Z"}`, n, n, n)
}

// object drafts an indicator in the default collection.
func (w *chain) object(n int) consortium.Draft { return w.objectOf(n, "") }

// objectOf drafts one with a description.
func (w *chain) objectOf(n int, description string) consortium.Draft {
	w.t.Helper()
	c := consortium.Collection{ID: w.collection, Epoch: 1, Key: w.key, Properties: wire.Collection{Metadata: wire.MetadataOpen}}
	d, err := consortium.DraftObject(w.id, c, fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n), "2026-01-02T03:04:05.678Z", true,
		[]byte(describedIndicator(n, description)), time.Now())
	must(w.t, err)
	return d
}

func describedIndicator(n int, description string) string {
	return strings.Replace(indicatorJSON(n), `"name"`, `"description":"`+description+`","name"`, 1)
}

func (w *chain) shown() int64 { return w.r.View.CountObjects() }

func (m *memStore) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.dirs)
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute")
		}
	}
}
