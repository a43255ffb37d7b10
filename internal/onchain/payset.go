package onchain

import (
	"crypto/sha256"
	"math/bits"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/wire"
)

// Fit is how a block's transactions stand to the commitment in its header.
type Fit byte

const (
	// Fits means that nothing is left out of this header, nor put in.
	Fits Fit = iota + 1
	// Differs means that they are others than those of the header.
	Differs
	// Unclear means that this can't be told: the block has something that this program doesn't know, or no commitment.
	Unclear
)

// Reading is what a block says to us: which transactions it has that speak of a consortium, and what it can be held
// against.
type Reading struct {
	Round       uint64
	Time        time.Time
	Hash, Prev  [32]byte // of the header and of the one before; the first only if Fit isn't Unclear
	GenesisHash [32]byte
	Fit         Fit
	// Transactions are the asset configurations with a note in the protocol's form, as far as its prefix tells.
	Transactions []Confirmed
}

// Read reads a block. Known says that this program knows all that is in it.
func Read(block *types.Block, known bool) Reading {
	h := &block.BlockHeader
	r := Reading{
		Round: uint64(h.Round), Time: time.Unix(h.TimeStamp, 0).UTC(), Prev: h.Branch, GenesisHash: h.GenesisHash, Fit: Unclear,
	}
	compare := known && h.Sha256Commitment != types.Digest{} // which Algorand has had since 2022
	var leaves [][32]byte
	offsets := Offsets(block.Payset)
	for i, t := range block.Payset {
		ours := t.Txn.Type == types.AssetConfigTx && wire.HasNotePrefix(t.Txn.Note)
		if !ours && !compare {
			continue
		}
		signed := whole(h, t)
		encoded := append([]byte("TX"), msgpack.Encode(signed.Txn)...)
		if compare {
			leaves = append(leaves, leaf(sha256.Sum256(encoded), InBlockHash(msgpack.Encode(t))))
		}
		if ours {
			r.Transactions = append(r.Transactions, confirmed(h, t, signed, encoded, offsets[i]))
		}
	}
	if known {
		r.Hash = HeaderHash(msgpack.Encode(*h))
	}
	switch {
	case !compare:
	case Commitment(leaves) == [32]byte(h.Sha256Commitment):
		r.Fit = Fits
	default:
		r.Fit = Differs
	}
	return r
}

// Commitment computes what a header's txn256 commits to: the root of a tree over a block's transactions and their
// places. It is a vector commitment: padded to a power of two, with the leaf of an index at the place of its reversed
// bits.
func Commitment(leaves [][32]byte) [32]byte {
	depth := bits.Len(uint(max(len(leaves), 1) - 1))
	level := make([][32]byte, 1<<depth)
	if len(leaves) < len(level) {
		bottom := sha256.Sum256([]byte("MB"))
		for i := range level {
			level[i] = bottom
		}
	}
	for i, leaf := range leaves {
		level[bits.Reverse64(uint64(i))>>(64-depth)] = leaf
	}
	for ; len(level) > 1; level = level[:len(level)/2] {
		for i := range len(level) / 2 {
			level[i] = node(level[2*i], level[2*i+1])
		}
	}
	return level[0]
}
