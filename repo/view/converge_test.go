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
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// world is a view and what the chain and the members would say of it, kept in the simplest way there is.
type world struct {
	t          *rapid.T
	memory     *kv.Memory
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
	recalls   []Recall // what was said of it, whether or not that ends it
	lost      bool     // nobody has its content any more
}

// poller asks for what was added since and forgets nothing.
type poller struct {
	after int64
	seen  map[string]int64 // transaction -> date
}

var members = map[string][]string{"ALPHA": {"ALPHA", "ALPHA-2"}, "BRAVO": {"BRAVO"}, "MALLORY": {"MALLORY", "MALLORY-2"}}

func newWorld(t *rapid.T, memory *kv.Memory) *world {
	w := &world{t: t, memory: memory, pollers: map[string]*poller{}}
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
	v, err := New(store.New(w.memory.DB(kv.Hooks{})))
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
	if len(w.published) > 0 && rapid.Bool().Draw(t, "again") {
		same := rapid.SampledFrom(w.published).Draw(t, "the same").entry
		same.Position, same.TxID, same.Asset = entry.Position, entry.TxID, entry.Asset
		*entry, e.Sender, e.Member = same, same.Publisher, memberOf(same.Publisher)
	}
	w.must(w.view.Append([]NewEvent{e}, nil))
	w.published = append(w.published, &publication{event: e, entry: *entry})
}

func memberOf(account string) string { return strings.TrimSuffix(account, "-2") }

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
	if w.published[at].lost {
		w.must(w.view.Settle([]Outcome{{Event: e, State: Waiting, Due: time.Now().AddDate(1, 0, 0)}}))
		return true
	}
	w.must(w.view.Settle([]Outcome{{Event: e, State: InView, Entry: &entry}}))
	return true
}

func (w *world) withdraw() {
	if len(w.published) == 0 {
		return
	}
	p := rapid.SampledFrom(w.published).Draw(w.t, "withdrawn")
	r := Recall{Asset: p.event.Asset, Senders: members[p.event.Member], At: later}
	if rapid.IntRange(0, 3).Draw(w.t, "before it was there") == 0 {
		r.At = consortium.Position{Round: p.event.Round - uint64(rapid.IntRange(0, 1).Draw(w.t, "rounds"))}
	}
	p.recalls = append(p.recalls, r)
	p.withdrawn = p.withdrawn || r.At == later
	ended, _, err := w.view.Withdraw(r)
	w.must(err)
	if (len(ended) == 1) != (r.At == later) || len(ended) > 0 && ended[0].TxID != p.event.TxID {
		w.t.Fatalf("a withdrawal at %v ends %v", r.At, ended)
	}
}

// lose makes the content of something such that nobody has it, whether or not it has come.
func (w *world) lose() {
	if len(w.published) > 0 {
		rapid.SampledFrom(w.published).Draw(w.t, "lost").lost = true
	}
}

// find undoes that of all.
func (w *world) find() {
	for _, p := range w.published {
		p.lost = false
	}
	w.must(w.view.Hasten())
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
		can := !p.lost || logged.State == InView // what is in the view stays there, whoever has it
		if can && !p.withdrawn && !slices.ContainsFunc(list, same) {
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
		memory, err := kv.NewMemory()
		must(t, err)
		defer func() { must(t, memory.Close()) }()
		w := newWorld(rt, memory)
		rt.Repeat(map[string]func(*rapid.T){
			"publish":  func(*rapid.T) { w.publish() },
			"publish2": func(*rapid.T) { w.publish() },
			"arrive":   func(*rapid.T) { w.arrive() },
			"arrive2":  func(*rapid.T) { w.arrive() },
			"withdraw": func(*rapid.T) { w.withdraw() },
			"lose":     func(*rapid.T) { w.lose() },
			"mistrust": func(*rapid.T) { w.mistrust() },
			"poll":     func(*rapid.T) { w.poll() },
			"step": func(*rapid.T) {
				_, err := w.view.releadSome()
				w.must(err)
			},
			"reopen": func(*rapid.T) { w.open() },
		})
		w.settleAll()
		w.check()
		w.find()
		w.settleAll()
		w.check()
		// The chain alone decides: a view that is folded anew is the same.
		before := w.served()
		w.must(w.view.Reset())
		for _, p := range w.published {
			w.must(w.view.Append([]NewEvent{p.event}, nil))
			if len(p.recalls) > 0 {
				_, _, err := w.view.Withdraw(p.recalls...)
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
