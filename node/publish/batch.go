package publish

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Many objects that go onto the chain with one NFT. Everything that can be decided for all of them at once is decided
// about their batch; it is sealed as a whole, and where it must not be signed as it was sealed it is sealed again,
// without what must not be published, or is published already.

// MaxBatchBytes is how much plaintext a batch takes: it is held in memory while it is sealed.
const MaxBatchBytes = 8 << 20

// sealWhole takes a batch from accepted to stored, if its objects may be published now. Those that never may be leave
// it.
func (s *Sealer) sealWhole(ctx context.Context, batch outbox.Item) error {
	objects, err := s.Outbox.Objects(batch)
	if err != nil {
		return err
	}
	drafts, _, err := s.draft(objects, math.MaxInt64)
	if err != nil || len(drafts) == 0 {
		return err
	}
	left, err := s.left(batch)
	if err != nil || left.Objects != len(drafts) { // the others wait, and so does all of it
		return err
	}
	objects, directories := sealed(drafts, s.State.Self)
	record, directory, err := s.list(left, objects, directories)
	if err != nil {
		return fmt.Errorf("sealing batch %d: %w", batch.Number, err)
	}
	s.Condition.Clear()
	s.Outbox.passed(stages.Sealed, objects...)
	if err := s.Blocks.Put(ctx, append(directories, directory)); err != nil {
		return fmt.Errorf("storing a batch of %d objects: %w", len(objects), err)
	}
	if err := s.Outbox.SetBatchStored(record, objects); err != nil {
		return err
	}
	s.Fresh.add([]unixfs.Directory{directory})
	s.Log.Debug("a batch of objects is sealed and stored", "objects", len(objects))
	return nil
}

// left is a batch as it is now, after some of its objects have left it.
func (s *Sealer) left(batch outbox.Item) (outbox.Item, error) {
	left, _, err := s.Outbox.Item(batch.Number)
	return left, err
}

// list drafts the record of a batch, whose objects are sealed.
func (s *Sealer) list(batch outbox.Item, objects []outbox.Item, directories []unixfs.Directory) (outbox.Item, unixfs.Directory, error) {
	roots, epoch := make([]cid.Cid, len(directories)), objects[0].Epoch
	batch.Level = 0
	for i, d := range directories {
		roots[i] = d.Root()
		batch.Level = max(batch.Level, objects[i].Level) // who may have that may have the others
	}
	draft, err := consortium.DraftBatch(s.Consortium, batch.Collection, epoch, roots, batch.StoredAt)
	if err == nil {
		draft, err = draft.By(s.State.Self)
	}
	if err != nil {
		return batch, unixfs.Directory{}, err
	}
	directory, err := DirectoryOf(draft)
	if err != nil {
		return batch, directory, err
	}
	hash := wire.MetadataHash(draft.Metadata)
	batch.Epoch, batch.Publisher = epoch, s.State.Self
	batch.Directory, batch.MetadataHash = directory.Root().String(), hash[:]
	batch.Key = KeyOf("batch", batch.Directory) // which its lease is made of
	return batch, directory, nil
}

// reopenBatch takes a batch to be sealed again, with the key that it was sealed with. What was found on the chain
// leaves it.
func (m *Minter) reopenBatch(ctx context.Context, batch outbox.Item, key *seal.EpochKey, found ...outbox.Found) error {
	batch, err := m.Outbox.BeginReopening(batch)
	if err != nil {
		return err
	}
	objects, err := m.Outbox.Objects(batch)
	if err != nil {
		return err
	}
	roots, payloads := make([]cid.Cid, 0, len(objects)+1), make([][]byte, len(objects))
	for i, object := range objects {
		directory, plaintext, err := m.unsealed(ctx, object, key)
		if err != nil {
			return err
		}
		roots, payloads[i] = append(roots, directory.Root()), plaintext
	}
	if err := m.Outbox.KeepPayloads(objects, payloads); err != nil {
		return err
	}
	own, err := cid.Decode(batch.Directory)
	if err != nil {
		return fmt.Errorf("directory of batch %d: %w", batch.Number, err)
	}
	if err := m.Outbox.ReopenBatch(batch, found); err != nil {
		return err
	}
	return m.Fresh.blocks.Forget(ctx, append(roots, own))
}

// unpublishedBatch reports whether nothing of a batch is on the chain already. Else what is there is recorded, and the
// rest goes back to be sealed without it.
func (m *Minter) unpublishedBatch(ctx context.Context, batch outbox.Item) (whole bool, err error) {
	objects, err := m.Outbox.Objects(batch)
	if err != nil {
		return false, err
	}
	var found []outbox.Found
	for _, object := range objects {
		done, at, failure, err := m.done(&object)
		if err != nil {
			return false, err
		}
		if done {
			found = append(found, outbox.Found{Object: object, At: at, Failure: failure})
		}
	}
	if len(found) == 0 {
		return true, nil
	}
	key := m.keyOf(batch)
	if key == nil { // it comes with the records that are not here
		return false, nil
	}
	if err := m.reopenBatch(ctx, batch, key, found...); err != nil {
		return false, fmt.Errorf("sealing a batch again, of which %d objects are on the chain: %w", len(found), err)
	}
	m.Outbox.Done.Notify()
	return false, nil
}

// keyOf is the key that something is sealed with; nil if it is not here.
func (m *Minter) keyOf(item outbox.Item) (key *seal.EpochKey) {
	m.State.Read(func(s *consortium.State) { key = s.Keys(item.Collection)[item.Epoch] })
	return key
}

// unsealed gives the plaintext of an object that is stored.
func (m *Minter) unsealed(ctx context.Context, item outbox.Item, key *seal.EpochKey) (unixfs.Directory, []byte, error) {
	directory, err := m.Fresh.take(ctx, item.Directory)
	if err != nil {
		return directory, nil, err
	}
	files, err := directory.Files()
	if err != nil {
		return directory, nil, err
	}
	object, _ := unixfs.Pick(files, wire.ObjectName)
	if object == nil {
		return directory, nil, errors.New("its directory has no " + wire.ObjectName)
	}
	sealed, err := wire.ParseSealedObject(object)
	if err != nil {
		return directory, nil, err
	}
	plaintext, err := key.Open(sealed)
	return directory, plaintext, err
}
