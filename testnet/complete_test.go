package testnet

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serviceledger/slnode/taxii"
	"github.com/serviceledger/slnode/testnet/gateway"
)

func objectID(n int) string { return fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n) }

// delete asks for an object to be withdrawn, and returns the answer's status.
func (o *organisation) delete(path string) int {
	o.t.Helper()
	request, err := http.NewRequestWithContext(o.t.Context(), http.MethodDelete, "http://"+o.Daemon.TAXII+path, nil)
	must(o.t, err)
	request.SetBasicAuth(o.User, o.Password)
	response, err := http.DefaultClient.Do(request)
	must(o.t, err)
	defer response.Body.Close()
	return response.StatusCode
}

// Who is answered "complete" and looks at once finds it, wherever it is to be found; who is answered that it is
// withdrawn finds it nowhere.
func TestWhatIsCompleteIsServedAtOnce(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	o := n.members[0]
	at := "/" + o.Name + "/collections/" + n.collection + "/"
	completed := 0
	for i := 1; i <= 12; i++ {
		if status := o.postNow(n.collection, indicator(i)); status.Status != "complete" {
			continue // on a busy machine
		}
		completed++
		id := objectID(i)
		for path, want := range map[string]string{
			at + "objects/" + id + "/": id, at + "objects/?match[id]=" + id: id, at + "manifest/?match[id]=" + id: id, at + "objects/" + id + "/versions/": "2026",
			"/consortium/collections/everything/objects/" + id + "/": id, at + "export?format=plain&kind=hash": fmt.Sprintf("%032x", i),
		} {
			if status, _, body := o.get(path); status != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("object %d is complete, and %s is answered %d %.200s", i, path, status, body)
			}
		}
		if i%2 == 0 {
			continue
		}
		if status := o.delete(at + "objects/" + id + "/"); status != http.StatusOK {
			continue // it takes longer
		}
		for path, want := range map[string]int{at + "objects/" + id + "/": http.StatusNotFound, at + "objects/?match[id]=" + id: http.StatusOK} {
			if status, _, body := o.get(path); status != want || strings.Contains(body, id) {
				t.Errorf("object %d is withdrawn, and %s is answered %d %.200s", i, path, status, body)
			}
		}
	}
	if completed == 0 {
		t.Error("nothing was complete within publish_wait")
	}
	file := filepath.Join(t.TempDir(), "object.json")
	must(t, os.WriteFile(file, []byte(indicator(100)), 0o600))
	o.cli("publish", "--collection", n.collection, file)
	if got := o.cli("get", objectID(100)); !strings.Contains(got, "Indicator 100") {
		t.Errorf("what the command line published it reads as %s", got)
	}
	o.cli("withdraw", objectID(100))
	if status, _, _ := o.get(at + "objects/" + objectID(100) + "/"); status != http.StatusNotFound {
		t.Errorf("what the command line withdrew is answered %d", status)
	}
}

// A client that waits for nothing withdraws an object and posts it again at once, over and over: what it posted last is
// there, and stays; and what it withdrew last is gone, and stays so.
func TestWhatIsWithdrawnAndPostedAgainIsThere(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	o := n.members[0]
	o.client()
	o.stop()
	o.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	path := "/" + o.Name + "/collections/" + n.collection + "/objects/" + objectID(1) + "/"
	for i := range 4 {
		o.complete(o.postNow(n.collection, indicator(1)).ID)
		if status, _, _ := o.get(path); status != http.StatusOK {
			t.Errorf("what was posted is answered %d", status)
		}
		if status := o.delete(path); status != http.StatusAccepted && status != http.StatusOK {
			t.Errorf("its withdrawal is answered %d", status)
		}
		o.complete(o.postNow(n.collection, indicator(1)).ID)
		if status, _, _ := o.get(path); status != http.StatusOK {
			t.Errorf("what was posted again is answered %d", status)
		}
		n.members[1].shows(n.collection, indicator(1))
		eventually(t, func() (bool, string) {
			status := o.delete(path)
			return status == http.StatusOK || status == http.StatusNotFound, fmt.Sprintf("it is answered %d", status)
		})
		o.post(n.collection, indicator(2+i)) // some rounds later
		if status, _, _ := o.get(path); status != http.StatusNotFound {
			t.Errorf("what was withdrawn is answered %d", status)
		}
	}
}

// An indexer that stands still: the answer stays pending and says why, also after a restart, and is complete when the
// indexer goes on.
func TestAnAnswerWaitsForAnIndexerThatStandsStill(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, faulty(t).byIndexer(), "alpha")
	o := n.members[0]
	o.client()
	o.stop()
	o.start("SLNODE_TAXII_PUBLISH_WAIT=2s")
	n.fault(t, faults{indexer: only(gateway.Rule{Frozen: n.round(t)})})
	status := o.postNow(n.collection, indicator(1))
	pending := func(when string) { // a round may take longer than the answer waits
		eventually(t, func() (bool, string) {
			var err error
			status, err = o.client().Status(t.Context(), "/"+o.Name+"/", status.ID)
			must(t, err)
			return isOnTheChain(status) && len(status.Pendings) == 1 && status.Pendings[0].TxID != "", fmt.Sprintf("%s: %+v", when, status)
		})
	}
	pending("the indexer stands still")
	o.kill()
	o.start("SLNODE_TAXII_PUBLISH_WAIT=2s")
	pending("after a restart")
	n.fault(t, faults{})
	if status = o.complete(status.ID); status.SuccessCount != 1 {
		t.Errorf("when it goes on: %+v", status)
	}
	if code, _, _ := o.get("/" + o.Name + "/collections/" + n.collection + "/objects/" + objectID(1) + "/"); code != http.StatusOK {
		t.Errorf("the object is answered %d", code)
	}
}

// While thousands of objects wait to be published a single one is done soon, and the thousands go on.
func TestOneObjectDoesNotWaitBehindThousands(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo")
	o := n.members[0]
	o.stop()
	o.configure("anchor = \"auto\"", "anchor = \"single\"") // as a batch they would not wait at all
	o.start()
	const many = 3000
	n.fund(t, o.account(), many*110_000)
	o.client()
	var bulk taxii.StatusResource
	var posting sync.WaitGroup
	posting.Go(func() { bulk = o.postNow(n.collection, indicators(1000, many)...) })
	eventually(t, func() (bool, string) {
		p := o.status().Publishing
		return p.Accepted+p.Stored > many*3/4, fmt.Sprintf("%+v", p)
	})
	begun := time.Now()
	status := o.postNow(n.collection, indicator(1))
	eventually(t, func() (bool, string) { // an indexer may take longer to tell of it than the chain for all the others
		now, err := o.client().Status(t.Context(), "/"+o.Name+"/", status.ID)
		must(t, err)
		return now.SuccessCount == 1 || isOnTheChain(now), fmt.Sprintf("%+v", now)
	})
	took := time.Since(begun)
	left := o.status().Publishing
	if rest := left.Accepted + left.Stored + left.Signed; rest < many/4 {
		t.Errorf("one object was on the chain after %v, when %d of %d others waited still", took, rest, many)
	}
	o.complete(status.ID)
	n.members[1].shows(n.collection, indicator(1))
	t.Logf("one object was on the chain after %v, with %d others left", took, left.Accepted+left.Stored+left.Signed)
	posting.Wait()
	if status := o.complete(bulk.ID); status.SuccessCount != many {
		t.Errorf("of %d, %d succeeded", many, status.SuccessCount)
	}
}

// isOnTheChain reports whether a request's one object waits for the indexer only.
func isOnTheChain(status taxii.StatusResource) bool {
	return len(status.Pendings) == 1 && strings.Contains(status.Pendings[0].Message, "on the chain in round")
}
