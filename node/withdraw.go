package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// withdrawer takes back what this organisation has minted, by destroying the NFT: an object leaves every member's view,
// a membership ends. It asks the other members whether they have seen that an object is withdrawn, and remembers.
type withdrawer struct {
	outbox     *repo.Outbox
	view       *repo.View
	fold       *fold
	records    *records
	watcher    follower
	consortium uint64
	peers      interface {
		Connected() map[peer.ID]time.Time
		AskWithdrawn(ctx context.Context, from peer.ID, assets []uint64) ([]bool, error)
	}
	statuses interface {
		Await(ctx context.Context, id string) (taxii.Status, error)
	}
	done    *signal // something was withdrawn
	problem func() error
	log     *slog.Logger

	asking sync.Mutex // one look around at a time

	mu   sync.Mutex
	open map[uint64]bool // assets whose withdrawal isn't acknowledged by everybody, as far as was looked
}

// Selection says which objects of this organisation to withdraw: all versions of one, or what a transaction published.
type Selection struct {
	What       string `json:"what"`                 // STIX id, or transaction id
	Collection string `json:"collection,omitempty"` // the collection's id; empty for all
}

// Withdrawal is one version of an object that is withdrawn, or about to be.
type Withdrawal struct {
	ID         string    `json:"id"`
	Version    string    `json:"version"`
	Collection string    `json:"collection"`
	TxID       string    `json:"txid"` // of its publication
	Asset      uint64    `json:"asset_id"`
	Withdrawn  bool      `json:"withdrawn"` // the chain has it
	Destroyed  string    `json:"destroy_txid,omitempty"`
	Requested  time.Time `json:"requested"`
}

// errNotPublisher means that an object was published by another organisation.
var errNotPublisher = errors.New("only the organisation that published an object can withdraw it")

// beginAll takes the withdrawal of every object that is selected into the outbox.
func (w *withdrawer) beginAll(ctx context.Context, s Selection) ([]Withdrawal, error) {
	entries, err := w.selected(s)
	if err != nil {
		return nil, err
	}
	var list []Withdrawal
	for _, e := range entries {
		one := Withdrawal{ID: e.ID, Version: e.Version, Collection: e.Collection, TxID: e.TxID, Asset: e.Asset}
		if one, _, err = w.begin(ctx, one); err != nil {
			return list, err
		}
		list = append(list, one)
	}
	w.records.wake()
	return list, nil
}

// begin takes one withdrawal into the outbox.
func (w *withdrawer) begin(ctx context.Context, one Withdrawal) (Withdrawal, repo.Item, error) {
	item, err := w.end(ctx, one.Asset)
	if err != nil {
		return one, item, fmt.Errorf("withdrawing object %s: %w", one.ID, err)
	}
	if err := takeBack(w.outbox, one.Collection, one.ID); err != nil {
		return one, item, err
	}
	one.Requested, one.Destroyed = item.StoredAt, item.TxID
	return one, item, w.remember(one)
}

// Withdraw takes records of a collection back.
func (w *withdrawer) Withdraw(ctx context.Context, who taxii.Principal, c taxii.Collection, records []taxii.Record) (taxii.Status, error) {
	for _, record := range records {
		event, found, err := w.view.EventOf(record.AssetID)
		if err != nil {
			return taxii.Status{}, err
		}
		if !found || !w.fold.ours(event.Sender) {
			return taxii.Status{}, taxii.ErrForbidden
		}
	}
	status := repo.Status{ID: uuid.NewString(), Root: c.Root, User: who.User, Requested: now()}
	for _, record := range records {
		one := Withdrawal{ID: record.ID, Version: record.Version, Collection: c.ID, TxID: record.TxID, Asset: record.AssetID}
		_, item, err := w.begin(ctx, one)
		if err != nil {
			return taxii.Status{}, err
		}
		status.Lines = append(status.Lines, repo.StatusLine{ObjectID: record.ID, Version: record.Version, Item: item.Number})
	}
	if err := w.outbox.AddStatus(status); err != nil {
		return taxii.Status{}, err
	}
	w.records.wake()
	return w.statuses.Await(ctx, status.ID)
}

// selected finds the entries of this organisation that are selected.
func (w *withdrawer) selected(s Selection) ([]*repo.Entry, error) {
	if event, found, err := w.view.Event(s.What); err != nil {
		return nil, err
	} else if found {
		entry, err := w.view.Entry(event)
		if err != nil {
			return nil, err
		}
		if entry == nil {
			return nil, input(fmt.Errorf("transaction %s published nothing that is in the view: %s", s.What, event.State))
		}
		return w.ours([]*repo.Entry{entry})
	}
	query := repo.Query{Collection: repo.Everything, IDs: []string{s.What}, Versions: repo.Versions{All: true}, Limit: maxWithdrawn}
	if s.Collection != "" {
		query.Collection = s.Collection
	}
	entries, more, err := w.view.Page(query)
	switch {
	case err != nil:
		return nil, err
	case more:
		return nil, input(fmt.Errorf("object %.80s has more than %d versions; withdraw them by their transactions", s.What, maxWithdrawn))
	case len(entries) == 0:
		return nil, input(fmt.Errorf("no object %.80s is in the view of this node", s.What))
	}
	return w.ours(entries)
}

// maxWithdrawn is how many versions one call withdraws.
const maxWithdrawn = 10_000

// ours leaves out what others published, unless that is all there is.
func (w *withdrawer) ours(entries []*repo.Entry) ([]*repo.Entry, error) {
	own := slices.DeleteFunc(slices.Clone(entries), func(e *repo.Entry) bool { return !w.fold.ours(e.Publisher) })
	if len(own) == 0 {
		return nil, input(errNotPublisher)
	}
	return own, nil
}

// end takes what ends a publication into the outbox: the destruction of its NFT or, if that was minted with an account
// that this organisation had before, a record.
func (w *withdrawer) end(ctx context.Context, asset uint64) (repo.Item, error) {
	event, found, err := w.view.EventOf(asset)
	if err != nil {
		return repo.Item{}, err
	}
	if !found || event.Sender == w.fold.self {
		return w.destroy(asset)
	}
	draft, err := consortium.DraftWithdrawal(w.consortium, asset, now())
	if err != nil {
		return repo.Item{}, err
	}
	return w.records.store(ctx, destroyKey(asset), draft)
}

// destroy takes the destruction of an NFT into the outbox.
func (w *withdrawer) destroy(asset uint64) (repo.Item, error) {
	items, err := w.outbox.Accept([]repo.Submission{{Item: repo.Item{
		Key: destroyKey(asset), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: asset, StoredAt: now(), User: withdrawals,
	}}})
	if err != nil {
		return repo.Item{}, err
	}
	return items[0], nil
}

// withdrawals is who all withdrawals are published for: so they wait for nobody's objects, and let them pass.
const withdrawals = "withdrawals:" // which is nobody's name

func destroyKey(asset uint64) []byte { return hashOf("destroy", strconv.FormatUint(asset, 10)) }

// await waits until everything in a list has left the view.
func (w *withdrawer) await(ctx context.Context, list []Withdrawal) error {
	for {
		changed := w.done.changed()
		waiting := 0
		for i := range list {
			event, found, err := w.view.EventOf(list[i].Asset)
			if err != nil {
				return err
			}
			list[i].Withdrawn = found && event.State == repo.Ended
			if item, found, err := w.outbox.Find(destroyKey(list[i].Asset)); err != nil {
				return err
			} else if found {
				list[i].Destroyed = item.TxID
			}
			if !list[i].Withdrawn {
				waiting++
			}
		}
		if waiting == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%d withdrawals are stored and will be on the chain, but aren't yet: %w", waiting, ctx.Err()), w.problem())
		}
	}
}

// Acknowledgement is what another member says of a withdrawn object.
type Acknowledgement struct {
	Member  string    `json:"member"`
	Account string    `json:"account"`
	At      time.Time `json:"at,omitzero"` // when it said that its view and its blocks are rid of it; zero if it hasn't
}

// acknowledged is what is kept of one withdrawal.
type acknowledged struct {
	Withdrawal
	By map[string]time.Time `json:"by"` // account -> when
}

const withdrawnPrefix = "withdrawn/"

func acknowledgedMemo(asset uint64) string { return fmt.Sprintf(withdrawnPrefix+"%020d", asset) }

func (w *withdrawer) remember(one Withdrawal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open != nil && len(w.open) < maxOpen {
		w.open[one.Asset] = true
	}
	kept, err := w.recall(one.Asset)
	if err != nil || kept != nil {
		return err
	}
	return w.keep(acknowledged{Withdrawal: one})
}

func (w *withdrawer) recall(asset uint64) (*acknowledged, error) {
	data, err := w.outbox.Memo(acknowledgedMemo(asset))
	if err != nil || data == nil {
		return nil, err
	}
	var kept acknowledged
	if err := json.Unmarshal(data, &kept); err != nil {
		return nil, fmt.Errorf("reading who knows that asset %d is withdrawn: %w", asset, err)
	}
	return &kept, nil
}

func (w *withdrawer) keep(a acknowledged) error {
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("storing who knows that asset %d is withdrawn: %w", a.Asset, err)
	}
	return w.outbox.SetMemo(acknowledgedMemo(a.Asset), data)
}

// isWithdrawn is what other members are told.
func (w *withdrawer) isWithdrawn(asset uint64) bool {
	event, found, err := w.view.EventOf(asset)
	return err == nil && found && event.State == repo.Ended
}

// maxOpen is how many withdrawals are asked about at a time.
const maxOpen = 1000

// askEvery is how often members are asked that have not acknowledged a withdrawal.
const askEvery = time.Minute

// run asks around until the context ends: after every withdrawal, and now and then.
func (w *withdrawer) run(ctx context.Context) error {
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		changed := w.done.changed()
		if err := w.askAround(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-ticker.C:
		}
	}
}

// askAround asks every connected member about the withdrawals that it hasn't acknowledged.
func (w *withdrawer) askAround(ctx context.Context) error {
	w.asking.Lock()
	defer w.asking.Unlock()
	open, err := w.unacknowledged()
	if err != nil || len(open) == 0 {
		return err
	}
	connected := map[string]peer.ID{}
	for id := range w.peers.Connected() {
		connected[id.String()] = id
	}
	missing := map[string][]*acknowledged{} // member's account -> what it hasn't acknowledged
	news := map[uint64]*acknowledged{}
	for _, asset := range open {
		kept, err := w.recall(asset)
		if err != nil {
			return err
		}
		if kept == nil || !w.isWithdrawn(asset) {
			continue // not on the chain yet
		}
		complete := true
		for _, m := range w.others() {
			if _, known := kept.By[m.Account]; !known {
				missing[m.Account] = append(missing[m.Account], kept)
				complete = false
			}
		}
		if complete {
			w.close(asset)
		}
	}
	for _, m := range w.others() {
		id, found := connected[m.Peer]
		list := missing[m.Account]
		if !found || len(list) == 0 {
			continue
		}
		assets := make([]uint64, len(list))
		for i, one := range list {
			assets[i] = one.Asset
		}
		seen, err := w.peers.AskWithdrawn(ctx, id, assets)
		if err != nil {
			w.log.Debug("a member does not say what it has seen withdrawn", "member", m.Name, "error", err)
			continue
		}
		for i, one := range list {
			if !seen[i] {
				continue
			}
			if one.By == nil {
				one.By = map[string]time.Time{}
			}
			one.By[m.Account] = now()
			news[one.Asset] = one
		}
	}
	for _, one := range news {
		if err := w.keep(*one); err != nil {
			return err
		}
	}
	return nil
}

// unacknowledged lists the open withdrawals.
func (w *withdrawer) unacknowledged() ([]uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		assets, err := w.withdrawals()
		if err != nil {
			return nil, err
		}
		w.open = map[uint64]bool{}
		for _, asset := range assets {
			w.open[asset] = true
		}
	}
	return slices.Collect(maps.Keys(w.open)), nil
}

func (w *withdrawer) close(asset uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, asset)
}

// withdrawals lists the last withdrawals of this organisation.
func (w *withdrawer) withdrawals() (assets []uint64, err error) {
	names, err := w.outbox.Memos(withdrawnPrefix, maxOpen)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		asset, err := strconv.ParseUint(strings.TrimPrefix(name, withdrawnPrefix), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the memo %s: %w", name, err)
		}
		assets = append(assets, asset)
	}
	return assets, nil
}

// others lists the members beside this organisation.
func (w *withdrawer) others() []consortium.Member {
	return slices.DeleteFunc(w.fold.members(), func(m consortium.Member) bool {
		return m.Account == w.fold.self || m.Removed != nil
	})
}

// WithdrawAll takes objects of this organisation back, and returns when the chain has it.
func (w *withdrawer) WithdrawAll(ctx context.Context, s Selection) ([]Withdrawal, error) {
	if err := awaitTip(ctx, w.watcher); err != nil {
		return nil, err
	}
	list, err := w.beginAll(ctx, s)
	if err != nil {
		return nil, err
	}
	return list, w.await(ctx, list)
}
