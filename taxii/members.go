package taxii

import (
	"context"
	"net/http"
	"time"
)

// Members are the score cards of the consortium's members, and how reliable this organisation holds each to be. Nothing
// of it is told to others.
type Members interface {
	// Cards gives the cards of the members by their names, or of one. ErrNotFound if there is none of that name.
	Cards(ctx context.Context, who Principal, member string) (MemberCards, error)
	// Rate says how reliable a member is: a letter from A to F, or nothing any more. *InvalidError if it is no letter.
	Rate(ctx context.Context, who Principal, member string, r Rating) error
}

// Rating is how reliable somebody holds a member to be.
type Rating struct {
	Reliability string `json:"reliability"`  // A to F; "" takes it back
	Why         string `json:"why,omitzero"` // up to 500 bytes
}

// MemberCards are cards of members.
type MemberCards struct {
	Cards []MemberCard `json:"cards"`
	// Partial says that not everything is counted yet: who asks again soon is told more.
	Partial bool `json:"partial,omitzero"`
}

// MemberCard is what is known here of a member as a source. All of it is counted from what the member published and
// when that was on the chain, and not from what its objects say of themselves.
type MemberCard struct {
	Member string `json:"member"`
	Own    bool   `json:"own,omitzero"` // that is this organisation, which is not rated

	// What a person of this organisation has set.
	Reliability string    `json:"reliability,omitzero"` // A to F
	Means       string    `json:"means,omitzero"`       // … in words
	Weight      float64   `json:"weight"`               // share of a score that its indicators keep, 0 to 1
	SetBy       string    `json:"set_by,omitzero"`
	SetAt       time.Time `json:"set_at,omitzero"`
	Why         string    `json:"why,omitzero"`

	// What was counted: what it published first within the period.
	From       time.Time `json:"from,omitzero"` // of block times; zero: ever
	To         time.Time `json:"to,omitzero"`
	Objects    int       `json:"objects"`
	Indicators int       `json:"indicators"`
	// LookedAt is how many indicators the next ones are about: all, or some that are drawn evenly from all.
	LookedAt     int     `json:"looked_at"`
	Known        int     `json:"known"`         // an independent member had published a value of it before
	Corroborated int     `json:"corroborated"`  // nobody had, and an independent member published one later
	Lead         float64 `json:"lead_seconds"`  // … so much later, in the median
	Revoked      int     `json:"revoked"`       // by the member
	RevokedAfter float64 `json:"revoked_after"` // … in seconds, in the median
	// Disputed is how many of all its objects this organisation, or two other members, call wrong.
	Disputed int `json:"disputed"`

	Proposal string `json:"proposal,omitzero"` // a letter; a person sets it
	Reason   string `json:"reason,omitzero"`   // … why that one
}

// maxRating is the size of a request that rates, in bytes.
const maxRating = 4 << 10

func (h *Handler) getMembers(x *exchange) error {
	if err := ownUser(x, RoleReader); err != nil {
		return err
	}
	cards, err := h.members.Cards(x.r.Context(), x.who, x.variable("member"))
	if err != nil {
		return err
	}
	if cards.Cards == nil {
		cards.Cards = []MemberCard{}
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, cards)
}

func (h *Handler) postMember(x *exchange) error {
	if err := ownUser(x, RoleAdmin); err != nil {
		return err
	}
	var r Rating
	if err := readJSONOf(x, &r, "reliability and why as strings", maxRating); err != nil {
		return err
	}
	member := x.variable("member")
	if err := h.members.Rate(x.r.Context(), x.who, member, r); err != nil {
		return err
	}
	h.note(x, Event{Name: EventRate, Subject: member, Detail: RatingDetail(r)})
	return h.getMembers(x)
}

// RatingDetail is what the audit log says of a rating.
func RatingDetail(r Rating) string {
	if r.Reliability == "" {
		return "none"
	}
	return r.Reliability
}
