package view

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/history"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newView(t testing.TB) *View {
	t.Helper()
	v, err := Open(t.TempDir(), make([]byte, 32))
	must(t, err)
	t.Cleanup(func() { must(t, v.Close()) })
	return v
}

// inMemory opens the view in a memory, as after a restart if it has something.
func inMemory(t testing.TB, memory *kv.Memory) *View {
	t.Helper()
	v, err := New(store.New(memory.DB(kv.Hooks{})))
	must(t, err)
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
func publish(t testing.TB, v *View, e NewEvent, entry *Entry) Event {
	t.Helper()
	must(t, v.Append([]NewEvent{e}, nil))
	return settleNow(t, v, e, entry)
}

func settleNow(t testing.TB, v *View, e NewEvent, entry *Entry) Event {
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

// later is after everything.
var later = consortium.Position{Round: math.MaxUint64}

// withdraw takes one object back.
func withdraw(v *View, asset uint64, senders ...string) (e Event, found bool, err error) {
	ended, _, err := v.Withdraw(Recall{Asset: asset, Senders: senders, At: later})
	if len(ended) == 1 {
		return ended[0], true, err
	}
	return e, false, err
}

func always(Event, string) bool { return true }

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

// The blocks of a duplicate whose turn it is may be gone. It comes into its place when they are there again.
func TestADuplicateThatCannotBeHadHidesNoOther(t *testing.T) {
	v, c := newView(t), &chain{}
	events := []NewEvent{c.event(), c.event(), c.event()}
	for _, e := range events {
		publish(t, v, e, entryOf(e, collectionA, "malware-1", monday, "same"))
	}
	_, _, err := withdraw(v, events[0].Asset, "PUBLISHER")
	must(t, err)
	for range 2 { // it is asked for again and again
		must(t, v.Settle([]Outcome{{Event: Event{Event: events[1].Event}, State: Waiting, Due: time.Now().Add(time.Hour)}}))
	}
	due, _, err := v.Due(Fresh, nil, time.Now(), 10)
	must(t, err)
	if len(due) != 1 || due[0].TxID != events[2].TxID {
		t.Fatalf("due: %+v, want the next duplicate", due)
	}
	if got := settleNow(t, v, events[2], entryOf(events[2], collectionA, "malware-1", monday, "same")); got.State != InView {
		t.Errorf("the next one is %v", got.State)
	}
	if got := settleNow(t, v, events[1], entryOf(events[1], collectionA, "malware-1", monday, "same")); got.State != InView {
		t.Errorf("the one before it is %v when it is there", got.State)
	}
	if e, _, err := v.Event(events[2].TxID); err != nil || e.State != Duplicate {
		t.Errorf("the next one is %v then (%v)", e.State, err)
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

func TestDatesAddedNeverGoBack(t *testing.T) {
	v := newView(t)
	future := time.Now().Add(time.Hour).UnixMicro()
	v.stamp = future // the clock was set back an hour
	if first, second := v.nextStamp(), v.nextStamp(); first != future+1 || second != future+2 {
		t.Errorf("stamps %d and %d, want %d and the next", first, second, future+1)
	}
}

// What two members choose, ids of collections and contents, can begin alike. Their versions are kept apart all the
// same.
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
	waiting, retried := c.event(), c.event()
	must(t, v.Append([]NewEvent{waiting, retried, c.event()}, nil))
	must(t, v.Settle([]Outcome{{Event: Event{Event: retried.Event}, State: Waiting, Due: monday}}))
	must(t, v.store.Write(func(txn *kv.Txn) error {
		return errors.Join(txn.Delete(store.Key(store.TableEvent, history.PositionKey(retried.Position))),
			txn.Delete(store.Key(store.TableEntry, store.U64(uint64(entries[1].DateAdded)))), txn.Delete(store.Key(store.TableEvent, history.PositionKey(waiting.Position))))
	}))
	if got := page(t, v, Query{Collection: collectionA, Versions: Versions{All: true}, Limit: 10}); len(got) != 2 {
		t.Errorf("the page has %v", got)
	}
	hasObjects(t, v, 2)
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

// hasObjects wants so many in a page that has their objects, too, or nothing else.
func hasObjects(t *testing.T, v *View, want int) {
	t.Helper()
	for _, q := range []Query{{WithObjects: true}, {OnlyObjects: true}} {
		q.Collection, q.Versions, q.Limit = collectionA, Versions{All: true}, 10
		if got, _, err := v.Page(q); err != nil || len(got) != want {
			t.Errorf("the page with objects has %d (%v), want %d", len(got), err, want)
		}
	}
}

func TestAnObjectWithManyDuplicatesIsWithdrawn(t *testing.T) {
	v, c := newView(t), &chain{}
	first := c.event()
	publish(t, v, first, entryOf(first, collectionA, "malware-1", monday, "x"))
	var events []NewEvent
	var outcomes []Outcome
	for range 10_000 {
		e := c.event()
		e.Sender, e.Member = strings.Repeat("A", 58), first.Sender // another account of the same member
		events = append(events, e)
		outcomes = append(outcomes, Outcome{Event: Event{Event: e.Event}, State: InView, Entry: entryOf(e, collectionA, "malware-1", monday, "x")})
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

// Asset ids can be known beforehand: a withdrawal of one that is minted later is one of nothing, however often the
// chain is read.
func TestAWithdrawalEndsOnlyWhatCameBeforeIt(t *testing.T) {
	v := newView(t)
	var c chain
	minted := c.event()
	e := publish(t, v, minted, entryOf(minted, collectionA, "tool--1", monday, "{}"))
	for _, at := range []consortium.Position{{}, {Round: e.Round - 1}, e.Position} {
		if ended, _, err := v.Withdraw(Recall{Asset: e.Asset, Senders: []string{e.Sender}, At: at}); err != nil || len(ended) > 0 || v.CountObjects() != 1 {
			t.Errorf("at %v it is ended (%v)", at, err)
		}
	}
	at := e.Position
	at.Intra++
	if ended, _, err := v.Withdraw(Recall{Asset: e.Asset, Senders: []string{e.Sender}, At: at}); err != nil || len(ended) != 1 || v.CountObjects() != 0 {
		t.Errorf("just after it %d are ended (%v)", len(ended), err)
	}
}
