package testnet

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/testnet/gateway"
)

// metrics are those of a daemon that was started with an address for them.
func (o *organisation) metrics() string {
	o.t.Helper()
	response, err := http.Get("http://" + o.Daemon.Metrics + "/metrics")
	must(o.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(o.t, err)
	return string(body)
}

// The indexer's follower has stopped: its server answers as if nothing was.
func TestAnIndexerThatStandsIsSeenByEveryNode(t *testing.T) {
	t.Parallel()
	l := faulty(t).byIndexer()
	n := newNetwork(t, l, "alpha", "bravo")
	publisher, reader := n.members[0], n.members[1]
	publisher.post(n.collection, indicator(0))
	reader.stop()
	reader.start("SLNODE_METRICS_LISTEN=127.0.0.1:0")
	reader.shows(n.collection, indicator(0))
	n.settled(reader)
	wellAt := func(o *organisation) {
		t.Helper()
		eventually(t, func() (bool, string) {
			out, _, code := o.try("status", "--check")
			return code == 0 && out == "", fmt.Sprintf("%s: exit %d: %s", o.Name, code, out)
		})
	}
	wellAt(reader)
	l.fault(t, faults{indexer: only(gateway.Rule{Frozen: l.round(t)})})
	publisher.postNow(n.collection, indicator(1))
	for _, o := range n.members {
		eventually(t, func() (bool, string) {
			w := o.status().Watching
			return w.Problem == "behind" && !w.CaughtUp && w.Tip > w.Round && w.Tip >= w.Algod, fmt.Sprintf("%s: %+v", o.Name, w)
		})
		if out := o.cli("status"); !strings.Contains(out, "WAITS since") {
			t.Errorf("the operator of %s is told %s", o.Name, out)
		}
		if out, _, code := o.try("status", "--check"); code != 3 || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "chain: behind: ") {
			t.Errorf("checking %s exits with %d: %s", o.Name, code, out)
		}
	}
	if text := reader.metrics(); !strings.Contains(text, `slnode_watching_problem{problem="behind"} 1`) {
		t.Errorf("the metrics are\n%s", text)
	}
	// And now it is away, and the node begins anew.
	round := reader.status().Watching.Round
	l.fault(t, faults{indexer: only(gateway.Rule{Drop: true})})
	reader.kill()
	reader.start()
	eventually(t, func() (bool, string) {
		w := reader.status().Watching
		return w.Problem == "indexer" && w.Round >= round && w.Tip > w.Round, fmt.Sprintf("%+v", w)
	})
	l.fault(t, faults{})
	reader.shows(n.collection, indicators(0, 2)...)
	n.settled(n.members...)
	wellAt(reader)
	wellAt(publisher)
}

// What is signed is not bound to the fee of that moment.
func TestASignedGroupGetsAHigherFeeAndIsMintedOnce(t *testing.T) {
	t.Parallel()
	l := faulty(t)
	n := newNetwork(t, l, "alpha", "bravo")
	publisher := n.members[0]
	publisher.stop()
	publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s", "SLNODE_ALGORAND_MAX_FEE=1500")
	before, _ := l.minted(t, publisher.account(), publisher.consortium().ID)
	l.fault(t, faults{algod: only(gateway.Rule{Match: "^POST ", PerByte: 4})}) // the pool asks for more than was suggested
	status := publisher.postNow(n.collection, indicators(0, 3)...)
	eventually(t, func() (bool, string) {
		s := publisher.status().Publishing
		return s.Problem == "congestion" && s.Signed == 3, fmt.Sprintf("%+v", s)
	})
	status, err := publisher.client().Status(t.Context(), "/alpha/", status.ID)
	if err != nil || len(status.Pendings) != 3 || !strings.Contains(status.Pendings[0].Message, "higher fee") || status.Pendings[0].TxID == "" {
		t.Errorf("the status is %+v, %v", status, err)
	}
	l.fault(t, faults{algod: only(gateway.Rule{PerByte: 4})}) // 2,400 microalgo for a transaction
	publisher.End(syscall.SIGKILL)
	publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s", "SLNODE_ALGORAND_MAX_FEE=10000")
	if status := publisher.complete(status.ID); status.SuccessCount != 3 {
		t.Errorf("the status is %+v", status)
	}
	l.fault(t, faults{})
	n.members[1].shows(n.collection, indicators(0, 3)...)
	id := publisher.consortium().ID
	eventually(t, func() (bool, string) {
		after, _ := l.minted(t, publisher.account(), id)
		return len(after) == len(before)+3, fmt.Sprintf("%d NFTs before, %d after", len(before), len(after))
	})
}

// Groups that were confirmed while the node was down are no trouble when it comes back.
func TestAfterAKillTheLogDoesNotComplainOfWhatIsConfirmed(t *testing.T) {
	t.Parallel()
	l := newChain(t).byIndexer()
	n := newNetwork(t, l, "alpha", "bravo")
	publisher := n.members[0]
	indexer, err := gateway.Start(l.Indexer)
	must(t, err)
	t.Cleanup(func() { must(t, indexer.Close()) })
	publisher.stop()
	publisher.algod = newProxy(t, l.Algod)
	publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s", "SLNODE_ALGORAND_INDEXER_URL="+indexer.URL())
	publisher.client()
	// It never learns that its groups are confirmed: neither from algod's blocks nor from the indexer.
	must(t, indexer.Set(gateway.Rule{Frozen: l.round(t)}))
	publisher.algod.set(func(r *http.Request) bool {
		return !strings.HasPrefix(r.URL.Path, "/v2/blocks/") && !strings.HasPrefix(r.URL.Path, "/v2/transactions/pending/")
	}, nil)
	status := publisher.postNow(n.collection, indicators(0, 40)...)
	n.members[1].shows(n.collection, indicators(0, 40)...)
	if s := publisher.status().Publishing; s.Signed != 40 {
		t.Fatalf("it knows that they are confirmed: %+v", s)
	}
	publisher.kill()
	must(t, os.Truncate(publisher.Log, 0))
	publisher.algod.set(nil, nil)
	publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s", "SLNODE_ALGORAND_INDEXER_URL="+indexer.URL())
	publisher.confirms()
	must(t, indexer.Set())
	if status := publisher.complete(status.ID); status.SuccessCount != 40 {
		t.Errorf("the status is %+v", status)
	}
	time.Sleep(time.Second) // whatever it has to say of them it says at once
	log, err := os.ReadFile(publisher.Log)
	must(t, err)
	if strings.Contains(string(log), "algod refuses a group") {
		t.Errorf("the log complains:\n%s", log)
	}
}

// A provider answers with pages for people, redirects and the like, and its key is in the URL.
func TestAKeyInAURLIsShownNowhere(t *testing.T) {
	t.Parallel()
	l := faulty(t)
	n := newNetwork(t, l, "alpha")
	o := n.members[0]
	o.stop()
	const key = "0123456789abcdef-the-key"
	for _, rule := range []gateway.Rule{
		{Status: 200, Type: "text/html", Body: "<html>" + key + "</html>"}, {Status: 404, Body: `{"message":"Cannot GET /` + key + `/v2/status"}`}, {Drop: true},
		{Location: "http://127.0.0.1:1/" + key},
	} {
		l.fault(t, faults{algod: only(rule), indexer: only(rule)})
		o.start("SLNODE_ALGORAND_ALGOD_URL="+l.Algod+"/"+key, "SLNODE_ALGORAND_INDEXER_URL="+l.Indexer+"/?apikey="+key)
		eventually(t, func() (bool, string) {
			s := o.status()
			return s.Watching.Problem == "indexer" && s.Publishing.Funds != "", fmt.Sprintf("%+v", s)
		})
		out := o.cli("status") + o.cli("--json", "status")
		o.stop()
		log, err := os.ReadFile(o.Log)
		must(t, err)
		if strings.Contains(out+string(log), key) {
			t.Errorf("%+v: the key is shown:\n%s", rule, out)
		}
		if rule.Status == 200 && !strings.Contains(out, "an HTML page") {
			t.Errorf("it is not said that a page answered: %s", out)
		}
	}
}

// Whatever algod, the indexer and what stands before them say: nothing is lost, and nothing is minted twice.
func TestLiesMakeNothingBeMintedTwiceOrLost(t *testing.T) {
	t.Parallel()
	l := faulty(t)
	n := newNetwork(t, l, "alpha", "bravo")
	publisher, reader := n.members[0], n.members[1]
	info := publisher.consortium()
	before, _ := l.minted(t, publisher.account(), info.ID)
	publisher.stop()
	publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	publisher.client()
	const gone = `{"message":"could not find the transaction in the transaction pool or in the last 1000 confirmed rounds"}`
	lies := faults{
		algod: []gateway.Rule{
			{Match: "/pending/", Status: 404, Body: gone, Share: 0.5}, // its own words, and wrong
			{Match: "/v2/blocks/", Status: 404, Body: `{"message":"failed to retrieve information from the ledger"}`, Share: 0.3},
			{Match: "/v2/status|/params", Round: 2000, Share: 0.3}, {Match: "/v2/status|/params", At: 5, Share: 0.1},
			{Match: "^POST", Swallow: true, Share: 0.3}, {Status: 502, Type: "text/html", Body: "<html>", Share: 0.1},
		},
		indexer: []gateway.Rule{
			{Round: 100_000, Share: 0.3}, {At: 3, Share: 0.1}, {Match: "txid=", Status: 200, Body: `{"current-round":100000,"transactions":[]}`, Share: 0.5},
			{CutAfter: 30, Share: 0.1}, {Status: 404, Body: `{"message":"Not Found"}`, Share: 0.1}, {Drop: true, Share: 0.1},
		},
	}
	var ids []string
	for i := range 6 {
		l.fault(t, lies)
		ids = append(ids, publisher.postNow(n.collection, indicators(5*i, 5)...).ID)
		time.Sleep(2 * time.Second) // the lies get their chance
		if l.dev != nil && i%2 == 1 {
			l.advance(t, ledger.Window+20) // what was signed is over
			time.Sleep(4 * time.Second)
		}
		if i == 3 {
			publisher.kill()
			publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
		}
	}
	l.fault(t, faults{})
	if l.dev != nil {
		l.advance(t, ledger.Window+20)
	}
	for _, id := range ids {
		if status := publisher.complete(id); status.SuccessCount != 5 {
			t.Errorf("the status is %+v", status)
		}
	}
	reader.shows(n.collection, indicators(0, 30)...)
	eventually(t, func() (bool, string) {
		after, _ := l.minted(t, publisher.account(), info.ID)
		return len(after) >= len(before)+30, fmt.Sprintf("%d NFTs before, %d after", len(before), len(after))
	})
	if after, _ := l.minted(t, publisher.account(), info.ID); len(after) != len(before)+30 {
		t.Errorf("%d NFTs for 30 objects", len(after)-len(before))
	}
	if s := reader.status(); len(s.Missing) > 0 {
		t.Errorf("sequence numbers are missing: %+v", s.Missing)
	}
}

// It is on the chain. Algod and the indexer say that it isn't, and that its rounds are over.
func TestWhatIsConfirmedIsNotSignedAnewOnAFalseWord(t *testing.T) {
	t.Parallel()
	l := faulty(t)
	if l.dev == nil {
		t.Skip("on a real network so many rounds take too long")
	}
	n := newNetwork(t, l, "alpha")
	publisher := n.members[0]
	info := publisher.consortium()
	before, _ := l.minted(t, publisher.account(), info.ID)
	publisher.stop()
	publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	publisher.client()
	l.fault(t, faults{
		algod: []gateway.Rule{
			{Match: "/pending/", Status: 404, Body: `{"message":"could not find the transaction in the transaction pool or in the last 1000 confirmed rounds"}`},
			{Match: "/v2/blocks/", Status: 404, Body: `{"message":"failed to retrieve information from the ledger"}`},
		},
		indexer: []gateway.Rule{
			{Match: "txid=", Status: 200, Body: `{"current-round":1000000,"transactions":[]}`}, {Frozen: l.round(t)},
		},
	})
	status := publisher.postNow(n.collection, indicator(1))
	eventually(t, func() (bool, string) {
		minted, _ := l.minted(t, publisher.account(), info.ID)
		return len(minted) == len(before)+1, fmt.Sprintf("%d NFTs before, %d now", len(before), len(minted))
	})
	l.advance(t, ledger.Window+20)
	l.gateways.indexer.Forget()
	eventually(t, func() (bool, string) { // it looks for it, again and again
		asked := len(l.gateways.indexer.Requests("txid="))
		return asked >= 3, fmt.Sprintf("%d requests for the transaction", asked)
	})
	if s := publisher.status().Publishing; s.Signed != 1 {
		t.Errorf("it was given up: %+v", s)
	}
	l.fault(t, faults{})
	if status = publisher.complete(status.ID); status.SuccessCount != 1 {
		t.Errorf("the status is %+v", status)
	}
	publisher.shows(n.collection, indicator(1))
	if after, _ := l.minted(t, publisher.account(), info.ID); len(after) != len(before)+1 {
		t.Errorf("%d NFTs for one object", len(after)-len(before))
	}
}

// What a publication every few seconds costs another node.
func TestAPublicationCostsAnotherNodeTwoRequests(t *testing.T) {
	t.Parallel()
	l := newChain(t).byIndexer()
	n := newNetwork(t, l, "alpha", "bravo")
	reader := n.members[1]
	indexer, err := gateway.Start(l.Indexer)
	must(t, err)
	t.Cleanup(func() { must(t, indexer.Close()) })
	algod, err := gateway.Start(l.direct.Algod)
	must(t, err)
	t.Cleanup(func() { must(t, algod.Close()) })
	reader.stop()
	// Without polling in between: what a node asks by itself every five seconds is not the publication's.
	reader.start("SLNODE_ALGORAND_INDEXER_URL="+indexer.URL(), "SLNODE_ALGORAND_ALGOD_URL="+algod.URL(), "SLNODE_ALGORAND_POLL=10m")
	n.settled(n.members...)
	publish := func(first, count int) {
		for i := first; i < first+count; i++ {
			n.members[0].post(n.collection, indicator(i))
			reader.shows(n.collection, indicator(i))
		}
	}
	publish(0, 4) // in which the indexer's delay is learnt
	indexer.Forget()
	algod.Forget()
	const publications = 8
	publish(4, publications)
	toIndexer, toAlgod := len(indexer.Requests("")), len(algod.Requests("^GET /v2/status"))
	t.Logf("%d publications cost another node %d requests to the indexer, and %d to algod", publications, toIndexer, toAlgod)
	most := publications * 5 / 2
	if l.dev == nil {
		most = publications * 10 // the delay of a follower on this machine is what the machine's load makes it
	}
	if toIndexer > most || toAlgod > publications*3/2 {
		t.Errorf("%d publications cost another node %d requests to the indexer, and %d to algod", publications, toIndexer, toAlgod)
	}
}
