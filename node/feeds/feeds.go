// Package feeds publishes what is pulled from elsewhere on a schedule, as far as readers don't have it.
package feeds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/internal/retry"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/accept"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

// Feeds pulls objects from elsewhere on a schedule, and publishes those that the readers of a collection don't have.
// Feeds run while the daemon does; a command that runs the node itself runs none but the one it is asked for.
type Feeds struct {
	Repo      *repo.Repo
	State     *state.Shared
	Publisher *accept.Publisher
	Watcher   state.Follower
	Fetcher   interface {
		// AwaitFetched waits until what the chain has told of was asked for once, and what came is in the view.
		AwaitFetched(ctx context.Context) error
	}
	Ledger  wallet
	Anchor  outbox.Anchor // how what they bring goes onto the chain
	Trail   taxii.Auditor
	Stages  *stages.Stages
	Problem func() error
	changed signal.Signal
	Log     *slog.Logger

	mu   sync.Mutex // also held while the config file is changed
	list []*nodeFeed
}

// nodeFeed is one feed and how it is.
type nodeFeed struct {
	config config.Feed
	feed   puller
	one    chan struct{} // holds a token while the feed runs: one run at a time
	soon   chan struct{} // has one when it is to run before its time

	mu   sync.Mutex
	last *feed.Report
	good time.Time // when a run last ended well, since the start
	next time.Time // when it runs again; zero if nobody runs it
}

// puller pulls from one source.
type puller interface {
	Run(ctx context.Context, sink feed.Sink) (*feed.Report, error)
	Test(ctx context.Context, sink feed.Sink) (*feed.Trial, error)
	Forget() error
}

// Info is how a feed is. It holds no secrets.
type Info struct {
	Name        string       `json:"name"`
	Kind        string       `json:"kind"`
	URL         string       `json:"url"`
	Collection  string       `json:"collection,omitempty"`
	Into        string       `json:"into,omitempty"`
	Interval    string       `json:"interval"`
	Paused      bool         `json:"paused"`
	Credentials string       `json:"credentials"`
	Last        *feed.Report `json:"last_run,omitempty"`
	Good        time.Time    `json:"last_success,omitzero"` // since the node was started
	Next        time.Time    `json:"next_run,omitzero"`
}

// Report tells what a run of a feed did.
type Report = feed.Report

// Run says how a feed is run.
type Run struct {
	Name  string `json:"name"`
	Again bool   `json:"again,omitempty"` // from the source's beginning
}

// Load makes the feeds of the configuration.
func (f *Feeds) Load() error {
	for _, config := range f.Repo.Config.Feeds {
		one, err := f.make(config)
		if err != nil {
			return fmt.Errorf("in the configuration: %w", err)
		}
		f.list = append(f.list, one)
	}
	return nil
}

func (f *Feeds) make(c config.Feed) (*nodeFeed, error) {
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
		Others: f.State.OtherMarkings, MaxObjects: c.MaxObjects, MaxCost: maxCost(c), Portion: f.portion(), Credentials: feedCredentials(c),
	}, f.Repo.Outbox)
	if err != nil {
		return nil, err
	}
	return &nodeFeed{config: c, feed: made, one: make(chan struct{}, 1), soon: make(chan struct{}, 1)}, nil
}

// portion is how many objects are published at once: what shares an NFT is gathered over pages.
func (f *Feeds) portion() int {
	if f.Anchor.From == 0 {
		return 0
	}
	return f.Anchor.Most
}

func maxCost(c config.Feed) uint64 { return uint64(math.Round(c.MaxALGO * 1e6)) }

func feedCredentials(c config.Feed) feed.Credentials {
	return feed.Credentials{
		User: feed.Secret(c.User), Password: feed.Secret(c.Password), Token: feed.Secret(c.Token), APIKey: feed.Secret(c.APIKey),
		APIKeyHeader: c.APIKeyHeader, ClientCert: c.ClientCert, ClientKey: c.ClientKey, CA: c.CA,
	}
}

// CheckCredentials reports what is wrong with the credentials of a feed; it asks nobody but this machine.
func CheckCredentials(c config.Feed) error { return feedCredentials(c).Check(c.Kind) }

func (f *Feeds) snapshot() []*nodeFeed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

func (f *Feeds) find(name string) (*nodeFeed, error) {
	for _, one := range f.snapshot() {
		if one.config.Name == name {
			return one, nil
		}
	}
	return nil, problem.Missing(fmt.Errorf("%w: %q", config.ErrNoFeed, name))
}

// Run runs the feeds on their schedules until the context ends. Everything that it started has ended when it returns.
func (f *Feeds) Run(ctx context.Context) error {
	unpaused := func() []*nodeFeed {
		return slices.DeleteFunc(f.snapshot(), func(one *nodeFeed) bool { return one.config.Paused })
	}
	return signal.Keep(ctx, &f.changed, unpaused, func(ctx context.Context, one *nodeFeed) error {
		f.schedule(ctx, one)
		return nil
	})
}

// firstFeedRetry is when a feed that failed is tried again. It doubles with every failure in a row, up to its interval.
const firstFeedRetry = time.Minute

// schedule runs one feed, again and again.
func (f *Feeds) schedule(ctx context.Context, one *nodeFeed) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-one.soon:
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
			wait = max(retry.Backoff{First: firstFeedRetry, Most: wait}.After(failures), feed.Pause(err))
			failures++
		}
		timer.Reset(wait)
		one.mu.Lock()
		one.next = state.Now().Add(wait)
		one.mu.Unlock()
	}
}

// pull runs a feed once.
func (f *Feeds) pull(ctx context.Context, one *nodeFeed, again bool) (*feed.Report, error) {
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
	one.note(report, err)
	if report != nil {
		f.Stages.Refused(stages.Own, report.Refused)
	}
	if err != nil {
		if ctx.Err() == nil {
			f.Log.Warn("a feed could not be pulled", "feed", one.config.Name, "new", report.New, "error", err)
		}
		return report, err
	}
	f.Log.Info("a feed was pulled", "feed", one.config.Name, "objects", report.Objects, "new", report.New, "known", report.Known,
		"refused", report.Refused, "rest", report.Rest, "took", report.Ended.Sub(report.Started).Round(time.Millisecond))
	return report, sink.confirmed(ctx)
}

// note takes down how a run went.
func (one *nodeFeed) note(report *feed.Report, err error) {
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.last = report; err == nil && report.Problem == "" {
		one.good = report.Ended
	}
}

// RunNow runs a feed when an operator asks for it. What went wrong is in the report.
func (f *Feeds) RunNow(ctx context.Context, name string, again bool) (*feed.Report, error) {
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

// RunSoon has a feed run by itself, before its time.
func (f *Feeds) RunSoon(name string) error {
	one, err := f.find(name)
	if err != nil {
		return err
	}
	if one.config.Paused {
		return problem.Input(fmt.Errorf("the feed %.60q is paused: nothing runs it", name))
	}
	select {
	case one.soon <- struct{}{}:
	default: // it is to run already
	}
	return nil
}

// Add makes a feed and writes it into the config file.
func (f *Feeds) Add(c config.Feed) (Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.ContainsFunc(f.list, func(one *nodeFeed) bool { return one.config.Name == c.Name }) {
		return Info{}, problem.Input(fmt.Errorf("there is a feed %q already", c.Name))
	}
	c = c.WithDefaults()
	made, err := f.make(c)
	if err != nil {
		return Info{}, problem.Input(err)
	}
	if err := f.checkInto(c); err != nil {
		return Info{}, err
	}
	if _, err := config.AddFeed(f.Repo.Dir, c); err != nil {
		return Info{}, problem.Input(err)
	}
	f.list = append(f.list, made)
	f.changed.Notify()
	return made.info(), nil
}

// checkInto checks that there is the collection that a new feed names. One that the configuration has may name one that
// is gone, or has not been seen yet: its runs say so.
func (f *Feeds) checkInto(c config.Feed) error {
	if c.Into == "" {
		return nil
	}
	if _, err := f.State.Called(c.Into); err != nil {
		return fmt.Errorf("feed %s: into: %w", c.Name, err)
	}
	return nil
}

// Remove ends a feed, takes it out of the config file, and forgets its place.
func (f *Feeds) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := config.RemoveFeed(f.Repo.Dir, name)
	if err != nil && !errors.Is(err, config.ErrNoFeed) {
		return err
	}
	i := slices.IndexFunc(f.list, func(one *nodeFeed) bool { return one.config.Name == name })
	if i < 0 {
		return problem.Missing(cmp.Or(err, fmt.Errorf("%w: %q", config.ErrNoFeed, name)))
	}
	one := f.list[i]
	f.list = slices.Delete(slices.Clone(f.list), i, i+1)
	f.changed.Notify()
	return one.feed.Forget()
}

// Pause makes a feed rest, or lets it run by itself again, and writes that into the config file. A run that is under
// way ends.
func (f *Feeds) Pause(name string, paused bool) (Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.list, func(one *nodeFeed) bool { return one.config.Name == name })
	if i < 0 {
		return Info{}, problem.Missing(fmt.Errorf("%w: %q", config.ErrNoFeed, name))
	}
	if f.list[i].config.Paused == paused {
		return f.list[i].info(), nil
	}
	if _, err := config.PauseFeed(f.Repo.Dir, name, paused); err != nil {
		return Info{}, problem.Input(err)
	}
	changed := f.list[i].config
	changed.Paused = paused
	one := &nodeFeed{config: changed, feed: f.list[i].feed}
	one.replace(f.list[i])
	f.list = slices.Clone(f.list)
	f.list[i] = one
	f.changed.Notify()
	return one.info(), nil
}

// Reload makes the feeds those of another configuration. One that is as it was goes on as if nothing had happened, and
// one that can't be made changes nothing at all.
func (f *Feeds) Reload(configs []config.Feed) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*nodeFeed
	for _, c := range configs {
		i := slices.IndexFunc(f.list, func(one *nodeFeed) bool { return one.config.Name == c.Name })
		if i >= 0 && reflect.DeepEqual(f.list[i].config, c) {
			list = append(list, f.list[i])
			continue
		}
		one, err := f.make(c)
		if err != nil {
			return err
		}
		if i >= 0 {
			one.replace(f.list[i])
		}
		list = append(list, one)
	}
	f.list = list
	f.changed.Notify()
	return nil
}

// Configs gives the configurations of the feeds that there are.
func (f *Feeds) Configs() (list []config.Feed) {
	for _, one := range f.snapshot() {
		list = append(list, one.config)
	}
	return list
}

// Problem is why the last run of a feed ended early.
type Problem struct {
	Name    string    `json:"name"`
	Problem string    `json:"problem"`
	Ended   time.Time `json:"ended"` // when that was
}

// Problems lists the feeds whose last run ended early.
func (f *Feeds) Problems() (list []Problem) {
	for _, one := range f.snapshot() {
		if info := one.info(); info.Last != nil && info.Last.Problem != "" {
			list = append(list, Problem{Name: info.Name, Problem: info.Last.Problem, Ended: info.Last.Ended})
		}
	}
	return list
}

// Infos tells how all feeds are.
func (f *Feeds) Infos() []Info {
	list := []Info{}
	for _, one := range f.snapshot() {
		list = append(list, one.info())
	}
	return list
}

// replace takes the place of a feed whose configuration changes: never two of one name run at a time, and what became
// of the runs before is known.
func (one *nodeFeed) replace(before *nodeFeed) {
	before.mu.Lock()
	defer before.mu.Unlock()
	one.one, one.last, one.good = before.one, before.last, before.good
}

func (one *nodeFeed) info() Info {
	one.mu.Lock()
	defer one.mu.Unlock()
	c := one.config
	return Info{
		Name: c.Name, Kind: c.Kind, URL: c.URL, Collection: c.Collection, Into: c.Into, Interval: c.Interval.String(), Paused: c.Paused,
		Credentials: feedCredentials(c).String(), Last: one.last, Good: one.good, Next: one.next,
	}
}

func (f *Feeds) sink(c config.Feed) *sink { return &sink{Feeds: f, config: c} }
