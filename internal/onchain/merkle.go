package onchain

import (
	"crypto/sha256"
	"errors"
	"math/bits"
	"slices"
)

// maxDepth is more than any tree of the chain has: a block has less than 2^16 transactions, a state proof 256 blocks.
const maxDepth = 32

// errPath means that a path and an index don't fit together.
var errPath = errors.New("the path is not one of a tree")

// Root computes the root of a vector commitment (go-algorand, crypto/merklearray) from a leaf's hash, the leaf's index
// and its siblings from the bottom up, concatenated. The tree is full, and it binds the index: a leaf stands where the
// index says with its bits reversed.
func Root(leaf [32]byte, index uint64, path []byte) ([32]byte, error) {
	depth := len(path) / sha256.Size
	if len(path)%sha256.Size != 0 || depth > maxDepth || index>>depth != 0 {
		return [32]byte{}, errPath
	}
	position := bits.Reverse64(index) >> (64 - depth)
	above := leaf
	for sibling := range slices.Chunk(path, sha256.Size) {
		left, right := above, [32]byte(sibling)
		if position&1 != 0 {
			left, right = right, left
		}
		above = node(left, right)
		position >>= 1
	}
	return above, nil
}

// node is the hash of what two nodes are below.
func node(left, right [32]byte) [32]byte {
	return sha256.Sum256(slices.Concat([]byte("MA"), left[:], right[:]))
}
