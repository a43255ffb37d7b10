package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// feeds pulls objects from elsewhere on a schedule, and publishes those that the readers of a collection don't have.
// Feeds run while the daemon does; a command that runs the node itself runs none but the one it is asked for.
type feeds struct {
	repo      *repo.Repo
	fold      *fold
	publisher *publisher
	watcher   follower
	ledger    wallet
	trail     taxii.Auditor
	problem   func() error
	changed   signal
	log       *slog.Logger

	mu   sync.Mutex // also held while the config file is changed
	list []*nodeFeed
}

// nodeFeed is one feed and how it is.
type nodeFeed struct {
	config repo.Feed
	feed   *feed.Feed
	one    chan struct{} // holds a token while the feed runs: one run at a time

	mu   sync.Mutex
	last *feed.Report
	next time.Time // when it runs again; zero if nobody runs it
}

// FeedInfo is how a feed is. It holds no secrets.
type FeedInfo struct {
	Name        string       `json:"name"`
	Kind        string       `json:"kind"`
	URL         string       `json:"url"`
	Collection  string       `json:"collection,omitempty"`
	Into        string       `json:"into,omitempty"`
	Interval    string       `json:"interval"`
	Credentials string       `json:"credentials"`
	Last        *feed.Report `json:"last_run,omitempty"`
	Next        time.Time    `json:"next_run,omitzero"`
}

// FeedTrial is what a test of a feed found. It is good if there is no problem.
type FeedTrial struct {
	Feed  FeedInfo   `json:"feed"`
	Trial feed.Trial `json:"trial"`
	Into  string     `json:"into"`           // title of the collection
	Free  uint64     `json:"free_microalgo"` // what the account can spend
	// The limits of a run.
	MaxObjects int    `json:"max_objects"`
	MaxCost    uint64 `json:"max_cost_microalgo,omitempty"`
}

// FeedReport tells what a run of a feed did.
type FeedReport = feed.Report

// FeedRun says how a feed is run.
type FeedRun struct {
	Again bool `json:"again,omitempty"` // from the source's beginning
}

// load makes the feeds of the configuration.
func (f *feeds) load() error {
	for _, config := range f.repo.Config.Feeds {
		one, err := f.make(config)
		if err != nil {
			return fmt.Errorf("in the configuration: %w", err)
		}
		f.list = append(f.list, one)
	}
	return nil
}

func (f *feeds) make(c repo.Feed) (*nodeFeed, error) {
	since, err := c.SinceTime()
	if err != nil {
		return nil, fmt.Errorf("feed %s: since: %w", c.Name, err)
	}
	if _, err := unmarkedPolicy(c.Unmarked); err != nil {
		return nil, fmt.Errorf("feed %s: unmarked: %w", c.Name, err)
	}
	made, err := feed.New(feed.Config{
		Name: c.Name, Kind: c.Kind, URL: c.URL, Collection: c.Collection, Target: c.Into + " " + c.Unmarked, PageSize: c.PageSize,
		Filter: feed.Filter{
			Types: c.Types, Markings: c.Markings, MinConfidence: c.MinConfidence, Labels: c.Labels, Authors: c.Authors, Since: since,
		},
		Others: f.fold.otherMarkings, MaxObjects: c.MaxObjects, MaxCost: maxCost(c), Credentials: feedCredentials(c),
	}, f.repo.Outbox)
	if err != nil {
		return nil, err
	}
	return &nodeFeed{config: c, feed: made, one: make(chan struct{}, 1)}, nil
}

func maxCost(c repo.Feed) uint64 { return uint64(math.Round(c.MaxALGO * 1e6)) }

func feedCredentials(c repo.Feed) feed.Credentials {
	return feed.Credentials{
		User: feed.Secret(c.User), Password: feed.Secret(c.Password), Token: feed.Secret(c.Token), APIKey: feed.Secret(c.APIKey),
		APIKeyHeader: c.APIKeyHeader, ClientCert: c.ClientCert, ClientKey: c.ClientKey, CA: c.CA,
	}
}

func (f *feeds) snapshot() []*nodeFeed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

func (f *feeds) find(name string) (*nodeFeed, error) {
	for _, one := range f.snapshot() {
		if one.config.Name == name {
			return one, nil
		}
	}
	return nil, input(fmt.Errorf("%w: %q", repo.ErrNoFeed, name))
}

// run runs the feeds on their schedules until the context ends. Everything that it started has ended when it returns.
func (f *feeds) run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	running := map[*nodeFeed]context.CancelFunc{}
	defer func() {
		for _, stop := range running {
			stop()
		}
	}()
	for {
		changed := f.changed.changed()
		list := f.snapshot()
		for one, stop := range running {
			if !slices.Contains(list, one) {
				stop()
				delete(running, one)
			}
		}
		for _, one := range list {
			if running[one] == nil {
				feedCtx, stop := context.WithCancel(ctx)
				running[one] = stop
				group.Go(func() { f.schedule(feedCtx, one) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// firstFeedRetry is when a feed that failed is tried again. It doubles with every failure in a row, up to its interval.
const firstFeedRetry = time.Minute

// schedule runs one feed, again and again.
func (f *feeds) schedule(ctx context.Context, one *nodeFeed) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		_, err := f.pull(ctx, one, false)
		if ctx.Err() != nil {
			return
		}
		wait := one.config.Interval.Duration
		switch {
		case err == nil:
			failures = 0
		case !feed.Rejected(err):
			wait = max(min(wait, firstFeedRetry<<min(failures, 16)), feed.Pause(err))
			failures++
		}
		timer.Reset(wait)
		one.mu.Lock()
		one.next = now().Add(wait)
		one.mu.Unlock()
	}
}

// pull runs a feed once.
func (f *feeds) pull(ctx context.Context, one *nodeFeed, again bool) (*feed.Report, error) {
	select {
	case one.one <- struct{}{}:
		defer func() { <-one.one }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if again {
		if err := one.feed.Forget(); err != nil {
			return nil, err
		}
	}
	sink := f.sink(one.config)
	report, err := one.feed.Run(ctx, sink)
	one.mu.Lock()
	one.last = report
	one.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			f.log.Warn("a feed could not be pulled", "feed", one.config.Name, "new", report.New, "error", err)
		}
		return report, err
	}
	f.log.Info("a feed was pulled", "feed", one.config.Name, "objects", report.Objects, "new", report.New, "known", report.Known,
		"refused", report.Refused, "rest", report.Rest, "took", report.Ended.Sub(report.Started).Round(time.Millisecond))
	return report, sink.confirmed(ctx)
}

// runNow runs a feed when an operator asks for it. What went wrong is in the report.
func (f *feeds) runNow(ctx context.Context, name string, again bool) (*feed.Report, error) {
	one, err := f.find(name)
	if err != nil {
		return nil, err
	}
	report, err := f.pull(ctx, one, again)
	if report == nil {
		return nil, err
	}
	return report, nil
}

// test finds out what a run would do, also while one is under way: it changes nothing.
func (f *feeds) test(ctx context.Context, name string) (FeedTrial, error) {
	one, err := f.find(name)
	if err != nil {
		return FeedTrial{}, err
	}
	sink := f.sink(one.config)
	result := FeedTrial{Feed: one.info(), MaxCost: maxCost(one.config), MaxObjects: one.config.MaxObjects}
	into, err := sink.into()
	if err == nil {
		result.Into = into.Properties.Title
	}
	trial, failed := one.feed.Test(ctx, sink)
	if result.Trial = *trial; failed == nil && err != nil {
		result.Trial.Problem = err.Error()
	}
	result.Free = sink.free(ctx)
	return result, ctx.Err()
}

// add makes a feed and writes it into the config file.
func (f *feeds) add(c repo.Feed) (FeedInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.ContainsFunc(f.list, func(one *nodeFeed) bool { return one.config.Name == c.Name }) {
		return FeedInfo{}, input(fmt.Errorf("there is a feed %q already", c.Name))
	}
	c = c.WithDefaults()
	made, err := f.make(c)
	if err != nil {
		return FeedInfo{}, input(err)
	}
	if _, err := f.repo.AddFeed(c); err != nil {
		return FeedInfo{}, input(err)
	}
	f.list = append(f.list, made)
	f.changed.notify()
	return made.info(), nil
}

// remove ends a feed, takes it out of the config file, and forgets its place.
func (f *feeds) remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.repo.RemoveFeed(name)
	if err != nil && !errors.Is(err, repo.ErrNoFeed) {
		return err
	}
	i := slices.IndexFunc(f.list, func(one *nodeFeed) bool { return one.config.Name == name })
	if i < 0 {
		return input(cmp.Or(err, fmt.Errorf("%w: %q", repo.ErrNoFeed, name)))
	}
	one := f.list[i]
	f.list = slices.Delete(slices.Clone(f.list), i, i+1)
	f.changed.notify()
	return one.feed.Forget()
}

// configs gives the configurations of the feeds that there are.
func (f *feeds) configs() (list []repo.Feed) {
	for _, one := range f.snapshot() {
		list = append(list, one.config)
	}
	return list
}

func (f *feeds) infos() []FeedInfo {
	list := []FeedInfo{}
	for _, one := range f.snapshot() {
		list = append(list, one.info())
	}
	return list
}

func (one *nodeFeed) info() FeedInfo {
	one.mu.Lock()
	defer one.mu.Unlock()
	c := one.config
	return FeedInfo{
		Name: c.Name, Kind: c.Kind, URL: c.URL, Collection: c.Collection, Into: c.Into, Interval: c.Interval.String(),
		Credentials: feedCredentials(c).String(), Last: one.last, Next: one.next,
	}
}

func (f *feeds) sink(c repo.Feed) *feedSink { return &feedSink{feeds: f, config: c} }
