package view

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/measure"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// fillBatch is how many events the benchmarks append and settle at once, as the fetcher does.
const fillBatch = 500

// rare is the type of ten objects of a filled view, however many it has.
const rare = "x-rare"

// filler makes the content of a large view: every tenth version is a later one of the object before, and ten objects
// are of a rare type.
type filler struct {
	chain
	random *rand.ChaCha8
	every  uint64 // this many versions lie between two of the rare type
}

func newFiller(n int) *filler {
	return &filler{random: rand.NewChaCha8([32]byte{}), every: uint64(n / 10)}
}

func (f *filler) id(n uint64) string {
	kind := "indicator"
	switch {
	case n%f.every == 5:
		kind = rare
	case n%10 == 8: // and its later version, 9
		n--
	case n%4 == 0:
		kind = "malware"
	}
	return fmt.Sprintf("%s--%08d-17d4-4cbf-938f-98ee46b3cd3f", kind, n)
}

func (f *filler) next() (NewEvent, *Entry) {
	e := f.event()
	n := e.Round
	hash := sha256.Sum256(store.U64(n))
	e.Position = consortium.Position{Round: 1 + n/16, Intra: n % 16}
	e.TxID, e.Sender = strings.ToUpper(fmt.Sprintf("%.52x", hash)), strings.Repeat("A", 58)
	e.Directory, e.MetadataHash = fmt.Sprintf("bafybei%.52x", hash), hash[:]
	noise := make([]byte, 450) // as text, with what is around it, about 1 kB that does not compress much
	f.random.Read(noise)
	id := f.id(n)
	version := monday.Add(time.Duration(n) * time.Second)
	object := fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":%q,`+
		`"pattern":"[ipv4-addr:value = '10.%d.%d.%d']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","description":"%s"}`,
		id, wire.FormatTime(version), n>>16&255, n>>8&255, n&255, base64.StdEncoding.EncodeToString(noise))
	entry := entryOf(e, collectionA, id, version, object)
	entry.Type, _, _ = strings.Cut(id, "--")
	entry.Directory = e.Directory
	return e, entry
}

// fill puts n versions into a view along the way that the node takes, and returns what the first and the last tenth of
// them took of the processor.
func (f *filler) fill(tb testing.TB, v *View, n int) (first, last time.Duration) {
	tb.Helper()
	tenth := n / 10
	begun := measure.Processor(tb)
	for done := 0; done < n; done += fillBatch {
		if done == n-tenth {
			begun = measure.Processor(tb)
		}
		var events []NewEvent
		entries := map[string]*Entry{}
		for range fillBatch {
			e, entry := f.next()
			events = append(events, e)
			entries[e.TxID] = entry
		}
		must(tb, v.Append(events, nil))
		due, _, err := v.Due(Fresh, nil, time.Now(), fillBatch)
		must(tb, err)
		if len(due) != fillBatch {
			tb.Fatalf("%d events are due, want %d", len(due), fillBatch)
		}
		var outcomes []Outcome
		for _, e := range due {
			outcomes = append(outcomes, Outcome{Event: e, State: InView, Entry: entries[e.TxID]})
		}
		must(tb, v.Settle(outcomes))
		if done+fillBatch == tenth {
			first = measure.Processor(tb) - begun
		}
	}
	return first, measure.Processor(tb) - begun
}

// BenchmarkStore: every kind of query in a small and in a large store, and the store itself. The numbers of the two
// sizes should be the same, but for what must grow: the disk space and the walk through everything.
func BenchmarkStore(b *testing.B) {
	for _, n := range measure.Sizes(b) {
		b.Run(fmt.Sprintf("store=%d", n), func(b *testing.B) { benchmarkStore(b, n) })
	}
}

func benchmarkStore(b *testing.B, n int) {
	dir := b.TempDir()
	v, err := Open(dir, make([]byte, 32))
	must(b, err)
	f := newFiller(n)
	b.Run("fill", func(b *testing.B) {
		first, last := f.fill(b, v, n)
		b.ReportMetric(float64(first.Microseconds())/float64(n/10), "cpu-µs/object-of-first-tenth")
		b.ReportMetric(float64(last.Microseconds())/float64(n/10), "cpu-µs/object-of-last-tenth")
	})
	must(b, v.Close())
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			v, err = Open(dir, make([]byte, 32))
			must(b, err)
			b.StopTimer()
			must(b, v.Close())
			b.StartTimer()
		}
	})
	v, err = Open(dir, make([]byte, 32))
	must(b, err)
	defer func() { must(b, v.Close()) }()
	b.Run("idle", func(b *testing.B) { reportMemory(b) })

	benchmarkQueries(b, v, f, n)
	benchmarkChanges(b, v)
}

// benchmarkQueries measures every kind of query.
func benchmarkQueries(b *testing.B, v *View, f *filler, n int) {
	dates, _, err := v.Page(Query{Collection: collectionA, Versions: Versions{All: true}, Limit: n})
	must(b, err)
	first, middle, end := dates[0].DateAdded, dates[n/2].DateAdded, dates[n-1].DateAdded
	dates = nil
	last := Versions{Last: true}
	never := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, limit := range []int{100, 1000, 10_000} {
		for _, one := range []struct {
			name string
			q    Query
		}{
			{"first", Query{Versions: last}},
			{"middle", Query{Versions: last, After: middle}},
			{"type", Query{Versions: last, Types: []string{"malware"}, After: middle}},
			{"all versions", Query{Versions: Versions{All: true}, After: middle}},
			{"first versions", Query{Versions: Versions{First: true}, After: middle}},
		} {
			b.Run(fmt.Sprintf("%s/limit=%d", one.name, limit), func(b *testing.B) {
				one.q.Limit = limit
				benchmarkPage(b, v, one.q)
			})
		}
	}
	for _, one := range []struct {
		name string
		q    Query
	}{
		{"nothing new", Query{Versions: last, After: end}},
		{"rare type", Query{Versions: last, Types: []string{rare}}},
		{"no such type", Query{Versions: last, Types: []string{"x-none"}}},
		{"no such version", Query{Versions: Versions{At: []time.Time{never}}}},
		{"no such version of a type", Query{Versions: Versions{At: []time.Time{never}}, Types: []string{"indicator"}}},
		{"first of a rare type", Query{Versions: Versions{First: true}, Types: []string{rare}}},
		{"id", Query{Versions: last, IDs: []string{f.id(21)}}},
		{"versions of an id", Query{Versions: Versions{All: true}, IDs: []string{f.id(38)}}},
		{"no such id", Query{Versions: last, IDs: []string{"malware--00000000-17d4-4cbf-938f-000000000000"}}},
	} {
		b.Run(one.name, func(b *testing.B) {
			one.q.Limit = 100
			benchmarkPage(b, v, one.q)
		})
	}
	benchmarkWalk(b, v, first)
}

// benchmarkChanges measures what asks for work, and what takes objects away.
func benchmarkChanges(b *testing.B, v *View) {
	b.Run("nothing waits", func(b *testing.B) {
		for b.Loop() {
			due, _, err := v.Due(Fresh, nil, time.Now(), fillBatch)
			must(b, err)
			if len(due) > 0 {
				b.Fatal("something waits")
			}
		}
	})
	b.Run("withdraw", func(b *testing.B) {
		asset := uint64(1000)
		for b.Loop() {
			asset += 3
			_, found, err := withdraw(v, asset, strings.Repeat("A", 58))
			must(b, err)
			if !found {
				b.Fatal("everything is withdrawn")
			}
		}
	})
}

// benchmarkWalk measures a walk through everything.
func benchmarkWalk(b *testing.B, v *View, first int64) {
	b.Run("walk", func(b *testing.B) {
		walked := 0
		for b.Loop() {
			for after, more := first-1, true; more; {
				var entries []*Entry
				var err error
				entries, more, err = v.Page(Query{Collection: collectionA, Versions: Versions{Last: true}, After: after, Limit: 1000, WithObjects: true})
				must(b, err)
				after = entries[len(entries)-1].DateAdded
				walked += len(entries)
			}
		}
		b.ReportMetric(float64(walked)/b.Elapsed().Seconds(), "objects/s")
		reportMemory(b)
	})
}

func benchmarkPage(b *testing.B, v *View, q Query) {
	q.Collection, q.OnlyObjects = collectionA, true // as clients are answered
	begun := measure.Processor(b)
	for b.Loop() {
		parts, err := v.Parts(q, 256<<10)
		must(b, err)
		for _, part := range parts.Rest {
			_, err := part.Read()
			must(b, err)
		}
	}
	b.ReportMetric(float64((measure.Processor(b)-begun).Microseconds())/float64(b.N), "cpu-µs/op")
}

// reportMemory reports what the process holds: its heap, all memory of its own, and what it has mapped of files, which
// the system takes back when it is short.
func reportMemory(b *testing.B) {
	b.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapInuse)/(1<<20), "heap-MiB")
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return // not Linux
	}
	for line := range strings.Lines(string(status)) {
		for name, unit := range map[string]string{"RssAnon:": "own-MiB", "RssFile:": "mapped-MiB"} {
			if kilobytes, found := strings.CutPrefix(line, name); found {
				k, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(kilobytes), " kB"))
				must(b, err)
				b.ReportMetric(float64(k)/1024, unit)
			}
		}
	}
}
