package publish

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/repo/outbox"
)

// flight is a group on its way.
type flight struct {
	outbox.Group
	over  chan struct{} // closed when the flight has ended
	bulk  bool          // some of it is
	users []string      // who it is for

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

// submissions are groups that are to be submitted, those first that are not bulk. A group is wholly one or the other, and
// the bulk of a request is what comes after the rest of it, so that its order stays.
type submissions struct{ first, bulk chan *flight }

func newSubmissions() submissions {
	return submissions{make(chan *flight, maxFlights), make(chan *flight, maxFlights)}
}

// of is where a group belongs.
func (s submissions) of(f *flight) chan<- *flight {
	if f.bulk {
		return s.bulk
	}
	return s.first
}

// next waits for the next group; nil when the context ends.
func (s submissions) next(ctx context.Context) *flight {
	select {
	case f := <-s.first:
		return f
	default:
	}
	select {
	case <-ctx.Done():
		return nil
	case f := <-s.first:
		return f
	case f := <-s.bulk:
		return f
	}
}

// resume takes up the groups that were in flight when the node stopped.
func (m *Minter) resume(submissions submissions) error {
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
		f := m.begin(g, items)
		submissions.of(f) <- f
	}
	return nil
}

// begin begins the flight of a group, whose items are among the given ones.
func (m *Minter) begin(g outbox.Group, items map[uint64]outbox.Item) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flights == nil {
		m.flights = map[uint64]*flight{}
	}
	f := &flight{Group: g, over: make(chan struct{})}
	for _, number := range g.Items {
		item := items[number]
		f.bulk = f.bulk || item.Bulk
		if item.User != "" && !slices.Contains(f.users, item.User) {
			f.users = append(f.users, item.User)
		}
	}
	m.flights[g.Number] = f
	m.landed.Notify()
	return f
}

// replace puts a flight of a group's latest signing in the place of the one before.
func (m *Minter) replace(g outbox.Group) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.flights[g.Number]
	f := &flight{Group: g, over: make(chan struct{})}
	if old != nil {
		f.over = old.over // anyone who waits for the group's end waits on
		f.bulk, f.users = old.bulk, old.users
	}
	m.flights[g.Number] = f
	return f
}

// isInFlight reports whether a group is on its way.
func (m *Minter) isInFlight(number uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flights[number] != nil
}

// now is a flight as its group was signed last.
func (m *Minter) now(f *flight) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	if latest := m.flights[f.Number]; latest != nil {
		return latest
	}
	return f
}

// end ends a flight. It may be called more than once.
func (m *Minter) end(number uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.flights[number]
	if f == nil {
		return
	}
	delete(m.flights, number)
	close(f.over)
	m.landed.Notify()
}

// endIfDone ends a flight whose group isn't waiting any more.
func (m *Minter) endIfDone(number uint64) error {
	waiting, err := m.Outbox.HasGroup(number)
	if err != nil {
		return &outboxError{err}
	}
	if !waiting {
		m.end(number)
	}
	return nil
}

// inFlight lists the flights, the oldest first.
func (m *Minter) inFlight() []*flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*flight, 0, len(m.flights))
	for _, f := range m.flights {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *flight) int { return int(a.Number) - int(b.Number) })
	return list
}

// depart begins the flights of groups.
func (m *Minter) depart(ctx context.Context, groups []outbox.Group, items []outbox.Item, submissions submissions) error {
	byNumber := make(map[uint64]outbox.Item, len(items))
	for _, item := range items {
		byNumber[item.Number] = item
	}
	for _, g := range groups {
		f := m.begin(g, byNumber)
		select {
		case submissions.of(f) <- f:
		case <-ctx.Done(): // they are in the outbox
			return nil
		}
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

func (m *Minter) allowance() allowance {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := allowance{groups: maxFlights - len(m.flights), bulk: bulkFlights, users: map[string]int{}}
	for _, f := range m.flights {
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
