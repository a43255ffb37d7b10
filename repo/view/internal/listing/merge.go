package listing

import (
	"bytes"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
)

// Merge visits the dates at the ends of the keys of several lists, ascending, each once.
func Merge(lists []*kv.Iterator, visit func(date []byte) (bool, error)) error {
	lists = slices.Clone(lists)
	date := func(it *kv.Iterator) []byte { k := it.Item().Key(); return k[len(k)-8:] }
	var before []byte
	for len(lists) > 0 {
		at := 0
		for i := range lists {
			if bytes.Compare(date(lists[i]), date(lists[at])) < 0 {
				at = i
			}
		}
		if next := date(lists[at]); !bytes.Equal(next, before) {
			before = append(before[:0], next...)
			if more, err := visit(before); err != nil || !more {
				return err
			}
		}
		if lists[at].Next(); !lists[at].Valid() {
			lists = slices.Delete(lists, at, at+1)
		}
	}
	return nil
}

// Earliest sorts dates, each once, and gives the first n of them.
func Earliest(dates [][]byte, n int) [][]byte {
	slices.SortFunc(dates, bytes.Compare)
	dates = slices.CompactFunc(dates, bytes.Equal)
	return dates[:min(n, len(dates))]
}
