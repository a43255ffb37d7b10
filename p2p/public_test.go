package p2p

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pin "github.com/ipfs/boxo/pinning/pinner"
	"github.com/ipfs/boxo/pinning/pinner/dspinner"
	"github.com/ipfs/boxo/provider"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// listed collects what a provider would announce.
func listed(t *testing.T, list provider.KeyChanFunc) []string {
	t.Helper()
	roots, err := list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for c := range roots {
		found = append(found, c.String())
	}
	slices.Sort(found)
	return found
}

// On the public network the roots of kept directories are announced, the same that Kubo would announce if they were
// pinned: when they are stored, and again and again, after a restart, too.
func TestThePublicNetworkIsToldOfTheRootsThatAreKept(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Public, c.SwarmKey, c.Bootstrap = true, nil, []string{}
	h := startOn(t, c, vfs.Default)
	var mu sync.Mutex
	told := map[string]int{}
	announce := h.store.announce
	h.store.announce = func(roots []multihash.Multihash) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range roots {
			told[r.String()]++
		}
		announce(roots)
	}
	dirs := append(directories(t, 20), directoryOf(t, 2*unixfs.ChunkSize+1, "large"))
	put(t, h, dirs...)
	for _, d := range dirs {
		if told[d.Root().Hash().String()] != 1 {
			t.Errorf("it was told %d times of %s", told[d.Root().Hash().String()], d.Root())
		}
	}
	if len(told) != len(dirs) {
		t.Errorf("it was told of %d roots, not %d", len(told), len(dirs))
	}

	for _, d := range dirs { // the measure is Kubo's pinner
		if err := h.node.Pinning.PinWithMode(t.Context(), d.Root(), pin.Recursive, ""); err != nil {
			t.Fatal(err)
		}
	}
	kubos := listed(t, dspinner.NewPinnedProvider(true, h.node.Pinning, h.node.OfflineIPLDFetcherFactory))
	if got := listed(t, h.node.ProvidingKeyChanFunc); !slices.Equal(got, kubos) || len(got) != len(dirs) {
		t.Errorf("%d roots are announced, Kubo announces %d, %d are kept", len(got), len(kubos), len(dirs))
	}

	if err := h.Forget(t.Context(), roots(dirs[:5])); err != nil {
		t.Fatal(err)
	}
	closeHost(t, h)
	h = startOn(t, c, vfs.Default)
	want := []string{}
	for _, d := range dirs[5:] {
		want = append(want, d.Root().String())
	}
	slices.Sort(want)
	if got := listed(t, h.node.ProvidingKeyChanFunc); !slices.Equal(got, want) {
		t.Errorf("%d roots are announced after a restart, want %d", len(got), len(want))
	}
}

// Whoever lists the roots may stop.
func TestListingTheKeptRootsEndsWithItsContext(t *testing.T) {
	h := newWorld(t).member()
	put(t, h, directories(t, 10)...)
	ctx, cancel := context.WithCancel(t.Context())
	list, err := keptRoots(ctx, h.node.repo.data)
	if err != nil {
		t.Fatal(err)
	}
	if c := <-list; !unixfs.IsNode(c) {
		t.Errorf("%s is listed", c)
	}
	cancel()
	left := []cid.Cid{}
	for c := range list { // closed soon
		left = append(left, c)
	}
	if len(left) > 10 {
		t.Errorf("%d more are listed", len(left))
	}
}
