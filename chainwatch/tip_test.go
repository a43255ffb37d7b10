package chainwatch

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// teller is a witness that counts how often it is asked.
type teller struct {
	round uint64
	err   error
	asked int
}

func (a *teller) ask(context.Context) (uint64, error) {
	a.asked++
	return a.round, a.err
}

func newTip(a *teller) *tip {
	t := &tip{lagging: lagging}
	if a != nil {
		t.witness = a.ask
	}
	return t
}

func (t *tip) hear(rounds ...uint64) {
	for _, r := range rounds {
		t.answered(r)
	}
}

func TestARoundIsReachedWhenTwoAnswersAndAlgodSaySo(t *testing.T) {
	away := errors.New("away")
	for _, c := range []struct {
		what    string
		answers []uint64
		algod   *teller
		want    uint64
	}{
		{"one answer", []uint64{9}, nil, 0}, {"two", []uint64{9, 9}, nil, 9}, {"the lower one", []uint64{7, 9}, nil, 7}, {"whichever is the last", []uint64{9, 7}, nil, 7},
		{"the last two", []uint64{1, 9, 8}, nil, 8}, {"algod has it", []uint64{9, 9}, &teller{round: 9}, 9}, {"algod has more", []uint64{9, 9}, &teller{round: 99}, 9},
		{"algod has less", []uint64{9, 9}, &teller{round: 8}, 8}, {"algod never answered", []uint64{9, 9}, &teller{err: away}, 9},
	} {
		synctest.Test(t, func(t *testing.T) {
			tip := newTip(c.algod)
			tip.hear(c.answers...)
			if got := tip.reached(t.Context(), 9); got != c.want {
				t.Errorf("%s: %d, want %d", c.what, got, c.want)
			}
		})
	}
}

// While algod is away the chain may grow, and no faster than chains do.
func TestWithoutAlgodTheIndexerIsBelievedForAsFarAsTheChainCanBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &teller{round: 100}
		tip := newTip(a)
		tip.hear(100, 100)
		tip.reached(t.Context(), 100)
		a.err = errors.New("away")
		time.Sleep(60 * time.Second)
		tip.hear(1160, 1160)
		if got := tip.reached(t.Context(), 1160); got != 1160 {
			t.Errorf("after a minute it is believed up to %d", got)
		}
		tip.hear(1161, 1161)
		if got := tip.reached(t.Context(), 1161); got != 1160 {
			t.Errorf("after a minute it is believed up to %d, want 1160", got)
		}
	})
}

func TestAlgodIsAskedForWhatItIsNotKnownToHaveAndNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &teller{round: 100}
		tip := newTip(a)
		tip.hear(100, 100)
		asks := func(what string, wanted uint64, want int) {
			t.Helper()
			a.asked = 0
			if tip.reached(t.Context(), wanted); a.asked != want {
				t.Errorf("%s: asked %d times, want %d", what, a.asked, want)
			}
		}
		asks("at first", 100, 1)
		asks("what it has", 100, 0)
		asks("what the indexer does not say", 105, 0)
		tip.hear(105, 105)
		asks("what it may not have", 105, 1)
		a.round = 105
		asks("… still", 105, 1)
		asks("what it has by now", 105, 0)
		time.Sleep(30*time.Second - 1)
		asks("before its time", 0, 0)
		time.Sleep(time.Nanosecond)
		asks("at its time", 0, 1)
		asks("just after", 0, 0)
	})
}

func TestAnAlgodThatFailsIsAskedAtDoublingIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &teller{err: errors.New("away")}
		tip := newTip(a)
		tip.hear(100, 100)
		tip.ask(t.Context(), 100)
		for _, seconds := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30} {
			a.asked = 0
			time.Sleep(seconds*time.Second - 1)
			if tip.ask(t.Context(), 100); a.asked != 0 {
				t.Errorf("asked before %d s", seconds)
			}
			time.Sleep(time.Nanosecond)
			if tip.ask(t.Context(), 100); a.asked != 1 {
				t.Errorf("not asked after %d s", seconds)
			}
		}
		a.err, a.round = nil, 100
		time.Sleep(30 * time.Second)
		tip.ask(t.Context(), 100)
		if tip.failures != 0 || tip.failed != nil || tip.algod != 100 {
			t.Errorf("what it says is not taken: %+v", tip)
		}
	})
}

func TestAWitnessHasItsTimeAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tip := &tip{lagging: lagging, witness: func(ctx context.Context) (uint64, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}}
		began := time.Now()
		if tip.ask(t.Context(), 1); time.Since(began) != 5*time.Second || tip.failures != 1 {
			t.Errorf("it took %s, %d failures", time.Since(began), tip.failures)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(time.Minute)
		if tip.ask(ctx, 1); tip.failures != 1 {
			t.Error("the end of a run is algod's failure")
		}
	})
}

func TestWithoutAWitnessNobodyIsAsked(t *testing.T) {
	tip := newTip(nil)
	tip.hear(9, 9)
	if tip.ask(t.Context(), 9); !tip.asked.IsZero() || tip.reached(t.Context(), 9) != 9 {
		t.Error("nobody is there to be asked, and is")
	}
}

func TestAHintHurriesAlgodOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &teller{round: 100}
		tip := newTip(a)
		tip.hear(100, 100)
		tip.ask(t.Context(), 100)
		hurries := func(what string, round uint64, want int) {
			t.Helper()
			a.asked = 0
			if tip.hurry(t.Context(), round); a.asked != want {
				t.Errorf("%s: asked %d times, want %d", what, a.asked, want)
			}
		}
		time.Sleep(time.Second - 1)
		hurries("too early", 101, 0)
		time.Sleep(time.Nanosecond)
		hurries("for what algod has", 100, 0)
		hurries("for news", 101, 1)
		time.Sleep(time.Second)
		tip.hear(150)
		hurries("for what the indexer has", 150, 0)
		hurries("for what neither has", 151, 1)
	})
}

func TestAnIndexerOwesWhatAlgodHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tip := newTip(nil)
		tip.hear(100, 100)
		word := func(cursor uint64) string {
			w, detail := tip.problem(cursor)
			if (w == "") != (detail == "") {
				t.Errorf("%q: %q", w, detail)
			}
			return w
		}
		tip.has(105)
		since := time.Now()
		time.Sleep(30 * time.Second)
		tip.hear(104)
		if got := word(100); got != "" {
			t.Errorf("within its time it is %q", got)
		}
		time.Sleep(time.Nanosecond)
		tip.has(120) // the debt stays as old as it is
		tip.hear(104)
		if got := word(100); got != ProblemBehind || tip.owed != 105 || !tip.owedAt.Equal(since) {
			t.Errorf("after its time it is %q, owing %d", got, tip.owed)
		}
		if _, detail := tip.problem(100); !strings.Contains(detail, "says that round 104 is the last, and algod has had round 105 since 2000-01-01T00:00:00Z") {
			t.Error(detail)
		}
		tip.hear(105) // it has paid, and owes what algod has since
		if got := word(100); got != "" || tip.owed != 120 {
			t.Errorf("then it is %q, owing %d", got, tip.owed)
		}
		tip.hear(120)
		if tip.owed != 0 {
			t.Errorf("it has all, and owes %d", tip.owed)
		}
		tip.has(110) // an older confirmation of our own
		if chain, algod, _ := tip.last(); chain != 120 || algod != 120 {
			t.Errorf("algod goes back to %d", algod)
		}
		tip.has(130)
		tip.mu.Lock()
		tip.told(125) // algod was wrong, perhaps
		tip.mu.Unlock()
		if tip.owed != 125 {
			t.Errorf("owing %d of an algod that is at 125", tip.owed)
		}
	})
}

func TestWhatAlgodLacksForLongIsAProblemOfAlgods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &teller{round: 100}
		tip := newTip(a)
		look := func(rounds ...uint64) string {
			tip.hear(rounds...)
			tip.reached(t.Context(), rounds[0])
			word, _ := tip.problem(100)
			return word
		}
		if got := look(110, 110); got != "" {
			t.Errorf("at once it is %q", got)
		}
		time.Sleep(30 * time.Second)
		if got := look(111, 111); got != "" {
			t.Errorf("within its time it is %q", got)
		}
		time.Sleep(time.Nanosecond)
		if got := look(112, 112); got != ProblemAlgod {
			t.Errorf("after its time it is %q", got)
		}
		if _, detail := tip.problem(100); !strings.HasPrefix(detail, "the indexer is at round 112, algod at round 100: ") {
			t.Error(detail)
		}
		a.err = errors.New("away")
		if got := look(113, 113); got != "" {
			t.Errorf("of an algod that is away it is %q", got)
		}
		a.err, a.round = nil, 120
		time.Sleep(time.Minute)
		if got := look(120, 120); got != "" || !tip.ahead.IsZero() {
			t.Errorf("of an algod that is there again it is %q, ahead since %s", got, tip.ahead)
		}
		a.round = 90
		time.Sleep(time.Minute)
		if got := look(121, 121); got != "" {
			t.Errorf("a new debt is an old one: %q", got)
		}
	})
}

func TestALogThatGoesFurtherThanTheChainIsAProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			indexer, algod, cursor uint64
			away                   bool
			want                   string
		}{
			{50, 50, 150, false, ""}, {50, 50, 151, false, ProblemAhead}, {50, 60, 160, false, ""}, {50, 60, 161, false, ProblemAhead},
			{0, 50, 999, false, ""}, {50, 0, 999, false, ""}, {50, 50, 999, true, ""},
		} {
			tip := newTip(nil)
			tip.hear(c.indexer, c.indexer)
			tip.algod = c.algod
			if c.away {
				tip.failed = errors.New("away")
			}
			word, detail := tip.problem(c.cursor)
			if word != c.want || word != "" && !strings.HasPrefix(detail, "the log goes to round ") {
				t.Errorf("%+v: %q, %q", c, word, detail)
			}
		}
	})
}

func TestTheChainsLastRoundIsAlgodsWhereThatIsKnown(t *testing.T) {
	for _, c := range []struct {
		indexer, algod uint64
		away           bool
		want           uint64
	}{{50, 60, false, 60}, {60, 50, false, 50}, {50, 0, false, 50}, {60, 50, true, 60}, {50, 60, true, 60}} {
		tip := newTip(nil)
		tip.hear(c.indexer+5, c.indexer)
		tip.algod = c.algod
		if c.away {
			tip.failed = errors.New("away")
		}
		if chain, algod, indexer := tip.last(); chain != c.want || algod != c.algod || indexer != c.indexer || tip.agreed() != c.indexer {
			t.Errorf("%+v: %d, %d, %d", c, chain, algod, indexer)
		}
	}
}
