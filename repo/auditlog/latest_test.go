package auditlog

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheLatestLinesComeFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, err := Open(Path(dir), 1<<20, 8, steps())
	must(t, err)
	type line struct {
		Time  time.Time `json:"time"`
		Event string    `json:"event"`
		User  string    `json:"user"`
		N     int       `json:"n"`
		Pad   string    `json:"pad"`
	}
	const lines = 3000
	for n := range lines {
		user := "alice"
		if n%3 == 0 {
			user = "bob"
		}
		log.Append(line{time.Unix(int64(n), 0), "read", user, n, strings.Repeat("ö", n%900)})
		if n%100 == 0 {
			log.Flush()
		}
	}
	must(t, log.Close())
	latest := func(filter Filter, bytes int64, limit int) (list []int, more bool) {
		t.Helper()
		more, err := Latest(t.Context(), dir, filter, bytes, func(text []byte) bool {
			var l line
			must(t, json.Unmarshal(text, &l))
			list = append(list, l.N)
			return len(list) < limit
		})
		must(t, err)
		return list, more
	}
	all, more := latest(Filter{}, 1<<40, lines+1)
	if more || len(all) != lines || !slices.IsSortedFunc(all, func(a, b int) int { return b - a }) {
		t.Errorf("of %d lines there are %d, and more: %t", lines, len(all), more)
	}
	if some, more := latest(Filter{}, 1<<40, 3); !slices.Equal(some, []int{lines - 1, lines - 2, lines - 3}) || !more {
		t.Errorf("the last three are %v, and more: %t", some, more)
	}
	if some, _ := latest(Filter{User: "bob", Until: time.Unix(100, 0)}, 1<<40, 2); !slices.Equal(some, []int{99, 96}) {
		t.Errorf("bob's last two before a time are %v", some)
	}
	if some, more := latest(Filter{}, backBlock, lines); len(some) == 0 || len(some) > 1000 || !more {
		t.Errorf("of one block there are %d lines, and more: %t", len(some), more)
	}
	if none, more := latest(Filter{Since: time.Unix(1<<33, 0)}, 1<<40, 1); len(none) > 0 || more {
		t.Errorf("after all there are %v, and more: %t", none, more)
	}
	if more, err := Latest(t.Context(), t.TempDir(), Filter{}, 1, nil); more || err != nil {
		t.Errorf("of no log: %t, %v", more, err)
	}
}
