package money_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/config"
)

// chain has an account, of an organisation with so many collections that others read.
type chain struct {
	funds ledger.Funds
	err   error
	rekey int
}

func (c chain) Address() string                             { return "ACCOUNT" }
func (c chain) Funds(context.Context) (ledger.Funds, error) { return c.funds, c.err }
func (c chain) ToRekey() int                                { return c.rekey }

func account(free microalgo.Amount, rekey int, err error) money.Account {
	c := chain{ledger.Funds{Amount: uint64(free) + 100_000, Locked: 100_000}, err, rekey}
	return money.Account{Ledger: c, Terms: money.NewTerms(config.Default()), State: c}
}

func TestWhatCantBePaidIsRefusedWithWhatIsLacking(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		free       microalgo.Amount
		nfts, ends int
		want       string
	}{
		{microalgo.PerNFT, 1, 0, ""}, {2 * microalgo.PerNFT, 2, 0, ""}, {1000, 0, 1, ""}, {2000, 1, 1, ""},
		{1999, 1, 1, "this takes 0.002 ALGO, of which 0 stay locked, and account ACCOUNT has 0.001999 to spend: send it at least 0.000001 more"},
		{3000, 2, 1, "this takes 0.103 ALGO, of which 0.1 stay locked, and account ACCOUNT has 0.003 to spend: send it at least 0.1 more"},
		{microalgo.PerNFT - 1, 1, 0, "this takes 0.101 ALGO, of which 0.1 stay locked, and account ACCOUNT has 0.100999 to spend: send it at least 0.000001 more"},
		{microalgo.PerNFT, 2, 0, "takes 0.202 ALGO, of which 0.2 stay locked, and account ACCOUNT has 0.101 to spend: send it at least 0.101 more"},
	} {
		err := account(c.free, 0, nil).Afford(t.Context(), c.nfts, c.ends)
		var input *problem.InputError
		if (err == nil) != (c.want == "") || err != nil && (!errors.As(err, &input) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%d NFTs and %d destroyed of %s: %v, want %q", c.nfts, c.ends, c.free, err, c.want)
		}
	}
	if err := account(0, 0, errors.New("algod is away")).Afford(t.Context(), 1, 0); err != nil {
		t.Errorf("while the balance is not known: %v", err)
	}
}

func TestWhatObjectsCanSpendLeavesTheReserve(t *testing.T) {
	t.Parallel()
	for rekey, want := range map[int]microalgo.Amount{0: microalgo.ALGO - 200_000, 5: microalgo.ALGO - 505_000} {
		if got, err := account(microalgo.ALGO, rekey, nil).Spendable(t.Context()); err != nil || got != want {
			t.Errorf("with %d collections to rekey it is %s, %v, want %s", rekey, got, err, want)
		}
	}
	if _, err := account(0, 0, errors.New("algod is away")).Spendable(t.Context()); err == nil {
		t.Error("nobody says that the balance is not known")
	}
}
