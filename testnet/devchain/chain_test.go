package devchain_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/mnemonic"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/testnet/devchain"
)

func TestAGroupIsConfirmedWhenThePostReturns(t *testing.T) {
	k := startKit(t, devchain.Config{})
	member := k.fundedAccount(10_000_000)
	txns := make([]types.Transaction, 16)
	for i := range txns {
		txns[i] = k.mint(member.Address, uint64(i))
	}
	ids := k.submit(member.PrivateKey, txns...)

	for i, id := range ids {
		pending, tx, err := k.algod.PendingTransactionInformation(id).Do(k.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if pending.ConfirmedRound != 2 || pending.PoolError != "" {
			t.Errorf("transaction %d: round %d, error %q", i, pending.ConfirmedRound, pending.PoolError)
		}
		if want := uint64(1002 + i); pending.AssetIndex != want {
			t.Errorf("transaction %d created asset %d, want %d", i, pending.AssetIndex, want)
		}
		if got := crypto.GetTxID(tx.Txn); got != id {
			t.Errorf("transaction %d comes back as %s, was %s", i, got, id)
		}
	}

	account := must(k.algod.AccountInformation(member.Address.String()).Do(k.ctx))(t)
	if account.Amount != 10_000_000-16_000 || account.MinBalance != 1_700_000 || len(account.CreatedAssets) != 16 {
		t.Errorf("account has %d, must keep %d, created %d", account.Amount, account.MinBalance, len(account.CreatedAssets))
	}
	asset := must(k.algod.GetAssetByID(1002).Do(k.ctx))(t)
	if asset.Params.Creator != member.Address.String() || asset.Params.Total != 1 || asset.Params.UnitName != "SLIX" {
		t.Errorf("asset %+v", asset.Params)
	}
}

func TestABlockHoldsWhatTheSDKDecodes(t *testing.T) {
	k := startKit(t, devchain.Config{})
	ids := k.submit(k.funder.PrivateKey, k.mint(k.funder.Address, 1), k.mint(k.funder.Address, 2))

	block := must(k.algod.Block(1).Do(k.ctx))(t)
	if block.Round != 1 || len(block.Payset) != 2 || block.TxnCounter != 1002 {
		t.Fatalf("round %d with %d transactions, counter %d", block.Round, len(block.Payset), block.TxnCounter)
	}
	for i, s := range block.Payset {
		if !s.HasGenesisID || s.Txn.GenesisID != "" || s.Txn.GenesisHash != (types.Digest{}) {
			t.Errorf("transaction %d repeats what the header says", i)
		}
		s.Txn.GenesisID, s.Txn.GenesisHash = block.GenesisID, block.GenesisHash
		if got := crypto.GetTxID(s.Txn); got != ids[i] {
			t.Errorf("transaction %d is %s, want %s", i, got, ids[i])
		}
	}

	raw := must(k.algod.BlockRaw(1).Do(k.ctx))(t)
	var strict struct {
		Block types.Block            `codec:"block"`
		Cert  map[string]types.Round `codec:"cert"`
	}
	if err := msgpack.Decode(raw, &strict); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(msgpack.Encode(strict), raw) {
		t.Error("the encoding is not canonical")
	}

	k.submit(k.funder.PrivateKey, k.mint(k.funder.Address, 3))
	next := must(k.algod.Block(2).Do(k.ctx))(t)
	hash := must(k.algod.GetBlockHash(1).Do(k.ctx))(t).Blockhash
	var branch types.BlockHash
	if err := branch.UnmarshalText([]byte(hash)); err != nil || branch != next.Branch {
		t.Errorf("block 2 follows %x, block 1 is %s (%v)", next.Branch, hash, err)
	}
}

func TestIndexerPagesAscendingWithoutAnAddressAndDescendingWithOne(t *testing.T) {
	k := startKit(t, devchain.Config{})
	member := k.fundedAccount(100_000_000)
	var ids []string
	for i := range 7 {
		ids = append(ids, k.submit(member.PrivateKey,
			k.mint(member.Address, uint64(2*i)), k.mint(member.Address, uint64(2*i+1)))...)
	}

	walk := func(page func(next string) (models.TransactionsResponse, error)) []string {
		t.Helper()
		var seen []string
		for next := ""; ; {
			r := must(page(next))(t)
			if r.CurrentRound != k.Round() {
				t.Errorf("current round %d, want %d", r.CurrentRound, k.Round())
			}
			if len(r.Transactions) == 0 {
				if r.NextToken != "" {
					t.Error("an empty page has a next token")
				}
				return seen
			}
			if r.NextToken == "" {
				t.Fatal("a page without a next token")
			}
			for _, tx := range r.Transactions {
				seen = append(seen, tx.Id)
			}
			next = r.NextToken
		}
	}
	ascending := walk(func(next string) (models.TransactionsResponse, error) {
		return k.indexer.SearchForTransactions().TxType("acfg").MinRound(2).Limit(3).NextToken(next).Do(k.ctx)
	})
	if !slices.Equal(ascending, ids) {
		t.Errorf("ascending %v, want %v", ascending, ids)
	}
	slices.Reverse(ids)
	for name, page := range map[string]func(next string) (models.TransactionsResponse, error){
		"by account": func(next string) (models.TransactionsResponse, error) {
			return k.indexer.LookupAccountTransactions(member.Address.String()).TxType("acfg").Limit(5).NextToken(next).Do(k.ctx)
		},
		"by sender": func(next string) (models.TransactionsResponse, error) {
			return k.indexer.SearchForTransactions().AddressString(member.Address.String()).AddressRole("sender").
				Limit(4).NextToken(next).Do(k.ctx)
		},
	} {
		if got := walk(page); !slices.Equal(got, ids) {
			t.Errorf("%s: %v, want %v", name, got, ids)
		}
	}
}

func TestIndexerSearchesBy(t *testing.T) {
	k := startKit(t, devchain.Config{})
	member := k.fundedAccount(100_000_000)                                                            // round 1
	create := k.submit(member.PrivateKey, k.mint(member.Address, 1), k.mint(member.Address, 2))       // round 2
	pay := k.submit(member.PrivateKey, k.payment(member.Address, k.funder.Address, 5, "other/1:j{}")) // round 3
	group := must(k.indexer.LookupTransaction(create[0]).Do(k.ctx))(t).Transaction.Group

	for name, c := range map[string]struct {
		query string
		want  []string
	}{
		"window":           {"min-round=2&max-round=2", create},
		"round":            {"round=3", pay},
		"type":             {"tx-type=pay&min-round=2", pay},
		"note":             {"note-prefix=" + base64.URLEncoding.EncodeToString([]byte("serviceledger/7:j{")), create},
		"other note":       {"note-prefix=" + base64.URLEncoding.EncodeToString([]byte("other")), pay},
		"group":            {"group-id=" + strings.NewReplacer("+", "%2B", "/", "%2F").Replace(base64.StdEncoding.EncodeToString(group)), create},
		"transaction":      {"txid=" + create[1], create[1:]},
		"asset":            {"asset-id=1003", create[1:]},
		"amount":           {"currency-less-than=6&currency-greater-than=4", pay},
		"sender":           {"address-role=sender&tx-type=pay&address=" + member.Address.String(), pay},
		"signature":        {"sig-type=msig", nil},
		"rekeying":         {"rekey-to=true", nil},
		"application":      {"application-id=5", nil},
		"time":             {"after-time=2100-01-01T00:00:00Z", nil},
		"later than exist": {"min-round=4", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var found models.TransactionsResponse
			body := k.get(k.IndexerURL()+"/v2/transactions?"+c.query, http.StatusOK)
			if err := json.Unmarshal([]byte(body), &found); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, tx := range found.Transactions {
				got = append(got, tx.Id)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestIndexerKnowsAssetsAndAccountsOfEveryKind(t *testing.T) {
	k := startKit(t, devchain.Config{})
	member := k.fundedAccount(100_000_000)
	k.submit(member.PrivateKey, k.mint(member.Address, 1), k.mint(member.Address, 2))
	destroy := k.mint(member.Address, 3)
	destroy.AssetConfigTxnFields = types.AssetConfigTxnFields{ConfigAsset: 1002}
	k.submit(member.PrivateKey, destroy)

	for path, want := range map[string]string{
		"/v2/assets/1003":                                                      `"deleted":false`,
		"/v2/assets/1002?include-all=true":                                     `"destroyed-at-round":3`,
		"/v2/assets?creator=" + member.Address.String():                        `"index":1003`,
		"/v2/assets?name=intelligence":                                         `"index":1003`,
		"/v2/accounts/" + member.Address.String() + "/created-assets":          `"index":1003`,
		"/v2/accounts/" + member.Address.String() + "/assets":                  `"asset-id":1003`,
		"/v2/accounts/" + member.Address.String() + "/assets?include-all=true": `"opted-out-at-round":3`,
		"/v2/accounts/" + member.Address.String():                              `"created-assets":[{`,
		"/v2/accounts?asset-id=1003":                                           `"address":"` + member.Address.String() + `"`,
		"/v2/assets/1003/balances":                                             `"amount":1`,
		"/v2/assets/1002/transactions":                                         `"asset-id":1002`,
		"/v2/accounts?currency-greater-than=9000000000000000":                  `"address":"` + k.funder.Address.String() + `"`,
		"/v2/applications":                                                     `"applications":[]`,
		"/v2/accounts/" + member.Address.String() + "/apps-local-state":        `"apps-local-states":[]`,
		"/v2/blocks/2": `"transactions":[{`,
		"/v2/block-headers?min-round=2&max-round=3": `"round":3`,
		"/health": `"round":3`,
	} {
		if got := k.get(k.IndexerURL()+path, http.StatusOK); !strings.Contains(got, want) {
			t.Errorf("%s: %s does not contain %s", path, got, want)
		}
	}
	for path, want := range map[string]string{
		"/v2/assets/1002": "no assets found for asset-id: 1002",
		"/v2/accounts/" + crypto.GenerateAccount().Address.String(): "no accounts found",
		"/v2/blocks/4": "block not found",
	} {
		if got := k.get(k.IndexerURL()+path, http.StatusNotFound); !strings.Contains(got, want) {
			t.Errorf("%s: %s does not contain %q", path, got, want)
		}
	}
}

func TestIndexerRefusesToListAnAccountOfAThousandAssets(t *testing.T) {
	k := startKit(t, devchain.Config{})
	p := k.params()
	for i := range 32 { // 512 mints, each held and created
		txns := make([]types.Transaction, 16)
		for j := range txns {
			txns[j] = mintWith(p, k.funder.Address, uint64(16*i+j))
		}
		k.submit(k.funder.PrivateKey, txns...)
	}
	url := k.IndexerURL() + "/v2/accounts/" + k.funder.Address.String()
	if got := k.get(url, http.StatusBadRequest); !strings.Contains(got, "Result limit exceeded") {
		t.Error(got)
	}
	if got := k.get(url+"?exclude=all", http.StatusOK); !strings.Contains(got, `"total-created-assets":512`) {
		t.Error(got)
	}
}

func TestAlgodWantsItsTokenBelowV2Only(t *testing.T) {
	k := startKit(t, devchain.Config{Token: "a-token"})
	for path, want := range map[string]int{
		"/health": 200, "/versions": 200, "/genesis": 200, "/v2/status": 401, "/v2/transactions/params": 401,
	} {
		k.get(k.AlgodURL()+path, want)
	}
	if _, err := k.algod.Status().Do(k.ctx); err != nil {
		t.Error(err)
	}
}

func TestAnAccountIsListedWithoutWhatIsExcluded(t *testing.T) {
	k := startKit(t, devchain.Config{})
	k.submit(k.funder.PrivateKey, k.mint(k.funder.Address, 1))
	ask := func(exclude ...string) (models.Account, error) {
		return k.algod.AccountInformation(k.funder.Address.String()).Exclude(exclude).Do(k.ctx)
	}
	if a := must(ask("none"))(t); len(a.Assets) != 1 || a.CreatedAssets[0].Params.Total != 1 {
		t.Errorf("nothing excluded: %+v", a)
	}
	if a := must(ask("created-apps-params", "created-assets-params"))(t); len(a.Assets) != 1 ||
		a.CreatedAssets[0].Index != 1001 || a.CreatedAssets[0].Params.Total != 0 {
		t.Errorf("parameters excluded: %+v", a)
	}
	if a := must(ask("all"))(t); a.Assets != nil || a.CreatedAssets != nil || a.TotalCreatedAssets != 1 {
		t.Errorf("all excluded: %+v", a)
	}
	if _, err := ask("all", "created-apps-params"); err == nil {
		t.Error("all with something else was accepted")
	}
}

func TestTwoChainsAreTwoNetworks(t *testing.T) {
	a, b := startKit(t, devchain.Config{}), startKit(t, devchain.Config{})
	if a.GenesisHash() == b.GenesisHash() {
		t.Fatal("both have the same genesis hash")
	}
	_, signed := a.sign(a.funder.PrivateKey, a.payment(a.funder.Address, b.funder.Address, 1, ""))
	b.refused(signed, "tx.GenesisHash")
}

func TestAdvanceEndsAValidityWindowAndALease(t *testing.T) {
	k := startKit(t, devchain.Config{})
	first := k.payment(k.funder.Address, k.funder.Address, 1, "first")
	first.Lease, first.LastValid = [32]byte{1}, first.FirstValid+10
	late := first
	late.Note = []byte("late")
	k.submit(k.funder.PrivateKey, first)
	_, signed := k.sign(k.funder.PrivateKey, late)
	k.refused(signed, "using an overlapping lease")

	if err := k.Advance(10); err != nil {
		t.Fatal(err)
	}
	k.refused(signed, "txn dead: round 12 outside of 0--10")
	again := k.payment(k.funder.Address, k.funder.Address, 1, "again")
	again.Lease = first.Lease
	k.submit(k.funder.PrivateKey, again)
}

func TestAlgodForgetsATransactionAfterAThousandRoundsAndTheIndexerDoesNot(t *testing.T) {
	k := startKit(t, devchain.Config{})
	ids := k.submit(k.funder.PrivateKey, k.mint(k.funder.Address, 1))
	if err := k.Advance(1000); err != nil {
		t.Fatal(err)
	}
	if p, _, err := k.algod.PendingTransactionInformation(ids[0]).Do(k.ctx); err != nil || p.ConfirmedRound != 1 {
		t.Errorf("after 1000 rounds: round %d, %v", p.ConfirmedRound, err)
	}
	if err := k.Advance(1); err != nil {
		t.Fatal(err)
	}
	_, _, err := k.algod.PendingTransactionInformation(ids[0]).Do(k.ctx)
	if err == nil || !strings.Contains(err.Error(), "could not find the transaction") {
		t.Errorf("after 1001 rounds: %v", err)
	}
	if tx := must(k.indexer.LookupTransaction(ids[0]).Do(k.ctx))(t).Transaction; tx.ConfirmedRound != 1 {
		t.Errorf("the indexer has it in round %d", tx.ConfirmedRound)
	}
}

func TestTheFunderOwnsNearlyEverything(t *testing.T) {
	k := startKit(t, devchain.Config{})
	if got := k.balance(k.funder.Address); got != 10_000_000_000_000_000 {
		t.Errorf("funder has %d", got)
	}
	if _, err := mnemonic.ToPrivateKey(k.Funder()); err != nil {
		t.Error(err)
	}
}

func TestFundWaitsUntilThePaymentIsConfirmed(t *testing.T) {
	k := startKit(t, devchain.Config{RoundTime: 5 * time.Millisecond})
	to := crypto.GenerateAccount().Address
	for range 3 { // the same payment again is another one
		id, err := k.Fund(k.ctx, to.String(), 1_000_000)
		if err != nil {
			t.Fatal(err)
		}
		if p, _, err := k.algod.PendingTransactionInformation(id).Do(k.ctx); err != nil || p.ConfirmedRound == 0 {
			t.Errorf("round %d, %v", p.ConfirmedRound, err)
		}
	}
	if got := k.balance(to); got != 3_000_000 {
		t.Errorf("%d arrived", got)
	}
	_, err := devchain.Fund(k.ctx, k.AlgodURL(), k.Token(), "one two secretword", to.String(), 1)
	if err == nil || strings.Contains(err.Error(), "secretword") {
		t.Errorf("a bad mnemonic: %v", err)
	}
}

func TestOnlyLoopbackIsServed(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:4001", "[::]:0", "example.org:80", "nonsense"} {
		chain, err := devchain.Start(t.Context(), devchain.Config{AlgodAddr: address})
		if err == nil {
			chain.Close()
			t.Errorf("%q was accepted", address)
		}
	}
}

func TestStartFailsWhereAPortIsTaken(t *testing.T) {
	k := startKit(t, devchain.Config{})
	taken := strings.TrimPrefix(k.IndexerURL(), "http://")
	if chain, err := devchain.Start(t.Context(), devchain.Config{IndexerAddr: taken}); err == nil {
		chain.Close()
		t.Error("two chains share a port")
	}
}

func TestCloseEndsARequestThatWaits(t *testing.T) {
	chain, err := devchain.Start(t.Context(), devchain.Config{})
	if err != nil {
		t.Fatal(err)
	}
	k := newKit(t, chain)
	asking, sent := make(chan error, 1), make(chan struct{})
	ctx := httptrace.WithClientTrace(k.ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) },
	})
	go func() {
		_, err := k.algod.StatusAfterBlock(5).Do(ctx)
		asking <- err
	}()
	<-sent
	start := time.Now()
	if err := chain.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > waiting.Limit {
		t.Errorf("Close took %v", took)
	}
	waiting.Receive(t, "the end of the request", asking)
	if err := chain.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

// get makes a request without a token and returns the body.
func (k *kit) get(url string, status int) string {
	k.Helper()
	request, err := http.NewRequestWithContext(k.ctx, http.MethodGet, url, nil)
	if err != nil {
		k.Fatal(err)
	}
	response := must(http.DefaultClient.Do(request))(k)
	defer response.Body.Close()
	body := must(io.ReadAll(response.Body))(k)
	if response.StatusCode != status {
		k.Errorf("GET %s: status %d, want %d: %.200s", url, response.StatusCode, status, body)
	}
	return string(body)
}
