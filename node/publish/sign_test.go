package publish

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/outbox"
)

// itemsOf makes items of a user, numbered from a number on.
func itemsOf(user string, bulk bool, from uint64, n int) (list []outbox.Item) {
	for i := range n {
		list = append(list, outbox.Item{Number: from + uint64(i), User: user, Bulk: bulk})
	}
	return list
}

// flying makes a minter of which groups are in flight.
func flying(groups ...[]outbox.Item) *flights {
	l := newFlights()
	for i, items := range groups {
		g := outbox.Group{Number: uint64(i + 1)}
		byNumber := map[uint64]outbox.Item{}
		for _, item := range items {
			g.Items, byNumber[item.Number] = append(g.Items, item.Number), item
		}
		l.begin(g, byNumber)
	}
	return l
}

func counts(items []outbox.Item) map[string]int {
	n := map[string]int{}
	for _, item := range items {
		n[fmt.Sprint(item.User, " ", item.Bulk)]++
	}
	return n
}

// However much bulk is on its way, there is room for what is not; and for others than the one who has most of that.
func TestBulkLeavesRoomForOthers(t *testing.T) {
	var bulk [][]outbox.Item
	for i := range bulkFlights {
		bulk = append(bulk, itemsOf("opencti", true, uint64(i*ledger.MaxGroup), ledger.MaxGroup))
	}
	batch := slices.Concat(itemsOf("opencti", true, 5000, 100), itemsOf("opencti", false, 6000, 3), itemsOf("alice", false, 7000, 2))
	if got := counts(flying(bulk...).allowance().choose(batch)); got["opencti true"] != 0 || got["opencti false"] != 3 || got["alice false"] != 2 {
		t.Errorf("with all bulk on its way that may be, %v may be signed", got)
	}
	if got := counts(flying(bulk[2:]...).allowance().choose(batch)); got["opencti true"] != 2*ledger.MaxGroup {
		t.Errorf("when two groups have landed, %v may be signed", got)
	}
	small := bulk
	for i := range userFlights - bulkFlights {
		small = append(small, itemsOf("opencti", false, uint64(8000+i), 1))
	}
	if got := counts(flying(small...).allowance().choose(batch)); got["opencti false"] != 0 || got["alice false"] != 2 {
		t.Errorf("with all of one user's on its way that may be, %v may be signed", got)
	}
	for i := range maxFlights - userFlights {
		small = append(small, itemsOf(fmt.Sprint("user", i), false, uint64(9000+i), 1))
	}
	if a := flying(small...).allowance(); a.groups != 0 || len(a.choose(batch)) != 0 {
		t.Errorf("with everything on its way that may be, %d more may be signed", len(a.choose(batch)))
	}
}

// What is not bulk is done before the bulk behind it, and bulk alone as a whole.
func TestABatchEndsWithWhatIsNotBulk(t *testing.T) {
	for _, test := range []struct {
		items []outbox.Item
		want  int
	}{
		{nil, 0},
		{itemsOf("a", true, 1, 5), 5},
		{itemsOf("a", false, 1, 5), 5},
		{slices.Concat(itemsOf("a", true, 1, 3), itemsOf("b", false, 4, 1), itemsOf("a", true, 5, 9)), 4},
	} {
		if got := withoutTail(test.items); len(got) != test.want {
			t.Errorf("of %v %d are done at once, want %d", test.items, len(got), test.want)
		}
	}
}

// Groups that are not bulk are submitted first, each kind in its order.
func TestWhatIsNotBulkIsSubmittedFirst(t *testing.T) {
	l := newFlights()
	for i, bulk := range []bool{true, true, false, true, false} {
		f := &flight{Group: outbox.Group{Number: uint64(i)}, bulk: bulk}
		l.queue(f) <- f
	}
	var order []uint64
	for range 5 {
		order = append(order, l.next(t.Context()).Number)
	}
	if want := []uint64{2, 4, 0, 1, 3}; !slices.Equal(order, want) {
		t.Errorf("submitted in the order %v, want %v", order, want)
	}
}

// A group is bulk as a whole or not at all: what is not must not wait for the rest of its group.
func TestGroupsAreOfOneKind(t *testing.T) {
	items := slices.Concat(itemsOf("a", false, 1, 3), itemsOf("a", true, 4, 20), itemsOf("b", true, 24, 1))
	var sizes []int
	for chunk := range chunks(items) {
		sizes = append(sizes, len(chunk))
	}
	if want := []int{3, 16, 5}; !slices.Equal(sizes, want) {
		t.Errorf("groups of %v, want %v", sizes, want)
	}
}

func TestOneRefusalOfARequestTooManyIsNoProblem(t *testing.T) {
	m := &Minter{Config: Config{Condition: problem.NewMonitor("publishing", slog.New(slog.DiscardHandler))}}
	once := &algorand.Throttled{Status: 429, After: 20 * time.Second}
	if m.algodFailed(once); m.Condition.Get().Problem != "" {
		t.Errorf("after one: %+v", m.Condition.Get())
	}
	if m.algodFailed(once); m.Condition.Get().Problem != "algod" {
		t.Errorf("after two: %+v", m.Condition.Get())
	}
	m.Condition.Clear()
	m.refusals.Store(0)
	if m.algodFailed(&algorand.Throttled{Status: 429, After: 5 * time.Minute}); m.Condition.Get().Problem != "algod" {
		t.Errorf("a long one: %+v", m.Condition.Get())
	}
	m.Condition.Clear()
	if m.algodFailed(errors.New("connection refused")); m.Condition.Get().Problem != "algod" {
		t.Errorf("another failure: %+v", m.Condition.Get())
	}
}
