package desk

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/taxii"
)

// feedback is what members say of each other's objects. What is said and answered is written into the audit log as by
// the server of TAXII clients.
type feedback struct{ *Desk }

var _ console.Feedback = feedback{}

func (f feedback) room() taxii.Feedback { return f.press.clients.Feedback }

// Price is what each publication costs, and what a record does.
func (feedback) Price() uint64 { return recordCost }

// Regard tells what is held of an object.
func (f feedback) Regard(ctx context.Context, by console.By, object, member string) (taxii.Regard, error) {
	return f.room().Regard(ctx, by.Principal, object, member)
}

// Given lists what this organisation says.
func (f feedback) Given(ctx context.Context, by console.By, q taxii.GivenQuery) (taxii.Given, error) {
	return f.room().Given(ctx, by.Principal, q)
}

// Inbox lists what others say of this organisation's objects.
func (f feedback) Inbox(ctx context.Context, by console.By, q taxii.InboxQuery) (taxii.Inbox, error) {
	return f.room().Inbox(ctx, by.Principal, q)
}

// countsFor is for how long a page waits to know how much is in the inbox.
const countsFor = 200 * time.Millisecond

// Open counts what waits for an answer.
func (f feedback) Open(ctx context.Context, by console.By) (console.Waiting, error) {
	short, cancel := context.WithTimeout(ctx, countsFor)
	defer cancel()
	box, err := f.room().Inbox(short, by.Principal, taxii.InboxQuery{Limit: 1})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return console.Waiting{}, nil
	}
	return console.Waiting{N: box.Open, More: box.OpenMore, Known: err == nil}, err
}

// Give says something of an object. Only for a record that must be on the chain before it is waited longer.
func (f feedback) Give(ctx context.Context, by console.By, g taxii.Judgement) (taxii.Judged, error) {
	judged, err := f.room().Give(ctx, by.Principal, g)
	if err != nil {
		return judged, err
	}
	f.noteFeedback(by, taxii.Event{Name: taxii.EventFeedback, Kind: judged.To, Collection: judged.Collection, Status: judged.Status, Subject: judged.Member}, judged.Object)
	return judged, nil
}

// Respond does something about what others say.
func (f feedback) Respond(ctx context.Context, by console.By, a taxii.Response) (taxii.Responded, error) {
	done, err := f.room().Respond(ctx, by.Principal, a)
	if err != nil {
		return done, err
	}
	f.noteFeedback(by, taxii.Event{Name: taxii.EventAnswer, Kind: a.Answer, Detail: a.Text}, a.Object)
	return done, nil
}

// Next drafts the next version of an object of this organisation.
func (f feedback) Next(_ context.Context, by console.By, object string) (json.RawMessage, error) {
	if by.Role < taxii.RolePublisher {
		return nil, taxii.ErrForbidden
	}
	return f.room().Next(by.Principal, object)
}

func (f feedback) noteFeedback(by console.By, e taxii.Event, object string) {
	e.Count = 1
	e.NameObjects([]string{object})
	f.press.record(by, e)
}
