package outbox

import (
	"slices"
	"testing"
)

func TestWhatTakesThePlaceOfWhat(t *testing.T) {
	there := Item{Hash: []byte("old"), Asset: 7, Index: 2}
	for what, c := range map[string]struct {
		submission Submission
		existing   Item
		want       bool
	}{
		"the same again":                       {Submission{Item: Item{Hash: []byte("old")}, Replace: true}, there, false},
		"other content":                        {Submission{Item: Item{Hash: []byte("new")}}, there, false},
		"other content, to replace it":         {Submission{Item: Item{Hash: []byte("new")}, Replace: true}, there, true},
		"a revocation":                         {Submission{Item: Item{Hash: []byte("new"), Revoked: true}}, there, true},
		"a revocation of what is revoked":      {Submission{Item: Item{Hash: []byte("new"), Revoked: true}}, Item{Hash: []byte("old"), Revoked: true}, false},
		"the same, for the NFT that goes":      {Submission{Item: Item{Hash: []byte("old"), ReplacesAsset: 7, ReplacesIndex: 2}}, there, true},
		"the same, for another of its batch":   {Submission{Item: Item{Hash: []byte("old"), ReplacesAsset: 7, ReplacesIndex: 3}}, there, false},
		"the same, for another NFT":            {Submission{Item: Item{Hash: []byte("old"), ReplacesAsset: 8, ReplacesIndex: 2}}, there, false},
		"the same, for what has no NFT so far": {Submission{Item: Item{Hash: []byte("old")}}, Item{Hash: []byte("old")}, false},
	} {
		if got := c.submission.Replaces(c.existing); got != c.want {
			t.Errorf("%s takes its place: %v", what, got)
		}
	}
}

// Whatever happens until it is back, a batch that is being reopened is known to be.
func TestABatchIsOnItsWayBackUntilItIsThere(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	inBatches(t, o, Anchor{From: 1, Most: 9, Bytes: 1000}, "a", "b")
	storeBatch(t, o, queue(t, o, Accepted)[0])
	batch, err := o.BeginReopening(queue(t, o, Stored)[0])
	must(t, err)
	if kept := queue(t, o, Stored)[0]; !batch.Reopening || !kept.Reopening {
		t.Errorf("it is on its way: %v, and kept as %v", batch.Reopening, kept.Reopening)
	}
	must(t, o.ReopenBatch(batch, nil))
	if again := queue(t, o, Accepted)[0]; again.Reopening || again.Directory != "" {
		t.Errorf("when it is there it is %+v", again)
	}
	if used, err := o.Uses("directory of a"); err != nil || used {
		t.Errorf("what it was sealed as is used: %v, %v", used, err)
	}
}

// Whoever else signs with this account is told from this node by it.
func TestWhatWasNeverSignedHereIsKnown(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	must(t, o.SetStored(accept(t, o, "a", "b")))
	expired := group(t, o, queue(t, o, Stored)[:1])
	must(t, o.Expire(expired))
	signed := group(t, o, queue(t, o, Stored)[1:])
	unsigned, err := o.Unsigned([]string{"ANOTHER'S", expired.TxIDs[0], signed.TxIDs[0], "ONE MORE"})
	if err != nil || !slices.Equal(unsigned, []string{"ANOTHER'S", "ONE MORE"}) {
		t.Errorf("of four, %v were never signed here (%v)", unsigned, err)
	}
}

func TestWhatANodeKnowsOfItselfOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	o, done := newOutbox(t, dir)
	if r, err := o.Recovery(); err != nil || r != nil {
		t.Errorf("of a new node there is to recover %+v (%v)", r, err)
	}
	if s, err := o.Sole(); err != nil || s != (Sole{}) {
		t.Errorf("a new node knows %+v (%v)", s, err)
	}
	sole := Sole{Account: "A", From: 7, Foreign: Foreign{Count: 1, TxID: "TX", Sequence: 3, Round: 9}}
	must(t, o.SetSole(sole))
	must(t, o.SetRecovery(&Recovery{Until: 5, Disputed: true}))
	must(t, o.SetMemo("memo", []byte("kept")))
	done()
	o, done = newOutbox(t, dir)
	defer func() { done() }()
	if s, err := o.Sole(); err != nil || s != sole {
		t.Errorf("it knows %+v (%v)", s, err)
	}
	if r, err := o.Recovery(); err != nil || r == nil || *r != (Recovery{Until: 5, Disputed: true}) {
		t.Errorf("to recover is %+v (%v)", r, err)
	}
	must(t, o.SetRecovery(nil))
	if r, err := o.Recovery(); err != nil || r != nil {
		t.Errorf("when it is done there is %+v (%v)", r, err)
	}
	if memo, err := o.Memo("memo"); err != nil || string(memo) != "kept" {
		t.Errorf("the memo is %q (%v)", memo, err)
	}
	must(t, o.ForgetMemo("memo"))
	if memo, err := o.Memo("memo"); err != nil || memo != nil {
		t.Errorf("forgotten it is %q (%v)", memo, err)
	}
}

// What took the place of something else says of what, until that is ended; what was withdrawn before had no place.
func TestWhatIsReplacedIsKnownUntilItIsEnded(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	items := accept(t, o, "a", "b")
	must(t, o.GiveUp(items[1], "no"))
	var again []Submission
	for _, name := range []string{"a", "b", "c"} {
		s := submission(name)
		s.Item.Hash, s.Replace = []byte("other"), true
		again = append(again, s)
	}
	taken, err := o.Accept(again)
	must(t, err)
	for i, want := range []Item{{Replaces: items[0].Number, Publication: 1}, {Publication: 1}, {}} {
		if got := taken[i]; got.Replaces != want.Replaces || got.Publication != want.Publication {
			t.Errorf("%s takes the place of %d, as publication %d", got.ObjectID, got.Replaces, got.Publication)
		}
	}
	replacing := func() (numbers []uint64) {
		list, err := o.Replacing(0, 10)
		must(t, err)
		for _, item := range list {
			numbers = append(numbers, item.Number)
		}
		return numbers
	}
	if got := replacing(); !slices.Equal(got, []uint64{taken[0].Number}) {
		t.Errorf("to be ended is what %v replace", got)
	}
	must(t, o.Replaced(taken[0].Number))
	if got := replacing(); got != nil {
		t.Errorf("when it is ended there are %v", got)
	}
}
