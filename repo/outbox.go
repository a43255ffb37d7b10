package repo

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

// Outbox is what this organisation publishes, from its acceptance to its confirmation on the chain. Every method is
// atomic for each item and durable when it returns.
type Outbox struct {
	store *store

	mu       sync.Mutex // one writer
	counters counters
	counts   [Confirmed]atomic.Int64 // how many items are in each queue
	moved    [Confirmed]int64        // … more, once the running transaction is committed
	order    order
	queues   [Confirmed]*workQueue
	puts     [Confirmed]lowest // … for the running transaction
}

type counters struct {
	Items    uint64 `json:"items"`         // the last number given to an item
	Groups   uint64 `json:"groups"`        // … to a group
	Sequence uint64 `json:"sequence"`      // … to a transaction: the chain's sequence number of this publisher
	Rank     uint64 `json:"rank,omitzero"` // the greatest that was signed, see order.go
	// Free are numbers up to Sequence that were given to nothing, see [Outbox.FillSequence].
	Free []uint64 `json:"free,omitzero"`
}

// State is how far an item has come. The states are the durable points of the publish pipeline.
type State byte

// The states of an item, in their order.
const (
	Accepted  State = iota + 1 // its plaintext is kept in the outbox
	Stored                     // it is sealed and on IPFS; the plaintext is deleted
	Signed                     // it is in a group whose signed transactions are kept
	Confirmed                  // it is on the chain
	Withdrawn                  // its NFT was destroyed
)

func (s State) String() string {
	return [...]string{"", "accepted", "stored", "signed", "confirmed", "withdrawn"}[s]
}

// Item is one thing to publish: an object or a record.
type Item struct {
	Number uint64 `json:"n"`
	State  State  `json:"state"`
	Key    []byte `json:"key"` // what is published exactly once; the caller chooses it
	// Publication counts how often the key was published after a withdrawal, from 0.
	Publication uint32    `json:"publication,omitzero"`
	User        string    `json:"user,omitzero"` // who it is published for; "" where its turn is always now
	Rank        uint64    `json:"rank,omitzero"` // its turn, see order.go
	Bulk        bool      `json:"bulk,omitzero"` // it was not among the first of its request
	Note        wire.Note `json:"note"`          // with its sequence number once it was signed for the first time
	Collection  string    `json:"collection,omitzero"`
	ObjectID    string    `json:"object,omitzero"`    // STIX id
	Version     string    `json:"version,omitzero"`   // STIX modified or created; "" for an unversioned object
	Revealing   bool      `json:"revealing,omitzero"` // the identifier may stand in clear
	Revoked     bool      `json:"revoked,omitzero"`   // the version revokes the object
	Level       uint8     `json:"level,omitzero"`     // objects: the TLP level that it was accepted with
	Destroys    uint64    `json:"destroys,omitzero"`  // the asset id of the NFT that it ends, rather than to mint one
	Hash        []byte    `json:"hash,omitzero"`      // SHA-256 of the canonical JSON
	StoredAt    time.Time `json:"stored,omitzero"`    // as metadata.json says; the version of an unversioned object
	// Replaces is the number of the item whose place this one takes, ReplacesAsset the NFT that it is about where the
	// outbox has no such item. Both were published under the same key; the other one is to be ended, see [Outbox.Replacing].
	Replaces      uint64 `json:"replaces,omitzero"`
	ReplacesAsset uint64 `json:"replaces_asset,omitzero"`

	// From Stored on, unless it destroys.
	Epoch        uint32 `json:"epoch,omitzero"`     // objects: the key epoch that it is sealed to
	Directory    string `json:"directory,omitzero"` // CID
	MetadataHash []byte `json:"metadata_hash,omitzero"`

	// From Signed on.
	Group uint64 `json:"group,omitzero"`
	TxID  string `json:"txid,omitzero"`

	// From Confirmed on.
	Round uint64 `json:"round,omitzero"`
	Asset uint64 `json:"asset,omitzero"`
	// Failure says why it will never be published.
	Failure string `json:"failure,omitzero"`
}

// Group is up to 16 signed transactions that are confirmed together or not at all.
type Group struct {
	Number     uint64   `json:"n"`
	Items      []uint64 `json:"items"`
	TxIDs      []string `json:"txids"`
	Raw        []byte   `json:"raw"` // the signed transactions, concatenated, as algod takes them
	FirstValid uint64   `json:"first_valid"`
	LastValid  uint64   `json:"last_valid"`
	// Former are the transaction ids of the same with lower fees, which were signed before. They have the same leases and
	// the same rounds, so that either all of one signing are confirmed or all of another, or none.
	Former [][]string `json:"former,omitzero"`
}

// Signings are the transaction ids of each time that the group was signed, the latest first.
func (g Group) Signings() [][]string { return append([][]string{g.TxIDs}, g.Former...) }

// The tables of the state store that belong to the outbox.
const (
	tableItem    = 'i' // number -> Item
	tablePayload = 'p' // number -> plaintext
	tableQueue   = 'q' // state, rank, number -> nothing
	tableKey     = 'k' // key -> number
	tableTx      = 'x' // transaction id -> number
	tableExpired = 'z' // id of a transaction that was given up -> nothing
	tableUse     = 'd' // CID of a directory that was announced -> number
	tableGroup   = 'g' // number -> Group
	tableMarking = 'm' // STIX id of a marking definition, 0, number -> plaintext
	tableCounter = 'c'
	tableReplace = 'R' // number -> nothing: items that take the places of others, which are not ended yet
)

// What one Badger transaction takes at most, well below its own limits.
const (
	chunkItems = 256
	chunkBytes = 1 << 20
)

func openOutbox(s *store) (*Outbox, error) {
	o := &Outbox{store: s}
	for state := range o.queues {
		o.queues[state] = newWorkQueue(key(tableQueue, []byte{byte(state)}))
	}
	err := s.read(func(txn *kv.Txn) error {
		if _, err := getJSON(txn, key(tableCounter), &o.counters); err != nil {
			return err
		}
		o.order.now = o.counters.Rank
		return scan(txn, key(tableQueue), nil, func(k []byte, _ *kv.Item) (bool, error) {
			o.counts[k[2]].Add(1)
			return true, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("opening the outbox: %w", err)
	}
	return o, nil
}

// Submission is something to publish. Its Item needs no number, no rank and no state: with a payload it begins as
// [Accepted], without one, sealed and stored already, as [Stored].
type Submission struct {
	Item    Item
	Payload []byte
	Also    [][]byte // further keys by which the item can be found, unless they have one already
	Replace bool     // if its key has other content, it takes the place of that; so does what revokes what is not revoked
}

// Accept takes submissions in. For each it returns the item that publishes its key: a new one, or, if the key is
// published or on its way already, the one that is. Those of one call are one request of the user that their items
// name: they are published in their order, and in turn with those of others.
func (o *Outbox) Accept(submissions []Submission) (items []Item, err error) {
	var r request
	for rest := submissions; len(rest) > 0; {
		n, size := 0, 0
		for n < len(rest) && n < chunkItems && size <= chunkBytes {
			size += len(rest[n].Payload)
			n++
		}
		accepted, err := o.acceptChunk(rest[:n], &r) // others come in between
		if err != nil {
			return items, fmt.Errorf("accepting into the outbox: %w", err)
		}
		items, rest = append(items, accepted...), rest[n:]
	}
	return items, nil
}

func (o *Outbox) acceptChunk(submissions []Submission, r *request) (items []Item, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	err = o.write(func(txn *kv.Txn) error {
		for _, s := range submissions {
			item := s.Item
			existing, found, err := itemByKey(txn, item.Key)
			if err != nil {
				return err
			}
			published := found && existing.State != Withdrawn
			if published && !s.Replaces(existing) {
				items = append(items, existing)
				continue
			}
			if published {
				item.Replaces = existing.Number
			}
			if found {
				item.Publication = existing.Publication + 1
			}
			next.Items++
			item.Number, item.State = next.Items, Stored
			if err := noteReplacing(txn, item); err != nil {
				return err
			}
			r.place(&o.order, &item)
			if s.Payload != nil {
				item.State = Accepted
				if err := txn.Set(key(tablePayload, u64(item.Number)), s.Payload); err != nil {
					return err
				}
				if item.isMarking() {
					if err := txn.Set(item.markingKey(), s.Payload); err != nil {
						return err
					}
				}
			}
			if err := setKeys(txn, item, s.Also); err != nil {
				return err
			}
			if err := o.put(txn, item, 0); err != nil {
				return err
			}
			items = append(items, item)
		}
		return setJSON(txn, key(tableCounter), next)
	})
	if err != nil {
		return nil, err
	}
	o.counters = next
	return items, nil
}

// setKeys makes an item the one that publishes its key, and all others that aren't published.
func setKeys(txn *kv.Txn, item Item, also [][]byte) error {
	for _, k := range also {
		other, found, err := itemByKey(txn, k)
		if err != nil {
			return err
		}
		if found && other.State != Withdrawn {
			continue
		}
		if err := txn.Set(key(tableKey, k), u64(item.Number)); err != nil {
			return err
		}
	}
	return txn.Set(key(tableKey, item.Key), u64(item.Number))
}

// write runs a transaction and brings the counts up to date. The caller holds the mutex.
func (o *Outbox) write(transaction func(*kv.Txn) error) error {
	o.moved, o.puts = [Confirmed]int64{}, [Confirmed]lowest{}
	if err := o.store.write(transaction); err != nil {
		return err
	}
	for state, n := range o.moved {
		o.counts[state].Add(n)
		if k := o.puts[state]; k != nil {
			o.queues[state].put(k)
		}
	}
	return nil
}

// put stores an item and moves it from the queue of its former state (0: none) to that of its state. Items that are
// done are in no queue.
func (o *Outbox) put(txn *kv.Txn, item Item, former State) error {
	if former != 0 && former != item.State && former < Confirmed {
		o.moved[former]--
		if err := txn.Delete(item.queueKey(former)); err != nil {
			return err
		}
	}
	if item.State < Confirmed && former != item.State {
		o.moved[item.State]++
		k := item.queueKey(item.State)
		o.puts[item.State].add(k)
		if err := txn.Set(k, nil); err != nil {
			return err
		}
	}
	return setJSON(txn, key(tableItem, u64(item.Number)), item)
}

func itemByKey(txn *kv.Txn, k []byte) (item Item, found bool, err error) {
	return itemBy(txn, key(tableKey, k))
}

func itemBy(txn *kv.Txn, index []byte) (item Item, found bool, err error) {
	n, found, err := get(txn, index)
	if err != nil || !found {
		return Item{}, false, err
	}
	found, err = getJSON(txn, key(tableItem, n), &item)
	return item, found, err
}

// Find gives the item that publishes a key.
func (o *Outbox) Find(k []byte) (item Item, found bool, err error) {
	err = o.store.read(func(txn *kv.Txn) error {
		item, found, err = itemByKey(txn, k)
		return err
	})
	return item, found, err
}

// Item gives an item by its number.
func (o *Outbox) Item(n uint64) (item Item, found bool, err error) {
	err = o.store.read(func(txn *kv.Txn) error {
		found, err = getJSON(txn, key(tableItem, u64(n)), &item)
		return err
	})
	return item, found, err
}

// ItemByTxID gives the item that a transaction publishes.
func (o *Outbox) ItemByTxID(txid string) (item Item, found bool, err error) {
	err = o.store.read(func(txn *kv.Txn) error {
		item, found, err = itemBy(txn, key(tableTx, []byte(txid)))
		return err
	})
	return item, found, err
}

// Uses reports whether a directory is that of an item which was signed and is not withdrawn: others know of it before
// the chain does.
func (o *Outbox) Uses(directory string) (used bool, err error) {
	err = o.store.read(func(txn *kv.Txn) error {
		item, found, err := itemBy(txn, key(tableUse, []byte(directory)))
		used = found && item.State != Withdrawn
		return err
	})
	if err != nil {
		return false, fmt.Errorf("looking for the item of directory %.80s: %w", directory, err)
	}
	return used, nil
}

// queuedItem reads the item that a key of the queue names.
func queuedItem(txn *kv.Txn, k []byte) (item Item, err error) {
	_, err = getJSON(txn, key(tableItem, k[len(k)-8:]), &item)
	return item, err
}

// eachQueued calls visit for every item in the given states, until it returns an error.
func eachQueued(txn *kv.Txn, states []State, visit func(Item) error) error {
	for _, state := range states {
		err := scan(txn, key(tableQueue, []byte{byte(state)}), nil, func(k []byte, _ *kv.Item) (bool, error) {
			item, err := queuedItem(txn, k)
			if err != nil {
				return false, err
			}
			return true, visit(item)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Queue gives up to limit items of a state, in the order in which they go on, beginning after the one with a number (0:
// at the beginning).
func (o *Outbox) Queue(state State, after uint64, limit int) (items []Item, err error) {
	var from *spot
	if after > 0 {
		last, _, err := o.Item(after)
		if err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		at := last.spot()
		from = &at
	}
	err = o.scanQueue(state, from, func(item Item) bool {
		items = append(items, item)
		return len(items) < limit
	})
	return items, err
}

// Count tells how many items are in each of the states before [Confirmed].
func (o *Outbox) Count() map[State]int {
	counts := map[State]int{}
	for _, state := range []State{Accepted, Stored, Signed} {
		counts[state] = int(o.counts[state].Load())
	}
	return counts
}

// Payload gives the plaintext of an accepted item.
func (o *Outbox) Payload(n uint64) (payload []byte, err error) {
	err = o.store.read(func(txn *kv.Txn) error {
		var found bool
		payload, found, err = get(txn, key(tablePayload, u64(n)))
		if err == nil && !found {
			err = errors.New("there is none")
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the payload of item %d: %w", n, err)
	}
	return payload, nil
}

// SetStored records that items are on IPFS, with their directories and hashes, and deletes their plaintext.
func (o *Outbox) SetStored(items []Item) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.update(items, func(txn *kv.Txn, item *Item) error {
		item.State = Stored
		return txn.DeleteLarge(key(tablePayload, u64(item.Number)))
	})
	if err != nil {
		return fmt.Errorf("recording stored items: %w", err)
	}
	return nil
}

// Reopen takes an item that is stored, and not signed, back to its beginning, with its plaintext: it has to be sealed
// anew, since its collection has another key now.
func (o *Outbox) Reopen(item Item, payload []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.update([]Item{item}, func(txn *kv.Txn, item *Item) error {
		item.State, item.Epoch, item.Directory, item.MetadataHash = Accepted, 0, "", nil
		return txn.Set(key(tablePayload, u64(item.Number)), payload)
	})
	if err != nil {
		return fmt.Errorf("reopening item %d: %w", item.Number, err)
	}
	return nil
}

// update changes items of state former in chunks of one transaction each.
func (o *Outbox) update(items []Item, change func(*kv.Txn, *Item) error) error {
	for len(items) > 0 {
		n := min(len(items), chunkItems)
		err := o.write(func(txn *kv.Txn) error {
			for _, item := range items[:n] {
				former := item.State
				if err := change(txn, &item); err != nil {
					return err
				}
				if err := o.put(txn, item, former); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// Number gives every item that has none yet the next sequence number of this publisher. A number is kept for ever,
// whatever becomes of the transaction, so that other members see no hole.
func (o *Outbox) Number(items []Item) ([]Item, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	numbered := make([]Item, len(items))
	err := o.write(func(txn *kv.Txn) error {
		for i, item := range items {
			if item.Note.Sequence == 0 {
				item.Note.Sequence = next.number()
				if err := o.put(txn, item, item.State); err != nil {
					return err
				}
			}
			numbered[i] = item
		}
		return setJSON(txn, key(tableCounter), next)
	})
	if err != nil {
		return nil, fmt.Errorf("numbering items: %w", err)
	}
	o.counters = next
	return numbered, nil
}

// number takes the next sequence number.
func (c *counters) number() uint64 {
	if len(c.Free) > 0 {
		n := c.Free[0]
		c.Free = c.Free[1:]
		return n
	}
	c.Sequence++
	return c.Sequence
}

const publisherMemo = "publisher"

// SetPublisher says whose transactions the outbox is for. When the organisation has another account than before, the
// numbers begin anew.
func (o *Outbox) SetPublisher(account string) error {
	before, err := o.Memo(publisherMemo)
	if err != nil || string(before) == account {
		return err
	}
	if before != nil {
		if err := o.renumber(); err != nil {
			return fmt.Errorf("beginning with the numbers of account %s: %w", account, err)
		}
	}
	return o.SetMemo(publisherMemo, []byte(account))
}

func (o *Outbox) renumber() error {
	if err := o.Unnumber(func(uint64) bool { return true }); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	next.Sequence, next.Free = 0, nil
	if err := o.write(func(txn *kv.Txn) error { return setJSON(txn, key(tableCounter), next) }); err != nil {
		return err
	}
	o.counters = next
	return nil
}

// Unnumber takes the sequence numbers that somebody else has given, too, from what is not signed: it gets others.
func (o *Outbox) Unnumber(taken func(number uint64) bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var numbered []Item
	err := o.store.read(func(txn *kv.Txn) error { // what is sealed anew has its number, too
		return eachQueued(txn, []State{Accepted, Stored}, func(item Item) error {
			if item.Note.Sequence != 0 && taken(item.Note.Sequence) {
				numbered = append(numbered, item)
			}
			return nil
		})
	})
	if err == nil {
		err = o.update(numbered, func(_ *kv.Txn, item *Item) error {
			item.Note.Sequence = 0
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("taking sequence numbers back: %w", err)
	}
	return nil
}

// SkipSequence makes the next sequence number at least one more than the highest that was seen on the chain: for a
// node whose outbox was lost.
func (o *Outbox) SkipSequence(seen uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if seen <= o.counters.Sequence {
		return nil
	}
	next := o.counters
	next.Sequence = seen
	if err := o.write(func(txn *kv.Txn) error { return setJSON(txn, key(tableCounter), next) }); err != nil {
		return fmt.Errorf("skipping sequence numbers: %w", err)
	}
	o.counters = next
	return nil
}

// AddGroups records signed groups. Their transactions are those of the items, in their order. The groups are given
// their numbers.
func (o *Outbox) AddGroups(groups []Group, items []Item) ([]Group, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	numbered := make([]Group, len(groups))
	err := o.write(func(txn *kv.Txn) error {
		rest := items
		for i, g := range groups {
			next.Groups++
			g.Number, g.Items = next.Groups, nil
			for _, txid := range g.TxIDs {
				item, former := rest[0], rest[0].State
				rest = rest[1:]
				item.State, item.Group, item.TxID = Signed, g.Number, txid
				g.Items = append(g.Items, item.Number)
				next.Rank = max(next.Rank, item.Rank)
				if err := o.put(txn, item, former); err != nil {
					return err
				}
				for _, index := range [][]byte{key(tableTx, []byte(txid)), key(tableUse, []byte(item.Directory))} {
					if err := txn.Set(index, u64(item.Number)); err != nil {
						return err
					}
				}
			}
			if err := setJSON(txn, key(tableGroup, u64(g.Number)), g); err != nil {
				return err
			}
			numbered[i] = g
		}
		return setJSON(txn, key(tableCounter), next)
	})
	if err != nil {
		return nil, fmt.Errorf("recording signed groups: %w", err)
	}
	o.counters, o.order.now = next, next.Rank
	return numbered, nil
}

// HasGroup reports whether a group has transactions that are not confirmed.
func (o *Outbox) HasGroup(n uint64) (found bool, err error) {
	err = o.store.read(func(txn *kv.Txn) error {
		found, err = has(txn, key(tableGroup, u64(n)))
		return err
	})
	return found, err
}

// Groups gives up to limit of the groups that are not confirmed, beginning after a number.
func (o *Outbox) Groups(after uint64, limit int) (groups []Group, err error) {
	err = o.store.read(func(txn *kv.Txn) error {
		return scan(txn, key(tableGroup), u64(after+1), func(_ []byte, item *kv.Item) (bool, error) {
			var g Group
			if err := itemJSON(item, &g); err != nil {
				return false, err
			}
			groups = append(groups, g)
			return len(groups) < limit, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the groups of the outbox: %w", err)
	}
	return groups, nil
}

// Confirmation says that a transaction is on the chain.
type Confirmation struct {
	TxID  string
	Round uint64
	Asset uint64
	// Directory is where it is, if it is in another directory than the item's; only [Outbox.Resolve] looks at it.
	Directory string
}

// Confirm records that transactions are on the chain. Those that aren't of this outbox, or are recorded already, are
// passed over, so that it can be told twice. A group is forgotten when its last transaction is confirmed.
func (o *Outbox) Confirm(confirmations []Confirmation) (items []Item, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(confirmations) > 0 {
		n := min(len(confirmations), chunkItems)
		var confirmed []Item
		err := o.write(func(txn *kv.Txn) error {
			confirmed = confirmed[:0]
			for _, c := range confirmations[:n] {
				item, found, err := itemBy(txn, key(tableTx, []byte(c.TxID)))
				if err != nil {
					return err
				}
				if !found || item.State != Signed { // every signing of its group has an entry in the table
					continue
				}
				item.State, item.TxID, item.Round, item.Asset = Confirmed, c.TxID, c.Round, c.Asset
				if err := o.put(txn, item, Signed); err != nil {
					return err
				}
				confirmed = append(confirmed, item)
			}
			return forgetGroups(txn, confirmed)
		})
		if err != nil {
			return items, fmt.Errorf("recording confirmations: %w", err)
		}
		items, confirmations = append(items, confirmed...), confirmations[n:]
	}
	return items, nil
}

// forgetGroups deletes the groups of items if nothing in them is waiting.
func forgetGroups(txn *kv.Txn, items []Item) error {
	seen := map[uint64]bool{}
	for _, item := range items {
		if seen[item.Group] {
			continue
		}
		seen[item.Group] = true
		var g Group
		found, err := getJSON(txn, key(tableGroup, u64(item.Group)), &g)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		waiting := false
		for _, n := range g.Items {
			var other Item
			if _, err := getJSON(txn, key(tableItem, u64(n)), &other); err != nil {
				return err
			}
			waiting = waiting || (other.State == Signed && other.Group == g.Number)
		}
		if !waiting {
			if err := txn.Delete(key(tableGroup, u64(g.Number))); err != nil {
				return err
			}
		}
	}
	return nil
}

// Expire records that a group can never be confirmed any more: its items wait to be signed anew, with the sequence
// numbers that they have.
func (o *Outbox) Expire(g Group) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.write(func(txn *kv.Txn) error {
		for i, n := range g.Items {
			var item Item
			if _, err := getJSON(txn, key(tableItem, u64(n)), &item); err != nil {
				return err
			}
			if item.State != Signed || item.Group != g.Number {
				continue
			}
			for _, txids := range g.Signings() {
				err := txn.Delete(key(tableTx, []byte(txids[i])))
				if err == nil {
					err = txn.Set(key(tableExpired, []byte(txids[i])), nil)
				}
				if err != nil {
					return err
				}
			}
			item.State, item.Group, item.TxID = Stored, 0, ""
			if err := o.put(txn, item, Signed); err != nil {
				return err
			}
		}
		return txn.Delete(key(tableGroup, u64(g.Number)))
	})
	if err != nil {
		return fmt.Errorf("recording that group %d expired: %w", g.Number, err)
	}
	return nil
}

// Resign replaces the transactions of a group by others with the same leases and rounds. Found is false if the group isn't
// waiting any more.
func (o *Outbox) Resign(number uint64, txids []string, raw []byte) (g Group, found bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	err = o.write(func(txn *kv.Txn) error {
		if found, err = getJSON(txn, key(tableGroup, u64(number)), &g); err != nil || !found {
			return err
		}
		if len(txids) != len(g.Items) {
			return fmt.Errorf("%d transactions for %d items", len(txids), len(g.Items))
		}
		items := make([]Item, len(g.Items))
		for i, n := range g.Items {
			if _, err := getJSON(txn, key(tableItem, u64(n)), &items[i]); err != nil {
				return err
			}
			if found = items[i].State == Signed && items[i].Group == number; !found {
				return nil
			}
		}
		for i, item := range items {
			item.TxID = txids[i]
			if err := o.put(txn, item, Signed); err != nil {
				return err
			}
			if err := txn.Set(key(tableTx, []byte(txids[i])), u64(item.Number)); err != nil {
				return err
			}
		}
		g.Former = g.Signings()
		g.TxIDs, g.Raw = txids, raw
		return setJSON(txn, key(tableGroup, u64(number)), g)
	})
	if err != nil {
		return Group{}, false, fmt.Errorf("recording that group %d is signed anew: %w", number, err)
	}
	return g, found, nil
}

// Resolve records that an item is published by a transaction that this outbox doesn't know: its journal was lost
// after it had been submitted, or another member published the same. A failure says that what was published is not the
// same after all.
func (o *Outbox) Resolve(item Item, c Confirmation, failure string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.update([]Item{item}, func(txn *kv.Txn, item *Item) error {
		item.State, item.TxID, item.Round, item.Asset, item.Failure = Confirmed, c.TxID, c.Round, c.Asset, failure
		if c.Directory != "" {
			item.Directory = c.Directory
		}
		if c.TxID == "" {
			return nil
		}
		return txn.Set(key(tableTx, []byte(c.TxID)), u64(item.Number))
	})
	if err != nil {
		return fmt.Errorf("recording that item %d is published: %w", item.Number, err)
	}
	return nil
}

// GiveUp records that an item is never published, and why: its content is deleted here. Its key can be taken in again. An
// item that is signed can't be given up.
func (o *Outbox) GiveUp(item Item, failure string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	err := o.write(func(txn *kv.Txn) error {
		former := item.State
		if former != Accepted && former != Stored {
			return fmt.Errorf("it is in state %d", former)
		}
		if item.Note.Sequence != 0 { // it was signed once, and can't be confirmed any more
			next.Free = append(next.Free[:len(next.Free):len(next.Free)], item.Note.Sequence)
			item.Note.Sequence = 0
		}
		item.State, item.Failure = Withdrawn, failure
		if item.isMarking() {
			if err := txn.DeleteLarge(item.markingKey()); err != nil {
				return err
			}
		}
		if err := txn.DeleteLarge(key(tablePayload, u64(item.Number))); err != nil {
			return err
		}
		if err := setJSON(txn, key(tableCounter), next); err != nil {
			return err
		}
		return o.put(txn, item, former)
	})
	if err != nil {
		return fmt.Errorf("giving item %d up: %w", item.Number, err)
	}
	o.counters = next
	return nil
}
