package withdraw

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/disclosure"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// desk is one node's outbox and view in memory, and the chain between them: what is in the outbox is minted when the
// test says so, and the view shows it at once.
type desk struct {
	testing.TB
	self, alpha, bravo *nodetest.Org
	chain              *nodetest.Chain

	mu        sync.Mutex
	done      signal.Signal
	items     []outbox.Item
	byKey     map[string]int // index of the last item
	replacing map[uint64]bool
	memory    map[string][]byte
	events    []*shown
	statuses  []told
	ended     map[uint64]int // how often the chain was asked to end an NFT
	deposits  []outbox.Deposit
	minting   bool // what somebody waits for is minted
	cursor    uint64
	left      int    // writes until the power fails; 0: it doesn't
	failing   string // a method whose calls fail
	sound     int    // … after so many that don't

	members map[peer.ID]bool            // that are connected, and whether they answer
	seen    map[peer.ID]map[uint64]bool // what they say
	asked   []string
}

// shown is an event of the log and its object.
type shown struct {
	view.Event
	entry *view.Entry
}

var errDisk = errors.New("the disk is gone")

// fails is what a call of a method gives.
func (d *desk) fails(method string) error {
	if method != d.failing {
		return nil
	}
	if d.sound--; d.sound < 0 {
		return errDisk
	}
	return nil
}

var errPower = errors.New("the power failed")

func newDesk(t testing.TB) *desk {
	d := &desk{TB: t, self: nodetest.NewOrg(t, "self"), alpha: nodetest.NewOrg(t, "alpha"), bravo: nodetest.NewOrg(t, "bravo")}
	d.chain = nodetest.NewBareChain(t, d.self)
	events := d.chain.Found(d.alpha, d.self, d.bravo)
	d.chain.Begin()
	d.chain.Know(events...)
	d.clear()
	return d
}

// clear forgets all but who the members are.
func (d *desk) clear() {
	d.byKey, d.replacing, d.memory, d.ended = map[string]int{}, map[uint64]bool{}, map[string][]byte{}, map[uint64]int{}
	d.members, d.seen = map[peer.ID]bool{}, map[peer.ID]map[uint64]bool{}
	d.done = signal.Signal{} // of this bubble, where there is one
	d.items, d.events, d.statuses, d.asked, d.deposits, d.left, d.failing, d.minting = nil, nil, nil, nil, nil, 0, "", false
}

// withdrawer is one that has just begun: nothing of the last one's memory is left.
func (d *desk) withdrawer() *Withdrawer {
	return &Withdrawer{
		Outbox: d, Done: &d.done, View: d, State: d.chain.State, Records: d, Watcher: atTip{}, Consortium: d.chain.ID, Peers: d, Statuses: d,
		Register: nobody{}, Problem: func() error { return errors.New("the account is empty") }, Log: nodetest.Discard,
	}
}

func (d *desk) replacer() *Replacer {
	return &Replacer{Outbox: d, Done: &d.done, End: d.withdrawer().End, Log: nodetest.Discard}
}

// nobody reads anything.
type nobody struct{}

func (nobody) Describer() func(wire.Publication) (disclosure.Description, error) {
	return func(wire.Publication) (disclosure.Description, error) { return disclosure.Description{}, nil }
}

type atTip struct{ state.Follower }

func (atTip) AwaitTip(context.Context) error { return nil }

// write is a durable step, after which the power may fail.
func (d *desk) write(change func()) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left < 0 {
		return errPower
	}
	change()
	if d.left == 0 {
		return nil
	}
	if d.left--; d.left == 0 {
		d.left = -1
		return errPower
	}
	return nil
}

func (d *desk) Accept(submissions []outbox.Submission) (items []outbox.Item, err error) {
	if err := d.fails("Accept"); err != nil {
		return nil, err
	}
	err = d.write(func() {
		for _, s := range submissions {
			if n, known := d.byKey[string(s.Unless)]; known {
				items = append(items, d.items[n])
				continue
			}
			n, known := d.byKey[string(s.Item.Key)]
			if known && d.items[n].State != outbox.Withdrawn && s.Item.Replaces == 0 {
				items = append(items, d.items[n])
				continue
			}
			s.Item.Number, s.Item.State = uint64(len(d.items)+1), outbox.Stored
			d.byKey[string(s.Item.Key)] = len(d.items)
			d.items, items = append(d.items, s.Item), append(items, s.Item)
			if s.Item.Replaces != 0 {
				d.replacing[s.Item.Number] = true
			}
		}
	})
	return items, err
}

func (d *desk) Store(_ context.Context, key []byte, draft consortium.Draft, _ ...[]byte) (outbox.Item, error) {
	items, err := d.Accept([]outbox.Submission{{Item: outbox.Item{Key: key, Note: draft.Note, Destroys: draft.Note.Asset}}})
	if err != nil {
		return outbox.Item{}, err
	}
	return items[0], nil
}

func (d *desk) Find(key []byte) (outbox.Item, bool, error) {
	if err := d.fails("Find"); err != nil {
		return outbox.Item{}, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, known := d.byKey[string(key)]; known {
		return d.items[n], true, nil
	}
	return outbox.Item{}, false, nil
}

func (d *desk) Item(number uint64) (outbox.Item, bool, error) {
	if d.minting && number > 0 && number <= uint64(len(d.items)) && d.items[number-1].State == outbox.Stored {
		d.mint(number)
	}
	if err := d.fails("Item"); err != nil {
		return outbox.Item{}, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if number == 0 || number > uint64(len(d.items)) {
		return outbox.Item{}, false, nil
	}
	return d.items[number-1], true, nil
}

func (d *desk) Replacing(after uint64, limit int) (list []outbox.Item, _ error) {
	if err := d.fails("Replacing"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(d.replacing)) {
		if n > after && len(list) < min(limit, 2) {
			list = append(list, d.items[n-1])
		}
	}
	return list, nil
}

func (d *desk) Replaced(number uint64) error { return d.write(func() { delete(d.replacing, number) }) }

// told is a status with its lines.
type told struct {
	outbox.Status
	lines []outbox.StatusLine
}

func (d *desk) AddStatus(s outbox.Status, lines []outbox.StatusLine) error {
	if err := d.fails("AddStatus"); err != nil {
		return err
	}
	return d.write(func() { d.statuses = append(d.statuses, told{s, lines}) })
}

func (d *desk) Await(_ context.Context, id string) (taxii.Status, error) {
	return taxii.Status{ID: id}, nil
}

func (d *desk) Memo(name string) ([]byte, error) {
	if err := d.fails("Memo"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.memory[name], nil
}

func (d *desk) SetMemo(name string, data []byte) error {
	if err := d.fails("SetMemo"); err != nil {
		return err
	}
	return d.write(func() { d.memory[name] = data })
}

func (d *desk) SetMemos(all map[string][]byte) error {
	if err := d.fails("SetMemo"); err != nil {
		return err
	}
	return d.write(func() { maps.Copy(d.memory, all) })
}

func (d *desk) ForgetMemo(name string) error { return d.write(func() { delete(d.memory, name) }) }

func (d *desk) Memos(prefix string, limit int) (names []string, _ error) {
	if err := d.fails("Memos"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(d.memory))) {
		if strings.HasPrefix(name, prefix) && len(names) < limit {
			names = append(names, name)
		}
	}
	return names, nil
}

func (d *desk) find(has func(*shown) bool) (view.Event, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.IndexFunc(d.events, has); i >= 0 {
		return d.events[i].Event, true, nil
	}
	return view.Event{}, false, nil
}

func (d *desk) Event(txid string) (view.Event, bool, error) {
	if err := d.fails("Event"); err != nil {
		return view.Event{}, false, err
	}
	return d.find(func(s *shown) bool { return s.TxID == txid })
}

func (d *desk) Published(name wire.Publication) (view.Event, bool, error) {
	if err := d.fails("Published"); err != nil {
		return view.Event{}, false, err
	}
	return d.find(func(s *shown) bool { return s.Event.Name() == name })
}

func (d *desk) EventOf(asset uint64) (view.Event, bool, error) {
	if err := d.fails("EventOf"); err != nil {
		return view.Event{}, false, err
	}
	return d.find(func(s *shown) bool { return s.Asset == asset })
}

func (d *desk) Entry(e view.Event) (*view.Entry, error) {
	if err := d.fails("Entry"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.events {
		if s.TxID == e.TxID && s.Index == e.Index && s.State == view.InView {
			return s.entry, nil
		}
	}
	return nil, nil
}

func (d *desk) Page(q view.Query) (entries []*view.Entry, more bool, _ error) {
	if err := d.fails("Page"); err != nil {
		return nil, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.events {
		if s.entry == nil || q.Member != "" && !d.chain.State.Ours(s.entry.Publisher) {
			continue
		}
		if len(q.IDs) > 0 && s.entry.ID != q.IDs[0] || q.After > 0 && s.entry.DateAdded <= q.After || len(q.Types) > 0 && !slices.Contains(q.Types, s.entry.Type) {
			continue
		}
		if s.State == view.InView && (q.Collection == view.Everything || q.Collection == s.entry.Collection) {
			entries = append(entries, s.entry)
		}
	}
	return entries[:min(len(entries), q.Limit)], len(entries) > q.Limit, nil
}

// version is one of an object.
type version struct {
	id         string
	at         int // the version's hour
	collection string
}

func (v version) entry() *view.Entry {
	at := time.Date(2026, 1, 1, v.at, 0, 0, 0, time.UTC)
	return &view.Entry{ID: v.id, Version: wire.FormatTime(at), Instant: at, Collection: v.collection}
}

// post takes a publication of ours into the outbox, in the place of another one if there is one.
func (d *desk) post(v version) outbox.Item {
	d.Helper()
	entry := v.entry()
	item := outbox.Item{Key: publish.ObjectKey(entry), Note: wire.Note{Kind: wire.KindObject}, ObjectID: v.id, Version: entry.Version, Collection: v.collection}
	if before, found, _ := d.Find(item.Key); found && before.State != outbox.Withdrawn {
		item.Replaces = before.Number
	}
	items, err := d.Accept([]outbox.Submission{{Item: item}})
	nodetest.Must(d, err)
	return items[0]
}

// mint puts an item on the chain, and lets the view show what follows.
func (d *desk) mint(number uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.done.Notify()
	item := &d.items[number-1]
	item.State, item.TxID, item.Round = outbox.Confirmed, fmt.Sprintf("TX%d", number), number
	switch {
	case item.Note.Kind == wire.KindRelease:
		return
	case item.Note.Index > 0:
		d.endOne(item.Destroys, item.Note.Index)
		return
	case item.Destroys != 0:
		d.end(item.Destroys)
		return
	}
	item.Asset = 9000 + number
	at, _ := time.Parse(time.RFC3339, item.Version)
	entry := &view.Entry{ID: item.ObjectID, Version: item.Version, Instant: at, Collection: item.Collection}
	d.show(entry, d.self.Address(), item.TxID, item.Asset)
}

// show lets the view know an NFT.
func (d *desk) show(entry *view.Entry, publisher, txid string, asset uint64) {
	entry.Type, _, _ = strings.Cut(entry.ID, "--")
	entry.DateAdded = int64(len(d.events) + 1)
	entry.TxID, entry.Asset, entry.Publisher, entry.Position = txid, asset, publisher, consortium.Position{Round: uint64(len(d.events) + 1)}
	s := &shown{entry: entry, Event: view.Event{State: view.InView, Event: consortium.Event{
		Position: entry.Position, TxID: txid, Asset: asset, Sender: publisher, Note: wire.Note{Kind: wire.KindObject},
	}}}
	if slices.ContainsFunc(d.events, func(o *shown) bool { return o.entry != nil && o.State == view.InView && sameVersion(o.entry, entry) }) {
		s.State = view.Duplicate
	}
	d.events = append(d.events, s)
}

func sameVersion(a, b *view.Entry) bool {
	return a.ID == b.ID && a.Version == b.Version && a.Collection == b.Collection
}

// end ends an NFT: the next of its version takes its place.
func (d *desk) end(asset uint64) {
	d.ended[asset]++
	for i := range d.items {
		if d.items[i].Asset == asset {
			d.items[i].State = outbox.Withdrawn
		}
	}
	for _, s := range d.events {
		if s.Asset != asset {
			continue
		}
		was := s.State
		s.State = view.Ended
		for _, next := range d.events {
			if s.entry != nil && was == view.InView && next.State == view.Duplicate && sameVersion(next.entry, s.entry) {
				next.State = view.InView
				break
			}
		}
	}
}

// publishes posts and mints.
func (d *desk) publishes(v version) outbox.Item {
	d.Helper()
	n := d.post(v).Number
	d.mint(n)
	return d.items[n-1]
}

// mintAll mints all that waits.
func (d *desk) mintAll() (n int) {
	for i := range d.items {
		if d.items[i].State == outbox.Stored {
			d.mint(uint64(i + 1))
			n++
		}
	}
	return n
}

// ends are the NFTs whose ends are in the outbox, each as often as it is.
func (d *desk) ends() (assets []uint64) {
	for _, item := range d.items {
		if item.Destroys != 0 {
			assets = append(assets, item.Destroys)
		}
	}
	return assets
}
