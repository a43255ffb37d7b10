package clients

import (
	"context"
	"fmt"

	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// feedback tells what others say of this organisation's objects.
type feedback interface {
	// About tells what an object that came into the view, with a date_added, says of them; nothing if it is no such thing.
	About(object []byte, added int64) ([]taxii.FeedbackEvent, error)
}

// sendFeedback posts what entries say of this organisation's objects, after they were sent themselves. Of a receiver
// that wants some types alone it is the opinions that count.
func (w *Webhook) sendFeedback(ctx context.Context, entries []*view.Entry) error {
	if w.feedback == nil {
		return nil
	}
	type data struct {
		origin
		Feedback []taxii.FeedbackEvent `json:"feedback"`
	}
	all := data{origin: w.origin()}
	for _, e := range entries {
		some, err := w.feedback.About(e.Object, e.DateAdded)
		if err != nil {
			return fmt.Errorf("looking for feedback: %w", err)
		}
		all.Feedback = append(all.Feedback, some...)
	}
	return w.sendFound(ctx, entries, "feedback", len(all.Feedback), "feedback.added", all)
}

// sendFound posts an event of what was found in entries, if anything was.
func (w *Webhook) sendFound(ctx context.Context, entries []*view.Entry, what string, found int, event string, data any) error {
	if found == 0 {
		return nil
	}
	last := entries[len(entries)-1].DateAdded
	return w.sendEvent(ctx, messageID("%s %s %d %d %d", w.config.Name, what, entries[0].DateAdded, last, found), event, last, data)
}

// watcher tells what objects are about of what this organisation watches for.
type watcher interface {
	Concerns(object []byte) []taxii.Concern
}

// sendConcerns posts which entries are about what this organisation watches for, after they were sent themselves.
func (w *Webhook) sendConcerns(ctx context.Context, entries []*view.Entry) error {
	if w.watch == nil {
		return nil
	}
	type data struct {
		origin
		Matched []taxii.WatchEvent `json:"matched"`
	}
	all := data{origin: w.origin()}
	for _, e := range entries {
		if concerns := w.watch.Concerns(e.Object); len(concerns) > 0 {
			all.Matched = append(all.Matched, taxii.WatchEvent{Object: e.ID, Version: e.Version, Concerns: concerns})
		}
	}
	return w.sendFound(ctx, entries, "watch", len(all.Matched), "watch.matched", all)
}
