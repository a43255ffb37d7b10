package devchain

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// checkSignatureForm wants exactly one signature, of a kind that this chain can check.
func checkSignatureForm(s *signedTxn) error {
	if s.AuthAddr != (types.Address{}) && s.AuthAddr == s.Txn.Sender {
		return errors.New("AuthAddr must be different from Sender")
	}
	kinds := 0
	for _, present := range []bool{
		s.Sig != types.Signature{}, !s.Msig.Blank(), len(s.Lsig.Logic) > 0, !s.PQsig.Blank(),
	} {
		if present {
			kinds++
		}
	}
	switch {
	case kinds == 0:
		return errors.New("signedtxn has no sig")
	case kinds > 1:
		return errors.New("signedtxn should have only one type of signature")
	case !s.Lsig.Blank():
		return errors.New("logic signatures are not supported by the development chain")
	case !s.PQsig.Blank():
		return errors.New("post-quantum signatures are not supported by the development chain")
	case !s.Msig.Blank():
		if err := checkMultisigForm(s); err != nil {
			return fmt.Errorf("multisig validation failed: %w", err)
		}
	}
	return nil
}

func checkMultisigForm(s *signedTxn) error {
	account, err := crypto.MultisigAccountFromSig(s.Msig)
	if err != nil {
		return err
	}
	address, err := account.Address()
	if err != nil {
		return err
	}
	if address != s.authorizer() {
		return algodError("Invalid address")
	}
	signed := 0
	for _, sub := range s.Msig.Subsigs {
		if len(sub.Key) != ed25519.PublicKeySize {
			return algodError("Invalid public key")
		}
		if sub.Sig != (types.Signature{}) {
			signed++
		}
	}
	if signed < int(s.Msig.Threshold) {
		return algodError("Invalid number of signatures")
	}
	return nil
}

func signatureHolds(s *signedTxn) bool {
	if s.Msig.Blank() {
		key := s.authorizer()
		return ed25519.Verify(key[:], s.toVerify, s.Sig[:])
	}
	for _, sub := range s.Msig.Subsigs {
		if sub.Sig != (types.Signature{}) && !ed25519.Verify(sub.Key, s.toVerify, sub.Sig[:]) {
			return false
		}
	}
	return true
}
