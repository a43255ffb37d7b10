package testnet

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/config"
)

// configure changes a line of a node's configuration, which it reads when it is started next.
func (o *organisation) configure(from, to string) {
	o.t.Helper()
	path := config.Path(o.Dir)
	data, err := os.ReadFile(path)
	must(o.t, err)
	if !strings.Contains(string(data), from) {
		o.t.Fatalf("the configuration has no %q", from)
	}
	must(o.t, os.WriteFile(path, []byte(strings.Replace(string(data), from, to, 1)), 0o600))
}

// costOneNFT holds an account to have paid for one NFT, in microalgo. A private network may have paid rewards
// meanwhile.
func costOneNFT(t *testing.T, before, after uint64) {
	t.Helper()
	if spent := before - after; spent > 101_000 || spent < 100_001 {
		t.Errorf("it has cost %d microalgo", spent)
	}
}

// A large bundle is one transaction and one deposit. Each of its objects is read, proved and withdrawn like others.
func TestALargeBundleIsPublishedWithOneNFT(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	before := alpha.status().Publishing
	posted := indicators(0, 250)
	status := alpha.post(n.collection, posted...)
	if status.Status != "complete" || status.SuccessCount != 250 {
		t.Fatalf("the status is %s: %d successes, %d failures, %d pending", status.Status, status.SuccessCount, status.FailureCount, status.PendingCount)
	}
	first, cids := status.Successes[0], map[string]bool{}
	for i, detail := range status.Successes {
		cids[detail.CID] = true
		if detail.TxID != first.TxID || detail.AssetID != first.AssetID || detail.Index != uint32(i+1) || detail.Message != first.TxID {
			t.Fatalf("object %d is %+v, the first %+v", i, detail, first)
		}
	}
	if len(cids) != 250 {
		t.Errorf("they are in %d directories", len(cids))
	}
	costOneNFT(t, before.Free, alpha.status().Publishing.Free)
	for _, o := range n.members {
		o.shows(n.collection, posted...)
	}
	name := fmt.Sprintf("%s/17", first.TxID)
	if v := cliJSON[proof.Verification](bravo, "verify", name); !v.Passed || v.TxID != first.TxID {
		t.Errorf("bravo verifies object 17: %+v", v)
	}

	t.Run("one of it is withdrawn", func(t *testing.T) {
		list := cliJSON[[]withdraw.Withdrawal](alpha, "withdraw", name)
		if len(list) != 1 || !list[0].Withdrawn || list[0].ID != status.Successes[16].ID {
			t.Errorf("withdrawn is %+v", list)
		}
		for _, o := range n.members {
			o.shows(n.collection, slices.Delete(slices.Clone(posted), 16, 17)...)
		}
		again := alpha.post(n.collection, posted[16])
		if again.SuccessCount != 1 || again.Successes[0].TxID == first.TxID || again.Successes[0].Index != 0 {
			t.Errorf("posted again it is %+v", again)
		}
	})
	t.Run("all of it is withdrawn", func(t *testing.T) {
		list := cliJSON[[]withdraw.Withdrawal](alpha, "withdraw", first.TxID)
		if len(list) != 1 || !list[0].Withdrawn || list[0].Objects != 249 {
			t.Errorf("withdrawn is %+v", list)
		}
		for _, o := range n.members {
			o.shows(n.collection, posted[16])
		}
	})
}

// What a feed brings goes in batches by itself, over its source's pages.
func TestWhatAFeedBringsIsPublishedInBatches(t *testing.T) {
	t.Parallel()
	chain := newChain(t)
	n, other := newNetwork(t, chain, "alpha", "bravo"), newNetwork(t, chain, "xenon")
	alpha, bravo, xenon := n.members[0], n.members[1], other.members[0]
	xenon.post(other.collection, indicators(0, 60)...)
	xenon.shows(other.collection, indicators(0, 60)...)
	before := alpha.status().Publishing
	alpha.feedFrom("xenon", xenon, other.collection, "--interval", "24h", "--page-size", "7")
	bravo.shows(n.collection, indicators(0, 60)...)
	costOneNFT(t, before.Free, alpha.status().Publishing.Free)
}
