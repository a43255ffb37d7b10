package testnet

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/health"
)

// benchBody is how many objects are in one body.
const benchBody = 20_000

// BenchmarkBody: a body of many objects of 0.8 kB, until it is answered, until all are on IPFS, until all are in the
// view of another member; and the most memory that the two nodes have meanwhile.
func BenchmarkBody(b *testing.B) {
	for _, count := range []int{benchBody, 100_000} {
		b.Run(fmt.Sprintf("objects=%d", count), func(b *testing.B) {
			n := benchNetwork(b, "alpha", "bravo")
			publisher, reader := operator(b, n.members[0]), operator(b, n.members[1])
			client, first := n.members[0].client(), 0
			for _, o := range n.members {
				atRest(b, o)
			}
			for b.Loop() {
				before, err := reader.Status(b.Context())
				must(b, err)
				body := bodyOf(first, count)
				first += count
				for _, o := range n.members {
					o.forgetPeak(b)
				}
				used := [2]time.Duration{processorTime(proc(n.members[0])), processorTime(proc(n.members[1]))}
				begun := time.Now()
				status, err := client.Add(b.Context(), "/alpha/", n.collection, body)
				must(b, err)
				if status.FailureCount > 0 {
					b.Fatalf("%d failures: %s", status.FailureCount, status.Failures[0].Message)
				}
				b.ReportMetric(float64(count)/time.Since(begun).Seconds(), "accepted/s")
				b.ReportMetric(float64((processorTime(proc(n.members[0]))-used[0]).Microseconds())/float64(count), "accept-cpu-µs/object")
				until(b, publisher, func(s health.Status) bool { return s.Publishing.Accepted == 0 })
				b.ReportMetric(float64(count)/time.Since(begun).Seconds(), "stored/s")
				until(b, reader, func(s health.Status) bool { return s.View.Objects >= before.View.Objects+int64(count) })
				b.ReportMetric(float64(count)/time.Since(begun).Seconds(), "visible/s")
				for i, name := range []string{"publisher", "reader"} {
					cpu := processorTime(proc(n.members[i])) - used[i]
					b.ReportMetric(float64(cpu.Microseconds())/float64(count), name+"-cpu-µs/object")
				}
				b.ReportMetric(n.members[0].memory(b)["VmHWM"], "publisher-peak-MiB")
				b.ReportMetric(n.members[1].memory(b)["VmHWM"], "reader-peak-MiB")
			}
		})
	}
}

func proc(o *organisation) string { return fmt.Sprintf("/proc/%d/", o.Process.Process.Pid) }

// bodyOf is an envelope of objects of 0.8 kB.
func bodyOf(first, count int) []byte {
	var body bytes.Buffer
	body.WriteString(`{"objects":[`)
	for i := range count {
		if i > 0 {
			body.WriteByte(',')
		}
		object := indicator(first + i)
		fmt.Fprintf(&body, `%s,"description":"%s"}`, object[:len(object)-1], strings.Repeat(fmt.Sprintf("some words on it, %d; ", i), 17))
	}
	body.WriteString(`]}`)
	return body.Bytes()
}

// forgetPeak begins anew with what the system remembers as a daemon's most memory.
func (o *organisation) forgetPeak(b *testing.B) {
	b.Helper()
	must(b, os.WriteFile(proc(o)+"clear_refs", []byte("5"), 0))
}
