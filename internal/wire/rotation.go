package wire

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// Rotation is the record by which a member gets other keys, in the place of those that it has: another account, peer
// key or identity. It goes on being the same member.
type Rotation struct {
	Format string `json:"format"`
	Kind   Kind   `json:"kind"`
	Member Member `json:"member"` // what the organisation says of itself now, proved with the new keys
}

// Encode writes record.json.
func (r Rotation) Encode() ([]byte, error) {
	r.Format, r.Kind = Format, KindRotation
	r.Member.Format, r.Member.Kind = Format, KindMember
	return encodeRecord(r.Kind, r, r.check)
}

// ParseRotation reads a rotation's record.json, and verifies both signatures in it.
func ParseRotation(data []byte) (Rotation, error) {
	return parseRecord(data, KindRotation, func(r *Rotation) (string, Kind) { return r.Format, r.Kind }, (*Rotation).check)
}

func (r *Rotation) check() error {
	if r.Member.Format != Format || r.Member.Kind != KindMember {
		return fmt.Errorf("its member document says format %.40q and kind %.40q", r.Member.Format, r.Member.Kind)
	}
	return r.Member.check()
}

// rotationStatement is what the next account of a member signs, so that nobody can make another's account its own.
func (n Note) rotationStatement(consortium uint64) []byte {
	return fmt.Appendf(nil, "%s %s\nconsortium: %d\nformer: %s\naccount: %s\npeer: %s\n",
		Format, KindRotation, consortium, n.Former, n.Account, n.PeerDigest)
}

// WithConsent gives the note of a rotation the signature of the next account.
func (n Note) WithConsent(consortium uint64, account ed25519.PrivateKey) (Note, error) {
	signature, err := crypto.SignBytes(account, n.rotationStatement(consortium))
	if err != nil {
		return Note{}, fmt.Errorf("signing a rotation with the next account: %w", err)
	}
	n.Consent = base64.StdEncoding.EncodeToString(signature)
	return n, nil
}

// Consented reports whether the next account of a rotation has signed it: over the two bytes MX, which Algorand puts
// before signed bytes, and the statement.
func (n Note) Consented(consortium uint64) bool {
	account, err := types.DecodeAddress(n.Account)
	return err == nil && crypto.VerifyBytes(account[:], n.rotationStatement(consortium), n.consent())
}

// consent is the signature's bytes; nil if there are none.
func (n Note) consent() []byte {
	signature, err := base64.StdEncoding.Strict().DecodeString(n.Consent)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return nil
	}
	return signature
}
