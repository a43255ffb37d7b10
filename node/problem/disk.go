package problem

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/serviceledger/slnode/taxii"
)

// diskLook is how often the free space is looked at.
const diskLook = time.Second

// Disk keeps the node from filling its disk. Badger writes into mapped files: a write that the disk has no room for
// is no error there, it kills the process (SIGBUS). So what can wait isn't begun while less than a reserve is free, and
// the reserve is for what can't: confirmations, the chain's events, and the stores' own housekeeping.
//
// A nil guard finds room always.
type Disk struct {
	folders   []string      // of the repository; they may be mounted apart
	least     atomic.Uint64 // bytes
	free      func(folder string) (uint64, error)
	Condition *Monitor
}

// NewDisk keeps so many bytes of the folders' disks free, as free tells.
func NewDisk(least uint64, free func(folder string) (uint64, error), log *slog.Logger, folders ...string) *Disk {
	g := &Disk{folders: folders, free: free, Condition: NewMonitor("taking objects in", log)}
	g.least.Store(least)
	return g
}

// Keep changes how many bytes are kept free.
func (g *Disk) Keep(least uint64) { g.least.Store(least) }

// FreeSpace is how many bytes can be written in a folder.
func FreeSpace(folder string) (uint64, error) {
	usage, err := vfs.Default.GetDiskUsage(folder)
	return usage.AvailBytes, err
}

// Space is what is free where least is.
func (g *Disk) Space() (space uint64, err error) {
	for i, folder := range g.folders {
		free, err := g.free(folder)
		if err != nil {
			return 0, fmt.Errorf("the free space of %s: %w", folder, err)
		}
		if i == 0 || free < space {
			space = free
		}
	}
	return space, nil
}

// Room looks whether there is room. If not, the error wraps [taxii.ErrFull]. Once there was none, an eighth more than
// the reserve must be free, lest the node begins and stops with every object.
func (g *Disk) Room() error {
	if g == nil || g.least.Load() == 0 {
		return nil
	}
	least := g.least.Load()
	if g.Condition.Get().Problem != "" {
		least += least / 8
	}
	space, err := g.Space()
	if err == nil && space >= least {
		g.Condition.Clear()
		return nil
	}
	problem := fmt.Sprintf("%d MiB are free, %d must be; make room, and it goes on by itself", space>>20, least>>20)
	if err != nil {
		problem = err.Error()
	}
	g.Condition.Set("disk", problem)
	return fmt.Errorf("%w: %s", taxii.ErrFull, problem)
}

// Await waits until there is room, or until the context ends.
func (g *Disk) Await(ctx context.Context) {
	for g.Room() != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(diskLook):
		}
	}
}

// Run looks now and then, so that the status and the log tell of a full disk before anything has to wait.
func (g *Disk) Run(ctx context.Context) error {
	for {
		_ = g.Room() // which keeps the condition
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(diskLook):
		}
	}
}

// Reclaiming gives the disk space of what was deleted back, now and then, until a context ends.
func Reclaiming(every time.Duration, reclaim func() error, log *slog.Logger) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
				if err := reclaim(); err != nil {
					log.Warn("disk space could not be given back", "error", err)
				}
			}
		}
	}
}
