package taxii

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// memory is a backend in memory: a store, publisher, withdrawer, authenticator
// and accounts with fixed users, roots and collections.
type memory struct {
	mu          sync.Mutex
	collections []Collection // as a publisher of acme sees them
	holds       map[string]*held
	statuses    map[string]Status
	last        int64 // the latest date_added, in microseconds

	changes   chan struct{} // closed at the next change
	exports   int           // calls of Export
	until     time.Time     // of exports
	pending   bool          // objects stay pending
	pageBytes int           // of objects, after which pages are cut; 0: no limit
	chunk     int           // records that are given at once; 0: the whole page
	chunks    int           // that were read
	chunkSize int64         // that chunks say they have; 0: what their objects have
	failAt    int           // the chunk of every page that can't be read, from 1

	accounts map[string]storedAccount
	tokens   map[string]Principal
	expired  map[string]time.Time
	checks   int // calls of Password
	queries  []Query
	fail     error // what Objects and Publish return if it is set
	panics   bool  // Roots panics

	title, description string // of the API root, if it was given them
	created            []NewCollection
	events             []Event
}

type storedAccount struct {
	Principal
	password string
}

// held is what a collection holds.
type held struct {
	changed int64
	records []heldRecord
	byID    map[string][]int // indices of records, in the order of their version
	left    []Removal
}

type heldRecord struct {
	Record
	kind      string
	instant   time.Time // of the version
	withdrawn bool
}

const (
	accountUUID = "3f2a9d54-2b1c-4e0f-8a55-5f0c1d2e3f40"

	boxID     = "5b4f6cf0-8d27-4f33-8f1c-0d7c2f6b9a01" // read and write for publishers
	feedID    = "7c1d8a0e-11a5-4a57-9d3c-6c1f5f0f2b02" // read only
	inboxID   = "91a7cf42-3c86-4d3a-a8e4-2f1f0c8f7d03" // write only
	hiddenID  = "a3e2f5b6-7a1b-4c2d-8e9f-1a2b3c4d5e04" // neither
	boxPath   = "/acme/collections/" + boxID + "/"
	feedPath  = "/acme/collections/" + feedID + "/"
	inboxPath = "/acme/collections/" + inboxID + "/"
)

// memoryEpoch is a microsecond before the first date_added.
var memoryEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newMemory() *memory {
	m := &memory{
		collections: []Collection{
			{Root: "acme", ID: boxID, Alias: "box", Title: "Box", Description: "What acme shares", CanRead: true, CanWrite: true},
			{Root: "acme", ID: feedID, Title: "Feed", CanRead: true},
			{Root: "acme", ID: inboxID, Title: "Inbox", CanWrite: true},
			{Root: "acme", ID: hiddenID, Title: "Hidden"},
		},
		holds:    make(map[string]*held),
		statuses: make(map[string]Status),
		last:     memoryEpoch.UnixMicro(),
		accounts: make(map[string]storedAccount),
		tokens:   make(map[string]Principal),
		changes:  make(chan struct{}),
	}
	for _, c := range m.collections {
		m.holds[c.ID] = &held{byID: make(map[string][]int)}
	}
	for user, role := range map[string]Role{"rita": RoleReader, "paul": RolePublisher, "ada": RoleAdmin} {
		who := Principal{User: user, Org: "acme", Role: role, Credential: "test"}
		m.accounts[user] = storedAccount{who, "pw-" + user}
		m.tokens["tok-"+user] = who
	}
	return m
}

func (m *memory) Roots(_ context.Context, who Principal) ([]Root, error) {
	if m.panics {
		panic("the store is on fire")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	roots := []Root{{Name: "acme", Title: cmp.Or(m.title, "Acme Ltd"), Description: cmp.Or(m.description, "Acme's own")}}
	if who.Role != RoleNone {
		roots = append(roots, Root{Name: "consortium", Title: "Everything"})
	}
	return roots, nil
}

func (m *memory) Root(ctx context.Context, who Principal, name string) (Root, error) {
	roots, err := m.Roots(ctx, who)
	if err != nil {
		return Root{}, err
	}
	for _, r := range roots {
		if r.Name == name {
			return r, nil
		}
	}
	return Root{}, fmt.Errorf("root %q: %w", name, ErrNotFound)
}

func (m *memory) Collections(_ context.Context, who Principal, root string) ([]Collection, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Collection
	for _, c := range m.collections {
		if c.Root == root && (c.CanRead || c.CanWrite) {
			c.CanWrite = c.CanWrite && who.Role >= RolePublisher
			list = append(list, c)
		}
	}
	return list, nil
}

func (m *memory) Collection(ctx context.Context, who Principal, root, name string) (Collection, error) {
	list, err := m.Collections(ctx, who, root)
	if err != nil {
		return Collection{}, err
	}
	for _, c := range list {
		if c.ID == name || (c.Alias != "" && c.Alias == name) {
			return c, nil
		}
	}
	return Collection{}, ErrNotFound
}

func (m *memory) Objects(_ context.Context, _ Principal, c Collection, q Query) (Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queries = append(m.queries, q)
	if m.fail != nil {
		return Page{}, m.fail
	}
	h := m.holds[c.ID]
	from := sort.Search(len(h.records), func(i int) bool { return h.records[i].DateAdded.UnixMicro() > q.After })
	var page Page
	size := 0
	for i := from; i < len(h.records); i++ {
		r := h.records[i]
		if !h.matches(i, q) {
			continue
		}
		full := len(page.Records) == q.Limit || (m.pageBytes > 0 && size >= m.pageBytes)
		if full {
			page.More = true
			break
		}
		size += len(r.Object)
		if !q.WithObjects {
			r.Object = nil
		}
		page.Records = append(page.Records, r.Record)
	}
	if m.chunk > 0 {
		m.divide(h, &page)
	}
	return page, nil
}

// divide leaves a page's first chunk and makes the rest of it chunks to be read.
func (m *memory) divide(h *held, page *Page) {
	chunks := slices.Collect(slices.Chunk(page.Records, m.chunk))
	for i, records := range chunks {
		if i == 0 {
			page.Records = records
			continue
		}
		c := Chunk{Count: len(records), Bytes: m.chunkSize, First: records[0].DateAdded, Last: records[len(records)-1].DateAdded}
		for _, r := range records {
			if m.chunkSize == 0 {
				c.Bytes += int64(len(r.Object))
			}
		}
		c.Read = func() (left []Record, err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.chunks++
			if i == m.failAt {
				return nil, errors.New("a chunk can't be read")
			}
			for _, r := range records {
				at := slices.IndexFunc(h.records, func(one heldRecord) bool { return one.DateAdded.Equal(r.DateAdded) })
				if !h.records[at].withdrawn {
					left = append(left, r)
				}
			}
			return left, nil
		}
		page.Rest = append(page.Rest, c)
	}
}

func (h *held) matches(i int, q Query) bool {
	r := h.records[i]
	in := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }
	if r.withdrawn || !in(q.IDs, r.ID) || !in(q.Types, r.kind) || !in(q.SpecVersions, r.SpecVersion) {
		return false
	}
	versions := h.byID[r.ID]
	return q.Version.All ||
		q.Version.First && versions[0] == i ||
		q.Version.Last && versions[len(versions)-1] == i ||
		slices.ContainsFunc(q.Version.At, r.instant.Equal)
}

func (m *memory) HasObject(_ context.Context, _ Principal, c Collection, id string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.holds[c.ID].byID[id]) > 0, nil
}

func (m *memory) Publish(_ context.Context, who Principal, c Collection, a Addition) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return Status{}, m.fail
	}
	s := Status{ID: uuid.NewString(), RequestedAt: time.UnixMicro(m.last).UTC()}
	list, err := listed(a.Objects)
	if err != nil {
		return s, err
	}
	for _, in := range list {
		var o struct{ Type, ID, Created, Modified string }
		err := in.Err
		if err == nil {
			err = json.Unmarshal(in.Raw, &o)
		}
		d := StatusDetail{ID: o.ID, Version: cmp.Or(o.Modified, o.Created)}
		switch {
		case err != nil:
			d.Message = err.Error()
			s.Failures = append(s.Failures, d)
		case !strings.HasPrefix(o.ID, o.Type+"--"):
			d.Message = "the id is not one of the type"
			s.Failures = append(s.Failures, d)
		case m.pending:
			s.Pendings = append(s.Pendings, d)
		default:
			r := m.add(c.ID, o.Type, o.ID, d.Version, slices.Clone(in.Raw))
			d.Message, d.TxID, d.CID, d.AssetID, d.StoredAt = r.TxID, r.TxID, r.CID, r.AssetID, r.StoredAt
			s.Successes = append(s.Successes, d)
		}
	}
	m.statuses[s.ID] = s
	return s, nil
}

// add puts a version of an object into a collection, unless it is there. The lock is held.
func (m *memory) add(collection, kind, id, version string, object []byte) Record {
	h := m.holds[collection]
	instant, err := parseInstant(version)
	if err != nil { // an object without versions
		version = "1970-01-01T00:00:00.000000Z"
		instant = time.Unix(0, 0)
	}
	for _, i := range h.byID[id] {
		if h.records[i].instant.Equal(instant) {
			return h.records[i].Record
		}
	}
	m.last++
	n := len(h.records)
	r := heldRecord{
		Record: Record{
			ID: id, Version: version, SpecVersion: "2.1", Object: object,
			DateAdded: time.UnixMicro(m.last).UTC(),
			StoredAt:  time.UnixMicro(m.last).UTC(),
			CID:       fmt.Sprintf("bafy%d", n), TxID: fmt.Sprintf("TX%d", n), AssetID: uint64(n + 1),
		},
		kind: kind, instant: instant,
	}
	h.records = append(h.records, r)
	m.touch(h)
	at, _ := slices.BinarySearchFunc(h.byID[id], instant, func(i int, t time.Time) int { return h.records[i].instant.Compare(t) })
	h.byID[id] = slices.Insert(h.byID[id], at, n)
	return r.Record
}

func (m *memory) Withdraw(_ context.Context, who Principal, c Collection, records []Record) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if who.User == "ada" { // who withdraws nothing of others
		return Status{}, ErrForbidden
	}
	h := m.holds[c.ID]
	s := Status{ID: uuid.NewString(), RequestedAt: time.UnixMicro(m.last).UTC()}
	for _, r := range records {
		d := StatusDetail{ID: r.ID, Version: r.Version, TxID: r.TxID}
		if m.pending {
			s.Pendings = append(s.Pendings, d)
			continue
		}
		s.Successes = append(s.Successes, d)
		h.byID[r.ID] = slices.DeleteFunc(h.byID[r.ID], func(i int) bool {
			same := h.records[i].DateAdded.Equal(r.DateAdded)
			h.records[i].withdrawn = h.records[i].withdrawn || same
			return same
		})
		m.last++
		kind, _, _ := strings.Cut(r.ID, "--")
		h.left = append(h.left, Removal{
			Time: time.UnixMicro(m.last).UTC(), ID: r.ID, Version: r.Version, Type: kind, Collection: c.ID, Gone: len(h.byID[r.ID]) == 0,
			Values: []RemovedValue{{Kind: "domain", Value: "evil.example"}},
		})
		m.touch(h)
	}
	m.statuses[s.ID] = s
	return s, nil
}

// Removals gives what was withdrawn.
func (m *memory) Removals(_ context.Context, c Collection, after int64, limit int) (list []Removal, more bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.holds[c.ID].left {
		if r.Time.UnixMicro() <= after {
			continue
		}
		if len(list) == limit {
			return list, true, nil
		}
		list = append(list, r)
	}
	return list, false, nil
}

// touch notes a change. The lock is held.
func (m *memory) touch(h *held) {
	h.changed = m.last
	close(m.changes)
	m.changes = make(chan struct{})
}

func (m *memory) Changed(_ context.Context, c Collection) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.holds[c.ID].changed, nil
}

func (m *memory) ListChanged(ctx context.Context, c Collection, _ ExportQuery) (int64, error) {
	return m.Changed(ctx, c)
}

func (m *memory) Changes() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changes
}

// Export lists ids. The format "broken" fails half way.
func (m *memory) Export(_ context.Context, _ Principal, c Collection, q ExportQuery) (Export, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.exports++
	if q.Format != "plain" && q.Format != "broken" {
		return Export{}, &InvalidError{Reason: "no such format"}
	}
	var list strings.Builder
	for _, r := range m.holds[c.ID].records {
		if !r.withdrawn {
			fmt.Fprintln(&list, r.ID)
		}
	}
	return Export{MediaType: "text/plain", Skipped: 3, Until: m.until, Close: func() {}, Write: func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, list.String())
		if q.Format == "broken" {
			err = errors.New("broken")
		}
		return err
	}}, nil
}

func (m *memory) Status(_ context.Context, _ Principal, root, id string) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.statuses[id]
	if !ok || root != "acme" {
		return Status{}, ErrNotFound
	}
	return s, nil
}
