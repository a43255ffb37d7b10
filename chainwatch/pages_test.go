package chainwatch

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
)

func rounded(events []consortium.Event) (list []string) {
	for _, e := range events {
		list = append(list, e.Position.String())
	}
	return list
}

func TestAWindowIsAskedForPageByPage(t *testing.T) {
	w := newWriter()
	f := newFake(t, 500, w.object(t, 10, 0), w.object(t, 10, 1), w.object(t, 20, 0), w.object(t, 21, 0))
	f.page = 3
	r := newRounds(f.reader(t), 10, 20)
	for i, want := range []bool{false, true} {
		if done, err := r.step(t.Context()); done != want || err != nil {
			t.Fatalf("after page %d it is done: %v, %v", i+1, done, err)
		}
	}
	if got := rounded(r.events); r.last != 20 || !slices.Equal(got, []string{"10:0", "10:1", "20:0"}) {
		t.Errorf("up to round %d: %v", r.last, got)
	}
	const common = "/v2/transactions?limit=1000&max-round=20&min-round=10&"
	want := []string{common + "note-prefix=c2VydmljZWxlZGdlci8xMDAxOmo%3D&tx-type=acfg", common + "next=3&note-prefix=c2VydmljZWxlZGdlci8xMDAxOmo%3D&tx-type=acfg"}
	if got := f.queries(); !slices.Equal(got, want) {
		t.Errorf("asked for\n%q, want\n%q", got, want)
	}
	unfiltered := f.reader(t)
	unfiltered.filters = filters{}
	if _, err := newRounds(unfiltered, 1, 2).step(t.Context()); err != nil || f.queries()[2] != "/v2/transactions?limit=1000&max-round=2&min-round=1" {
		t.Errorf("asked for %q: %v", f.queries()[2], err)
	}
}

// Beyond the indexer's own last round there may be more tomorrow.
func TestAWindowEndsWhereTheIndexerDoes(t *testing.T) {
	w := newWriter()
	for round, want := range map[uint64]uint64{15: 15, 20: 20, 25: 20} {
		f := newFake(t, round, w.object(t, 12, 0), w.object(t, 16, 0))
		r := newRounds(f.reader(t), 10, 20)
		for done := false; !done; {
			var err error
			done, err = r.step(t.Context())
			must(t, err)
		}
		if r.last != want || len(r.events) != map[bool]int{true: 1, false: 2}[round < 16] {
			t.Errorf("with an indexer at round %d it ends at %d, with %v", round, r.last, rounded(r.events))
		}
	}
}

func TestAPageThatCanNotBeHadIsAskedForAgainAndNoOther(t *testing.T) {
	w := newWriter()
	f := newFake(t, 500, w.object(t, 10, 0), w.object(t, 11, 0))
	f.page = 1
	f.instead = func(n int, _ string, _ url.Values) (int, string) {
		if n == 2 {
			return 500, `{"message":"out of order"}`
		}
		return 0, ""
	}
	r := newRounds(f.reader(t), 10, 20)
	if done, err := r.step(t.Context()); done || err != nil {
		t.Fatal(done, err)
	}
	if done, err := r.step(t.Context()); done || err == nil || !strings.HasPrefix(err.Error(), "asking the indexer for rounds 10 to 20: ") {
		t.Errorf("%v, %v", done, err)
	}
	for done := false; !done; {
		var err error
		done, err = r.step(t.Context())
		must(t, err)
	}
	if got := rounded(r.events); !slices.Equal(got, []string{"10:0", "11:0"}) || len(f.queries()) != 4 {
		t.Errorf("%v by %d requests", got, len(f.queries()))
	}
}

// An indexer that gives the same again would never end, or seem to have ended; what it gave is read anew.
func TestPagesThatDoNotGoOnAreReadAnew(t *testing.T) {
	w := newWriter()
	one, two := w.object(t, 10, 0), w.object(t, 11, 0)
	for what, pages := range map[string][]string{
		"the page names itself":            {answer(500, "a", one), answer(500, "a", two)},
		"the page before under other name": {answer(500, "a", one, two), answer(500, "b", two)},
	} {
		f := newFake(t, 500, one, two)
		f.instead = func(n int, _ string, _ url.Values) (int, string) {
			if n <= len(pages) {
				return 200, pages[n-1]
			}
			return 0, ""
		}
		r := newRounds(f.reader(t), 10, 20)
		if _, err := r.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if done, err := r.step(t.Context()); done || err == nil || !strings.Contains(err.Error(), "don't go on") || len(r.events) != 0 || r.book.next != "" || r.first != 10 || r.asked != 20 {
			t.Errorf("%s: %v, %v; %+v", what, done, err, r)
		}
	}
}

func TestABookEndsWithAnEmptyPageOrOneThatIsTheLast(t *testing.T) {
	page := func(next string, ids ...string) (p models.TransactionsResponse) {
		p.NextToken = next
		for _, id := range ids {
			p.Transactions = append(p.Transactions, models.Transaction{Id: id})
		}
		return p
	}
	var b book
	for i, c := range []struct {
		page  models.TransactionsResponse
		ended bool
		bad   bool
	}{
		{page("1", "A", "B"), false, false}, {page("2", "B", "C"), false, false}, {page("3", "A"), false, false}, // only the page before counts
		{page("3", "D"), false, true}, {page("4", "A"), false, true}, {page("4", "A", "D"), false, false}, {page("5"), true, false}, {page("", "E"), true, false},
	} {
		if ended, err := b.turn(c.page); ended != c.ended || (err != nil) != c.bad {
			t.Errorf("page %d: %v, %v", i, ended, err)
		}
	}
	if b.pages != 4 || b.next != "4" {
		t.Errorf("%d pages, at %q", b.pages, b.next)
	}
}

func TestAWindowHasAThousandPages(t *testing.T) {
	t.Parallel()
	f := newFake(t, 500)
	f.instead = func(n int, _ string, _ url.Values) (int, string) {
		return 200, answer(500, fmt.Sprint(n), foreign(fmt.Sprint(n), 10))
	}
	r := newRounds(f.reader(t), 10, 20)
	for n := range 1001 {
		if done, err := r.step(t.Context()); done || (err != nil) != (n == 1000) {
			t.Fatalf("after %d pages: %v, %v", n+1, done, err)
		}
	}
	if r.book.pages != 0 {
		t.Error("it does not begin anew")
	}
	f.asked = nil
	if _, found, _, err := f.reader(t).ofAccount(t.Context(), "none", "X", 1, 9); err == nil || found || len(f.asked) != 1001 {
		t.Errorf("of an account %d pages are read: %v", len(f.asked), err)
	}
}

func TestAWindowThatHoldsEnoughEndsBeforeARoundThatIsNotWhole(t *testing.T) {
	w := newWriter()
	list := []models.Transaction{w.object(t, 10, 0), w.object(t, 11, 0), w.object(t, 12, 0), w.object(t, 12, 1), w.object(t, 13, 0)}
	for most, want := range map[int]struct {
		last   uint64
		events int
	}{1: {10, 1}, 2: {10, 1}, 3: {11, 2}, 4: {11, 2}, 5: {12, 4}, 6: {20, 5}} {
		f := newFake(t, 500, list...)
		f.page = 1
		r := newRounds(f.reader(t), 10, 20)
		r.reader.most = most
		for done := false; !done; {
			var err error
			done, err = r.step(t.Context())
			must(t, err)
		}
		if r.last != want.last || len(r.events) != want.events {
			t.Errorf("with %d at most it ends at %d with %d events, want %+v", most, r.last, len(r.events), want)
		}
	}
	// One round alone may hold more.
	f := newFake(t, 500, w.object(t, 10, 0), w.object(t, 10, 1), w.object(t, 10, 2))
	f.page = 1
	r := newRounds(f.reader(t), 10, 20)
	r.reader.most = 1
	for done := false; !done; {
		var err error
		done, err = r.step(t.Context())
		must(t, err)
	}
	if r.last != 20 || len(r.events) != 3 {
		t.Errorf("it ends at %d with %d events", r.last, len(r.events))
	}
}

func TestOnlyAnAscendingPageTellsWhatIsWhole(t *testing.T) {
	for _, c := range []struct {
		rounds   []uint64
		complete uint64
		want     uint64
	}{
		{[]uint64{10}, 9, 9}, {[]uint64{11}, 9, 10}, {[]uint64{10, 10, 12}, 9, 11}, {[]uint64{10, 12, 11}, 9, 9}, {[]uint64{9, 12}, 9, 9}, {[]uint64{8}, 9, 9}, {[]uint64{12, 13}, 11, 12},
	} {
		var page []models.Transaction
		for _, round := range c.rounds {
			page = append(page, foreign("x", round))
		}
		if got := ascending(page, c.complete); got != c.want {
			t.Errorf("%v after %d: whole up to %d, want %d", c.rounds, c.complete, got, c.want)
		}
	}
}

func TestWhatDoesNotCountIsRememberedUpToABound(t *testing.T) {
	w := newWriter()
	malformed := func(round uint64) models.Transaction {
		m := w.object(t, round, 0)
		m.Signature.Sig = nil
		return m
	}
	r := reader{decode: fakeDecoder}
	var win window
	for n := range uint64(101) {
		r.take(&win, []models.Transaction{malformed(n + 1), foreign("x", n)})
	}
	if len(win.bad) != 100 || len(win.events) != 0 || win.bad[0].round != 1 || win.bad[0].sender != w.Address.String() || win.bad[0].txid == "" || win.bad[0].err == nil {
		t.Errorf("%d are remembered: %+v", len(win.bad), win.bad[0])
	}
	win.first, win.last = 1, 500
	if win.cut(50); len(win.bad) != 50 || win.last != 50 {
		t.Errorf("%d are left up to round %d", len(win.bad), win.last)
	}
	if win.cut(60); win.last != 50 {
		t.Errorf("a window grows to %d", win.last)
	}
	win.first = 2
	win.events = []consortium.Event{at(1, 0, "A"), at(2, 0, "B"), at(50, 0, "C"), at(51, 0, "D")}
	if win.cut(50); !slices.Equal(rounded(win.events), []string{"2:0", "50:0"}) {
		t.Errorf("%v are left", rounded(win.events))
	}
}

func TestAnIndexerThatGivesATransactionTwoPlacesIsAskedAgain(t *testing.T) {
	w := window{first: 1, last: 9, events: []consortium.Event{at(3, 1, "A"), at(4, 0, "B"), at(5, 1, "A")}}
	if err := w.order(); err == nil || !strings.Contains(err.Error(), "transaction A two places, 3:1 and 5:1") {
		t.Errorf("the error is %v", err)
	}
}

func TestAFilterThatIsRefusedIsLeftOut(t *testing.T) {
	refusal := func(text string) string { return `{"message":"` + text + `"}` }
	for _, c := range []struct {
		message string
		from    filters
		refused bool
		want    filters
	}{
		{"provided disabled parameter: note-prefix", filters{true, true}, true, filters{true, false}},
		{"provided disabled parameter: tx-type", filters{true, true}, true, filters{false, true}},
		{"provided disabled parameter: note-prefix", filters{true, false}, false, filters{true, false}},
		{"provided disabled parameter: tx-type", filters{false, true}, false, filters{false, true}},
		{"provided disabled parameter: limit", filters{true, true}, false, filters{true, true}},
		{"invalid note-prefix", filters{true, true}, false, filters{true, true}},
	} {
		for _, of := range []string{"rounds", "account"} {
			f := newFake(t, 500)
			f.instead = func(n int, _ string, _ url.Values) (int, string) {
				if n == 1 {
					return 400, refusal(c.message)
				}
				return 0, ""
			}
			r := f.reader(t)
			r.filters = c.from
			var err error
			if of == "rounds" {
				_, err = r.page(t.Context(), 1, 2, "")
			} else {
				_, err = r.accountPage(t.Context(), "X", 1, 2, "")
			}
			if (err == nil) != c.refused || r.filters != c.want || len(f.asked) != map[bool]int{true: 2, false: 1}[c.refused] {
				t.Errorf("%s: %q of %+v: then %+v after %d requests, %v", of, c.message, c.from, r.filters, len(f.asked), err)
			}
		}
	}
	var r reader
	if r.filters.txType = true; r.refusedFilter(nil) || r.refusedFilter(errors.New("disabled parameter tx-type")) || !r.filters.txType {
		t.Error("what is no refusal takes a filter off")
	}
}

func TestAPageHasARoundAndAList(t *testing.T) {
	said := []uint64{}
	r := reader{answered: func(round uint64) { said = append(said, round) }}
	var foreign *algorand.ForeignError
	for _, c := range []struct {
		page models.TransactionsResponse
		bad  bool
	}{
		{models.TransactionsResponse{CurrentRound: 7, Transactions: []models.Transaction{}}, false},
		{models.TransactionsResponse{Transactions: []models.Transaction{}}, true}, {models.TransactionsResponse{CurrentRound: 8}, true},
	} {
		if _, err := r.checked(c.page, nil); errors.As(err, &foreign) != c.bad || (err != nil) != c.bad {
			t.Errorf("%+v: %v", c.page, err)
		}
	}
	failed := errors.New("x")
	if _, err := r.checked(models.TransactionsResponse{CurrentRound: 9, Transactions: []models.Transaction{}}, failed); err != failed || !slices.Equal(said, []uint64{7}) {
		t.Errorf("%v; it said %v", err, said)
	}
}

func TestATransactionIsLookedUpByItsId(t *testing.T) {
	w := newWriter()
	one, two := w.object(t, 10, 0), w.object(t, 11, 0)
	f := newFake(t, 500, one, two)
	r := f.reader(t)
	if got, found, round, err := r.transaction(t.Context(), two.Id); err != nil || !found || got.Id != two.Id || round != 500 || f.queries()[0] != "/v2/transactions?txid="+two.Id {
		t.Errorf("%s, %v, %d, %v by %q", got.Id, found, round, err, f.queries())
	}
	if got, found, round, err := r.transaction(t.Context(), "none"); err != nil || found || got.Id != "" || round != 500 {
		t.Errorf("%s, %v, %d, %v", got.Id, found, round, err)
	}
	f.instead = func(int, string, url.Values) (int, string) { return 200, answer(500, "", one) } // another than was asked for
	if got, found, _, err := r.transaction(t.Context(), two.Id); err != nil || found || got.Id != "" {
		t.Errorf("%s, %v, %v", got.Id, found, err)
	}
	f.instead = func(int, string, url.Values) (int, string) { return 500, `{"message":"x"}` }
	if _, found, round, err := r.transaction(t.Context(), strings.Repeat("y", 99)); err == nil || found || round != 0 || !strings.HasPrefix(err.Error(), "asking the indexer for transaction "+strings.Repeat("y", 60)+": ") {
		t.Errorf("%v, %d, %v", found, round, err)
	}
}

func TestATransactionIsLookedForAmongItsSenders(t *testing.T) {
	w := newWriter()
	sender := w.Address.String()
	one, two, three := w.object(t, 10, 0), w.object(t, 11, 0), w.object(t, 12, 0)
	f := newFake(t, 500, one, two, three)
	f.page = 1
	r := f.reader(t)
	f.instead = func(n int, _ string, _ url.Values) (int, string) { f.round = 500 - uint64(n%3); return 0, "" } // 499, 498, 500
	if got, found, round, err := r.ofAccount(t.Context(), two.Id, sender, 5, 12); err != nil || !found || got.Id != two.Id || round != 498 {
		t.Errorf("%s, %v, %d, %v", got.Id, found, round, err)
	}
	path := "/v2/accounts/" + sender + "/transactions?limit=1000&max-round=12&min-round=5&"
	if got := f.queries(); !slices.Equal(got, []string{path + "tx-type=acfg", path + "next=1&tx-type=acfg"}) {
		t.Errorf("asked for %q", got)
	}
	if _, found, round, err := r.ofAccount(t.Context(), "none", sender, 5, 12); err != nil || found || round != 498 || len(f.asked) != 6 {
		t.Errorf("%v, %d, %v after %d requests", found, round, err, len(f.asked))
	}
	r.filters.txType = false
	f.instead = func(int, string, url.Values) (int, string) { return 500, `{"message":"x"}` }
	if _, found, _, err := r.ofAccount(t.Context(), "none", sender, 5, 12); err == nil || found || !strings.HasPrefix(err.Error(), "asking the indexer for the history of "+sender+": ") {
		t.Errorf("%v, %v", found, err)
	}
	if got := f.queries()[6]; got != strings.TrimSuffix(path, "&") {
		t.Errorf("asked for %q", got)
	}
	f.instead = func(int, string, url.Values) (int, string) { return 200, answer(500, "same", one) }
	if _, found, _, err := r.ofAccount(t.Context(), "none", sender, 5, 12); err == nil || found {
		t.Errorf("pages that don't go on: %v, %v", found, err)
	}
}
