package withdraw

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/serviceledger/slnode/node/internal/nodetest"
)

// past is an account of before.
type past struct {
	made      []uint64
	destroyed []uint64
	fails     error
}

func (p *past) Address() string { return "FORMER" }

func (p *past) Made(context.Context) ([]uint64, error) { return slices.Clone(p.made), p.fails }

func (p *past) Destroy(_ context.Context, assets []uint64) (int, error) {
	p.destroyed = append(p.destroyed, assets...)
	p.made = slices.DeleteFunc(p.made, func(asset uint64) bool { return slices.Contains(assets, asset) })
	return len(assets), p.fails
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
	w.Former = []former{account}
	want := func(what string, r Reclaim, nfts, left int, destroyed ...uint64) {
		t.Helper()
		account.destroyed = nil
		list, err := w.Reclaim(t.Context(), r)
		if err != nil || len(list) != 1 || list[0] != (Reclaimed{"FORMER", nfts, left}) || !slices.Equal(account.destroyed, destroyed) {
			t.Errorf("%s: %+v, %v; %v are destroyed", what, list, err, account.destroyed)
		}
	}
	want("asked only", Reclaim{DryRun: true, Published: true}, 3, 1)
	want("one is withdrawn", Reclaim{}, 1, 3, 7000)
	want("once more", Reclaim{}, 0, 3)
	d.endOne(7002, 2)
	want("the rest of a batch is", Reclaim{}, 1, 2, 7002)
	want("what is published goes as well", Reclaim{Published: true}, 1, 1, 7001)
	account.fails = errors.New("algod is away")
	if _, err := w.Reclaim(t.Context(), Reclaim{}); !errors.Is(err, account.fails) {
		t.Errorf("without algod: %v", err)
	}
}

func TestWhoHasHadNoOtherAccountDestroysNothing(t *testing.T) {
	w := newDesk(t).withdrawer()
	nodetest.Must(t, w.RunReclaim(t.Context()))
	if list, err := w.Reclaim(t.Context(), Reclaim{Published: true}); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
