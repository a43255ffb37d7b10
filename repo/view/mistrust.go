package view

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/entries"
)

// The operator may not trust a member: then its lines never lead here. It is the one thing in which two nodes' views
// may differ by choice.

// metaMistrust is what the table of single values has of it.
const metaMistrust = "mistrust"

// mistrust is what is kept of it.
type mistrust struct {
	Members []string `json:"members"` // by their first accounts
	Applied bool     `json:"applied"` // no entry stands otherwise
}

// Mistrusted are the members whose lines never lead here, by their first accounts.
func (v *View) Mistrusted() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Sorted(maps.Keys(v.mistrusted))
}

func (v *View) restoreMistrust(txn *kv.Txn) error {
	var kept mistrust
	if _, err := store.GetJSON(txn, store.Key(store.TableMeta, []byte(metaMistrust)), &kept); err != nil {
		return err
	}
	v.mistrusted = setOf(kept.Members)
	return nil
}

func setOf(members []string) map[string]bool {
	set := make(map[string]bool, len(members))
	for _, m := range members {
		set[m] = true
	}
	return set
}

// keepMistrust says whose lines never lead, and whether no entry stands otherwise.
func (v *View) keepMistrust(members []string, applied bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mistrusted = setOf(members)
	return v.store.Write(func(txn *kv.Txn) error {
		return store.SetJSON(txn, store.Key(store.TableMeta, []byte(metaMistrust)), mistrust{members, applied})
	})
}

// Mistrust says which members' lines never lead here, by their first accounts, and brings the view in line with it.
// Where nothing changes it costs nothing. Interrupted, it is to be called again.
func (v *View) Mistrust(ctx context.Context, members []string) error {
	members = unique(members)
	var kept mistrust
	err := v.store.Read(func(txn *kv.Txn) (err error) {
		kept.Applied = true
		_, err = store.GetJSON(txn, store.Key(store.TableMeta, []byte(metaMistrust)), &kept)
		return err
	})
	if err == nil && kept.Applied && slices.Equal(kept.Members, members) {
		return v.Relead(ctx) // where that was interrupted
	}
	if err == nil {
		err = v.keepMistrust(members, false)
	}
	var from []byte
	for more := err == nil; more; {
		if err = ctx.Err(); err != nil {
			break
		}
		from, err = v.standAnew(from)
		more = err == nil && from != nil
	}
	if err == nil {
		err = v.keepMistrust(members, true)
	}
	if err != nil {
		return fmt.Errorf("passing over the lines of members that are mistrusted: %w", err)
	}
	return v.Relead(ctx)
}

// standAnew looks at some entries, from a date on, and lists those anew that stand where their member may not, or not
// where it may. It gives the date from which to go on; nil at the end.
func (v *View) standAnew(from []byte) (next []byte, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	until := v.stamp // what comes after it stands where it should
	var wrong [][]byte
	err = v.store.Read(func(txn *kv.Txn) error {
		looked := 0
		return store.Scan(txn, store.Key(store.TableEntry), from, func(k []byte, item *kv.Item) (bool, error) {
			date := slices.Clone(k[len(k)-8:])
			if binary.BigEndian.Uint64(date) > uint64(until) {
				return false, nil
			}
			if looked++; looked > store.ChunkItems || len(wrong) == leadItems {
				next = date
				return false, nil
			}
			entry, err := entries.Of(item, false)
			if err != nil {
				return true, v.passStale(err)
			}
			stands, err := stands(txn, entry)
			if stands == v.mistrusted[entry.Owner()] {
				wrong = append(wrong, date)
			}
			return true, err
		})
	})
	for _, date := range wrong {
		if err == nil {
			err = v.write(func(txn *kv.Txn) error {
				_, err := v.move(txn, date, v.displace, v.place)
				return v.passStale(err)
			})
		}
	}
	return next, err
}
