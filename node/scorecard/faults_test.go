package scorecard

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/feedback"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

var errDisk = errors.New("the disk is gone")

// failing is a view, and disputes, that can't be read the time that is said.
type failing struct {
	pages
	disputes
	calls, bad int
}

func (f *failing) fails() error {
	if f.calls++; f.calls == f.bad {
		return errDisk
	}
	return nil
}

func (f *failing) Page(q view.Query) ([]*view.Entry, bool, error) {
	if err := f.fails(); err != nil {
		return nil, false, err
	}
	return f.pages.Page(q)
}

func (f *failing) Latest(collection, id string) (*view.Entry, error) {
	if err := f.fails(); err != nil {
		return nil, err
	}
	return f.pages.Latest(collection, id)
}

func (f *failing) LatestOf(member, collection, id string) (*view.Entry, error) {
	if err := f.fails(); err != nil {
		return nil, err
	}
	return f.pages.LatestOf(member, collection, id)
}

func (f *failing) Event(txid string) (view.Event, bool, error) {
	if err := f.fails(); err != nil {
		return view.Event{}, false, err
	}
	return f.pages.Event(txid)
}

func (f *failing) Log(after consortium.Position, limit int) ([]view.Event, error) {
	if err := f.fails(); err != nil {
		return nil, err
	}
	return f.pages.Log(after, limit)
}

func (f *failing) Disputes() ([]feedback.Dispute, error) {
	if err := f.fails(); err != nil {
		return nil, err
	}
	return f.disputes.Disputes()
}

// A card that leaves out what could not be read would be a false one.
func TestWhatCanNotBeReadIsNoCard(t *testing.T) {
	w := newWorld(t)
	f, m, self := w.Founder.Address(), w.Mallory.Address(), w.State.Self
	object := w.publish(f, 50*day, "a.example", "")
	w.publish(m, 40*day, "a.example", "")
	w.publish(f, 30*day, "b.example", "")
	w.publishAs(f, 20*day, id(3), "2026-01-03T00:00:00.000Z", "b.example", `"revoked":true,`)
	w.disputes = []feedback.Dispute{{Object: object, By: []string{m, self}}, {Object: object, Of: f, By: []string{self}}}
	for bad := 1; ; bad++ {
		w.open()
		store := &failing{pages: w.repo.View, disputes: w, bad: bad}
		w.room.View, w.room.Disputes = store, store
		all, err := w.room.Cards(t.Context(), reader, "")
		if store.calls < bad {
			nodetest.Must(t, err)
			if len(all.Cards) != 3 || all.Partial || bad < 15 {
				t.Fatalf("after %d readings: %+v", store.calls, all)
			}
			return
		}
		if !errors.Is(err, errDisk) {
			t.Fatalf("reading %d fails: %+v, %v", bad, all, err)
		}
		if all, err = w.room.Cards(t.Context(), reader, ""); err != nil || all.Partial || all.Cards[0].Member == "" {
			t.Fatalf("after reading %d failed once: %+v, %v", bad, all, err)
		}
		w.now = w.now.Add(keptFor)
		store.bad = store.calls + 1 // of what came since
		if all, err := w.room.Cards(t.Context(), reader, ""); !errors.Is(err, errDisk) {
			t.Fatalf("what came since can't be read: %+v, %v", all, err)
		}
	}
}

// What a member published in the period is counted however much it is, in as many looks as it takes.
func TestManyPagesAreCountedAsTheTimeAllows(t *testing.T) {
	w := newWorld(t)
	f := w.Founder.Address()
	w.publish(f, 200*day, "old.example", "")
	const many = 2*countPage + 17
	for n := range many {
		w.publish(f, 10*day, fmt.Sprintf("v%d.example", n), "")
	}
	slow := func() time.Time { w.now = w.now.Add(countTime / 4); return w.now }
	w.room.Now = slow
	all, err := w.room.Cards(t.Context(), reader, w.State.Name(f))
	nodetest.Must(t, err)
	if !all.Partial || len(all.Cards) != 1 || all.Cards[0].Objects != 0 {
		t.Fatalf("when the time is over: %+v", all)
	}
	looks := 1
	for ; all.Partial && looks < 50; looks++ {
		all, err = w.room.Cards(t.Context(), reader, w.State.Name(f))
		nodetest.Must(t, err)
	}
	if c := all.Cards[0]; c.Objects != many || c.Indicators != many || looks != 2 {
		t.Fatalf("after %d looks: %+v", looks, all)
	}
	w.now = w.now.Add(keptFor)
	w.room.Now = func() time.Time { return w.now }
	for n := range countPage + 3 {
		w.publish(f, 0, fmt.Sprintf("n%d.example", n), "")
	}
	all, err = w.room.Cards(t.Context(), reader, w.State.Name(f))
	nodetest.Must(t, err)
	if all.Cards[0].Objects != many+countPage+3 {
		t.Errorf("with what came since: %+v", all)
	}
}

func TestALetterTakesTenThatWereChecked(t *testing.T) {
	for checked, want := range map[int]string{9: "F", 10: "B", 49: "B", 50: "A"} {
		c := taxii.MemberCard{Corroborated: checked}
		if propose(&c); c.Proposal != want {
			t.Errorf("of %d: %s", checked, c.Proposal)
		}
	}
}
