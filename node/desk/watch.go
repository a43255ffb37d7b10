package desk

import (
	"context"
	"time"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/node/watch"
)

// watched tells what came in of what this organisation watches for.
type watched struct{ *Desk }

var _ console.Watch = watched{}

// Since counts what came in after a moment.
func (w watched) Since(ctx context.Context, by console.By, after time.Time, most int) (console.Watched, error) {
	room, is := w.press.clients.Watch.(*watch.Room)
	if !is {
		return console.Watched{}, nil
	}
	found, err := room.Since(ctx, by.Principal, after, most)
	return console.Watched{Objects: found.Objects, IDs: found.IDs, More: found.More}, err
}
