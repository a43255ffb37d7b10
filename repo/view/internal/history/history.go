// Package history keeps what the chain has told: events, by their positions, and with each what has become of it. A
// batch is one event, and each object that it lists has a state of its own, as if it were the event of an NFT: it is
// kept in a table of its own, with what differs from the batch, once something has become of it.
package history

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/listing"
)

// Event is an event of the chain that counts, and what has become of it here.
type Event struct {
	consortium.Event
	Member  string `json:"member,omitzero"` // whose account the sender is, by the member's first one; none for the sender's own
	State   State  `json:"state"`
	Reason  string `json:"reason,omitzero"`  // why it is refused, or what it waits for
	Tries   int    `json:"tries,omitzero"`   // how often its blocks were asked for in vain
	Due     int64  `json:"due,omitzero"`     // when they are asked for next, unix milliseconds
	Entered int64  `json:"entered,omitzero"` // objects in the view: their date_added in microseconds
	Epoch   uint32 `json:"epoch,omitzero"`   // objects whose metadata was read: the key epoch that they are sealed to
	Listed  Listed `json:"listed,omitzero"`  // objects of a batch: what it says of them
	// Ended is where on the chain it was withdrawn.
	Ended consortium.Position `json:"ended,omitzero"`
	// Withdrawn are the indexes of a batch's objects that were taken back, whether or not anything of it was here then:
	// see [Event.HasWithdrawn].
	Withdrawn []byte `json:"withdrawn,omitzero"`
	// Publication is what a duplicate publishes. It stays when the duplicate's turn has come.
	Publication []byte `json:"publication,omitzero"`
}

// Listed is what a batch says of its objects.
type Listed struct {
	Collection string `json:"collection,omitzero"`
	Epoch      uint32 `json:"epoch,omitzero"`
}

// State is what has become of an event.
type State byte

// The states of an event.
const (
	Waiting   State = iota + 1 // its blocks are not here yet
	Undecided                  // its blocks are here; a record that decides about it, or the key, is not
	Held                       // a record whose content is known; a batch of which every object has a state of its own
	InView                     // an object that is served
	Duplicate                  // an object that another transaction published before
	Refused                    // it doesn't count, for a reason that only its content shows
	Ended                      // it was withdrawn
	Done                       // it has no content: a destroy, or a release
)

func (s State) String() string {
	return [...]string{"", "waiting for its blocks", "undecided", "held", "in view", "duplicate", "refused", "withdrawn", "done"}[s]
}

// ErrStale is for what an index names and the view does not have, or not in order.
var ErrStale = errors.New("an index of the view names what is not there")

// PositionKey is a position as it stands in keys.
func PositionKey(p consortium.Position) []byte {
	return binary.BigEndian.AppendUint32(append(store.U64(p.Round), store.U64(p.Intra)...), p.Index)
}

// PlaceOf is the position at the end of a key.
func PlaceOf(k []byte) []byte { return k[len(k)-listing.PositionSize:] }

// ParsePosition reads the position at the end of a key.
func ParsePosition(k []byte) consortium.Position {
	k = PlaceOf(k)
	return consortium.Position{Round: binary.BigEndian.Uint64(k), Intra: binary.BigEndian.Uint64(k[8:]), Index: binary.BigEndian.Uint32(k[16:])}
}

// At gives the event at a position, or an object that a batch lists.
func At(txn *kv.Txn, at []byte) (Event, error) {
	p := ParsePosition(at)
	if p.Index == 0 {
		return Transaction(txn, p)
	}
	batch, err := Transaction(txn, p)
	if err != nil {
		return Event{}, err
	}
	return Object(txn, batch, p.Index)
}

// Set keeps what At gives.
func Set(txn *kv.Txn, e Event) error {
	if e.Index != 0 {
		return store.SetJSON(txn, store.Key(store.TableListed, PositionKey(e.Position)), listed{
			Directory: e.Directory, State: e.State, Reason: e.Reason, Tries: e.Tries, Due: e.Due, Entered: e.Entered, Epoch: e.Epoch,
			Listed: e.Listed, Ended: e.Ended, Publication: e.Publication,
		})
	}
	return store.SetJSON(txn, store.Key(store.TableEvent, PositionKey(e.Position)), e)
}

// Transaction gives the event at a position, and for an object of a batch the batch.
func Transaction(txn *kv.Txn, p consortium.Position) (e Event, err error) {
	p.Index = 0
	data, found, err := store.Get(txn, store.Key(store.TableEvent, PositionKey(p)))
	if err == nil && !found {
		err = ErrStale
	}
	if err == nil {
		if problem := json.Unmarshal(data, &e); problem != nil {
			err = fmt.Errorf("%w: %w", ErrStale, problem)
		}
	}
	if err != nil {
		return e, fmt.Errorf("the event at %s: %w", p, err)
	}
	return e, nil
}

// listed is what is kept of an object that a batch lists.
type listed struct {
	Directory   string              `json:"directory"`
	State       State               `json:"state"`
	Reason      string              `json:"reason,omitzero"`
	Tries       int                 `json:"tries,omitzero"`
	Due         int64               `json:"due,omitzero"`
	Entered     int64               `json:"entered,omitzero"`
	Epoch       uint32              `json:"epoch,omitzero"`
	Listed      Listed              `json:"listed,omitzero"`
	Ended       consortium.Position `json:"ended,omitzero"`
	Publication []byte              `json:"publication,omitzero"`
}

func (e Event) decode(index uint32, data []byte) (Event, error) {
	var l listed
	if err := json.Unmarshal(data, &l); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrStale, err)
	}
	return Event{
		Event: e.Event.Listed(index, l.Directory), Member: e.Member, State: l.State, Reason: l.Reason, Tries: l.Tries, Due: l.Due,
		Entered: l.Entered, Epoch: l.Epoch, Listed: l.Listed, Ended: l.Ended, Publication: l.Publication,
	}, nil
}

// Object gives what has become of an object of a batch; the error wraps [ErrStale] if that is nothing.
func Object(txn *kv.Txn, batch Event, index uint32) (e Event, err error) {
	p := batch.Position
	p.Index = index
	data, found, err := store.Get(txn, store.Key(store.TableListed, PositionKey(p)))
	if err == nil && !found {
		err = ErrStale
	}
	if err == nil {
		e, err = batch.decode(index, data)
	}
	if err != nil {
		return e, fmt.Errorf("the object at %s: %w", p, err)
	}
	return e, nil
}

// Objects gives the objects of a batch of which something has become, in their order. Pass says which of their errors
// are passed over.
func Objects(txn *kv.Txn, batch Event, pass func(error) error) (list []Event, err error) {
	place := PositionKey(batch.Position)
	beginning := store.Key(store.TableListed, place[:len(place)-4])
	err = store.Scan(txn, beginning, nil, func(k []byte, item *kv.Item) (bool, error) {
		data, err := item.Value()
		if err != nil {
			return false, err
		}
		e, err := batch.decode(ParsePosition(bytes.Clone(k)).Index, data)
		if err == nil {
			list = append(list, e)
		}
		return true, pass(err)
	})
	return list, err
}

// Object is one that a batch lists, as it is when nothing has become of it.
func (e Event) Object(index uint32, directory string, says Listed) Event {
	o := Event{Event: e.Event.Listed(index, directory), Member: e.Member, State: Waiting, Listed: says}
	if e.HasWithdrawn(index) {
		o.State = Ended
	}
	return o
}

// HasWithdrawn reports whether what an event published was taken back: all of it or, with an index, one object.
func (e Event) HasWithdrawn(index uint32) bool {
	if e.State == Ended || index == 0 {
		return e.State == Ended
	}
	at, bit := bitOf(index)
	return at < len(e.Withdrawn) && e.Withdrawn[at]&bit != 0
}

// Withdraw notes that one object of a batch was taken back.
func (e *Event) Withdraw(index uint32) {
	at, bit := bitOf(index)
	if missing := at + 1 - len(e.Withdrawn); missing > 0 {
		e.Withdrawn = append(e.Withdrawn, make([]byte, missing)...)
	}
	e.Withdrawn[at] |= bit
}

// bitOf is where an index from 1 on stands in a set of them.
func bitOf(index uint32) (at int, bit byte) {
	return int(index-1) / 8, 1 << ((index - 1) % 8)
}

// Use counts the events that may count and name a directory. They are not looked for: anybody can mint any number of
// NFTs about one directory.
func Use(txn *kv.Txn, directory string, by int) error {
	k := store.Key(store.TableDirectory, []byte(directory))
	value, found, err := store.Get(txn, k)
	if err != nil {
		return err
	}
	n := by
	if found {
		n += int(binary.BigEndian.Uint64(value))
	}
	if n <= 0 {
		return txn.Delete(k)
	}
	return txn.Set(k, store.U64(uint64(n)))
}
