package outbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

// acceptFor accepts n objects of a user in one call.
func acceptFor(t testing.TB, o *Outbox, user, name string, n int) []Item {
	t.Helper()
	submissions := make([]Submission, n)
	for i := range submissions {
		submissions[i] = Submission{
			Item:    Item{Key: fmt.Appendf(nil, "%s-%d", name, i), ObjectID: fmt.Sprintf("%s-%d", name, i), Note: wire.Note{Kind: wire.KindObject}, User: user},
			Payload: []byte("payload"),
		}
	}
	items, err := o.Accept(submissions)
	must(t, err)
	return items
}

// signNext takes up to n items through the outbox, in its order, and names them.
func signNext(t testing.TB, o *Outbox, n int) (names []string) {
	t.Helper()
	items, err := o.Queue(Accepted, 0, n)
	must(t, err)
	must(t, o.SetStored(items))
	items, err = o.Queue(Stored, 0, n)
	must(t, err)
	for _, item := range items {
		names = append(names, item.ObjectID)
	}
	if len(items) > 0 {
		group(t, o, items)
	}
	return names
}

// A request of one group is like any, whoever posts it; what comes after that is bulk, and leaves room for others.
func TestWhatComesAfterTheFirstGroupOfARequestIsBulk(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer func() { done() }()
	for i, item := range acceptFor(t, o, "opencti", "some", 100) {
		if item.Bulk != (i >= 16) {
			t.Errorf("object %d of a request counts as bulk: %v", i+1, item.Bulk)
		}
	}
}

func TestAFewObjectsDoNotWaitForMany(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer func() { done() }()
	acceptFor(t, o, "opencti", "bulk", 1000)
	signNext(t, o, 100)
	// In the account of the many, and in another; also a few more of each.
	acceptFor(t, o, "opencti", "own", 1)
	acceptFor(t, o, "alice", "other", 3)
	names := signNext(t, o, 10)
	for _, name := range []string{"own-0", "other-0", "other-1", "other-2"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not among the next ten: %v", name, names)
		}
	}
	if !slices.Contains(names, "bulk-100") {
		t.Errorf("what waits longest is not among the next ten: %v", names)
	}
	// Two large ones share.
	acceptFor(t, o, "feed otx", "feed", 1000)
	names = signNext(t, o, 200)
	feed := len(slices.DeleteFunc(names, func(name string) bool { return name[:4] != "feed" }))
	if feed < 90 || feed > 110 {
		t.Errorf("of two hundred, %d are of the second of two large requests", feed)
	}
}

// A thousand requests of one object each are many, too: they wait for one another, and nobody else does for them.
func TestManySmallRequestsOfOneUserHoldUpNoOther(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer func() { done() }()
	acceptFor(t, o, "misp", "large", 500)
	for i := range 400 {
		acceptFor(t, o, "opencti", fmt.Sprintf("small%d", i), 1)
	}
	signNext(t, o, 10)
	acceptFor(t, o, "alice", "one", 1)
	if names := signNext(t, o, 2*requestsATurn+2); !slices.Contains(names, "one-0") {
		t.Errorf("hers is not among the next ones")
	}
	large := 0
	for range 10 {
		for _, name := range signNext(t, o, requestsATurn+1) {
			if name[:5] == "large" {
				large++
			}
		}
	}
	if large < 5 {
		t.Errorf("in ten turns, %d objects of the large request went on", large)
	}
}

// Records don't wait for objects, nor withdrawals for more than a turn.
func TestRecordsComeFirst(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer func() { done() }()
	bulk := acceptFor(t, o, "opencti", "bulk", 100)
	must(t, o.SetStored(bulk))
	record, err := o.Accept([]Submission{{Item: Item{Key: []byte("record"), ObjectID: "record", Note: wire.Note{Kind: wire.KindCollection}}}})
	must(t, err)
	items, err := o.Queue(Stored, 0, 1)
	must(t, err)
	if items[0].Number != record[0].Number || !items[0].Before(bulk[0]) {
		t.Errorf("%+v comes first", items[0])
	}
}

// The turns are the same after a restart: what waits keeps its place, and what comes then waits for none of it.
func TestTheOrderOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	o, done := newOutbox(t, dir)
	acceptFor(t, o, "opencti", "bulk", 300)
	signNext(t, o, 50)
	before, err := o.Queue(Accepted, 0, 1000)
	must(t, err)
	done()
	o, done = newOutbox(t, dir)
	defer func() { done() }()
	after, err := o.Queue(Accepted, 0, 1000)
	must(t, err)
	if !slices.EqualFunc(before, after, func(a, b Item) bool { return a.Number == b.Number }) {
		t.Error("the order is another")
	}
	acceptFor(t, o, "alice", "one", 1)
	acceptFor(t, o, "opencti", "second", 300)
	names := signNext(t, o, 20)
	if !slices.Contains(names, "one-0") || !slices.Contains(names, "bulk-50") || slices.Contains(names, "second-12") {
		t.Errorf("after a restart %v come next", names)
	}
}

// A reader gives everything that is in the queue, whatever comes in meanwhile, and what comes in before the place where
// it is at once.
func TestAReaderMissesNothing(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer func() { done() }()
	r := o.Reader(Accepted)
	acceptFor(t, o, "opencti", "bulk", 600)
	next := func(n int) (names []string) {
		items, err := r.Next(n)
		must(t, err)
		for _, item := range items {
			names = append(names, item.ObjectID)
		}
		return names
	}
	if names := next(256); len(names) != 256 || names[0] != "bulk-0" {
		t.Fatalf("%d, first %s", len(names), names[0])
	}
	acceptFor(t, o, "alice", "one", 1)
	if names := next(1); len(names) != 1 || names[0] != "one-0" {
		t.Errorf("%v comes after what came in", names)
	}
	items, err := r.Next(10)
	must(t, err)
	r.Return(items[4])
	if again := next(10); again[0] != items[4].ObjectID {
		t.Errorf("%s comes after what was given back, want %s", again[0], items[4].ObjectID)
	}
	for len(next(100)) > 0 {
	}
	if names := next(1); len(names) != 0 {
		t.Errorf("after the end there is %v", names)
	}
	r.Restart()
	if names := next(1); names[0] != "bulk-0" {
		t.Errorf("at the beginning is %v", names)
	}
}

// Whatever comes in and is signed in whatever portions: within a request the order stays, everything comes once, and no
// request waits for more turns than there are requests of its user before it.
func TestTurnsKeepEveryRequestsOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		memory, err := kv.NewMemory()
		must(t, err)
		defer func() { must(t, memory.Close()) }()
		o := inMemory(t, memory)
		accepted, seen := map[string]int{}, map[string]int{}
		drain := func(n int) int {
			names := signNext(t, o, n)
			for _, name := range names {
				request, text, _ := strings.Cut(name, "-")
				if text != fmt.Sprint(seen[request]) {
					rt.Fatalf("%s comes after %d others of its request", name, seen[request])
				}
				seen[request]++
			}
			return len(names)
		}
		for request := range rapid.IntRange(1, 8).Draw(rt, "requests") {
			n := rapid.IntRange(1, 30).Draw(rt, "objects")
			name := fmt.Sprint("request", request)
			acceptFor(t, o, fmt.Sprint("user", rapid.IntRange(0, 3).Draw(rt, "user")), name, n)
			accepted[name] = n
			if signed := rapid.IntRange(0, 30).Draw(rt, "signed"); signed > 0 {
				drain(signed)
			}
			if rapid.Bool().Draw(rt, "restarts") {
				o.order = order{now: o.counters.Rank} // what a restart knows
			}
		}
		for drain(16) > 0 {
		}
		if !maps.Equal(accepted, seen) {
			rt.Fatalf("%v were accepted and %v signed", accepted, seen)
		}
	})
}

// Users who had their turn are forgotten.
func TestTheOrderRemembersFewUsers(t *testing.T) {
	var o order
	for i := range 3 * maxStarts {
		o.now = uint64(i)
		o.begin(fmt.Sprint("user", i))
	}
	if len(o.starts) > maxStarts {
		t.Errorf("%d users are remembered", len(o.starts))
	}
}
