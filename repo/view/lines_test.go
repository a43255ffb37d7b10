package view

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
)

// world is a view and what the chain and the members would say of it, kept in the simplest way there is.
type world struct {
	t          *rapid.T
	dir        string
	view       *View
	chain      chain
	published  []*publication
	mistrusted []string
	pollers    map[string]*poller // by collection
}

type publication struct {
	event     NewEvent
	entry     Entry
	withdrawn bool
}

// poller asks for what was added since and forgets nothing.
type poller struct {
	after int64
	seen  map[string]int64 // transaction -> date
}

var members = map[string][]string{"ALPHA": {"ALPHA", "ALPHA-2"}, "BRAVO": {"BRAVO"}, "MALLORY": {"MALLORY", "MALLORY-2"}}

func newWorld(t *rapid.T, dir string) *world {
	w := &world{t: t, dir: dir, pollers: map[string]*poller{}}
	for _, of := range []string{collectionA, collectionB, Everything, Others} {
		w.pollers[of] = &poller{seen: map[string]int64{}}
	}
	w.open()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open() {
	v, err := Open(w.dir, make([]byte, 32))
	w.must(err)
	v.step = 1 // so that whatever can come between two steps does
	v.OnStale(func(err error) { w.t.Fatal(err) })
	w.view = v
}

// publish has the chain show a publication. Its content comes later.
func (w *world) publish() {
	t := w.t
	member := rapid.SampledFrom([]string{"ALPHA", "BRAVO", "MALLORY"}).Draw(t, "member")
	e := w.chain.event()
	e.Sender, e.Member = rapid.SampledFrom(members[member]).Draw(t, "account"), member
	id := rapid.SampledFrom([]string{"malware-1", "malware-2", "ipv4-addr-1"}).Draw(t, "id")
	entry := entryOf(e, rapid.SampledFrom([]string{collectionA, collectionA, collectionB}).Draw(t, "collection"), id,
		monday.AddDate(0, 0, rapid.IntRange(0, 2).Draw(t, "day")), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "content"))
	entry.Unversioned = entry.Type == "ipv4-addr"
	w.must(w.view.Append([]NewEvent{e}, nil))
	w.published = append(w.published, &publication{event: e, entry: *entry})
}

// arrive brings a content, of what waits for one.
func (w *world) arrive() (any bool) {
	due, _, err := w.view.Due(Fresh, nil, time.Now(), 1000)
	w.must(err)
	if len(due) == 0 {
		return false
	}
	e := rapid.SampledFrom(due).Draw(w.t, "arrives")
	at := slices.IndexFunc(w.published, func(p *publication) bool { return p.event.TxID == e.TxID })
	entry := w.published[at].entry
	w.must(w.view.Settle([]Outcome{{Event: e, State: InView, Entry: &entry}}))
	return true
}

func (w *world) withdraw() {
	if len(w.published) == 0 {
		return
	}
	p := rapid.SampledFrom(w.published).Draw(w.t, "withdrawn")
	p.withdrawn = true
	ended, err := w.view.Withdraw(Recall{Asset: p.event.Asset, Senders: members[p.event.Member]})
	w.must(err)
	if len(ended) != 1 || ended[0].TxID != p.event.TxID {
		w.t.Fatalf("a withdrawal ends %v", ended)
	}
}

func (w *world) mistrust() {
	w.mistrusted = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"ALPHA", "BRAVO", "MALLORY"}), 0, 2, rapid.ID[string]).Draw(w.t, "mistrusted")
	if rapid.Bool().Draw(w.t, "interrupted") {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.view.Mistrust(ctx, w.mistrusted)
	}
	w.must(w.view.Mistrust(context.Background(), w.mistrusted))
}

// poll has every poller ask for what is new to it.
func (w *world) poll() {
	for of, p := range w.pollers {
		for more := true; more; {
			var entries []*Entry
			var err error
			entries, more, err = w.view.Page(Query{Collection: of, Versions: Versions{All: true}, After: p.after, Limit: 3})
			w.must(err)
			for _, e := range entries {
				p.seen[e.TxID], p.after = e.DateAdded, e.DateAdded
			}
		}
	}
}

// inForce is what counts: of the same publications of a member, which have come, the earliest.
func (w *world) inForce() (list []*Entry) {
	for _, p := range w.published {
		e := p.entry
		e.Member = p.event.Member
		logged, found, err := w.view.Event(e.TxID)
		w.must(err)
		if !found || p.withdrawn != (logged.State == Ended) {
			w.t.Fatalf("%s is %v, withdrawn %v", e.TxID, logged.State, p.withdrawn)
		}
		same := func(o *Entry) bool {
			return o.Collection == e.Collection && o.ID == e.ID && o.Member == e.Member &&
				(e.Unversioned && bytes.Equal(o.Hash, e.Hash) || !e.Unversioned && o.Instant.Equal(e.Instant))
		}
		if !p.withdrawn && !slices.ContainsFunc(list, same) {
			e.DateAdded = logged.Entered
			list = append(list, &e)
		}
	}
	return list
}

// scan finds what a query asks for by looking at everything.
func (w *world) scan(all []*Entry, q Query) (want []*Entry) {
	everywhere := q.Collection == Everything || q.Collection == Others
	for _, e := range all {
		if !everywhere && e.Collection != q.Collection || e.DateAdded <= q.After {
			continue
		}
		leader, first, last := "", true, true
		for _, o := range all { // in the order of their positions
			if !everywhere && o.Collection != e.Collection || o.ID != e.ID {
				continue
			}
			if leader == "" && !slices.Contains(w.mistrusted, o.Member) {
				leader = o.Member
			}
			if o != e && o.Member == e.Member {
				before := o.Instant.Before(e.Instant) || o.Instant.Equal(e.Instant) && o.Position.Before(e.Position)
				first, last = first && !before, last && before
			}
		}
		switch {
		case q.AnyLine:
		case q.Member != "" && q.Member != e.Member,
			q.Member == "" && q.Collection == Others && e.Member == leader,
			q.Member == "" && q.Collection != Others && e.Member != leader,
			len(q.IDs) > 0 && !slices.Contains(q.IDs, e.ID), len(q.Types) > 0 && !slices.Contains(q.Types, e.Type):
			continue
		}
		if q.Versions.All || q.Versions.First && first || q.Versions.Last && last || slices.ContainsFunc(q.Versions.At, e.Instant.Equal) {
			want = append(want, e)
		}
	}
	slices.SortFunc(want, func(a, b *Entry) int { return int(a.DateAdded - b.DateAdded) })
	return want
}

// settleAll lets everything come that is to come.
func (w *world) settleAll() {
	for w.arrive() {
	}
	w.must(w.view.Relead(context.Background()))
	w.poll()
}

// check compares the view with a scan of what is in force.
func (w *world) check() {
	t, all := w.t, w.inForce()
	if n := w.view.CountObjects(); n != int64(len(all)) {
		t.Fatalf("the view counts %d objects of %d", n, len(all))
	}
	ids := []string{"malware-1", "malware-2", "ipv4-addr-1"}
	for of, p := range w.pollers {
		for _, versions := range []Versions{{All: true}, {First: true}, {Last: true}, {First: true, Last: true}, {At: []time.Time{monday}}} {
			queries := []Query{{}, {IDs: ids}, {Types: []string{"malware"}}, {Types: []string{"malware"}, IDs: ids[1:]}, {AnyLine: true}}
			for member := range members {
				queries = append(queries, Query{IDs: ids, Member: member})
			}
			if of == Others {
				queries = queries[:4]
			}
			for _, q := range queries {
				q.Collection, q.Versions, q.Limit = of, versions, 1000
				got, _, err := w.view.Page(q)
				w.must(err)
				want := w.scan(all, q)
				if !slices.EqualFunc(got, want, func(a, b *Entry) bool { return a.TxID == b.TxID && a.DateAdded == b.DateAdded }) {
					t.Fatalf("%+v gives\n%s\nwant\n%s", q, lineUp(got), lineUp(want))
				}
			}
		}
		for _, e := range w.scan(all, Query{Collection: of, Versions: Versions{All: true}}) {
			if p.seen[e.TxID] != e.DateAdded {
				t.Fatalf("who polls %s has not seen %s", of, lineUp([]*Entry{e}))
			}
		}
		for _, id := range ids {
			has, err := w.view.Has(of, id)
			w.must(err)
			if want := len(w.scan(all, Query{Collection: of, IDs: []string{id}, Versions: Versions{All: true}})) > 0; has != want {
				t.Fatalf("%s has %s: %v", of, id, has)
			}
		}
	}
	for _, e := range all {
		if same, err := w.view.Same(e); err != nil || same == nil || same.TxID != e.TxID {
			t.Fatalf("the same as %s is %+v, %v", e.TxID, same, err)
		}
	}
}

func lineUp(entries []*Entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%s: %s of %s in %.4s, %s, at %d\n", e.TxID, e.ID, e.Owner(), e.Collection, e.Version[:10], e.DateAdded)
	}
	return b.String()
}

// Whatever comes in whatever order, is withdrawn, waits or is interrupted: at the end each object is served in the line
// that leads, the others apart, and who polled has seen what is served.
func TestEveryMembersLineIsKeptApartWhateverComesWhen(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, t.TempDir())
		defer func() { must(t, w.view.Close()) }()
		rt.Repeat(map[string]func(*rapid.T){
			"publish":  func(*rapid.T) { w.publish() },
			"publish2": func(*rapid.T) { w.publish() },
			"arrive":   func(*rapid.T) { w.arrive() },
			"arrive2":  func(*rapid.T) { w.arrive() },
			"withdraw": func(*rapid.T) { w.withdraw() },
			"mistrust": func(*rapid.T) { w.mistrust() },
			"poll":     func(*rapid.T) { w.poll() },
			"step": func(*rapid.T) {
				_, err := w.view.releadSome()
				w.must(err)
			},
			"reopen": func(*rapid.T) {
				w.must(w.view.Close())
				w.open()
			},
		})
		w.settleAll()
		w.check()
		// The chain alone decides: a view that is folded anew is the same.
		before := w.served()
		w.must(w.view.Reset())
		for _, p := range w.published {
			w.must(w.view.Append([]NewEvent{p.event}, nil))
			if p.withdrawn {
				_, err := w.view.Withdraw(Recall{Asset: p.event.Asset, Senders: members[p.event.Member]})
				w.must(err)
			}
		}
		w.settleAll()
		w.check()
		if after := w.served(); !slices.Equal(before, after) {
			rt.Fatalf("folded anew it serves\n%v\nbefore\n%v", after, before)
		}
	})
}

// served lists the transactions of what is served, by collection.
func (w *world) served() (list []string) {
	for of := range w.pollers {
		entries, _, err := w.view.Page(Query{Collection: of, Versions: Versions{All: true}, Limit: 1000})
		w.must(err)
		for _, e := range entries {
			list = append(list, of+" "+e.TxID)
		}
	}
	slices.Sort(list)
	return list
}

// publishAs brings versions of an object of a member into a view.
func publishAs(t testing.TB, v *View, c *chain, member, id string, days ...int) (events []NewEvent) {
	t.Helper()
	for _, day := range days {
		e := c.event()
		e.Sender, e.Member = member, member
		events = append(events, e)
		publish(t, v, e, entryOf(e, collectionA, id, monday.AddDate(0, 0, day), member+fmt.Sprint(day)))
	}
	return events
}

func TestALaterVersionOfAnothersObjectChangesNothing(t *testing.T) {
	v, c := newView(t), &chain{}
	publishAs(t, v, c, "ALPHA", "malware-1", 0, 1)
	publishAs(t, v, c, "MALLORY", "malware-1", 0, 5)
	for of, want := range map[string][]string{
		collectionA: {"malware-1 2026-11-23", "malware-1 2026-11-24"},
		Everything:  {"malware-1 2026-11-23", "malware-1 2026-11-24"},
		Others:      {"malware-1 2026-11-23", "malware-1 2026-11-28"},
	} {
		if got := page(t, v, Query{Collection: of, Versions: Versions{All: true}}); !slices.Equal(got, want) {
			t.Errorf("%s has %v", of, got)
		}
		if got := page(t, v, Query{Collection: of, Versions: Versions{Last: true}}); !slices.Equal(got, want[1:]) {
			t.Errorf("the last of %s is %v", of, got)
		}
	}
	latest, err := v.LatestOf("MALLORY", collectionA, "malware-1")
	must(t, err)
	if latest == nil || string(latest.Object) != "MALLORY5" {
		t.Errorf("the latest of mallory's is %+v", latest)
	}
	if latest, err = v.Latest(collectionA, "malware-1"); err != nil || string(latest.Object) != "ALPHA1" {
		t.Errorf("the latest is %+v, %v", latest, err)
	}
}

// Two copies of one object: who withdraws ends its own, and the other's comes in its place, new to who polls.
func TestAWithdrawalBesideACopyServesTheCopyAsNew(t *testing.T) {
	v, c := newView(t), &chain{}
	of := publishAs(t, v, c, "ALPHA", "malware-1", 0)
	publishAs(t, v, c, "BRAVO", "malware-1", 0)
	entries, _, err := v.Page(Query{Collection: collectionA, Versions: Versions{All: true}, Limit: 10, WithObjects: true})
	must(t, err)
	if len(entries) != 1 || string(entries[0].Object) != "ALPHA0" {
		t.Fatalf("beside each other: %+v", entries)
	}
	changed, err := v.Changed(Others)
	must(t, err)
	_, _, err = withdraw(v, of[0].Asset, "ALPHA")
	must(t, err)
	entries, _, err = v.Page(Query{Collection: collectionA, Versions: Versions{Last: true}, After: changed, Limit: 10, WithObjects: true})
	must(t, err)
	if len(entries) != 1 || string(entries[0].Object) != "BRAVO0" {
		t.Fatalf("after the withdrawal: %+v", entries)
	}
	if rest := page(t, v, Query{Collection: Others, Versions: Versions{All: true}}); len(rest) > 0 {
		t.Errorf("apart is still %v", rest)
	}
}

// A line of any length changes its place in steps, of which a node that stops loses none.
func TestALongLineTakesItsPlaceAlsoWhenTheNodeStops(t *testing.T) {
	dir, c := t.TempDir(), &chain{}
	v, err := Open(dir, make([]byte, 32))
	must(t, err)
	early := c.event()
	early.Sender = "ALPHA"
	must(t, v.Append([]NewEvent{early}, nil))
	var days []int
	for day := range 3*leadItems + 7 {
		days = append(days, day)
	}
	publishAs(t, v, c, "BRAVO", "malware-1", days...)
	count := func(of string) int { return len(page(t, v, Query{Collection: of, Versions: Versions{All: true}})) }
	if n := count(collectionA); n != len(days) {
		t.Fatalf("%d of %d are served", n, len(days))
	}
	settleNow(t, v, early, entryOf(early, collectionA, "malware-1", monday, "first")) // its blocks come late
	if count(Others) == len(days) {
		t.Fatal("the change was no matter of steps")
	}
	select {
	case <-v.Unled():
	default:
		t.Error("nobody is told that there is more to do")
	}
	must(t, v.Close())
	v, err = Open(dir, make([]byte, 32))
	must(t, err)
	defer func() { must(t, v.Close()) }()
	select {
	case <-v.Unled():
	default:
		t.Error("after the restart nobody is told that there is more to do")
	}
	must(t, v.Relead(t.Context()))
	for of, want := range map[string]int{collectionA: 1, Everything: 1, Others: len(days)} {
		if n := count(of); n != want {
			t.Errorf("%s has %d, want %d", of, n, want)
		}
	}
}

func TestTheLineOfAMemberHasItsAccounts(t *testing.T) {
	v, c := newView(t), &chain{}
	first, second := c.event(), c.event()
	first.Sender, first.Member = "ALPHA", "ALPHA"
	second.Sender, second.Member = "ALPHA-2", "ALPHA"
	publish(t, v, first, entryOf(first, collectionA, "malware-1", monday, "1"))
	logged := publish(t, v, second, entryOf(second, collectionA, "malware-1", monday.AddDate(0, 0, 1), "2"))
	entry, err := v.Entry(logged)
	must(t, err)
	if entry.Owner() != "ALPHA" || entry.Publisher != "ALPHA-2" {
		t.Errorf("the entry is %s's, published by %s", entry.Owner(), entry.Publisher)
	}
	if got := page(t, v, Query{Collection: collectionA, Versions: Versions{All: true}}); len(got) != 2 {
		t.Errorf("the line has %v", got)
	}
	third := c.event()
	third.Sender, third.Member = "ALPHA-2", "ALPHA"
	if e := publish(t, v, third, entryOf(third, collectionA, "malware-1", monday, "3")); e.State != Duplicate {
		t.Errorf("the same version by another account of the member is %v", e.State)
	}
}

// Who is mistrusted is served apart, also where nobody else publishes the object.
func TestAMistrustedMembersLinesNeverLead(t *testing.T) {
	dir, c := t.TempDir(), &chain{}
	v, err := Open(dir, make([]byte, 32))
	must(t, err)
	publishAs(t, v, c, "MALLORY", "malware-1", 0)
	publishAs(t, v, c, "ALPHA", "malware-1", 1)
	publishAs(t, v, c, "MALLORY", "malware-2", 2)
	check := func(what string, own, others []string) {
		t.Helper()
		for of, want := range map[string][]string{collectionA: own, Everything: own, Others: others} {
			got := page(t, v, Query{Collection: of, Versions: Versions{All: true}})
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s: %s has %v, want %v", what, of, got, want)
			}
		}
	}
	const first, alphas, second = "malware-1 2026-11-23", "malware-1 2026-11-24", "malware-2 2026-11-25"
	check("trusted", []string{first, second}, []string{alphas})
	must(t, v.Mistrust(t.Context(), []string{"MALLORY"}))
	check("mistrusted", []string{alphas}, []string{first, second})
	must(t, v.Close())
	v, err = Open(dir, make([]byte, 32))
	must(t, err)
	defer func() { must(t, v.Close()) }()
	publishAs(t, v, c, "MALLORY", "malware-3", 3)
	if got := v.Mistrusted(); !slices.Equal(got, []string{"MALLORY"}) {
		t.Errorf("after a restart %v are mistrusted", got)
	}
	check("after a restart", []string{alphas}, []string{first, second, "malware-3 2026-11-26"})
	changed, err := v.Changed(Everything)
	must(t, err)
	must(t, v.Mistrust(t.Context(), []string{"MALLORY"}))
	if again, err := v.Changed(Everything); err != nil || again != changed {
		t.Errorf("to say the same again changes something: %v", err)
	}
	must(t, v.Mistrust(t.Context(), nil))
	check("trusted again", []string{first, second, "malware-3 2026-11-26"}, []string{alphas})
}

func TestWhoLosesTheLeadIsSaidBeforehand(t *testing.T) {
	v, c := newView(t), &chain{}
	first := publishAs(t, v, c, "ALPHA", "malware-1", 0)[0].Position
	bravos := publishAs(t, v, c, "BRAVO", "malware-1", 0)[0].Position
	later := publishAs(t, v, c, "ALPHA", "malware-1", 1)[0].Position
	alone := publishAs(t, v, c, "ALPHA", "malware-2", 0, 1)
	for _, one := range []struct {
		what      string
		member    string
		id        string
		again     bool
		withdrawn []consortium.Position
		want      bool
	}{
		{"the first of two", "ALPHA", "malware-1", false, []consortium.Position{first}, true},
		{"the second of two", "ALPHA", "malware-1", false, []consortium.Position{later}, false},
		{"both", "ALPHA", "malware-1", false, []consortium.Position{first, later}, false},
		{"both, and another one comes", "ALPHA", "malware-1", true, []consortium.Position{first, later}, true},
		{"nothing", "ALPHA", "malware-1", true, nil, false},
		{"of a line that does not lead", "BRAVO", "malware-1", true, []consortium.Position{bravos}, false},
		{"where nobody else is", "ALPHA", "malware-2", true, []consortium.Position{alone[0].Position, alone[1].Position}, false},
		{"of what is not there", "ALPHA", "malware-3", true, []consortium.Position{first}, false},
	} {
		if loses, err := v.LosesLead(one.member, collectionA, one.id, one.again, one.withdrawn...); err != nil || loses != one.want {
			t.Errorf("%s: %v, %v", one.what, loses, err)
		}
	}
}
