package proof

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/state"
)

func TestEveryDifferenceBetweenLogAndBlockIsNamed(t *testing.T) {
	event := func() consortium.Event {
		return consortium.Event{
			Position: consortium.Position{Round: 5, Intra: 1}, Time: time.Unix(7, 0), TxID: "T", Sender: "S", Asset: 9, Consortium: 1,
			Note: wire.Note{Kind: wire.KindObject, Sequence: 3}, Directory: "bafy", MetadataHash: []byte{1},
		}
	}
	if got := difference(event(), event()); got != "" {
		t.Errorf("the same differs: %s", got)
	}
	for name, change := range map[string]func(*consortium.Event){
		"position":      func(e *consortium.Event) { e.Intra++ },
		"time":          func(e *consortium.Event) { e.Time = e.Time.Add(time.Second) },
		"asset":         func(e *consortium.Event) { e.Asset++ },
		"sender":        func(e *consortium.Event) { e.Sender = "X" },
		"note":          func(e *consortium.Event) { e.Note.Sequence++ },
		"directory":     func(e *consortium.Event) { e.Directory = "" },
		"metadata hash": func(e *consortium.Event) { e.MetadataHash = []byte{2} },
	} {
		e := event()
		change(&e)
		if difference(e, event()) == "" {
			t.Errorf("another %s goes unnoticed", name)
		}
	}
}

// The rules are applied to what the blocks hold, whatever the log says.
func TestARoundIsComparedInBothDirections(t *testing.T) {
	charter := consortium.Event{Position: consortium.Position{Round: 1}, TxID: "C", Sender: "G", Asset: 7, Note: wire.Note{Kind: wire.KindCharter}}
	record := func(round, intra uint64, txid string, note wire.Note) consortium.Event {
		return consortium.Event{Position: consortium.Position{Round: round, Intra: intra}, TxID: txid, Sender: "G", Asset: 100 + round, Consortium: 7, Note: note}
	}
	admission := record(2, 0, "A", wire.Note{Kind: wire.KindMember, Sequence: 1, Account: "G"})
	one := record(3, 0, "1", wire.Note{Kind: wire.KindObject, Sequence: 2})
	two := record(3, 1, "2", wire.Note{Kind: wire.KindObject, Sequence: 3})
	removal := record(4, 0, "R", wire.Note{Kind: wire.KindDestroy, Sequence: 4})
	removal.Asset = admission.Asset
	three := record(5, 0, "3", wire.Note{Kind: wire.KindObject, Sequence: 5})
	stranger := record(5, 1, "S", wire.Note{Kind: wire.KindObject, Sequence: 1})
	stranger.Sender = "X"

	a := &crosschecker{Notary: &Notary{State: state.New("", consortium.New(7, "C", nil), nil)}, derived: consortium.New(7, "C", nil), report: Crosscheck{Passed: true}}
	for _, r := range []crosscheckedRound{
		{number: 1, log: []consortium.Event{charter}, absent: true},
		{number: 2, log: []consortium.Event{admission}, block: []consortium.Event{admission}},
		{number: 3, log: []consortium.Event{one, record(3, 2, "?", one.Note)}, block: []consortium.Event{one, two}},
		{number: 4, block: []consortium.Event{removal}},
		{number: 5, log: []consortium.Event{three}, block: []consortium.Event{three, stranger}},
	} {
		a.compare(&r)
	}
	got := map[string]Problem{}
	for _, f := range a.report.Findings {
		got[f.TxID] = f.Problem
	}
	want := map[string]Problem{"2": Omitted, "?": NotInBlock, "R": Omitted, "3": NoRight}
	if len(got) != len(want) || a.report.Passed {
		t.Errorf("found %v, want %v", got, want)
	}
	for txid, problem := range want {
		if got[txid] != problem {
			t.Errorf("%s: %q, want %q", txid, got[txid], problem)
		}
	}
	if r := a.report; r.Events != 5 || r.Confirmed != 2 || r.Rounds != 4 || r.Unread != (Unread{Rounds: 1, Events: 1, First: 1, Last: 1}) {
		t.Errorf("%+v", r)
	}
}

func (p *proven) crosscheck(o CrosscheckOptions) Crosscheck {
	p.T.Helper()
	result, err := p.notary().Crosscheck(p.T.Context(), o, func(uint64, uint64) {})
	nodetest.Must(p.T, err)
	return result
}

func TestAnHonestIndexerPassesTheCrosscheck(t *testing.T) {
	p := newProven(t)
	p.published(1)
	p.Pass(50)
	p.published(2)
	events, err := p.R.View.Log(consortium.Position{}, 100)
	nodetest.Must(t, err)
	n := uint64(len(events))
	first := events[0].Round
	for _, o := range []CrosscheckOptions{{}, {EveryRound: true}} {
		result := p.crosscheck(o)
		rounds := n // each is in a round of its own
		if o.EveryRound {
			rounds = p.Round - first + 1
		}
		want := Crosscheck{Passed: true, First: first, Last: p.Round, EveryRound: o.EveryRound, Rounds: rounds, Events: n, Confirmed: n}
		if fmt.Sprintf("%+v", result) != fmt.Sprintf("%+v", want) {
			t.Errorf("%+v, want %+v", result, want)
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(p.chain.asked)))) != int(p.Round-first)+1 {
		t.Errorf("algod was asked for %v", p.chain.asked)
	}
}

// The number that is missing tells where to look; without one every round has to be read.
func TestAnOmissionIsFoundByTheHoleThatItLeaves(t *testing.T) {
	p := newProven(t)
	p.published(1)
	p.Pass(2000)
	before := p.published(5)
	omitted := p.Mint(p.Mallory, p.Object(2))
	p.published(3)
	p.Pass(2000)
	hidden := p.Mint(p.Mallory, p.Object(4)) // its last, so that nothing shows that it is missing
	p.Pass(1)
	problems := func(result Crosscheck) (list []string) {
		for _, f := range result.Findings {
			list = append(list, fmt.Sprintf("%s %s %d %s", f.Problem, f.TxID, f.Round, f.Sender))
		}
		return list
	}
	byHole := fmt.Sprintf("omitted %s %d mallory", omitted.TxID, omitted.Round)
	byReading := fmt.Sprintf("omitted %s %d mallory", hidden.TxID, hidden.Round)
	result := p.crosscheck(CrosscheckOptions{})
	if got := problems(result); result.Passed || !slices.Equal(got, []string{byHole}) || len(result.Missing) != 0 {
		t.Errorf("found are %q (passed: %t), missing %v", got, result.Passed, result.Missing)
	}
	// The window before its predecessor and after its successor, and the events before.
	if want := 2*windowAround + 3 + result.Events - 2; before.Round+2 != omitted.Round+1 || result.Rounds != want {
		t.Errorf("%d blocks were read for one hole, want %d", result.Rounds, want)
	}
	if got := problems(p.crosscheck(CrosscheckOptions{EveryRound: true})); !slices.Equal(got, []string{byHole, byReading}) {
		t.Errorf("in all rounds there are %q", got)
	}
	if got := problems(p.crosscheck(CrosscheckOptions{EveryRound: true, From: omitted.Round + 1})); !slices.Equal(got, []string{byReading}) {
		t.Errorf("after the first there are %q", got)
	}
	if got := problems(p.crosscheck(CrosscheckOptions{Member: "mallory"})); !slices.Equal(got, []string{byHole}) {
		t.Errorf("of mallory's there are %q", got)
	}
	if result := p.crosscheck(CrosscheckOptions{Member: "founder"}); !result.Passed || len(result.Missing) != 1 {
		t.Errorf("of the founder's: %+v", result)
	}
}

func TestANumberThatTheBlocksDontHaveEitherIsMissing(t *testing.T) {
	p := newProven(t)
	p.Mallory.Sequence += 2
	p.published(1)
	result := p.crosscheck(CrosscheckOptions{})
	if !result.Passed || len(result.Missing) != 1 || result.Missing[0].Member != "mallory" || result.Missing[0].Range.First != 1 || result.Missing[0].Range.Last != 2 {
		t.Errorf("%+v", result)
	}
}

func TestWhatTheIndexerMadeUpOrChangedIsFound(t *testing.T) {
	p := newProven(t)
	absent, changed := p.published(1), p.published(2)
	delete(p.chain.blocks, absent.Round)
	block := p.chain.blocks[changed.Round]
	block.TimeStamp++
	p.chain.blocks[changed.Round] = block
	result := p.crosscheck(CrosscheckOptions{})
	if result.Passed || len(result.Findings) != 2 || result.Findings[0].Problem != NotInBlock || result.Findings[0].TxID != absent.TxID ||
		result.Findings[1].Problem != Differs || !strings.HasPrefix(result.Findings[1].Detail, "time: ") {
		t.Errorf("%+v", result)
	}
}

// Blocks that algod has forgotten prove nothing, and are no finding.
func TestWhatAlgodForgotIsCountedAndNoFinding(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	p.published(2)
	p.chain.block = func(round uint64) error {
		if round <= e.Round {
			return fmt.Errorf("reading: %w", ledger.ErrNoBlock)
		}
		return nil
	}
	result := p.crosscheck(CrosscheckOptions{})
	if !result.Passed || result.Rounds != 1 || result.Confirmed != 1 || result.Unread != (Unread{Rounds: e.Round, Events: e.Round, First: 1, Last: e.Round}) {
		t.Errorf("%+v", result)
	}
}

func TestAnAlgodThatIsBusyIsAskedAgainAndOneThatIsAwayEndsTheCrosscheck(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	synctest.Test(t, func(t *testing.T) {
		failures := blockTries - 1
		p.chain.block = func(round uint64) error {
			if round != e.Round || failures == 0 {
				return nil
			}
			failures--
			return errors.New("algod is busy")
		}
		if result, err := p.notary().Crosscheck(t.Context(), CrosscheckOptions{}, func(uint64, uint64) {}); err != nil || !result.Passed {
			t.Errorf("%d times busy: %v, %+v", blockTries-1, err, result)
		}
		failures = blockTries
		if _, err := p.notary().Crosscheck(t.Context(), CrosscheckOptions{}, func(uint64, uint64) {}); err == nil || !strings.Contains(err.Error(), "algod is busy") {
			t.Errorf("%d times: %v", blockTries, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		p.chain.block = func(uint64) error { cancel(); return errors.New("algod is busy") }
		began := time.Now()
		if _, err := p.notary().Crosscheck(ctx, CrosscheckOptions{}, func(uint64, uint64) {}); err == nil || time.Since(began) > 0 {
			t.Errorf("who is not waited for any more: %v after %v", err, time.Since(began))
		}
	})
}

func TestTheBlocksOfAnotherNetworkEndTheCrosscheck(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	block := p.chain.blocks[e.Round]
	block.GenesisHash, block.GenesisID = types.Digest{9}, "mainnet-v1.0"
	p.chain.blocks[e.Round] = block
	if _, err := p.notary().Crosscheck(t.Context(), CrosscheckOptions{}, func(uint64, uint64) {}); err == nil || !strings.Contains(err.Error(), "another network, mainnet-v1.0") {
		t.Errorf("%v", err)
	}
}

func TestACrosscheckBeginsWhereItIsToldWithinTheLog(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	p.published(2)
	result := p.crosscheck(CrosscheckOptions{From: e.Round})
	if !result.Passed || result.First != e.Round || result.Events != 2 || result.Confirmed != 2 || slices.Min(p.chain.asked) != e.Round {
		t.Errorf("%+v, asked for %v", result, p.chain.asked)
	}
	if _, err := p.notary().Crosscheck(t.Context(), CrosscheckOptions{From: p.Round}, func(uint64, uint64) {}); err != nil {
		t.Errorf("from the last round: %v", err)
	}
	if _, err := p.notary().Crosscheck(t.Context(), CrosscheckOptions{From: p.Round + 1}, func(uint64, uint64) {}); !isInput(err) || !strings.Contains(err.Error(), "is yet to come") {
		t.Errorf("from a round to come: %v", err)
	}
	p.chain.behind = errors.New("the indexer is away")
	if _, err := p.notary().Crosscheck(t.Context(), CrosscheckOptions{}, func(uint64, uint64) {}); err == nil || isInput(err) {
		t.Errorf("a log that isn't at the tip: %v", err)
	}
}

func TestTheCrosscheckTellsHowFarItIs(t *testing.T) {
	p := newProven(t)
	p.published(1)
	p.Pass(3 * roundsAtOnce)
	var told []uint64
	_, err := p.notary().Crosscheck(t.Context(), CrosscheckOptions{EveryRound: true}, func(done, total uint64) {
		if total != p.Round {
			t.Errorf("there are %d rounds, it says %d", p.Round, total)
		}
		told = append(told, done)
	})
	nodetest.Must(t, err)
	if len(told) < 3 || !slices.IsSorted(told) || told[len(told)-1] != p.Round {
		t.Errorf("it says %v", told)
	}
}

func TestFindingsAreBoundedAndAllAreCounted(t *testing.T) {
	a := &crosschecker{Notary: &Notary{State: state.New("", consortium.New(7, "C", nil), nil)}, report: Crosscheck{Passed: true}}
	for range maxFindings + 5 {
		a.found(Omitted, consortium.Event{Sender: "X"}, "")
	}
	if r := a.report; r.Passed || len(r.Findings) != maxFindings || r.More != 5 || r.Findings[0].Sender != "X" {
		t.Errorf("%d findings and %d more, passed: %t", len(r.Findings), r.More, r.Passed)
	}
}

// What others put into the blocks is none of this consortium's.
func TestTheEventsOfABlockAreThoseOfTheConsortium(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	block := p.chain.blocks[e.Round]
	if got := eventsOf(&block, p.ID, [32]byte(p.chain.network)); len(got) != 1 || got[0].TxID != e.TxID || got[0].Position != e.Position {
		t.Errorf("%+v", got)
	}
	if got := eventsOf(&block, p.ID+1, [32]byte(p.chain.network)); len(got) != 0 {
		t.Errorf("another consortium has %+v", got)
	}
	charter := p.chain.blocks[1]
	if got := eventsOf(&charter, p.ID, [32]byte(p.chain.network)); len(got) != 1 {
		t.Errorf("the charter is not of its consortium")
	}
	if got := eventsOf(&charter, p.ID+1, [32]byte(p.chain.network)); len(got) != 0 {
		t.Errorf("another's charter is taken: %+v", got)
	}
	// Only a charter's asset is its consortium: of anything else the note says whose it is.
	if got := eventsOf(&block, e.Asset, [32]byte(p.chain.network)); len(got) != 0 {
		t.Errorf("an object's asset is taken for a consortium: %+v", got)
	}
	forged := block
	forged.Payset = slices.Clone(block.Payset)
	forged.Payset[1].Sig[0]++
	if got := eventsOf(&forged, p.ID, [32]byte(p.chain.network)); len(got) != 0 {
		t.Errorf("what nobody signed is taken: %+v", got)
	}
	foreign := block
	foreign.Payset = slices.Clone(block.Payset)
	foreign.Payset[1].Txn.Type = types.PaymentTx
	if got := eventsOf(&foreign, p.ID, [32]byte(p.chain.network)); len(got) != 0 {
		t.Errorf("a payment is taken: %+v", got)
	}
}
