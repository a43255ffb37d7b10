// Package daybook is what this organisation spends on the chain, by days: for each day, what for, and who caused it,
// how much was published and what that cost. It is written in the transactions of the outbox that take something in and
// that record it as confirmed, so that nothing is counted twice, or not at all, whatever is killed in between.
// daybook.go writes and reads it, limit.go bounds what a day may take.
package daybook

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// What is kept, at most.
const (
	KeptDays     = 400  // the last ones that something happened on
	linesADay    = 1000 // of further causes there is one line for all, which says Others
	prunedAtOnce = 100  // lines of days that are over, which go with one new line
	maxBy        = 300  // bytes of a cause
)

// Others is who caused what no line of the day is left for.
const Others = "others:"

// Day is a day in UTC, counted from 1970-01-01.
type Day uint32

const dayLength = 24 * time.Hour

// DayOf is the day of a moment.
func DayOf(at time.Time) Day { return Day(max(0, at.Unix()) / int64(dayLength/time.Second)) }

// Begin is the moment when a day begins.
func (d Day) Begin() time.Time { return time.Unix(int64(d)*int64(dayLength/time.Second), 0).UTC() }

// String is the date: "2026-11-30".
func (d Day) String() string { return d.Begin().Format(time.DateOnly) }

// MarshalText writes the date.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a date.
func (d *Day) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDay(string(text))
	return err
}

// ParseDay reads a date: "2026-11-30".
func ParseDay(text string) (Day, error) {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil || at.Unix() < 0 || at.Year() > 9999 {
		return 0, fmt.Errorf("%.40q is no date such as 2026-11-30", text)
	}
	return DayOf(at), nil
}

// Purpose is what something was spent for.
type Purpose byte

// The purposes.
const (
	Objects     Purpose = iota + 1 // what clients and feeds publish
	Records                        // memberships, collections, keys
	Withdrawals                    // the destruction of NFTs, or records, that take something back
	Releases                       // the destruction of NFTs whose publications stay
	Former                         // what is destroyed and paid back of accounts of before
)

var purposes = map[Purpose]string{Objects: "objects", Records: "records", Withdrawals: "withdrawals", Releases: "releases", Former: "former"}

func (p Purpose) String() string { return purposes[p] }

// MarshalText writes one of the words "objects", "records", "withdrawals", "releases", "former".
func (p Purpose) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads one of them.
func (p *Purpose) UnmarshalText(text []byte) error {
	for one, word := range purposes {
		if word == string(text) {
			*p = one
			return nil
		}
	}
	return fmt.Errorf("%.40q is nothing that is spent for", text)
}

// Sums are what was spent. What is confirmed on the chain is in all but Taken and Promised, which count what came in:
// for what waits still, and for what is never published after all, there is nothing else.
type Sums struct {
	Taken    uint64           `json:"taken,omitzero"`              // objects that were accepted, to be published
	Promised microalgo.Amount `json:"promised_microalgo,omitzero"` // … and what they take at the lowest fee
	Objects  uint64           `json:"objects,omitzero"`            // objects on the chain, those of batches as well
	NFTs     uint64           `json:"nfts,omitzero"`               // NFTs that were made
	Ended    uint64           `json:"destroyed,omitzero"`          // NFTs that were destroyed
	Fees     microalgo.Amount `json:"fee_microalgo,omitzero"`      // gone
	Locked   microalgo.Amount `json:"locked_microalgo,omitzero"`   // as long as the NFTs are there
	Freed    microalgo.Amount `json:"freed_microalgo,omitzero"`    // that was locked before
}

// Add adds other sums.
func (s *Sums) Add(o Sums) {
	s.Taken, s.Objects, s.NFTs, s.Ended = s.Taken+o.Taken, s.Objects+o.Objects, s.NFTs+o.NFTs, s.Ended+o.Ended
	s.Promised, s.Fees, s.Locked, s.Freed = s.Promised.Plus(o.Promised), s.Fees.Plus(o.Fees), s.Locked.Plus(o.Locked), s.Freed.Plus(o.Freed)
}

// Net is what it took out of the account. What came back, if that is more, is not negative: nothing was taken.
func (s Sums) Net() microalgo.Amount { return s.Fees.Plus(s.Locked).Less(s.Freed) }

// Line is what one cause spent on one day for one purpose.
type Line struct {
	Day Day     `json:"day"`
	For Purpose `json:"for"`
	// By is who caused it: the name of an account, "key:NAME", "feed NAME", "operator", "" for the node itself, or Others.
	By string `json:"by"`
	Sums
}

// Entry is what a line is of.
type Entry struct {
	For Purpose
	By  string
}

func (e Entry) key(day Day) []byte {
	k := append(dayKey(day), byte(e.For))
	return append(k, e.By[:min(len(e.By), maxBy)]...)
}

func dayKey(day Day) []byte {
	return store.Key(store.TableDaybook, binary.BigEndian.AppendUint32(nil, uint32(day)))
}

var bare = len(dayKey(0))

func readLine(k []byte, item *kv.Item) (line Line, err error) {
	if len(k) <= bare {
		return line, fmt.Errorf("the day-book has a line without a day")
	}
	line.Day, line.For, line.By = Day(binary.BigEndian.Uint32(k[bare-4:])), Purpose(k[bare]), string(k[bare+1:])
	err = store.ItemJSON(item, &line.Sums)
	return line, err
}

// Write adds sums to a day's lines, in a transaction of the caller.
func Write(txn *kv.Txn, day Day, all map[Entry]Sums) error {
	for entry, more := range all {
		if err := write(txn, day, entry, more); err != nil {
			return fmt.Errorf("writing the day-book: %w", err)
		}
	}
	return nil
}

func write(txn *kv.Txn, day Day, entry Entry, more Sums) error {
	var sums Sums
	found, err := store.GetJSON(txn, entry.key(day), &sums)
	if err != nil {
		return err
	}
	if !found {
		if entry, err = open(txn, day, entry); err != nil {
			return err
		}
		if _, err := store.GetJSON(txn, entry.key(day), &sums); err != nil { // the line of all others
			return err
		}
	}
	sums.Add(more)
	return store.SetJSON(txn, entry.key(day), sums)
}

// open makes room for a new line: those of days long past go, and where the day is full it is the line of all others.
func open(txn *kv.Txn, day Day, entry Entry) (Entry, error) {
	var old [][]byte
	err := store.Scan(txn, store.Key(store.TableDaybook), nil, func(k []byte, _ *kv.Item) (bool, error) {
		if Day(binary.BigEndian.Uint32(k[bare-4:]))+KeptDays > day || len(old) >= prunedAtOnce {
			return false, nil
		}
		old = append(old, append([]byte(nil), k...))
		return true, nil
	})
	if err != nil {
		return entry, err
	}
	for _, k := range old {
		if err := txn.Delete(k); err != nil {
			return entry, err
		}
	}
	lines := 0
	err = store.Scan(txn, dayKey(day), nil, func([]byte, *kv.Item) (bool, error) {
		lines++
		return lines < linesADay, nil
	})
	if lines >= linesADay {
		entry.By = Others
	}
	return entry, err
}

// Book reads what is written.
type Book struct{ store *store.Store }

// New is the day-book in a store.
func New(s *store.Store) *Book { return &Book{s} }

// Add adds to a line of a day, for what is in no other transaction.
func (b *Book) Add(day Day, entry Entry, more Sums) error {
	return b.store.Write(func(txn *kv.Txn) error { return Write(txn, day, map[Entry]Sums{entry: more}) })
}

// Each calls visit with the lines of some days, both included, by day, purpose and cause, until it returns an error.
func (b *Book) Each(first, last Day, visit func(Line) error) error {
	err := b.store.Read(func(txn *kv.Txn) error { return each(txn, first, last, visit) })
	if err != nil {
		return fmt.Errorf("reading the day-book: %w", err)
	}
	return nil
}

func each(txn *kv.Txn, first, last Day, visit func(Line) error) error {
	from := binary.BigEndian.AppendUint32(nil, uint32(first))
	return store.Scan(txn, store.Key(store.TableDaybook), from, func(k []byte, item *kv.Item) (bool, error) {
		line, err := readLine(k, item)
		if err != nil || line.Day > last {
			return false, err
		}
		return true, visit(line)
	})
}

// Began is the day of the first line; found is false where there is none.
func (b *Book) Began() (day Day, found bool, err error) {
	err = b.store.Read(func(txn *kv.Txn) error {
		return store.Scan(txn, store.Key(store.TableDaybook), nil, func(k []byte, _ *kv.Item) (bool, error) {
			if len(k) > bare {
				day, found = Day(binary.BigEndian.Uint32(k[bare-4:])), true
			}
			return false, nil
		})
	})
	if err != nil {
		return 0, false, fmt.Errorf("reading the day-book: %w", err)
	}
	return day, found, nil
}
