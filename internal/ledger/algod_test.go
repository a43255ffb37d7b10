package ledger

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
)

// fakeAlgod says what a test tells it to, by path.
type fakeAlgod struct {
	says  map[string]said
	asked []string
}

type said struct {
	status int
	body   []byte
}

func words(status int, message string) said {
	return said{status, fmt.Appendf(nil, `{"message":%q}`, message)}
}

func text(format string, args ...any) said { return said{200, fmt.Appendf(nil, format, args...)} }

func packed(value any) said { return said{200, msgpack.Encode(value)} }

func (f *fakeAlgod) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	answer, ok := f.says[r.URL.Path]
	if !ok {
		answer = words(404, "no such path")
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body)
}

func (f *fakeAlgod) round(n uint64) {
	f.says["/v2/status"] = text(`{"last-round":%d,"last-version":"v"}`, n)
}

func newFakeAlgod(t testing.TB) (*fakeAlgod, *Ledger) {
	t.Helper()
	f := &fakeAlgod{says: map[string]said{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	client, err := algorand.NewAlgod(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	return f, New(client, crypto.GenerateAccount(), 10_000)
}

var params = Params{Round: 100, GenesisID: "test-v1", GenesisHash: [32]byte{7}, MinFee: 1000}

func oneMint(n int) Mint {
	return Mint{URL: "ipfs://x", MetadataHash: sha256.Sum256(fmt.Append(nil, n)), Note: fmt.Appendf(nil, "serviceledger/1:jnote %d", n), Lease: sha256.Sum256(fmt.Append(nil, "lease", n))}
}

// What is absent from an algod that remembers every round in which it could be confirmed will never be. Of what algod
// has only forgotten nobody knows.
func TestAFateIsToldOnlyByWhoCanKnowIt(t *testing.T) {
	f, l := newFakeAlgod(t)
	u := transaction(params, l.account.Address, 500, oneMint(1))
	txid := crypto.TransactionIDString(u)
	pending := func(poolError string, confirmed, asset uint64, of types.Transaction) said {
		return packed(map[string]any{"pool-error": poolError, "confirmed-round": confirmed, "asset-index": asset, "txn": types.SignedTxn{Txn: of}})
	}
	unknown := words(404, algorand.NoTransaction)
	other := u
	other.Fee++
	for _, c := range []struct {
		what        string
		round       uint64
		first, last uint64
		says        said
		want        Fate
		bad         bool
	}{
		{"confirmed", 105, 100, 600, pending("", 104, 77, u), Confirmed, false},
		{"confirmed long ago", 9000, 100, 600, pending("", 104, 77, u), Confirmed, false},
		{"confirmed in the first round", 105, 100, 600, pending("", 1, 77, u), Confirmed, false},
		{"in the pool", 105, 100, 600, pending("", 0, 0, u), Pending, false},
		{"in the pool in its last round", 600, 100, 600, pending("", 0, 0, u), Pending, false},
		{"in the pool after its last round", 601, 100, 600, pending("", 0, 0, u), Unknown, false},
		{"taken out of the pool", 105, 100, 600, pending("fee", 0, 0, u), Unknown, false},
		{"taken out of the pool, and over", 611, 100, 600, pending("fee", 0, 0, u), Absent, false},
		{"another transaction", 105, 100, 600, pending("", 104, 77, other), Unknown, true},
		{"not there yet", 105, 100, 600, unknown, Unknown, false},
		{"not there in its last round", 600, 100, 600, unknown, Unknown, false},
		{"not there ten rounds after", 610, 100, 600, unknown, Unknown, false},
		{"not there eleven rounds after", 611, 100, 600, unknown, Absent, false},
		{"not there, and remembered from its first round on", 1089, 100, 600, unknown, Absent, false},
		{"forgotten, perhaps", 1090, 100, 600, unknown, Unknown, false},
		{"long ago", 9000, 100, 600, unknown, Unknown, false},
		{"another 404", 611, 100, 600, words(404, "not found"), Unknown, true},
		{"an algod that is out of order", 611, 100, 600, words(500, "x"), Unknown, true},
	} {
		f.round(c.round)
		f.says["/v2/transactions/pending/"+txid] = c.says
		l.clock = clock{}
		got, minted, err := l.Fate(t.Context(), txid, c.first, c.last)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%s: fate %d, want %d: %v", c.what, got, c.want, err)
		}
		if (minted != consortium.Place{}) != (got == Confirmed) || got == Confirmed && (minted.TxID != txid || minted.Asset != 77 || minted.Round == 0) {
			t.Errorf("%s: %+v", c.what, minted)
		}
	}
	f.says["/v2/status"] = words(500, "x")
	if got, _, err := l.Fate(t.Context(), txid, 100, 600); got != Unknown || err == nil {
		t.Errorf("without a round: %d, %v", got, err)
	}
}

// The round must be read first: what is confirmed in between would else be over, and absent.
func TestTheRoundIsReadBeforeTheTransactionIsLookedFor(t *testing.T) {
	f, l := newFakeAlgod(t)
	f.round(105)
	f.says["/v2/transactions/pending/X"] = words(404, algorand.NoTransaction)
	_, _, _ = l.Fate(t.Context(), "X", 100, 600)
	if last := f.asked[len(f.asked)-1]; last != "GET /v2/transactions/pending/X" || f.asked[0] != "GET /v2/status" {
		t.Errorf("asked for %q", f.asked)
	}
}

func TestARefusalIsToldByWhatCanBeDone(t *testing.T) {
	f, l := newFakeAlgod(t)
	const path = "/v2/transactions"
	for message, want := range map[string]Reason{
		"txn dead: round 9 outside of 1--5": Expired, "using an overlapping lease x": LeaseHeld, "account X balance 5 below min 100000 (0 assets)": NoFunds,
		"overspend (account X)": NoFunds, "fee 1000 below threshold 2000": Congested, "in fees is less than the minimum": Congested, "something else": Other,
	} {
		f.says[path] = words(400, message)
		var refused *RefusedError
		if err := l.Submit(t.Context(), []byte("x")); !errors.As(err, &refused) || refused.Reason != want || refused.Message != "HTTP 400: "+message && refused.Message != message || err.Error() != "algod refused the group: "+refused.Message {
			t.Errorf("%q: %v", message, err)
		}
	}
	f.says[path] = words(400, "transaction already in ledger: X")
	if err := l.Submit(t.Context(), []byte("x")); err != nil {
		t.Errorf("what is confirmed is refused: %v", err)
	}
	f.says[path] = text(`{"txId":"X"}`)
	if err := l.Submit(t.Context(), []byte("x")); err != nil {
		t.Error(err)
	}
	f.says[path] = words(500, "txn dead")
	var refused *RefusedError
	if err := l.Submit(t.Context(), []byte("x")); err == nil || errors.As(err, &refused) || !strings.HasPrefix(err.Error(), "submitting a group: ") {
		t.Errorf("an algod that is out of order refuses: %v", err)
	}
	for in, want := range map[string]string{
		strings.Repeat("x", 300): strings.Repeat("x", 300), strings.Repeat("x", 301): strings.Repeat("x", 300) + "…", strings.Repeat("x", 299) + "é": strings.Repeat("x", 299) + "…",
	} {
		if got := shorten(in); got != want {
			t.Errorf("%d bytes become %d, want %d", len(in), len(got), len(want))
		}
	}
}

func TestFundsAreOfTheAccountThatWasAskedFor(t *testing.T) {
	f, l := newFakeAlgod(t)
	path := "/v2/accounts/" + l.Address()
	f.says[path] = text(`{"address":%q,"amount":500000,"min-balance":100000}`, l.Address())
	if got, err := l.Funds(t.Context()); err != nil || got != (Funds{500_000, 100_000}) || got.Free() != 400_000 {
		t.Errorf("%+v, %v", got, err)
	}
	f.says[path] = text(`{"address":"X","amount":500000,"min-balance":100000}`)
	var foreign *algorand.ForeignError
	if got, err := l.Funds(t.Context()); !errors.As(err, &foreign) || got != (Funds{}) {
		t.Errorf("%+v, %v", got, err)
	}
	f.says[path] = words(500, "x")
	if got, err := l.Funds(t.Context()); err == nil || errors.As(err, &foreign) || got != (Funds{}) {
		t.Errorf("%+v, %v", got, err)
	}
	for funds, want := range map[Funds]uint64{{5, 5}: 0, {4, 5}: 0, {6, 5}: 1} {
		if got := funds.Free(); got != want {
			t.Errorf("of %+v %d are free", funds, got)
		}
	}
	if got := Cost(3, 1000); got != 303_000 {
		t.Errorf("three cost %d", got)
	}
}

func TestParamsAreOfAGenesisHashAndARoundThatCanBe(t *testing.T) {
	f, l := newFakeAlgod(t)
	hash := base64.StdEncoding.EncodeToString(params.GenesisHash[:])
	give := func(hash string, round, min, fee uint64) {
		f.says["/v2/transactions/params"] = text(`{"genesis-hash":%q,"genesis-id":"test-v1","last-round":%d,"min-fee":%d,"fee":%d,"consensus-version":"v"}`, hash, round, min, fee)
	}
	f.round(100)
	give(hash, 100, 1000, 3)
	if got, err := l.Params(t.Context()); err != nil || got != (Params{100, "test-v1", params.GenesisHash, 1000, 3}) {
		t.Errorf("%+v, %v", got, err)
	}
	give(hash, 100, 7, 0)
	if got, err := l.Params(t.Context()); err != nil || got.MinFee != 1000 {
		t.Errorf("a fee below the network's lowest: %+v, %v", got, err)
	}
	give(hash, 100, 2000, 0)
	if got, err := l.Params(t.Context()); err != nil || got.MinFee != 2000 {
		t.Errorf("%+v, %v", got, err)
	}
	give(hash[:8], 100, 1000, 0)
	if _, err := l.Params(t.Context()); err == nil || !strings.Contains(err.Error(), "a genesis hash of 6 bytes") {
		t.Errorf("%v", err)
	}
	give(hash, 100_000, 1000, 0)
	if _, err := l.Params(t.Context()); err != nil { // the second answer is near to those before
		t.Errorf("%v", err)
	}
	f.round(900_000)
	if got, err := l.Params(t.Context()); err == nil {
		t.Errorf("two answers that are far apart: %+v", got)
	}
	f.says["/v2/transactions/params"] = words(500, "x")
	if _, err := l.Params(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "asking algod for the transaction parameters: ") {
		t.Errorf("%v", err)
	}
}

func blockOf(round uint64, more ...types.SignedTxnInBlock) types.Block {
	return types.Block{BlockHeader: types.BlockHeader{Round: types.Round(round), TimeStamp: int64(1000 + round), GenesisID: "test-v1", GenesisHash: params.GenesisHash}, Payset: more}
}

func (f *fakeAlgod) block(round uint64, b types.Block) {
	f.says[fmt.Sprintf("/v2/blocks/%d", round)] = packed(map[string]any{"block": b})
}

func inBlock(u types.Transaction, asset uint64) types.SignedTxnInBlock {
	u.GenesisID, u.GenesisHash = "", types.Digest{}
	return types.SignedTxnInBlock{SignedTxnWithAD: types.SignedTxnWithAD{SignedTxn: types.SignedTxn{Txn: u}, ApplyData: types.ApplyData{ConfigAsset: types.AssetIndex(asset)}}, HasGenesisID: true}
}

func TestABlockIsTheOneThatWasAskedFor(t *testing.T) {
	f, l := newFakeAlgod(t)
	f.block(7, blockOf(7))
	if b, err := l.Block(t.Context(), 7); err != nil || b.Round != 7 {
		t.Errorf("%+v, %v", b, err)
	}
	f.block(7, blockOf(8))
	if _, err := l.Block(t.Context(), 7); err == nil || !strings.Contains(err.Error(), "reading block 7: algod gave block 8") {
		t.Errorf("%v", err)
	}
	for message, missing := range map[string]bool{algorand.NoBlock: true, "not found": false} {
		f.says["/v2/blocks/7"] = words(404, message)
		if _, err := l.Block(t.Context(), 7); err == nil || errors.Is(err, ErrNoBlock) != missing {
			t.Errorf("%s: %v", message, err)
		}
		if _, err := l.Minted(t.Context(), 7); err == nil || errors.Is(err, ErrNoBlock) != missing {
			t.Errorf("%s: %v", message, err)
		}
		if _, err := l.Included(t.Context(), 7, "X", nil); err == nil || errors.Is(err, ErrNoBlock) != missing {
			t.Errorf("%s: %v", message, err)
		}
	}
}

func TestWhatABlockMintsForTheAccountIsFound(t *testing.T) {
	f, l := newFakeAlgod(t)
	mine, theirs, payment := transaction(params, l.account.Address, 500, oneMint(1)), transaction(params, types.Address{1}, 500, oneMint(2)), transaction(params, l.account.Address, 500, oneMint(3))
	payment.Type = types.PaymentTx
	f.block(7, blockOf(7, inBlock(theirs, 5), inBlock(payment, 6), inBlock(mine, 7)))
	got, err := l.Minted(t.Context(), 7)
	if id := crypto.TransactionIDString(mine); err != nil || len(got) != 1 || got[0] != (consortium.Place{TxID: id, Round: 7, Asset: 7}) {
		t.Errorf("%+v, %v", got, err)
	}
	id := crypto.TransactionIDString(theirs)
	if at, err := l.Included(t.Context(), 7, id, params.GenesisHash[:]); err != nil || at.Unix() != 1007 || at.Location() != time.UTC {
		t.Errorf("%s, %v", at, err)
	}
	if at, err := l.Included(t.Context(), 7, "X", params.GenesisHash[:]); !errors.Is(err, ErrNotIncluded) || !at.IsZero() {
		t.Errorf("%s, %v", at, err)
	}
	if at, err := l.Included(t.Context(), 7, id, make([]byte, 32)); err == nil || errors.Is(err, ErrNotIncluded) || !at.IsZero() || !strings.Contains(err.Error(), "another network") {
		t.Errorf("%s, %v", at, err)
	}
}

func TestAHeaderIsTheOneThatIsHashed(t *testing.T) {
	f, l := newFakeAlgod(t)
	b := blockOf(7)
	hash := onchain.FormatHash(onchain.HeaderHash(msgpack.Encode(b.BlockHeader)))
	for said, good := range map[string]bool{hash: true, strings.TrimPrefix(hash, "blk-"): true, "blk-other": false, "": false} {
		f.says["/v2/blocks/7/hash"] = text(`{"blockHash":%q}`, said)
		if header, err := l.CheckedHeader(t.Context(), &b); (err == nil) != good || (string(header) == string(msgpack.Encode(b.BlockHeader))) != good {
			t.Errorf("%q: %v", said, err)
		}
	}
	f.says["/v2/blocks/7/hash"] = words(500, "x")
	if _, err := l.CheckedHeader(t.Context(), &b); err == nil || !strings.HasPrefix(err.Error(), "asking algod for the hash of block 7: ") {
		t.Errorf("%v", err)
	}
}

func TestAStateProofIsOfTheBlockOrThereIsNone(t *testing.T) {
	f, l := newFakeAlgod(t)
	give := func(first, last uint64) {
		f.says["/v2/stateproofs/7"] = text(`{"Message":{"FirstAttestedRound":%d,"LastAttestedRound":%d,"LnProvenWeight":5},"StateProof":"AAAA"}`, first, last)
	}
	f.says["/v2/blocks/7/lightheader/proof"] = text(`{"index":3,"proof":"AAAA","treedepth":8}`)
	for _, c := range []struct {
		first, last uint64
		good        bool
	}{{7, 7, true}, {1, 256, true}, {8, 9, false}, {5, 6, false}} {
		give(c.first, c.last)
		proof, found, err := l.StateProof(t.Context(), 7)
		if found != c.good || (err == nil) != c.good || c.good && (proof.Header.Index != 3 || proof.Message.Lnprovenweight != 5) {
			t.Errorf("%+v: %+v, %v, %v", c, proof, found, err)
		}
	}
	give(1, 256)
	for _, path := range []string{"/v2/blocks/7/lightheader/proof", "/v2/stateproofs/7"} {
		before := f.says[path]
		f.says[path] = words(404, algorand.NoStateProof)
		if proof, found, err := l.StateProof(t.Context(), 7); err != nil || found || proof.Header.Index != 0 {
			t.Errorf("%s has none: %v, %v", path, found, err)
		}
		f.says[path] = words(500, "x")
		if _, found, err := l.StateProof(t.Context(), 7); err == nil || found {
			t.Errorf("%s is out of order: %v, %v", path, found, err)
		}
		f.says[path] = before
	}
	f.says["/v2/blocks/7/transactions/X/proof"] = words(500, "x")
	if _, err := l.InclusionProof(t.Context(), 7, "X"); err == nil || !strings.Contains(err.Error(), "transaction X in block 7") {
		t.Errorf("%v", err)
	}
}
