package publish

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
)

// roundTime is Algorand's.
const roundTime = 2800 * time.Millisecond

// remembered is for how many rounds algod has blocks and knows what was confirmed.
const remembered = 1000

// transactionSize is what a transaction pays for by the byte.
const transactionSize = 600

// fakeChain is a chain with Algorand's rules: a transaction is confirmed within its rounds or never, a group as a whole
// or not at all, and while one with a lease can be confirmed, or could be until the last round of one that was, no
// other of the sender with the same lease is.
type fakeChain struct {
	advanced signal.Signal

	mu         sync.Mutex
	round      uint64
	pool       []*pooled
	others     []consortium.Event // of other members, for the next block
	events     []consortium.Event // of the consortium, in their order
	at         map[string]int     // transaction id -> place in events
	leases     map[string]uint64  // sender and lease -> the last round in which it is held
	ended      map[uint64]bool    // assets
	assets     uint64
	feePerByte uint64 // while the network is congested
	confirmed  func(e consortium.Event)
}

// pooled is a group that waits in algod's pool.
type pooled struct {
	list  []types.Transaction
	txids []string
	after uint64 // the round before it can be in a block
}

func newPooled(raw []byte) *pooled {
	p := &pooled{list: decodeGroup(raw)}
	for _, t := range p.list {
		p.txids = append(p.txids, crypto.TransactionIDString(t))
	}
	return p
}

func newFakeChain() *fakeChain {
	return &fakeChain{at: map[string]int{}, leases: map[string]uint64{}, ended: map[uint64]bool{}, assets: 10_000}
}

func (c *fakeChain) now() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.round
}

func decodeGroup(raw []byte) (list []types.Transaction) {
	decoder := msgpack.NewDecoder(bytes.NewReader(raw))
	for {
		var s types.SignedTxn
		if err := decoder.Decode(&s); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			panic(err)
		}
		list = append(list, s.Txn)
	}
}

func leaseOf(t types.Transaction) string { return t.Sender.String() + string(t.Lease[:]) }

func refusal(reason ledger.Reason) error {
	return &ledger.RefusedError{Reason: reason, Message: fmt.Sprint("reason ", reason)}
}

// submit takes a group into the pool, or says why not. It is in no block of the next few rounds.
func (c *fakeChain) submit(p *pooled, rounds uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.after = c.round + rounds
	if _, known := c.at[p.txids[0]]; known {
		return nil
	}
	for _, q := range c.pool {
		if q.txids[0] == p.txids[0] {
			return nil
		}
	}
	for _, t := range p.list {
		switch {
		case uint64(t.LastValid) <= c.round:
			return refusal(ledger.Expired)
		case c.leases[leaseOf(t)] > c.round:
			return refusal(ledger.LeaseHeld)
		case uint64(t.Fee) < c.feePerByte*transactionSize:
			return refusal(ledger.Congested)
		case c.isForeign(t):
			return refusal(ledger.Other)
		}
		for _, q := range c.pool {
			if slices.ContainsFunc(q.list, func(o types.Transaction) bool { return leaseOf(o) == leaseOf(t) }) {
				return refusal(ledger.LeaseHeld)
			}
		}
	}
	c.pool = append(c.pool, p)
	return nil
}

// forget drops a group from the pool.
func (c *fakeChain) forget(txid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pool = slices.DeleteFunc(c.pool, func(p *pooled) bool { return p.txids[0] == txid })
}

// advance makes the next block.
func (c *fakeChain) advance() {
	c.mu.Lock()
	c.round++
	var rest []*pooled
	var made []consortium.Event
	for _, e := range c.others {
		c.log(e)
	}
	c.others = nil
	for _, p := range c.pool {
		switch {
		case !c.possible(p): // never again
		case p.after >= c.round:
			rest = append(rest, p)
		default:
			made = append(made, c.include(p)...)
		}
	}
	c.pool = rest
	c.mu.Unlock()
	for _, e := range made {
		c.confirmed(e)
	}
	c.advanced.Notify()
}

func (c *fakeChain) possible(p *pooled) bool {
	for _, t := range p.list {
		if uint64(t.FirstValid) > c.round || uint64(t.LastValid) < c.round || c.leases[leaseOf(t)] >= c.round {
			return false
		}
		if asset := uint64(t.ConfigAsset); asset != 0 && (c.ended[asset] || c.isForeign(t)) {
			return false
		}
	}
	return true
}

// isForeign reports whether a transaction destroys what another account has minted. The lock is held.
func (c *fakeChain) isForeign(t types.Transaction) bool {
	return t.ConfigAsset != 0 && slices.ContainsFunc(c.events, func(e consortium.Event) bool {
		return e.Asset == uint64(t.ConfigAsset) && e.Directory != "" && e.Sender != t.Sender.String()
	})
}

func (c *fakeChain) include(p *pooled) (made []consortium.Event) {
	for i, t := range p.list {
		id, note, err := wire.ParseNote(t.Note)
		if err != nil {
			panic(err)
		}
		c.leases[leaseOf(t)] = uint64(t.LastValid)
		e := consortium.Event{TxID: p.txids[i], Sender: t.Sender.String(), Consortium: id, Note: note, Lease: t.Lease[:]}
		if e.Asset = uint64(t.ConfigAsset); e.Asset == 0 {
			c.assets++
			e.Asset = c.assets
			root, err := wire.ParseURL(t.AssetParams.URL)
			if err != nil {
				panic(err)
			}
			e.Directory, e.MetadataHash = root.String(), t.AssetParams.MetadataHash[:]
		} else {
			c.ended[e.Asset] = true
		}
		made = append(made, c.log(e))
	}
	return made
}

// log puts an event into the block that is being made.
func (c *fakeChain) log(e consortium.Event) consortium.Event {
	e.Position = consortium.Position{Round: c.round, Intra: uint64(len(c.events))}
	c.at[e.TxID] = len(c.events)
	c.events = append(c.events, e)
	return e
}

// mint puts another member's event into the next block, and tells its round.
func (c *fakeChain) mint(e consortium.Event) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.assets++
	e.Asset = c.assets
	c.others = append(c.others, e)
	return c.round + 1
}

// find gives a transaction that is on the chain up to a round.
func (c *fakeChain) find(txid string, upTo uint64) (e consortium.Event, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, found := c.at[txid]
	if !found || c.events[i].Round > upTo {
		return e, false
	}
	return c.events[i], true
}

// between gives the events of the rounds after one, up to another.
func (c *fakeChain) between(after, upTo uint64) []consortium.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, _ := slices.BinarySearchFunc(c.events, after+1, func(e consortium.Event, round uint64) int { return cmp.Compare(e.Round, round) })
	to, _ := slices.BinarySearchFunc(c.events, upTo+1, func(e consortium.Event, round uint64) int { return cmp.Compare(e.Round, round) })
	return slices.Clone(c.events[from:max(from, to)])
}

// fate is what algod knows of a transaction, as [ledger.Ledger.Fate] says it.
func (c *fakeChain) fate(txid string, first, last uint64) (ledger.Fate, consortium.Place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, found := c.at[txid]; found {
		if e := c.events[i]; e.Round+remembered > c.round {
			return ledger.Confirmed, mintedBy(e)
		}
		return ledger.Unknown, consortium.Place{}
	}
	for _, p := range c.pool {
		if slices.Contains(p.txids, txid) {
			return ledger.Pending, consortium.Place{}
		}
	}
	if c.round > last+10 && first+remembered-10 > c.round {
		return ledger.Absent, consortium.Place{}
	}
	return ledger.Unknown, consortium.Place{}
}

func mintedBy(e consortium.Event) consortium.Place {
	m := consortium.Place{TxID: e.TxID, Round: e.Round, Asset: e.Asset}
	if e.Note.Kind == wire.KindDestroy || e.Note.Kind == wire.KindRelease {
		m.Asset = 0
	}
	return m
}

// isEnded reports whether an asset was destroyed.
func (c *fakeChain) isEnded(asset uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended[asset]
}

// ledgerWindow is for how many rounds a transaction can be confirmed.
const ledgerWindow = ledger.Window
