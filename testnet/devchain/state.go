package devchain

import (
	"bytes"
	"cmp"
	"iter"

	"github.com/RaduBerinde/btreemap"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// treeDegree suits trees that are copied on write once for each group: smaller nodes copy less.
const treeDegree = 16

// state is everything that transactions change. A state that others can see is never changed again: whoever wants
// to change it takes a clone, which costs nothing until it is written to.
type state struct {
	accounts *btreemap.BTreeMap[types.Address, account]
	assets   *btreemap.BTreeMap[types.AssetIndex, *asset]
	created  *btreemap.BTreeMap[holdingKey, struct{}] // creator and asset, destroyed assets included
	holdings *btreemap.BTreeMap[holdingKey, holding]
	leases   *btreemap.BTreeMap[leaseKey, types.Round] // the last round in which the lease is held
	counter  uint64                                    // transactions so far; an asset's id is its creation's number
}

// lifetime tells an indexer when something was made and unmade.
type lifetime struct {
	created types.Round
	closed  types.Round // the last time; 0 if never
	deleted bool
}

// account is one address. One that became empty stays as a tombstone for the indexer.
type account struct {
	lifetime
	balance       uint64 // microalgos
	authAddr      types.Address
	assets        uint64 // how many it holds or has opted in to
	createdAssets uint64 // how many of those it created itself
	sigType       string // what it last signed with, as the indexer tells it
}

func (a account) empty() bool {
	return a.balance == 0 && a.assets == 0 && a.authAddr == (types.Address{})
}

type asset struct {
	lifetime
	creator types.Address
	params  types.AssetParams // zero once destroyed
}

type holdingKey struct {
	address types.Address
	asset   types.AssetIndex
}

type holding struct {
	lifetime
	amount uint64
	frozen bool
}

type leaseKey struct {
	sender types.Address
	lease  [32]byte
}

func newState() *state {
	compareAddress := func(a, b types.Address) int { return bytes.Compare(a[:], b[:]) }
	compareHolding := func(a, b holdingKey) int {
		return cmp.Or(compareAddress(a.address, b.address), cmp.Compare(a.asset, b.asset))
	}
	return &state{
		accounts: btreemap.New[types.Address, account](treeDegree, compareAddress),
		assets:   btreemap.New[types.AssetIndex, *asset](treeDegree, cmp.Compare[types.AssetIndex]),
		created:  btreemap.New[holdingKey, struct{}](treeDegree, compareHolding),
		holdings: btreemap.New[holdingKey, holding](treeDegree, compareHolding),
		leases: btreemap.New[leaseKey, types.Round](treeDegree, func(a, b leaseKey) int {
			return cmp.Or(compareAddress(a.sender, b.sender), bytes.Compare(a.lease[:], b.lease[:]))
		}),
	}
}

// clone is a copy that can be changed. Two clones of one state must not be taken at the same time.
func (s *state) clone() *state {
	return &state{
		accounts: s.accounts.Clone(),
		assets:   s.assets.Clone(),
		created:  s.created.Clone(),
		holdings: s.holdings.Clone(),
		leases:   s.leases.Clone(),
		counter:  s.counter,
	}
}

// account is the zero account where there is none.
func (s *state) account(a types.Address) account {
	_, acct, _ := s.accounts.Get(a)
	return acct
}

func (s *state) asset(id types.AssetIndex) (*asset, bool) {
	_, a, ok := s.assets.Get(id)
	return a, ok && !a.deleted
}

func (s *state) holding(a types.Address, id types.AssetIndex) (holding, bool) {
	_, h, ok := s.holdings.Get(holdingKey{a, id})
	return h, ok && !h.deleted
}

// holdingsOf are the assets above after that an address holds, deleted ones included, in the order of their ids.
func (s *state) holdingsOf(a types.Address, after types.AssetIndex) iter.Seq2[types.AssetIndex, holding] {
	return func(yield func(types.AssetIndex, holding) bool) {
		last := holdingKey{a, ^types.AssetIndex(0)}
		for key, h := range s.holdings.Ascend(btreemap.GT(holdingKey{a, after}), btreemap.LE(last)) {
			if !yield(key.asset, h) {
				return
			}
		}
	}
}

// createdBy are the assets above after that an address created, destroyed ones included, in the order of their ids.
func (s *state) createdBy(a types.Address, after types.AssetIndex) iter.Seq2[types.AssetIndex, *asset] {
	return func(yield func(types.AssetIndex, *asset) bool) {
		last := holdingKey{a, ^types.AssetIndex(0)}
		for key := range s.created.Ascend(btreemap.GT(holdingKey{a, after}), btreemap.LE(last)) {
			_, made, _ := s.assets.Get(key.asset)
			if !yield(key.asset, made) {
				return
			}
		}
	}
}
