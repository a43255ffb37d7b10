package feedback

import (
	"context"
	"errors"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/retry"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/taxii"
)

// waiting is that others are still to be told of a decision. It is tried again, also after a restart; what was said
// stays the same version of the same opinion, so that it is published once, however often that is tried.
type waiting struct {
	Tries int       `json:"tries"`
	Next  time.Time `json:"next"`
	Why   string    `json:"why"`
}

// tellAgain is how long it waits before others are told again.
var tellAgain = retry.Backoff{First: time.Minute, Most: 6 * time.Hour}

const (
	// lookEvery is how often it is looked whether somebody is to be told.
	lookEvery = 15 * time.Second
	// mostAtOnce bounds who is told in one look; the others are next.
	mostAtOnce = 100
	// tellWithin bounds how long others can say nothing because it waits for the chain.
	tellWithin = 20 * time.Second
)

// notYet is why there is no collection yet in which an opinion can be said.
type notYet struct{ error }

func (e *notYet) Unwrap() error { return e.error }

// Run tells others what they could not be told when it was said, until the context ends.
func (r *Room) Run(ctx context.Context) error {
	for retry.Wait(ctx, lookEvery) {
		r.tellDue(ctx, time.Now())
	}
	return nil
}

// tellDue tries what is due.
func (r *Room) tellDue(ctx context.Context, now time.Time) {
	var due []string
	r.mu.Lock()
	for name := range r.untold {
		if d := r.decisions[name]; d.Waits != nil && !now.Before(d.Waits.Next) && len(due) < mostAtOnce {
			due = append(due, name)
		}
	}
	r.mu.Unlock()
	for _, name := range due {
		if ctx.Err() != nil {
			return
		}
		if err := r.tellNow(ctx, name, now); err != nil && ctx.Err() == nil {
			r.Log.Warn("what is held of an object could not be kept", "error", err)
		}
	}
}

// tellNow tries to tell others of a decision, unless that was done or taken back meanwhile. An error is that the
// outcome can't be kept.
func (r *Room) tellNow(ctx context.Context, name string, now time.Time) error {
	r.giving.Lock()
	defer r.giving.Unlock()
	r.mu.Lock()
	d := r.decisions[name]
	r.mu.Unlock()
	if d.Waits == nil || d.Undone {
		return nil
	}
	who := taxii.Principal{User: d.User, Role: taxii.RolePublisher} // as which it was said
	short, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	into, err := r.placeFor(short, who, &d)
	if err == nil {
		// Kept before it is published: what is tried again after a crash is the same version.
		if err := r.decide(d); err != nil {
			return err
		}
		err = r.send(short, who, &d, into)
	}
	if ctx.Err() != nil { // the node ends
		return nil
	}
	if err != nil {
		r.postpone(&d, err, now)
	}
	return r.decide(d)
}

// placeFor is the collection in which a decision is told: where it was to be, or where its reader is to be found.
func (r *Room) placeFor(ctx context.Context, who taxii.Principal, d *decision) (consortium.Collection, error) {
	if d.OpinionID != "" {
		if c, found := r.State.Collection(d.In); found && r.Author.MayPublish(c, stix.Level(d.Level)) {
			return c, nil
		}
		d.OpinionID, d.Created = "", time.Time{} // it is said elsewhere, if that is possible
	}
	e, err := r.View.LatestOf(d.Member, everything, d.Object)
	if err == nil && e == nil {
		err = &taxii.InvalidError{Reason: "the object is not here any more"}
	}
	if err != nil {
		return consortium.Collection{}, err
	}
	level, err := r.levelOf(e)
	if err != nil {
		return consortium.Collection{}, err
	}
	into, err := r.target(ctx, who, d, e, level)
	d.Modified = d.Created
	return into, err
}

// send publishes the opinion that says what was decided.
func (r *Room) send(ctx context.Context, who taxii.Principal, d *decision, into consortium.Collection) error {
	document, err := d.document(r.Author.IdentityID(), stix.Level(d.Level))
	if err != nil {
		return err
	}
	status, err := r.Author.Publish(ctx, who, into, document)
	if err != nil {
		return err
	}
	d.Status, d.Waits, d.pending = status.ID, nil, len(status.Pendings) > 0
	return nil
}

// postpone notes why others could not be told, and when that is tried again.
func (r *Room) postpone(d *decision, err error, now time.Time) {
	tries := 0
	if d.Waits != nil {
		tries = d.Waits.Tries
	}
	why := "it could not be published; the node's log says why"
	if isAnswer(err) {
		why = err.Error()
	}
	d.Waits = &waiting{Tries: tries + 1, Next: now.Add(tellAgain.After(tries)).UTC(), Why: clip(why)}
	r.Log.Warn("others could not be told what is held of an object; it is tried again", "member", r.State.Name(d.Member), "tries", tries+1, "again", d.Waits.Next, "error", err)
}

// isAnswer reports whether an error is one for who asks, and no fault of the node's.
func isAnswer(err error) bool {
	var invalid *taxii.InvalidError
	var limit *taxii.LimitError
	return errors.As(err, &invalid) || errors.As(err, &limit) || errors.Is(err, taxii.ErrForbidden)
}
