package devchain

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// proposerBonus is what the header promises a proposer at the start of consensus version 42. There is no proposer
// to pay, as on a node in DevMode.
const proposerBonus = 10_000_000

// block is a closed round. It is never changed.
type block struct {
	header types.BlockHeader
	hash   types.Digest
	raw    []byte // canonical msgpack of types.Block
	txns   []blockTxn
}

func (b *block) round() types.Round { return b.header.Round }

// blockTxn is a transaction in a block. It is kept encoded, since decoded it takes five times the memory.
type blockTxn struct {
	id      txid
	kind    types.TxType
	encoded []byte // canonical msgpack of types.SignedTxnInBlock, part of the block's
}

// appliedTxn is a transaction and what came of it.
type appliedTxn struct {
	signedTxn
	data types.ApplyData
}

// inBlock is how a block holds it: without what the header says already.
func (t *appliedTxn) inBlock() types.SignedTxnInBlock {
	s := types.SignedTxnInBlock{SignedTxnWithAD: types.SignedTxnWithAD{SignedTxn: t.SignedTxn, ApplyData: t.data}}
	s.HasGenesisID = s.Txn.GenesisID != ""
	s.Txn.GenesisID = ""
	s.Txn.GenesisHash = types.Digest{} // every transaction has one: nothing is said of it
	return s
}

// decode gives a transaction back as it was signed, with what came of it.
func (r *rules) decode(t blockTxn) (types.SignedTxnWithAD, error) {
	var s types.SignedTxnInBlock
	if err := msgpack.Decode(t.encoded, &s); err != nil {
		return types.SignedTxnWithAD{}, fmt.Errorf("decoding transaction %v: %w", t.id, err)
	}
	return r.restore(s), nil
}

func (r *rules) restore(s types.SignedTxnInBlock) types.SignedTxnWithAD {
	if s.HasGenesisID {
		s.Txn.GenesisID = r.genesisID
	}
	s.Txn.GenesisHash = r.genesisHash
	return s.SignedTxnWithAD
}

// genesisBlock is round 0.
func genesisBlock(g *types.Genesis, r *rules) *block {
	return sealBlock(types.BlockHeader{
		Seed:         types.Seed(r.genesisHash),
		TimeStamp:    g.Timestamp,
		GenesisID:    r.genesisID,
		GenesisHash:  r.genesisHash,
		RewardsState: types.RewardsState{FeeSink: r.feeSink, RewardsPool: r.rewardsPool},
		UpgradeState: types.UpgradeState{CurrentProtocol: string(consensusVersion)},
		TxnCounter:   1000, // ids below are reserved since consensus version 38
	}, nil)
}

// nextBlock closes the round after prev with the transactions.
func nextBlock(r *rules, prev *block, now time.Time, counter uint64, txns []appliedTxn) *block {
	h := prev.header
	h.Round++
	h.Branch = types.BlockHash(prev.hash)
	h.Branch512 = sha512.Sum512(hashedHeader(&prev.header))
	h.Seed = types.Seed(prev.hash) // nobody draws lots here
	h.TimeStamp = min(max(now.Unix(), prev.header.TimeStamp), prev.header.TimeStamp+maxBlockAdvance)
	h.Bonus = proposerBonus
	h.TxnCounter = counter
	h.StateProofTracking = map[types.StateProofType]types.StateProofTrackingData{
		types.StateProofBasic: {StateProofNextRound: h.Round - h.Round%256 + 256},
	}

	encoded := make([]types.SignedTxnInBlock, len(txns))
	leaves, size, fees := newPayset(len(txns)), 0, types.MicroAlgos(0)
	kept := make([]blockTxn, len(txns))
	for i := range txns {
		encoded[i] = txns[i].inBlock()
		kept[i] = blockTxn{id: txns[i].id, kind: txns[i].Txn.Type, encoded: msgpack.Encode(&encoded[i])}
		leaves.add(kept[i].id, txns[i].id256, kept[i].encoded)
		size += len(kept[i].encoded)
		if txns[i].Txn.Sender != r.feeSink {
			fees += txns[i].Txn.Fee
		}
	}
	h.TxnCommitments = leaves.commit()
	h.FeesCollected = fees
	h.Load = types.Micros(min(micros*uint64(size)/uint64(r.MaxTxnBytesPerBlock), micros))
	return sealBlock(h, kept)
}

// sealBlock encodes the block that the header describes.
func sealBlock(h types.BlockHeader, txns []blockTxn) *block {
	b := &block{header: h, hash: headerHash(&h), txns: txns}
	b.raw = encodeBlock(&h, txns)
	// The transactions end the encoding: let them be part of it rather than copies.
	end := len(b.raw)
	for i := len(txns) - 1; i >= 0; i-- {
		start := end - len(txns[i].encoded)
		txns[i].encoded = b.raw[start:end:end]
		end = start
	}
	return b
}

// encodeBlock is the canonical msgpack of a types.Block, put together from its parts: a map of the header's fields
// with the transactions as one more. The key "txns" is the last in canonical order, because the fields of protocol
// upgrades, that would follow, are always empty here.
func encodeBlock(h *types.BlockHeader, txns []blockTxn) []byte {
	header := msgpack.Encode(h)
	if len(txns) == 0 {
		return header
	}
	fields, header := splitMap(header)
	var buf bytes.Buffer
	writeLength(&buf, 0x80, 0xde, fields+1)
	buf.Write(header)
	buf.WriteString("\xa4txns")
	writeLength(&buf, 0x90, 0xdc, len(txns))
	for _, t := range txns {
		buf.Write(t.encoded)
	}
	return buf.Bytes()
}

// splitMap reads the length of an encoded map of fewer than 65,536 fields.
func splitMap(b []byte) (fields int, rest []byte) {
	if b[0] == 0xde {
		return int(b[1])<<8 | int(b[2]), b[3:]
	}
	return int(b[0] & 0x0f), b[1:]
}

// writeLength starts a msgpack map or array: up to 15 elements in the first byte, else in two bytes after it. A full
// block has room for less than 65,536 transactions.
func writeLength(w *bytes.Buffer, fixed, sized byte, n int) {
	if n < 16 {
		w.WriteByte(fixed | byte(n))
		return
	}
	w.Write([]byte{sized, byte(n >> 8), byte(n)})
}

func hashedHeader(h *types.BlockHeader) []byte { return append([]byte("BH"), msgpack.Encode(h)...) }

func headerHash(h *types.BlockHeader) types.Digest { return sha512.Sum512_256(hashedHeader(h)) }

// payset collects the leaves that a block's commitments are made of: the transaction's id, then the hash of how it
// stands in the block, both by SHA-512/256 or both by SHA-256.
type payset struct{ native, sha256 [][]byte }

func newPayset(n int) *payset {
	return &payset{native: make([][]byte, 0, n), sha256: make([][]byte, 0, n)}
}

// payset are the leaves of a closed block.
func (r *rules) payset(b *block) (*payset, error) {
	leaves := newPayset(len(b.txns))
	for _, t := range b.txns {
		full, err := r.decode(t)
		if err != nil {
			return nil, err
		}
		leaves.add(t.id, newSignedTxn(full.SignedTxn).id256, t.encoded)
	}
	return leaves, nil
}

func (p *payset) add(id txid, id256 [sha256.Size]byte, encoded []byte) {
	native, short := inBlockHash(encoded), inBlockHash256(encoded)
	p.native = append(p.native, append(id[:], native[:]...))
	p.sha256 = append(p.sha256, append(id256[:], short[:]...))
}

func (p *payset) tree(c commitment) merkleTree {
	if c.name == commitNative.name {
		return newMerkleTree(c, p.native)
	}
	return newMerkleTree(c, p.sha256)
}

func (p *payset) commit() types.TxnCommitments {
	var t types.TxnCommitments
	copy(t.NativeSha512_256Commitment[:], p.tree(commitNative).root())
	copy(t.Sha256Commitment[:], p.tree(commitSHA256).root())
	copy(t.Sha512Commitment[:], p.tree(commitSHA512).root())
	return t
}

func inBlockHash(encoded []byte) types.Digest {
	return sha512.Sum512_256(append([]byte("STIB"), encoded...))
}

func inBlockHash256(encoded []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte("STIB"), encoded...))
}
