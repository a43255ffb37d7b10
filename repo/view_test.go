package repo

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newView(t testing.TB) *View {
	t.Helper()
	v, err := openView(t.TempDir(), make([]byte, 32))
	must(t, err)
	t.Cleanup(func() { must(t, v.close()) })
	return v
}

var (
	collectionA = uuid.NewString()
	collectionB = collectionA[:8] + uuid.NewString()[8:] // their owners choose ids: that they begin alike must not matter
	monday      = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
)

// chain makes events at consecutive positions and the entries that they publish.
type chain struct{ round uint64 }

func (c *chain) event() NewEvent {
	c.round++
	return NewEvent{Effect: consortium.Object, Event: consortium.Event{
		Position: consortium.Position{Round: c.round}, TxID: fmt.Sprintf("TX%d", c.round), Sender: "PUBLISHER", Asset: 1000 + c.round,
		Note: wire.Note{Kind: wire.KindObject, Sequence: c.round}, Directory: "bafy",
	}}
}

func entryOf(e NewEvent, collection, id string, version time.Time, content string) *Entry {
	hash := sha256.Sum256([]byte(content))
	copy(hash[:], make([]byte, 4)) // as somebody can choose contents, with 2^32 tries each
	return &Entry{
		Collection: collection, ID: id, Type: id[:len(id)-2], Version: wire.FormatTime(version), Instant: version, Hash: hash[:],
		Position: e.Position, Publisher: e.Sender, TxID: e.TxID, Asset: e.Asset, Object: []byte(content),
	}
}

// publish brings an object all the way into the view.
func publish(t testing.TB, v *View, e NewEvent, entry *Entry) LoggedEvent {
	t.Helper()
	must(t, v.Append([]NewEvent{e}, nil))
	return settleNow(t, v, e, entry)
}

func settleNow(t testing.TB, v *View, e NewEvent, entry *Entry) LoggedEvent {
	t.Helper()
	logged, found, err := v.Event(e.TxID)
	must(t, err)
	if !found {
		t.Fatalf("event %s was appended but is not there", e.TxID)
	}
	must(t, v.Settle([]Outcome{{Event: logged, State: InView, Entry: entry}}))
	logged, _, err = v.Event(e.TxID)
	must(t, err)
	return logged
}

// withdraw takes one object back.
func withdraw(v *View, asset uint64, senders ...string) (e LoggedEvent, found bool, err error) {
	ended, err := v.Withdraw(Recall{Asset: asset, Senders: senders})
	if len(ended) == 1 {
		return ended[0], true, err
	}
	return e, false, err
}

func always(LoggedEvent, string) bool { return true }

func page(t testing.TB, v *View, q Query) []string {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	entries, _, err := v.Page(q)
	must(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.ID+" "+e.Version[:10])
	}
	return list
}

func TestTheEarlierOnTheChainWinsWhicheverArrivesFirst(t *testing.T) {
	for _, laterFirst := range []bool{false, true} {
		v, c := newView(t), &chain{}
		early, late := c.event(), c.event()
		must(t, v.Append([]NewEvent{early, late}, nil))
		first := func() { settleNow(t, v, early, entryOf(early, collectionA, "malware-1", monday, "early")) }
		second := func() { settleNow(t, v, late, entryOf(late, collectionA, "malware-1", monday, "late")) }
		if laterFirst {
			second()
			first()
		} else {
			first()
			second()
		}
		entry, err := v.Latest(collectionA, "malware-1")
		must(t, err)
		if entry == nil || string(entry.Object) != "early" {
			t.Errorf("later first %v: the view has %+v", laterFirst, entry)
		}
		loser, _, err := v.Event(late.TxID)
		must(t, err)
		if loser.State != Duplicate {
			t.Errorf("later first %v: the later event is %v, want duplicate", laterFirst, loser.State)
		}
		if n := v.CountObjects(); n != 1 {
			t.Errorf("later first %v: %d objects", laterFirst, n)
		}
	}
}

func TestAWithdrawnObjectLeavesTheViewAndItsDuplicateMayEnter(t *testing.T) {
	v, c := newView(t), &chain{}
	first, second := c.event(), c.event()
	publish(t, v, first, entryOf(first, collectionA, "malware-1", monday, "same"))
	publish(t, v, second, entryOf(second, collectionA, "malware-1", monday, "same"))
	if _, found, err := withdraw(v, first.Asset, "SOMEBODY"); err != nil || found {
		t.Fatalf("somebody else withdraws it: %v, %v", found, err)
	}
	e, found, err := withdraw(v, first.Asset, "PUBLISHER")
	must(t, err)
	if !found || e.TxID != first.TxID {
		t.Fatalf("withdrew %v of %+v", found, e)
	}
	if has, err := v.Has(collectionA, "malware-1"); err != nil || has {
		t.Errorf("withdrawn but there: %v, %v", has, err)
	}
	due, _, err := v.Due(Fresh, nil, time.Now(), 10)
	must(t, err)
	if len(due) != 1 || due[0].TxID != second.TxID {
		t.Fatalf("due: %+v, want the duplicate", due)
	}
	if got := settleNow(t, v, second, entryOf(second, collectionA, "malware-1", monday, "same")); got.State != InView {
		t.Errorf("the duplicate is %v", got.State)
	}
}

func TestTheVersionBeforeIsTheLatestAgainAfterAWithdrawal(t *testing.T) {
	v, c := newView(t), &chain{}
	old, recent := c.event(), c.event()
	publish(t, v, old, entryOf(old, collectionA, "malware-1", monday, "1"))
	publish(t, v, recent, entryOf(recent, collectionA, "malware-1", monday.AddDate(0, 0, 1), "2"))
	last := Query{Collection: collectionA, Versions: Versions{Last: true}}
	if got := page(t, v, last); !slices.Equal(got, []string{"malware-1 2026-11-24"}) {
		t.Fatalf("before: %v", got)
	}
	_, _, err := withdraw(v, recent.Asset, "PUBLISHER")
	must(t, err)
	if got := page(t, v, last); !slices.Equal(got, []string{"malware-1 2026-11-23"}) {
		t.Errorf("after: %v", got)
	}
}

func TestWaitingEventsComeBackWhenTheyAreDue(t *testing.T) {
	v, c := newView(t), &chain{}
	a, b := c.event(), c.event()
	must(t, v.Append([]NewEvent{a, b}, nil))
	now := time.Now()
	due, _, err := v.Due(Fresh, nil, now, 10)
	must(t, err)
	if len(due) != 2 {
		t.Fatalf("%d are due, want 2", len(due))
	}
	later := now.Add(time.Minute)
	must(t, v.Settle([]Outcome{{Event: due[0], State: Waiting, Reason: "nobody has it", Due: later}}))
	due, _, err = v.Due(Fresh, nil, now, 10)
	must(t, err)
	if len(due) != 1 || due[0].TxID != b.TxID {
		t.Fatalf("due now: %+v", due)
	}
	must(t, v.Settle([]Outcome{{Event: due[0], State: Refused}}))
	if due, next, err := v.Due(Retried, nil, now, 10); err != nil || len(due) != 0 || !next.Equal(later.Truncate(time.Millisecond)) {
		t.Errorf("due %v, next %v, %v; want none until %v", due, next, err, later)
	}
	must(t, v.Hasten())
	due, _, err = v.Due(Fresh, nil, now, 10)
	must(t, err)
	if len(due) != 1 || due[0].TxID != a.TxID || due[0].Tries != 1 {
		t.Errorf("hastened: %+v", due)
	}
}

func TestUndecidedObjectsAreReconsideredByCollection(t *testing.T) {
	v, c := newView(t), &chain{}
	a, b, record := c.event(), c.event(), c.event()
	record.Note = wire.Note{Kind: wire.KindKeyring, Collection: collectionA}
	must(t, v.Append([]NewEvent{a, b, record}, nil))
	due, _, err := v.Due(Fresh, nil, time.Now(), 10)
	must(t, err)
	must(t, v.Settle([]Outcome{
		{Event: due[0], State: Undecided, Collection: collectionA}, {Event: due[1], State: Undecided, Collection: collectionB},
	}))
	if n, err := v.Reconsider(always); err != nil || n != 0 {
		t.Fatalf("without a record: %d reconsidered, %v", n, err)
	}
	must(t, v.Settle([]Outcome{{Event: due[2], State: Held}}))
	n, err := v.Reconsider(always)
	must(t, err)
	due, _, err = v.Due(Fresh, nil, time.Now(), 10)
	must(t, err)
	if n != 1 || len(due) != 1 || due[0].TxID != a.TxID {
		t.Errorf("%d reconsidered, due %+v", n, due)
	}
	if waiting, undecided := v.CountEvents(); waiting != 1 || undecided != 1 {
		t.Errorf("%d wait and %d are undecided", waiting, undecided)
	}
	if n, err := v.Reconsider(always); err != nil || n != 0 {
		t.Errorf("a second time: %d reconsidered, %v", n, err)
	}
}

func TestAppendingAWindowAgainChangesNothing(t *testing.T) {
	v, c := newView(t), &chain{}
	e := c.event()
	must(t, v.Append([]NewEvent{e}, nil))
	settleNow(t, v, e, entryOf(e, collectionA, "malware-1", monday, "x"))
	must(t, v.Append([]NewEvent{e}, nil))
	must(t, v.Advance(7, map[string]*consortium.Sequence{"PUBLISHER": {Highest: 1}}))
	if logged, _, err := v.Event(e.TxID); err != nil || logged.State != InView {
		t.Errorf("after appending again the event is %v, %v", logged.State, err)
	}
	if round, err := v.Cursor(); err != nil || round != 7 {
		t.Errorf("cursor %d, %v", round, err)
	}
	if q, err := v.Sequences(); err != nil || q["PUBLISHER"].Highest != 1 {
		t.Errorf("sequences %v, %v", q, err)
	}
}

func TestDatesAddedNeverGoBack(t *testing.T) {
	v := newView(t)
	future := time.Now().Add(time.Hour).UnixMicro()
	v.stamp = future // the clock was set back an hour
	if first, second := v.nextStamp(), v.nextStamp(); first != future+1 || second != future+2 {
		t.Errorf("stamps %d and %d, want %d and the next", first, second, future+1)
	}
}

// What two members choose, ids of collections and contents, can begin alike. Their versions are kept apart all the same.
func TestVersionsThatLookAlikeAreKeptApart(t *testing.T) {
	t.Parallel()
	v, c := newView(t), &chain{}
	var published []*Entry
	for i, in := range []string{collectionA, collectionB, collectionA, collectionB} {
		e := c.event()
		entry := entryOf(e, in, "ipv4-addr-1", monday, fmt.Sprint("content ", i/2))
		entry.Unversioned = true
		if publish(t, v, e, entry).State != InView {
			t.Fatalf("publication %d is not in the view", i)
		}
		published = append(published, entry)
	}
	for withdrawn, entry := range published {
		for _, versions := range []Versions{{All: true}, {First: true}, {Last: true}, {At: []time.Time{monday}}} {
			for _, ids := range [][]string{nil, {"ipv4-addr-1"}} {
				entries, _, err := v.Page(Query{Collection: Everything, IDs: ids, Types: []string{"ipv4-addr"}, Versions: versions, Limit: 10})
				must(t, err)
				want := len(published) - withdrawn
				if versions.First || versions.Last {
					want = 1
				}
				if len(entries) != want {
					t.Errorf("after %d withdrawals %+v gives %d of %d versions", withdrawn, versions, len(entries), want)
				}
			}
		}
		_, _, err := withdraw(v, entry.Asset, "PUBLISHER")
		must(t, err)
	}
	if found, err := v.Has(Everything, "ipv4-addr-1"); found || err != nil {
		t.Errorf("the object is still there: %v", err)
	}
}

// A key that leads nowhere costs what it names and nothing else, whatever made it.
func TestAStaleIndexHidesNothingButItself(t *testing.T) {
	t.Parallel()
	v, c := newView(t), &chain{}
	told := 0
	v.OnStale(func(error) { told++ })
	var events []NewEvent
	var entries []*Entry
	for i := range 3 {
		events = append(events, c.event())
		entries = append(entries, entryOf(events[i], collectionA, fmt.Sprintf("malware-%d", i), monday, "x"))
		publish(t, v, events[i], entries[i])
	}
	waiting := c.event()
	must(t, v.Append([]NewEvent{waiting, c.event()}, nil))
	must(t, v.store.write(func(txn *kv.Txn) error {
		return errors.Join(txn.Delete(key(tableEntry, u64(uint64(entries[1].DateAdded)))), txn.Delete(key(tableEvent, positionKey(waiting.Position))))
	}))
	if got := page(t, v, Query{Collection: collectionA, Versions: Versions{All: true}, Limit: 10}); len(got) != 2 {
		t.Errorf("the page has %v", got)
	}
	if got := page(t, v, Query{Collection: Everything, IDs: []string{"malware-1", "malware-2"}, Types: []string{"malware"}, Versions: Versions{Last: true}, Limit: 10}); len(got) != 1 {
		t.Errorf("the page of ids has %v", got)
	}
	for _, look := range []func() error{
		func() error { _, err := v.Latest(collectionA, "malware-1"); return err },
		func() error { _, err := v.Same(entries[1]); return err },
		func() error {
			e, _, err := v.Event(events[1].TxID)
			_, err2 := v.Entry(e)
			return errors.Join(err, err2)
		},
		func() error { _, _, err := v.Event(waiting.TxID); return err },
		func() error { _, err := v.Uses(waiting.Directory); return err },
		func() error { return v.Hasten() },
	} {
		must(t, look())
	}
	due, _, err := v.Due(Fresh, nil, time.Now(), 10)
	must(t, err)
	if len(due) != 1 {
		t.Errorf("%d events are due, want the one that is there", len(due))
	}
	again := c.event() // the same publication once more: the one that is gone is not in its way
	if got := publish(t, v, again, entryOf(again, collectionA, "malware-1", monday, "x")); got.State != InView {
		t.Errorf("the publication is %v", got.State)
	}
	_, _, err = withdraw(v, events[1].Asset, "PUBLISHER")
	must(t, err)
	if got := page(t, v, Query{Collection: collectionA, Versions: Versions{All: true}, Limit: 10}); len(got) != 3 {
		t.Errorf("at the end the page has %v", got)
	}
	if told == 0 {
		t.Error("nobody was told")
	}
}

// The view against a model that does everything by looking at every entry.
func TestPagesAreWhatAFullScanWouldGive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v, err := openView(t.TempDir(), make([]byte, 32))
		must(t, err)
		defer func() { must(t, v.close()) }()
		c := &chain{}
		var model []*Entry
		ids := []string{"malware-1", "malware-2", "tool-1", "tool-2", "ipv4-addr-1"}
		for range rapid.IntRange(0, 25).Draw(rt, "objects") {
			e := c.event()
			entry := entryOf(e, rapid.SampledFrom([]string{collectionA, collectionB}).Draw(rt, "collection"),
				rapid.SampledFrom(ids).Draw(rt, "id"), monday.AddDate(0, 0, rapid.IntRange(0, 3).Draw(rt, "day")),
				rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "content"))
			entry.Unversioned = entry.Type == "ipv4-addr"
			logged := publish(t, v, e, entry)
			same := func(o *Entry) bool {
				return o.Collection == entry.Collection && string(o.identity()) == string(entry.identity())
			}
			if slices.ContainsFunc(model, same) != (logged.State == Duplicate) {
				rt.Fatalf("%s is %v", entry.ID, logged.State)
			}
			if logged.State == InView {
				model = append(model, entry)
			}
			if rapid.IntRange(0, 3).Draw(rt, "withdraw") == 0 && len(model) > 0 {
				at := rapid.IntRange(0, len(model)-1).Draw(rt, "which")
				_, _, err := withdraw(v, model[at].Asset, "PUBLISHER")
				must(t, err)
				model = slices.Delete(model, at, at+1)
				// Duplicates stay out in this model.
				due, _, err := v.Due(Fresh, nil, time.Now(), 100)
				must(t, err)
				for _, e := range due {
					must(t, v.Settle([]Outcome{{Event: e, State: Refused}}))
				}
			}
		}
		q := Query{
			Collection: rapid.SampledFrom([]string{collectionA, collectionB, Everything}).Draw(rt, "of"),
			IDs:        rapid.SliceOfN(rapid.SampledFrom(ids), 0, 2).Draw(rt, "ids"),
			Types:      rapid.SliceOfN(rapid.SampledFrom([]string{"malware", "tool", "ipv4-addr", "none"}), 0, 3).Draw(rt, "types"),
			Versions: Versions{
				All: rapid.Bool().Draw(rt, "all"), First: rapid.Bool().Draw(rt, "first"), Last: rapid.Bool().Draw(rt, "last"),
			},
			Limit:       rapid.IntRange(1, 10).Draw(rt, "limit"),
			WithObjects: true,
		}
		for range rapid.IntRange(0, 2).Draw(rt, "ats") {
			q.Versions.At = append(q.Versions.At, monday.AddDate(0, 0, rapid.IntRange(0, 4).Draw(rt, "at")))
		}
		if len(model) > 0 && rapid.Bool().Draw(rt, "after") {
			q.After = rapid.SampledFrom(model).Draw(rt, "after which").DateAdded
		}
		want := scanModel(model, q)
		got, more, err := v.Page(q)
		must(t, err)
		if more != (len(want) > q.Limit) {
			rt.Fatalf("more is %v with %d of %d", more, len(got), len(want))
		}
		if len(want) > q.Limit {
			want = want[:q.Limit]
		}
		if !slices.EqualFunc(got, want, func(a, b *Entry) bool {
			return a.TxID == b.TxID && a.DateAdded == b.DateAdded && string(a.Object) == string(b.Object)
		}) {
			rt.Fatalf("%+v gives\n%v\nwant\n%v", q, describe(got), describe(want))
		}
	})
}

func describe(entries []*Entry) (list []string) {
	for _, e := range entries {
		list = append(list, fmt.Sprintf("%s %s %d", e.ID, e.Version, e.DateAdded))
	}
	return list
}

func scanModel(model []*Entry, q Query) (want []*Entry) {
	for _, e := range model {
		if q.Collection != Everything && e.Collection != q.Collection || e.DateAdded <= q.After {
			continue
		}
		if len(q.IDs) > 0 && !slices.Contains(q.IDs, e.ID) || len(q.Types) > 0 && !slices.Contains(q.Types, e.Type) {
			continue
		}
		first, last := true, true
		for _, o := range model {
			if q.Collection != Everything && o.Collection != e.Collection || o.ID != e.ID || o == e {
				continue
			}
			before := bytes.Compare(o.at().place, e.at().place) < 0
			first, last = first && !before, last && before
		}
		if q.Versions.All || q.Versions.First && first || q.Versions.Last && last || slices.ContainsFunc(q.Versions.At, e.Instant.Equal) {
			want = append(want, e)
		}
	}
	slices.SortFunc(want, func(a, b *Entry) int { return int(a.DateAdded - b.DateAdded) })
	return want
}

func benchView(b *testing.B, n int) *View {
	v, c := newView(b), &chain{}
	for range n / 1000 {
		var events []NewEvent
		var outcomes []Outcome
		for range 1000 {
			e := c.event()
			events = append(events, e)
			id := fmt.Sprintf("indicator--%08d-17d4-4cbf-938f-98ee46b3cd3f", c.round)
			entry := entryOf(e, collectionA, id, monday, fmt.Sprintf("%01000d", c.round))
			entry.Type = "indicator"
			outcomes = append(outcomes, Outcome{Event: LoggedEvent{Event: e.Event}, State: InView, Entry: entry})
		}
		must(b, v.Append(events, nil))
		must(b, v.Settle(outcomes))
	}
	return v
}

func BenchmarkPage(b *testing.B) {
	for _, store := range []int{10_000, 100_000} {
		v := benchView(b, store)
		for _, limit := range []int{100, 1000, 10_000} {
			b.Run(fmt.Sprintf("store=%d/limit=%d", store, limit), func(b *testing.B) {
				after := int64(0)
				for b.Loop() {
					entries, more, err := v.Page(Query{Collection: collectionA, Versions: Versions{Last: true}, After: after, Limit: limit, WithObjects: true})
					must(b, err)
					after = entries[len(entries)-1].DateAdded
					if !more {
						after = 0
					}
				}
				b.ReportMetric(float64(limit)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
			})
		}
	}
}

func BenchmarkEnter(b *testing.B) {
	for b.Loop() {
		benchView(b, 20_000)
	}
	b.ReportMetric(20_000*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}

// What a member publishes must not bring a transaction to its limit: the node would stop, and again at each start.
func TestObjectsWithTheLongestIdentifiersAreTaken(t *testing.T) {
	v, c := newView(t), &chain{}
	longest := "x-" + strings.Repeat("a", 248)
	var events []NewEvent
	var outcomes []Outcome
	for i := range chunkItems {
		e := c.event()
		e.TxID, e.Sender, e.Directory = fmt.Sprintf("%052d", i), strings.Repeat("A", 58), fmt.Sprintf("bafybei%052d", i)
		entry := entryOf(e, collectionA, fmt.Sprintf("%s--%08d-17d4-4cbf-938f-98ee46b3cd3f", longest, i), monday, strings.Repeat("x", chunkBytes/chunkItems))
		entry.Type, entry.Directory = longest, e.Directory
		events = append(events, e)
		outcomes = append(outcomes, Outcome{Event: LoggedEvent{Event: e.Event}, State: InView, Entry: entry})
	}
	must(t, v.Append(events, nil))
	must(t, v.Settle(outcomes))
	t.Run("in the place of others", func(t *testing.T) {
		v := newView(t)
		for i, e := range events {
			e.Round += 1000
			e.TxID = fmt.Sprintf("L%051d", i)
			entry := *outcomes[i].Entry
			entry.Position, entry.TxID = e.Position, e.TxID
			must(t, v.Append([]NewEvent{e}, nil))
			must(t, v.Settle([]Outcome{{Event: LoggedEvent{Event: e.Event}, State: InView, Entry: &entry}}))
		}
		must(t, v.Append(events, nil))
		must(t, v.Settle(outcomes)) // they are earlier on the chain
	})
}

func TestAnObjectWithManyDuplicatesIsWithdrawn(t *testing.T) {
	v, c := newView(t), &chain{}
	first := c.event()
	publish(t, v, first, entryOf(first, collectionA, "malware-1", monday, "x"))
	var events []NewEvent
	var outcomes []Outcome
	for range 10_000 {
		e := c.event()
		e.Sender = strings.Repeat("A", 58)
		events = append(events, e)
		outcomes = append(outcomes, Outcome{Event: LoggedEvent{Event: e.Event}, State: InView, Entry: entryOf(e, collectionA, "malware-1", monday, "x")})
	}
	must(t, v.Append(events, nil))
	must(t, v.Settle(outcomes))
	_, found, err := withdraw(v, first.Asset, "PUBLISHER")
	must(t, err)
	due, _, err := v.Due(Fresh, nil, time.Now(), 10)
	must(t, err)
	if !found || len(due) != 1 || due[0].TxID != events[0].TxID {
		t.Fatalf("found %v; in its place: %+v", found, due)
	}
	for _, e := range events[:2] { // the one whose turn it is, and one that is a duplicate still
		_, _, err := withdraw(v, e.Asset, e.Sender)
		must(t, err)
	}
	_, _, err = withdraw(v, events[3].Asset, events[3].Sender)
	must(t, err)
	due, _, err = v.Due(Fresh, nil, time.Now(), 10)
	must(t, err)
	if len(due) != 1 || due[0].TxID != events[2].TxID {
		t.Fatalf("after three more withdrawals: %+v", due)
	}
	must(t, v.Settle([]Outcome{{Event: due[0], State: Refused}}))
	if due, _, err = v.Due(Fresh, nil, time.Now(), 10); err != nil || len(due) != 1 || due[0].TxID != events[4].TxID {
		t.Errorf("after a refusal: %+v, %v", due, err)
	}
}

func TestEveryChangeOfWhatIsServedShows(t *testing.T) {
	v, c := newView(t), &chain{}
	told := 0
	v.OnChange(func() { told++ })
	var last int64
	changed := func(what string, ofA, ofB bool) {
		t.Helper()
		a, err := v.Changed(collectionA)
		must(t, err)
		b, err := v.Changed(collectionB)
		must(t, err)
		all, err := v.Changed(Everything)
		must(t, err)
		if (a > last) != ofA || (b > last) != ofB || (all > last) != (ofA || ofB) || (told > 0) != (ofA || ofB) {
			t.Errorf("%s: %d and %d, all %d, after %d; told %d times", what, a, b, all, last, told)
		}
		last, told = max(a, b, all, last), 0
	}
	changed("nothing", false, false)
	first := c.event()
	entered := publish(t, v, first, entryOf(first, collectionA, "malware-1", monday, "one"))
	if last = entered.Entered - 1; last < 0 {
		t.Fatal("no date")
	}
	changed("an object", true, false)
	other := c.event()
	publish(t, v, other, entryOf(other, collectionB, "malware-2", monday, "two"))
	changed("an object elsewhere", false, true)
	again := c.event()
	publish(t, v, again, entryOf(again, collectionA, "malware-1", monday, "one"))
	changed("a duplicate", false, false)
	_, _, err := withdraw(v, first.Asset, first.Sender)
	must(t, err)
	changed("a withdrawal", true, false)
	third := c.event()
	if e := publish(t, v, third, entryOf(third, collectionA, "malware-3", monday, "three")); e.Entered <= last-1 {
		t.Errorf("an object enters at %d, after a change at %d", e.Entered, last)
	}
	changed("another object", true, false)
	must(t, v.Reset())
	if told == 0 {
		t.Error("nobody was told of the reset")
	}
}

func TestAViewOfAnotherFormatIsFoldedAnew(t *testing.T) {
	dir, c := t.TempDir(), &chain{}
	v, err := openView(dir, make([]byte, 32))
	must(t, err)
	first := c.event()
	before := publish(t, v, first, entryOf(first, collectionA, "malware-1", monday, "one"))
	must(t, v.Advance(9, nil))
	must(t, v.store.write(func(txn *kv.Txn) error { return setJSON(txn, key(tableMeta, []byte(metaFormat)), viewFormat-1) }))
	must(t, v.close())
	for range 2 { // the second time there is nothing to do
		v, err = openView(dir, make([]byte, 32))
		must(t, err)
		cursor, err := v.Cursor()
		must(t, err)
		if n := v.CountObjects(); n != 0 || cursor != 0 {
			t.Fatalf("%d objects, cursor %d", n, cursor)
		}
		must(t, v.close())
	}
	v, err = openView(dir, make([]byte, 32))
	must(t, err)
	defer func() { must(t, v.close()) }()
	if again := publish(t, v, first, entryOf(first, collectionA, "malware-1", monday, "one")); again.Entered <= before.Entered {
		t.Errorf("it entered at %d, and at %d before", again.Entered, before.Entered)
	}
}

func TestWhatAViewCountsIsThereWhenItIsOpenedAgain(t *testing.T) {
	dir, c := t.TempDir(), &chain{}
	v, err := openView(dir, make([]byte, 32))
	must(t, err)
	for _, state := range []EventState{InView, InView, InView, Undecided, Undecided, Waiting, Refused} {
		e := c.event()
		must(t, v.Append([]NewEvent{e}, nil))
		o := Outcome{Event: LoggedEvent{Event: e.Event}, State: state, Collection: collectionA, Due: monday}
		if state == InView {
			o.Entry = entryOf(e, collectionA, fmt.Sprintf("malware-%d", c.round), monday, "x")
		}
		must(t, v.Settle([]Outcome{o}))
	}
	_, _, err = withdraw(v, 1001, "PUBLISHER")
	must(t, err)
	for range 2 {
		waiting, undecided := v.CountEvents()
		if n := v.CountObjects(); n != 2 || waiting != 1 || undecided != 2 {
			t.Errorf("%d objects, %d events wait, %d are undecided", n, waiting, undecided)
		}
		must(t, v.close())
		v, err = openView(dir, make([]byte, 32))
		must(t, err)
	}
	must(t, v.close())
}

// A filter must not cost more the more there is that it leaves out.
func TestWhatAFilterLeavesOutIsNotRead(t *testing.T) {
	few, many := newView(t), newView(t)
	fillForFilters(t, few, 10)
	fillForFilters(t, many, 1000)
	never := []time.Time{monday.AddDate(10, 0, 0)}
	for name, q := range map[string]Query{
		"a version that nothing has":     {Versions: Versions{At: never}},
		"… of a type":                    {Versions: Versions{At: never}, Types: []string{"malware"}},
		"the first versions of a type":   {Versions: Versions{First: true}, Types: []string{"campaign"}},
		"a rare type":                    {Versions: Versions{Last: true}, Types: []string{"tool"}},
		"the one that has many versions": {Versions: Versions{Last: true}, Types: []string{"campaign"}},
	} {
		q.Collection, q.Limit = collectionA, 10
		cost := func(v *View) float64 {
			return testing.AllocsPerRun(5, func() {
				_, _, err := v.Page(q)
				must(t, err)
			})
		}
		if few, many := cost(few), cost(many); many > few+20 {
			t.Errorf("%s: %.0f allocations among few, %.0f among many", name, few, many)
		}
	}
}

// fillForFilters puts n objects into a view, n versions of one, and one of a rare type.
func fillForFilters(t *testing.T, v *View, n int) {
	t.Helper()
	c := &chain{}
	var events []NewEvent
	var outcomes []Outcome
	add := func(kind, id string, version time.Time) {
		e := c.event()
		entry := entryOf(e, collectionA, id, version, "x")
		entry.Type = kind
		events = append(events, e)
		outcomes = append(outcomes, Outcome{Event: LoggedEvent{Event: e.Event}, State: InView, Entry: entry})
	}
	for i := range n {
		add("malware", fmt.Sprintf("malware-%d", i), monday)
		add("campaign", "campaign-1", monday.Add(time.Duration(i)*time.Second))
	}
	add("tool", "tool-1", monday)
	must(t, v.Append(events, nil))
	must(t, v.Settle(outcomes))
}
