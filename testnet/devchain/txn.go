package devchain

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"errors"
	"fmt"
	"io"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// txid is SHA-512/256 of "TX" and the canonical encoding of a transaction.
type txid types.Digest

func (t txid) String() string { return formatDigest(types.Digest(t)) }

var base32Digest = base32.StdEncoding.WithPadding(base32.NoPadding)

// formatDigest writes a digest as algod does: base32 without padding.
func formatDigest(d types.Digest) string { return base32Digest.EncodeToString(d[:]) }

func parseTxid(s string) (txid, error) {
	b, err := base32Digest.DecodeString(s)
	if err != nil || len(b) != len(txid{}) {
		return txid{}, fmt.Errorf("%q is not a transaction id", s)
	}
	return txid(b), nil
}

// signedTxn is a transaction as it was sent, with what its encoding gives.
type signedTxn struct {
	types.SignedTxn
	id       txid
	id256    [sha256.Size]byte // as id, by SHA-256: what the SHA-256 and SHA-512 commitments are made of
	toVerify []byte            // "TX" and the canonical encoding: what is signed
	size     int               // bytes of the signed transaction
}

func newSignedTxn(s types.SignedTxn) signedTxn {
	signed := append([]byte("TX"), msgpack.Encode(&s.Txn)...)
	return signedTxn{
		SignedTxn: s,
		id:        sha512.Sum512_256(signed),
		id256:     sha256.Sum256(signed),
		toVerify:  signed,
		size:      len(msgpack.Encode(&s)),
	}
}

func (s *signedTxn) authorizer() types.Address {
	if s.AuthAddr != (types.Address{}) {
		return s.AuthAddr
	}
	return s.Txn.Sender
}

// group is what one POST brings: up to 16 transactions that are applied together or not at all.
type group []signedTxn

// size is in bytes.
func (g group) size() int {
	n := 0
	for i := range g {
		n += g[i].size
	}
	return n
}

func (g group) has(id txid) bool {
	for i := range g {
		if g[i].id == id {
			return true
		}
	}
	return false
}

// decodeGroup reads signed transactions that follow one another, strictly: an unknown field or a byte too many
// fails. The reader must be bounded.
func decodeGroup(body io.Reader, maxSize int) (group, error) {
	dec := msgpack.NewDecoder(body)
	var g group
	for {
		var s types.SignedTxn
		start := dec.NumBytesRead()
		err := dec.Decode(&s)
		if errors.Is(err, io.EOF) && dec.NumBytesRead() == start {
			break
		}
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("msgpack decode error: a transaction starts at byte %d and does not end", start)
		}
		if err != nil {
			return nil, err
		}
		if len(g) == maxSize {
			return nil, fmt.Errorf("max group size is %d", maxSize)
		}
		g = append(g, newSignedTxn(s))
	}
	if len(g) == 0 {
		return nil, errors.New("empty txgroup")
	}
	return g, nil
}
