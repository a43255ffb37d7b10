package outbox

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// keepStatus is how long the status of a request can be asked for. TAXII 2.1 wants at least a day (section 4.3).
const keepStatus = 90 * 24 * time.Hour

// Status is what became of the objects of one request, a line each, in the request's order.
type Status struct {
	ID        string       `json:"id"`   // UUIDv4
	Root      string       `json:"root"` // API root
	User      string       `json:"user"`
	Requested time.Time    `json:"requested"`
	Lines     []StatusLine `json:"lines"`
}

// StatusLine is one object: refused, published before, or on its way as an item of the outbox.
type StatusLine struct {
	ObjectID string     `json:"object,omitzero"`
	Version  string     `json:"version,omitzero"`
	Failure  string     `json:"failure,omitzero"`
	Note     string     `json:"note,omitzero"` // what is odd about it, though it is taken
	Before   *Published `json:"before,omitzero"`
	Item     uint64     `json:"item,omitzero"`
}

// Published says where an object is.
type Published struct {
	TxID      string    `json:"txid"`
	Asset     uint64    `json:"asset"`
	Index     uint32    `json:"index,omitzero"` // in the batch
	Directory string    `json:"directory"`
	StoredAt  time.Time `json:"stored"`
}

// AddStatus keeps the status of a request for 90 days.
func (o *Outbox) AddStatus(s Status) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("writing status %s: %w", s.ID, err)
	}
	err = o.store.Write(func(txn *kv.Txn) error {
		return txn.Put(kv.Entry{Key: store.Key(store.TableStatus, []byte(s.ID)), Body: data, Expires: uint64(time.Now().Add(keepStatus).Unix())})
	})
	if err != nil {
		return fmt.Errorf("writing status %s: %w", s.ID, err)
	}
	return nil
}

// StatusLines gives the lines of the status of an earlier request.
func (o *Outbox) StatusLines(id string) (lines []StatusLine, found bool, err error) {
	var s Status
	err = o.store.Read(func(txn *kv.Txn) error {
		found, err = store.GetJSON(txn, store.Key(store.TableStatus, []byte(id)), &s)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("reading status %.40s: %w", id, err)
	}
	return s.Lines, found, nil
}

// Status gives the status of an earlier request and the items of its lines, by their numbers.
func (o *Outbox) Status(id string) (s Status, items map[uint64]Item, found bool, err error) {
	items = map[uint64]Item{}
	batches := map[uint64]Item{}
	err = o.store.Read(func(txn *kv.Txn) error {
		if found, err = store.GetJSON(txn, store.Key(store.TableStatus, []byte(id)), &s); err != nil || !found {
			return err
		}
		for _, line := range s.Lines {
			if line.Item == 0 {
				continue
			}
			var item Item
			if _, err := store.GetJSON(txn, store.Key(store.TableItem, store.U64(line.Item)), &item); err != nil {
				return err
			}
			if err := complete(txn, &item, batches); err != nil {
				return err
			}
			items[line.Item] = item
		}
		return nil
	})
	if err != nil {
		return Status{}, nil, false, fmt.Errorf("reading status %.40s: %w", id, err)
	}
	return s, items, found, nil
}
