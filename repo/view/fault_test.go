package view

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/storetest"
)

// frail is a view on a store that can be told to fail.
type frail struct {
	*View
	store *storetest.Store
}

func newFrail(t *testing.T) frail {
	s := storetest.New(t)
	v, err := New(s.Store)
	must(t, err)
	return frail{v, s}
}

func (v frail) counted() any { return *v.counts.Load() }

// told does something that is one transaction, while each access to the store fails in turn.
func (v frail) told(t *testing.T, what string, do func() error) {
	t.Helper()
	v.store.EachIsTold(t, what, v.counted, do)
}

// toldInSteps does something that is several of them.
func (v frail) toldInSteps(t *testing.T, what string, do func() error) {
	t.Helper()
	v.store.EachIsTold(t, what, nil, do)
}

// Whatever is brought into the view and taken out of it, while the store fails at each place: it is told, nothing is
// half done, and in the end all is as if nothing had failed.
func TestAFailingStoreLeavesNothingHalfDone(t *testing.T) {
	v, c := newFrail(t), &chain{}
	single, second, refused, undecided, batch, record := c.event(), c.event(), c.event(), c.event(), c.batch(), c.event()
	record.Effect, record.Member, record.Lease = consortium.Record, "MEMBER", []byte("lease")
	record.Note = wire.Note{Kind: wire.KindCollection, Collection: collectionA}
	all := []NewEvent{single, second, refused, undecided, batch, record}
	v.told(t, "appending", func() error { return v.Append(all, nil) })
	v.told(t, "advancing", func() error { return v.Advance(9, nil) })
	outcome := func(e NewEvent, state State) Outcome {
		logged, _, err := v.Event(e.TxID)
		must(t, err)
		return Outcome{Event: logged, State: state, Collection: collectionA, Due: monday, Content: []byte("content")}
	}
	inView := func(e NewEvent, content string) Outcome {
		o := outcome(e, InView)
		o.Entry = entryOf(e, collectionA, "malware-1", monday, content)
		return o
	}
	for what, o := range map[string]Outcome{
		"the later one": inView(second, "later"), "the earlier one": inView(single, "earlier"), "an undecided one": outcome(undecided, Undecided),
		"a record": outcome(record, Held), "one that is refused": outcome(refused, Refused), "a batch in vain": outcome(batch, Waiting),
		"an object of a batch": listed(t, v.View, batch, 5, InView), "another one": listed(t, v.View, batch, 6, Waiting),
	} {
		v.toldInSteps(t, "settling "+what, func() error { return v.Settle([]Outcome{o}) })
	}
	v.toldInSteps(t, "reconsidering", func() error { _, err := v.Reconsider(always); return err })
	v.told(t, "waiting for a record again", func() error { return v.Await(outcomeEvent(record)) })
	v.toldInSteps(t, "hastening", v.Hasten)
	if waiting, undecided := v.CountEvents(); waiting != 4 || undecided != 0 || v.CountObjects() != 2 {
		t.Errorf("%d wait, %d are undecided, %d are in the view", waiting, undecided, v.CountObjects())
	}
	for what, r := range map[string]Recall{
		"an object": {Asset: single.Asset}, "one of a batch": {Asset: batch.Asset, Index: 5}, "an unknown one of a batch": {Asset: batch.Asset, Index: 8},
		"one that waits": {Asset: undecided.Asset}, "one that is refused": {Asset: refused.Asset},
	} {
		r.Senders, r.At = []string{"PUBLISHER"}, later
		v.toldInSteps(t, "withdrawing "+what, func() error { _, _, err := v.Withdraw(r); return err })
	}
	v.toldInSteps(t, "withdrawing a batch", func() error {
		_, _, err := v.Withdraw(Recall{Asset: batch.Asset, Senders: []string{"PUBLISHER"}, At: later})
		return err
	})
	if waiting, _ := v.CountEvents(); waiting != 2 || v.CountObjects() != 0 { // the duplicate's turn has come
		t.Errorf("in the end %d wait, %d are in the view", waiting, v.CountObjects())
	}
	v.toldInSteps(t, "opening", func() error { _, err := New(v.store.Store); return err })
}

func outcomeEvent(e NewEvent) Event { return Event{Event: e.Event} }

func TestAFailingStoreLeavesNoLineBehind(t *testing.T) {
	v, c := newFrail(t), &chain{}
	early := c.event()
	early.Sender = "ALPHA"
	must(t, v.Append([]NewEvent{early}, nil))
	publishAs(t, v.View, c, "BRAVO", "malware-1", 0, 1, 2)
	v.step = 2
	logged, _, err := v.Event(early.TxID)
	must(t, err)
	entry := entryOf(early, collectionA, "malware-1", monday, "ALPHA")
	v.toldInSteps(t, "taking the lead", func() error {
		err := v.Settle([]Outcome{{Event: logged, State: InView, Entry: entry}})
		if err == nil {
			err = v.Relead(t.Context())
		}
		return err
	})
	leads := func(want ...string) {
		t.Helper()
		all := Query{Collection: collectionA, Versions: Versions{All: true}, Limit: 10, WithObjects: true}
		entries, _, err := v.Page(all)
		must(t, err)
		all.Collection = Others
		others, _, err := v.Page(all)
		must(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, string(e.Object))
		}
		if !reflect.DeepEqual(got, want) || len(entries)+len(others) != 4 {
			t.Errorf("served are %v, want %v, and %d others", got, want, len(others))
		}
	}
	leads("ALPHA")
	v.toldInSteps(t, "mistrusting", func() error { return v.Mistrust(context.Background(), []string{"ALPHA"}) })
	leads("BRAVO0", "BRAVO1", "BRAVO2")
	v.toldInSteps(t, "trusting again", func() error { return v.Mistrust(context.Background(), nil) })
	leads("ALPHA")
	v.toldInSteps(t, "withdrawing what leads", func() error { _, _, err := withdraw(v.View, early.Asset, "ALPHA"); return err })
	must(t, v.Relead(t.Context()))
	if latest, err := v.Latest(collectionA, "malware-1"); err != nil || latest == nil || string(latest.Object) != "BRAVO2" {
		t.Errorf("then %+v is served (%v)", latest, err)
	}
	v.toldInSteps(t, "beginning anew", v.Reset)
}

// What is asked of a store that fails at any place of the answer is answered in full, or not at all.
func TestAFailingStoreAnswersNothing(t *testing.T) {
	v, c := newFrail(t), &chain{}
	events := publishAs(t, v.View, c, "ALPHA", "malware-1", 0, 1, 2)
	publishAs(t, v.View, c, "BRAVO", "malware-1", 0, 3)
	publishAs(t, v.View, c, "BRAVO", "tool-2", 0)
	batch, record, undecided := c.batch(), c.event(), c.event()
	record.Effect, record.Lease = consortium.Record, make([]byte, 32)
	must(t, v.Append([]NewEvent{batch, record, undecided}, map[string]*consortium.Sequence{"ALPHA": {Highest: 3}}))
	must(t, v.Advance(9, map[string]*consortium.Sequence{"ALPHA": {Highest: 3}}))
	must(t, v.Settle([]Outcome{
		listed(t, v.View, batch, 1, InView), listed(t, v.View, batch, 2, Waiting),
		{Event: outcomeEvent(record), State: Held, Content: []byte("content")},
	}))
	published, _, err := v.Event(events[0].TxID)
	must(t, err)
	entry, err := v.Entry(published)
	must(t, err)
	for what, ask := range v.questions(batch, record, published, entry) {
		want, err := ask()
		must(t, err)
		if list, ok := want.([]*Entry); ok && len(list) == 0 {
			t.Errorf("%s finds nothing", what)
		}
		v.told(t, what, func() error {
			got, err := ask()
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("%s is %+v, and in the end %+v", what, want, got)
			}
			return err
		})
	}
}

// questions are all that a view can be asked.
func (v frail) questions(batch, record NewEvent, published Event, entry *Entry) map[string]func() (any, error) {
	ask := map[string]func() (any, error){
		"the cursor":             func() (any, error) { return v.Cursor() },
		"the numbers":            func() (any, error) { return v.Sequences() },
		"the log":                func() (any, error) { return v.Log(consortium.Position{}, 100) },
		"the records":            func() (any, error) { return v.Records() },
		"an event":               func() (any, error) { e, _, err := v.Event(batch.TxID); return e, err },
		"what made an asset":     func() (any, error) { e, _, err := v.EventOf(batch.Asset); return e, err },
		"what a lease published": func() (any, error) { e, _, err := v.Leased([32]byte{}); return e, err },
		"an object of a batch": func() (any, error) {
			e, _, err := v.Published(wire.Publication{TxID: batch.TxID, Index: 2})
			return e, err
		},
		"the objects of a batch": func() (any, error) { return v.Objects(outcomeEvent(batch)) },
		"whether it is taken":    func() (any, error) { return v.IsWithdrawn(published) },
		"a content":              func() (any, error) { return v.Content(outcomeEvent(record)) },
		"an object":              func() (any, error) { return v.Entry(published) },
		"the same object":        func() (any, error) { return v.Same(entry) },
		"a directory":            func() (any, error) { return v.Uses("bafy") },
		"a change":               func() (any, error) { return v.Changed(collectionA) },
		"a change of the others": func() (any, error) { return v.Changed(Others) },
		"what is due": func() (any, error) {
			due, _, err := v.Due(Fresh, nil, monday.Add(time.Hour), 100)
			return due, err
		},
		"what is due again": func() (any, error) { due, _, err := v.Due(Retried, nil, time.Now(), 100); return due, err },
		"who leads":         func() (any, error) { return v.LosesLead("ALPHA", collectionA, "malware-1", false, published.Position) },
		"an object's being": func() (any, error) { return v.Has(collectionA, "malware-1") },
		"an object apart":   func() (any, error) { return v.Has(Others, "malware-1") },
		"the latest one":    func() (any, error) { return v.Latest(collectionA, "malware-1") },
		"the latest of":     func() (any, error) { return v.LatestOf("BRAVO", collectionA, "malware-1") },
	}
	for i, q := range queries() {
		ask[fmt.Sprint("query ", i)] = func() (any, error) {
			q.Limit = 10
			parts, err := v.Parts(q, 2*entryBytes)
			entries := parts.First
			for _, p := range parts.Rest {
				rest, problem := p.Read()
				if problem != nil {
					return nil, problem
				}
				entries = append(entries, rest...)
			}
			return entries, err
		}
	}
	return ask
}

// queries are one of each way in which a page is found.
func queries() (list []Query) {
	for _, versions := range []Versions{{All: true}, {First: true}, {Last: true}, {First: true, Last: true}, {Last: true, At: []time.Time{monday}}} {
		for _, q := range []Query{
			{Collection: collectionA}, {Collection: Everything}, {Collection: Others}, {Collection: collectionA, AnyLine: true},
			{Collection: collectionA, Types: []string{"malware", "tool"}}, {Collection: collectionA, IDs: []string{"malware-1"}},
			{Collection: Others, IDs: []string{"malware-1"}}, {Collection: collectionA, IDs: []string{"malware-1"}, Member: "BRAVO"},
			{Collection: collectionA, IDs: []string{"malware-1"}, Types: []string{"malware"}},
			{Collection: Everything, WithObjects: true}, {Collection: Everything, OnlyObjects: true},
		} {
			q.Versions = versions
			list = append(list, q)
		}
	}
	return list
}
