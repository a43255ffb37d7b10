package onchain

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

// network is the genesis hash of the network of these tests.
var network = [32]byte{7}

const aConsortium = 1234

// publisher signs transactions of this protocol.
type publisher struct{ crypto.Account }

func newPublisher() publisher { return publisher{crypto.GenerateAccount()} }

// sign completes a transaction with the sender's signature, as it stands in a block.
func (p publisher) sign(t types.Transaction, asset uint64) Confirmed {
	c := Confirmed{TxID: crypto.TransactionIDString(t), Position: consortium.Position{Round: 9, Intra: 2}, Time: time.Unix(1795000000, 0), Asset: asset}
	c.Txn = t
	copy(c.Sig[:], ed25519.Sign(p.PrivateKey, append([]byte("TX"), msgpack.Encode(t)...)))
	return c
}

func (p publisher) header(t testing.TB, kind wire.Kind) types.Header {
	t.Helper()
	note, err := wire.Note{Kind: kind, Sequence: 17}.Encode(aConsortium)
	must(t, err)
	return types.Header{Sender: p.Address, Fee: 1000, FirstValid: 1, LastValid: 9, Note: note, GenesisHash: network, Lease: [32]byte{5}}
}

func (p publisher) mints(t testing.TB) types.Transaction {
	t.Helper()
	directory, err := wire.DirectoryCID.Sum([]byte("a directory"))
	must(t, err)
	return types.Transaction{
		Type: types.AssetConfigTx, Header: p.header(t, wire.KindObject),
		AssetConfigTxnFields: types.AssetConfigTxnFields{AssetParams: types.AssetParams{
			Total: 1, UnitName: wire.UnitName, AssetName: wire.AssetName, URL: wire.URL(directory), MetadataHash: [32]byte{1, 2}, Manager: p.Address,
		}},
	}
}

func (p publisher) destroys(t testing.TB) types.Transaction {
	t.Helper()
	return types.Transaction{
		Type: types.AssetConfigTx, Header: p.header(t, wire.KindDestroy), AssetConfigTxnFields: types.AssetConfigTxnFields{ConfigAsset: 55},
	}
}

func TestAMintedNFTIsReadAsTheEventThatItIs(t *testing.T) {
	p := newPublisher()
	c := p.sign(p.mints(t), 77)
	e, err := c.Event(network)
	must(t, err)
	directory, err := wire.ParseURL(c.Txn.AssetParams.URL)
	must(t, err)
	if e.Asset != 77 || e.Directory != directory.String() || !bytes.Equal(e.MetadataHash, c.Txn.AssetParams.MetadataHash[:]) {
		t.Errorf("it makes %d, which leads to %s with the metadata hash %x", e.Asset, e.Directory, e.MetadataHash)
	}
	if e.Note.Kind != wire.KindObject || e.Note.Sequence != 17 || e.Consortium != aConsortium || e.Sender != p.Address.String() || e.TxID != c.TxID {
		t.Errorf("it says %+v in %d, from %s as %s", e.Note, e.Consortium, e.Sender, e.TxID)
	}
	if e.Position != c.Position || !e.Time.Equal(c.Time) || e.Time.Location() != time.UTC || !bytes.Equal(e.Lease, c.Txn.Lease[:]) {
		t.Errorf("it is at %v, %v, with the lease %x", e.Position, e.Time, e.Lease)
	}
}

func TestADestructionIsReadAsTheAssetThatItEnds(t *testing.T) {
	p := newPublisher()
	e, err := p.sign(p.destroys(t), 0).Event(network)
	if err != nil || e.Asset != 55 || e.Note.Kind != wire.KindDestroy || e.Directory != "" || e.MetadataHash != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestATransactionWithoutALeaseHasNone(t *testing.T) {
	p := newPublisher()
	transaction := p.mints(t)
	transaction.Lease = [32]byte{}
	if e, err := p.sign(transaction, 77).Event(network); err != nil || e.Lease != nil {
		t.Errorf("the lease is %x, %v", e.Lease, err)
	}
}

// Each of these is signed by its sender, so that nothing but its form can be what is refused.
func TestOnlyAnNFTOfTheProtocolsFormCounts(t *testing.T) {
	p, other := newPublisher(), newPublisher().Address
	for what, change := range map[string]func(*types.Transaction){
		"a thousand units":       func(t *types.Transaction) { t.AssetParams.Total = 1000 },
		"no unit":                func(t *types.Transaction) { t.AssetParams.Total = 0 },
		"decimals":               func(t *types.Transaction) { t.AssetParams.Decimals = 1 },
		"frozen from the start":  func(t *types.Transaction) { t.AssetParams.DefaultFrozen = true },
		"another unit name":      func(t *types.Transaction) { t.AssetParams.UnitName = "SLIY" },
		"another asset name":     func(t *types.Transaction) { t.AssetParams.AssetName = "SL" },
		"a URL elsewhere":        func(t *types.Transaction) { t.AssetParams.URL = "https://example.com/metadata.json#arc3" },
		"no URL":                 func(t *types.Transaction) { t.AssetParams.URL = "" },
		"another manager":        func(t *types.Transaction) { t.AssetParams.Manager = other },
		"no manager":             func(t *types.Transaction) { t.AssetParams.Manager = types.Address{} },
		"a clawback account":     func(t *types.Transaction) { t.AssetParams.Clawback = other },
		"a freeze account":       func(t *types.Transaction) { t.AssetParams.Freeze = other },
		"a reserve":              func(t *types.Transaction) { t.AssetParams.Reserve = other },
		"a change of an asset":   func(t *types.Transaction) { t.ConfigAsset = 55 },
		"a payment":              func(t *types.Transaction) { t.Type = types.PaymentTx },
		"a transfer of an asset": func(t *types.Transaction) { t.Type = types.AssetTransferTx },
		"another network":        func(t *types.Transaction) { t.GenesisHash = types.Digest{8} },
		"no network":             func(t *types.Transaction) { t.GenesisHash = types.Digest{} },
		"no note":                func(t *types.Transaction) { t.Note = nil },
		"a note cut off":         func(t *types.Transaction) { t.Note = t.Note[:len(t.Note)-1] },
	} {
		transaction := p.mints(t)
		change(&transaction)
		if e, err := p.sign(transaction, 77).Event(network); err == nil || errors.Is(err, ErrForged) {
			t.Errorf("%s is read as %+v, %v", what, e, err)
		}
	}
}

func TestAnNFTThatMadeNoAssetDoesNotCount(t *testing.T) {
	p := newPublisher()
	if e, err := p.sign(p.mints(t), 0).Event(network); err == nil {
		t.Errorf("it is read as %+v", e)
	}
}

// A reconfiguration that is noted as a destruction ends nothing: on Algorand, only one without any parameters does.
func TestOnlyADestructionIsADestruction(t *testing.T) {
	p := newPublisher()
	for what, change := range map[string]func(*types.Transaction){
		"a reconfiguration": func(t *types.Transaction) { t.AssetParams = types.AssetParams{Manager: p.Address} },
		"of no asset":       func(t *types.Transaction) { t.ConfigAsset = 0 },
		"a new asset":       func(t *types.Transaction) { t.ConfigAsset, t.AssetParams = 0, types.AssetParams{Total: 1} },
	} {
		transaction := p.destroys(t)
		change(&transaction)
		if e, err := p.sign(transaction, 0).Event(network); err == nil || e.Asset != 0 {
			t.Errorf("%s is read as the destruction of %d, %v", what, e.Asset, err)
		}
	}
	one := p.destroys(t)
	one.ConfigAsset = 1
	if e, err := p.sign(one, 0).Event(network); err != nil || e.Asset != 1 {
		t.Errorf("the destruction of asset 1 is read as %d, %v", e.Asset, err)
	}
}

func TestOfForeignTransactionsNothingIsSaidButThatTheyAre(t *testing.T) {
	p := newPublisher()
	for what, change := range map[string]func(*types.Transaction){
		"another type":  func(t *types.Transaction) { t.Type = types.PaymentTx },
		"another note":  func(t *types.Transaction) { t.Note = []byte("lunch") },
		"an empty note": func(t *types.Transaction) { t.Note = nil },
	} {
		transaction := p.mints(t)
		change(&transaction)
		if _, err := p.sign(transaction, 77).Event(network); !errors.Is(err, wire.ErrNotOurs) {
			t.Errorf("%s: %v, want ErrNotOurs", what, err)
		}
	}
}

func TestWhatTheSenderDidNotSignIsForged(t *testing.T) {
	p := newPublisher()
	for what, change := range map[string]func(*Confirmed){
		"another sequence number": func(c *Confirmed) { c.Txn.Note, _ = wire.Note{Kind: wire.KindObject, Sequence: 18}.Encode(aConsortium) },
		"another sender":          func(c *Confirmed) { c.Txn.Sender = newPublisher().Address },
		"another signature":       func(c *Confirmed) { c.Sig[0] ^= 1 },
		"another lease":           func(c *Confirmed) { c.Txn.Lease[0] ^= 1 },
	} {
		c := p.sign(p.mints(t), 77)
		change(&c)
		if e, err := c.Event(network); !errors.Is(err, ErrForged) {
			t.Errorf("%s is read as %+v, %v", what, e, err)
		}
	}
}

// Whoever can sign in another way than with the account's own keys is not who was admitted.
func TestAMemberSignsWithItsKeysAlone(t *testing.T) {
	p := newPublisher()
	program := types.LogicSig{Logic: []byte{1, 32, 1, 1, 34}}
	quantum := types.PQSig{PublicKey: []byte{1}, Signature: []byte{1}}
	for what, change := range map[string]func(*Confirmed){
		"a logic signature beside it":             func(c *Confirmed) { c.Lsig = program },
		"a logic signature in its place":          func(c *Confirmed) { c.Sig, c.Lsig = types.Signature{}, program },
		"a post-quantum signature beside it":      func(c *Confirmed) { c.PQsig = quantum },
		"a post-quantum signature in its place":   func(c *Confirmed) { c.Sig, c.PQsig = types.Signature{}, quantum },
		"a multisig signature beside it":          func(c *Confirmed) { c.Msig = multisigned(t, 0, 1).Msig },
		"no signature":                            func(c *Confirmed) { c.Sig = types.Signature{} },
		"the key that the account was rekeyed to": func(c *Confirmed) { c.AuthAddr = newPublisher().Address },
	} {
		c := p.sign(p.mints(t), 77)
		change(&c)
		if err := CheckSignature(c.SignedTxn); err == nil || errors.Is(err, ErrForged) {
			t.Errorf("%s: %v, want an error that is not a forgery's", what, err)
		}
	}
	c := p.sign(p.mints(t), 77)
	c.AuthAddr = p.Address
	if err := CheckSignature(c.SignedTxn); err != nil {
		t.Errorf("the sender named as its own signer: %v", err)
	}
}

// The address of a multisig account is a hash of its keys one after another, so that keys of other lengths can have the
// same address.
func TestKeysOfAnotherLengthDoNotSign(t *testing.T) {
	signed := multisigned(t, 0, 1)
	first, second := signed.Msig.Subsigs[0].Key, signed.Msig.Subsigs[1].Key
	signed.Msig.Subsigs[0].Key = first[:31:31]
	signed.Msig.Subsigs[1].Key = append(bytes.Clone(first[31:]), second...)
	if err := CheckSignature(signed); !errors.Is(err, ErrForged) {
		t.Errorf("keys of 31 and 33 bytes: %v", err)
	}
}

func TestABlocksTimeIsTheTransactions(t *testing.T) {
	block := recordedBlock(t, "block-single.msgp")
	if c := Restore(&block.BlockHeader, block.Payset[0], 3); !c.Time.Equal(time.Unix(block.TimeStamp, 0)) || c.Position.Intra != 3 {
		t.Errorf("%v at %v, want %v", c.Time, c.Position, time.Unix(block.TimeStamp, 0))
	}
}

func TestATreeHasAtMost32Levels(t *testing.T) {
	if _, err := Root([32]byte{}, 0, make([]byte, 32*32)); err != nil {
		t.Errorf("32 levels: %v", err)
	}
	if _, err := Root([32]byte{}, 0, make([]byte, 33*32)); err == nil {
		t.Error("33 levels pass")
	}
}
