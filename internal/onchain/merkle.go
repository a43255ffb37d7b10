package onchain

import (
	"crypto/sha256"
	"errors"
	"math/bits"
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
	position := uint64(0)
	if depth > 0 {
		position = bits.Reverse64(index) >> (64 - depth)
	}
	node := leaf
	for ; len(path) > 0; path = path[sha256.Size:] {
		sibling := path[:sha256.Size]
		both := make([]byte, 0, 2+2*sha256.Size)
		if both = append(both, "MA"...); position&1 == 0 {
			both = append(append(both, node[:]...), sibling...)
		} else {
			both = append(append(both, sibling...), node[:]...)
		}
		node = sha256.Sum256(both)
		position >>= 1
	}
	return node, nil
}
