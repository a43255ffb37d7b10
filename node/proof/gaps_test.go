package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/internal/nodetest"
)

func TestAMissingNumberIsNamedAndOverdueOnceItCantComeAnyMore(t *testing.T) {
	p := newProven(t)
	if list := p.notary().Missing(); len(list) != 0 {
		t.Fatalf("nothing is missing, and it says %+v", list)
	}
	p.Mallory.Sequence += 2
	p.published(1)
	p.Self.Sequence++ // it has no name in the list before hers
	e := p.Mint(p.Self, p.Object(2))
	p.Takes(e)
	p.Mallory.Sequence++
	p.published(3)
	for _, overdue := range []bool{false, true} {
		var got []string
		for _, m := range p.notary().Missing() {
			got = append(got, fmt.Sprintf("%s %d-%d %t", m.Member, m.Range.First, m.Range.Last, m.Overdue))
		}
		want := fmt.Sprintf("[mallory 1-2 %t mallory 4-4 %t self 2-2 %t]", overdue, overdue, overdue)
		if fmt.Sprint(got) != want {
			t.Errorf("missing are %v, want %s", got, want)
		}
		p.Pass(consortium.Overdue + 1)
	}
}

// watched is a watch over holes that a test makes.
type watched struct {
	*GapWatch
	mu    sync.Mutex
	holes []Missing
	asked []CrosscheckOptions
	said  bytes.Buffer
	round uint64
	give  func() (Crosscheck, error)
}

func newWatched() *watched {
	w := &watched{give: func() (Crosscheck, error) { return Crosscheck{}, nil }}
	w.GapWatch = &GapWatch{
		Log:     slog.New(slog.NewTextHandler(&w.said, nil)),
		Round:   func() uint64 { w.mu.Lock(); defer w.mu.Unlock(); return w.round },
		Missing: func() []Missing { w.mu.Lock(); defer w.mu.Unlock(); return slices.Clone(w.holes) },
		Crosscheck: func(_ context.Context, o CrosscheckOptions, _ func(uint64, uint64)) (Crosscheck, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asked = append(w.asked, o)
			return w.give()
		},
	}
	return w
}

// watch runs the watch for a test, which changes what is missing and lets time pass.
func watch(t *testing.T, do func(w *watched, pass func(time.Duration, func()))) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		do(w, func(d time.Duration, change func()) {
			synctest.Wait()
			w.mu.Lock()
			change()
			w.mu.Unlock()
			time.Sleep(d)
			synctest.Wait()
		})
		cancel()
		nodetest.Must(t, <-ended)
	})
}

func hole(member string, first, since uint64) Missing {
	return Missing{Member: member, Range: consortium.Range{First: first, Last: first, Since: since}}
}

func TestAlgodIsAskedAboutAHoleThatStays(t *testing.T) {
	watch(t, func(w *watched, pass func(time.Duration, func())) {
		pass(time.Hour, func() { w.holes, w.round = []Missing{hole("mallory", 3, 5000)}, 5000+suspicious-1 })
		if len(w.asked) != 0 {
			t.Errorf("a hole of %d rounds is asked about: %+v", suspicious-1, w.asked)
		}
		pass(lookEvery, func() { w.round++ })
		if len(w.asked) != 1 || w.asked[0] != (CrosscheckOptions{From: 5000 - windowAround, Member: "mallory"}) {
			t.Errorf("asked is %+v", w.asked)
		}
		pass(3*time.Hour, func() {})
		if len(w.asked) != 1 {
			t.Errorf("the same hole is asked about %d times", len(w.asked))
		}
		// It is filled, and comes again: a new one.
		pass(time.Minute, func() { w.holes = nil })
		pass(time.Minute, func() { w.holes = []Missing{hole("mallory", 3, 5000)} })
		if len(w.asked) != 2 {
			t.Errorf("after it was filled it was asked about %d times", len(w.asked)-1)
		}
	})
}

func TestTheSearchBeginsAtTheOldestHoleAndNeverBeforeTheChain(t *testing.T) {
	watch(t, func(w *watched, pass func(time.Duration, func())) {
		pass(lookEvery, func() { w.holes, w.round = []Missing{hole("m", 9, 900), hole("m", 3, 700), hole("m", 5, 800)}, 9000 })
		if len(w.asked) != 1 || w.asked[0].From != 0 {
			t.Errorf("asked is %+v", w.asked)
		}
	})
	watch(t, func(w *watched, pass func(time.Duration, func())) {
		pass(lookEvery, func() { w.holes, w.round = []Missing{hole("m", 9, 2900), hole("m", 3, 2700), hole("m", 5, 2800)}, 9000 })
		if len(w.asked) != 1 || w.asked[0].From != 2700-windowAround {
			t.Errorf("asked is %+v", w.asked)
		}
	})
}

func TestWhatTheIndexerLeavesOutIsListedOnceAndToldOnce(t *testing.T) {
	omitted := Finding{Problem: Omitted, TxID: "T", Sender: "mallory", Round: 7}
	watch(t, func(w *watched, pass func(time.Duration, func())) {
		w.give = func() (Crosscheck, error) {
			return Crosscheck{Findings: []Finding{omitted, {Problem: NotInBlock, TxID: "N"}, {Problem: Differs, TxID: "D"}, {Problem: NoRight, TxID: "R"}}}, nil
		}
		pass(lookEvery, func() { w.holes, w.round = []Missing{hole("mallory", 3, 0)}, 9000 })
		pass(2*firstPause, func() { w.holes = append(w.holes, hole("mallory", 5, 0)) })
		if list := w.List(); len(w.asked) != 2 || len(list) != 1 || list[0] != omitted {
			t.Errorf("asked %d times, listed are %+v", len(w.asked), list)
		}
		if n := strings.Count(w.said.String(), "leaves a transaction out that algod has"); n != 1 {
			t.Errorf("it is told %d times: %s", n, w.said.String())
		}
		w.Forget() // with the view it begins again
		if list := w.List(); len(list) != 0 {
			t.Errorf("after a new view: %+v", list)
		}
	})
}

func TestTheListOfWhatIsLeftOutIsBounded(t *testing.T) {
	watch(t, func(w *watched, pass func(time.Duration, func())) {
		w.give = func() (c Crosscheck, _ error) {
			for n := range 3 * maxOmitted {
				c.Findings = append(c.Findings, Finding{Problem: Omitted, TxID: fmt.Sprint(n)})
			}
			return c, nil
		}
		pass(lookEvery, func() { w.holes, w.round = []Missing{hole("mallory", 3, 0)}, 9000 })
		if n := len(w.List()); n != 100 {
			t.Errorf("%d are listed", n)
		}
	})
}

// Without an answer the question stays: it is asked again, after longer and longer pauses.
func TestAnAlgodThatIsAwayIsToldAndAskedAgain(t *testing.T) {
	watch(t, func(w *watched, pass func(time.Duration, func())) {
		w.give = func() (Crosscheck, error) { return Crosscheck{}, errors.New("algod is away") }
		pass(lookEvery, func() { w.holes, w.round = []Missing{hole("mallory", 3, 0)}, 9000 })
		if !strings.Contains(w.said.String(), "algod could not be asked about missing transactions") || !strings.Contains(w.said.String(), "algod is away") {
			t.Errorf("the log says %s", w.said.String())
		}
		pass(3*firstPause+2*lookEvery, func() {})
		if n := len(w.asked); n != 3 { // at once, after one minute, after two more
			t.Errorf("in the first three minutes algod is asked %d times", n)
		}
		pass(24*time.Hour, func() {})
		if n := len(w.asked); n < 24 || n > 32 {
			t.Errorf("in a day algod is asked %d times", n)
		}
		pass(2*lastPause, func() {
			w.asked = nil
			w.give = func() (Crosscheck, error) {
				return Crosscheck{Findings: []Finding{{Problem: Omitted, TxID: "T"}}}, nil
			}
		})
		if len(w.asked) != 1 || len(w.List()) != 1 {
			t.Errorf("when it is back it is asked %d times, and %d are listed", len(w.asked), len(w.List()))
		}
	})
}

// The log is told when a member's numbers are overdue, and again when they have doubled.
func TestTheLogIsToldOfOverdueNumbersAndNotTooOften(t *testing.T) {
	watch(t, func(w *watched, pass func(time.Duration, func())) {
		told := func() int { return strings.Count(w.said.String(), "transactions of a member are missing") }
		for n, want := range []int{0, 1, 1, 2, 2, 2, 2, 3} {
			pass(lookEvery, func() {
				w.holes = []Missing{hole("mallory", 1, 0)} // one that is not overdue
				for i := range n {
					m := hole("mallory", uint64(2*i+3), 0)
					m.Overdue = true
					w.holes = append(w.holes, m)
				}
			})
			if told() != want {
				t.Errorf("with %d overdue it was told %d times, want %d", n, told(), want)
			}
		}
		if !strings.Contains(w.said.String(), "member=mallory holes=1 first=3 last=3") {
			t.Errorf("the log says %s", w.said.String())
		}
	})
}
