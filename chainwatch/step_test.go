package chainwatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/internal/wire"
)

// shelf is a sink that keeps what it is given, of publishers that a test names.
type shelf struct {
	last       uint64
	got        []string
	publishers []consortium.Publisher
	counts     func(next []consortium.Event) []consortium.Publisher // instead
	cursorErr  error
	deliverErr error
}

func (s *shelf) Cursor() (uint64, error) { return s.last, s.cursorErr }

func (s *shelf) Publishers(next []consortium.Event) []consortium.Publisher {
	if s.counts != nil {
		return s.counts(next)
	}
	return s.publishers
}

func (s *shelf) Deliver(_ context.Context, last uint64, events []consortium.Event) error {
	if s.deliverErr == nil {
		s.last, s.got = last, append(s.got, rounded(events)...)
	}
	return s.deliverErr
}

// founded is an indexer with a charter in round 10.
func founded(t testing.TB, round uint64, list ...models.Transaction) (f *fake, w *writer, charter string) {
	t.Helper()
	w = newWriter()
	c := w.at(t, wire.Note{Kind: wire.KindCharter}, 10, 0)
	return newFake(t, round, append([]models.Transaction{c}, list...)...), w, c.Id
}

func (f *fake) watcher(t testing.TB, charter string, s *shelf, witness Witness) *Watcher {
	t.Helper()
	return New(Config{
		Indexers: []Indexer{{"the indexer", f.client(t)}}, Consortium: fakeConsortium, Charter: charter, GenesisHash: fakeGenesis, Sink: s, Witness: witness, Poll: time.Hour, Log: slog.New(slog.DiscardHandler),
	})
}

// steps makes a watcher work until there is nothing more to do at once.
func steps(t testing.TB, w *Watcher) progress {
	t.Helper()
	for range 1000 {
		did, err := w.step(t.Context())
		must(t, err)
		if !did.more {
			return did
		}
	}
	t.Fatal("there is no end")
	return progress{}
}

func TestANewSinkIsGivenTheCharterThenTheHistoryThenTheTip(t *testing.T) {
	f, w, charter := founded(t, 5000)
	late := w.object(t, 4500, 0)
	f.list = append(f.list, w.object(t, 11, 0), w.object(t, 3000, 0), late)
	s := &shelf{publishers: []consortium.Publisher{{Account: w.Address.String(), Since: 10}}}
	watcher := f.watcher(t, charter, s, nil)
	did := steps(t, watcher)
	if !slices.Equal(s.got, []string{"10:0", "11:0", "3000:0", "4500:0"}) || s.last != 5000 || did.cursor != 5000 || !did.whole || did.held || did.unsettled {
		t.Errorf("up to %d: %v; %+v", s.last, s.got, did)
	}
	state := watcher.State()
	if state.Cursor != 5000 || !state.CaughtUp || !state.Filtered || state.Indexer != 5000 || state.Tip != 5000 || state.Problem != "" {
		t.Errorf("%+v", state)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := watcher.AwaitTip(t.Context()); err != nil {
		t.Error(err)
	}
	got := f.queries()
	if !strings.HasPrefix(got[0], "/v2/transactions?txid=") || !strings.Contains(got[1], "/v2/accounts/"+w.Address.String()+"/transactions?limit=1000&max-round=10&min-round=10") {
		t.Errorf("asked for %q", got)
	}
	watcher.Reset()
	if state := watcher.State(); state.Cursor != 0 || state.CaughtUp || watcher.history != nil || watcher.sources[0].rounds != nil {
		t.Errorf("after the reset: %+v", state)
	}
	if err := watcher.AwaitTip(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after the reset it is at the tip: %v", err)
	}
	s.last, s.got = 0, nil
	if steps(t, watcher); len(s.got) != 4 || watcher.AwaitTip(t.Context()) != nil {
		t.Errorf("after the reset: %v", s.got)
	}
}

// The history is read account by account where the tip is out of the reach of one query.
func TestTheTipIsReadFromAThousandRoundsAway(t *testing.T) {
	for _, c := range []struct {
		filtered bool
		round    uint64
		want     string
	}{
		{true, 1100, "/v2/transactions?limit=1000&max-round=1100&min-round=101&"}, {true, 1101, "/v2/accounts/X/transactions?limit=1000&max-round=1101&min-round=101&"},
		{false, 132, "/v2/transactions?limit=1000&max-round=132&min-round=101"}, {false, 133, "/v2/accounts/X/transactions?limit=1000&max-round=133&min-round=101"},
	} {
		f := newFake(t, c.round)
		s := &shelf{last: 100, publishers: []consortium.Publisher{{Account: "X", Since: 1}}}
		w := f.watcher(t, "", s, nil)
		w.sources[0].reader.filters = filters{c.filtered, c.filtered}
		w.sources[0].tip.hear(c.round, c.round)
		if _, err := w.step(t.Context()); err != nil || !strings.HasPrefix(f.queries()[0], c.want) {
			t.Errorf("at round %d, filtered %v: asked for %q, %v", c.round, c.filtered, f.queries(), err)
		}
		if steps(t, w); s.last != c.round {
			t.Errorf("it ends at %d of %d", s.last, c.round)
		}
	}
	// What algod doesn't have is no reason to read a history.
	f := newFake(t, 100_000)
	w := f.watcher(t, "", &shelf{last: 100}, func(context.Context) (uint64, error) { return 150, nil })
	w.sources[0].tip.hear(100_000, 100_000)
	if _, err := w.step(t.Context()); err != nil || !strings.HasPrefix(f.queries()[0], "/v2/transactions") {
		t.Errorf("asked for %q, %v", f.queries(), err)
	}
}

func TestAWindowAtTheTipIsReadToItsEndWhileTheCursorStays(t *testing.T) {
	f := newFake(t, 500)
	wr := newWriter()
	f.list, f.page = []models.Transaction{wr.object(t, 101, 0), wr.object(t, 102, 0)}, 1
	s := &shelf{last: 100}
	w := f.watcher(t, "", s, nil)
	for n, more := range []bool{true, true, false} {
		did, err := w.step(t.Context())
		if must(t, err); did.more != more || did.cursor != map[bool]uint64{true: 100, false: 500}[more] || (w.sources[0].rounds == nil) == more {
			t.Errorf("page %d: %+v", n, did)
		}
	}
	s.last = 101 // somebody set it back
	f.asked = nil
	if steps(t, w); f.asked[0].Get("min-round") != "102" {
		t.Errorf("asked for %v", f.asked[0])
	}
	w.sources[0].rounds = newRounds(&w.sources[0].reader, 501, 1500)
	w.sources[0].reader.filters.txType = false // by now it refuses them: the window is another
	f.round, f.asked = 510, nil
	if steps(t, w); f.asked[0].Get("max-round") != "532" {
		t.Errorf("asked for %v", f.asked[0])
	}
}

func TestTheCursorPassesNoCharterThatIsNotThere(t *testing.T) {
	f, w, charter := founded(t, 500)
	s := &shelf{publishers: []consortium.Publisher{{Account: w.Address.String(), Since: 10}}}
	for what, c := range map[string]struct {
		charter string
		instead func(n int, path string, q url.Values) (int, string)
		want    string
	}{
		"it is not found":       {"none", nil, "the indexer doesn't have the charter's transaction none"},
		"it can't be asked for": {charter, func(int, string, url.Values) (int, string) { return 500, `{"message":"x"}` }, "asking the indexer for transaction "},
		"its word is forged":    {charter, func(int, string, url.Values) (int, string) { m := f.list[0]; m.Fee++; return 200, answer(500, "", m) }, "the charter's transaction " + charter + ": forged: "},
		"its account's history lacks it": {charter, func(_ int, path string, _ url.Values) (int, string) {
			if strings.HasPrefix(path, "/v2/accounts/") {
				return 200, answer(500, "")
			}
			return 0, ""
		}, "the indexer doesn't give the charter's transaction, of round 10"},
	} {
		f.instead = c.instead
		watcher := f.watcher(t, c.charter, s, nil)
		var err error
		for range 5 {
			if _, err = watcher.step(t.Context()); err != nil {
				break
			}
		}
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || s.last != 0 || watcher.history != nil {
			t.Errorf("%s: %v, at round %d", what, err, s.last)
		}
	}
}

func TestWhatAlgodDoesNotHaveIsHeldBack(t *testing.T) {
	wr := newWriter()
	f := newFake(t, 120, wr.object(t, 105, 0), wr.object(t, 115, 0))
	s := &shelf{last: 100}
	algodAt := uint64(110)
	w := f.watcher(t, "", s, func(context.Context) (uint64, error) { return algodAt, nil })
	w.sources[0].tip.hear(120, 120)
	did := steps(t, w)
	if !slices.Equal(s.got, []string{"105:0"}) || s.last != 110 || !did.held || did.events != 1 || did.cursor != 110 || did.unsettled || !w.State().CaughtUp {
		t.Errorf("up to %d: %v; %+v", s.last, s.got, did)
	}
	if did = steps(t, w); s.last != 110 || !did.held || did.events != 0 {
		t.Errorf("then up to %d: %+v", s.last, did)
	}
	algodAt = 120
	if did = steps(t, w); s.last != 120 || did.held || did.events != 1 {
		t.Errorf("at last up to %d: %+v", s.last, did)
	}
	// One answer of the indexer is none.
	fresh := newFake(t, 120).watcher(t, "", &shelf{last: 100}, nil)
	if did, err := fresh.step(t.Context()); err != nil || did.more || !did.unsettled || did.cursor != 100 || fresh.State().CaughtUp || !did.held {
		t.Errorf("after one answer: %+v, %v", did, err)
	}
}

func TestAFailureOfTheSinkEndsTheFollowing(t *testing.T) {
	disk := errors.New("the disk is full")
	f, w, charter := founded(t, 500)
	for what, s := range map[string]*shelf{"the cursor": {cursorErr: disk}, "the delivery": {deliverErr: disk, publishers: []consortium.Publisher{{Account: w.Address.String(), Since: 10}}},
		"the delivery at the tip": {last: 100, deliverErr: disk}} {
		watcher := f.watcher(t, charter, s, nil)
		watcher.pace.poll = time.Millisecond
		if err := watcher.Run(t.Context()); !errors.Is(err, disk) || !strings.HasPrefix(err.Error(), "following the chain: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.watcher(t, charter, &shelf{cursorErr: disk}, nil).Run(ctx); err != nil {
		t.Errorf("a run that was ended: %v", err)
	}
}

func TestAFailureIsAProblemWhenItGoesOn(t *testing.T) {
	w := &Watcher{config: Config{Log: slog.New(slog.DiscardHandler)}}
	failed := errors.New("x")
	if pause := w.failed(failed, 0, false); pause < 125*time.Millisecond || pause > 250*time.Millisecond || w.State().Problem != "" {
		t.Errorf("one failure: a pause of %s, %+v", pause, w.State())
	}
	if pause := w.failed(failed, 3, true); pause < time.Second || pause > 2*time.Second || w.State().Problem != ProblemIndexer || w.State().Detail != "x" {
		t.Errorf("more: a pause of %s, %+v", pause, w.State())
	}
}

func TestAnIndexerThatFailsNowAndThenIsNamedAfterTheSecondTimeInARow(t *testing.T) {
	f := newFake(t, 500)
	var bad atomic.Bool
	f.instead = func(int, string, url.Values) (int, string) {
		if bad.Load() {
			return 500, `{"message":"out of order"}`
		}
		return 0, ""
	}
	s := &shelf{last: 100}
	w := f.watcher(t, "", s, nil)
	w.pace.poll = 10 * time.Millisecond
	var log bytes.Buffer
	w.config.Log = slog.New(slog.NewTextHandler(&log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	waiting.Until(t, "the tip", func() bool { return w.State().CaughtUp })
	if answered := w.State().LastAnswer; time.Since(answered) > time.Minute {
		t.Errorf("the last answer is of %s", answered)
	}
	bad.Store(true)
	waiting.Until(t, "the problem", func() bool { return w.State().Problem == ProblemIndexer })
	if state := w.State(); !strings.Contains(state.Detail, "out of order") || state.CaughtUp || state.Since.IsZero() {
		t.Errorf("%+v", state)
	}
	bad.Store(false)
	waiting.Until(t, "the end of the problem", func() bool { s := w.State(); return s.Problem == "" && s.CaughtUp && s.Since.IsZero() })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "can't be followed") || !strings.Contains(text, "answers again") {
		t.Errorf("the log: %s", text)
	}
}

func TestAHintIsBelievedAsFarAsTheChainCanBe(t *testing.T) {
	w := New(Config{Indexers: []Indexer{{}}, Poll: time.Hour})
	w.state.Cursor = 100
	w.sources[0].tip.hear(150, 150)
	for round, news := range map[uint64]bool{99: false, 100: false, 101: true, 1150: true, 1151: false} {
		clear(w.hints)
		select {
		case <-w.wake:
		default:
		}
		if w.Hint("bravo", round); (w.hints["bravo"] == round) != news || (len(w.wake) == 1) != news {
			t.Errorf("round %d: %v, woken %d", round, w.hints, len(w.wake))
		}
	}
	clear(w.hints)
	w.Hint("bravo", 105)
	w.Hint("bravo", 103)
	w.Hint("charlie", 104)
	if fmt.Sprint(w.hints) != "map[bravo:105 charlie:104]" {
		t.Errorf("%v", w.hints)
	}
	if !w.listen(t.Context()) || len(w.hints) != 0 || len(w.pace.targets) != 2 {
		t.Errorf("%v, %+v", w.hints, w.pace.targets)
	}
	if w.listen(t.Context()) {
		t.Error("nothing was said, and it is news")
	}
	if w.Hint("delta", 104); w.listen(t.Context()) {
		t.Error("what is looked for already is news")
	}
	w.state.Cursor = 2000 // beyond all that is known of the chain
	w.Hint("bravo", 3000)
	if w.Hint("delta", 3001); fmt.Sprint(w.hints) != "map[bravo:3000]" {
		t.Errorf("%v", w.hints)
	}
	w.Confirmed(3000)
	if _, algod, _ := w.sources[0].tip.last(); algod != 3000 || w.hints[""] != 3000 {
		t.Errorf("what was confirmed is not known: algod at %d, %v", algod, w.hints)
	}
}

func TestAHintLetsAlgodBeAskedForItsRound(t *testing.T) {
	asked := 0
	w := New(Config{Indexers: []Indexer{{}}, Poll: time.Hour, Witness: func(context.Context) (uint64, error) { asked++; return 120, nil }})
	w.sources[0].tip.hear(100, 100)
	w.Hint("bravo", 110)
	w.Hint("charlie", 120)
	if w.listen(t.Context()); asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	if _, algod, _ := w.sources[0].tip.last(); algod != 120 {
		t.Errorf("algod is at %d", algod)
	}
}

func TestAHintBringsTheNextStepForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(Config{Indexers: []Indexer{{}}, Poll: time.Hour, Log: slog.New(slog.DiscardHandler)})
		w.pace.after(progress{whole: true})
		rests := func(what string, pause time.Duration, failing bool, want time.Duration) {
			t.Helper()
			began := time.Now()
			if !w.rest(t.Context(), pause, failing) || time.Since(began) != want {
				t.Errorf("%s: it rests for %s, want %s", what, time.Since(began), want)
			}
		}
		rests("nothing", time.Minute, false, time.Minute)
		time.AfterFunc(time.Second, func() { w.Hint("bravo", 7) })
		rests("a hint", time.Minute, false, time.Second)
		time.AfterFunc(time.Second, func() { w.Hint("bravo", 7) })
		rests("the same hint", time.Minute, false, time.Minute)
		time.AfterFunc(time.Second, func() { w.Hint("bravo", 8) })
		rests("a hint while the indexer fails", time.Minute, true, time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if New(Config{Indexers: []Indexer{{}}, Poll: time.Hour}).rest(ctx, time.Minute, false) {
			t.Error("the end of a run is none")
		}
	})
}

// Algod goes back while a history is read: what it does not have any more is read again.
func TestAHistoryIsDeliveredAsFarAsAlgodIs(t *testing.T) {
	wr := newWriter()
	f := newFake(t, 5000, wr.object(t, 2000, 0), wr.object(t, 3000, 0))
	s := &shelf{last: 100, publishers: []consortium.Publisher{{Account: wr.Address.String(), Since: 1}}}
	algodAt := uint64(5000)
	w := f.watcher(t, "", s, func(context.Context) (uint64, error) { return algodAt, nil })
	w.sources[0].tip.hear(5000, 5000)
	if did, err := w.step(t.Context()); err != nil || !did.more || did.cursor != 100 || w.history == nil {
		t.Fatalf("%+v, %v", did, err)
	}
	w.sources[0].tip.mu.Lock()
	algodAt = 2500
	w.sources[0].tip.told(2500)
	w.sources[0].tip.mu.Unlock()
	for s.last == 100 {
		if _, err := w.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s.last != 2500 || !slices.Equal(s.got, []string{"2000:0"}) || w.history != nil {
		t.Errorf("up to %d: %v", s.last, s.got)
	}
	algodAt = 5000
	if steps(t, w); s.last != 5000 || !slices.Equal(s.got, []string{"2000:0", "3000:0"}) {
		t.Errorf("up to %d: %v", s.last, s.got)
	}
}
