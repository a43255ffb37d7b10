// Package sightings counts what this organisation's sensors have seen, and tells others of it where that is configured:
// by one STIX sighting for each indicator, rolled up, with no clock finer than a day.
//
//   - room.go has the room, report.go takes hits in, shown.go shows them;
//   - share.go decides what others are told and when, tell.go tells them, document.go writes it;
//   - lately.go knows when indicators were seen last, here or by members, by which lists age.
//
// Nothing leaves the node unless sightings.share says so, and then at most so much a day and never from the reserve.
// Whoever kills the node in between publishes nothing twice: what is about to be published is kept first, byte for
// byte.
package sightings

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/export"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/hits"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// Room counts hits, and tells others of them.
type Room struct {
	Book       *hits.Book
	Finder     *search.Finder // with the view, its indexes and the state
	Author     author
	Judge      judge
	Withdrawer withdrawer
	Watcher    state.Follower
	Purse      purse
	Clock      interface{ Get() problem.Condition } // what is wrong with this machine's clock
	Trail      interface{ Record(taxii.Event) }
	Condition  *problem.Monitor // what keeps it from telling others
	Log        *slog.Logger
	Now        func() time.Time

	changed signal.Signal
	mu      sync.Mutex // of what follows
	set     config.Sightings
	looked  time.Time
	lately  lately
}

// New makes the room of a node, and says in the log what keeps it from telling others.
func New(r *repo.Repo, f *search.Finder, a author, j judge, w *withdraw.Withdrawer, p purse, clock *problem.Monitor, trail *auditlog.Trail, log *slog.Logger) *Room {
	room := &Room{
		Book: r.Hits, Finder: f, Author: a, Judge: j, Withdrawer: w, Watcher: w.Watcher, Purse: p, Clock: clock, Trail: trail, Log: log, Now: time.Now,
		Condition: problem.NewMonitor("telling others what was seen", log),
	}
	room.Set(r.Config)
	return room
}

// author publishes in the organisation's name.
type author interface {
	IdentityID() string
	MayPublish(c consortium.Collection, level stix.Level) bool
	// Planned gives the collection that For would, and whether it is there.
	Planned(member string) (c consortium.Collection, exists bool, err error)
	For(ctx context.Context, who taxii.Principal, member string) (consortium.Collection, error)
	// Introduced reports whether a collection has the organisation's identity.
	Introduced(into consortium.Collection) (bool, error)
	// Introduce publishes the identity in a collection that hasn't got it.
	Introduce(ctx context.Context, who taxii.Principal, into consortium.Collection) error
	Publish(ctx context.Context, who taxii.Principal, into consortium.Collection, objects ...json.RawMessage) (taxii.Status, error)
}

// judge says what this organisation holds to be wrong.
type judge interface {
	Judged() (digest string, left export.Left, err error)
}

// withdrawer takes back what this organisation has published.
type withdrawer interface {
	WithdrawAll(ctx context.Context, s withdraw.Selection) ([]withdraw.Withdrawal, error)
	// NeedsRecord reports whether a version can be taken back by a record alone, which locks as much as it would free.
	NeedsRecord(e *view.Entry) (bool, error)
}

// purse tells what can be spent.
type purse interface {
	// Spendable is what objects can spend, in microalgo: what is free, without the reserve.
	Spendable(ctx context.Context) (microalgo.Amount, error)
}

var _ taxii.Sightings = (*Room)(nil)

// Set takes over another configuration.
func (r *Room) Set(c config.Config) {
	r.mu.Lock()
	r.set = c.Sightings
	r.mu.Unlock()
	r.changed.Notify()
}

func (r *Room) settings() config.Sightings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set
}

// Sharing is how the telling of others goes.
type Sharing struct {
	Share  string           `json:"share"` // "producer" or "collection"
	Via    string           `json:"via,omitempty"`
	Today  int              `json:"sightings_today"` // that others were told by, new ones and further versions
	Most   int              `json:"sightings_a_day"`
	Spent  microalgo.Amount `json:"microalgo_today"`          // fees and deposits of these
	MostOf microalgo.Amount `json:"microalgo_a_day,omitzero"` // 0: no limit
	Looked time.Time        `json:"looked,omitzero"`          // when it last looked through what hit
	problem.Condition
}

// Status tells how it goes; nil where nobody is told.
func (r *Room) Status() (*Sharing, error) {
	r.mu.Lock()
	set, looked := r.set, r.looked
	r.mu.Unlock()
	if set.Share == config.ShareNo || set.Share == "" {
		return nil, nil
	}
	used, err := r.Book.Today(hits.DayOf(r.Now()))
	return &Sharing{
		Share: set.Share, Via: set.Via, Today: used.Sightings, Most: int(set.MaxPerDay), Spent: used.Money, MostOf: microalgo.Amount(set.MaxALGO), Looked: looked,
		Condition: r.Condition.Get(),
	}, err
}
