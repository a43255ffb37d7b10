// Package onchain reads the transactions of this protocol, wherever they were had from: it checks who signed them, what
// they make, and that they are in a block. It does no I/O and trusts nothing that it is given.
//
// What Algorand hashes and signs is canonical msgpack. Everything is encoded anew before it is hashed, so that a field
// which this program doesn't know makes a wrong hash, never an overlooked one.
package onchain

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// ErrForged means that a transaction's signature is not its sender's.
var ErrForged = errors.New("the signature is not the sender's")

// CheckSignature accepts the sender's own signature, or that of the multisig account that the sender is. Its error is
// [ErrForged] for a wrong signature and another one for what a member's transaction can't be signed with.
func CheckSignature(t types.SignedTxn) error {
	sender := t.Txn.Sender
	if t.AuthAddr != (types.Address{}) && t.AuthAddr != sender {
		// Only the history of rekeyings could tell whether this key may sign.
		return fmt.Errorf("the account %s was rekeyed; members sign with their own keys", sender)
	}
	message := append([]byte("TX"), msgpack.Encode(t.Txn)...)
	single, multiple := t.Sig != (types.Signature{}), !t.Msig.Blank()
	switch {
	case single == multiple || !t.Lsig.Blank() || !t.PQsig.Blank():
		return errors.New("signed in a way that a member's transaction can't be")
	case single && !ed25519.Verify(sender[:], message, t.Sig[:]):
		return ErrForged
	case multiple && !verifyMultisig(sender, message, t.Msig):
		return ErrForged
	}
	return nil
}

func verifyMultisig(sender types.Address, message []byte, m types.MultisigSig) bool {
	for _, part := range m.Subsigs {
		if len(part.Key) != ed25519.PublicKeySize {
			return false // the SDK would panic
		}
	}
	return crypto.VerifyMultisig(sender, message, m)
}
