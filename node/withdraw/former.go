package withdraw

import (
	"context"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/view"
)

// former is an account that this organisation had before: nothing that it signs counts any more, and its NFTs keep
// their deposits until it destroys them.
type former interface {
	Address() string
	// Made lists the assets that it has made and not destroyed.
	Made(ctx context.Context) (assets []uint64, err error)
	// Destroy destroys some, and returns when the chain has it, with how many are.
	Destroy(ctx context.Context, assets []uint64) (destroyed int, err error)
}

// Reclaim says which NFTs of former accounts are to be destroyed.
type Reclaim struct {
	Published bool `json:"published"` // of what is still published, too, which stays published
	DryRun    bool `json:"dry_run"`
}

// Reclaimed is how many NFTs of a former account were destroyed, each of which had locked 0.1 ALGO.
type Reclaimed struct {
	Account string `json:"account"`
	NFTs    int    `json:"nfts"`
	Left    int    `json:"left"` // NFTs that are not, of whatever it was
}

const reclaimEvery = 10 * time.Minute

// RunReclaim destroys, until the context ends, the NFTs of former accounts whose objects are withdrawn: a withdrawal
// can only be a record there, which frees nothing by itself.
func (w *Withdrawer) RunReclaim(ctx context.Context) error {
	if len(w.Former) == 0 {
		return nil
	}
	ticker := time.NewTicker(reclaimEvery)
	defer ticker.Stop()
	for {
		if _, err := w.Reclaim(ctx, Reclaim{}); err != nil && ctx.Err() == nil {
			w.Log.Warn("what former accounts keep locked can't be freed; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Reclaim destroys NFTs of objects and batches that former accounts have made, one account after the other. Those of
// charters, members and collections stay, as they do for the present account. It can be repeated.
func (w *Withdrawer) Reclaim(ctx context.Context, r Reclaim) (list []Reclaimed, err error) {
	w.reclaiming.Lock()
	defer w.reclaiming.Unlock()
	for _, account := range w.Former {
		made, err := account.Made(ctx)
		if err != nil {
			return list, err
		}
		var free []uint64
		for _, asset := range made {
			may, err := w.mayReclaim(asset, r.Published)
			if err != nil {
				return list, err
			}
			if may {
				free = append(free, asset)
			}
		}
		one := Reclaimed{Account: account.Address(), NFTs: len(free), Left: len(made) - len(free)}
		if !r.DryRun {
			one.NFTs, err = account.Destroy(ctx, free)
			one.Left = len(made) - one.NFTs
		}
		if list = append(list, one); err != nil {
			return list, err
		}
		if one.NFTs > 0 && !r.DryRun {
			w.Log.Info("NFTs of a former account are destroyed: what they kept locked is free there", "account", one.Account, "nfts", one.NFTs)
		}
	}
	return list, nil
}

// mayReclaim reports whether an NFT is one of an object or a batch that is withdrawn, or may go all the same.
func (w *Withdrawer) mayReclaim(asset uint64, published bool) (bool, error) {
	e, found, err := w.View.EventOf(asset)
	if err != nil || !found || e.Note.Kind != wire.KindObject && e.Note.Kind != wire.KindBatch {
		return false, err
	}
	if published || e.State == view.Ended {
		return true, nil
	}
	if e.Note.Kind != wire.KindBatch || e.State != view.Held {
		return false, nil
	}
	return w.isEmpty(e)
}

// Formers are the accounts of a ledger's organisation that it had before.
func Formers(list []*ledger.Former) (all []former) {
	for _, one := range list {
		all = append(all, one)
	}
	return all
}
