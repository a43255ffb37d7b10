package repo

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/internal/consortium"
)

// Log gives up to limit events of the log that are later than a position, in chain order.
func (v *View) Log(after consortium.Position, limit int) (events []LoggedEvent, err error) {
	from := append(positionKey(after), 0)
	err = v.store.read(func(txn *badger.Txn) error {
		return scan(txn, key(tableEvent), from, true, func(_ []byte, item *badger.Item) (bool, error) {
			var e LoggedEvent
			err := item.Value(func(data []byte) error { return json.Unmarshal(data, &e) })
			events = append(events, e)
			return len(events) < limit, err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the event log after %s: %w", after, err)
	}
	return events, nil
}
