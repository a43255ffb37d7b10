package desk

import (
	"context"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/node/search"
)

// Newest gives the objects that came last, of those that somebody may read.
func (d *Desk) Newest(ctx context.Context, by console.By, limit int) ([]console.Recent, error) {
	page, err := newFinder(d.api).Find(ctx, by.Principal, search.Query{Limit: limit})
	list := []console.Recent{}
	for _, s := range page.Objects {
		list = append(list, console.Recent{ID: s.ID, Type: s.Type, Name: s.Title, Level: s.Level, Member: s.Member, Collection: s.CollectionTitle, Added: s.Added})
	}
	return list, err
}
