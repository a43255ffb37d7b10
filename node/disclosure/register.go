// Package disclosure answers for what this organisation has shared: what, when, in which collection, and who could read
// it then and who can now. register.go opens what it is derived from, history.go is who was given which keys of a
// collection when, readers.go who follows from that, shared.go walks through what was published.
package disclosure

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// Register answers who could read what. What it says follows from the chain, from what the records say that this node
// can open, and from what it kept when it gave keys itself.
type Register struct {
	View   log
	Outbox box
	State  *state.Shared
}

// log is what the chain has told.
type log interface {
	Cursor() (uint64, error)
	Log(after consortium.Position, limit int) ([]view.Event, error)
	Event(txid string) (e view.Event, found bool, err error)
	Published(name wire.Publication) (e view.Event, found bool, err error)
	Objects(batch view.Event) ([]view.Event, error)
	Entry(e view.Event) (*view.Entry, error)
	Page(q view.Query) (entries []*view.Entry, more bool, err error)
	Content(e view.Event) ([]byte, error)
}

// box is what this organisation has published, and what it keeps.
type box interface {
	Find(key []byte) (item outbox.Item, found bool, err error)
	Published(name wire.Publication) (item outbox.Item, found bool, err error)
	Objects(batch outbox.Item) ([]outbox.Item, error)
	Markings(id string, limit int) ([][]byte, error)
	Memo(name string) ([]byte, error)
	SetMemo(name string, data []byte) error
	Memos(prefix string, limit int) ([]string, error)
}

// audience derives who has the keys of a collection.
func (r *Register) audience(collection string) (*audience, error) {
	story, err := r.story(collection)
	if err != nil {
		return nil, fmt.Errorf("finding out who reads collection %s: %w", collection, err)
	}
	a := &audience{holds: story.holds, memberships: map[string][]consortium.Membership{}, names: r.names(), known: map[moment]holders{}}
	for _, m := range story.memberships {
		a.memberships[m.Member] = append(a.memberships[m.Member], m)
	}
	a.latest = story.latest
	slices.SortStableFunc(a.holds, func(x, y hold) int { return x.at.Compare(y.at) })
	return a, nil
}

// names are the members' names by their first accounts. Who has none is called by its account.
func (r *Register) names() map[string]string {
	names := map[string]string{}
	for _, m := range r.State.Members() {
		names[m.ID] = cmp.Or(m.Name, m.Account)
	}
	return names
}

// endOf is a position after everything in a round, and before everything in the next.
func endOf(round uint64) consortium.Position {
	return consortium.Position{Round: round, Intra: math.MaxUint64, Index: math.MaxUint32}
}

// eventAt gives the event of the transaction at a position; one of which nothing is known if the log has none.
func (r *Register) eventAt(at consortium.Position) (e view.Event, err error) {
	before := consortium.Position{Round: at.Round, Intra: at.Intra - 1, Index: math.MaxUint32}
	if at.Intra == 0 {
		before = endOf(at.Round - 1)
	}
	events, err := r.View.Log(before, 1)
	if err != nil || len(events) == 0 || events[0].Position != at {
		return e, err
	}
	return events[0], nil
}
