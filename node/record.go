package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

// records is where records of this organisation go: they need no sealing here, and begin the pipeline as what is stored.
type records struct {
	outbox *repo.Outbox
	blocks blockStore
	fresh  *freshDirectories
	wake   func() // tells the minter that there is work
}

func newRecords(outbox *repo.Outbox, blocks blockStore, fresh *freshDirectories, wake func()) *records {
	return &records{outbox: outbox, blocks: blocks, fresh: fresh, wake: wake}
}

// store stores a record and takes it into the outbox as something to mint. A record with a key that is published, or on
// its way, is not published again. It can be found by further keys also.
func (r *records) store(ctx context.Context, key []byte, d consortium.Draft, also ...[]byte) (repo.Item, error) {
	if item, found, err := r.outbox.Find(key); err != nil || found && item.State != repo.Withdrawn {
		return item, err
	}
	directory, err := directoryOf(d)
	if err != nil {
		return repo.Item{}, fmt.Errorf("storing a %s record: %w", d.Note.Kind, err)
	}
	if err := r.blocks.Put(ctx, []p2p.Directory{directory}); err != nil {
		return repo.Item{}, fmt.Errorf("storing a %s record: %w", d.Note.Kind, err)
	}
	r.fresh.add([]p2p.Directory{directory})
	hash := wire.MetadataHash(d.Metadata)
	items, err := r.outbox.Accept([]repo.Submission{{Also: also, Item: repo.Item{
		Key: key, Note: d.Note, Collection: d.Note.Collection, Directory: directory.Root().String(), MetadataHash: hash[:], StoredAt: now(),
		Destroys: d.Note.Asset,
	}}})
	if err != nil {
		return repo.Item{}, err
	}
	r.wake()
	return items[0], nil
}

// directoryOf makes a draft the directory that is stored.
func directoryOf(d consortium.Draft) (p2p.Directory, error) {
	return p2p.BuildDirectory(p2p.File{Name: wire.MetadataName, Data: d.Metadata}, p2p.File{Name: d.PayloadName, Data: d.Payload})
}

// recordKey names a collection's records in the outbox.
func recordKey(id string, revision int) []byte {
	return hashOf("collection", id, strconv.Itoa(revision))
}

// hashOf is a hash of words that contain no zero byte.
func hashOf(words ...string) []byte {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return sum[:]
}
