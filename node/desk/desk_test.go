package desk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/arrivals"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/repotest"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const (
	open   = "7f0a4d1c-2f5e-4f43-9d3b-0d6d5c2f9a01" // what limited accounts don't see
	narrow = "7f0a4d1c-2f5e-4f43-9d3b-0d6d5c2f9a02" // what they see
)

// somebody comes with a role, limited to collections unless there are none.
func somebody(user string, role taxii.Role, only ...string) console.By {
	return console.By{Principal: taxii.Principal{User: user, Role: role, Credential: "session", Limits: taxii.Limits{Read: only, Write: only}}, Remote: "192.0.2.9", Request: "r-1"}
}

var (
	anna = somebody("anna", taxii.RoleAdmin)
	lena = somebody("lena", taxii.RolePublisher, narrow)
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a desk before a view in memory; what goes onto the chain is done by fakes.
type world struct {
	*Desk
	t     testing.TB
	shelf shelf
	round uint64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	r, closed, err := repotest.New(t.TempDir(), config.Default(), repotest.Hooks{})
	must(t, err)
	t.Cleanup(func() { must(t, closed()) })
	trail := auditlog.New(r)
	api := &control.API{
		Repo: r, State: state.New("SELF", consortium.New(7, "CHARTER", nil), nil), Trail: trail, Accounts: clients.NewAccounts(r, trail),
		Watcher: atTheTip{}, Collections: maker{}, Feeds: pump{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	api.Withdrawer, api.Notary = shower{view: r.View}, stamp{}
	d := &Desk{api: api}
	d.press = &press{Desk: d, clients: taxii.Config{Store: twoCollections{}, Publisher: mill{}, Rehearser: mill{}, Auditor: trail, Feedback: mouth{}}}
	return &world{Desk: d, t: t, shelf: shelf{d, newFinder(api, d.press.clients)}}
}

func (w *world) news() news {
	return news{w.Desk, w.shelf.find, nil, &arrivals.Book{View: w.api.Repo.View, Now: time.Now}}
}

// atTheTip has followed the chain to its tip.
type atTheTip struct{}

func (atTheTip) AwaitTip(context.Context) error { return nil }
func (atTheTip) State() chainwatch.State        { return chainwatch.State{} }

// maker changes collections, and nothing but that they have changed.
type maker struct{ *collections.Owner }

var errChain = errors.New("the chain refused it")

func (maker) Create(_ context.Context, s collections.Spec) (consortium.Collection, error) {
	if s.Title == "refused" {
		return consortium.Collection{}, errChain
	}
	return consortium.Collection{ID: open}, nil
}
func (maker) Grant(context.Context, string, collections.Grant) (consortium.Collection, error) {
	return consortium.Collection{}, nil
}
func (maker) Revoke(context.Context, string, []string) (consortium.Collection, error) {
	return consortium.Collection{}, nil
}
func (maker) Rotate(context.Context, string) (consortium.Collection, error) {
	return consortium.Collection{}, nil
}

// pump has feeds that run and rest.
type pump struct{ *feeds.Feeds }

func (pump) RunSoon(string) error                   { return nil }
func (pump) Add(config.Feed) (feeds.Info, error)    { return feeds.Info{}, nil }
func (pump) Remove(string) error                    { return nil }
func (pump) Pause(string, bool) (feeds.Info, error) { return feeds.Info{}, nil }

// shower shows all that there is of an object, to whoever asks: what an account may see is the desk's business.
type shower struct {
	*withdraw.Withdrawer
	view *view.View
}

func (s shower) Publications(id string) (shown []withdraw.Publication, err error) {
	if id == "ENDED" {
		return nil, problem.Input(errors.New("transaction ENDED published nothing that is in the view"))
	}
	entries, _, err := s.view.Page(view.Query{Collection: view.Everything, IDs: []string{id}, AnyLine: true, Versions: view.Versions{All: true}, Limit: 10})
	for _, e := range entries {
		shown = append(shown, withdraw.Publication{ID: e.ID, Version: e.Version, Collection: e.Collection, TxID: e.TxID, Index: e.Position.Index})
	}
	return shown, err
}

// stamp proves everything.
type stamp struct{ *proof.Notary }

func (stamp) Verify(context.Context, string) (proof.Verification, error) {
	return proof.Verification{Explorer: "https://explorer.example"}, nil
}
func (stamp) Evidence(context.Context, string, bool) ([]byte, error) { return []byte("{}"), nil }

// twoCollections can be written, as far as the store knows: what an account may do there is the desk's business.
type twoCollections struct{ taxii.Store }

func (twoCollections) Roots(context.Context, taxii.Principal) ([]taxii.Root, error) {
	return []taxii.Root{{Name: "acme"}}, nil
}
func (twoCollections) Collections(context.Context, taxii.Principal, string) ([]taxii.Collection, error) {
	return []taxii.Collection{{ID: open, Root: "acme", CanRead: true, CanWrite: true}, {ID: narrow, Root: "acme", CanRead: true, CanWrite: true}}, nil
}

// mill takes everything in.
type mill struct{}

func (mill) Publish(_ context.Context, _ taxii.Principal, _ taxii.Collection, a taxii.Addition) (s taxii.Status, _ error) {
	s.ID = "status-1"
	for i := range a.Objects.Len() {
		s.Pendings = append(s.Pendings, taxii.StatusDetail{ID: id("indicator", i)})
	}
	return s, nil
}
func (mill) Status(context.Context, taxii.Principal, string, string) (taxii.Status, error) {
	return taxii.Status{}, taxii.ErrNotFound
}
func (mill) Rehearse(_ context.Context, _ taxii.Principal, _ taxii.Collection, a taxii.Addition) (r taxii.Rehearsal, _ error) {
	r.Objects = make([]taxii.RehearsedObject, a.Objects.Len())
	return r, nil
}

// id is that of object n of a type.
func id(kind string, n int) string {
	return fmt.Sprintf("%s--%08d-17d4-4cbf-938f-98ee46b3cd3f", kind, n)
}

// add publishes an object; more are its properties beside type and id.
func (w *world) add(collection, id, more string) {
	w.t.Helper()
	w.round++
	kind, _, _ := strings.Cut(id, "--")
	object := fmt.Sprintf(`{"type":%q,"spec_version":"2.1","id":%q,"created":"2026-11-23T00:00:00.000Z","modified":"2026-11-23T00:00:00.000Z",%s}`, kind, id, more)
	hash := sha256.Sum256(fmt.Append(nil, w.round, object))
	letters := strings.NewReplacer("0", "Z", "1", "Z", "8", "Y", "9", "X")
	e := view.NewEvent{Effect: consortium.Object, Event: consortium.Event{
		Position: consortium.Position{Round: w.round}, TxID: letters.Replace(strings.ToUpper(fmt.Sprintf("%x", hash[:26]))), Sender: "ALPHA", Asset: 1000 + w.round,
		Note: wire.Note{Kind: wire.KindObject, Sequence: w.round}, Directory: "bafy",
	}}
	must(w.t, w.api.Repo.View.Append([]view.NewEvent{e}, nil))
	logged, _, err := w.api.Repo.View.Event(e.TxID)
	must(w.t, err)
	version := time.Date(2026, 11, 23, 0, 0, int(w.round), 0, time.UTC)
	must(w.t, w.api.Repo.View.Settle([]view.Outcome{{Event: logged, State: view.InView, Entry: &view.Entry{
		Collection: collection, ID: id, Type: kind, Version: wire.FormatTime(version), Instant: version, Hash: hash[:],
		Position: e.Position, Publisher: e.Sender, TxID: e.TxID, Asset: e.Asset, Directory: e.Directory, Object: []byte(object),
	}}}))
}

const pattern = `"name":"C2","pattern_type":"stix","pattern":"[ipv4-addr:value = '203.0.113.7']","valid_from":"2026-01-01T00:00:00Z"`

// fill publishes a malware that all may see, and around it what they may see and what not.
func (w *world) fill() {
	w.add(open, id("malware", 1), `"name":"Tarn"`)
	w.add(narrow, id("malware", 1), `"name":"TarnLocker","created_by_ref":"`+id("identity", 9)+`"`)
	w.add(narrow, id("indicator", 2), pattern)
	w.add(open, id("indicator", 3), pattern)
	w.add(narrow, id("relationship", 4), fmt.Sprintf(`"relationship_type":"indicates","source_ref":%q,"target_ref":%q`, id("indicator", 2), id("malware", 1)))
	w.add(open, id("relationship", 5), fmt.Sprintf(`"relationship_type":"indicates","source_ref":%q,"target_ref":%q`, id("indicator", 3), id("malware", 1)))
	w.add(open, id("report", 6), fmt.Sprintf(`"name":"Cold Harbour","object_refs":[%q]`, id("malware", 1)))
	w.add(open, id("identity", 9), `"name":"CERT-Alpha"`)
}

// sight is what accounts are shown of something, in a few words: without limits and with.
type sight struct {
	see       func(console.By) string
	all, some string
}

func compare(t *testing.T, sights map[string]sight) {
	for name, one := range sights {
		t.Run(name, func(t *testing.T) {
			if got := one.see(anna); got != one.all {
				t.Errorf("an account without limits sees %q, not %q", got, one.all)
			}
			if got := one.see(lena); got != one.some {
				t.Errorf("an account with limits sees %q, not %q", got, one.some)
			}
		})
	}
}

func TestAnAccountWithLimitsReadsNothingOutsideOfItsCollections(t *testing.T) {
	w := newWorld(t)
	w.fill()
	ctx := t.Context()
	object := func(by console.By, n string) string {
		o, err := w.shelf.Object(ctx, by, n)
		if err != nil {
			return fmt.Sprint(errors.Is(err, taxii.ErrNotFound))
		}
		return fmt.Sprint(len(o.Versions), " ", o.Creator, " ", called(o.JSON))
	}
	missing := func(err error) string { return fmt.Sprint(errors.Is(err, taxii.ErrNotFound)) }
	compare(t, map[string]sight{
		"an object of both collections": {func(by console.By) string { return object(by, id("malware", 1)) }, "2 CERT-Alpha TarnLocker", "1  TarnLocker"},
		"an object of another":          {func(by console.By) string { return object(by, id("indicator", 3)) }, "1  C2", "true"},
		"what has ended":                {func(by console.By) string { return object(by, "ENDED") }, "false", "true"},
		"a creator's name":              {func(by console.By) string { return w.shelf.nameOf(ctx, by, id("identity", 9)) }, "CERT-Alpha", ""},
		"a version": {func(by console.By) string {
			_, err := w.shelf.Raw(ctx, by, id("malware", 1), wire.FormatTime(time.Date(2026, 11, 23, 0, 0, 1, 0, time.UTC)))
			return missing(err)
		}, "false", "true"},
		"a proof":  {func(by console.By) string { _, err := w.shelf.Check(ctx, by, id("report", 6)); return missing(err) }, "false", "true"},
		"evidence": {func(by console.By) string { _, err := w.shelf.Evidence(ctx, by, id("report", 6)); return missing(err) }, "false", "true"},
	})
}

func TestAnAccountWithLimitsFindsAndCountsNothingOutsideOfItsCollections(t *testing.T) {
	w := newWorld(t)
	w.fill()
	ctx := t.Context()
	compare(t, map[string]sight{
		"a lookup": {func(by console.By) string {
			found, err := w.shelf.find.Lookup(ctx, by, observable.Parse("203.0.113.7"))
			must(t, err)
			return fmt.Sprint(len(found[0].Hits), found[0].More)
		}, "2 false", "1 false"},
		"a list": {func(by console.By) string {
			found, err := w.shelf.find.List(ctx, by, console.Question{Limit: 50})
			must(t, err)
			return fmt.Sprint(len(found.Rows), found.Next != "", found.Note)
		}, "7 false", "3 false"},
		"a list of words": {func(by console.By) string {
			found, err := w.shelf.find.List(ctx, by, console.Question{Text: "Cold Harbour", Limit: 50})
			must(t, err)
			return fmt.Sprint(len(found.Rows), found.Next != "", found.Note)
		}, "1 false", "0 false"},
		"what is around": {func(by console.By) string {
			found, err := w.shelf.Around(ctx, by, id("malware", 1), 50)
			must(t, err)
			return fmt.Sprint(len(found.Near), len(found.More), found.Wait)
		}, "4 0", "1 0"},
		"what is around, counted": {func(by console.By) string {
			found, err := w.shelf.Around(ctx, by, id("malware", 1), 0)
			must(t, err)
			return fmt.Sprint(found.More[console.Group{Relation: "indicates", Type: "indicator"}])
		}, "2", "1"},
		"the newest": {func(by console.By) string {
			found, err := w.Newest(ctx, by, 50)
			must(t, err)
			return fmt.Sprint(len(found))
		}, "7", "3"},
		"an index in the making": {func(by console.By) string { return fmt.Sprint(strings.ContainsAny(waiting(by, false, 3, 9), "39")) }, "true", "false"},
		"where to publish": {func(by console.By) string {
			found, err := w.press.Targets(ctx, by)
			must(t, err)
			return fmt.Sprint(len(found))
		}, "2", "1"},
		"a rehearsal": {func(by console.By) string {
			_, err := w.press.Rehearse(ctx, by, console.Publication{Collection: open})
			return fmt.Sprint(err)
		}, "<nil>", taxii.ErrForbidden.Error()},
		"a publication": {func(by console.By) string {
			_, err := w.press.Publish(ctx, by, console.Publication{Collection: open})
			return fmt.Sprint(err)
		}, "<nil>", taxii.ErrForbidden.Error()},
	})
}

func TestAnAccountWithLimitsIsToldOfNothingThatCameOutsideOfItsCollections(t *testing.T) {
	w := newWorld(t)
	w.fill()
	compare(t, map[string]sight{
		"how many are new": {func(by console.By) string {
			came, err := w.news().Since(t.Context(), by, time.Time{}, 50)
			must(t, err)
			return fmt.Sprint(came.Objects, came.More, came.Types["indicator"])
		}, "7 false 2", "3 false 1"},
		"what came by days": {func(by console.By) string {
			a, err := w.news().Arrivals(t.Context(), by)
			must(t, err)
			return fmt.Sprint(a.All, len(a.Types), len(a.Members))
		}, "8 5 1", "3 3 1"},
	})
}

func TestWhoMayReadEverythingSeesWhatCameLast(t *testing.T) {
	w := newWorld(t)
	w.fill()
	everything := clients.EverythingID(w.api.Consortium)
	for _, limits := range [][]string{{everything}, {narrow, everything}} {
		if found, err := w.Newest(t.Context(), somebody("emma", taxii.RoleReader, limits...), 50); err != nil || len(found) != 7 {
			t.Errorf("who may read %v is shown %+v, %v", limits, found, err)
		}
	}
}

func TestWhereNobodyChoseTheConsortiumsCollectionIsPublishedIn(t *testing.T) {
	all := map[string]consortium.Collection{
		"1": {Properties: wire.Collection{AdHoc: true}}, "2": {}, "3": {Default: true}, "4": {},
	}
	targets := []console.Target{{ID: "1", Title: "A"}, {ID: "2", Title: "Z"}, {ID: "3", Title: "Y"}, {ID: "4", Title: "B"}}
	arrange(targets, func(id string) (consortium.Collection, bool) { c, found := all[id]; return c, found })
	var order string
	for _, t := range targets {
		order += t.ID
	}
	if order != "3421" {
		t.Errorf("the collections stand in the order %s", order)
	}
}

func TestWhoReadsOnlyPublishesNothing(t *testing.T) {
	w := newWorld(t)
	by := somebody("rita", taxii.RoleReader)
	if list, err := w.press.Targets(t.Context(), by); err != nil || len(list) != 0 {
		t.Errorf("a reader may publish in %+v, %v", list, err)
	}
	if _, err := w.press.Publish(t.Context(), by, console.Publication{Collection: open}); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("a reader's publication is answered with %v", err)
	}
}

func TestWhatIsDoneInTheConsoleStandsInTheAuditLogUnderTheUsersName(t *testing.T) {
	w := newWorld(t)
	ctx, acc := t.Context(), access{w.Desk}
	two := func(_ bool, err error) error { return err }
	for _, test := range append(opinionated(ctx, w), []deed{
		{"create-collection", func() error {
			_, _, err := w.CreateCollection(ctx, anna, console.NewCollection{Title: "x"})
			return err
		}, false},
		{"create-collection", func() error {
			_, _, err := w.CreateCollection(ctx, anna, console.NewCollection{Title: "refused"})
			return err
		}, true},
		{"grant", func() error { return two(w.Grant(ctx, anna, open, []string{"bravo"}, "", false)) }, false},
		{"revoke", func() error { return two(w.Revoke(ctx, anna, open, []string{"bravo"})) }, false},
		{"rotate", func() error { return two(w.RenewKey(ctx, anna, open)) }, false},
		{"add-feed", func() error { return feedRoom{w.Desk}.AddFeed(ctx, anna, console.NewFeed{Name: "abuse"}) }, false},
		{"remove-feed", func() error { return feedRoom{w.Desk}.RemoveFeed(ctx, anna, "abuse") }, false},
		{"run-feed", func() error { return feedRoom{w.Desk}.RunFeed(ctx, anna, "abuse") }, false},
		{"pause-feed", func() error { return feedRoom{w.Desk}.PauseFeed(ctx, anna, "abuse", true) }, false},
		{"resume-feed", func() error { return feedRoom{w.Desk}.PauseFeed(ctx, anna, "abuse", false) }, false},
		{"sign-up", func() error { return acc.AddAccount(ctx, anna, "olga", "a long enough password", "reader", nil) }, false},
		{"remove-user", func() error { return acc.RemoveAccount(ctx, anna, "olga") }, false},
		{"add-key", func() error { _, err := acc.AddKey(ctx, anna, "siem", "reader", 30, nil); return err }, false},
		{"remove-key", func() error { return acc.RemoveKey(ctx, anna, "siem") }, false},
		{"publish", func() error {
			_, err := w.press.Publish(ctx, anna, console.Publication{Collection: open, Objects: [][]byte{[]byte(`{}`)}})
			return err
		}, false},
	}...) {
		t.Run(test.event, func(t *testing.T) {
			lines := func() (list []taxii.Event) {
				_, err := audit{w.Desk}.Latest(ctx, time.Time{}, "", "", func(e taxii.Event) bool { list = append(list, e); return true })
				must(t, err)
				return list
			}
			before := len(lines())
			if err := test.do(); (err != nil) != test.fails {
				t.Fatal(err)
			}
			after := lines()
			if test.fails {
				if len(after) != before {
					t.Errorf("what failed stands there as done: %+v", after[0])
				}
				return
			}
			if len(after) != before+1 {
				t.Fatalf("%d lines were written", len(after)-before)
			}
			if e := after[0]; e.Name != test.event || e.User != "anna" || e.Role != "admin" || e.Remote != "192.0.2.9" || e.Request != "r-1" {
				t.Errorf("the line is %+v", e)
			}
		})
	}
}
