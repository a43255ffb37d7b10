package outbox

import (
	"fmt"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

// Published gives the item that was published under a name, whatever has become of it since.
func (o *Outbox) Published(name wire.Publication) (item Item, found bool, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		item, found, err = itemBy(txn, txKey(name))
		if err != nil || found || name.Index == 0 {
			return err
		}
		batch, _, err := itemBy(txn, txKey(wire.Publication{TxID: name.TxID}))
		if err != nil {
			return err
		}
		numbers, err := readList(txn, batch.Number)
		if err != nil || int(name.Index) > len(numbers) {
			return err
		}
		item, found, err = itemByNumber(txn, numbers[name.Index-1])
		return err
	})
	if err != nil {
		return Item{}, false, fmt.Errorf("looking for what was published as %s: %w", name, err)
	}
	return item, found, nil
}
