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
	mostIdle     = 2000 // that wait for none and are looked at for one page
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

// heard is what a member says of an object.
type heard struct {
	object, member string
	voice
}

// Inbox lists what others say of this organisation's objects: the last word of each member about each. What agrees is
// nothing that waits for an answer. A page looks at so many that wait for none; the next goes on after them.
func (r *Room) Inbox(ctx context.Context, who taxii.Principal, q taxii.InboxQuery) (box taxii.Inbox, err error) {
	if who.Role < taxii.RoleReader {
		return box, taxii.ErrForbidden
	}
	after, err := cursorOf(q.Cursor)
	if err != nil {
		return box, err
	}
	limit := cmp.Or(min(max(q.Limit, 0), maxInboxPage), inboxPage)
	l := r.look(who, q.Object, q.All)
	var last place
	err = l.each(ctx, after, func(h heard, a answer) (on bool, err error) {
		if len(box.Items) == limit {
			box.Next = last.String()
			return false, nil
		}
		last = place{h.date, h.object}
		is := q.All || a.waits(h)
		var item taxii.InboxItem
		if is {
			item, is, err = r.item(who, h)
		}
		if on = is || l.goesOn(); !on {
			box.Next = last.String()
		}
		if is {
			item.State, item.AnsweredBy, item.Answer = a.state, a.By, a.Why
			box.Items = append(box.Items, item)
		}
		return on, err
	})
	if err == nil {
		box.Open, box.OpenMore, err = r.look(who, q.Object, false).open(ctx)
	}
	if err != nil {
		return taxii.Inbox{}, fmt.Errorf("reading the inbox: %w", err)
	}
	return box, nil
}

// answer is what was done about what a member says.
type answer struct {
	state string
	keeping
}

// waits reports whether what a member says waits for an answer.
func (a answer) waits(h heard) bool { return a.state == taxii.InboxOpen && disagrees(h.word) }

// look is one look into the inbox, of one object or of all.
type look struct {
	*Room
	who    taxii.Principal
	object string
	all    bool // also at what is known to be answered
	idle   int  // voices that were looked at in vain
}

func (r *Room) look(who taxii.Principal, object string, all bool) *look {
	return &look{Room: r, who: who, object: object, all: all}
}

// goesOn counts what is looked at in vain, and says whether that is enough.
func (l *look) goesOn() bool {
	l.idle++
	return l.idle < mostIdle
}

// each visits what is said after a place of the inbox, the newest first.
func (l *look) each(ctx context.Context, after place, visit func(heard, answer) (bool, error)) error {
	for more := true; more; {
		list, rest, removed, err := l.some(after)
		if err != nil {
			return err
		}
		more = rest
		for _, h := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			after = place{h.date, h.object}
			state, k, err := l.stateOf(h)
			if err != nil {
				return err
			}
			if state != taxii.InboxOpen && disagrees(h.word) {
				l.settle(after, removed)
			}
			if on, err := visit(h, answer{state, k}); err != nil || !on {
				return err
			}
		}
	}
	return nil
}

// some gives what is said after a place.
func (l *look) some(after place) (list []heard, more bool, removed int64, err error) {
	if l.object == "" {
		return l.upcoming(after, l.all, voicePage)
	}
	list, ours, err := l.heardOf(l.object)
	if err != nil || !ours {
		return nil, false, 0, err
	}
	return slices.DeleteFunc(list, func(h heard) bool { return !after.before(place{h.date, h.object}) }), false, 0, nil
}

// open counts what waits for an answer, of what somebody may read: up to so many, and whether there may be more.
func (l *look) open(ctx context.Context) (n int, more bool, err error) {
	err = l.each(ctx, place{}, func(h heard, a answer) (bool, error) {
		if !a.waits(h) || !l.visible(l.who, h) {
			more = !l.goesOn()
			return !more, nil
		}
		n++
		return n <= taxii.MostOpen, nil
	})
	if n > taxii.MostOpen {
		n, more = taxii.MostOpen, true
	}
	return n, more, err
}

// visible reports whether somebody may read an opinion.
func (r *Room) visible(who taxii.Principal, h heard) bool {
	if who.Limits.Read == nil {
		return true
	}
	e, err := r.headAt(h.date)
	return err == nil && e != nil && who.Limits.MayRead(e.Collection)
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
func (p place) before(of place) bool {
	return p.date == 0 || of.date < p.date || of.date == p.date && of.object > p.object
}

// String is the cursor of what comes after it.
func (p place) String() string { return strconv.FormatInt(p.date, 10) + "/" + p.object }

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
	title, values := titleOf(own.Object)
	item.Title, item.Values = cmp.Or(title, item.Title), values
	return item, true, nil
}

// titleOf is what people call an object: its name, or the first of the values that it is about; with some of these.
func titleOf(object []byte) (title string, values []string) {
	o, _ := observable.ReadProperties(object)
	found, _ := o.Values()
	for _, v := range found[:min(len(found), shownValues)] {
		values = append(values, v.Value.Text)
	}
	if title = clip(o.Text("name")); title == "" && len(values) > 0 {
		title = values[0]
	}
	return title, values
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
	if state = h.answeredBy(own); state != "" {
		if elsewhere, err := r.waitsElsewhere(h); err != nil || !elsewhere {
			return state, k, err
		}
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

// answeredBy tells how a version of the object answers: "" if it does not.
func (h heard) answeredBy(own *view.Entry) string {
	switch {
	case isRevoked(own.Object):
		return taxii.InboxRevoked
	case !own.Position.Before(h.at):
		return taxii.InboxCorrected
	}
	return ""
}

func isRevoked(object []byte) bool {
	o, _ := observable.ReadProperties(object)
	return o.Revoked()
}

// waitsElsewhere reports whether an object that was answered for is as it was in a collection where that can be
// changed.
func (r *Room) waitsElsewhere(h heard) (bool, error) {
	for _, c := range r.State.Collections() {
		if !c.MayPublish(r.State.Self) {
			continue
		}
		e, err := r.entry(r.State.Own(), c.ID, h.object)
		if err != nil || e != nil && h.answeredBy(e) == "" {
			return err == nil, err
		}
	}
	return false, nil
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
