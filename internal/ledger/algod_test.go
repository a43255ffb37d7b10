package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/wire"
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
	return Mint{URL: "ipfs://x", MetadataHash: sha256.Sum256(fmt.Append(nil, n)), Note: fmt.Appendf(nil, "note %d", n), Lease: sha256.Sum256(fmt.Append(nil, "lease", n))}
}

// What is absent from an algod that remembers every round in which it could be confirmed will never be. Of what algod has
// only forgotten nobody knows.
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
		if (minted != Minted{}) != (got == Confirmed) || got == Confirmed && (minted.TxID != txid || minted.Asset != 77 || minted.Round == 0) {
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

func TestAFeeIsByTheByteAndNoLessThanTheLeast(t *testing.T) {
	for _, c := range []struct{ min, perByte, want uint64 }{
		{1000, 0, 1000}, {1000, 1, 1000}, {1000, 2, 1200}, {1000, 10, 6000}, {1000, math.MaxUint64, math.MaxUint64}, {1000, math.MaxUint64 / 600, math.MaxUint64 / 600 * 600},
	} {
		if got := (Params{MinFee: c.min, FeePerByte: c.perByte}).Fee(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestAGroupHasOneToSixteenOfTheFormOfTheProtocol(t *testing.T) {
	_, l := newFakeAlgod(t)
	for n, good := range map[int]bool{0: false, 1: true, 2: true, 16: true, 17: false} {
		var list []Mint
		for i := range n {
			list = append(list, oneMint(i))
		}
		g, err := l.Sign(params, list)
		if (err == nil) != good || good && (len(g.TxIDs) != n || g.FirstValid != 100 || g.LastValid != 600) {
			t.Errorf("a group of %d: %+v, %v", n, g, err)
			continue
		}
		if !good {
			continue
		}
		transactions, err := decode(g.Raw)
		if err != nil || len(transactions) != n {
			t.Fatal(err)
		}
		for i, u := range transactions {
			m := list[i]
			want := types.AssetParams{Total: 1, UnitName: wire.UnitName, AssetName: wire.AssetName, URL: m.URL, MetadataHash: m.MetadataHash, Manager: l.account.Address}
			if u.AssetParams != want || u.ConfigAsset != 0 || u.Fee != 1000 || u.Sender != l.account.Address || string(u.Note) != string(m.Note) || u.Lease != m.Lease ||
				u.GenesisID != "test-v1" || u.GenesisHash != params.GenesisHash || (u.Group != types.Digest{}) != (n > 1) || crypto.TransactionIDString(u) != g.TxIDs[i] {
				t.Errorf("transaction %d of %d: %+v", i, n, u)
			}
		}
	}
	early, err := l.Sign(Params{MinFee: 1000}, []Mint{{Destroys: 7}})
	if err != nil || early.FirstValid != 1 || early.LastValid != 501 {
		t.Errorf("at the chain's beginning: %+v, %v", early, err)
	}
	if list, err := decode(early.Raw); err != nil || list[0].ConfigAsset != 7 || list[0].AssetParams != (types.AssetParams{}) {
		t.Errorf("a destruction: %+v, %v", list, err)
	}
	for fee, good := range map[uint64]bool{10_000: true, 10_001: false} {
		var congested *CongestedError
		_, err := l.Sign(Params{Round: 1, MinFee: fee}, []Mint{oneMint(1)})
		if (err == nil) != good || !good && (!errors.As(err, &congested) || *congested != CongestedError{10_001, 10_000}) {
			t.Errorf("for %d: %v", fee, err)
		}
	}
	if MaxGroup != 16 || Window != 500 {
		t.Error("a group or its window is another than the protocol's")
	}
}

func TestAGroupIsSignedAnewForMoreAndNothingElse(t *testing.T) {
	_, l := newFakeAlgod(t)
	g, err := l.Sign(params, []Mint{oneMint(1), oneMint(2)})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := decode(g.Raw)
	for need, want := range map[uint64]uint64{999: 0, 1000: 0, 1001: 2002, 5000: 10_000, 5001: 10_000, 10_000: 10_000, 10_001: 0} {
		raised, err := l.Raise(Params{Round: 555, MinFee: need}, g.Raw)
		var congested *CongestedError
		if errors.As(err, &congested) != (need > 10_000) || (len(raised.TxIDs) == 2) != (want > 0) {
			t.Errorf("for %d: %+v, %v", need, raised, err)
			continue
		}
		if want == 0 {
			continue
		}
		after, err := decode(raised.Raw)
		if err != nil || raised.FirstValid != g.FirstValid || raised.LastValid != g.LastValid {
			t.Fatal(err)
		}
		for i := range after {
			u := after[i]
			if uint64(u.Fee) != want || u.Group == before[i].Group || u.Group == (types.Digest{}) {
				t.Errorf("for %d: fee %d, group %x", need, u.Fee, u.Group)
			}
			if u.Fee, u.Group = before[i].Fee, before[i].Group; string(msgpack.Encode(u)) != string(msgpack.Encode(before[i])) {
				t.Errorf("for %d something else is another: %+v", need, u)
			}
		}
	}
	free := oneMint(1)
	free.Lease = [32]byte{}
	unleased, err := l.Sign(params, []Mint{oneMint(2), free})
	if err != nil {
		t.Fatal(err)
	}
	if raised, err := l.Raise(Params{MinFee: 2000}, unleased.Raw); err == nil || raised.Raw != nil {
		t.Error("without a lease both could be confirmed")
	}
	for what, raw := range map[string][]byte{"nothing": nil, "nonsense": []byte("x"), "a part": g.Raw[:len(g.Raw)-1]} {
		if _, err := l.Raise(Params{MinFee: 2000}, raw); err == nil || !strings.HasPrefix(err.Error(), "reading a signed group: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOneWrongRoundIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("x")
		for _, c := range []struct {
			what         string
			known        uint64 // 0 for nothing
			after        time.Duration
			said, second uint64
			err          error
			want         uint64 // 0 for an error
			asked        bool
		}{
			{"the first, confirmed", 0, 0, 500, 510, nil, 510, true}, {"the first, contradicted", 0, 0, 500, 700, nil, 0, true}, {"the first, by a little", 0, 0, 500, 600, nil, 600, true},
			{"the first, by too much", 0, 0, 500, 601, nil, 0, true}, {"the first, downwards", 0, 0, 500, 400, nil, 400, true}, {"the first, too far down", 0, 0, 500, 399, nil, 0, true},
			{"near", 500, 0, 600, 0, nil, 600, false}, {"behind", 500, 0, 400, 0, nil, 400, false},
			{"too far ahead", 500, 0, 601, 550, nil, 550, true}, {"too far behind", 500, 0, 399, 550, nil, 550, true}, {"far ahead, twice", 500, 0, 9000, 9001, nil, 9001, true},
			{"later", 500, 60 * time.Second, 660, 0, nil, 660, false}, {"too far ahead later", 500, 60 * time.Second, 661, 0, failed, 0, true},
			{"far and away", 500, 0, 9000, 0, failed, 0, true}, {"two others", 500, 0, 9000, 700, nil, 0, true},
		} {
			var k clock
			if c.known > 0 {
				k.set(c.known)
			}
			time.Sleep(c.after)
			asked := false
			got, err := k.check(c.said, func() (uint64, error) { asked = true; return c.second, c.err })
			if got != c.want || (err != nil) != (c.want == 0) || asked != c.asked || c.err != nil && !errors.Is(err, failed) {
				t.Errorf("%s: %d, %v; asked again: %v", c.what, got, err, asked)
			}
			if c.want > 0 && k.round != c.want || c.want == 0 && k.round != c.known {
				t.Errorf("%s: remembered is %d", c.what, k.round)
			}
		}
	})
}

func TestAnAlgodThatIsBehindSaysSo(t *testing.T) {
	f, l := newFakeAlgod(t)
	f.round(7)
	if got, err := l.Tip(t.Context()); err != nil || got != 7 {
		t.Errorf("%d, %v", got, err)
	}
	for _, more := range []string{`"catchup-time":1`, `"catchpoint":"x"`, `"stopped-at-unsupported-round":true`} {
		f.says["/v2/status"] = text(`{"last-round":7,"last-version":"v",%s}`, more)
		if got, err := l.Tip(t.Context()); !errors.Is(err, ErrCatchingUp) || got != 0 {
			t.Errorf("%s: %d, %v", more, got, err)
		}
		if got, err := l.Round(t.Context()); err != nil || got != 7 {
			t.Errorf("%s: the round is %d, %v", more, got, err)
		}
	}
	var foreign *algorand.ForeignError
	for body, bad := range map[string]bool{`{}`: true, `{"last-round":0,"last-version":"v"}`: false, `{"last-round":7}`: false} {
		f.says["/v2/status"] = text("%s", body)
		if _, err := l.Tip(t.Context()); errors.As(err, &foreign) != bad || (err != nil) != bad {
			t.Errorf("%s: %v", body, err)
		}
	}
	f.says["/v2/status"] = words(500, "x")
	for name, ask := range map[string]func(context.Context) (uint64, error){"Tip": l.Tip, "Round": l.Round} {
		if _, err := ask(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "asking algod for the last round: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhoWaitsForARoundIsToldTheLastOne(t *testing.T) {
	f, l := newFakeAlgod(t)
	f.round(8)
	f.says["/v2/status/wait-for-block-after/7"] = text(`{"last-round":8,"last-version":"v"}`)
	if got, err := l.WaitAfter(t.Context(), 7); err != nil || got != 8 {
		t.Errorf("%d, %v", got, err)
	}
	f.says["/v2/status/wait-for-block-after/7"] = text(`{}`)
	if got, err := l.WaitAfter(t.Context(), 7); err == nil || !strings.HasPrefix(err.Error(), "waiting for round 8: ") {
		t.Errorf("%d, %v", got, err)
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
	if id := crypto.TransactionIDString(mine); err != nil || len(got) != 1 || got[0] != (Minted{id, 7, 7}) {
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

func TestAlgodsClockIsThatOfItsLastTwoBlocks(t *testing.T) {
	f, l := newFakeAlgod(t)
	f.says["/v2/status"] = text(`{"last-round":7,"last-version":"v","time-since-last-round":5000000000}`)
	f.block(6, blockOf(6))
	f.block(7, blockOf(7))
	round, at, before, ago, err := l.Clock(t.Context())
	if err != nil || round != 7 || at.Unix() != 1007 || before.Unix() != 1006 || ago != 5*time.Second {
		t.Errorf("%d, %s, %s, %s, %v", round, at, before, ago, err)
	}
	f.block(6, blockOf(5))
	if _, _, _, _, err := l.Clock(t.Context()); err == nil || !strings.Contains(err.Error(), "reading the time of block 6: algod gave block 5") {
		t.Errorf("%v", err)
	}
	f.says["/v2/status"] = text(`{"last-round":0,"last-version":"v"}`)
	f.block(0, blockOf(0))
	if round, at, before, _, err := l.Clock(t.Context()); err != nil || round != 0 || !at.Equal(before) {
		t.Errorf("at the chain's beginning: %d, %s, %s, %v", round, at, before, err)
	}
	f.says["/v2/status"] = words(500, "x")
	if _, _, _, _, err := l.Clock(t.Context()); err == nil {
		t.Error("without a status there is a time")
	}
}
