package replicate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/view"
)

// log is what the pipeline asks of the view.
type log interface {
	Cursor() (uint64, error)
	Sequences() (map[string]*consortium.Sequence, error)
	Records() ([]view.Event, error)
	Append([]view.NewEvent, map[string]*consortium.Sequence) error
	Advance(uint64, map[string]*consortium.Sequence) error
	Withdraw(...view.Recall) ([]view.Event, int, error)
	IsWithdrawn(view.Event) (bool, error)
	Published(wire.Publication) (view.Event, bool, error)
	Uses(string) (bool, error)
	Event(string) (view.Event, bool, error)
	Content(view.Event) ([]byte, error)
	Await(view.Event) error
	Due(view.Queue, func(consortium.Position) bool, time.Time, int) ([]view.Event, time.Time, error)
	Settle([]view.Outcome) error
	Hasten() error
	Reconsider(func(view.Event, string) bool) (int, error)
}

// The histories are worth what the view in them is: it does what the store does, and says what that says.
func TestTheViewOfTheHistoriesAnswersAsTheStoreDoes(t *testing.T) {
	store := nodetest.NewStoredChain(t, nodetest.NewOrg(t, "self")).R.View
	for seed := range uint64(12) {
		nodetest.Must(t, store.Reset())
		b := &both{T: t, Rand: rand.New(rand.NewPCG(seed, 1)), store: store, memory: newMemory(&power{}), collections: []string{uuid.NewString(), uuid.NewString()}}
		for step := range 80 {
			what := b.step()
			if want, got := b.said(store), b.said(b.memory); !reflect.DeepEqual(want, got) {
				t.Fatalf("seed %d, step %d, %s: the store says\n%+v\nand the memory\n%+v", seed, step, what, want, got)
			}
		}
	}
}

// both is the store and the memory, to which the same is done.
type both struct {
	*testing.T
	*rand.Rand
	store, memory log
	collections   []string
	events        []view.NewEvent
}

func (b *both) do(change func(log) (any, error)) {
	b.Helper()
	want, err := change(b.store)
	nodetest.Must(b.T, err)
	got, err := change(b.memory)
	nodetest.Must(b.T, err)
	if !reflect.DeepEqual(want, got) {
		b.Fatalf("the store gives %+v, the memory %+v", want, got)
	}
}

// step does something, and says what.
func (b *both) step() string {
	switch n := b.IntN(16); {
	case n < 4 || len(b.events) == 0:
		e := b.event()
		b.events = append(b.events, e)
		sequences := map[string]*consortium.Sequence{e.Sender: {Highest: uint64(len(b.events))}}
		old := b.events[b.IntN(len(b.events))] // comes again, and stays as it is
		b.do(func(v log) (any, error) { return nil, v.Append([]view.NewEvent{old, e}, sequences) })
		b.do(func(v log) (any, error) { return nil, v.Advance(e.Round, sequences) })
		return "append"
	case n < 8:
		e := b.pick(view.Waiting)
		if e.Note.Kind == wire.KindBatch && b.IntN(4) > 0 { // one of its objects
			listed := view.Event{Event: e.Event, Member: e.Member}.Object(1+b.Uint32N(objects), fmt.Sprintf("directory %d", b.IntN(4)), view.Listed{Epoch: 1})
			e.Event = listed.Event
		}
		o := b.outcome(e)
		b.do(func(v log) (any, error) {
			if o.Entry != nil {
				entry := *o.Entry
				o.Entry = &entry
			}
			return nil, v.Settle([]view.Outcome{o})
		})
		return fmt.Sprintf("settle %s as %s", o.Event.Name(), o.State)
	case n < 10:
		e := b.pick([]view.State{view.InView, view.Held}[b.IntN(2)])
		r := view.Recall{Asset: e.Asset, Index: b.Uint32N(objects+1) * b.Uint32N(2), Senders: []string{e.Sender, "nobody"}[b.IntN(2):], At: []consortium.Position{e.Position, {Round: e.Round + 1}, later}[b.IntN(3)]}
		b.do(func(v log) (any, error) {
			ended, n, err := v.Withdraw(r)
			return []any{named(ended), n}, err
		})
		return fmt.Sprintf("withdraw %s/%d", e.TxID, r.Index)
	case n == 10:
		logged, _, err := b.store.Event(b.pick(view.Held).TxID)
		nodetest.Must(b.T, err)
		b.do(func(v log) (any, error) { return nil, v.Await(logged) })
		return "await " + logged.TxID
	case n == 11:
		b.do(func(v log) (any, error) { return nil, v.Hasten() })
		return "hasten"
	}
	odd := b.Uint64N(2)
	b.do(func(v log) (any, error) {
		return v.Reconsider(func(e view.Event, _ string) bool { return e.Round%2 == odd })
	})
	return "reconsider"
}

// pick picks an event, mostly one in a state.
func (b *both) pick(state view.State) view.NewEvent {
	some := slices.DeleteFunc(slices.Clone(b.events), func(e view.NewEvent) bool {
		logged, _, err := b.store.Event(e.TxID)
		nodetest.Must(b.T, err)
		return logged.State != state && b.IntN(10) > 0
	})
	if len(some) == 0 {
		some = b.events
	}
	return some[b.IntN(len(some))]
}

func (b *both) event() view.NewEvent {
	n := uint64(len(b.events) + 1)
	sender := []string{"ALPHA", "BRAVO"}[b.IntN(2)]
	e := view.NewEvent{Effect: consortium.Object, Member: []string{sender, "FORMER"}[b.IntN(2)], Event: consortium.Event{
		Position: consortium.Position{Round: n}, TxID: fmt.Sprintf("TX%d", n), Sender: sender, Asset: 1000 + n,
		Note: wire.Note{Kind: wire.KindObject}, Directory: fmt.Sprintf("directory %d", b.IntN(4)),
	}}
	switch b.IntN(8) {
	case 0:
		e.Effect, e.Note = consortium.Record, wire.Note{Kind: wire.KindCollection, Collection: b.collections[b.IntN(2)]}
	case 1:
		e.Effect, e.Note, e.Directory = consortium.Withdrawal, wire.Note{Kind: wire.KindDestroy}, ""
	case 2, 3:
		e.Note.Kind = wire.KindBatch
	}
	return e
}

func (b *both) outcome(e view.NewEvent) view.Outcome {
	o := view.Outcome{Event: view.Event{Event: e.Event}}
	states := []view.State{view.Waiting, view.Refused, view.Undecided, view.InView, view.InView}
	switch {
	case e.Effect == consortium.Record:
		states = []view.State{view.Waiting, view.Refused, view.Held}
	case e.Note.Kind == wire.KindBatch:
		states = []view.State{view.Waiting, view.Refused, view.Undecided, view.Held, view.Held}
	}
	o.State = states[b.IntN(len(states))]
	in := b.collections[b.IntN(5)/4]
	switch o.State {
	case view.Waiting:
		o.Due = time.Now().Add(time.Duration(b.IntN(3)-1) * time.Hour)
	case view.Undecided:
		o.Collection, o.Epoch = in, uint32(b.IntN(3))
	case view.Held:
		if o.Content = []byte("what it says"); b.IntN(2) == 0 || e.Effect != consortium.Record {
			o.Content = nil
		}
	case view.InView:
		o.Entry = &view.Entry{
			Position: e.Position, TxID: e.TxID, Publisher: e.Sender, Asset: e.Asset, Directory: e.Directory, Collection: in, Type: "indicator",
			ID: fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", b.IntN(5)/4), Version: firstVersion, Instant: time.Unix(1000, 0).UTC(),
			Hash: make([]byte, 32), Object: []byte("{}"),
		}
	}
	return o
}

// said is all that can be asked.
func (b *both) said(v log) (said []any) {
	cursor, err := v.Cursor()
	nodetest.Must(b.T, err)
	sequences, err := v.Sequences()
	nodetest.Must(b.T, err)
	records, err := v.Records()
	nodetest.Must(b.T, err)
	said = append(said, cursor, sequences, named(records))
	for _, e := range b.events {
		logged, found, err := v.Event(e.TxID)
		nodetest.Must(b.T, err)
		content, err := v.Content(logged)
		nodetest.Must(b.T, err)
		for index := range uint32(objects + 1) {
			listed, found, err := v.Published(wire.Publication{TxID: e.TxID, Index: index})
			nodetest.Must(b.T, err)
			withdrawn := false
			if found {
				withdrawn, err = v.IsWithdrawn(listed)
				nodetest.Must(b.T, err)
			}
			said = append(said, fmt.Sprintf("%s %t %t %s %d %q", listed.Name(), found, withdrawn, listed.State, listed.Tries, listed.Directory))
		}
		said = append(said, fmt.Sprintf("%s %t %q %s %d %d %d %t %q", e.TxID, found, logged.Member, logged.State, logged.Tries, logged.Due, logged.Epoch, logged.Publication != nil, content))
	}
	for n := range 4 {
		used, err := v.Uses(fmt.Sprintf("directory %d", n))
		nodetest.Must(b.T, err)
		said = append(said, used)
	}
	for _, queue := range []view.Queue{view.Fresh, view.Retried} {
		for _, in := range []time.Duration{0, 2 * time.Hour} {
			due, next, err := v.Due(queue, func(p consortium.Position) bool { return p.Round%5 == 0 }, time.Now().Add(in), 1000)
			nodetest.Must(b.T, err)
			names := named(due)
			slices.Sort(names) // batches come by turns
			said = append(said, names, next)
		}
	}
	return said
}

func named(events []view.Event) (names []string) {
	for _, e := range events {
		names = append(names, e.Name().String())
	}
	return names
}

// objects is how many objects batches have here.
const objects = 3

// later is after everything.
var later = consortium.Position{Round: math.MaxUint64}
