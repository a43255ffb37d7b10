package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// next gives what is to be sent next: entries or what left, whichever was first. Where neither is wanted that is so up
// to the date.
func (w *Webhook) next(after int64) (entries []*view.Entry, left []view.Removal, passed int64, err error) {
	// What comes and goes from here on is for the next time: else something could come between the two questions.
	until, err := w.view.Changed(w.config.Collection)
	if err != nil || until <= after {
		return nil, nil, after, err
	}
	left, more, err := w.view.Removals(w.config.Collection, after, webhookBatch)
	if err != nil {
		return nil, nil, after, err
	}
	if more {
		until = min(until, left[len(left)-1].Date)
	}
	left = slices.DeleteFunc(left, func(r view.Removal) bool {
		return r.Date > until || len(w.config.Types) > 0 && !slices.Contains(w.config.Types, r.Type)
	})
	q := w.query(after, webhookBatch)
	q.WithObjects = true
	if entries, _, err = w.view.Page(q); err != nil {
		return nil, nil, after, err
	}
	entries = addedUntil(entries, until)
	switch {
	case len(entries) == 0 || len(left) == 0:
	case left[0].Date < entries[0].DateAdded:
		if i := slices.IndexFunc(left, func(r view.Removal) bool { return r.Date > entries[0].DateAdded }); i >= 0 {
			left = left[:i]
		}
		entries = nil
	default:
		entries, left = addedUntil(entries, left[0].Date), nil
	}
	return entries, left, until, nil
}

// addedUntil are the entries that were added up to a date.
func addedUntil(entries []*view.Entry, date int64) []*view.Entry {
	if i := slices.IndexFunc(entries, func(e *view.Entry) bool { return e.DateAdded > date }); i >= 0 {
		return entries[:i]
	}
	return entries
}

// sendNext sends one of both, and tells how far it came.
func (w *Webhook) sendNext(ctx context.Context, entries []*view.Entry, left []view.Removal) (last int64, err error) {
	if len(entries) > 0 {
		entries = entries[:batchSize(entries)]
		if err := w.send(ctx, entries); err != nil {
			return 0, err
		}
		err := w.sendFeedback(ctx, entries)
		if err == nil {
			err = w.sendConcerns(ctx, entries)
		}
		return entries[len(entries)-1].DateAdded, err
	}
	return left[len(left)-1].Date, w.sendRemoved(ctx, left)
}

// sendRemoved posts what left the view, as objects are posted.
func (w *Webhook) sendRemoved(ctx context.Context, left []view.Removal) error {
	type data struct {
		origin
		Removed []taxii.Removal `json:"removed"`
	}
	last := left[len(left)-1].Date
	all := data{origin: w.origin()}
	for i := range left {
		all.Removed = append(all.Removed, removalFor(&left[i], w.config.Collection))
	}
	return w.sendEvent(ctx, messageID("%s removed %d %d %d", w.config.Name, left[0].Date, last, len(left)), "objects.removed", last, all)
}

// sendEvent posts an event that happened up to a date_added, in the form that Standard Webhooks recommends.
func (w *Webhook) sendEvent(ctx context.Context, id, kind string, date int64, data any) error {
	body, err := json.Marshal(struct {
		Type      string `json:"type"`
		Timestamp string `json:"timestamp"`
		Data      any    `json:"data"`
	}{kind, added(date).Format(time.RFC3339Nano), data})
	if err != nil {
		return fmt.Errorf("making the body of webhook %s: %w", w.config.Name, err)
	}
	return w.post(ctx, id, body)
}
