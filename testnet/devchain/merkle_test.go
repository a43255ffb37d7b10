package devchain

import (
	"bytes"
	"fmt"
	"testing"
)

// verifyProof walks from a leaf to the root as a verifier does who has only the proof.
func verifyProof(c commitment, leaf []byte, index, leaves int, proof, root []byte) bool {
	sum := func(parts ...[]byte) []byte {
		h := c.hash()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	at, node := c.position(index, leaves), sum([]byte("TL"), leaf)
	for size := c.hash().Size(); len(proof) > 0; proof, at = proof[size:], at/2 {
		left, right := node, proof[:size]
		if at%2 == 1 {
			left, right = right, left
		}
		node = sum([]byte("MA"), left, right)
	}
	return bytes.Equal(node, root)
}

func TestEveryProofLeadsToTheRoot(t *testing.T) {
	for _, c := range []commitment{commitNative, commitSHA256, commitSHA512} {
		for n := 1; n <= 33; n++ {
			leaves := make([][]byte, n)
			for i := range leaves {
				leaves[i] = fmt.Appendf(nil, "leaf %d", i)
			}
			tree := newMerkleTree(c, leaves)
			for i := range leaves {
				proof := tree.proof(i, n)
				if !verifyProof(c, leaves[i], i, n, proof, tree.root()) {
					t.Errorf("%s: leaf %d of %d is not proved", c.name, i, n)
				}
				if n > 1 && verifyProof(c, []byte("forged"), i, n, proof, tree.root()) {
					t.Errorf("%s: the proof of leaf %d of %d proves another leaf", c.name, i, n)
				}
			}
		}
	}
}
