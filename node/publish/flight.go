package publish

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/repo/outbox"
)

// flight is a group on its way.
type flight struct {
	outbox.Group
	over  chan struct{} // closed when the flight has ended
	bulk  bool          // some of it is
	users []string      // who it is for
	sort  money.Sort    // what each of it costs

	mu      sync.Mutex
	taken   time.Time // when algod took it; zero if it hasn't
	refused bool      // algod refused it, and the log says so
}

func (f *flight) setTaken(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = at
}

// firstRefusal reports whether this is the first time that algod refuses the group.
func (f *flight) firstRefusal() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.refused
	f.refused = true
	return !was
}

func (f *flight) takenAt() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.taken
}

// flights are the groups on their way: from their signing to their confirmation, or until it is proved that they can't
// be confirmed any more. Those that are to be submitted queue up, first what is not bulk. A group is wholly one or the
// other, and the bulk of a request is what comes after the rest of it, so that its order stays.
type flights struct {
	landed      signal.Signal // one ended, or began
	first, bulk chan *flight  // to be submitted

	mu       sync.Mutex
	byNumber map[uint64]*flight
}

func newFlights() *flights {
	return &flights{first: make(chan *flight, maxFlights), bulk: make(chan *flight, maxFlights), byNumber: map[uint64]*flight{}}
}

// queue is where a flight waits for its submission.
func (l *flights) queue(f *flight) chan<- *flight {
	if f.bulk {
		return l.bulk
	}
	return l.first
}

// next waits for the next flight that is to be submitted; nil when the context ends.
func (l *flights) next(ctx context.Context) *flight {
	select {
	case f := <-l.first:
		return f
	default:
	}
	select {
	case <-ctx.Done():
		return nil
	case f := <-l.first:
		return f
	case f := <-l.bulk:
		return f
	}
}

// depart begins the flights of groups, whose items are among the given ones, and has them submitted.
func (l *flights) depart(ctx context.Context, groups []outbox.Group, items []outbox.Item) {
	byNumber := make(map[uint64]outbox.Item, len(items))
	for _, item := range items {
		byNumber[item.Number] = item
	}
	for _, g := range groups {
		f := l.begin(g, byNumber)
		select {
		case l.queue(f) <- f:
		case <-ctx.Done(): // they are in the outbox
			return
		}
	}
}

// again has a flight submitted once more, unless very many wait for that.
func (l *flights) again(f *flight) (queued bool) {
	select {
	case l.queue(f) <- f:
		return true
	default:
		return false
	}
}

// begin begins the flight of a group, whose items are among the given ones.
func (l *flights) begin(g outbox.Group, items map[uint64]outbox.Item) *flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &flight{Group: g, over: make(chan struct{})}
	for _, number := range g.Items {
		item := items[number]
		f.bulk, f.sort = item.Bulk, sortOf(item) // as they all are, or cost as much
		if item.User != "" && !slices.Contains(f.users, item.User) {
			f.users = append(f.users, item.User)
		}
	}
	l.byNumber[g.Number] = f
	l.landed.Notify()
	return f
}

// replace puts a flight of a group's latest signing in the place of the one before.
func (l *flights) replace(g outbox.Group) *flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.byNumber[g.Number]
	f := &flight{Group: g, over: make(chan struct{})}
	if old != nil {
		f.over = old.over // anyone who waits for the group's end waits on
		f.bulk, f.users, f.sort = old.bulk, old.users, old.sort
	}
	l.byNumber[g.Number] = f
	return f
}

// has reports whether a group is on its way.
func (l *flights) has(number uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byNumber[number] != nil
}

// areEmpty reports whether no group is on its way.
func (l *flights) areEmpty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byNumber) == 0
}

// now is a flight as its group was signed last.
func (l *flights) now(f *flight) *flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	if latest := l.byNumber[f.Number]; latest != nil {
		return latest
	}
	return f
}

// end ends a flight. It may be called more than once.
func (l *flights) end(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.byNumber[number]
	if f == nil {
		return
	}
	delete(l.byNumber, number)
	close(f.over)
	l.landed.Notify()
}

// list gives the flights, the oldest first.
func (l *flights) list() []*flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.byNumber), func(a, b *flight) int { return cmp.Compare(a.Number, b.Number) })
}

// resume takes up the groups that were in flight when the node stopped.
func (m *Minter) resume() error {
	groups, err := m.Outbox.Groups(0, maxFlights)
	if err != nil {
		return err
	}
	for _, g := range groups {
		items := map[uint64]outbox.Item{}
		for _, number := range g.Items {
			if items[number], _, err = m.Outbox.Item(number); err != nil {
				return err
			}
		}
		f := m.flights.begin(g, items)
		m.flights.queue(f) <- f
	}
	return nil
}

// endIfDone ends a flight whose group isn't waiting any more.
func (m *Minter) endIfDone(number uint64) error {
	waiting, err := m.Outbox.HasGroup(number)
	if err != nil {
		return &outboxError{err}
	}
	if !waiting {
		m.flights.end(number)
	}
	return nil
}

// Of the groups in flight, some are kept free for what is not bulk, and some of those for other users than the one who
// has most: who comes while all of somebody's many are on their way is in the next round all the same.
const (
	bulkFlights = 64
	userFlights = 72
)

// allowance is how many groups may begin their flight now.
type allowance struct {
	groups, bulk int
	users        map[string]int // that fly already
}

func (l *flights) allowance() allowance {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := allowance{groups: maxFlights - len(l.byNumber), bulk: bulkFlights, users: map[string]int{}}
	for _, f := range l.byNumber {
		if f.bulk {
			a.bulk--
		}
		for _, user := range f.users {
			a.users[user]++
		}
	}
	return a
}

// choose leaves those of the items that may be signed, in their order.
func (a allowance) choose(items []outbox.Item) (chosen []outbox.Item) {
	bulk, users := 0, map[string]int{}
	for _, item := range items {
		switch {
		case len(chosen) == a.groups*ledger.MaxGroup:
			return chosen
		case item.Bulk && bulk >= a.bulk*ledger.MaxGroup:
		case item.User != "" && users[item.User] >= (userFlights-a.users[item.User])*ledger.MaxGroup:
		default:
			chosen = append(chosen, item)
			users[item.User]++
			if item.Bulk {
				bulk++
			}
		}
	}
	return chosen
}
