package p2p

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/p2p/swarm"
)

// BenchmarkPut writes directories of 1.6 kB durably, in batches of several sizes.
func BenchmarkPut(b *testing.B) {
	for _, n := range []int{1, 16, 64, 256, 1024} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			h := newWorld(b).member()
			dirs := directories(b, b.N, b.Name())
			b.ResetTimer()
			for len(dirs) > 0 {
				k := min(n, len(dirs))
				if err := h.Put(context.Background(), dirs[:k]); err != nil {
					b.Fatal(err)
				}
				dirs = dirs[k:]
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "dirs/s")
		})
	}
}

// BenchmarkBuildDirectory makes directories of 1.6 kB in memory.
func BenchmarkBuildDirectory(b *testing.B) {
	for i := range b.N {
		directory(b, i)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "dirs/s")
}

// BenchmarkFetchCAR catches up with one member, both in this process.
func BenchmarkFetchCAR(b *testing.B) {
	w := newWorld(b)
	from, to := w.member(), w.member()
	dirs := directories(b, b.N)
	for rest := dirs; len(rest) > 0; {
		k := min(256, len(rest))
		put(b, from, rest[:k]...)
		rest = rest[k:]
	}
	connect(b, from, to)
	b.ResetTimer()
	for rest := dirs; len(rest) > 0; {
		k := min(swarm.MaxFetch, len(rest))
		got, err := to.Fetch(context.Background(), roots(rest[:k]))
		if err != nil || len(got.Missing) > 0 {
			b.Fatal(err, len(got.Missing))
		}
		rest = rest[k:]
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "dirs/s")
}

// fetcher is a Handler that makes durable what it hears of.
type fetcher struct {
	host  *Host
	heard chan []cid.Cid
}

func (f *fetcher) Announced(_ peer.ID, _ uint64, roots []cid.Cid) { f.heard <- roots }
func (f *fetcher) Hinted(peer.ID, uint64)                         {}

// run fetches whatever has been heard of so far, together, and says what is durable.
func (f *fetcher) run(ctx context.Context, durable chan<- int) error {
	for {
		var roots []cid.Cid
		select {
		case <-ctx.Done():
			return nil
		case roots = <-f.heard:
		}
		for more := true; more && len(roots) < swarm.MaxFetch/2; {
			select {
			case r := <-f.heard:
				roots = append(roots, r...)
			default:
				more = false
			}
		}
		got, err := f.host.Fetch(ctx, roots)
		if err != nil {
			return err
		}
		durable <- len(roots) - len(got.Missing)
	}
}

// BenchmarkAnnounce measures from Announce to the directories being durable at another member: one after the other (the
// latency), and as fast as they can be said, in several sizes of announcements.
func BenchmarkAnnounce(b *testing.B) {
	for _, n := range []int{0, 1, 16, 128} {
		name := fmt.Sprintf("burst/batch=%d", n)
		if n == 0 {
			name = "paced"
		}
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			unlimited := func(c *Config) {
				c.Limits = Limits{AnnouncedBytesPerSecond: 1 << 30, AnnouncedBytesBurst: 1 << 30, StagedBytes: 1 << 30, StagedBytesPerAuthor: 1 << 30}
			}
			from, to := w.member(unlimited), w.member(unlimited)
			connect(b, from, to)
			say, _ := join(b, from)
			f := &fetcher{host: to, heard: make(chan []cid.Cid, gossipQueue)}
			if _, err := to.Join(context.Background(), "1000", f); err != nil {
				b.Fatal(err)
			}
			durable := make(chan int, gossipQueue)
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- f.run(ctx, durable) }()
			defer func() {
				cancel()
				if err := <-ended; err != nil && ctx.Err() == nil {
					b.Error(err)
				}
			}()
			for warm := 0; ; warm++ { // until the link is grafted
				announce(b, say, directory(b, "warm", warm))
				select {
				case <-durable:
				case <-time.After(100 * time.Millisecond):
					continue
				}
				break
			}
			dirs := directories(b, b.N)
			b.ResetTimer()
			if n == 0 {
				var took []time.Duration
				for i := range dirs {
					start := time.Now()
					announce(b, say, dirs[i])
					<-durable
					took = append(took, time.Since(start))
				}
				slices.Sort(took)
				b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
				b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
				return
			}
			for part := range slices.Chunk(dirs, n) {
				announce(b, say, part...)
			}
			got := 0
			for got < b.N {
				select {
				case k := <-durable:
					got += k
				case <-time.After(5 * time.Second):
					b.Fatalf("%d of %d came", got, b.N)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "dirs/s")
		})
	}
}
