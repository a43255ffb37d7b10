package ledger_test

import (
	"errors"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"

	"github.com/serviceledger/slnode/internal/ledger"
)

// What is free goes to the other account, but for the fee; what must stay stays, and a second time there is nothing.
func TestAllThatIsFreeIsPaidOnce(t *testing.T) {
	l, _ := newLedger(t, 0, 2_500_000)
	to := crypto.GenerateAccount().Address.String()
	p, err := l.SpendAll(t.Context(), to)
	must(t, err)
	if p.TxID == "" || p.Paid != 2_399_000 || p.Fee != 1000 {
		t.Errorf("it is %+v", p)
	}
	now, err := l.Funds(t.Context())
	must(t, err)
	there, err := l.FundsOf(t.Context(), to)
	must(t, err)
	if now.Amount != 100_000 || now.Free() != 0 || there.Amount != 2_399_000 {
		t.Errorf("%+v are left, %+v are there", now, there)
	}
	if _, err := l.SpendAll(t.Context(), to); !errors.Is(err, ledger.ErrNothingFree) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := l.SpendAll(t.Context(), "nowhere"); err == nil {
		t.Error("it is paid to nowhere")
	}
}
