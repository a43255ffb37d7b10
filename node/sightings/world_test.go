package sightings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/export"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

var (
	publisher = taxii.Principal{User: "paula", Role: taxii.RolePublisher}
	reader    = taxii.Principal{User: "rita", Role: taxii.RoleReader}
	sensor    = taxii.Principal{User: "key:siem", Role: taxii.RoleReader}
)

const (
	day        = 24 * time.Hour
	identityID = "identity--f431f809-377b-45e0-aa1c-6a4751cae5ff"
)

var errKilled = errors.New("the node was killed")

// writer publishes at once what it is told to, each version once.
type writer struct {
	w       *world
	closed  bool // the object's collection
	killed  bool // after it was published
	fails   error
	planned bool // the collection with one member is there
	making  bool // … or on its way, once it was asked for
	sent    map[string]string
	log     []string // what was published, in its order
	into    []string
	members []string
}

func (a *writer) IdentityID() string { return identityID }

func (a *writer) MayPublish(consortium.Collection, stix.Level) bool { return !a.closed }

func (a *writer) adHoc() consortium.Collection {
	return consortium.Collection{ID: a.w.Collection, Owner: a.w.State.Self, Properties: wire.Collection{AdHoc: true}}
}

func (a *writer) Planned(string) (consortium.Collection, bool, error) {
	if !a.planned {
		return consortium.Collection{ID: "to be made"}, false, nil
	}
	return a.adHoc(), true, nil
}

func (a *writer) For(_ context.Context, _ taxii.Principal, member string) (consortium.Collection, error) {
	a.members = append(a.members, member)
	if a.making {
		return consortium.Collection{ID: "to be made"}, nil
	}
	a.planned = true
	return a.adHoc(), nil
}

func (a *writer) Introduced(consortium.Collection) (bool, error) { return true, nil }

func (a *writer) Introduce(context.Context, taxii.Principal, consortium.Collection) error { return nil }

func (a *writer) Publish(_ context.Context, _ taxii.Principal, into consortium.Collection, objects ...json.RawMessage) (status taxii.Status, err error) {
	if a.fails != nil {
		return status, a.fails
	}
	for _, raw := range objects {
		o, err := stix.Parse(raw)
		if err != nil {
			return status, err
		}
		name := o.ID + " " + o.Version()
		switch before, known := a.sent[name]; {
		case known && before != string(raw):
			a.w.T.Errorf("%s was published as %s and as %s", name, before, raw)
		case !known:
			a.sent[name] = string(raw)
			a.log, a.into = append(a.log, string(raw)), append(a.into, into.ID)
			a.w.EnterBy(a.w.State.Self, string(raw))
		}
	}
	if a.killed {
		a.killed = false
		return status, errKilled
	}
	return status, nil
}

// WithdrawAll takes what was published back.
func (w *world) WithdrawAll(_ context.Context, s withdraw.Selection) ([]withdraw.Withdrawal, error) {
	if w.stuck {
		return nil, errKilled
	}
	event, found, err := w.R.View.Event(s.What)
	if err != nil || !found || !s.OnlyThis {
		w.T.Errorf("%+v is withdrawn: %t, %v", s, found, err)
	}
	_, _, err = w.R.View.Withdraw(view.Recall{Asset: event.Asset, Senders: []string{w.State.Self}, At: consortium.Position{Round: math.MaxUint64}})
	nodetest.Must(w.T, err)
	return nil, nil
}

func (w *world) NeedsRecord(*view.Entry) (bool, error) { return w.released, nil }

func (w *world) Judged() (string, export.Left, error) { return "", w.left, nil }

func (w *world) Spendable(context.Context) (microalgo.Amount, error) { return w.spendable, nil }

func (w *world) Get() problem.Condition { return problem.Condition{} }

func (w *world) Record(e taxii.Event) { w.lines = append(w.lines, e) }

// world is the node of a member, self, with founder and mallory, and what its sensors see.
type world struct {
	*worldtest.HostileWorld
	room      *Room
	author    *writer
	set       config.Sightings
	left      export.Left
	spendable microalgo.Amount
	lines     []taxii.Event
	stuck     bool // nothing can be withdrawn
	released  bool // what is published keeps nothing locked
	now       time.Time
}

func newWorld(t *testing.T, share string) *world {
	t.Helper()
	w := &world{HostileWorld: worldtest.NewHostileWorld(t), spendable: 1000 * microalgo.PerNFT}
	w.author = &writer{w: w, sent: map[string]string{}}
	w.set = config.Default().Sightings
	w.set.Share = share
	// Long enough ago that nothing which the test makes up is in the future.
	w.now = time.Now().UTC().Truncate(day).Add(-300*day + 10*time.Hour)
	w.restart()
	return w
}

// restart opens the room anew, as after the node was killed.
func (w *world) restart() {
	log := slog.New(slog.DiscardHandler)
	w.room = &Room{
		Book: w.R.Hits, Finder: &search.Finder{View: w.R.View, Index: w.R.Find, State: w.State, Outbox: w.R.Outbox}, Author: w.author, Judge: w, Withdrawer: w,
		Watcher: worldtest.CaughtUp{}, Purse: w, Clock: w, Trail: w, Condition: problem.NewMonitor("telling others", log), Log: log, Now: func() time.Time { return w.now },
	}
	w.configure()
}

func (w *world) configure() { w.room.Set(config.Config{Sightings: w.set}) }

func indicatorID(n int) string { return fmt.Sprintf("indicator--%08x-27d4-4cbf-938f-98ee46b3cd3f", n) }

func indicator(n int, more string) string {
	return fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-01-02T03:04:05.678Z","modified":"2026-01-02T03:04:05.678Z",%s"pattern":"[ipv4-addr:value = '203.0.113.%d']",`+
		`"pattern_type":"stix","valid_from":"2026-01-02T03:04:05Z","object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"]}`, indicatorID(n), more, n)
}

// hit reports hits of the address of an indicator, so long ago.
func (w *world) hit(n int, count uint64, ago time.Duration) taxii.HitsTaken {
	w.T.Helper()
	taken, err := w.room.Report(w.T.Context(), sensor, taxii.HitReport{Hits: []taxii.Hit{{Line: 1, Value: fmt.Sprintf("203.0.113.%d", n), Time: w.now.Add(-ago), Count: count}}})
	nodetest.Must(w.T, err)
	return taken
}

// look has the room look once.
func (w *world) look() { w.room.look(w.T.Context()) }

// inView are the versions of sightings of this organisation that are in the view, as "indicator count first last".
func (w *world) inView() (list []string) {
	w.T.Helper()
	entries, _, err := w.R.View.Page(view.Query{Collection: view.Everything, AnyLine: true, Types: []string{"sighting"}, Member: w.State.Own(), Versions: view.Versions{All: true}, Limit: 1000, WithObjects: true})
	nodetest.Must(w.T, err)
	for _, e := range entries {
		list = append(list, w.short(string(e.Object)))
	}
	slices.Sort(list)
	return list
}

// short is a sighting in a few words, with its days counted from today.
func (w *world) short(raw string) string {
	w.T.Helper()
	var o document
	nodetest.Must(w.T, json.Unmarshal([]byte(raw), &o))
	ago := func(text string) int {
		at, err := time.Parse(time.RFC3339Nano, text)
		nodetest.Must(w.T, err)
		if !at.Equal(at.Truncate(day)) {
			w.T.Errorf("%s is finer than a day in %s", text, raw)
		}
		return int(w.now.Truncate(day).Sub(at) / day)
	}
	if strings.Contains(raw, "where_sighted") || !o.Summary || o.CreatedBy != identityID {
		w.T.Errorf("others are told %s", raw)
	}
	return fmt.Sprintf("%s: %d from %d to %d days ago, made %d, changed %d", strings.TrimLeft(o.Of[len("indicator--"):][:8], "0"), o.Count, ago(o.First), ago(o.Last), ago(o.Created), ago(o.Modified))
}

func unmarshal(raw string, into any) error { return json.Unmarshal([]byte(raw), into) }
