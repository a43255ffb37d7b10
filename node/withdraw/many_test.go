package withdraw

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

func unheard(Progress) error { return nil }

// left are the versions of objects that the view shows, by id and hour.
func (d *desk) remaining(id string) (n int) {
	for _, s := range d.events {
		if s.entry != nil && s.State == view.InView && strings.HasPrefix(s.entry.ID, id) {
			n++
		}
	}
	return n
}

func TestWhatAppliesIsWithdrawnAndNothingElse(t *testing.T) {
	ids := []string{"indicator--1", "indicator--2", "tool--3", "indicator--4"}
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		choice Choice
		goes   string // the last characters of the ids
	}{
		"a type":               {Choice{Types: []string{"indicator"}}, "124"},
		"two types":            {Choice{Types: []string{"tool", "indicator"}}, "1234"},
		"a collection":         {Choice{Collection: there}, "4"},
		"age":                  {Choice{Before: day(3)}, "12"},
		"a type and age":       {Choice{Types: []string{"tool"}, Before: day(4)}, "3"},
		"what has expired":     {Choice{Expired: day(10)}, "1"},
		"named":                {Choice{Named: []string{ids[1], ids[2]}}, "23"},
		"named, in collection": {Choice{Named: []string{ids[3]}, Collection: there}, "4"},
		"nothing of that":      {Choice{Types: []string{"malware"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			for i, id := range ids {
				v := version{id, 1, here}
				if i == 3 {
					v.collection = there
				}
				d.publishes(v)
				e := d.events[len(d.events)-1].entry
				e.StoredAt = day(i + 1)
				e.Object = fmt.Appendf(nil, `{"valid_until":%q}`, []string{"2026-01-05T00:00:00Z", "2026-02-01T00:00:00Z", "soon", ""}[i])
			}
			others := version{"indicator--9", 1, here}.entry()
			others.StoredAt, others.Object = day(1), []byte(`{"valid_until":"2020-01-01T00:00:00Z"}`)
			d.show(others, d.bravo.Address(), "THEIRS", 777)
			before := len(d.items)
			dry := c.choice
			dry.DryRun = true
			planned, err := d.withdrawer().WithdrawMany(t.Context(), dry, unheard)
			nodetest.Must(t, err)
			if len(d.items) != before || planned.Objects != len(c.goes) || planned.Freed != microalgo.PerAsset.Times(uint64(len(c.goes))) || planned.Fees != microalgo.PerTransaction.Times(uint64(len(c.goes))) {
				t.Errorf("a dry run counts %+v and takes %d", planned, len(d.items)-before)
			}
			d.minting = true
			done, err := d.withdrawer().WithdrawMany(t.Context(), c.choice, unheard)
			nodetest.Must(t, err)
			if done.Done != len(c.goes) || done.Objects != planned.Objects || done.NFTs != planned.NFTs || d.ended[777] > 0 {
				t.Errorf("it was %+v, planned %+v", done, planned)
			}
			for _, id := range ids {
				if gone := d.remaining(id) == 0; gone != strings.Contains(c.goes, id[len(id)-1:]) {
					t.Errorf("%s is gone: %t", id, gone)
				}
			}
		})
	}
}

// All of a batch goes by its NFT, some of it by records.
func TestABatchOfWhichEverythingGoesIsOneTransaction(t *testing.T) {
	for _, c := range []struct {
		types                  []string
		objects, nfts, records int
	}{{[]string{"indicator", "tool"}, 3, 1, 0}, {[]string{"indicator"}, 2, 0, 2}} {
		d := newDesk(t)
		d.batch(d.self.Address(), 50, version{"indicator--1", 1, here}, version{"indicator--2", 1, here}, version{"tool--3", 1, here})
		d.minting = true
		done, err := d.withdrawer().WithdrawMany(t.Context(), Choice{Types: c.types}, unheard)
		nodetest.Must(t, err)
		if done.Objects != c.objects || done.NFTs != c.nfts || done.Records != c.records || done.Done != c.nfts+c.records || d.remaining("indicator") != 0 {
			t.Errorf("%v: %+v, %d are left", c.types, done, d.remaining(""))
		}
		back, err := KeepsOut(d, here, "indicator--2", nil, time.Now())
		if err != nil || !back {
			t.Errorf("%v: a feed may publish it again: %t, %v", c.types, back, err)
		}
	}
}

func TestAChoiceOfNothingOrTooMuchIsRefused(t *testing.T) {
	d := newDesk(t)
	for want, c := range map[string]Choice{
		"nothing is chosen":                    {},
		"1001 objects are named":               {Named: make([]string, 1001)},
		"not both":                             {Named: []string{one}, Types: []string{"tool"}},
		"no object " + one + " is in the view": {Named: []string{one}},
	} {
		if _, err := d.withdrawer().WithdrawMany(t.Context(), c, unheard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", c.Named[:min(1, len(c.Named))], err, want)
		}
	}
}

// Whenever the power fails, the same command goes on with the rest; each NFT is ended once, and nothing that was not
// chosen is.
func TestWhatWasInterruptedGoesOnAndEndsEachOnce(t *testing.T) {
	d := newDesk(t)
	rapid.Check(t, func(rt *rapid.T) {
		d.clear()
		stay, go1 := 0, map[uint64]bool{}
		for i := range rapid.IntRange(1, 30).Draw(rt, "objects") {
			kind := rapid.SampledFrom([]string{"indicator", "tool"}).Draw(rt, "type")
			item := d.publishes(version{fmt.Sprintf("%s--%d", kind, i), 1, here})
			if kind == "tool" {
				stay++
			} else {
				go1[item.Asset] = true
			}
		}
		if rapid.Bool().Draw(rt, "batch") {
			d.batch(d.self.Address(), 50, version{"indicator--b1", 1, here}, version{"indicator--b2", 1, here})
			go1[50] = true
		}
		for attempt := 0; ; attempt++ {
			d.left = rapid.IntRange(0, 3).Draw(rt, "writes until the power fails")
			if attempt > 20 {
				d.left = 0
			}
			d.minting = rapid.Bool().Draw(rt, "the chain goes on") || attempt > 20
			ctx, stop := context.WithCancel(t.Context())
			if !d.minting {
				stop() // who waits gives up
			}
			_, err := d.withdrawer().WithdrawMany(ctx, Choice{Types: []string{"indicator"}}, unheard)
			stop()
			d.left = 0
			if err == nil && d.minting {
				break
			}
			if err != nil && !errors.Is(err, errPower) && !errors.Is(err, context.Canceled) {
				rt.Fatal(err)
			}
			if rapid.Bool().Draw(rt, "the daemon goes on") {
				d.mintAll()
			}
		}
		for asset := range go1 {
			if d.ended[asset] != 1 {
				rt.Fatalf("NFT %d was ended %d times", asset, d.ended[asset])
			}
		}
		if len(d.ended) != len(go1) || d.remaining("tool") != stay || d.remaining("indicator") != 0 {
			rt.Fatalf("%d are ended, want %d; %d tools stay, want %d; %d indicators stay", len(d.ended), len(go1), d.remaining("tool"), stay, d.remaining("indicator"))
		}
		for _, item := range d.items {
			if item.State == outbox.Stored {
				rt.Fatalf("item %d waits", item.Number)
			}
		}
	})
}

// However many were on their way before, only so many are waited for at once.
func TestWhatWasBegunBeforeIsWaitedForInPartsAsWell(t *testing.T) {
	d := newDesk(t)
	d.publishes(version{one, 1, here})
	_, err := d.withdrawer().beginAll(t.Context(), Selection{What: one})
	nodetest.Must(t, err)
	m := &many{Withdrawer: d.withdrawer(), by: freely{}, most: manyWaiting, say: unheard}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	before := chosen{begun: d.items[len(d.items)-1].Number}
	for i := range manyWaiting {
		if err := m.take(stopped, before); err != nil {
			t.Fatalf("the %dth: %v", i+1, err)
		}
	}
	if err := m.take(stopped, before); !errors.Is(err, context.Canceled) || len(m.waiting) != manyWaiting+1 {
		t.Errorf("of %d: %v", len(m.waiting), err)
	}
	d.mintAll()
	if err := m.take(t.Context(), before); err != nil || len(m.waiting) != 0 || m.Progress.Done != manyWaiting+2 || m.Begun != m.Progress.Done {
		t.Errorf("when the chain has them %d are left of %+v: %v", len(m.waiting), m.Progress, err)
	}
}
