package disclosure

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// Query chooses what was shared. What is empty restricts nothing.
type Query struct {
	Since      time.Time `json:"since,omitzero"` // the time of the block
	Until      time.Time `json:"until,omitzero"` // … before this
	With       string    `json:"with,omitempty"` // a member: what it could read then, or can now
	Collection string    `json:"collection,omitempty"`
}

// Object is one version of an object that this organisation has published.
type Object struct {
	Time       time.Time `json:"time"` // of the block in which it was confirmed
	Round      uint64    `json:"round"`
	ID         string    `json:"id,omitempty"` // "" where this node doesn't know it any more, see Note
	Type       string    `json:"type,omitempty"`
	Version    string    `json:"version,omitempty"`
	Level      string    `json:"tlp,omitempty"` // with which it was accepted
	Collection string    `json:"collection,omitempty"`
	Title      string    `json:"collection_title,omitempty"`
	Owner      string    `json:"collection_owner,omitempty"`
	Epoch      uint32    `json:"epoch,omitempty"` // that it is sealed to
	Readers
	State     string     `json:"state"` // shared, withdrawn, or why it doesn't count
	Withdrawn *Withdrawn `json:"withdrawn,omitempty"`
	User      string     `json:"user,omitempty"` // of this node, who published it
	Cost      Cost       `json:"cost"`
	TxID      string     `json:"txid"`
	Index     uint32     `json:"index,omitempty"` // in the batch that the transaction published
	Asset     uint64     `json:"asset_id"`
	Note      string     `json:"note,omitempty"` // what is not known, and why
}

// Withdrawn is that an object was taken back.
type Withdrawn struct {
	Time  time.Time `json:"time,omitzero"`
	Round uint64    `json:"round,omitempty"` // 0 where it isn't known
	TxID  string    `json:"txid,omitempty"`
}

// Cost is what the transaction cost that published it, in microalgo.
type Cost struct {
	Fee     uint64 `json:"fee_microalgo"`
	Deposit uint64 `json:"deposit_microalgo"` // that it locked: it comes back when the NFT is released or withdrawn
	Objects int    `json:"objects"`           // that it published: they share the cost
}

// deposit is what every NFT locks.
const deposit = 100_000

// Name is how people name it.
func (o Object) Name() string { return wire.Publication{TxID: o.TxID, Index: o.Index}.String() }

// Known is how far what was walked through goes.
type Known struct {
	Objects int       `json:"objects"`       // that were chosen
	Round   uint64    `json:"round"`         // the last one that is followed
	Time    time.Time `json:"time,omitzero"` // of the last transaction that is known
}

// page is how many events are read at once.
const page = 500

// Each visits what this organisation has published, in chain order: everything that the chain has of it, also what was
// withdrawn, and what doesn't count. It holds no more than a batch in memory.
func (r *Register) Each(ctx context.Context, q Query, visit func(Object) error) (known Known, err error) {
	w := &walk{Register: r, query: q, audiences: map[string]*audience{}, markings: map[string]*state.Markings{}}
	w.visit = func(o Object) error {
		known.Objects++
		return visit(o)
	}
	if err := w.begin(); err != nil {
		return known, err
	}
	if known.Round, err = r.View.Cursor(); err != nil {
		return known, err
	}
	after, err := r.first(q.Since, known.Round)
	if err != nil {
		return known, err
	}
	for {
		events, err := r.View.Log(after, page)
		if err != nil {
			return known, err
		}
		for _, e := range events {
			if err := ctx.Err(); err != nil {
				return known, err
			}
			if known.Time = e.Time; !q.Until.IsZero() && !e.Time.Before(q.Until) {
				return known, nil
			}
			if err := w.event(e); err != nil {
				return known, fmt.Errorf("reading what transaction %s published: %w", e.TxID, err)
			}
			after = e.Position
		}
		if len(events) < page {
			return known, nil
		}
	}
}

// first is a position before every event that is not earlier than a time. Blocks are not dated back.
func (r *Register) first(since time.Time, last uint64) (after consortium.Position, err error) {
	if since.IsZero() {
		return after, nil
	}
	low, high := uint64(0), last // what is in low is too early, or there is nothing in it
	for low < high {
		middle := low + (high-low)/2
		events, err := r.View.Log(endOf(middle), 1)
		if err != nil {
			return after, err
		}
		if len(events) > 0 && events[0].Time.Before(since) {
			low = events[0].Round
		} else {
			high = middle
		}
	}
	return endOf(low), nil
}

// walk is one walk through what was published.
type walk struct {
	*Register
	query     Query
	visit     func(Object) error
	audiences map[string]*audience
	markings  map[string]*state.Markings
}

// begin finds what the query names.
func (w *walk) begin() error {
	if w.query.With != "" {
		if _, unknown := w.State.MembersCalled([]string{w.query.With}); len(unknown) > 0 {
			return w.State.NoMember(w.query.With)
		}
		m, _ := w.State.Member(w.query.With)
		w.query.With = cmp.Or(m.Name, w.query.With) // it may be an account
	}
	if w.query.Collection != "" {
		c, err := w.State.Called(w.query.Collection)
		if err != nil {
			return err
		}
		w.query.Collection = c.ID
	}
	return nil
}

// event visits what an event published, if it is this organisation's.
func (w *walk) event(e view.Event) error {
	if e.Note.Kind != wire.KindObject && e.Note.Kind != wire.KindBatch || !w.State.Ours(e.Sender) {
		return nil
	}
	item, found, err := w.Outbox.Published(e.Name())
	if err != nil {
		return err
	}
	if e.Note.Kind == wire.KindObject {
		return w.object(e, published(item, found), 1)
	}
	return w.batch(e, item, found)
}

// published is an item, or nil if it wasn't found.
func published(item outbox.Item, found bool) *outbox.Item {
	if !found {
		return nil
	}
	return &item
}

// batch visits the objects of a batch: those that something has become of here, and those that the outbox knows.
func (w *walk) batch(e view.Event, item outbox.Item, found bool) error {
	listed, err := w.View.Objects(e)
	if err != nil {
		return err
	}
	events, items, most := map[uint32]view.Event{}, map[uint32]*outbox.Item{}, uint32(0)
	for _, one := range listed {
		events[one.Index] = one
		most = max(most, one.Index)
	}
	if found {
		objects, err := w.Outbox.Objects(item)
		if err != nil {
			return err
		}
		for i := range objects {
			items[uint32(i+1)] = &objects[i]
		}
		most = max(most, uint32(len(objects)))
	}
	if most == 0 { // nothing is known of its objects
		return w.object(e, nil, 0)
	}
	for index := uint32(1); index <= most; index++ {
		one, is := events[index]
		if !is {
			one = e.Object(index, "", view.Listed{})
		}
		if items[index] == nil { // it may be found without its batch, which another node of this organisation has made
			item, known, err := w.Outbox.Published(one.Name())
			if err != nil {
				return err
			}
			items[index] = published(item, known)
		}
		if err := w.object(one, items[index], int(most)); err != nil {
			return err
		}
	}
	return nil
}

// object visits one object, which shares its transaction with others.
func (w *walk) object(e view.Event, item *outbox.Item, shares int) error {
	o := Object{
		Time: e.Time, Round: e.Round, TxID: e.TxID, Index: e.Index, Asset: e.Asset, State: stateOf(e), Epoch: e.Epoch, Collection: e.Listed.Collection,
		Cost: Cost{Fee: e.Fee, Deposit: deposit, Objects: shares}, Readers: Readers{Then: []string{}, Now: []string{}},
	}
	o.Epoch = cmp.Or(o.Epoch, e.Listed.Epoch)
	var err error
	if item != nil {
		err = w.fromOutbox(&o, item)
	} else {
		err = w.fromView(&o, e)
	}
	if err != nil {
		return err
	}
	if e.State == view.Ended {
		if o.Withdrawn, err = w.withdrawn(e); err != nil {
			return err
		}
	}
	if w.query.Collection != "" && o.Collection != w.query.Collection {
		return nil
	}
	if err := w.read(&o, e); err != nil {
		return err
	}
	// Of what nothing is known any more nobody can say that a member didn't read it.
	if w.query.With != "" && !o.Includes(w.query.With) && o.Note == "" {
		return nil
	}
	return w.visit(o)
}

// stateOf says in a word or two whether it counts.
func stateOf(e view.Event) string {
	switch e.State {
	case view.InView:
		return "shared"
	case view.Refused, view.Duplicate:
		return e.State.String() + ": " + e.Reason
	}
	return e.State.String()
}

func (w *walk) fromOutbox(o *Object, item *outbox.Item) error {
	o.ID, o.Version, o.Collection, o.User = item.ObjectID, item.Version, item.Collection, item.User
	o.Level, o.Epoch = stix.Level(item.Level).String(), cmp.Or(item.Epoch, o.Epoch)
	o.Type, _, _ = strings.Cut(o.ID, "--")
	if o.Version == "" {
		o.Version = wire.FormatTime(item.StoredAt)
	}
	return nil
}

// fromView is for what was published by another node with the same keys, or after the last backup.
func (w *walk) fromView(o *Object, e view.Event) error {
	entry, err := w.View.Entry(e)
	if err != nil {
		return err
	}
	if entry == nil {
		o.Note = "this node does not know what it was: it was published before a restore, or by another node"
		return nil
	}
	o.ID, o.Type, o.Version, o.Collection = entry.ID, entry.Type, entry.Version, entry.Collection
	o.Level, err = w.level(entry)
	return err
}

// read says who could read it, and can.
func (w *walk) read(o *Object, e view.Event) error {
	if c, found := w.State.Collection(o.Collection); found {
		o.Title, o.Owner = c.Properties.Title, w.State.Name(c.Owner)
	}
	if o.Collection == "" || o.Epoch == 0 {
		o.Note = cmp.Or(o.Note, "this node does not know which key it is sealed to")
		return nil
	}
	a := w.audiences[o.Collection]
	if a == nil {
		var err error
		if a, err = w.audience(o.Collection); err != nil {
			return err
		}
		w.audiences[o.Collection] = a
	}
	until := a.latest
	if o.Withdrawn != nil && o.Withdrawn.Round != 0 {
		until = e.Ended
	}
	o.Readers = a.readers(o.Epoch, e.Position, until)
	return nil
}

// withdrawn tells when something was taken back.
func (r *Register) withdrawn(e view.Event) (*Withdrawn, error) {
	if e.Ended == (consortium.Position{}) {
		return &Withdrawn{}, nil
	}
	by, err := r.eventAt(e.Ended)
	if err != nil {
		return nil, err
	}
	return &Withdrawn{Time: by.Time, Round: e.Ended.Round, TxID: by.TxID}, nil
}

// level is the TLP level of an object in the view, as its markings say it now.
func (w *walk) level(entry *view.Entry) (string, error) {
	if w.markings[entry.Publisher] == nil {
		w.markings[entry.Publisher] = w.State.Markings(w.Outbox, w.View, entry.Publisher)
	}
	return w.State.LevelOf(w.markings[entry.Publisher], entry)
}
