package config

import (
	"fmt"
	"slices"
	"time"
)

// Retention says when the node takes back by itself what this organisation has published.
type Retention struct {
	ExpiredFor  Optional `toml:"expired_for"`   // how long valid_until is over; 0: nothing is taken back
	Collections []string `toml:"collections"`   // only in these, by id or alias; none: in all
	Objects     int64    `toml:"objects_a_day"` // at most in a day (UTC)
	Records     bool     `toml:"records"`       // also what takes a record, which locks money
}

const (
	minRetention   = 24 * time.Hour // for which what has expired stays: clocks differ, and somebody may prolong it
	leastRetention = 1000           // objects in a day: a batch goes as a whole
	mostRetention  = 1_000_000      // …
	maxRetained    = 1000           // collections that are named
)

func (r Retention) check() error {
	switch {
	case r.ExpiredFor.Duration != 0 && r.ExpiredFor.Duration < minRetention:
		return fmt.Errorf("retention.expired_for: %s is less than %s; empty is for never", r.ExpiredFor.Duration, minRetention)
	case len(r.Collections) > maxRetained || slices.Contains(r.Collections, ""):
		return fmt.Errorf("retention.collections: at most %d can be named, by id or alias; [] is all", maxRetained)
	}
	return at("retention.objects_a_day", between(r.Objects, leastRetention, mostRetention))
}
