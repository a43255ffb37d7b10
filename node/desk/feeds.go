package desk

import (
	"context"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/repo/config"
)

// feedRoom is what is pulled from elsewhere.
type feedRoom struct{ *Desk }

// Feeds lists them.
func (d feedRoom) Feeds(context.Context) ([]console.Feed, error) {
	list := []console.Feed{}
	for _, f := range d.api.Feeds.Infos() {
		one := console.Feed{
			Name: f.Name, Kind: f.Kind, URL: f.URL, Collection: f.Collection, Into: f.Into, Every: f.Interval, Credentials: f.Credentials, Paused: f.Paused,
			Good: f.Good, Next: f.Next,
		}
		if f.Last != nil {
			run := runOf(f.Last)
			one.Last = &run
		}
		list = append(list, one)
	}
	return list, nil
}

func runOf(r *feed.Report) console.FeedRun {
	run := console.FeedRun{
		Started: r.Started, Ended: r.Ended, Pages: r.Pages, Objects: r.Objects, New: r.New, Known: r.Known, Refused: r.Refused, Cost: r.Cost, Rest: r.Rest,
		Problem: r.Problem, Reasons: reasons(r.Reasons), Remarks: reasons(r.Remarks),
	}
	for _, n := range r.Passed {
		run.Passed += n
	}
	return run
}

func reasons(list []feed.Reason) (shown []console.FeedReason) {
	for _, r := range list {
		shown = append(shown, console.FeedReason{Reason: r.Reason, Count: r.Count, Example: r.Example})
	}
	return shown
}

// TestFeed finds out what a run would do.
func (d feedRoom) TestFeed(ctx context.Context, by console.By, name string) (console.FeedTrial, error) {
	t, err := d.api.Feeds.Test(as(ctx, by), name)
	if err != nil {
		return console.FeedTrial{}, told(err)
	}
	return console.FeedTrial{
		FeedRun: runOf(t.Trial.Report), Reached: t.Trial.Source.Reached, Source: t.Trial.Source.Title, Hints: t.Trial.Source.Hints, Notes: t.Trial.Notes,
		Into: t.Into, Free: t.Free, MaxObjects: t.MaxObjects, MaxCost: t.MaxCost,
	}, nil
}

// RunFeed has a feed run soon.
func (d feedRoom) RunFeed(ctx context.Context, by console.By, name string) error {
	err := d.api.Feeds.RunSoon(name)
	d.api.Trail.Changed(as(ctx, by), "run-feed", "", []string{name}, err)
	return told(err)
}

// PauseFeed has a feed rest, or go on.
func (d feedRoom) PauseFeed(ctx context.Context, by console.By, name string, paused bool) error {
	_, err := d.api.Feeds.Pause(name, paused)
	event := "resume-feed"
	if paused {
		event = "pause-feed"
	}
	d.api.Trail.Changed(as(ctx, by), event, "", []string{name}, err)
	return told(err)
}

// AddFeed makes a feed, as the command does.
func (d feedRoom) AddFeed(ctx context.Context, by console.By, n console.NewFeed) error {
	_, err := d.api.Feeds.Add(config.Feed{
		Name: n.Name, Kind: n.Kind, URL: n.URL, Collection: n.Collection, Into: n.Into, Interval: config.Duration{Duration: n.Every}, Paused: true,
		User: n.User, Password: n.Password, Token: n.Token, APIKey: n.APIKey, Types: n.Types, Markings: n.Markings, Labels: n.Labels, MinConfidence: n.MinConfidence,
		Unmarked: n.Unmarked, MaxObjects: n.MaxObjects, MaxALGO: n.MaxALGO,
	})
	d.api.Trail.Changed(as(ctx, by), "add-feed", "", []string{n.Name}, err)
	return told(err)
}

// RemoveFeed ends a feed.
func (d feedRoom) RemoveFeed(ctx context.Context, by console.By, name string) error {
	err := d.api.Feeds.Remove(name)
	d.api.Trail.Changed(as(ctx, by), "remove-feed", "", []string{name}, err)
	return told(err)
}
