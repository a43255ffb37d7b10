package console

import (
	"context"
	"time"
)

// Watch tells what came in of what this organisation watches for.
type Watch interface {
	// Since counts the objects that came in after a moment and concern this organisation; at most so many are looked at.
	// Of an account that may not know what is watched for it is none.
	Since(ctx context.Context, by By, after time.Time, most int) (Watched, error)
}

// Watched is what concerns this organisation.
type Watched struct {
	Objects int
	IDs     []string // of the newest, a few
	More    bool     // not all that came in was looked at
}

// watchedModel is a line of Today.
type watchedModel struct {
	Watched
	Wrong string
}

// watched gives the line; nil if nothing that came in concerns this organisation.
func (c *Console) watched(v *visit, since time.Time) *watchedModel {
	found, err := c.Rooms.Watch.Since(v.r.Context(), v.by(), since, newsMost)
	switch {
	case err != nil:
		return &watchedModel{Wrong: v.lacks("what concerns us", err)}
	case found.Objects == 0:
		return nil
	}
	return &watchedModel{Watched: found}
}
