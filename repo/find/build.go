package find

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// buildItems is how many entries are put into the indexes in one transaction.
const buildItems = 256

// Run puts into the indexes what was in the view before them, and deletes what is left of indexes of other formats.
// It works in small steps, between which others write, and rests as long as it works. Interrupted, it goes on where it
// was. It returns when there is nothing to do, or when the context ends.
func (x *Index) Run(ctx context.Context) error {
	for _, job := range []struct {
		name string
		some func() (more bool, err error)
	}{{"making the indexes", x.buildSome}, {"deleting indexes of another format", x.sweepSome}} {
		for more := true; more; {
			begun := time.Now()
			var err error
			if more, err = job.some(); err != nil {
				return fmt.Errorf("%s: %w", job.name, err)
			}
			if !rest(ctx, more, time.Since(begun)) {
				return nil
			}
		}
	}
	return nil
}

// rest waits, if there is more to do, and reports whether to go on.
func rest(ctx context.Context, more bool, d time.Duration) bool {
	if !more {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// buildSome puts some entries into the indexes. They can't leave the view meanwhile.
func (x *Index) buildSome() (more bool, err error) {
	for limit := x.step; ; limit /= 2 {
		now := *x.state.Load()
		if now.Whole {
			return false, nil
		}
		err = x.view.Maintain(func(txn *kv.Txn) error {
			if now = *x.state.Load(); now.Whole { // the view was emptied
				return nil
			}
			if err := x.enterFrom(txn, &now, limit); err != nil {
				return err
			}
			return store.SetJSON(txn, metaKey(), now)
		})
		if errors.Is(err, kv.ErrTooBig) && limit > 1 {
			continue
		}
		if err == nil {
			x.state.Store(&now)
		}
		return !now.Whole, err
	}
}

// enterFrom puts up to so many entries into the indexes, from where they end.
func (x *Index) enterFrom(txn *kv.Txn, now *state, limit int) error {
	var dates []int64
	err := store.Scan(txn, store.Key(store.TableEntry), store.U64(uint64(now.Next)), func(k []byte, item *kv.Item) (bool, error) {
		date := int64(binary.BigEndian.Uint64(k[len(k)-8:]))
		if date > now.Until {
			return false, nil
		}
		dates = append(dates, date)
		return len(dates) < limit, nil
	})
	if err != nil {
		return err
	}
	size, c := 0, x.Change()
	for i, date := range dates {
		entry, err := x.view.EntryAt(txn, date, true)
		if err != nil || entry == nil {
			return errors.Join(err, errDamaged)
		}
		c.Enter(entry)
		now.Next, now.Done = date+1, now.Done+1
		if size += len(entry.Object); size > store.ChunkBytes && i+1 < len(dates) {
			return c.Write(txn)
		}
	}
	now.Whole = len(dates) < limit
	return c.Write(txn)
}

// sweepSome deletes some keys of indexes of other formats.
func (x *Index) sweepSome() (more bool, err error) {
	err = x.view.Maintain(func(txn *kv.Txn) error {
		more = false
		var keys [][]byte
		for _, table := range []byte{store.TableValue, store.TableReference, store.TableWord} {
			ours := tableKey(table)
			for _, from := range [][]byte{nil, {format + 1}} {
				err := store.Scan(txn, store.Key(table), from, func(k []byte, _ *kv.Item) (bool, error) {
					if bytes.HasPrefix(k, ours) {
						return false, nil
					}
					keys = append(keys, bytes.Clone(k))
					return len(keys) < store.ChunkItems, nil
				})
				if err != nil {
					return err
				}
			}
		}
		more = len(keys) >= store.ChunkItems
		for _, k := range keys {
			if err := txn.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}
