package repo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
)

// View is what the node serves, derived from the chain and IPFS: the log of events (events.go) and the objects that
// they published, with indexes by which a page costs the same in a small and in a large collection.
type View struct {
	store *store

	mu    sync.Mutex // one writer; also makes the order of commits that of date_added
	stamp int64      // the last date_added given, unix microseconds

	waiting, undecided atomic.Int64 // how many events are in these tables
	moved              struct {     // … more, once the running transaction is committed
		waiting, undecided int64
		objects            bool // some came or went
	}
	onChange func()
}

// OnChange sets what is called after every change of the objects that are served. It is called while the view is
// locked for writers, and must be quick. To be set before anything is written.
func (v *View) OnChange(tell func()) { v.onChange = tell }

// write runs a transaction and brings the counts up to date. The caller holds the mutex.
func (v *View) write(transaction func(*badger.Txn) error) error {
	v.moved.waiting, v.moved.undecided, v.moved.objects = 0, 0, false
	if err := v.store.write(transaction); err != nil {
		return err
	}
	v.waiting.Add(v.moved.waiting)
	v.undecided.Add(v.moved.undecided)
	if v.moved.objects {
		v.onChange()
	}
	return nil
}

// Everything is the collection that holds every object of the view, beside its own collection.
const Everything = "00000000-0000-0000-0000-000000000000"

// Entry is one version of one object in the view.
type Entry struct {
	Collection  string              `json:"collection"`
	ID          string              `json:"id"`
	Type        string              `json:"type"`
	Version     string              `json:"version"` // as TAXII has it
	Instant     time.Time           `json:"instant"` // the same as a point in time
	Unversioned bool                `json:"unversioned,omitzero"`
	Hash        []byte              `json:"hash"` // SHA-256 of the canonical JSON
	DateAdded   int64               `json:"added"`
	Position    consortium.Position `json:"position"`
	Publisher   string              `json:"publisher"` // account
	TxID        string              `json:"txid"`
	Asset       uint64              `json:"asset"`
	Directory   string              `json:"directory"`
	StoredAt    time.Time           `json:"stored"`
	Object      []byte              `json:"-"`
}

// Added is the entry's date_added.
func (e *Entry) Added() time.Time { return time.UnixMicro(e.DateAdded).UTC() }

// The tables of the view store that belong to the objects. A date is a date_added in unix microseconds; it is unique
// in the view and names an entry.
const (
	tableEntry     = 'E' // date -> Entry: length of the JSON header (uint32), header, object
	tableAll       = 'A' // collection, date -> nothing
	tableLatest    = 'L' // collection, date -> nothing: the latest version of each object
	tableType      = 'T' // collection, type, 0, date -> nothing
	tableObject    = 'O' // collection, STIX id, 0, instant of the version, tag -> date
	tableHead      = 'H' // collection, STIX id -> the latest version: instant, tag, date
	tableIdentity  = 'I' // collection, identity -> date
	tableChanged   = 'C' // collection -> when something came or went last; like a date, and never one that comes later
	tableDuplicate = 'D' // publication, position -> nothing: events whose object is there already
	metaObjects    = "objects"
)

func openView(path string, storeKey []byte) (*View, error) {
	s, err := openStore(path, storeKey, derived)
	if err != nil {
		return nil, err
	}
	v := &View{store: s, onChange: func() {}}
	err = s.read(func(txn *badger.Txn) error {
		if k, found := last(txn, key(tableEntry)); found {
			v.stamp = int64(binary.BigEndian.Uint64(k[2:]))
		}
		changed, err := changedAt(txn, Everything)
		if err != nil {
			return err
		}
		v.stamp = max(v.stamp, changed)
		return v.countEvents(txn)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the view: %w", err), s.close())
	}
	return v, nil
}

// Reset deletes the view. The next fold begins at the charter. What was served before keeps its place in time: the
// dates that are given afterwards are later than all before.
func (v *View) Reset() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.store.empty(); err != nil {
		return fmt.Errorf("deleting the view: %w", err)
	}
	v.onChange()
	return v.store.read(v.countEvents)
}

func (v *View) close() error { return v.store.close() }

// nextStamp is a date_added that no entry had: the time, but always later than the one before, whatever the clock
// does.
func (v *View) nextStamp() int64 {
	v.stamp = max(time.Now().UnixMicro(), v.stamp+1)
	return v.stamp
}

func collectionKey(id string) []byte {
	u, err := uuid.Parse(id)
	if err != nil {
		return make([]byte, 16) // no collection has it
	}
	return u[:]
}

// identity is what makes two publications the same: an object and a version, or, for what has no version, its content.
func (e *Entry) identity() []byte {
	if e.Unversioned {
		return slices.Concat([]byte(e.ID), []byte{0, 'h'}, e.Hash)
	}
	return slices.Concat([]byte(e.ID), []byte{0, 'v'}, instantKey(e.Instant))
}

// instantKey sorts as time does, from year 1 on.
func instantKey(t time.Time) []byte {
	return binary.BigEndian.AppendUint32(u64(uint64(t.Unix())+1<<63), uint32(t.Nanosecond()))
}

// tag tells versions apart that have the same instant: two contents of an unversioned object, or the same object in
// two collections.
func (e *Entry) tag() []byte {
	return slices.Concat(collectionKey(e.Collection)[:4], e.Hash[:4])
}

// enter puts an object into the view, unless another transaction published it before: of two, the earlier on the
// chain counts, whichever arrives first here. It completes the event.
func (v *View) enter(txn *badger.Txn, e *LoggedEvent, entry *Entry) error {
	collection := collectionKey(entry.Collection)
	date, found, err := get(txn, key(tableIdentity, collection, entry.identity()))
	if err != nil {
		return err
	}
	if found {
		other, err := entryAt(txn, date)
		if err != nil {
			return err
		}
		if other.Position.Before(entry.Position) {
			return duplicate(txn, e, entry, other)
		}
		if err := v.replace(txn, other, entry); err != nil {
			return err
		}
	}
	entry.DateAdded = v.nextStamp()
	e.Entered = entry.DateAdded
	if err := txn.Set(key(tableIdentity, collection, entry.identity()), u64(uint64(entry.DateAdded))); err != nil {
		return err
	}
	for _, in := range [][]byte{collection, collectionKey(Everything)} {
		if err := place(txn, in, entry); err != nil {
			return err
		}
		if err := v.touch(txn, in, entry.DateAdded); err != nil {
			return err
		}
	}
	data, err := encodeEntry(entry)
	if err != nil {
		return err
	}
	if err := txn.Set(key(tableEntry, u64(uint64(entry.DateAdded))), data); err != nil {
		return err
	}
	return countObjects(txn, 1)
}

func duplicateReason(entry, other *Entry) string {
	if !bytes.Equal(entry.Hash, other.Hash) {
		return "transaction " + other.TxID + " published the same version before, with other content"
	}
	return "transaction " + other.TxID + " published it before"
}

// replace makes an entry a duplicate of one that is earlier on the chain but arrived later.
func (v *View) replace(txn *badger.Txn, later, earlier *Entry) error {
	if err := v.remove(txn, later); err != nil {
		return err
	}
	at := positionKey(later.Position)
	loser, err := eventAt(txn, at)
	if err != nil {
		return err
	}
	if err := duplicate(txn, &loser, later, earlier); err != nil {
		return err
	}
	return setJSON(txn, key(tableEvent, at), loser)
}

// leave takes an entry out of the view. The first duplicate of it takes its place.
func (v *View) leave(txn *badger.Txn, date int64) error {
	entry, err := entryAt(txn, u64(uint64(date)))
	if err != nil {
		return err
	}
	if err := v.remove(txn, entry); err != nil {
		return err
	}
	return v.succeed(txn, entry.publication())
}

// publication names what an entry publishes, in its collection.
func (e *Entry) publication() []byte { return slices.Concat(collectionKey(e.Collection), e.identity()) }

// succeed makes the first duplicate of a publication wait again. The others stay duplicates, of that one: anybody can
// make them, and a transaction must not grow with their number.
func (v *View) succeed(txn *badger.Txn, publication []byte) error {
	return scan(txn, key(tableDuplicate, publication), nil, false, func(_ []byte, item *badger.Item) (bool, error) {
		k := item.KeyCopy(nil)
		duplicate, err := eventAt(txn, k[len(k)-16:])
		if err != nil {
			return false, err
		}
		if err := txn.Delete(k); err != nil {
			return false, err
		}
		return false, v.wait(txn, duplicate, time.Time{})
	})
}

// duplicate makes an event a duplicate of an entry.
func duplicate(txn *badger.Txn, e *LoggedEvent, entry, of *Entry) error {
	e.State, e.Reason, e.Entered, e.Publication = Duplicate, duplicateReason(entry, of), 0, entry.publication()
	return txn.Set(key(tableDuplicate, e.Publication, positionKey(entry.Position)), nil)
}

func (v *View) remove(txn *badger.Txn, entry *Entry) error {
	collection := collectionKey(entry.Collection)
	if err := txn.Delete(key(tableIdentity, collection, entry.identity())); err != nil {
		return err
	}
	now := v.nextStamp()
	for _, in := range [][]byte{collection, collectionKey(Everything)} {
		if err := displace(txn, in, entry); err != nil {
			return err
		}
		if err := v.touch(txn, in, now); err != nil {
			return err
		}
	}
	if err := txn.Delete(key(tableEntry, u64(uint64(entry.DateAdded)))); err != nil {
		return err
	}
	return countObjects(txn, -1)
}

// touch records that a collection changed.
func (v *View) touch(txn *badger.Txn, collection []byte, at int64) error {
	v.moved.objects = true
	return txn.Set(key(tableChanged, collection), u64(uint64(at)))
}

// Changed tells when objects last came into a collection or left it, in the unix microseconds of date_added: not before
// any that it holds, and before any that will come. It is 0 for a collection that never held anything.
func (v *View) Changed(collection string) (at int64, err error) {
	err = v.store.read(func(txn *badger.Txn) error {
		at, err = changedAt(txn, collection)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("asking when collection %s changed: %w", collection, err)
	}
	return at, nil
}

func changedAt(txn *badger.Txn, collection string) (int64, error) {
	value, found, err := get(txn, key(tableChanged, collectionKey(collection)))
	if err != nil {
		return 0, err
	}
	if !found { // a view of before there was this table
		value, found = last(txn, key(tableAll, collectionKey(collection)))
	}
	if !found || len(value) < 8 {
		return 0, nil
	}
	return int64(binary.BigEndian.Uint64(value[len(value)-8:])), nil
}

func objectPrefix(collection []byte, id string) []byte {
	return key(tableObject, collection, []byte(id), []byte{0})
}

// place enters an entry into the indexes of a collection.
func place(txn *badger.Txn, collection []byte, entry *Entry) error {
	date := u64(uint64(entry.DateAdded))
	version := slices.Concat(instantKey(entry.Instant), entry.tag())
	head, any, err := get(txn, key(tableHead, collection, []byte(entry.ID)))
	if err != nil {
		return err
	}
	if !any || bytes.Compare(head[:len(version)], version) < 0 {
		if any {
			if err := txn.Delete(key(tableLatest, collection, head[len(version):])); err != nil {
				return err
			}
		}
		if err := setHead(txn, collection, entry.ID, version, date); err != nil {
			return err
		}
	}
	if err := txn.Set(slices.Concat(objectPrefix(collection, entry.ID), version), date); err != nil {
		return err
	}
	if err := txn.Set(key(tableAll, collection, date), nil); err != nil {
		return err
	}
	return txn.Set(key(tableType, collection, []byte(entry.Type), []byte{0}, date), nil)
}

// setHead makes a version the latest of its object. (The head is kept because looking for it would take an iterator,
// which costs as much as everything that the transaction has written.)
func setHead(txn *badger.Txn, collection []byte, id string, version, date []byte) error {
	if err := txn.Set(key(tableHead, collection, []byte(id)), slices.Concat(version, date)); err != nil {
		return err
	}
	return txn.Set(key(tableLatest, collection, date), nil)
}

// displace undoes place. The version before becomes the latest again.
func displace(txn *badger.Txn, collection []byte, entry *Entry) error {
	date := u64(uint64(entry.DateAdded))
	versions := objectPrefix(collection, entry.ID)
	for _, k := range [][]byte{
		slices.Concat(versions, instantKey(entry.Instant), entry.tag()),
		key(tableHead, collection, []byte(entry.ID)),
		key(tableLatest, collection, date), key(tableAll, collection, date),
		key(tableType, collection, []byte(entry.Type), []byte{0}, date),
	} {
		if err := txn.Delete(k); err != nil {
			return err
		}
	}
	latest, any := last(txn, versions)
	if !any {
		return nil
	}
	former, _, err := get(txn, latest)
	if err != nil {
		return err
	}
	return setHead(txn, collection, entry.ID, latest[len(versions):], former)
}

func encodeEntry(e *Entry) ([]byte, error) {
	header, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(len(header))), header, e.Object), nil
}

func decodeEntry(data []byte, withObject bool) (*Entry, error) {
	if len(data) < 4 || uint32(len(data)-4) < binary.BigEndian.Uint32(data) {
		return nil, errors.New("a damaged entry")
	}
	end := 4 + binary.BigEndian.Uint32(data)
	var e Entry
	if err := json.Unmarshal(data[4:end], &e); err != nil {
		return nil, err
	}
	if withObject {
		e.Object = bytes.Clone(data[end:])
	}
	return &e, nil
}

// Entry gives the object that an event brought into the view; nil if there is none.
func (v *View) Entry(e LoggedEvent) (entry *Entry, err error) {
	if e.State != InView {
		return nil, nil
	}
	err = v.store.read(func(txn *badger.Txn) error {
		entry, err = readEntry(txn, u64(uint64(e.Entered)), true)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the object of transaction %s: %w", e.TxID, err)
	}
	return entry, nil
}

func entryAt(txn *badger.Txn, date []byte) (*Entry, error) { return readEntry(txn, date, false) }

func readEntry(txn *badger.Txn, date []byte, withObject bool) (e *Entry, err error) {
	item, err := txn.Get(key(tableEntry, date))
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", binary.BigEndian.Uint64(date), err)
	}
	err = item.Value(func(data []byte) error {
		e, err = decodeEntry(data, withObject)
		return err
	})
	return e, err
}

func countObjects(txn *badger.Txn, by int64) error {
	var n int64
	if _, err := getJSON(txn, key(tableMeta, []byte(metaObjects)), &n); err != nil {
		return err
	}
	return setJSON(txn, key(tableMeta, []byte(metaObjects)), n+by)
}

// CountObjects tells how many versions of objects are in the view.
func (v *View) CountObjects() (n int64, err error) {
	err = v.store.read(func(txn *badger.Txn) error {
		_, err := getJSON(txn, key(tableMeta, []byte(metaObjects)), &n)
		return err
	})
	return n, err
}

// Versions says which versions of an object a query is about: those that any of its parts takes.
type Versions struct {
	All, First, Last bool
	At               []time.Time
}

// Query asks for a page of a collection, in the order of date_added. Empty lists don't restrict.
type Query struct {
	Collection  string // Everything for all
	IDs, Types  []string
	Versions    Versions
	After       int64 // date_added in unix microseconds, exclusive
	Limit       int
	WithObjects bool
}

// maxPage bounds the objects of a page, in bytes; a page always has one.
const maxPage = 16 << 20

// Page gives the entries that a query asks for; more says whether there are any after them.
func (v *View) Page(q Query) (entries []*Entry, more bool, err error) {
	err = v.store.read(func(txn *badger.Txn) error {
		reader := newEntryReader(txn)
		defer reader.close()
		size := 0
		return q.dates(txn, func(date []byte) (bool, error) {
			if len(entries) == q.Limit || size > maxPage {
				more = true
				return false, nil
			}
			entry, err := reader.read(date, q.WithObjects)
			if err != nil {
				return false, err
			}
			entries = append(entries, entry)
			size += len(entry.Object)
			return true, nil
		})
	})
	if err != nil {
		return nil, false, fmt.Errorf("reading a page of collection %s: %w", q.Collection, err)
	}
	return entries, more, nil
}

// entryReader reads entries in ascending order of their dates. The entries of a page mostly lie side by side: stepping
// from one to the next is several times faster than looking each of them up.
type entryReader struct{ it *badger.Iterator }

func newEntryReader(txn *badger.Txn) *entryReader {
	opts := badger.DefaultIteratorOptions
	opts.Prefix = key(tableEntry)
	opts.PrefetchValues = false
	return &entryReader{txn.NewIterator(opts)}
}

func (r *entryReader) close() { r.it.Close() }

func (r *entryReader) read(date []byte, withObject bool) (e *Entry, err error) {
	const steps = 8 // a seek costs about as much as these
	wanted := key(tableEntry, date)
	for range steps {
		if !r.it.Valid() || bytes.Compare(r.it.Item().Key(), wanted) >= 0 {
			break
		}
		r.it.Next()
	}
	if !r.it.Valid() || !bytes.Equal(r.it.Item().Key(), wanted) {
		r.it.Seek(wanted)
	}
	if !r.it.Valid() || !bytes.Equal(r.it.Item().Key(), wanted) {
		return nil, fmt.Errorf("entry %d: %w", binary.BigEndian.Uint64(date), badger.ErrKeyNotFound)
	}
	err = r.it.Item().Value(func(data []byte) error {
		e, err = decodeEntry(data, withObject)
		return err
	})
	return e, err
}

// dates visits the dates of the entries that the query asks for, ascending, until visit returns false. It chooses the
// index that touches the least beside them.
func (q Query) dates(txn *badger.Txn, visit func(date []byte) (bool, error)) error {
	collection := collectionKey(q.Collection)
	from := u64(uint64(q.After + 1))
	switch {
	case len(q.IDs) > 0:
		return q.byID(txn, collection, visit)
	case len(q.Types) > 0:
		return q.byType(txn, collection, from, visit)
	case q.Versions.Last && !q.Versions.All && !q.Versions.First && len(q.Versions.At) == 0:
		return scan(txn, key(tableLatest, collection), from, false, func(k []byte, _ *badger.Item) (bool, error) {
			return visit(k[len(k)-8:])
		})
	}
	return scan(txn, key(tableAll, collection), from, false, func(k []byte, _ *badger.Item) (bool, error) {
		date := k[len(k)-8:]
		if wanted, err := q.wants(txn, collection, date); err != nil || !wanted {
			return true, err
		}
		return visit(date)
	})
}

// wants reports whether an entry is one of the versions that are asked for.
func (q Query) wants(txn *badger.Txn, collection, date []byte) (bool, error) {
	if q.Versions.All {
		return true, nil
	}
	if q.Versions.Last {
		if latest, err := has(txn, key(tableLatest, collection, date)); err != nil || latest {
			return latest, err
		}
	}
	if !q.Versions.First && len(q.Versions.At) == 0 {
		return false, nil
	}
	entry, err := entryAt(txn, date)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(q.Versions.At, entry.Instant.Equal) {
		return true, nil
	}
	if !q.Versions.First {
		return false, nil
	}
	first := false
	err = scan(txn, objectPrefix(collection, entry.ID), nil, true, func(_ []byte, item *badger.Item) (bool, error) {
		return false, item.Value(func(value []byte) error {
			first = bytes.Equal(value, date)
			return nil
		})
	})
	return first, err
}

// byID looks every object up. What it holds in memory grows with the ids and their versions, not with the collection.
func (q Query) byID(txn *badger.Txn, collection []byte, visit func([]byte) (bool, error)) error {
	var dates [][]byte
	for _, id := range slices.Compact(slices.Sorted(slices.Values(q.IDs))) {
		err := scan(txn, objectPrefix(collection, id), nil, true, func(_ []byte, item *badger.Item) (bool, error) {
			date, err := item.ValueCopy(nil)
			if err != nil || int64(binary.BigEndian.Uint64(date)) <= q.After {
				return true, err
			}
			wanted, err := q.wants(txn, collection, date)
			if err == nil && wanted {
				dates = append(dates, date)
			}
			return true, err
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(dates, bytes.Compare)
	for _, date := range dates {
		if len(q.Types) > 0 {
			entry, err := entryAt(txn, date)
			if err != nil {
				return err
			}
			if !slices.Contains(q.Types, entry.Type) {
				continue
			}
		}
		if more, err := visit(date); err != nil || !more {
			return err
		}
	}
	return nil
}

// byType merges the types' indexes.
func (q Query) byType(txn *badger.Txn, collection, from []byte, visit func([]byte) (bool, error)) error {
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false
	var cursors []*badger.Iterator
	for _, name := range slices.Compact(slices.Sorted(slices.Values(q.Types))) {
		opts.Prefix = key(tableType, collection, []byte(name), []byte{0})
		it := txn.NewIterator(opts)
		defer it.Close()
		it.Seek(slices.Concat(opts.Prefix, from))
		cursors = append(cursors, it)
	}
	date := func(it *badger.Iterator) []byte { k := it.Item().Key(); return k[len(k)-8:] }
	for {
		cursors = slices.DeleteFunc(cursors, func(it *badger.Iterator) bool { return !it.Valid() })
		if len(cursors) == 0 {
			return nil
		}
		first := slices.MinFunc(cursors, func(a, b *badger.Iterator) int { return bytes.Compare(date(a), date(b)) })
		wanted, err := q.wants(txn, collection, date(first))
		if err != nil {
			return err
		}
		if wanted {
			if more, err := visit(date(first)); err != nil || !more {
				return err
			}
		}
		first.Next()
	}
}

// Has reports whether a collection holds any version of an object.
func (v *View) Has(collection, id string) (found bool, err error) {
	err = v.store.read(func(txn *badger.Txn) error {
		_, found = last(txn, objectPrefix(collectionKey(collection), id))
		return nil
	})
	return found, err
}

// Latest gives the latest version of an object in a collection.
func (v *View) Latest(collection, id string) (entry *Entry, err error) {
	entries, _, err := v.Page(Query{Collection: collection, IDs: []string{id}, Versions: Versions{Last: true}, Limit: 1, WithObjects: true})
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	return entries[0], nil
}

// Same gives the entry that publishes the same as e does, by identity; nil if there is none.
func (v *View) Same(e *Entry) (entry *Entry, err error) {
	err = v.store.read(func(txn *badger.Txn) error {
		date, found, err := get(txn, key(tableIdentity, collectionKey(e.Collection), e.identity()))
		if err != nil || !found {
			return err
		}
		entry, err = readEntry(txn, date, true)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking object %.80s up: %w", e.ID, err)
	}
	return entry, nil
}
