package withdraw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const day = 24 * time.Hour

func (d *desk) LatestOf(_, collection, id string) (latest *view.Entry, err error) {
	if err := d.fails("LatestOf"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.events {
		if s.entry == nil || s.State != view.InView || s.entry.ID != id || s.entry.Collection != collection || !d.chain.State.Ours(s.entry.Publisher) {
			continue
		}
		if latest == nil || s.entry.Instant.After(latest.Instant) {
			latest = s.entry
		}
	}
	return latest, nil
}

// office is a Retainer and what it stands on.
type office struct {
	*Retainer
	mu        sync.Mutex
	spendable microalgo.Amount
	clock     problem.Condition
	lines     []taxii.Event
}

func (o *office) Spendable(context.Context) (microalgo.Amount, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.spendable, nil
}

func (o *office) Get() problem.Condition {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.clock
}

func (o *office) Record(e taxii.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, e)
}

// retainer is one that has just begun.
func (d *desk) retainer(set config.Retention) *office {
	o := &office{spendable: microalgo.ALGO}
	o.Retainer = &Retainer{Withdrawer: d.withdrawer(), Purse: o, Clock: o, Trail: o, Condition: problem.NewMonitor("the retention", nodetest.Discard)}
	o.Set(config.Config{Retention: set})
	return o
}

// months is a retention of thirty days.
func months(objects int64) config.Retention {
	return config.Retention{ExpiredFor: config.Optional{Duration: 30 * day}, Objects: objects}
}

// valid puts a version on the chain that is valid for so long from now; 0 for ever.
func (d *desk) valid(v version, last time.Duration) uint64 {
	d.Helper()
	item := d.publishes(v)
	d.lasts(last)
	return item.Asset
}

// lasts says it of the version that was shown last.
func (d *desk) lasts(last time.Duration) {
	e := d.events[len(d.events)-1].entry
	if e.Object = []byte(`{}`); last != 0 {
		e.Object = fmt.Appendf(nil, `{"valid_until":%q}`, time.Now().Add(last).UTC().Format(time.RFC3339))
	}
}

// runs lets it run for so long.
func (o *office) runs(t *testing.T, long time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	time.Sleep(long)
	synctest.Wait()
	stop()
	nodetest.Must(t, <-ended)
}

func TestWhatHasExpiredLongEnoughIsTakenBackByItself(t *testing.T) {
	d := newDesk(t)
	synctest.Test(t, func(t *testing.T) {
		d.clear()
		d.minting = true
		long := d.valid(version{"indicator--long", 1, here}, -40*day)
		soon := d.valid(version{"indicator--soon", 1, here}, -28*day)
		d.valid(version{"indicator--ever", 1, here}, 0)
		d.valid(version{"indicator--prolonged", 1, here}, -40*day) // the newest says that it is valid
		d.valid(version{"indicator--prolonged", 2, here}, 400*day)
		ended := []uint64{d.valid(version{"indicator--ended", 1, here}, 400*day), d.valid(version{"indicator--ended", 2, here}, -40*day)} // … that it is not
		others := version{"indicator--theirs", 1, here}.entry()
		d.show(others, d.bravo.Address(), "THEIRS", 777)
		d.lasts(-40 * day)
		o := d.retainer(months(1000))
		o.runs(t, time.Hour)
		if want := append([]uint64{long}, ended...); !equalAssets(d.ends(), want) {
			t.Errorf("at once it ends %v, want %v", d.ends(), want)
		}
		status, err := o.Status()
		nodetest.Must(t, err)
		if status.Today != 3 || status.Most != 1000 || status.Looked.IsZero() || status.Rests || status.Problem != "" {
			t.Errorf("its status is %+v", status)
		}
		o.runs(t, 3*day)
		if want := append([]uint64{long, soon}, ended...); !equalAssets(d.ends(), want) {
			t.Errorf("three days later it has ended %v, want %v", d.ends(), want)
		}
		if len(o.lines) != 2 || o.lines[0].Count != 3 || o.lines[0].Name != taxii.EventWithdraw || o.lines[0].User != retainers || !slices.Contains(o.lines[1].Objects, "indicator--soon") {
			t.Errorf("the audit log has %+v", o.lines)
		}
		for _, item := range d.items {
			if item.Destroys != 0 && item.By != retainers {
				t.Errorf("item %d is caused by %q", item.Number, item.By)
			}
		}
		again, err := KeepsOut(d, here, "indicator--long", fmt.Appendf(nil, `{"valid_until":%q}`, time.Now().Add(day).UTC().Format(time.RFC3339)), time.Now())
		nodetest.Must(t, err)
		over, err := KeepsOut(d, here, "indicator--long", []byte(`{"valid_until":"1999-01-01T00:00:00Z"}`), time.Now())
		nodetest.Must(t, err)
		if again || !over {
			t.Errorf("a feed is kept from publishing it anew: prolonged %t, as it was %t", again, over)
		}
	})
}

func equalAssets(got, want []uint64) bool {
	return slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want)))
}

func TestADayHasItsRation(t *testing.T) {
	d := newDesk(t)
	synctest.Test(t, func(t *testing.T) {
		d.clear()
		d.minting = true
		for n := range 8 {
			d.valid(version{fmt.Sprintf("indicator--%d", n), 1, here}, -40*day)
		}
		o := d.retainer(months(3))
		long := 23 * time.Hour // until the first midnight is near
		for n, want := range []int{3, 6, 8, 8} {
			o.runs(t, long)
			long = day
			if got := len(d.ends()); got != want {
				t.Errorf("after %d days %d are taken back, want %d", n+1, got, want)
			}
			if status, err := o.Status(); err != nil || n == 0 && !status.Rests || n == 3 && status.Rests {
				t.Errorf("after %d days its status is %+v, %v", n+1, status, err)
			}
		}
	})
}

// The reserve is for what nobody chooses: the end of an NFT brings money back, and waits all the same.
func TestRetentionLeavesTheReserve(t *testing.T) {
	d := newDesk(t)
	synctest.Test(t, func(t *testing.T) {
		d.clear()
		d.minting = true
		d.valid(version{one, 1, here}, -40*day)
		o := d.retainer(months(1000))
		o.spendable = microalgo.PerTransaction - 1
		o.runs(t, time.Hour)
		if status, err := o.Status(); err != nil || status.Problem != "funds" || status.Today != 0 || len(d.ends()) != 0 {
			t.Errorf("without money: %+v, %v; %v are ended", status, err, d.ends())
		}
		o.spendable = microalgo.PerTransaction
		o.runs(t, time.Hour)
		if status, err := o.Status(); err != nil || status.Problem != "" || status.Today != 1 || len(d.ends()) != 1 {
			t.Errorf("with money: %+v, %v; %v are ended", status, err, d.ends())
		}
	})
}

func TestARecordIsPaidForOnlyIfThatIsSaid(t *testing.T) {
	d := newDesk(t)
	for records, want := range map[bool]int{false: 0, true: 2} {
		synctest.Test(t, func(t *testing.T) {
			d.clear()
			d.minting = true
			d.batch(d.self.Address(), 50, version{"indicator--1", 1, here}, version{"indicator--2", 1, here})
			d.lasts(-40 * day)
			released := d.publishes(version{"indicator--3", 1, here})
			d.lasts(-40 * day)
			nodetest.Must(t, d.releasing().release(outbox.Deposit{Item: released}))
			d.mintAll()
			set := months(1000)
			set.Records = records
			o := d.retainer(set)
			o.runs(t, time.Hour)
			taken := d.remaining("indicator--2") == 0
			if status, err := o.Status(); err != nil || status.Today != want || taken != records || d.remaining("indicator--1") != 1 {
				t.Errorf("records %t: %+v, %v; it is gone: %t", records, status, err, taken)
			}
			d.events[1].entry.Object = d.events[2].entry.Object // the rest of the batch has expired as well
			o.runs(t, time.Hour)
			if d.remaining("indicator--1") != 0 {
				t.Errorf("records %t: of a batch of which all has expired something stays", records)
			}
		})
	}
}

func TestRetentionIsForTheCollectionsThatAreNamed(t *testing.T) {
	d := newDesk(t)
	synctest.Test(t, func(t *testing.T) {
		d.clear()
		d.minting = true
		d.valid(version{one, 1, there}, -40*day)
		set := months(1000)
		set.Collections = []string{"nowhere"}
		o := d.retainer(set)
		o.runs(t, time.Hour)
		if status, err := o.Status(); err != nil || !strings.Contains(status.Detail, "nowhere") || len(d.ends()) != 0 {
			t.Errorf("in a collection that there isn't: %+v, %v", status, err)
		}
		set.Collections = nil
		o.Set(config.Config{Retention: set})
		o.runs(t, time.Minute)
		if status, err := o.Status(); err != nil || status.Problem != "" || len(d.ends()) != 1 {
			t.Errorf("in all: %+v, %v", status, err)
		}
	})
}

func TestNothingIsTakenBackUnlessItIsConfiguredAndTheClockIsRight(t *testing.T) {
	d := newDesk(t)
	synctest.Test(t, func(t *testing.T) {
		d.clear()
		d.minting = true
		d.valid(version{one, 1, here}, -40*day)
		o := d.retainer(config.Retention{Objects: 1000})
		o.runs(t, 10*day)
		if status, err := o.Status(); err != nil || status != nil || len(d.ends()) != 0 {
			t.Errorf("it is off: %+v, %v; %v", status, err, d.ends())
		}
		o.Set(config.Config{Retention: months(1000)})
		o.clock = problem.Condition{Problem: "clock", Detail: "it is 3h ahead"}
		o.runs(t, 10*day)
		if status, err := o.Status(); err != nil || !strings.Contains(status.Detail, "3h ahead") || len(d.ends()) != 0 {
			t.Errorf("the clock is wrong: %+v, %v; %v", status, err, d.ends())
		}
	})
}

// Whenever the power fails, each is ended once, no day has more than its ration, and in the end all are gone.
func TestRetentionSurvivesAFailureOfThePower(t *testing.T) {
	d := newDesk(t)
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			d.clear()
			d.minting = true
			want := map[uint64]bool{}
			for n := range rapid.IntRange(1, 12).Draw(rt, "objects") {
				want[d.valid(version{fmt.Sprintf("indicator--%d", n), 1, here}, -40*day)] = true
			}
			most := rapid.IntRange(1, 5).Draw(rt, "ration")
			byDay, before := map[string]int{}, 0
			for attempt := range 200 {
				d.left = rapid.IntRange(0, 4).Draw(rt, "writes until the power fails")
				if attempt > 20 {
					d.left = 0
				}
				o := d.retainer(months(int64(most)))
				if err := o.takeAll(t.Context(), o.settings(), time.Now()); err != nil && !errors.Is(err, errPower) && !errors.Is(err, errEnough) {
					rt.Fatal(err)
				}
				d.left = 0
				d.mintAll()
				now := len(d.ends())
				byDay[time.Now().UTC().Format(time.DateOnly)] += now - before
				before = now
				if rapid.Bool().Draw(rt, "the day ends") || attempt > 20 {
					time.Sleep(day)
				}
				if len(d.ended) == len(want) {
					break
				}
			}
			for asset := range want {
				if d.ended[asset] != 1 {
					rt.Fatalf("NFT %d is ended %d times", asset, d.ended[asset])
				}
			}
			for on, n := range byDay {
				if n > most {
					rt.Fatalf("on %s %d are taken back, the ration is %d", on, n, most)
				}
			}
		})
	})
}
