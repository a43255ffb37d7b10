package clients

import (
	"context"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/internal/export"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const (
	ExportsAtOnce = 4                // since each takes memory and reads the whole collection
	exportWait    = 10 * time.Second // for one's turn
	exportPage    = 500              // indicators
)

var (
	_ taxii.Exporter = (*Catalogue)(nil)
	_ taxii.Observer = (*Catalogue)(nil)
)

// Changed tells when a collection changed last.
func (c *Catalogue) Changed(_ context.Context, of taxii.Collection) (int64, error) {
	return c.View.Changed(c.collectionOf(of))
}

// Changes is closed at the next change of the view.
func (c *Catalogue) Changes() <-chan struct{} { return c.Shown.Changed() }

// Export prepares a list of what the indicators of a collection say.
func (c *Catalogue) Export(ctx context.Context, _ taxii.Principal, of taxii.Collection, q taxii.ExportQuery) (taxii.Export, error) {
	o := export.Options{Format: export.Format(q.Format), MinConfidence: q.MinConfidence, Subdomains: q.Subdomains, Changed: q.Changed, Now: state.Now()}
	if err := o.Format.Check(); err != nil {
		return taxii.Export{}, &taxii.InvalidError{Reason: err.Error()}
	}
	if o.Subdomains && !o.Format.Subdomains() {
		return taxii.Export{}, &taxii.InvalidError{Reason: fmt.Sprintf("subdomains: lists in the format %s have names alone, without those below them", o.Format)}
	}
	for _, word := range q.Kinds {
		kinds, err := export.ParseKinds(word)
		if err != nil {
			return taxii.Export{}, &taxii.InvalidError{Reason: err.Error()}
		}
		o.Kinds = append(o.Kinds, kinds...)
	}
	if err := takeTurn(ctx, c.Exports); err != nil {
		return taxii.Export{}, err
	}
	list, err := export.Prepare(ctx, indicatorsOf(c.View, c.collectionOf(of)), o)
	if err != nil {
		c.Exports.Release(1)
		return taxii.Export{}, err
	}
	return taxii.Export{
		MediaType: o.Format.MediaType(), Skipped: list.Skipped.Total(), Until: list.Until, Write: list.Write,
		Close: func() { c.Exports.Release(1) },
	}, nil
}

func takeTurn(ctx context.Context, turns *semaphore.Weighted) error {
	waiting, cancel := context.WithTimeout(ctx, exportWait)
	defer cancel()
	err := turns.Acquire(waiting, 1)
	if err != nil && ctx.Err() == nil {
		return &taxii.RetryAfterError{After: exportWait}
	}
	return err
}

// indicatorsOf gives the indicators of a collection, each in its latest version.
func indicatorsOf(served *view.View, collection string) export.Source {
	return func(ctx context.Context) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			q := view.Query{Collection: collection, Types: []string{"indicator"}, Versions: view.Versions{Last: true}, Limit: exportPage, OnlyObjects: true}
			for more := true; more; {
				var entries []*view.Entry
				err := ctx.Err()
				if err == nil {
					entries, more, err = served.Page(q)
				}
				if err != nil {
					yield(nil, err)
					return
				}
				for _, e := range entries {
					if !yield(e.Object, nil) {
						return
					}
					q.After = e.DateAdded
				}
			}
		}
	}
}
