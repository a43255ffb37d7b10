package health

import (
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
)

// countEvery is how often at most it is counted what can be released: the list is as long as there are NFTs.
const countEvery = time.Minute

// releasable is what came out when it was counted last.
type releasable struct {
	mu    sync.Mutex
	at    time.Time
	micro uint64
}

// releasable tells how much of what is locked comes back when the NFTs of objects and batches are released.
func (o *Observer) releasable() (micro uint64, err error) {
	r := &o.counted
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); r.at.IsZero() || now.Sub(r.at) >= countEvery {
		n, err := o.Repo.Outbox.Releasable(o.State.Self)
		if err != nil {
			return 0, err
		}
		r.at, r.micro = now, ledger.Locked(n)
	}
	return r.micro, nil
}
