package p2p

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/kubo/config"

	"github.com/serviceledger/slnode/internal/disk"
)

// AsidePath is where a block store that was found damaged waits for its directories to be put into the one that took its
// place: from it, as far as they can be read, or from members.
func AsidePath(dir string) string { return dir + ".damaged" }

// damagedFile is in a store that was found damaged while a host used it.
func damagedFile(dir string) string { return filepath.Join(dir, "damaged") }

// openOrReplace opens the store in c.Dir or, if it is damaged, sets it aside and begins a new one. An older one that is still
// aside gives way: it was of less.
func openOrReplace(fs vfs.FS, c *Config, k *config.Config, log *slog.Logger) (*repository, error) {
	r, err := openRepository(fs, c, k)
	if !errors.Is(err, disk.ErrDamaged) {
		return r, err
	}
	aside := AsidePath(c.Dir)
	log.Error("the block store is damaged: it is set aside, and its directories are fetched anew", "aside", aside, "error", err)
	err = errors.Join(fs.RemoveAll(aside), fs.Rename(c.Dir, aside), disk.SyncFolder(fs, filepath.Dir(c.Dir)))
	if err != nil {
		return nil, fmt.Errorf("set the damaged store aside: %w", err)
	}
	return openRepository(fs, c, k)
}

// damage is what of a store was found damaged while it was used.
type damage struct {
	found chan struct{} // closed then

	mu  sync.Mutex
	err error
}

func newDamage() *damage { return &damage{found: make(chan struct{})} }

// note is told of errors of the store. One that is not of damage is tried again.
func (d *damage) note(err error) {
	if err = disk.AsDamage(err); !errors.Is(err, disk.ErrDamaged) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
		close(d.found)
	}
}

func (d *damage) is() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// Damage is what of the block store was found damaged, or nil. The next [Open] sets the store aside.
func (h *Host) Damage() error { return h.damage.is() }

// Damaged is closed when the block store is found damaged.
func (h *Host) Damaged() <-chan struct{} { return h.damage.found }
