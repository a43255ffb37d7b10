package devchain

import (
	"slices"
	"sort"

	"github.com/algorand/go-algorand-sdk/v2/types"
)

// history is the closed rounds and where to find a transaction in them. Blocks and positions are only ever added,
// so that a slice taken under the ledger's lock can be read without it.
type history struct {
	blocks    []*block // consecutive rounds
	where     map[txid]position
	byAddress map[types.Address][]position // of the transactions it takes part in, oldest first
}

// position is a transaction's place in the chain.
type position struct {
	round types.Round
	intra int
}

func (p position) before(q position) bool {
	return p.round < q.round || p.round == q.round && p.intra < q.intra
}

func newHistory(first *block) history {
	return history{
		blocks:    []*block{first},
		where:     map[txid]position{},
		byAddress: map[types.Address][]position{},
	}
}

func (h *history) tip() *block { return h.blocks[len(h.blocks)-1] }

// block is nil where there is none.
func (h *history) block(round types.Round) *block {
	first := h.blocks[0].round()
	if round < first || round-first >= types.Round(len(h.blocks)) {
		return nil
	}
	return h.blocks[round-first]
}

func (h *history) txn(at position) blockTxn { return h.block(at.round).txns[at.intra] }

// add appends a block; parties are who takes part in each of its transactions.
func (h *history) add(b *block, parties [][]types.Address) {
	h.blocks = append(h.blocks, b)
	for i, t := range b.txns {
		at := position{b.round(), i}
		h.where[t.id] = at
		for _, party := range parties[i] {
			h.byAddress[party] = append(h.byAddress[party], at)
		}
	}
}

// between are the rounds from first to last that exist.
func (h *history) between(first, last types.Round) []*block {
	start := h.blocks[0].round()
	if last < start || last < first {
		return nil
	}
	from := min(uint64(max(first, start)-start), uint64(len(h.blocks)))
	to := min(uint64(last-start)+1, uint64(len(h.blocks)))
	return h.blocks[from:max(from, to)]
}

// of are an address's transactions from the position first on, up to and including last.
func (h *history) of(a types.Address, first, last position) []position {
	all := h.byAddress[a]
	from := sort.Search(len(all), func(i int) bool { return !all[i].before(first) })
	to := sort.Search(len(all), func(i int) bool { return last.before(all[i]) })
	return all[from:max(from, to)]
}

// participants are the addresses under which an indexer files a transaction, each once.
func participants(tx *types.Transaction) []types.Address {
	named := []types.Address{tx.Sender}
	switch tx.Type {
	case types.PaymentTx:
		named = append(named, tx.Receiver)
		if tx.CloseRemainderTo != (types.Address{}) {
			named = append(named, tx.CloseRemainderTo)
		}
	case types.AssetTransferTx:
		named = append(named, tx.AssetReceiver)
		for _, optional := range []types.Address{tx.AssetSender, tx.AssetCloseTo} {
			if optional != (types.Address{}) {
				named = append(named, optional)
			}
		}
	case types.AssetFreezeTx:
		named = append(named, tx.FreezeAccount)
	}
	distinct := named[:0]
	for _, a := range named {
		if !slices.Contains(distinct, a) {
			distinct = append(distinct, a)
		}
	}
	return distinct
}
