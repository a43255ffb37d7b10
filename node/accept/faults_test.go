package accept

import (
	"errors"
	"slices"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// withdraws has self take an object back.
func withdraws(w *worldtest.World, e consortium.Event) {
	w.T.Helper()
	record := []taxii.Record{{ID: firstID, TxID: e.TxID, AssetID: e.Asset}}
	_, err := withdrawerIn(w).Withdraw(w.T.Context(), worldtest.PublisherRole, taxii.Collection{ID: w.Collection}, record)
	nodetest.Must(w.T, err)
}

// situations are in which an object is posted: each reads something else of what there is.
var situations = map[string]func(w *worldtest.World) (objects []string, replace bool){
	"nothing is there": func(*worldtest.World) ([]string, bool) { return []string{nodetest.IndicatorJSON(1), "{"}, false },
	"the same is served": func(w *worldtest.World) ([]string, bool) {
		show(w, w.Object(1), [32]byte{1})
		return []string{nodetest.DescribedIndicator(1, "")}, false
	},
	"the same is being withdrawn": func(w *worldtest.World) ([]string, bool) {
		withdraws(w, show(w, w.Object(1), [32]byte{1}))
		return []string{nodetest.DescribedIndicator(1, "")}, false
	},
	"the same was withdrawn a moment ago": func(w *worldtest.World) ([]string, bool) {
		x := publishes(w, 1)
		x.confirm()
		nodetest.Must(w.T, w.Deliver(x.event))
		w.Drain()
		_, _, err := w.R.View.Withdraw(view.Recall{Asset: x.event.Asset, Senders: []string{x.event.Sender}, At: later})
		nodetest.Must(w.T, err)
		return []string{nodetest.IndicatorJSON(1)}, false
	},
	"other content is served": func(w *worldtest.World) ([]string, bool) {
		show(w, w.ObjectOf(1, "old"), [32]byte{1})
		return []string{nodetest.DescribedIndicator(1, "new")}, false
	},
	"other content is served, also by another member": func(w *worldtest.World) ([]string, bool) {
		show(w, w.ObjectOf(1, "old"), [32]byte{1})
		w.EnterBy("MALLORY", nodetest.IndicatorJSON(1))
		return []string{nodetest.DescribedIndicator(1, "new")}, true
	},
	"an earlier version is served": func(w *worldtest.World) ([]string, bool) {
		show(w, w.Object(1), [32]byte{1})
		return []string{worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, "")}, false
	},
}

// What a store does not give is never taken for there being nothing: nothing is accepted, or foretold, on a guess, and
// what failed can be asked for again.
func TestNothingIsAcceptedOnAGuess(t *testing.T) {
	for when, prepare := range situations {
		for _, rehearse := range []bool{true, false} {
			w := worldtest.NewFoundedWorld(t)
			objects, replace := prepare(w)
			p, a := publisherIn(w), posts(objects...)
			a.Replace, p.Fees = replace, fee(1000)
			w.Faults.EachIsTold(t, "a post when "+when, func() error {
				var err error
				if rehearse {
					_, err = p.Rehearse(t.Context(), worldtest.PublisherRole, taxii.Collection{ID: w.Collection}, a)
				} else {
					_, err = p.Publish(t.Context(), worldtest.PublisherRole, taxii.Collection{ID: w.Collection}, a)
				}
				return err
			})
			if n := w.R.Outbox.Count()[outbox.Accepted]; rehearse && when == "nothing is there" && n > 0 {
				t.Errorf("a rehearsal accepts %d", n)
			}
		}
	}
}

// So it is with what became of it.
func TestNobodyIsToldTheFateOfAnObjectOnAGuess(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	first := show(w, w.ObjectOf(1, "old"), [32]byte{1})
	x := publishes(w, 2)
	told := func(when string, p *Publisher, id string) {
		t.Helper()
		p.Wait = 0
		who := taxii.Principal{Role: taxii.RoleAdmin}
		w.Faults.EachIsTold(t, "a status of what is "+when, func() error { _, err := p.Status(t.Context(), who, "", id); return err })
		w.Faults.EachIsTold(t, "the answer to who waits for what is "+when, func() error { _, err := p.Await(t.Context(), id); return err })
	}
	told("signed", x.p, x.id)
	x.confirm()
	told("confirmed", x.p, x.id)
	nodetest.Must(t, w.Deliver(x.event))
	told("being read", x.p, x.id)
	w.Drain()
	told("served", x.p, x.id)
	withdraws(w, first)
	p := publisherIn(w)
	for what, item := range map[string]outbox.Item{
		"a withdrawal":                        w.LastItem(),
		"what takes the place of an NFT":      {Note: x.item.Note, State: outbox.Confirmed, TxID: x.event.TxID, ReplacesAsset: first.Asset},
		"what takes the place of an item":     {Note: x.item.Note, State: outbox.Confirmed, TxID: x.event.TxID, Replaces: x.item.Number},
		"a withdrawal that no indexer tells":  {Destroys: 1, State: outbox.Confirmed, Round: 1000},
		"an object that no indexer tells of":  {Note: x.item.Note, State: outbox.Confirmed, TxID: "NONE"},
		"an object that another one precedes": {Note: x.item.Note, State: outbox.Confirmed, TxID: duplicate(w).TxID, ObjectID: firstID, Version: worldtest.FirstTime, Collection: w.Collection},
	} {
		w.Faults.EachIsTold(t, "the fate of "+what, func() error { _, err := p.fate(item); return err })
	}
	b := &Batch{Publisher: p}
	b.Into.ID = w.Collection
	w.Faults.EachIsTold(t, "whether a version stays", func() error { _, err := b.InForce(firstID); return err })
}

// duplicate is a transaction that publishes what another one did before.
func duplicate(w *worldtest.World) consortium.Event {
	w.T.Helper()
	e := w.Mint(w.Self, w.ObjectOf(1, "old"))
	nodetest.Must(w.T, w.R.View.Append([]view.NewEvent{{Event: e, Effect: consortium.Object}}, nil))
	nodetest.Must(w.T, w.R.View.Settle([]view.Outcome{{Event: view.Event{Event: e}, State: view.Duplicate}}))
	return e
}

// A duplicate of what the node does not serve yet waits for it, and so does a status for what its lines wait for.
func TestADuplicateOfWhatIsNotServedYetWaits(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	e := duplicate(w)
	item := outbox.Item{State: outbox.Confirmed, TxID: e.TxID, ObjectID: firstID, Version: worldtest.FirstTime, Collection: w.Collection}
	item.Note.Kind = e.Note.Kind
	if fate, err := publisherIn(w).fate(item); err != nil || fate.done || fate.failure != "" || fate.waits == "" {
		t.Errorf("%+v, %v", fate, err)
	}
}

// Whoever asks for it may take the place of a revocation, too; without asking for it nobody does.
func TestARevocationIsReplacedOnlyWhereThatIsAskedFor(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	revoked := worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, worldtest.Revoked)
	other := worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, worldtest.Revoked+`"description":"other",`)
	w.EnterBy(w.Self.Address(), revoked)
	wantRefused(t, add(w, false, other), "--replace")
	taken(t, add(w, true, other), "takes the place")
}

// A rehearsal says it, too, that something takes the place of what is published.
func TestARehearsalTellsWhatWouldBeReplaced(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	show(w, w.ObjectOf(1, "old"), [32]byte{1})
	p := publisherIn(w)
	p.Fees = fee(1000)
	a := posts(nodetest.DescribedIndicator(1, "new"))
	a.Replace = true
	rehearsal, err := p.Rehearse(t.Context(), worldtest.PublisherRole, taxii.Collection{ID: w.Collection}, a)
	if nodetest.Must(t, err); rehearsal.Objects[0].Note != replacedNote || rehearsal.Objects[0].Failure != "" {
		t.Errorf("it tells %+v", rehearsal.Objects[0])
	}
}

// A line that needs no waiting for is done, whatever item it might name.
func TestWhatWasPublishedBeforeIsNotWaitedFor(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	lines := []outbox.StatusLine{{Failure: "no", Item: 1}, {Item: 7}, {Before: &outbox.Published{TxID: "T"}, Item: 2}}
	nodetest.Must(t, w.R.Outbox.AddStatus(outbox.Status{ID: "s"}, lines))
	if items, _, err := publisherIn(w).itemsOf("s"); err != nil || !slices.Equal(items, []uint64{7}) {
		t.Errorf("of what is refused, on its way, and published before: %d, %v", items, err)
	}
	if _, err := publisherIn(w).Status(t.Context(), taxii.Principal{}, "", "none"); !errors.Is(err, taxii.ErrNotFound) {
		t.Errorf("of no request: %v", err)
	}
}

// An object without a version has the time at which it was first accepted for one, however often it is posted.
func TestAnObjectWithoutAVersionKeepsTheOneThatItWasGiven(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	const address = `{"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd","value":"198.51.100.3"}`
	first := add(w, false, address).Pendings[0]
	if again := add(w, false, nodetest.IndicatorJSON(1), address).Pendings[1]; again.Version != first.Version || again.Version != wire.FormatTime(first.StoredAt) {
		t.Errorf("it was %+v and is %+v", first, again)
	}
}

// Naming recipients is no way into a collection that is forbidden.
func TestRecipientsOpenNoCollectionThatIsForbidden(t *testing.T) {
	h := newPublishersWorld(t)
	p, recipients := h.publisher(), &fixed{}
	p.Recipients = recipients
	a := posts(nodetest.IndicatorJSON(1))
	a.To = []string{"mallory"}
	if _, err := p.Publish(t.Context(), worldtest.PublisherRole, taxii.Collection{ID: "none"}, a); !errors.Is(err, taxii.ErrForbidden) || recipients.made > 0 {
		t.Errorf("%v, and %d collections are made", err, recipients.made)
	}
}

// Who posts what is served is told where that is.
func TestWhatIsPublishedAlreadyIsToldWithItsPlace(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	e := show(w, w.Object(1), [32]byte{1})
	s := add(w, false, nodetest.DescribedIndicator(1, "")).Successes[0]
	if s.TxID != e.TxID || s.Message != e.TxID || s.AssetID != e.Asset || s.CID != e.Directory || s.StoredAt.IsZero() || s.Publisher != "alpha" {
		t.Errorf("it is told %+v of %+v", s, e)
	}
}

// A rehearsal knows what is on its way: the same again is nothing new, something else needs to be asked for.
func TestARehearsalKnowsWhatIsOnItsWay(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	taken(t, add(w, false, nodetest.DescribedIndicator(1, "first")))
	for _, one := range []struct {
		content       string
		replace       bool
		failure, note string
	}{
		{"first", false, "", ""}, {"first", true, "", ""}, {"second", false, ownConflict, ""}, {"second", true, "", replacedNote},
	} {
		p, a := publisherIn(w), posts(nodetest.DescribedIndicator(1, one.content))
		p.Fees, a.Replace = fee(1000), one.replace
		rehearsal, err := p.Rehearse(t.Context(), worldtest.PublisherRole, taxii.Collection{ID: w.Collection}, a)
		if nodetest.Must(t, err); rehearsal.Objects[0].Failure != one.failure || rehearsal.Objects[0].Note != one.note {
			t.Errorf("of the %s (replace %v) it tells %+v", one.content, one.replace, rehearsal.Objects[0])
		}
	}
}

// Between what is served and what is on its way to take its place, a third one is refused.
func TestAThirdContentIsRefusedWhileTheSecondIsOnItsWay(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	show(w, w.ObjectOf(1, "first"), [32]byte{1})
	taken(t, add(w, true, nodetest.DescribedIndicator(1, "second")), "takes the place")
	taken(t, add(w, false, nodetest.DescribedIndicator(1, "second")), "takes the place")
	wantRefused(t, add(w, false, nodetest.DescribedIndicator(1, "third")), "--replace")
}

// A revocation takes the place of what it revokes without being told to, also where the outbox has that.
func TestARevocationOfTheSameVersionIsAlwaysTaken(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	x := publishes(w, 1)
	x.confirm()
	nodetest.Must(t, w.Deliver(x.event))
	w.Drain()
	w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(1))
	taken(t, add(w, false, worldtest.VersionOf(1, worldtest.FirstTime, worldtest.FirstTime, worldtest.Revoked)), "takes the place")
}

// Whoever waits is told at once of what comes to nothing.
func TestWhoWaitsIsToldAtOnceOfWhatComesToNothing(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	x := publishes(w, 1)
	answered := make(chan taxii.Status, 1)
	go func() {
		status, err := x.p.Await(t.Context(), x.id)
		nodetest.Must(t, err)
		answered <- status
	}()
	nodetest.Must(t, w.R.Outbox.Resolve(x.item, consortium.Place{TxID: "OTHER", Round: 1, Asset: 7}, "it is another's"))
	x.p.Outbox.Done.Notify()
	if status := <-answered; len(status.Failures) != 1 || status.Failures[0].Message != "it is another's" {
		t.Errorf("it is told %+v", status)
	}
}
