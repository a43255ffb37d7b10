package view

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/entries"
	"github.com/serviceledger/slnode/repo/view/internal/listing"
)

// Versions says which versions of an object a query is about: those that any of its parts takes.
type Versions struct {
	All, First, Last bool
	At               []time.Time
}

// Query asks for a page of a collection, in the order of date_added or against it: of what is served in it, which is
// one member's line of each object. Empty lists don't restrict.
type Query struct {
	Collection  string // or Everything, or Others
	IDs, Types  []string
	Member      string // the line of one member instead, by its first account, whether it leads or not; only with IDs
	AnyLine     bool   // all lines instead, whichever leads
	Versions    Versions
	After       int64 // date_added in unix microseconds, exclusive
	Before      int64 // … the same; 0 is no bound
	Descending  bool  // the newest first
	Limit       int
	WithObjects bool
	OnlyObjects bool // the entries have their date and their object and nothing else, which costs half as much
}

// Parts is a page that need not be in memory all at once.
type Parts struct {
	First []*Entry
	Rest  []Part // what comes after First
	More  bool   // … and after that
}

// Part is a stretch of a page that is read when it is asked for.
type Part struct {
	Dates []int64 // the entries' date_added
	Bytes int64   // how much memory they will take, about

	view  *View
	query Query
}

// entryBytes is what an entry takes in memory beside its object, about.
const entryBytes = 1 << 10

// Parts gives the entries that a query asks for in parts of the given size, in bytes, or of one entry if that is
// larger.
func (v *View) Parts(q Query, size int64) (parts Parts, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		reader := entries.NewReader(txn)
		defer reader.Close()
		page := pager{reader: reader, view: v, query: q, part: size}
		err := v.dates(txn, q, page.visit)
		parts = page.Parts
		return err
	})
	if err != nil {
		return Parts{}, fmt.Errorf("reading a page of collection %s: %w", q.Collection, err)
	}
	return parts, nil
}

// pager divides the entries of a page into parts.
type pager struct {
	Parts
	reader *entries.Reader
	view   *View
	query  Query
	part   int64 // the size of a part

	count int
	total int   // bytes of objects
	held  int64 // bytes of First
}

// visit takes the entry with a date in. It returns false when the page is full.
func (p *pager) visit(date []byte) (bool, error) {
	if p.count == p.query.Limit || p.total > maxPage {
		p.More = true
		return false, nil
	}
	bytes := int64(entryBytes)
	if p.query.WithObjects || p.query.OnlyObjects {
		size, err := p.reader.Size(date)
		if err != nil {
			return true, p.view.passStale(err)
		}
		p.total += size
		bytes += int64(size)
	}
	if p.Rest == nil && p.held+bytes <= p.part {
		entry, err := p.reader.Read(date, p.query.WithObjects, p.query.OnlyObjects)
		if err != nil {
			return true, p.view.passStale(err)
		}
		p.First, p.held = append(p.First, entry), p.held+bytes
		p.count++
		return true, nil
	}
	p.count++
	if n := len(p.Rest); n == 0 || p.Rest[n-1].Bytes+bytes > p.part {
		p.Rest = append(p.Rest, Part{view: p.view, query: p.query})
	}
	last := &p.Rest[len(p.Rest)-1]
	last.Dates, last.Bytes = append(last.Dates, int64(binary.BigEndian.Uint64(date))), last.Bytes+bytes
	return true, nil
}

// Read reads the entries. Those that have left the view meanwhile are not among them.
func (p Part) Read() (list []*Entry, err error) {
	err = p.view.store.Read(func(txn *kv.Txn) error {
		reader := entries.NewReader(txn)
		defer reader.Close()
		for _, date := range p.Dates {
			entry, err := reader.Read(store.U64(uint64(date)), p.query.WithObjects, p.query.OnlyObjects)
			if errors.Is(err, kv.ErrNotFound) || p.view.stale(err) {
				continue
			}
			if err != nil {
				return err
			}
			list = append(list, entry)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading a part of a page: %w", err)
	}
	return list, nil
}

// Page gives the entries that a query asks for; more says whether there are any after them.
func (v *View) Page(q Query) (entries []*Entry, more bool, err error) {
	parts, err := v.Parts(q, math.MaxInt64)
	return parts.First, parts.More, err
}

// maxPage bounds the objects of a page, in bytes; a page always has one.
const maxPage = 16 << 20

// Has reports whether a collection holds any version of an object.
func (v *View) Has(collection, id string) (found bool, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		if collection != Others {
			_, found, err = getObject(txn, entries.CollectionKey(collection), id)
			return err
		}
		return listing.ScanApart(txn, entries.CollectionKey(Everything), id, func(listing.Group, listing.Head) error {
			found = true
			return nil
		})
	})
	return found, err
}

// Latest gives the latest version of an object in a collection, in the line that leads.
func (v *View) Latest(collection, id string) (entry *Entry, err error) {
	return v.latest(Query{Collection: collection, IDs: []string{id}})
}

// LatestOf gives the latest version of an object in a collection that a member has published.
func (v *View) LatestOf(member, collection, id string) (entry *Entry, err error) {
	return v.latest(Query{Collection: collection, IDs: []string{id}, Member: member})
}

func (v *View) latest(q Query) (latest *Entry, err error) {
	q.Versions, q.Limit, q.WithObjects = Versions{Last: true}, 2, true // while the lead changes a line is in two parts
	entries, _, err := v.Page(q)
	for _, e := range entries {
		if latest == nil || bytes.Compare(e.At().Place, latest.At().Place) > 0 {
			latest = e
		}
	}
	return latest, err
}

// Same gives the entry that publishes the same as e does, by identity, which has e's member; nil if there is none.
func (v *View) Same(e *Entry) (entry *Entry, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		date, found, err := store.Get(txn, store.Key(store.TableIdentity, entries.CollectionKey(e.Collection), e.Identity()))
		if err != nil || !found {
			return err
		}
		entry, err = entries.Read(txn, date, true)
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
