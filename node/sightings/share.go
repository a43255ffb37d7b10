package sightings

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/hits"
	"github.com/serviceledger/slnode/taxii"
)

const (
	// lookEvery is how often it is looked what others are to be told, beside when a day begins.
	lookEvery = time.Hour
	// lookAgain is when it is tried again where something was wrong.
	lookAgain = 10 * time.Minute
	// settleAgain is when it is looked again after what is on its way to the chain.
	settleAgain = 15 * time.Second
	// looksApart is how far apart looks are, whatever is reported.
	looksApart = time.Second
	mostBegun  = 1000 // counters that one look goes through
	// User is who causes it, in the day-book and the audit log. No account's name has a space.
	User = "hits roll-up"
)

var (
	errPoor   = errors.New("only the reserve is left")
	errEnough = errors.New("that is what a day may bring")
)

// Run tells others what is to be told until the context ends.
func (r *Room) Run(ctx context.Context) error {
	for {
		changed := r.changed.Changed()
		pause := r.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(looksApart):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(pause):
		}
	}
}

// look tells others what is to be told, and says when to look again.
func (r *Room) look(ctx context.Context) (pause time.Duration) {
	set, now := r.settings(), r.Now()
	today := hits.DayOf(now)
	r.mu.Lock()
	first := hits.DayOf(r.looked) != today
	r.looked = now.UTC()
	r.mu.Unlock()
	tomorrow := (today + 1).Begin().Sub(now)
	var err error
	if first { // of the day
		err = r.Book.Forget(max(today, hits.KeptDays)-hits.KeptDays, today)
	}
	if set.Share == config.ShareNo && err == nil {
		r.Condition.Clear()
		return tomorrow
	}
	rests := false
	if err == nil {
		rests, err = r.tellAll(ctx, set, now)
	}
	switch {
	case ctx.Err() != nil:
		return 0
	case errors.Is(err, errEnough) && !rests:
		r.Condition.Clear()
		return tomorrow
	case err != nil && !errors.Is(err, errEnough): // it is no reason to end the node
		r.Condition.Set(word(err), err.Error())
		return lookAgain
	}
	r.Condition.Clear()
	if rests {
		return settleAgain
	}
	return min(lookEvery, tomorrow)
}

// word is what scripts know a reason by.
func word(err error) string {
	var limit *taxii.LimitError
	switch {
	case errors.Is(err, errPoor):
		return "funds"
	case errors.As(err, &limit):
		return "limit"
	}
	return "sightings"
}

// tellAll finishes what was begun and begins what is due, as far as the day allows. Rests says that something is on its
// way.
func (r *Room) tellAll(ctx context.Context, set config.Sightings, now time.Time) (rests bool, err error) {
	if wrong := r.Clock.Get(); wrong.Problem != "" {
		return false, fmt.Errorf("which day it is is not known: %s", wrong.Detail)
	}
	if err := state.AwaitTip(ctx, r.Watcher); err != nil {
		return false, err
	}
	if !r.Finder.State.Active() {
		return false, nil // which the status says
	}
	begun, due, err := r.sift(set, now)
	if err != nil {
		return false, err
	}
	var failures []error
	full := false
	for _, c := range begun {
		done, err := r.goOn(ctx, c)
		rests = rests || !done
		failures = append(failures, err)
	}
	day, err := r.allowance(ctx, set, now)
	if err != nil {
		return rests, errors.Join(append(failures, err)...)
	}
	for _, c := range due {
		done, err := day.begin(ctx, c)
		rests = rests || !done
		if ctx.Err() != nil {
			return rests, ctx.Err()
		}
		if full = errors.Is(err, errEnough); full {
			break
		}
		if failures = append(failures, err); errors.Is(err, errPoor) {
			break
		}
	}
	if err = errors.Join(failures...); err == nil && full {
		err = errEnough
	}
	return rests, err
}

// sift finds what was begun and what is due: what was never told of first, then what hit first.
func (r *Room) sift(set config.Sightings, now time.Time) (begun, due []hits.Counter, err error) {
	trim := func() {
		slices.SortFunc(due, func(a, b hits.Counter) int {
			told := func(c hits.Counter) int {
				if c.Told == nil {
					return 0
				}
				return 1
			}
			return cmp.Or(cmp.Compare(told(a), told(b)), cmp.Compare(a.First, b.First), cmp.Compare(a.Indicator, b.Indicator))
		})
		due = due[:min(len(due), mostBegun)]
	}
	err = r.Book.Each(func(c hits.Counter) error {
		switch {
		case c.Told != nil && (len(c.Told.Document) > 0 || c.Told.Older):
			if len(begun) < mostBegun {
				begun = append(begun, c)
			}
		case isDue(c, set, now):
			if due = append(due, c); len(due) > 2*mostBegun {
				trim()
			}
		}
		return nil
	})
	trim()
	return begun, due, err
}

// isDue reports whether others are to be told of an indicator: of its hits on days that are over, the first time at
// once, and then at most once in a while.
func isDue(c hits.Counter, set config.Sightings, now time.Time) bool {
	count, last := c.Until(hits.DayOf(now) - 1)
	switch {
	case count == 0 || last == 0:
		return false
	case c.Told == nil:
		return true
	}
	return last > c.Told.Through && !now.Before(cut(c.Told.Modified).Add(set.Every.Duration))
}

// allowance is what a day still allows.
type allowance struct {
	*Room
	set   config.Sightings
	now   time.Time
	used  hits.Used
	purse microalgo.Amount // that can be spent
}

func (r *Room) allowance(ctx context.Context, set config.Sightings, now time.Time) (*allowance, error) {
	used, err := r.Book.Today(hits.DayOf(now))
	if err != nil {
		return nil, err
	}
	a := &allowance{Room: r, set: set, now: now, used: used}
	if a.purse, err = r.Purse.Spendable(ctx); err != nil {
		return nil, fmt.Errorf("what can be spent is not known: %w", err)
	}
	return a, nil
}

// take counts what is about to be spent, or says why it must not be.
func (a *allowance) take(nfts int) error {
	needs := microalgo.PerNFT.Times(uint64(nfts))
	switch most := microalgo.Amount(a.set.MaxALGO); {
	case a.used.Sightings >= int(a.set.MaxPerDay), most > 0 && a.used.Money.Plus(needs) > most:
		return errEnough
	case a.purse < needs:
		return fmt.Errorf("%w: telling others what was seen needs %s ALGO of what objects can spend, which is %s; send ALGO, or lower publish.reserve", errPoor, needs, a.purse)
	}
	a.purse = a.purse.Less(needs)
	a.used.Sightings++
	a.used.Money = a.used.Money.Plus(needs)
	return nil
}
