package search

import (
	"context"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// News counts what came in after some moment.
type News struct {
	Objects        int
	Types, Members map[string]int // STIX types, names of organisations
	More           bool           // as many were counted as may be: there are more
}

// Since counts the objects that came in after a moment, in their last versions, of what who asks may read: up to most
// of them, the newest.
func (f *Finder) Since(ctx context.Context, who taxii.Principal, after time.Time, most int) (News, error) {
	n := News{Types: map[string]int{}, Members: map[string]int{}}
	if err := mayAsk(who); err != nil {
		return n, err
	}
	seen := map[int64]bool{}
	collections := f.served(who, Query{})
	for _, collection := range collections {
		q := view.Query{Collection: collection, Versions: view.Versions{Last: true}, After: max(1, after.UnixMicro()), Descending: true, Limit: most + 1}
		list, more, err := f.View.Page(q)
		if err != nil {
			return n, fmt.Errorf("counting what came in: %w", err)
		}
		n.More = n.More || more
		for _, e := range list {
			if err := ctx.Err(); err != nil {
				return n, err
			}
			if n.Objects == most && !seen[e.DateAdded] {
				n.More = true
				break
			}
			if seen[e.DateAdded] {
				continue // it is in several of what is limited to
			}
			seen[e.DateAdded] = true
			n.Objects++
			n.Types[e.Type]++
			n.Members[f.State.Name(e.Publisher)]++
		}
	}
	return n, nil
}
