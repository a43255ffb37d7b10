package listing

import (
	"bytes"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
)

// Merge visits the dates at the ends of the keys of several lists, each once, in their order, which is ascending or
// descending.
func Merge(lists []*kv.Iterator, descending bool, visit func(date []byte) (bool, error)) error {
	lists = slices.Clone(lists)
	date := func(it *kv.Iterator) []byte { k := it.Item().Key(); return k[len(k)-8:] }
	var before []byte
	for len(lists) > 0 {
		at := 0
		for i := range lists {
			if c := bytes.Compare(date(lists[i]), date(lists[at])); c < 0 && !descending || c > 0 && descending {
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

// Foremost sorts dates, each once, and gives the first n of them: the earliest or, descending, the latest.
func Foremost(dates [][]byte, descending bool, n int) [][]byte {
	slices.SortFunc(dates, func(a, b []byte) int {
		if descending {
			a, b = b, a
		}
		return bytes.Compare(a, b)
	})
	dates = slices.CompactFunc(dates, bytes.Equal)
	return dates[:min(n, len(dates))]
}
