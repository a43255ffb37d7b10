package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/taxii"
)

var (
	reader    = taxii.Principal{User: "rita", Role: taxii.RoleReader}
	publisher = taxii.Principal{User: "paula", Role: taxii.RolePublisher}
)

// world is one of the members self, founder and mallory.
type world struct {
	*worldtest.HostileWorld
	room *Room
	log  *waiting.Text
	n    int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{HostileWorld: worldtest.NewHostileWorld(t), log: new(waiting.Text)}
	w.open()
	return w
}

// open begins as after a start.
func (w *world) open() {
	w.T.Helper()
	f := &search.Finder{View: w.R.View, Index: w.R.Find, State: w.State, Outbox: w.R.Outbox, Everything: "everything", Others: "others"}
	room, err := New(f, w.R.Outbox, &signal.Signal{}, slog.New(slog.NewTextHandler(w.log, nil)))
	nodetest.Must(w.T, err)
	w.room = room
}

// object publishes an indicator with a pattern.
func (w *world) object(pattern string) string {
	w.n++
	id := fmt.Sprintf("indicator--%08x-27d4-4cbf-938f-98ee46b3cd3f", w.n)
	w.EnterBy(w.Founder.Address(), fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-01-02T03:04:05.678Z","modified":"2026-01-02T03:04:05.678Z","pattern":"[%s]","pattern_type":"stix","valid_from":"2026-01-02T03:04:05Z"}`,
		id, pattern))
	return id
}

func (w *world) add(values ...string) taxii.AssetsChanged {
	w.T.Helper()
	done, err := w.room.ChangeAssets(w.T.Context(), publisher, taxii.AssetChange{Add: values, Note: "ours"})
	nodetest.Must(w.T, err)
	return done
}

// found writes matches down, sorted.
func found(all taxii.AssetMatches) string {
	var lines []string
	for _, m := range all.Matches {
		lines = append(lines, fmt.Sprintf("%s %s %s", m.Asset.Value, m.How, m.Value))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func TestAddingAnAssetLooksAtWhatIsThere(t *testing.T) {
	w := newWorld(t)
	w.object("ipv4-addr:value = '203.0.113.7'")
	w.object("ipv4-addr:value = '203.0.0.0/16'")
	w.object("url:value = 'https://mail.acme.example/x'")
	w.object("email-addr:value = 'ceo@acme.example'")
	w.object("domain-name:value = 'xn--mnchen-3ya.example'")
	w.object("domain-name:value = 'other.example'")
	done := w.add("203.0.113[.]0/24", "hxxp://acme[.]example/nowhere", "acme.example", "münchen.example", "acme.example")
	if want := "203.0.113.0/24 around 203.0.0.0/16; 203.0.113.0/24 in 203.0.113.7; acme.example in ceo@acme.example; acme.example in https://mail.acme.example/x; xn--mnchen-3ya.example same xn--mnchen-3ya.example"; found(done.Matches) != want {
		t.Errorf("found are\n%s\nwant\n%s", found(done.Matches), want)
	}
	if done.Added != 4 || done.Known != 1 || done.Assets != 4 || !done.Matches.Whole {
		t.Errorf("%+v", done)
	}
	w.open()
	assets, err := w.room.Assets(t.Context(), reader)
	nodetest.Must(t, err)
	all, err := w.room.AssetMatches(t.Context(), reader)
	nodetest.Must(t, err)
	if len(assets) != 4 || assets[0].Note != "ours" || assets[0].By != "paula" || found(all) != found(done.Matches) {
		t.Errorf("after a restart %+v, %s", assets, found(all))
	}
	changed, err := w.room.ChangeAssets(t.Context(), publisher, taxii.AssetChange{Remove: []string{"acme.example", "nowhere.example"}})
	nodetest.Must(t, err)
	if changed.Removed != 1 || changed.Unknown != 1 || changed.Assets != 3 {
		t.Errorf("%+v", changed)
	}
	w.open()
	if all, err = w.room.AssetMatches(t.Context(), reader); err != nil || strings.Contains(found(all), "ceo@") {
		t.Errorf("what is watched for no more is found: %s, %v", found(all), err)
	}
}

func TestAnObjectIsToldByTheClosestWayInWhichItIsAboutAnAsset(t *testing.T) {
	w := newWorld(t)
	w.object("ipv4-addr:value = '203.0.0.0/16' OR ipv4-addr:value = '203.0.113.7' OR ipv4-addr:value = '203.0.113.0/24'")
	w.object("ipv4-addr:value = '203.0.0.0/16' OR ipv4-addr:value = '203.0.113.7'")
	w.add("203.0.113.0/24")
	for range 50 { // in no order it would be another one each time
		all, err := w.room.AssetMatches(t.Context(), reader)
		nodetest.Must(t, err)
		if want := "203.0.113.0/24 in 203.0.113.7; 203.0.113.0/24 same 203.0.113.0/24"; found(all) != want {
			t.Fatalf("found are %s, want %s", found(all), want)
		}
	}
}

func TestWhatComesInIsHeldAgainstTheList(t *testing.T) {
	w := newWorld(t)
	w.add("203.0.113.0/24")
	nodetest.Must(t, w.room.Memos.SetMemo(placeMemo, []byte("1"))) // it has looked before
	w.object("ipv4-addr:value = '203.0.113.7'")
	w.object("ipv4-addr:value = '198.51.100.7'")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.room.Run(ctx) }()
	waiting.Until(t, "the first match", func() bool { return w.room.matched.Load() == 1 })
	w.object("ipv4-addr:value = '203.0.113.8' OR ipv4-addr:value = '203.0.113.9'")
	w.room.Shown.Notify()
	waiting.Until(t, "the second match", func() bool { return w.room.matched.Load() == 2 })
	cancel()
	nodetest.Must(t, <-ended)
	said := w.log.String()
	if !strings.Contains(said, "concerns this organisation") || strings.Contains(said, "203.0") {
		t.Errorf("the log says %s", said)
	}
	if s := w.room.Status(); s == nil || s.Assets != 1 || s.Matched != 2 {
		t.Errorf("the status is %+v", s)
	}
	recent, err := w.room.Since(t.Context(), reader, time.Unix(0, 0), 10)
	if err != nil || recent.Objects != 2 || len(recent.IDs) != 2 || recent.More {
		t.Errorf("lately came %+v, %v", recent, err)
	}
	limited := reader
	limited.Limits.Read = []string{}
	if recent, err = w.room.Since(t.Context(), limited, time.Unix(0, 0), 10); err != nil || recent.Objects != 0 {
		t.Errorf("an account with limits is told of %+v, %v", recent, err)
	}
}

var errKilled = errors.New("killed")

// dying are memos of a node that is killed when it keeps its place.
type dying struct {
	memos
	killed bool
}

func (d *dying) SetMemo(name string, data []byte) error {
	if d.killed {
		return errKilled
	}
	return d.memos.SetMemo(name, data)
}

func TestWhoIsKilledBeforeItHasToldTellsAgain(t *testing.T) {
	w := newWorld(t)
	w.add("203.0.113.7")
	nodetest.Must(t, w.room.Memos.SetMemo(placeMemo, []byte("1")))
	w.object("ipv4-addr:value = '203.0.113.7'")
	w.room.Memos = &dying{w.room.Memos, true}
	if err := w.room.Run(t.Context()); !errors.Is(err, errKilled) {
		t.Fatalf("it ends with %v", err)
	}
	w.open()
	after, err := w.room.place()
	nodetest.Must(t, err)
	next, err := w.room.look(after)
	if err != nil || next <= after || w.room.matched.Load() != 1 {
		t.Errorf("after it was killed it tells of %d, %v", w.room.matched.Load(), err)
	}
	if again, err := w.room.look(next); err != nil || again != next {
		t.Errorf("then it looks at %d again, %v", again, err)
	}
	all, err := w.room.AssetMatches(t.Context(), reader)
	if err != nil || len(all.Matches) != 1 {
		t.Errorf("the list has it %d times, %v", len(all.Matches), err)
	}
}

// Whatever is watched for and whatever an object is about: they match as their values contain each other.
func TestMatchesAreWhatContainsOrIsContained(t *testing.T) {
	texts := rapid.SampledFrom([]string{
		"203.0.113.7", "203.0.113.0/24", "203.0.112.0/23", "0.0.0.0/0", "2001:db8::1", "2001:db8::/32", "acme.example", "www.acme.example", "a.www.acme.example", "acmex.example", "example.org",
		"https://www.acme.example/x", "http://203.0.113.7/", "ceo@acme.example", "CVE-2024-3094", "d41d8cd98f00b204e9800998ecf8427e",
	})
	rapid.Check(t, func(rt *rapid.T) {
		of := map[observable.Value]taxii.Asset{}
		for _, text := range rapid.SliceOfN(texts, 0, 8).Draw(rt, "assets") {
			of[observable.Parse(text)[0]] = taxii.Asset{Value: text}
		}
		l := listOf(of)
		v := observable.Parse(texts.Draw(rt, "value"))[0]
		got := map[observable.Value]string{}
		l.each(v, func(asset observable.Value, how string) bool {
			if got[asset] != "" {
				rt.Fatalf("%s is told twice", asset)
			}
			got[asset] = how
			return true
		})
		for asset := range of {
			want := ""
			switch {
			case asset == v:
				want = taxii.ConcernSame
			case asset.Contains(v):
				want = taxii.ConcernIn
			case v.Contains(asset):
				want = taxii.ConcernAround
			}
			if got[asset] != want {
				rt.Fatalf("%s and the asset %s: %q, want %q", v, asset, got[asset], want)
			}
		}
	})
}

func TestWhatIsWatchedForIsBoundedAndNotQuoted(t *testing.T) {
	w := newWorld(t)
	limited := publisher
	limited.Limits.Write = []string{}
	many := make([]string, taxii.MaxAssets)
	for i := range many {
		many[i] = fmt.Sprintf("10.0.%d.%d", i/256, i%256)
	}
	if done := w.add(many...); done.Assets != taxii.MaxAssets {
		t.Fatalf("%+v", done)
	}
	var invalid *taxii.InvalidError
	for _, c := range []struct {
		who  taxii.Principal
		what taxii.AssetChange
		want error
	}{
		{reader, taxii.AssetChange{Add: []string{"a.example"}}, taxii.ErrForbidden},
		{limited, taxii.AssetChange{Add: []string{"a.example"}}, taxii.ErrForbidden},
		{publisher, taxii.AssetChange{}, nil},
		{publisher, taxii.AssetChange{Add: []string{"a.example"}}, nil}, // one more than may be
		{publisher, taxii.AssetChange{Add: append(many, "a.example")}, nil},
		{publisher, taxii.AssetChange{Add: []string{"secret words"}}, nil},
		{publisher, taxii.AssetChange{Remove: []string{"a.example b.example"}}, nil},
		{publisher, taxii.AssetChange{Add: []string{many[0]}, Note: strings.Repeat("x", maxNote+1)}, nil},
	} {
		_, err := w.room.ChangeAssets(t.Context(), c.who, c.what)
		if c.want != nil && !errors.Is(err, c.want) || c.want == nil && !errors.As(err, &invalid) {
			t.Errorf("%s changes %d: %v", c.who.User, len(c.what.Add), err)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "a.example")) {
			t.Errorf("the error quotes: %v", err)
		}
	}
	if done, err := w.room.ChangeAssets(t.Context(), publisher, taxii.AssetChange{Add: []string{"a.example"}, Remove: many[:1]}); err != nil || done.Assets != taxii.MaxAssets {
		t.Errorf("one in place of another: %+v, %v", done, err)
	}
	if _, err := w.room.Assets(t.Context(), limited); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("an account with limits is shown what is watched for: %v", err)
	}
	if strings.Contains(w.log.String(), "10.0.") {
		t.Errorf("the log says %s", w.log.String())
	}
}
