package outbox

import (
	"slices"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// What is taken in, and what is confirmed, goes into the day-book within the same transaction.

// Limit bounds what a request may bring. What is more than a day may take is not taken in: it comes back with the
// reason in [Item.Over].
func (r *Request) Limit(q daybook.Quota) { r.quota = q }

// today is the day that it is.
func (o *Outbox) today() daybook.Day { return daybook.DayOf(o.Now()) }

// intake is what a transaction takes in, as the day-book counts it.
type intake struct {
	tallies map[string]*daybook.Tally // by user
	spent   map[daybook.Entry]daybook.Sums
	day     daybook.Day
}

// admit counts a new object, or says why it must not come in. In a batch, the first pays for all.
func (in *intake) admit(txn *kv.Txn, r *Request, item Item) (over *daybook.OverError, err error) {
	if item.Note.Kind != wire.KindObject {
		return nil, nil
	}
	money := microalgo.PerNFT
	if r.batch != nil && !r.batch.isFull() {
		money = 0
	}
	tally := in.tallies[item.User]
	if tally == nil {
		if tally, err = daybook.Begin(txn, r.quota, item.User, in.day); err != nil {
			return nil, err
		}
		if in.tallies == nil {
			in.tallies = map[string]*daybook.Tally{}
		}
		in.tallies[item.User] = tally
	}
	if over = tally.Take(money); over == nil {
		in.note(daybook.Entry{For: daybook.Objects, By: item.cause()}, daybook.Sums{Taken: 1, Promised: money})
	}
	return over, nil
}

func (in *intake) note(e daybook.Entry, more daybook.Sums) {
	if in.spent == nil {
		in.spent = map[daybook.Entry]daybook.Sums{}
	}
	sums := in.spent[e]
	sums.Add(more)
	in.spent[e] = sums
}

// cause is who caused what an item costs.
func (i *Item) cause() string {
	if i.By != "" {
		return i.By
	}
	if i.purpose() == daybook.Objects {
		return i.User
	}
	return "" // the node itself
}

// purpose is what an item is for, to the day-book.
func (i *Item) purpose() daybook.Purpose {
	switch {
	case i.Note.Kind == wire.KindObject, i.Note.Kind == wire.KindBatch:
		return daybook.Objects
	case i.Note.Kind == wire.KindDestroy, i.Destroys != 0 && i.Note.Kind == wire.KindRemoval:
		return daybook.Withdrawals
	case i.Note.Kind == wire.KindRelease:
		return daybook.Releases
	}
	return daybook.Records
}

// confirmed notes what an item has cost, whose transaction is on the chain.
func (in *intake) confirmed(item Item, fee uint64) {
	sums := daybook.Sums{Fees: microalgo.Amount(fee)}
	switch item.Note.Kind {
	case wire.KindDestroy, wire.KindRelease:
		sums.Ended, sums.Freed = 1, microalgo.PerAsset
	default:
		sums.NFTs, sums.Locked = 1, microalgo.PerAsset
	}
	if item.purpose() == daybook.Objects {
		sums.Objects = uint64(item.weight())
	}
	in.note(daybook.Entry{For: item.purpose(), By: item.cause()}, sums)
}

// feeOf is what the transaction of an item cost that was signed in a group, in microalgo.
func feeOf(txn *kv.Txn, groups map[uint64]Group, item Item) (uint64, error) {
	g, known := groups[item.Group]
	if !known {
		if _, err := store.GetJSON(txn, store.Key(store.TableGroup, store.U64(item.Group)), &g); err != nil {
			return 0, err
		}
		groups[item.Group] = g
	}
	for i, txids := range g.Signings() {
		if slices.Contains(txids, item.TxID) && i < len(g.Fees) {
			return g.Fees[i], nil
		}
	}
	return uint64(microalgo.PerTransaction), nil // it was signed by a program that did not keep it
}
