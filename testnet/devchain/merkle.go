package devchain

import (
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"math/bits"
)

// commitment is one of the three ways in which a block's header commits to its transactions.
type commitment struct {
	name   string           // as the proof's hashtype
	hash   func() hash.Hash // of leaves and nodes
	vector bool             // a vector commitment binds positions: it is padded to a power of two
}

var (
	commitNative = commitment{name: "sha512_256", hash: sha512.New512_256}
	commitSHA256 = commitment{name: "sha256", hash: sha256.New, vector: true}
	commitSHA512 = commitment{name: "sha512", hash: sha512.New, vector: true}
)

// merkleTree holds the hashes of each level, leaves first. A plain tree without leaves has no levels; a vector
// commitment without leaves is one bottom leaf.
type merkleTree struct {
	commitment
	levels [][][]byte
}

// newMerkleTree builds the tree over leaves that are not hashed yet.
func newMerkleTree(c commitment, leaves [][]byte) merkleTree {
	t := merkleTree{commitment: c}
	if len(leaves) == 0 && !c.vector {
		return t
	}
	h := c.hash()
	sum := func(parts ...[]byte) []byte {
		h.Reset()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	width := len(leaves)
	if c.vector {
		width = 1 << c.depth(len(leaves))
	}
	level := make([][]byte, width)
	for i := range level {
		level[i] = sum([]byte("MB")) // the bottom leaf that pads a vector commitment
	}
	for i, leaf := range leaves {
		level[c.position(i, len(leaves))] = sum([]byte("TL"), leaf)
	}
	for t.levels = append(t.levels, level); len(level) > 1; t.levels = append(t.levels, level) {
		above := make([][]byte, (len(level)+1)/2)
		for i := range above {
			above[i] = sum([]byte("MA"), level[2*i], t.sibling(level, 2*i))
		}
		level = above
	}
	return t
}

// depth is how many levels are above the leaves.
func (commitment) depth(leaves int) int { return bits.Len(uint(max(leaves, 1) - 1)) }

// position is where a leaf stands. A vector commitment reverses the bits of its index.
func (c commitment) position(i, leaves int) int {
	if !c.vector {
		return i
	}
	return int(bits.Reverse64(uint64(i)) >> (64 - c.depth(leaves)))
}

// sibling is zeros where the tree has a gap.
func (t merkleTree) sibling(level [][]byte, i int) []byte {
	if i^1 < len(level) {
		return level[i^1]
	}
	return make([]byte, t.hash().Size())
}

// root is nil for an empty tree.
func (t merkleTree) root() []byte {
	if len(t.levels) == 0 {
		return nil
	}
	return t.levels[len(t.levels)-1][0]
}

// proof is the concatenated siblings of leaf i from the bottom up, as algod gives it.
func (t merkleTree) proof(i, leaves int) []byte {
	path := []byte{}
	i = t.position(i, leaves)
	for _, level := range t.levels[:len(t.levels)-1] {
		path = append(path, t.sibling(level, i)...)
		i /= 2
	}
	return path
}
