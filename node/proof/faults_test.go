package proof

import (
	"testing"

	"github.com/serviceledger/slnode/node/internal/nodetest"
)

// What a store, the indexer or algod does not give is never taken for there being nothing: whoever asks for a proof gets
// one, or is told what failed.
func TestNothingIsProvenOnAGuess(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	p.published(2)
	p.Mallory.Sequence++ // one number is missing
	p.published(3)
	p.chain.fails, p.chain.proofs = p.Faults.Access, true
	n := p.notary()
	for _, what := range []string{indicatorID(1), e.TxID} {
		p.Faults.EachIsTold(t, "verifying "+what, func() error {
			v, err := n.Verify(t.Context(), what)
			if err == nil && !v.Passed { // it says so
				err = nodetest.ErrFault
			}
			return err
		})
		for _, disclose := range []bool{true, false} {
			p.Faults.EachIsTold(t, "evidence of "+what, func() error { _, err := n.Evidence(t.Context(), what, disclose); return err })
		}
	}
	for _, o := range []CrosscheckOptions{{}, {EveryRound: true}, {Member: "mallory"}, {From: e.Round}} {
		p.Faults.EachIsTold(t, "a crosscheck", func() error {
			_, err := n.Crosscheck(t.Context(), o, func(uint64, uint64) {})
			return err
		})
	}
}
