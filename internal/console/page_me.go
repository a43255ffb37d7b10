package console

import (
	"context"

	"github.com/serviceledger/slnode/taxii"
)

// Me is what people change for themselves.
type Me interface {
	// SetPassword gives an account another password. Its old one was given just now.
	SetPassword(ctx context.Context, by By, password string) error
}

type meModel struct {
	Limited     bool
	Read, Write []string
}

func (c *Console) getMe(v *visit) error {
	return v.render("me", meModel{Limited: v.who.Limits.Any(), Read: v.who.Limits.Read, Write: v.who.Limits.Write})
}

func (c *Console) postMe(v *visit) error {
	switch v.form.Get("do") {
	case "look":
		v.remember("theme", v.form.Get("theme"))
		return v.see("me?done=saved")
	case "password":
		if v.isOperator() {
			return &taxii.InvalidError{Reason: "An operator has no password: \"slnode console\" lets one in."}
		}
		if v.form.Get("new") != v.form.Get("again") {
			return &taxii.InvalidError{Reason: "Nothing was changed: the new password was typed in two ways."}
		}
		if wrong, is := attempt(c.Clients.Confirm(v.r, v.who, v.form.Get("old"))); is {
			return &taxii.InvalidError{Reason: "Nothing was changed. " + wrong}
		}
		if err := c.Rooms.Me.SetPassword(v.r.Context(), v.by(), v.form.Get("new")); err != nil {
			return err
		}
		return v.see("me?done=saved")
	}
	return errUnknownForm
}
