package replicate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/measure"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/replicate"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

// samples are STIX objects: a few of each sort and, where there is a folder of real data, all in it.
func samples(t testing.TB) (list []string) {
	list = []string{
		nodetest.IndicatorJSON(1), nodetest.DescribedIndicator(2, "ünïcode \\u0000 \\\" 𝄞"), strings.ReplaceAll(nodetest.IndicatorJSON(3), ",", " ,\n\t"),
		`{"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4","value":"198.51.100.3"}`,
		`{"type":"file","id":"file--66156fad-2a7d-5237-bbb4-ba1912887cfe","defanged":false,"hashes":{"MD5":"b0a8d3a1b2a4f1a5f6ba3b2a0f6c7d8e"}}`,
		`{"type":"identity","spec_version":"2.1","id":"identity--023d105b-752e-4e3c-941c-7d3f3cb15e9e","created":"2016-04-06T20:03:00.000Z","modified":"2016-04-06T20:03:00.123456789Z","name":"A","lang":"en","revoked":false}`,
		`{"type":"marking-definition","spec_version":"2.1","id":"marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da","created":"2017-01-20T00:00:00.000Z","definition_type":"tlp","name":"TLP:GREEN","definition":{"tlp":"green"}}`,
	}
	dir := os.Getenv("SLNODE_TEST_DATA")
	if dir == "" {
		return list
	}
	files, err := filepath.Glob(filepath.Join(dir, "data", "*", "*.json"))
	nodetest.Must(t, err)
	more, err := filepath.Glob(filepath.Join(dir, "data", "*.json"))
	nodetest.Must(t, err)
	for _, name := range append(files, more...) {
		data, err := os.ReadFile(name)
		nodetest.Must(t, err)
		var bundle struct{ Objects []json.RawMessage }
		if json.Unmarshal(data, &bundle) != nil {
			continue
		}
		for _, raw := range bundle.Objects {
			if _, err := stix.Read(raw); err == nil {
				list = append(list, string(raw))
			}
		}
	}
	return list
}

// What is kept of an own object is what everybody else finds when they open it, whatever is in it and however it is
// sealed.
func TestAnOwnObjectFromMemoryIsTheOneThatIsOpened(t *testing.T) {
	key, err := seal.NewEpochKey()
	nodetest.Must(t, err)
	all, self := samples(t), nodetest.NewOrg(t, "self")
	rapid.Check(t, func(rt *rapid.T) {
		raw := []byte(rapid.SampledFrom(all).Draw(rt, "object") + strings.Repeat(" ", rapid.IntRange(0, 3).Draw(rt, "spaces")))
		object, err := stix.Read(raw)
		nodetest.Must(t, err)
		in := consortium.Collection{ID: "5f1c2a9e-7d43-4b6a-9c1e-2f8d3b7a6e50", Epoch: 1, Key: key, Properties: wire.Collection{
			Metadata: rapid.SampledFrom([]string{wire.MetadataOpen, wire.MetadataSealed}).Draw(rt, "metadata"),
			Padding:  rapid.SampledFrom([]string{"", wire.PaddingCoarse}).Draw(rt, "padding")}}
		stored := time.UnixMicro(rapid.Int64Range(0, 1<<50).Draw(rt, "stored"))
		draft, err := consortium.DraftObject(1001, in, object.ID, object.Version(), rapid.Bool().Draw(rt, "revealing"), raw, stored)
		nodetest.Must(t, err)
		draft = nodetest.By(t, self.Address(), draft)
		directory, err := publish.DirectoryOf(draft)
		nodetest.Must(t, err)
		own := replicate.NewOwn(nodetest.Discard)
		own.Keep(directory.Root(), draft, raw, key)
		opened, err := replicate.OpenObject(draft.Parsed(), draft.Payload, key)
		nodetest.Must(t, err)
		if kept := own.Kept(directory.Root()); !reflect.DeepEqual(kept, opened) {
			rt.Fatalf("kept is\n%+v\nopened\n%+v", kept, opened)
		}
	})
}

// ownWorld is a world whose node has sealed some objects, with what it keeps of them and the chain's events about them.
func ownWorld(t testing.TB, count int) (w *world, own *replicate.Own, founding, events []consortium.Event) {
	t.Helper()
	self := nodetest.NewOrg(t, "self")
	w = newWorld(t, self)
	founding = w.Found(self)
	w.Open()
	nodetest.Must(t, w.Deliver(founding...))
	w.Drain()
	own = replicate.NewOwn(nodetest.Discard)
	c, _ := w.State.Collection(w.Collection)
	for n := range count {
		draft := nodetest.By(t, self.Address(), w.Object(n))
		events = append(events, w.Mint(self, draft))
		own.Keep(cid.MustParse(events[n].Directory), draft, []byte(nodetest.DescribedIndicator(n, "")), c.Key)
	}
	return w, own, founding, events
}

// What a node has sealed it does not look for, read or open. It enters when the chain says so, and the same is served;
// one in 64 is opened to see that.
func TestOwnObjectsEnterTheViewFromMemory(t *testing.T) {
	const count = 600
	w, own, founding, events := ownWorld(t, count)
	var said bytes.Buffer
	w.Fetcher.Own, w.Fetcher.Log = own, slog.New(slog.NewTextHandler(&said, nil))
	read := 0
	w.Blocks.Reading = func() { read++ }
	nodetest.Must(t, w.Deliver(events...))
	w.Drain()
	if w.Shown() != count || read == 0 || read > count/16 {
		t.Errorf("%d of %d are shown, %d were read", w.Shown(), count, read)
	}
	if own.Size() != 0 {
		t.Errorf("%d bytes are kept of what is in the view", own.Size())
	}
	if strings.Contains(said.String(), "not what it opens") {
		t.Error(said.String())
	}
	shown := entries(t, w)
	w.Blocks.Reading = nil
	nodetest.Must(t, w.R.View.Reset())
	w.Open()
	nodetest.Must(t, w.Deliver(append(founding, events...)...))
	w.Drain()
	if opened := entries(t, w); !reflect.DeepEqual(shown, opened) {
		t.Errorf("from memory %d entries, opened %d: they differ", len(shown), len(opened))
	}
}

// entries are those of the default collection, but for when they were added.
func entries(t testing.TB, w *world) (list []view.Entry) {
	t.Helper()
	page, _, err := w.R.View.Page(view.Query{Collection: w.Collection, Limit: 1000, WithObjects: true})
	nodetest.Must(t, err)
	for _, e := range page {
		one := *e
		one.DateAdded = 0
		list = append(list, one)
	}
	return list
}

// An own object that was sealed to a key which is another by now is opened, as everybody does it; so is what doesn't
// fit.
func TestAnOwnObjectThatIsNotKnownIsOpened(t *testing.T) {
	w, _, _, events := ownWorld(t, 70)
	own := replicate.NewOwn(nodetest.Discard)
	wrong, err := seal.NewEpochKey()
	nodetest.Must(t, err)
	for n, e := range events {
		files, err := w.Blocks.Read(t.Context(), cid.MustParse(e.Directory))
		nodetest.Must(t, err)
		own.Keep(cid.MustParse(e.Directory), redraft(t, e, files), []byte(nodetest.DescribedIndicator(n, "")), wrong)
	}
	w.Fetcher.Own = own
	read := 0
	w.Blocks.Reading = func() { read++ }
	nodetest.Must(t, w.Deliver(events...))
	w.Drain()
	if w.Shown() != 70 || read < 70 {
		t.Errorf("%d are shown, want 70, of which %d were read", w.Shown(), read)
	}
}

func redraft(t testing.TB, e consortium.Event, files []unixfs.File) consortium.Draft {
	t.Helper()
	metadata, payload := unixfs.Pick(files, wire.MetadataName)
	draft, err := consortium.Redraft(e.Note, metadata, payload)
	nodetest.Must(t, err)
	return draft
}

// A fault in sealing would be one that everybody else finds. One in 64 own objects is opened, and the operator is told.
func TestAnOwnObjectThatOpensToSomethingElseIsReported(t *testing.T) {
	w, _, _, events := ownWorld(t, 400)
	own := replicate.NewOwn(nodetest.Discard)
	c, _ := w.State.Collection(w.Collection)
	for n, e := range events {
		files, err := w.Blocks.Read(t.Context(), cid.MustParse(e.Directory))
		nodetest.Must(t, err)
		own.Keep(cid.MustParse(e.Directory), redraft(t, e, files), []byte(nodetest.DescribedIndicator(n, "another")), c.Key)
	}
	var said bytes.Buffer
	w.Fetcher.Own, w.Fetcher.Log = own, slog.New(slog.NewTextHandler(&said, nil))
	nodetest.Must(t, w.Deliver(events...))
	w.Drain()
	if !strings.Contains(said.String(), `msg="what this node has sealed is not what it opens"`) {
		t.Errorf("the operator is told %s", said.String())
	}
}

func TestAnOwnObjectThatDiffersInAnythingIsAnother(t *testing.T) {
	w, own, _, events := ownWorld(t, 1)
	root := cid.MustParse(events[0].Directory)
	size := own.Size()
	files, err := w.Blocks.Read(t.Context(), root)
	nodetest.Must(t, err)
	own.Keep(root, redraft(t, events[0], files), []byte(nodetest.DescribedIndicator(0, "")), w.Key)
	if own.Size() != size {
		t.Errorf("kept twice it takes %d bytes, once %d", own.Size(), size)
	}
	if err := own.Compare(root, own.Kept(root)); err != nil {
		t.Errorf("it differs from itself: %v", err)
	}
	for what, change := range map[string]func(*view.Entry){
		"another collection": func(e *view.Entry) { e.Collection = "other" },
		"another id":         func(e *view.Entry) { e.ID = "other" },
		"another type":       func(e *view.Entry) { e.Type = "other" },
		"another version":    func(e *view.Entry) { e.Version = "other" },
		"another instant":    func(e *view.Entry) { e.Instant = e.Instant.Add(time.Microsecond) },
		"no version":         func(e *view.Entry) { e.Unversioned = !e.Unversioned },
		"another time":       func(e *view.Entry) { e.StoredAt = e.StoredAt.Add(time.Microsecond) },
		"another hash":       func(e *view.Entry) { e.Hash = []byte("other") },
		"another content":    func(e *view.Entry) { e.Object = []byte("other") },
	} {
		opened := *own.Kept(root)
		if change(&opened); own.Compare(root, &opened) == nil {
			t.Errorf("%s is taken for the same", what)
		}
	}
}

// What is kept is bounded, and what is kept too long gives way.
func TestWhatIsKeptOfOwnObjectsIsBounded(t *testing.T) {
	w, _, _, events := ownWorld(t, 1)
	own := replicate.NewOwn(nodetest.Discard)
	files, err := w.Blocks.Read(t.Context(), cid.MustParse(events[0].Directory))
	nodetest.Must(t, err)
	draft, key := redraft(t, events[0], files), w.Key
	large := []byte(nodetest.DescribedIndicator(0, strings.Repeat("x", 1<<20)))
	for n := range 40 {
		root, err := wire.DirectoryCID.Sum(fmt.Append(nil, n))
		nodetest.Must(t, err)
		own.Keep(root, draft, large, key)
		own.Keep(root, draft, large, key) // twice is once
	}
	if own.Size() > replicate.OwnBytes || own.Size() < replicate.OwnBytes-3<<20 {
		t.Errorf("%d bytes are kept, at most %d", own.Size(), replicate.OwnBytes)
	}
}

// BenchmarkOwnObjects is what an own object costs from its event to the view: opened, and from memory.
func BenchmarkOwnObjects(b *testing.B) {
	for name, remembers := range map[string]bool{"opened": false, "from memory": true} {
		b.Run(name, func(b *testing.B) {
			w, own, _, events := ownWorld(b, b.N)
			if remembers {
				w.Fetcher.Own = own
			}
			nodetest.Must(b, w.Deliver(events...))
			b.ResetTimer()
			before := measure.Processor(b)
			w.Drain()
			b.ReportMetric(float64((measure.Processor(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
			if w.Shown() != int64(b.N) {
				b.Fatalf("%d of %d are shown", w.Shown(), b.N)
			}
		})
	}
}
