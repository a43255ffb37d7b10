package devchain

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/algorand/go-algorand-sdk/v2/protocol"
	"github.com/algorand/go-algorand-sdk/v2/protocol/config"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// consensusVersion is the protocol of every block: the last that the SDK knows.
const consensusVersion = protocol.ConsensusV42

// maxBlockAdvance bounds how far a block's timestamp may be ahead of the one before it, in seconds.
const maxBlockAdvance = 25

// micros are millionths: usage of 1,000,000 is one plain transaction.
const micros = 1_000_000

// rules are what every transaction of a network is held to.
type rules struct {
	config.ConsensusParams
	genesisID   string
	genesisHash types.Digest
	feeSink     types.Address
	rewardsPool types.Address
}

func newRules(g *types.Genesis) (*rules, error) {
	balances, err := g.Balances()
	if err != nil {
		return nil, fmt.Errorf("reading the genesis: %w", err)
	}
	return &rules{
		ConsensusParams: config.Consensus[consensusVersion],
		genesisID:       g.ID(),
		genesisHash:     g.Hash(),
		feeSink:         balances.FeeSink,
		rewardsPool:     balances.RewardsPool,
	}, nil
}

// minBalance is what an account must keep, in microalgos.
func (r *rules) minBalance(a account) uint64 {
	return r.MinBalance * (1 + a.assets)
}

// usage is what a transaction counts for when its group's fees are summed up, in micros.
func (r *rules) usage(tx *types.Transaction) uint64 {
	surcharged := max(0, len(tx.Note)-r.MaxTxnNoteBytes)
	return micros + uint64(surcharged)*uint64(r.PerByteTxnSurcharge)
}

// checkFees holds a group to its fees, which one member may pay for the others.
func (r *rules) checkFees(g group) error {
	var usage, paid uint64
	for i := range g {
		usage += r.usage(&g[i].Txn)
		sum, carry := bits.Add64(paid, uint64(g[i].Txn.Fee), 0)
		if paid = sum; carry != 0 {
			paid = math.MaxUint64
		}
	}
	need := (usage*r.MinTxnFee + micros - 1) / micros
	if paid < need {
		return fmt.Errorf("txgroup with %s fees is less than %s (usage=%d.%06d * base=%s)", formatAlgos(paid),
			formatAlgos(need), usage/micros, usage%micros, formatAlgos(r.MinTxnFee))
	}
	return nil
}

// alive tells whether a transaction may be in a round of this network.
func (r *rules) alive(tx *types.Transaction, round types.Round) error {
	switch {
	case round < tx.FirstValid || round > tx.LastValid:
		return fmt.Errorf("txn dead: round %d outside of %d--%d", round, tx.FirstValid, tx.LastValid)
	case tx.GenesisID != "" && tx.GenesisID != r.genesisID:
		return fmt.Errorf("tx.GenesisID <%s> does not match expected <%s>", tx.GenesisID, r.genesisID)
	case tx.GenesisHash == (types.Digest{}):
		return fmt.Errorf("required tx.GenesisHash is missing")
	case tx.GenesisHash != r.genesisHash:
		return fmt.Errorf("tx.GenesisHash <%s> does not match expected <%s>",
			formatDigest(tx.GenesisHash), formatDigest(r.genesisHash))
	}
	return nil
}

// formatAlgos writes an amount of microalgos as algod's messages do.
func formatAlgos(n uint64) string {
	switch {
	case n == 0:
		return "0.0A"
	case n < 1_000:
		return fmt.Sprintf("%duA", n)
	case n < 1_000_000:
		return formatUnits(n, 1_000, 3, "mA")
	default:
		return formatUnits(n, 1_000_000, 6, "A")
	}
}

func formatUnits(n, unit uint64, digits int, name string) string {
	if n%unit == 0 {
		return fmt.Sprintf("%d%s", n/unit, name)
	}
	return fmt.Sprintf("%d.%0*d%s", n/unit, digits, n%unit, name)
}
