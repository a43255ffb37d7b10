package ledger_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/testnet/devchain"
)

func TestAlgodProvesThatATransactionIsInItsBlock(t *testing.T) {
	l, chain := newLedger(t, 0, 10_000_000)
	g := sign(t, l, mints(11, "proved"))
	must(t, l.Submit(t.Context(), g.Raw))
	round := chain.Round()
	block, err := l.Block(t.Context(), round)
	must(t, err)
	header, err := l.CheckedHeader(t.Context(), &block)
	must(t, err)
	if !bytes.Equal(header, msgpack.Encode(block.BlockHeader)) {
		t.Error("the header is another")
	}
	for i, id := range g.TxIDs {
		proof, err := l.InclusionProof(t.Context(), round, id)
		must(t, err)
		leaf := onchain.Leaf(onchain.Restore(&block.BlockHeader, block.Payset[i], 0).Txn, onchain.InBlockHash(msgpack.Encode(block.Payset[i])))
		if root, err := onchain.Root(leaf, proof.Idx, proof.Proof); err != nil || root != block.Sha256Commitment {
			t.Errorf("transaction %d at %d: the root is %x, %v", i, proof.Idx, root, err)
		}
	}
	if _, err := l.InclusionProof(t.Context(), round-1, g.TxIDs[0]); err == nil {
		t.Error("it is in another block as well")
	}
	if _, found, err := l.StateProof(t.Context(), round); err != nil || found {
		t.Errorf("a development network has a state proof: %v, %v", found, err)
	}
	block.Seed[0] ^= 1 // stands for a field that this program doesn't know
	if _, err := l.CheckedHeader(t.Context(), &block); err == nil {
		t.Error("a header that is read wrongly passes")
	}
	must(t, chain.SetFaults(devchain.Faults{AlgodKeeps: 1}))
	must(t, chain.Advance(1))
	if _, err := l.Block(t.Context(), round); !errors.Is(err, ledger.ErrNoBlock) {
		t.Errorf("a block that algod dropped: %v, want ErrNoBlock", err)
	}
}
