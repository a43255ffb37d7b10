package chainwatch

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

// asked is an indexer that remembers which accounts' histories it was asked for, and from which round on at the
// earliest.
type asked struct {
	url string

	mu   sync.Mutex
	from map[string]uint64
}

func (w *world) asked() *asked {
	w.t.Helper()
	target, err := url.Parse(w.chain.IndexerURL())
	must(w.t, err)
	a := &asked{from: map[string]uint64{}}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if account, found := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v2/accounts/"), "/transactions"); found {
			from, _ := strconv.ParseUint(r.URL.Query().Get("min-round"), 10, 64)
			a.mu.Lock()
			if before, known := a.from[account]; !known || from < before {
				a.from[account] = from
			}
			a.mu.Unlock()
		}
		proxy.ServeHTTP(out, r)
	}))
	w.t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *asked) watch(t testing.TB) func(*Watcher) {
	client, err := algorand.NewIndexer(a.url, "", "")
	must(t, err)
	return func(w *Watcher) { w.sources[0].reader.client = client }
}

func TestHistoryIsReadOfWhoCountsAndFromWhenItCounts(t *testing.T) {
	w := newWorld(t)
	member, late := w.publisher(), w.publisher()
	strangers := map[string]wire.Note{}
	for i := range 4 {
		account := w.publisher().Address()
		strangers[account] = []wire.Note{
			{Kind: wire.KindMember, Account: account}, {Kind: wire.KindAmendment, Account: account},
			{Kind: wire.KindRotation, Account: account, Former: member.Address(), PeerDigest: wire.PeerDigest("x")},
			{Kind: wire.KindRotation, Account: account, Former: w.governor.Address(), PeerDigest: wire.PeerDigest("x")},
		}[i]
	}
	w.admit(member)
	w.objects(member, 3)
	w.objects(late, 2) // nobody needs to see them
	must(t, w.chain.Advance(tipWindow))
	for _, note := range strangers {
		w.mint(member, note)
	}
	w.admit(late)
	admitted := w.chain.Round()
	w.objects(late, 5)
	must(t, w.chain.Advance(tipWindow+10)) // too far back for one query

	a := w.asked()
	_, s, caughtUp := w.watch(a.watch(t))
	caughtUp()
	if got, other := s.count(late), s.count(member); got != 5 || other != 3+len(strangers) {
		t.Errorf("%d and %d events, want 5 and %d", got, other, 3+len(strangers))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.from[late.Address()] != admitted {
		t.Errorf("who was admitted in round %d is asked for from round %d on", admitted, a.from[late.Address()])
	}
	for account, note := range strangers {
		if from, found := a.from[account]; found {
			t.Errorf("the history of an account is read from round %d on, because a member without the right to wrote a %s note", from, note.Kind)
		}
	}
}

func TestWhoIsFoundToHaveCountedEarlierIsReadAgain(t *testing.T) {
	x, y := consortium.Publisher{Account: "X", Since: 100}, consortium.Publisher{Account: "Y", Since: 300}
	h := newHistory(&reader{}, 50, 200, func([]consortium.Event) []consortium.Publisher { return []consortium.Publisher{x, y} })
	next := func(want string, first, last uint64) {
		t.Helper()
		account, s := h.open()
		if account != want {
			t.Fatalf("%q is read, want %q", account, want)
		}
		if s != nil {
			if s.first != first || s.upTo != last {
				t.Fatalf("%q is read from %d to %d, want %d to %d", account, s.first, s.upTo, first, last)
			}
			s.done = true
		}
	}
	next("X", 100, 200)
	next("", 0, 0) // Y counts from beyond the window on
	x.Since = 70
	next("X", 70, 99)
	x.Since = 20
	next("X", 50, 69)
	next("", 0, 0)
}
