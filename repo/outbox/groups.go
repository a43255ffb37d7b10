package outbox

import (
	"fmt"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Group is up to 16 signed transactions that are confirmed together or not at all.
type Group struct {
	Number     uint64   `json:"n"`
	Items      []uint64 `json:"items"`
	TxIDs      []string `json:"txids"`
	Raw        []byte   `json:"raw"` // the signed transactions, concatenated, as algod takes them
	FirstValid uint64   `json:"first_valid"`
	LastValid  uint64   `json:"last_valid"`
	Fees       []uint64 `json:"fees,omitzero"` // what each of its transactions costs, in microalgo, by signing, see Signings
	// Former are the transaction ids of the same with lower fees, which were signed before. They have the same leases and
	// the same rounds, so that either all of one signing are confirmed or all of another, or none.
	Former [][]string `json:"former,omitzero"`
}

// Signings are the transaction ids of each time that the group was signed, the latest first.
func (g Group) Signings() [][]string { return append([][]string{g.TxIDs}, g.Former...) }

// AddGroups records signed groups. Their transactions are those of the items, in their order. The groups are given
// their numbers.
func (o *Outbox) AddGroups(groups []Group, items []Item) ([]Group, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	numbered := make([]Group, len(groups))
	err := o.write(func(txn *kv.Txn) error {
		rest := items
		for i, g := range groups {
			next.Groups++
			g.Number, g.Items = next.Groups, nil
			for _, txid := range g.TxIDs {
				item, former := rest[0], rest[0].State
				rest = rest[1:]
				item.State, item.Group, item.TxID = Signed, g.Number, txid
				g.Items = append(g.Items, item.Number)
				next.Rank = max(next.Rank, item.Rank)
				if err := o.put(txn, item, former); err != nil {
					return err
				}
				for _, index := range [][]byte{store.Key(store.TableTx, []byte(txid)), store.Key(store.TableUse, []byte(item.Directory))} {
					if err := txn.Set(index, store.U64(item.Number)); err != nil {
						return err
					}
				}
			}
			if err := store.SetJSON(txn, store.Key(store.TableGroup, store.U64(g.Number)), g); err != nil {
				return err
			}
			numbered[i] = g
		}
		return store.SetJSON(txn, store.Key(store.TableCounter), next)
	})
	if err != nil {
		return nil, fmt.Errorf("recording signed groups: %w", err)
	}
	o.counters, o.order.now = next, next.Rank
	return numbered, nil
}

// HasGroup reports whether a group has transactions that are not confirmed.
func (o *Outbox) HasGroup(n uint64) (found bool, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		found, err = store.Has(txn, store.Key(store.TableGroup, store.U64(n)))
		return err
	})
	return found, err
}

// Groups gives up to limit of the groups that are not confirmed, beginning after a number.
func (o *Outbox) Groups(after uint64, limit int) (groups []Group, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		return store.Scan(txn, store.Key(store.TableGroup), store.U64(after+1), func(_ []byte, item *kv.Item) (bool, error) {
			var g Group
			if err := store.ItemJSON(item, &g); err != nil {
				return false, err
			}
			groups = append(groups, g)
			return len(groups) < limit, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the groups of the outbox: %w", err)
	}
	return groups, nil
}

// forgetGroups deletes the groups of items if nothing in them is waiting.
func forgetGroups(txn *kv.Txn, items []Item) error {
	seen := map[uint64]bool{}
	for _, item := range items {
		if seen[item.Group] {
			continue
		}
		seen[item.Group] = true
		var g Group
		found, err := store.GetJSON(txn, store.Key(store.TableGroup, store.U64(item.Group)), &g)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		waiting := false
		for _, n := range g.Items {
			var other Item
			if _, err := store.GetJSON(txn, store.Key(store.TableItem, store.U64(n)), &other); err != nil {
				return err
			}
			waiting = waiting || (other.State == Signed && other.Group == g.Number)
		}
		if !waiting {
			if err := txn.Delete(store.Key(store.TableGroup, store.U64(g.Number))); err != nil {
				return err
			}
		}
	}
	return nil
}

// Expire records that a group can never be confirmed any more: its items wait to be signed anew, with the sequence
// numbers that they have.
func (o *Outbox) Expire(g Group) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.write(func(txn *kv.Txn) error {
		for i, n := range g.Items {
			var item Item
			if _, err := store.GetJSON(txn, store.Key(store.TableItem, store.U64(n)), &item); err != nil {
				return err
			}
			if item.State != Signed || item.Group != g.Number {
				continue
			}
			for _, txids := range g.Signings() {
				err := txn.Delete(store.Key(store.TableTx, []byte(txids[i])))
				if err == nil {
					err = txn.Set(store.Key(store.TableExpired, []byte(txids[i])), nil)
				}
				if err != nil {
					return err
				}
			}
			item.State, item.Group, item.TxID = Stored, 0, ""
			if err := o.put(txn, item, Signed); err != nil {
				return err
			}
		}
		return txn.Delete(store.Key(store.TableGroup, store.U64(g.Number)))
	})
	if err != nil {
		return fmt.Errorf("recording that group %d expired: %w", g.Number, err)
	}
	return nil
}

// Resign replaces the transactions of a group by others with the same leases and rounds, of which each costs a fee.
// Found is false if the group isn't waiting any more.
func (o *Outbox) Resign(number uint64, txids []string, raw []byte, fee uint64) (g Group, found bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	err = o.write(func(txn *kv.Txn) error {
		if found, err = store.GetJSON(txn, store.Key(store.TableGroup, store.U64(number)), &g); err != nil || !found {
			return err
		}
		if len(txids) != len(g.Items) {
			return fmt.Errorf("%d transactions for %d items", len(txids), len(g.Items))
		}
		items := make([]Item, len(g.Items))
		for i, n := range g.Items {
			if _, err := store.GetJSON(txn, store.Key(store.TableItem, store.U64(n)), &items[i]); err != nil {
				return err
			}
			if found = items[i].State == Signed && items[i].Group == number; !found {
				return nil
			}
		}
		for i, item := range items {
			item.TxID = txids[i]
			if err := o.put(txn, item, Signed); err != nil {
				return err
			}
			if err := txn.Set(store.Key(store.TableTx, []byte(txids[i])), store.U64(item.Number)); err != nil {
				return err
			}
		}
		g.Former = g.Signings()
		g.TxIDs, g.Raw, g.Fees = txids, raw, append([]uint64{fee}, g.Fees...)
		return store.SetJSON(txn, store.Key(store.TableGroup, store.U64(number)), g)
	})
	if err != nil {
		return Group{}, false, fmt.Errorf("recording that group %d is signed anew: %w", number, err)
	}
	return g, found, nil
}
