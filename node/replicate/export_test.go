package replicate

import (
	"context"

	"github.com/serviceledger/slnode/repo/view"
)

// FetchBatch is how many directories are asked for at once.
const FetchBatch = fetchBatch

// Load fetches the blocks of events and settles them.
func (f *Fetcher) Load(ctx context.Context, events []view.Event) error {
	l, err := f.fetch(ctx, events, f.Gone.Withdrawals(), freshTimeout)
	if err != nil {
		return err
	}
	return f.settle(ctx, l)
}
