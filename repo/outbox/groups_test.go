package outbox

import (
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// itemByTxID gives the item that a transaction publishes.
func itemByTxID(o *Outbox, txid string) (item Item, found bool, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		item, found, err = itemBy(txn, store.Key(store.TableTx, []byte(txid)))
		return err
	})
	return item, found, err
}

func TestAnExpiredGroupIsSignedAnewWithTheSameNumbers(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	accept(t, o, "a", "b")
	must(t, o.SetStored(queue(t, o, Accepted)))
	g := group(t, o, queue(t, o, Stored))
	must(t, o.Expire(g))
	items := queue(t, o, Stored)
	if len(items) != 2 || items[0].Note.Sequence != 1 || items[1].Note.Sequence != 2 || items[0].TxID != "" {
		t.Fatalf("after the expiry: %+v", items)
	}
	if _, err := o.Confirm([]consortium.Place{{TxID: g.TxIDs[0], Round: 9, Asset: 9}}); err != nil {
		t.Fatal(err)
	}
	if items := queue(t, o, Stored); len(items) != 2 {
		t.Error("the old transaction of an expired group was taken for a confirmation")
	}
	again := group(t, o, items)
	if again.Number == g.Number || len(queue(t, o, Signed)) != 2 {
		t.Errorf("signed anew as %+v", again)
	}
}

func TestASigningIsConfirmedWhicheverItWas(t *testing.T) {
	for _, confirmed := range []string{"TX-a-1", "DEARER"} {
		o, done := newOutbox(t, t.TempDir())
		accept(t, o, "a")
		must(t, o.SetStored(queue(t, o, Accepted)))
		g := group(t, o, queue(t, o, Stored))
		resigned, found, err := o.Resign(g.Number, []string{"DEARER"}, []byte("signed anew"), 2000)
		if err != nil || !found || len(resigned.Signings()) != 2 || string(resigned.Raw) != "signed anew" {
			t.Fatalf("signed anew: %+v, %t, %v", resigned, found, err)
		}
		if item := queue(t, o, Signed)[0]; item.TxID != "DEARER" {
			t.Errorf("the item's transaction is %s", item.TxID)
		}
		items, err := o.Confirm([]consortium.Place{{TxID: confirmed, Round: 7, Asset: 8}})
		if err != nil || len(items) != 1 || items[0].TxID != confirmed || items[0].Asset != 8 {
			t.Errorf("%s is confirmed: %+v, %v", confirmed, items, err)
		}
		if again, err := o.Confirm([]consortium.Place{{TxID: "TX-a-1", Round: 9}, {TxID: "DEARER", Round: 9}}); err != nil || len(again) != 0 {
			t.Errorf("confirmed twice: %+v, %v", again, err)
		}
		if groups, err := o.Groups(0, 10); err != nil || len(groups) != 0 {
			t.Errorf("groups %+v, %v", groups, err)
		}
		if _, found, err := o.Resign(g.Number, []string{"X"}, nil, 2000); err != nil || found {
			t.Errorf("what is confirmed is signed anew: %t, %v", found, err)
		}
		done()
	}
}

func TestWhatExpiredIsForgottenWithAllItsSignings(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	accept(t, o, "a", "b")
	must(t, o.SetStored(queue(t, o, Accepted)))
	g := group(t, o, queue(t, o, Stored))
	g, _, err := o.Resign(g.Number, []string{"A2", "B2"}, []byte("2"), 2000)
	must(t, err)
	g, _, err = o.Resign(g.Number, []string{"A3", "B3"}, []byte("3"), 2000)
	must(t, err)
	must(t, o.Expire(g))
	for _, txids := range g.Signings() {
		for _, txid := range txids {
			if _, found, err := itemByTxID(o, txid); err != nil || found {
				t.Errorf("%s is still known: %t, %v", txid, found, err)
			}
		}
	}
	if got := queue(t, o, Stored); len(got) != 2 || got[0].Note.Sequence != 1 {
		t.Errorf("stored: %+v", got)
	}
}

// A group can be found to be lost twice, or after its items were signed anew: what is on its way now stays so.
func TestAnOldGroupThatExpiresDoesNotTouchANewerOne(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	accept(t, o, "a", "b")
	must(t, o.SetStored(queue(t, o, Accepted)))
	first := group(t, o, queue(t, o, Stored))
	must(t, o.Expire(first))
	second := group(t, o, queue(t, o, Stored))
	must(t, o.Expire(first))
	signed := queue(t, o, Signed)
	if len(signed) != 2 || len(queue(t, o, Stored)) != 0 || signed[0].Group != second.Number || signed[1].TxID != second.TxIDs[1] {
		t.Fatalf("after the old group expired again: %+v", signed)
	}
	if item, found, err := itemByTxID(o, second.TxIDs[0]); err != nil || !found || item.State != Signed {
		t.Errorf("the newer transaction's item is %+v, %v, %v", item, found, err)
	}
	if found, err := o.HasGroup(second.Number); err != nil || !found {
		t.Errorf("the newer group is there: %v, %v", found, err)
	}
	// Nor does it touch what is confirmed.
	_, err := o.Confirm([]consortium.Place{{TxID: second.TxIDs[0], Round: 5, Asset: 100}})
	must(t, err)
	must(t, o.Expire(second))
	if item, _, err := o.Item(signed[0].Number); err != nil || item.State != Confirmed || item.Asset != 100 {
		t.Errorf("a confirmed item of a group that expired is %+v, %v", item, err)
	}
	if stored := queue(t, o, Stored); len(stored) != 1 || stored[0].Number != signed[1].Number {
		t.Errorf("to be signed anew: %+v", stored)
	}
}

// One that was signed again with the same lease may be the one that is confirmed; one that was given up can't.
func TestAConfirmationOfATransactionThatWasGivenUpIsNone(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	accept(t, o, "a")
	must(t, o.SetStored(queue(t, o, Accepted)))
	for _, txid := range []string{"TX-1", "TX-2"} {
		items, err := o.Number(queue(t, o, Stored))
		must(t, err)
		groups, err := o.AddGroups([]Group{{TxIDs: []string{txid}, Raw: []byte("signed")}}, items)
		must(t, err)
		if txid == "TX-1" {
			must(t, o.Expire(groups[0]))
		}
	}
	if confirmed, err := o.Confirm([]consortium.Place{{TxID: "TX-1", Round: 5, Asset: 100}}); err != nil || len(confirmed) != 0 {
		t.Errorf("confirmed %+v, %v", confirmed, err)
	}
	if confirmed, err := o.Confirm([]consortium.Place{{TxID: "TX-2", Round: 6, Asset: 101}}); err != nil || len(confirmed) != 1 || confirmed[0].Asset != 101 {
		t.Errorf("confirmed %+v, %v", confirmed, err)
	}
}

func TestAGroupConfirmedInPartStaysUntilItsLastTransaction(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	accept(t, o, "a", "b", "c")
	must(t, o.SetStored(queue(t, o, Accepted)))
	g := group(t, o, queue(t, o, Stored))
	for i, txid := range g.TxIDs {
		if found, err := o.HasGroup(g.Number); err != nil || !found {
			t.Errorf("before transaction %d the group is there: %v, %v", i, found, err)
		}
		_, err := o.Confirm([]consortium.Place{{TxID: txid, Round: 5, Asset: uint64(100 + i)}})
		must(t, err)
	}
	if found, err := o.HasGroup(g.Number); err != nil || found {
		t.Errorf("after the last one it is there: %v, %v", found, err)
	}
}
