package feeds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// fed is a world whose node pulls from elsewhere.
type fed struct {
	*worldtest.World
	*Feeds
	said    bytes.Buffer // the log
	mu      sync.Mutex
	events  []taxii.Event
	waits   error // what publishing waits for
	behind  error // why the chain can't be followed
	funds   ledger.Funds
	poor    error
	minFee  uint64
	awaited int      // how often the tip was
	round   uint64   // algod's last
	cursors []uint64 // rounds to which the chain is followed, look by look
}

func newFed(t *testing.T) *fed {
	t.Helper()
	w := worldtest.NewFoundedWorld(t)
	f := &fed{World: w, minFee: 1000}
	f.Feeds = f.restarted()
	return f
}

// restarted are the feeds as a new process has them.
func (f *fed) restarted() *Feeds {
	return &Feeds{
		Repo: f.R, State: f.World.State, Publisher: feedPublisher(f.World), Watcher: chain{f}, Fetcher: fetched{}, Ledger: account{f}, Trail: trail{f},
		Problem: func() error { return f.waits }, Log: slog.New(slog.NewTextHandler(&f.said, nil)),
	}
}

type chain struct{ *fed }

func (c chain) AwaitTip(context.Context) error { c.awaited++; return c.behind }
func (c chain) State() chainwatch.State {
	now := chainwatch.State{Detail: "no answer"}
	if len(c.cursors) > 0 {
		now.Cursor, c.cursors = c.cursors[0], c.cursors[1:]
	}
	return now
}

type account struct{ *fed }

func (a account) Params(context.Context) (ledger.Params, error) {
	return ledger.Params{MinFee: a.minFee, Round: a.round}, nil
}
func (a account) Funds(context.Context) (ledger.Funds, error) { return a.funds, a.poor }

type trail struct{ *fed }

func (t trail) Record(e taxii.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, e)
}

func (t trail) Read(context.Context, taxii.AuditQuery, func([]byte) error) error {
	return errors.New("nobody reads it")
}

// source is a TAXII collection elsewhere, with a cursor on every page.
type source struct {
	*httptest.Server
	mu      sync.Mutex
	objects []string
	page    int
	answer  func(w http.ResponseWriter, r *http.Request) bool // true: it was answered
	asked   int
}

func newSource(t *testing.T, page int, objects ...string) *source {
	t.Helper()
	s := &source{objects: objects, page: page}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	w.Header().Set("Content-Type", "application/taxii+json;version=2.1")
	if s.answer != nil && s.answer(w, r) {
		return
	}
	if !strings.HasSuffix(r.URL.Path, "/objects/") {
		fmt.Fprint(w, `{"id":"91a7b528-80eb-42ed-a74d-c6fbd5a26116","title":"Elsewhere","can_read":true,"can_write":false}`)
		return
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("next"))
	to := min(from+s.page, len(s.objects))
	fmt.Fprintf(w, `{"more":%t,"next":"%d","objects":[%s]}`, to < len(s.objects), to, strings.Join(s.objects[from:to], ","))
}

func (s *source) config() config.Feed {
	return config.Feed{Name: "misp", URL: s.URL + "/acme/", Collection: "91a7b528-80eb-42ed-a74d-c6fbd5a26116", Token: "hunter2hunter2"}.WithDefaults()
}

func indicators(first, last int) (list []string) {
	for n := first; n <= last; n++ {
		list = append(list, nodetest.IndicatorJSON(n))
	}
	return list
}

// outbox counts what waits to be published, by the object's id.
func (f *fed) outbox() map[string]int {
	f.T.Helper()
	counts := map[string]int{}
	for n := uint64(1); ; n++ {
		item, found, err := f.R.Outbox.Item(n)
		nodetest.Must(f.T, err)
		if !found {
			return counts
		}
		counts[item.ObjectID]++
	}
}

// pulling is a source that a test answers for.
type pulling struct {
	run    func(ctx context.Context, sink feed.Sink) (*feed.Report, error)
	forgot int
	broken error // of Forget
}

func (p *pulling) Run(ctx context.Context, sink feed.Sink) (*feed.Report, error) {
	return p.run(ctx, sink)
}

func (p *pulling) Test(context.Context, feed.Sink) (*feed.Trial, error) {
	return &feed.Trial{Report: &feed.Report{}}, nil
}

func (p *pulling) Forget() error { p.forgot++; return p.broken }

func mustParse(t testing.TB, raws ...string) (list []*stix.Object) {
	t.Helper()
	for _, raw := range raws {
		o, err := stix.Parse([]byte(raw))
		nodetest.Must(t, err)
		list = append(list, o)
	}
	return list
}

// fetched has asked for everything that the chain tells of.
type fetched struct{}

func (fetched) AwaitFetched(context.Context) error { return nil }
