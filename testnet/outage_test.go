package testnet

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/testnet/gateway"
)

func TestObjectsAreAcceptedWhileTheChainIsUnreachable(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	publisher := n.members[0]
	publisher.stop()
	publisher.algod = newProxy(t, n.Algod)
	publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	publisher.algod.set(cut, nil)
	status := publisher.postNow(n.collection, indicators(0, 5)...)
	if status.Status != "pending" || status.PendingCount != 5 {
		t.Fatalf("the status is %+v", status)
	}
	eventually(t, func() (bool, string) {
		s := publisher.status().Publishing
		return s.Problem == "algod", fmt.Sprintf("%+v", s)
	})
	publisher.kill() // what was accepted is on the disk
	publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	eventually(t, func() (bool, string) {
		log, err := os.ReadFile(publisher.Log)
		return strings.Contains(string(log), "algod can't be asked"), fmt.Sprintf("%s %v", log, err)
	})
	publisher.algod.set(nil, nil)
	if status = publisher.complete(status.ID); status.SuccessCount != 5 {
		t.Errorf("the status is %+v", status)
	}
	n.members[1].shows(n.collection, indicators(0, 5)...)
	if s := publisher.status().Publishing; s.Problem != "" {
		t.Errorf("the problem remains: %+v", s)
	}
}

func TestPublishingWaitsForMoneyAndGoesOnByItself(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo")
	poor := organisationOn(t, l, "charlie", 510_000) // for two objects, and the reserve
	n.admit(poor)
	poor.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	n.settled(poor)
	status := poor.postNow(n.collection, indicators(0, 5)...)
	eventually(t, func() (bool, string) {
		s := poor.status().Publishing
		return s.Problem == "funds" && s.Stored == 3, fmt.Sprintf("%+v", s)
	})
	if out := poor.cli("status"); !strings.Contains(out, "send it ALGO") {
		t.Errorf("the operator is told %s", out)
	}
	l.fund(t, poor.account(), 1_000_000)
	if status = poor.complete(status.ID); status.SuccessCount != 5 {
		t.Errorf("the status is %+v", status)
	}
	n.members[0].shows(n.collection, indicators(0, 5)...)
}

func TestALaggingAndRestartingIndexerLosesNothing(t *testing.T) {
	t.Parallel()
	l := faulty(t).byIndexer()
	n := newNetwork(t, l, "alpha", "bravo")
	publisher, reader := n.members[0], n.members[1]
	publisher.stop()
	publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	l.fault(t, faults{indexer: only(gateway.Rule{Lag: 5})})
	for i := range 12 {
		publisher.postNow(n.collection, indicator(i))
		publisher.confirms()
		switch i {
		case 4:
			l.fault(t, faults{indexer: only(gateway.Rule{Drop: true})})
		case 8:
			l.fault(t, faults{indexer: only(gateway.Rule{Lag: 3})})
		}
	}
	l.fault(t, faults{})
	reader.shows(n.collection, indicators(0, 12)...)
	if got := len(reader.objects(n.collection)); got != 12 {
		t.Errorf("%d objects, want 12", got)
	}
}

// released are the parameters that an indexer refuses as it is released.
var released = []string{
	"note-prefix", "tx-type", "sig-type", "group-id", "asset-id", "before-time", "after-time", "currency-greater-than", "currency-less-than",
	"address-role", "exclude-close-to", "rekey-to", "application-id",
}

func TestAReleasedIndexerIsEnough(t *testing.T) {
	t.Parallel()
	l := faulty(t).byIndexer()
	l.fault(t, faults{indexer: only(gateway.Rule{Refuse: released})})
	n := newNetwork(t, l, "alpha", "bravo")
	n.members[0].post(n.collection, indicators(0, 20)...)
	n.members[1].shows(n.collection, indicators(0, 20)...)
	if s := n.members[1].status(); s.Watching.Filtered {
		t.Error("the node believes that the indexer takes filters")
	}
}

func TestADroppedGroupIsSentAgain(t *testing.T) {
	t.Parallel()
	l := faulty(t)
	n := newNetwork(t, l, "alpha")
	l.fault(t, faults{algod: only(gateway.Rule{Match: "^POST /v2/transactions", Swallow: true, Count: 1})})
	if status := n.members[0].post(n.collection, indicators(0, 3)...); status.SuccessCount != 3 {
		t.Errorf("the status is %+v", status)
	}
}

// sees waits until both algod and the indexer show a publication.
func (o *organisation) sees(txid string) {
	o.t.Helper()
	eventually(o.t, func() (bool, string) {
		stdout, stderr, code := o.try("verify", txid)
		return code == 0 && !strings.Contains(stdout, "the indexer is not as far yet"), stdout + stderr
	})
}

func TestALyingIndexerIsFoundOut(t *testing.T) {
	t.Parallel()
	l := faulty(t)
	n := newNetwork(t, l, "alpha", "bravo")
	status := n.members[0].post(n.collection, indicator(1))
	txid := status.Successes[0].TxID
	n.members[1].sees(txid)
	l.fault(t, faults{indexer: only(gateway.Rule{Forge: []gateway.Forgery{{TxID: txid, Field: "note", Value: "c2VydmljZWxlZGdlcg=="}}})})
	stdout, _, code := n.members[1].try("verify", txid)
	if code != 3 && code != 2 {
		t.Errorf("verifying a forged transaction exits with %d: %s", code, stdout)
	}
	l.fault(t, faults{indexer: only(gateway.Rule{Forge: []gateway.Forgery{{TxID: txid, Field: "round-time", Value: 1}}})})
	stdout, _, code = n.members[1].try("verify", txid)
	if code != 3 || !strings.Contains(stdout, "FAIL") {
		t.Errorf("verifying a transaction with a false time exits with %d: %s", code, stdout)
	}
	l.fault(t, faults{})
	if v := cliJSON[proof.Verification](n.members[1], "verify", txid); !v.Passed {
		t.Errorf("verifying the truth: %+v", v)
	}
}

func TestAFeeAboveTheCapWaits(t *testing.T) {
	t.Parallel()
	l := faulty(t)
	n := newNetwork(t, l, "alpha")
	l.fault(t, faults{algod: only(gateway.Rule{PerByte: 1 << 40})})
	n.members[0].stop()
	n.members[0].start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	status := n.members[0].postNow(n.collection, indicator(1))
	eventually(t, func() (bool, string) {
		s := n.members[0].status().Publishing
		return s.Problem == "congestion", fmt.Sprintf("%+v", s)
	})
	l.fault(t, faults{})
	if status = n.members[0].complete(status.ID); status.SuccessCount != 1 {
		t.Errorf("the status is %+v", status)
	}
}

// That nobody answers is no evidence against an object.
func TestVerifyDoesNotTakeAnOutageForAFailure(t *testing.T) {
	t.Parallel()
	l := faulty(t)
	n := newNetwork(t, l, "alpha")
	txid := n.members[0].post(n.collection, indicator(1)).Successes[0].TxID
	n.members[0].sees(txid)
	for _, c := range []struct {
		name   string
		what   string
		faults faults
		code   int
	}{
		{"all is well", txid, faults{}, 0},
		{"the indexer is down", txid, faults{indexer: only(gateway.Rule{Drop: true})}, 1},
		{"algod is down", txid, faults{algod: only(gateway.Rule{Drop: true})}, 0},
		{"it is no transaction", "garbage", faults{}, 2},
	} {
		l.fault(t, c.faults)
		if stdout, stderr, code := n.members[0].try("verify", c.what); code != c.code {
			t.Errorf("%s: exit %d, want %d: %s%s", c.name, code, c.code, stdout, stderr)
		}
	}
}

// Algod remembers a thousand rounds, some 47 minutes. Who needs longer to get ALGO can found all the same.
func TestFoundingGoesOnWhenTheAccountIsFundedLate(t *testing.T) {
	t.Parallel()
	l := development(t)
	o := organisationOn(t, l, "alpha", 0)
	if _, stderr, code := o.try("consortium", "create", "--name", "X"); code != 2 || !strings.Contains(stderr, "needs ALGO") {
		t.Fatalf("without money: exit %d: %s", code, stderr)
	}
	l.advance(t, 1010)
	l.fund(t, o.account(), enoughAlgo)
	o.cli("consortium", "create", "--name", "X")
}
