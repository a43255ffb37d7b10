package accept

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

// A rehearsal tells who would read each object and what it would cost, or why it would be refused; and does nothing.
func TestARehearsalTellsWhatWouldBeAndDoesNothing(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	published := w.Mint(w.Self, w.Object(1))
	nodetest.Must(t, w.Deliver(published))
	w.Drain()
	const address = `{"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd","value":"198.51.100.3"}`
	recipients := &fixed{}
	p := publisherIn(w)
	p.Fees, p.Recipients = fee(2000), recipients
	rehearsal, err := p.Rehearse(t.Context(), taxii.Principal{}, taxii.Collection{ID: w.Collection}, posts(nodetest.DescribedIndicator(1, ""), nodetest.IndicatorJSON(2), labelled(3, "red"), "{", address))
	nodetest.Must(t, err)
	one := ledger.Cost(1, 2000)
	o := rehearsal.Objects
	if len(o) != 5 || rehearsal.Extra != 0 || len(recipients.asked) != 0 {
		t.Fatalf("it tells %+v", rehearsal)
	}
	if o[0].ID != firstID || o[0].TxID != published.TxID || o[0].Cost != 0 || !slices.Equal(o[0].Readers, []string{"alpha"}) || o[0].Version != worldtest.FirstTime {
		t.Errorf("of what is published: %+v", o[0])
	}
	if o[1].TxID != "" || o[1].Cost != one || !slices.Equal(o[1].Readers, []string{"alpha"}) || o[1].Failure != "" || o[1].Version != worldtest.FirstTime {
		t.Errorf("of what is new: %+v", o[1])
	}
	if version, err := time.Parse(time.RFC3339Nano, o[4].Version); err != nil || time.Since(version) > time.Hour || o[4].Failure != "" {
		t.Errorf("of what has no version: %+v (%v), want the time as its version", o[4], err)
	}
	for _, refused := range o[2:4] {
		if refused.Failure == "" || refused.Cost != 0 || refused.Readers != nil {
			t.Errorf("of what is refused: %+v", refused)
		}
	}
	if n := w.R.Outbox.Count()[outbox.Accepted]; n != 0 {
		t.Errorf("%d objects were taken in", n)
	}
	_, err = p.Rehearse(t.Context(), taxii.Principal{}, taxii.Collection{ID: uuid.NewString()}, posts(nodetest.IndicatorJSON(2)))
	if !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("into no collection: %v", err)
	}
}

// For named recipients a rehearsal makes no collection, and tells what one would cost.
func TestARehearsalForRecipientsMakesNoCollection(t *testing.T) {
	h := newPublishersWorld(t)
	p := h.publisher()
	p.Fees = fee(1000)
	a := posts(labelled(1, "red"))
	a.To = []string{"mallory"}
	for _, exists := range []bool{false, true} {
		rehearsal, err := p.Rehearse(t.Context(), taxii.Principal{}, taxii.Collection{ID: h.Collection}, a)
		nodetest.Must(t, err)
		want, all := ledger.Cost(1, 1000), uint64(202_000) // the object, and the record of its collection at the first use
		if exists {
			want, all = 0, 101_000
		}
		if got := rehearsal.Extra + rehearsal.Objects[0].Cost; got != all {
			t.Errorf("all of it costs %d microalgo, want %d", got, all)
		}
		if o := rehearsal.Objects[0]; rehearsal.Extra != want || o.Failure != "" || !slices.Equal(o.Readers, []string{"mallory", "self"}) && !slices.Equal(o.Readers, []string{"self", "mallory"}) {
			t.Errorf("it tells %+v", rehearsal)
		}
		if len(h.Records()) != 0 {
			t.Error("it makes a collection")
		}
		_, err = h.owner.AdHoc(t.Context(), a.To)
		nodetest.Must(t, err)
		h.Records()
	}
	a.To = []string{"nobody"}
	if _, err := p.Rehearse(t.Context(), taxii.Principal{}, taxii.Collection{ID: h.Collection}, a); err == nil || !strings.Contains(err.Error(), `no member is called "nobody"`) {
		t.Errorf("for nobody: %v", err)
	}
	// Who was removed is no reader.
	h.Removes(h.Mallory)
	rehearsal, err := p.Rehearse(t.Context(), taxii.Principal{}, taxii.Collection{ID: h.Collection}, posts(nodetest.IndicatorJSON(1)))
	if nodetest.Must(t, err); slices.Contains(rehearsal.Objects[0].Readers, "mallory") {
		t.Errorf("after a removal it tells %+v", rehearsal.Objects[0])
	}
}

// A rehearsal asks for what the network asks for; where that can't be had, for the usual.
func TestARehearsalNeedsNoAlgod(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	p := publisherIn(w)
	p.Fees = down{}
	rehearsal, err := p.Rehearse(t.Context(), taxii.Principal{}, taxii.Collection{ID: w.Collection}, posts(nodetest.IndicatorJSON(1)))
	if err != nil || rehearsal.Objects[0].Cost != ledger.Cost(1, ledger.LowestFee) {
		t.Errorf("%+v, %v", rehearsal, err)
	}
}

// It tells what both ways cost, and which of them it would be; in a batch the first object pays for all.
func TestARehearsalTellsWhatBatchesWouldCost(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	p := publisherIn(w)
	p.Fees = fee(2000)
	var objects []string
	for n := range 7 {
		objects = append(objects, nodetest.IndicatorJSON(n))
	}
	objects = append(objects, "{")
	for _, c := range []struct {
		anchor  outbox.Anchor
		batched bool
		paid    []int
		nfts    int
	}{
		{outbox.Anchor{Most: 3, Bytes: 1 << 20}, false, []int{0, 1, 2, 3, 4, 5, 6}, 3},
		{outbox.Anchor{From: 8, Most: 3, Bytes: 1 << 20}, false, []int{0, 1, 2, 3, 4, 5, 6}, 3},
		{outbox.Anchor{From: 7, Most: 3, Bytes: 1 << 20}, true, []int{0, 3, 6}, 3},
		{outbox.Anchor{From: 2, Most: 1000, Bytes: 1 << 20}, true, []int{0}, 1},
		{outbox.Anchor{From: 2, Most: 1000, Bytes: 4 * len(objects[0])}, true, []int{0, 4}, 2},
	} {
		p.Anchor = c.anchor
		rehearsal, err := p.Rehearse(t.Context(), taxii.Principal{}, taxii.Collection{ID: w.Collection}, posts(objects...))
		nodetest.Must(t, err)
		var paid []int
		for i, o := range rehearsal.Objects {
			if o.Cost == ledger.Cost(1, 2000) {
				paid = append(paid, i)
			}
		}
		single, batch := taxii.Price{NFTs: 7, Fees: 14_000, Locked: 700_000}, taxii.Price{NFTs: c.nfts, Fees: uint64(2000 * c.nfts), Locked: uint64(100_000 * c.nfts)}
		if rehearsal.Batched != c.batched || !slices.Equal(paid, c.paid) || rehearsal.AsSingle != single || rehearsal.AsBatch != batch {
			t.Errorf("%+v: it is batched: %v, paid are %v; %+v or %+v", c.anchor, rehearsal.Batched, paid, rehearsal.AsSingle, rehearsal.AsBatch)
		}
	}
}
