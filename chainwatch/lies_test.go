package chainwatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/testnet/devchain"
	"github.com/serviceledger/slnode/testnet/gateway"
)

// lying puts a gateway between watchers and the indexer.
func (w *world) lying(rules ...gateway.Rule) *gateway.Gateway {
	w.t.Helper()
	g, err := gateway.Start(w.chain.IndexerURL())
	must(w.t, err)
	w.t.Cleanup(func() { must(w.t, g.Close()) })
	must(w.t, g.Set(rules...))
	w.indexer = g
	return g
}

func TestAnAnswerThatIsNotTheIndexersEndsNoHistory(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]gateway.Rule{
		"404":                       {Status: 404, Body: `{"message":"Not Found"}`},
		"404 of an account":         {Status: 404, Body: `{"message":"no accounts found for address: X"}`},
		"HTML with 200":             {Status: 200, Type: "text/html", Body: "<html>"},
		"an empty object":           {Status: 200, Body: `{}`},
		"a round without a list":    {Status: 200, Body: `{"current-round":100000}`},
		"a list without a round":    {Status: 200, Body: `{"transactions":[]}`},
		"a body that is cut off":    {CutAfter: 60},
		"502":                       {Status: 502, Type: "text/html", Body: "<html>"},
		"429":                       {Status: 429},
		"a connection that is cut":  {Drop: true},
		"the page before this page": {Match: "next=", Replay: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			member := w.publisher()
			w.admit(member)
			w.objects(member, 20)
			must(t, w.chain.Advance(2*tipWindow))
			w.objects(member, 3)
			rule.Share = 0.5
			w.lying(rule)
			_, s, caughtUp := w.watch(nil)
			caughtUp()
			w.objects(member, 3) // and at the tip
			caughtUp()
			if got := s.count(member); got != 26 {
				t.Errorf("%d events of the member, want 26", got)
			}
		})
	}
}

// The indexer is behind, and one answer says that it is far ahead: the cursor must not pass what was never read.
func TestOneWrongRoundMovesTheCursorPastNothing(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]gateway.Rule{
		"far ahead":         {Round: 1_000_000},
		"a little ahead":    {Round: 5},
		"back":              {At: 3},
		"beyond all bounds": {At: 1<<62 + 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			member := w.publisher()
			w.admit(member)
			must(t, w.chain.SetFaults(devchain.Faults{IndexerLag: 10}))
			must(t, w.chain.Advance(20))
			rule.Share = 0.4
			w.lying(rule)
			watcher, s, _ := w.watch(nil) // the sink fails the test if the cursor passes the indexer's round
			for range 15 {
				w.objects(member, 2)
				time.Sleep(20 * time.Millisecond) // so that some are read at the tip
			}
			must(t, w.chain.SetFaults(devchain.Faults{}))
			eventually(t, func() (bool, string) {
				return s.count(member) == 30 && watcher.State().Tip == w.chain.Round(), fmt.Sprintf("%d events, %+v", s.count(member), watcher.State())
			})
		})
	}
}

// Every answer is wrong. Algod knows better.
func TestTheCursorDoesNotPassAlgod(t *testing.T) {
	w := newWorld(t)
	member := w.publisher()
	w.admit(member)
	g := w.lying(gateway.Rule{Round: 1_000_000})
	watcher, s, _ := w.watch(func(w *Watcher) { w.sources[0].tip.lagging = 100 * time.Millisecond })
	eventually(t, func() (bool, string) {
		state := watcher.State()
		return state.Problem == ProblemAlgod && state.Tip == w.chain.Round() && state.Cursor == w.chain.Round(), fmt.Sprintf("%+v", state)
	})
	w.objects(member, 5)
	must(t, g.Set())
	w.objects(member, 5)
	eventually(t, func() (bool, string) {
		state := watcher.State()
		return s.count(member) == 10 && state.Problem == "" && state.CaughtUp, fmt.Sprintf("%d events, %+v", s.count(member), state)
	})
}

// Without algod there are two answers to go by.
func TestFollowingGoesOnWithoutAlgod(t *testing.T) {
	w := newWorld(t)
	member := w.publisher()
	w.admit(member)
	w.lying(gateway.Rule{Round: 1_000_000, Share: 0.4})
	_, s, _ := w.watch(func(w *Watcher) {
		w.sources[0].tip.witness = func(context.Context) (uint64, error) { return 0, errors.New("algod is away") }
	})
	w.objects(member, 5)
	eventually(t, func() (bool, string) { return s.count(member) == 5, fmt.Sprintf("%d events", s.count(member)) })
}

func TestAnIndexerThatStandsIsSaidToBeBehind(t *testing.T) {
	for name, rule := range map[string]func(round uint64) gateway.Rule{
		"it stands":       func(round uint64) gateway.Rule { return gateway.Rule{Frozen: round} },
		"it was restored": func(round uint64) gateway.Rule { return gateway.Rule{Frozen: round - 2} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			g := w.lying()
			watcher, s, caughtUp := w.watch(func(w *Watcher) { w.sources[0].tip.lagging = 300 * time.Millisecond })
			caughtUp()
			eventually(t, func() (bool, string) { return watcher.State().CaughtUp, "it is not caught up" })
			must(t, g.Set(rule(w.chain.Round())))
			w.objects(w.governor, 3)
			watcher.Confirmed(w.chain.Round()) // as the minter says, who read algod's block
			eventually(t, func() (bool, string) {
				state := watcher.State()
				return state.Problem == ProblemBehind && !state.CaughtUp && state.Tip == w.chain.Round() && state.Cursor < state.Tip, fmt.Sprintf("%+v", state)
			})
			must(t, g.Set())
			eventually(t, func() (bool, string) {
				state := watcher.State()
				return state.Problem == "" && state.CaughtUp && s.count(w.governor) == 5, fmt.Sprintf("%+v", state)
			})
		})
	}
}

// Nobody here publishes, and the indexer stands: algod alone tells.
func TestAnIdleNodeSeesThatTheIndexerStands(t *testing.T) {
	w := newWorld(t)
	w.lying(gateway.Rule{Frozen: w.chain.Round()})
	w.objects(w.governor, 3)
	watcher, _, _ := w.watch(func(w *Watcher) { w.sources[0].tip.lagging = 300 * time.Millisecond })
	eventually(t, func() (bool, string) {
		state := watcher.State()
		return state.Problem == ProblemBehind && state.Tip == w.chain.Round() && !state.CaughtUp, fmt.Sprintf("%+v", state)
	})
}

func TestAfterARestartWithoutAnIndexerTheRoundIsKnown(t *testing.T) {
	w := newWorld(t)
	w.objects(w.governor, 3)
	_, s, caughtUp := w.watch(nil)
	caughtUp()
	w.lying(gateway.Rule{Drop: true})
	again := New(Config{Sink: s, Log: slog.New(slog.DiscardHandler)})
	if state := again.State(); state.Cursor != w.chain.Round() || state.Tip < state.Cursor || state.CaughtUp {
		t.Errorf("before anything was asked: %+v", state)
	}
	watcher, s2, _ := w.watch(nil)
	must(t, s2.Deliver(t.Context(), 3, nil))
	eventually(t, func() (bool, string) {
		state := watcher.State()
		return state.Problem == ProblemIndexer && state.Tip == w.chain.Round(), fmt.Sprintf("%+v", state)
	})
}

func TestPagesWithoutEndAreNotHeldInMemory(t *testing.T) {
	for name, c := range map[string]struct {
		advance int
		match   string
	}{"at the tip": {1, "GET /v2/transactions.*note-prefix"}, "in the history": {2 * tipWindow, "/v2/accounts/.*min-round=3"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			member := w.publisher()
			w.admit(member)
			w.objects(member, 1)
			must(t, w.chain.Advance(c.advance))
			g := w.lying(gateway.Rule{Endless: true, Match: c.match})
			watcher, s, caughtUp := w.watch(nil)
			eventually(t, func() (bool, string) {
				state := watcher.State()
				return state.Problem == ProblemIndexer && strings.Contains(state.Detail, "go on"), fmt.Sprintf("%+v", state)
			})
			must(t, g.Set())
			caughtUp()
			if got := s.count(member); got != 1 {
				t.Errorf("%d events, want 1", got)
			}
		})
	}
}

// A provider that allows three requests a second, and says nothing but 429.
func TestAHistoryIsReadPageByPageAtAnyRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 6 {
		member := w.publisher()
		w.admit(member)
		w.objects(member, 20)
	}
	must(t, w.chain.Advance(2*tipWindow))
	g := w.lying(gateway.Rule{Rate: 3, Status: 429})
	began := time.Now()
	_, s, caughtUp := w.watch(nil)
	caughtUp()
	if got := len(s.got); got != 2+6*21 {
		t.Errorf("%d events, want %d", got, 2+6*21)
	}
	t.Logf("%d requests in %s", len(g.Requests("")), time.Since(began))
	if n := len(g.Requests("^GET /v2/accounts/")); n > 60 {
		t.Errorf("%d requests for 7 accounts: pages that were read are read again", n)
	}
}

func TestAPublicationCostsTwoRequests(t *testing.T) {
	w := newWorld(t)
	g := w.lying()
	watcher, s, caughtUp := w.watch(func(w *Watcher) { w.pace = newPace(time.Hour) })
	caughtUp()
	eventually(t, func() (bool, string) { return watcher.State().CaughtUp, "not caught up" })
	g.Forget()
	const n = 10
	for i := range n {
		w.objects(w.governor, 1)
		watcher.Hint("bravo", w.chain.Round())
		eventually(t, func() (bool, string) { return s.count(w.governor) == 2+i+1, "it is not shown" })
	}
	if got := len(g.Requests("")); got > 2*n {
		t.Errorf("%d requests for %d publications", got, n)
	}
}

func TestALaggingIndexerIsAskedAFewTimesARound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.lying()
	watcher, _, caughtUp := w.watch(func(w *Watcher) { w.pace = newPace(2 * time.Second) })
	caughtUp()
	eventually(t, func() (bool, string) { return watcher.State().CaughtUp, "not caught up" })
	must(t, g.Set(gateway.Rule{Frozen: w.chain.Round()}))
	g.Forget()
	began := time.Now()
	for range 40 { // hints, as a node gets them that publishes all the time
		w.objects(w.governor, 1)
		watcher.Confirmed(w.chain.Round())
		time.Sleep(100 * time.Millisecond)
	}
	rounds := time.Since(began).Seconds() / 2.8
	if got := float64(len(g.Requests(""))); got > 7*rounds {
		t.Errorf("%.0f requests in %.1f rounds of a real network", got, rounds)
	}
}

func TestAFalseHintCostsAFewRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.lying()
	watcher, _, caughtUp := w.watch(func(w *Watcher) { w.pace = newPace(time.Second) })
	caughtUp()
	g.Forget()
	for i := range 2000 {
		watcher.Hint("mallory", w.chain.Round()+1+uint64(i))
		time.Sleep(time.Millisecond)
	}
	if got := len(g.Requests("")); got > 30 {
		t.Errorf("%d requests in two seconds", got)
	}
}

func TestASingle429IsNoProblem(t *testing.T) {
	w := newWorld(t)
	g := w.lying()
	watcher, _, caughtUp := w.watch(nil)
	caughtUp()
	must(t, g.Set(gateway.Rule{Status: 429, RetryAfter: gateway.Duration(time.Second), Count: 1}))
	g.Forget()
	for len(g.Requests("")) < 3 {
		if state := watcher.State(); state.Problem != "" {
			t.Fatalf("%+v", state)
		}
		time.Sleep(time.Millisecond)
	}
}

// An account is asked for from the round on in which it became a publisher.
func TestAnAccountIsReadFromItsAdmissionOn(t *testing.T) {
	w := newWorld(t)
	member := w.publisher()
	must(t, w.chain.Advance(tipWindow))
	w.admit(member)
	admitted := w.chain.Round()
	w.objects(member, 2)
	must(t, w.chain.Advance(tipWindow))
	g := w.lying()
	_, s, caughtUp := w.watch(nil)
	caughtUp()
	if got := s.count(member); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
	asked := g.Requests("^GET /v2/accounts/" + member.Address())
	if len(asked) == 0 {
		t.Fatal("the account was never asked for")
	}
	for _, r := range asked {
		if !strings.Contains(r.What, fmt.Sprintf("min-round=%d", admitted)) {
			t.Errorf("asked for %s, admitted in round %d", r.What, admitted)
		}
	}
}

// A member's record names an account that has a long history of its own.
func TestAnAccountFullOfOtherThingsIsGivenUpAndNamed(t *testing.T) {
	w := newWorld(t)
	member, exchange := w.publisher(), w.publisher()
	w.admit(member)
	w.admit(exchange)
	w.objects(member, 2)
	for range 10 {
		w.submit(exchange, []ledger.Mint{{URL: "ipfs://something", Note: []byte("of its own")}})
	}
	must(t, w.chain.Advance(2*tipWindow))
	g := w.lying()
	var log bytes.Buffer
	watcher, s, caughtUp := w.watch(func(w *Watcher) {
		w.sources[0].reader.limit, w.sources[0].reader.foreign = 1, 4
		w.config.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	caughtUp()
	if got := s.count(member); got != 2 {
		t.Errorf("%d events of the member, want 2", got)
	}
	if got := watcher.State().GivenUp; len(got) != 1 || got[0] != exchange.Address() || !strings.Contains(log.String(), exchange.Address()) {
		t.Errorf("given up: %v; the log: %s", got, log.String())
	}
	if got := len(g.Requests("/v2/accounts/" + exchange.Address())); got > 4 {
		t.Errorf("%d requests for an account that is given up after four pages", got)
	}
}

func TestTheLogIsNotFilledByMalformedNotes(t *testing.T) {
	w := newWorld(t)
	stranger := w.publisher()
	note, err := wire.Note{Kind: wire.KindObject, Sequence: 2}.Encode(w.consortium)
	must(t, err)
	for i := range 40 {
		w.submit(stranger, []ledger.Mint{{URL: fmt.Sprint("https://example.org/", i), Note: note}})
	}
	var log bytes.Buffer
	watcher, _, caughtUp := w.watch(func(w *Watcher) { w.config.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	caughtUp()
	eventually(t, func() (bool, string) { return watcher.State().Malformed == 40, fmt.Sprintf("%+v", watcher.State()) })
	if got := strings.Count(log.String(), "does not count"); got == 0 || got > 6 {
		t.Errorf("%d lines for 40 transactions", got)
	}
}

// The charter's NFT can be destroyed. Its transaction stays.
func TestTheCharterIsFoundByItsTransaction(t *testing.T) {
	w := newWorld(t)
	g := w.lying(gateway.Rule{Match: "/v2/assets/", Status: 404, Body: `{"message":"no assets found for asset-id: 1"}`})
	_, s, caughtUp := w.watch(nil)
	caughtUp()
	if got := s.count(w.governor); got != 2 || len(g.Requests("/v2/assets/")) != 0 {
		t.Errorf("%d events; %v", got, g.Requests("/v2/assets/"))
	}
}

func TestAbsenceIsTakenFromTwoAnswers(t *testing.T) {
	w := newWorld(t)
	minted := w.mint(w.governor, wire.Note{Kind: wire.KindObject})[0]
	g := w.lying(gateway.Rule{Match: "txid=", Hide: []string{minted.TxID}})
	watcher, _, caughtUp := w.watch(nil)
	caughtUp()
	f, err := watcher.Trace(t.Context(), minted.TxID, w.governor.Address(), 1, w.chain.Round()+500)
	if err != nil || !f.Found || f.Event.Round != minted.Round {
		t.Errorf("found %+v, %v", f, err)
	}
	must(t, g.Set(gateway.Rule{Match: "/v2/accounts/", Status: 404}))
	if f, err := watcher.Trace(t.Context(), strings.Repeat("A", 52), w.governor.Address(), 1, 9); err == nil {
		t.Errorf("absence is concluded from a 404: %+v", f)
	}
	must(t, g.Set(gateway.Rule{Match: "/v2/accounts/", At: 2}))
	if f, err := watcher.Trace(t.Context(), strings.Repeat("A", 52), w.governor.Address(), 1, 9); err != nil || f.Found || f.Round != 2 {
		t.Errorf("absence is not dated by the earlier of two rounds: %+v, %v", f, err)
	}
}

// What algod itself says of being behind is no witness; see ledger.Tip.
func TestAWitnessThatFailsIsAskedLessAndLess(t *testing.T) {
	var asked atomic.Int64
	tip := tip{witness: func(context.Context) (uint64, error) { asked.Add(1); return 0, errors.New("no") }, lagging: lagging}
	for range 100 {
		tip.answered(5)
		tip.reached(t.Context(), 5)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times at once", asked.Load())
	}
}

// By algod's blocks the following goes on whatever the indexer does; it is named while it does.
func TestAnIndexerThatStandsHoldsUpNothingWhereBlocksAreFollowed(t *testing.T) {
	w := newWorld(t)
	g := w.lying(gateway.Rule{Frozen: w.chain.Round()})
	w.blocks = true
	watcher, s, caughtUp := w.watch(func(w *Watcher) { w.sources[0].tip.lagging = 300 * time.Millisecond })
	caughtUp()
	w.objects(w.governor, 40)
	eventually(t, func() (bool, string) {
		state := watcher.State()
		return s.count(w.governor) == 42 && state.Cursor == w.chain.Round() && state.CaughtUp && state.Problem == "" && state.ByBlocks &&
			state.Sources[0].Problem == ProblemBehind, fmt.Sprintf("%d events, %+v", s.count(w.governor), state)
	})
	must(t, g.Set())
	eventually(t, func() (bool, string) {
		state := watcher.State()
		return state.Sources[0].Problem == "" && state.Sources[0].Round == w.chain.Round(), fmt.Sprintf("%+v", state)
	})
	if state := watcher.State(); len(state.Sources) != 2 || len(state.Sources[0].Lies) != 0 || state.Sources[1].Problem != "" {
		t.Errorf("%+v", state.Sources)
	}
}

// Where blocks are followed a round costs the two requests to algod that whoever publishes makes in any case.
func TestARoundCostsTwoRequestsToAlgod(t *testing.T) {
	w := newWorld(t)
	g, err := gateway.Start(w.chain.AlgodURL())
	must(t, err)
	t.Cleanup(func() { must(t, g.Close()) })
	client, err := algorand.NewAlgod(g.URL(), w.chain.Token())
	must(t, err)
	w.governor.Ledger = ledger.New(client, w.account, 10_000)
	w.blocks = true
	_, s, caughtUp := w.watch(nil)
	caughtUp()
	w.objects(w.governor, 1)
	eventually(t, func() (bool, string) { return s.count(w.governor) == 3, "the first" })
	g.Forget()
	const rounds = 10
	for i := range rounds {
		w.objects(w.governor, 1) // which reads the block, too
		eventually(t, func() (bool, string) {
			return s.count(w.governor) == 4+i, fmt.Sprintf("%d events", s.count(w.governor))
		})
	}
	blocks, waits := len(g.Requests("/v2/blocks/")), len(g.Requests("wait-for-block-after"))
	if blocks != rounds || waits > rounds+1 {
		t.Errorf("%d rounds cost %d blocks and %d waits", rounds, blocks, waits)
	}
}
