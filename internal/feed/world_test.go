package feed

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/stix"
)

func must(t interface {
	Helper()
	Fatal(...any)
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// memo is a Memory in memory.
type memo map[string][]byte

func (m memo) Memo(name string) ([]byte, error)       { return m[name], nil }
func (m memo) SetMemo(name string, data []byte) error { m[name] = data; return nil }

// ledger is a Sink that remembers what it got.
type ledger struct {
	published map[string]int // publication -> how often
	order     []string       // ids
	raw       map[string]string
	refuse    map[string]string // id -> why
	markings  map[string]*stix.Object
}

func newLedger() *ledger {
	return &ledger{published: map[string]int{}, raw: map[string]string{}, refuse: map[string]string{}, markings: map[string]*stix.Object{}}
}

const price = 101_000

func (l *ledger) Check(_ context.Context, objects []*stix.Object) ([]Verdict, error) {
	verdicts := make([]Verdict, len(objects))
	for i, o := range objects {
		verdicts[i] = Verdict{Known: l.published[publication(o)] > 0, Refused: l.refuse[o.ID], Cost: price}
	}
	return verdicts, nil
}

func (l *ledger) Publish(ctx context.Context, objects []*stix.Object) ([]Verdict, error) {
	verdicts, err := l.Check(ctx, objects)
	for _, o := range objects {
		l.published[publication(o)]++
		l.order = append(l.order, o.ID)
		l.raw[o.ID] = string(o.Raw)
		if o.Type == "marking-definition" {
			l.markings[o.ID] = o
		}
	}
	return verdicts, err
}

func (l *ledger) Marking(id string) (*stix.Object, error) { return l.markings[id], nil }

// indicator is an object of its own for every number. Further properties follow a comma.
func indicator(n int, further string) string {
	return fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":"indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-02T03:04:05.678Z",`+
		`"modified":"2026-01-02T03:04:05.678Z","name":"Indicator %d","pattern":"[file:hashes.MD5 = '%032x']","pattern_type":"stix","valid_from":"2026-01-02T03:04:05Z"%s}`, n, n, n, further)
}

func indicatorID(n int) string {
	return fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n)
}

// serve runs a source on loopback.
func serve(t testing.TB, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

const collectionID = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"

func taxiiConfig(url string) Config {
	return Config{Name: "test", Kind: KindTAXII, URL: url + "/acme/", Collection: collectionID, Target: "t", MaxObjects: 1000}
}

// newFeed makes a feed that does not sleep; pauses tells how long it would have.
func newFeed(t interface {
	Helper()
	Fatal(...any)
}, c Config, memory Memory) (f *Feed, pauses *[]time.Duration) {
	t.Helper()
	f, err := New(c, memory)
	must(t, err)
	var mu sync.Mutex
	pauses = &[]time.Duration{}
	f.clock.sleep = func(_ context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		*pauses = append(*pauses, d)
		return nil
	}
	return f, pauses
}
