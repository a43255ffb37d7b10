package publish

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/outbox"
)

// nothingWrong lives through a history in which nothing may be wrong at the end, and lets a test look at the world.
func nothingWrong(t *testing.T, h history, look func(w *world, p *process)) {
	t.Helper()
	if h.Calm == 0 {
		h.Calm = 100
	}
	live(t, h, func(_ context.Context, w *world) {
		if len(w.wrongs) > 0 {
			t.Error(strings.Join(w.wrongs, "\n"))
			return
		}
		look(w, w.current())
	})
}

// item is what publishes an object in the end.
func (p *process) item(n int, in string) outbox.Item {
	item, found, err := p.outbox.Find(p.world.fixture.submission(n, in).Item.Key)
	check(err)
	if !found {
		panic(fmt.Sprint("object ", n, " is not in the outbox"))
	}
	return item
}

// mintsOf gives the transactions by which the node published an object.
func (w *world) mintsOf(n int, in string) (txids []string) {
	for _, e := range w.chain.between(begins, w.chain.now()) {
		for _, p := range w.publishedBy(e) {
			if e.Sender != w.fixture.founder.Address() && p.identity == (identity{w.fixture.called(in), objectID(n)}) {
				txids = append(txids, e.TxID)
			}
		}
	}
	return txids
}

func times[T any](n int, what T) []T { return slices.Repeat([]T{what}, n) }

// A reader is removed from a collection while an object waits there: its ciphertext is another one when it is signed.
func TestWhatWaitsIsSealedAgainBeforeItIsSigned(t *testing.T) {
	h := history{Faults: map[string][]fault{askFunds: times(20, noFunds)}, Ops: []op{
		{Does: posts, N: 1, Many: 1, In: "ring"}, {At: 5, Does: happens + revocation}}}
	nothingWrong(t, h, func(w *world, p *process) {
		item := p.item(1, "ring")
		root, err := cid.Decode(item.Directory)
		check(err)
		files, err := w.blocks.Read(t.Context(), root)
		check(err)
		opens := func(key *seal.EpochKey) bool {
			for _, f := range files {
				if f.Name == wire.ObjectName {
					sealed, err := wire.ParseSealedObject(f.Data)
					check(err)
					_, err = key.Open(sealed)
					return err == nil
				}
			}
			return false
		}
		if item.Epoch != 2 || opens(w.fixture.keys[w.fixture.ring+"1"]) || !opens(w.fixture.keys[w.fixture.ring+"2"]) {
			t.Errorf("what is on the chain is of epoch %d, and the old key opens it: %v", item.Epoch, opens(w.fixture.keys[w.fixture.ring+"1"]))
		}
		if n := len(w.mintsOf(1, "ring")); n != 1 {
			t.Errorf("it is minted %d times", n)
		}
		if n := w.blocks.Count(); n != len(w.fixture.directories)+1 {
			t.Errorf("%d directories are kept, one of them as it was sealed before", n-len(w.fixture.directories))
		}
	})
}

// More groups than may be on their way at a time: those that have landed make room.
func TestThereIsNoEndToWhatCanBePublished(t *testing.T) {
	alone(t)
	var ops []op
	for n := range maxFlights + 10 {
		ops = append(ops, op{At: 1, Does: posts, N: n, Many: 1, In: "everybody"})
	}
	h := history{Ops: ops, Calm: 110, Faults: map[string][]fault{askSubmit: times(maxFlights, never)}}
	nothingWrong(t, h, func(w *world, p *process) {})
}

func TestNothingIsSignedForAnotherNetwork(t *testing.T) {
	h := history{Calm: 50, Network: [32]byte{1}, Ops: []op{{Does: posts, N: 1, Many: 1, In: "everybody"}, {At: 20, Does: looks, Look: func(w *world, p *process) {
		c := p.minter.Condition.Get()
		if c.Problem != "network" || !strings.Contains(c.Detail, "the consortium lives on t-v1") || p.outbox.Count()[outbox.Stored] != 1 {
			w.wrong("publishing waits for %+v, and there are %v", c, p.outbox.Count())
		}
	}}}}
	nothingWrong(t, h, func(w *world, p *process) {})
}

func TestWhatAnotherMemberPublishedIsPublishedByThisOneAsWell(t *testing.T) {
	for _, does := range []string{foreign, clashes} {
		h := history{Ops: []op{{Does: does, N: 1, In: "everybody"}, {At: 5, Does: posts, N: 1, Many: 1, In: "everybody"}}}
		nothingWrong(t, h, func(w *world, p *process) {
			item, mints := p.item(1, "everybody"), w.mintsOf(1, "everybody")
			if len(mints) != 1 || item.State != outbox.Confirmed || item.Failure != "" || item.TxID != mints[0] {
				t.Errorf("%s: %+v, minted by %v", does, item, mints)
			}
		})
	}
}

// The outbox was lost, and so was what it knew of a publication and of its end.
func TestWhatWasWithdrawnIsPublishedAgainByWhoLostItsOutbox(t *testing.T) {
	h := history{Calm: 2000, Ops: []op{{Does: backs}, {Does: posts, N: 1, Many: 1, In: "everybody"}, {At: 10, Does: withdraws, N: 1, In: "everybody"}, {At: 10, Does: restores}}}
	nothingWrong(t, h, func(w *world, p *process) {
		if mints := w.mintsOf(1, "everybody"); len(mints) != 2 || p.item(1, "everybody").TxID != mints[1] || p.item(1, "everybody").Note.Sequence != 4 {
			t.Errorf("it is minted by %v, and the outbox has %+v", mints, p.item(1, "everybody"))
		}
	})
}

// … and of a publication that is still there.
func TestWhatIsOnTheChainIsNotPublishedAgainByWhoLostItsOutbox(t *testing.T) {
	h := history{Calm: 2000, Ops: []op{{Does: backs}, {Does: posts, N: 1, Many: 1, In: "everybody"}, {At: 1, Does: restores}}}
	nothingWrong(t, h, func(w *world, p *process) {
		if mints := w.mintsOf(1, "everybody"); len(mints) != 1 || p.item(1, "everybody").TxID != mints[0] {
			t.Errorf("it is minted by %v, and the outbox has %+v", mints, p.item(1, "everybody"))
		}
	})
}

// The objects of a request are on the chain in their order, however many there are; records are before them.
func TestTheOrderOfARequestIsThatOfTheChain(t *testing.T) {
	h := history{Ops: []op{{Does: posts, N: 0, Many: 50, In: "everybody"}, {Does: happens + removal}, {Does: posts, N: 100, Many: 1, In: "own"}}}
	nothingWrong(t, h, func(w *world, p *process) {
		var order []string
		var sequences []uint64 // records may overtake objects that were signed before them
		for _, e := range w.chain.between(begins, w.chain.now()) {
			if e.Sender != w.fixture.self.Address() {
				continue
			}
			sequences = append(sequences, e.Note.Sequence)
			if e.Note.Kind == wire.KindObject && w.stored(e.Directory).collection == w.fixture.everybody {
				order = append(order, w.stored(e.Directory).id)
			}
		}
		slices.Sort(sequences)
		for i, sequence := range sequences {
			if want := uint64(i) + 2; sequence != want { // one is in the fixture
				t.Errorf("number %d is where %d should be", sequence, want)
			}
		}
		if len(order) != 50 || !slices.IsSorted(order) {
			t.Errorf("the order on the chain is %v", order)
		}
	})
}

func TestTheFeeIsRaisedOnceTheNetworkAsksForMore(t *testing.T) {
	h := history{Ops: []op{{Does: posts, N: 1, Many: 2, In: "everybody"}}, Faults: map[string][]fault{askSubmit: {congested}}}
	nothingWrong(t, h, func(w *world, p *process) {
		if item := p.item(1, "everybody"); item.Round > begins+10 {
			t.Errorf("it is on the chain in round %d, after the congestion", item.Round)
		}
	})
	h = history{Ops: []op{{Does: congests, N: 40, Many: 30}, {At: 1, Does: posts, N: 1, Many: 2, In: "everybody"}, {At: 10, Does: looks, Look: func(w *world, p *process) {
		if c := p.minter.Condition.Get(); c.Problem != "congestion" {
			w.wrong("publishing waits for %+v", c)
		}
	}}}}
	nothingWrong(t, h, func(w *world, p *process) {
		if item := p.item(1, "everybody"); item.Round < begins+30 {
			t.Errorf("it is on the chain in round %d, in the congestion", item.Round)
		}
	})
}

// Other keys are taken when everything else of the old account has landed; everything later is the new one's.
func TestAChangeOfKeysIsBetweenWhatIsBeforeAndWhatIsAfterIt(t *testing.T) {
	h := history{Calm: 200, Ops: []op{{Does: posts, N: 1, Many: 3, In: "everybody"}, {At: 1, Does: rotates}, {Does: posts, N: 4, Many: 3, In: "everybody"}},
		Faults: map[string][]fault{askSubmit: {delayed, delayed, delayed}}}
	nothingWrong(t, h, func(w *world, p *process) {
		if p.org != w.fixture.next {
			t.Error("it has its old keys")
			return
		}
		var senders []string
		for _, e := range w.chain.between(begins, w.chain.now()) {
			senders = append(senders, e.Sender)
			if e.Note.Kind == wire.KindRotation && len(senders) != 4 {
				t.Errorf("%d transactions are before the change of keys, want 3", len(senders)-1)
			}
		}
		self, next := w.fixture.self.Address(), w.fixture.next.Address()
		if want := slices.Concat(times(4, self), times(3, next)); !slices.Equal(senders, want) {
			t.Errorf("the senders are %v", senders)
		}
	})
}

// A group is on its way until the last of it is confirmed.
func TestAGroupIsOnItsWayUntilAllOfItIsConfirmed(t *testing.T) {
	h := history{Calm: 100, Faults: map[string][]fault{askSubmit: {delayed}}, Ops: []op{{Does: posts, N: 1, Many: 2, In: "everybody"}, {At: 3, Does: looks, Look: func(w *world, p *process) {
		groups, err := p.outbox.Groups(0, 10)
		check(err)
		if len(groups) != 1 || len(groups[0].TxIDs) != 2 {
			w.wrong("the groups are %+v", groups)
			return
		}
		for i, txid := range groups[0].TxIDs {
			before := p.minter.flights.list()
			check(p.minter.Confirm(context.Background(), []consortium.Place{{TxID: txid, Round: 1, Asset: 1}}))
			if len(before) != 1 || p.minter.flights.has(groups[0].Number) != (i == 0) {
				w.wrong("after %d confirmations it is on its way: %v", i+1, p.minter.flights.has(groups[0].Number))
			}
		}
		w.wrongs = nil
	}}}}
	live(t, h, func(_ context.Context, w *world) {
		for _, wrong := range w.wrongs {
			if strings.Contains(wrong, "on its way") || strings.Contains(wrong, "groups") {
				t.Error(wrong)
			}
		}
	})
}

// What is confirmed meanwhile brings no ALGO to what waits for it.
func TestWhatIsConfirmedDoesNotHideThatMoreWaitsForALGO(t *testing.T) {
	for _, holdsUp := range []bool{true, false} {
		h := history{Calm: 100, Faults: map[string][]fault{askSubmit: {delayed}}, Ops: []op{{Does: posts, N: 1, Many: 2, In: "everybody"}, {At: 3, Does: looks, Look: func(w *world, p *process) {
			groups, err := p.outbox.Groups(0, 10)
			check(err)
			p.minter.holdsUp.Store(holdsUp)
			p.minter.Condition.Set("funds", "the account is empty")
			check(p.minter.Confirm(context.Background(), []consortium.Place{{TxID: groups[0].TxIDs[0], Round: 1, Asset: 1}}))
			if told := p.minter.Condition.Get().Problem == "funds"; told != holdsUp {
				w.wrong("that ALGO is missing is told: %v, want %v", told, holdsUp)
			}
			w.wrongs = slices.DeleteFunc(w.wrongs, func(wrong string) bool { return !strings.Contains(wrong, "ALGO") })
		}}}}
		live(t, h, func(_ context.Context, w *world) {
			for _, wrong := range w.wrongs {
				if strings.Contains(wrong, "that ALGO is missing") {
					t.Error(wrong)
				}
			}
		})
	}
}

// … until an operator says that it is gone, and all that it signed can have been seen. Its numbers that are missing are
// filled in.
func TestNothingIsSignedWhileACopyOfTheNodeRuns(t *testing.T) {
	h := history{Calm: 30, Ops: []op{{Does: copied}, {At: 3, Does: posts, N: 1, Many: 1, In: "everybody"}, says(10, "duplicate", "another node has the same keys"), later(20, func(w *world, p *process) {
		if p.outbox.Count()[outbox.Stored] != 1 {
			w.wrong("there are %v", p.outbox.Count())
		}
		if err := p.sole.Settle(); err != nil {
			w.wrong("it can't be settled: %v", err)
		}
	}), says(20, "restored", "another node had"), later(ledgerWindow, func(*world, *process) {})}}
	nothingWrong(t, h, func(w *world, p *process) {
		if item := p.item(1, "everybody"); item.Round < begins+ledgerWindow || item.Note.Sequence != 2 {
			t.Errorf("it is confirmed in round %d, with number %d", item.Round, item.Note.Sequence)
		}
	})
}

// An organisation that may not publish in a collection any more does not, though it has its key.
func TestWhoMayPublishNoMoreDoesNot(t *testing.T) {
	still(t, func(w *world, p *process) {
		f := w.fixture
		items, err := p.outbox.Accept([]outbox.Submission{f.submission(1, "ring")})
		check(err)
		_, err = p.sealer.seal(t.Context(), items)
		check(err)
		items, err = p.outbox.Queue(outbox.Stored, 0, 10)
		check(err)
		mallorys := wire.Accounts{Named: []string{f.mallory.Address()}}
		d := drafted(consortium.DraftCollection(f.id, f.ring, 1, wire.Collection{Title: "Ring", Readers: mallorys, DefaultLevel: "green", Metadata: wire.MetadataOpen},
			map[uint32]*seal.EpochKey{1: f.keys[f.ring+"1"]}, []string{f.self.Identity.Recipient()}, time.Now()))
		e := f.event(f.founder, "closing", d)
		e.Position, e.TxID = consortium.Position{Round: 3000}, "CLOSED"
		p.state.Change(func(s *consortium.State) {
			s.Apply(e)
			m, err := wire.ParseMetadata(f.records["closing"].Metadata)
			check(err)
			check(s.Attach(e.TxID, m, d.Payload))
		})
		if rest, _, err := p.minter.upToDate(t.Context(), items); err != nil || len(rest) != 0 || p.item(1, "ring").State != outbox.Accepted {
			t.Errorf("%d are signed, and it is %s (%v)", len(rest), p.item(1, "ring").State, err)
		}
		items, err = p.outbox.Queue(outbox.Accepted, 0, 10)
		check(err)
		if _, err := p.sealer.seal(t.Context(), items); err != nil || p.item(1, "ring").State != outbox.Accepted || p.sealer.Condition.Get().Problem != "permission" {
			t.Errorf("it is %s, and waits for %+v (%v)", p.item(1, "ring").State, p.sealer.Condition.Get(), err)
		}
	})
}
