package watch

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/serviceledger/slnode/repo/view"
)

const (
	pageSize = 500
	again    = 10 * time.Second // after which a view is read again that could not be
)

// Status is how much is watched for, and how much came of it.
type Status struct {
	Assets  int   `json:"assets"`
	Matched int64 `json:"matched"` // objects that came in since the start
}

// Status tells it; nil where nothing is watched for.
func (r *Room) Status() *Status {
	n := len(r.list.Load().of)
	if n == 0 {
		return nil
	}
	return &Status{n, r.matched.Load()}
}

// Run looks at what comes in until the context ends, and says in the log how much of it concerns this organisation. Its
// place is durable and moves on when that was said: what comes in is told of at least once. An error is that the place
// can't be kept.
func (r *Room) Run(ctx context.Context) error {
	after, err := r.place()
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		shown := r.Shown.Changed()
		next, err := r.look(after)
		var retry <-chan time.Time
		if err != nil { // of the view, which is derived: it is no reason to end the node
			r.Log.Error("what comes in can't be held against what is watched for", "error", err)
			retry = time.After(again)
		}
		if next > after {
			if err := r.Memos.SetMemo(placeMemo, strconv.AppendInt(nil, next, 10)); err != nil {
				return err
			}
			after = next
			continue
		}
		select {
		case <-ctx.Done():
		case <-shown:
		case <-retry:
		}
	}
	return nil
}

// place is the date_added up to which was looked. What is here before the first look is looked for when assets are
// added.
func (r *Room) place() (int64, error) {
	data, err := r.Memos.Memo(placeMemo)
	if err != nil || data == nil {
		return 0, err
	}
	after, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("how far was looked for what is watched for: %w", err)
	}
	return after, nil
}

// look looks at what came after a date, a page of it, and gives the date up to which it has.
func (r *Room) look(after int64) (next int64, err error) {
	now := r.list.Load()
	until, err := r.View.Changed(view.Everything)
	if err != nil || until <= after {
		return after, err
	}
	if len(now.of) == 0 || after == 0 {
		return until, nil
	}
	entries, more, err := r.View.Page(view.Query{Collection: view.Everything, AnyLine: true, Versions: view.Versions{All: true}, After: after, Limit: pageSize, WithObjects: true})
	if err != nil {
		return after, err
	}
	matched := map[string]int{}
	for _, e := range entries {
		next = e.DateAdded
		if len(now.concerns(e.Object)) > 0 {
			r.matched.Add(1)
			matched[r.Finder.State.Name(e.Owner())]++
		}
	}
	for member, n := range matched { // not which: what there is to lose is in no log
		r.Log.Info("what came in concerns this organisation: \"slnode watch check\" shows it", "member", member, "objects", n)
	}
	if !more {
		next = max(next, until)
	}
	return next, nil
}
