package proof

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/found"
)

// kept is what a notary hands over.
func (p *proven) kept(work func(n *Notary) error) (txids []string, err error) {
	n := p.notary()
	n.Log = slog.New(slog.DiscardHandler)
	n.Keep = func(list []onchain.Confirmed) error {
		for _, c := range list {
			txids = append(txids, c.TxID)
		}
		return nil
	}
	err = work(n)
	slices.Sort(txids)
	return txids, err
}

func sorted(txids ...string) []string { return slices.Sorted(slices.Values(txids)) }

func TestWhatABlockHasMoreThanTheLogIsKept(t *testing.T) {
	p := newProven(t)
	p.published(1)
	omitted := p.Mint(p.Mallory, p.Object(2))
	stranger := p.Mint(nodetest.NewOrg(t, "stranger"), p.Object(5)) // counts for nothing
	p.published(3)
	check := func(n *Notary) error {
		_, err := n.Crosscheck(t.Context(), CrosscheckOptions{EveryRound: true}, func(uint64, uint64) {})
		return err
	}
	got, err := p.kept(check)
	nodetest.Must(t, err)
	if !slices.Equal(got, sorted(omitted.TxID)) {
		t.Errorf("kept are %v, want %s and not %s", got, omitted.TxID, stranger.TxID)
	}
	for _, fit := range []onchain.Fit{onchain.Differs, onchain.Unclear} {
		p.chain.fit = fit
		if got, err := p.kept(check); err != nil || len(got) != 0 {
			t.Errorf("of a block that can't be held against its header: %v, %v", got, err)
		}
	}
}

func TestOnlyRoundsThatWerePassedWithoutAlgodAreReadAgain(t *testing.T) {
	p := newProven(t)
	before := p.Mint(p.Mallory, p.Object(1))
	p.published(2)
	inside := p.Mint(p.Mallory, p.Object(3))
	p.published(4)
	after := p.Mint(p.Mallory, p.Object(5))
	p.published(6)
	got, err := p.kept(func(n *Notary) error {
		return n.Recheck(t.Context(), found.Missed{First: before.Round + 1, Last: after.Round - 1})
	})
	nodetest.Must(t, err)
	if !slices.Equal(got, sorted(inside.TxID)) {
		t.Errorf("kept are %v, want %s", got, inside.TxID)
	}
	nodetest.Must(t, p.notary().Recheck(t.Context(), found.Missed{First: p.Round + 100, Last: p.Round + 200}))
}

// rereads has the indexer give some events when it is asked again.
func (s *sources) rereads(events ...consortium.Event) {
	s.reread = func(_ string, first, last uint64, publishers func([]consortium.Event) []consortium.Publisher, take func([]consortium.Event) error) error {
		publishers(nil)
		var window []consortium.Event
		for _, e := range events {
			if e.Round >= first && e.Round <= last {
				window = append(window, e)
			}
		}
		return take(window)
	}
}

func TestWhatAnIndexerHasMoreThanTheLogIsKeptIfItCounts(t *testing.T) {
	p := newProven(t)
	known := p.published(1)
	omitted := p.Mint(p.Mallory, p.Object(2))
	stranger := p.Mint(nodetest.NewOrg(t, "stranger"), p.Object(5))
	p.published(3)
	late := p.Mint(p.Mallory, p.Object(4))
	p.published(6)
	p.chain.rereads(known, omitted, stranger, late)
	reread := func(first, last uint64) func(n *Notary) error {
		return func(n *Notary) error { return n.Reread(t.Context(), "I", found.Missed{First: first, Last: last}) }
	}
	p.chain.find = func(txid string) (chainwatch.Finding, error) {
		t.Errorf("an indexer is asked for %s, of which algod has the block", txid)
		return chainwatch.Finding{}, nil
	}
	for _, c := range []struct {
		first, last uint64
		want        []string
	}{{1, 1 << 40, sorted(omitted.TxID, late.TxID)}, {1, omitted.Round, sorted(omitted.TxID)}, {late.Round, late.Round, sorted(late.TxID)}, {p.Round + 1, p.Round + 9, nil}} {
		if got, err := p.kept(reread(c.first, c.last)); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%d to %d: %v, %v; want %v", c.first, c.last, got, err, c.want)
		}
	}
	// Algod has the block, and it isn't there.
	never := omitted
	never.TxID, never.Intra = "NEVER", 7
	p.chain.rereads(never)
	if got, err := p.kept(reread(1, 1<<40)); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	// Algod doesn't have the block any more: the indexer's word stands where nothing else does.
	p.chain.fit, p.chain.find = onchain.Unclear, nil
	p.chain.rereads(omitted)
	if got, err := p.kept(reread(1, 1<<40)); err != nil || !slices.Equal(got, sorted(omitted.TxID)) {
		t.Errorf("%v, %v", got, err)
	}
	there := omitted
	there.Position = known.Position
	p.chain.rereads(there)
	if got, err := p.kept(reread(1, 1<<40)); err != nil || len(got) != 0 {
		t.Errorf("in the place of another one: %v, %v", got, err)
	}
	failing := errors.New("away")
	p.chain.reread = func(string, uint64, uint64, func([]consortium.Event) []consortium.Publisher, func([]consortium.Event) error) error {
		return failing
	}
	if _, err := p.kept(reread(1, 1<<40)); !errors.Is(err, failing) {
		t.Errorf("%v", err)
	}
}

// shelf is a table of what was found, in memory.
type shelf struct {
	mu       sync.Mutex
	list     []found.Transaction
	unfolded int
	itself   time.Time
	missed   map[string]found.Missed
}

func (s *shelf) Add(list ...found.Transaction) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list, s.unfolded = append(s.list, list...), s.unfolded+len(list)
	return len(list), nil
}

func (s *shelf) Between(uint64, uint64) []found.Transaction { return nil }

func (s *shelf) Count() (int, int, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list), s.unfolded, s.itself
}

func (s *shelf) Began(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unfolded = 0
	if !at.IsZero() {
		s.itself = at
	}
	return nil
}

func (s *shelf) Miss(source string, first, last uint64) error { return nil }

func (s *shelf) Missed(source string) (found.Missed, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, some := s.missed[source]
	return m, some
}

func (s *shelf) Asked(source string, _ found.Missed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.missed, source)
	return nil
}

func TestWhatWasFoundIsGivenAsItWasSigned(t *testing.T) {
	p := newProven(t)
	p.Mint(p.Mallory, p.Object(1))
	e := p.published(2)
	block, _, err := p.chain.Read(t.Context(), e.Round)
	nodetest.Must(t, err)
	c, here := inReading(block, e.TxID)
	if !here {
		t.Fatal("it isn't in its block")
	}
	l := &Late{Found: p.R.Found, Network: [32]byte(p.chain.network), Log: slog.New(slog.DiscardHandler)}
	nodetest.Must(t, l.Keep([]onchain.Confirmed{c}))
	events, err := l.Events(e.Round, e.Round)
	if err != nil || len(events) != 1 || difference(events[0], e) != "" || events[0].TxID != e.TxID {
		t.Errorf("%+v, %v; want %+v", events, err, e)
	}
	if events, err := l.Events(e.Round+1, e.Round+9); err != nil || len(events) != 0 {
		t.Errorf("%+v, %v", events, err)
	}
	l.Network[0]++
	if _, err := l.Events(1, 1<<40); err == nil {
		t.Error("what was damaged is given all the same")
	}
}

func TestAViewIsFoldedAnewByItselfOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &shelf{missed: map[string]found.Missed{}}
		var folds atomic.Int64
		l := &Late{Found: s, Sources: func() []chainwatch.SourceState { return nil }, Log: slog.New(slog.DiscardHandler)}
		l.Rebuild = func(context.Context) error {
			folds.Add(1)
			return l.Began()
		}
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		find := func(want int64) {
			t.Helper()
			nodetest.Must(t, l.Keep(make([]onchain.Confirmed, 1)))
			if synctest.Wait(); folds.Load() != want {
				t.Errorf("the view was folded anew %d times, want %d", folds.Load(), want)
			}
		}
		time.Sleep(time.Hour)
		find(1)
		time.Sleep(23 * time.Hour)
		find(1)
		if status := l.Status(); status.Found != 2 || status.Unfolded != 1 || time.Until(status.FoldsAt) != time.Hour {
			t.Errorf("%+v", status)
		}
		time.Sleep(time.Hour + lateEvery)
		if synctest.Wait(); folds.Load() != 2 || l.Status().Unfolded != 0 {
			t.Errorf("the view was folded anew %d times", folds.Load())
		}
		time.Sleep(2 * betweenFolds)
		if synctest.Wait(); folds.Load() != 2 {
			t.Errorf("with nothing new it was folded anew %d times", folds.Load())
		}
		_, _, last := s.Count()
		nodetest.Must(t, l.Began()) // by the operator
		if _, _, now := s.Count(); !now.Equal(last) {
			t.Error("what the operator does counts as done by itself")
		}
		cancel()
		nodetest.Must(t, <-ended)
	})
}

func TestAFoldThatFailsIsNotPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := errors.New("no disk")
		l := &Late{Found: &shelf{}, Sources: func() []chainwatch.SourceState { return nil }, Log: slog.New(slog.DiscardHandler)}
		l.Rebuild = func(context.Context) error { return failing }
		ended := make(chan error, 1)
		go func() { ended <- l.Run(t.Context()) }()
		nodetest.Must(t, l.Keep(make([]onchain.Confirmed, 1)))
		if err := <-ended; !errors.Is(err, failing) {
			t.Errorf("it ends with %v", err)
		}
	})
}

func TestASourceIsAskedForWhatItMissedWhenItIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := &shelf{missed: map[string]found.Missed{"I": {First: 5, Last: 9}, chainwatch.AlgodName: {First: 7, Last: 8}}}
		var states atomic.Pointer[[]chainwatch.SourceState]
		state := func(problem string, out bool) {
			states.Store(&[]chainwatch.SourceState{{Name: "I", Problem: problem, LeftOut: out}, {Name: chainwatch.AlgodName, Problem: problem}, {Name: "other"}})
		}
		state(chainwatch.ProblemIndexer, false)
		var asked, read, failing atomic.Int64
		var log strings.Builder
		failing.Store(1)
		l := &Late{Found: s, Sources: func() []chainwatch.SourceState { return *states.Load() }, Log: nodetest.LogTo(&log)}
		l.Reread = func(_ context.Context, source string, m found.Missed) error {
			if source != "I" || m != (found.Missed{First: 5, Last: 9}) {
				t.Errorf("%s is asked for %+v", source, m)
			}
			if asked.Add(1); failing.Load() > 0 {
				return errors.New("away")
			}
			return nil
		}
		l.Recheck = func(context.Context, found.Missed) error {
			read.Add(1)
			return nil
		}
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		pass := func(d time.Duration, wantAsked, wantRead int64) {
			t.Helper()
			time.Sleep(d)
			if synctest.Wait(); asked.Load() != wantAsked || read.Load() != wantRead {
				t.Errorf("asked %d and %d times, want %d and %d", asked.Load(), read.Load(), wantAsked, wantRead)
			}
		}
		pass(time.Hour, 0, 0)
		state(chainwatch.ProblemBehind, true)
		pass(time.Hour, 0, 0)
		state("", false)
		pass(lateEvery, 1, 1)
		pass(lateRetry/2, 1, 1) // it failed, and is left alone for a while
		pass(lateRetry, 2, 1)
		failing.Store(0)
		pass(lateRetry+lateEvery, 3, 1)
		pass(time.Hour, 3, 1)
		cancel()
		nodetest.Must(t, <-ended)
		if said := strings.Count(log.String(), "could not be asked"); said != 2 {
			t.Errorf("of two failures the log says\n%s", log.String())
		}
	})
}
