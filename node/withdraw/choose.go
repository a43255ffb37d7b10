package withdraw

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	// Expired chooses all versions of objects whose newest has a valid_until before this; what has none never expires.
	// The newest decides: to withdraw it alone would have an earlier one, which it has ended, count again.
	Expired time.Time `json:"expired,omitzero"`
	// NoRecords leaves out what takes a record to withdraw, which locks money.
	NoRecords bool `json:"no_records,omitempty"`
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
func (w *Withdrawer) applies(c Choice, e *view.Entry) (bool, error) {
	if c.Collection != "" && e.Collection != c.Collection || !c.Before.IsZero() && !e.StoredAt.Before(c.Before) {
		return false, nil
	}
	if len(c.Types) > 0 && !slices.Contains(c.Types, e.Type) {
		return false, nil
	}
	if c.Expired.IsZero() {
		return true, nil
	}
	newest, err := w.View.LatestOf(w.State.Own(), e.Collection, e.ID)
	return newest != nil && validUntil(newest.Object).Before(c.Expired), err
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

	expired bool // it is withdrawn for that
}

// each gives what is chosen, one after the other. Of a batch all of whose objects are chosen it is the batch: to
// destroy its NFT frees what it keeps locked, where a record for each object would lock as much again.
func (w *Withdrawer) each(c Choice, take func(chosen) error) error {
	batches := map[uint64]bool{} // that were decided about: whether all of it goes
	query := view.Query{Collection: view.Everything, Member: w.State.Own(), AnyLine: true, Types: c.Types, Versions: view.Versions{All: true}, Limit: choosePage}
	for {
		entries, more, err := w.View.Page(query)
		if err != nil {
			return err
		}
		for _, e := range entries {
			query.After = e.DateAdded
			if !w.State.Ours(e.Publisher) {
				continue
			}
			applies, err := w.applies(c, e)
			if err != nil {
				return err
			}
			if !applies {
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
	one := chosen{Withdrawal: Withdrawal{ID: e.ID, Version: e.Version, Collection: e.Collection, TxID: e.TxID, Asset: e.Asset, Index: e.Position.Index}, record: true, expired: !c.Expired.IsZero()}
	if e.Position.Index == 0 {
		one.record, err = w.needsRecord(e.Publisher, e.Asset)
	} else if _, decided := batches[e.Asset]; !decided {
		var all chosen
		if all, err = w.wholeBatch(c, e); err == nil && all.Objects > 0 {
			batches[e.Asset] = true
			return take(all)
		}
		batches[e.Asset] = false
	}
	if err != nil || one.record && c.NoRecords {
		return err
	}
	return take(one)
}

// needsRecord reports whether an NFT can't be destroyed to withdraw what it published: an account of before has it, or
// it is released.
func (w *Withdrawer) needsRecord(publisher string, asset uint64) (bool, error) {
	if publisher != w.State.Self {
		return true, nil
	}
	item, released, err := w.Outbox.Find(releaseKey(asset))
	return released && item.Failure == "", err
}

// NeedsRecord reports whether a version of this organisation can be withdrawn by a record alone, which locks as much as
// it would free, or more.
func (w *Withdrawer) NeedsRecord(e *view.Entry) (bool, error) {
	if e.Position.Index > 0 {
		return true, nil
	}
	return w.needsRecord(e.Publisher, e.Asset)
}

// wholeBatch is the withdrawal of the whole batch that an entry is one of, if all that is left of it is chosen, and its
// NFT can be destroyed; else it has no objects.
func (w *Withdrawer) wholeBatch(c Choice, e *view.Entry) (all chosen, err error) {
	batch, found, err := w.View.EventOf(e.Asset)
	if err != nil || !found || batch.State != view.Held {
		return all, err
	}
	if record, err := w.needsRecord(batch.Sender, e.Asset); err != nil || record {
		return all, err
	}
	left, err := w.leftOf(batch)
	if err != nil {
		return all, err
	}
	for _, object := range left {
		entry, err := w.View.Entry(object)
		if err != nil || entry == nil {
			return all, err
		}
		if applies, err := w.applies(c, entry); err != nil || !applies {
			return all, err
		}
	}
	all = allOf(batch, len(left))
	all.Collection, all.expired = e.Collection, !c.Expired.IsZero()
	return all, nil
}

// leftOf gives the objects of a batch that are not withdrawn.
func (w *Withdrawer) leftOf(batch view.Event) ([]view.Event, error) {
	objects, err := w.View.Objects(batch)
	return slices.DeleteFunc(objects, func(o view.Event) bool { return o.State == view.Ended || batch.HasWithdrawn(o.Index) }), err
}

// allOf is the withdrawal of a whole batch, of which so many objects are left.
func allOf(batch view.Event, left int) chosen {
	return chosen{Withdrawal: Withdrawal{TxID: batch.TxID, Asset: batch.Asset, Objects: left}}
}

// eachNamed gives what is named, all versions of each.
func (w *Withdrawer) eachNamed(c Choice, take func(chosen) error) error {
	for _, name := range c.Named {
		batch, is, err := w.batchNamed(name)
		if err != nil {
			return err
		}
		if is {
			if err := w.chooseBatch(batch, take); err != nil {
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

// chooseBatch gives a batch that is named.
func (w *Withdrawer) chooseBatch(batch view.Event, take func(chosen) error) error {
	if !w.State.Ours(batch.Sender) {
		return problem.Input(errNotPublisher)
	}
	left, err := w.leftOf(batch)
	if err != nil {
		return err
	}
	all := allOf(batch, len(left))
	if all.record, err = w.needsRecord(batch.Sender, batch.Asset); err != nil {
		return err
	}
	return take(all)
}

// beingPublished reports whether what is withdrawn is on its way to the chain once more, and can't be ended yet.
func beingPublished(err error) bool { return errors.Is(err, taxii.ErrConflict) }
