package publish

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/outbox"
)

// still is a node that does nothing by itself.
func still(t *testing.T, look func(w *world, p *process)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(history{})
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		p, _, err := w.start(ctx)
		check(err)
		defer p.stop()
		w.set(p)
		look(w, p)
		check(w.memory.Close())
	})
}

// shows puts what an item publishes on the chain, with its lease or without, and follows it.
func (w *world) shows(item outbox.Item, content string, lease []byte) consortium.Event {
	directory := fmt.Sprint(item.ObjectID, " ", content)
	w.contents[directory] = contentOf(item, content)
	w.chain.mint(consortium.Event{TxID: "TX " + directory + string(lease), Sender: w.org().Address(), Consortium: w.fixture.id, Note: item.Note, Directory: directory, Lease: lease})
	w.chain.advance()
	w.follow(w.chain.now(), nil)
	events := w.chain.between(begins, w.chain.now())
	return events[len(events)-1]
}

func contentOf(item outbox.Item, hash string) content {
	return content{identity: identity{item.Collection, item.ObjectID}, hash: []byte(hash), epoch: 1}
}

// ends puts the end of an NFT on the chain, and follows it.
func (w *world) ends(asset uint64) {
	w.chain.mint(consortium.Event{TxID: fmt.Sprint("END", asset), Sender: w.org().Address(), Consortium: w.fixture.id, Note: wire.Note{Kind: wire.KindDestroy}})
	w.chain.others[0].Asset = asset
	w.chain.advance()
	w.follow(w.chain.now(), nil)
}

// standing is what the chain has when an item is about to be signed.
type standing struct {
	before func(w *world, p *process, item *outbox.Item) (want string) // … and the transaction that has done it, if one has
	done   bool
	fails  string
	counts uint32 // the publication that it is at last
}

var standingObjects = map[string]standing{
	"nothing is there": {func(*world, *process, *outbox.Item) string { return "" }, false, "", 0},
	"the same object is": {func(w *world, p *process, item *outbox.Item) string {
		return w.shows(*item, "new", nil).TxID
	}, true, "", 0},
	"… with other content": {func(w *world, p *process, item *outbox.Item) string {
		return w.shows(*item, "old", nil).TxID
	}, true, Conflict, 0},
	"… which is to be replaced by it": {func(w *world, p *process, item *outbox.Item) string {
		item.ReplacesAsset = w.shows(*item, "old", nil).Asset
		return ""
	}, false, "", 0},
	"… which it replaces, and which was signed with its lease": {func(w *world, p *process, item *outbox.Item) string {
		lease := p.minter.lease(*item)
		item.ReplacesAsset = w.shows(*item, "old", lease[:]).Asset
		return ""
	}, false, "", 1},
	"… and it replaces another one": {func(w *world, p *process, item *outbox.Item) string {
		e := w.shows(*item, "old", nil)
		item.ReplacesAsset = e.Asset + 1
		return e.TxID
	}, true, Conflict, 0},
	"… of an item that it replaces": {func(w *world, p *process, item *outbox.Item) string {
		replaced(w, p, item, 1)
		return ""
	}, false, "", 0},
	"… of an item whose successor it replaces": {func(w *world, p *process, item *outbox.Item) string {
		replaced(w, p, item, 2)
		return ""
	}, false, "", 0},
}

var standingTransactions = map[string]standing{
	"its transaction is, whose object is not in the view": {func(w *world, p *process, item *outbox.Item) string {
		lease := p.minter.lease(*item)
		e := w.shows(outbox.Item{ObjectID: "elsewhere", Note: item.Note}, "new", lease[:])
		return e.TxID
	}, true, "", 0},
	"its transaction is, and what it made was withdrawn": {func(w *world, p *process, item *outbox.Item) string {
		lease := p.minter.lease(*item)
		w.ends(w.shows(*item, "new", lease[:]).Asset)
		return ""
	}, false, "", 1},
	"… as was what came after that": {func(w *world, p *process, item *outbox.Item) string {
		for range 3 {
			lease := p.minter.lease(*item)
			w.ends(w.shows(*item, "new", lease[:]).Asset)
			item.Publication++
		}
		item.Publication = 0
		return ""
	}, false, "", 3},
	"it is a record that is": {func(w *world, p *process, item *outbox.Item) string {
		item.Note.Kind = wire.KindCollection
		lease := p.minter.lease(*item)
		return w.shows(*item, "new", lease[:]).TxID
	}, true, "", 0},
	"it is to end what is there": {func(w *world, p *process, item *outbox.Item) string {
		asset := w.shows(*item, "new", nil).Asset
		*item = outbox.Item{Key: []byte("end"), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: asset}
		return ""
	}, false, "", 0},
	"it is to end what has ended": {func(w *world, p *process, item *outbox.Item) string {
		asset := w.shows(*item, "new", nil).Asset
		w.ends(asset)
		*item = outbox.Item{Key: []byte("end"), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: asset}
		return ""
	}, true, "", 0},
	"it is to end what nobody knows": {func(w *world, p *process, item *outbox.Item) string {
		*item = outbox.Item{Key: []byte("end"), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: 77}
		return ""
	}, false, "", 0},
	"another member's transaction has its lease": {func(w *world, p *process, item *outbox.Item) string {
		lease := p.minter.lease(*item)
		w.rotated = true
		w.shows(outbox.Item{ObjectID: "elsewhere", Note: item.Note}, "new", lease[:])
		return ""
	}, false, "", 0},
}

// What stands between an item and its second minting, one by one.
func TestWhatTheChainHasIsNotMintedAgain(t *testing.T) {
	all := maps.Clone(standingObjects)
	maps.Copy(all, standingTransactions)
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			still(t, func(w *world, p *process) {
				item := w.fixture.submission(1, "everybody").Item
				item.Hash = []byte("new")
				txid := c.before(w, p, &item)
				done, by, failure, err := p.minter.done(&item)
				if err != nil || done != c.done || failure != c.fails || by.TxID != txid || item.Publication != c.counts {
					t.Errorf("done: %v by %q, %q, as publication %d (%v)", done, by.TxID, failure, item.Publication, err)
				}
				if e, found := w.chain.find(by.TxID, w.chain.now()); found && (by.Round != e.Round || by.Asset != e.Asset || by.Directory != e.Directory) {
					t.Errorf("by %+v, which is %+v", by, e)
				}
			})
		})
	}
}

// replaced makes an item one that replaces the last of a row of others, of which the first is on the chain.
func replaced(w *world, p *process, item *outbox.Item, row int) {
	e := w.shows(*item, "old", nil)
	for n := range row {
		s := w.fixture.submission(1, "everybody")
		s.Item.Hash, s.Replace = fmt.Append(nil, n), true
		items, err := p.outbox.Accept([]outbox.Submission{s})
		check(err)
		if n == 0 {
			check(p.outbox.Resolve(items[0], consortium.Place{TxID: e.TxID, Round: e.Round, Asset: e.Asset}, ""))
		}
		item.Replaces = items[0].Number
	}
}

// A lease tells nobody what is published, and is another one for each key and each publication of it.
func TestALeaseIsOfOneKeyAndOnePublication(t *testing.T) {
	m := NewMinter(Config{LeaseKey: []byte("key")})
	other := NewMinter(Config{LeaseKey: []byte("another key")})
	leases := map[[32]byte]bool{}
	for _, item := range []outbox.Item{{Key: []byte("a")}, {Key: []byte("b")}, {Key: []byte("a"), Publication: 1}, {Key: []byte("a"), Publication: 256}} {
		leases[m.lease(item)], leases[other.lease(item)] = true, true
	}
	if len(leases) != 8 {
		t.Errorf("%d leases, want 8", len(leases))
	}
}

// Why an object waits, or is not published any more, is said.
func TestWhatMayNotBeReadByWhoWouldReadItNowIsNotPublished(t *testing.T) {
	h := history{Faults: map[string][]fault{askFunds: times(20, noFunds)}, Ops: []op{{Does: posts, N: 1, Many: 1, In: "ring"}, {At: 5, Does: happens + opening}}}
	nothingWrong(t, h, func(w *world, p *process) {
		item := p.item(1, "ring")
		if item.State != outbox.Withdrawn || !strings.Contains(item.Failure, "whose readers are others than when it was accepted") || len(w.mintsOf(1, "ring")) != 0 {
			t.Errorf("%+v", item)
		}
		if n := w.blocks.Count(); n != len(w.fixture.directories) {
			t.Errorf("%d directories are kept of it", n-len(w.fixture.directories))
		}
	})
}

func TestWhatIsLargeIsSealedInPortions(t *testing.T) {
	still(t, func(w *world, p *process) {
		var list []outbox.Submission
		for n := range 20 {
			s := w.fixture.submission(n, "everybody")
			s.Payload = []byte(nodetest.DescribedIndicator(n, strings.Repeat("x", 4<<10)))
			list = append(list, s)
		}
		_, err := p.outbox.Accept(list)
		check(err)
		p.sealer.Memory = 16 << 10
		items, err := p.outbox.Queue(outbox.Accepted, 0, sealBatch)
		check(err)
		for portions := 0; len(items) > 0; portions++ {
			n, err := p.sealer.seal(t.Context(), items)
			check(err)
			rest, err := p.outbox.Queue(outbox.Accepted, 0, sealBatch)
			check(err)
			if n == 0 || n == 20 || len(rest) != len(items)-n {
				t.Errorf("portion %d has %d of %d, and %d are left", portions, n, len(items), len(rest))
				return
			}
			items = rest
		}
	})
}
