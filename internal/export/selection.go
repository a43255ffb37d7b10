package export

import (
	"cmp"
	"maps"
	"slices"
)

// maxHeld is how much a selection holds, in bytes.
const maxHeld = 32 << 20

// weight estimates what an item takes, in bytes.
func weight(key string) int { return len(key) + 160 }

// selection is the smallest items above a floor, as many as may be held, each value once.
type selection struct {
	floor   string // the key that all are above
	ceiling string // the last key that was kept, if there are more
	more    bool
	limit   int
	items   map[string]Item
	held    int
}

func (l *List) newSelection(floor string) *selection {
	return &selection{floor: floor, limit: l.limit, items: map[string]Item{}}
}

// key is what a list is sorted by.
func (i *Item) key() string { return string(rune(i.Kind)) + i.Value }

func (s *selection) add(items []Item) {
	for _, item := range items {
		key := item.key()
		if key <= s.floor || s.more && key > s.ceiling {
			continue
		}
		known, found := s.items[key]
		if found && !item.preferable(&known) {
			continue
		}
		item.Value = key[1:] // the same memory
		s.items[key] = item
		if found {
			continue
		}
		if s.held += weight(key); s.held > s.limit {
			s.cut()
		}
	}
}

// cut lets the greatest go, so that there is room again. One stays in any case.
func (s *selection) cut() {
	keys := slices.Sorted(maps.Keys(s.items))
	s.held = weight(keys[0])
	n := 1
	for n < len(keys) && s.held+weight(keys[n]) <= s.limit/4*3 {
		s.held += weight(keys[n])
		n++
	}
	for _, key := range keys[n:] {
		delete(s.items, key)
		s.more = true
	}
	s.ceiling = keys[n-1]
}

// preferable chooses of two indicators with the same value the one that a list names, whichever is read first: the
// surer one, then the one that lasts, then any.
func (i *Item) preferable(to *Item) bool {
	lasting := func(i *Item) int64 {
		if i.Until.IsZero() {
			return 1<<63 - 1
		}
		return i.Until.Unix()
	}
	return cmp.Or(cmp.Compare(i.Confidence, to.Confidence), cmp.Compare(lasting(i), lasting(to)),
		slices.Compare(to.Indicator[:], i.Indicator[:])) > 0
}

// sorted gives the items in the order of a list.
func (s *selection) sorted() []Item {
	list := make([]Item, 0, len(s.items))
	for _, key := range slices.Sorted(maps.Keys(s.items)) {
		list = append(list, s.items[key])
	}
	return list
}
