// Package nodetest is a chain that exists only in a test, with organisations, blocks, and one node's repository and
// state.
package nodetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
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
	"github.com/serviceledger/slnode/internal/scratch"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/repotest"
)

func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// memStore is a replicaStore in memory.
type memStore struct {
	mu       sync.Mutex
	Dirs     map[cid.Cid]unixfs.Directory
	FailNext error // Forget fails once with it
	Reading  func()
	peers    map[peer.ID]time.Time // Connected
	Asked    int                   // how often Fetch was called
	Silent   bool                  // Fetch waits until its context ends
	PutFails error                 // Put fails with it
	faults   *Faults
}

func NewMemStore() *memStore { return &memStore{Dirs: map[cid.Cid]unixfs.Directory{}} }

func (m *memStore) Put(_ context.Context, ds []unixfs.Directory) error {
	if err := m.faults.Access(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.PutFails != nil {
		return m.PutFails
	}
	for _, d := range ds {
		m.Dirs[d.Root()] = d
	}
	return nil
}

func (m *memStore) Has(_ context.Context, root cid.Cid) (bool, error) {
	if err := m.faults.Access(); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, found := m.Dirs[root]
	return found, nil
}

func (m *memStore) Read(_ context.Context, root cid.Cid) ([]unixfs.File, error) {
	if err := m.faults.Access(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Reading != nil {
		m.Reading()
	}
	d, ok := m.Dirs[root]
	if !ok {
		return nil, fmt.Errorf("%s: %w", root, unixfs.ErrNotFound)
	}
	return d.Files()
}

func (m *memStore) Fetch(ctx context.Context, roots []cid.Cid) (f swarm.Fetched, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Asked++
	if m.Silent {
		m.mu.Unlock()
		<-ctx.Done()
		m.mu.Lock()
		return swarm.Fetched{Missing: roots}, ctx.Err()
	}
	for _, r := range roots {
		if _, ok := m.Dirs[r]; !ok {
			f.Missing = append(f.Missing, r)
		}
	}
	return f, nil
}

func (m *memStore) Fetches() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Asked
}

func (m *memStore) Forget(_ context.Context, roots []cid.Cid) error {
	if err := m.faults.Access(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.FailNext; err != nil {
		m.FailNext = nil
		return err
	}
	for _, r := range roots {
		delete(m.Dirs, r)
	}
	return nil
}

func (m *memStore) Connected() map[peer.ID]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.peers)
}

func (m *memStore) Connect(id peer.ID, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peers = map[peer.ID]time.Time{id: since}
}

// Org is an organisation with its keys.
type Org struct {
	Account  crypto.Account
	PeerKey  p2pcrypto.PrivKey
	Identity *seal.Identity
	Document wire.Member
	Sequence uint64
}

func (o *Org) Address() string { return o.Account.Address.String() }

func NewOrg(t testing.TB, name string) *Org {
	t.Helper()
	identity, err := seal.NewIdentity()
	Must(t, err)
	peerKey, _, err := p2pcrypto.GenerateEd25519Key(rand.Reader)
	Must(t, err)
	o := &Org{Account: crypto.GenerateAccount(), PeerKey: peerKey, Identity: identity}
	o.Signs(t, name)
	return o
}

// Signs makes and signs what the organisation says of itself with the keys that it has.
func (o *Org) Signs(t testing.TB, name string) {
	t.Helper()
	id, err := peer.IDFromPrivateKey(o.PeerKey)
	Must(t, err)
	o.Document, err = wire.Member{Organisation: name, Title: strings.ToUpper(name), Account: o.Address(), Peer: id.String(),
		Recipient: o.Identity.Recipient()}.Sign(o.Account.PrivateKey, o.PeerKey)
	Must(t, err)
}

// Chain is one that exists only in the test, and the repository and the state of one node that follows it.
type Chain struct {
	Faults     *Faults // of a repository in memory, and of the blocks
	T          testing.TB
	R          *repo.Repo
	Blocks     *memStore
	Self       *Org
	State      *state.Shared
	assets     uint64
	ID         uint64
	charterTx  string
	Collection string
	Key        *seal.EpochKey
	Round      uint64
	N          int
	// Signed signs an event and puts it into a block, and gives it as it stands there. Without it there are no blocks, and
	// events are made up.
	Signed func(sender *Org, drafted consortium.Event) consortium.Event
}

// put is how an event gets on the chain.
func (w *Chain) put(sender *Org, drafted consortium.Event) consortium.Event {
	if w.Signed == nil {
		return drafted
	}
	return w.Signed(sender, drafted)
}

var Discard = slog.New(slog.DiscardHandler)

// LogTo is a log that a test reads.
func LogTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func NewChain(t testing.TB, self *Org) *Chain {
	t.Helper()
	w := NewBareChain(t, self)
	r, closed, err := repotest.New(scratch.Dir(t), named(), w.Faults.hooks())
	Must(t, err)
	w.R, w.Blocks.faults = r, w.Faults
	t.Cleanup(func() { Must(t, closed()) })
	return w
}

// NewKeyedChain is a chain for a node that has keys, whose repository is in memory otherwise.
func NewKeyedChain(t testing.TB, self *Org) *Chain {
	t.Helper()
	w := NewStoredChain(t, self)
	stored := w.R
	r, closed, err := repotest.InMemory(stored, w.Faults.hooks())
	Must(t, err)
	w.R, w.Blocks.faults = r, w.Faults
	t.Cleanup(func() { Must(t, closed()); w.R = stored })
	return w
}

// named is the configuration of an organisation called self.
func named() config.Config {
	c := config.Default()
	c.Organisation.Name = "self"
	return c
}

// NewStoredChain is a chain for a node whose repository is in a folder, with keys and a configuration.
func NewStoredChain(t testing.TB, self *Org) *Chain {
	t.Helper()
	dir := scratch.Dir(t)
	_, err := repo.Init(dir, named(), "")
	Must(t, err)
	w := NewBareChain(t, self)
	w.R, err = repo.Open(dir, nil)
	Must(t, err)
	t.Cleanup(func() { Must(t, w.R.Close()) })
	return w
}

// NewBareChain is one without a repository.
func NewBareChain(t testing.TB, self *Org) *Chain {
	return &Chain{T: t, Faults: &Faults{}, Blocks: NewMemStore(), Self: self, assets: 1000, ID: 1001, Collection: uuid.NewString()}
}

// Begin begins with the state of somebody who knows nothing but the charter.
func (w *Chain) Begin() repo.Consortium {
	w.State = state.New(w.Self.Address(), consortium.New(w.ID, w.charterTx, w.Self.Identity), nil)
	return repo.Consortium{ID: w.ID, Charter: w.charterTx}
}

// Know lets the state know events, and what is in their directories.
func (w *Chain) Know(events ...consortium.Event) {
	w.T.Helper()
	w.State.Change(func(s *consortium.State) {
		for _, e := range events {
			if effect, _ := s.Apply(e); effect != consortium.Record || e.Directory == "" {
				continue
			}
			files, err := w.Blocks.Read(w.T.Context(), cid.MustParse(e.Directory))
			Must(w.T, err)
			slices.SortFunc(files, func(a, b unixfs.File) int { return strings.Compare(a.Name, b.Name) }) // the metadata first
			metadata, err := wire.ParseMetadata(files[0].Data)
			Must(w.T, err)
			Must(w.T, s.Attach(e.TxID, metadata, files[1].Data))
		}
	})
}

// Mint puts a draft on the chain in a round of its own. It is its sender's, unless it was drafted by somebody else.
func (w *Chain) Mint(sender *Org, d consortium.Draft) consortium.Event {
	w.T.Helper()
	if d.Metadata == nil {
		d = By(w.T, sender.Address(), d)
	}
	dir, err := unixfs.Build(unixfs.File{Name: wire.MetadataName, Data: d.Metadata}, unixfs.File{Name: d.PayloadName, Data: d.Payload})
	Must(w.T, err)
	Must(w.T, w.Blocks.Put(w.T.Context(), []unixfs.Directory{dir}))
	hash := wire.MetadataHash(d.Metadata)
	return w.MintDirectory(sender, d.Note, dir.Root(), hash[:])
}

// By is a draft for an account.
func By(t testing.TB, account string, d consortium.Draft) consortium.Draft {
	t.Helper()
	d, err := d.By(account)
	Must(t, err)
	return d
}

func (w *Chain) MintDirectory(sender *Org, note wire.Note, root cid.Cid, hash []byte) consortium.Event {
	w.assets++
	w.Round++
	w.N++
	id := w.ID
	if note.Kind == wire.KindCharter {
		id = 0
	} else {
		sender.Sequence++
		note.Sequence = sender.Sequence
	}
	return w.put(sender, consortium.Event{Position: consortium.Position{Round: w.Round}, Time: time.Now(), TxID: fmt.Sprintf("TX%d", w.N),
		Sender: sender.Address(), Asset: w.assets, Consortium: id, Note: note, Directory: root.String(), MetadataHash: hash})
}

func (w *Chain) Destroy(sender *Org, asset uint64) consortium.Event {
	w.Round++
	w.N++
	sender.Sequence++
	return w.put(sender, consortium.Event{Position: consortium.Position{Round: w.Round}, Time: time.Now(), TxID: fmt.Sprintf("TX%d", w.N),
		Sender: sender.Address(), Asset: asset, Consortium: w.ID, Note: wire.Note{Kind: wire.KindDestroy, Sequence: sender.Sequence}})
}

// Found gives the events of a founding: charter, the members, the default collection with keys for all members.
func (w *Chain) Found(members ...*Org) []consortium.Event {
	w.T.Helper()
	founder := members[0]
	charter, err := consortium.DraftCharter(wire.Charter{Name: "Test", GenesisID: "t-v1", GenesisHash: bytes.Repeat([]byte{7}, 32), Network: wire.NetworkPrivate,
		Founder: founder.Address(), DefaultCollection: w.Collection, History: true}, time.Now())
	Must(w.T, err)
	e := w.Mint(founder, charter)
	w.ID, w.charterTx = e.Asset, e.TxID
	events := []consortium.Event{e}
	var recipients []string
	for _, m := range members {
		d, err := consortium.DraftMember(w.ID, m.Document, time.Now())
		Must(w.T, err)
		events = append(events, w.Mint(founder, d))
		recipients = append(recipients, m.Identity.Recipient())
	}
	w.Key, err = seal.NewEpochKey()
	Must(w.T, err)
	all := wire.Accounts{Members: true}
	d, err := consortium.DraftCollection(w.ID, w.Collection, 1, wire.Collection{Title: "Default", Readers: all, Contributors: all, DefaultLevel: "green", Metadata: wire.MetadataOpen},
		map[uint32]*seal.EpochKey{1: w.Key}, recipients, time.Now())
	Must(w.T, err)
	return append(events, w.Mint(founder, d))
}

func IndicatorJSON(n int) string {
	return fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":"indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-02T03:04:05.678Z",`+
		`"modified":"2026-01-02T03:04:05.678Z","name":"Indicator %d","pattern":"[file:hashes.MD5 = '%032x']","pattern_type":"stix","valid_from":"2026-01-02T03:04:05Z"}`, n, n, n)
}

// EpochsOf lists the key epochs of a collection that an organisation was given in any record, and can open.
func (w *Chain) EpochsOf(o *Org, collection string) []uint32 {
	w.T.Helper()
	w.Blocks.mu.Lock()
	defer w.Blocks.mu.Unlock()
	epochs := map[uint32]bool{}
	for _, d := range w.Blocks.Dirs {
		files, err := d.Files()
		Must(w.T, err)
		for _, f := range files {
			keyrings, err := wire.ParseKeyringRecord(f.Data)
			if err != nil {
				record, err := wire.ParseCollectionRecord(f.Data)
				if err != nil {
					continue // it is another kind of record
				}
				keyrings = wire.KeyringRecord{Collection: record.Collection, Keyrings: record.Keyrings}
			}
			for _, sealed := range keyrings.Keyrings {
				plaintext, err := o.Identity.Open(sealed)
				if err != nil || keyrings.Collection != collection {
					continue
				}
				keyring, err := wire.ParseKeyring(plaintext)
				Must(w.T, err)
				for _, one := range keyring.Epochs {
					epochs[one.Epoch] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(epochs))
}

// Object drafts an indicator in the default collection.
func (w *Chain) Object(n int) consortium.Draft { return w.ObjectOf(n, "") }

// ObjectOf drafts one with a description.
func (w *Chain) ObjectOf(n int, description string) consortium.Draft {
	w.T.Helper()
	c := consortium.Collection{ID: w.Collection, Epoch: 1, Key: w.Key, Properties: wire.Collection{Metadata: wire.MetadataOpen}}
	d, err := consortium.DraftObject(w.ID, c, fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n), "2026-01-02T03:04:05.678Z", true,
		[]byte(DescribedIndicator(n, description)), time.Now())
	Must(w.T, err)
	return d
}

func DescribedIndicator(n int, description string) string {
	return strings.Replace(IndicatorJSON(n), `"name"`, `"description":"`+description+`","name"`, 1)
}

func (w *Chain) Shown() int64 { return w.R.View.CountObjects() }

func (m *memStore) Count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.Dirs)
}
