package devchain

import "github.com/algorand/go-algorand-sdk/v2/types"

// maxPoolSize is how many transactions may wait, algod's default.
const maxPoolSize = 75_000

// maxEvicted bounds how many evicted transactions the pool remembers.
const maxEvicted = 10_000

// pool holds the groups that wait for a block, in the order in which they came.
type pool struct {
	groups []pooledGroup
	size   int // transactions in groups
	known  map[txid]*signedTxn
	state  *state // what the state will be once all of them are confirmed

	evicted      map[txid]evictedTxn
	evictedOrder []txid
}

type pooledGroup struct {
	group
	fate fate
}

type evictedTxn struct {
	txn       types.SignedTxn
	poolError string
}

// reset empties the pool on top of a state.
func (p *pool) reset(base *state) {
	p.groups, p.size, p.known, p.state = nil, 0, map[txid]*signedTxn{}, base
	if p.evicted == nil {
		p.evicted = map[txid]evictedTxn{}
	}
}

func (p *pool) add(g group, f fate, after *state) {
	p.groups = append(p.groups, pooledGroup{g, f})
	p.size += len(g)
	p.state = after
	for i := range g {
		p.known[g[i].id] = &g[i]
	}
}

// evict remembers why a group went, or nothing where there is no reason to tell.
func (p *pool) evict(g group, reason string) {
	if reason == "" {
		return
	}
	for i := range g {
		p.evicted[g[i].id] = evictedTxn{g[i].SignedTxn, reason}
		p.evictedOrder = append(p.evictedOrder, g[i].id)
	}
	for len(p.evictedOrder) > maxEvicted {
		delete(p.evicted, p.evictedOrder[0])
		p.evictedOrder = p.evictedOrder[1:]
	}
}
