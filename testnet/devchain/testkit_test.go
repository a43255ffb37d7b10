package devchain_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/algod"
	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"
	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/mnemonic"
	"github.com/algorand/go-algorand-sdk/v2/transaction"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"go.uber.org/goleak"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/testnet/devchain"
)

// kit is a running chain with the SDK's clients, unchanged, and a rich account.
type kit struct {
	*devchain.Chain
	testing.TB
	ctx     context.Context
	algod   *algod.Client
	indexer *indexer.Client
	funder  crypto.Account
}

// startKit starts a chain and checks, when the test ends, that nothing of it is left.
func startKit(t testing.TB, cfg devchain.Config) *kit {
	t.Helper()
	before := goleak.IgnoreCurrent()
	chain, err := devchain.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chain.Close(); err != nil {
			t.Error(err)
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		goleak.VerifyNone(t, before)
	})
	return newKit(t, chain)
}

func newKit(t testing.TB, chain *devchain.Chain) *kit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waiting.Limit)
	t.Cleanup(cancel)
	k := &kit{Chain: chain, TB: t, ctx: ctx}
	var err error
	if k.algod, err = algod.MakeClient(chain.AlgodURL(), chain.Token()); err != nil {
		t.Fatal(err)
	}
	if k.indexer, err = indexer.MakeClient(chain.IndexerURL(), ""); err != nil {
		t.Fatal(err)
	}
	key, err := mnemonic.ToPrivateKey(chain.Funder())
	if err != nil {
		t.Fatal(err)
	}
	if k.funder, err = crypto.AccountFromPrivateKey(key); err != nil {
		t.Fatal(err)
	}
	return k
}

// must fails the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// params are the suggested ones with the flat minimum fee.
func (k *kit) params() types.SuggestedParams {
	k.Helper()
	p := must(k.algod.SuggestedParams().Do(k.ctx))(k)
	p.FlatFee, p.Fee = true, types.MicroAlgos(p.MinFee)
	return p
}

func (k *kit) payment(from, to types.Address, microalgos uint64, note string) types.Transaction {
	k.Helper()
	return must(transaction.MakePaymentTxn(from.String(), to.String(), microalgos, []byte(note), "", k.params()))(k)
}

// mint is an asset creation as a member's node makes it.
func (k *kit) mint(creator types.Address, n uint64) types.Transaction {
	k.Helper()
	return mintWith(k.params(), creator, n)
}

func mintWith(p types.SuggestedParams, creator types.Address, n uint64) types.Transaction {
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], n)
	hash := sha256.Sum256(seed[:])
	tx, err := transaction.MakeAssetCreateTxn(creator.String(), fmt.Appendf(nil, `serviceledger/7:j{"n":%d}`, n), p, 1, 0, false,
		creator.String(), "", "", "", "SLIX", "SL Intelligence Xpression",
		"ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/metadata.json#arc3", string(hash[:]))
	if err != nil {
		panic(err) // the arguments are constants but for the hash
	}
	return tx
}

// sign signs transactions, as a group where there are several.
func (k *kit) sign(key ed25519.PrivateKey, txns ...types.Transaction) (txids []string, signed []byte) {
	k.Helper()
	if len(txns) > 1 {
		txns = must(transaction.AssignGroupID(txns, ""))(k)
	}
	var all bytes.Buffer
	for _, tx := range txns {
		id, raw, err := crypto.SignTransaction(key, tx)
		if err != nil {
			k.Fatal(err)
		}
		txids = append(txids, id)
		all.Write(raw)
	}
	return txids, all.Bytes()
}

// send submits signed transactions that must be accepted.
func (k *kit) send(signed []byte) {
	k.Helper()
	must(k.algod.SendRawTransaction(signed).Do(k.ctx))(k)
}

// submit signs and sends.
func (k *kit) submit(key ed25519.PrivateKey, txns ...types.Transaction) (txids []string) {
	k.Helper()
	txids, signed := k.sign(key, txns...)
	k.send(signed)
	return txids
}

// refused submits signed transactions that must be refused with words that contain want.
func (k *kit) refused(signed []byte, want string) {
	k.Helper()
	_, err := k.algod.SendRawTransaction(signed).Do(k.ctx)
	if err == nil || !strings.Contains(err.Error(), want) {
		k.Fatalf("got %v, want an error with %q", err, want)
	}
}

// fundedAccount is a new account with money.
func (k *kit) fundedAccount(microalgos uint64) crypto.Account {
	k.Helper()
	account := crypto.GenerateAccount()
	_, signed := k.sign(k.funder.PrivateKey, k.payment(k.funder.Address, account.Address, microalgos, ""))
	k.send(signed)
	return account
}

func (k *kit) balance(a types.Address) uint64 {
	k.Helper()
	return must(k.algod.AccountInformation(a.String()).Exclude([]string{"all"}).Do(k.ctx))(k).Amount
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	waiting.Until(t, what, condition)
}
