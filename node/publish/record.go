package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// Records is where records of this organisation go: they need no sealing here, and begin the pipeline as what is
// stored.
type Records struct {
	account string // that signs them
	outbox  *Outbox
	blocks  Blocks
	fresh   *Fresh
}

// NewRecords stores the records of an account.
func NewRecords(account string, outbox *Outbox, blocks Blocks, fresh *Fresh) *Records {
	return &Records{account: account, outbox: outbox, blocks: blocks, fresh: fresh}
}

// Store stores a record and takes it into the outbox as something to mint. A record with a key that is published, or on
// its way, is not published again. It can be found by further keys also.
func (r *Records) Store(ctx context.Context, key []byte, d consortium.Draft, also ...[]byte) (outbox.Item, error) {
	if item, found, err := r.outbox.Find(key); err != nil || found && item.State != outbox.Withdrawn {
		return item, err
	}
	d, err := d.By(r.account)
	if err != nil {
		return outbox.Item{}, err
	}
	directory, err := DirectoryOf(d)
	if err != nil {
		return outbox.Item{}, fmt.Errorf("storing a %s record: %w", d.Note.Kind, err)
	}
	if err := r.blocks.Put(ctx, []unixfs.Directory{directory}); err != nil {
		return outbox.Item{}, fmt.Errorf("storing a %s record: %w", d.Note.Kind, err)
	}
	r.fresh.add([]unixfs.Directory{directory})
	hash := wire.MetadataHash(d.Metadata)
	items, err := r.outbox.Accept([]outbox.Submission{{Also: also, Item: outbox.Item{
		Key: key, Note: d.Note, Collection: d.Note.Collection, Publisher: r.account, Directory: directory.Root().String(), MetadataHash: hash[:], StoredAt: state.Now(),
		Destroys: d.Note.Asset, By: auditlog.ActorIn(ctx).User,
	}}})
	if err != nil {
		return outbox.Item{}, err
	}
	return items[0], nil
}

// DirectoryOf makes a draft the directory that is stored.
func DirectoryOf(d consortium.Draft) (unixfs.Directory, error) {
	return unixfs.Build(unixfs.File{Name: wire.MetadataName, Data: d.Metadata}, unixfs.File{Name: d.PayloadName, Data: d.Payload})
}

// RecordKey names a collection's records in the outbox.
func RecordKey(id string, revision int) []byte {
	return KeyOf("collection", id, strconv.Itoa(revision))
}

// ObjectKey is what is published exactly once: a version of an object in a collection, or, for an object without
// versions, its content.
func ObjectKey(e *view.Entry) []byte {
	version := e.Instant.UTC().Format(time.RFC3339Nano) // a version is an instant, however it is written
	if e.Unversioned {
		version = "#" + hex.EncodeToString(e.Hash)
	}
	return KeyOf("object", e.Collection, e.ID, version)
}

// KeyOf is a hash of words that contain no zero byte.
func KeyOf(words ...string) []byte {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return sum[:]
}
