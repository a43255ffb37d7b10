package ledger_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/algod"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/mnemonic"
	"github.com/algorand/go-algorand-sdk/v2/transaction"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/testnet/devchain"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newLedger is a ledger of an account with the given funds, on a chain of its own.
func newLedger(t testing.TB, roundTime time.Duration, microalgo uint64) (*ledger.Ledger, *devchain.Chain) {
	t.Helper()
	chain, err := devchain.Start(t.Context(), devchain.Config{RoundTime: roundTime})
	must(t, err)
	t.Cleanup(func() { must(t, chain.Close()) })
	client, err := algorand.NewAlgod(chain.AlgodURL(), chain.Token())
	must(t, err)
	account := crypto.GenerateAccount()
	fund(t, client, chain, account.Address.String(), microalgo)
	return ledger.New(client, account, 10_000), chain
}

func fund(t testing.TB, client *algod.Client, chain *devchain.Chain, address string, microalgo uint64) {
	t.Helper()
	key, err := mnemonic.ToPrivateKey(chain.Funder())
	must(t, err)
	funder, err := crypto.AccountFromPrivateKey(key)
	must(t, err)
	params, err := client.SuggestedParams().Do(t.Context())
	must(t, err)
	payment, err := transaction.MakePaymentTxn(funder.Address.String(), address, microalgo, nil, "", params)
	must(t, err)
	id, raw, err := crypto.SignTransaction(key, payment)
	must(t, err)
	_, err = client.SendRawTransaction(raw).Do(t.Context())
	must(t, err)
	must(t, chain.Advance(1)) // needed only where rounds take their time
	_, err = transaction.WaitForConfirmation(client, id, 10, t.Context())
	must(t, err)
}

func mints(n int, name string) []ledger.Mint {
	list := make([]ledger.Mint, n)
	for i := range list {
		list[i] = ledger.Mint{URL: "ipfs://x", Note: fmt.Appendf(nil, "serviceledger/1:j%s %d", name, i), Lease: sha256.Sum256(fmt.Appendf(nil, "%s %d", name, i))}
	}
	return list
}

func sign(t testing.TB, l *ledger.Ledger, m []ledger.Mint) ledger.Group {
	t.Helper()
	params, err := l.Params(t.Context())
	must(t, err)
	g, err := l.Sign(params, m)
	must(t, err)
	return g
}

func TestAGroupIsConfirmedTogetherAndItsAssetsAreFound(t *testing.T) {
	l, _ := newLedger(t, 0, 10_000_000)
	g := sign(t, l, mints(16, "a"))
	must(t, l.Submit(t.Context(), g.Raw))
	round, err := l.Round(t.Context())
	must(t, err)
	minted, err := l.Minted(t.Context(), round)
	must(t, err)
	if len(minted) != 16 {
		t.Fatalf("%d NFTs in the block, want 16", len(minted))
	}
	for i, m := range minted {
		if m.TxID != g.TxIDs[i] || m.Asset == 0 || m.Round != round {
			t.Errorf("NFT %d is %+v, want transaction %s in round %d", i, m, g.TxIDs[i], round)
		}
	}
	fate, m, err := l.Fate(t.Context(), g.TxIDs[3], g.FirstValid, g.LastValid)
	if err != nil || fate != ledger.Confirmed || m != minted[3] {
		t.Errorf("fate %v, %+v, %v; want confirmed as %+v", fate, m, err, minted[3])
	}
}

func TestSubmittingTheSameBytesAgainIsHarmless(t *testing.T) {
	l, _ := newLedger(t, 0, 10_000_000)
	g := sign(t, l, mints(2, "a"))
	for range 3 {
		must(t, l.Submit(t.Context(), g.Raw))
	}
	funds, err := l.Funds(t.Context())
	must(t, err)
	if funds.Locked != 100_000+2*100_000 {
		t.Errorf("%d microalgo are locked, want what two assets lock", funds.Locked)
	}
}

func TestRefusalsAreClassified(t *testing.T) {
	l, chain := newLedger(t, 0, 1_000_000)
	old := sign(t, l, mints(1, "old"))
	must(t, chain.Advance(int(old.LastValid-old.FirstValid)+12))
	first := sign(t, l, mints(1, "lease"))
	must(t, l.Submit(t.Context(), first.Raw))
	params, err := l.Params(t.Context())
	must(t, err)
	params.Round++ // another transaction with the same lease
	lease, err := l.Sign(params, mints(1, "lease"))
	must(t, err)
	for name, c := range map[string]struct {
		group ledger.Group
		want  ledger.Reason
	}{
		"expired": {old, ledger.Expired},
		"lease":   {lease, ledger.LeaseHeld},
		"funds":   {sign(t, l, mints(16, "much")), ledger.NoFunds},
	} {
		var refused *ledger.RefusedError
		if err := l.Submit(t.Context(), c.group.Raw); !errors.As(err, &refused) || refused.Reason != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if fate, _, err := l.Fate(t.Context(), old.TxIDs[0], old.FirstValid, old.LastValid); err != nil || fate != ledger.Absent {
		t.Errorf("the fate of the expired one is %v, %v; want impossible", fate, err)
	}
}

func TestAPooledTransactionIsPendingUntilItsRound(t *testing.T) {
	l, chain := newLedger(t, time.Hour, 10_000_000)
	g := sign(t, l, mints(1, "a"))
	must(t, l.Submit(t.Context(), g.Raw))
	if fate, _, err := l.Fate(t.Context(), g.TxIDs[0], g.FirstValid, g.LastValid); err != nil || fate != ledger.Pending {
		t.Errorf("in the pool: %v, %v; want pending", fate, err)
	}
	must(t, chain.Advance(1))
	if fate, _, err := l.Fate(t.Context(), g.TxIDs[0], g.FirstValid, g.LastValid); err != nil || fate != ledger.Confirmed {
		t.Errorf("after the round: %v, %v; want confirmed", fate, err)
	}
}

func TestADroppedTransactionCanBeSentAgain(t *testing.T) {
	l, chain := newLedger(t, 0, 10_000_000)
	must(t, chain.SetFaults(devchain.Faults{DropNext: 1}))
	g := sign(t, l, mints(1, "a"))
	must(t, l.Submit(t.Context(), g.Raw))
	if fate, _, err := l.Fate(t.Context(), g.TxIDs[0], g.FirstValid, g.LastValid); err != nil || fate != ledger.Unknown {
		t.Fatalf("dropped: %v, %v; want unknown while it can still be confirmed", fate, err)
	}
	must(t, l.Submit(t.Context(), g.Raw))
	if fate, _, err := l.Fate(t.Context(), g.TxIDs[0], g.FirstValid, g.LastValid); err != nil || fate != ledger.Confirmed {
		t.Fatalf("sent again: %v, %v; want confirmed", fate, err)
	}
}

// Behind a provider's address there are many algods. One is ahead, another has not seen the last blocks yet.
// Nor because algod has forgotten it.
func TestATransactionIsNotGivenUpBecauseOneAlgodIsBehind(t *testing.T) {
	const first, last = 100, 600
	var round uint64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/status" {
			fmt.Fprintf(w, `{"last-round":%d}`, round)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"could not find the transaction in the transaction pool or in the last 1000 confirmed rounds"}`)
	}))
	defer server.Close()
	client, err := algorand.NewAlgod(server.URL, "")
	must(t, err)
	l := ledger.New(client, crypto.GenerateAccount(), 10_000)
	for _, c := range []struct {
		round uint64
		want  ledger.Fate
	}{
		{last, ledger.Unknown}, {last + 1, ledger.Unknown}, {last + 10, ledger.Unknown}, // another server may have it
		{last + 11, ledger.Absent}, {first + 989, ledger.Absent},
		{first + 990, ledger.Unknown}, {first + 5000, ledger.Unknown}, // it may have been confirmed, and forgotten
	} {
		round = c.round
		if fate, _, err := l.Fate(t.Context(), strings.Repeat("A", 52), first, last); err != nil || fate != c.want {
			t.Errorf("in round %d: %v, %v; want %v", round, fate, err, c.want)
		}
	}
}

func TestAFeeAboveTheCapIsNeverSigned(t *testing.T) {
	l, chain := newLedger(t, 0, 10_000_000)
	must(t, chain.SetFaults(devchain.Faults{FeePerByte: 1 << 40}))
	params, err := l.Params(t.Context())
	must(t, err)
	var congested *ledger.CongestedError
	if _, err := l.Sign(params, mints(1, "a")); !errors.As(err, &congested) {
		t.Errorf("signed under congestion: %v", err)
	}
	must(t, chain.SetFaults(devchain.Faults{FeePerByte: 5}))
	g := sign(t, l, mints(4, "a"))
	must(t, l.Submit(t.Context(), g.Raw)) // a moderate fee is paid
}

func TestAThrottlingServerIsToldApart(t *testing.T) {
	l, chain := newLedger(t, 0, 10_000_000)
	must(t, chain.SetFaults(devchain.Faults{Algod: devchain.EndpointFaults{Status: 429, RetryAfter: 7}}))
	var throttled *algorand.Throttled
	if _, err := l.Params(t.Context()); !errors.As(err, &throttled) || throttled.After != 7*time.Second {
		t.Errorf("429: %v", err)
	}
	must(t, chain.SetFaults(devchain.Faults{Algod: devchain.EndpointFaults{Down: true}}))
	if _, err := l.Params(t.Context()); err == nil || errors.As(err, &throttled) {
		t.Errorf("down: %v", err)
	}
}

func TestWaitingEndsWithTheRoundOrTheContext(t *testing.T) {
	l, chain := newLedger(t, 0, 10_000_000)
	round := chain.Round()
	if got, err := l.WaitAfter(t.Context(), round-1); err != nil || got != round {
		t.Errorf("round %d, %v; want %d at once", got, err, round)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := l.WaitAfter(ctx, round); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := l.Minted(t.Context(), round+10); !errors.Is(err, ledger.ErrNoBlock) {
		t.Errorf("a future block: %v", err)
	}
}

func TestAHostileAnswerIsBounded(t *testing.T) {
	l, _ := newLedger(t, 0, 0)
	_, err := l.Sign(ledger.Params{Round: 1, MinFee: 1000}, mints(17, "a"))
	if err == nil || !strings.Contains(err.Error(), "17") {
		t.Errorf("a group of 17: %v", err)
	}
}

func BenchmarkSign(b *testing.B) {
	l := ledger.New(nil, crypto.GenerateAccount(), 10_000)
	group := mints(16, "a")
	for b.Loop() {
		if _, err := l.Sign(ledger.Params{Round: 1, MinFee: 1000}, group); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(16*float64(b.N)/b.Elapsed().Seconds(), "transactions/s")
}
