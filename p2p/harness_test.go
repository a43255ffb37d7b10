package p2p

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// members is a member list that a test can change.
type members struct {
	mu  sync.RWMutex
	ids map[peer.ID]bool
}

func (m *members) IsMember(id peer.ID) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.ids[id]
}

func (m *members) set(id peer.ID, member bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids == nil {
		m.ids = map[peer.ID]bool{}
	}
	m.ids[id] = member
}

// world is a swarm under test: its key and, unless a test says otherwise, one member list for all hosts.
type world struct {
	tb       testing.TB
	swarmKey []byte
	members  *members
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	return &world{tb: tb, swarmKey: newSwarmKey(tb), members: &members{}}
}

func newSwarmKey(tb testing.TB) []byte {
	tb.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		tb.Fatal(err)
	}
	return fmt.Appendf(nil, "/key/swarm/psk/1.0.0/\n/base16/\n%s\n", hex.EncodeToString(key))
}

func newKey(tb testing.TB) crypto.PrivKey {
	tb.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// config is that of a new host on loopback.
func (w *world) config() Config {
	w.tb.Helper()
	return Config{
		Dir:      w.tb.TempDir(),
		Key:      newKey(w.tb),
		SwarmKey: w.swarmKey,
		Listen:   []string{"/ip4/127.0.0.1/tcp/0"},
		Members:  w.members,
		Logger:   testLogger(w.tb),
	}
}

func testLogger(tb testing.TB) *slog.Logger {
	if !testing.Verbose() || os.Getenv("P2P_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// member starts a host that is a member.
func (w *world) member(change ...func(*Config)) *Host {
	w.tb.Helper()
	h := w.start(w.config(), change...)
	w.members.set(h.ID(), true)
	return h
}

// outsider starts a host that holds the swarm key and is no member.
func (w *world) outsider(change ...func(*Config)) *Host {
	w.tb.Helper()
	return w.start(w.config(), change...)
}

func (w *world) start(c Config, change ...func(*Config)) *Host {
	w.tb.Helper()
	for _, f := range change {
		f(&c)
	}
	return startOn(w.tb, c, vfs.Default)
}

func startOn(tb testing.TB, c Config, fs vfs.FS) *Host {
	tb.Helper()
	h, err := open(context.Background(), c, fs)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closeHost(tb, h) })
	return h
}

func closeHost(tb testing.TB, h *Host) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waiting.Limit)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		tb.Errorf("close: %v", err)
	}
}

// connect dials from each host to the first and waits until both sides know.
func connect(tb testing.TB, first *Host, others ...*Host) {
	tb.Helper()
	for _, h := range others {
		ctx, cancel := context.WithTimeout(context.Background(), waiting.Limit)
		if err := h.Connect(ctx, first.AddrInfo()); err != nil {
			tb.Fatal(err)
		}
		cancel()
		eventually(tb, "the other side sees the connection", func() bool {
			return first.host.Network().Connectedness(h.ID()) == network.Connected
		})
	}
}

// eventually waits for a condition.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	waiting.Until(tb, what, ok)
}

// directory makes a directory of everyday size whose content depends on the names given.
func directory(tb testing.TB, name ...any) unixfs.Directory {
	tb.Helper()
	return directoryOf(tb, 1500, name...)
}

// directoryOf makes one with a payload of the given size.
func directoryOf(tb testing.TB, size int, name ...any) unixfs.Directory {
	tb.Helper()
	seed := fmt.Sprint(name...)
	payload := bytes.Repeat([]byte(seed+strings.Repeat(".", 7)), size/(len(seed)+7)+1)[:size]
	// No two chunks of a large payload are equal.
	for at := 0; at+8 < size; at += 1 << 16 {
		copy(payload[at:], fmt.Sprintf("%08d", at))
	}
	d, err := unixfs.Build(
		unixfs.File{Name: unixfs.MetadataName, Data: fmt.Appendf(nil, `{"name":"SL Intelligence Xpression","properties":{"id":%q}}`, seed)},
		unixfs.File{Name: "object.json", Data: payload})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func directories(tb testing.TB, n int, name ...any) []unixfs.Directory {
	tb.Helper()
	dirs := make([]unixfs.Directory, n)
	for i := range dirs {
		dirs[i] = directory(tb, append(name, "/", i)...)
	}
	return dirs
}

func roots(dirs []unixfs.Directory) []cid.Cid {
	cids := make([]cid.Cid, len(dirs))
	for i, d := range dirs {
		cids[i] = d.Root()
	}
	return cids
}

func put(tb testing.TB, h *Host, dirs ...unixfs.Directory) {
	tb.Helper()
	if err := h.Put(context.Background(), dirs); err != nil {
		tb.Fatal(err)
	}
}

// fetchAll fetches and expects to get everything.
func fetchAll(tb testing.TB, h *Host, dirs ...unixfs.Directory) {
	tb.Helper()
	got, err := h.Fetch(context.Background(), roots(dirs))
	if err != nil {
		tb.Fatal(err)
	}
	if len(got.Missing)+len(got.Malformed) > 0 {
		tb.Fatalf("of %d directories %d are missing and %d malformed", len(dirs), len(got.Missing), len(got.Malformed))
	}
	mustHold(tb, h, dirs...)
}

// mustHold expects the directories to be in the store, on the disk, whole and with their content.
func mustHold(tb testing.TB, h *Host, dirs ...unixfs.Directory) {
	tb.Helper()
	ctx := context.Background()
	for _, d := range dirs {
		want, err := d.Files()
		if err != nil {
			tb.Fatal(err)
		}
		h.store.recent.drop([]cid.Cid{d.Root()})
		got, err := h.Read(ctx, d.Root())
		if err != nil {
			tb.Fatal(err)
		}
		for i := range want {
			if got[i].Name != want[i].Name || !bytes.Equal(got[i].Data, want[i].Data) {
				tb.Fatalf("%s has another %s", d.Root(), want[i].Name)
			}
		}
		if has, err := h.Has(ctx, d.Root()); err != nil || !has {
			tb.Fatalf("%s: had %v, error %v", d.Root(), has, err)
		}
	}
}

// mustLack expects the directories not to be in the store.
func mustLack(tb testing.TB, h *Host, dirs ...unixfs.Directory) {
	tb.Helper()
	for _, d := range dirs {
		has, err := h.Has(context.Background(), d.Root())
		if err != nil {
			tb.Fatal(err)
		}
		if has {
			tb.Fatalf("%s is there", d.Root())
		}
	}
}

// keys lists the keys under a prefix in the host's store.
func keys(tb testing.TB, h *Host, prefix string) []string {
	tb.Helper()
	results, err := h.store.data.Query(context.Background(), query.Query{Prefix: prefix, KeysOnly: true})
	if err != nil {
		tb.Fatal(err)
	}
	entries, err := results.Rest()
	if err != nil {
		tb.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Key)
	}
	return found
}

// recorder is a Handler that remembers.
type recorder struct {
	mu     sync.Mutex
	roots  map[cid.Cid]peer.ID
	rounds map[uint64]peer.ID
}

func (r *recorder) Announced(from peer.ID, round uint64, roots []cid.Cid) {
	r.Hinted(from, round)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.roots == nil {
		r.roots = map[cid.Cid]peer.ID{}
	}
	for _, c := range roots {
		r.roots[c] = from
	}
}

func (r *recorder) Hinted(from peer.ID, round uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rounds == nil {
		r.rounds = map[uint64]peer.ID{}
	}
	r.rounds[round] = from
}

// heard says who announced the directory, or "".
func (r *recorder) heard(d unixfs.Directory) peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roots[d.Root()]
}

func (r *recorder) hinted(round uint64) peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rounds[round]
}

// blockOf makes a block of any bytes.
func blockOf(codec uint64, data []byte) (blocks.Block, error) {
	c, err := cid.Prefix{Version: 1, Codec: codec, MhType: multihash.SHA2_256, MhLength: -1}.Sum(data)
	if err != nil {
		return nil, err
	}
	return blocks.NewBlockWithCid(data, c)
}

func mustBuild(tb testing.TB, files ...unixfs.File) unixfs.Directory {
	tb.Helper()
	d, err := unixfs.Build(files...)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func mustFiles(tb testing.TB, d unixfs.Directory) []unixfs.File {
	tb.Helper()
	files, err := d.Files()
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

func files(metadata, name, payload string) []unixfs.File {
	return []unixfs.File{{Name: unixfs.MetadataName, Data: []byte(metadata)}, {Name: name, Data: []byte(payload)}}
}
