package withdraw

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/daybook"
)

// past is an account of before.
type past struct {
	made      []uint64
	destroyed []uint64
	free      microalgo.Amount
	fails     error
}

func (p *past) Address() string { return "FORMER" }

func (p *past) Made(context.Context) ([]uint64, error) { return slices.Clone(p.made), p.fails }

func (p *past) Destroy(_ context.Context, assets []uint64) (ledger.Destroyed, error) {
	p.destroyed = append(p.destroyed, assets...)
	p.made = slices.DeleteFunc(p.made, func(asset uint64) bool { return slices.Contains(assets, asset) })
	p.free += microalgo.PerAsset.Times(uint64(len(assets)))
	return ledger.Destroyed{NFTs: len(assets), Fees: microalgo.PerTransaction.Times(uint64(len(assets)))}, p.fails
}

func (p *past) GiveBack(context.Context) (ledger.Payment, error) {
	if p.free == 0 {
		return ledger.Payment{}, ledger.ErrNothingFree
	}
	paid := p.free.Less(microalgo.PerTransaction)
	p.free = 0
	return ledger.Payment{TxID: "PAID", Paid: paid, Fee: microalgo.PerTransaction}, nil
}

// notes are what is written in a day-book, all days and causes together.
type notes map[daybook.Purpose]daybook.Sums

func (n notes) Add(_ daybook.Day, e daybook.Entry, more daybook.Sums) error {
	sums := n[e.For]
	sums.Add(more)
	n[e.For] = sums
	return nil
}

// What is withdrawn frees what its NFT keeps locked under an account of before, a batch once nothing of it is left;
// what is published does only if that is asked for, and records never do.
func TestNFTsOfAnAccountOfBeforeAreDestroyedWhenWhatTheyPublishedIsWithdrawn(t *testing.T) {
	d := newDesk(t)
	d.show(version{one, 1, here}.entry(), "FORMER", "GONE", 7000)
	d.end(7000)
	d.show(version{one, 2, here}.entry(), "FORMER", "THERE", 7001)
	d.batch("FORMER", 7002, version{one, 3, here}, version{one, 4, here})
	d.endOne(7002, 1)
	w, account := d.withdrawer(), &past{made: []uint64{7000, 7001, 7002, 4711}}
	book := notes{}
	w.Former, w.Book = []former{account}, book
	want := func(what string, r Reclaim, nfts, left int, destroyed ...uint64) {
		t.Helper()
		account.destroyed = nil
		list, err := w.Reclaim(t.Context(), r)
		if err != nil || len(list) != 1 || list[0] != (Reclaimed{Account: "FORMER", NFTs: nfts, Left: left}) || !slices.Equal(account.destroyed, destroyed) {
			t.Errorf("%s: %+v; %v are destroyed", what, list, account.destroyed)
		}
	}
	want("asked only", Reclaim{DryRun: true, Published: true}, 3, 1)
	want("one is withdrawn", Reclaim{}, 1, 3, 7000)
	want("once more", Reclaim{}, 0, 3)
	d.endOne(7002, 2)
	want("the rest of a batch is", Reclaim{}, 1, 2, 7002)
	want("what is published goes as well", Reclaim{Published: true}, 1, 1, 7001)
	if want := (daybook.Sums{Ended: 3, Fees: 3000, Freed: 300_000}); len(book) != 1 || book[daybook.Former] != want {
		t.Errorf("the day-book has %+v, want %+v", book, want)
	}
	back, _ := w.Reclaim(t.Context(), Reclaim{GiveBack: true})
	if want := (Reclaimed{Account: "FORMER", Left: 1, Paid: 299_000, TxID: "PAID"}); len(back) != 1 || back[0] != want || book[daybook.Former].Fees != 4000 {
		t.Errorf("what is free comes back as %+v, want %+v; the day-book has %+v", back, want, book)
	}
	if again, _ := w.Reclaim(t.Context(), Reclaim{GiveBack: true}); again[0] != (Reclaimed{Account: "FORMER", Left: 1}) || book[daybook.Former].Fees != 4000 {
		t.Errorf("a second time it is %+v; the day-book has %+v", again, book)
	}
	account.fails = errors.New("algod is away")
	if list, _ := w.Reclaim(t.Context(), Reclaim{}); len(list) != 1 || list[0].Problem != "algod is away" {
		t.Errorf("without algod: %+v", list)
	}
}

func TestWhoHasHadNoOtherAccountDestroysNothing(t *testing.T) {
	w := newDesk(t).withdrawer()
	nodetest.Must(t, w.RunReclaim(t.Context()))
	if list, err := w.Reclaim(t.Context(), Reclaim{Published: true}); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
