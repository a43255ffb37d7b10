package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Today is what a visitor is shown first.
type Today interface {
	// Needs lists what waits for somebody, a line each, with the remedy. It is asked for on behalf of administrators.
	Needs(ctx context.Context) ([]Need, error)
	// Newest gives the objects that came last, of those that somebody may read, the newest first.
	Newest(ctx context.Context, by By, limit int) ([]Row, error)
}

// Need is something that needs somebody.
type Need struct {
	Word   string // what it is about, as in "slnode status": publishing, chain, disk, …
	What   string
	Remedy string // what to do
	Page   string // where to see more, if anywhere
	Copy   string // what to copy for it, such as an address
}

const (
	newest     = 20
	newsMost   = 5000                // objects that are counted since the last visit
	visitPause = time.Hour           // after which a look is another visit
	firstVisit = 24 * time.Hour      // what is counted for who comes for the first time
	visitAge   = 31 * 24 * time.Hour // … and for who comes after a long time
)

// todayModel has parts that fail by themselves.
type todayModel struct {
	Needs       []Need
	NeedsWrong  string
	State       *NodeState // for administrators
	Newest      []shownRow
	NewestWrong string
	Since       time.Time // of the last visit
	First       bool      // … there was none, or none for long
	Came        Came
	Types       []tallied // of what came since
	Members     []tallied
	Live        string // what tells of news
	Feedback    string // what waits in the inbox
	Watched     *watchedModel
}

// tallied is how many of something there are.
type tallied struct {
	What, Link string
	N          int
}

func (c *Console) getToday(v *visit) error {
	var model todayModel
	ctx := v.r.Context()
	if v.administers() {
		needs, err := c.Rooms.Today.Needs(ctx)
		if model.Needs = needs; err != nil {
			model.NeedsWrong = v.lacks("what waits for somebody", err)
		}
		if state, err := c.Rooms.Node.State(ctx); err == nil { // else it was said
			model.State = &state
		}
	}
	waits, err := c.waitsInWords(v)
	if model.Feedback = waits; err != nil {
		model.Feedback = "What others say of ours is not known now: " + v.lacks("the inbox", err)
	}
	list, err := c.Rooms.Today.Newest(ctx, v.by(), newest)
	if err != nil {
		model.NewestWrong = "The newest objects can't be read now. " + v.lacks("the newest objects", err)
		return v.render("today", model)
	}
	last := time.UnixMicro(0)
	for _, one := range list {
		model.Newest = append(model.Newest, shown(one, ""))
		if one.Added.After(last) {
			last = one.Added
		}
	}
	model.Live = link("live", "after", fmt.Sprint(last.UnixMicro()))
	model.Since, model.First = v.lastVisit()
	if model.Came, err = c.Rooms.News.Since(ctx, v.by(), model.Since, newsMost); err != nil {
		model.NewestWrong = "What came in since is not known now. " + v.lacks("what came in", err)
	}
	model.Watched = c.watched(v, model.Since)
	model.Types, model.Members = ranked(model.Came.Types, "type", typeCount), ranked(model.Came.Members, "member", func(member string, _ int) string { return name(member) })
	return v.render("today", model)
}

// lastVisit is when somebody was here before, in this browser: it is kept there, so that a look changes nothing here.
// Looks within an hour are one visit. first says that there was none, or none for a month.
func (v *visit) lastVisit() (since time.Time, first bool) {
	now := v.console.Now()
	before, last := now.Add(-firstVisit), now
	var known bool
	if a, b, found := strings.Cut(v.remembered("visit"), " "); found {
		x, errX := strconv.ParseInt(a, 10, 64)
		y, errY := strconv.ParseInt(b, 10, 64)
		if known = errX == nil && errY == nil && x <= y && y <= now.Unix() && y > now.Add(-visitAge).Unix(); known {
			before, last = time.Unix(x, 0), time.Unix(y, 0)
		}
	}
	if known && now.Sub(last) > visitPause {
		before = last
	}
	v.remember("visit", fmt.Sprintf("%d %d", before.Unix(), now.Unix()))
	return before, !known
}

// ranked sorts what was counted: the most first.
func ranked(counts map[string]int, parameter string, says func(what string, n int) string) (list []tallied) {
	for what, n := range counts {
		list = append(list, tallied{says(what, n), link("search", parameter, what), n})
	}
	slices.SortFunc(list, func(a, b tallied) int { return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Link, b.Link)) })
	return list
}
