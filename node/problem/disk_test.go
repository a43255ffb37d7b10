package problem

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
func smallDisk(free *atomic.Uint64) *Disk {
	return NewDisk(256<<20, func(string) (uint64, error) { return free.Load() << 20, nil }, slog.New(slog.DiscardHandler), "repo")
}

func TestADiskIsFullBelowItsReserve(t *testing.T) {
	var free atomic.Uint64
	g := smallDisk(&free)
	for _, step := range []struct {
		free uint64 // MiB
		full bool
	}{{1000, false}, {256, false}, {255, true}, {256, true}, {287, true}, {288, false}, {256, false}, {0, true}, {1000, false}} {
		free.Store(step.free)
		err := g.Room()
		if errors.Is(err, taxii.ErrFull) != step.full || (err != nil) != step.full || (g.Condition.Get().Problem == "disk") != step.full {
			t.Errorf("%d MiB free: %v, %+v", step.free, err, g.Condition.Get())
		}
	}
	free.Store(7)
	if _ = g.Room(); !strings.HasPrefix(g.Condition.Get().Detail, "7 MiB are free, 256 must be") {
		t.Errorf("it says %q", g.Condition.Get().Detail)
	}
	g.Keep(0)
	if err := g.Room(); err != nil {
		t.Errorf("it is switched off: %v", err)
	}
	var none *Disk
	if err := none.Room(); err != nil {
		t.Error(err)
	}
}

func TestTheFullestDiskOfARepositoryCounts(t *testing.T) {
	g := NewDisk(256<<20, func(folder string) (uint64, error) {
		return map[string]uint64{"repo": 1 << 40, "blocks": 1 << 20}[folder], nil
	}, slog.New(slog.DiscardHandler), "repo", "blocks")
	if err := g.Room(); !errors.Is(err, taxii.ErrFull) {
		t.Errorf("the blocks have no room: %v", err)
	}
	g.free = func(string) (uint64, error) { return 0, errors.New("it is gone") }
	if err := g.Room(); !errors.Is(err, taxii.ErrFull) || !strings.Contains(g.Condition.Get().Detail, "it is gone") {
		t.Errorf("a disk that can't be asked: %v", err)
	}
	if free, err := FreeSpace(t.TempDir()); err != nil || free == 0 {
		t.Errorf("this machine's: %d, %v", free, err)
	}
}

func TestWhoWaitsForSpaceGoesOnByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Uint64
		g := smallDisk(&free)
		went := make(chan struct{})
		go func() { g.Await(t.Context()); close(went) }()
		synctest.Wait()
		select {
		case <-went:
			t.Fatal("it doesn't wait")
		default:
		}
		free.Store(1000)
		<-went
		if g.Condition.Get().Problem != "" {
			t.Error("the condition stays")
		}
		free.Store(0)
		ended, end := context.WithCancel(t.Context())
		end()
		g.Await(ended)
	})
}
