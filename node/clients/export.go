package clients

import (
	"context"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/internal/export"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const (
	ExportsAtOnce = 4                // since each takes memory and reads the whole collection
	exportWait    = 10 * time.Second // for one's turn
	exportPage    = 500              // indicators
)

// Appraisal is what this organisation itself makes of indicators.
type Appraisal interface {
	// Changed tells when it became another one, in unix microseconds, for lists that age or others.
	Changed(aging bool) (int64, error)
	// Fill says in a list's options what it leaves out: always what can't be malicious and, if that is asked for, what is
	// on a warning list since many use it.
	Fill(o *export.Options, dropShared bool) error
	// Age says how scores fall.
	Age(o *export.Options)
}

var (
	_ taxii.Exporter = (*Catalogue)(nil)
	_ taxii.Observer = (*Catalogue)(nil)
)

// Changed tells when a collection changed last.
func (c *Catalogue) Changed(_ context.Context, of taxii.Collection) (int64, error) {
	return c.View.Changed(c.collectionOf(of))
}

// ListChanged tells when a list became another one, but for the passing of time.
func (c *Catalogue) ListChanged(_ context.Context, of taxii.Collection, q taxii.ExportQuery) (int64, error) {
	changed, err := c.View.Changed(c.collectionOf(of))
	if err != nil || c.Appraisal == nil {
		return changed, err
	}
	appraised, err := c.Appraisal.Changed(q.Score > 0)
	return max(changed, appraised), err
}

// Changes is closed at the next change of the view.
func (c *Catalogue) Changes() <-chan struct{} { return c.Shown.Changed() }

// Export prepares a list of what the indicators of a collection say.
func (c *Catalogue) Export(ctx context.Context, _ taxii.Principal, of taxii.Collection, q taxii.ExportQuery) (taxii.Export, error) {
	o := export.Options{Format: export.Format(q.Format), MinConfidence: q.MinConfidence, Score: q.Score, Subdomains: q.Subdomains, Changed: q.Changed, Now: state.Now()}
	if err := o.Format.Check(); err != nil {
		return taxii.Export{}, &taxii.InvalidError{Reason: err.Error()}
	}
	if o.Subdomains && !o.Format.Subdomains() {
		return taxii.Export{}, &taxii.InvalidError{Reason: fmt.Sprintf("subdomains: lists in the format %s have names alone, without those below them", o.Format)}
	}
	for _, word := range q.Kinds {
		kinds, err := observable.ParseKinds(word)
		if err != nil {
			return taxii.Export{}, &taxii.InvalidError{Reason: err.Error()}
		}
		o.Kinds = append(o.Kinds, kinds...)
	}
	if c.Appraisal != nil {
		if err := c.Appraisal.Fill(&o, q.DropShared); err != nil {
			return taxii.Export{}, err
		}
	}
	if err := takeTurn(ctx, c.Exports); err != nil {
		return taxii.Export{}, err
	}
	list, err := export.Prepare(ctx, c.indicators(c.collectionOf(of), o.ByMember()), o)
	if err != nil {
		c.Exports.Release(1)
		return taxii.Export{}, err
	}
	return taxii.Export{
		MediaType: o.Format.MediaType(), Skipped: list.Skipped.Total(), Unreliable: list.Skipped.Reliability, Until: list.Until, Write: list.Write,
		Close: func() { c.Exports.Release(1) },
	}, nil
}

// Worth tells how much an indicator of a member is worth now, of one that was seen at a time last; the zero time is
// never.
func (c *Catalogue) Worth(object []byte, member string, seen time.Time) (export.Worth, bool) {
	o := export.Options{Now: state.Now(), Sighted: func(string) time.Time { return seen }}
	if c.Appraisal != nil {
		c.Appraisal.Age(&o)
	}
	return export.Appraise(export.Object{JSON: object, Member: member}, o)
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

// indicators gives the indicators of a collection, each in its latest version, and whose they are if that is asked for.
func (c *Catalogue) indicators(collection string, named bool) export.Source {
	return func(ctx context.Context) iter.Seq2[export.Object, error] {
		return func(yield func(export.Object, error) bool) {
			q := view.Query{
				Collection: collection, Types: []string{"indicator"}, Versions: view.Versions{Last: true}, Limit: exportPage,
				WithObjects: named, OnlyObjects: !named,
			}
			for more := true; more; {
				var entries []*view.Entry
				err := ctx.Err()
				if err == nil {
					entries, more, err = c.View.Page(q)
				}
				if err != nil {
					yield(export.Object{}, err)
					return
				}
				for _, e := range entries {
					one := export.Object{JSON: e.Object}
					if named {
						one.Member = c.State.Name(e.Owner())
					}
					if !yield(one, nil) {
						return
					}
					q.After = e.DateAdded
				}
			}
		}
	}
}
