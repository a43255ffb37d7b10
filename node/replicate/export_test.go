package replicate

import (
	"context"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/repo/view"
)

// FetchBatch is how many directories are asked for at once.
const FetchBatch = fetchBatch

// RetryAt is when something is asked for again.
var RetryAt = retryAt

// Load fetches the blocks of events and settles them.
func (f *Fetcher) Load(ctx context.Context, events []view.Event) error {
	left := f.Gone.Withdrawals()
	l, err := f.fetch(ctx, events, left, freshTimeout)
	if err != nil {
		return err
	}
	batches := l.pack()
	if err := f.settle(ctx, l); err != nil || len(batches.events) == 0 {
		return err
	}
	if l, err = f.unpack(ctx, batches, left, freshTimeout); err != nil {
		return err
	}
	return f.settle(ctx, l)
}

// OwnBytes bounds what is kept of own objects.
const OwnBytes = ownBytes

// Compare says how an own object differs from what was opened.
func (o *Own) Compare(root cid.Cid, opened *view.Entry) error { return o.kept[root].compare(opened) }

// Kept is what is kept of an own object.
func (o *Own) Kept(root cid.Cid) *view.Entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kept[root].entry
}

// Size is how much is kept.
func (o *Own) Size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size
}
