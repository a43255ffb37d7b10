package feed

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// refusing is a server whose first page has a cursor that it refuses, unless followed says so.
func refusing(dates bool, followed func(n int) bool) *requests {
	return &requests{answer: func(n int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("next") != "" && !followed(n) {
			w.WriteHeader(http.StatusGone)
			return
		}
		if dates {
			w.Header().Set("X-TAXII-Date-Added-First", zulu(second(10)))
			w.Header().Set("X-TAXII-Date-Added-Last", zulu(second(20)))
		}
		fmt.Fprintf(w, `{"more":true,"next":"page-%d","objects":[%s]}`, n, indicator(n, ""))
	}}
}

// like reports whether pauses have these lengths in seconds. A part of each is random.
func like(pauses []time.Duration, seconds ...int) bool {
	return slices.EqualFunc(pauses, seconds, func(p time.Duration, n int) bool {
		least := time.Duration(n) * time.Second
		return p >= least && p <= least*5/4
	})
}

func walkAll(t *testing.T, s *taxiiSource) (pages int, err error) {
	t.Helper()
	got := portion{more: true}
	for got.more && pages < 100 {
		if got, err = s.fetch(t.Context(), got.place); err != nil {
			return pages, err
		}
		pages++
	}
	return pages, got.stuck
}

func TestAWalkThatComesNoFartherBeginsAgainFiveTimes(t *testing.T) {
	s := refusing(false, func(int) bool { return false })
	source, pauses := taxiiSourceOf(t, taxiiConfig(serve(t, s)), 4)
	pages, err := walkAll(t, source)
	if !errors.Is(err, errCursor) || !strings.Contains(err.Error(), "6 times in a row") || pages != 6 || len(s.queries) != 12 || !like(*pauses, 1, 4, 16, 16, 16) {
		t.Errorf("%d pages by %d requests after the pauses %v: %v", pages, len(s.queries), *pauses, err)
	}
}

func TestAWalkThatComesFartherEachTimeIsNotGivenUp(t *testing.T) {
	n := 0
	// Each time one more cursor is taken: the refusals are at requests 2, 5, 9, 14, …
	s := refusing(false, func(request int) bool {
		refused := false
		for at, step := 2, 3; at <= request; at, step = at+step, step+1 {
			refused = at == request
		}
		if refused {
			n++
		}
		return !refused || n > 9
	})
	source, pauses := taxiiSourceOf(t, taxiiConfig(serve(t, s)), 4)
	if pages, err := walkAll(t, source); err != nil || pages != 100 || len(*pauses) != 9 {
		t.Errorf("%d pages after the pauses %v: %v", pages, *pauses, err)
	}
	for _, pause := range *pauses {
		if pause > 2*time.Second {
			t.Errorf("it waits %s, as after many refusals in a row", pause)
		}
	}
}

func TestAServerThatNeverTookACursorIsReadByDatesAtOnce(t *testing.T) {
	s := refusing(true, func(int) bool { return false })
	source, pauses := taxiiSourceOf(t, taxiiConfig(serve(t, s)), 4)
	_, err := walkAll(t, source)
	if !errors.Is(err, errCursor) || !strings.Contains(err.Error(), "1 times in a row") || len(s.queries) != 18 || !like(*pauses, 1, 4, 16, 16, 16, 1, 1, 1) {
		t.Errorf("%d requests after the pauses %v: %v", len(s.queries), *pauses, err)
	}
	var from []string
	for _, q := range s.queries {
		if !strings.Contains(q, "next=") && (len(from) == 0 || from[len(from)-1] != q) {
			from = append(from, q)
		}
	}
	want := []string{"limit=500", "added_after=2026-01-02T03%3A00%3A19.000000Z&limit=500", "added_after=2026-01-02T03%3A00%3A19.999000Z&limit=500", "added_after=2026-01-02T03%3A00%3A19.999999Z&limit=500"}
	if !slices.Equal(from, want) {
		t.Errorf("it begins from %q, want %q", from, want)
	}
}

func TestWhoWaitsIsToldOfARefusedCursorAtOnce(t *testing.T) {
	s := refusing(true, func(int) bool { return false })
	source, pauses := taxiiSourceOf(t, taxiiConfig(serve(t, s)), 1)
	if pages, err := walkAll(t, source); statusOf(err) != http.StatusGone || errors.Is(err, errCursor) || pages != 1 || len(s.queries) != 2 || len(*pauses) != 0 {
		t.Errorf("%d pages by %d requests after the pauses %v: %v", pages, len(s.queries), *pauses, err)
	}
}

// What is read to its end by dates may lack something: its dates are cut.
func TestWhatWasReadByDatesIsSaidToBe(t *testing.T) {
	ends := false
	s := &requests{}
	s.answer = func(n int, w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("next") != "":
			w.WriteHeader(http.StatusGone)
		case r.URL.Query().Get("added_after") != "":
			ends = true
			fmt.Fprint(w, `{"more":false}`)
		default:
			w.Header().Set("X-TAXII-Date-Added-First", zulu(second(10)))
			w.Header().Set("X-TAXII-Date-Added-Last", zulu(second(20)))
			fmt.Fprintf(w, `{"more":true,"next":"x","objects":[%s]}`, indicator(n, ""))
		}
	}
	source, _ := taxiiSourceOf(t, taxiiConfig(serve(t, s)), 4)
	if _, err := walkAll(t, source); !ends || !errors.Is(err, errCursor) || !strings.Contains(err.Error(), "it was read by the dates of its pages") {
		t.Errorf("%v, by %q", err, s.queries)
	}
}

func TestOnlySomeRefusalsAreOfACursor(t *testing.T) {
	for status, want := range map[int]bool{400: true, 404: true, 410: true, 422: true, 401: false, 403: false, 409: false, 500: false, 0: false} {
		if got := forgotten(refusal(status, 0)); got != want {
			t.Errorf("status %d: %v", status, got)
		}
	}
	if got := (&taxiiSource{config: Config{URL: "https://x/a/b/"}}).root(); got != "/a/b/" {
		t.Errorf("the root is %q", got)
	}
}
