package scorecard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/feedback"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/repotest"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

var (
	reader = taxii.Principal{User: "rita", Role: taxii.RoleReader}
	admin  = taxii.Principal{User: "ada", Role: taxii.RoleAdmin}
)

const day = 24 * time.Hour

// world is one of the members self, founder and mallory, and a view in which their objects are published at times that
// the test says.
type world struct {
	*worldtest.HostileWorld
	repo     *repo.Repo
	room     *Room
	now      time.Time
	disputes []feedback.Dispute
	round    uint64
}

func (w *world) Disputes() ([]feedback.Dispute, error) { return w.disputes, nil }

func newWorld(t *testing.T) *world {
	t.Helper()
	r, closed, err := repotest.New(t.TempDir(), config.Default(), repotest.Hooks{})
	nodetest.Must(t, err)
	t.Cleanup(func() { nodetest.Must(t, closed()) })
	w := &world{HostileWorld: worldtest.NewHostileWorld(t), repo: r, now: time.Now()}
	w.open()
	return w
}

// open begins as after a start.
func (w *world) open() {
	w.T.Helper()
	room, err := New(w.repo, w.State, w)
	nodetest.Must(w.T, err)
	room.Now = func() time.Time { return w.now }
	w.room = room
}

func id(n uint64) string { return fmt.Sprintf("indicator--%08x-27d4-4cbf-938f-98ee46b3cd3f", n) }

// publish has a member publish an indicator of a value, so long ago.
func (w *world) publish(member string, ago time.Duration, value, more string) string {
	w.T.Helper()
	return w.publishAs(member, ago, id(w.round+1), "2026-01-02T03:04:05.678Z", value, more)
}

func (w *world) publishAs(member string, ago time.Duration, id, modified, value, more string) string {
	w.T.Helper()
	object := fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":%q,"created":"2020-01-02T03:04:05.678Z","modified":%q,%s"pattern":"[domain-name:value = '%s']","pattern_type":"stix","valid_from":"2020-01-02T03:04:05Z"}`,
		id, modified, more, value)
	parsed, err := stix.Parse([]byte(object))
	nodetest.Must(w.T, err)
	hash, err := parsed.ContentHash()
	nodetest.Must(w.T, err)
	w.round++
	e := consortium.Event{
		Position: consortium.Position{Round: w.round}, Time: w.now.Add(-ago), TxID: fmt.Sprintf("TX%d", w.round), Sender: member, Asset: 1000 + w.round, Directory: "bafy",
		Note: wire.Note{Kind: wire.KindObject, Sequence: w.round},
	}
	nodetest.Must(w.T, w.repo.View.Append([]view.NewEvent{{Effect: consortium.Object, Event: e}}, nil))
	logged, _, err := w.repo.View.Event(e.TxID)
	nodetest.Must(w.T, err)
	entry := state.EntryOf(w.Collection, parsed, hash, time.Unix(0, 0)) // what a publisher claims counts for nothing
	entry.Position, entry.TxID, entry.Asset, entry.Directory, entry.Publisher = e.Position, e.TxID, e.Asset, e.Directory, member
	nodetest.Must(w.T, w.repo.View.Settle([]view.Outcome{{Event: logged, State: view.InView, Entry: entry}}))
	return id
}

// card is that of a member, counted anew.
func (w *world) card(member *nodetest.Org) taxii.MemberCard {
	w.T.Helper()
	w.now = w.now.Add(anew + time.Minute)
	w.open()
	all, err := w.room.Cards(w.T.Context(), reader, w.State.Name(member.Address()))
	nodetest.Must(w.T, err)
	if len(all.Cards) != 1 || all.Partial {
		w.T.Fatalf("the cards are %+v", all)
	}
	return all.Cards[0]
}

func TestACardCountsWhatOthersPublishedLaterAndBefore(t *testing.T) {
	w := newWorld(t)
	f, m, self := w.Founder.Address(), w.Mallory.Address(), w.State.Self
	w.publish(m, 220*day, "known.example", "")
	w.publish(f, 219*day, "old.example", "") // before the period, which ends with the newest
	w.publish(f, 100*day, "known.example", "")
	w.publish(f, 90*day, "first.example", "")
	w.publish(f, 80*day, "both.example", "")
	w.publish(f, 70*day, "alone.example", "")
	w.publish(self, 60*day, "both.example", "")
	w.publish(m, 50*day, "first.example", "")
	w.publish(m, 40*day, "both.example", "")
	w.publishAs(f, 30*day, id(6), "2026-01-03T00:00:00.000Z", "alone.example", `"revoked":true,`)
	c := w.card(w.Founder)
	if c.Objects != 4 || c.Indicators != 4 || c.LookedAt != 4 || c.Known != 1 || c.Corroborated != 2 || c.Revoked != 1 || c.Disputed != 0 {
		t.Errorf("%+v", c)
	}
	if lead := 40 * day.Seconds(); c.Lead != lead || c.RevokedAfter != lead {
		t.Errorf("the lead is %v, and it revoked after %v", c.Lead/day.Seconds(), c.RevokedAfter/day.Seconds())
	}
	if c.Proposal != "F" || !strings.Contains(c.Reason, "2 of its objects") || c.From.IsZero() || c.To.IsZero() {
		t.Errorf("proposed is %q: %s", c.Proposal, c.Reason)
	}
}

func TestWhoSaysTheSameAsOneselfConfirmsNothing(t *testing.T) {
	w := newWorld(t)
	f, m := w.Founder.Address(), w.Mallory.Address()
	const author, feed = `"created_by_ref":"identity--f431f809-377b-45e0-aa1c-6a4751cae5ff",`, `"external_references":[{"source_name":"otx","external_id":"7"}],`
	for i, mark := range []string{author, feed} {
		w.publish(f, 20*day, fmt.Sprintf("x%d.example", i), mark)
		w.publish(m, 10*day, fmt.Sprintf("x%d.example", i), mark)
	}
	w.publish(f, 9*day, "y.example", "")
	w.publish(f, 8*day, "y.example", `"created_by_ref":"identity--0431f809-377b-45e0-aa1c-6a4751cae5ff",`) // the same member by another name
	w.publish(f, 7*day, "z.example", "")
	w.publish(m, 6*day, "z.example", `"revoked":true,`)
	if c := w.card(w.Founder); c.Corroborated != 0 || c.Known != 0 || c.Indicators != 5 {
		t.Errorf("%+v", c)
	}
	w.publish(m, 5*day, "x0.example", feed)
	if c := w.card(w.Founder); c.Corroborated != 1 {
		t.Errorf("by another source: %+v", c)
	}
}

func TestBackdatedObjectsAreAsLateAsTheyWere(t *testing.T) {
	w := newWorld(t)
	f, m := w.Founder.Address(), w.Mallory.Address()
	for i := range 12 {
		value := fmt.Sprintf("v%d.example", i)
		w.publish(f, 20*day, value, "")
		// It says that it was made long before, and that another version was there before.
		stolen := w.publish(m, 10*day, value, `"valid_until":"2031-01-01T00:00:00Z",`)
		w.publishAs(m, 9*day, stolen, "2020-01-02T03:04:05.678Z", value, "")
	}
	if c := w.card(w.Mallory); c.Known != 12 || c.Corroborated != 0 || c.Proposal != "F" {
		t.Errorf("who copies and dates back is %+v", c)
	}
	if c := w.card(w.Founder); c.Known != 0 || c.Corroborated != 12 || c.Proposal != "B" {
		t.Errorf("whose are copied is %+v", c)
	}
}

func TestOneMemberCallsNothingWrong(t *testing.T) {
	w := newWorld(t)
	f, m, self := w.Founder.Address(), w.Mallory.Address(), w.State.Self
	for i := range 30 {
		object := w.publish(f, 20*day, fmt.Sprintf("v%d.example", i), "")
		w.publish(self, 10*day, fmt.Sprintf("v%d.example", i), "")
		w.disputes = append(w.disputes, feedback.Dispute{Object: object, By: []string{m, f}})
	}
	if c := w.card(w.Founder); c.Disputed != 0 || c.Proposal != "B" {
		t.Errorf("against one voice: %+v", c)
	}
	for i := range 10 {
		w.disputes[i].By = []string{m, self}
	}
	if c := w.card(w.Founder); c.Disputed != 10 || c.Proposal != "D" {
		t.Errorf("against two: %+v", c)
	}
	called := w.disputes[19].Object
	w.disputes = w.disputes[:1]
	w.disputes = append(w.disputes, feedback.Dispute{Object: called, Of: f, By: []string{self}}, feedback.Dispute{Object: id(7000), Of: f, By: []string{self}})
	w.disputes[0].By = []string{m}
	if c := w.card(w.Founder); c.Disputed != 1 || c.Proposal != "B" {
		t.Errorf("against this organisation: %+v", c)
	}
}

// This organisation confirms what the founder said, and mallory covers that by many revoked objects of one value.
func TestOneValueSaidOftenMovesNoLetter(t *testing.T) {
	w := newWorld(t)
	f, m, self := w.Founder.Address(), w.Mallory.Address(), w.State.Self
	for i := range 12 {
		w.publish(f, 20*day, fmt.Sprintf("v%d.example", i), "")
		w.publish(self, 10*day, fmt.Sprintf("v%d.example", i), "")
	}
	for range 510 {
		w.publish(m, 5*day, "v0.example", `"revoked":true,`)
	}
	if c := w.card(w.Founder); c.Corroborated != 12 || c.LookedAt != 12 || c.Proposal != "B" {
		t.Errorf("whose value is said often is %+v", c)
	}
	for range mostPostings { // newer than what they hide
		w.publish(m, 5*day, "v0.example", `"revoked":true,`)
	}
	if c := w.card(w.Founder); c.Corroborated != 11 || c.LookedAt != 11 || c.Proposal != "B" {
		t.Errorf("whose value can't be looked through is %+v", c)
	}
	for range 30 {
		w.publish(m, 4*day, "own.example", "")
	}
	w.publish(self, 3*day, "own.example", "")
	if c := w.card(w.Mallory); c.Corroborated != 1 {
		t.Errorf("who says a value often is %+v", c)
	}
}

// Whatever a member publishes of what nobody else says, its letter stays.
func TestAFloodChangesNoLetter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := taxii.MemberCard{Indicators: rapid.IntRange(1, 5000).Draw(rt, "indicators")}
		c.LookedAt = min(c.Indicators, maxSample)
		c.Corroborated = rapid.IntRange(0, c.LookedAt).Draw(rt, "corroborated")
		c.Disputed = rapid.IntRange(0, 5000).Draw(rt, "disputed")
		if c.Indicators > maxSample { // as all are looked at
			c.LookedAt = c.Indicators
		}
		flooded := c
		flood := rapid.IntRange(1, 9).Draw(rt, "flood") * c.Indicators
		flooded.Indicators, flooded.LookedAt = c.Indicators+flood, c.LookedAt+flood
		propose(&c)
		propose(&flooded)
		if c.Proposal != flooded.Proposal {
			rt.Fatalf("%+v becomes %+v", c, flooded)
		}
		worse := c
		worse.Disputed++
		if propose(&worse); worse.Proposal < c.Proposal && c.Proposal != "F" {
			rt.Fatalf("with one more that is wrong %s becomes %s", c.Proposal, worse.Proposal)
		}
	})
}

func TestWhatIsDrawnStandsForAll(t *testing.T) {
	d := &drawn{bound: ^uint64(0)}
	const all = 200_000
	for n := range int64(all) {
		d.draw(1_700_000_000_000_000 + n*n%977 + n*1000)
	}
	if len(d.dates) > maxSample || len(d.dates) < maxSample/3 {
		t.Fatalf("%d are drawn", len(d.dates))
	}
	early := 0
	for _, date := range d.dates {
		if date < 1_700_000_000_000_000+all/2*1000 {
			early++
		}
	}
	if share := float64(early) / float64(len(d.dates)); share < 0.4 || share > 0.6 {
		t.Errorf("%.2f of what is drawn is of the first half", share)
	}
}

func TestARatingIsKeptAndIsThePersonsOwn(t *testing.T) {
	w := newWorld(t)
	mallory := w.State.Name(w.Mallory.Address())
	if letters, digest := w.room.Rated(); letters != nil || digest != "" {
		t.Errorf("rated are %v", letters)
	}
	nodetest.Must(t, w.room.Rate(t.Context(), admin, mallory, taxii.Rating{Reliability: "e", Why: "copies"}))
	_, first := w.room.Rated()
	w.open()
	letters, digest := w.room.Rated()
	if len(letters) != 1 || letters[mallory] != "E" || digest == "" || digest != first || w.room.Reliability(w.Mallory.Address()) != "E" || w.room.Reliability("nobody") != "" {
		t.Errorf("after a restart rated are %v", letters)
	}
	c := w.card(w.Mallory)
	if c.Reliability != "E" || c.Weight != 0.2 || c.SetBy != "ada" || c.Why != "copies" || c.Means != "unreliable" {
		t.Errorf("%+v", c)
	}
	w.Rotates(w.Mallory, worldtest.Changes{Account: true})
	if w.room.Reliability(w.Mallory.Address()) != "E" {
		t.Error("with another account it is rated no more")
	}
	nodetest.Must(t, w.room.Rate(t.Context(), admin, mallory, taxii.Rating{}))
	if letters, digest = w.room.Rated(); letters != nil || digest != "" {
		t.Errorf("rated are %v still", letters)
	}
	limited := admin
	limited.Limits.Read = []string{}
	var invalid *taxii.InvalidError
	for _, c := range []struct {
		who    taxii.Principal
		member string
		r      taxii.Rating
		want   error
	}{
		{reader, mallory, taxii.Rating{Reliability: "A"}, taxii.ErrForbidden},
		{limited, mallory, taxii.Rating{Reliability: "A"}, taxii.ErrForbidden},
		{admin, "nobody", taxii.Rating{Reliability: "A"}, taxii.ErrNotFound},
		{admin, mallory, taxii.Rating{Reliability: "G"}, nil},
		{admin, mallory, taxii.Rating{Reliability: "A", Why: strings.Repeat("x", maxWhy+1)}, nil},
		{admin, w.State.Name(w.State.Self), taxii.Rating{Reliability: "A"}, nil},
	} {
		err := w.room.Rate(t.Context(), c.who, c.member, c.r)
		if c.want != nil && !errors.Is(err, c.want) || c.want == nil && !errors.As(err, &invalid) {
			t.Errorf("%s rates %s %+v: %v", c.who.User, c.member, c.r.Reliability, err)
		}
	}
	if _, err := w.room.Cards(t.Context(), limited, ""); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("an account with limits is shown cards: %v", err)
	}
	if _, err := w.room.Cards(t.Context(), reader, "nobody"); !errors.Is(err, taxii.ErrNotFound) {
		t.Errorf("there is a card of nobody: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w.open()
	if _, err := w.room.Cards(gone, reader, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("for nobody it counts: %v", err)
	}
}

func TestACardGoesOnWithWhatIsNew(t *testing.T) {
	w := newWorld(t)
	founder := w.State.Name(w.Founder.Address())
	objects := func() int {
		all, err := w.room.Cards(t.Context(), reader, founder)
		nodetest.Must(t, err)
		return all.Cards[0].Objects
	}
	if n := objects(); n != 0 {
		t.Errorf("there are %d", n)
	}
	w.publish(w.Founder.Address(), 0, "a.example", "")
	if n := objects(); n != 0 {
		t.Errorf("it is counted anew for each look: %d", n)
	}
	w.now = w.now.Add(keptFor)
	if n := objects(); n != 1 {
		t.Errorf("then there are %d", n)
	}
	w.now = w.now.Add(anew + time.Second)
	w.publish(w.Founder.Address(), 0, "b.example", "")
	if n := objects(); n != 2 {
		t.Errorf("counted from the beginning there are %d", n)
	}
}
