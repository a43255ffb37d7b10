package testnet

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/testnet/gateway"
)

// before is a gateway in front of a server, for one node alone.
func before(t testing.TB, server string) *gateway.Gateway {
	t.Helper()
	g, err := gateway.Start(server)
	must(t, err)
	t.Cleanup(func() { must(t, g.Close()) })
	return g
}

// noted gives the transactions of an account whose notes are of a kind, in the order of the chain.
func (b *blockchain) noted(t testing.TB, account string, kind wire.Kind) (txids []string) {
	t.Helper()
	page, err := b.indexerClient(t).SearchForTransactions().AddressString(account).Do(t.Context())
	must(t, err)
	slices.SortFunc(page.Transactions, func(x, y models.Transaction) int { return int(x.ConfirmedRound) - int(y.ConfirmedRound) })
	for _, one := range page.Transactions {
		if _, note, err := wire.ParseNote(one.Note); err == nil && note.Kind == kind {
			txids = append(txids, one.Id)
		}
	}
	return txids
}

// sameView waits until two nodes serve the same and know the same members.
func sameView(t testing.TB, collection string, a, b *organisation) {
	t.Helper()
	eventually(t, func() (bool, string) {
		one, err := a.tryObjects(collection)
		two, also := b.tryObjects(collection)
		slices.Sort(one)
		slices.Sort(two)
		known, too := cliJSON[[]members.Info](a, "member", "list"), cliJSON[[]members.Info](b, "member", "list")
		return err == nil && also == nil && slices.Equal(one, two) && len(known) == len(too),
			fmt.Sprintf("%d and %d objects, %d and %d members; %v, %v; %+v", len(one), len(two), len(known), len(too), err, also, b.status())
	})
}

// source gives what a node says of one of its sources.
func (o *organisation) source(match string) (s state.Source) {
	o.t.Helper()
	for _, one := range o.status().Watching.Sources {
		if strings.Contains(one.Name, match) {
			return one
		}
	}
	return s
}

// hidden is a network in which, while the victim is away, there comes an object, a withdrawal, a member, and that one's
// only object. It gives their transactions.
func hidden(t testing.TB, n *network, victim *organisation) (txids []string) {
	t.Helper()
	publisher := n.members[0]
	first := publisher.post(n.collection, indicators(0, 3)...)
	victim.shows(n.collection, indicators(0, 3)...)
	victim.stop()
	txids = append(txids, publisher.post(n.collection, indicator(10)).Successes[0].TxID)
	publisher.cli("withdraw", first.Successes[0].TxID)
	eventually(t, func() (bool, string) {
		ended := n.noted(t, publisher.account(), wire.KindDestroy)
		if len(ended) == 1 {
			txids = append(txids, ended[0])
		}
		return len(ended) == 1, "it is not withdrawn"
	})
	newcomer := organisationOn(t, n.blockchain, "charlie", enoughAlgo)
	n.admit(newcomer)
	newcomer.start()
	_, err := newcomer.Settled(patiently(t), 1)
	must(t, err)
	admissions := n.noted(t, publisher.account(), wire.KindMember)
	txids = append(txids, admissions[len(admissions)-1])
	txids = append(txids, newcomer.post(n.collection, indicator(20)).Successes[0].TxID)
	publisher.post(n.collection, indicator(30))
	publisher.shows(n.collection, indicator(20), indicator(30))
	return txids
}

// The indexer of one node leaves out an object, a withdrawal, a member's admission and its last transaction.
func TestWhatAnIndexerLeavesOutIsTakenFromAlgodsBlocks(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo")
	victim := n.members[1]
	txids := hidden(t, n, victim)
	indexer := before(t, l.Indexer)
	must(t, indexer.Set(gateway.Rule{Hide: txids}))
	victim.start("SLNODE_ALGORAND_INDEXER_URL="+indexer.URL(), "SLNODE_ALGORAND_FOLLOW=both", "SLNODE_ALGORAND_POLL=200ms", "SLNODE_METRICS_LISTEN=127.0.0.1:0")
	victim.shows(n.collection, indicator(10), indicator(20), indicator(30))
	sameView(t, n.collection, n.members[0], victim)
	eventually(t, func() (bool, string) {
		s := victim.source("127.0.0.1")
		return s.Problem == "lies" && len(s.Lies) == len(txids), fmt.Sprintf("%+v", s)
	})
	if out := victim.cli("status"); !strings.Contains(out, "LIES") {
		t.Errorf("the operator is told %s", out)
	}
	if out, _, code := victim.try("status", "--check"); code != 3 || !strings.HasPrefix(out, "source "+indexer.URL()+": lies: ") {
		t.Errorf("the check exits with %d: %s", code, out)
	}
	if text := victim.metrics(); !strings.Contains(text, fmt.Sprintf(`slnode_source_false_transactions{source="%s"} %d`, indexer.URL(), len(txids))) {
		t.Errorf("the metrics are\n%s", text)
	}
	must(t, indexer.Set())
	eventually(t, func() (bool, string) {
		s := victim.source("127.0.0.1")
		return s.Problem == "" && len(s.Lies) == 0, fmt.Sprintf("%+v", s)
	})
}

// Algod leaves transactions out of its blocks, as their headers show; the indexer has them.
func TestWhatAlgodLeavesOutIsTakenFromTheIndexer(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo")
	victim := n.members[1]
	txids := hidden(t, n, victim)
	algod := before(t, l.Algod)
	must(t, algod.Set(gateway.Rule{Hide: txids}))
	victim.start("SLNODE_ALGORAND_ALGOD_URL="+algod.URL(), "SLNODE_ALGORAND_FOLLOW=both")
	victim.shows(n.collection, indicator(10), indicator(20), indicator(30))
	sameView(t, n.collection, n.members[0], victim)
	if s := victim.source("algod"); s.Problem != "lies" || !strings.Contains(s.Detail, "commits to") {
		t.Errorf("%+v", s)
	}
}

// Two indexers, each with holes of its own, and no blocks at the tip.
func TestTwoIndexersWithDifferentHolesMakeOneHistory(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo")
	victim := n.members[1]
	txids := hidden(t, n, victim)
	one, two := before(t, l.Indexer), before(t, l.Indexer)
	two.Identify("X-Indexer-API-Token", l.IndexerToken) // no token is sent to a further indexer
	must(t, one.Set(gateway.Rule{Hide: txids[:2]}))
	must(t, two.Set(gateway.Rule{Hide: txids[2:]}))
	victim.start("SLNODE_ALGORAND_INDEXER_URL="+one.URL(), "SLNODE_ALGORAND_INDEXERS="+two.URL(), "SLNODE_ALGORAND_FOLLOW=indexer", "SLNODE_ALGORAND_POLL=200ms")
	victim.shows(n.collection, indicator(10), indicator(20), indicator(30))
	sameView(t, n.collection, n.members[0], victim)
	for name, want := range map[string][]string{one.URL(): txids[:2], two.URL(): txids[2:]} {
		eventually(t, func() (bool, string) {
			s := victim.source(name)
			var got []string
			for _, lie := range s.Lies {
				got = append(got, lie.TxID)
			}
			slices.Sort(got)
			return slices.Equal(got, slices.Sorted(slices.Values(want))), fmt.Sprintf("%+v", s)
		})
	}
}

// What the only indexer hid is found in algod's blocks, by the hole in the numbers, or when another indexer is added.
func TestWhatIsFoundLateIsFoldedInWithoutAnOperator(t *testing.T) {
	t.Parallel()
	l := development(t)
	n := newNetwork(t, l, "alpha", "bravo")
	publisher, victim := n.members[0], n.members[1]
	publisher.post(n.collection, indicator(0))
	victim.shows(n.collection, indicator(0))
	victim.stop()
	middle := publisher.post(n.collection, indicator(1)).Successes[0].TxID
	publisher.post(n.collection, indicators(2, 3)...)
	indexer := before(t, l.Indexer)
	must(t, indexer.Set(gateway.Rule{Hide: []string{middle}}))
	alone := []string{"SLNODE_ALGORAND_INDEXER_URL=" + indexer.URL(), "SLNODE_ALGORAND_FOLLOW=indexer"}
	victim.start(alone...)
	victim.shows(n.collection, indicators(2, 3)...)
	l.advance(t, 70) // the hole has stayed for a while
	publisher.post(n.collection, indicator(10))
	victim.shows(n.collection, indicator(1), indicator(10))
	sameView(t, n.collection, publisher, victim)
	eventually(t, func() (bool, string) {
		s := victim.status()
		return s.Late.Found == 1 && s.Late.Unfolded == 0 && !s.Late.Folded.IsZero() && len(s.Missing) == 0, fmt.Sprintf("%+v %+v", s.Late, s.Missing)
	})

	// The last one of an account leaves no hole. Within a day the operator has to say that it be folded in.
	victim.stop()
	last := publisher.post(n.collection, indicator(20)).Successes[0].TxID
	must(t, indexer.Set(gateway.Rule{Hide: []string{middle, last}}))
	victim.start(alone...)
	n.settled(n.members...)
	victim.stop()
	victim.start(append(alone, "SLNODE_ALGORAND_INDEXERS="+before(t, l.Indexer).URL())...)
	eventually(t, func() (bool, string) {
		s := victim.status().Late
		return s.Found == 2 && s.Unfolded == 1 && !s.FoldsAt.IsZero(), fmt.Sprintf("%+v", s)
	})
	victim.cli("view", "rebuild")
	victim.shows(n.collection, indicator(1), indicator(20))
	sameView(t, n.collection, publisher, victim)
	if s := victim.status().Late; s.Found != 2 || s.Unfolded != 0 {
		t.Errorf("%+v", s)
	}
}
