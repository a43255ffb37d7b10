package chainwatch

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	sdkjson "github.com/algorand/go-algorand-sdk/v2/encoding/json"

	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/splice"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// recorded is the transactions of a real indexer's answer.
func recorded(t testing.TB, name string) []models.Transaction {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	var recording struct {
		Body models.TransactionsResponse `json:"body"`
	}
	must(t, sdkjson.LenientDecode(data, &recording))
	if len(recording.Body.Transactions) == 0 {
		t.Fatalf("%s holds no transaction", name)
	}
	return recording.Body.Transactions
}

func check(recording models.Transaction) error {
	signed, err := rebuild(recording)
	if err != nil {
		return err
	}
	return onchain.CheckSignature(signed)
}

func TestRecordedTransactionsAreRebuiltByteByByte(t *testing.T) {
	for _, name := range []string{"search-acfg.json", "multisig.json"} {
		for _, recording := range recorded(t, name) {
			if err := check(recording); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestARekeyedAccountsTransactionIsNotBelieved(t *testing.T) {
	recording := recorded(t, "rekeyed.json")[0]
	if err := check(recording); err == nil {
		t.Error("a signature by another key than the sender's is taken on the indexer's word")
	}
}

func TestEveryChangedFieldIsNoticed(t *testing.T) {
	for what, change := range map[string]func(*models.Transaction){
		"sender":    func(t *models.Transaction) { t.Sender = t.AssetConfigTransaction.Params.Creator[:57] + "A" },
		"fee":       func(t *models.Transaction) { t.Fee++ },
		"note":      func(t *models.Transaction) { t.Note = append(bytes.Clone(t.Note), '!') },
		"url":       func(t *models.Transaction) { t.AssetConfigTransaction.Params.UrlB64 = []byte("ipfs://evil") },
		"hash":      func(t *models.Transaction) { t.AssetConfigTransaction.Params.MetadataHash = make([]byte, 32) },
		"long hash": func(t *models.Transaction) { t.AssetConfigTransaction.Params.MetadataHash = make([]byte, 33) },
		"total":     func(t *models.Transaction) { t.AssetConfigTransaction.Params.Total = 2 },
		"validity":  func(t *models.Transaction) { t.LastValid++ },
		"lease":     func(t *models.Transaction) { t.Lease = bytes.Repeat([]byte{1}, 32) },
		"id":        func(t *models.Transaction) { t.Id = t.Id[1:] + t.Id[:1] },
	} {
		recording := recorded(t, "search-acfg.json")[0]
		change(&recording)
		if _, err := rebuild(recording); err == nil {
			t.Errorf("another %s goes unnoticed", what)
		}
	}
	for what, change := range map[string]func(*models.Transaction){
		"signature":    func(t *models.Transaction) { t.Signature.Sig[5] ^= 1 },
		"no signature": func(t *models.Transaction) { t.Signature.Sig = nil },
		"logic instead": func(t *models.Transaction) {
			t.Signature = models.TransactionSignature{Logicsig: models.TransactionSignatureLogicsig{Logic: []byte{1}}}
		},
	} {
		recording := recorded(t, "search-acfg.json")[0]
		change(&recording)
		if err := check(recording); err == nil {
			t.Errorf("%s goes unnoticed", what)
		}
	}
	for what, change := range map[string]func(*models.TransactionSignatureMultisig){
		"threshold":    func(m *models.TransactionSignatureMultisig) { m.Threshold = 1 },
		"subsignature": func(m *models.TransactionSignatureMultisig) { m.Subsignature[0].Signature[3] ^= 1 },
		"key":          func(m *models.TransactionSignatureMultisig) { m.Subsignature[0].PublicKey[3] ^= 1 },
		"a short key":  func(m *models.TransactionSignatureMultisig) { m.Subsignature[0].PublicKey = []byte{1} },
		"too many keys": func(m *models.TransactionSignatureMultisig) {
			m.Subsignature = make([]models.TransactionSignatureMultisigSubsignature, 300)
		},
	} {
		recording := recorded(t, "multisig.json")[0]
		change(&recording.Signature.Multisig)
		if err := check(recording); err == nil {
			t.Errorf("another %s of a multisignature goes unnoticed", what)
		}
	}
}

// An indexer gives the root of an inner transaction that matches: an application call by anybody.
func TestInnerTransactionsDoNotCount(t *testing.T) {
	d := decoder{consortium: 1}
	for _, recording := range recorded(t, "inner.json") {
		if _, err := d.event(recording); !errors.Is(err, errForeign) {
			t.Errorf("a root of type %s: %v, want foreign", recording.Type, err)
		}
		for _, inner := range recording.InnerTxns {
			inner.Note = []byte(`serviceledger/1:j{"v":1,"k":"object","s":1}`)
			if _, err := d.event(inner); err == nil {
				t.Error("an inner transaction counts")
			}
		}
	}
}

func FuzzEvent(f *testing.F) {
	var valid [][]byte
	for i, name := range []string{"search-acfg.json", "multisig.json", "inner.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		must(f, err)
		valid = append(valid, data)
		f.Add(uint8(i), uint16(0), uint16(0), []byte{})
		f.Add(uint8(i), uint16(300), uint16(1), []byte("7"))
	}
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint16, with []byte) {
		var recording struct {
			Body models.TransactionsResponse `json:"body"`
		}
		if sdkjson.LenientDecode(splice.Splice(valid[int(which)%len(valid)], at, cut, with), &recording) != nil {
			return
		}
		for _, transaction := range recording.Body.Transactions {
			if transaction.Note == nil || transaction.Type == "acfg" {
				transaction.Note = []byte(`serviceledger/1:j{"v":1,"k":"object","s":1}`)
			}
			if e, err := (decoder{consortium: 1}).event(transaction); err == nil {
				t.Fatalf("forged: %+v", e) // nobody ever signed this note
			}
		}
	})
}
