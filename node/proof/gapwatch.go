package proof

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
)

// GapWatch watches for transactions that the indexer leaves out. A hole in a member's sequence numbers is ordinary for
// a while; one that stays is held against algod's blocks, once, and told to the operator.
type GapWatch struct {
	Missing    func() []Missing
	Round      func() uint64 // up to which the chain was applied
	Crosscheck func(ctx context.Context, o CrosscheckOptions, progress func(done, total uint64)) (Crosscheck, error)
	Log        *slog.Logger

	mu    sync.Mutex
	found []Finding
}

const (
	lookEvery = 15 * time.Second
	// suspicious is the number of rounds after which algod is asked about a hole: most are filled by then, and algod still
	// has the blocks.
	suspicious = 60
	maxOmitted = 100
	// A member can leave numbers out as often as it likes: algod is asked about all of its holes at once, and after each
	// time without success the next one is put off for longer.
	firstPause, lastPause = time.Minute, time.Hour
)

// suspicion is what is remembered of one member's holes.
type suspicion struct {
	asked map[consortium.Range]bool
	told  int // how many overdue ones the log was told of
	pause time.Duration
	next  time.Time // before which algod is not asked again
}

// Run watches until the context ends.
func (o *GapWatch) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	members := map[string]*suspicion{}
	for {
		holes := map[string][]Missing{}
		for _, m := range o.Missing() {
			holes[m.Member] = append(holes[m.Member], m)
		}
		maps.DeleteFunc(members, func(member string, _ *suspicion) bool { return holes[member] == nil })
		for member, list := range holes {
			if members[member] == nil {
				members[member] = &suspicion{asked: map[consortium.Range]bool{}}
			}
			o.look(ctx, members[member], list)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look tells of the holes of one member, and asks algod about those that are new and have stayed.
func (o *GapWatch) look(ctx context.Context, s *suspicion, holes []Missing) {
	overdue := slices.DeleteFunc(slices.Clone(holes), func(m Missing) bool { return !m.Overdue })
	if len(overdue) > 2*s.told {
		s.told = len(overdue)
		first := overdue[0]
		o.Log.Error("transactions of a member are missing: the indexer leaves them out, or they were lost before they were submitted",
			"member", first.Member, "holes", len(overdue), "first", first.Range.First, "last", first.Range.Last, "since_round", first.Range.Since)
	}
	since, round, due := uint64(math.MaxUint64), o.Round(), false
	asked := map[consortium.Range]bool{}
	for _, m := range holes {
		switch {
		case s.asked[m.Range]:
			asked[m.Range] = true
		case round >= m.Range.Since+suspicious:
			since, due = min(since, m.Range.Since), true
		}
	}
	s.asked = asked // without those that were filled
	if !due || time.Now().Before(s.next) {
		return
	}
	found, err := o.ask(ctx, holes[0].Member, since)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil: // which is no answer: the holes stay to be asked about
		o.Log.Warn("algod could not be asked about missing transactions", "member", holes[0].Member, "error", err)
	default:
		for _, m := range holes {
			s.asked[m.Range] = true
		}
	}
	if s.pause = min(max(2*s.pause, firstPause), lastPause); found {
		s.pause = firstPause
	}
	s.next = time.Now().Add(s.pause)
}

// ask looks for what is missing of a member since a round in algod's blocks.
func (o *GapWatch) ask(ctx context.Context, member string, since uint64) (found bool, err error) {
	from := since - min(since, windowAround)
	result, err := o.Crosscheck(ctx, CrosscheckOptions{From: from, Member: member}, func(uint64, uint64) {})
	if err != nil {
		return false, fmt.Errorf("crosschecking from round %d: %w", from, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range result.Findings {
		if f.Problem != Omitted || slices.Contains(o.found, f) || len(o.found) == maxOmitted {
			continue
		}
		o.found, found = append(o.found, f), true
		o.Log.Error("the indexer leaves a transaction out that algod has",
			"txid", f.TxID, "round", f.Round, "sender", f.Sender)
	}
	return found, nil
}

// List gives what was found since the view was begun.
func (o *GapWatch) List() []Finding {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.found)
}

// Forget begins again, with a new view.
func (o *GapWatch) Forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.found = nil
}
