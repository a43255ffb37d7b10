package feedback

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

var (
	publisher = taxii.Principal{User: "paula", Role: taxii.RolePublisher}
	reader    = taxii.Principal{User: "rita", Role: taxii.RoleReader}
	stranger  = taxii.Principal{User: "lena", Role: taxii.RolePublisher, Limits: taxii.Limits{Read: []string{"7f0a4d1c-2f5e-4f43-9d3b-0d6d5c2f9a02"}}}
)

const identityID = "identity--f431f809-377b-45e0-aa1c-6a4751cae5ff"

// writer publishes at once what it is told to.
type writer struct {
	w       *world
	closed  bool // the object's collection
	sent    []map[string]any
	into    []string
	members []string
	fails   error
	closes  error // … where a collection is to be made
}

func (a *writer) IdentityID() string { return identityID }

func (a *writer) MayPublish(consortium.Collection, stix.Level) bool { return !a.closed }

func (a *writer) Planned(member string) (consortium.Collection, bool, error) {
	return consortium.Collection{}, slices.Contains(a.members, member), nil
}

func (a *writer) For(_ context.Context, _ taxii.Principal, member string) (consortium.Collection, error) {
	if a.closes != nil {
		return consortium.Collection{}, a.closes
	}
	a.members = append(a.members, member)
	return consortium.Collection{ID: a.w.Own, Owner: a.w.State.Self, Properties: wire.Collection{AdHoc: true}}, nil
}

func (a *writer) Publish(_ context.Context, _ taxii.Principal, into consortium.Collection, objects ...json.RawMessage) (status taxii.Status, err error) {
	if a.fails != nil {
		return status, a.fails
	}
	for _, raw := range objects {
		if _, err := stix.Parse(raw); err != nil {
			return status, err
		}
		var o map[string]any
		if err := json.Unmarshal(raw, &o); err != nil {
			return status, err
		}
		a.sent, a.into = append(a.sent, o), append(a.into, into.ID)
		a.w.enterIn(into.ID, a.w.State.Self, string(raw))
		status.Successes = append(status.Successes, taxii.StatusDetail{ID: fmt.Sprint(o["id"]), Version: fmt.Sprint(o["modified"])})
	}
	status.ID = uuid.NewString()
	return status, nil
}

// world is one of the members self, founder and mallory.
type world struct {
	*worldtest.HostileWorld
	*Room
	author *writer
	n      int
}

func newWorld(t testing.TB, change ...func(*config.Quality)) *world {
	t.Helper()
	w := &world{HostileWorld: worldtest.NewHostileWorld(t)}
	w.author = &writer{w: w}
	w.Room = &Room{View: w.R.View, Index: w.R.Find, State: w.HostileWorld.State, Outbox: w.R.Outbox, Author: w.author, Log: slog.New(slog.DiscardHandler)}
	c := config.Default()
	for _, set := range change {
		set(&c.Quality)
	}
	nodetest.Must(t, w.Load(c))
	return w
}

// restarted is the room after a restart of the node.
func (w *world) restarted() *Room {
	w.T.Helper()
	r := &Room{View: w.View, Index: w.Index, State: w.HostileWorld.State, Outbox: w.Outbox, Author: w.author, Log: w.Log}
	nodetest.Must(w.T, r.Load(config.Default()))
	return r
}

func indicatorID(n int) string { return fmt.Sprintf("indicator--%08x-27d4-4cbf-938f-98ee46b3cd3f", n) }

func indicator(n int, modified, more string) string {
	return fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-01-02T03:04:05.678Z","modified":%q,%s"pattern":"[ipv4-addr:value = '203.0.113.%d']",`+
		`"pattern_type":"stix","valid_from":"2026-01-02T03:04:05Z","object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"]}`, indicatorID(n), modified, more, n)
}

// says has a member say something of an object.
func (w *world) says(member *nodetest.Org, object, word string, more ...string) uint64 {
	w.n++
	return w.EnterBy(member.Address(), w.opinion(fmt.Sprintf("opinion--%08x-27d4-4cbf-938f-98ee46b3cd3f", w.n), "2026-03-01T00:00:00.000Z", object, word, more...))
}

func (w *world) opinion(id, modified, object, word string, more ...string) string {
	return fmt.Sprintf(`{"type":"opinion","spec_version":"2.1","id":%q,"created":"2026-03-01T00:00:00.000Z","modified":%q,%s"opinion":%q,"object_refs":["%s"],"explanation":"no\u0000\u202eharm","labels":["reason:shared"]}`,
		id, modified, strings.Join(more, ""), word, object)
}

func (w *world) give(who taxii.Principal, g taxii.Judgement) taxii.Judged {
	w.T.Helper()
	judged, err := w.Give(w.T.Context(), who, g)
	nodetest.Must(w.T, err)
	return judged
}

// enterIn brings an object into a collection.
func (w *world) enterIn(collection, account, object string) {
	before := w.Collection
	w.Collection = collection
	w.EnterBy(account, object)
	w.Collection = before
}

// disputes has a member dispute so many objects of ours.
func (w *world) disputes(member *nodetest.Org, n int) {
	for first := 0; first < n; first += maxRefs {
		var ids []string
		for i := first; i < min(first+maxRefs, n); i++ {
			w.EnterBy(w.HostileWorld.State.Self, indicator(i, worldtest.FirstTime, ""))
			ids = append(ids, indicatorID(i))
		}
		w.says(member, strings.Join(ids, `","`), taxii.Disagree)
	}
}

// leaves tells whether lists leave out a value, and an indicator in a version.
func (w *world) leaves(n int, modified string) (value, object bool) {
	w.T.Helper()
	_, left, err := w.Judged()
	nodetest.Must(w.T, err)
	at, err := time.Parse(time.RFC3339Nano, modified)
	nodetest.Must(w.T, err)
	v := observable.Value{Kind: observable.IPv4, Text: fmt.Sprintf("203.0.113.%d", n)}
	return left.Value != nil && left.Value(v), left.Indicator != nil && left.Indicator(indicatorID(n), at)
}

func (w *world) inbox(who taxii.Principal, q taxii.InboxQuery) taxii.Inbox {
	w.T.Helper()
	box, err := w.Inbox(w.T.Context(), who, q)
	nodetest.Must(w.T, err)
	return box
}

var everyVersion = view.Query{Collection: view.Everything, AnyLine: true, Versions: view.Versions{All: true}, Limit: 1000, WithObjects: true}

func mustEntry(t *testing.T, w *world, n int) *view.Entry {
	t.Helper()
	e, err := w.View.LatestOf(w.HostileWorld.State.Own(), view.Everything, indicatorID(n))
	nodetest.Must(t, err)
	return e
}

// withdraw takes an opinion of any member back.
func (w *world) withdraw(asset uint64) {
	w.T.Helper()
	_, _, err := w.View.Withdraw(view.Recall{Asset: asset, Senders: []string{w.Founder.Address(), w.Mallory.Address(), w.HostileWorld.State.Self}, At: consortium.Position{Round: math.MaxUint64}})
	nodetest.Must(w.T, err)
}
