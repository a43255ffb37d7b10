package repo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/serviceledger/slnode/repo/internal/kv"
)

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

// Parts gives the entries that a query asks for in parts of the given size, in bytes, or of one entry if that is larger.
func (v *View) Parts(q Query, size int64) (parts Parts, err error) {
	err = v.store.read(func(txn *kv.Txn) error {
		reader := newEntryReader(txn)
		defer reader.close()
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
	reader *entryReader
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
		size, err := p.reader.size(date)
		if err != nil {
			return true, p.view.passStale(err)
		}
		p.total += size
		bytes += int64(size)
	}
	if p.Rest == nil && p.held+bytes <= p.part {
		entry, err := p.reader.read(date, p.query)
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
func (p Part) Read() (entries []*Entry, err error) {
	err = p.view.store.read(func(txn *kv.Txn) error {
		reader := newEntryReader(txn)
		defer reader.close()
		for _, date := range p.Dates {
			entry, err := reader.read(u64(uint64(date)), p.query)
			if errors.Is(err, kv.ErrNotFound) || p.view.stale(err) {
				continue
			}
			if err != nil {
				return err
			}
			entries = append(entries, entry)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading a part of a page: %w", err)
	}
	return entries, nil
}

// Page gives the entries that a query asks for; more says whether there are any after them.
func (v *View) Page(q Query) (entries []*Entry, more bool, err error) {
	parts, err := v.Parts(q, math.MaxInt64)
	return parts.First, parts.More, err
}
