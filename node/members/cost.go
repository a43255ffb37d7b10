package members

import (
	"context"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
)

// Price is what something costs this organisation, at the lowest fee. Where the governor is several accounts, the
// governor's account pays for the record, when the proposal is submitted, and this organisation for the keys.
type Price struct {
	Fees     microalgo.Amount `json:"fee_microalgo"`    // gone
	Locked   microalgo.Amount `json:"locked_microalgo"` // until what it is for ends
	Governor microalgo.Amount `json:"governor_microalgo,omitzero"`
}

func priceOf(nfts int) Price {
	n := uint64(nfts)
	return Price{Fees: microalgo.Amount(ledger.LowestFee).Times(n), Locked: microalgo.PerAsset.Times(n)}
}

// PriceOfAdmission tells what the admission of who made a request would cost. What Admit would refuse at once, it does,
// too. Who is admitted already costs nothing.
func (r *Registrar) PriceOfAdmission(ctx context.Context, request []byte) (Price, error) {
	m, err := wire.ParseMember(request)
	if err != nil {
		return Price{}, problem.Input(err)
	}
	a, err := r.authority(ctx, "admit members")
	if err != nil {
		return Price{}, err
	}
	if admitted, err := r.mayAdmit(m); err != nil || admitted != nil {
		return Price{}, err
	}
	if a.quorum != nil {
		price := priceOf(r.keysForNewcomer())
		price.Governor = microalgo.PerNFT
		return price, nil
	}
	nfts, err := r.recordsOfAdmission(m)
	if err != nil {
		return Price{}, err
	}
	return priceOf(nfts), r.afford(ctx, nfts, 0)
}

// recordsOfAdmission counts what an admission mints: the membership, and the keys. Nothing, if it is on its way.
func (r *Registrar) recordsOfAdmission(m wire.Member) (int, error) {
	if begun, err := r.isStored(r.memberKey(m)); err != nil || begun {
		return 0, err
	}
	return 1 + r.keysForNewcomer(), nil
}

// purse is what this organisation's account can pay.
type purse interface {
	// Afford refuses what takes so many NFTs, and destroys so many, that the account can't pay for.
	Afford(ctx context.Context, nfts, ends int) error
}

// afford refuses what can't be paid for, before anything is done.
func (r *Registrar) afford(ctx context.Context, nfts, ends int) error {
	if r.Money == nil || nfts+ends == 0 {
		return nil
	}
	return r.Money.Afford(ctx, nfts, ends)
}

// ours counts the collections of this organisation that are in some way.
func (r *Registrar) ours(are func(consortium.Collection) bool) (n int) {
	for _, c := range r.State.Collections() {
		if c.Owner == r.State.Self && are(c) {
			n++
		}
	}
	return n
}

// keysForNewcomer counts the records by which a newcomer gets keys: a keyring of each collection of ours that all
// members read or, where it must not read what is older, another key.
func (r *Registrar) keysForNewcomer() int {
	return r.ours(func(c consortium.Collection) bool { return c.Properties.Readers.Members })
}

// keysWithout counts the collections of ours that get another key when a member may not read any more with what it has.
func (r *Registrar) keysWithout(account string) int {
	return r.ours(func(c consortium.Collection) bool { return c.MayRead(account) })
}

// isStored reports whether what is published under a key was taken in before: then it is on its way, or done.
func (r *Registrar) isStored(key []byte) (bool, error) {
	_, found, err := r.Outbox.Find(key)
	return found, err
}
