package p2p

import (
	"errors"
	"path/filepath"
	"sync"

	"github.com/serviceledger/slnode/internal/disk"
)

// AsidePath is where a block store that was found damaged waits for its directories to be put into the one that took
// its place: from it, as far as they can be read, or from members.
func AsidePath(dir string) string { return dir + ".damaged" }

// damagedFile is in a store that was found damaged while a host used it.
func damagedFile(dir string) string { return filepath.Join(dir, "damaged") }

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
