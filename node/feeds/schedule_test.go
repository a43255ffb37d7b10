package feeds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// scheduled runs feeds with a source that a test answers for, in time that passes as fast as it is waited for.
func scheduled(t *testing.T, interval time.Duration, run func(n int) (feed.Report, error)) (f *Feeds, one *nodeFeed, at *[]time.Duration) {
	t.Helper()
	began := time.Now()
	at = &[]time.Duration{}
	one = &nodeFeed{config: config.Feed{Name: "misp", Interval: config.Duration{Duration: interval}}, one: make(chan struct{}, 1)}
	one.feed = &pulling{run: func(context.Context, feed.Sink) (*feed.Report, error) {
		*at = append(*at, time.Since(began))
		report, err := run(len(*at))
		return &report, err
	}}
	return &Feeds{Log: nodetest.Discard, list: []*nodeFeed{one}}, one, at
}

func TestAFeedRunsAtOnceAndThenEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, one, at := scheduled(t, time.Hour, func(int) (feed.Report, error) { return feed.Report{}, nil })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(3*time.Hour + time.Minute)
		synctest.Wait()
		if !slices.Equal(*at, []time.Duration{0, time.Hour, 2 * time.Hour, 3 * time.Hour}) {
			t.Errorf("it runs at %v", *at)
		}
		if next := one.info().Next; time.Until(next).Round(time.Second) != 59*time.Minute {
			t.Errorf("it says that it runs next at %v", next)
		}
		cancel()
		nodetest.Must(t, <-ended)
	})
}

// A source that fails is asked sooner, then later and later; one that refuses the credentials is left alone, lest it
// locks the account; and one that says for how long gets that.
func TestAFeedThatFailsIsTriedAgainWithPauses(t *testing.T) {
	away := errors.New("no route to host")
	for name, test := range map[string]struct {
		failure     error
		least, most []time.Duration
	}{
		"it is away":              {away, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute}, nil},
		"it refuses":              {&taxii.ResponseError{Status: 401}, []time.Duration{time.Hour, time.Hour}, []time.Duration{time.Hour, time.Hour}},
		"it forbids":              {&taxii.ResponseError{Status: 403}, []time.Duration{time.Hour, time.Hour}, []time.Duration{time.Hour, time.Hour}},
		"it asks for two hours":   {&taxii.ResponseError{Status: 503, RetryAfter: 2 * time.Hour}, []time.Duration{2 * time.Hour}, []time.Duration{2 * time.Hour}},
		"it asks for a second":    {&taxii.ResponseError{Status: 503, RetryAfter: time.Second}, []time.Duration{time.Minute}, nil},
		"… and a wrapped refusal": {fmt.Errorf("pulling: %w", &taxii.ResponseError{Status: 401}), []time.Duration{time.Hour}, []time.Duration{time.Hour}},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, _, at := scheduled(t, time.Hour, func(int) (feed.Report, error) { return feed.Report{Problem: "x"}, test.failure })
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- f.Run(ctx) }()
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			for i, least := range test.least {
				pause := (*at)[i+1] - (*at)[i]
				most := least * 3 / 2
				if test.most != nil {
					most = test.most[i]
				}
				if pause < least/2 || test.most != nil && pause < least || pause > most {
					t.Errorf("%s: the pauses are those of %v", name, *at)
				}
			}
			for i := range len(*at) - 1 {
				if pause := (*at)[i+1] - (*at)[i]; pause > 2*time.Hour {
					t.Errorf("%s: it is left alone for %v", name, pause)
				}
			}
			cancel()
			nodetest.Must(t, <-ended)
		})
	}
}

func TestAFailureIsOverWithTheNextSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, at := scheduled(t, time.Hour, func(n int) (feed.Report, error) {
			if n == 4 {
				return feed.Report{}, nil
			}
			return feed.Report{}, errors.New("away")
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		if after := (*at)[4] - (*at)[3]; after != time.Hour {
			t.Errorf("after its success it rests for %v", after)
		}
		if again := (*at)[5] - (*at)[4]; again > 90*time.Second {
			t.Errorf("the first pause after that is %v: %v", again, *at)
		}
		cancel()
		nodetest.Must(t, <-ended)
	})
}

// One run at a time; and the end of a feed ends what it does.
func TestAFeedRunsOnceAtATimeAndEndsWithItsRemoval(t *testing.T) {
	f := newFed(t)
	synctest.Test(t, func(t *testing.T) {
		running, most, ended := 0, 0, 0
		p := &pulling{run: func(ctx context.Context, _ feed.Sink) (*feed.Report, error) {
			running++
			most = max(most, running)
			<-ctx.Done()
			running--
			ended++
			return &feed.Report{}, ctx.Err()
		}}
		one := &nodeFeed{config: config.Feed{Name: "misp", Interval: config.Duration{Duration: time.Hour}}, one: make(chan struct{}, 1), feed: p}
		f := &Feeds{Repo: f.R, Log: nodetest.Discard, list: []*nodeFeed{one}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		synctest.Wait()
		impatient, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if report, err := f.RunNow(impatient, "misp", false); report != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second run at the same time: %+v, %v", report, err)
		}
		if running != 1 || most != 1 {
			t.Errorf("%d run, %d at most", running, most)
		}
		nodetest.Must(t, f.Remove("misp"))
		synctest.Wait()
		if running != 0 || ended != 1 || p.forgot != 1 {
			t.Errorf("after its removal %d run, its place was forgotten %d times", running, p.forgot)
		}
		cancel()
		nodetest.Must(t, <-done)
	})
}

func TestAPlaceThatCantBeForgottenIsNoNewBeginning(t *testing.T) {
	p := &pulling{broken: errors.New("the disk says no"), run: func(context.Context, feed.Sink) (*feed.Report, error) {
		t.Error("it runs")
		return &feed.Report{}, nil
	}}
	f := &Feeds{Log: nodetest.Discard, list: []*nodeFeed{{config: config.Feed{Name: "misp"}, one: make(chan struct{}, 1), feed: p}}}
	if report, err := f.RunNow(t.Context(), "misp", true); report != nil || err == nil {
		t.Errorf("%+v, %v", report, err)
	}
}

// A paused feed runs when it is asked to, and by itself once it is resumed; that stands in the config file.
func TestAPausedFeedRunsByItselfOnceItIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, c := t.TempDir(), config.Default()
		c.Organisation.Name = "acme"
		nodetest.Must(t, c.Write(dir))
		_, err := config.AddFeed(dir, config.Feed{Name: "misp", URL: "https://misp.example", Paused: true})
		nodetest.Must(t, err)
		f, one, at := scheduled(t, time.Hour, func(int) (feed.Report, error) { return feed.Report{New: 7, Ended: time.Now()}, nil })
		f.Repo, one.config.Paused = &repo.Repo{Dir: dir}, true
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(150 * time.Minute)
		synctest.Wait()
		want := func(when string, paused bool, runs ...time.Duration) {
			t.Helper()
			written, err := config.Read(dir)
			nodetest.Must(t, err)
			if info := f.Infos()[0]; !slices.Equal(*at, runs) || info.Paused != paused || written.Feeds[0].Paused != paused {
				t.Errorf("%s it ran at %v and is %+v, written down as %+v", when, *at, info, written.Feeds[0])
			}
		}
		want("paused", true)
		_, err = f.RunNow(ctx, "misp", false)
		nodetest.Must(t, err)
		want("asked", true, 150*time.Minute)
		_, err = f.Pause("misp", false)
		nodetest.Must(t, err)
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		want("resumed", false, 150*time.Minute, 150*time.Minute, 210*time.Minute)
		_, err = f.Pause("misp", true)
		nodetest.Must(t, err)
		if info := f.Infos()[0]; info.Last == nil || info.Last.New != 7 || info.Good.IsZero() {
			t.Errorf("its last run is forgotten: %+v", info)
		}
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		want("paused again", true, 150*time.Minute, 150*time.Minute, 210*time.Minute)
		if _, err := f.Pause("otx", true); !errors.Is(err, problem.ErrMissing) {
			t.Errorf("a feed that is not there: %v", err)
		}
		cancel()
		nodetest.Must(t, <-ended)
	})
}

// After a reload the feeds are those of the configuration; what did not change goes on, and a mistake changes nothing.
func TestAReloadChangesTheFeedsThatChanged(t *testing.T) {
	f := newFed(t)
	one, two := config.Feed{Name: "one", URL: "https://one.example/root", Collection: "c"}.WithDefaults(), config.Feed{Name: "two", Kind: "misp", URL: "https://two.example", APIKey: "k"}.WithDefaults()
	nodetest.Must(t, f.Reload([]config.Feed{one, two}))
	before := f.snapshot()
	other := two
	other.Interval.Duration = time.Minute
	nodetest.Must(t, f.Reload([]config.Feed{one, other}))
	after := f.snapshot()
	if len(after) != 2 || after[0] != before[0] || after[1] == before[1] || after[1].one != before[1].one || after[1].config.Interval.Duration != time.Minute {
		t.Errorf("the feeds are %+v, they were %+v", after, before)
	}
	wrong := one
	wrong.Since = "yesterday"
	if err := f.Reload([]config.Feed{wrong}); err == nil || !slices.Equal(f.snapshot(), after) {
		t.Errorf("a mistake: %v, and the feeds are %+v", err, f.snapshot())
	}
	nodetest.Must(t, f.Reload(nil))
	if len(f.snapshot()) != 0 {
		t.Errorf("what is removed stays: %+v", f.snapshot())
	}
}
