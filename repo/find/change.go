package find

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/view"
)

// What one transaction brings under one name, such as a word, is one key: a thousand objects that come together mostly
// have most of their names in common, and a key costs much more than a date in it. Names have their newest keys first,
// and of the keys of a name no two overlap: date_addeds only grow, and the background's are before all others.

// mark is an entry under a name.
type mark struct {
	date int64
	tag  byte
}

// change is what a transaction changes: the names, and which entries come under them and go. Both are in their order.
type change struct {
	first       int64 // date_added of the first entry that came
	came, leave map[string][]mark
}

// Change begins what a transaction changes.
func (x *Index) Change() view.Change { return &change{} }

// Enter puts an entry into the indexes.
func (c *change) Enter(e *view.Entry) {
	if c.came == nil {
		c.first, c.came = e.DateAdded, map[string][]mark{}
	}
	for _, p := range postings(e) {
		c.came[string(p.prefix)] = append(c.came[string(p.prefix)], mark{e.DateAdded, p.tag})
	}
}

// Leave takes an entry out of the indexes, which may be one that came in the same transaction.
func (c *change) Leave(e *view.Entry) {
	from := &c.leave
	if c.came != nil && e.DateAdded >= c.first {
		from = &c.came
	} else if c.leave == nil {
		c.leave = map[string][]mark{}
	}
	for _, p := range postings(e) {
		name := string(p.prefix)
		if from == &c.leave {
			c.leave[name] = append(c.leave[name], mark{date: e.DateAdded})
			continue
		}
		c.came[name] = slices.DeleteFunc(c.came[name], func(m mark) bool { return m.date == e.DateAdded })
	}
}

// Write writes the keys.
func (c *change) Write(txn *kv.Txn) error {
	if len(c.leave) > 0 {
		if err := c.takeOut(txn); err != nil {
			return fmt.Errorf("taking objects out of the indexes: %w", err)
		}
	}
	for name, marks := range c.came {
		if err := setBlock(txn, []byte(name), marks); err != nil {
			return fmt.Errorf("entering objects into the indexes: %w", err)
		}
	}
	return nil
}

// takeOut changes the keys of what leaves. One that is not in the indexes yet is passed over.
func (c *change) takeOut(txn *kv.Txn) error {
	it := txn.NewIterator(nil)
	defer it.Close()
	for name, marks := range c.leave {
		slices.SortFunc(marks, func(a, b mark) int { return int(b.date - a.date) })
		for len(marks) > 0 {
			if !it.Seek(blockKey([]byte(name), marks[0].date)) || !isBlock(it.Item().Key(), []byte(name)) {
				break // nothing is that old
			}
			key := bytes.Clone(it.Item().Key())
			block, err := readBlock(it.Item())
			if err != nil {
				return err
			}
			n, left := 0, len(block)
			for n < len(marks) && marks[n].date >= dateOf(key) {
				block = slices.DeleteFunc(block, func(m mark) bool { return m.date == marks[n].date })
				n++
			}
			if marks = marks[n:]; len(block) == left {
				continue
			}
			if len(block) == 0 || block[0].date != dateOf(key) {
				err = txn.Delete(key)
			}
			if err = errors.Join(err, setBlock(txn, []byte(name), block)); err != nil {
				return err
			}
		}
	}
	return nil
}

// blockKey is a name and the date_added of the oldest entry of a block, in descending order: the newest come first.
func blockKey(name []byte, oldest int64) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(name), ^uint64(oldest))
}

// dateOf is the oldest date_added in a block.
func dateOf(key []byte) int64 { return int64(^binary.BigEndian.Uint64(key[len(key)-8:])) }

// isBlock reports whether a key is one of a name, and not of another that begins as that does.
func isBlock(key, name []byte) bool { return len(key) == len(name)+8 && bytes.HasPrefix(key, name) }

// setBlock writes entries under a name, the oldest first: its tag, and of the others how much later they are, as an
// uvarint, and their tags.
func setBlock(txn *kv.Txn, name []byte, marks []mark) error {
	if len(marks) == 0 {
		return nil
	}
	return txn.Set(blockKey(name, marks[0].date), blockOf(marks))
}

func blockOf(marks []mark) []byte {
	value := append(make([]byte, 0, 4*len(marks)), marks[0].tag)
	for i, m := range marks[1:] {
		value = append(binary.AppendUvarint(value, uint64(m.date-marks[i].date)), m.tag)
	}
	return value
}

// readBlock undoes setBlock.
func readBlock(item *kv.Item) (marks []mark, err error) {
	if len(item.Key()) < tableSize+8 {
		return nil, fmt.Errorf("%w: a key", errDamaged)
	}
	date := dateOf(item.Key())
	return marks, item.Show(func(value []byte) error {
		if len(value) == 0 {
			return fmt.Errorf("%w: an empty block", errDamaged)
		}
		marks = append(make([]mark, 0, 1+len(value)/3), mark{date, value[0]})
		for rest := value[1:]; len(rest) > 0; {
			later, n := binary.Uvarint(rest)
			if n <= 0 || n == len(rest) || later == 0 || later > 1<<62 {
				return fmt.Errorf("%w: a block", errDamaged)
			}
			date += int64(later)
			marks = append(marks, mark{date, rest[n]})
			rest = rest[n+1:]
		}
		return nil
	})
}
