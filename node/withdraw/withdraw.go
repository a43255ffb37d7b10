// Package withdraw takes back what this organisation has published, and knows which members have seen that.
package withdraw

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/disclosure"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// Withdrawer takes back what this organisation has minted, by destroying the NFT: an object leaves every member's view,
// a membership ends. It asks the other members whether they have seen that an object is withdrawn, and remembers.
type Withdrawer struct {
	Outbox     box
	Done       *signal.Signal // something was confirmed, given up, or withdrawn
	View       served
	State      *state.Shared
	Records    records
	Watcher    state.Follower
	Consortium uint64
	Peers      interface {
		Connected() map[peer.ID]time.Time
		AskWithdrawn(ctx context.Context, from peer.ID, asked []swarm.Published) ([]bool, error)
	}
	Statuses interface {
		Await(ctx context.Context, id string) (taxii.Status, error)
	}
	Register describer
	Former   []former // accounts that this organisation had before
	Book     daily    // what these spend
	Problem  func() error
	Log      *slog.Logger

	asking     sync.Mutex // one look around at a time
	reclaiming sync.Mutex // … and one destruction of former NFTs

	mu   sync.Mutex
	open map[swarm.Published]bool // whose withdrawal isn't acknowledged by everybody, as far as was looked
	left map[uint64]int           // of batches, how many objects were withdrawn when they were last looked at
}

// outbox is what this organisation publishes, and what it has to remember.
type box interface {
	finder
	items
	memos
	// Accept takes items in; one whose key is there already stays as it is.
	Accept(submissions []outbox.Submission) ([]outbox.Item, error)
	// AddStatus keeps the status of a request.
	AddStatus(s outbox.Status, lines []outbox.StatusLine) error
}

// finder finds items of the outbox by what is published exactly once.
type finder interface {
	Find(key []byte) (item outbox.Item, found bool, err error)
}

// memos are small things that are kept under names; nil for none.
type memos interface {
	Memo(name string) ([]byte, error)
	SetMemo(name string, data []byte) error
	// SetMemos sets some in one write.
	SetMemos(all map[string][]byte) error
	ForgetMemo(name string) error
	// Memos lists some names that begin with a prefix, the greatest first.
	Memos(prefix string, limit int) ([]string, error)
}

// view is what counts on the chain.
type served interface {
	Event(txid string) (e view.Event, found bool, err error)
	EventOf(asset uint64) (e view.Event, found bool, err error)
	Published(name wire.Publication) (e view.Event, found bool, err error)
	// Objects gives the objects of a batch of which something has become.
	Objects(batch view.Event) ([]view.Event, error)
	// Entry gives the object that an event brought into the view; nil if it is not there.
	Entry(e view.Event) (*view.Entry, error)
	Page(q view.Query) (entries []*view.Entry, more bool, err error)
	// LatestOf gives the latest version of an object in a collection that a member has published; nil if there is none.
	LatestOf(member, collection, id string) (*view.Entry, error)
	// LosesLead reports whether another member's line of an object would be served in the place of a member's if some
	// versions were withdrawn, and others of the member's stay or come again.
	LosesLead(member, collection, id string, again bool, withdrawn ...consortium.Position) (bool, error)
}

// describer tells who could read what was published, and who can.
type describer interface {
	Describer() func(wire.Publication) (disclosure.Description, error)
}

// records is where records go to be minted.
type records interface {
	Store(ctx context.Context, key []byte, d consortium.Draft, also ...[]byte) (outbox.Item, error)
}

// Selection says which objects of this organisation to withdraw: all versions of one, or what a transaction published.
type Selection struct {
	What       string `json:"what"`                 // STIX id, or transaction id
	Collection string `json:"collection,omitempty"` // the collection's id; empty for all
	// OnlyThis withdraws what a transaction published also where another member's version is served as the object then.
	OnlyThis bool `json:"only_this_version,omitempty"`
}

// Withdrawal is one version of an object that is withdrawn, or about to be.
type Withdrawal struct {
	ID         string    `json:"id"`
	Version    string    `json:"version"`
	Collection string    `json:"collection"`
	TxID       string    `json:"txid"` // of its publication
	Asset      uint64    `json:"asset_id"`
	Index      uint32    `json:"index,omitempty"`   // of one object of a batch
	Objects    int       `json:"objects,omitempty"` // all of a batch: how many of its objects were in the view
	Withdrawn  bool      `json:"withdrawn"`         // the chain has it
	Destroyed  string    `json:"destroy_txid,omitempty"`
	Requested  time.Time `json:"requested"`
}

// errNotPublisher means that an object was published by another organisation.
var errNotPublisher = errors.New("only the organisation that published an object can withdraw it")

// beginAll takes the withdrawal of every object that is selected into the outbox.
func (w *Withdrawer) beginAll(ctx context.Context, s Selection) ([]Withdrawal, error) {
	batch, isBatch, err := w.batchNamed(s.What)
	if err != nil {
		return nil, err
	}
	if isBatch {
		one, err := w.beginBatch(ctx, batch)
		if err != nil {
			return nil, err
		}
		return []Withdrawal{one}, nil
	}
	entries, err := w.selected(s)
	if err != nil {
		return nil, err
	}
	wanted := make([]Withdrawal, len(entries))
	for i, e := range entries {
		wanted[i] = Withdrawal{ID: e.ID, Version: e.Version, Collection: e.Collection, TxID: e.TxID, Asset: e.Asset, Index: e.Position.Index}
	}
	wanted, err = w.withFollowing(wanted)
	if errors.Is(err, taxii.ErrConflict) {
		err = problem.Input(err)
	}
	if err != nil {
		return nil, err
	}
	var list []Withdrawal
	for _, one := range wanted {
		if one, _, err = w.begin(ctx, one); err != nil {
			return list, err
		}
		list = append(list, one)
	}
	return list, nil
}

// begin takes one withdrawal into the outbox.
func (w *Withdrawer) begin(ctx context.Context, one Withdrawal) (Withdrawal, outbox.Item, error) {
	if err := takeBack(w.Outbox, one.Collection, one.ID); err != nil { // before a feed can see it gone
		return one, outbox.Item{}, err
	}
	item, err := w.End(ctx, one.of())
	if err != nil {
		return one, item, fmt.Errorf("withdrawing object %s: %w", one.ID, err)
	}
	one.Requested, one.Destroyed = item.StoredAt, item.TxID
	return one, item, w.remember(one)
}

// Withdraw takes records of a collection back.
func (w *Withdrawer) Withdraw(ctx context.Context, who taxii.Principal, c taxii.Collection, records []taxii.Record) (taxii.Status, error) {
	var positions []consortium.Position
	for _, record := range records {
		event, found, err := w.View.EventOf(record.AssetID)
		if err != nil {
			return taxii.Status{}, err
		}
		if !found || !w.State.Ours(event.Sender) {
			return taxii.Status{}, taxii.ErrForbidden
		}
		event.Index = record.Index
		positions = append(positions, event.Position)
	}
	wanted := make([]Withdrawal, len(records))
	for i, record := range records {
		wanted[i] = Withdrawal{ID: record.ID, Version: record.Version, Collection: c.ID, TxID: record.TxID, Asset: record.AssetID, Index: record.Index}
	}
	wanted, err := w.withFollowing(wanted)
	if err != nil {
		return taxii.Status{}, err
	}
	note := ""
	for _, record := range records[:min(len(records), 1)] { // of one object, as a client names it
		loses, err := w.View.LosesLead(w.State.Own(), c.ID, record.ID, false, positions...)
		if err != nil {
			return taxii.Status{}, err
		}
		if loses {
			note = errLosesLead.Error()
		}
	}
	status := outbox.Status{ID: uuid.NewString(), Root: c.Root, User: who.User, Requested: state.Now()}
	ctx = auditlog.AsUser(ctx, who.User)
	var lines []outbox.StatusLine
	for _, one := range wanted {
		_, item, err := w.begin(ctx, one)
		if err != nil {
			return taxii.Status{}, err
		}
		lines = append(lines, outbox.StatusLine{ObjectID: one.ID, Version: one.Version, Item: item.Number, Note: note})
	}
	if err := w.Outbox.AddStatus(status, lines); err != nil {
		return taxii.Status{}, err
	}
	return w.Statuses.Await(ctx, status.ID)
}

// selected finds the entries of this organisation that are selected.
func (w *Withdrawer) selected(s Selection) ([]*view.Entry, error) {
	if event, found, err := w.published(s.What); err != nil {
		return nil, err
	} else if found {
		entry, err := w.View.Entry(event)
		if err != nil {
			return nil, err
		}
		if entry == nil {
			return nil, notInView(event, s.What)
		}
		return w.ownVersion(entry, s.OnlyThis)
	}
	query := view.Query{Collection: view.Everything, IDs: []string{s.What}, Member: w.State.Own(), Versions: view.Versions{All: true}, Limit: maxWithdrawn}
	if s.Collection != "" {
		query.Collection = s.Collection
	}
	entries, more, err := w.View.Page(query)
	if err == nil && len(entries) == 0 { // it may be others'
		query.Member, query.AnyLine = "", true
		entries, more, err = w.View.Page(query)
	}
	switch {
	case err != nil:
		return nil, err
	case more:
		return nil, problem.Input(fmt.Errorf("object %.80s has more than %d versions; withdraw them by their transactions", s.What, maxWithdrawn))
	case len(entries) == 0:
		return nil, problem.Missing(fmt.Errorf("no object %.80s is in the view of this node", s.What))
	}
	return w.ours(entries)
}

// published gives what a name, TXID or TXID/INDEX, is of.
func (w *Withdrawer) published(name string) (e view.Event, found bool, err error) {
	if of, err := wire.ParsePublication(name); err == nil {
		return w.View.Published(of)
	}
	return w.View.Event(name)
}

// notInView is why what a name is of is no object of the view.
func notInView(e view.Event, name string) error {
	if e.Note.Kind == wire.KindBatch {
		return problem.Input(fmt.Errorf("transaction %s published a batch of objects: name one of them, as %s/1", name, name))
	}
	return problem.Input(fmt.Errorf("transaction %s published nothing that is in the view: %s", name, e.State))
}

// ownVersion is the entry, if it is this organisation's. Without it another member's versions may be served as the
// object, though this organisation has others: that is to be meant.
func (w *Withdrawer) ownVersion(entry *view.Entry, meant bool) ([]*view.Entry, error) {
	own, err := w.ours([]*view.Entry{entry})
	if err != nil || meant {
		return own, err
	}
	loses, err := w.losesLead(entry)
	if err == nil && loses {
		err = problem.Input(fmt.Errorf("%w: withdraw all versions (by %s), or say --only-this-version", errLosesLead, entry.ID))
	}
	return own, err
}

// errLosesLead is what a withdrawal of some versions means for the others.
var errLosesLead = errors.New("another member publishes the object as well, and its versions would be served in the place of this organisation's other ones")

// losesLead reports whether that is so for an entry, in its collection or in that with everything.
func (w *Withdrawer) losesLead(entry *view.Entry) (loses bool, err error) {
	for _, in := range []string{entry.Collection, view.Everything} {
		if loses, err = w.View.LosesLead(w.State.Own(), in, entry.ID, false, entry.Position); err != nil || loses {
			return loses, err
		}
	}
	return false, nil
}

// maxWithdrawn is how many versions one call withdraws.
const maxWithdrawn = 10_000

// ours leaves out what others published, unless that is all there is.
func (w *Withdrawer) ours(entries []*view.Entry) ([]*view.Entry, error) {
	own := slices.DeleteFunc(slices.Clone(entries), func(e *view.Entry) bool { return !w.State.Ours(e.Publisher) })
	if len(own) == 0 {
		return nil, problem.Input(errNotPublisher)
	}
	return own, nil
}

// End takes what ends a publication into the outbox: the destruction of its NFT or, if that was minted with an account
// that this organisation had before, or it is one object of a batch, or the NFT is released, a record.
func (w *Withdrawer) End(ctx context.Context, of swarm.Published) (outbox.Item, error) {
	event, found, err := w.View.EventOf(of.Asset)
	if err != nil {
		return outbox.Item{}, err
	}
	if of.Index == 0 && (!found || event.Sender == w.State.Self) {
		item, err := w.Destroy(ctx, of.Asset)
		if err != nil || item.Note.Kind != wire.KindRelease {
			return item, err
		}
	}
	draft, err := consortium.DraftWithdrawal(w.Consortium, of.Asset, of.Index, state.Now())
	if err != nil {
		return outbox.Item{}, err
	}
	return w.Records.Store(ctx, endKey(of), draft)
}

// Destroy takes the destruction of an NFT into the outbox, unless its release is there.
func (w *Withdrawer) Destroy(ctx context.Context, asset uint64) (outbox.Item, error) {
	items, err := w.Outbox.Accept([]outbox.Submission{destruction(ctx, asset)})
	if err != nil {
		return outbox.Item{}, err
	}
	return items[0], nil
}

// withdrawals is who all withdrawals are published for: so they wait for nobody's objects, and let them pass.
const withdrawals = "withdrawals:" // which is nobody's name

func destroyKey(asset uint64) []byte { return publish.KeyOf("destroy", strconv.FormatUint(asset, 10)) }

// endKey is the key in the outbox of what ends a publication.
func endKey(of swarm.Published) []byte {
	if of.Index == 0 {
		return destroyKey(of.Asset)
	}
	return publish.KeyOf("remove", strconv.FormatUint(of.Asset, 10), strconv.FormatUint(uint64(of.Index), 10))
}

// await waits until everything in a list has left the view.
func (w *Withdrawer) await(ctx context.Context, list []Withdrawal) error {
	waiting := 0
	err := signal.Until(ctx, func() (bool, error) {
		waiting = 0
		for i := range list {
			event, found, err := w.View.EventOf(list[i].Asset)
			if err != nil {
				return false, err
			}
			list[i].Withdrawn = found && event.HasWithdrawn(list[i].Index)
			if item, found, err := w.Outbox.Find(endKey(list[i].of())); err != nil {
				return false, err
			} else if found {
				list[i].Destroyed = item.TxID
			}
			if !list[i].Withdrawn {
				waiting++
			}
		}
		return waiting == 0, nil
	}, w.Done)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = publish.NotYet(fmt.Sprintf("each of %d withdrawals", waiting), err, w.Problem)
	}
	return err
}

// WithdrawAll takes objects of this organisation back, and returns when the chain has it.
func (w *Withdrawer) WithdrawAll(ctx context.Context, s Selection) ([]Withdrawal, error) {
	if err := state.AwaitTip(ctx, w.Watcher); err != nil {
		return nil, err
	}
	list, err := w.beginAll(ctx, s)
	if err != nil {
		return nil, err
	}
	return list, w.await(ctx, list)
}
