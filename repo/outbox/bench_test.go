package outbox

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/measure"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// BenchmarkOutbox: what an item takes from its acceptance to its confirmation, when few and when many were published
// before it.
func BenchmarkOutbox(b *testing.B) {
	for _, n := range measure.Sizes(b) {
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			o, done := newOutbox(b, dir)
			b.Run("publish", func(b *testing.B) {
				first, last := publishThrough(b, o, n)
				b.ReportMetric(float64(first.Microseconds())/float64(n/10), "cpu-µs/item-of-first-tenth")
				b.ReportMetric(float64(last.Microseconds())/float64(n/10), "cpu-µs/item-of-last-tenth")
			})
			b.Run("nothing to do", func(b *testing.B) {
				for b.Loop() {
					for _, state := range []State{Accepted, Stored, Signed} {
						items, err := o.Queue(state, 0, store.ChunkItems)
						must(b, err)
						if len(items) > 0 {
							b.Fatal("something is to be done")
						}
					}
				}
			})
			b.Run("published before", func(b *testing.B) {
				for b.Loop() {
					items, err := o.Accept([]Submission{submission("indicator--00000042-17d4-4cbf-938f-98ee46b3cd3f")})
					must(b, err)
					if items[0].State != Confirmed {
						b.Fatalf("it is %s", items[0].State)
					}
				}
			})
			done()
			b.Run("open", func(b *testing.B) {
				for b.Loop() {
					_, done := newOutbox(b, dir)
					b.StopTimer()
					done()
					b.StartTimer()
				}
			})
		})
	}
}

// publishThrough takes n new items through the outbox, as many at a time as the node does, and returns what the first
// and the last tenth of them took of the processor.
func publishThrough(b *testing.B, o *Outbox, n int) (first, last time.Duration) {
	b.Helper()
	tenth := n / 10
	begun := measure.Processor(b)
	for at := 0; at < n; {
		var submissions []Submission
		for range 250 {
			s := submission(fmt.Sprintf("indicator--%08d-17d4-4cbf-938f-98ee46b3cd3f", at))
			s.Payload = make([]byte, 1000)
			submissions = append(submissions, s)
			at++
		}
		_, err := o.Accept(submissions)
		must(b, err)
		items, err := o.Queue(Accepted, 0, store.ChunkItems)
		must(b, err)
		for i := range items {
			items[i].Directory, items[i].MetadataHash = fmt.Sprintf("bafybei%052d", items[i].Number), make([]byte, 32)
		}
		must(b, o.SetStored(items))
		if items, err = o.Queue(Stored, 0, store.ChunkItems); err != nil || len(items) != 250 {
			b.Fatalf("%d items are stored, %v", len(items), err)
		}
		items, err = o.Number(items)
		must(b, err)
		var groups []Group
		var confirmations []consortium.Place
		for group := range slices.Chunk(items, 16) {
			g := Group{Raw: make([]byte, 600*len(group)), LastValid: 1000}
			for _, item := range group {
				txid := fmt.Sprintf("%052d", item.Number)
				g.TxIDs = append(g.TxIDs, txid)
				confirmations = append(confirmations, consortium.Place{TxID: txid, Round: item.Number, Asset: item.Number})
			}
			groups = append(groups, g)
		}
		_, err = o.AddGroups(groups, items)
		must(b, err)
		confirmed, err := o.Confirm(confirmations)
		must(b, err)
		if len(confirmed) != len(items) {
			b.Fatalf("%d of %d are confirmed", len(confirmed), len(items))
		}
		switch at {
		case tenth:
			first = measure.Processor(b) - begun
		case n - tenth:
			begun = measure.Processor(b)
		}
	}
	return first, measure.Processor(b) - begun
}

func BenchmarkAccept(b *testing.B) {
	o, done := newOutbox(b, b.TempDir())
	defer done()
	n := 0
	for b.Loop() {
		var submissions []Submission
		for range 1000 {
			n++
			s := submission(fmt.Sprintf("indicator--%08d-17d4-4cbf-938f-98ee46b3cd3f", n))
			s.Payload = make([]byte, 1000)
			submissions = append(submissions, s)
		}
		_, err := o.Accept(submissions)
		must(b, err)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "objects/s")
}
