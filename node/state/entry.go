package state

import (
	"time"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/view"
)

// EntryOf is an object as the view would hold it, as far as its publisher knows.
func EntryOf(collection string, object *stix.Object, hash [32]byte, stored time.Time) *view.Entry {
	entry := &view.Entry{
		Collection: collection, ID: object.ID, Type: object.Type, Version: object.Version(), Instant: object.VersionTime(),
		Hash: hash[:], StoredAt: stored, Object: object.Raw,
	}
	if entry.Version == "" {
		entry.Version, entry.Instant, entry.Unversioned = wire.FormatTime(stored), stored, true
	}
	return entry
}
