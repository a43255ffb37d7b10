package replicate_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/view"
)

// memory is the view as simple as it can be: a list of events, that is looked through for each question. What it shares
// with the store is shown by TestTheViewOfTheHistoriesAnswersAsTheStoreDoes.
type memory struct {
	*power
	mu        sync.Mutex
	cursor    uint64
	sequences map[string]*consortium.Sequence
	events    []*remembered // in chain order
	reviews   map[string]bool
}

type remembered struct {
	view.Event
	effect     consortium.Effect
	content    []byte
	entry      *view.Entry // where InView
	collection string      // where Undecided
	publishes  string
}

func newMemory(p *power) *memory { return &memory{power: p, reviews: map[string]bool{}} }

// power is what all stores of a node stand on: it fails after a durable step, and nothing works until it is back.
type power struct {
	mu    sync.Mutex
	left  int // steps until it fails; 0: it doesn't
	dead  bool
	steps int // that were taken
	fails *failing
}

var errPower = errors.New("the power failed")

func (p *power) on(method string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.fails.call(method); err != nil {
		return err
	}
	if p.dead {
		return errPower
	}
	return nil
}

// step is after a durable step.
func (p *power) step() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.steps++; p.left == 1 {
		p.dead = true
	}
	if p.left--; p.dead {
		return errPower
	}
	return nil
}

// back lets it fail again after so many steps.
func (p *power) back(after int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead, p.left = false, after
}

// read and write run a function as the store's transactions do.
func (m *memory) read(method string, look func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.on(method); err != nil {
		return err
	}
	look()
	return nil
}

func (m *memory) write(method string, change func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.on(method); err != nil {
		return err
	}
	change()
	return m.step()
}

func (m *memory) find(has func(*remembered) bool) *remembered {
	if i := slices.IndexFunc(m.events, has); i >= 0 {
		return m.events[i]
	}
	return nil
}

func (m *memory) at(p consortium.Position) *remembered {
	return m.find(func(e *remembered) bool { return e.Position == p })
}

func (m *memory) Cursor() (round uint64, err error) {
	err = m.read("Cursor", func() { round = m.cursor })
	return round, err
}

func (m *memory) Sequences() (sequences map[string]*consortium.Sequence, err error) {
	err = m.read("Sequences", func() { sequences = copySequences(m.sequences) })
	return sequences, err
}

func copySequences(s map[string]*consortium.Sequence) map[string]*consortium.Sequence {
	copied := maps.Clone(s)
	for account, q := range copied {
		one := *q
		one.Holes = slices.Clone(q.Holes)
		copied[account] = &one
	}
	return copied
}

func (m *memory) Records() (list []view.Event, err error) {
	err = m.read("Records", func() {
		for _, e := range m.events {
			if e.effect == consortium.Record {
				list = append(list, e.Event)
			}
		}
	})
	return list, err
}

func (m *memory) Append(events []view.NewEvent, sequences map[string]*consortium.Sequence) error {
	return m.write("Append", func() {
		m.sequences = copySequences(sequences)
		for _, e := range events {
			if m.at(e.Position) != nil {
				continue
			}
			r := &remembered{Event: view.Event{Event: e.Event, Member: e.Member, State: view.Waiting}, effect: e.Effect}
			if r.Member == e.Sender {
				r.Member = ""
			}
			if e.Directory == "" || e.Effect == consortium.Withdrawal {
				r.State = view.Done
			}
			m.events = append(m.events, r)
		}
		slices.SortFunc(m.events, func(a, b *remembered) int { return a.Compare(b.Position) })
	})
}

func (m *memory) Advance(round uint64, sequences map[string]*consortium.Sequence) error {
	return m.write("Advance", func() { m.cursor, m.sequences = round, copySequences(sequences) })
}

func (m *memory) Withdraw(recalls ...view.Recall) (ended []view.Event, n int, err error) {
	err = m.write("Withdraw", func() {
		for _, r := range recalls {
			e := m.find(func(e *remembered) bool { return e.Asset == r.Asset && e.State != view.Done && e.Index == 0 })
			if e == nil || !e.Position.Before(r.At) || e.effect == consortium.Record || !slices.Contains(r.Senders, e.Sender) {
				continue
			}
			switch isBatch := e.Note.Kind == wire.KindBatch; {
			case !isBatch && r.Index == 0:
				ended = append(ended, m.end(e))
			case isBatch && r.Index == 0:
				for _, o := range m.events {
					if o.TxID == e.TxID && o.Index != 0 {
						ended = append(ended, m.end(o))
					}
				}
				ended = append(ended, m.end(e))
			case isBatch:
				if len(e.Withdrawn) == 0 {
					e.Withdrawn = make([]byte, wire.MaxBatch/8)
				}
				e.Withdrawn[(r.Index-1)/8] |= 1 << ((r.Index - 1) % 8)
				if o := m.at(consortium.Position{Round: e.Round, Intra: e.Intra, Index: r.Index}); o != nil {
					ended = append(ended, m.end(o))
				} else {
					ended = append(ended, e.Object(r.Index, "", view.Listed{}))
				}
			}
		}
	})
	return ended, len(recalls), err
}

func (m *memory) end(e *remembered) view.Event {
	was := e.State
	e.State = view.Ended
	if was == view.InView || was == view.Waiting && e.Publication != nil {
		m.succeed(e)
	}
	return e.Event
}

func (m *memory) IsWithdrawn(e view.Event) (withdrawn bool, err error) {
	err = m.read("IsWithdrawn", func() {
		now := m.at(consortium.Position{Round: e.Round, Intra: e.Intra})
		withdrawn = now.HasWithdrawn(e.Index)
	})
	return withdrawn, err
}

// Published gives what was published under a name, as the store does.
func (m *memory) Published(name wire.Publication) (e view.Event, found bool, err error) {
	err = m.read("Published", func() {
		is := func(n wire.Publication) func(*remembered) bool {
			return func(e *remembered) bool { return e.Name() == n }
		}
		r, batch := m.find(is(name)), m.find(is(wire.Publication{TxID: name.TxID}))
		switch {
		case r != nil:
			e, found = r.Event, true
		case batch != nil:
			e = batch.Object(name.Index, "", view.Listed{})
			found = e.State == view.Ended
		}
	})
	return e, found, err
}

// succeed lets the first duplicate of what an event published wait for its turn.
func (m *memory) succeed(e *remembered) {
	next := m.find(func(d *remembered) bool { return d.State == view.Duplicate && d.publishes == e.publishes })
	if next != nil {
		next.State, next.Due = view.Waiting, 0
	}
}

func (m *memory) Uses(directory string) (used bool, err error) {
	err = m.read("Uses", func() {
		used = m.find(func(e *remembered) bool {
			return e.Directory == directory && e.State != view.Done && e.State != view.Ended && e.State != view.Refused
		}) != nil
	})
	return used, err
}

func (m *memory) Event(txid string) (e view.Event, found bool, err error) {
	err = m.read("Event", func() {
		if r := m.find(func(e *remembered) bool { return e.TxID == txid }); r != nil {
			e, found = r.Event, true
		}
	})
	return e, found, err
}

func (m *memory) Content(e view.Event) (content []byte, err error) {
	err = m.read("Content", func() {
		if r := m.at(e.Position); r != nil {
			content = r.content
		}
	})
	return content, err
}

func (m *memory) Await(e view.Event) error {
	return m.write("Await", func() {
		if r := m.at(e.Position); r != nil && r.State == view.Held {
			r.State, r.Due = view.Waiting, 0
		}
	})
}

func (m *memory) Due(queue view.Queue, busy func(consortium.Position) bool, now time.Time, limit int) (list []view.Event, next time.Time, err error) {
	err = m.read("Due", func() {
		for _, e := range m.events {
			switch due := time.UnixMilli(e.Due); {
			case e.State != view.Waiting || (e.Due > 0) != (queue == view.Retried):
			case due.After(now):
				if next.IsZero() || due.Before(next) {
					next = due
				}
			case busy != nil && busy(e.Position):
			case len(list) < limit:
				list = append(list, e.Event)
			}
		}
	})
	return list, next, err
}

func (m *memory) Hasten() error {
	return m.write("Hasten", func() {
		for _, e := range m.events {
			if e.State == view.Waiting {
				e.Due = 0
			}
		}
	})
}

func (m *memory) Settle(outcomes []view.Outcome) error {
	if len(outcomes) == 0 {
		return m.on("Settle")
	}
	return m.write("Settle", func() {
		for _, o := range outcomes {
			e := m.at(o.Event.Position)
			if e == nil && o.Event.Index > 0 {
				e = m.list(o.Event)
			}
			if e != nil && e.State == view.Waiting {
				m.settle(e, o)
			}
		}
	})
}

// list makes an object of a batch known; nil if that doesn't wait for any, or it was withdrawn.
func (m *memory) list(e view.Event) *remembered {
	batch := m.at(consortium.Position{Round: e.Round, Intra: e.Intra})
	if batch == nil || batch.State != view.Waiting || batch.HasWithdrawn(e.Index) {
		return nil
	}
	r := &remembered{Event: batch.Object(e.Index, e.Directory, e.Listed), effect: consortium.Object}
	m.events = append(m.events, r)
	slices.SortFunc(m.events, func(a, b *remembered) int { return a.Compare(b.Position) })
	return r
}

func (m *memory) settle(e *remembered, o view.Outcome) {
	e.State, e.Reason = o.State, o.Reason
	switch o.State {
	case view.Waiting:
		e.Tries++
		e.Due = o.Due.UnixMilli()
	case view.Undecided:
		e.collection, e.Epoch = o.Collection, o.Epoch
	case view.InView:
		m.enter(e, o.Entry)
	case view.Held, view.Refused:
		if o.State == view.Held && o.Content != nil {
			e.content = o.Content
		}
		if c := e.Note.Collection; c != "" && e.Note.Kind != wire.KindObject {
			m.reviews[c] = true
		}
		if e.Publication != nil {
			m.succeed(e)
		}
	}
}

func (m *memory) enter(e *remembered, entry *view.Entry) {
	member := e.Member
	if member == "" {
		member = entry.Publisher
	}
	e.entry, e.publishes = entry, strings.Join([]string{entry.Collection, member, entry.ID, entry.Instant.UTC().Format(time.RFC3339Nano)}, "/")
	other := m.find(func(o *remembered) bool { return o != e && o.State == view.InView && o.publishes == e.publishes })
	loser := e
	switch {
	case other == nil:
		return
	case e.Before(other.Position):
		loser = other
	}
	loser.State, loser.Publication = view.Duplicate, []byte(e.publishes)
}

func (m *memory) Reconsider(decided func(e view.Event, collection string) bool) (n int, err error) {
	err = m.write("Reconsider", func() {
		for _, e := range m.events {
			if e.State == view.Undecided && m.reviews[e.collection] && decided(e.Event, e.collection) {
				e.State, e.Due = view.Waiting, 0
				n++
			}
		}
		clear(m.reviews)
	})
	return n, err
}

// reset deletes everything, as a rebuilding does.
func (m *memory) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cursor, m.sequences, m.events = 0, nil, nil
	clear(m.reviews)
}
