package withdraw

import (
	"context"
	"errors"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/view"
)

// former is an account that this organisation had before: nothing that it signs counts any more, and its NFTs keep
// their deposits until it destroys them.
type former interface {
	Address() string
	// Made lists the assets that it has made and not destroyed.
	Made(ctx context.Context) (assets []uint64, err error)
	// Destroy destroys some, and returns when the chain has it, with what was destroyed, also with an error.
	Destroy(ctx context.Context, assets []uint64) (ledger.Destroyed, error)
	// GiveBack pays what it can spend to the present account; [ledger.ErrNothingFree] where that is nothing.
	GiveBack(ctx context.Context) (ledger.Payment, error)
}

// daily is where it is written down what former accounts spend: no item of the outbox is about that.
type daily interface {
	Add(day daybook.Day, entry daybook.Entry, more daybook.Sums) error
}

// Reclaim says which NFTs of former accounts are to be destroyed.
type Reclaim struct {
	Published bool `json:"published"` // of what is still published, too, which stays published
	GiveBack  bool `json:"give_back"` // and pay what is free then to the present account
	DryRun    bool `json:"dry_run"`
}

// Reclaimed is what came of a former account: how many NFTs were destroyed, each of which had locked 0.1 ALGO, and what
// was paid to the present one.
type Reclaimed struct {
	Account string           `json:"account"`
	NFTs    int              `json:"nfts"`
	Left    int              `json:"left"` // NFTs that are not, of whatever it was
	Paid    microalgo.Amount `json:"paid_microalgo,omitzero"`
	TxID    string           `json:"txid,omitempty"`    // of the payment
	Problem string           `json:"problem,omitempty"` // why there is not more
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
		list, _ := w.Reclaim(ctx, Reclaim{}) // the error is the context's
		for _, one := range list {
			if one.Problem != "" && ctx.Err() == nil {
				w.Log.Warn("what a former account keeps locked can't be freed; it is tried again", "account", one.Account, "error", one.Problem)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Reclaim destroys NFTs of objects and batches that former accounts have made, one account after the other. Those of
// charters, members and collections stay, as they do for the present account. It can be repeated. What went wrong with
// an account is in its entry; the error is the context's.
func (w *Withdrawer) Reclaim(ctx context.Context, r Reclaim) (list []Reclaimed, err error) {
	w.reclaiming.Lock()
	defer w.reclaiming.Unlock()
	for _, account := range w.Former {
		one := Reclaimed{Account: account.Address()}
		if err := w.reclaimOf(ctx, account, r, &one); err != nil {
			one.Problem = err.Error()
		}
		list = append(list, one)
	}
	return list, ctx.Err()
}

// reclaimOf does it for one account, and notes what it cost, also where it could not be ended.
func (w *Withdrawer) reclaimOf(ctx context.Context, account former, r Reclaim, one *Reclaimed) error {
	made, err := account.Made(ctx)
	if err != nil {
		return err
	}
	var free []uint64
	for _, asset := range made {
		may, err := w.mayReclaim(asset, r.Published)
		if err != nil {
			return err
		}
		if may {
			free = append(free, asset)
		}
	}
	if one.NFTs, one.Left = len(free), len(made)-len(free); r.DryRun {
		return nil
	}
	done, err := account.Destroy(ctx, free)
	one.NFTs, one.Left = done.NFTs, len(made)-done.NFTs
	spent := daybook.Sums{Ended: uint64(done.NFTs), Fees: done.Fees, Freed: microalgo.PerAsset.Times(uint64(done.NFTs))}
	if err == nil && r.GiveBack {
		var paid ledger.Payment
		if paid, err = account.GiveBack(ctx); errors.Is(err, ledger.ErrNothingFree) {
			err = nil
		} else if err == nil {
			one.Paid, one.TxID, spent.Fees = paid.Paid, paid.TxID, spent.Fees.Plus(paid.Fee)
		}
	}
	if one.NFTs > 0 {
		w.Log.Info("NFTs of a former account are destroyed: what they kept locked is free there", "account", one.Account, "nfts", one.NFTs)
	}
	if spent == (daybook.Sums{}) {
		return err
	}
	entry := daybook.Entry{For: daybook.Former, By: auditlog.ActorIn(ctx).User}
	return errors.Join(err, w.Book.Add(daybook.DayOf(state.Now()), entry, spent))
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
