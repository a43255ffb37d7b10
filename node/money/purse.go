package money

import (
	"fmt"

	"github.com/serviceledger/slnode/internal/microalgo"
)

// Sort is how much a transaction takes, and of what.
type Sort int

// The sorts of transactions.
const (
	Object Sort = iota // an NFT of an object or a batch: it leaves the reserve
	Record             // any other NFT
	End                // the destruction of one: its fee
)

// Purse is what can be spent at a moment.
type Purse struct {
	has, free, one, fee, kept microalgo.Amount
}

// NewPurse is a purse with what an account can spend, where objects leave something, and a transaction costs a fee.
func NewPurse(free, kept microalgo.Amount, minFee uint64) *Purse {
	fee := microalgo.Amount(minFee)
	return &Purse{has: free, free: free, one: microalgo.PerAsset + fee, fee: fee, kept: kept}
}

func (p *Purse) cost(s Sort) microalgo.Amount {
	if s == End {
		return p.fee
	}
	return p.one
}

// Spend takes out what is on its way already.
func (p *Purse) Spend(s Sort, n int) { p.free = p.free.Less(p.cost(s).Times(uint64(n))) }

// Pay pays for one transaction, if that is there.
func (p *Purse) Pay(s Sort) bool {
	needs := p.cost(s)
	if s == Object {
		needs = needs.Plus(p.kept)
	}
	if needs > p.free {
		return false
	}
	p.free = p.free.Less(p.cost(s))
	return true
}

// Lacking says why an account can't pay, and what to do.
func (p *Purse) Lacking(account string) string {
	text := fmt.Sprintf("account %s has %s ALGO to spend, an NFT costs %s", account, p.has, p.one)
	if p.kept > 0 {
		text += fmt.Sprintf(" and leaves a reserve of %s for other keys of collections, withdrawals and records of membership (publish.reserve)", p.kept)
	}
	return text + "; send it ALGO and publishing goes on by itself"
}
