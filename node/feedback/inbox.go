package feedback

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const (
	inboxPage    = 50
	maxInboxPage = 100
	shownValues  = 20
)

// keepPrefix begins the names under which it is kept that an object stays as it is, though a member disputes it.
const keepPrefix = "feedback/kept/"

// keeping is that an object stays as it is.
type keeping struct {
	Opinion string    `json:"opinion"` // date_added of what was looked at
	By      string    `json:"by"`
	Why     string    `json:"why,omitempty"`
	At      time.Time `json:"at"`
}

// heard is what a member says of an object of ours.
type heard struct {
	object, member string
	voice
}

// heardOf lists what is said of objects of ours, the newest first.
func (r *Room) heardOf(object string) ([]heard, error) {
	return r.heard(func(id string) bool { return r.voices.ours[id] && (object == "" || id == object) })
}

// heard lists what is said of objects, the newest first. The mutex is held while it asks which.
func (r *Room) heard(wanted func(object string) bool) (list []heard, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.follow(); err != nil {
		return nil, err
	}
	for id, said := range r.voices.of {
		if !wanted(id) {
			continue
		}
		for member, v := range said {
			if v.word != "" {
				list = append(list, heard{id, member, v})
			}
		}
	}
	slices.SortFunc(list, func(a, b heard) int {
		return cmp.Or(cmp.Compare(b.date, a.date), strings.Compare(a.object, b.object))
	})
	return list, nil
}

// Inbox lists what others say of this organisation's objects: the last word of each member about each. What agrees is
// nothing that waits for an answer.
func (r *Room) Inbox(ctx context.Context, who taxii.Principal, q taxii.InboxQuery) (box taxii.Inbox, err error) {
	if who.Role < taxii.RoleReader {
		return box, taxii.ErrForbidden
	}
	after, err := cursorOf(q.Cursor)
	if err != nil {
		return box, err
	}
	limit := cmp.Or(min(max(q.Limit, 0), maxInboxPage), inboxPage)
	list, err := r.heardOf(q.Object)
	if err != nil {
		return box, fmt.Errorf("reading the inbox: %w", err)
	}
	for _, h := range list {
		if err := ctx.Err(); err != nil {
			return box, err
		}
		state, by, err := r.stateOf(h)
		if err != nil {
			return box, fmt.Errorf("reading the inbox: %w", err)
		}
		open := state == taxii.InboxOpen && disagrees(h.word)
		if !open && !q.All || !after.before(h) || len(box.Items) > limit {
			if open {
				box.Open += r.visible(who, h)
			}
			continue
		}
		item, is, err := r.item(who, h)
		if err != nil {
			return box, fmt.Errorf("reading the inbox: %w", err)
		}
		if !is {
			continue
		}
		if open {
			box.Open++
		}
		item.State, item.AnsweredBy, item.Answer = state, by.By, by.Why
		box.Items = append(box.Items, item)
	}
	if len(box.Items) > limit {
		last := box.Items[limit-1]
		box.Items = box.Items[:limit]
		box.Next = strconv.FormatInt(last.At.UnixMicro(), 10) + "/" + last.Object
	}
	return box, nil
}

// visible is 1 if somebody may read an opinion, else 0.
func (r *Room) visible(who taxii.Principal, h heard) int {
	e, err := r.headAt(h.date)
	if err != nil || e == nil || !who.Limits.MayRead(e.Collection) {
		return 0
	}
	return 1
}

// Open tells how much waits for an answer, of what somebody may read.
func (r *Room) Open(ctx context.Context, who taxii.Principal) (int, error) {
	box, err := r.Inbox(ctx, who, taxii.InboxQuery{Limit: 1})
	return box.Open, err
}

// place is where a page ends.
type place struct {
	date   int64
	object string
}

func cursorOf(text string) (p place, err error) {
	if text == "" {
		return p, nil
	}
	date, object, found := strings.Cut(text, "/")
	if p.date, err = strconv.ParseInt(date, 10, 64); err != nil || !found || p.date <= 0 {
		return p, &taxii.InvalidError{Reason: "next: it is no cursor of an inbox"}
	}
	p.object = object
	return p, nil
}

// before reports whether something comes after the place, in the order of the inbox.
func (p place) before(h heard) bool {
	return p.date == 0 || h.date < p.date || h.date == p.date && h.object > p.object
}

// item describes what a member says, if somebody may read it and it is still there.
func (r *Room) item(who taxii.Principal, h heard) (item taxii.InboxItem, is bool, err error) {
	e, err := r.at(h.date)
	if err == nil && e == nil { // it was superseded, or the view is made anew
		r.mu.Lock()
		r.voices.stale = true
		r.mu.Unlock()
	}
	if err != nil || e == nil || !who.Limits.MayRead(e.Collection) {
		return item, false, err
	}
	s, is := read(e.Object)
	if !is {
		return item, false, nil
	}
	item = taxii.InboxItem{
		Object: h.object, Title: h.object, Member: r.State.Name(h.member), Opinion: s.word, Reason: s.reason, Text: s.text, OpinionID: s.id,
		Collection: e.Collection, At: e.Added(),
	}
	if c, found := r.State.Collection(e.Collection); found {
		item.Private = c.Properties.AdHoc
	}
	own, err := r.entry(r.State.Own(), everything, h.object)
	if err != nil || own == nil {
		return item, err == nil, err
	}
	o, _ := observable.ReadProperties(own.Object)
	values, _ := o.Values()
	for _, v := range values[:min(len(values), shownValues)] {
		item.Values = append(item.Values, v.Value.Text)
	}
	if name := clip(o.Text("name")); name != "" {
		item.Title = name
	} else if len(item.Values) > 0 {
		item.Title = item.Values[0]
	}
	return item, true, nil
}

// stateOf tells what was done about what a member says: by what this organisation has published since, else by what was
// said here.
func (r *Room) stateOf(h heard) (state string, k keeping, err error) {
	own, err := r.entry(r.State.Own(), everything, h.object)
	switch {
	case err != nil:
		return "", k, err
	case own == nil: // it was withdrawn
		return taxii.InboxRevoked, k, nil
	}
	o, _ := observable.ReadProperties(own.Object)
	switch {
	case string(o["revoked"]) == "true":
		return taxii.InboxRevoked, k, nil
	case !own.Position.Before(h.at):
		return taxii.InboxCorrected, k, nil
	}
	data, err := r.Outbox.Memo(keepPrefix + h.object + "/" + h.member)
	if err != nil || data == nil {
		return taxii.InboxOpen, k, err
	}
	if err := json.Unmarshal(data, &k); err != nil {
		return "", k, err
	}
	if k.Opinion != strconv.FormatInt(h.date, 10) { // they said something else since
		return taxii.InboxOpen, keeping{}, nil
	}
	return taxii.InboxKept, k, nil
}

// About tells what an object that came into the view says of this organisation's objects.
func (r *Room) About(object []byte, added int64) (events []taxii.FeedbackEvent, err error) {
	if !bytes.Contains(object, []byte(`"opinion"`)) {
		return nil, nil
	}
	s, is := read(object)
	if !is || s.revoked {
		return nil, nil
	}
	e, err := r.headAt(added)
	if err != nil || e == nil || e.ID != s.id || e.Owner() == r.State.Own() {
		return nil, err
	}
	for _, id := range s.objects {
		own, err := r.View.LatestOf(r.State.Own(), view.Everything, id)
		if err != nil {
			return nil, err
		}
		if own != nil {
			events = append(events, taxii.FeedbackEvent{
				Object: id, Member: r.State.Name(e.Owner()), Opinion: s.word, Reason: s.reason, Text: s.text, OpinionID: s.id,
			})
		}
	}
	return events, nil
}
