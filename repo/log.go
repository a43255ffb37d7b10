package repo

import (
	"fmt"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

// Log gives up to limit events of the log that are later than a position, in chain order.
func (v *View) Log(after consortium.Position, limit int) (events []LoggedEvent, err error) {
	from := append(positionKey(after), 0)
	err = v.store.read(func(txn *kv.Txn) error {
		return scan(txn, key(tableEvent), from, func(_ []byte, item *kv.Item) (bool, error) {
			var e LoggedEvent
			if err := itemJSON(item, &e); err != nil {
				return false, err
			}
			events = append(events, e)
			return len(events) < limit, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the event log after %s: %w", after, err)
	}
	return events, nil
}
