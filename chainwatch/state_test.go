package chainwatch

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestTheStateIsAlwaysAsFarAsTheCursor(t *testing.T) {
	w := New(Config{Indexers: []Indexer{{}}, Poll: time.Hour})
	w.state.Cursor, w.state.CaughtUp, w.state.GivenUp = 100, true, []string{"X"}
	w.sources[0].tip.hear(50, 50)
	w.sources[0].tip.has(60)
	if s := w.State(); s.Tip != 100 || s.Algod != 60 || s.Indexer != 50 || !s.CaughtUp {
		t.Errorf("%+v", s)
	}
	w.state.Problem = ProblemAhead
	if s := w.State(); s.Tip != 60 || s.CaughtUp {
		t.Errorf("%+v", s)
	}
	w.State().GivenUp[0] = "Y"
	if w.state.GivenUp[0] != "X" {
		t.Error("who looks can change it")
	}
}

func TestTheLogTellsOfChangesOnly(t *testing.T) {
	var log bytes.Buffer
	w := New(Config{Indexers: []Indexer{{}}, Poll: time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, c := range []struct {
		problem, detail, want string
		since                 bool
	}{
		{"", "", "", false}, {ProblemIndexer, "x", `level=WARN msg="the indexer can't be followed; it will be asked again" error=x`, true}, {ProblemIndexer, "y", "", true},
		{"", "", `level=INFO msg="the indexer answers again"`, false}, {ProblemBehind, "z", `level=WARN msg="following the chain waits" problem=behind detail=z`, true},
		{ProblemIndexer, "x", `level=WARN msg="the indexer can't be followed; it will be asked again" error=x`, true}, {ProblemAlgod, "z", `level=WARN msg="following the chain waits" problem=algod detail=z`, true},
		{"", "", `level=INFO msg="following the chain goes on" problem=algod`, false},
	} {
		log.Reset()
		w.setProblem(c.problem, c.detail)
		if got := log.String(); !strings.HasSuffix(strings.TrimSpace(got), c.want) || (got == "") != (c.want == "") || w.state.Problem != c.problem || w.state.Detail != c.detail || w.state.Since.IsZero() == c.since {
			t.Errorf("%q: %q, want %q; since %s", c.problem, got, c.want, w.state.Since)
		}
	}
}

func TestWhatDoesNotCountIsCountedOnceByItsKind(t *testing.T) {
	var log bytes.Buffer
	w := New(Config{Indexers: []Indexer{{}}, Poll: time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))})
	forged := bad{"F", "S", 7, fmt.Errorf("x: %w", &forgedError{"why"}), "I"}
	w.report([]bad{forged, {"M", "S", 8, errors.New("form"), "I"}, forged, {"N", "S", 9, errors.New("form"), "I"}})
	if s := w.State(); s.Forged != 1 || s.Malformed != 2 {
		t.Errorf("%+v", s)
	}
	text := log.String()
	if !strings.Contains(text, `level=ERROR msg="a source gave a forged transaction" source=I txid=F round=7 error="x: forged: why" so_far=1`) ||
		!strings.Contains(text, `level=WARN msg="a transaction does not count" txid=N sender=S round=9 error=form so_far=2`) {
		t.Error(text)
	}
	for n := range 4093 {
		w.report([]bad{{fmt.Sprint(n), "S", 9, errors.New("form"), "I"}})
	}
	if len(w.told) != 4096 || strings.Count(log.String(), "\n") != 5 {
		t.Errorf("%d are remembered, by %d lines", len(w.told), strings.Count(log.String(), "\n"))
	}
	if w.report([]bad{{"more", "S", 9, errors.New("form"), "I"}}); len(w.told) != 1 || !w.told["more"] {
		t.Errorf("%d are remembered", len(w.told))
	}
}

func TestATransactionIsFoundOrItsAbsenceIsDated(t *testing.T) {
	wr := newWriter()
	one := wr.object(t, 10, 0)
	f := newFake(t, 500, one)
	w := f.watcher(t, "", &shelf{last: 1}, nil)
	sender := wr.Address.String()
	if got, err := w.Find(t.Context(), one.Id); err != nil || !got.Found || got.Round != 500 || got.Event.TxID != one.Id || !bytes.Equal(got.Signed.Sig[:], one.Signature.Sig) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := w.Trace(t.Context(), one.Id, sender, 1, 99); err != nil || !got.Found || len(f.asked) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	round, asset, tip, err := Minted(t.Context(), f.client(t), one.Id, sender, 1, 99)
	if err != nil || round != 10 || asset != one.CreatedAssetIndex || tip != 500 || len(f.asked) != 3 {
		t.Errorf("round %d, asset %d, tip %d, %v", round, asset, tip, err)
	}
	hidden := func(then func(path string) (int, string)) {
		f.instead = func(_ int, path string, _ url.Values) (int, string) {
			if path == "/v2/transactions" {
				return 200, answer(490, "")
			}
			return then(path)
		}
	}
	hidden(func(string) (int, string) { return 0, "" })
	if got, err := w.Trace(t.Context(), one.Id, sender, 1, 99); err != nil || !got.Found || got.Round != 500 || got.Event.TxID != one.Id || !bytes.Equal(got.Signed.Sig[:], one.Signature.Sig) {
		t.Errorf("from its sender's: %+v, %v", got, err)
	}
	if got := f.queries()[len(f.asked)-1]; !strings.HasPrefix(got, "/v2/accounts/"+sender+"/transactions?limit=1000&max-round=99&min-round=1") {
		t.Errorf("asked for %q", got)
	}
	if round, asset, _, err := Minted(t.Context(), f.client(t), one.Id, sender, 1, 99); err != nil || round != 10 || asset != one.CreatedAssetIndex {
		t.Errorf("from its sender's: round %d, asset %d, %v", round, asset, err)
	}
	for said, want := range map[uint64]uint64{480: 480, 495: 490} {
		hidden(func(string) (int, string) { return 200, answer(said, "") })
		if got, err := w.Trace(t.Context(), one.Id, sender, 1, 99); err != nil || got.Found || got.Round != want {
			t.Errorf("absent: %+v, %v, want up to %d", got, err, want)
		}
		if round, asset, tip, err := Minted(t.Context(), f.client(t), one.Id, sender, 1, 99); err != nil || round != 0 || asset != 0 || tip != want {
			t.Errorf("absent: round %d, asset %d, tip %d, %v", round, asset, tip, err)
		}
	}
	hidden(func(string) (int, string) { return 500, `{"message":"x"}` })
	if got, err := w.Trace(t.Context(), one.Id, sender, 1, 99); err == nil || got.Found {
		t.Errorf("absence is concluded from an error: %+v", got)
	}
	if _, _, _, err := Minted(t.Context(), f.client(t), one.Id, sender, 1, 99); err == nil {
		t.Error("absence is concluded from an error")
	}
	lie := one
	lie.Fee++
	var invalid *InvalidError
	var forged *forgedError
	hidden(func(string) (int, string) { return 200, answer(500, "", lie) })
	if got, err := w.Trace(t.Context(), one.Id, sender, 1, 99); !errors.As(err, &invalid) || !errors.As(err, &forged) || got.Found {
		t.Errorf("a lie: %+v, %v", got, err)
	}
	f.instead = func(int, string, url.Values) (int, string) { return 200, answer(500, "", lie) }
	if got, err := w.Find(t.Context(), one.Id); !errors.As(err, &invalid) || !errors.As(err, &forged) || got.Found {
		t.Errorf("a lie: %+v, %v", got, err)
	}
	f.instead = func(int, string, url.Values) (int, string) { return 500, `{"message":"x"}` }
	if got, err := w.Trace(t.Context(), one.Id, sender, 1, 99); err == nil || errors.As(err, &invalid) || got.Found || got.Round != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, _, _, err := Minted(t.Context(), f.client(t), one.Id, sender, 1, 99); err == nil {
		t.Error("an error is dropped")
	}
}
