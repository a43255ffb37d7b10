package chainwatch

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/wire"
)

// except is what an indexer has that leaves some out.
func except(list []models.Transaction, out ...int) (rest []models.Transaction) {
	for i, t := range list {
		if !slices.Contains(out, i) {
			rest = append(rest, t)
		}
	}
	return rest
}

func objects(t testing.TB, w *writer, rounds ...uint64) (list []models.Transaction) {
	t.Helper()
	for _, round := range rounds {
		list = append(list, w.object(t, round, 0))
	}
	return list
}

func TestWhatAnyIndexerShowsIsTaken(t *testing.T) {
	for name, c := range map[string]struct{ round, last uint64 }{"at the tip": {900, 900}, "in the history": {9000, 9000}} {
		t.Run(name, func(t *testing.T) {
			w := newWriter()
			list := objects(t, w, 501, 502, 503, 504, 505)
			m := newMultiple(t, 500, []consortium.Publisher{{Account: w.Address.String()}}, nil, false,
				newFake(t, c.round, except(list, 0, 3)...), newFake(t, c.round, except(list, 1)...), newFake(t, c.round, except(list, 4)...))
			m.until(t, c.last)
			m.has(t, "501:0", "502:0", "503:0", "504:0", "505:0")
			for i, want := range [][]int{{0, 3}, {1}, {4}} {
				m.recheck(t.Context(), m.sources[i])
				var got []string
				for _, lie := range m.sourceStates()[i].Lies {
					got = append(got, lie.TxID)
				}
				var names []string
				for _, n := range want {
					names = append(names, list[n].Id)
				}
				if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
					t.Errorf("source %d is said to leave out %v, want %v", i, got, names)
				}
			}
		})
	}
}

func TestTheCursorWaitsForEveryIndexer(t *testing.T) {
	w := newWriter()
	list := objects(t, w, 501, 520)
	slow := newFake(t, 510, list...)
	m := newMultiple(t, 500, nil, nil, false, newFake(t, 530, except(list, 0)...), slow)
	m.until(t, 510)
	m.stays(t, 510)
	m.has(t, "501:0")
	slow.set(func() { slow.round = 530 })
	m.until(t, 530)
	m.has(t, "501:0", "520:0")
}

// One indexer shows an admission, another one what the newcomer has published.
func TestWhoCountsIsKnownFromAllIndexers(t *testing.T) {
	governor, newcomer := newWriter(), newWriter()
	admission := governor.at(t, wire.Note{Kind: wire.KindMember, Account: newcomer.Address.String()}, 600, 0)
	object := newcomer.object(t, 700, 0)
	m := newMultiple(t, 500, nil, nil, false, newFake(t, 9000, object), newFake(t, 9000, admission))
	m.shelf.counts = func(next []consortium.Event) []consortium.Publisher {
		list := []consortium.Publisher{{Account: governor.Address.String()}}
		for _, e := range next {
			if e.Note.Kind == wire.KindMember {
				list = append(list, consortium.Publisher{Account: e.Note.Account, Since: e.Round})
			}
		}
		return list
	}
	m.until(t, 9000)
	m.has(t, "600:0", "700:0")
	again := newMultiple(t, 500, nil, nil, false, newFake(t, 9000, object))
	again.shelf.counts = m.shelf.counts
	found, err := m.decode.event(admission)
	must(t, err)
	again.found = []consortium.Event{found} // late
	again.until(t, 9000)
	again.has(t, "600:0", "700:0")
}

func TestALongHistoryIsSplitTheSameForAllIndexers(t *testing.T) {
	w, v := newWriter(), newWriter()
	var list []models.Transaction
	var want []string
	for round := uint64(1000); round < 1040; round++ {
		list = append(list, w.object(t, round, 0), v.object(t, round, 1))
		want = append(want, rounded([]consortium.Event{at(round, 0, ""), at(round, 1, "")})...)
	}
	one, two := newFake(t, 9000, except(list, 3, 50)...), newFake(t, 9000, except(list, 20, 77)...)
	m := newMultiple(t, 500, []consortium.Publisher{{Account: w.Address.String()}, {Account: v.Address.String()}}, nil, false, one, two)
	for _, s := range m.sources {
		s.reader.most, s.reader.limit = 7, 3
	}
	m.until(t, 9000)
	m.has(t, want...)
}

// moved is a transaction as an indexer gives it that lies about where it is.
func moved(t models.Transaction, round, intra, asset uint64) models.Transaction {
	t.ConfirmedRound, t.IntraRoundOffset, t.CreatedAssetIndex = round, intra, asset
	return t
}

func TestWhereIndexersDifferTheBlockDecides(t *testing.T) {
	w := newWriter()
	a, b := w.object(t, 501, 0), w.object(t, 502, 0)
	for name, lie := range map[string][]models.Transaction{
		"another round":                {moved(a, 503, 0, a.CreatedAssetIndex), b},
		"another offset":               {moved(a, 501, 5, a.CreatedAssetIndex), b},
		"another asset":                {moved(a, 501, 0, 77), b},
		"the place of another":         {moved(a, 502, 0, a.CreatedAssetIndex), b},
		"something never confirmed":    {a, b, moved(w.object(t, 501, 0), 501, 0, 5)},
		"a place that another one has": {a, moved(b, 501, 0, b.CreatedAssetIndex)},
	} {
		t.Run(name, func(t *testing.T) {
			blocks := &fakeBlocks{tip: 510, list: []models.Transaction{a, b}}
			m := newMultiple(t, 500, nil, blocks, false, newFake(t, 510, a, b), newFake(t, 510, lie...))
			m.until(t, 510)
			m.has(t, "501:0", "502:0")
			m.recheck(t.Context(), m.sources[0])
			m.recheck(t.Context(), m.sources[1])
			if states := m.sourceStates(); len(states[0].Lies) != 0 || len(states[1].Lies) == 0 || states[1].Problem != ProblemLies {
				t.Errorf("%+v", states)
			}
			for what, change := range map[string]func(){
				"without the block":                   func() { blocks.from = 600 },
				"with a block that doesn't fit":       func() { blocks.change = func(r *onchain.Reading) { r.Fit = onchain.Differs } },
				"with a block that can't be compared": func() { blocks.change = func(r *onchain.Reading) { r.Fit = onchain.Unclear } },
				"with a block of another network":     func() { blocks.change = func(r *onchain.Reading) { r.GenesisHash[1]++ } },
				"while algod is away":                 func() { blocks.err = errors.New("away") },
			} {
				*blocks = fakeBlocks{t: t, tip: 510, list: []models.Transaction{a, b}}
				change()
				m := newMultiple(t, 500, nil, blocks, false, newFake(t, 510, a, b), newFake(t, 510, lie...))
				m.stays(t, 500)
				_, err := m.step(t.Context())
				for err == nil {
					_, err = m.step(t.Context())
				}
				if m.failed(err, 3, true); m.State().Problem != ProblemDispute {
					t.Errorf("%s: %+v", what, m.State())
				}
			}
		})
	}
}

func TestWhatWasFoundLateIsInEveryWindow(t *testing.T) {
	w := newWriter()
	late, known := w.object(t, 505, 0), w.object(t, 506, 0)
	decoded, err := decoder{consortium: fakeConsortium, genesisHash: fakeGenesis}.event(late)
	must(t, err)
	for _, round := range []uint64{600, 9000} {
		f := newFake(t, round, known)
		m := newMultiple(t, 500, []consortium.Publisher{{Account: w.Address.String()}}, nil, false, f)
		m.found = []consortium.Event{decoded}
		if round == 600 { // and what an indexer says of it now is not asked
			f.list = append(f.list, moved(late, 507, 0, late.CreatedAssetIndex))
		}
		m.until(t, round)
		m.has(t, "505:0", "506:0")
		if m.recheck(t.Context(), m.sources[0]); len(m.sourceStates()[0].Lies) != 1 {
			t.Errorf("it isn't said that the indexer leaves it out: %+v", m.sourceStates())
		}
	}
}

// An hour is how long a source is waited for that fails, or stands while the others go on.
func TestASourceThatDoesNotAnswerForAnHourIsLeftOut(t *testing.T) {
	for name, fail := range map[string]func(f *fake){
		"it fails":  func(f *fake) { f.instead = func(int, string, url.Values) (int, string) { return 500, "x" } },
		"it stands": func(f *fake) { f.round = 500 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWriter()
			list := objects(t, w, 510)
			good, bad := newFake(t, 520, list...), newFake(t, 520, list...)
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				m := newMultiple(t, 500, nil, nil, false, good, bad)
				m.config.Poll, m.pace.poll = 20*time.Second, 20*time.Second
				bad.set(func() { fail(bad) })
				ended := make(chan error, 1)
				go func() { ended <- m.Run(ctx) }()
				time.Sleep(58 * time.Minute)
				if synctest.Wait(); m.State().Cursor != 500 {
					t.Errorf("it isn't waited for: %+v", m.State())
				}
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if s := m.State(); s.Cursor != 520 || !s.Sources[1].LeftOut || s.Sources[1].Problem == "" || s.Sources[0].LeftOut {
					t.Errorf("after an hour: %+v", s)
				}
				bad.set(func() { bad.instead, bad.round = nil, 520 })
				good.set(func() { good.round = 530 })
				time.Sleep(5 * time.Minute)
				bad.set(func() { bad.round = 530 })
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if s := m.State(); s.Cursor != 530 || s.Sources[1].LeftOut || s.Sources[1].Problem != "" {
					t.Errorf("when it answers again: %+v", s)
				}
				cancel()
				must(t, <-ended)
				if !slices.Contains(m.missed, "I1 501-520") {
					t.Errorf("what was passed without it isn't told: %v", m.missed)
				}
			})
		})
	}
}

func TestTheOnlySourceIsAlwaysWaitedFor(t *testing.T) {
	f := newFake(t, 500)
	synctest.Test(t, func(t *testing.T) {
		m := newMultiple(t, 500, nil, nil, false, f)
		time.Sleep(2 * leftOutAfter)
		if m.review(); m.isOut(m.sources[0]) {
			t.Error("it is left out")
		}
	})
}

// An indexer is held against what blocks have shown.
func TestAnIndexerIsHeldAgainstTheBlocks(t *testing.T) {
	w := newWriter()
	list := objects(t, w, 501, 502, 503)
	never := w.object(t, 504, 0)
	f := newFake(t, 510, list[0], moved(list[1], 502, 4, list[1].CreatedAssetIndex), never)
	b := &fakeBlocks{tip: 520, list: list}
	m := newMultiple(t, 500, nil, b, true, f)
	m.until(t, 520)
	s := m.sources[0]
	look := func() {
		t.Helper()
		r := s.asker()
		r.answered = s.tip.answered
		must(t, m.compare(t.Context(), s, r))
		m.recheck(t.Context(), s)
	}
	look()
	lies := map[string]string{}
	for _, lie := range m.sourceStates()[0].Lies {
		lies[lie.TxID] = lie.Detail
	}
	if len(lies) != 3 || !strings.Contains(lies[list[1].Id], "another place") || lies[list[2].Id] != "it leaves it out" || !strings.Contains(lies[never.Id], "isn't in the block") {
		t.Errorf("%v", lies)
	}
	if n := strings.Count(m.log.String(), "what isn't so"); n != 3 {
		t.Errorf("the log tells %d times: %s", n, m.log.String())
	}
	m.has(t, "501:0", "502:0", "503:0") // whatever it says
	if first, _, events := m.blocks.showed(1, 1000); first != 511 || len(events) != 0 {
		t.Errorf("what it was held against is kept from round %d on: %v", first, events)
	}
	f.set(func() { f.list = list })
	for range 2 * recheckEvery {
		m.recheck(t.Context(), s)
	}
	if state := m.sourceStates()[0]; len(state.Lies) != 0 || state.Problem != "" {
		t.Errorf("it says what is so, and it is named all the same: %+v", state)
	}
}

func TestWhoIsWronglySuspectedIsNotNamed(t *testing.T) {
	w := newWriter()
	one := w.object(t, 505, 0)
	f := newFake(t, 510, one)
	m := newMultiple(t, 500, nil, nil, false, f)
	e, err := m.decode.event(one)
	must(t, err)
	m.accuse(m.sources[0], e, "it leaves it out")
	if m.recheck(t.Context(), m.sources[0]); len(m.sourceStates()[0].Lies) != 0 || len(m.sources[0].suspects) != 0 {
		t.Errorf("%+v", m.sourceStates())
	}
	f.set(func() { f.round, f.list = 504, nil }) // it hasn't come so far
	m.accuse(m.sources[0], e, "it leaves it out")
	if m.recheck(t.Context(), m.sources[0]); len(m.sourceStates()[0].Lies) != 0 || len(m.sources[0].suspects) != 1 {
		t.Errorf("%+v", m.sourceStates())
	}
}

func TestWhatASourceIsSuspectedOfIsBounded(t *testing.T) {
	m := newMultiple(t, 500, nil, nil, false, newFake(t, 510))
	for i := range uint64(2 * maxSuspects) {
		m.accuse(m.sources[0], at(i, 0, string(rune(0x4e00+i))), "x")
		m.accuse(m.sources[0], at(i, 0, string(rune(0x4e00+i))), "x")
	}
	if n := len(m.sources[0].suspects); n != maxSuspects {
		t.Errorf("%d", n)
	}
}

func TestOneSourceIsReadAgainAlone(t *testing.T) {
	w := newWriter()
	list := objects(t, w, 501, 600, 700)
	m := newMultiple(t, 900, nil, nil, false, newFake(t, 900), newFake(t, 900, list...))
	publishers := func([]consortium.Event) []consortium.Publisher {
		return []consortium.Publisher{{Account: w.Address.String()}}
	}
	var got []string
	take := func(events []consortium.Event) error {
		got = append(got, rounded(events)...)
		return nil
	}
	must(t, m.Reread(t.Context(), "I1", 550, 900, publishers, take))
	if !slices.Equal(got, []string{"600:0", "700:0"}) {
		t.Errorf("%v", got)
	}
	if err := m.Reread(t.Context(), "I7", 550, 900, publishers, take); err == nil {
		t.Error("there is no such source")
	}
	if err := m.Reread(t.Context(), "I1", 550, 1000, publishers, take); err == nil {
		t.Error("it doesn't have that round yet")
	}
}

func TestATransactionIsAbsentWhereNoIndexerHasIt(t *testing.T) {
	w := newWriter()
	one := w.object(t, 501, 0)
	a, b := newFake(t, 520), newFake(t, 510, one)
	m := newMultiple(t, 500, nil, nil, false, a, b)
	if f, err := m.Find(t.Context(), one.Id); err != nil || !f.Found || f.Event.Round != 501 {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := m.Trace(t.Context(), "none", w.Address.String(), 1, 600); err != nil || f.Found || f.Round != 510 {
		t.Errorf("%+v, %v", f, err)
	}
	a.set(func() { a.instead = func(int, string, url.Values) (int, string) { return 500, "x" } })
	if f, err := m.Find(t.Context(), one.Id); err != nil || !f.Found {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := m.Find(t.Context(), "none"); err == nil {
		t.Errorf("one could not be asked: %+v", f)
	}
}
