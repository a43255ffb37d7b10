package desk

import (
	"cmp"
	"context"
	"slices"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/disclosure"
	"github.com/serviceledger/slnode/repo/view"
)

// longestName is how much of an object's name is shown, in bytes.
const longestName = 300

// Newest gives the objects that came last, of those that somebody may read.
func (d *Desk) Newest(ctx context.Context, by console.By, limit int) ([]console.Recent, error) {
	collections := []string{view.Everything}
	if by.Limits.Read != nil {
		collections = by.Limits.Read
	}
	var entries []*view.Entry
	for _, c := range collections {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		page, _, err := d.api.Repo.View.Page(view.Query{Collection: c, Versions: view.Versions{Last: true}, Descending: true, Limit: limit})
		if err != nil {
			return nil, err
		}
		entries = append(entries, page...)
	}
	slices.SortFunc(entries, func(a, b *view.Entry) int { return cmp.Compare(b.DateAdded, a.DateAdded) })
	describe := (&disclosure.Register{View: d.api.Repo.View, Outbox: d.api.Repo.Outbox, State: d.api.State}).Describer()
	list := []console.Recent{}
	for _, e := range entries[:min(limit, len(entries))] {
		told, err := describe(wire.Publication{TxID: e.TxID, Index: e.Position.Index})
		if err != nil {
			return nil, err
		}
		one := console.Recent{ID: e.ID, Name: told.Name, Level: told.Level, Member: d.api.State.Name(e.Publisher), Added: e.Added()}
		one.Type = e.Type
		one.Name = one.Name[:min(len(one.Name), longestName)]
		if c, found := d.api.State.Collection(e.Collection); found {
			one.Collection = c.Properties.Title
		}
		list = append(list, one)
	}
	return list, nil
}
