package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
)

// sealBatch is how many objects are sealed and stored at once: enough that the disk is synced once for many.
const sealBatch = 256

// SealBytes is how much of them is held in memory.
const SealBytes = 16 << 20

// Blocks is where directories are kept.
type Blocks interface {
	// Put returns nil when the directories survive a power loss.
	Put(ctx context.Context, directories []unixfs.Directory) error
	// Read gives the two files of a directory; the error wraps [unixfs.ErrNotFound] if it is not here.
	Read(ctx context.Context, root cid.Cid) ([]unixfs.File, error)
	// Forget deletes directories.
	Forget(ctx context.Context, roots []cid.Cid) error
}

// Own keeps what was sealed until the chain has it, so that it need not be opened.
type Own interface {
	Keep(root cid.Cid, draft consortium.Draft, object []byte, key *seal.EpochKey)
}

// Sealer is the second stretch of the publish pipeline: it seals what was accepted and stores it on IPFS.
type Sealer struct {
	Outbox     *Outbox
	State      *state.Shared
	Blocks     Blocks
	Fresh      *Fresh
	Own        Own // nil: nobody asks
	Consortium uint64
	Disk       *problem.Disk
	Memory     int64 // how much plaintext may be held at once, in bytes, and one object for each processor
	Condition  *problem.Monitor
	Log        *slog.Logger
}

// Run seals until the context ends. It looks at the queue from its beginning whenever something changes that may let
// one of its items go.
func (s *Sealer) Run(ctx context.Context) error {
	queue := s.Outbox.Reader(outbox.Accepted)
	err := signal.Until(ctx, func() (bool, error) { return false, s.sealAll(ctx, queue) }, &s.Outbox.Accepted, &s.State.Changed)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// sealAll seals until nothing is there that may be sealed. What comes in meanwhile and has its turn before what is left
// is sealed before it.
func (s *Sealer) sealAll(ctx context.Context, queue *outbox.Reader) error {
	queue.Restart()
	for {
		all, err := queue.Next(sealBatch)
		if err != nil || len(all) == 0 {
			return err
		}
		s.Disk.Await(ctx)
		n, err := s.seal(ctx, withoutTail(all))
		if err != nil || ctx.Err() != nil {
			return err
		}
		if n < len(all) {
			queue.Return(all[n])
		}
	}
}

// seal takes a batch, or as much of it as may be held in memory, from accepted to stored, and returns how many items it
// looked at. Items of a collection in which this organisation may not publish any more wait until it may.
func (s *Sealer) seal(ctx context.Context, items []outbox.Item) (n int, err error) {
	if items[0].Note.Kind == wire.KindBatch {
		return 1, s.sealWhole(ctx, items[0])
	}
	if at := slices.IndexFunc(items, func(item outbox.Item) bool { return item.Note.Kind == wire.KindBatch }); at > 0 {
		items = items[:at]
	}
	drafts, n, err := s.draft(items, s.Memory)
	if err != nil {
		return 0, fmt.Errorf("sealing: %w", err)
	}
	if len(drafts) == 0 {
		return n, nil
	}
	stored, directories := sealed(drafts, s.State.Self)
	if len(stored) == n {
		s.Condition.Clear()
	}
	s.Outbox.passed(stages.Sealed, stored...)
	if err := s.Blocks.Put(ctx, directories); err != nil {
		return 0, fmt.Errorf("storing %d objects: %w", len(directories), err)
	}
	if err := s.Outbox.SetStored(stored); err != nil {
		return 0, err
	}
	s.Fresh.add(directories)
	s.Log.Debug("objects are sealed and stored", "objects", len(stored))
	return n, nil
}

// sealed gives what is to be stored of drafts, for the account that is to mint it.
func sealed(drafts []*draft, publisher string) (items []outbox.Item, directories []unixfs.Directory) {
	items, directories = make([]outbox.Item, len(drafts)), make([]unixfs.Directory, len(drafts))
	for i, d := range drafts {
		hash := wire.MetadataHash(d.Metadata)
		items[i], directories[i] = d.item, d.directory
		items[i].Epoch, items[i].Publisher = d.epoch, publisher
		items[i].Directory, items[i].MetadataHash = directories[i].Root().String(), hash[:]
	}
	return items, directories
}

// draft is an object that is sealed and not stored.
type draft struct {
	consortium.Draft
	item      outbox.Item
	epoch     uint32 // that it is sealed to
	directory unixfs.Directory
}

// draft seals those of the items that may be published now, on all processors, as far as so many bytes may be held in
// memory. It returns how many items it looked at.
func (s *Sealer) draft(items []outbox.Item, memory int64) (drafts []*draft, n int, err error) {
	var held atomic.Int64
	again := recheck{state: s.State, outbox: s.Outbox.Outbox}
	ours := map[string]consortium.Collection{}
	for _, c := range s.State.Collections() {
		if c.MayPublish(s.State.Self) && !c.Pending {
			ours[c.ID] = c
		}
	}
	var workers errgroup.Group
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for n < len(items) && held.Load() < memory {
		item := items[n]
		into, now, err := s.into(&again, ours, item)
		if err != nil {
			return nil, 0, errors.Join(err, workers.Wait())
		}
		n++
		if !now {
			continue
		}
		d := &draft{item: item, epoch: into.Epoch}
		drafts = append(drafts, d)
		workers.Go(func() error {
			object, err := s.Outbox.Payload(item.Number)
			if err != nil {
				return err
			}
			held.Add(int64(len(object)))
			if err := s.sealOne(d, into, object); err != nil {
				return fmt.Errorf("sealing object %s: %w", item.ObjectID, err)
			}
			return nil
		})
	}
	return drafts, n, workers.Wait()
}

// sealOne seals one object.
func (s *Sealer) sealOne(d *draft, into consortium.Collection, object []byte) (err error) {
	d.Draft, err = consortium.DraftObject(s.Consortium, into, d.item.ObjectID, d.item.Version, d.item.Revealing, object, d.item.StoredAt)
	if err == nil {
		d.Draft, err = d.By(s.State.Self)
	}
	if err == nil {
		d.directory, err = DirectoryOf(d.Draft)
	}
	if err == nil && s.Own != nil {
		s.Own.Keep(d.directory.Root(), d.Draft, object, into.Key)
	}
	return err
}

// into is the collection that an item is published in, if that may be now. It gives the item up if it never may be.
func (s *Sealer) into(again *recheck, ours map[string]consortium.Collection, item outbox.Item) (into consortium.Collection, now bool, err error) {
	gone, err := s.giveUp(again, item)
	if err != nil || gone {
		return into, false, err
	}
	if into, now = ours[item.Collection]; now && s.State.Active() {
		return into, true, nil
	}
	onTheWay, err := s.onTheWay(item.Collection)
	if err == nil && !onTheWay {
		s.Condition.Set("permission", "this organisation may not publish in collection "+item.Collection+" now")
	}
	return into, false, err
}

// giveUp gives an item up if it must not be published any more, whatever may come.
func (s *Sealer) giveUp(again *recheck, item outbox.Item) (gone bool, err error) {
	now, err := again.look(item.Collection)
	if err != nil {
		return false, err
	}
	why := now.withholds(item)
	if why == nil {
		return false, nil
	}
	if err := s.Outbox.GiveUp(item, why.Error()); err != nil {
		return false, err
	}
	s.Log.Warn("an object is not published", "object", item.ObjectID, "collection", item.Collection, "reason", why)
	return true, nil
}

// onTheWay reports whether a record of a collection will arrive that decides, or the first of one of ours.
func (s *Sealer) onTheWay(collection string) (bool, error) {
	if c, known := s.State.Collection(collection); known {
		return c.Pending, nil
	}
	_, found, err := s.Outbox.Find(RecordKey(collection, 1))
	return found, err
}
