package members

import (
	"context"

	"github.com/serviceledger/slnode/internal/consortium"
)

// purse is what this organisation's account can pay.
type purse interface {
	// Afford refuses what takes so many NFTs, and destroys so many, that the account can't pay for.
	Afford(ctx context.Context, nfts, ends int) error
}

// afford refuses what can't be paid for, before anything is done.
func (r *Registrar) afford(ctx context.Context, nfts, ends int) error {
	if r.Money == nil {
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
