package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/serviceledger/slnode/taxii"
)

// diskLook is how often the free space is looked at.
const diskLook = time.Second

// diskGuard keeps the node from filling its disk. Badger writes into mapped files: a write that the disk has no room for
// is no error there, it kills the process (SIGBUS). So what can wait isn't begun while less than a reserve is free, and
// the reserve is for what can't: confirmations, the chain's events, and the stores' own housekeeping.
//
// A nil guard finds room always.
type diskGuard struct {
	folders   []string // of the repository; they may be mounted apart
	least     uint64   // bytes
	free      func(folder string) (uint64, error)
	condition *monitor
}

func newDiskGuard(least uint64, free func(folder string) (uint64, error), log *slog.Logger, folders ...string) *diskGuard {
	return &diskGuard{folders: folders, least: least, free: free, condition: newMonitor("taking objects in", log)}
}

// freeSpace is how many bytes can be written in a folder.
func freeSpace(folder string) (uint64, error) {
	usage, err := vfs.Default.GetDiskUsage(folder)
	return usage.AvailBytes, err
}

// space is what is free where least is.
func (g *diskGuard) space() (space uint64, err error) {
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

// room looks whether there is room. If not, the error wraps [taxii.ErrFull]. Once there was none, an eighth more than the
// reserve must be free, lest the node begins and stops with every object.
func (g *diskGuard) room() error {
	if g == nil || g.least == 0 {
		return nil
	}
	least := g.least
	if g.condition.get().Problem != "" {
		least += least / 8
	}
	space, err := g.space()
	if err == nil && space >= least {
		g.condition.clear()
		return nil
	}
	problem := fmt.Sprintf("%d MiB are free, %d must be; make room, and it goes on by itself", space>>20, least>>20)
	if err != nil {
		problem = err.Error()
	}
	g.condition.set("disk", problem)
	return fmt.Errorf("%w: %s", taxii.ErrFull, problem)
}

// await waits until there is room, or until the context ends.
func (g *diskGuard) await(ctx context.Context) {
	for g.room() != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(diskLook):
		}
	}
}

// run looks now and then, so that the status and the log tell of a full disk before anything has to wait.
func (g *diskGuard) run(ctx context.Context) error {
	ticker := time.NewTicker(diskLook)
	defer ticker.Stop()
	for {
		_ = g.room() // which keeps the condition
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
