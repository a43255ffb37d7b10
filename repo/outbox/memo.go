package outbox

import (
	"fmt"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Memo gives what was kept under a name; nil if nothing was.
func (o *Outbox) Memo(name string) (data []byte, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		data, _, err = store.Get(txn, store.Key(store.TableMemo, []byte(name)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the memo %s: %w", name, err)
	}
	return data, nil
}

// SetMemo keeps something under a name, durably and encrypted like the rest of the outbox.
func (o *Outbox) SetMemo(name string, data []byte) error {
	return o.SetMemos(map[string][]byte{name: data})
}

// SetMemos keeps some things under their names, in one write.
func (o *Outbox) SetMemos(all map[string][]byte) error {
	err := o.store.Write(func(txn *kv.Txn) error {
		for name, data := range all {
			if err := txn.Set(store.Key(store.TableMemo, []byte(name)), data); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("writing memos: %w", err)
	}
	return nil
}

// ForgetMemo forgets what was kept under a name.
func (o *Outbox) ForgetMemo(name string) error {
	if err := o.store.Write(func(txn *kv.Txn) error { return txn.Delete(store.Key(store.TableMemo, []byte(name))) }); err != nil {
		return fmt.Errorf("forgetting the memo %s: %w", name, err)
	}
	return nil
}

// Memos lists the names of up to limit memos that begin with a prefix, the last ones first.
func (o *Outbox) Memos(prefix string, limit int) (names []string, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		it := txn.NewReverse(store.Key(store.TableMemo, []byte(prefix)))
		defer it.Close()
		for ; it.Valid() && len(names) < limit; it.Next() {
			names = append(names, string(it.Item().Key()[len(store.Key(store.TableMemo)):]))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the memos %s: %w", prefix, err)
	}
	return names, nil
}
