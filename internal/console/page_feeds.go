package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// Feeds are what is pulled from elsewhere.
type Feeds interface {
	Feeds(ctx context.Context) ([]Feed, error)
	// TestFeed finds out what a run would do, which can take minutes.
	TestFeed(ctx context.Context, by By, name string) (FeedTrial, error)
	// RunFeed has a feed run soon, beside its schedule.
	RunFeed(ctx context.Context, by By, name string) error
	PauseFeed(ctx context.Context, by By, name string, paused bool) error
}

// Feed is how one is.
type Feed struct {
	Name, Kind, URL, Collection, Into, Every string
	Credentials                              string // which, without secrets
	Paused                                   bool
	Last                                     *FeedRun
	Good                                     time.Time // when a run last ended well
	Next                                     time.Time
}

// FeedRun is what a run did, or would do.
type FeedRun struct {
	Started, Ended                      time.Time
	Pages, Objects, New, Known, Refused int
	Passed                              int // by the feed's filters
	Cost                                uint64
	Reasons, Remarks                    []FeedReason
	Rest                                bool
	Problem                             string
}

// FeedReason is why something was refused, or what is odd.
type FeedReason struct {
	Reason  string
	Count   int
	Example string
}

// FeedTrial is what a run would do.
type FeedTrial struct {
	FeedRun
	Reached    bool
	Source     string // what it says of itself
	Hints      []string
	Notes      []string
	Into       string
	Free       uint64
	MaxObjects int
	MaxCost    uint64
}

type feedsModel struct{ List []Feed }

func (c *Console) getFeeds(v *visit) error {
	list, err := c.Rooms.Feeds.Feeds(v.r.Context())
	if err != nil {
		return err
	}
	return v.render("feeds", feedsModel{list})
}

type feedModel struct {
	Feed
	Trial *FeedTrial
}

func (c *Console) feed(v *visit) (feedModel, error) {
	list, err := c.Rooms.Feeds.Feeds(v.r.Context())
	if err != nil {
		return feedModel{}, err
	}
	i := slices.IndexFunc(list, func(f Feed) bool { return f.Name == v.query("name") })
	if i < 0 {
		return feedModel{}, taxii.ErrNotFound
	}
	return feedModel{Feed: list[i]}, nil
}

func (c *Console) getFeed(v *visit) error {
	model, err := c.feed(v)
	if err != nil {
		return err
	}
	return v.renderAs("feed", name(model.Name), model)
}

// trialTime bounds a test of a feed.
const trialTime = 3 * time.Minute

func (c *Console) postFeed(v *visit) error {
	model, err := c.feed(v)
	if err != nil {
		return err
	}
	ctx, by, done := v.r.Context(), v.by(), ""
	switch v.form.Get("do") {
	case "test":
		ctx, cancel := context.WithTimeout(ctx, trialTime)
		defer cancel()
		if err := http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(2 * trialTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		trial, err := c.Rooms.Feeds.TestFeed(ctx, by, model.Name)
		if err != nil {
			return err
		}
		model.Trial = &trial
		return v.renderAs("feed", name(model.Name), model)
	case "run":
		done, err = "running", c.Rooms.Feeds.RunFeed(ctx, by, model.Name)
	case "pause":
		done, err = "paused", c.Rooms.Feeds.PauseFeed(ctx, by, model.Name, true)
	case "resume":
		done, err = "resumed", c.Rooms.Feeds.PauseFeed(ctx, by, model.Name, false)
	default:
		err = errUnknownForm
	}
	if err != nil {
		return err
	}
	return v.see(link("feed", "name", model.Name, "done", done))
}
