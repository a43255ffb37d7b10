package testnet

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/money"
)

// Who kills the daemon in the middle of a withdrawal of many loses nothing: the daemon goes on with what was begun, the
// same command with the rest, and each NFT is destroyed once, so that all deposits are back.
func TestAWithdrawalOfManyGoesOnAfterAKillAndDestroysEachOnce(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	alpha.stop()
	alpha.algod = newProxy(t, l.Algod)
	alpha.start()
	before := lockedOf(alpha)
	const rounds, objects = 3, 40 // of each: three groups
	for i := range rounds {
		alpha.post(n.collection, indicators(objects*i, objects)...)
		bravo.shows(n.collection, indicators(objects*i, objects)...)
		k, submits, at := &killing{o: alpha}, new(atomic.Int32), rand.N(int32(2))+1
		isIt := func(r *http.Request) bool {
			return r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/v2/transactions") && submits.Add(1) == at
		}
		if i == 0 { // algod never sees it
			alpha.algod.set(func(r *http.Request) bool {
				if isIt(r) {
					k.now()
					return false
				}
				return true
			}, nil)
		} else {
			alpha.algod.set(nil, func(r *http.Request) {
				if isIt(r) {
					k.now()
				}
			})
		}
		process := startCommand(t, alpha, "withdraw", "--type", "indicator", "--yes")
		k.await(t)
		if err := process.Wait(); err == nil {
			t.Error("the command says that all is withdrawn, and the daemon was killed")
		}
		alpha.algod.set(nil, nil)
		alpha.start()
		alpha.cli("withdraw", "--type", "indicator", "--yes")
		eventually(t, func() (bool, string) {
			left, err := bravo.tryObjects(n.collection)
			return err == nil && len(left) == 0, fmt.Sprintf("bravo shows %d, %v", len(left), err)
		})
	}
	page, err := l.indexerClient(t).LookupAccountTransactions(alpha.account()).Limit(1000).Do(t.Context())
	must(t, err)
	destroyed := 0
	for _, transaction := range page.Transactions {
		if strings.Contains(string(transaction.Note), `"k":"destroy"`) {
			destroyed++
		}
	}
	if locked := lockedOf(alpha); destroyed != rounds*objects || locked != before {
		t.Errorf("%d NFTs are destroyed of %d; %d microalgo are locked, before it were %d", destroyed, rounds*objects, locked, before)
	}
}

func lockedOf(o *organisation) uint64 {
	return cliJSON[struct {
		Locked uint64 `json:"locked_microalgo"`
	}](o, "wallet").Locked
}

// What a day has brought is known after a kill, whenever that was: nothing counts twice, and nothing is forgotten.
func TestWhatADayHasBroughtIsKnownAfterAKill(t *testing.T) {
	t.Parallel()
	if tomorrow := time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour); time.Until(tomorrow) < patience {
		time.Sleep(time.Until(tomorrow)) // within one day
	}
	alpha, n := alone(t)
	alpha.edit("\nobjects = 0\n", "\nobjects = 10\n")
	alpha.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	used := func(want int) {
		t.Helper()
		alpha.confirms()
		limits := alpha.status().Money.Limits
		if !slices.ContainsFunc(limits, func(u money.Use) bool { return u.Of == "" && int(u.Objects) == want && u.MostObjects == 10 }) {
			t.Errorf("used is %+v, want %d of 10", limits, want)
		}
	}
	killed := func(post func()) {
		t.Helper()
		k := &killing{o: alpha}
		done := make(chan struct{})
		go func() { defer close(done); post() }()
		time.Sleep(rand.N(30 * time.Millisecond)) // the moment is the point
		k.now()
		k.await(t)
		<-done
		alpha.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	}
	client := alpha.client()
	for i := range 3 { // taken in or not, they are posted again
		killed(func() { _, _ = client.Add(t.Context(), "/alpha/", n.collection, envelope(indicators(2*i, 2)...)) })
		alpha.post(n.collection, indicators(0, 2*i+2)...)
		used(2*i + 2)
	}
	status := alpha.post(n.collection, indicators(6, 6)...)
	if status.SuccessCount != 4 || status.FailureCount != 2 || !strings.Contains(status.Failures[0].Message, "limits.objects of this organisation allows 10 objects") {
		t.Errorf("of six more %d are taken and %d refused: %+v", status.SuccessCount, status.FailureCount, status.Failures)
	}
	killed(func() {})
	used(10)
	if _, err := alpha.tryPost(n.collection, indicators(20, 1)...); err == nil || !strings.Contains(err.Error(), "allows 10 objects, of which 10 are used") {
		t.Errorf("after the kill another one is taken: %v", err)
	}
}
