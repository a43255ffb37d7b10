package replicate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/retry"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// Refiller brings the directories of a block store that was damaged into the one that took its place: from the damaged
// one, as far as they can be read, or else from other members.
type Refiller struct {
	View interface {
		// Log gives some events after a position, in chain order.
		Log(after consortium.Position, limit int) ([]view.Event, error)
		// Objects gives the objects of a batch.
		Objects(batch view.Event) ([]view.Event, error)
	}
	Outbox interface {
		// Queue gives some items in a state with numbers after one.
		Queue(state outbox.State, after uint64, limit int) ([]outbox.Item, error)
		// Resolve ends an item.
		Resolve(item outbox.Item, by consortium.Place, failure string) error
	}
	Blocks interface {
		Has(ctx context.Context, root cid.Cid) (bool, error)
		Fetch(ctx context.Context, roots []cid.Cid) (swarm.Fetched, error)
		Put(ctx context.Context, directories []unixfs.Directory) error
	}
	Aside     string // the damaged store
	OpenAside func(dir string) (AsideStore, error)
	Log       *slog.Logger
}

// AsideStore is a damaged store, as far as it can be read.
type AsideStore interface {
	Read(ctx context.Context, root cid.Cid) ([]unixfs.File, error)
	Close() error
}

// How often members are asked again for what nobody had.
const (
	firstRefill = 5 * time.Second
	lastRefill  = time.Hour
)

// needed tells whether there is anything to do.
func (r *Refiller) needed() (bool, error) {
	_, err := os.Stat(r.Aside)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Run works until everything is here that counts.
func (r *Refiller) Run(ctx context.Context) error {
	if needed, err := r.needed(); err != nil || !needed {
		return err
	}
	backoff := retry.Backoff{First: firstRefill, Most: lastRefill}
	for failures := 0; ; failures++ {
		missing, err := r.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("filling the block store again: %w", err)
		case missing == 0:
			r.Log.Info("the block store holds again what it held before it was damaged")
			return os.RemoveAll(r.Aside)
		}
		pause := backoff.After(failures)
		r.Log.Warn("directories that were lost with the damaged block store are on no member's node that can be reached; they are asked for again",
			"directories", missing, "in", pause.Round(time.Second))
		if !retry.Wait(ctx, pause) {
			return nil
		}
	}
}

// pass goes through all that counts, and returns how many directories are still missing.
func (r *Refiller) pass(ctx context.Context) (missing int, err error) {
	aside := r.open()
	defer func() { _ = aside.Close() }() // it is only read
	var after consortium.Position
	for {
		events, err := r.View.Log(after, swarm.MaxFetch)
		if err != nil || len(events) == 0 || ctx.Err() != nil {
			return missing, err
		}
		n, err := r.fill(ctx, aside, events)
		if missing += n; err != nil {
			return missing, err
		}
		for _, e := range events {
			after = e.Position
			if e.Note.Kind != wire.KindBatch {
				continue
			}
			objects, err := r.View.Objects(e)
			if err != nil {
				return missing, err
			}
			n, err := r.fill(ctx, aside, objects)
			if missing += n; err != nil {
				return missing, err
			}
		}
	}
}

// fill brings what events need, and returns how many directories are missing.
func (r *Refiller) fill(ctx context.Context, aside AsideStore, events []view.Event) (missing int, err error) {
	var wanted []cid.Cid
	for _, e := range events {
		if e.Directory == "" || e.State == view.Waiting || e.State == view.Refused || e.State == view.Ended || e.State == view.Done {
			continue // or whoever waits for it asks for it
		}
		root, err := cid.Decode(e.Directory)
		if err != nil {
			return 0, fmt.Errorf("directory of transaction %s: %w", e.TxID, err)
		}
		here, err := r.salvage(ctx, aside, root)
		if err != nil {
			return 0, err
		}
		if !here {
			wanted = append(wanted, root)
		}
	}
	if len(wanted) == 0 {
		return 0, nil
	}
	fetched, err := r.Blocks.Fetch(ctx, wanted)
	if err != nil && ctx.Err() == nil {
		return 0, err
	}
	return len(fetched.Missing), nil
}

// salvage takes a directory over from the damaged store. It reports whether it is here then.
func (r *Refiller) salvage(ctx context.Context, aside AsideStore, root cid.Cid) (bool, error) {
	here, err := r.Blocks.Has(ctx, root)
	if err != nil || here {
		return here, err
	}
	files, err := aside.Read(ctx, root)
	if err != nil {
		return false, nil // that it is damaged is why we are here
	}
	directory, err := unixfs.Build(files...)
	if err != nil || directory.Root() != root {
		return false, nil
	}
	return true, r.Blocks.Put(ctx, []unixfs.Directory{directory})
}

// Pending takes over what is on its way to the chain and on no other member's node. What can't be is lost: an object
// has to be posted again; a record, without which nothing goes on, has to come back from a backup.
func (r *Refiller) Pending(ctx context.Context) error {
	if needed, err := r.needed(); err != nil || !needed {
		return err
	}
	aside := r.open()
	defer func() { _ = aside.Close() }() // it is only read
	for _, state := range []outbox.State{outbox.Stored, outbox.Signed} {
		for after := uint64(0); ; {
			items, err := r.Outbox.Queue(state, after, fetchBatch)
			if err != nil {
				return err
			}
			if len(items) == 0 {
				break
			}
			for _, item := range items {
				after = item.Number
				if err := r.takeOver(ctx, aside, item); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *Refiller) takeOver(ctx context.Context, aside AsideStore, item outbox.Item) error {
	if item.Note.Kind == wire.KindDestroy {
		return nil
	}
	root, err := cid.Decode(item.Directory)
	if err != nil {
		return fmt.Errorf("directory of item %d: %w", item.Number, err)
	}
	here, err := r.salvage(ctx, aside, root)
	switch {
	case err != nil || here:
		return err
	case item.Note.Kind != wire.KindObject && item.State == outbox.Stored:
		return fmt.Errorf("%w: a record that is not on the chain yet was lost with the block store; move the repository away and restore a backup "+
			"into it with \"slnode restore\"", repo.ErrDamaged)
	case item.State == outbox.Stored:
		r.Log.Error("an object was lost with the damaged block store; it has to be posted again", "object", item.ObjectID, "collection", item.Collection)
		return r.Outbox.Resolve(item, consortium.Place{}, "its sealed form was lost with a damaged block store; post it again")
	}
	r.Log.Error("an object that is signed was lost with the damaged block store; withdraw it and post it again if no member has it",
		"object", item.ObjectID, "collection", item.Collection, "txid", item.TxID)
	return nil
}

// open opens the damaged store, if it can be opened at all.
func (r *Refiller) open() AsideStore {
	aside, err := r.OpenAside(r.Aside)
	if err != nil {
		r.Log.Info("the damaged block store can't be opened; all of it is asked of members", "error", err)
		return nothing{}
	}
	return aside
}

// nothing is a store that could not be opened.
type nothing struct{}

func (nothing) Read(context.Context, cid.Cid) ([]unixfs.File, error) { return nil, unixfs.ErrNotFound }

func (nothing) Close() error { return nil }
