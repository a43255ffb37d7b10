package members

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/sole"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/repo/outbox"
)

// office is a node's registrar in a world where a test says what comes to the chain.
type office struct {
	*worldtest.World
	*Registrar
	chain   *fakeChain
	watcher *fakeFollower
	host    *fakeHost
	owner   *collections.Owner

	mu    sync.Mutex // of the world
	stops []func()   // end what runs beside the test
}

// newOffice is that of an organisation which is the governor by itself, or of a member of a consortium that the first
// of the others founded.
func newOffice(t *testing.T, governs bool, others ...*nodetest.Org) *office {
	t.Helper()
	return newOfficeIn(worldtest.NewStoredWorld(t, nil), governs, others...)
}

func newOfficeIn(w *worldtest.World, governs bool, others ...*nodetest.Org) *office {
	t := w.T
	t.Helper()
	document, err := Document(w.R.Config, w.R.Keys)
	nodetest.Must(t, err)
	w.Self = &nodetest.Org{Account: w.R.Keys.Account, Identity: w.R.Keys.Identity, Document: document}
	members := append([]*nodetest.Org{w.Self}, others...)
	if !governs {
		members = append(append([]*nodetest.Org{}, others...), w.Self)
	}
	swarmKey, err := keys.NewSwarmKey()
	nodetest.Must(t, errors.Join(err, w.R.Keys.SetSwarmKey(swarmKey)))
	events := w.Found(members...)
	w.Open()
	nodetest.Must(t, w.Deliver(events...))
	w.Drain()
	return officeIn(w)
}

func officeIn(w *worldtest.World) *office {
	o := &office{World: w, chain: newFakeChain(ledger.New(nil, w.R.Keys.Account, 10_000)), host: &fakeHost{World: w}}
	o.watcher = &fakeFollower{office: o}
	o.chain.puts, o.chain.round = o.confirms, 100 // ahead of what a test mints by itself
	outbox := publish.NewOutbox(w.R.Outbox)
	records := publish.NewRecords(w.State.Self, outbox, w.Blocks, publish.NewFresh(w.Blocks))
	waits := func() error { return errors.New("the account is empty") }
	o.owner = &collections.Owner{Outbox: w.R.Outbox, View: w.R.View, State: w.State, Records: records, Watcher: o.watcher, Consortium: w.ID,
		Network: wire.NetworkPrivate, Recipient: w.Self.Identity.Recipient(), Problem: waits, Log: nodetest.Discard}
	o.Registrar = &Registrar{
		Repo: w.R, State: w.State, Host: o.host, Ledger: o.chain, Watcher: o.watcher, Announcer: o.host, Records: records,
		Withdrawer:  &withdraw.Withdrawer{Outbox: outbox, View: w.R.View, State: w.State, Records: records, Consortium: w.ID, Log: nodetest.Discard},
		Collections: o.owner, Problem: waits, Outbox: outbox, Log: nodetest.Discard,
		Consortium: repo.Consortium{ID: w.ID, Charter: someCharter, Name: "Test", GenesisID: "t-v1", GenesisHash: genesisHash, Network: wire.NetworkPrivate},
	}
	return o
}

const someCharter = "XHTRH26DARXAMGGSKKDX5726NFHZ442KMUOODZN4DV6KT5VUYAAQ" // no invite is made without the id of one

// mine puts what is stored on the chain, in its order, and gives what it was.
func (o *office) mine() (kinds []wire.Kind, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	items, err := o.R.Outbox.Queue(outbox.Stored, 0, 100)
	for _, item := range items {
		var e consortium.Event
		if item.Note.Kind == wire.KindDestroy {
			e = o.Destroy(o.Self, item.Destroys)
		} else {
			root, err := cid.Decode(item.Directory)
			if err != nil {
				return kinds, err
			}
			e = o.MintDirectory(o.Self, item.Note, root, item.MetadataHash)
		}
		item.Note.Sequence = e.Note.Sequence
		if _, err := o.R.Outbox.AddGroups([]outbox.Group{{TxIDs: []string{e.TxID}, LastValid: e.Round + 1000}}, []outbox.Item{item}); err != nil {
			return kinds, err
		}
		if err := o.takes(e); err != nil {
			return kinds, err
		}
		// algod tells of it as well, also of what does not count.
		if _, err := o.Outbox.Confirm([]consortium.Place{{TxID: e.TxID, Round: e.Round, Asset: e.Asset}}); err != nil {
			return kinds, err
		}
		kinds = append(kinds, item.Note.Kind)
	}
	o.Outbox.Done.Notify()
	return kinds, err
}

// takes lets the node see events.
func (o *office) takes(events ...consortium.Event) error {
	return errors.Join(o.Deliver(events...), o.TryDrain(context.Background()))
}

// sees lets it see records of others.
func (o *office) sees(sender *nodetest.Org, draft consortium.Draft, err error) consortium.Event {
	o.T.Helper()
	nodetest.Must(o.T, err)
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.Mint(sender, draft)
	nodetest.Must(o.T, o.takes(e))
	return e
}

// confirms lets the node see what several signed and the chain took.
func (o *office) confirms(t types.SignedTxn, m consortium.Place) {
	_, note, err := wire.ParseNote(t.Txn.Note)
	o.check(err)
	root, err := wire.ParseURL(t.Txn.AssetParams.URL)
	o.check(err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.Round = max(o.Round, m.Round-1)
	e := o.MintDirectory(&nodetest.Org{Account: crypto.Account{Address: t.Txn.Sender}, Sequence: note.Sequence - 1}, note, root, t.Txn.AssetParams.MetadataHash[:])
	e.TxID = m.TxID
	o.check(o.takes(e))
}

func (o *office) check(err error) {
	if err != nil {
		o.T.Error(err)
	}
}

// restarts opens the repository again, as after a crash, and everything with it.
func (o *office) restarts() *office {
	o.T.Helper()
	for _, stop := range o.stops {
		stop()
	}
	nodetest.Must(o.T, o.R.Close())
	r, err := repo.Open(o.R.Dir, nil)
	nodetest.Must(o.T, err)
	if o.World.R = r; r.Keys.Address() != o.Self.Address() {
		o.Self.Sequence = 0
	}
	o.Self.Account, o.Self.Identity = r.Keys.Account, r.Keys.Identity
	o.World.Open()
	sole := &sole.Sole{Outbox: r.Outbox, Self: r.Keys.Address(), Condition: problem.NewMonitor("", nodetest.Discard), Log: nodetest.Discard}
	nodetest.Must(o.T, BeginWithKeys(r, r.Keys.Address(), sole))
	return officeIn(o.World)
}

// begin lets something run beside the test, until the test ends.
func (o *office) begin(run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stopped := sync.OnceFunc(func() {
		stop()
		o.check(<-ended)
	})
	o.stops = append(o.stops, stopped)
	o.T.Cleanup(stopped)
}

// opens lets the chain take what is stored, as soon as it is, and the owner's collections be looked after.
func (o *office) opens() {
	o.opensTheChain()
	o.begin(o.owner.Run)
}

// opensTheChain is opens without anybody who looks after collections.
func (o *office) opensTheChain() {
	o.begin(func(ctx context.Context) error {
		return signal.Each(ctx, &o.Outbox.Stored, 0, func() error {
			_, err := o.mine()
			return err
		})
	})
}

// waits is a context that ends when so much is stored: who waits then waits for the chain.
func (o *office) waits(stored int) context.Context {
	ctx, leave := context.WithCancel(context.Background())
	o.begin(func(running context.Context) error {
		defer leave()
		err := signal.Until(running, func() (bool, error) {
			items, err := o.R.Outbox.Queue(outbox.Stored, 0, stored)
			return len(items) == stored, err
		}, &o.Outbox.Stored)
		if running.Err() != nil {
			return nil
		}
		return err
	})
	return ctx
}

func (o *office) member(account string) consortium.Member {
	o.T.Helper()
	m, found := o.State.Member(account)
	if !found {
		o.T.Fatalf("%s is no member and was none", account)
	}
	return m
}

// stored is what waits for the chain.
func (o *office) stored() (kinds []wire.Kind) {
	o.T.Helper()
	items, err := o.R.Outbox.Queue(outbox.Stored, 0, 100)
	nodetest.Must(o.T, err)
	for _, item := range items {
		kinds = append(kinds, item.Note.Kind)
	}
	return kinds
}

// fakeFollower follows the world.
type fakeFollower struct {
	*office
	lost      error  // AwaitTip's
	stands    uint64 // where it is, if not where the view is
	confirmed []uint64
	trace     func(txid, sender string, first, last uint64) (chainwatch.Finding, error)
}

func (f *fakeFollower) AwaitTip(context.Context) error { return f.lost }

func (f *fakeFollower) State() chainwatch.State {
	if f.stands > 0 {
		return chainwatch.State{Cursor: f.stands}
	}
	cursor, err := f.R.View.Cursor()
	f.check(err)
	return chainwatch.State{Cursor: cursor, Detail: "503"}
}

func (f *fakeFollower) Confirmed(round uint64) { f.confirmed = append(f.confirmed, round) }

func (f *fakeFollower) Trace(_ context.Context, txid, sender string, first, last uint64) (chainwatch.Finding, error) {
	return f.trace(txid, sender, first, last)
}

// fakeHost is the node among others'.
type fakeHost struct {
	*worldtest.World
	peers     []swarm.Peer
	asked     int
	dropped   []peer.ID
	announced []cid.Cid
	hinted    []uint64
	deaf      error // nobody hears what is announced
}

func (h *fakeHost) AddrInfo() peer.AddrInfo {
	id, err := peer.Decode(h.Self.Document.Peer)
	nodetest.Must(h.T, err)
	return peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/192.0.2.1/tcp/4001")}}
}

// at makes an address of another node known.
func (h *fakeHost) at(id, address string) {
	decoded, err := peer.Decode(id)
	nodetest.Must(h.T, err)
	h.peers = append(h.peers, swarm.Peer{ID: decoded, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(address)}})
}

func (h *fakeHost) Peers() []swarm.Peer { return h.peers }

func (h *fakeHost) KeepConnected(...peer.AddrInfo) { h.asked++ }

func (h *fakeHost) Drop(_ context.Context, id peer.ID) error {
	h.dropped = append(h.dropped, id)
	return h.deaf
}

func (h *fakeHost) Put(ctx context.Context, directories []unixfs.Directory) error {
	return h.Blocks.Put(ctx, directories)
}

func (h *fakeHost) Announce(_ context.Context, round uint64, directories []unixfs.Directory) error {
	h.hinted = append(h.hinted, round)
	for _, d := range directories {
		h.announced = append(h.announced, d.Root())
	}
	return h.deaf
}

func (h *fakeHost) Hint(_ context.Context, round uint64) error {
	h.hinted = append(h.hinted, round)
	return h.deaf
}
