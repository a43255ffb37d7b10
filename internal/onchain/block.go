package onchain

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
)

// Restore gives a transaction of a block, at an offset in it, back as it was signed: a block leaves out what its header
// says already.
func Restore(h *types.BlockHeader, s types.SignedTxnInBlock, offset uint64) Confirmed {
	signed := whole(h, s)
	return confirmed(h, s, signed, append([]byte("TX"), msgpack.Encode(signed.Txn)...), offset)
}

// confirmed is a transaction of a block, of which what its id is the hash of is known.
func confirmed(h *types.BlockHeader, s types.SignedTxnInBlock, signed types.SignedTxn, encoded []byte, offset uint64) Confirmed {
	id := sha512.Sum512_256(encoded)
	return Confirmed{
		SignedTxn: signed, TxID: base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(id[:]),
		Position: consortium.Position{Round: uint64(h.Round), Intra: offset},
		Time:     time.Unix(h.TimeStamp, 0).UTC(), Asset: uint64(s.ApplyData.ConfigAsset),
	}
}

// whole puts back what a block leaves out of its transactions.
func whole(h *types.BlockHeader, s types.SignedTxnInBlock) types.SignedTxn {
	signed := s.SignedTxn
	if s.HasGenesisID {
		signed.Txn.GenesisID = h.GenesisID
	}
	signed.Txn.GenesisHash = h.GenesisHash
	return signed
}

// Offsets gives the offset of every transaction of a block as an indexer counts them: inner transactions, which are
// none of this protocol's, take a number each.
func Offsets(payset []types.SignedTxnInBlock) []uint64 {
	offsets, next := make([]uint64, len(payset)), uint64(0)
	for i := range payset {
		offsets[i] = next
		next += 1 + inner(payset[i].EvalDelta.InnerTxns)
	}
	return offsets
}

func inner(list []types.SignedTxnWithAD) (n uint64) {
	for i := range list {
		n += 1 + inner(list[i].EvalDelta.InnerTxns)
	}
	return n
}

// HeaderHash is the hash of a block, which is that of its encoded header.
func HeaderHash(header []byte) [32]byte { return sha512.Sum512_256(append([]byte("BH"), header...)) }

// FormatHash is how algod writes the hash of a block.
func FormatHash(hash [32]byte) string {
	return "blk-" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(hash[:])
}

// InBlockHash is the hash of a transaction as it stands in a block, encoded: the "stibhash" of algod's proofs.
func InBlockHash(encoded []byte) [32]byte { return sha256.Sum256(append([]byte("STIB"), encoded...)) }

// Leaf is the leaf of a transaction in the tree of which a block's header holds the root (txn256).
func Leaf(t types.Transaction, inBlock [32]byte) [32]byte {
	return leaf(sha256.Sum256(append([]byte("TX"), msgpack.Encode(t)...)), inBlock)
}

func leaf(id, inBlock [32]byte) [32]byte {
	return sha256.Sum256(append(append([]byte("TL"), id[:]...), inBlock[:]...))
}

// LightHeader is what a state proof says of a block: enough to prove the block's transactions. Since consensus version
// 39 it holds the block's hash instead of the seed.
func LightHeader(h *types.BlockHeader, hash [32]byte) types.LightBlockHeader {
	return types.LightBlockHeader{BlockHash: hash, RoundNumber: h.Round, GenesisHash: h.GenesisHash, Sha256TxnCommitment: types.Digest(h.Sha256Commitment)}
}
