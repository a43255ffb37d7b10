package ledger

import (
	"slices"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/splice"
)

var three = []crypto.Account{crypto.GenerateAccount(), crypto.GenerateAccount(), crypto.GenerateAccount()}

// joint is a transaction of two of three accounts, without a signature.
func joint(t testing.TB) *Joint {
	t.Helper()
	account, err := crypto.MultisigAccountWithParams(1, 2, []types.Address{three[0].Address, three[1].Address, three[2].Address})
	if err != nil {
		t.Fatal(err)
	}
	p := Params{Round: 100, GenesisID: "test-v1", GenesisHash: [32]byte{7}, MinFee: 1000}
	j, err := NewJoint(p, account, Mint{URL: "ipfs://x", MetadataHash: [32]byte{1}, Note: []byte("note"), Lease: [32]byte{2}}, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func reread(t testing.TB, j *Joint) *Joint {
	t.Helper()
	again, err := ParseJoint(j.Raw())
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestAJointTransactionIsCompleteWithEnoughSignatures(t *testing.T) {
	j := joint(t)
	if j.Sign(crypto.GenerateAccount()) {
		t.Error("a stranger can sign")
	}
	if !j.Sign(three[2]) || reread(t, j).Complete() {
		t.Error("one signature of two is enough, or is not taken")
	}
	if !j.Sign(three[2]) || reread(t, j).Complete() {
		t.Error("the same signature twice is enough")
	}
	other := joint(t)
	other.Sign(three[0])
	merged := reread(t, j)
	if err := merged.Merge(reread(t, other)); err != nil || !reread(t, merged).Complete() {
		t.Errorf("two signatures put together: %v", err)
	}
	if got := merged.Signers(); !got[0].Signed || got[1].Signed || !got[2].Signed {
		t.Errorf("the signers are %+v", got)
	}
	if !crypto.VerifyMultisig(merged.signed.Txn.Sender, merged.message(), merged.signed.Msig) {
		t.Error("the network would not take it")
	}
	if first, last := merged.Window(); first != 100 || last != 1100 {
		t.Errorf("it can be confirmed from %d to %d", first, last)
	}
}

// What a proposal must not smuggle in: whoever signs sees an admission and would give the account away.
func TestAJointTransactionThatDoesMoreIsRefused(t *testing.T) {
	for what, change := range map[string]func(*types.SignedTxn){
		"a rekeying": func(s *types.SignedTxn) { s.Txn.RekeyTo = three[0].Address },
		"a payment": func(s *types.SignedTxn) {
			s.Txn.Type, s.Txn.Receiver, s.Txn.Amount = types.PaymentTx, three[0].Address, 5
		},
		"a payment beside":    func(s *types.SignedTxn) { s.Txn.Receiver, s.Txn.Amount = three[0].Address, 5 },
		"another manager":     func(s *types.SignedTxn) { s.Txn.AssetParams.Manager = three[0].Address },
		"a clawback":          func(s *types.SignedTxn) { s.Txn.AssetParams.Clawback = three[0].Address },
		"another asset":       func(s *types.SignedTxn) { s.Txn.AssetParams.Total = 2 },
		"a destruction":       func(s *types.SignedTxn) { s.Txn.ConfigAsset, s.Txn.AssetParams = 5, types.AssetParams{} },
		"a short window":      func(s *types.SignedTxn) { s.Txn.LastValid-- },
		"a group":             func(s *types.SignedTxn) { s.Txn.Group = types.Digest{1} },
		"another sender":      func(s *types.SignedTxn) { s.Txn.Sender = three[0].Address },
		"another signer":      func(s *types.SignedTxn) { s.AuthAddr = three[0].Address },
		"a single signature":  func(s *types.SignedTxn) { s.Sig = types.Signature{1} },
		"a false signature":   func(s *types.SignedTxn) { s.Msig.Subsigs[1].Sig = types.Signature{1} },
		"a lower threshold":   func(s *types.SignedTxn) { s.Msig.Threshold = 1 },
		"a key too short":     func(s *types.SignedTxn) { s.Msig.Subsigs[1].Key = s.Msig.Subsigs[1].Key[:31] },
		"nobody":              func(s *types.SignedTxn) { s.Msig = types.MultisigSig{} },
		"a signed other note": func(s *types.SignedTxn) { s.Txn.Note = []byte("other") },
	} {
		j := joint(t)
		j.Sign(three[0])
		signed := j.signed
		signed.Msig.Subsigs = slices.Clone(signed.Msig.Subsigs)
		change(&signed)
		if _, err := ParseJoint(msgpack.Encode(signed)); err == nil {
			t.Errorf("%s passes", what)
		}
	}
	if _, err := ParseJoint(append(joint(t).Raw(), 0)); err == nil {
		t.Error("trailing bytes pass")
	}
	if _, err := ParseJoint([]byte(strings.Repeat("x", maxJoint+1))); err == nil {
		t.Error("a huge one passes")
	}
}

func TestAJointTransactionCostsNoMoreThanAllowed(t *testing.T) {
	account, err := crypto.MultisigAccountWithParams(1, 1, []types.Address{three[0].Address, three[1].Address})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewJoint(Params{Round: 1, MinFee: 1000, FeePerByte: 100}, account, Mint{}, 10_000); err == nil {
		t.Error("a fee above the limit is offered")
	}
}

func FuzzParseJoint(f *testing.F) {
	j := joint(f)
	j.Sign(three[1])
	valid := j.Raw()
	f.Add(uint16(0), uint16(0), []byte{})
	f.Add(uint16(20), uint16(3), []byte{0xc4, 0xff})
	f.Fuzz(func(t *testing.T, at, cut uint16, with []byte) {
		j, err := ParseJoint(splice.Splice(valid, at, cut, with))
		if err != nil {
			return
		}
		if again, err := ParseJoint(j.Raw()); err != nil || again.TxID() != j.TxID() {
			t.Fatalf("read, and not read again: %v", err)
		}
	})
}
