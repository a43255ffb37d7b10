package desk

import (
	"context"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/taxii"
)

// cards tell what is known of members as sources.
type cards struct{ *Desk }

var _ console.Cards = cards{}

// Card gives that of a member.
func (c cards) Card(ctx context.Context, by console.By, member string) (taxii.MemberCard, bool, error) {
	found, err := c.press.clients.Members.Cards(ctx, by.Principal, member)
	if err != nil {
		return taxii.MemberCard{}, false, err
	}
	if len(found.Cards) == 0 {
		return taxii.MemberCard{}, false, taxii.ErrNotFound
	}
	return found.Cards[0], found.Partial, nil
}

// Rate says how reliable a member is, and writes the line of the audit log that the command line's has.
func (c cards) Rate(ctx context.Context, by console.By, member string, r taxii.Rating) error {
	if err := c.press.clients.Members.Rate(ctx, by.Principal, member, r); err != nil {
		return err
	}
	c.press.record(by, taxii.Event{Name: taxii.EventRate, Subject: member, Detail: taxii.RatingDetail(r)})
	return nil
}
