package search

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/quality"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// Finder answers questions.
type Finder struct {
	View   *view.View
	Index  *find.Index
	State  *state.Shared
	Outbox *outbox.Outbox
	// Everything and Others are the ids of the collections of the view, as TAXII clients know them: accounts may be
	// limited to these.
	Everything, Others string
	// Reliability tells how reliable the member with an account is held to be; nil: nobody is rated.
	Reliability func(account string) quality.Reliability
	// Warned tells on which warning lists a value is, the graver ones first; nil: on none.
	Warned func(observable.Value) ([]taxii.WarningList, error)

	most int // maxHeld, but for tests
}

// Progress tells how far the indexes are that the answers come from: until they are whole, older objects are missing.
func (f *Finder) Progress() find.Progress { return f.Index.Progress() }

// mayAsk refuses who may read nothing.
func mayAsk(who taxii.Principal) error {
	if who.Role < taxii.RoleReader {
		return taxii.ErrForbidden
	}
	return nil
}

// reading is a look at the indexes for somebody.
type reading struct {
	*find.Reader
	finder *Finder
	who    taxii.Principal
	ctx    context.Context
}

func (f *Finder) read(ctx context.Context, who taxii.Principal, ask func(*reading) error) error {
	if err := mayAsk(who); err != nil {
		return err
	}
	return f.Index.Read(func(r *find.Reader) error { return ask(&reading{r, f, who, ctx}) })
}

// mayRead reports whether who asks may read an entry: in its collection, or in one of those of the view.
func (r *reading) mayRead(e *view.Entry) (bool, error) {
	limit := r.who.Limits.Read
	if limit == nil || slices.Contains(limit, e.Collection) {
		return true, nil
	}
	everything, others := slices.Contains(limit, r.finder.Everything), slices.Contains(limit, r.finder.Others)
	if !everything && !others {
		return false, nil
	}
	leads, err := r.Leads(e)
	return leads && everything || !leads && others, err
}

// admits reports whether an entry is the last version in its line, and who asks may read it.
func (r *reading) admits(e *view.Entry) (bool, error) {
	if err := r.ctx.Err(); err != nil {
		return false, err
	}
	if may, err := r.mayRead(e); err != nil || !may {
		return false, err
	}
	return r.IsLast(e)
}

// head gives an entry that is admitted, without its object; else nil.
func (r *reading) head(date int64) (*view.Entry, error) {
	e, err := r.Entry(date, false)
	if err != nil || e == nil {
		return nil, err
	}
	if is, err := r.admits(e); err != nil || !is {
		return nil, err
	}
	return e, nil
}

// whole gives what head does, with its object.
func (r *reading) whole(date int64) (*view.Entry, error) {
	e, err := r.head(date)
	if err != nil || e == nil {
		return nil, err
	}
	return r.Entry(date, true)
}

// byID gives the last version of each line of an object that who asks may read.
func (f *Finder) byID(ctx context.Context, who taxii.Principal, ids ...string) (list []*view.Entry, err error) {
	found, _, err := f.View.Page(view.Query{Collection: view.Everything, IDs: ids, AnyLine: true, Versions: view.Versions{Last: true}, Limit: MaxPage, Descending: true})
	if err != nil {
		return nil, err
	}
	return list, f.read(ctx, who, func(r *reading) error {
		for _, e := range found {
			is, err := r.admits(e)
			if is && err == nil {
				e, err = r.Entry(e.DateAdded, true)
			}
			switch {
			case err != nil:
				return err
			case is && e != nil:
				list = append(list, e)
			}
		}
		return nil
	})
}

// The cursor of a page is the date_added of its last object.
func encodeCursor(date int64) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(date)))
}

var errCursor = errors.New("the cursor is none that a page had")

func decodeCursor(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 8 || int64(binary.BigEndian.Uint64(raw)) <= 0 {
		return 0, &taxii.InvalidError{Reason: errCursor.Error()}
	}
	return int64(binary.BigEndian.Uint64(raw)), nil
}
