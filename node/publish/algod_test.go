package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/outbox/outboxtest"
)

// blocksAt is an algod that is in a round and doesn't have some blocks.
type blocksAt struct {
	Ledger
	tip     uint64
	err     error // of the wait for a round
	without map[uint64]error
	read    []uint64
}

func (b *blocksAt) WaitAfter(context.Context, uint64) (uint64, error) { return b.tip, b.err }

func (b *blocksAt) Minted(_ context.Context, round uint64) ([]consortium.Place, error) {
	b.read = append(b.read, round)
	return nil, b.without[round]
}

// Blocks are read one after the other, up to the last; one that can't be had is read again, unless it is of long ago.
func TestBlocksAreReadInTheirOrder(t *testing.T) {
	gone := fmt.Errorf("block: %w", ledger.ErrNoBlock)
	memory, err := outboxtest.NewMemory()
	nodetest.Must(t, err)
	defer func() { nodetest.Must(t, memory.Close()) }()
	o, err := memory.Outbox(outboxtest.Hooks{})
	nodetest.Must(t, err)
	for name, c := range map[string]struct {
		tip     uint64 // after round 1000
		err     error
		without map[uint64]error
		read    int
		reached uint64
		fails   error
	}{
		"the next one":                          {1001, nil, nil, 1, 1001, nil},
		"some":                                  {1003, nil, nil, 3, 1003, nil},
		"as many as are read one by one":        {1400, nil, nil, 400, 1400, nil},
		"more":                                  {1401, nil, nil, 0, 1401, nil},
		"none, since the wait was in vain":      {1000, nil, nil, 0, 1000, nil},
		"none, of a server that is behind":      {999, nil, nil, 0, 999, nil},
		"none, since algod can't be asked":      {0, errNetwork, nil, 0, 1000, errNetwork},
		"one that another server does not have": {1011, nil, map[uint64]error{1001: gone}, 1, 1000, gone},
		"… after others":                        {1012, nil, map[uint64]error{1002: gone}, 2, 1001, gone},
		"one that algod has dropped":            {1012, nil, map[uint64]error{1001: gone}, 1, 1012, nil},
		"… after others, too":                   {1013, nil, map[uint64]error{1002: gone}, 2, 1013, nil},
		"one that can't be read, however old":   {1014, nil, map[uint64]error{1002: errNetwork}, 2, 1001, errNetwork},
	} {
		t.Run(name, func(t *testing.T) {
			algod := &blocksAt{tip: c.tip, err: c.err, without: c.without}
			m := NewMinter(Config{Ledger: algod, Outbox: NewOutbox(o)})
			reached, err := m.scan(t.Context(), 1000)
			if reached != c.reached || !errors.Is(err, c.fails) || len(algod.read) != c.read || !slices.IsSorted(algod.read) {
				t.Errorf("round %d is reached after %d blocks (%v), want round %d after %d (%v)", reached, len(algod.read), err, c.reached, c.read, c.fails)
			}
		})
	}
}

// brokenAlgod can't be asked for some things.
type brokenAlgod struct {
	Ledger
	fate, round, params, raise error
}

func (b brokenAlgod) Fate(ctx context.Context, txid string, first, last uint64) (ledger.Fate, consortium.Place, error) {
	fate, place, err := b.Ledger.Fate(ctx, txid, first, last)
	return fate, place, errors.Join(err, b.fate)
}

func (b brokenAlgod) Round(ctx context.Context) (uint64, error) {
	round, err := b.Ledger.Round(ctx)
	return round, errors.Join(err, b.round)
}

func (b brokenAlgod) Params(ctx context.Context) (ledger.Params, error) {
	params, err := b.Ledger.Params(ctx)
	return params, errors.Join(err, b.params)
}

func (b brokenAlgod) Raise(p ledger.Params, raw []byte) (ledger.Group, error) {
	group, err := b.Ledger.Raise(p, raw)
	return group, errors.Join(err, b.raise)
}

// brokenIndexer can't be asked.
type brokenIndexer struct{}

func (brokenIndexer) Find(context.Context, string) (chainwatch.Finding, error) {
	return chainwatch.Finding{}, errNetwork
}

func (brokenIndexer) Trace(context.Context, string, string, uint64, uint64) (chainwatch.Finding, error) {
	return chainwatch.Finding{}, errNetwork
}

// Who can't be asked has said nothing: the group stays on its way, and the reason comes out.
func TestNothingIsSettledByWhoCanNotBeAsked(t *testing.T) {
	for name, breaks := range map[string]func(m *Minter){
		"algod, about the group": func(m *Minter) { m.Ledger = brokenAlgod{Ledger: m.Ledger, fate: errNetwork} },
		"algod, about its round": func(m *Minter) { m.Ledger = brokenAlgod{Ledger: m.Ledger, round: errNetwork} },
		"the indexer":            func(m *Minter) { m.Finder = brokenIndexer{} },
	} {
		for _, over := range []bool{false, true} {
			t.Run(fmt.Sprint(name, over), func(t *testing.T) {
				still(t, func(w *world, p *process) {
					f := p.signOne(t)
					round := f.FirstValid
					if over {
						round = f.LastValid + 1
					}
					p.hears(&testimony{round: round, indexed: round, followed: round})
					breaks(p.minter)
					err := p.minter.settle(context.Background(), f, true)
					if item := p.item(1, "everybody"); !errors.Is(err, errNetwork) || onlyOwn(err) != nil || item.State != outbox.Signed || !p.minter.flights.has(f.Number) {
						t.Errorf("it is %s (%v)", item.State, err)
					}
				})
			})
		}
	}
}

// confirmsHalf says of the first of a group that it is confirmed, and of the others that it has them nowhere.
type confirmsHalf struct {
	Ledger
	first string
}

func (c confirmsHalf) Fate(_ context.Context, txid string, _, _ uint64) (ledger.Fate, consortium.Place, error) {
	if txid == c.first {
		return ledger.Confirmed, consortium.Place{TxID: txid, Round: begins, Asset: 7}, nil
	}
	return ledger.Absent, consortium.Place{}, nil
}

// A group is confirmed as a whole: who says otherwise is asked again later.
func TestAGroupIsNotConfirmedByHalves(t *testing.T) {
	for name, hears := range map[string]func(p *process, first string){
		"algod": func(p *process, first string) { p.minter.Ledger = confirmsHalf{p.minter.Ledger, first} },
		"the indexer": func(p *process, first string) {
			p.hears(&testimony{about: first, found: true, round: begins + 1, indexed: begins + 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, func(w *world, p *process) {
				p.storeOne(t, "everybody")
				p.storeOther(t)
				f := p.signAll(t)
				if len(f.TxIDs) != 2 {
					t.Fatalf("the group is of %d", len(f.TxIDs))
				}
				hears(p, f.TxIDs[0])
				err := p.minter.settle(context.Background(), f, true)
				if err == nil || !strings.Contains(err.Error(), f.TxIDs[1]) || p.outbox.Count()[outbox.Signed] != 2 || !p.minter.flights.has(f.Number) {
					t.Errorf("there are %v (%v)", p.outbox.Count(), err)
				}
			})
		})
	}
}

// A group that nobody has, and that can be confirmed yet, is sent again, but not by who has just been refused.
func TestWhatNobodyHasIsSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		again bool
		wait  int // that wait for their submission
		want  bool
	}{"one that is looked after": {true, 0, true}, "one that was just refused": {false, 0, false}, "one behind very many": {true, maxFlights, false}} {
		t.Run(name, func(t *testing.T) {
			still(t, func(w *world, p *process) {
				f := p.signOne(t)
				for range c.wait {
					p.minter.flights.first <- &flight{}
				}
				p.hears(&testimony{round: f.FirstValid, indexed: f.FirstValid, followed: f.FirstValid})
				check(p.minter.settle(context.Background(), f, c.again))
				if got := len(p.minter.flights.first) > c.wait; got != c.want || f.takenAt().IsZero() != c.want {
					t.Errorf("it is sent again: %v; it is looked after from %v on", got, f.takenAt())
				}
			})
		})
	}
}

// A fee that can't be raised now is tried again; what is wrong with the group itself ends the node.
func TestWhatKeepsAFeeFromBeingRaisedIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		breaks  func(m *Minter)
		problem string
		fails   bool
	}{
		"algod can't be asked":            {func(m *Minter) { m.Ledger = brokenAlgod{Ledger: m.Ledger, params: errNetwork} }, "algod", false},
		"the group can't be signed again": {func(m *Minter) { m.Ledger = brokenAlgod{Ledger: m.Ledger, raise: errNetwork} }, "", true},
		"it is more than may be spent":    {func(m *Minter) { m.Ledger.(*fakeLedger).world.congest(40, 9) }, "congestion", false},
		"it is as high already":           {func(*Minter) {}, "congestion", false},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, func(w *world, p *process) {
				f := p.signOne(t)
				c.breaks(p.minter)
				raised, err := p.minter.raise(context.Background(), f)
				if got := p.minter.Condition.Get().Problem; raised != nil || (err != nil) != c.fails || got != c.problem {
					t.Errorf("%+v, and publishing waits for %q (%v)", raised, got, err)
				}
			})
		})
	}
	still(t, func(w *world, p *process) {
		f := p.signOne(t)
		p.confirms(f)
		w.congest(12, 9)
		if raised, err := p.minter.raise(context.Background(), f); err != nil || raised != nil {
			t.Errorf("what is confirmed is signed again: %+v (%v)", raised, err)
		}
	})
}

// slowTip is an algod that can't tell its round for a while.
type slowTip struct {
	Ledger
	fails int
	err   error
	asked []time.Time
	says  func() string
	said  string // when it is asked for the last time
}

func (s *slowTip) answer() (uint64, error) {
	s.said = s.says()
	if s.asked = append(s.asked, time.Now()); len(s.asked) <= s.fails {
		return 0, s.err
	}
	return begins, nil
}

func (s *slowTip) Tip(context.Context) (uint64, error) { return s.answer() }

func (s *slowTip) Round(context.Context) (uint64, error) { return s.answer() }

// Before anything is signed it is known for how long to wait, or since when the account is this node's alone: algod is
// asked again and again, and left alone when it wants that.
func TestAlgodIsAskedUntilItTellsItsRound(t *testing.T) {
	for name, c := range map[string]struct {
		recovers bool
		err      error
		pause    time.Duration
	}{
		"recovering":            {true, ledger.ErrCatchingUp, slowestPace},
		"recovering, throttled": {true, &algorand.Throttled{Status: 429, After: time.Minute}, time.Minute},
		"beginning":             {false, errNetwork, slowestPace},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, func(w *world, p *process) {
				begin := func(ctx context.Context, fails int) *slowTip {
					check(p.outbox.SetSole(outbox.Sole{Account: "BEFORE"}))
					if c.recovers {
						check(p.outbox.SetRecovery(&outbox.Recovery{}))
						w.follow(begins+ledger.Window, nil)
					}
					algod := &slowTip{Ledger: p.minter.Ledger, fails: fails, err: c.err, says: func() string { return p.minter.Condition.Get().Problem }}
					p.minter.Ledger = algod
					if err := p.minter.awaitRecovery(ctx); err != nil {
						t.Error(err)
					}
					return algod
				}
				algod := begin(context.Background(), 2)
				if len(algod.asked) != 3 || algod.asked[1].Sub(algod.asked[0]) < c.pause || algod.asked[1].Sub(algod.asked[0]) > c.pause+c.pause/2 || algod.said != "algod" {
					t.Errorf("it is asked at %v, and publishing waits for %s", algod.asked, algod.said)
				}
				if known, err := p.outbox.Sole(); err != nil || known.Account != p.org.Address() || known.From != begins+ledger.Window {
					t.Errorf("%+v (%v)", known, err)
				}
				ended, end := context.WithCancel(context.Background())
				end()
				if algod := begin(ended, 9); len(algod.asked) != 1 {
					t.Errorf("at the end of the node it is asked %d times", len(algod.asked))
				}
			})
		})
	}
}

// storeOther takes a second object in, and seals it.
func (p *process) storeOther(t *testing.T) {
	t.Helper()
	items, err := p.outbox.Accept([]outbox.Submission{p.world.fixture.submission(2, "everybody")})
	check(err)
	_, err = p.sealer.seal(context.Background(), items)
	check(err)
}

// signAll signs what is stored.
func (p *process) signAll(t *testing.T) *flight {
	t.Helper()
	items, err := p.outbox.Queue(outbox.Stored, 0, 10)
	check(err)
	progress, problem, err := p.minter.signTheseNow(context.Background(), items)
	if err != nil || !progress || problem != nil {
		t.Fatalf("it is signed: %v (%+v, %v)", progress, problem, err)
	}
	return p.minter.flights.next(context.Background())
}

// What can't be on the chain is not signed, and says what it is.
func TestWhatMakesNoTransactionIsNotSigned(t *testing.T) {
	still(t, func(w *world, p *process) {
		good := w.fixture.directories[rekeying].Root().String()
		note := wire.Note{Kind: wire.KindObject, Sequence: 1}
		for name, item := range map[string]outbox.Item{
			"no directory": {Directory: "x", Note: note, MetadataHash: make([]byte, 32)},
			"no note":      {Directory: good, Note: wire.Note{Kind: wire.Kind(strings.Repeat("x", 2000)), Sequence: 1}, MetadataHash: make([]byte, 32)},
		} {
			if _, err := p.minter.signGroup(ledger.Params{Round: begins, MinFee: 1000}, []outbox.Item{item}); err == nil {
				t.Errorf("%s, and it is signed", name)
			}
		}
	})
}
