package feedback

import (
	"context"
	"errors"
	"fmt"

	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// maxOthers is of how many members it is told what they say of one object.
const maxOthers = 50

// Regard tells what is held of an object, and what somebody can do about it.
func (r *Room) Regard(ctx context.Context, who taxii.Principal, object, member string) (about taxii.Regard, err error) {
	if who.Role < taxii.RoleReader {
		return about, taxii.ErrForbidden
	}
	about.Own = member == r.State.Name(r.State.Own())
	if about.Own {
		places, err := r.places(who, object)
		var invalid *taxii.InvalidError
		switch {
		case errors.Is(err, taxii.ErrForbidden), errors.As(err, &invalid): // it can be read, and no more
		case err != nil:
			return about, err
		case who.Role >= taxii.RolePublisher:
			if about.Places = len(places); isRevoked(places[0].entry.Object) {
				_, rest, _ := revocation(places)
				about.Revoked, about.Places = true, len(rest)
			}
		}
	} else {
		e, err := r.meant(who, taxii.Judgement{Object: object, Member: member})
		if err != nil {
			return about, err
		}
		if d, found := r.decided(e.ID, e.Owner()); found && !d.Undone {
			said := r.told(d, false)
			about.Said = &said
		}
		if about.To, err = r.ways(who, e); err != nil {
			return about, err
		}
		_, exists, err := r.Author.Planned(r.State.Name(e.Owner()))
		about.Begins = err != nil || !exists // with who is no member any more there is none
	}
	about.Others, err = r.others(ctx, who, object, about.Own)
	return about, err
}

// ways are where something can be said of another member's object.
func (r *Room) ways(who taxii.Principal, e *view.Entry) (to []string, err error) {
	if who.Role < taxii.RolePublisher {
		if r.mayGive(who, &taxii.Judgement{}) == nil {
			to = []string{taxii.ToNobody}
		}
		return to, nil
	}
	if who.Limits.Write == nil {
		to = append(to, taxii.ToProducer)
	}
	level, err := r.levelOf(e)
	if err != nil {
		return nil, err
	}
	if c, found := r.State.Collection(e.Collection); found && r.Author.MayPublish(c, level) && who.Limits.MayWrite(c.ID) {
		to = append(to, taxii.ToCollection)
	}
	return append(to, taxii.ToNobody), nil
}

// others lists what other members say of an object, of what somebody may read.
func (r *Room) others(ctx context.Context, who taxii.Principal, object string, own bool) (list []taxii.InboxItem, err error) {
	said, _, err := r.heardOf(object)
	if err != nil {
		return nil, fmt.Errorf("reading what is said of %.80q: %w", object, err)
	}
	for _, h := range said {
		if err := ctx.Err(); err != nil || len(list) == maxOthers {
			return list, err
		}
		item, is, err := r.item(who, h)
		if err != nil {
			return nil, fmt.Errorf("reading what is said of %.80q: %w", object, err)
		}
		if !is {
			continue
		}
		if own {
			state, by, err := r.stateOf(h)
			if err != nil {
				return nil, err
			}
			item.State, item.AnsweredBy, item.Answer = state, by.By, by.Why
		}
		list = append(list, item)
	}
	return list, nil
}
