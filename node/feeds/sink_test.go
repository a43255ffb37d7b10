package feeds

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/accept"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

func TestAVersionWithNothingNewButItsDatesIsNotNew(t *testing.T) {
	const a = `{"type":"identity","name":"ACME","created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z"}`
	for b, want := range map[string]bool{
		`{"modified":"2026-02-01T00:00:00Z","created":"2026-02-01T00:00:00Z","name":"ACME","type":"identity"}`: true,
		`{"modified":"2026-02-01T00:00:00Z","name":"ACMÉ","type":"identity"}`:                                  false,
		`{"modified":"2026-02-01T00:00:00Z","name":"ACME","type":"identity","revoked":true}`:                   false,
		`[]`: false,
	} {
		if got := sameButDates([]byte(a), []byte(b)); got != want {
			t.Errorf("%s: %t", b, got)
		}
	}
}

func TestUnmarkedObjectsGoAsFarAsTheFeedSays(t *testing.T) {
	plain := &stix.Object{Type: "indicator"}
	green := &stix.Object{Type: "indicator", Labels: []string{"tlp:green"}}
	definition := &stix.Object{Type: "marking-definition"}
	everybody := consortium.Collection{Properties: wire.Collection{Readers: wire.Accounts{Members: true}}}
	named := consortium.Collection{Properties: wire.Collection{Readers: wire.Accounts{Named: []string{"A"}}}}
	for _, test := range []struct {
		policy  string
		object  *stix.Object
		into    consortium.Collection
		refused bool
	}{
		{"collection", plain, everybody, false},
		{"refuse", plain, named, true},
		{"refuse", green, everybody, false},
		{"refuse", definition, everybody, false},
		{"amber", plain, everybody, true},
		{"amber", plain, named, false},
		{"red", plain, named, true},
		{"red", green, named, false},
	} {
		policy, err := unmarkedPolicy(test.policy)
		nodetest.Must(t, err)
		if got := policy.refuses(test.object, (&state.Shared{Self: "self"}).Audience(test.into), stix.Levels{}); (got != "") != test.refused {
			t.Errorf("%s: %q", test.policy, got)
		}
	}
	if _, err := unmarkedPolicy("purple"); err == nil {
		t.Error("a policy that is none is taken")
	}
}

// A feed that is told again of what was withdrawn would publish it again (opencti#11132).
func TestAFeedDoesNotPublishWhatThisOrganisationTookBack(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	p := feedPublisher(w)
	s := &sink{Feeds: &Feeds{State: w.State, Publisher: p}}
	into, err := intoOf(w)
	nodetest.Must(t, err)
	want := func(when, raw string, known, refused bool) {
		t.Helper()
		object, err := stix.Parse([]byte(raw))
		nodetest.Must(t, err)
		v, err := s.known(into, map[string]consortium.Collection{into.ID: into}, object)
		nodetest.Must(t, err)
		if v.Known != known || (v.Refused != "") != refused {
			t.Errorf("%s: known %v, refused %q", when, v.Known, v.Refused)
		}
	}
	later := worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, `"description":"edited",`)
	sco := `{"type":"ipv4-addr","id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd","value":"198.51.100.3"}`

	want("new", nodetest.IndicatorJSON(1), false, false)
	feedAdd(w, false, nodetest.IndicatorJSON(1))
	want("on its way", nodetest.IndicatorJSON(1), true, false)
	w.Confirm(7001, "ONE")
	want("on the chain", nodetest.IndicatorJSON(1), true, false)
	want("a new version", later, false, false)
	takeBack(w, taxii.Record{ID: "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f", Version: worldtest.FirstTime, TxID: "ONE", AssetID: 7001})
	want("a new version of what is about to be withdrawn", later, false, true)
	nodetest.Must(t, w.R.Outbox.Withdraw(wire.Publication{TxID: "ONE"}))
	want("withdrawn", nodetest.IndicatorJSON(1), false, true)
	want("a new version of what is withdrawn", later, false, true)
	want("something else", nodetest.IndicatorJSON(2), false, false)

	// Somebody publishes it by hand: the feed goes on, but for the version that was taken back.
	feedAdd(w, false, later)
	want("published by hand", later, true, false)
	want("a version after that", worldtest.VersionOf(1, worldtest.FirstTime, worldtest.ThirdTime, `"description":"again",`), false, false)
	want("the one that was taken back", nodetest.IndicatorJSON(1), false, true)

	// What has no versions.
	w.Seal()
	feedAdd(w, false, sco)
	w.Confirm(7002, "LATER")
	w.Confirm(7003, "SCO")
	takeBack(w, taxii.Record{ID: "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd", TxID: "SCO", AssetID: 7003})
	nodetest.Must(t, w.R.Outbox.Withdraw(wire.Publication{TxID: "SCO"}))
	want("an observable", sco, false, true)
	want("an observable with other content", strings.Replace(sco, `"value"`, `"x":1,"value"`, 1), false, true)

	// One version of several is withdrawn: the others are in force.
	w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(3))
	takeBack(w, taxii.Record{ID: "indicator--00000003-17d4-4cbf-938f-98ee46b3cd3f", Version: worldtest.SecondTime, TxID: "THREE", AssetID: 7004})
	want("a version after one that was taken back", worldtest.VersionOf(3, worldtest.FirstTime, worldtest.ThirdTime, `"description":"c",`), false, false)
}

// Other content of a version counted as known, so that nobody was told.
func TestAFeedNamesOtherContentUnderAPublishedVersion(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	s := &sink{Feeds: &Feeds{State: w.State, Publisher: feedPublisher(w)}}
	into, err := intoOf(w)
	nodetest.Must(t, err)
	elsewhere := consortium.Collection{ID: "5d0092c5-5f74-4287-9642-33f4c354e56d", Properties: wire.Collection{Readers: wire.Accounts{Members: true}}}
	covering := map[string]consortium.Collection{into.ID: into, elsewhere.ID: elsewhere}
	w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(1))
	feedAdd(w, false, nodetest.IndicatorJSON(2))
	for n := 1; n <= 2; n++ {
		for raw, want := range map[string]bool{nodetest.IndicatorJSON(n): true, worldtest.VersionOf(n, worldtest.FirstTime, worldtest.FirstTime, `"description":"other",`): false} {
			object, err := stix.Parse([]byte(raw))
			nodetest.Must(t, err)
			v, err := s.known(into, covering, object)
			nodetest.Must(t, err)
			if v.Known != want {
				t.Errorf("%s: %+v", raw, v)
			}
		}
	}
	if s := feedAdd(w, false, worldtest.VersionOf(1, worldtest.FirstTime, worldtest.FirstTime, `"description":"other",`)); len(s.Failures) != 1 || !strings.Contains(s.Failures[0].Message, "with other content") {
		t.Errorf("status %+v", s)
	}
}

// While a withdrawal is on its way a feed publishes no later version of the object.
func TestAFeedDoesNotPublishWhatIsBeingWithdrawn(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	asset := w.EnterBy(w.Self.Address(), nodetest.DescribedIndicator(1, "old"))
	s := &sink{Feeds: &Feeds{State: w.State, Publisher: feedPublisher(w)}}
	into, err := intoOf(w)
	nodetest.Must(t, err)
	into.Properties.Readers = wire.Accounts{Members: true}
	refused := func() bool {
		t.Helper()
		object, err := stix.Parse([]byte(worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, `"description":"edited",`)))
		nodetest.Must(t, err)
		v, err := s.known(into, map[string]consortium.Collection{into.ID: into}, object)
		nodetest.Must(t, err)
		return strings.Contains(v.Refused, "took it back")
	}
	if refused() {
		t.Error("a later version is refused")
	}
	takeBack(w, taxii.Record{ID: "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f", AssetID: asset})
	if !refused() {
		t.Error("a later version of what is being withdrawn is taken")
	}
}

// takeBack withdraws a publication of ours, as a client does; the chain tells of it first, if it has not yet.
func takeBack(w *worldtest.World, record taxii.Record) {
	w.T.Helper()
	if _, found, err := w.R.View.EventOf(record.AssetID); err != nil || !found {
		nodetest.Must(w.T, err)
		e := w.Mint(w.Self, w.Object(w.N))
		e.TxID, e.Asset = record.TxID, record.AssetID
		nodetest.Must(w.T, w.R.View.Append([]view.NewEvent{{Event: e}}, nil))
	}
	outbox := publish.NewOutbox(w.R.Outbox)
	withdrawer := &withdraw.Withdrawer{Outbox: outbox, View: w.R.View, State: w.State, Records: publish.NewRecords(w.State.Self, outbox, w.Blocks, publish.NewFresh(w.Blocks)),
		Statuses: feedPublisher(w), Log: nodetest.Discard}
	_, err := withdrawer.Withdraw(w.T.Context(), worldtest.PublisherRole, taxii.Collection{ID: w.Collection}, []taxii.Record{record})
	nodetest.Must(w.T, err)
}

// feedPublisher is a publisher that waits for nothing.
func feedPublisher(w *worldtest.World) *accept.Publisher {
	return &accept.Publisher{Outbox: publish.NewOutbox(w.R.Outbox), View: w.R.View, State: w.State, Delay: accept.Delay{Sealing: problem.NewMonitor("", nodetest.Discard), Publishing: problem.NewMonitor("", nodetest.Discard)}}
}

// feedAdd posts objects.
func feedAdd(w *worldtest.World, replace bool, objects ...string) taxii.Status {
	w.T.Helper()
	listed := make(taxii.Listed, len(objects))
	addition := taxii.Addition{Objects: listed, Replace: replace}
	for i, o := range objects {
		listed[i].Raw = []byte(o)
	}
	status, err := feedPublisher(w).Publish(w.T.Context(), taxii.Principal{User: "u", Role: taxii.RolePublisher}, taxii.Collection{ID: w.Collection}, addition)
	nodetest.Must(w.T, err)
	return status
}

func intoOf(w *worldtest.World) (consortium.Collection, error) {
	c, found := w.State.Collection(w.Collection)
	if !found {
		return c, errors.New("the collection is not known")
	}
	return c, nil
}

// Another member's node shows what was confirmed a moment ago, which is nothing new, as the next round here says.
func TestAFeedLooksOnceTheChainIsFollowedToAlgodsLastRound(t *testing.T) {
	f := newFed(t)
	object := mustParse(t, nodetest.IndicatorJSON(1))
	f.round, f.cursors = 7, []uint64{5, 6, 7}
	if _, err := f.sink(config.Feed{Name: "misp", Unmarked: "collection"}).Check(t.Context(), object); err != nil || len(f.cursors) > 0 {
		t.Errorf("it looks while the chain is followed to a round before %v: %v", f.cursors, err)
	}
	f.cursors = []uint64{5}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := f.sink(config.Feed{Name: "misp"}).Check(ended, object); err == nil || !strings.Contains(err.Error(), "followed to round 5 of 7") {
		t.Errorf("where the round does not come: %v", err)
	}
}

// What a feed may publish costs what the network asks for, and what it may not is said; nothing of it is done.
func TestAFeedsObjectsAreCheckedBeforeTheyArePublished(t *testing.T) {
	f := newFed(t)
	f.minFee = 3000
	feedAdd(f.World, false, nodetest.IndicatorJSON(2))
	config := config.Feed{Name: "misp", Unmarked: "collection"}
	red := strings.Replace(nodetest.IndicatorJSON(3), `"name"`, `"object_marking_refs":["marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"],"name"`, 1)
	objects := mustParse(t, nodetest.IndicatorJSON(1), nodetest.IndicatorJSON(2), red)
	check := func() []feed.Verdict {
		t.Helper()
		list, err := f.sink(config).Check(t.Context(), objects)
		nodetest.Must(t, err)
		return list
	}
	list := check()
	if len(list) != 3 || list[0] != (feed.Verdict{Cost: 103_000}) || list[1] != (feed.Verdict{Known: true}) || list[2].Known || !strings.Contains(list[2].Refused, "TLP:RED") {
		t.Errorf("%+v", list)
	}
	config.Unmarked = "refuse"
	if list := check(); !strings.Contains(list[0].Refused, "no TLP marking") || !list[1].Known {
		t.Errorf("unmarked ones are refused: %+v", list)
	}
	if len(f.outbox()) != 1 || f.awaited != 2 {
		t.Errorf("on their way are %v, the tip was awaited %d times", f.outbox(), f.awaited)
	}
	config.Unmarked = "purple"
	if _, err := f.sink(config).Check(t.Context(), objects); err == nil {
		t.Error("a policy that is none is taken")
	}
}

func TestAFeedPublishesOnlyWhereThisOrganisationMay(t *testing.T) {
	h := newNamedWorld(t)
	theirs := uuid.NewString()
	h.Takes(h.CollectionOf(h.Mallory, theirs, 1, h.Named("Theirs", "theirs"), h.Self))
	into := func(name string) (string, error) {
		s := &sink{Feeds: &Feeds{State: h.State}, config: config.Feed{Into: name}}
		c, err := s.into()
		return c.ID, err
	}
	if id, err := into(""); err != nil || id != h.Collection {
		t.Errorf("without a name it is %q, %v", id, err)
	}
	for _, name := range []string{"mallory/theirs", theirs, "nothing"} {
		if _, err := into(name); err == nil || !strings.HasPrefix(err.Error(), "into: ") {
			t.Errorf("%q: %v", name, err)
		}
	}
	h.Removes(h.Self)
	if _, err := into(h.Own); err == nil || !strings.Contains(err.Error(), "was removed in round") {
		t.Errorf("of a former member: %v", err)
	}
	nobody := state.New(h.Self.Address(), consortium.New(1, "C", nil), nil)
	if _, err := (&sink{Feeds: &Feeds{State: nobody}}).into(); err == nil || !strings.Contains(err.Error(), "not known yet") {
		t.Errorf("before the chain is known: %v", err)
	}
}

// Known is what all readers have, not what some have.
func TestAnObjectIsKnownWhereEverybodyReadsItWhoReadsTheCollection(t *testing.T) {
	h := newNamedWorld(t)
	all, some := uuid.NewString(), uuid.NewString()
	withMallory := h.Named("Some", "some")
	withMallory.Readers.Named = []string{h.Mallory.Address()}
	h.Takes(h.CollectionOf(h.Self, some, 1, withMallory, h.Mallory), h.CollectionOf(h.Self, all, 1, h.Everybody("all"), h.Founder, h.Mallory))
	s := &sink{Feeds: &Feeds{State: h.State}}
	for id, want := range map[string][]string{
		all:   {all, h.Collection},              // that all members read
		some:  {all, h.Collection, some},        // what all read, mallory reads
		h.Own: {all, h.Collection, some, h.Own}, // and we read them all
	} {
		c, _ := h.State.Collection(id)
		if got := slices.Sorted(maps.Keys(s.covering(c))); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s is covered by %v, want %v", c.Properties.Title, got, want)
		}
	}
	h.Removes(h.Founder) // who is gone needs nothing
	h.Takes(h.CollectionOf(h.Self, some, 2, withMallory, h.Mallory))
	c, _ := h.State.Collection(all)
	if _, covers := s.covering(c)[some]; covers {
		t.Error("who comes later would not have it")
	}
}

func TestADefinitionThatWasPublishedIsFound(t *testing.T) {
	f := newFed(t)
	const id = "marking-definition--0000aaaa-17d4-4cbf-938f-98ee46b3cd3f"
	s := f.sink(config.Feed{Name: "misp", Unmarked: "collection"})
	if d, err := s.Marking(id); err != nil || d != nil {
		t.Errorf("before: %+v, %v", d, err)
	}
	feedAdd(f.World, false, worldtest.Definition("statement", "for friends"))
	if d, err := s.Marking(id); err != nil || d == nil || d.ID != id {
		t.Errorf("after: %+v, %v", d, err)
	}
}
