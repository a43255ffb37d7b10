package console

import "context"

// Today is what a visitor is shown first.
type Today interface {
	// Needs lists what waits for somebody, a line each, with the remedy. It is asked for on behalf of administrators.
	Needs(ctx context.Context) ([]Need, error)
}

// Need is something that needs somebody.
type Need struct {
	Word   string // what it is about, as in "slnode status": publishing, chain, disk, …
	What   string
	Remedy string // what to do
	Page   string // where to see more, if anywhere
	Copy   string // what to copy for it, such as an address
}

type todayModel struct {
	Needs []Need
	Wrong string // why they are not known
}

func (c *Console) getToday(v *visit) error {
	var model todayModel
	if v.view("", nil).Admin && c.Rooms.Today != nil {
		needs, err := c.Rooms.Today.Needs(v.r.Context())
		if model.Needs = needs; err != nil {
			model.Wrong = err.Error()
		}
	}
	return v.render("today", model)
}
