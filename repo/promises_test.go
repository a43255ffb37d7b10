package repo

import (
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/serviceledger/slnode/repo/internal/kv"
)

// What the memory of an argon2id check tells, its time tells too: who guesses names learns nothing from how long it takes.
func TestAnUnknownUserCostsWhatAKnownOneDoes(t *testing.T) {
	a := openAccounts(t)
	addAccount(t, a, "ann", "admin")
	cost := func(user, password string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := a.Check(user, password); !errors.Is(err, ErrCredentials) {
			t.Errorf("%s: %v", user, err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	known, unknown := cost("ann", "wrong"), cost("nobody", "wrong")
	if least := uint64(argonMemory << 10); known < least || unknown < least || unknown > known+known/2 || known > unknown+unknown/2 {
		t.Errorf("a known user costs %d bytes of memory, an unknown one %d; a hash takes %d", known, unknown, least)
	}
	if checkPassword(nobodysHash, "") || checkPassword(nobodysHash, "nobody") {
		t.Error("nobody has a password")
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
	if item, found, err := o.ItemByTxID(second.TxIDs[0]); err != nil || !found || item.State != Signed {
		t.Errorf("the newer transaction's item is %+v, %v, %v", item, found, err)
	}
	if found, err := o.HasGroup(second.Number); err != nil || !found {
		t.Errorf("the newer group is there: %v, %v", found, err)
	}
	// Nor does it touch what is confirmed.
	_, err := o.Confirm([]Confirmation{{TxID: second.TxIDs[0], Round: 5, Asset: 100}})
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
	if confirmed, err := o.Confirm([]Confirmation{{TxID: "TX-1", Round: 5, Asset: 100}}); err != nil || len(confirmed) != 0 {
		t.Errorf("confirmed %+v, %v", confirmed, err)
	}
	if confirmed, err := o.Confirm([]Confirmation{{TxID: "TX-2", Round: 6, Asset: 101}}); err != nil || len(confirmed) != 1 || confirmed[0].Asset != 101 {
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
		_, err := o.Confirm([]Confirmation{{TxID: txid, Round: 5, Asset: uint64(100 + i)}})
		must(t, err)
	}
	if found, err := o.HasGroup(g.Number); err != nil || found {
		t.Errorf("after the last one it is there: %v, %v", found, err)
	}
}

// Whichever version of an object is withdrawn, its first and last are those that are left.
func TestTheFirstVersionIsTheEarliestThatIsLeft(t *testing.T) {
	days := []string{"malware-1 2026-11-23", "malware-1 2026-11-24", "malware-1 2026-11-25"}
	for withdrawn, want := range map[int][2]string{0: {days[1], days[2]}, 1: {days[0], days[2]}, 2: {days[0], days[1]}} {
		v, c := newView(t), &chain{}
		var events []NewEvent
		for day := range days {
			e := c.event()
			events = append(events, e)
			publish(t, v, e, entryOf(e, collectionA, "malware-1", monday.AddDate(0, 0, day), "x"))
		}
		_, err := v.Withdraw(Recall{Asset: events[withdrawn].Asset, Senders: []string{"PUBLISHER"}})
		must(t, err)
		check := func(what string, versions Versions, want ...string) {
			t.Helper()
			for _, q := range []Query{{Versions: versions}, {Versions: versions, IDs: []string{"malware-1"}}, {Versions: versions, Types: []string{"malware"}}} {
				q.Collection = collectionA
				if got := page(t, v, q); !slices.Equal(got, want) {
					t.Errorf("without version %d, %s: %v, want %v", withdrawn, what, got, want)
				}
			}
		}
		check("the first", Versions{First: true}, want[0])
		check("the last", Versions{Last: true}, want[1])
		check("both", Versions{First: true, Last: true}, want[0], want[1])
		check("all", Versions{All: true}, want[0], want[1])
		// The two that are left, one after the other.
		left := slices.Delete(slices.Clone(events), withdrawn, withdrawn+1)
		_, err = v.Withdraw(Recall{Asset: left[0].Asset, Senders: []string{"PUBLISHER"}})
		must(t, err)
		check("the first of one", Versions{First: true}, want[1])
		check("the last of one", Versions{Last: true}, want[1])
		_, err = v.Withdraw(Recall{Asset: left[1].Asset, Senders: []string{"PUBLISHER"}})
		must(t, err)
		check("the first of none", Versions{First: true})
		if has, err := v.Has(collectionA, "malware-1"); err != nil || has {
			t.Errorf("without a version it is there: %v, %v", has, err)
		}
	}
}

// Accounts were made before it was noted that somebody was let in: an account alone says so, too.
func TestANodeWithAnAccountIsClaimedWithoutAMark(t *testing.T) {
	a := openAccounts(t)
	addAccount(t, a, "ann", "admin")
	must(t, a.change(func(txn *kv.Txn) error { return txn.Delete(key(tableClaimed)) }))
	if claimed, err := a.Claimed(); err != nil || !claimed {
		t.Errorf("claimed: %v, %v", claimed, err)
	}
	if _, err := a.Add("eve", "x", "admin", Limits{}, true, monday); !errors.Is(err, ErrTaken) {
		t.Errorf("whoever comes is the first: %v", err)
	}
	if _, err := a.Add("bob", "x", "reader", Limits{}, false, monday); err != nil {
		t.Errorf("an administrator's own account: %v", err)
	}
}
