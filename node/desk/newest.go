package desk

import (
	"context"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/node/search"
)

// Newest gives the objects that came last, of those that somebody may read.
func (d *Desk) Newest(ctx context.Context, by console.By, limit int) ([]console.Row, error) {
	find := newFinder(d.api, d.press.clients)
	page, err := find.Find(ctx, by.Principal, search.Query{Limit: limit})
	list := []console.Row{}
	for _, s := range page.Objects {
		list = append(list, row(s))
	}
	if err == nil {
		err = find.sight(ctx, by, list)
	}
	return list, err
}
