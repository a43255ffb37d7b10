package outbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// keepStatus is how long the status of a request can be asked for. TAXII 2.1 wants at least a day (section 4.3).
const keepStatus = 90 * 24 * time.Hour

// Status is what became of the objects of one request, a line each, in the request's order. Its lines are kept and read
// in parts: there can be a hundred thousand.
type Status struct {
	ID        string    `json:"id"`   // UUIDv4
	Root      string    `json:"root"` // API root
	User      string    `json:"user"`
	Requested time.Time `json:"requested"`
	Lines     int       `json:"lines"` // how many it has
}

// statusPart is how many lines a part has.
const statusPart = 256

// Parts is how many parts of lines it has.
func (s Status) Parts() int { return (s.Lines + statusPart - 1) / statusPart }

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

func statusKey(id string) []byte { return store.Key(store.TableStatus, []byte(id)) }

func statusPartKey(id string, part int) []byte {
	return store.Key(store.TableStatus, []byte(id), []byte{'/'}, store.U64(uint64(part)))
}

// AddStatus keeps the status of a request, with its lines, for 90 days. It is there when all of it is.
func (o *Outbox) AddStatus(s Status, lines []StatusLine) error {
	s.Lines = len(lines)
	expires := uint64(time.Now().Add(keepStatus).Unix())
	var waiting []kv.Entry
	size := 0
	add := func(key []byte, v any) error {
		data, err := json.Marshal(v)
		waiting, size = append(waiting, kv.Entry{Key: key, Body: data, Expires: expires}), size+len(data)
		return err
	}
	flush := func() error {
		defer func() { waiting, size = waiting[:0], 0 }()
		return o.store.Write(func(txn *kv.Txn) error {
			for _, entry := range waiting {
				if err := txn.Put(entry); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for part := range s.Parts() {
		err := add(statusPartKey(s.ID, part), lines[part*statusPart:min((part+1)*statusPart, len(lines))])
		if err == nil && size >= acceptBytes/2 {
			err = flush()
		}
		if err != nil {
			return fmt.Errorf("writing status %s: %w", s.ID, err)
		}
	}
	err := add(statusKey(s.ID), s)
	if err == nil {
		err = flush()
	}
	if err != nil {
		return fmt.Errorf("writing status %s: %w", s.ID, err)
	}
	return nil
}

// Status gives the status of an earlier request.
func (o *Outbox) Status(id string) (s Status, found bool, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		found, err = store.GetJSON(txn, statusKey(id), &s)
		return err
	})
	if err != nil {
		return Status{}, false, fmt.Errorf("reading status %.40s: %w", id, err)
	}
	return s, found, nil
}

// StatusLines gives a part of the lines of a status.
func (o *Outbox) StatusLines(id string, part int) (lines []StatusLine, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		found, err := store.GetJSON(txn, statusPartKey(id, part), &lines)
		if err == nil && !found {
			err = errors.New("it is not kept any more")
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading part %d of status %.40s: %w", part, id, err)
	}
	return lines, nil
}

// ItemsOf gives the items of lines, by their numbers.
func (o *Outbox) ItemsOf(lines []StatusLine) (items map[uint64]Item, err error) {
	items = make(map[uint64]Item, len(lines))
	batches := map[uint64]Item{}
	err = o.store.Read(func(txn *kv.Txn) error {
		for _, line := range lines {
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
		return nil, fmt.Errorf("reading the items of a status: %w", err)
	}
	return items, nil
}
