package feedback

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// turn is the place of a decision among all, in the order in which they were made.
type turn struct {
	at   int64 // microseconds since 1970
	name string
}

func (t turn) compare(other turn) int {
	return cmp.Or(cmp.Compare(t.at, other.at), strings.Compare(t.name, other.name))
}

func turnOf(d decision) turn { return turn{d.At.UnixMicro(), d.name()} }

// turns are those of all decisions, so that a page of them costs what is on it. A turn that is not the decision's any
// more stays there until such are most.
type turns struct {
	list []turn
	dead int
}

// hold puts a decision into the order, in place of what was decided before, if anything was.
func (r *Room) hold(d decision) {
	before, known := r.decisions[d.name()]
	r.decisions[d.name()] = d
	if delete(r.untold, d.name()); d.Waits != nil && !d.Undone {
		r.untold[d.name()] = true
	}
	if known && before.At.Equal(d.At) {
		return
	}
	t := &r.turns
	at, _ := slices.BinarySearchFunc(t.list, turnOf(d), turn.compare) // mostly the end
	t.list = slices.Insert(t.list, at, turnOf(d))
	if known {
		if t.dead++; t.dead > fewDead && t.dead > len(t.list)/2 {
			t.list, t.dead = slices.DeleteFunc(t.list, func(one turn) bool { return turnOf(r.decisions[one.name]) != one }), 0
		}
	}
}

// order puts all decisions into the order.
func (r *Room) order(all map[string]decision) {
	r.decisions, r.untold, r.turns = map[string]decision{}, map[string]bool{}, turns{}
	list := make([]decision, 0, len(all))
	for _, d := range all {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b decision) int { return turnOf(a).compare(turnOf(b)) })
	for _, d := range list {
		if d.OpinionID != "" && d.Status == "" && d.Waits == nil && !d.Undone { // it ended before it was told
			d.Waits = &waiting{Why: "the node ended before it was told"}
		}
		r.hold(d)
	}
}

// Given lists what this organisation says, the newest first. A page looks at so many decisions that somebody may not
// read; the next one goes on after them.
func (r *Room) Given(ctx context.Context, who taxii.Principal, q taxii.GivenQuery) (page taxii.Given, err error) {
	if who.Role < taxii.RoleReader {
		return page, taxii.ErrForbidden
	}
	before, err := turnFrom(q.Cursor)
	if err != nil {
		return page, err
	}
	limit := cmp.Or(min(max(q.Limit, 0), maxInboxPage), inboxPage)
	if who.Limits.Read == nil {
		r.mu.Lock()
		page.Untold = len(r.untold)
		r.mu.Unlock()
	}
	for idle := 0; ; {
		d, found := r.decidedBefore(&before)
		switch {
		case ctx.Err() != nil:
			return page, ctx.Err()
		case !found:
			page.Next = ""
			return page, nil
		case len(page.Given) == limit || idle == mostIdle:
			return page, nil
		}
		page.Next = before.String()
		e, err := r.View.LatestOf(d.Member, everything, d.Object)
		if err != nil {
			return page, err
		}
		if e != nil && !who.Limits.MayRead(e.Collection) || e == nil && who.Limits.Read != nil {
			idle++
			continue
		}
		one := r.told(d, false)
		if e != nil {
			one.Title, _ = titleOf(e.Object)
		}
		page.Given = append(page.Given, one)
	}
}

// decidedBefore gives the decision before a turn that counts, and makes the turn its own.
func (r *Room) decidedBefore(at *turn) (decision, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.turns.list)
	if *at != (turn{}) {
		n = sort.Search(n, func(i int) bool { return r.turns.list[i].compare(*at) >= 0 })
	}
	for n--; n >= 0; n-- {
		one := r.turns.list[n]
		if d := r.decisions[one.name]; turnOf(d) == one && !d.Undone {
			*at = one
			return d, true
		}
	}
	return decision{}, false
}

// String is the cursor of what comes after it.
func (t turn) String() string { return strconv.FormatInt(t.at, 10) + "/" + t.name }

func turnFrom(cursor string) (t turn, err error) {
	if cursor == "" {
		return t, nil
	}
	at, name, found := strings.Cut(cursor, "/")
	if t.at, err = strconv.ParseInt(at, 10, 64); err != nil || !found || t.at <= 0 || t.at > time.Now().Add(24*time.Hour).UnixMicro() {
		return t, &taxii.InvalidError{Reason: "next: it is no cursor of what is said"}
	}
	t.name = name
	return t, nil
}
