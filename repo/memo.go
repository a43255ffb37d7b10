package repo

import (
	"fmt"

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
