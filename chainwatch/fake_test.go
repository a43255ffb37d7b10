package chainwatch

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	sdkjson "github.com/algorand/go-algorand-sdk/v2/encoding/json"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

const fakeConsortium = 1001

var fakeGenesis = [32]byte{7, 7, 7}

// writer signs transactions of the protocol.
type writer struct {
	crypto.Account
	sequence uint64
}

func newWriter() *writer { return &writer{Account: crypto.GenerateAccount()} }

// unsigned is a transaction that mints an NFT with a note.
func (w *writer) unsigned(t testing.TB, note wire.Note) types.Transaction {
	t.Helper()
	id := uint64(fakeConsortium)
	if note.Kind == wire.KindCharter {
		id = 0
	} else {
		w.sequence++
		note.Sequence = w.sequence
	}
	encoded, err := note.Encode(id)
	must(t, err)
	directory, err := wire.DirectoryCID.Sum(fmt.Append(encoded, w.Address))
	must(t, err)
	return types.Transaction{
		Type: types.AssetConfigTx,
		Header: types.Header{
			Sender: w.Address, Fee: 1000, FirstValid: 1, LastValid: 1001, Note: encoded, GenesisID: "test-v1", GenesisHash: fakeGenesis, Lease: [32]byte{1},
		},
		AssetConfigTxnFields: types.AssetConfigTxnFields{AssetParams: types.AssetParams{
			Total: 1, UnitName: wire.UnitName, AssetName: wire.AssetName, URL: wire.URL(directory), MetadataHash: sha256.Sum256(encoded), Manager: w.Address,
		}},
	}
}

// at is a transaction as an indexer gives it.
func (w *writer) at(t testing.TB, note wire.Note, round, intra uint64) models.Transaction {
	t.Helper()
	asset := round*1000 + intra
	if note.Kind == wire.KindCharter {
		asset = fakeConsortium
	}
	return w.indexed(t, w.unsigned(t, note), round, intra, asset)
}

func (w *writer) object(t testing.TB, round, intra uint64) models.Transaction {
	t.Helper()
	return w.at(t, wire.Note{Kind: wire.KindObject}, round, intra)
}

func (w *writer) indexed(t testing.TB, u types.Transaction, round, intra, asset uint64) models.Transaction {
	t.Helper()
	_, raw, err := crypto.SignTransaction(w.PrivateKey, u)
	must(t, err)
	var signed types.SignedTxn
	must(t, msgpack.Decode(raw, &signed))
	return indexed(t, u, round, intra, asset, models.TransactionSignature{Sig: signed.Sig[:]})
}

func indexed(t testing.TB, u types.Transaction, round, intra, asset uint64, signature models.TransactionSignature) models.Transaction {
	t.Helper()
	p := u.AssetParams
	text := func(a types.Address) string {
		if a.IsZero() {
			return ""
		}
		return a.String()
	}
	return models.Transaction{
		Type: string(u.Type), Id: crypto.TransactionIDString(u), Sender: u.Sender.String(), Fee: uint64(u.Fee),
		FirstValid: uint64(u.FirstValid), LastValid: uint64(u.LastValid), Note: u.Note, GenesisId: u.GenesisID, GenesisHash: u.GenesisHash[:], Lease: u.Lease[:],
		RekeyTo: text(u.RekeyTo),
		AssetConfigTransaction: models.TransactionAssetConfig{AssetId: uint64(u.ConfigAsset), Params: models.AssetParams{
			Creator: u.Sender.String(), Total: p.Total, Decimals: uint64(p.Decimals), DefaultFrozen: p.DefaultFrozen, UnitName: p.UnitName, Name: p.AssetName, Url: p.URL,
			MetadataHash: p.MetadataHash[:], Manager: text(p.Manager), Reserve: text(p.Reserve), Freeze: text(p.Freeze), Clawback: text(p.Clawback),
		}},
		CreatedAssetIndex: asset, ConfirmedRound: round, IntraRoundOffset: intra, RoundTime: 1_767_322_800, Signature: signature,
	}
}

// foreign is a transaction of somebody else.
func foreign(id string, round uint64) models.Transaction {
	return models.Transaction{Type: "acfg", Id: id, Sender: "X", ConfirmedRound: round, Note: []byte("theirs")}
}

// fake is an indexer that holds transactions, and answers page by page as a real one does.
type fake struct {
	url string

	mu      sync.Mutex
	round   uint64
	list    []models.Transaction
	page    int // transactions a page, at most
	asked   []url.Values
	paths   []string
	instead func(n int, path string, q url.Values) (status int, body string) // of the nth request; "" for the answer
}

func newFake(t testing.TB, round uint64, list ...models.Transaction) *fake {
	t.Helper()
	f := &fake{round: round, list: list, page: 1000}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fake) client(t testing.TB) *indexer.Client {
	t.Helper()
	c, err := algorand.NewIndexer(f.url, "")
	must(t, err)
	return c
}

func (f *fake) reader(t testing.TB) *reader {
	t.Helper()
	return &reader{
		client: f.client(t), decode: decoder{consortium: fakeConsortium, genesisHash: fakeGenesis}, filters: filters{txType: true, notePrefix: true},
		most: maxEvents, limit: pageLimit, foreign: maxForeign,
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := r.URL.Query()
	f.asked, f.paths = append(f.asked, q), append(f.paths, r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	if f.instead != nil {
		if status, body := f.instead(len(f.asked), r.URL.Path, q); body != "" {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return
		}
	}
	rest, ofAccount := strings.CutPrefix(r.URL.Path, "/v2/accounts/")
	account := strings.TrimSuffix(rest, "/transactions")
	number := func(name string) (n int) {
		n, _ = strconv.Atoi(q.Get(name))
		return n
	}
	var found []models.Transaction
	for _, t := range f.list {
		round := int(t.ConfirmedRound)
		if round > int(f.round) || round < number("min-round") || q.Has("max-round") && round > number("max-round") ||
			ofAccount && t.Sender != account || q.Has("txid") && t.Id != q.Get("txid") {
			continue
		}
		found = append(found, t)
	}
	slices.SortStableFunc(found, func(a, b models.Transaction) int {
		before := consortium.Position{Round: a.ConfirmedRound, Intra: a.IntraRoundOffset}.Compare(consortium.Position{Round: b.ConfirmedRound, Intra: b.IntraRoundOffset})
		if ofAccount { // newest first
			return -before
		}
		return before
	})
	from := number("next")
	found = found[min(from, len(found)):]
	found = found[:min(len(found), f.page, number("limit")+len(found)*(1-min(1, number("limit"))))]
	next := ""
	if len(found) > 0 {
		next = strconv.Itoa(from + len(found))
	}
	fmt.Fprint(w, answer(f.round, next, found...))
}

// answer is a page as an indexer writes it.
func answer(round uint64, next string, list ...models.Transaction) string {
	texts := make([]json.RawMessage, len(list))
	for i, t := range list {
		texts[i] = sdkjson.Encode(t)
	}
	body := map[string]any{"current-round": round, "transactions": texts}
	if next != "" {
		body["next-token"] = next
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// queries are what was asked, in one line each.
func (f *fake) queries() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, q := range f.asked {
		list = append(list, f.paths[i]+"?"+q.Encode())
	}
	return list
}
