package proof

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/found"
)

// What a store, the indexer or algod does not give is never taken for there being nothing: whoever asks for a proof
// gets one, or is told what failed.
func TestNothingIsProvenOnAGuess(t *testing.T) {
	p := newProven(t)
	e := p.published(1)
	p.published(2)
	p.Mallory.Sequence++ // one number is missing
	p.published(3)
	p.chain.fails, p.chain.proofs = p.Faults.Access, true
	n := p.notary()
	for _, what := range []string{indicatorID(1), e.TxID} {
		p.Faults.EachIsTold(t, "verifying "+what, func() error {
			v, err := n.Verify(t.Context(), what)
			if err == nil && !v.Passed { // it says so
				err = nodetest.ErrFault
			}
			return err
		})
		for _, disclose := range []bool{true, false} {
			p.Faults.EachIsTold(t, "evidence of "+what, func() error { _, err := n.Evidence(t.Context(), what, disclose); return err })
		}
	}
	p.chain.rereads(e)
	p.Faults.EachIsTold(t, "reading an indexer again", func() error { return n.Reread(t.Context(), "I", found.Missed{First: 1, Last: 1 << 40}) })
	for _, o := range []CrosscheckOptions{{}, {EveryRound: true}, {Member: "mallory"}, {From: e.Round}} {
		p.Faults.EachIsTold(t, "a crosscheck", func() error {
			_, err := n.Crosscheck(t.Context(), o, func(uint64, uint64) {})
			return err
		})
	}
}

// A file of evidence has so many of the governor's records for their numbers, and no more; and none of a governor that
// was followed by another.
func TestEvidenceHasNoEndOfTheGovernorsRecordsInIt(t *testing.T) {
	h := worldtest.NewHostileWorld(t)
	n := notaryOf(h)
	governs := func(by, governor *nodetest.Org) {
		amendment, err := consortium.DraftAmendment(h.ID, wire.Amendment{Name: "Test", Governor: wire.Quorum{Threshold: 1, Accounts: []string{governor.Address()}}}, time.Now())
		nodetest.Must(t, err)
		h.Takes(h.Mint(by, amendment))
	}
	for range 62 { // with the default collection, and the one that comes last, 64
		governs(h.Founder, h.Founder)
	}
	first := h.Mint(h.Mallory, h.Object(1))
	h.Takes(first)
	governs(h.Founder, h.Founder)
	second := h.Mint(h.Mallory, h.Object(2))
	h.Takes(second)
	governs(h.Founder, h.Founder)
	for what, one := range map[string]struct {
		of   consortium.Event
		want int
	}{"64": {first, 64}, "65": {second, 0}} {
		if list, err := n.numbered(one.of); err != nil || len(list) != one.want {
			t.Errorf("of %s records there are %d in it (%v), want %d", what, len(list), err, one.want)
		}
	}
}

func TestEvidenceHasNothingOfAGovernorThatWasFollowedByAnother(t *testing.T) {
	h := worldtest.NewHostileWorld(t)
	amendment, err := consortium.DraftAmendment(h.ID, wire.Amendment{Name: "Test", Governor: wire.Quorum{Threshold: 1, Accounts: []string{h.Self.Address()}}}, time.Now())
	nodetest.Must(t, err)
	h.Takes(h.Mint(h.Founder, amendment))
	object := h.Mint(h.Mallory, h.Object(1))
	h.Takes(object)
	h.Takes(h.CollectionOf(h.Founder, uuid.NewString(), 1, h.Named("The founder's", ""), h.Self)) // by which it shows its numbers
	if list, err := notaryOf(h).numbered(object); err != nil || len(list) != 0 {
		t.Errorf("%d records (%v)", len(list), err)
	}
}

// Who finds something looks again soon; who finds nothing, later each time.
func TestWhatIsFoundMissingIsLookedForAgainSoon(t *testing.T) {
	for _, finds := range []bool{true, false} {
		asked := 0
		o := &GapWatch{Log: nodetest.Discard, Round: func() uint64 { return 1 << 20 },
			Crosscheck: func(context.Context, CrosscheckOptions, func(uint64, uint64)) (c Crosscheck, err error) {
				if asked++; finds {
					c.Findings = []Finding{{Problem: Omitted, TxID: fmt.Sprint(asked)}}
				}
				return c, nil
			}}
		s := &suspicion{asked: map[consortium.Range]bool{}}
		for n := range uint64(3) {
			s.next = time.Time{}
			o.look(t.Context(), s, []Missing{{Member: "mallory", Range: consortium.Range{First: n, Last: n}}})
		}
		if soon := s.pause == firstPause; asked != 3 || soon != finds || !finds && s.pause != 4*firstPause {
			t.Errorf("asked %d times, finding something: %v, it waits for %v", asked, finds, s.pause)
		}
	}
}

// A payload that can have no name in a directory has no CID.
func TestAPayloadWithoutANameHasNoCID(t *testing.T) {
	if id, err := directoryCID([]byte("{}"), "", []byte("x")); err == nil {
		t.Errorf("it is %s", id)
	}
}
