package ledger_test

import (
	"strconv"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
)

// What a former account has minted is destroyed with its own key, also where it has nothing for the fee, and what that
// frees can be paid to the present one.
func TestWhatAFormerAccountMintedIsDestroyedAndItsDepositsComeBack(t *testing.T) {
	l, chain := newLedger(t, 0, 4_000_000)
	before := crypto.GenerateAccount()
	client, err := algorand.NewAlgod(chain.AlgodURL(), chain.Token())
	must(t, err)
	former := l.Before([]crypto.Account{before})[0]
	if _, err := former.Made(t.Context()); err != nil {
		t.Errorf("of an account without anything: %v", err)
	}
	fund(t, client, chain, before.Address.String(), 2_500_000)
	for i, n := range []int{16, 2} {
		group := sign(t, former.Ledger, mints(n, strconv.Itoa(i)))
		must(t, former.Submit(t.Context(), group.Raw))
		must(t, ledger.AwaitRound(t.Context(), former, 1))
	}
	if p, err := former.GiveBack(t.Context()); err != nil || p.Paid == 0 || p.Fee != 1000 {
		t.Fatalf("%+v, %v", p, err)
	}
	made, err := former.Made(t.Context())
	if err != nil || len(made) != 18 {
		t.Fatalf("%v, %v", made, err)
	}
	done, err := former.Destroy(t.Context(), made[:17])
	if err != nil || done != (ledger.Destroyed{NFTs: 17, Fees: 18_000}) { // one of them for what the first group's fees are paid with
		t.Fatalf("%+v, %v", done, err)
	}
	funds, err := former.Funds(t.Context())
	must(t, err)
	left, err := former.Made(t.Context())
	if err != nil || len(left) != 1 || left[0] != made[17] || funds.Locked != 200_000 || funds.Free() < 1_700_000-17_000 {
		t.Errorf("%v are left, %+v, %v", left, funds, err)
	}
	if done, err := former.Destroy(t.Context(), made[:1]); err == nil || done != (ledger.Destroyed{}) {
		t.Errorf("once more: %+v, %v", done, err)
	}
}
