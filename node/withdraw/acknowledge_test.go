package withdraw

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/outbox"
)

// acknowledgements are who says that it has seen one withdrawn.
func (d *desk) acknowledgements(w *Withdrawer, id string) (names []string) {
	d.Helper()
	shown, err := w.Show(d.Context(), id)
	nodetest.Must(d, err)
	for _, one := range shown.Withdrawals {
		for _, m := range one.Members {
			if !m.At.IsZero() {
				names = append(names, m.Member)
			}
		}
	}
	slices.Sort(names)
	return names
}

// took takes what members were asked since the last time.
func (d *desk) took() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	slices.Sort(asked)
	return asked
}

func TestMembersAreAskedWhatTheyHaveSeenWithdrawnUntilTheySaySo(t *testing.T) {
	d := newDesk(t)
	alpha, bravo := peerOf(t, d.alpha), peerOf(t, d.bravo)
	d.members = map[peer.ID]bool{alpha: true, "a stranger": true}
	first, second := d.publishes(version{one, 1, here}), d.publishes(version{two, 1, here})
	ask := func(what string, w *Withdrawer, want ...string) {
		t.Helper()
		nodetest.Must(t, w.askAround(t.Context()))
		if asked := d.took(); !slices.Equal(asked, want) {
			t.Errorf("%s: members are asked %q, want %q", what, asked, want)
		}
	}
	w := d.withdrawer()
	ask("nothing is withdrawn", w)
	for _, item := range []outbox.Item{first, second} {
		_, err := w.beginAll(t.Context(), Selection{What: item.ObjectID})
		nodetest.Must(t, err)
	}
	ask("nothing of that is on the chain", w)
	if w.IsWithdrawn(swarm.Published{Asset: first.Asset}) {
		t.Error("members are told of a withdrawal that the chain doesn't have")
	}
	d.mintAll()
	if !w.IsWithdrawn(swarm.Published{Asset: first.Asset}) || w.IsWithdrawn(swarm.Published{Asset: 4711}) {
		t.Error("members are told something else than the chain says")
	}
	if list, err := w.Publications(one); err != nil || len(list) > 0 {
		t.Errorf("of what is withdrawn there are %+v, %v", list, err)
	}
	if asked := d.took(); len(asked) > 0 {
		t.Errorf("for what is in the view members are asked %q", asked)
	}
	both := fmt.Sprint([]uint64{first.Asset, second.Asset})
	ask("on the chain", w, "alpha "+both)
	d.seen[alpha] = map[uint64]bool{second.Asset: true}
	ask("it has seen one", w, "alpha "+both)
	ask("the other one", w, "alpha "+fmt.Sprint([]uint64{first.Asset}))
	if got := d.acknowledgements(w, two); !slices.Equal(got, []string{"alpha"}) {
		t.Errorf("the second is acknowledged by %v", got)
	}
	d.took()
	ask("after a restart", d.withdrawer(), "alpha "+fmt.Sprint([]uint64{first.Asset}))
	d.members[bravo] = false // it is connected and says nothing
	ask("another member comes", w, "alpha "+fmt.Sprint([]uint64{first.Asset}), "bravo "+both)
	d.members[bravo], d.seen[bravo] = true, map[uint64]bool{first.Asset: true, second.Asset: true}
	d.seen[alpha][first.Asset] = true
	ask("all have seen all", w, "alpha "+fmt.Sprint([]uint64{first.Asset}), "bravo "+both)
	if ask("and are asked no more", w); len(w.open) > 0 {
		t.Errorf("%v are looked at still", w.open)
	}
	for _, id := range []string{one, two} {
		if got := d.acknowledgements(w, id); !slices.Equal(got, []string{"alpha", "bravo"}) {
			t.Errorf("%s is acknowledged by %v", id, got)
		}
	}
	ask("nor after a restart", d.withdrawer())
}

func TestARemovedMemberIsNotAskedNorWaitedFor(t *testing.T) {
	d := newDesk(t)
	draft, err := consortium.DraftRemoval(d.chain.ID, d.bravo.Address(), time.Now())
	nodetest.Must(t, err)
	d.chain.Know(d.chain.Mint(d.alpha, draft))
	alpha := peerOf(t, d.alpha)
	d.members = map[peer.ID]bool{alpha: true, peerOf(t, d.bravo): true, peerOf(t, d.self): true}
	item := d.publishes(version{one, 1, here})
	w := d.withdrawer()
	_, err = w.beginAll(t.Context(), Selection{What: one})
	nodetest.Must(t, err)
	d.mintAll()
	d.seen[alpha] = map[uint64]bool{item.Asset: true}
	nodetest.Must(t, w.askAround(t.Context()))
	nodetest.Must(t, w.askAround(t.Context()))
	if asked := d.took(); !slices.Equal(asked, []string{"alpha " + fmt.Sprint([]uint64{item.Asset})}) || len(w.open) > 0 {
		t.Errorf("asked were %q, and %v is open", asked, w.open)
	}
}

// What is withdrawn again, since it was asked for twice, is what was remembered the first time.
func TestAWithdrawalIsRememberedOnce(t *testing.T) {
	d := newDesk(t)
	d.publishes(version{one, 1, here})
	for range 2 {
		_, err := d.withdrawer().beginAll(t.Context(), Selection{What: one})
		nodetest.Must(t, err)
	}
	d.mintAll()
	d.members[peerOf(t, d.alpha)], d.seen[peerOf(t, d.alpha)] = true, map[uint64]bool{9001: true}
	w := d.withdrawer()
	nodetest.Must(t, w.askAround(t.Context()))
	nodetest.Must(t, w.remember(Withdrawal{ID: one, Asset: 9001})) // by whoever asks a third time
	if got := d.acknowledgements(w, one); !slices.Equal(got, []string{"alpha"}) {
		t.Errorf("it is acknowledged by %v", got)
	}
	if len(d.ends()) != 1 {
		t.Errorf("it is ended by %v", d.ends())
	}
}

// The last thousand withdrawals are asked about, whatever there were before.
func TestAThousandWithdrawalsAreAskedAboutAndNoMore(t *testing.T) {
	d := newDesk(t)
	w := d.withdrawer()
	nodetest.Must(t, w.askAround(t.Context())) // which reads what is open
	for asset := range uint64(1100) {
		nodetest.Must(t, w.remember(Withdrawal{ID: one, Asset: asset}))
	}
	if len(w.open) != 1000 {
		t.Errorf("%d are open", len(w.open))
	}
	all, err := w.withdrawals()
	if err != nil || len(all) != 1000 {
		t.Fatalf("after a restart %d are open, %v", len(all), err)
	}
	if least := slices.MinFunc(all, func(a, b swarm.Published) int { return cmp.Compare(a.Asset, b.Asset) }); least.Asset != 100 {
		t.Errorf("after a restart they are open from %d on", least.Asset)
	}
}

func TestMembersAreAskedAtOnceAndEveryMinute(t *testing.T) {
	d := newDesk(t)
	synctest.Test(t, func(t *testing.T) {
		d.clear()
		d.done = *newSignal()
		d.members[peerOf(t, d.alpha)] = true
		d.publishes(version{one, 1, here})
		w := d.withdrawer()
		_, err := w.beginAll(t.Context(), Selection{What: one})
		nodetest.Must(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		synctest.Wait()
		d.mintAll()
		synctest.Wait()
		if n := len(d.took()); n != 1 {
			t.Errorf("members are asked %d times when the chain has it", n)
		}
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if n := len(d.took()); n != 10 {
			t.Errorf("members are asked %d times in ten minutes", n)
		}
		stop()
		nodetest.Must(t, <-ended)
	})
}

func TestWhatIsNoMemoOfAWithdrawalIsNoMistakeThatPasses(t *testing.T) {
	d := newDesk(t)
	d.memory[acknowledgedMemo(swarm.Published{Asset: 7})] = []byte("{")
	if _, err := d.withdrawer().Show(t.Context(), one); err == nil {
		t.Error("a memo that can't be read is skipped")
	}
	d.memory = map[string][]byte{withdrawnPrefix + "x": []byte("{}")}
	if err := d.withdrawer().askAround(t.Context()); err == nil {
		t.Error("a memo of nothing is skipped")
	}
}
