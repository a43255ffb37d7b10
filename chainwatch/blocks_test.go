package chainwatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
)

// fakeBlocks is an algod that has blocks, from a round on.
type fakeBlocks struct {
	t testing.TB

	mu        sync.Mutex
	tip       uint64
	from      uint64
	list      []models.Transaction
	change    func(r *onchain.Reading)
	err       error
	forgotten []uint64
}

func (b *fakeBlocks) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// WaitAfter gives its last round after a second, if there is no later one.
func (b *fakeBlocks) WaitAfter(ctx context.Context, round uint64) (uint64, error) {
	b.mu.Lock()
	tip, err := b.tip, b.err
	b.mu.Unlock()
	if err == nil && tip <= round {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return tip, err
}

func (b *fakeBlocks) witness(context.Context) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tip, b.err
}

func (b *fakeBlocks) Read(_ context.Context, round uint64) (onchain.Reading, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || round < b.from || round > b.tip {
		return onchain.Reading{}, false, b.err
	}
	hash := func(round uint64) [32]byte { return [32]byte{byte(round), byte(round >> 8), 1} }
	r := onchain.Reading{Round: round, Hash: hash(round), Prev: hash(round - 1), GenesisHash: fakeGenesis, Fit: onchain.Fits}
	for _, t := range b.list {
		if t.ConfirmedRound == round {
			signed, err := rebuild(t)
			must(b.t, err)
			r.Transactions = append(r.Transactions, onchain.Confirmed{
				SignedTxn: signed, TxID: t.Id, Position: consortium.Position{Round: round, Intra: t.IntraRoundOffset}, Asset: t.CreatedAssetIndex,
			})
		}
	}
	if b.change != nil {
		b.change(&r)
	}
	return r, true, nil
}

func (b *fakeBlocks) Forget(round uint64) { b.forgotten = append(b.forgotten, round) }

// direct is a client of the fake without a network between.
func (f *fake) direct(t testing.TB) *indexer.Client {
	t.Helper()
	client, err := indexer.MakeClientWithTransport("http://indexer", "", nil, transport(func(r *http.Request) (*http.Response, error) {
		answer := httptest.NewRecorder()
		f.ServeHTTP(answer, r)
		return answer.Result(), nil
	}))
	must(t, err)
	return client
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// multiple is a watcher of several sources.
type multiple struct {
	*Watcher
	shelf  *shelf
	log    bytes.Buffer
	missed []string
	found  []consortium.Event
}

// newMultiple follows indexers, and algod's blocks unless there are none, from a round on.
func newMultiple(t testing.TB, cursor uint64, publishers []consortium.Publisher, b *fakeBlocks, follow bool, fakes ...*fake) *multiple {
	t.Helper()
	m := &multiple{shelf: &shelf{last: cursor, publishers: publishers}}
	config := Config{
		Consortium: fakeConsortium, GenesisHash: fakeGenesis, Sink: m.shelf, Poll: 10 * time.Millisecond, Follow: follow,
		Log:   slog.New(slog.NewTextHandler(&m.log, nil)),
		Found: func(first, last uint64) ([]consortium.Event, error) { return within(m.found, first, last), nil },
		Missed: func(source string, first, last uint64) {
			m.missed = append(m.missed, fmt.Sprintf("%s %d-%d", source, first, last))
		},
	}
	if b != nil {
		b.t, config.Blocks, config.Witness = t, b, b.witness
	}
	for i, f := range fakes {
		config.Indexers = append(config.Indexers, Indexer{fmt.Sprintf("I%d", i), f.direct(t)})
	}
	m.Watcher = New(config)
	return m
}

func within(events []consortium.Event, first, last uint64) []consortium.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e consortium.Event) bool { return e.Round < first || e.Round > last })
}

// until makes the watcher work until the cursor is at a round; failures are the sources'.
func (m *multiple) until(t testing.TB, round uint64) {
	t.Helper()
	for range 300 {
		if m.shelf.last >= round {
			return
		}
		if _, err := m.step(t.Context()); errors.As(err, new(*sinkError)) {
			t.Fatal(err)
		}
	}
	t.Fatalf("the cursor is at %d, want %d: %+v\n%s", m.shelf.last, round, m.State(), m.log.String())
}

// stays makes the watcher work, to no effect.
func (m *multiple) stays(t testing.TB, round uint64) {
	t.Helper()
	for range 20 {
		_, _ = m.step(t.Context())
	}
	if m.shelf.last != round {
		t.Fatalf("the cursor is at %d, want %d", m.shelf.last, round)
	}
}

func (m *multiple) has(t testing.TB, want ...string) {
	t.Helper()
	if !slices.Equal(m.shelf.got, want) {
		t.Errorf("delivered are %v, want %v", m.shelf.got, want)
	}
}

func (m *multiple) named(name string) SourceState {
	for _, s := range m.sourceStates() {
		if s.Name == name {
			return s
		}
	}
	return SourceState{}
}

func TestBlocksThatFitNeedNoIndexer(t *testing.T) {
	w := newWriter()
	b := &fakeBlocks{tip: 510, list: []models.Transaction{w.object(t, 501, 3), w.object(t, 501, 7), w.object(t, 510, 0)}}
	m := newMultiple(t, 500, nil, b, true, newFake(t, 100))
	m.until(t, 510)
	m.has(t, "501:3", "501:7", "510:0")
	if s := m.State(); !s.CaughtUp || !s.ByBlocks || s.Tip != 510 || s.Algod != 510 || s.Problem != "" || len(m.missed) != 0 {
		t.Errorf("%+v, %v", s, m.missed)
	}
	b.set(func() { b.tip, b.list = 511, append(b.list, w.object(t, 511, 0)) })
	m.until(t, 511)
	m.has(t, "501:3", "501:7", "510:0", "511:0")
}

// What algod leaves out its header shows. The round waits for the indexer, and is taken from both.
func TestABlockThatDoesNotFitWaitsForTheIndexer(t *testing.T) {
	for fit, problem := range map[onchain.Fit]string{onchain.Differs: ProblemLies, onchain.Unclear: ProblemUnclear} {
		w := newWriter()
		shown, hidden, later := w.object(t, 505, 0), w.object(t, 505, 2), w.object(t, 507, 0)
		f := newFake(t, 504, shown, hidden, later)
		b := &fakeBlocks{tip: 510, list: []models.Transaction{shown, later}, change: func(r *onchain.Reading) {
			if r.Round == 505 {
				r.Fit = fit
			}
		}}
		m := newMultiple(t, 500, nil, b, true, f)
		m.until(t, 504)
		m.stays(t, 504)
		f.set(func() { f.round = 506 })
		m.until(t, 510)
		m.has(t, "505:0", "505:2", "507:0")
		if s := m.named(AlgodName); s.Problem != problem || !strings.Contains(m.log.String(), "problem="+problem) {
			t.Errorf("%+v", s)
		}
		if fit == onchain.Differs && !slices.Contains(b.forgotten, 505) {
			t.Error("the block would not be asked for again")
		}
	}
}

func TestABlockThatDoesNotFollowTheOneBeforeIsNotBelieved(t *testing.T) {
	w := newWriter()
	hidden := w.object(t, 503, 2)
	f := newFake(t, 510, hidden)
	b := &fakeBlocks{tip: 510, change: func(r *onchain.Reading) {
		if r.Round == 503 {
			r.Prev[5]++
		}
	}}
	m := newMultiple(t, 500, nil, b, true, f)
	m.until(t, 510)
	m.has(t, "503:2")
	if s := m.named(AlgodName); s.Problem != ProblemLies || !strings.Contains(s.Detail, "block 503 doesn't follow block 502") {
		t.Errorf("%+v", s)
	}
	if !slices.Contains(m.missed, "I0 502-502") || !slices.Contains(b.forgotten, 502) {
		t.Errorf("what may be missing in the block before is not looked for: %v, %v", m.missed, b.forgotten)
	}
}

// Without algod the indexers are followed, and when it is back it is asked for what was passed.
func TestWhileAlgodIsAwayTheIndexersAreFollowed(t *testing.T) {
	w := newWriter()
	one, two := w.object(t, 503, 0), w.object(t, 515, 0)
	f := newFake(t, 510, one, two)
	b := &fakeBlocks{tip: 510, list: []models.Transaction{one, two}, err: errors.New("away")}
	m := newMultiple(t, 500, nil, b, true, f)
	m.until(t, 510)
	m.has(t, "503:0")
	if s := m.named(AlgodName); s.Problem != ProblemAlgod || s.Detail != "away" || m.State().ByBlocks {
		t.Errorf("%+v", s)
	}
	if !slices.Contains(m.missed, "algod 501-510") {
		t.Errorf("missed: %v", m.missed)
	}
	b.set(func() { b.err, b.tip = nil, 520 })
	m.blocks.retryAt = time.Time{}
	m.until(t, 520)
	m.has(t, "503:0", "515:0")
	if s := m.named(AlgodName); s.Problem != "" || !m.State().ByBlocks {
		t.Errorf("%+v", s)
	}
}

func TestBlocksOfAnotherNetworkAreNotRead(t *testing.T) {
	f := newFake(t, 510)
	b := &fakeBlocks{tip: 510, change: func(r *onchain.Reading) { r.GenesisHash[0]++ }}
	m := newMultiple(t, 500, nil, b, true, f)
	m.until(t, 510)
	if s := m.named(AlgodName); s.Problem != ProblemAlgod || !strings.Contains(s.Detail, "another network") {
		t.Errorf("%+v", s)
	}
}

// What algod doesn't have any more is asked of the indexers, and not more than that.
func TestWhatAlgodLacksIsAskedOfTheIndexers(t *testing.T) {
	w := newWriter()
	old, recent := w.object(t, 510, 0), w.object(t, 595, 0)
	f := newFake(t, 600, old) // the recent one it leaves out
	b := &fakeBlocks{tip: 600, from: 560, list: []models.Transaction{old, recent}}
	m := newMultiple(t, 500, nil, b, true, f)
	m.until(t, 600)
	m.has(t, "510:0", "595:0")
}

func TestAHistoryEndsWhereTheBlocksBegin(t *testing.T) {
	w := newWriter()
	old, recent := w.object(t, 3000, 0), w.object(t, 9200, 0)
	f := newFake(t, 9500, old)
	b := &fakeBlocks{tip: 9500, from: 8500, list: []models.Transaction{recent}}
	m := newMultiple(t, 500, []consortium.Publisher{{Account: w.Address.String()}}, b, true, f)
	m.until(t, 9500)
	m.has(t, "3000:0", "9200:0")
	if slices.ContainsFunc(f.queries(), func(q string) bool { return strings.Contains(q, "max-round=9500") }) {
		t.Errorf("the indexer is asked for what algod has: %v", f.queries())
	}
}

func TestWhatBlocksHaveShownIsKeptUpToABound(t *testing.T) {
	b := newBlocks(nil)
	b.show(window{first: 10, last: 12, events: []consortium.Event{at(10, 0, "A"), at(12, 0, "B")}})
	if first, last, events := b.showed(1, 1000); first != 10 || last != 12 || len(events) != 2 {
		t.Errorf("%d to %d: %v", first, last, events)
	}
	if first, last, events := b.showed(11, 1); first != 11 || last != 11 || len(events) != 0 {
		t.Errorf("%d to %d: %v", first, last, events)
	}
	if first, _, _ := b.showed(13, 1000); first != 0 {
		t.Errorf("there is nothing from round 13 on, it says %d", first)
	}
	b.show(window{first: 13, last: 1500})
	if first, _, events := b.showed(1, 2000); first != 500 || len(events) != 0 {
		t.Errorf("from %d: %v", first, events)
	}
	many := make([]consortium.Event, maxShown+1)
	for i := range many {
		many[i] = at(1501+uint64(i/maxShown), uint64(i), "X")
	}
	b.show(window{first: 1501, last: 1502, events: many})
	if first, _, events := b.showed(1, 2000); first != 1502 || len(events) != 1 {
		t.Errorf("from %d: %d", first, len(events))
	}
	b.show(window{first: 1600, last: 1600}) // not the next
	if first, last, _ := b.showed(1, 2000); first != 1600 || last != 1600 {
		t.Errorf("%d to %d", first, last)
	}
}
