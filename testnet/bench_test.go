package testnet

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/health"
)

// benchObjects is how many objects the benchmarks publish. The larger stores are made of SLNODE_BENCH_STORE objects.
const benchObjects = 10_000

// operator asks a running node how it is, without starting a process for it.
func operator(b testing.TB, o *organisation) *control.Client {
	b.Helper()
	client, err := node.Connect(b.Context(), o.Dir, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	must(b, err)
	return client
}

// until polls a node's status and returns when it is as wanted.
func until(b testing.TB, client *control.Client, wanted func(health.Status) bool) {
	b.Helper()
	deadline := time.Now().Add(20 * time.Minute)
	for {
		status, err := client.Status(b.Context())
		must(b, err)
		if wanted(status) {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("not within 20 minutes: %+v", status)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// benchNetwork is a network whose first member can pay for many objects.
func benchNetwork(b *testing.B, members ...string) *network {
	n := newNetwork(b, newChain(b), members...)
	n.fund(b, n.members[0].account(), 20_000_000_000)
	for _, o := range n.members {
		o.stop()
		o.start("SLNODE_TAXII_PUBLISH_WAIT=0s", "SLNODE_LOG_LEVEL=warn")
	}
	n.settled(n.members...)
	return n
}

// publishMany posts objects in requests of 1,000 and returns when each state was reached by all of them, since the
// first request.
func publishMany(b *testing.B, n *network, first, count int) (accepted, stored, confirmed, visible time.Duration) {
	publisher, reader := operator(b, n.members[0]), operator(b, n.members[1])
	before, err := reader.Status(b.Context())
	must(b, err)
	client := n.members[0].client()
	var envelopes [][]byte
	for at := first; at < first+count; at += 1000 {
		envelopes = append(envelopes, envelope(indicators(at, 1000)...))
	}
	begun := time.Now()
	done := make(chan time.Duration, 3)
	for _, e := range envelopes {
		status, err := client.Add(b.Context(), "/"+n.members[0].Name+"/", n.collection, e)
		must(b, err)
		if status.FailureCount > 0 {
			b.Fatalf("%d failures: %s", status.FailureCount, status.Failures[0].Message)
		}
	}
	accepted = time.Since(begun)
	go func() {
		until(b, publisher, func(s health.Status) bool { return s.Publishing.Accepted == 0 })
		done <- time.Since(begun)
		until(b, publisher, func(s health.Status) bool { return s.Publishing.Stored+s.Publishing.Signed == 0 })
		done <- time.Since(begun)
	}()
	until(b, reader, func(s health.Status) bool { return s.View.Objects >= before.View.Objects+int64(count) })
	visible = time.Since(begun)
	stored, confirmed = <-done, <-done
	return accepted, stored, confirmed, visible
}

// BenchmarkPublish: objects a second until the 202, until all are on IPFS, until all are on the chain, and until all
// are in the view of another member.
func BenchmarkPublish(b *testing.B) {
	n := benchNetwork(b, "alpha", "bravo")
	first := 0
	for b.Loop() {
		accepted, stored, confirmed, visible := publishMany(b, n, first, benchObjects)
		first += benchObjects
		for name, took := range map[string]time.Duration{
			"accepted/s": accepted, "stored/s": stored, "confirmed/s": confirmed, "visible/s": visible,
		} {
			b.ReportMetric(benchObjects/took.Seconds(), name)
		}
	}
	reportMemory(b, n.members...)
}

// BenchmarkLatency: one object, from the request to the view of another member.
func BenchmarkLatency(b *testing.B) {
	n := benchNetwork(b, "alpha", "bravo")
	reader := operator(b, n.members[1])
	client := n.members[0].client()
	at := 0
	for b.Loop() {
		before, err := reader.Status(b.Context())
		must(b, err)
		at++
		_, err = client.Add(b.Context(), "/alpha/", n.collection, envelope(indicator(at)))
		must(b, err)
		for {
			status, err := reader.Status(b.Context())
			must(b, err)
			if status.View.Objects > before.View.Objects {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// BenchmarkComplete: one object, and requests of 100 and 1,000, these with an NFT each and as a batch, until the answer
// says "complete", and until its publisher's node serves the last of them: who is answered can read it at once.
func BenchmarkComplete(b *testing.B) {
	n := benchNetwork(b, "alpha", "bravo")
	o := n.members[0]
	first, anchor := 1, ""
	for _, c := range []struct {
		name, anchor string
		count        int
	}{{"objects=1", "auto", 1}, {"objects=100", "auto", 100}, {"objects=1000", "auto", 1000}, {"objects=1000,single", "single", 1000}} {
		if anchor != c.anchor {
			o.stop()
			o.start("SLNODE_TAXII_PUBLISH_WAIT=1m", "SLNODE_LOG_LEVEL=warn", "SLNODE_PUBLISH_ANCHOR="+c.anchor)
			o.post(n.collection, indicators(first, c.count)...) // it has connected
			anchor, first = c.anchor, first+c.count
		}
		client, count := o.client(), c.count
		b.Run(c.name, func(b *testing.B) {
			var complete, served time.Duration
			early := 0
			for b.Loop() {
				begun := time.Now()
				status, err := client.Add(b.Context(), "/alpha/", n.collection, envelope(indicators(first, count)...))
				must(b, err)
				if status.Status != "complete" {
					b.Fatalf("%+v", status)
				}
				complete += time.Since(begun)
				first += count
				if looks := o.untilServed(n.collection, objectID(first-1)); looks > 1 {
					early++
				}
				served += time.Since(begun)
			}
			b.ReportMetric(float64(complete.Microseconds())/1000/float64(b.N), "ms-until-complete")
			b.ReportMetric(float64(served.Microseconds())/1000/float64(b.N), "ms-until-served")
			b.ReportMetric(float64(early)/float64(b.N), "not-served-at-once")
		})
	}
}

// untilServed asks for an object until it is there, and returns how often it asked.
func (o *organisation) untilServed(collection, id string) (looks int) {
	o.t.Helper()
	for {
		looks++
		request, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, "http://"+o.Daemon.TAXII+"/"+o.Name+"/collections/"+collection+"/objects/"+id+"/", nil)
		must(o.t, err)
		request.SetBasicAuth(o.User, o.Password)
		response, err := http.DefaultClient.Do(request)
		must(o.t, err)
		_, err = io.Copy(io.Discard, response.Body)
		must(o.t, errors.Join(err, response.Body.Close()))
		if response.StatusCode == http.StatusOK {
			return looks
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkGet: TAXII pages in a small and in a large store.
func BenchmarkGet(b *testing.B) {
	n := benchNetwork(b, "alpha", "bravo")
	total := 0
	for _, store := range []int{10_000, storeSize(b)} {
		publishMany(b, n, total, store-total)
		total = store
		for _, limit := range []int{100, 1000, 10_000} {
			b.Run(fmt.Sprintf("store=%d/page=%d", store, limit), func(b *testing.B) {
				reader := n.members[1]
				reader.client()
				next := ""
				for b.Loop() {
					next = getPage(b, reader, n.collection, limit, next)
				}
				b.ReportMetric(float64(limit)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
			})
		}
	}
}

// storeSize is the size of the large store: 100,000 unless SLNODE_BENCH_STORE says otherwise.
func storeSize(b *testing.B) int {
	text := os.Getenv("SLNODE_BENCH_STORE")
	if text == "" {
		return 100_000
	}
	size, err := strconv.Atoi(text)
	must(b, err)
	return size
}

func getPage(b *testing.B, o *organisation, collection string, limit int, next string) string {
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet,
		fmt.Sprintf("http://%s/%s/collections/%s/objects/?limit=%d&next=%s", o.Daemon.TAXII, o.Name, collection, limit, next), nil)
	must(b, err)
	request.SetBasicAuth(o.User, o.Password)
	response, err := http.DefaultClient.Do(request)
	must(b, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(b, err)
	if response.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s", response.Status, body)
	}
	head := string(body[:min(len(body), 200)])
	_, after, more := strings.Cut(head, `"next":"`)
	if !more {
		return ""
	}
	next, _, _ = strings.Cut(after, `"`)
	return next
}

// BenchmarkCatchUp: a new member fills its view with what was published before it came.
func BenchmarkCatchUp(b *testing.B) {
	n := benchNetwork(b, "alpha", "bravo")
	publishMany(b, n, 0, benchObjects)
	newcomer := organisationOn(b, n.blockchain, "charlie", enoughAlgo)
	n.admit(newcomer)
	for b.Loop() {
		begun := time.Now()
		newcomer.start("SLNODE_LOG_LEVEL=warn")
		until(b, operator(b, newcomer), func(s health.Status) bool { return s.View.Objects >= benchObjects })
		b.ReportMetric(benchObjects/time.Since(begun).Seconds(), "objects/s")
		b.StopTimer()
		newcomer.stop()
		must(b, os.RemoveAll(newcomer.Dir+"/view"))
		must(b, os.RemoveAll(newcomer.Dir+"/blocks"))
		b.StartTimer()
	}
}

// BenchmarkIdleMemory: what a node takes that has nothing to do.
func BenchmarkIdleMemory(b *testing.B) {
	n := benchNetwork(b, "alpha", "bravo", "charlie")
	for b.Loop() {
		reportMemory(b, n.members...)
	}
}

// reportMemory reports the largest resident set of some daemons.
func reportMemory(b *testing.B, members ...*organisation) {
	b.Helper()
	most := 0.0
	for _, o := range members {
		most = max(most, o.memory(b)["VmRSS"])
	}
	b.ReportMetric(most, "MiB")
}

// memory is what the system says of a daemon's memory, in MiB.
func (o *organisation) memory(b *testing.B) map[string]float64 {
	b.Helper()
	return readMemory(fmt.Sprintf("/proc/%d/", o.Process.Process.Pid))
}
