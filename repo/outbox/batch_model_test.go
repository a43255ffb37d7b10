package outbox

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

// model is what an outbox with batches is to be.
type model struct {
	*Outbox
	memory *kv.Memory
	items  map[uint64]State // objects
	latest map[string]uint64
}

// Whatever happens to batches and to what goes by itself, in whatever order and with however many restarts: every
// object is where it is to be, with its plaintext as long as it is not sealed, and the numbers have no hole.
func TestTheOutboxLosesNothingOfABatch(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		memory, err := kv.NewMemory()
		must(t, err)
		defer func() { must(t, memory.Close()) }()
		m := &model{memory: memory, items: map[uint64]State{}, latest: map[string]uint64{}}
		m.restart(t)
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			m.step(t, rt)
			m.check(t, rt)
		}
	})
}

func (m *model) step(t *testing.T, rt *rapid.T) {
	switch rapid.SampledFrom([]string{"accept", "accept", "seal", "seal", "sign", "sign", "end", "end", "reopen", "give up", "withdraw", "restart"}).Draw(rt, "step") {
	case "accept":
		names := rapid.SliceOfNDistinct(rapid.SampledFrom(named("o", 9)), 1, 6, rapid.ID).Draw(rt, "names")
		for _, item := range inBatches(t, m.Outbox, Anchor{From: rapid.SampledFrom([]int{0, 1, 3}).Draw(rt, "from"), Most: 2, Bytes: 1000}, names...) {
			if item.New != (m.latest[item.ObjectID] == 0 || m.items[m.latest[item.ObjectID]] == Withdrawn) {
				rt.Fatalf("%s is new: %v, before it was %s", item.ObjectID, item.New, m.items[m.latest[item.ObjectID]])
			}
			m.latest[item.ObjectID] = item.Number
			if item.New {
				m.items[item.Number] = Accepted
			}
		}
	case "seal":
		for _, item := range m.some(t, rt, Accepted) {
			if item.Objects == 0 {
				must(t, m.SetStored([]Item{item}))
			} else {
				storeBatch(t, m.Outbox, item)
			}
			m.set(t, item, Stored)
		}
	case "sign":
		if items := m.some(t, rt, Stored); len(items) > 0 {
			m.sign(t, items)
		}
	case "end":
		m.end(t, rt)
	case "reopen":
		for _, item := range m.some(t, rt, Stored) {
			if item.Objects == 0 {
				must(t, m.Reopen(item, []byte("payload of "+item.ObjectID)))
				m.set(t, item, Accepted)
				continue
			}
			m.reopenBatch(t, rt, item)
		}
	case "give up":
		for _, n := range slices.Sorted(maps.Keys(m.items)) {
			if item, _, err := m.Item(n); err == nil && m.items[n] == Accepted && rapid.Bool().Draw(rt, "gives up") {
				must(t, m.GiveUp(item, "no"))
				m.items[n] = Withdrawn
			}
		}
	case "withdraw":
		m.withdraw(t, rt)
	case "restart":
		m.restart(t)
	}
}

// restart begins with what is durable.
func (m *model) restart(t *testing.T) {
	m.Outbox = inMemory(t, m.memory)
}

// some are some of what is in a queue.
func (m *model) some(t *testing.T, rt *rapid.T, state State) []Item {
	return slices.DeleteFunc(queue(t, m.Outbox, state), func(Item) bool { return rapid.IntRange(0, 2).Draw(rt, "leaves out") == 0 })
}

// set notes the state of an item, or of all that are in a batch with it.
func (m *model) set(t *testing.T, item Item, state State) {
	if item.Note.Kind != wire.KindBatch {
		m.items[item.Number] = state
		return
	}
	objects, err := m.Objects(item)
	must(t, err)
	for _, object := range objects {
		if m.items[object.Number] != Withdrawn {
			m.items[object.Number] = state
		}
	}
}

func (m *model) sign(t *testing.T, items []Item) {
	items, err := m.Number(items)
	must(t, err)
	g := Group{Raw: []byte("signed"), FirstValid: 1, LastValid: 1000}
	for _, item := range items {
		g.TxIDs = append(g.TxIDs, fmt.Sprintf("TX%d-%d", m.counters.Groups, item.Number))
		m.set(t, item, Signed)
	}
	_, err = m.AddGroups([]Group{g}, items)
	must(t, err)
}

// end confirms a group, or lets it expire.
func (m *model) end(t *testing.T, rt *rapid.T) {
	groups, err := m.Groups(0, 100)
	must(t, err)
	for _, g := range groups {
		expires, places := rapid.Bool().Draw(rt, "expires"), []consortium.Place{}
		for i, n := range g.Items {
			item, _, err := m.Item(n)
			must(t, err)
			if item.State == Signed {
				m.set(t, item, map[bool]State{true: Stored, false: Confirmed}[expires])
			}
			places = append(places, consortium.Place{TxID: g.TxIDs[i], Round: 7, Asset: n})
		}
		if expires {
			must(t, m.Expire(g))
			continue
		}
		_, err := m.Confirm(places)
		must(t, err)
	}
}

// reopenBatch takes a batch back, of which some is found elsewhere.
func (m *model) reopenBatch(t *testing.T, rt *rapid.T, batch Item) {
	objects, err := m.Objects(batch)
	must(t, err)
	m.set(t, batch, Accepted)
	var found []Found
	for _, object := range objects {
		if rapid.IntRange(0, 4).Draw(rt, "is found") == 0 {
			found = append(found, Found{Object: object, At: consortium.Place{TxID: fmt.Sprint("ELSEWHERE", object.Number), Index: 3, Asset: 1}})
			m.items[object.Number] = Confirmed
		}
	}
	reopen(t, m.Outbox, batch, found...)
}

// withdraw withdraws some of what is confirmed, with what else its transaction has published, or alone.
func (m *model) withdraw(t *testing.T, rt *rapid.T) {
	for _, n := range slices.Sorted(maps.Keys(m.items)) {
		item, _, err := m.Item(n)
		must(t, err)
		if m.items[n] != Confirmed || item.State != Confirmed || rapid.IntRange(0, 3).Draw(rt, "stays") > 0 {
			continue
		}
		if item.Index > 0 && rapid.Bool().Draw(rt, "alone") {
			must(t, m.Withdraw(wire.Publication{TxID: item.TxID, Index: item.Index}))
			m.items[n] = Withdrawn
			continue
		}
		must(t, m.Withdraw(wire.Publication{TxID: item.TxID}))
		for other := range m.items {
			if o, _, err := m.Item(other); err == nil && o.TxID == item.TxID && m.items[other] == Confirmed {
				m.items[other] = Withdrawn
			}
		}
	}
}

func (m *model) check(t *testing.T, rt *rapid.T) {
	states, inQueue := map[State]int{}, map[State]int{}
	for n, want := range m.items {
		item, found, err := m.Item(n)
		if err != nil || !found || item.State != want {
			rt.Fatalf("item %d is %+v, and to be %s (%v)", n, item, want, err)
		}
		states[item.State]++
		if _, err := m.Payload(n); (err == nil) != (want == Accepted) {
			rt.Fatalf("item %d is %s, and its plaintext is here: %v", n, want, err == nil)
		}
	}
	var numbers []uint64
	for _, state := range []State{Accepted, Stored, Signed} {
		for _, item := range queue(t, m.Outbox, state) {
			inQueue[state] += int(item.weight())
			objects, err := m.Objects(item)
			if err != nil || item.Note.Kind == wire.KindBatch && (len(objects) != item.Objects || len(objects) == 0) {
				rt.Fatalf("a batch has %d objects, and says %d (%v)", len(objects), item.Objects, err)
			}
		}
		if n := m.Count()[state]; n != states[state] || n != inQueue[state] {
			rt.Fatalf("%d are %s, %d in the queue, and it counts %d", states[state], state, inQueue[state], n)
		}
	}
	for n := uint64(1); n <= m.counters.Items; n++ {
		item, _, err := m.Item(n)
		must(t, err)
		if item.Note.Sequence > 0 && item.Batch == 0 {
			numbers = append(numbers, item.Note.Sequence)
		}
	}
	numbers = append(numbers, m.counters.Free...)
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != uint64(i+1) {
			rt.Fatalf("the numbers are %v", numbers)
		}
	}
	if len(numbers) != int(m.counters.Sequence) {
		rt.Fatalf("the numbers are %v, the last one is %d", numbers, m.counters.Sequence)
	}
}
