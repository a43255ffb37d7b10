package repo

import (
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

const tableMemo = 'M' // name -> bytes

// Memo gives what was kept under a name; nil if nothing was.
func (o *Outbox) Memo(name string) (data []byte, err error) {
	err = o.store.read(func(txn *badger.Txn) error {
		data, _, err = get(txn, key(tableMemo, []byte(name)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the memo %s: %w", name, err)
	}
	return data, nil
}

// SetMemo keeps something under a name, durably and encrypted like the rest of the outbox.
func (o *Outbox) SetMemo(name string, data []byte) error {
	err := o.store.write(func(txn *badger.Txn) error { return txn.Set(key(tableMemo, []byte(name)), data) })
	if err != nil {
		return fmt.Errorf("writing the memo %s: %w", name, err)
	}
	return nil
}

// ForgetMemo forgets what was kept under a name.
func (o *Outbox) ForgetMemo(name string) error {
	if err := o.store.write(func(txn *badger.Txn) error { return txn.Delete(key(tableMemo, []byte(name))) }); err != nil {
		return fmt.Errorf("forgetting the memo %s: %w", name, err)
	}
	return nil
}

// Memos lists the names of up to limit memos that begin with a prefix, the last ones first.
func (o *Outbox) Memos(prefix string, limit int) (names []string, err error) {
	err = o.store.read(func(txn *badger.Txn) error {
		opts := badger.DefaultIteratorOptions
		opts.PrefetchValues, opts.Reverse, opts.Prefix = false, true, key(tableMemo, []byte(prefix))
		it := txn.NewIterator(opts)
		defer it.Close()
		for it.Seek(append(slices.Clone(opts.Prefix), 0xff)); it.Valid() && len(names) < limit; it.Next() {
			names = append(names, prefix+string(it.Item().Key()[len(opts.Prefix):]))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the memos %s: %w", prefix, err)
	}
	return names, nil
}
