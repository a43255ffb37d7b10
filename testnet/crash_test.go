package testnet

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/control"
)

// The durable boundaries of the publish pipeline, as far as they show on the wire to algod: before or after which
// request the process is killed. (The boundaries before the first request, accepted and stored, are hit by killing at
// once and at random moments.)
var boundaries = []struct {
	name   string
	method string
	path   string // part of the path
	answer bool   // algod answers before the kill; else it never sees the request
}{
	{"stored, not signed", http.MethodGet, "/v2/transactions/params", false},
	{"signed, not submitted", http.MethodPost, "/v2/transactions", false},
	{"submitted, not known to be", http.MethodPost, "/v2/transactions", true},
	{"confirmed, not known to be", http.MethodGet, "/v2/blocks/", false},
}

func TestAKilledNodeLosesNothingAndMintsNothingTwice(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo")
	publisher := n.members[0]
	publisher.stop()
	publisher.algod = newProxy(t, l.Algod)
	publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	client := publisher.client() // before anything kills the daemon
	next := 0
	var published []string
	// publish posts a few objects while the process is about to be killed, starts it again, and waits until all of
	// them are on the chain.
	publish := func(killed func(client *killing)) {
		t.Helper()
		objects := indicators(next, 3)
		next += 3
		k := &killing{o: publisher}
		status, err := client.Add(t.Context(), "/alpha/", n.collection, envelope(objects...))
		published = append(published, objects...)
		killed(k)
		publisher.algod.set(nil, nil)
		publisher.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
		if err != nil { // it was killed before it could answer; a client asks again
			status = publisher.postNow(n.collection, objects...)
		}
		if status = publisher.complete(status.ID); status.SuccessCount != 3 {
			t.Errorf("the status is %+v", status)
		}
	}
	for _, b := range boundaries {
		t.Run(b.name, func(t *testing.T) {
			for range 3 {
				k := &killing{o: publisher}
				matches := func(r *http.Request) bool { return r.Method == b.method && strings.Contains(r.URL.Path, b.path) }
				if b.answer {
					publisher.algod.set(nil, func(r *http.Request) {
						if matches(r) {
							k.now()
						}
					})
				} else {
					publisher.algod.set(func(r *http.Request) bool {
						if matches(r) {
							k.now()
							return false
						}
						return true
					}, nil)
				}
				publish(func(*killing) { k.await(t) })
			}
		})
	}
	t.Run("accepted, and at random moments", func(t *testing.T) {
		for i := range 8 {
			publish(func(k *killing) {
				if i > 0 {
					time.Sleep(rand.N(40 * time.Millisecond))
				}
				k.now()
				k.await(t)
			})
		}
	})
	n.members[1].shows(n.collection, published...)
	if got := len(n.members[1].objects(n.collection)); got != len(published) {
		t.Errorf("%d objects are shown, %d were published", got, len(published))
	}

	// The chain itself: one NFT for every object, and sequence numbers without a hole.
	info := publisher.consortium()
	urls, notes := l.minted(t, publisher.account(), info.ID)
	const records = 4 // the founder's membership, the default collection, bravo's admission and its keyring
	if got := len(urls) - records; got != len(published) {
		t.Errorf("%d NFTs for %d objects", got, len(published))
	}
	slices.Sort(urls)
	if unique := len(slices.Compact(urls)); unique != len(notes) {
		t.Errorf("%d NFTs have %d different URLs", len(notes), unique)
	}
	for sequence := 1; sequence <= len(notes); sequence++ {
		if !slices.ContainsFunc(notes, func(note string) bool {
			return strings.Contains(note, fmt.Sprintf(`"s":%d}`, sequence)) || strings.Contains(note, fmt.Sprintf(`"s":%d,`, sequence))
		}) {
			t.Errorf("sequence number %d is missing", sequence)
		}
	}
}

// killing ends a daemon with SIGKILL, once.
type killing struct {
	o    *organisation
	once sync.Once
}

func (k *killing) now() {
	k.once.Do(func() { _ = k.o.Process.Process.Signal(syscall.SIGKILL) })
}

// await waits until the process is gone.
func (k *killing) await(t testing.TB) {
	t.Helper()
	ended := make(chan struct{})
	go func() { defer close(ended); _ = k.o.Process.Wait() }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the boundary was never reached")
	}
	k.o.Process = nil
}

// A reader that is killed again and again while objects arrive ends up with all of them, each once.
func TestAKilledReaderCatchesUp(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	reader := n.members[1]
	for i := range 10 {
		n.members[0].post(n.collection, indicators(10*i, 10)...)
		time.Sleep(rand.N(30 * time.Millisecond))
		reader.kill()
		reader.start()
	}
	reader.shows(n.collection, indicators(0, 100)...)
	if got := len(reader.objects(n.collection)); got != 100 {
		t.Errorf("%d objects, want 100", got)
	}
}

// A founding that is killed at any moment is completed by repeating the command, with one charter.
func TestAnInterruptedFoundingIsCompleted(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	o := organisationOn(t, l, "alpha", enoughAlgo)
	for range 6 {
		process := startCommand(t, o, "consortium", "create", "--name", "The Testers")
		time.Sleep(rand.N(300 * time.Millisecond))
		_ = process.Process.Signal(syscall.SIGKILL)
		_ = process.Wait()
	}
	info := cliJSON[control.ConsortiumInfo](o, "consortium", "create", "--name", "The Testers")
	if len(info.Members) != 1 || len(info.Collections) != 1 {
		t.Errorf("founded %+v", info)
	}
	page, err := l.indexerClient(t).LookupAccountTransactions(o.account()).Limit(1000).Do(t.Context())
	must(t, err)
	charters := 0
	for _, transaction := range page.Transactions {
		if strings.HasPrefix(string(transaction.Note), "serviceledger:j") {
			charters++
		}
	}
	if charters != 1 {
		t.Errorf("%d charters were minted", charters)
	}
}
