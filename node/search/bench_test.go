package search

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/measure"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/repotest"
	"github.com/serviceledger/slnode/repo/view"
)

// benchObject draws object k: of ten four are indicators about an address of their own, two about a domain, one about a
// URL, one about a file; the others are an address, and in turns a relationship, a sighting and a report.
func benchObject(k int) (kind, object string) {
	hash := sha256.Sum256(fmt.Append(nil, k))
	pattern := ""
	switch k % 10 {
	case 4, 5:
		pattern = fmt.Sprintf("[domain-name:value = 'c%x.family%d.example']", hash[:6], k%1000)
	case 6:
		pattern = fmt.Sprintf("[url:value = 'https://h%x.example/gate/%x?id=%d']", hash[:3], hash[:8], k)
	case 7:
		pattern = fmt.Sprintf("[file:hashes.MD5 = '%x' OR file:hashes.'SHA-256' = '%x']", hash[:16], hash)
	case 8:
		return "ipv4-addr", fmt.Sprintf(`{"type":"ipv4-addr","spec_version":"2.1","id":%q,"value":"100.%d.%d.%d"}`, id("ipv4-addr", k), k>>16&255, k>>8&255, k&255)
	case 9:
		common := `"spec_version":"2.1","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z"`
		switch k / 10 % 3 {
		case 0:
			return "relationship", fmt.Sprintf(`{"type":"relationship","id":%q,%s,"relationship_type":"indicates","source_ref":%q,"target_ref":%q,"created_by_ref":%q}`,
				id("relationship", k), common, id("indicator", k-9), id("malware", k%1000), id("identity", k%7))
		case 1:
			return "sighting", fmt.Sprintf(`{"type":"sighting","id":%q,%s,"count":3,"sighting_of_ref":%q,"where_sighted_refs":[%q],"created_by_ref":%q}`,
				id("sighting", k), common, id("indicator", k-9), id("identity", k%7), id("identity", k%7))
		}
		var refs []string
		for n := range 9 {
			refs = append(refs, fmt.Sprintf("%q", id("indicator", k-1-n)))
		}
		return "report", fmt.Sprintf(`{"type":"report","id":%q,%s,"name":"Weekly report %d on family%d","report_types":["campaign"],"published":"2026-01-01T00:00:00Z","object_refs":[%s],"created_by_ref":%q}`,
			id("report", k), common, k/10, k%1000, strings.Join(refs, ","), id("identity", k%7))
	default:
		pattern = fmt.Sprintf("[ipv4-addr:value = '11.%d.%d.%d']", k>>16&255, k>>8&255, k&255)
	}
	return "indicator", fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","name":"C2 of family%d",`+
		`"created_by_ref":%q,"labels":["c2","botnet"],"indicator_types":["malicious-activity"],"confidence":%d,"pattern":%q,"pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","description":"%x%x"}`,
		id("indicator", k), k%1000, id("identity", k%7), k%100, pattern, hash, hash)
}

// fill puts n objects into a view.
func fill(b *testing.B, v *view.View, n int) {
	for done := 0; done < n; done += 500 {
		var events []view.NewEvent
		var outcomes []view.Outcome
		for k := done; k < done+500; k++ {
			hash := sha256.Sum256(fmt.Append(nil, k))
			kind, object := benchObject(k)
			e := view.NewEvent{Effect: consortium.Object, Event: consortium.Event{
				Position: consortium.Position{Round: 1 + uint64(k)/16, Intra: uint64(k) % 16}, TxID: fmt.Sprintf("%X", hash[:26]), Sender: "ALPHA", Asset: 1000 + uint64(k),
				Note: wire.Note{Kind: wire.KindObject, Sequence: uint64(k) + 1}, Directory: cid(uint64(k)), MetadataHash: hash[:],
			}}
			events = append(events, e)
			outcomes = append(outcomes, view.Outcome{Event: view.Event{Event: e.Event}, State: view.InView, Entry: &view.Entry{
				Collection: collectionA, ID: id(kind, k), Type: kind, Version: "2026-01-01T00:00:00.000Z", Instant: monday, Hash: hash[:],
				Position: e.Position, Publisher: e.Sender, TxID: e.TxID, Asset: e.Asset, Directory: e.Directory, Object: []byte(object),
			}})
		}
		must(b, v.Append(events, nil))
		must(b, v.Settle(outcomes))
	}
}

// sizeOf is how much the files in a folder take.
func sizeOf(b *testing.B, dir string) (size int64) {
	must(b, filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	}))
	return size
}

// filled makes a view of n objects, fills it without indexes and makes these afterwards. It reports what that costs.
// With SLNODE_BENCH_KEEP it is kept in that folder, and the next time only opened.
func filled(b *testing.B, n int) (v *view.View, x *find.Index) {
	dir, whole := b.TempDir(), ""
	if keep := os.Getenv("SLNODE_BENCH_KEEP"); keep != "" {
		dir = filepath.Join(keep, strconv.Itoa(n))
		whole = dir + ".whole"
	}
	open := func() {
		var err error
		v, err = view.Open(dir, make([]byte, 32))
		must(b, err)
	}
	cost := func(name string, do func(*testing.B)) {
		var processor, size float64
		b.Run(fmt.Sprintf("store=%d/%s", n, name), func(b *testing.B) {
			if size == 0 { // it is done once
				before, begun := sizeOf(b, dir), measure.Processor(b)
				do(b)
				processor = float64((measure.Processor(b) - begun).Microseconds()) / float64(n)
				must(b, v.Close())
				size = max(1, float64(sizeOf(b, dir)-before))
				open()
			}
			b.ReportMetric(processor, "cpu-µs/object")
			b.ReportMetric(size/float64(n), "bytes/object")
		})
	}
	open()
	if _, err := os.Stat(whole); err == nil {
		x, err = find.New(v)
		must(b, err)
		return v, x
	}
	cost("without indexes", func(b *testing.B) {
		fill(b, v, n)
		must(b, v.Close()) // what is in memory still
		open()
	})
	cost("indexes", func(b *testing.B) {
		var err error
		x, err = find.New(v)
		must(b, err)
		must(b, x.Run(b.Context()))
	})
	made := x != nil // else it was not asked for
	x, err := find.New(v)
	must(b, err)
	if whole != "" && made {
		must(b, os.WriteFile(whole, nil, 0o600))
	}
	return v, x
}

// reportHeap reports what the heap holds, and writes it to SLNODE_BENCH_HEAP.
func reportHeap(b *testing.B) {
	var now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&now)
	b.ReportMetric(float64(now.HeapAlloc>>20), "MiB")
	if to := os.Getenv("SLNODE_BENCH_HEAP"); to != "" {
		file, err := os.Create(to)
		must(b, err)
		must(b, errors.Join(pprof.WriteHeapProfile(file), file.Close()))
	}
}

// objectPage asks what the console's page of an indicator does, but for the proof: how many objects it is.
func objectPage(b *testing.B, f *Finder, k int) (int, error) {
	ctx, of := b.Context(), id("indicator", k)
	is, err := f.Describe(ctx, reader, []string{of})
	if err != nil || len(is) == 0 {
		return 0, err
	}
	_, around := f.Around(ctx, reader, of)
	_, same := f.Corroboration(ctx, reader, of)
	_, seen := f.Seen(ctx, reader, of)
	_, also := f.Lookup(ctx, reader, []observable.Value{is[0].Values[0].Value})
	return len(is), errors.Join(around, same, seen, also)
}

// BenchmarkSearch asks a small and a large view. The numbers of the two should be the same.
func BenchmarkSearch(b *testing.B) {
	for _, n := range measure.Sizes(b) {
		r, closed, err := repotest.New(b.TempDir(), config.Default(), repotest.Hooks{})
		must(b, err)
		v, x := filled(b, n)
		f := &Finder{View: v, Index: x, Outbox: r.Outbox, State: state.New("SELF", consortium.New(7, "CHARTER", nil), nil)}
		var known, unknown, strange []observable.Value
		for i := range 200 {
			k := i * (n / 200)
			known = append(known, observable.Parse(fmt.Sprintf("11.%d.%d.%d", k>>16&255, k>>8&255, k&255))...)
			unknown = append(unknown, observable.Parse(fmt.Sprintf("12.%d.%d.%d", k>>16&255, k>>8&255, k&255))...)
			strange = append(strange, observable.Parse(fmt.Sprintf("%032x", k))...)
		}
		for _, one := range []struct {
			name string
			ask  func() (int, error)
			want int
		}{
			{"one value", func() (int, error) { a, err := f.Lookup(b.Context(), reader, known[:1]); return len(a[0].Exact), err }, 1},
			{"200 values", func() (int, error) { a, err := f.Lookup(b.Context(), reader, known); return len(a[199].Exact), err }, 1},
			{"200 values that are not there", func() (int, error) { a, err := f.Lookup(b.Context(), reader, unknown); return len(a[199].Exact), err }, 0},
			{"a network", func() (int, error) {
				a, err := f.Lookup(b.Context(), reader, observable.Parse("11.0.1.0/24"))
				return len(a[0].Narrower), err
			}, MaxNarrower},
			{"200 values that nothing is near", func() (int, error) { a, err := f.Lookup(b.Context(), reader, strange); return len(a[199].Exact), err }, 0},
			{"newest 50", func() (int, error) { p, err := f.Find(b.Context(), reader, Query{}); return len(p.Objects), err }, 50},
			{"two words", func() (int, error) {
				p, err := f.Find(b.Context(), reader, Query{Text: "family7 c2", Limit: 10})
				return len(p.Objects), err
			}, 10},
			{"two words, the common one first", func() (int, error) {
				p, err := f.Find(b.Context(), reader, Query{Text: "botnet family7", Limit: 10})
				return len(p.Objects), err
			}, 10},
			{"around an identity", func() (int, error) {
				a, err := f.Around(b.Context(), reader, id("identity", 3))
				return len(a.From), err
			}, MaxAround},
			{"an object's page", func() (int, error) { return objectPage(b, f, 10_000-10) }, 1},
		} {
			b.Run(fmt.Sprintf("store=%d/%s", n, one.name), func(b *testing.B) {
				begun := measure.Processor(b)
				for b.Loop() {
					if got, err := one.ask(); err != nil || got != one.want {
						b.Fatalf("%d are found, want %d: %v", got, one.want, err)
					}
				}
				b.ReportMetric(float64((measure.Processor(b)-begun).Microseconds())/float64(b.N), "cpu-µs/op")
			})
		}
		b.Run(fmt.Sprintf("store=%d/memory", n), func(b *testing.B) {
			reportHeap(b)
		})
		must(b, v.Close())
		must(b, closed())
	}
}
