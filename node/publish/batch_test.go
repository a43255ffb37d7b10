package publish

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/outbox"
)

// own gives the transactions of the node that are on the chain.
func (w *world) own(kind wire.Kind) (txids []string) {
	for _, e := range w.chain.between(begins, w.chain.now()) {
		if e.Sender != w.fixture.founder.Address() && e.Note.Kind == kind {
			txids = append(txids, e.TxID)
		}
	}
	return txids
}

func TestTheObjectsOfALargeRequestShareTransactions(t *testing.T) {
	h := history{Ops: []op{{Does: posts, N: 0, Many: 10, From: 2, In: "everybody"}}}
	nothingWrong(t, h, func(w *world, p *process) {
		batches := w.own(wire.KindBatch)
		if len(batches) != 3 || len(w.own(wire.KindObject)) != 0 {
			t.Errorf("they are published by %d batches, and %d by themselves", len(batches), len(w.own(wire.KindObject)))
		}
		for n, item := range []outbox.Item{p.item(0, "everybody"), p.item(4, "everybody"), p.item(9, "everybody")} {
			if item.State != outbox.Confirmed || item.TxID != batches[n] || item.Index != []uint32{1, 1, 2}[n] {
				t.Errorf("object %d is %+v", n, item)
			}
		}
		if n := w.blocks.Count() - len(w.fixture.directories); n != 10+3 {
			t.Errorf("there are %d directories", n)
		}
	})
}

// Of a batch its record alone is announced.
func TestOfABatchItsRecordIsAnnounced(t *testing.T) {
	still(t, func(w *world, p *process) {
		items, err := acceptAs(p.outbox, []outbox.Submission{w.fixture.submission(1, "everybody"), w.fixture.submission(2, "everybody")}, outbox.Anchor{From: 1, Most: 9, Bytes: 1 << 20})
		check(err)
		queued, err := p.outbox.Queue(outbox.Accepted, 0, 10)
		check(err)
		if n, err := p.sealer.seal(t.Context(), queued); n != 1 || err != nil {
			t.Fatalf("%d are sealed (%v)", n, err)
		}
		batch, _, err := p.outbox.Item(items[0].Batch)
		check(err)
		if len(p.minter.Fresh.byCID) != 1 || p.minter.Fresh.byCID[batch.Directory].Size() == 0 {
			t.Errorf("%d directories are to be announced, with the batch's: %v", len(p.minter.Fresh.byCID), p.minter.Fresh.byCID[batch.Directory].Size() > 0)
		}
	})
}

// A reader is removed from a collection while a batch waits there: none of it is signed as it was sealed.
func TestABatchThatWaitsIsSealedAgainBeforeItIsSigned(t *testing.T) {
	h := history{Faults: map[string][]fault{askFunds: times(20, noFunds)}, Ops: []op{
		{Does: posts, N: 1, Many: 3, From: 1, In: "ring"}, {At: 5, Does: happens + revocation}}}
	nothingWrong(t, h, func(w *world, p *process) {
		for n := 1; n <= 3; n++ {
			item := p.item(n, "ring")
			root, err := cid.Decode(item.Directory)
			check(err)
			files, err := w.blocks.Read(t.Context(), root)
			check(err)
			for _, f := range files {
				if f.Name != wire.ObjectName {
					continue
				}
				sealed, err := wire.ParseSealedObject(f.Data)
				check(err)
				if _, err := w.fixture.keys[w.fixture.ring+"2"].Open(sealed); err != nil || item.Epoch != 2 {
					t.Errorf("object %d is of epoch %d (%v)", n, item.Epoch, err)
				}
			}
		}
		if batches := w.own(wire.KindBatch); len(batches) != 1 {
			t.Errorf("they are published by %q", batches)
		}
		if n := w.blocks.Count() - len(w.fixture.directories); n != 3+1 {
			t.Errorf("%d directories are kept, some of them as they were sealed before", n)
		}
	})
}

// The others of a batch are published when one of it must not be any more.
func TestWhatMustNotBePublishedLeavesItsBatch(t *testing.T) {
	still(t, func(w *world, p *process) {
		f := w.fixture
		list := []outbox.Submission{f.submission(1, "ring"), f.submission(2, "ring"), f.submission(3, "ring")}
		list[0].Item.Level, list[2].Item.Level = uint8(stix.Green), uint8(stix.Green)
		_, err := acceptAs(p.outbox, list, outbox.Anchor{From: 1, Most: 9, Bytes: 1 << 20})
		check(err)
		sealAll := func() (stored []outbox.Item) {
			queued, err := p.outbox.Queue(outbox.Accepted, 0, 10)
			check(err)
			if len(queued) > 0 {
				_, err = p.sealer.seal(t.Context(), queued)
				check(err)
			}
			stored, err = p.outbox.Queue(outbox.Stored, 0, 10)
			check(err)
			return stored
		}
		stored := sealAll()
		p.record(opening)
		if rest, _, err := p.minter.upToDate(t.Context(), stored); err != nil || len(rest) != 0 {
			t.Fatalf("%d are signed (%v)", len(rest), err)
		}
		stored = sealAll()
		if rest, _, err := p.minter.upToDate(t.Context(), stored); err != nil || len(rest) != 1 || rest[0].Objects != 2 {
			t.Errorf("%+v are signed (%v)", rest, err)
		}
		if item := p.item(2, "ring"); item.State != outbox.Withdrawn || !strings.Contains(item.Failure, "whose readers are others") {
			t.Errorf("what must not be published is %+v", item)
		}
		if a, b := p.item(1, "ring"), p.item(3, "ring"); a.Index != 1 || b.Index != 2 || b.State != outbox.Stored {
			t.Errorf("the others have the places %d and %d, and are %s", a.Index, b.Index, b.State)
		}
	})
}

// The outbox was lost, and with it what it had published in a batch. A client posts some of that again, in another one.
func TestWhatIsOnTheChainLeavesABatchOfWhoLostItsOutbox(t *testing.T) {
	h := history{Calm: 2000, Ops: []op{{Does: backs}, {Does: posts, N: 1, Many: 2, From: 1, In: "everybody"}, {At: 1, Does: restores, N: 2, Many: 2, From: 1, In: "everybody"}}}
	nothingWrong(t, h, func(w *world, p *process) {
		for n := 1; n <= 3; n++ {
			if mints := w.mintsOf(n, "everybody"); len(mints) != 1 || p.item(n, "everybody").TxID != mints[0] {
				t.Errorf("object %d is minted by %v, and the outbox has %+v", n, mints, p.item(n, "everybody"))
			}
		}
		var numbers []uint64
		for _, e := range w.chain.between(begins, w.chain.now()) {
			numbers = append(numbers, e.Note.Sequence)
		}
		if !slices.Equal(numbers, []uint64{2, 3}) {
			t.Errorf("the transactions have the numbers %v", numbers)
		}
	})
}

// … though what tells which objects are in it comes late. It is waited for as long as it may be on its way; what nobody
// has any more is published again.
func TestARestoredNodeWaitsForTheContentsOfWhatItPublishedInBatches(t *testing.T) {
	for late, mints := range map[uint64]int{0: 1, ledgerWindow + 200: 1, 3 * ledgerWindow: 2} {
		h := history{Calm: 3000, Contents: late, Ops: []op{
			{Does: posts, N: 7, Many: 2, From: 1, In: "everybody"}, {At: 5, Does: backs}, {Does: posts, N: 1, Many: 2, From: 1, In: "everybody"}, {At: 10, Does: posts, N: 3, Many: 1, In: "everybody"},
			{At: 1, Does: restores, N: 2, Many: 3, From: 1, In: "everybody"},
		}}
		if late > 0 {
			h.Ops = append(h.Ops, says(ledgerWindow+20, "restored", "the contents of 1 batches that it published have not been read"))
		}
		live(t, h, func(_ context.Context, w *world) {
			if mints == 1 && len(w.wrongs) > 0 {
				t.Errorf("where they are %d rounds late: %v", late, w.wrongs)
			}
			for n := 1; n <= 2; n++ {
				if got := w.mintsOf(n, "everybody"); len(got) != mints {
					t.Errorf("where they are %d rounds late, object %d is minted by %v", late, n, got)
				}
			}
			for _, n := range []int{3, 7} { // an NFT of its own; what the backup knows of
				if got := w.mintsOf(n, "everybody"); len(got) != 1 {
					t.Errorf("where they are %d rounds late, object %d is minted by %v", late, n, got)
				}
			}
		})
	}
}

// It goes all the way, though what it goes back for may have passed meanwhile.
func TestABatchOnItsWayBackIsNotSigned(t *testing.T) {
	still(t, func(w *world, p *process) {
		_, err := acceptAs(p.outbox, []outbox.Submission{w.fixture.submission(1, "everybody")}, outbox.Anchor{From: 1, Most: 9, Bytes: 1 << 20})
		check(err)
		queued, err := p.outbox.Queue(outbox.Accepted, 0, 10)
		check(err)
		_, err = p.sealer.seal(t.Context(), queued)
		check(err)
		stored, err := p.outbox.Queue(outbox.Stored, 0, 10)
		check(err)
		stored[0], err = p.outbox.BeginReopening(stored[0])
		check(err)
		if rest, _, err := p.minter.upToDate(t.Context(), stored); err != nil || len(rest) != 0 || p.item(1, "everybody").State != outbox.Accepted {
			t.Errorf("%d are signed, and the object is %s (%v)", len(rest), p.item(1, "everybody").State, err)
		}
	})
}

// A group expires with a batch in it: the same directory is signed again, with the same number.
func TestABatchThatWasNeverConfirmedIsSignedAgain(t *testing.T) {
	h := history{Calm: 2000, Faults: map[string][]fault{askSubmit: {never}}, Ops: []op{{Does: posts, N: 1, Many: 3, From: 1, In: "everybody"}}}
	nothingWrong(t, h, func(w *world, p *process) {
		if item := p.item(3, "everybody"); item.State != outbox.Confirmed || item.Round < begins+ledgerWindow || item.Note.Sequence != 2 || len(w.own(wire.KindBatch)) != 1 {
			t.Errorf("it is %+v", item)
		}
	})
}

// What was sealed before a change of the account is the next one's.
func TestABatchIsPublishedByTheNextAccountAfterAChangeOfKeys(t *testing.T) {
	h := history{Calm: 200, Faults: map[string][]fault{askFunds: times(8, noFunds)},
		Ops: []op{{Does: posts, N: 1, Many: 5, From: 1, In: "everybody"}, {At: 1, Does: rotates}}}
	nothingWrong(t, h, func(w *world, p *process) {
		for n := 1; n <= 5; n++ {
			e, _ := w.chain.find(p.item(n, "everybody").TxID, w.chain.now())
			if len(w.mintsOf(n, "everybody")) != 1 || e.Sender != w.fixture.next.Address() {
				t.Errorf("object %d is published by %q, the last time by %s", n, w.mintsOf(n, "everybody"), e.Sender)
			}
		}
	})
}

// A batch and what its objects are withdrawn by, killed and failing at every point.
var withBatches = history{Commits: true, Calm: 60, Lag: 1, Faults: map[string][]fault{askSubmit: {unanswered, forgotten}, askBlock: times(20, lost)}, Ops: []op{
	{Does: posts, N: 1, Many: 6, From: 2, In: "everybody"}, {Does: posts, N: 1, Many: 2, From: 1, In: "ring"}, {Does: happens + revocation},
	{At: 10, Does: withdraws, N: 2, In: "everybody"}, {At: 12, Does: posts, N: 1, Many: 4, From: 1, In: "everybody"}, {Does: withdraws, N: 5, In: "everybody", All: true},
}}

func TestTheNodeMayDieAtAnyCommitOfABatch(t *testing.T) {
	alone(t)
	diesEverywhere(t, withBatches, 30)
}

func TestTheNodeEndsWhenItsStoreFailsInABatch(t *testing.T) {
	alone(t)
	h := withBatches
	h.Commits = false
	failsEverywhere(t, h, 15)
}

// What is released stays published, and can be withdrawn still.
func TestWhatIsReleasedStaysPublished(t *testing.T) {
	h := history{Calm: 60, Lag: 1, Ops: []op{
		{Does: posts, N: 1, Many: 2, From: 1, In: "everybody"}, {Does: posts, N: 3, Many: 1, In: "everybody"}, {At: 10, Does: releases, N: 1, In: "everybody"},
		{Does: releases, N: 2, In: "everybody"}, {Does: releases, N: 3, In: "everybody"}, {At: 10, Does: withdraws, N: 3, In: "everybody"}, {Does: withdraws, N: 2, In: "everybody"},
	}}
	nothingWrong(t, h, func(w *world, p *process) {
		if n := len(w.own(wire.KindRelease)); n != 2 || len(w.own(wire.KindRemoval)) != 2 || len(w.own(wire.KindDestroy)) != 0 {
			t.Errorf("%d NFTs are released, %d publications withdrawn by records", n, len(w.own(wire.KindRemoval)))
		}
		for n, want := range map[int]outbox.State{1: outbox.Confirmed, 2: outbox.Withdrawn, 3: outbox.Withdrawn} {
			if item := p.item(n, "everybody"); item.State != want {
				t.Errorf("object %d is %s", n, item.State)
			}
		}
	})
}

// An account that this organisation had before can't be asked to destroy what it made.
func TestWhatAnotherAccountMadeIsNotReleased(t *testing.T) {
	still(t, func(w *world, p *process) {
		e := w.chain.mint(consortium.Event{TxID: "OTHER", Sender: w.fixture.founder.Address(), Consortium: w.fixture.id, Note: wire.Note{Kind: wire.KindObject}})
		w.chain.advance()
		w.follow(w.chain.now(), nil)
		asset := w.chain.between(begins, w.chain.now())[0].Asset
		done, _, failure, err := p.minter.done(&outbox.Item{Note: wire.Note{Kind: wire.KindRelease}, Destroys: asset, Key: KeyOf("x")})
		if err != nil || !done || failure == "" {
			t.Errorf("it is done: %v, %q (%v), in round %d", done, failure, err, e)
		}
	})
}
