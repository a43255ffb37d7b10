package console

import (
	"context"
	"time"
)

// Today is what a visitor is shown first.
type Today interface {
	// Needs lists what waits for somebody, a line each, with the remedy. It is asked for on behalf of administrators.
	Needs(ctx context.Context) ([]Need, error)
	// Newest gives the objects that came last, of those that somebody may read, the newest first.
	Newest(ctx context.Context, by By, limit int) ([]Recent, error)
}

// Need is something that needs somebody.
type Need struct {
	Word   string // what it is about, as in "slnode status": publishing, chain, disk, …
	What   string
	Remedy string // what to do
	Page   string // where to see more, if anywhere
	Copy   string // what to copy for it, such as an address
}

// Recent is an object that came in not long ago.
type Recent struct {
	ID, Type   string
	Name       string // what people call it; "" if it has no name
	Level      string
	Member     string // who shared it, as the chain proves
	Collection string // its title
	Added      time.Time
}

const newest = 20

// todayModel has parts that fail by themselves.
type todayModel struct {
	Needs       []Need
	NeedsWrong  string
	State       *NodeState // for administrators
	Newest      []Recent
	NewestWrong string
	Types       []tallied // of the newest
	Members     []tallied
}

// tallied is how many of something there are.
type tallied struct {
	What string
	N    int
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
	list, err := c.Rooms.Today.Newest(ctx, v.by(), newest)
	if model.Newest = list; err != nil {
		model.NewestWrong = "The newest objects can't be read now. " + v.lacks("the newest objects", err)
	}
	for i := range list {
		one := &list[i]
		one.Name, one.Member, one.Collection = name(defang(one.Name)), name(one.Member), name(one.Collection)
		model.Types, model.Members = counted(model.Types, one.Type), counted(model.Members, one.Member)
	}
	return v.render("today", model)
}

// counted counts one more.
func counted(list []tallied, what string) []tallied {
	for i := range list {
		if list[i].What == what {
			list[i].N++
			return list
		}
	}
	return append(list, tallied{what, 1})
}
