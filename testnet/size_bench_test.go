package testnet

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/view"
)

// rareObjects is how many objects of a filled view have the type x-rare.
const rareObjects = 10

// filledID is the id of the object of a filled view that is published n-th. Every tenth is a later version of the one
// before.
func filledID(n, of int) string {
	kind := "indicator"
	switch {
	case n%(of/rareObjects) == 5:
		kind = "x-rare"
	case n%10 == 9:
		n--
	case n%4 == 0:
		kind = "malware"
	}
	return fmt.Sprintf("%s--%08x-17d4-4cbf-938f-98ee46b3cd3f", kind, 1<<31+n)
}

// fillView puts objects of about 1 kB into the view of a node that does not run, along the way that the node takes
// with what comes from the chain. There is nothing of them on the chain and on IPFS.
func fillView(b *testing.B, o *organisation, collection string, count int) {
	b.Helper()
	r, err := repo.Open(o.Dir, nil)
	must(b, err)
	defer func() { must(b, r.Close()) }()
	sequences, err := r.View.Sequences()
	must(b, err)
	random := rand.NewChaCha8([32]byte{})
	const batch = 500
	for first := 0; first < count; first += batch {
		var events []view.NewEvent
		objects := map[string]*view.Entry{}
		for n := first; n < first+batch; n++ {
			e, entry := filled(n, count, collection, random)
			events = append(events, view.NewEvent{Event: e, Effect: consortium.Object})
			objects[e.TxID] = entry
		}
		must(b, r.View.Append(events, sequences))
		due, _, err := r.View.Due(view.Fresh, nil, time.Now(), batch)
		must(b, err)
		var outcomes []view.Outcome
		for _, e := range due {
			outcomes = append(outcomes, view.Outcome{Event: e, State: view.InView, Entry: objects[e.TxID]})
		}
		must(b, r.View.Settle(outcomes))
	}
}

func filled(n, of int, collection string, random *rand.ChaCha8) (consortium.Event, *view.Entry) {
	noise := make([]byte, 500) // so that it does not compress to nothing
	_, _ = random.Read(noise)  // it never fails
	hash := sha256.Sum256(noise)
	e := consortium.Event{
		Position: consortium.Position{Round: 1, Intra: uint64(1_000_000 + n)}, Asset: uint64(1<<40 + n),
		TxID: strings.ToUpper(fmt.Sprintf("%.52x", hash)), Sender: strings.Repeat("A", 58),
		Note: wire.Note{Kind: wire.KindObject}, Directory: fmt.Sprintf("bafybei%.52x", hash), MetadataHash: hash[:],
	}
	id := filledID(n, of)
	kind, _, _ := strings.Cut(id, "--")
	at := time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC)
	object := fmt.Sprintf(`{"type":%q,"spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":%q,"name":"Object %d",`+
		`"pattern":"[ipv4-addr:value = '198.%d.%d.%d']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","description":%q}`,
		kind, id, wire.FormatTime(at), n, 18+n>>16, n>>8&255, n&255, base64.StdEncoding.EncodeToString(noise))
	return e, &view.Entry{
		Collection: collection, ID: id, Type: kind, Version: wire.FormatTime(at), Instant: at, Hash: hash[:], Position: e.Position,
		Publisher: e.Sender, TxID: e.TxID, Asset: e.Asset, Directory: e.Directory, StoredAt: at, Object: []byte(object),
	}
}

// BenchmarkSize: requests to a node with 10,000 objects, and to one with as many as SLNODE_BENCH_STORE says. Where it
// says a million, filling the store takes a quarter of an hour and 2 GB in $TMPDIR.
func BenchmarkSize(b *testing.B) {
	for _, size := range []int{10_000, storeSize(b)} {
		b.Run(fmt.Sprintf("store=%d", size), func(b *testing.B) { benchmarkSize(b, size) })
	}
}

func benchmarkSize(b *testing.B, size int) {
	n := benchNetwork(b, "alpha")
	o := n.members[0]
	o.stop()
	begun := time.Now()
	fillView(b, o, n.collection, size)
	b.Logf("%d objects in %s", size, time.Since(begun))
	begun = time.Now()
	o.start("SLNODE_TAXII_PUBLISH_WAIT=10s", "SLNODE_LOG_LEVEL=warn")
	b.Logf("ready %s after its start", time.Since(begun))
	n.settled(o)
	o.client() // signs up
	b.Run("idle", func(b *testing.B) {
		atRest(b, o) // what was used at the start goes back to the system
		for b.Loop() {
			reportOwnMemory(b, o)
		}
	})

	root := "/" + o.Name + "/collections/" + n.collection + "/"
	middle, end := dateOf(b, o, root, filledID(size/2, size)), dateOf(b, o, root, filledID(size-2, size))
	get := func(name, path string, parameters ...string) {
		b.Helper()
		query := url.Values{}
		for i := 0; i < len(parameters); i += 2 {
			query.Set(parameters[i], parameters[i+1])
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				fetch(b, o, root+path+"?"+query.Encode())
			}
		})
	}
	for _, limit := range []string{"100", "1000", "10000"} {
		of := "/limit=" + limit
		get("first page"+of, "objects/", "limit", limit)
		get("page in the middle"+of, "objects/", "limit", limit, "added_after", middle)
		get("type"+of, "objects/", "limit", limit, "added_after", middle, "match[type]", "malware")
		get("all versions"+of, "objects/", "limit", limit, "added_after", middle, "match[version]", "all")
		get("manifest"+of, "manifest/", "limit", limit, "added_after", middle)
	}
	get("next", "objects/", "limit", "1000", "next", nextOf(b, o, root, middle))
	get("near the end", "objects/", "added_after", end)
	get("nothing new", "objects/", "added_after", "2099-01-01T00:00:00.000000Z")
	get("id", "objects/", "match[id]", filledID(size/2, size))
	get("no such id", "objects/", "match[id]", "tool--00000000-17d4-4cbf-938f-98ee46b3cd3f")
	get("rare type", "objects/", "match[type]", "x-rare")
	get("no such type", "objects/", "match[type]", "x-none")
	get("no such version", "objects/", "match[version]", "1999-01-01T00:00:00.000Z")
	get("first of a rare type", "objects/", "match[type]", "x-rare", "match[version]", "first")
	get("object", "objects/"+filledID(size/2, size)+"/")
	get("versions", "objects/"+filledID(size-2, size)+"/versions/")

	posted := 0
	b.Run("post 100", func(b *testing.B) {
		for b.Loop() {
			o.post(n.collection, indicators(posted, 100)...)
			posted += 100
		}
	})
	b.Run("delete", func(b *testing.B) {
		for b.Loop() {
			if posted--; posted < 0 {
				b.Fatal("there is nothing more to delete")
			}
			id := fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", posted)
			request, err := http.NewRequestWithContext(b.Context(), http.MethodDelete, "http://"+o.Daemon.TAXII+root+"objects/"+id+"/", nil)
			must(b, err)
			answer(b, o, request)
		}
	})
	b.Run("walk", func(b *testing.B) {
		for b.Loop() {
			for next, more := "", true; more; more = next != "" {
				next = getPage(b, o, n.collection, 1000, next)
			}
		}
		reportOwnMemory(b, o)
	})
	b.Run("export", func(b *testing.B) {
		for b.Loop() {
			fetch(b, o, root+"export?format=plain")
		}
		reportOwnMemory(b, o)
	})
	b.Run("restart", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			o.stop()
			b.StartTimer()
			o.start("SLNODE_LOG_LEVEL=warn")
		}
	})
	until(b, operator(b, o), func(s health.Status) bool { return s.View.Objects >= int64(size) })
}

// dateOf is the date_added of an object.
func dateOf(b *testing.B, o *organisation, root, id string) string {
	b.Helper()
	status, header, body := o.get(root + "objects/" + id + "/")
	if status != http.StatusOK {
		b.Fatalf("%d: %s", status, body)
	}
	return header.Get("X-TAXII-Date-Added-Last")
}

// nextOf is the cursor of the page after a date.
func nextOf(b *testing.B, o *organisation, root, after string) string {
	b.Helper()
	_, _, body := o.get(root + "objects/?limit=1&added_after=" + after)
	_, rest, _ := strings.Cut(body, `"next":"`)
	next, _, _ := strings.Cut(rest, `"`)
	return next
}

func fetch(b *testing.B, o *organisation, path string) {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+o.Daemon.TAXII+path, nil)
	must(b, err)
	request.Header.Set("Accept-Encoding", "identity")
	answer(b, o, request)
}

// answer makes a request and throws the answer away.
func answer(b *testing.B, o *organisation, request *http.Request) {
	b.Helper()
	request.SetBasicAuth(o.User, o.Password)
	response, err := http.DefaultClient.Do(request)
	must(b, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	must(b, err)
	if response.StatusCode/100 != 2 {
		b.Fatalf("%s %s: %s", request.Method, request.URL, response.Status)
	}
}

// reportOwnMemory reports what a daemon has of its own, and what it has mapped of files, which the system takes back
// when it is short of memory.
func reportOwnMemory(b *testing.B, o *organisation) {
	b.Helper()
	memory := o.memory(b)
	b.ReportMetric(memory["RssAnon"], "own-MiB")
	b.ReportMetric(memory["RssFile"], "mapped-MiB")
	b.ReportMetric(memory["VmHWM"], "peak-MiB")
}

// atRest waits until a daemon gives no more memory back: until it has none less for ten seconds.
func atRest(b *testing.B, o *organisation) {
	b.Helper()
	least, since := o.memory(b)["RssAnon"], time.Now()
	for time.Since(since) < 10*time.Second {
		time.Sleep(100 * time.Millisecond)
		if now := o.memory(b)["RssAnon"]; now < least-1 {
			least, since = now, time.Now()
		}
	}
}
