package node

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/serviceledger/slnode/taxii"
)

// smallDisk is a guard with a reserve of 256 MiB of a disk that has as much free, in MiB, as the number says.
func smallDisk(free *atomic.Uint64) *diskGuard {
	return &diskGuard{folders: []string{"repo"}, least: 256 << 20, condition: newMonitor("", slog.New(slog.DiscardHandler)),
		free: func(string) (uint64, error) { return free.Load() << 20, nil }}
}

func TestADiskIsFullBelowItsReserve(t *testing.T) {
	var free atomic.Uint64
	g := smallDisk(&free)
	for _, step := range []struct {
		free uint64 // MiB
		full bool
	}{{1000, false}, {256, false}, {255, true}, {256, true}, {287, true}, {288, false}, {256, false}, {0, true}, {1000, false}} {
		free.Store(step.free)
		err := g.room()
		if errors.Is(err, taxii.ErrFull) != step.full || (err != nil) != step.full || (g.condition.get().Problem == "disk") != step.full {
			t.Errorf("%d MiB free: %v, %+v", step.free, err, g.condition.get())
		}
	}
	free.Store(7)
	if _ = g.room(); !strings.HasPrefix(g.condition.get().Detail, "7 MiB are free, 256 must be") {
		t.Errorf("it says %q", g.condition.get().Detail)
	}
	g.least = 0
	if err := g.room(); err != nil {
		t.Errorf("it is switched off: %v", err)
	}
	var none *diskGuard
	if err := none.room(); err != nil {
		t.Error(err)
	}
}

func TestTheFullestDiskOfARepositoryCounts(t *testing.T) {
	g := &diskGuard{folders: []string{"repo", "blocks"}, least: 256 << 20, condition: newMonitor("", slog.New(slog.DiscardHandler)), free: func(folder string) (uint64, error) {
		return map[string]uint64{"repo": 1 << 40, "blocks": 1 << 20}[folder], nil
	}}
	if err := g.room(); !errors.Is(err, taxii.ErrFull) {
		t.Errorf("the blocks have no room: %v", err)
	}
	g.free = func(string) (uint64, error) { return 0, errors.New("it is gone") }
	if err := g.room(); !errors.Is(err, taxii.ErrFull) || !strings.Contains(g.condition.get().Detail, "it is gone") {
		t.Errorf("a disk that can't be asked: %v", err)
	}
	if free, err := freeSpace(t.TempDir()); err != nil || free == 0 {
		t.Errorf("this machine's: %d, %v", free, err)
	}
}

func TestWhoWaitsForSpaceGoesOnByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Uint64
		g := smallDisk(&free)
		went := make(chan struct{})
		go func() { g.await(t.Context()); close(went) }()
		synctest.Wait()
		select {
		case <-went:
			t.Fatal("it doesn't wait")
		default:
		}
		free.Store(1000)
		<-went
		if g.condition.get().Problem != "" {
			t.Error("the condition stays")
		}
		free.Store(0)
		ended, end := context.WithCancel(t.Context())
		end()
		g.await(ended)
	})
}
