package publish

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/outbox"
)

// purse is a ledger of which only the funds are asked.
type purse struct {
	Ledger
	funds ledger.Funds
	err   error
}

func (p purse) Funds(context.Context) (ledger.Funds, error) { return p.funds, p.err }

func (p purse) Address() string { return "SELF" }

// What is in flight is paid for first, then records and ends; objects leave what other keys of collections cost.
func TestWhatCanBePaidForIsSigned(t *testing.T) {
	const fee = 1000
	one := ledger.Cost(1, fee)
	object := outbox.Item{Note: wire.Note{Kind: wire.KindObject}}
	record := outbox.Item{Note: wire.Note{Kind: wire.KindCollection}}
	end := outbox.Item{Note: wire.Note{Kind: wire.KindDestroy}, Destroys: 7}
	for name, c := range map[string]struct {
		free  uint64
		fly   int
		items []outbox.Item
		want  []int // the places of those that are signed
	}{
		"an object, and a key for the collection that is read": {2 * one, 0, []outbox.Item{object}, []int{0}},
		"… with a little less":                                 {2*one - 1, 0, []outbox.Item{object}, nil},
		"two objects":                                          {3 * one, 0, []outbox.Item{object, object}, []int{0, 1}},
		"… with a little less than for both":                   {3*one - 1, 0, []outbox.Item{object, object}, []int{0}},
		"a record needs not leave anything":                    {one, 0, []outbox.Item{record}, []int{0}},
		"… with a little less than it costs":                   {one - 1, 0, []outbox.Item{record}, nil},
		"an end costs its fee":                                 {fee, 0, []outbox.Item{end}, []int{0}},
		"… with a little less than that":                       {fee - 1, 0, []outbox.Item{end}, nil},
		"what is affordable after what is not":                 {one, 0, []outbox.Item{object, record, end}, []int{1}},
		"all three":                                            {3*one + fee, 0, []outbox.Item{object, record, end}, []int{0, 1, 2}},
		"what is in flight is paid for":                        {5 * one, 3, []outbox.Item{object}, []int{0}},
		"… with a little less than all":                        {5*one - 1, 3, []outbox.Item{object}, nil},
		"what is in flight costs more than all that there is":  {one, 3, []outbox.Item{record}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, func(w *world, p *process) {
				p.minter.Ledger = purse{funds: ledger.Funds{Amount: c.free + 100_000, Locked: 100_000}}
				if c.fly > 0 {
					p.minter.flights.begin(outbox.Group{Number: 1, Items: make([]uint64, c.fly)}, nil)
				}
				for n := range c.items {
					c.items[n].Number = uint64(n)
				}
				items, problem, err := p.minter.affordable(t.Context(), ledger.Params{MinFee: fee}, c.items)
				var got []int
				for _, item := range items {
					got = append(got, int(item.Number))
				}
				if err != nil || !slices.Equal(got, c.want) || (problem != nil) != (len(c.want) == 0) {
					t.Errorf("%v are signed, want %v (%+v, %v)", got, c.want, problem, err)
				}
				if problem != nil && (problem.Problem != "funds" || !strings.Contains(problem.Detail, "and leaves a reserve of 0.101 for other keys") || !strings.Contains(problem.Detail, fmt.Sprintf("account SELF has %s ALGO to spend", microalgo.Amount(c.free)))) {
					t.Errorf("the problem is %+v", problem)
				}
			})
		})
	}
	still(t, func(w *world, p *process) {
		p.minter.Ledger = purse{err: errNetwork}
		if _, problem, err := p.minter.affordable(t.Context(), ledger.Params{MinFee: fee}, []outbox.Item{record}); err != nil || problem == nil || problem.err != errNetwork || problem.Problem != "algod" {
			t.Errorf("the problem is %+v (%v)", problem, err)
		}
	})
}

// What can't go yet doesn't keep what can from being signed.
func TestWhatMustWaitIsSkipped(t *testing.T) {
	h := history{Calm: 30, Ops: []op{{Does: happens + removal}, {At: 2, Does: posts, N: 1, Many: 1, In: "own"}, {Does: posts, N: 2, Many: 1, In: "everybody"}, later(5, func(w *world, p *process) {
		if p.item(2, "everybody").State != outbox.Confirmed || p.item(1, "own").State != outbox.Stored {
			w.wrong("one is %s, the other one %s", p.item(2, "everybody").State, p.item(1, "own").State)
		}
		if c := p.minter.Condition.Get(); c.Problem != "rekeying" || !strings.Contains(c.Detail, "a removed member still has the key") {
			w.wrong("publishing waits for %+v", c)
		}
	})}, Careless: 20}
	nothingWrong(t, h, func(w *world, p *process) {
		if p.item(1, "own").Epoch != 2 {
			t.Errorf("it is sealed to epoch %d", p.item(1, "own").Epoch)
		}
	})
}

// What was signed and not sent when the node stopped is sent when it begins again.
func TestWhatWasSignedIsSentAfterARestart(t *testing.T) {
	h := history{Calm: 100, Ops: []op{onePost, {At: 1, Does: kills}}, Faults: map[string][]fault{askSubmit: times(2, lost)}}
	nothingWrong(t, h, func(w *world, p *process) {
		if item := p.item(1, "everybody"); item.Group != 1 || w.confirmedBy(p, 1) > 15 {
			t.Errorf("it is confirmed after %d rounds, in group %d", w.confirmedBy(p, 1), item.Group)
		}
	})
}

// It takes no longer than the block: nobody waits for the indexer.
func TestAConfirmationIsKnownFromItsBlock(t *testing.T) {
	h := history{Calm: 100, Behind: 90, Ops: []op{onePost, later(3, func(w *world, p *process) {
		if item := p.item(1, "everybody"); item.State != outbox.Confirmed || w.asked(askIndexer) > 0 || w.asked(askBlock) > 5 {
			w.wrong("it is %s, after %d requests for blocks", item.State, w.asked(askBlock))
		}
	})}}
	nothingWrong(t, h, func(w *world, p *process) {})
}

// Algod is asked about a group now and then, and left alone when it asks for that.
func TestAlgodIsNotAskedTooOften(t *testing.T) {
	three := []op{{Does: posts, N: 1, Many: 1, In: "everybody"}, {At: 1, Does: posts, N: 2, Many: 1, In: "everybody"}, {At: 1, Does: posts, N: 3, Many: 1, In: "everybody"}}
	for name, c := range map[string]struct {
		faults      []fault
		least, most int
	}{"usually": {nil, 6, 15}, "throttled": {times(100, throttled), 5, 12}} {
		h := history{Calm: 60, Ops: append(slices.Clone(three), later(10, func(w *world, p *process) {
			if n := w.asked(askFate); n < c.least || n > c.most {
				w.wrong("%s it is asked %d times", name, n)
			}
		})), Faults: map[string][]fault{askSubmit: times(3, delayed), askFate: c.faults}}
		nothingWrong(t, h, func(w *world, p *process) {})
	}
	h := history{Calm: 60, Ops: []op{onePost, later(9, func(w *world, p *process) {
		if n := w.asked(askParams); n < 6 || n > 9 {
			w.wrong("though it wants to be left alone for 3 s each time, it is asked %d times in 25 s", n)
		}
	})}, Faults: map[string][]fault{askParams: times(8, throttled)}}
	nothingWrong(t, h, func(w *world, p *process) {})
}

// A block that can't be read, or that one server has and another not yet, is read once more.
func TestNoBlockIsSkipped(t *testing.T) {
	for name, faults := range map[string][]fault{"lost": {lost}, "on another server": {stale, stale}} {
		h := history{Calm: 100, Behind: 90, Ops: []op{onePost, later(4, func(w *world, p *process) {
			if item := p.item(1, "everybody"); item.State != outbox.Confirmed || w.asked(askFate) > 0 {
				w.wrong("%s: it is %s, after %d questions about it", name, item.State, w.asked(askFate))
			}
		})}, Faults: map[string][]fault{askBlock: faults}}
		nothingWrong(t, h, func(w *world, p *process) {})
	}
}

// Each of these was chosen for a reason that stands beside it; whoever changes one thinks of the others.
func TestTheLimitsOfThePipeline(t *testing.T) {
	for name, c := range map[string][2]int{
		"groups in flight": {maxFlights, 80}, "… of bulk": {bulkFlights, 64}, "… of one user": {userFlights, 72}, "items signed at once": {signBatch, 256},
		"objects sealed at once": {sealBatch, 256}, "bytes of them": {SealBytes, 16 << 20}, "bytes of fresh directories": {maxFresh, 32 << 20},
		"batches looked at": {lookAhead, 16}, "blocks read one by one": {scanAtMost, 400}, "rounds between servers": {serversApart, 10},
		"seconds until algod is asked": {int(Timeout / time.Second), 10}, "seconds of a long refusal": {int(longRefusal / time.Second), 30},
		"the usual fee": {int(ledger.LowestFee), 1000},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %d, want %d", name, c[0], c[1])
		}
	}
}

// The answer about a group comes when it has landed: it says nothing about what waits.
func TestNothingIsWaitedForOnceAllHasLanded(t *testing.T) {
	for name, h := range map[string]history{
		"algod asks for a higher fee, and later for none": {Calm: 8, Faults: map[string][]fault{askSubmit: {contradicted}, askParams: {fine, slow}}},
		"a block can't be had":                            {Calm: 30, Lag: 1, Faults: map[string][]fault{askBlock: {slow, lost}, askWait: {fine, unanswered}}},
	} {
		t.Run(name, func(t *testing.T) {
			h.Ops = []op{onePost}
			nothingWrong(t, h, func(*world, *process) {})
		})
	}
}
