package feeds

import (
	"testing"

	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

// inBatches is how feeds publish unless the configuration says otherwise.
var inBatches = outbox.Anchor{From: 2, Most: wire.MaxBatch, Bytes: 8 << 20}

// 100,000 objects through a feed lock 10 ALGO, and 10,000 without batches.
func TestAHundredThousandObjectsOfAFeedLockTenALGO(t *testing.T) {
	for anchor, want := range map[outbox.Anchor]int{inBatches: 100, {}: 100_000} {
		f := &Feeds{Anchor: anchor}
		s := &sink{Feeds: f}
		portion := f.portion()
		if portion == 0 {
			portion = 350 // a page
		}
		cost := uint64(0)
		for left := 100_000; left > 0; left -= portion {
			verdicts := make([]feed.Verdict, min(left, portion))
			s.price(verdicts, ledger.Cost(1, ledger.LowestFee))
			for _, v := range verdicts {
				cost += v.Cost
			}
		}
		if cost != ledger.Cost(want, ledger.LowestFee) {
			t.Errorf("%+v: they cost %d, want that of %d NFTs", anchor, cost, want)
		}
	}
}

// What is known or refused is paid by nobody; a single object has an NFT of its own.
func TestWhatIsNewPays(t *testing.T) {
	s := &sink{Feeds: &Feeds{Anchor: outbox.Anchor{From: 2, Most: 2}}}
	verdicts := []feed.Verdict{{Known: true}, {}, {Refused: "no"}, {}, {}, {Known: true}}
	s.price(verdicts, 7)
	for i, want := range []uint64{0, 7, 0, 0, 7, 0} {
		if verdicts[i].Cost != want {
			t.Errorf("object %d costs %d, want %d", i, verdicts[i].Cost, want)
		}
	}
}

// What a feed has published costs what its transactions do.
func TestAFeedPublishesInBatchesAndTellsWhatThatCosts(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	p := feedPublisher(w)
	into, err := intoOf(w)
	nodetest.Must(t, err)
	var list []string
	for n := range 25 {
		list = append(list, nodetest.IndicatorJSON(n))
	}
	listed := make(taxii.Listed, len(list))
	addition := taxii.Addition{Objects: listed}
	for i, raw := range list {
		listed[i].Raw = []byte(raw)
	}
	_, err = p.AcceptAs(taxii.Principal{User: "feed x"}, taxii.Collection{ID: into.ID}, into, addition, outbox.Anchor{From: 2, Most: 10, Bytes: 1 << 20})
	nodetest.Must(t, err)
	queued, err := w.R.Outbox.Queue(outbox.Accepted, 0, 100)
	nodetest.Must(t, err)
	if len(queued) != 3 || queued[0].Objects != 10 || queued[2].Objects != 5 || queued[0].Note.Kind != wire.KindBatch {
		t.Errorf("they are %d transactions: %+v", len(queued), queued)
	}
}
