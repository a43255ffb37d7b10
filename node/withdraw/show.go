package withdraw

import (
	"context"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/disclosure"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/view"
)

// Shown is everything that this node knows of an object's publications.
type Shown struct {
	Publications []Publication `json:"publications"`          // that are in the view
	Withdrawals  []TakenBack   `json:"withdrawals,omitempty"` // by this organisation, of its last thousand
}

// Publication is one version of an object in one collection.
type Publication struct {
	ID         string    `json:"id"`
	Version    string    `json:"version"`
	Collection string    `json:"collection"`
	Title      string    `json:"collection_title"`
	Publisher  string    `json:"publisher"`
	TxID       string    `json:"txid"`
	Asset      uint64    `json:"asset_id"`
	Index      uint32    `json:"index,omitempty"` // in the batch that the transaction published
	Round      uint64    `json:"round"`
	CID        string    `json:"cid"`
	StoredAt   time.Time `json:"stored_at"`
	Added      time.Time `json:"date_added"` // when it entered the view of this node
	// Apart says that another member's versions are served as the object, and this one beside them.
	Apart bool `json:"apart,omitempty"`
	disclosure.Description
}

// Name is how people name it.
func (p Publication) Name() string { return wire.Publication{TxID: p.TxID, Index: p.Index}.String() }

// TakenBack is a withdrawal and what the other members say of it.
type TakenBack struct {
	Withdrawal
	Members []Acknowledgement `json:"members"`
	// Readers are those until it was withdrawn; of all of a batch there are none here: its objects tell.
	disclosure.Readers
}

// Show tells what is known of an object, given by its STIX id or by a transaction that published it. It asks the other
// members about its withdrawals.
func (w *Withdrawer) Show(ctx context.Context, what string) (shown Shown, err error) {
	if shown.Publications, err = w.Publications(what); err != nil {
		return Shown{}, err
	}
	if shown.Withdrawals, err = w.takenBack(ctx, what); err != nil {
		return Shown{}, err
	}
	if len(shown.Publications) == 0 && len(shown.Withdrawals) == 0 {
		return Shown{}, problem.Missing(fmt.Errorf("nothing is known of %.80s", what))
	}
	return shown, nil
}

// Publications gives what Show does of the view, and asks nobody.
func (w *Withdrawer) Publications(what string) ([]Publication, error) {
	entries, err := w.entriesOf(what)
	if err != nil {
		return nil, err
	}
	served, err := w.servedOf(entries)
	if err != nil {
		return nil, err
	}
	list, describe := []Publication{}, w.Register.Describer()
	for _, e := range entries {
		one := Publication{
			ID: e.ID, Version: e.Version, Collection: e.Collection, Publisher: w.State.Name(e.Publisher), TxID: e.TxID, Asset: e.Asset, Index: e.Position.Index,
			Round: e.Position.Round, CID: e.Directory, StoredAt: e.StoredAt, Added: e.Added(), Apart: !served[e.Position],
		}
		if c, found := w.State.Collection(e.Collection); found {
			one.Title = c.Properties.Title
		}
		if one.Description, err = describe(e.Place().Name()); err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// entriesOf finds the versions of an object in the view.
func (w *Withdrawer) entriesOf(what string) ([]*view.Entry, error) {
	event, found, err := w.published(what)
	if err != nil {
		return nil, err
	}
	if found {
		entry, err := w.View.Entry(event)
		if err == nil && entry == nil && event.Note.Kind == wire.KindBatch && event.State != view.Ended {
			err = notInView(event, what)
		}
		if err != nil || entry == nil {
			return nil, err
		}
		return []*view.Entry{entry}, nil
	}
	entries, _, err := w.View.Page(view.Query{Collection: view.Everything, IDs: []string{what}, AnyLine: true, Versions: view.Versions{All: true}, Limit: maxWithdrawn})
	return entries, err
}

// servedOf tells which publications of an object are served as it, by their positions.
func (w *Withdrawer) servedOf(entries []*view.Entry) (map[consortium.Position]bool, error) {
	served := map[consortium.Position]bool{}
	if len(entries) == 0 {
		return served, nil
	}
	leading, _, err := w.View.Page(view.Query{Collection: view.Everything, IDs: []string{entries[0].ID}, Versions: view.Versions{All: true}, Limit: maxWithdrawn})
	for _, e := range leading {
		served[e.Position] = true
	}
	return served, err
}

// takenBack finds the withdrawals of an object and asks the members that have not acknowledged them.
func (w *Withdrawer) takenBack(ctx context.Context, what string) (list []TakenBack, err error) {
	if err := w.askAround(ctx); err != nil {
		return nil, err
	}
	all, err := w.withdrawals()
	if err != nil {
		return nil, err
	}
	describe := w.Register.Describer()
	for _, of := range all {
		kept, err := w.recall(of)
		if err != nil {
			return nil, err
		}
		if kept == nil || kept.ID != what && kept.TxID != what && kept.Name() != what {
			continue
		}
		one := TakenBack{Withdrawal: kept.Withdrawal}
		if one.Withdrawn = w.IsWithdrawn(of); one.Withdrawn {
			for _, m := range w.others() {
				one.Members = append(one.Members, Acknowledgement{Member: m.Name, Account: m.Account, At: kept.By[m.Account]})
			}
		}
		if item, found, err := w.Outbox.Find(endKey(of)); err != nil {
			return nil, err
		} else if found {
			one.Destroyed = item.TxID
		}
		if one.Objects == 0 {
			described, err := describe(wire.Publication{TxID: one.TxID, Index: one.Index})
			if err != nil {
				return nil, err
			}
			one.Readers = described.Readers
		}
		list = append(list, one)
	}
	return list, nil
}
