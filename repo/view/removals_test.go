package view

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/removals"
)

func removalsOf(t *testing.T, v *View, collection string, after int64) (list []string) {
	t.Helper()
	left, _, err := v.Removals(collection, after, 1000)
	must(t, err)
	for _, r := range left {
		list = append(list, fmt.Sprintf("%s %s %t %v", r.ID, r.Version[:10], r.Gone(collection == Everything), r.Values))
	}
	return list
}

func TestWhatLeftIsToldWithItsValues(t *testing.T) {
	v, c := newView(t), &chain{}
	content := `{"type":"indicator","pattern_type":"stix","pattern":"[domain-name:value = 'evil.example']","n":%d}`
	var events []NewEvent
	for day := range 2 {
		e := c.event()
		events = append(events, e)
		publish(t, v, e, entryOf(e, collectionA, "indicator-1", monday.AddDate(0, 0, day), fmt.Sprintf(content, day)))
	}
	other := publishAs(t, v, c, "MALLORY", "indicator-1", 5)
	if list := removalsOf(t, v, Everything, 0); len(list) > 0 {
		t.Errorf("before anything left: %v", list)
	}
	before, err := v.Changed(Everything)
	must(t, err)
	for _, e := range []NewEvent{events[0], other[0], events[1]} {
		_, _, err := v.Withdraw(Recall{Asset: e.Asset, Senders: []string{e.Sender}, At: consortium.Position{Round: 1 << 40}})
		must(t, err)
	}
	served := []string{"indicator-1 2026-11-23 false [evil.example]", "indicator-1 2026-11-24 true [evil.example]"}
	for of, want := range map[string][]string{collectionA: served, Everything: served, Others: {"indicator-1 2026-11-28 false []"}, collectionB: nil} {
		if got := removalsOf(t, v, of, before); !slices.Equal(got, want) {
			t.Errorf("%s lost %q, want %q", of, got, want)
		}
	}
	list, more, err := v.Removals(Everything, 0, 1)
	if err != nil || !more || len(list) != 1 || list[0].Date <= before {
		t.Errorf("%+v, %t, %v", list, more, err)
	}
	if rest := removalsOf(t, v, Everything, list[0].Date); !slices.Equal(rest, served[1:]) {
		t.Errorf("after the first: %q", rest)
	}
}

func TestOnlySomeRemovalsAreKept(t *testing.T) {
	v, c := newView(t), &chain{}
	v.mostRemovals = 5
	leave := func(n int) {
		for i := range n {
			e := publishAs(t, v, c, "ALPHA", fmt.Sprintf("malware-%d", i), 0)[0]
			_, _, err := v.Withdraw(Recall{Asset: e.Asset, Senders: []string{e.Sender}, At: consortium.Position{Round: 1 << 40}})
			must(t, err)
		}
	}
	leave(9)
	if list := removalsOf(t, v, Everything, 0); len(list) != 5 || v.counts.Load().Removals != 5 {
		t.Errorf("%d are kept, %d counted", len(list), v.counts.Load().Removals)
	}
	must(t, v.store.Write(func(txn *kv.Txn) error { // one of long ago
		return store.SetJSON(txn, store.Key(store.TableRemoval, store.U64(uint64(time.Now().Add(-2*removals.Last).UnixMicro()))), Removal{ID: "old", InAll: true})
	}))
	v.mostRemovals = 100
	leave(1)
	for _, r := range removalsOf(t, v, Everything, 0) {
		if r[:3] == "old" {
			t.Error("what left long ago is kept")
		}
	}
}
