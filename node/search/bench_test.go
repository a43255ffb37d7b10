package search

import (
	"crypto/sha256"
	"fmt"
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

// fill puts n indicators into a view, each about an address of its own.
func fill(b *testing.B, v *view.View, n int) {
	for done := 0; done < n; done += 500 {
		var events []view.NewEvent
		var outcomes []view.Outcome
		for k := done; k < done+500; k++ {
			hash := sha256.Sum256(fmt.Append(nil, k))
			object := fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","name":"C2 of family%d",`+
				`"created_by_ref":%q,"pattern":"[ipv4-addr:value = '11.%d.%d.%d']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","description":"%x%x"}`,
				id("indicator", k), k%1000, id("identity", k%7), k>>16&255, k>>8&255, k&255, hash, hash)
			e := view.NewEvent{Effect: consortium.Object, Event: consortium.Event{
				Position: consortium.Position{Round: 1 + uint64(k)/16, Intra: uint64(k) % 16}, TxID: fmt.Sprintf("%X", hash[:26]), Sender: "ALPHA", Asset: 1000 + uint64(k),
				Note: wire.Note{Kind: wire.KindObject, Sequence: uint64(k) + 1}, Directory: fmt.Sprintf("bafy%x", hash), MetadataHash: hash[:],
			}}
			events = append(events, e)
			outcomes = append(outcomes, view.Outcome{Event: view.Event{Event: e.Event}, State: view.InView, Entry: &view.Entry{
				Collection: collectionA, ID: id("indicator", k), Type: "indicator", Version: "2026-01-01T00:00:00.000Z", Instant: monday, Hash: hash[:],
				Position: e.Position, Publisher: e.Sender, TxID: e.TxID, Asset: e.Asset, Directory: e.Directory, Object: []byte(object),
			}})
		}
		must(b, v.Append(events, nil))
		must(b, v.Settle(outcomes))
	}
}

// BenchmarkSearch asks a small and a large view. The numbers of the two should be the same.
func BenchmarkSearch(b *testing.B) {
	for _, n := range measure.Sizes(b) {
		r, closed, err := repotest.New(b.TempDir(), config.Default(), repotest.Hooks{})
		must(b, err)
		v, err := view.Open(b.TempDir(), make([]byte, 32))
		must(b, err)
		x, err := find.New(v)
		must(b, err)
		fill(b, v, n)
		f := &Finder{View: v, Index: x, Outbox: r.Outbox, State: state.New("SELF", consortium.New(7, "CHARTER", nil), nil)}
		var known, unknown []observable.Value
		for i := range 200 {
			k := i * (n / 200)
			known = append(known, observable.Parse(fmt.Sprintf("11.%d.%d.%d", k>>16&255, k>>8&255, k&255))...)
			unknown = append(unknown, observable.Parse(fmt.Sprintf("12.%d.%d.%d", k>>16&255, k>>8&255, k&255))...)
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
			{"newest 50", func() (int, error) { p, err := f.Find(b.Context(), reader, Query{}); return len(p.Objects), err }, 50},
			{"two words", func() (int, error) {
				p, err := f.Find(b.Context(), reader, Query{Text: "family7 c2", Limit: 10})
				return len(p.Objects), err
			}, 10},
			{"around an identity", func() (int, error) {
				a, err := f.Around(b.Context(), reader, id("identity", 3))
				return len(a.From), err
			}, MaxAround},
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
		must(b, v.Close())
		must(b, closed())
	}
}
