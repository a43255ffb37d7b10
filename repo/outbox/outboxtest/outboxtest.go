// Package outboxtest opens outboxes in memory, for tests of what is above them: what was committed is there for the
// next one, as after a crash, and a test decides what fails.
package outboxtest

import (
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Memory is where an outbox is that is not on a disk.
type Memory struct{ *kv.Memory }

// Pair is a key and its value.
type Pair = kv.Pair

// Hooks let a test decide what a store does.
type Hooks = kv.Hooks

// NewMemory makes an empty one.
func NewMemory() (Memory, error) {
	m, err := kv.NewMemory()
	return Memory{m}, err
}

// Outbox opens the outbox. A hook may be nil.
func (m Memory) Outbox(hooks Hooks) (*outbox.Outbox, error) {
	return outbox.Open(store.New(m.DB(hooks)))
}
