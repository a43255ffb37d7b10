package testnet

import (
	"testing"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/testnet/cluster"
	"github.com/serviceledger/slnode/testnet/devchain"
	"github.com/serviceledger/slnode/testnet/gateway"
)

// blockchain is an Algorand network: a development chain of the test's own, or the one of the SLNODE_TEST_* variables.
type blockchain struct {
	cluster.Chain                 // as the nodes are told: gateways, where a test wants faults
	direct        cluster.Chain   // without them
	dev           *devchain.Chain // nil on a real network
	gateways      struct{ algod, indexer *gateway.Gateway }
	follow        string // by what nodes follow it, unless they find that out themselves
}

func newChain(t testing.TB) *blockchain {
	t.Helper()
	l := &blockchain{}
	chain, named := cluster.FromEnvironment()
	if !named {
		dev, err := devchain.Start(t.Context(), devchain.Config{})
		must(t, err)
		t.Cleanup(func() { must(t, dev.Close()) })
		l.dev, chain = dev, cluster.Development(dev)
	}
	l.Chain, l.direct = chain, chain
	return l
}

// faulty is a chain with gateways between the nodes and it, which a test can tell to lie.
func faulty(t testing.TB) *blockchain { return newChain(t).behindGateways(t) }

func (l *blockchain) behindGateways(t testing.TB) *blockchain {
	t.Helper()
	start := func(target string) *gateway.Gateway {
		g, err := gateway.Start(target)
		must(t, err)
		t.Cleanup(func() { must(t, g.Close()) })
		return g
	}
	l.gateways.algod, l.gateways.indexer = start(l.Algod), start(l.Indexer)
	l.Algod, l.Indexer = l.gateways.algod.URL(), l.gateways.indexer.URL()
	return l
}

// byIndexer has nodes follow the chain by the indexer alone.
func (l *blockchain) byIndexer() *blockchain {
	l.follow = "indexer"
	return l
}

// faults are what goes wrong before algod and before the indexer.
type faults struct{ algod, indexer []gateway.Rule }

// fault puts faults in the place of those before.
func (l *blockchain) fault(t testing.TB, f faults) {
	t.Helper()
	must(t, l.gateways.algod.Set(f.algod...))
	must(t, l.gateways.indexer.Set(f.indexer...))
}

// only is a list of one rule.
func only(r gateway.Rule) []gateway.Rule { return []gateway.Rule{r} }

// development is a chain that makes rounds when it is told to. The tests that need hundreds of them are not for real
// networks, on which that takes the better part of an hour.
func development(t testing.TB) *blockchain {
	t.Helper()
	l := newChain(t)
	if l.dev == nil {
		t.Skip("on a real network so many rounds take too long")
	}
	return l
}

// advance lets some rounds pass.
func (l *blockchain) advance(t testing.TB, rounds uint64) {
	t.Helper()
	if l.dev != nil {
		must(t, l.dev.Advance(int(rounds)))
		return
	}
	client, err := algorand.NewAlgod(l.direct.Algod, l.AlgodToken)
	must(t, err)
	status, err := client.Status().Do(t.Context())
	must(t, err)
	for until := status.LastRound + rounds; status.LastRound < until; {
		status, err = client.StatusAfterBlock(status.LastRound).Do(t.Context())
		must(t, err)
	}
}

// round is the chain's last one.
func (l *blockchain) round(t testing.TB) uint64 {
	t.Helper()
	client, err := algorand.NewAlgod(l.direct.Algod, l.AlgodToken)
	must(t, err)
	status, err := client.Status().Do(t.Context())
	must(t, err)
	return status.LastRound
}

func (l *blockchain) fund(t testing.TB, account string, microalgo uint64) {
	t.Helper()
	_, err := l.direct.Fund(t.Context(), account, microalgo)
	must(t, err)
}
