package withdraw

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

func newSignal() *signal.Signal { return &signal.Signal{} }

func TestWhatAnItemTakesThePlaceOfIsKnownWhenNoneOfItIsOnItsWay(t *testing.T) {
	for _, c := range []struct {
		what  string
		old   outbox.Item
		item  outbox.Item
		want  []swarm.Published
		known bool
	}{
		{"nothing", outbox.Item{}, outbox.Item{}, nil, true},
		{"an NFT that the outbox doesn't know", outbox.Item{}, outbox.Item{ReplacesAsset: 7}, []swarm.Published{{Asset: 7}}, true},
		{"an item that is not there", outbox.Item{}, outbox.Item{Replaces: 9}, nil, true},
		{"one on its way", outbox.Item{State: outbox.Signed}, outbox.Item{Replaces: 1}, nil, false},
		{"one on its way and an NFT", outbox.Item{State: outbox.Signed}, outbox.Item{Replaces: 1, ReplacesAsset: 7}, nil, false},
		{"one that is minted", outbox.Item{State: outbox.Confirmed, Asset: 8}, outbox.Item{Replaces: 1}, []swarm.Published{{Asset: 8}}, true},
		{"one that is minted and another NFT", outbox.Item{State: outbox.Confirmed, Asset: 8}, outbox.Item{Replaces: 1, ReplacesAsset: 7}, []swarm.Published{{Asset: 7}, {Asset: 8}}, true},
		{"one that is that NFT", outbox.Item{State: outbox.Confirmed, Asset: 8}, outbox.Item{Replaces: 1, ReplacesAsset: 8}, []swarm.Published{{Asset: 8}}, true},
		{"one object of a batch", outbox.Item{}, outbox.Item{ReplacesAsset: 7, ReplacesIndex: 17}, []swarm.Published{{Asset: 7, Index: 17}}, true},
		{"another object of that batch", outbox.Item{State: outbox.Confirmed, Asset: 7, Index: 2}, outbox.Item{Replaces: 1, ReplacesAsset: 7, ReplacesIndex: 17},
			[]swarm.Published{{Asset: 7, Index: 17}, {Asset: 7, Index: 2}}, true},
		{"one that failed", outbox.Item{State: outbox.Confirmed, Asset: 8, Failure: "x"}, outbox.Item{Replaces: 1}, nil, true},
		{"one that is withdrawn", outbox.Item{State: outbox.Withdrawn, Asset: 8}, outbox.Item{Replaces: 1}, nil, true},
		{"one that others published before", outbox.Item{State: outbox.Confirmed}, outbox.Item{Replaces: 1}, nil, true},
	} {
		assets, known, err := Replaced(&desk{items: []outbox.Item{c.old}}, c.item)
		if err != nil || known != c.known || known && !slices.Equal(assets, c.want) {
			t.Errorf("%s: %v, known %t, %v", c.what, assets, known, err)
		}
	}
}

// The new one is minted first: nothing is ended while it might still fail.
func TestWhatIsReplacedIsEndedWhenWhatReplacesItIsOnTheChain(t *testing.T) {
	d := newDesk(t)
	synctest.Test(t, func(t *testing.T) {
		d.clear()
		d.done = *newSignal()
		old := d.publishes(version{one, 1, here})
		other := d.publishes(version{two, 1, here})
		fresh, failing := d.post(version{one, 1, here}), d.post(version{two, 1, here})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.replacer().Run(ctx) }()
		synctest.Wait()
		if len(d.ends()) > 0 {
			t.Errorf("%v are ended while what replaces them is on its way", d.ends())
		}
		d.mint(fresh.Number)
		d.items[failing.Number-1].State, d.items[failing.Number-1].Failure = outbox.Confirmed, "it may not be published"
		d.done.Notify()
		synctest.Wait()
		if !slices.Equal(d.ends(), []uint64{old.Asset}) || len(d.replacing) > 0 {
			t.Errorf("%v are ended, want %d, and not %d, whose successor failed; %v are left", d.ends(), old.Asset, other.Asset, d.replacing)
		}
		stop()
		nodetest.Must(t, <-ended)
	})
}

func TestAFailureToEndWhatIsReplacedEndsTheReplacer(t *testing.T) {
	d := newDesk(t)
	d.publishes(version{one, 1, here})
	d.publishes(version{one, 1, here})
	failure := errors.New("the disk is gone")
	r := d.replacer()
	r.End = func(context.Context, swarm.Published) (outbox.Item, error) { return outbox.Item{}, failure }
	if err := r.Run(t.Context()); !errors.Is(err, failure) {
		t.Errorf("it gives %v", err)
	}
	if len(d.replacing) != 1 {
		t.Error("it is not tried again at the next start")
	}
}

// Objects are published, replaced and withdrawn by clients and by the operator in any order, and the power fails after
// any durable step: in the end every NFT that had to go was ended once, what nobody withdrew is there in its last form,
// and nothing else is.
func TestEveryNFTThatHasToGoIsEndedOnceWhateverHappensOnTheWay(t *testing.T) {
	d := newDesk(t)
	for seed := range uint64(4000) {
		d.clear()
		h := &history{desk: d, Rand: rand.New(rand.NewPCG(seed, 2)), withdrawn: map[version]bool{}}
		for range 12 {
			h.step()
		}
		if problem := h.end(); problem != "" {
			t.Fatalf("seed %d: %q: %s", seed, h.said, problem)
		}
	}
}

// history is what a node's clients, its operator and the chain do.
type history struct {
	*desk
	*rand.Rand
	withdrawn map[version]bool // what is not to be there in the end: somebody was told so
	said      []string
}

var versions = []version{{one, 1, here}, {one, 2, here}, {one, 1, there}}

func (h *history) step() {
	v := versions[h.IntN(len(versions))]
	if h.IntN(3) == 0 {
		h.left = 1 + h.IntN(6)
	}
	switch n := h.IntN(8); {
	case n < 2:
		h.left = 0
		h.post(v)
		delete(h.withdrawn, v)
		h.said = append(h.said, fmt.Sprintf("post %v", v))
	case n < 4:
		h.left = 0
		if waiting := slices.DeleteFunc(slices.Clone(h.items), func(i outbox.Item) bool { return i.State != outbox.Stored }); len(waiting) > 0 {
			item := waiting[h.IntN(len(waiting))]
			h.mint(item.Number)
			h.said = append(h.said, fmt.Sprintf("mint %d", item.Number))
		}
	case n < 6:
		err := h.withdraws(v)
		h.said = append(h.said, fmt.Sprintf("withdraw %v: %v", v, err))
		if errors.Is(err, errPower) { // whoever was not answered asks again
			h.left = 0
			err = h.withdraws(v)
			h.said = append(h.said, fmt.Sprintf("again: %v", err))
		}
		if err == nil {
			h.withdrawn[v] = true
		}
	default:
		h.replaces()
	}
	h.left = 0
}

// withdraws withdraws a version as a client does, or with all the others as the operator.
func (h *history) withdraws(v version) error {
	for _, s := range h.events {
		if s.State == view.InView && sameVersion(s.entry, v.entry()) {
			_, err := h.withdrawer().Withdraw(context.Background(), taxii.Principal{}, taxii.Collection{ID: v.collection}, []taxii.Record{{
				ID: v.id, Version: s.entry.Version, TxID: s.TxID, AssetID: s.Asset,
			}})
			return err
		}
	}
	return errors.New("it is not there")
}

func (h *history) replaces() {
	if err := h.replacer().endAll(context.Background()); err != nil && !errors.Is(err, errPower) {
		h.Error(err)
	}
	h.said = append(h.said, "replace")
}

// end lets everything come to its end, and says what is wrong then.
func (h *history) end() string {
	h.left = 0
	for again := true; again; {
		h.replaces()
		again = h.mintAll() > 0
	}
	if len(h.replacing) > 0 {
		return fmt.Sprintf("%v have not taken their places", h.replacing)
	}
	for asset, times := range h.ended {
		if times != 1 {
			return fmt.Sprintf("NFT %d is ended %d times", asset, times)
		}
	}
	for _, v := range versions {
		last, posted, _ := h.Find(keyOf(v))
		left := 0
		for _, s := range h.events {
			if !sameVersion(s.entry, v.entry()) || s.State == view.Ended {
				continue
			}
			if left++; s.TxID != last.TxID {
				return fmt.Sprintf("%v is there as %s, and %s was the last", v, s.TxID, last.TxID)
			}
		}
		if want := posted && !h.withdrawn[v]; left > 1 || (left == 1) != want {
			return fmt.Sprintf("%v is there %d times, wanted: %t", v, left, want)
		}
	}
	return ""
}
