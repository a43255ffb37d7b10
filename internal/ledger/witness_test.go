package ledger_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/testnet/devchain"
	"github.com/serviceledger/slnode/testnet/gateway"
)

// lying is a ledger that asks its algod through a gateway.
func lying(t testing.TB) (*ledger.Ledger, *devchain.Chain, *gateway.Gateway) {
	t.Helper()
	chain, err := devchain.Start(t.Context(), devchain.Config{})
	must(t, err)
	t.Cleanup(func() { must(t, chain.Close()) })
	g, err := gateway.Start(chain.AlgodURL())
	must(t, err)
	t.Cleanup(func() { must(t, g.Close()) })
	client, err := algorand.NewAlgod(g.URL(), chain.Token())
	must(t, err)
	account := crypto.GenerateAccount()
	fund(t, client, chain, account.Address.String(), 100_000_000)
	return ledger.New(client, account, 10_000), chain, g
}

func fee(t testing.TB, raw []byte) uint64 {
	t.Helper()
	var s types.SignedTxn
	must(t, msgpack.NewDecoder(bytes.NewReader(raw)).Decode(&s))
	return uint64(s.Txn.Fee)
}

func TestOnlyOneOfTwoSigningsOfAGroupCanEverBeConfirmed(t *testing.T) {
	for name, order := range map[string][2]int{"the cheaper first": {0, 1}, "the dearer first": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			l, chain := newLedger(t, 0, 10_000_000)
			first := sign(t, l, mints(3, "a"))
			params, err := l.Params(t.Context())
			must(t, err)
			params.FeePerByte = 4
			second, err := l.Raise(params, first.Raw)
			must(t, err)
			if first.FirstValid != second.FirstValid || first.LastValid != second.LastValid || fee(t, second.Raw) < 4*600 || first.TxIDs[0] == second.TxIDs[0] {
				t.Fatalf("signed anew: %+v with fee %d", second, fee(t, second.Raw))
			}
			signings := []ledger.Group{first, second}
			must(t, chain.Advance(100))
			must(t, l.Submit(t.Context(), signings[order[0]].Raw))
			other := signings[order[1]].Raw
			for _, rounds := range []int{0, 100, ledger.Window - 200 - 3, 1, 1, 1, 10} { // up to its last round, and beyond
				must(t, chain.Advance(rounds))
				var refused *ledger.RefusedError
				if err := l.Submit(t.Context(), other); !errors.As(err, &refused) || refused.Reason != ledger.LeaseHeld && refused.Reason != ledger.Expired {
					t.Fatalf("in round %d of %d to %d the other one: %v", chain.Round(), first.FirstValid, first.LastValid, err)
				}
			}
		})
	}
}

func TestAFeeIsRaisedOnlyAsFarAsItMay(t *testing.T) {
	l, _ := newLedger(t, 0, 10_000_000)
	g := sign(t, l, mints(1, "a"))
	params, err := l.Params(t.Context())
	must(t, err)
	for perByte, want := range map[uint64]uint64{0: 0, 1: 0, 3: 3600, 16: 10_000} {
		params.FeePerByte = perByte
		raised, err := l.Raise(params, g.Raw)
		must(t, err)
		if want == 0 {
			if raised.TxIDs != nil {
				t.Errorf("at %d a byte it is signed anew", perByte)
			}
		} else if got := fee(t, raised.Raw); got != want {
			t.Errorf("at %d a byte the fee is %d, want %d", perByte, got, want)
		}
	}
	for _, perByte := range []uint64{17, 1 << 40, 1 << 63} {
		params.FeePerByte = perByte
		var congested *ledger.CongestedError
		if _, err := l.Raise(params, g.Raw); !errors.As(err, &congested) {
			t.Errorf("at %d a byte: %v", perByte, err)
		}
	}
	bare, err := l.Sign(ledger.Params{GenesisHash: params.GenesisHash, MinFee: 1000}, []ledger.Mint{{URL: "ipfs://x"}})
	must(t, err)
	params.FeePerByte = 3
	if _, err := l.Raise(params, bare.Raw); err == nil {
		t.Error("what has no lease is signed anew: both could be confirmed")
	}
}

// A transaction for rounds that are far away would be stuck until then, or be confirmed beside another in its place.
func TestOneWrongRoundOfAlgodIsNotBelieved(t *testing.T) {
	for _, rule := range []gateway.Rule{{Round: 1_000_000}, {At: 1}, {Round: 300}} {
		for _, skip := range []int{0, 1, 2, 3} {
			l, chain, g := lying(t)
			must(t, chain.Advance(500))
			rule.Skip, rule.Count = skip, 1
			must(t, g.Set(rule))
			for range 4 {
				params, err := l.Params(t.Context())
				if err == nil && params.Round != chain.Round() {
					t.Errorf("%+v: signed for round %d, it is %d", rule, params.Round, chain.Round())
				}
				if round, err := l.Round(t.Context()); err == nil && round != chain.Round() {
					t.Errorf("%+v: round %d, it is %d", rule, round, chain.Round())
				}
			}
			if _, err := l.Params(t.Context()); err != nil {
				t.Errorf("%+v: it doesn't recover: %v", rule, err)
			}
		}
	}
	l, chain, _ := lying(t)
	for _, rounds := range []int{1, 2000, 1} { // the chain itself may jump
		must(t, chain.Advance(rounds))
		if round, err := l.Round(t.Context()); err != nil || round != chain.Round() {
			t.Errorf("round %d of %d: %v", round, chain.Round(), err)
		}
	}
}

func TestAbsenceIsOnlyWhatAlgodItselfSays(t *testing.T) {
	for name, rule := range map[string]gateway.Rule{
		"a gateway's 404": {Status: 404, Body: `{"message":"no Route matched with those values"}`},
		"a page":          {Status: 404, Type: "text/html", Body: "<html>"},
		"an empty answer": {Status: 200, Body: ""},
		"HTML with 200":   {Status: 200, Type: "text/html", Body: "<html>"},
		"an empty object": {Status: 200, Body: "{}"},
		"cut off":         {CutAfter: 20},
		"502":             {Status: 502},
	} {
		t.Run(name, func(t *testing.T) {
			l, chain, g := lying(t)
			group := sign(t, l, mints(1, "a"))
			must(t, l.Submit(t.Context(), group.Raw))
			round := chain.Round()
			rule.Match = "/pending/|/blocks/|/accounts/|/stateproofs/"
			must(t, g.Set(rule))
			must(t, chain.Advance(ledger.Window+20))
			if fate, _, err := l.Fate(t.Context(), group.TxIDs[0], group.FirstValid, group.LastValid); err == nil {
				t.Errorf("its fate is %v", fate)
			}
			if _, err := l.Block(t.Context(), round); err == nil || errors.Is(err, ledger.ErrNoBlock) {
				t.Errorf("its block: %v", err)
			}
			genesis := chain.GenesisHash()
			if _, err := l.Included(t.Context(), round, group.TxIDs[0], genesis[:]); err == nil || errors.Is(err, ledger.ErrNotIncluded) || errors.Is(err, ledger.ErrNoBlock) {
				t.Errorf("included: %v", err)
			}
			if _, found, err := l.StateProof(t.Context(), round); err == nil {
				t.Errorf("a state proof is found: %v", found)
			}
			if funds, err := l.Funds(t.Context()); err == nil {
				t.Errorf("its funds are %+v", funds)
			}
			must(t, g.Set())
			if fate, _, err := l.Fate(t.Context(), group.TxIDs[0], group.FirstValid, group.LastValid); err != nil || fate != ledger.Confirmed {
				t.Errorf("its fate is %v, %v", fate, err)
			}
		})
	}
}

func TestAnAlgodThatIsBehindByItsOwnAccountIsNoWitness(t *testing.T) {
	for _, status := range []string{
		`{"last-round":7,"last-version":"x","catchup-time":5}`, `{"last-round":7,"last-version":"x","stopped-at-unsupported-round":true}`, `{"last-round":7,"last-version":"x","catchpoint":"1#A"}`,
	} {
		l, _, g := lying(t)
		must(t, g.Set(gateway.Rule{Match: "/v2/status", Status: 200, Body: status}))
		if _, err := l.Tip(t.Context()); !errors.Is(err, ledger.ErrCatchingUp) {
			t.Errorf("%s: %v", status, err)
		}
	}
}

func TestABlockOfAnotherNetworkProvesNothing(t *testing.T) {
	l, _ := newLedger(t, 0, 10_000_000)
	group := sign(t, l, mints(1, "a"))
	must(t, l.Submit(t.Context(), group.Raw))
	round, err := l.Round(t.Context())
	must(t, err)
	if _, err := l.Included(t.Context(), round, group.TxIDs[0], []byte(strings.Repeat("x", 32))); err == nil || errors.Is(err, ledger.ErrNotIncluded) {
		t.Errorf("included: %v", err)
	}
}
