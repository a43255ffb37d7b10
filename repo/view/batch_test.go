package view

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

// batch is an event that makes a batch.
func (c *chain) batch() NewEvent {
	e := c.event()
	e.Note.Kind = wire.KindBatch
	return e
}

// listed gives the outcome of an object of a batch that is in the log, with the id malware-<index>.
func listed(t testing.TB, v *View, of NewEvent, index uint32, state State) Outcome {
	t.Helper()
	batch, found, err := v.Event(of.TxID)
	must(t, err)
	if !found {
		t.Fatalf("batch %s is not there", of.TxID)
	}
	o := Outcome{Event: batch.Object(index, fmt.Sprint("directory ", index), Listed{Collection: collectionA, Epoch: 3}), State: state, Due: monday, Collection: collectionA}
	if state == InView {
		o.Entry = entryOf(of, collectionA, fmt.Sprintf("malware-%d", index), monday, "content")
		o.Entry.Position.Index = index
	}
	return o
}

func published(t testing.TB, v *View, of NewEvent, index uint32) (Event, bool) {
	t.Helper()
	e, found, err := v.Published(wire.Publication{TxID: of.TxID, Index: index})
	must(t, err)
	return e, found
}

func uses(t testing.TB, v *View, directory string) bool {
	t.Helper()
	used, err := v.Uses(directory)
	must(t, err)
	return used
}

// A node that stops in between finds the batch waiting, and what has become of some of its objects.
func TestTheObjectsOfABatchHaveStatesOfTheirOwn(t *testing.T) {
	v, c := newView(t), &chain{}
	batch := c.batch()
	must(t, v.Append([]NewEvent{batch}, nil))
	must(t, v.Settle([]Outcome{listed(t, v, batch, 1, InView), listed(t, v, batch, 2, Waiting), listed(t, v, batch, 4, Undecided), listed(t, v, batch, 5, Refused)}))
	if waiting, undecided := v.CountEvents(); waiting != 2 || undecided != 1 || v.CountObjects() != 1 {
		t.Errorf("%d wait, %d are undecided, %d are in the view", waiting, undecided, v.CountObjects())
	}
	objects, err := v.Objects(Event{Event: batch.Event})
	must(t, err)
	var got []State
	for i, o := range objects {
		if want := []uint32{1, 2, 4, 5}[i]; o.Index != want || o.Directory != fmt.Sprint("directory ", want) || o.Listed != (Listed{Collection: collectionA, Epoch: 3}) || o.Sender != batch.Sender {
			t.Errorf("object %d is %+v", want, o)
		}
		got = append(got, o.State)
	}
	if !slices.Equal(got, []State{InView, Waiting, Undecided, Refused}) {
		t.Errorf("they are %v", got)
	}
	for index, want := range map[uint32]bool{0: true, 1: true, 2: true, 3: false, 4: true, 9: false} {
		if e, found := published(t, v, batch, index); found != want || found && e.Index != index {
			t.Errorf("object %d is %+v, %v", index, e, found)
		}
	}
	if e, _ := published(t, v, batch, 0); e.State != Waiting {
		t.Errorf("the batch is %v", e.State)
	}
	for _, index := range []uint32{1, 2, 4} {
		if !uses(t, v, fmt.Sprint("directory ", index)) {
			t.Errorf("the directory of object %d is not used", index)
		}
	}
	if uses(t, v, "directory 5") {
		t.Error("the directory of what is refused is used")
	}
	entry, err := v.Entry(objects[0])
	if err != nil || entry == nil || entry.ID != "malware-1" || entry.Place().Index != 1 {
		t.Errorf("the object is %+v (%v)", entry, err)
	}
	// What waits is due by itself, and gets in.
	due, _, err := v.Due(Retried, nil, monday.Add(time.Hour), 10)
	must(t, err)
	if len(due) != 1 || due[0].Index != 2 || due[0].Tries != 1 {
		t.Fatalf("due are %+v", due)
	}
	must(t, v.Settle([]Outcome{listed(t, v, batch, 2, InView)}))
	if e, _ := published(t, v, batch, 2); e.State != InView || v.CountObjects() != 2 {
		t.Errorf("object 2 is %v, and %d are in the view", e.State, v.CountObjects())
	}
	if waiting, _ := v.CountEvents(); waiting != 1 {
		t.Errorf("%d wait, want the batch alone", waiting)
	}
	must(t, v.Settle([]Outcome{{Event: Event{Event: batch.Event}, State: Held}}))
	if e, _ := published(t, v, batch, 0); e.State != Held {
		t.Errorf("in the end the batch is %v", e.State)
	}
}

func withdrawFrom(t testing.TB, v *View, of NewEvent, index uint32) (ended []uint32) {
	t.Helper()
	events, n, err := v.Withdraw(Recall{Asset: of.Asset, Index: index, Senders: []string{of.Sender}, At: later})
	must(t, err)
	if n != 1 {
		t.Errorf("%d of one are carried out", n)
	}
	for _, e := range events {
		if e.State != Ended {
			t.Errorf("object %d ends as %v", e.Index, e.State)
		}
		ended = append(ended, e.Index)
	}
	return ended
}

// … whether anything of it was here already or not.
func TestAnObjectOfABatchIsWithdrawnByItself(t *testing.T) {
	v, c := newView(t), &chain{}
	batch, single := c.batch(), c.event()
	must(t, v.Append([]NewEvent{batch, single}, nil))
	must(t, v.Settle([]Outcome{listed(t, v, batch, 1, InView), listed(t, v, batch, 2, Waiting), listed(t, v, batch, 9, InView)}))
	for _, index := range []uint32{1, 2, 3, 17} {
		if ended := withdrawFrom(t, v, batch, index); !slices.Equal(ended, []uint32{index}) {
			t.Errorf("with object %d %v end", index, ended)
		}
	}
	if ended := withdrawFrom(t, v, single, 1); ended != nil {
		t.Errorf("of an NFT of one object %v end", ended)
	}
	must(t, v.Settle([]Outcome{listed(t, v, batch, 3, InView), listed(t, v, batch, 10, InView), listed(t, v, batch, 2, InView), listed(t, v, batch, 17, InView)}))
	for index, want := range map[uint32]State{1: Ended, 2: Ended, 3: Ended, 9: InView, 10: InView, 17: Ended} {
		e, found := published(t, v, batch, index)
		if !found || e.State != want {
			t.Errorf("object %d is %v, want %v", index, e.State, want)
		}
		withdrawn, err := v.IsWithdrawn(e)
		if err != nil || withdrawn != (want == Ended) {
			t.Errorf("object %d counts as withdrawn: %v (%v)", index, withdrawn, err)
		}
		if used := uses(t, v, fmt.Sprint("directory ", index)); used != (want == InView) {
			t.Errorf("the directory of object %d is used: %v", index, used)
		}
	}
	if n := v.CountObjects(); n != 2 {
		t.Errorf("%d are in the view", n)
	}
	if waiting, _ := v.CountEvents(); waiting != 2 { // the batch, and the single one
		t.Errorf("%d wait", waiting)
	}
}

func TestABatchIsWithdrawnWithAllItsObjects(t *testing.T) {
	v, c := newView(t), &chain{}
	batch := c.batch()
	must(t, v.Append([]NewEvent{batch}, nil))
	must(t, v.Settle([]Outcome{listed(t, v, batch, 1, InView), listed(t, v, batch, 2, Waiting), listed(t, v, batch, 3, InView)}))
	withdrawFrom(t, v, batch, 3)
	if ended := withdrawFrom(t, v, batch, 0); !slices.Equal(ended, []uint32{1, 2, 3, 0}) {
		t.Errorf("there end %v, want the objects before their batch", ended)
	}
	if waiting, _ := v.CountEvents(); waiting != 0 || v.CountObjects() != 0 {
		t.Errorf("%d wait, %d are in the view", waiting, v.CountObjects())
	}
	// What is read of it later never comes.
	must(t, v.Settle([]Outcome{listed(t, v, batch, 4, InView)}))
	for _, index := range []uint32{0, 1, 2, 3, 4, 5} {
		e, found := published(t, v, batch, index)
		if !found || e.State != Ended {
			t.Errorf("object %d is %v, %v", index, e.State, found)
		}
	}
	if v.CountObjects() != 0 || uses(t, v, "directory 4") {
		t.Errorf("%d are in the view", v.CountObjects())
	}
}

// Nobody else's word ends anything, nor does a withdrawal end a record.
func TestWhatIsNotTheSendersIsNotWithdrawn(t *testing.T) {
	v, c := newView(t), &chain{}
	batch, record := c.batch(), c.event()
	record.Effect = consortium.Record
	must(t, v.Append([]NewEvent{batch, record}, nil))
	must(t, v.Settle([]Outcome{listed(t, v, batch, 1, InView)}))
	for what, r := range map[string]Recall{
		"somebody else's":    {Asset: batch.Asset, Index: 1, Senders: []string{"SOMEBODY"}, At: later},
		"all, by another":    {Asset: batch.Asset, Senders: []string{"SOMEBODY"}, At: later},
		"said before it was": {Asset: batch.Asset, Index: 1, Senders: []string{batch.Sender}, At: batch.Position},
		"a record":           {Asset: record.Asset, Senders: []string{record.Sender}, At: later},
		"of no asset":        {Asset: 7, Senders: []string{batch.Sender}, At: later},
	} {
		if ended, n, err := v.Withdraw(r); err != nil || n != 1 || len(ended) != 0 || v.CountObjects() != 1 {
			t.Errorf("%s: %d end (%d carried out, %v)", what, len(ended), n, err)
		}
	}
}

func TestManyAreWithdrawnAFewAtATime(t *testing.T) {
	v, c := newView(t), &chain{}
	var recalls []Recall
	for range 3 {
		batch := c.batch()
		must(t, v.Append([]NewEvent{batch}, nil))
		var outcomes []Outcome
		for index := uint32(1); index <= recallsMost/2; index++ {
			outcomes = append(outcomes, listed(t, v, batch, index, Refused))
		}
		must(t, v.Settle(outcomes))
		recalls = append(recalls, Recall{Asset: batch.Asset, Senders: []string{batch.Sender}, At: later})
	}
	ended, n, err := v.Withdraw(recalls...)
	if err != nil || n != 2 || len(ended) != recallsMost+2 {
		t.Errorf("%d of three are carried out, %d end (%v)", n, len(ended), err)
	}
}

func TestAnEventKeepsItsEpochAndWhereItWasWithdrawn(t *testing.T) {
	v, c := newView(t), &chain{}
	batch, single := c.batch(), c.event()
	must(t, v.Append([]NewEvent{batch, single}, nil))
	in := Outcome{Event: Event{Event: single.Event}, State: InView, Epoch: 7, Entry: entryOf(single, collectionA, "malware-1", monday, "one")}
	must(t, v.Settle([]Outcome{listed(t, v, batch, 1, InView), listed(t, v, batch, 2, InView), in}))
	withdrawFrom(t, v, batch, 2)
	withdrawFrom(t, v, single, 0)
	one, _ := published(t, v, batch, 1)
	two, _ := published(t, v, batch, 2)
	gone, _ := published(t, v, single, 0)
	if one.Ended != (consortium.Position{}) || two.Ended != later || gone.Ended != later || gone.Epoch != 7 {
		t.Errorf("they ended at %v, %v and %v; the epoch is %d", one.Ended, two.Ended, gone.Ended, gone.Epoch)
	}
}
