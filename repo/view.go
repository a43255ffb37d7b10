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

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

// View is what the node serves, derived from the chain and IPFS: the log of events (events.go) and the objects that
// they published, with indexes by which a page costs the same in a small and in a large collection.
type View struct {
	store *store

	mu    sync.Mutex // one writer; also makes the order of commits that of date_added
	stamp int64      // the last date_added given, unix microseconds

	counts   atomic.Pointer[viewCounts]
	moved    viewCounts               // … more, once the running transaction is committed
	changed  bool                     // the running transaction brings objects, or takes some away
	waiting  [2][waitingClasses]turns // what waits, by WaitingQueue
	waits    [][]byte                 // … since the running transaction
	onChange func()
	onStale  func(error)
}

// viewCounts is how much there is, kept because counting it would take longer the more there is.
type viewCounts struct {
	Objects   int64 `json:"objects"`   // versions of objects
	Waiting   int64 `json:"waiting"`   // events that wait for their blocks
	Undecided int64 `json:"undecided"` // … or for a record
}

// OnChange sets what is called after every change of the objects that are served. It is called while the view is
// locked for writers, and must be quick. To be set before anything is written.
func (v *View) OnChange(tell func()) { v.onChange = tell }

// OnStale sets what is told of an index that names what is not there. Nothing makes one; where there is one all the same,
// it is passed over, so that it hides no more than itself. To be set before anything is read.
func (v *View) OnStale(tell func(error)) { v.onStale = tell }

// errStale is for what an index names and the view does not have, or not in order.
var errStale = errors.New("an index of the view names what is not there")

// stale reports whether an error is that of a stale index, and tells.
func (v *View) stale(err error) bool {
	if !errors.Is(err, errStale) {
		return false
	}
	v.onStale(err)
	return true
}

// passStale is err, unless that is of a stale index.
func (v *View) passStale(err error) error {
	if v.stale(err) {
		return nil
	}
	return err
}

// write runs a transaction and brings the counts up to date. The caller holds the mutex.
func (v *View) write(transaction func(*kv.Txn) error) error {
	v.moved, v.changed, v.waits = viewCounts{}, false, v.waits[:0]
	counts := *v.counts.Load()
	err := v.store.write(func(txn *kv.Txn) error {
		if err := transaction(txn); err != nil || v.moved == (viewCounts{}) {
			return err
		}
		counts.Objects += v.moved.Objects
		counts.Waiting += v.moved.Waiting
		counts.Undecided += v.moved.Undecided
		return setJSON(txn, key(tableMeta, []byte(metaCounts)), counts)
	})
	if err != nil {
		return err
	}
	v.counts.Store(&counts)
	for _, k := range v.waits {
		v.turnsOf(k).put(k)
	}
	if v.changed {
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
	tableList      = 'L' // collection, type or nothing, 0, class, date -> nothing; see listing.go
	tableInstant   = 'V' // collection, instant of the version, date -> nothing
	tableObject    = 'O' // collection, STIX id, 0, instant of the version, position -> date
	tableHead      = 'H' // collection, STIX id -> the first and the last version, each: instant, position, date
	tableIdentity  = 'I' // collection, identity -> date
	tableChanged   = 'C' // collection -> when something came or went last; like a date, and never one that comes later
	tableDuplicate = 'D' // publication, position -> nothing: events whose object is there already
	metaCounts     = "counts"
	metaFormat     = "format"
)

// viewFormat is that of the tables. A view of another one is deleted when it is opened, and folded anew.
const viewFormat = 3

func openView(path string, storeKey []byte) (*View, error) {
	s, err := openStore(path, kv.Options{Key: storeKey, Create: true})
	if err != nil {
		return nil, err
	}
	v := &View{store: s, onChange: func() {}, onStale: func(error) {}}
	v.counts.Store(&viewCounts{})
	if err := v.restore(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the view: %w", err), s.close())
	}
	return v, nil
}

// restore reads what is held in memory.
func (v *View) restore() error {
	var format int
	var counts viewCounts
	err := v.store.read(func(txn *kv.Txn) error {
		if k, found := last(txn, key(tableEntry)); found {
			v.stamp = int64(binary.BigEndian.Uint64(k[2:]))
		}
		changed, err := changedAt(txn, Everything)
		if err != nil {
			return err
		}
		v.stamp = max(v.stamp, changed)
		if _, err := getJSON(txn, key(tableMeta, []byte(metaFormat)), &format); err != nil {
			return err
		}
		_, err = getJSON(txn, key(tableMeta, []byte(metaCounts)), &counts)
		return err
	})
	if err != nil {
		return err
	}
	if format != viewFormat {
		return v.begin()
	}
	v.counts.Store(&counts)
	return v.store.read(v.restoreWaiting)
}

// begin makes the view empty.
func (v *View) begin() error {
	empty, err := v.store.isEmpty()
	if err == nil && !empty {
		err = v.store.empty()
	}
	if err != nil {
		return err
	}
	v.counts.Store(&viewCounts{})
	for queue := range v.waiting {
		for class := range v.waiting[queue] {
			v.waiting[queue][class].clear()
		}
	}
	return v.store.write(func(txn *kv.Txn) error { return setJSON(txn, key(tableMeta, []byte(metaFormat)), viewFormat) })
}

// Reset deletes the view. The next fold begins at the charter. What was served before keeps its place in time: the
// dates that are given afterwards are later than all before.
func (v *View) Reset() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.begin(); err != nil {
		return fmt.Errorf("deleting the view: %w", err)
	}
	v.onChange()
	return nil
}

func (v *View) close() error { return v.store.close() }

// reclaim gives the disk space of what was deleted back.
func (v *View) reclaim() error {
	v.store.reset.RLock()
	defer v.store.reset.RUnlock()
	return v.store.db.Reclaim()
}

// Damage is what of the view was found damaged since it was opened, or nil. What is damaged can't be told from the rest:
// the view is deleted when the repository is closed, and derived again when it is opened.
func (v *View) Damage() error { return v.store.db.Damage() }

// Damaged is closed when the view is found damaged.
func (v *View) Damaged() <-chan struct{} { return v.store.db.Damaged() }

// nextStamp is a date_added that no entry had: the time, but always later than the one before, whatever the clock
// does.
func (v *View) nextStamp() int64 {
	v.stamp = max(time.Now().UnixMicro(), v.stamp+1)
	return v.stamp
}

func collectionKey(id string) []byte {
	u, err := uuid.Parse(id)
	if err != nil {
		return bytes.Repeat([]byte{0xff}, 16) // no collection has it
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

// enter puts an object into the view, unless another transaction published it before: of two, the earlier on the
// chain counts, whichever arrives first here. It completes the event.
func (v *View) enter(txn *kv.Txn, e *LoggedEvent, entry *Entry) error {
	collection := collectionKey(entry.Collection)
	date, found, err := get(txn, key(tableIdentity, collection, entry.identity()))
	if err != nil {
		return err
	}
	if found {
		switch other, err := entryAt(txn, date); {
		case v.stale(err): // it is in nobody's way
		case err != nil:
			return err
		case other.Position.Before(entry.Position):
			return duplicate(txn, e, entry, other)
		default:
			if err := v.replace(txn, other, entry); err != nil {
				return err
			}
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
	head, err := encodeEntry(entry)
	if err != nil {
		return err
	}
	v.moved.Objects++
	return txn.Put(kv.Entry{Key: key(tableEntry, u64(uint64(entry.DateAdded))), Head: head, Body: entry.Object})
}

func duplicateReason(entry, other *Entry) string {
	if !bytes.Equal(entry.Hash, other.Hash) {
		return "transaction " + other.TxID + " published the same version before, with other content"
	}
	return "transaction " + other.TxID + " published it before"
}

// replace makes an entry a duplicate of one that is earlier on the chain but arrived later.
func (v *View) replace(txn *kv.Txn, later, earlier *Entry) error {
	if err := v.remove(txn, later); err != nil {
		return err
	}
	at := positionKey(later.Position)
	loser, err := eventAt(txn, at)
	if v.stale(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := duplicate(txn, &loser, later, earlier); err != nil {
		return err
	}
	return setJSON(txn, key(tableEvent, at), loser)
}

// leave takes an entry out of the view. The first duplicate of it takes its place.
func (v *View) leave(txn *kv.Txn, date int64) error {
	entry, err := entryAt(txn, u64(uint64(date)))
	if v.stale(err) {
		return nil
	}
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
func (v *View) succeed(txn *kv.Txn, publication []byte) error {
	return scan(txn, key(tableDuplicate, publication), nil, func(_ []byte, item *kv.Item) (bool, error) {
		k := slices.Clone(item.Key())
		if err := txn.Delete(k); err != nil {
			return false, err
		}
		duplicate, err := eventAt(txn, k[len(k)-16:])
		if v.stale(err) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		return false, v.wait(txn, duplicate, time.Time{})
	})
}

// duplicate makes an event a duplicate of an entry.
func duplicate(txn *kv.Txn, e *LoggedEvent, entry, of *Entry) error {
	e.State, e.Reason, e.Entered, e.Publication = Duplicate, duplicateReason(entry, of), 0, entry.publication()
	return txn.Set(key(tableDuplicate, e.Publication, positionKey(entry.Position)), nil)
}

func (v *View) remove(txn *kv.Txn, entry *Entry) error {
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
	v.moved.Objects--
	return txn.DeleteLarge(key(tableEntry, u64(uint64(entry.DateAdded))))
}

// touch records that a collection changed.
func (v *View) touch(txn *kv.Txn, collection []byte, at int64) error {
	v.changed = true
	return txn.Set(key(tableChanged, collection), u64(uint64(at)))
}

// Changed tells when objects last came into a collection or left it, in the unix microseconds of date_added: not before
// any that it holds, and before any that will come. It is 0 for a collection that never held anything.
func (v *View) Changed(collection string) (at int64, err error) {
	err = v.store.read(func(txn *kv.Txn) error {
		at, err = changedAt(txn, collection)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("asking when collection %s changed: %w", collection, err)
	}
	return at, nil
}

func changedAt(txn *kv.Txn, collection string) (int64, error) {
	value, found, err := get(txn, key(tableChanged, collectionKey(collection)))
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, nil
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}

// encodeEntry gives what stands before the object.
func encodeEntry(e *Entry) ([]byte, error) {
	header, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(len(header))), header), nil
}

func splitEntry(data []byte) (header, object []byte, err error) {
	if len(data) < 4 || uint32(len(data)-4) < binary.BigEndian.Uint32(data) {
		return nil, nil, fmt.Errorf("a damaged entry: %w", errStale)
	}
	end := 4 + binary.BigEndian.Uint32(data)
	return data[4:end], data[end:], nil
}

func decodeEntry(data []byte, withObject bool) (*Entry, error) {
	header, object, err := splitEntry(data)
	if err != nil {
		return nil, err
	}
	var e Entry
	if err := json.Unmarshal(header, &e); err != nil {
		return nil, fmt.Errorf("a damaged entry: %w: %w", errStale, err)
	}
	if withObject {
		e.Object = bytes.Clone(object)
	}
	return &e, nil
}

// Entry gives the object that an event brought into the view; nil if there is none.
func (v *View) Entry(e LoggedEvent) (entry *Entry, err error) {
	if e.State != InView {
		return nil, nil
	}
	err = v.store.read(func(txn *kv.Txn) error {
		entry, err = readEntry(txn, u64(uint64(e.Entered)), true)
		if v.stale(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the object of transaction %s: %w", e.TxID, err)
	}
	return entry, nil
}

func entryAt(txn *kv.Txn, date []byte) (*Entry, error) { return readEntry(txn, date, false) }

func readEntry(txn *kv.Txn, date []byte, withObject bool) (e *Entry, err error) {
	item, err := txn.Item(key(tableEntry, date))
	if errors.Is(err, kv.ErrNotFound) {
		err = errStale
	}
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", binary.BigEndian.Uint64(date), err)
	}
	return itemEntry(item, withObject)
}

func itemEntry(item *kv.Item, withObject bool) (e *Entry, err error) {
	show := item.ShowHead
	if withObject {
		show = item.Show
	}
	err = show(func(data []byte) error {
		e, err = decodeEntry(data, withObject)
		return err
	})
	return e, err
}

// CountObjects tells how many versions of objects are in the view.
func (v *View) CountObjects() int64 { return v.counts.Load().Objects }

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
	OnlyObjects bool // the entries have their date and their object and nothing else, which costs half as much
}

// maxPage bounds the objects of a page, in bytes; a page always has one.
const maxPage = 16 << 20

// entryReader reads entries in ascending order of their dates. The entries of a page mostly lie side by side: stepping
// from one to the next is several times faster than looking each of them up.
type entryReader struct{ it *kv.Iterator }

func newEntryReader(txn *kv.Txn) *entryReader {
	return &entryReader{txn.NewIterator(key(tableEntry))}
}

func (r *entryReader) close() { r.it.Close() }

// seek finds the entry with a date.
func (r *entryReader) seek(date []byte) (*kv.Item, error) {
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
		return nil, fmt.Errorf("entry %d: %w: %w", binary.BigEndian.Uint64(date), errStale, kv.ErrNotFound)
	}
	return r.it.Item(), nil
}

// read reads the entry with a date, as far as a query wants it.
func (r *entryReader) read(date []byte, q Query) (e *Entry, err error) {
	item, err := r.seek(date)
	if err != nil {
		return nil, err
	}
	if !q.OnlyObjects {
		return itemEntry(item, q.WithObjects)
	}
	err = item.Show(func(data []byte) error {
		_, object, err := splitEntry(data)
		e = &Entry{DateAdded: int64(binary.BigEndian.Uint64(date)), Object: bytes.Clone(object)}
		return err
	})
	return e, err
}

// size is that of an entry with its object, in bytes. It costs less than reading it.
func (r *entryReader) size(date []byte) (int, error) {
	item, err := r.seek(date)
	if err != nil {
		return 0, err
	}
	return item.Size()
}

// Has reports whether a collection holds any version of an object.
func (v *View) Has(collection, id string) (found bool, err error) {
	err = v.store.read(func(txn *kv.Txn) error {
		found, err = has(txn, key(tableHead, collectionKey(collection), []byte(id)))
		return err
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
	err = v.store.read(func(txn *kv.Txn) error {
		date, found, err := get(txn, key(tableIdentity, collectionKey(e.Collection), e.identity()))
		if err != nil || !found {
			return err
		}
		entry, err = readEntry(txn, date, true)
		if v.stale(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking object %.80s up: %w", e.ID, err)
	}
	return entry, nil
}
