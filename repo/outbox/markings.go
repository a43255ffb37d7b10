package outbox

import (
	"fmt"
	"strings"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Marking definitions are kept when they are sealed, unlike other objects: what is posted after one may carry it, and
// must not have to wait until it has come back from the chain.

func (i *Item) isMarking() bool { return strings.HasPrefix(i.ObjectID, "marking-definition--") }

func (i *Item) markingKey() []byte {
	return store.Key(store.TableMarking, []byte(i.ObjectID), []byte{0}, store.U64(i.Number))
}

// Markings gives up to limit definitions of a marking that were published here and are not withdrawn.
func (o *Outbox) Markings(id string, limit int) (definitions [][]byte, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		return store.Scan(txn, store.Key(store.TableMarking, []byte(id), []byte{0}), nil, func(_ []byte, item *kv.Item) (bool, error) {
			definition, err := item.Value()
			definitions = append(definitions, definition)
			return len(definitions) < limit, err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the definitions of %.80s: %w", id, err)
	}
	return definitions, nil
}
