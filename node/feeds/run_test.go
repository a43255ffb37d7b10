package feeds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

func isInput(err error) bool {
	var input *problem.InputError
	return errors.As(err, &input)
}

func TestWhatASourceGivesIsPublishedOnceAndWrittenDownAsTheFeeds(t *testing.T) {
	f := newFed(t)
	s := newSource(t, 2, indicators(1, 5)...)
	_, err := f.Add(s.config())
	nodetest.Must(t, err)
	report, err := f.RunNow(t.Context(), "misp", false)
	if err != nil || report.New != 5 || report.Known != 0 || report.Problem != "" || report.Cost != 5*101_000 {
		t.Errorf("%+v, %v", report, err)
	}
	if got := f.outbox(); len(got) != 5 {
		t.Errorf("on their way are %v", got)
	}
	total := 0
	for _, e := range f.events {
		total += e.Count
		if e.Name != taxii.EventPublish || e.User != "feed misp" || e.Role != "publisher" || e.Credential != "the configuration" || e.Root != "self" ||
			e.Collection != f.Collection || e.Failures != 0 || e.Status == "" || e.Time.IsZero() {
			t.Errorf("written down is %+v", e)
		}
	}
	if total != 5 {
		t.Errorf("written down are %d objects", total)
	}
	for _, again := range []bool{false, true} {
		report, err := f.RunNow(t.Context(), "misp", again)
		if err != nil || report.New != 0 || report.Known != 5 {
			t.Errorf("once more (from the beginning: %t): %+v, %v", again, report, err)
		}
	}
	s.objects = append(s.objects, indicators(6, 6)...)
	if report, err := f.RunNow(t.Context(), "misp", false); err != nil || report.New != 1 {
		t.Errorf("something new: %+v, %v", report, err)
	}
	for id, n := range f.outbox() {
		if n != 1 {
			t.Errorf("%s is published %d times", id, n)
		}
	}
	if strings.Contains(f.said.String(), "hunter2") {
		t.Errorf("a secret is in the log: %s", f.said.String())
	}
}

// crashing ends a run at one of its steps, before or after what it does, as a process that is killed.
type crashing struct {
	at    int  // the step; 0 for none
	after bool // when it is done
	steps int
}

var errCrash = errors.New("killed")

func (c *crashing) step(do func() error) error {
	c.steps++
	if c.steps == c.at && !c.after {
		return errCrash
	}
	if c.at > 0 && c.steps > c.at {
		return errCrash // nothing is done any more
	}
	if err := do(); err != nil {
		return err
	}
	if c.steps == c.at {
		return errCrash
	}
	return nil
}

// crashingSink is the steps that a run takes at the sink.
type crashingSink struct {
	feed.Sink
	*crashing
}

func (s crashingSink) Check(ctx context.Context, objects []*stix.Object) (list []feed.Verdict, err error) {
	err = s.step(func() error { list, err = s.Sink.Check(ctx, objects); return err })
	return list, err
}

func (s crashingSink) Publish(ctx context.Context, objects []*stix.Object) (list []feed.Verdict, err error) {
	err = s.step(func() error { list, err = s.Sink.Publish(ctx, objects); return err })
	return list, err
}

// crashingMemory is the steps that a run takes at its memory.
type crashingMemory struct {
	feed.Memory
	*crashing
}

func (m crashingMemory) SetMemo(name string, data []byte) error {
	return m.step(func() error { return m.Memory.SetMemo(name, data) })
}

type crashingFeed struct {
	puller
	*crashing
}

func (c crashingFeed) Run(ctx context.Context, sink feed.Sink) (*feed.Report, error) {
	return c.puller.Run(ctx, crashingSink{sink, c.crashing})
}

// Killed at any step, before or after it, and started again, a feed has lost nothing and published nothing twice.
func TestAFeedThatIsKilledAtAnyStepGoesOnWhereItWas(t *testing.T) {
	const objects = 3 // on two pages
	for at := 1; ; at++ {
		reached := false
		for _, after := range []bool{false, true} {
			f := newFed(t)
			s := newSource(t, 2, indicators(1, objects)...)
			config := s.config()
			c := &crashing{at: at, after: after}
			one, err := f.make(config)
			nodetest.Must(t, err)
			killed, err := feed.New(feed.Config{
				Name: config.Name, Kind: config.Kind, URL: config.URL, Collection: config.Collection, Target: config.Into + " " + config.Unmarked,
				MaxObjects: config.MaxObjects, Credentials: feedCredentials(config),
			}, crashingMemory{f.R.Outbox, c})
			nodetest.Must(t, err)
			one.feed = crashingFeed{killed, c}
			_, err = f.pull(t.Context(), one, false)
			reached = reached || errors.Is(err, errCrash)
			if (err != nil) != errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			restarted := f.restarted()
			again, err := restarted.make(config)
			nodetest.Must(t, err)
			if report, err := restarted.pull(t.Context(), again, false); err != nil || report.Problem != "" {
				t.Fatalf("step %d: %+v, %v", at, report, err)
			}
			want := map[string]int{}
			for n := 1; n <= objects; n++ {
				want[fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n)] = 1
			}
			if got := f.outbox(); !maps.Equal(got, want) {
				t.Errorf("killed at step %d (done: %t): on their way are %v", at, after, got)
			}
		}
		if !reached {
			if at < 6 {
				t.Errorf("a run of two pages has %d steps", at-1)
			}
			return
		}
	}
}

// What goes wrong ends the run with its reason, without a secret; what was taken stays, and the next run goes on.
func TestABadSourceEndsTheRunAndLosesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request) bool
		want   string
	}{
		"it refuses the credentials": {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusUnauthorized); return true }, "401"},
		"it sends the secret back": {func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"title":"no to %s"}`, r.Header.Get("Authorization"))
			return true
		}, "403"},
	} {
		f := newFed(t)
		s := newSource(t, 2, indicators(1, 4)...)
		s.answer = func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Get("next") == "2" && test.answer(w, r)
		}
		_, err := f.Add(s.config())
		nodetest.Must(t, err)
		report, err := f.RunNow(t.Context(), "misp", false)
		if err != nil || report.Problem == "" || !strings.Contains(report.Problem, test.want) || report.New != 2 {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
		list := f.Problems()
		if len(list) != 1 || list[0].Name != "misp" || list[0].Problem != report.Problem || !list[0].Ended.Equal(report.Ended) {
			t.Errorf("%s: the status has %+v", name, list)
		}
		if text := f.said.String() + fmt.Sprint(list, f.Infos(), report); strings.Contains(text, "hunter2") || !strings.Contains(text, "a feed could not be pulled") {
			t.Errorf("%s: it says %s", name, text)
		}
		s.answer = nil
		if report, err := f.RunNow(t.Context(), "misp", false); err != nil || report.New != 2 || len(f.Problems()) != 0 || len(f.outbox()) != 4 {
			t.Errorf("%s: then %+v, %v, on their way are %v", name, report, err, f.outbox())
		}
	}
}

// While nothing can be published nothing is taken: the outbox must not grow by what waits.
func TestAFeedWaitsWhilePublishingDoes(t *testing.T) {
	f := newFed(t)
	s := newSource(t, 2, indicators(1, 2)...)
	_, err := f.Add(s.config())
	nodetest.Must(t, err)
	for want, change := range map[string]func(reason error){
		"publishing waits, and nothing is taken until it goes on: no money": func(err error) { f.waits = err },
		"the chain could not be followed to its tip":                        func(err error) { f.behind = err },
	} {
		change(errors.New("no money"))
		report, err := f.RunNow(t.Context(), "misp", false)
		if err != nil || !strings.Contains(report.Problem, want) || report.New != 0 || len(f.outbox()) != 0 {
			t.Errorf("%s: %+v, %v", want, report, err)
		}
		change(nil)
	}
	if report, err := f.RunNow(t.Context(), "misp", false); err != nil || report.New != 2 {
		t.Errorf("then: %+v, %v", report, err)
	}
}

func TestARunTakesNoMoreThanItMay(t *testing.T) {
	f := newFed(t)
	s := newSource(t, 10, indicators(1, 5)...)
	config := s.config()
	config.MaxALGO = 0.303 // three objects
	_, err := f.Add(config)
	nodetest.Must(t, err)
	for _, want := range []int{3, 2, 0} {
		if report, err := f.RunNow(t.Context(), "misp", false); err != nil || report.New != want || report.Rest != (want == 3) {
			t.Errorf("%+v, %v, want %d", report, err, want)
		}
	}
}

func TestATestOfAFeedTellsWhatARunWouldDoAndDoesNothing(t *testing.T) {
	f := newFed(t)
	f.funds.Amount, f.funds.Locked = 5_000_000, 1_000_000
	s := newSource(t, 2, indicators(1, 3)...)
	_, err := f.Add(s.config())
	nodetest.Must(t, err)
	trial, err := f.Test(t.Context(), "misp")
	if err != nil || trial.Trial.New != 3 || trial.Trial.Problem != "" || trial.Into != "Default" || trial.Free != 4_000_000-101_000 || // of which another key of its collection is paid
		trial.MaxObjects == 0 ||
		!trial.Trial.Source.Reached || strings.Contains(fmt.Sprintf("%+v %+v", trial, trial.Trial), "hunter2") {
		t.Errorf("%+v, %v", trial, err)
	}
	if len(f.outbox()) != 0 || len(f.events) != 0 {
		t.Errorf("on their way are %v", f.outbox())
	}
	f.poor = errors.New("algod is away")
	if trial, err := f.Test(t.Context(), "misp"); err != nil || trial.Free != 0 {
		t.Errorf("%+v, %v", trial, err)
	}
	if _, err := f.Test(t.Context(), "nothing"); !isInput(err) || !errors.Is(err, config.ErrNoFeed) {
		t.Errorf("no feed: %v", err)
	}
	if _, err := f.RunNow(t.Context(), "nothing", false); !isInput(err) {
		t.Errorf("no feed: %v", err)
	}
}

func TestAFeedIsKeptInTheConfigAndForgottenWithItsPlace(t *testing.T) {
	f := newFed(t)
	s := newSource(t, 2, indicators(1, 3)...)
	settings := s.config()
	info, err := f.Add(settings)
	if err != nil || info.Name != "misp" || info.URL != settings.URL || info.Interval != "1h0m0s" || info.Credentials == "" || strings.Contains(fmt.Sprintf("%+v", info), "hunter2") || info.Last != nil {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := f.Add(settings); !isInput(err) || !strings.Contains(err.Error(), "already") {
		t.Errorf("twice: %v", err)
	}
	for name, change := range map[string]func(*config.Feed){
		"no name":    func(c *config.Feed) { c.Name = "A B" },
		"no URL":     func(c *config.Feed) { c.URL = "x" },
		"a date":     func(c *config.Feed) { c.Since = "yesterday" },
		"a policy":   func(c *config.Feed) { c.Unmarked = "purple" },
		"no objects": func(c *config.Feed) { c.MaxObjects = -1 },
	} {
		bad := settings
		bad.Name = "other"
		change(&bad)
		if _, err := f.Add(bad); !isInput(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list := f.Configs(); len(list) != 1 || list[0].Token != settings.Token || len(f.Infos()) != 1 {
		t.Errorf("the feeds are %+v", list)
	}
	_, err = f.RunNow(t.Context(), "misp", false)
	nodetest.Must(t, err)
	if info := f.Infos()[0]; info.Last == nil || info.Last.New != 3 {
		t.Errorf("after a run: %+v", info)
	}
	place := func() string { data, err := f.R.Outbox.Memo("feed/misp"); nodetest.Must(t, err); return string(data) }
	if place() == "" {
		t.Error("its place is not kept")
	}
	// A new process has it by its configuration.
	restarted := f.restarted()
	restarted.Repo.Config.Feeds = []config.Feed{settings}
	nodetest.Must(t, restarted.Load())
	if list := restarted.Configs(); len(list) != 1 || list[0].Name != "misp" {
		t.Errorf("after a restart: %+v", list)
	}
	restarted.Repo.Config.Feeds = []config.Feed{{Name: "A B"}}
	if err := f.restarted().Load(); err == nil || !strings.Contains(err.Error(), "in the configuration") {
		t.Errorf("a configuration that is none: %v", err)
	}
	nodetest.Must(t, f.Remove("misp"))
	if place() != "" || len(f.Configs()) != 0 {
		t.Errorf("it is kept: %q, %+v", place(), f.Configs())
	}
	if err := f.Remove("misp"); !isInput(err) || !errors.Is(err, config.ErrNoFeed) {
		t.Errorf("twice: %v", err)
	}
}
