package view

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// The view against a model that does everything by looking at every entry.
func TestPagesAreWhatAFullScanWouldGive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		memory, err := kv.NewMemory()
		must(t, err)
		defer func() { must(t, memory.Close()) }()
		v := inMemory(t, memory)
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
				return o.Collection == entry.Collection && string(o.Identity()) == string(entry.Identity())
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
		checkPage(rt, v, drawQuery(rt, ids, model), model)
	})
}

// drawQuery draws a query for some objects.
func drawQuery(rt *rapid.T, ids []string, model []*Entry) Query {
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
	if len(model) > 0 && rapid.Bool().Draw(rt, "before") {
		q.Before = rapid.SampledFrom(model).Draw(rt, "before which").DateAdded
	}
	q.Descending = rapid.Bool().Draw(rt, "descending")
	return q
}

// checkPage wants what a scan of all objects gives.
func checkPage(rt *rapid.T, v *View, q Query, model []*Entry) {
	want := scanModel(model, q)
	got, more, err := v.Page(q)
	if err != nil {
		rt.Fatal(err)
	}
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
}

func describe(entries []*Entry) (list []string) {
	for _, e := range entries {
		list = append(list, fmt.Sprintf("%s %s %d", e.ID, e.Version, e.DateAdded))
	}
	return list
}

func scanModel(model []*Entry, q Query) (want []*Entry) {
	for _, e := range model {
		if q.Collection != Everything && e.Collection != q.Collection || e.DateAdded <= q.After || q.Before > 0 && e.DateAdded >= q.Before {
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
			before := bytes.Compare(o.At().Place, e.At().Place) < 0
			first, last = first && !before, last && before
		}
		if q.Versions.All || q.Versions.First && first || q.Versions.Last && last || slices.ContainsFunc(q.Versions.At, e.Instant.Equal) {
			want = append(want, e)
		}
	}
	slices.SortFunc(want, func(a, b *Entry) int { return int(a.DateAdded - b.DateAdded) })
	if q.Descending {
		slices.Reverse(want)
	}
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
			outcomes = append(outcomes, Outcome{Event: Event{Event: e.Event}, State: InView, Entry: entry})
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

// A filter must not cost more the more there is that it leaves out.
func TestWhatAFilterLeavesOutIsNotRead(t *testing.T) {
	views := map[int]*View{10: nil, 1000: nil}
	for n := range views { // in memory, where nothing goes on beside what is measured
		memory, err := kv.NewMemoryOf(8 << 20)
		must(t, err)
		defer func() { must(t, memory.Close()) }()
		views[n] = inMemory(t, memory)
		fillForFilters(t, views[n], n)
	}
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
		// A table more costs some, wherever it is; what is read costs one at least, and there are a thousand.
		if few, many := cost(views[10]), cost(views[1000]); many > few+300 {
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
		outcomes = append(outcomes, Outcome{Event: Event{Event: e.Event}, State: InView, Entry: entry})
	}
	for i := range n {
		add("malware", fmt.Sprintf("malware-%d", i), monday)
		add("campaign", "campaign-1", monday.Add(time.Duration(i)*time.Second))
	}
	add("tool", "tool-1", monday)
	must(t, v.Append(events, nil))
	must(t, v.Settle(outcomes))
}

// What a member publishes must not bring a transaction to its limit: the node would stop, and again at each start.
func TestObjectsWithTheLongestIdentifiersAreTaken(t *testing.T) {
	v, c := newView(t), &chain{}
	longest := "x-" + strings.Repeat("a", 248)
	var events []NewEvent
	var outcomes []Outcome
	for i := range store.ChunkItems {
		e := c.event()
		e.TxID, e.Sender, e.Directory = fmt.Sprintf("%052d", i), strings.Repeat("A", 58), fmt.Sprintf("bafybei%052d", i)
		entry := entryOf(e, collectionA, fmt.Sprintf("%s--%08d-17d4-4cbf-938f-98ee46b3cd3f", longest, i), monday, strings.Repeat("x", store.ChunkBytes/store.ChunkItems))
		entry.Type, entry.Directory = longest, e.Directory
		events = append(events, e)
		outcomes = append(outcomes, Outcome{Event: Event{Event: e.Event}, State: InView, Entry: entry})
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
			must(t, v.Settle([]Outcome{{Event: Event{Event: e.Event}, State: InView, Entry: &entry}}))
		}
		must(t, v.Append(events, nil))
		must(t, v.Settle(outcomes)) // they are earlier on the chain
	})
}

// Whichever version of an object is withdrawn, its first and last are those that are left.
func TestTheFirstVersionIsTheEarliestThatIsLeft(t *testing.T) {
	days := []string{"malware-1 2026-11-23", "malware-1 2026-11-24", "malware-1 2026-11-25"}
	for withdrawn, want := range map[int][2]string{0: {days[1], days[2]}, 1: {days[0], days[2]}, 2: {days[0], days[1]}} {
		v, c := newView(t), &chain{}
		var events []NewEvent
		for day := range days {
			e := c.event()
			events = append(events, e)
			publish(t, v, e, entryOf(e, collectionA, "malware-1", monday.AddDate(0, 0, day), "x"))
		}
		_, _, err := v.Withdraw(Recall{Asset: events[withdrawn].Asset, Senders: []string{"PUBLISHER"}, At: later})
		must(t, err)
		check := func(what string, versions Versions, want ...string) {
			t.Helper()
			for _, q := range []Query{{Versions: versions}, {Versions: versions, IDs: []string{"malware-1"}}, {Versions: versions, Types: []string{"malware"}}} {
				q.Collection = collectionA
				if got := page(t, v, q); !slices.Equal(got, want) {
					t.Errorf("without version %d, %s: %v, want %v", withdrawn, what, got, want)
				}
			}
		}
		check("the first", Versions{First: true}, want[0])
		check("the last", Versions{Last: true}, want[1])
		check("both", Versions{First: true, Last: true}, want[0], want[1])
		check("all", Versions{All: true}, want[0], want[1])
		// The two that are left, one after the other.
		left := slices.Delete(slices.Clone(events), withdrawn, withdrawn+1)
		_, _, err = v.Withdraw(Recall{Asset: left[0].Asset, Senders: []string{"PUBLISHER"}, At: later})
		must(t, err)
		check("the first of one", Versions{First: true}, want[1])
		check("the last of one", Versions{Last: true}, want[1])
		_, _, err = v.Withdraw(Recall{Asset: left[1].Asset, Senders: []string{"PUBLISHER"}, At: later})
		must(t, err)
		check("the first of none", Versions{First: true})
		if has, err := v.Has(collectionA, "malware-1"); err != nil || has {
			t.Errorf("without a version it is there: %v, %v", has, err)
		}
	}
}

// A page of any length is handed out in parts that are as large as was asked for, or of one entry.
func TestThePartsOfAPageAreThePageAndNotTooLarge(t *testing.T) {
	v, c := newView(t), &chain{}
	for n, length := range []int{0, 900, 10, 5000, 10, 10, 2000, 1, 0, 3000} {
		e := c.event()
		publish(t, v, e, entryOf(e, collectionA, fmt.Sprintf("malware-%d", n), monday, strings.Repeat("x", length)))
	}
	for _, withObjects := range []bool{true, false} {
		q := Query{Collection: collectionA, Versions: Versions{All: true}, Limit: 9, WithObjects: withObjects}
		alone, err := v.Parts(q, 0) // each a part of its own
		must(t, err)
		sizes := map[int64]int64{}
		for _, part := range alone.Rest {
			sizes[part.Dates[0]] = part.Bytes
		}
		bytes := func(e *Entry) int64 { return sizes[e.DateAdded] }
		page, more, err := v.Page(q)
		must(t, err)
		if len(page) != 9 || !more {
			t.Fatalf("the page has %d entries, more %v", len(page), more)
		}
		for _, e := range page {
			if n := bytes(e) - entryBytes; n < int64(len(e.Object)) || n > int64(len(e.Object))+1000 || !withObjects && n != 0 {
				t.Errorf("an object of %d bytes counts as one of %d", len(e.Object), n)
			}
		}
		for _, size := range []int64{0, bytes(page[0]), bytes(page[0]) + bytes(page[1]), bytes(page[1]) + bytes(page[2]), 4000, 1 << 20} {
			parts, err := v.Parts(q, size)
			must(t, err)
			all, list := [][]*Entry{parts.First}, slices.Clone(parts.First)
			for _, part := range parts.Rest {
				read, err := part.Read()
				must(t, err)
				var held int64
				for _, e := range read {
					held += bytes(e)
				}
				if held != part.Bytes || len(read) != len(part.Dates) || held > size && len(read) != 1 {
					t.Errorf("a part of %d bytes, %d entries, says it has %d and %d, of %d allowed", held, len(read), part.Bytes, len(part.Dates), size)
				}
				all, list = append(all, read), append(list, read...)
			}
			if !slices.Equal(describe(list), describe(page)) || !parts.More {
				t.Errorf("in parts of %d bytes the page is %v, more %v", size, describe(list), parts.More)
			}
			for n, entries := range all[1:] { // what fits into a part is in it
				var held int64
				for _, e := range all[n] {
					held += bytes(e)
				}
				if held+bytes(entries[0]) <= size {
					t.Errorf("in parts of %d bytes, part %d would have had room", size, n)
				}
			}
		}
	}
}
