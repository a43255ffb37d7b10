package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

func TestWhatWasPutIsReadAgainAfterARestart(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	dirs := append(directories(t, 300), directoryOf(t, 5*unixfs.ChunkSize+1, "large"), directoryOf(t, 0, "empty"))

	h := startOn(t, c, vfs.Default)
	put(t, h, dirs...)
	put(t, h, dirs[:10]...) // a second time changes nothing
	mustHold(t, h, dirs...)
	closeHost(t, h)

	again := startOn(t, c, vfs.Default)
	mustHold(t, again, dirs...)
	if again.ID() != h.ID() {
		t.Fatal("the restarted host is somebody else")
	}
}

func TestReadingWhatIsNotThereSaysSo(t *testing.T) {
	h := newWorld(t).member()
	ctx := context.Background()
	if _, err := h.Read(ctx, directory(t).Root()); !errors.Is(err, unixfs.ErrNotFound) {
		t.Errorf("an absent directory: %v", err)
	}
	file := directory(t).Blocks()[1]
	if err := h.store.blocks.Put(ctx, file); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Read(ctx, file.Cid()); !errors.Is(err, unixfs.ErrNotDirectory) {
		t.Errorf("a file: %v", err)
	}
	if has, err := h.Has(ctx, file.Cid()); err != nil || has {
		t.Errorf("Has of a file: %v, %v", has, err)
	}
	if _, err := h.Read(ctx, cid.Undef); !errors.Is(err, unixfs.ErrNotDirectory) {
		t.Errorf("the undefined CID: %v", err)
	}
}

func TestADirectoryWithABlockMissingIsNotHadOnceItWasRead(t *testing.T) {
	h := newWorld(t).member()
	ctx := context.Background()
	d := directoryOf(t, 2*unixfs.ChunkSize+1)
	start := countKeys(t, h)
	for _, b := range d.Blocks() {
		put(t, h, d)
		h.store.recent.drop(roots([]unixfs.Directory{d}))
		if err := h.store.blocks.DeleteBlock(ctx, b.Cid()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Read(ctx, d.Root()); !errors.Is(err, unixfs.ErrNotFound) {
			t.Fatalf("without %s: error %v, want unixfs.ErrNotFound", b.Cid(), err)
		}
		mustLack(t, h, d) // since it was read
		if err := h.Forget(ctx, []cid.Cid{d.Root()}); err != nil {
			t.Fatal(err)
		}
		if n := countKeys(t, h); n != start {
			t.Fatalf("%d keys in the store, want %d, after a directory that lacked %s was forgotten", n, start, b.Cid())
		}
	}
}

func TestTheZeroDirectoryIsNone(t *testing.T) {
	h := newWorld(t).member()
	if err := h.Put(context.Background(), []unixfs.Directory{{}}); err == nil {
		t.Error("it was put")
	}
	topic, _ := join(t, h)
	if err := topic.Announce(context.Background(), theRound, []unixfs.Directory{{}}); err == nil {
		t.Error("it was announced")
	}
	if _, err := (unixfs.Directory{}).Files(); err == nil {
		t.Error("it has files")
	}
}

func TestForgettingLeavesNothingBehind(t *testing.T) {
	h := newWorld(t).member()
	ctx := context.Background()
	keep, drop := directories(t, 5, "keep"), append(directories(t, 5, "drop"), directoryOf(t, 2*unixfs.ChunkSize+1, "drop"))
	before := countKeys(t, h)
	put(t, h, keep...)
	kept := countKeys(t, h)
	put(t, h, drop...)
	for range 2 { // the second time finds nothing, and that is no error
		if err := h.Forget(ctx, roots(drop)); err != nil {
			t.Fatal(err)
		}
		mustLack(t, h, drop...)
		mustHold(t, h, keep...)
		if n := countKeys(t, h); n != kept {
			t.Fatalf("%d keys in the store, want %d", n, kept)
		}
	}
	if err := h.Forget(ctx, roots(keep)); err != nil {
		t.Fatal(err)
	}
	if n := countKeys(t, h); n != before {
		t.Fatalf("%d keys in the store, want %d", n, before)
	}
}

func TestABlockGoesWithTheLastDirectoryThatUsesIt(t *testing.T) {
	h := newWorld(t).member()
	ctx := context.Background()
	honest := directory(t, "honest")
	payload := mustFiles(t, honest)[1].Data
	// Somebody else's directory around the same payload, and one whose payload is the honest root, byte for byte.
	around := mustBuild(t, unixfs.File{Name: unixfs.MetadataName, Data: []byte(`{"by":"another"}`)}, unixfs.File{Name: "object.json", Data: payload})
	root := mustBuild(t, unixfs.File{Name: unixfs.MetadataName, Data: []byte(`{"by":"a third"}`)}, unixfs.File{Name: "object.json", Data: honest.Blocks()[0].RawData()})
	start := countKeys(t, h)

	for _, order := range [][]unixfs.Directory{{around, root, honest}, {honest, around, root}, {root, honest, around}} {
		put(t, h, honest, around, root)
		for i, d := range order {
			if err := h.Forget(ctx, []cid.Cid{d.Root()}); err != nil {
				t.Fatal(err)
			}
			mustLack(t, h, d)
			mustHold(t, h, order[i+1:]...)
		}
		if n := countKeys(t, h); n != start {
			t.Fatalf("%d keys in the store, want %d", n, start)
		}
	}
}

// countKeys counts what the store has of directories.
func countKeys(tb testing.TB, h *Host) int {
	tb.Helper()
	n := 0
	for _, prefix := range []string{"/blocks", "/slnode/users", "/slnode/kept"} {
		n += len(keys(tb, h, prefix))
	}
	return n
}

func TestPutsAndForgetsMayOverlap(t *testing.T) {
	h := newWorld(t).member()
	ctx := context.Background()
	shared := mustBuild(t, files(`{"n":0}`, "object.json", "shared")...)
	put(t, h, shared)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 20 {
				d := mustBuild(t, files(fmt.Sprintf(`{"n":"%d-%d"}`, worker, i), "object.json", "shared")...)
				if err := h.Put(ctx, []unixfs.Directory{d}); err != nil {
					t.Error(err)
				}
				if err := h.Forget(ctx, []cid.Cid{d.Root()}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mustHold(t, h, shared)
}

// TestWhatPutAcknowledgedSurvivesAPowerLoss runs the host on a file system that forgets, at the crash, whatever was not
// synced, all of it or a part chosen by chance.
func TestWhatPutAcknowledgedSurvivesAPowerLoss(t *testing.T) {
	for name, lost := range map[string]int{"all that is not synced is lost": 0, "half of it": 50} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.config()
			c.Dir = "/store"
			fs := vfs.NewCrashableMem()
			h := startOn(t, c, fs)

			const batches = 20
			crashAfter := 5 + rand.IntN(batches-5)
			var acknowledged []unixfs.Directory
			var crashed *vfs.MemFS
			for i := range batches {
				dirs := directories(t, 16, i)
				put(t, h, dirs...)
				if i < crashAfter {
					acknowledged = append(acknowledged, dirs...)
				}
				if i == crashAfter-1 {
					// A directory that is not acknowledged is in the log as well, or a part of it.
					if err := h.store.blocks.Put(context.Background(), directory(t, "torn").Blocks()[0]); err != nil {
						t.Fatal(err)
					}
					crashed = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: lost, RNG: rand.New(rand.NewPCG(1, uint64(crashAfter)))})
				}
			}
			closeHost(t, h)

			mustHold(t, startOn(t, c, crashed), acknowledged...)
		})
	}
}

// TestWhatForgetAcknowledgedStaysForgottenAfterAPowerLoss is the other direction.
func TestWhatForgetAcknowledgedStaysForgottenAfterAPowerLoss(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Dir = "/store"
	fs := vfs.NewCrashableMem()
	h := startOn(t, c, fs)
	dirs := directories(t, 32)
	put(t, h, dirs...)
	if err := h.Forget(context.Background(), roots(dirs[:16])); err != nil {
		t.Fatal(err)
	}
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeHost(t, h)
	again := startOn(t, c, crashed)
	mustLack(t, again, dirs[:16]...)
	mustHold(t, again, dirs[16:]...)
}

// TestWhatPutAcknowledgedSurvivesAKill kills a process in the middle of its writing, several times on the same store.
func TestWhatPutAcknowledgedSurvivesAKill(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	key, err := crypto.MarshalPrivateKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	var acknowledged []unixfs.Directory
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestChildThatPutsUntilItIsKilled$")
		cmd.Env = append(os.Environ(), "P2P_CHILD_DIR="+c.Dir, "P2P_CHILD_KEY="+string(fmt.Appendf(nil, "%x", key)),
			"P2P_CHILD_SWARM_KEY="+string(c.SwarmKey), fmt.Sprintf("P2P_CHILD_ROUND=%d", round))
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for acks := 0; lines.Scan(); acks++ {
			var batch int
			if _, err := fmt.Sscanf(lines.Text(), "acknowledged %d", &batch); err != nil {
				acks--
				continue
			}
			acknowledged = append(acknowledged, directories(t, 8, fmt.Sprintf("round %d batch %d", round, batch))...)
			if acks == 10+5*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				// What was written to the pipe before the kill was acknowledged as well.
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
	}
	if len(acknowledged) < 8*3*10 {
		t.Fatalf("only %d directories were acknowledged", len(acknowledged))
	}
	mustHold(t, startOn(t, c, vfs.Default), acknowledged...)
}

// TestChildThatPutsUntilItIsKilled is the other process of the test above.
func TestChildThatPutsUntilItIsKilled(t *testing.T) {
	dir := os.Getenv("P2P_CHILD_DIR")
	if dir == "" {
		t.Skip("runs in a process of its own")
	}
	var raw []byte
	if _, err := fmt.Sscanf(os.Getenv("P2P_CHILD_KEY"), "%x", &raw); err != nil {
		t.Fatal(err)
	}
	key, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	h := startOn(t, Config{Dir: dir, Key: key, SwarmKey: []byte(os.Getenv("P2P_CHILD_SWARM_KEY")), Members: &members{}}, vfs.Default)
	var batch atomic.Int64
	var out sync.Mutex
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for n := batch.Add(1); n < 100_000; n = batch.Add(1) {
				put(t, h, directories(t, 8, fmt.Sprintf("round %s batch %d", os.Getenv("P2P_CHILD_ROUND"), n))...)
				out.Lock()
				fmt.Printf("acknowledged %d\n", n)
				out.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestTwoHostsDoNotShareAStore(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	startOn(t, c, vfs.Default)
	if h, err := Open(context.Background(), c); err == nil {
		closeHost(t, h)
		t.Fatal("no error")
	}
}

func TestAClosedHostSaysSo(t *testing.T) {
	h := newWorld(t).member()
	closeHost(t, h)
	closeHost(t, h) // twice is harmless
	ctx := context.Background()
	d := directory(t)
	_, readErr := h.Read(ctx, d.Root())
	_, hasErr := h.Has(ctx, d.Root())
	_, fetchErr := h.Fetch(ctx, []cid.Cid{d.Root()})
	_, joinErr := h.Join(ctx, "1", &recorder{})
	for i, err := range []error{h.Put(ctx, []unixfs.Directory{d}), h.Forget(ctx, roots([]unixfs.Directory{d})), h.Drop(ctx, h.ID()), h.Connect(ctx, h.AddrInfo()), readErr, hasErr, fetchErr, joinErr} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d: error %v, want ErrClosed", i, err)
		}
	}
}

func TestCloseWaitsForRunningCalls(t *testing.T) {
	h := newWorld(t).member()
	dirs := directories(t, 200)
	var wg sync.WaitGroup
	for part := range slices.Chunk(dirs, 10) {
		wg.Go(func() {
			if err := h.Put(context.Background(), part); err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) {
				t.Errorf("put: %v", err)
			}
		})
	}
	closeHost(t, h)
	wg.Wait()
}
