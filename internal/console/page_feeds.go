package console

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/serviceledger/slnode/taxii"
)

// Feeds are what is pulled from elsewhere.
type Feeds interface {
	Feeds(ctx context.Context) ([]Feed, error)
	// AddFeed makes a feed that is paused: it is to be tested first.
	AddFeed(ctx context.Context, by By, f NewFeed) error
	// RemoveFeed ends a feed. What it published stays.
	RemoveFeed(ctx context.Context, by By, name string) error
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

// NewFeed is one to be made. What is empty is the usual.
type NewFeed struct {
	Name, Kind, URL               string
	Collection                    string // there
	Into                          string // here
	Every                         time.Duration
	User, Password, Token, APIKey string
	Types, Markings, Labels       []string // that are taken
	MinConfidence                 int
	Unmarked                      string // "collection", "refuse", or a TLP level
	MaxObjects                    int
	MaxALGO                       float64 // of a run; 0: no limit
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

type feedsModel struct {
	List []Feed
	Into []Collection // where this account may have them published
}

func (c *Console) getFeeds(v *visit) error {
	list, err := c.Rooms.Feeds.Feeds(v.r.Context())
	if err != nil {
		return err
	}
	into, err := c.Rooms.Sharing.Collections(v.r.Context(), v.by())
	if err != nil {
		return err
	}
	into = slices.DeleteFunc(into, func(one Collection) bool { return !one.Write || one.Former || one.AdHoc })
	return v.render("feeds", feedsModel{list, into})
}

// postFeeds adds a feed, which rests until it was tested.
func (c *Console) postFeeds(v *visit) error {
	f, err := readFeed(v.form)
	if err == nil {
		err = c.Rooms.Feeds.AddFeed(v.r.Context(), v.by(), f)
	}
	if err != nil {
		return err
	}
	return v.see(link("feed", "name", f.Name, "done", "added"))
}

// readFeed reads the form of a new feed.
func readFeed(form url.Values) (NewFeed, error) {
	f := NewFeed{
		Name: strings.TrimSpace(form.Get("name")), Kind: form.Get("kind"), URL: strings.TrimSpace(form.Get("url")), Collection: strings.TrimSpace(form.Get("collection")),
		Into: form.Get("into"), User: form.Get("user"), Password: form.Get("password"), Token: form.Get("token"), APIKey: form.Get("api_key"),
		Types: listed(form.Get("types")), Labels: listed(form.Get("labels")), Markings: form["marking"], Unmarked: form.Get("unmarked"),
	}
	for _, secret := range []string{f.User, f.Password, f.Token, f.APIKey} {
		if strings.HasPrefix(secret, "file:") || strings.HasPrefix(secret, "env:") {
			return f, &taxii.InvalidError{Reason: "Files and variables of the node's machine are named by its operator alone: \"slnode feed add\". Here a secret is given as itself."}
		}
	}
	var err error
	for _, one := range []struct {
		field string
		read  func(text string) error
	}{
		{"every", func(text string) error { f.Every, err = time.ParseDuration(text); return err }},
		{"min_confidence", func(text string) error { f.MinConfidence, err = strconv.Atoi(text); return err }},
		{"max_objects", func(text string) error { f.MaxObjects, err = strconv.Atoi(text); return err }},
		{"max_algo", func(text string) error { f.MaxALGO, err = strconv.ParseFloat(text, 64); return err }},
	} {
		text := strings.TrimSpace(form.Get(one.field))
		if text != "" && one.read(text) != nil {
			return f, &taxii.InvalidError{Reason: fmt.Sprintf("%s is no number: %.40q.", strings.ReplaceAll(one.field, "_", " "), text)}
		}
	}
	return f, nil
}

// listed are the words of a field, between commas, spaces or lines.
func listed(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
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
	case "remove":
		if err := c.Rooms.Feeds.RemoveFeed(ctx, by, model.Name); err != nil {
			return err
		}
		return v.see("feeds?done=ended")
	default:
		err = errUnknownForm
	}
	if err != nil {
		return err
	}
	return v.see(link("feed", "name", model.Name, "done", done))
}
