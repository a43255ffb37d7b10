package outbox

import (
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

// deposits gives the objects and batches whose NFTs are in the list.
func deposits(t *testing.T, o *Outbox, limit int) (numbers []uint64) {
	t.Helper()
	list, err := o.Deposits(time.Now().Add(2*time.Second), limit)
	must(t, err)
	for _, d := range list {
		if time.Since(d.At) > time.Minute || d.Item.State != Confirmed {
			t.Errorf("NFT %d is of %s, and %s", d.Item.Asset, d.At, d.Item.State)
		}
		numbers = append(numbers, d.Item.Number)
	}
	return numbers
}

// Of what is confirmed, objects and batches have NFTs that need not stay: no records, nothing that failed, and nothing
// in another's batch.
func TestTheNFTsOfObjectsAndBatchesAreKnownUntilSomebodyHasDecided(t *testing.T) {
	dir := t.TempDir()
	o, done := newOutbox(t, dir)
	single := accept(t, o, "single", "failed", "elsewhere", "known")
	must(t, o.SetStored(single))
	inBatches(t, o, Anchor{From: 1, Most: 9, Bytes: 1000}, "a", "b")
	batch := queue(t, o, Accepted)[0]
	storeBatch(t, o, batch)
	_, err := o.Accept([]Submission{{Item: Item{Key: []byte("record"), Note: wire.Note{Kind: wire.KindMember}}}, {Item: Item{Key: []byte("end"), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: 4}}})
	must(t, err)
	must(t, o.Resolve(single[1], consortium.Place{TxID: "X", Asset: 5}, "other content"))
	must(t, o.Resolve(single[2], consortium.Place{TxID: "Y", Asset: 6, Index: 7}, ""))
	must(t, o.Resolve(single[3], consortium.Place{TxID: "Z", Asset: 8}, ""))
	if n := deposits(t, o, 10); len(n) != 1 || n[0] != single[3].Number {
		t.Errorf("before anything is confirmed there are %v", n)
	}
	g := group(t, o, queue(t, o, Stored))
	var places []consortium.Place
	for i, txid := range g.TxIDs {
		places = append(places, consortium.Place{TxID: txid, Round: 9, Asset: uint64(20 + i)})
	}
	_, err = o.Confirm(places)
	must(t, err)
	done()
	o, done = newOutbox(t, dir)
	defer func() { done() }()
	if n := deposits(t, o, 10); len(n) != 3 || len(deposits(t, o, 2)) != 2 {
		t.Errorf("there are %v, want those of items %d, %d and %d", n, single[0].Number, single[3].Number, batch.Number)
	}
	if list, err := o.Deposits(time.Now().Add(-time.Hour), 10); err != nil || len(list) != 0 {
		t.Errorf("an hour ago there were %d (%v)", len(list), err)
	}
	list, err := o.Deposits(time.Now().Add(2*time.Second), 10)
	must(t, err)
	for account, want := range map[string]int{list[0].Item.Publisher: 3, "another": 0} {
		if n, err := o.Releasable(account); err != nil || n != want {
			t.Errorf("of account %q, %d can be released (%v), want %d", account, n, err, want)
		}
	}
	must(t, o.Withdraw(wire.Publication{TxID: list[0].Item.TxID}))
	if n, err := o.Releasable(list[0].Item.Publisher); err != nil || n != 2 {
		t.Errorf("when one is withdrawn, %d can be released (%v)", n, err)
	}
	for _, d := range list {
		must(t, o.Decided(d))
	}
	if n, err := o.Releasable(list[0].Item.Publisher); err != nil || n != 0 {
		t.Errorf("when all are decided about, %d can be released (%v)", n, err)
	}
	if n := deposits(t, o, 10); len(n) != 0 {
		t.Errorf("after they are decided about there are %v", n)
	}
}

// Of two that exclude each other the first one comes in.
func TestWhatExcludesAnotherComesInFirstOrNotAtAll(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	end := Submission{Unless: []byte("release"), Item: Item{Key: []byte("end"), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: 7}}
	release := Submission{Unless: []byte("end"), Item: Item{Key: []byte("release"), Note: wire.Note{Kind: wire.KindRelease}, Destroys: 7}}
	for _, s := range []Submission{end, release, end} {
		items, err := o.Accept([]Submission{s})
		must(t, err)
		if items[0].Note.Kind != wire.KindDestroy || items[0].Number != 1 {
			t.Errorf("it gives %+v", items[0])
		}
	}
	must(t, o.GiveUp(queue(t, o, Stored)[0], "no"))
	items, err := o.Accept([]Submission{release})
	if err != nil || items[0].Note.Kind != wire.KindRelease || !items[0].New {
		t.Errorf("after the first is given up it gives %+v (%v)", items[0], err)
	}
}
