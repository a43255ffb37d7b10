package chainwatch

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
)

// all reads windows of a history to its end.
func all(t interface {
	Fatal(...any)
	Errorf(string, ...any)
}, h *history, step func() (bool, string, error)) (events []consortium.Event, given []string, windows int) {
	last := h.first - 1
	for {
		done, givenUp, err := step()
		if err != nil {
			t.Fatal(err)
		}
		if givenUp != "" {
			given = append(given, givenUp)
		}
		if !done {
			continue
		}
		windows++
		if h.first != last+1 || h.last < h.first {
			t.Errorf("a window from %d to %d after round %d", h.first, h.last, last)
		}
		for _, e := range h.events {
			if e.Round < h.first || e.Round > h.last {
				t.Errorf("round %d in a window from %d to %d", e.Round, h.first, h.last)
			}
		}
		events, last = append(events, h.events...), h.last
		if !h.advance() {
			return events, given, windows
		}
	}
}

// Whatever the accounts' histories, the pages and the room for events: each event comes once, in the order of the
// chain, in windows that leave no round out.
func TestALongHistoryIsSplitAndNothingIsLost(t *testing.T) {
	t.Parallel()
	writers := []*writer{newWriter(), newWriter()}
	pool := map[consortium.Position]models.Transaction{} // signing takes time
	f := newFake(t, 500)
	base := f.reader(t)
	rapid.Check(t, func(rt *rapid.T) {
		var want []string
		f.mu.Lock()
		f.list = nil
		for round := uint64(10); round <= 20; round++ {
			for intra := range rapid.Uint64Range(0, 3).Draw(rt, "a round's") {
				p := consortium.Position{Round: round, Intra: intra}
				if _, made := pool[p]; !made {
					pool[p] = writers[(round+intra)%2].object(t, round, intra)
				}
				f.list = append(f.list, pool[p])
				want = append(want, p.String())
			}
		}
		f.page = rapid.IntRange(1, 8).Draw(rt, "page")
		f.mu.Unlock()
		r := *base
		r.most = rapid.IntRange(1, 15).Draw(rt, "most")
		publishers := []consortium.Publisher{{Account: writers[0].Address.String(), Since: 1}, {Account: writers[1].Address.String(), Since: 5}}
		h := newHistory(&r, 10, 20, func([]consortium.Event) []consortium.Publisher { return publishers })
		events, given, windows := all(rt, h, func() (bool, string, error) { return h.step(t.Context()) })
		if got := rounded(events); !slices.Equal(got, want) || len(given) != 0 {
			rt.Fatalf("%v, want %v; given up %v", got, want, given)
		}
		if h.last != 20 || windows > 1 && len(want) <= r.most {
			rt.Fatalf("it ends at %d after %d windows", h.last, windows)
		}
	})
}

func TestAnAccountsHistoryIsAskedForFromWhenItCounts(t *testing.T) {
	w := newWriter()
	sender := w.Address.String()
	f := newFake(t, 500, w.object(t, 10, 0), w.object(t, 25, 0))
	h := newHistory(f.reader(t), 10, 30, func([]consortium.Event) []consortium.Publisher {
		return []consortium.Publisher{{Account: sender, Since: 20}, {Account: "LATER", Since: 31}, {Account: "JUST", Since: 30}}
	})
	events, _, windows := all(t, h, func() (bool, string, error) { return h.step(t.Context()) })
	if !slices.Equal(rounded(events), []string{"25:0"}) || windows != 1 {
		t.Errorf("%v in %d windows", rounded(events), windows)
	}
	path := "/v2/accounts/" + sender + "/transactions?limit=1000&max-round=30&min-round=20&"
	if got, want := f.queries(), []string{path + "tx-type=acfg", path + "next=1&tx-type=acfg", "/v2/accounts/JUST/transactions?limit=1000&max-round=30&min-round=30&tx-type=acfg"}; !slices.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}
}

func TestAnIndexerThatHasLessThanItSaidEndsNoHistory(t *testing.T) {
	for round, bad := range map[uint64]bool{29: true, 30: false} {
		f := newFake(t, round)
		h := newHistory(f.reader(t), 10, 30, func([]consortium.Event) []consortium.Publisher {
			return []consortium.Publisher{{Account: "X", Since: 1}}
		})
		done, givenUp, err := h.step(t.Context())
		if done || givenUp != "" || (err != nil) != bad || bad && !strings.Contains(err.Error(), "round 29 is the last; it said before that it has round 30") {
			t.Errorf("at round %d: %v, %q, %v", round, done, givenUp, err)
		}
		if done, _, _ := h.step(t.Context()); done == bad {
			t.Errorf("at round %d, then: %v", round, done)
		}
	}
}

func TestAHistoryThatDoesNotGoOnIsReadFromItsBeginning(t *testing.T) {
	w := newWriter()
	one, two := w.object(t, 10, 0), w.object(t, 11, 0)
	f := newFake(t, 500, one, two)
	f.page = 1
	f.instead = func(n int, _ string, _ url.Values) (int, string) {
		if n == 2 {
			return 200, answer(500, "1", two) // the page before, which names itself
		}
		return 0, ""
	}
	h := newHistory(f.reader(t), 10, 30, func([]consortium.Event) []consortium.Publisher {
		return []consortium.Publisher{{Account: w.Address.String(), Since: 1}}
	})
	for n, bad := range []bool{false, true, false, false, false} {
		done, _, err := h.step(t.Context())
		if done || (err != nil) != bad || bad && !strings.HasPrefix(err.Error(), "reading the history of "+w.Address.String()+": ") {
			t.Errorf("page %d: %v, %v", n, done, err)
		}
	}
	if done, _, err := h.step(t.Context()); !done || err != nil || !slices.Equal(rounded(h.events), []string{"10:0", "11:0"}) {
		t.Errorf("%v, %v, %v", done, err, rounded(h.events))
	}
	if got := f.queries()[2]; strings.Contains(got, "next=") {
		t.Errorf("it is read on by %q", got)
	}
}

func TestAnAccountIsGivenUpAfterPagesWithoutAnythingOfTheConsortium(t *testing.T) {
	w := newWriter()
	sender := w.Address.String()
	for _, c := range []struct {
		ours  int // the page, from the newest on, that has something of the consortium; 0 for none
		pages int
		given bool
	}{{0, 3, true}, {0, 2, false}, {3, 3, false}, {1, 9, false}, {4, 9, true}} {
		var list []models.Transaction
		for n := 1; n <= c.pages; n++ {
			m := foreign(fmt.Sprint(n), uint64(100-n))
			if m.Sender = sender; n == c.ours {
				m = w.object(t, uint64(100-n), 0)
			}
			list = append(list, m)
		}
		f := newFake(t, 500, list...)
		f.page = 1
		r := f.reader(t)
		r.foreign = 3
		h := newHistory(r, 10, 200, func([]consortium.Event) []consortium.Publisher {
			return []consortium.Publisher{{Account: sender, Since: 1}}
		})
		events, given, _ := all(t, h, func() (bool, string, error) { return h.step(t.Context()) })
		if (len(given) == 1 && given[0] == sender) != c.given || len(events) != map[bool]int{true: 0, false: min(1, c.ours)}[c.given] {
			t.Errorf("%+v: given up %v, with %d events", c, given, len(events))
		}
		if c.given && len(f.asked) != 3 {
			t.Errorf("%+v: %d pages were read", c, len(f.asked))
		}
	}
	if maxForeign != 200 || pageLimit != 1000 || maxEvents != 10_000 || maxPages != 1000 || maxBad != 100 {
		t.Error("the bounds are others than were thought about")
	}
}

// Windows that were cut off are read in their order, and an end that lies before the beginning is none.
func TestTheRestOfAHistoryComesInItsOrder(t *testing.T) {
	h := newHistory(&reader{}, 10, 30, nil)
	h.events = []consortium.Event{at(10, 0, "A"), at(19, 0, "B"), at(25, 0, "C")}
	s := &stretch{book: book{next: "x"}}
	h.shorten(s, 20)
	if h.last != 19 || s.book.next != "" || len(h.events) != 2 {
		t.Errorf("up to %d, %v", h.last, rounded(h.events))
	}
	h.shorten(s, 99) // beyond the window
	if h.last != 18 {
		t.Errorf("up to %d", h.last)
	}
	h.shorten(s, 10) // nothing of the first round
	if h.last != 10 {
		t.Errorf("up to %d", h.last)
	}
	h.stretches["X"] = s
	for _, want := range [][2]uint64{{11, 18}, {19, 19}, {20, 30}} {
		if !h.advance() || h.first != want[0] || h.last != want[1] || len(h.events) != 0 || len(h.stretches) != 0 {
			t.Errorf("from %d to %d with %v, want %v", h.first, h.last, rounded(h.events), want)
		}
	}
	if h.advance() {
		t.Error("there is more")
	}
	h.after = []uint64{40, 30}
	if !h.advance() || h.first != 31 || h.last != 40 {
		t.Errorf("from %d to %d", h.first, h.last)
	}
}

// However long a history is, little more is held than may be at once.
func TestALongHistoryIsNotHeldAtOnce(t *testing.T) {
	w := newWriter()
	f := newFake(t, 500)
	for round := uint64(10); round < 20; round++ {
		f.list = append(f.list, w.object(t, round, 0))
	}
	f.page = 2
	r := f.reader(t)
	r.most = 3
	h := newHistory(r, 10, 30, func([]consortium.Event) []consortium.Publisher {
		return []consortium.Publisher{{Account: w.Address.String(), Since: 1}}
	})
	held := 0
	events, _, windows := all(t, h, func() (bool, string, error) {
		done, given, err := h.step(t.Context())
		held = max(held, len(h.events))
		return done, given, err
	})
	if len(events) != 10 || windows < 3 || held > 3 {
		t.Errorf("%d events in %d windows, of which %d were held at once", len(events), windows, held)
	}
}
