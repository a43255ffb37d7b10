package devchain_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/testnet/devchain"
)

// slowRounds is a chain whose rounds close only when a test says so.
var slowRounds = devchain.Config{RoundTime: 24 * time.Hour}

func (k *kit) advance(rounds int) {
	k.Helper()
	if err := k.Advance(rounds); err != nil {
		k.Fatal(err)
	}
}

func (k *kit) fault(f devchain.Faults) {
	k.Helper()
	if err := k.SetFaults(f); err != nil {
		k.Fatal(err)
	}
}

func TestAPooledTransactionIsKnownAndNotConfirmed(t *testing.T) {
	k := startKit(t, slowRounds)
	to := crypto.GenerateAccount().Address
	ids, signed := k.sign(k.funder.PrivateKey, k.payment(k.funder.Address, to, 1_000_000, ""))
	k.send(signed)

	pending, _, err := k.algod.PendingTransactionInformation(ids[0]).Do(k.ctx)
	if err != nil || pending.ConfirmedRound != 0 || pending.PoolError != "" {
		t.Errorf("in the pool: round %d, pool error %q, %v", pending.ConfirmedRound, pending.PoolError, err)
	}
	if got := k.balance(to); got != 0 {
		t.Errorf("the receiver has %d before the round is closed", got)
	}
	if total, _, err := k.algod.PendingTransactions().Do(k.ctx); err != nil || total != 1 {
		t.Errorf("%d in the pool, %v", total, err)
	}
	if total, _, err := k.algod.PendingTransactionsByAddress(to.String()).Do(k.ctx); err != nil || total != 1 {
		t.Errorf("%d in the pool for the receiver, %v", total, err)
	}
	k.refused(signed, "TransactionPool.Remember: transaction already in ledger: "+ids[0])
	if _, err := k.indexer.LookupTransaction(ids[0]).Do(k.ctx); err == nil {
		t.Error("the indexer has it already")
	}

	k.advance(1)
	if pending, _, err = k.algod.PendingTransactionInformation(ids[0]).Do(k.ctx); err != nil || pending.ConfirmedRound != 1 {
		t.Errorf("after the round: round %d, %v", pending.ConfirmedRound, err)
	}
	if got := k.balance(to); got != 1_000_000 {
		t.Errorf("the receiver has %d", got)
	}
	k.refused(signed, "transaction already in ledger")
}

func TestWhatIsPooledBuildsOnWhatIsPooled(t *testing.T) {
	k := startKit(t, slowRounds)
	member := crypto.GenerateAccount()
	fund := k.submit(k.funder.PrivateKey, k.payment(k.funder.Address, member.Address, 300_000, ""))
	spend := k.submit(member.PrivateKey, k.payment(member.Address, k.funder.Address, 100_000, ""))
	k.advance(1)
	for _, id := range append(fund, spend...) {
		if p, _, err := k.algod.PendingTransactionInformation(id).Do(k.ctx); err != nil || p.ConfirmedRound != 1 {
			t.Errorf("%s: round %d, %v", id, p.ConfirmedRound, err)
		}
	}
}

func TestRoundsCloseByTheClock(t *testing.T) {
	k := startKit(t, devchain.Config{RoundTime: 5 * time.Millisecond})
	status := must(k.algod.StatusAfterBlock(3).Do(k.ctx))(t)
	if status.LastRound <= 3 {
		t.Errorf("waiting for a round after 3 returned round %d", status.LastRound)
	}
	start := time.Now()
	must(k.algod.StatusAfterBlock(1).Do(k.ctx))(t)
	if took := time.Since(start); took > waiting.Limit {
		t.Errorf("a round that is closed was waited for: %v", took)
	}
	k.get(k.AlgodURL()+"/ready", http.StatusOK)
}

func TestADroppedGroupIsAcceptedAndThenUnknown(t *testing.T) {
	for name, cfg := range map[string]devchain.Config{"DevMode": {}, "rounds": slowRounds} {
		t.Run(name, func(t *testing.T) {
			k := startKit(t, cfg)
			member := crypto.GenerateAccount()
			k.fault(devchain.Faults{DropNext: 1})
			lost, signed := k.sign(k.funder.PrivateKey, k.payment(k.funder.Address, member.Address, 1_000_000, ""))
			k.send(signed)
			if left := k.Faults().DropNext; left != 0 {
				t.Errorf("%d more would be dropped", left)
			}
			var orphan []string
			if cfg.RoundTime > 0 { // what builds on it in the pool goes with it, and says why
				orphan = k.submit(member.PrivateKey, k.payment(member.Address, k.funder.Address, 1, ""))
				k.advance(1)
			}
			_, _, err := k.algod.PendingTransactionInformation(lost[0]).Do(k.ctx)
			if err == nil || !strings.Contains(err.Error(), "could not find the transaction") {
				t.Errorf("the dropped transaction: %v", err)
			}
			for _, id := range orphan {
				p, _, err := k.algod.PendingTransactionInformation(id).Do(k.ctx)
				if err != nil || !strings.Contains(p.PoolError, "overspend") {
					t.Errorf("what built on it: pool error %q, %v", p.PoolError, err)
				}
			}
			k.send(signed) // the same bytes again are as new
			k.advance(1)
			if got := k.balance(member.Address); got != 1_000_000 {
				t.Errorf("the receiver has %d", got)
			}
		})
	}
}

func TestAFailedGroupHasAPoolError(t *testing.T) {
	k := startKit(t, devchain.Config{})
	k.fault(devchain.Faults{FailNext: 1, FailError: "no room"})
	round := k.Round()
	ids, signed := k.sign(k.funder.PrivateKey, k.mint(k.funder.Address, 1))
	k.send(signed)
	p, _, err := k.algod.PendingTransactionInformation(ids[0]).Do(k.ctx)
	if err != nil || p.PoolError != "no room" || p.ConfirmedRound != 0 {
		t.Errorf("pool error %q, round %d, %v", p.PoolError, p.ConfirmedRound, err)
	}
	if k.Round() != round {
		t.Error("a round was closed for it")
	}
	k.send(signed)
	if p, _, err = k.algod.PendingTransactionInformation(ids[0]).Do(k.ctx); err != nil || p.ConfirmedRound == 0 {
		t.Errorf("sent again: pool error %q, round %d, %v", p.PoolError, p.ConfirmedRound, err)
	}
}

func TestAFeeSpikeIsSuggestedAndDemanded(t *testing.T) {
	k := startKit(t, devchain.Config{})
	k.fault(devchain.Faults{FeePerByte: 1000})
	if p := must(k.algod.SuggestedParams().Do(k.ctx))(t); p.Fee != 1000 {
		t.Errorf("suggested %d per byte", p.Fee)
	}
	tx := k.payment(k.funder.Address, k.funder.Address, 1, "")
	_, signed := k.sign(k.funder.PrivateKey, tx)
	k.refused(signed, fmt.Sprintf("fee 1000 below threshold %d (1000 per byte * %d bytes)", 1000*len(signed), len(signed)))
	tx.Fee = 1_000_000
	k.submit(k.funder.PrivateKey, tx)
}

func TestAnEndpointVanishesAndComesBackOnItsPort(t *testing.T) {
	for _, c := range []struct {
		name string
		url  func(*kit) string
		down devchain.Faults
	}{
		{"algod", (*kit).algodHealth, devchain.Faults{Algod: devchain.EndpointFaults{Down: true}}},
		{"indexer", (*kit).indexerHealth, devchain.Faults{Indexer: devchain.EndpointFaults{Down: true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := startKit(t, devchain.Config{})
			url := c.url(k)
			for range 2 {
				k.get(url, http.StatusOK) // leaves a connection open, which has to break
				k.fault(c.down)
				if _, err := http.Get(url); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("while it is down: %v", err)
				}
				k.fault(devchain.Faults{})
				if c.url(k) != url {
					t.Errorf("it came back at %s, was at %s", c.url(k), url)
				}
			}
			k.get(url, http.StatusOK)
		})
	}
}

func TestAClosedChainDoesNotComeBack(t *testing.T) {
	k := startKit(t, devchain.Config{})
	k.fault(devchain.Faults{Algod: devchain.EndpointFaults{Down: true}})
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if err := k.SetFaults(devchain.Faults{}); err == nil {
		t.Error("the servers of a closed chain came up")
	}
}

func (k *kit) algodHealth() string   { return k.AlgodURL() + "/health" }
func (k *kit) indexerHealth() string { return k.IndexerURL() + "/health" }

func TestRequestsAreRefusedByNumberAndByShare(t *testing.T) {
	k := startKit(t, devchain.Config{})
	refusals := func(requests int) (n int) {
		for range requests {
			response := must(http.Get(k.indexerHealth()))(t)
			response.Body.Close()
			switch response.StatusCode {
			case http.StatusTooManyRequests:
				n++
				if response.Header.Get("Retry-After") != "7" {
					t.Errorf("Retry-After %q", response.Header.Get("Retry-After"))
				}
			case http.StatusOK:
			default:
				t.Errorf("status %d", response.StatusCode)
			}
		}
		return n
	}
	for _, c := range []struct {
		name   string
		faults devchain.EndpointFaults
		want   int
	}{
		{"the next three", devchain.EndpointFaults{Next: 3}, 3},
		{"all", devchain.EndpointFaults{}, 20},
		{"a quarter", devchain.EndpointFaults{Share: 0.25}, 5},
		{"two out of a half", devchain.EndpointFaults{Share: 0.5, Next: 2}, 2},
	} {
		c.faults.Status, c.faults.RetryAfter = http.StatusTooManyRequests, 7
		k.fault(devchain.Faults{Indexer: c.faults})
		if got := refusals(20); got != c.want {
			t.Errorf("%s: %d of 20 requests refused, want %d", c.name, got, c.want)
		}
		k.get(k.algodHealth(), http.StatusOK)
	}
}

func TestLatencyDelaysAnswers(t *testing.T) {
	k := startKit(t, devchain.Config{})
	k.fault(devchain.Faults{Algod: devchain.EndpointFaults{Latency: devchain.Duration(60 * time.Millisecond)}})
	start := time.Now()
	k.get(k.algodHealth(), http.StatusOK)
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
}

func TestALaggingIndexerIsConsistentAtItsRound(t *testing.T) {
	k := startKit(t, devchain.Config{})
	k.fault(devchain.Faults{IndexerLag: 2})
	member := k.fundedAccount(10_000_000)                          // round 1
	mint := k.submit(member.PrivateKey, k.mint(member.Address, 1)) // round 2
	if k.Round() != 2 || k.IndexerRound() != 0 {
		t.Fatalf("chain at %d, indexer at %d", k.Round(), k.IndexerRound())
	}
	k.advance(1)
	r := must(k.indexer.SearchForTransactions().Do(k.ctx))(t)
	if r.CurrentRound != 1 || len(r.Transactions) != 1 {
		t.Errorf("at round %d it finds %d transactions", r.CurrentRound, len(r.Transactions))
	}
	if _, err := k.indexer.LookupTransaction(mint[0]).Do(k.ctx); err == nil {
		t.Error("it finds a transaction of a round that it has not reached")
	}
	_, a, err := k.indexer.LookupAccountByID(member.Address.String()).Do(k.ctx)
	if err != nil || a.Round != 1 || a.TotalCreatedAssets != 0 {
		t.Errorf("account at round %d with %d assets, %v", a.Round, a.TotalCreatedAssets, err)
	}
	k.get(k.IndexerURL()+"/v2/blocks/2", http.StatusNotFound)

	k.fault(devchain.Faults{IndexerFrozen: true})
	k.advance(2000)
	if got := k.IndexerRound(); got != 1 {
		t.Errorf("frozen at round %d", got)
	}
	k.fault(devchain.Faults{IndexerLag: 10})
	if got, want := k.IndexerRound(), k.Round()-10; got > want {
		t.Errorf("moving again it jumped to %d, at most %d would be %d behind", got, want, 10)
	}
	before := k.IndexerRound()
	k.fault(devchain.Faults{IndexerLag: 1000})
	if got := k.IndexerRound(); got < before {
		t.Errorf("it went back from %d to %d", before, got)
	}
	k.fault(devchain.Faults{})
	if k.IndexerRound() != k.Round() {
		t.Errorf("healthy it is at %d, the chain at %d", k.IndexerRound(), k.Round())
	}
	if tx := must(k.indexer.LookupTransaction(mint[0]).Do(k.ctx))(t).Transaction; tx.ConfirmedRound != 2 {
		t.Errorf("the mint is in round %d", tx.ConfirmedRound)
	}
}

func TestAReleasedIndexerRefusesParameters(t *testing.T) {
	k := startKit(t, devchain.Config{})
	k.fault(devchain.Faults{IndexerReleased: true})
	for _, parameter := range []string{
		"tx-type=acfg", "note-prefix=YQ==", "sig-type=sig", "group-id=x", "asset-id=1", "address-role=sender",
		"before-time=2026-01-01T00:00:00Z", "currency-greater-than=1", "rekey-to=true", "application-id=1",
	} {
		got := k.get(k.IndexerURL()+"/v2/transactions?"+parameter, http.StatusBadRequest)
		name, _, _ := strings.Cut(parameter, "=")
		if !strings.Contains(got, "provided disabled parameter: "+name) {
			t.Errorf("%s: %s", parameter, got)
		}
	}
	k.get(k.IndexerURL()+"/v2/transactions?min-round=1&max-round=2&limit=3&address="+k.funder.Address.String(), http.StatusOK)
	k.fault(devchain.Faults{})
	k.get(k.IndexerURL()+"/v2/transactions?tx-type=acfg", http.StatusOK)
}

func TestALyingIndexerHidesAndForges(t *testing.T) {
	k := startKit(t, devchain.Config{})
	ids := k.submit(k.funder.PrivateKey, k.mint(k.funder.Address, 1), k.mint(k.funder.Address, 2), k.mint(k.funder.Address, 3))
	k.fault(devchain.Faults{
		Hide: []string{ids[1]},
		Forge: []devchain.Forgery{
			{TxID: ids[2], Field: "asset-config-transaction.params.url", Value: "ipfs://forged"},
			{TxID: ids[2], Field: "confirmed-round", Value: 77},
			{TxID: ids[2], Field: "note"},
		},
	})
	r := must(k.indexer.SearchForTransactions().TxType("acfg").Limit(2).Do(k.ctx))(t)
	if len(r.Transactions) != 2 || r.Transactions[0].Id != ids[0] || r.Transactions[1].Id != ids[2] {
		t.Fatalf("a page of %d", len(r.Transactions))
	}
	honest, forged := r.Transactions[0], r.Transactions[1]
	if honest.ConfirmedRound != 1 || len(honest.Note) == 0 {
		t.Errorf("the transaction that nothing was to happen to: %+v", honest)
	}
	if forged.AssetConfigTransaction.Params.Url != "ipfs://forged" || forged.ConfirmedRound != 77 || forged.Note != nil {
		t.Errorf("the forged transaction: %+v", forged)
	}
	if _, err := k.indexer.LookupTransaction(ids[1]).Do(k.ctx); err == nil {
		t.Error("the hidden transaction is found")
	}
	if block := k.get(k.IndexerURL()+"/v2/blocks/1", http.StatusOK); strings.Contains(block, ids[1]) ||
		!strings.Contains(block, "ipfs://forged") {
		t.Error("the block tells the truth")
	}
	if p, _, err := k.algod.PendingTransactionInformation(ids[1]).Do(k.ctx); err != nil || p.ConfirmedRound != 1 {
		t.Errorf("algod lies too: %d, %v", p.ConfirmedRound, err)
	}
}

func TestNonsensicalFaultsAreRefused(t *testing.T) {
	k := startKit(t, devchain.Config{})
	for name, f := range map[string]devchain.Faults{
		"a status that is no error": {Algod: devchain.EndpointFaults{Status: 200}},
		"more than all":             {Indexer: devchain.EndpointFaults{Status: 429, Share: 1.5}},
		"a negative number":         {DropNext: -1},
		"a fee beyond all money":    {FeePerByte: 1 << 60},
		"a lag without end":         {IndexerLag: 100_000},
		"no transaction id":         {Hide: []string{"XYZ"}},
		"no field":                  {Forge: []devchain.Forgery{{TxID: strings.Repeat("A", 52)}}},
	} {
		if err := k.SetFaults(f); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestFaultsAreSwitchedOverTheControlAddress(t *testing.T) {
	k := startKit(t, devchain.Config{})
	call := func(method, path, body string, status int) string {
		t.Helper()
		request := must(http.NewRequestWithContext(k.ctx, method, k.ControlURL()+path, strings.NewReader(body)))(t)
		response := must(http.DefaultClient.Do(request))(t)
		defer response.Body.Close()
		var answer bytes.Buffer
		must(answer.ReadFrom(response.Body))(t)
		if response.StatusCode != status {
			t.Errorf("%s %s %s: status %d, want %d: %s", method, path, body, response.StatusCode, status, &answer)
		}
		return answer.String()
	}
	call(http.MethodPatch, "/faults", `{"indexer_lag": 3, "algod": {"latency": "1ms", "status": 503, "next": 4}}`, 200)
	call(http.MethodPatch, "/faults", `{"algod": {"next": 2}}`, 200)
	f := k.Faults()
	if f.IndexerLag != 3 || f.Algod.Status != 503 || f.Algod.Next != 2 || time.Duration(f.Algod.Latency) != time.Millisecond {
		t.Errorf("faults %+v", f)
	}
	if got := call(http.MethodGet, "/faults", "", 200); !strings.Contains(got, `"latency":"1ms"`) {
		t.Error(got)
	}
	call(http.MethodPatch, "/faults", `{"indexer_leg": 3}`, 400)
	call(http.MethodPatch, "/faults", `{"indexer_lag": -3}`, 400)
	call(http.MethodPatch, "/faults", `{} {}`, 400)
	call(http.MethodPost, "/rounds?n=0", "", 400)
	if got := call(http.MethodPost, "/rounds?n=5", "", 200); !strings.Contains(got, `"indexer_round":2,"round":5`) {
		t.Error(got)
	}
	call(http.MethodDelete, "/faults", "", 200)
	if got := call(http.MethodGet, "/status", "", 200); !strings.Contains(got, `"indexer_round":5,"round":5`) {
		t.Error(got)
	}
}

func TestAnAlgodThatIsNotArchivalHasOnlyTheLatestBlocks(t *testing.T) {
	k := startKit(t, devchain.Config{})
	k.advance(10)
	k.fault(devchain.Faults{AlgodKeeps: 3})
	last := k.Round()
	for round := last - 5; round <= last; round++ {
		_, err := k.algod.Block(round).Do(k.ctx)
		if kept := round > last-3; kept != (err == nil) {
			t.Errorf("block %d of %d: %v", round, last, err)
		}
		if err != nil && !strings.Contains(err.Error(), "failed to retrieve information from the ledger") {
			t.Errorf("block %d: %v", round, err)
		}
	}
	k.fault(devchain.Faults{})
	if _, err := k.algod.Block(1).Do(k.ctx); err != nil {
		t.Errorf("an archival one: %v", err)
	}
}
