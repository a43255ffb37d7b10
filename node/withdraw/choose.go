package withdraw

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// Choice says which objects of this organisation are withdrawn together: those that are named, or all to which all that
// is given applies, one of which has to be given.
type Choice struct {
	// Named are STIX ids, for all versions; TXID, for what a transaction published; TXID/INDEX, for one object of a batch.
	Named []string `json:"named,omitempty"`

	Collection string    `json:"collection,omitempty"` // the collection's id
	Types      []string  `json:"types,omitempty"`      // STIX types
	Before     time.Time `json:"before,omitzero"`      // published before this
	Expired    time.Time `json:"expired,omitzero"`     // valid_until is before this; nothing without one is
	// DryRun only counts.
	DryRun bool `json:"dry_run,omitempty"`
}

// MaxNamed is how many objects one choice names.
const MaxNamed = 1000

func (c Choice) check() error {
	criteria := len(c.Types) > 0 || !c.Before.IsZero() || !c.Expired.IsZero() || c.Collection != ""
	switch {
	case len(c.Named) > MaxNamed:
		return problem.Input(fmt.Errorf("%d objects are named, at most %d can be at once", len(c.Named), MaxNamed))
	case len(c.Named) > 0 && (len(c.Types) > 0 || !c.Before.IsZero() || !c.Expired.IsZero()):
		return problem.Input(errors.New("name objects, or say what applies to them: not both"))
	case len(c.Named) == 0 && !criteria:
		return problem.Input(errors.New("nothing is chosen: name objects, or say which type, age or collection"))
	}
	return nil
}

// applies reports whether an entry is chosen, by what is said of all.
func (c Choice) applies(e *view.Entry) bool {
	if c.Collection != "" && e.Collection != c.Collection || !c.Before.IsZero() && !e.StoredAt.Before(c.Before) {
		return false
	}
	for i, kind := range c.Types {
		if kind == e.Type {
			break
		}
		if i == len(c.Types)-1 {
			return false
		}
	}
	return c.Expired.IsZero() || validUntil(e.Object).Before(c.Expired)
}

// never is later than any valid_until.
var never = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)

// validUntil is when an object ends to be valid, by its own word; never if it has none that can be read.
func validUntil(object []byte) time.Time {
	var has struct {
		Until string `json:"valid_until"`
	}
	if err := json.Unmarshal(object, &has); err != nil || has.Until == "" {
		return never
	}
	until, err := time.Parse(time.RFC3339Nano, has.Until)
	if err != nil {
		return never
	}
	return until
}

// choosePage is how many entries are looked at in one read.
const choosePage = 256

// chosen is what is withdrawn by one transaction: an object, or all of a batch.
type chosen struct {
	Withdrawal
	begun  uint64 // the item by which it is on its way already
	record bool   // by a record, since the NFT is not to be destroyed, or can't be
}

// each gives what is chosen, one after the other. Of a batch all of whose objects are chosen it is the batch: to
// destroy its NFT frees what it keeps locked, where a record for each object would lock as much again.
func (w *Withdrawer) each(c Choice, take func(chosen) error) error {
	batches := map[uint64]bool{} // that were decided about: whether all of it goes
	query := view.Query{Collection: view.Everything, Member: w.State.Own(), AnyLine: true, Types: c.Types, Versions: view.Versions{All: true}, Limit: choosePage, WithObjects: !c.Expired.IsZero()}
	for {
		entries, more, err := w.View.Page(query)
		if err != nil {
			return err
		}
		for _, e := range entries {
			query.After = e.DateAdded
			if !w.State.Ours(e.Publisher) || !c.applies(e) {
				continue
			}
			if err := w.choose(c, e, batches, take); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// choose gives one entry that is chosen, or the batch that it is one of.
func (w *Withdrawer) choose(c Choice, e *view.Entry, batches map[uint64]bool, take func(chosen) error) error {
	if batches[e.Asset] && e.Position.Index > 0 {
		return nil // all of its batch goes
	}
	item, leaving, err := leavesBy(w.Outbox, e)
	if err != nil {
		return err
	}
	if leaving { // an earlier attempt came so far
		batches[e.Asset] = batches[e.Asset] || item.Note.Kind == wire.KindDestroy && e.Position.Index > 0
		return take(chosen{begun: item.Number})
	}
	one := chosen{Withdrawal: Withdrawal{ID: e.ID, Version: e.Version, Collection: e.Collection, TxID: e.TxID, Asset: e.Asset, Index: e.Position.Index}}
	if e.Position.Index == 0 {
		one.record = e.Publisher != w.State.Self
		return take(one)
	}
	if _, decided := batches[e.Asset]; !decided {
		whole, err := w.isWhole(c, e)
		if err != nil {
			return err
		}
		batches[e.Asset] = whole
		if whole {
			all, err := w.allOf(e)
			if err != nil {
				return err
			}
			return take(all)
		}
	}
	one.record = true
	return take(one)
}

// isWhole reports whether all that is left of the batch that an entry is one of is chosen, and its NFT can be
// destroyed.
func (w *Withdrawer) isWhole(c Choice, e *view.Entry) (bool, error) {
	batch, found, err := w.View.EventOf(e.Asset)
	if err != nil || !found || batch.Sender != w.State.Self || batch.State != view.Held {
		return false, err
	}
	if _, released, err := w.Outbox.Find(releaseKey(e.Asset)); err != nil || released {
		return false, err
	}
	objects, err := w.View.Objects(batch)
	if err != nil {
		return false, err
	}
	for _, object := range objects {
		if object.State == view.Ended || batch.HasWithdrawn(object.Index) {
			continue
		}
		entry, err := w.View.Entry(object)
		if err != nil || entry == nil || !c.applies(entry) {
			return false, err
		}
	}
	return true, nil
}

// allOf is the withdrawal of a whole batch.
func (w *Withdrawer) allOf(e *view.Entry) (chosen, error) {
	all := chosen{Withdrawal: Withdrawal{TxID: e.TxID, Asset: e.Asset, Collection: e.Collection}}
	batch, _, err := w.View.EventOf(e.Asset)
	if err != nil {
		return all, err
	}
	objects, err := w.View.Objects(batch)
	for _, object := range objects {
		if object.State != view.Ended && !batch.HasWithdrawn(object.Index) {
			all.Objects++
		}
	}
	return all, err
}

// eachNamed gives what is named, all versions of each.
func (w *Withdrawer) eachNamed(c Choice, take func(chosen) error) error {
	for _, name := range c.Named {
		batch, is, err := w.batchNamed(name)
		if err != nil {
			return err
		}
		if is {
			if !w.State.Ours(batch.Sender) {
				return problem.Input(errNotPublisher)
			}
			all, err := w.allOf(&view.Entry{TxID: batch.TxID, Asset: batch.Asset})
			if err != nil {
				return err
			}
			all.record = batch.Sender != w.State.Self
			if err := take(all); err != nil {
				return err
			}
			continue
		}
		entries, err := w.selected(Selection{What: name, Collection: c.Collection})
		if err != nil {
			return fmt.Errorf("%.80s: %w", name, err)
		}
		for _, e := range entries {
			if err := w.choose(c, e, map[uint64]bool{e.Asset: false}, take); err != nil {
				return err
			}
		}
	}
	return nil
}

// beingPublished reports whether what is withdrawn is on its way to the chain once more, and can't be ended yet.
func beingPublished(err error) bool { return errors.Is(err, taxii.ErrConflict) }
