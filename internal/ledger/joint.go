package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// jointWindow is for how many rounds a transaction of several can be confirmed: Algorand's longest, since people pass
// it on by hand. On Algorand's networks these are about 45 minutes.
const jointWindow = 1000

// maxJoint bounds a transaction of several that is read, in bytes. One with 16 signatures has less than 3,000.
const maxJoint = 16 << 10

// Joint is a transaction that mints an NFT for a multisig account, with the signatures that it has so far.
type Joint struct{ signed types.SignedTxn }

// NewJoint builds the transaction of a mint, without any signature. It returns a [CongestedError] if the fee would be
// more than maxFee.
func NewJoint(p Params, account crypto.MultisigAccount, m Mint, maxFee uint64) (*Joint, error) {
	sender, err := account.Address()
	if err != nil {
		return nil, fmt.Errorf("the address of the accounts: %w", err)
	}
	j := &Joint{types.SignedTxn{Txn: transaction(p, sender, jointWindow, m)}}
	j.signed.Msig = types.MultisigSig{Version: account.Version, Threshold: account.Threshold}
	for _, key := range account.Pks {
		j.signed.Msig.Subsigs = append(j.signed.Msig.Subsigs, types.MultisigSubsig{Key: bytes.Clone(key)})
	}
	fee := p.feeOf(txSize + uint64(len(account.Pks))*signatureSize)
	if fee > maxFee {
		return nil, &CongestedError{Fee: fee, MaxFee: maxFee}
	}
	j.signed.Txn.Fee = types.MicroAlgos(fee)
	return j, nil
}

// signatureSize is more than one signature of several takes, in bytes: a key of 32, a signature of 64, their names.
const signatureSize = 110

// ParseJoint reads a transaction of several. It takes one thing only: an NFT of the protocol's form being minted for
// the multisig account that signs, with nothing beside it and no signature that does not fit. What else an Algorand
// transaction could do (rekey the account, say) has no place to hide.
func ParseJoint(raw []byte) (*Joint, error) {
	if len(raw) > maxJoint {
		return nil, fmt.Errorf("a transaction of %d bytes, at most %d", len(raw), maxJoint)
	}
	j := &Joint{}
	if err := msgpack.Decode(raw, &j.signed); err != nil {
		return nil, fmt.Errorf("not a signed transaction: %w", err)
	}
	if err := j.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(j.Raw(), raw) {
		return nil, errors.New("not a signed transaction in canonical form")
	}
	return j, nil
}

func (j *Joint) check() error {
	t, sig := j.signed.Txn, j.signed.Msig
	if j.signed.Sig != (types.Signature{}) || !j.signed.Lsig.Blank() || !j.signed.AuthAddr.IsZero() {
		return errors.New("it is signed in another way than by several accounts")
	}
	for _, part := range sig.Subsigs {
		if len(part.Key) != ed25519.PublicKeySize {
			return errors.New("a key has another length than an account's")
		}
	}
	account, err := crypto.MultisigAccountFromSig(sig)
	if err != nil {
		return fmt.Errorf("its accounts: %w", err)
	}
	if sender, err := account.Address(); err != nil || sender != t.Sender {
		return errors.New("its sender is another account than the one that signs")
	}
	want := transaction(Params{Round: uint64(t.FirstValid), GenesisID: t.GenesisID, GenesisHash: t.GenesisHash}, t.Sender, jointWindow, j.Mint())
	want.Fee = t.Fee
	if !bytes.Equal(msgpack.Encode(want), msgpack.Encode(t)) {
		return errors.New("it does something else than to mint an NFT of the protocol's form")
	}
	for i, part := range sig.Subsigs {
		if part.Sig != (types.Signature{}) && !ed25519.Verify(part.Key, j.message(), part.Sig[:]) {
			return fmt.Errorf("the signature of account %s does not fit", j.Signers()[i].Account)
		}
	}
	return nil
}

// message is what is signed.
func (j *Joint) message() []byte { return append([]byte("TX"), msgpack.Encode(j.signed.Txn)...) }

// Raw is the transaction with its signatures, as algod takes it once there are enough.
func (j *Joint) Raw() []byte { return msgpack.Encode(j.signed) }

// TxID is the transaction's id, whoever signs it.
func (j *Joint) TxID() string { return crypto.TransactionIDString(j.signed.Txn) }

// Mint is what it does.
func (j *Joint) Mint() Mint {
	t := j.signed.Txn
	return Mint{URL: t.AssetParams.URL, MetadataHash: t.AssetParams.MetadataHash, Note: t.Note, Lease: t.Lease}
}

// Sender is the account that it is for.
func (j *Joint) Sender() string { return j.signed.Txn.Sender.String() }

// GenesisHash says on which network it can be confirmed.
func (j *Joint) GenesisHash() [32]byte { return j.signed.Txn.GenesisHash }

// Fee is what it costs, in microalgo, beside the 0.1 ALGO that an NFT keeps locked.
func (j *Joint) Fee() uint64 { return uint64(j.signed.Txn.Fee) }

// Window is the rounds in which it can be confirmed.
func (j *Joint) Window() (first, last uint64) {
	return uint64(j.signed.Txn.FirstValid), uint64(j.signed.Txn.LastValid)
}

// Threshold is how many signatures it needs.
func (j *Joint) Threshold() int { return int(j.signed.Msig.Threshold) }

// Signer is one of the accounts that can sign.
type Signer struct {
	Account string `json:"account"`
	Signed  bool   `json:"signed"`
}

// Signers lists the accounts that can sign, in their order.
func (j *Joint) Signers() []Signer {
	list := make([]Signer, len(j.signed.Msig.Subsigs))
	for i, part := range j.signed.Msig.Subsigs {
		list[i] = Signer{Account: types.Address(part.Key).String(), Signed: part.Sig != types.Signature{}}
	}
	return list
}

// Complete reports whether it has the signatures that it needs.
func (j *Joint) Complete() bool {
	signed := 0
	for _, s := range j.Signers() {
		if s.Signed {
			signed++
		}
	}
	return signed >= j.Threshold()
}

// Sign adds an account's signature. It reports whether the account is one of those that can sign.
func (j *Joint) Sign(account crypto.Account) bool {
	for i, part := range j.signed.Msig.Subsigs {
		if bytes.Equal(part.Key, account.PublicKey) {
			j.signed.Msig.Subsigs[i].Sig = types.Signature(ed25519.Sign(account.PrivateKey, j.message()))
			return true
		}
	}
	return false
}

// Merge adds the signatures that another copy of the same transaction has.
func (j *Joint) Merge(other *Joint) error {
	if j.TxID() != other.TxID() || len(j.signed.Msig.Subsigs) != len(other.signed.Msig.Subsigs) {
		return errors.New("they are different transactions")
	}
	for i, part := range other.signed.Msig.Subsigs {
		if part.Sig != (types.Signature{}) {
			j.signed.Msig.Subsigs[i].Sig = part.Sig
		}
	}
	return nil
}
