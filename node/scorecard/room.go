// Package scorecard says how reliable members are as sources: what this organisation has set, and what is counted here
// of each, from which it proposes a letter. It publishes nothing.
//
// room.go has the room, rate.go what a person has set, count.go what members published, judge.go what became of it,
// propose.go the letter.
//
// What a member can do alone raises no letter of its own, and lowers none of another: that something is right is said
// by an independent member, later on the chain; that it is wrong, by two members or by this organisation; and the
// objects that are looked at are drawn from all, so that a flood of others doesn't cover them.
package scorecard

import (
	"context"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/feedback"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const (
	countTime = 2 * time.Second  // that an answer may take for what is not counted yet
	keptFor   = 10 * time.Minute // for which a card is not counted anew
)

// Room knows how reliable members are.
type Room struct {
	View     pages
	Index    *find.Index
	State    *state.Shared
	Memos    memos
	Disputes disputes
	Now      func() time.Time

	turn    chan struct{} // holds a token while somebody counts: of what follows
	book    book
	cards   map[string]kept // by member's first account
	wrong   map[string]int  // objects that are called wrong, by member's first account
	wrongAt time.Time

	ratings ratings
}

// kept is a card that was counted.
type kept struct {
	card taxii.MemberCard
	at   time.Time
}

// pages is the view.
type pages interface {
	Page(view.Query) ([]*view.Entry, bool, error)
	Latest(collection, id string) (*view.Entry, error)
	LatestOf(member, collection, id string) (*view.Entry, error)
	Event(txid string) (view.Event, bool, error)
	Log(after consortium.Position, limit int) ([]view.Event, error)
}

// memos keep small things durably.
type memos interface {
	Memo(name string) ([]byte, error)
	SetMemo(name string, data []byte) error
	ForgetMemo(name string) error
	Memos(prefix string, limit int) ([]string, error)
}

// disputes tell what is held to be wrong, and by whom.
type disputes interface {
	Disputes() ([]feedback.Dispute, error)
}

var _ taxii.Members = (*Room)(nil)

// New makes the room of a node.
func New(r *repo.Repo, s *state.Shared, d disputes) (*Room, error) {
	room := &Room{View: r.View, Index: r.Find, State: s, Memos: r.Outbox, Disputes: d, Now: time.Now, turn: make(chan struct{}, 1)}
	return room, room.load()
}

// Cards gives the cards of the members that belong to the consortium now, or of one.
func (r *Room) Cards(ctx context.Context, who taxii.Principal, member string) (all taxii.MemberCards, err error) {
	if who.Role < taxii.RoleReader || who.Limits.Any() { // a card counts what such an account may not read
		return all, taxii.ErrForbidden
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return all, ctx.Err()
	}
	end := r.Now().Add(countTime)
	if err := r.follow(ctx, end); err != nil {
		return all, fmt.Errorf("counting what members published: %w", err)
	}
	all.Partial = !r.book.whole
	for _, m := range r.State.Members() {
		if m.Removed != nil || member != "" && m.Name != member {
			continue
		}
		card, whole, err := r.card(ctx, m, end)
		if err != nil {
			return all, fmt.Errorf("counting what %s published: %w", m.Name, err)
		}
		all.Partial = all.Partial || !whole
		r.ratings.fill(&card, m.ID)
		all.Cards = append(all.Cards, card)
	}
	if member != "" && len(all.Cards) == 0 {
		return all, taxii.ErrNotFound
	}
	return all, nil
}

// card gives the card of a member, as it was counted a while ago or now.
func (r *Room) card(ctx context.Context, m consortium.Member, end time.Time) (card taxii.MemberCard, whole bool, err error) {
	if k, found := r.cards[m.ID]; found && r.Now().Sub(k.at) < keptFor {
		return k.card, true, nil
	}
	card = taxii.MemberCard{Member: m.Name, Own: m.ID == r.State.Own(), From: r.book.since, To: r.book.until}
	if !r.book.whole || r.Now().After(end) {
		return card, false, nil
	}
	if err := r.judge(ctx, m.ID, &card); err != nil {
		return card, false, err
	}
	if !card.Own {
		propose(&card)
	}
	r.cards[m.ID] = kept{card, r.Now()}
	return card, true, nil
}
