package find

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/measure"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/view"
)

// fill puts n indicators into a view along the way that the node takes, 500 at once, as the fetcher does.
func fill(tb testing.TB, v *view.View, from, n int) {
	tb.Helper()
	random := rand.NewChaCha8([32]byte{})
	for done := from; done < from+n; done += 500 {
		var events []view.NewEvent
		var outcomes []view.Outcome
		for i := range 500 {
			k := done + i
			hash := sha256.Sum256(fmt.Append(nil, k))
			id := fmt.Sprintf("indicator--%08d%s", k, uuid)
			noise := make([]byte, 450)
			random.Read(noise)
			version := monday.Add(time.Duration(k) * time.Second)
			object := fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":%q,"name":"C2 of family %d","labels":["ransomware"],`+
				`"created_by_ref":"identity--%08d%s","pattern":"[ipv4-addr:value = '10.%d.%d.%d']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","description":"%s"}`,
				id, wire.FormatTime(version), k%1000, k%7, uuid, k>>16&255, k>>8&255, k&255, base64.StdEncoding.EncodeToString(noise))
			e := view.NewEvent{Effect: consortium.Object, Event: consortium.Event{
				Position: consortium.Position{Round: 1 + uint64(k)/16, Intra: uint64(k) % 16}, TxID: strings.ToUpper(fmt.Sprintf("%.52x", hash)), Sender: strings.Repeat("A", 58),
				Asset: 1000 + uint64(k), Note: wire.Note{Kind: wire.KindObject, Sequence: uint64(k) + 1}, Directory: fmt.Sprintf("bafybei%.52x", hash), MetadataHash: hash[:],
			}}
			events = append(events, e)
			outcomes = append(outcomes, view.Outcome{Event: view.Event{Event: e.Event}, State: view.InView, Entry: &view.Entry{
				Collection: collectionA, ID: id, Type: "indicator", Version: wire.FormatTime(version), Instant: version, Hash: hash[:],
				Position: e.Position, Publisher: e.Sender, TxID: e.TxID, Asset: e.Asset, Directory: e.Directory, Object: []byte(object),
			}})
		}
		must(tb, v.Append(events, nil))
		must(tb, v.Settle(outcomes))
	}
}

// BenchmarkEnter is what an object costs that enters the view, with the indexes and without them, in turns.
func BenchmarkEnter(b *testing.B) {
	for _, n := range []int{10_000} {
		for round := range 3 {
			for _, with := range []bool{false, true} {
				b.Run(fmt.Sprintf("indexes=%v/%d", with, round), func(b *testing.B) {
					for b.Loop() {
						b.StopTimer()
						v, err := view.Open(b.TempDir(), make([]byte, 32))
						must(b, err)
						if with {
							_, err := New(v)
							must(b, err)
						}
						begun := measure.Processor(b)
						b.StartTimer()
						fill(b, v, 0, n)
						b.StopTimer()
						b.ReportMetric(float64((measure.Processor(b)-begun).Microseconds())/float64(n), "cpu-µs/object")
						must(b, v.Close())
						b.StartTimer()
					}
				})
			}
		}
	}
}
