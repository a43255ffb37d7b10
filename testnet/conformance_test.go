package testnet

import (
	"testing"

	"github.com/serviceledger/slnode/taxii/conformance"
)

// A node does all that the conformance suite asks of a TAXII server, with objects that go by way of the chain.
func TestANodeConformsToTAXII(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha")
	o := n.members[0]
	o.client() // which makes its account
	results, err := conformance.Run(t.Context(), conformance.Target{
		URL: "http://" + o.Daemon.TAXII, Root: "/alpha/", Collection: n.collection, User: o.User, Password: o.Password,
	}, conformance.Checks())
	must(t, err)
	for _, r := range results {
		if r.Outcome == conformance.Failed {
			t.Errorf("%s %s %s: %s", r.Section, r.Level, r.Title, r.Detail)
		}
	}
}
