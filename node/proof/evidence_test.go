package proof

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/evidence"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
)

func TestTheGovernorsRecordsAreInTheEvidenceIfTheyShowThatNoneIsLeftOut(t *testing.T) {
	h := worldtest.NewHostileWorld(t)
	n := notaryOf(h)
	h.Admits(nodetest.NewOrg(t, "before"))
	object := h.Mint(h.Mallory, h.Object(1))
	h.Takes(object)
	numbered := func() int {
		t.Helper()
		list, err := n.numbered(object)
		nodetest.Must(t, err)
		return len(list)
	}
	if got := numbered(); got != 0 {
		t.Errorf("%d records, and nothing of the governor's came after the object", got)
	}
	h.Admits(nodetest.NewOrg(t, "after"))
	// The default collection, the admission before, that after: the founder admitted mallory before them.
	if got := numbered(); got != 3 {
		t.Errorf("%d records, want 3", got)
	}
	if got := len(withNumbered(nil, nil)); got != 0 {
		t.Errorf("%d records of none", got)
	}
	later := h.Mint(h.Mallory, h.Object(2))
	h.Takes(later, h.Mint(h.Founder, h.Object(3))) // it takes a number, and is no record
	h.Admits(nodetest.NewOrg(t, "last"))
	if list, err := n.numbered(later); err != nil || len(list) != 0 {
		t.Errorf("%d records (%v), and a number between them is an object's", len(list), err)
	}
	amendment, err := consortium.DraftAmendment(h.ID, wire.Amendment{Name: "Test", Governor: wire.Quorum{Threshold: 1, Accounts: []string{h.Self.Address()}}}, time.Now())
	nodetest.Must(t, err)
	h.Takes(h.Mint(h.Founder, amendment))
	if list, err := n.numbered(h.Mint(h.Mallory, h.Object(4))); err != nil || len(list) != 0 {
		t.Errorf("%d records of a former governor (%v)", len(list), err)
	}
}

func notaryOf(h *worldtest.HostileWorld) *Notary { return &Notary{View: h.R.View, State: h.State} }

func TestAMemberWithTwoNodesIsNamed(t *testing.T) {
	h := worldtest.NewHostileWorld(t)
	h.Takes(h.Mint(h.Mallory, h.Object(1)), h.Mint(h.Mallory, h.Object(2)))
	if list := notaryOf(h).Repeated(); len(list) != 0 {
		t.Fatalf("%+v", list)
	}
	h.Mallory.Sequence-- // the other node gives the same number
	h.Takes(h.Mint(h.Mallory, h.Object(3)))
	list := notaryOf(h).Repeated()
	if len(list) != 1 || list[0].Member != "mallory" || list[0].Count != 1 || list[0].Number != 2 || list[0].Round != h.Round {
		t.Errorf("%+v", list)
	}
	// It is remembered, and not counted again.
	h.Open()
	if again := notaryOf(h).Repeated(); len(again) != 1 || again[0] != list[0] {
		t.Errorf("after a restart: %+v", again)
	}
}

// stands makes evidence and holds it against the chain's checks, as somebody without a node does.
func (p *proven) stands(what string, disclose bool) (evidence.Report, []byte) {
	p.T.Helper()
	data, err := p.notary().Evidence(p.T.Context(), what, disclose)
	nodetest.Must(p.T, err)
	report := CheckEvidence(data, p.ID, nil)
	if !report.Passed {
		p.T.Errorf("evidence for %s does not stand: %+v", what, report.Steps)
	}
	return report, data
}

func TestEvidenceStandsBeforeSomebodyWithoutANode(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	for _, what := range []string{indicatorID(1), e.TxID} {
		report, data := p.stands(what, false)
		got := outcomes(report)
		if report.TxID != e.TxID || got["object: signature"] != evidence.Pass || got["object: in its block"] != evidence.Pass || got["object: block"] != evidence.Trusted {
			t.Errorf("%s: %v", what, got)
		}
		if got["disclosed object"] != evidence.NotThere || bytes.Contains(data, []byte("Indicator 1")) {
			t.Errorf("%s: what was not to be disclosed is in it", what)
		}
	}
	if report := CheckEvidence(p.mustEvidence(e.TxID), p.ID+1, nil); report.Passed {
		t.Error("it stands for another consortium")
	}
}

func (p *proven) mustEvidence(what string) []byte {
	p.T.Helper()
	data, err := p.notary().Evidence(p.T.Context(), what, false)
	nodetest.Must(p.T, err)
	return data
}

func TestADisclosedObjectIsInTheEvidenceInClear(t *testing.T) {
	p := newProven(t)
	p.published(1)
	report, data := p.stands(indicatorID(1), true)
	if outcomes(report)["disclosed object"] != evidence.Pass || !bytes.Contains(data, []byte("Indicator 1")) {
		t.Errorf("%+v", report.Steps)
	}
}

func TestWhatThisOrganisationCantReadItDoesNotDisclose(t *testing.T) {
	p := newProven(t)
	const foreign = "00000000-1111-4222-8333-444444444444"
	p.Takes(p.CollectionOf(p.Mallory, foreign, 1, p.Named("Theirs", "theirs")))
	theirs := p.shared()
	theirs.ID, theirs.Key = foreign, p.Keys[foreign+"/1"]
	draft, err := consortium.DraftObject(p.ID, theirs, indicatorID(7), "2026-01-02T03:04:05.678Z", true, []byte(nodetest.IndicatorJSON(7)), time.Now())
	nodetest.Must(t, err)
	e := p.Mint(p.Mallory, draft)
	p.Takes(e)
	if _, err := p.notary().Evidence(t.Context(), e.TxID, true); !isInput(err) {
		t.Errorf("it is disclosed: %v", err)
	}
	if _, err := p.notary().Evidence(t.Context(), p.chain.charter(), true); !isInput(err) || !strings.Contains(err.Error(), "nothing to disclose") {
		t.Errorf("a charter is disclosed: %v", err)
	}
	p.stands(e.TxID, false) // that it was published is proved all the same
}

// Whatever an event's right rests on is in its evidence: each kind stands by itself.
func TestEveryKindOfEventHasEvidenceThatStands(t *testing.T) {
	p := newProven(t)
	p.published(1)
	newcomer := nodetest.NewOrg(t, "newcomer")
	p.Admits(newcomer)
	p.Rotates(p.Mallory, worldtest.Changes{Account: true})
	afterRotation := p.published(2)
	p.Removes(newcomer)
	again := p.CollectionOf(p.Self, p.Own, 2, p.Named("Own", "notes"))
	p.Takes(again)
	events, err := p.R.View.Log(consortium.Position{}, 100)
	nodetest.Must(t, err)
	kinds := map[wire.Kind]int{}
	for _, e := range events {
		report, _ := p.stands(e.TxID, false)
		kinds[e.Note.Kind]++
		if e.TxID == afterRotation.TxID && outcomes(report)["rotation: signature"] != evidence.Pass {
			t.Errorf("the change of keys is not in it: %+v", report.Steps)
		}
		records := 0
		for _, s := range report.Steps {
			if s.Name == "collection: signature" {
				records++
			}
		}
		if e.TxID == again.TxID && records != 2 {
			t.Errorf("of the collection it has %d records, itself and the one before it make two", records)
		}
	}
	for _, kind := range []wire.Kind{wire.KindCharter, wire.KindMember, wire.KindCollection, wire.KindObject, wire.KindRotation, wire.KindRemoval} {
		if kinds[kind] == 0 {
			t.Errorf("no %s was tried: %v", kind, kinds)
		}
	}
	// A removal of who has other keys now rests on these too.
	p.Removes(p.Mallory)
	last, err := p.R.View.Log(events[len(events)-1].Position, 1)
	nodetest.Must(t, err)
	if report, _ := p.stands(last[0].TxID, false); outcomes(report)["rotation: signature"] != evidence.Pass {
		t.Errorf("whose removal it is, is not in it: %+v", report.Steps)
	}
}

func TestOfWhatWasWithdrawnNoEvidenceIsMadeButOfTheWithdrawalIs(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	end := p.Destroy(p.Mallory, e.Asset)
	p.Takes(end)
	if _, err := p.notary().Evidence(t.Context(), e.TxID, false); !isInput(err) || !strings.Contains(err.Error(), "withdrawn") {
		t.Errorf("of what was withdrawn: %v", err)
	}
	report, _ := p.stands(end.TxID, false)
	if outcomes(report)["withdrawal: files"] != evidence.NotThere {
		t.Errorf("%+v", report.Steps)
	}
}

func TestTheStateProofOfABlockIsInTheEvidence(t *testing.T) {
	p := newProven(t)
	p.published(1)
	p.chain.proofs = true
	report, _ := p.stands(indicatorID(1), false)
	if got := outcomes(report); got["object: block"] != evidence.Pass || got["state proof"] != evidence.Trusted {
		t.Errorf("%+v", report.Steps)
	}
}

// algod keeps the last thousand blocks: what is older is believed of the indexer, and said so.
func TestWhereAlgodHasNoBlockTheIndexersWordIsInTheEvidence(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	end := p.Destroy(p.Mallory, p.published(2).Asset)
	p.Takes(end)
	p.chain.block = func(uint64) error { return fmt.Errorf("reading: %w", ledger.ErrNoBlock) }
	for _, txid := range []string{e.TxID, end.TxID} {
		report, _ := p.stands(txid, false)
		name := "object: "
		if txid == end.TxID {
			name = "withdrawal: "
		}
		if got := outcomes(report); got[name+"signature"] != evidence.Pass || got[name+"confirmed"] != evidence.Trusted || got[name+"in its block"] != "" {
			t.Errorf("%+v", report.Steps)
		}
	}
	p.chain.find = func(string) (chainwatch.Finding, error) { return chainwatch.Finding{}, nil }
	if _, err := p.notary().Evidence(t.Context(), e.TxID, false); err == nil || !strings.Contains(err.Error(), "neither algod nor the indexer") {
		t.Errorf("neither has it: %v", err)
	}
	p.chain.find = func(string) (chainwatch.Finding, error) {
		return chainwatch.Finding{}, errors.New("the indexer is away")
	}
	if _, err := p.notary().Evidence(t.Context(), e.TxID, false); err == nil || !strings.Contains(err.Error(), "the indexer is away") {
		t.Errorf("the indexer is away: %v", err)
	}
}

func TestNoEvidenceIsMadeOfWhatDoesNotStand(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	honest := p.chain.blocks[e.Round]
	for want, change := range map[string]func(){
		"algod is away":                func() { p.chain.block = func(uint64) error { return errors.New("algod is away") } },
		"the header has another hash":  func() { p.chain.hash = errors.New("the header has another hash") },
		"there is no proof":            func() { p.chain.proof = errors.New("there is no proof") },
		"the state proof can't be had": func() { p.chain.attested = errors.New("the state proof can't be had") },
		"does not hold transaction":    func() { b := honest; b.Payset = b.Payset[:1]; p.chain.blocks[e.Round] = b },
		"of another network, mainnet-v1.0": func() {
			b := honest
			b.GenesisHash = types.Digest{9}
			b.GenesisID = "mainnet-v1.0"
			p.chain.blocks[e.Round] = b
		},
		"would not stand": func() { b := honest; b.Sha256Commitment = types.Digest{9}; p.chain.blocks[e.Round] = b },
	} {
		change()
		if data, err := p.notary().Evidence(t.Context(), e.TxID, false); err == nil || !strings.Contains(err.Error(), want) || isInput(err) || data != nil {
			t.Errorf("%s: %v", want, err)
		}
		p.chain.block, p.chain.hash, p.chain.proof, p.chain.attested, p.chain.blocks[e.Round] = nil, nil, nil, nil, honest
	}
	p.stands(e.TxID, false)
}

// Each record of a file has its place on the chain, and is there once.
func TestTheRecordsOfAFileAreInTheOrderOfTheChain(t *testing.T) {
	at := func(round uint64) consortium.Event {
		return consortium.Event{Position: consortium.Position{Round: round}, TxID: fmt.Sprint(round)}
	}
	var got []string
	for _, e := range withNumbered([]consortium.Event{at(1), at(4), at(5)}, []consortium.Event{at(2), at(4), at(3)}) {
		got = append(got, e.TxID)
	}
	if strings.Join(got, " ") != "1 2 3 4 5" {
		t.Errorf("their order is %v", got)
	}
}

func TestWithoutItsCharterNothingIsProved(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	n := p.notary()
	n.Consortium.Charter = strings.Repeat("A", 52)
	if _, err := n.Evidence(t.Context(), e.TxID, false); !isInput(err) {
		t.Errorf("evidence: %v", err)
	}
	if _, err := n.Crosscheck(t.Context(), CrosscheckOptions{}, func(uint64, uint64) {}); !isInput(err) {
		t.Errorf("crosscheck: %v", err)
	}
}
