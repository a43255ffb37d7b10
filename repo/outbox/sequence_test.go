package outbox

import (
	"slices"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

func TestMissingSequenceNumbersAreFilledIn(t *testing.T) {
	dir := t.TempDir()
	o, done := newOutbox(t, dir)
	accept(t, o, "a", "b", "c", "d")
	must(t, o.SetStored(queue(t, o, Accepted)))
	group(t, o, queue(t, o, Stored)[:1]) // has the number 1
	must(t, o.SkipSequence(10))
	must(t, o.FillSequence([]consortium.Range{{First: 0, Last: 2}, {First: 7, Last: 7}, {First: 11, Last: 1 << 60}}))
	done()
	o, done = newOutbox(t, dir)
	defer done()
	items, err := o.Number(queue(t, o, Stored))
	must(t, err)
	var numbers []uint64
	for _, item := range items {
		numbers = append(numbers, item.Note.Sequence)
	}
	if !slices.Equal(numbers, []uint64{2, 7, 11}) {
		t.Errorf("the numbers are %d", numbers)
	}
}

func TestAnotherAccountBeginsItsNumbersAnew(t *testing.T) {
	o, closeOutbox := newOutbox(t, t.TempDir())
	defer closeOutbox()
	must(t, o.SetPublisher("A"))
	items, err := o.Accept([]Submission{
		{Item: Item{Key: []byte("one"), Note: wire.Note{Kind: wire.KindObject}}}, {Item: Item{Key: []byte("two"), Note: wire.Note{Kind: wire.KindObject}}},
	})
	must(t, err)
	_, err = o.Number(items[:1])
	must(t, err)
	must(t, o.SetPublisher("A"))
	if numbered, err := o.Number(items[1:]); err != nil || numbered[0].Note.Sequence != 2 {
		t.Errorf("with the same account: %+v, %v", numbered, err)
	}
	must(t, o.SetPublisher("B"))
	waiting, err := o.Queue(Stored, 0, 10)
	must(t, err)
	numbered, err := o.Number(waiting)
	if err != nil || len(numbered) != 2 || numbered[0].Note.Sequence != 1 || numbered[1].Note.Sequence != 2 {
		t.Errorf("with another account: %+v, %v", numbered, err)
	}
}

// Somebody else has given them, too: what waits to be signed, or to be sealed again, gets others. What is signed may be
// confirmed with the number that it has.
func TestNumbersThatAreTakenAreGivenBackByAllThatIsNotSigned(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	must(t, o.SetStored(accept(t, o, "signed", "stored", "reopened", "free", "last")))
	numbered, err := o.Number(queue(t, o, Stored))
	must(t, err)
	group(t, o, numbered[:1])
	must(t, o.Reopen(numbered[2], []byte("payload")))
	must(t, o.Unnumber(func(n uint64) bool { return n != 4 }))
	for name, want := range map[string]uint64{"signed": 1, "stored": 0, "reopened": 0, "free": 4, "last": 0} {
		if n := itemNamed(t, o, name).Note.Sequence; n != want {
			t.Errorf("%s has number %d, want %d", name, n, want)
		}
	}
}

func TestNumbersAreOnlySkippedForwards(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	must(t, o.SetStored(accept(t, o, "a", "b")))
	for i, seen := range []uint64{5, 3} {
		must(t, o.SkipSequence(seen))
		items, err := o.Number(queue(t, o, Stored)[i : i+1])
		must(t, err)
		if n := items[0].Note.Sequence; n != uint64(6+i) {
			t.Errorf("after %d were seen comes %d", seen, n)
		}
	}
}
