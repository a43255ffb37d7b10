package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// smallMessage is what a message costs at least, in bytes of a budget: each has a signature to be checked.
const smallMessage = 4 << 10

// budgets bounds what authors announce, in bytes: each, and all together. It is what gossip holds in memory.
//
// Of what all may say together one half is divided among the authors, evenly: an author's share. Who keeps to its share
// is heard as long as there is anything left; who says more is heard only as long as that half is not touched. So
// however much some say, the others have their share.
type budgets struct {
	limits Limits

	mu      sync.Mutex
	all     *rate.Limiter
	authors map[peer.ID]*author // of members only: not many
}

type author struct {
	own   *rate.Limiter // the most that one may say
	share *rate.Limiter
}

func newBudgets(l Limits) *budgets {
	return &budgets{
		limits: l, authors: map[peer.ID]*author{},
		all: rate.NewLimiter(rate.Limit(l.AllAnnouncedBytesPerSecond), l.AllAnnouncedBytesBurst),
	}
}

// afford takes a message's bytes from its author's budget and from that of all, or from neither.
func (b *budgets) afford(id peer.ID, n int, now time.Time) bool {
	cost := max(n, smallMessage)
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.author(id, now)
	left := b.all.TokensAt(now) - float64(cost)
	if left < 0 || a.own.TokensAt(now) < float64(cost) {
		return false
	}
	if reserve := float64(b.limits.AllAnnouncedBytesBurst) / 2; !a.share.AllowN(now, cost) && left < reserve {
		return false
	}
	return a.own.AllowN(now, cost) && b.all.AllowN(now, cost)
}

// author finds an author's budgets. A new one gets its share from all others'. The lock is held.
func (b *budgets) author(id peer.ID, now time.Time) *author {
	a := b.authors[id]
	if a != nil {
		return a
	}
	l := b.limits
	a = &author{
		own:   rate.NewLimiter(rate.Limit(l.AnnouncedBytesPerSecond), l.AnnouncedBytesBurst),
		share: rate.NewLimiter(0, l.AllAnnouncedBytesBurst/2),
	}
	b.authors[id] = a
	n := len(b.authors)
	for _, each := range b.authors {
		each.share.SetLimitAt(now, rate.Limit(l.AllAnnouncedBytesPerSecond)/rate.Limit(2*n))
		each.share.SetBurstAt(now, l.AllAnnouncedBytesBurst/(2*n))
	}
	return a
}
