package desk

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/taxii"
)

// mouth says what it is told to, but of nothing that is not there.
type mouth struct{ taxii.Feedback }

func (mouth) Give(_ context.Context, _ taxii.Principal, g taxii.Judgement) (taxii.Judged, error) {
	if g.Object == "" {
		return taxii.Judged{}, taxii.ErrNotFound
	}
	return taxii.Judged{Object: g.Object, To: taxii.ToProducer}, nil
}
func (mouth) Respond(context.Context, taxii.Principal, taxii.Response) (taxii.Responded, error) {
	return taxii.Responded{}, nil
}
func (mouth) Next(taxii.Principal, string) (json.RawMessage, error) {
	return json.RawMessage(`{}`), nil
}

// Inbox has nothing for who is known, and takes for ever else.
func (mouth) Inbox(ctx context.Context, who taxii.Principal, _ taxii.InboxQuery) (taxii.Inbox, error) {
	if who.User == "" {
		<-ctx.Done()
	}
	return taxii.Inbox{Open: 3, OpenMore: true}, ctx.Err()
}

func TestAPageWaitsForNoInbox(t *testing.T) {
	f := feedback{newWorld(t).Desk}
	if is, err := f.Open(t.Context(), anna); is != (console.Waiting{N: 3, More: true, Known: true}) || err != nil {
		t.Errorf("3 and more that are open are %+v, %v", is, err)
	}
	if is, err := f.Open(t.Context(), somebody("", taxii.RolePublisher)); is != (console.Waiting{}) || err != nil {
		t.Errorf("what takes for ever is %+v, %v", is, err)
	}
	if _, err := f.Next(t.Context(), somebody("rita", taxii.RoleReader), "x"); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("a reader's draft is answered with %v", err)
	}
}

// deed is what somebody does, and what the audit log calls it.
type deed struct {
	event string
	do    func() error
	fails bool
}

func opinionated(ctx context.Context, w *world) []deed {
	return []deed{
		{"feedback", func() error {
			_, err := feedback{w.Desk}.Give(ctx, anna, taxii.Judgement{Object: id("indicator", 1)})
			return err
		}, false},
		{"feedback", func() error { _, err := feedback{w.Desk}.Give(ctx, anna, taxii.Judgement{}); return err }, true},
		{"answer-feedback", func() error {
			_, err := feedback{w.Desk}.Respond(ctx, anna, taxii.Response{Object: id("indicator", 1), Answer: taxii.AnswerKeep})
			return err
		}, false},
	}
}
