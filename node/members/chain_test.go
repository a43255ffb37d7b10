package members

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/internal/nodetest"
)

// fakeChain is a network with one algod and one indexer, where a test says what goes wrong. It has Algorand's rules as
// far as exactly once depends on them: validity windows, leases, and what algod forgets.
type fakeChain struct {
	*ledger.Ledger // signs

	mu        sync.Mutex
	params    ledger.Params // without the round
	round     uint64
	pool      []types.SignedTxn
	confirmed map[string]consortium.Place
	leases    map[[32]byte]uint64 // until which round
	assets    uint64
	forgets   bool         // algod knows nothing of what was confirmed
	lag       uint64       // of the indexer, in rounds
	pace      uint64       // rounds that pass while somebody waits for one
	funds     ledger.Funds // everybody's
	does      func() fault // what becomes of the next call
	happens   func(call)   // sees every call
	puts      func(types.SignedTxn, consortium.Place)
}

// call is one that changes something.
type call string

// fault is what goes wrong in a call.
type fault int

const (
	none      fault = iota
	fails           // it is not carried out, and an error
	unknown         // it is carried out, and an error
	forgotten       // it is answered, and nothing comes of it
)

var errDown = fmt.Errorf("algod is down: %w", nodetest.ErrFault)

func newFakeChain(l *ledger.Ledger) *fakeChain {
	return &fakeChain{Ledger: l, params: ledger.Params{GenesisID: "t-v1", GenesisHash: [32]byte(genesisHash), MinFee: 1000}, round: 10, assets: 5000, pace: 1,
		confirmed: map[string]consortium.Place{}, leases: map[[32]byte]uint64{}, funds: ledger.Funds{Amount: 10_000_000}}
}

// goes is what a call does.
func (c *fakeChain) goes(what call) fault {
	if c.happens != nil {
		c.happens(what)
	}
	if c.does == nil {
		return none
	}
	return c.does()
}

// ask is for calls that change nothing.
func (c *fakeChain) ask(what call) error {
	if c.goes(what) == fails {
		return errDown
	}
	return nil
}

func (c *fakeChain) Params(context.Context) (ledger.Params, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.params
	p.Round = c.round
	return p, c.ask("params")
}

func (c *fakeChain) Round(context.Context) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.round, c.ask("round")
}

func (c *fakeChain) FundsOf(context.Context, string) (ledger.Funds, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.funds, c.ask("funds")
}

func (c *fakeChain) WaitAfter(ctx context.Context, round uint64) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(c.ask("wait"), ctx.Err()); err != nil {
		return 0, err
	}
	c.pass(c.pace)
	return c.round, nil
}

// pass lets rounds pass; the first of them takes what the pool has.
func (c *fakeChain) pass(rounds uint64) {
	c.round++
	for _, t := range c.pool {
		if c.refusal(t) != nil {
			continue
		}
		c.assets++
		m := consortium.Place{TxID: crypto.TransactionIDString(t.Txn), Round: c.round, Asset: c.assets}
		c.confirmed[m.TxID], c.leases[t.Txn.Lease] = m, uint64(t.Txn.LastValid)
		if c.puts != nil {
			c.puts(t, m)
		}
	}
	c.pool, c.round = nil, c.round+rounds-1
}

// refusal is algod's of a transaction.
func (c *fakeChain) refusal(t types.SignedTxn) error {
	switch {
	case uint64(t.Txn.LastValid) < c.round:
		return &ledger.RefusedError{Reason: ledger.Expired, Message: "txn dead"}
	case c.leases[t.Txn.Lease] >= c.round:
		return &ledger.RefusedError{Reason: ledger.LeaseHeld, Message: "overlapping lease"}
	case c.funds.Free() < ledger.Cost(1, 1000):
		return &ledger.RefusedError{Reason: ledger.NoFunds, Message: "overspend"}
	}
	return nil
}

func (c *fakeChain) Submit(_ context.Context, raw []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	does := c.goes("submit")
	if does == fails {
		return errDown
	}
	var t types.SignedTxn
	if err := msgpack.Decode(raw, &t); err != nil {
		return err
	}
	if _, known := c.confirmed[crypto.TransactionIDString(t.Txn)]; known {
		return nil
	}
	if err := c.refusal(t); err != nil {
		return err
	}
	if does != forgotten {
		c.pool = append(c.pool, t)
	}
	if does == unknown {
		return errDown
	}
	return nil
}

func (c *fakeChain) Fate(_ context.Context, txid string, first, last uint64) (ledger.Fate, consortium.Place, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ask("fate"); err != nil {
		return ledger.Unknown, consortium.Place{}, err
	}
	if c.forgets {
		return ledger.Unknown, consortium.Place{}, nil
	}
	if m, found := c.confirmed[txid]; found {
		return ledger.Confirmed, m, nil
	}
	for _, t := range c.pool {
		if crypto.TransactionIDString(t.Txn) == txid {
			return ledger.Pending, consortium.Place{}, nil
		}
	}
	if c.round > last && first+990 > c.round {
		return ledger.Absent, consortium.Place{}, nil
	}
	return ledger.Unknown, consortium.Place{}, nil
}

// minted is what the indexer tells of a transaction.
func (c *fakeChain) minted(_ context.Context, txid, _ string, _, _ uint64) (round, asset, tip uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ask("indexer"); err != nil {
		return 0, 0, 0, err
	}
	tip = c.round - min(c.round, c.lag)
	if m, found := c.confirmed[txid]; found && m.Round <= tip {
		return m.Round, m.Asset, tip, nil
	}
	return 0, 0, tip, nil
}
