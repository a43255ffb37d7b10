package taxii

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/serviceledger/slnode/internal/waiting"
)

// Checklist 9.8, 9.9: readers that page while writers add see every object once, by next and by added_after.
func TestReadersLoseNothingWhileWritersWrite(t *testing.T) {
	const (
		writers    = 4
		perWriter  = 60
		perRequest = 3
		total      = writers * perWriter
	)
	f := newFixture(t)
	ctx, cancel := context.WithTimeout(context.Background(), waiting.Limit)
	defer cancel()

	// Each way of paging returns the query of the page after this one.
	byNext := func(query string, a answer) string {
		if next := decode[envelope](t, a).Next; next != "" {
			return "next=" + next
		}
		return byAddedAfter(query, a)
	}
	var wg sync.WaitGroup
	for name, follow := range map[string]func(string, answer) string{"next": byNext, "added_after": byAddedAfter} {
		for _, limit := range []int{1, 7, 1000} {
			wg.Go(func() {
				seen := make(map[string]int)
				for query := ""; len(seen) < total; {
					if ctx.Err() != nil {
						t.Errorf("%s, limit %d: only %d of %d seen", name, limit, len(seen), total)
						return
					}
					a := f.get(boxPath + "objects/?limit=" + strconv.Itoa(limit) + "&" + query)
					for _, id := range a.ids(t) {
						if seen[id]++; seen[id] > 1 {
							t.Errorf("%s, limit %d: %s is seen again", name, limit, id)
						}
					}
					query = follow(query, a)
				}
			})
		}
	}
	for w := range writers {
		wg.Go(func() {
			for i := 0; i < perWriter; i += perRequest {
				var objects []string
				for n := range perRequest {
					objects = append(objects, indicator(w*perWriter+i+n, 1))
				}
				a := f.do(http.MethodPost, boxPath+"objects/", `{"objects":[`+strings.Join(objects, ",")+`]}`)
				if a.status != http.StatusAccepted {
					t.Errorf("writer: %d", a.status)
				}
			}
		})
	}
	wg.Wait()
}

// byAddedAfter goes on after the last date of a page; an empty one has none and is asked for again.
func byAddedAfter(query string, a answer) string {
	if last := a.header.Get("X-TAXII-Date-Added-Last"); last != "" {
		return "added_after=" + last
	}
	return query
}
