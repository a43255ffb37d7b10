package proof

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/types"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/retry"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/view"
)

// Crosscheck is what a comparison of this node's event log, which comes from the indexer, with the blocks of algod has
// shown.
type Crosscheck struct {
	Passed     bool   `json:"passed"` // nothing was found
	First      uint64 `json:"first_round"`
	Last       uint64 `json:"last_round"`
	EveryRound bool   `json:"every_round"` // not only those of the log, and those near to missing sequence numbers
	Rounds     uint64 `json:"rounds"`      // whose blocks were read
	Events     uint64 `json:"events"`      // of the log, in these rounds
	Confirmed  uint64 `json:"confirmed"`   // of these, exactly so in algod's block
	Unread     Unread `json:"unread"`
	// Findings are at most maxFindings; More says how many there were beside them.
	Findings []Finding `json:"findings"`
	More     int       `json:"more_findings,omitempty"`
	// Missing are sequence numbers that the crosschecked rounds don't have either.
	Missing []Missing `json:"missing,omitempty"`
}

// Unread is what could not be compared, because algod doesn't have the blocks.
type Unread struct {
	Rounds uint64 `json:"rounds"`
	Events uint64 `json:"events"`
	First  uint64 `json:"first_round,omitempty"`
	Last   uint64 `json:"last_round,omitempty"`
}

// Finding is a difference between the log and the blocks.
type Finding struct {
	Problem Problem `json:"problem"`
	Round   uint64  `json:"round"`
	TxID    string  `json:"txid"`
	Sender  string  `json:"sender"` // the member's name, if it is known
	Detail  string  `json:"detail,omitempty"`
}

// Problem is a kind of difference.
type Problem string

// The problems.
const (
	Omitted    Problem = "omitted"      // the block has it and it counts; the indexer left it out
	NotInBlock Problem = "not in block" // the indexer gave it; it is not in the block
	Differs    Problem = "differs"      // the indexer gave it otherwise than the block has it
	NoRight    Problem = "no right"     // the indexer gave it and the block has it; by what else is in the blocks it doesn't count
)

const (
	maxFindings  = 1000
	roundsAtOnce = 64  // rounds that are read at once
	logAtOnce    = 512 // events of the log that are read at once
	blockReaders = 2   // public providers allow no more blocks at a time
	blockTries   = 6
	// windowAround is for how many rounds a transaction that was signed between two others can be confirmed before or
	// after them: Algorand's longest validity.
	windowAround = 1000
)

// CrosscheckOptions say how far a crosscheck goes.
type CrosscheckOptions struct {
	EveryRound bool   // read every round, since a transaction that was left out can be in any
	From       uint64 // the first round whose block is read; 0 for the charter's
	Until      uint64 // the last one; 0 for the log's
	Member     string // whose missing sequence numbers are looked for, by name; empty for everybody's
}

// Crosscheck compares every event of the log with the block that it is in, as algod has it, and applies what it finds
// there by the rules of the consortium. It tells how far it has come, in rounds. Memory doesn't grow with the log.
func (n *Notary) Crosscheck(ctx context.Context, o CrosscheckOptions, progress func(done, total uint64)) (Crosscheck, error) {
	if err := state.AwaitTip(ctx, n.Watcher); err != nil {
		return Crosscheck{}, err
	}
	cursor, err := n.View.Cursor()
	if err != nil {
		return Crosscheck{}, err
	}
	charter, err := n.logged(n.Consortium.Charter)
	if err != nil {
		return Crosscheck{}, err
	}
	first := max(o.From, charter.Round)
	if o.Until > 0 {
		cursor = min(cursor, o.Until)
	}
	if first > cursor {
		return Crosscheck{}, problem.Input(fmt.Errorf("round %d is yet to come; the log ends with round %d", first, cursor))
	}
	a := &crosschecker{
		Notary: n, derived: consortium.New(n.Consortium.ID, n.Consortium.Charter, nil), log: logReader{view: n.View, last: cursor}, missing: map[uint64][]string{},
		report: Crosscheck{Passed: true, First: first, Last: cursor, EveryRound: o.EveryRound, Findings: []Finding{}},
	}
	if o.EveryRound {
		a.ranges = []consortium.Range{{First: first, Last: cursor}}
	} else if a.ranges, err = n.suspects(first, cursor, o.Member); err != nil {
		return Crosscheck{}, err
	}
	if err := a.skip(first); err != nil {
		return Crosscheck{}, err
	}
	for next := first; ; {
		batch, err := a.plan(next)
		if err != nil {
			return Crosscheck{}, err
		}
		if len(batch) == 0 {
			a.report.Missing = named(n.State, holes(a.derived))
			return a.report, n.keep(n.proved(ctx, a.missing))
		}
		if err := a.read(ctx, batch); err != nil {
			return Crosscheck{}, err
		}
		for _, r := range batch {
			a.compare(r)
		}
		next = batch[len(batch)-1].number + 1
		progress(next-first, cursor+1-first)
	}
}

// crosschecker is a crosscheck under way.
type crosschecker struct {
	*Notary
	report  Crosscheck
	log     logReader
	ranges  []consortium.Range  // rounds to read beside those of the log; ascending, apart
	derived *consortium.State   // from the blocks; from the log where they are not to be had
	missing map[uint64][]string // the transactions, by their rounds, that count and are not in the log
}

// crosscheckedRound is what the log and the block have of one round.
type crosscheckedRound struct {
	number uint64
	log    []consortium.Event
	block  []consortium.Event
	absent bool // algod doesn't have the block
}

// logReader reads the event log from its beginning up to a round.
type logReader struct {
	view  eventLog
	last  uint64
	after consortium.Position
	held  []view.Event
	ended bool
}

// eventLog is the view's.
type eventLog interface {
	Log(after consortium.Position, limit int) ([]view.Event, error)
}

// peek gives the next event.
func (l *logReader) peek() (e consortium.Event, found bool, err error) {
	if len(l.held) == 0 && !l.ended {
		if l.held, err = l.view.Log(l.after, logAtOnce); err != nil {
			return e, false, err
		}
		l.ended = len(l.held) == 0
	}
	if l.ended || l.held[0].Round > l.last {
		return e, false, nil
	}
	return l.held[0].Event, true, nil
}

// take goes on after the event that peek gave.
func (l *logReader) take() { l.after, l.held = l.held[0].Position, l.held[1:] }

// suspects are the rounds in which the transactions can be whose sequence numbers are missing: a member's, or
// everybody's.
func (n *Notary) suspects(first, last uint64, member string) ([]consortium.Range, error) {
	holes := map[string][]consortium.Range{}
	n.State.Read(func(s *consortium.State) {
		for account, q := range s.Sequences() {
			if len(q.Holes) > 0 {
				holes[account] = slices.Clone(q.Holes)
			}
		}
	})
	if member != "" {
		maps.DeleteFunc(holes, func(account string, _ []consortium.Range) bool { return n.State.Name(account) != member })
	}
	if len(holes) == 0 {
		return nil, nil
	}
	around := map[string][]consortium.Range{} // the rounds of the neighbours of each hole
	for account, list := range holes {
		around[account] = slices.Repeat([]consortium.Range{{First: first, Last: last}}, len(list))
	}
	log := logReader{view: n.View, last: last}
	for {
		e, found, err := log.peek()
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
		log.take()
		for i, hole := range holes[e.Sender] {
			switch at := &around[e.Sender][i]; {
			case e.Note.Sequence < hole.First:
				at.First = max(at.First, e.Round)
			case e.Note.Sequence > hole.Last:
				at.Last = min(at.Last, e.Round)
			}
		}
	}
	var ranges []consortium.Range
	for _, list := range around {
		for _, r := range list {
			// Neighbours can be confirmed in another order than they were signed in.
			low, high := min(r.First, r.Last), max(r.First, r.Last)
			ranges = append(ranges, consortium.Range{First: max(first, low-min(low, windowAround)), Last: min(last, high+windowAround)})
		}
	}
	return joined(ranges), nil
}

// joined makes ranges ascending and apart.
func joined(ranges []consortium.Range) (list []consortium.Range) {
	slices.SortFunc(ranges, func(a, b consortium.Range) int {
		return consortium.Position{Round: a.First}.Compare(consortium.Position{Round: b.First})
	})
	for _, r := range ranges {
		if n := len(list); n > 0 && r.First <= list[n-1].Last+1 {
			list[n-1].Last = max(list[n-1].Last, r.Last)
			continue
		}
		list = append(list, r)
	}
	return list
}

// skip applies the events before a round without looking at their blocks.
func (a *crosschecker) skip(first uint64) error {
	for {
		e, found, err := a.log.peek()
		if err != nil || !found || e.Round >= first {
			return err
		}
		a.log.take()
		a.derived.Apply(e)
	}
}

// plan chooses the next rounds, from one on, and gives what the log has of them. It returns none at the end.
func (a *crosschecker) plan(next uint64) (batch []*crosscheckedRound, err error) {
	for events := 0; len(batch) < roundsAtOnce && events < roundsAtOnce*logAtOnce; {
		round, found := a.inRanges(next)
		e, more, err := a.log.peek()
		if err != nil {
			return nil, err
		}
		if more && (!found || e.Round < round) {
			round, found = e.Round, true
		}
		if !found {
			break
		}
		r := &crosscheckedRound{number: round}
		for more && e.Round == round {
			r.log = append(r.log, e)
			a.log.take()
			if e, more, err = a.log.peek(); err != nil {
				return nil, err
			}
		}
		batch, next, events = append(batch, r), round+1, events+len(r.log)
	}
	return batch, nil
}

// inRanges gives the first round from the given one on that is in a range.
func (a *crosschecker) inRanges(next uint64) (uint64, bool) {
	for len(a.ranges) > 0 && a.ranges[0].Last < next {
		a.ranges = a.ranges[1:]
	}
	if len(a.ranges) == 0 {
		return 0, false
	}
	return max(next, a.ranges[0].First), true
}

// read gets the blocks of a batch and keeps what is of this consortium.
func (a *crosschecker) read(ctx context.Context, batch []*crosscheckedRound) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(blockReaders)
	for _, r := range batch {
		group.Go(func() error {
			block, err := a.block(ctx, r.number)
			if errors.Is(err, ledger.ErrNoBlock) {
				r.absent = true
				return nil
			}
			if err != nil {
				return err
			}
			r.block = eventsOf(&block, a.Consortium.ID, [32]byte(a.Consortium.GenesisHash))
			return nil
		})
	}
	return group.Wait()
}

// blockBackoff is for an algod that is busy, or away for a moment.
var blockBackoff = retry.Backoff{First: 350 * time.Millisecond, Most: 16 * time.Second}

// block reads a block, again and again if algod is busy or away for a moment.
func (a *crosschecker) block(ctx context.Context, round uint64) (types.Block, error) {
	for try := 1; ; try++ {
		block, err := a.Ledger.Block(ctx, round)
		if err == nil && string(block.GenesisHash[:]) != string(a.Consortium.GenesisHash) {
			return block, fmt.Errorf("algod's block %d is of another network, %s", round, block.GenesisID)
		}
		if err == nil || errors.Is(err, ledger.ErrNoBlock) || try == blockTries {
			return block, err
		}
		if !retry.Wait(ctx, algorand.Pause(err, blockBackoff.After(try))) {
			return block, ctx.Err()
		}
	}
}

// eventsOf gives the events of a consortium in a block; what breaks the protocol's form is none.
func eventsOf(block *types.Block, id uint64, network [32]byte) (events []consortium.Event) {
	offsets := onchain.Offsets(block.Payset)
	for i, t := range block.Payset {
		if t.Txn.Type != types.AssetConfigTx {
			continue
		}
		of, note, err := wire.ParseNote(t.Txn.Note)
		if err != nil || of != id && (note.Kind != wire.KindCharter || uint64(t.ApplyData.ConfigAsset) != id) {
			continue
		}
		if e, err := onchain.Restore(&block.BlockHeader, t, offsets[i]).Event(network); err == nil {
			events = append(events, e)
		}
	}
	return events
}

// compare holds the log's events of a round against the block's.
func (a *crosschecker) compare(r *crosscheckedRound) {
	a.report.Events += uint64(len(r.log))
	if r.absent {
		u := &a.report.Unread
		if u.Rounds == 0 {
			u.First = r.number
		}
		u.Rounds, u.Events, u.Last = u.Rounds+1, u.Events+uint64(len(r.log)), r.number
		for _, e := range r.log {
			a.derived.Apply(e)
		}
		return
	}
	a.report.Rounds++
	logged := make(map[string]consortium.Event, len(r.log))
	for _, e := range r.log {
		logged[e.TxID] = e
	}
	for _, e := range r.block {
		effect, reason := a.derived.Apply(e)
		known, found := logged[e.TxID]
		delete(logged, e.TxID)
		differences := difference(known, e)
		switch {
		case !found && effect != consortium.Nothing:
			a.found(Omitted, e, fmt.Sprintf("%s with sequence number %d, asset %d", e.Note.Kind, e.Note.Sequence, e.Asset))
		case !found:
		case effect == consortium.Nothing:
			a.found(NoRight, e, reason)
		case differences != "":
			a.found(Differs, e, differences)
		default:
			a.report.Confirmed++
		}
	}
	for _, e := range r.log {
		if _, left := logged[e.TxID]; left {
			a.found(NotInBlock, e, "")
		}
	}
}

// difference says in what the log's event is not the block's.
func difference(log, block consortium.Event) string {
	var list []string
	for _, c := range []struct {
		name       string
		log, block any
	}{
		{"position", log.Position, block.Position},
		{"time", log.Time.Unix(), block.Time.Unix()},
		{"asset", log.Asset, block.Asset},
		// The signature covers these: they differ only if this node's own log was changed.
		{"sender", log.Sender, block.Sender},
		{"note", log.Note, block.Note},
		{"directory", log.Directory, block.Directory},
		{"metadata hash", string(log.MetadataHash), string(block.MetadataHash)},
	} {
		if c.log != c.block {
			list = append(list, fmt.Sprintf("%s: the log has %v, the block %v", c.name, c.log, c.block))
		}
	}
	return strings.Join(list, "; ")
}

func (a *crosschecker) found(problem Problem, e consortium.Event, detail string) {
	a.report.Passed = false
	if len(a.report.Findings) == maxFindings {
		a.report.More++
		return
	}
	if problem == Omitted && a.missing != nil {
		a.missing[e.Round] = append(a.missing[e.Round], e.TxID)
	}
	f := Finding{Problem: problem, Round: e.Round, TxID: e.TxID, Sender: e.Sender, Detail: detail}
	if m, found := a.State.Member(e.Sender); found && m.Name != "" {
		f.Sender = m.Name
	}
	a.report.Findings = append(a.report.Findings, f)
}
