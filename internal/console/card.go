package console

import (
	"context"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/quality"
	"github.com/serviceledger/slnode/taxii"
)

// Cards are what is known of members as sources.
type Cards interface {
	// Card gives that of a member; partial says that not everything is counted yet.
	Card(ctx context.Context, by By, member string) (card taxii.MemberCard, partial bool, err error)
	// Rate says how reliable a member is: A to F, or "" for nothing any more.
	Rate(ctx context.Context, by By, member string, r taxii.Rating) error
}

// cardModel is a card in words.
type cardModel struct {
	Wrong         string
	Partial       bool
	Letter, Means string
	SetBy, Why    string
	SetAt         time.Time
	Proposal      string // a letter that is another one than is set
	Reason        string
	From, To      time.Time
	Facts         []cardFact
	Choices       []cardChoice
}

type cardFact struct{ What, Value string }

type cardChoice struct {
	Letter, Words string
	Now           bool
}

// card gives the card of a member for its page, which is answered though it can't be counted.
func (c *Console) card(v *visit, member string) *cardModel {
	card, partial, err := c.Rooms.Cards.Card(v.r.Context(), v.by(), member)
	if err != nil {
		return &cardModel{Wrong: v.lacks("card", err)}
	}
	return cardOf(card, partial)
}

func cardOf(card taxii.MemberCard, partial bool) *cardModel {
	m := &cardModel{
		Partial: partial, Letter: card.Reliability, Means: card.Means, SetBy: card.SetBy, Why: card.Why, SetAt: card.SetAt, Reason: card.Reason, From: card.From, To: card.To,
	}
	if card.Proposal != card.Reliability {
		m.Proposal = card.Proposal
	}
	m.Choices = []cardChoice{{"", "not rated", card.Reliability == ""}}
	for _, letter := range quality.Letters() {
		m.Choices = append(m.Choices, cardChoice{string(letter), string(letter) + ", " + letter.Words(), string(letter) == card.Reliability})
	}
	if partial {
		return m
	}
	of := ""
	if card.LookedAt < card.Indicators {
		of = fmt.Sprintf(" of %s, drawn from %s", thousands(int64(card.LookedAt)), thousands(int64(card.Indicators)))
	}
	add := func(what, value string) { m.Facts = append(m.Facts, cardFact{what, value}) }
	add("Objects", thousands(int64(card.Objects)))
	add("Indicators confirmed later by an independent member", shareOf(card.Corroborated, card.LookedAt)+of)
	if card.Corroborated > 0 {
		add("… so much later, in the median", lasting(card.Lead))
	}
	add("Indicators that another member had before", shareOf(card.Known, card.LookedAt)+of)
	add("Called wrong by us, or by two others", countOf(card.Disputed, "object", "objects"))
	if card.Revoked > 0 {
		add("Revoked by itself", fmt.Sprintf("%s, after %s in the median", countOf(card.Revoked, "indicator", "indicators"), lasting(card.RevokedAfter)))
	}
	return m
}

func shareOf(n, of int) string {
	if of == 0 {
		return "none"
	}
	return fmt.Sprintf("%s (%d %%)", thousands(int64(n)), n*100/of)
}

// lasting says how long something took.
func lasting(seconds float64) string {
	switch d := time.Duration(seconds * float64(time.Second)); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}

// rate says how reliable a member is.
func (c *Console) rate(v *visit, member string) error {
	err := c.Rooms.Cards.Rate(v.r.Context(), v.by(), member, taxii.Rating{Reliability: v.form.Get("reliability"), Why: v.form.Get("why")})
	if err != nil {
		return err
	}
	return v.see(link("member", "name", member, "done", "saved"))
}
