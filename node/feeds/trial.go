package feeds

import (
	"context"
	"fmt"

	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/config"
)

// Trial is what a test of a feed found. It is good if there is no problem.
type Trial struct {
	Feed  Info       `json:"feed"`
	Trial feed.Trial `json:"trial"`
	Into  string     `json:"into"`           // title of the collection
	Free  uint64     `json:"free_microalgo"` // what the account can spend
	// The limits of a run.
	MaxObjects int    `json:"max_objects"`
	MaxCost    uint64 `json:"max_cost_microalgo,omitempty"`
}

// Test finds out what a run would do, also while one is under way: it changes nothing.
func (f *Feeds) Test(ctx context.Context, name string) (Trial, error) {
	one, err := f.find(name)
	if err != nil {
		return Trial{}, err
	}
	return f.test(ctx, one)
}

// Try finds out what a run of a feed would do that is not there, and need not be. It changes nothing.
func (f *Feeds) Try(ctx context.Context, c config.Feed) (Trial, error) {
	if _, err := f.find(c.Name); err == nil {
		return Trial{}, problem.Input(fmt.Errorf("there is a feed %q already: test it by its name alone, or give this one another", c.Name))
	}
	c = c.WithDefaults()
	if err := config.CheckFeed(c); err != nil {
		return Trial{}, problem.Input(err)
	}
	one, err := f.make(c)
	if err != nil {
		return Trial{}, problem.Input(err)
	}
	if err := f.checkInto(c); err != nil {
		return Trial{}, err
	}
	return f.test(ctx, one)
}

func (f *Feeds) test(ctx context.Context, one *nodeFeed) (Trial, error) {
	sink := f.sink(one.config)
	result := Trial{Feed: one.info(), MaxCost: maxCost(one.config), MaxObjects: one.config.MaxObjects}
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
