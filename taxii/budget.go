package taxii

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// budget is memory that requests hold, in bytes: so much in all, and so much of one user's. Whoever takes all that is
// theirs makes nobody wait but themselves.
type budget struct {
	size, each int64
	all        *semaphore.Weighted

	mu    sync.Mutex
	users map[string]*userBudget
}

type userBudget struct {
	*semaphore.Weighted
	uses int // of grants that hold some of it, or wait
}

func newBudget(size, each int64) *budget {
	return &budget{size: size, each: each, all: semaphore.NewWeighted(size), users: make(map[string]*userBudget)}
}

// grant is a part of a budget.
type grant struct {
	from *budget
	user string
	n    int64
}

// take waits for a part of the budget, of at most what one user may have, until ctx ends.
func (b *budget) take(ctx context.Context, user string, n int64) (*grant, error) {
	n = min(n, b.each)
	own := b.user(user)
	if err := own.Acquire(ctx, n); err != nil {
		b.leave(user)
		return nil, err
	}
	if err := b.all.Acquire(ctx, n); err != nil {
		own.Release(n)
		b.leave(user)
		return nil, err
	}
	return &grant{b, user, n}, nil
}

func (b *budget) user(name string) *userBudget {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.users[name]
	if u == nil {
		u = &userBudget{Weighted: semaphore.NewWeighted(b.each)}
		b.users[name] = u
	}
	u.uses++
	return u
}

func (b *budget) leave(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if u := b.users[name]; u != nil {
		if u.uses--; u.uses == 0 {
			delete(b.users, name)
		}
	}
}

// shrink gives back all but n.
func (g *grant) shrink(n int64) {
	if back := g.n - n; back > 0 {
		g.from.mu.Lock()
		own := g.from.users[g.user]
		g.from.mu.Unlock()
		own.Release(back)
		g.from.all.Release(back)
		g.n = n
	}
}

// release gives the grant back. It is not used afterwards.
func (g *grant) release() {
	g.shrink(0)
	g.from.leave(g.user)
}

// seats bounds how many of something there are at a time, in all and of one user.
type seats struct {
	all, each int

	mu     sync.Mutex
	taken  int
	byUser map[string]int
}

func newSeats(all, each int) *seats {
	return &seats{all: all, each: each, byUser: make(map[string]int)}
}

// take takes a seat; leave gives it back. It does not wait.
func (s *seats) take(user string) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.all || s.byUser[user] >= s.each {
		return nil, false
	}
	s.taken++
	s.byUser[user]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken--
		if s.byUser[user]--; s.byUser[user] == 0 {
			delete(s.byUser, user)
		}
	}, true
}
