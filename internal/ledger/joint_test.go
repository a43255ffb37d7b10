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
		if strings.Contains(what, "signature") {
			continue
		}
		// Nor where nobody has signed yet, or who made it has.
		for i := range signed.Msig.Subsigs {
			signed.Msig.Subsigs[i].Sig = types.Signature{}
		}
		other := &Joint{signed}
		for _, signs := range []bool{false, true} {
			if signs {
				other.Sign(three[0])
			}
			if _, err := ParseJoint(other.Raw()); (err == nil) != (what == "a signed other note") {
				t.Errorf("%s: %v, signed: %v", what, err, signs)
			}
		}
	}
	if _, err := ParseJoint(append(joint(t).Raw(), 0)); err == nil {
		t.Error("trailing bytes pass")
	}
	if _, err := ParseJoint([]byte(strings.Repeat("x", maxJoint+1))); err == nil {
		t.Error("a huge one passes")
	}
}

// Signatures of another transaction, or of other accounts, are not taken over: nobody could tell any more what is
// signed.
func TestSignaturesOfAnotherTransactionAreNotMerged(t *testing.T) {
	j, other := joint(t), joint(t)
	other.signed.Txn.Note = []byte("other")
	other.Sign(three[1])
	fewer := joint(t)
	fewer.Sign(three[0])
	fewer.signed.Msig.Subsigs = fewer.signed.Msig.Subsigs[:2]
	for name, o := range map[string]*Joint{"another transaction": other, "fewer accounts": fewer} {
		if err := j.Merge(o); err == nil {
			t.Errorf("%s: it is merged", name)
		}
		if slices.ContainsFunc(j.Signers(), func(s Signer) bool { return s.Signed }) {
			t.Errorf("%s: its signatures are taken over", name)
		}
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

// Nobody has signed yet, so that no signature gives it away: what it does must.
func TestAProposalThatDoesMoreThanToMintIsRefused(t *testing.T) {
	for what, change := range map[string]func(*types.Transaction){
		"a rekeying":            func(u *types.Transaction) { u.RekeyTo = three[0].Address },
		"a payment":             func(u *types.Transaction) { u.Type, u.Receiver, u.Amount = types.PaymentTx, three[0].Address, 5 },
		"a payment beside":      func(u *types.Transaction) { u.Receiver, u.Amount = three[0].Address, 5 },
		"the account's closing": func(u *types.Transaction) { u.CloseRemainderTo = three[0].Address },
		"another manager":       func(u *types.Transaction) { u.AssetParams.Manager = three[0].Address },
		"no manager":            func(u *types.Transaction) { u.AssetParams.Manager = types.Address{} },
		"a reserve":             func(u *types.Transaction) { u.AssetParams.Reserve = three[0].Address },
		"a freezer":             func(u *types.Transaction) { u.AssetParams.Freeze = three[0].Address },
		"a clawback":            func(u *types.Transaction) { u.AssetParams.Clawback = three[0].Address },
		"two units":             func(u *types.Transaction) { u.AssetParams.Total = 2 },
		"decimals":              func(u *types.Transaction) { u.AssetParams.Decimals = 1 },
		"a frozen asset":        func(u *types.Transaction) { u.AssetParams.DefaultFrozen = true },
		"another name":          func(u *types.Transaction) { u.AssetParams.AssetName = "x" },
		"another unit":          func(u *types.Transaction) { u.AssetParams.UnitName = "x" },
		"a destruction":         func(u *types.Transaction) { u.ConfigAsset, u.AssetParams = 5, types.AssetParams{} },
		"a reconfiguration":     func(u *types.Transaction) { u.ConfigAsset = 5 },
		"a shorter window":      func(u *types.Transaction) { u.LastValid-- },
		"a longer window":       func(u *types.Transaction) { u.LastValid++ },
		"a group":               func(u *types.Transaction) { u.Group = types.Digest{1} },
	} {
		j := joint(t)
		change(&j.signed.Txn)
		if _, err := ParseJoint(j.Raw()); err == nil || err.Error() != "it does something else than to mint an NFT of the protocol's form" {
			t.Errorf("%s: %v", what, err)
		}
		j.Sign(three[0]) // nor does it help that one of them did
		if _, err := ParseJoint(j.Raw()); err == nil || err.Error() != "it does something else than to mint an NFT of the protocol's form" {
			t.Errorf("%s, signed: %v", what, err)
		}
	}
	for want, change := range map[string]func(*types.SignedTxn){
		"it is signed in another way than by several accounts":   func(s *types.SignedTxn) { s.Sig = types.Signature{1} },
		"it is signed in another way than by several accounts ":  func(s *types.SignedTxn) { s.AuthAddr = three[0].Address },
		"it is signed in another way than by several accounts  ": func(s *types.SignedTxn) { s.Lsig.Logic = []byte{1} },
		"a key has another length than an account's":             func(s *types.SignedTxn) { s.Msig.Subsigs[1].Key = s.Msig.Subsigs[1].Key[:31] },
		"its accounts: ": func(s *types.SignedTxn) { s.Msig.Version = 2 },
		"its sender is another account than the one that signs":  func(s *types.SignedTxn) { s.Txn.Sender = three[0].Address },
		"its sender is another account than the one that signs ": func(s *types.SignedTxn) { s.Msig.Threshold = 1 },
		"the signature of account " + three[1].Address.String():  func(s *types.SignedTxn) { s.Msig.Subsigs[1].Sig = types.Signature{1} },
	} {
		j := joint(t)
		change(&j.signed)
		if _, err := ParseJoint(j.Raw()); err == nil || !strings.HasPrefix(err.Error(), strings.TrimRight(want, " ")) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := ParseJoint(joint(t).Raw()); err != nil {
		t.Errorf("what is right is refused: %v", err)
	}
	for size, want := range map[int]string{16 << 10: "not a signed transaction: ", 16<<10 + 1: "a transaction of 16385 bytes, at most 16384"} {
		if _, err := ParseJoint(make([]byte, size)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestSignaturesOfAnotherTransactionAreNotTaken(t *testing.T) {
	j, other := joint(t), joint(t)
	other.signed.Txn.Note = []byte("another")
	other.Sign(three[0])
	if err := j.Merge(other); err == nil || j.Signers()[0].Signed {
		t.Error("another transaction's signature is taken")
	}
	fewer := joint(t)
	fewer.signed.Msig.Subsigs = fewer.signed.Msig.Subsigs[:2]
	fewer.Sign(three[0])
	if err := j.Merge(fewer); err == nil || j.Signers()[0].Signed {
		t.Error("another quorum's signature is taken")
	}
	j.Sign(three[1]) // and what is there stays
	empty := joint(t)
	if err := j.Merge(empty); err != nil || !j.Signers()[1].Signed {
		t.Errorf("a signature is lost: %v", err)
	}
}

func TestAJointTransactionSaysWhatItIs(t *testing.T) {
	j := joint(t)
	if j.Fee() != 1000 || j.GenesisHash() != [32]byte{7} || j.Threshold() != 2 || j.Sender() != j.signed.Txn.Sender.String() || j.TxID() != crypto.TransactionIDString(j.signed.Txn) {
		t.Errorf("fee %d, network %x, %d signatures, of %s", j.Fee(), j.GenesisHash(), j.Threshold(), j.Sender())
	}
	if m := j.Mint(); m.URL != "ipfs://x" || m.MetadataHash != [32]byte{1} || string(m.Note) != "note" || m.Lease != [32]byte{2} || m.Destroys != 0 {
		t.Errorf("%+v", m)
	}
	for i, s := range j.Signers() {
		if s.Account != three[i].Address.String() || s.Signed {
			t.Errorf("signer %d is %+v", i, s)
		}
	}
}

func TestAJointTransactionPaysForItsSignaturesToo(t *testing.T) {
	account, err := crypto.MultisigAccountWithParams(1, 1, []types.Address{three[0].Address, three[1].Address})
	if err != nil {
		t.Fatal(err)
	}
	for perByte, want := range map[uint64]uint64{0: 1000, 1: 1000, 2: 1640, 10: 8200} { // 600 and 110 for each
		j, err := NewJoint(Params{Round: 1, MinFee: 1000, FeePerByte: perByte}, account, Mint{}, want)
		if err != nil || j.Fee() != want {
			t.Errorf("at %d a byte: %v", perByte, err)
		}
		if _, err := NewJoint(Params{Round: 1, MinFee: 1000, FeePerByte: perByte}, account, Mint{}, want-1); err == nil {
			t.Errorf("at %d a byte it costs more than allowed", perByte)
		}
	}
	if _, err := NewJoint(Params{Round: 1, MinFee: 1000, FeePerByte: 1 << 62}, account, Mint{}, 10_000); err == nil { // 820 times that is 0, modulo 2^64
		t.Error("a fee that no number holds is a low one")
	}
	if _, err := NewJoint(Params{Round: 1, MinFee: 1000}, crypto.MultisigAccount{}, Mint{}, 9999); err == nil {
		t.Error("an account of nobody will do")
	}
}
