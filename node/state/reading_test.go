package state_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/view"
)

func parse(t *testing.T, raw string) *stix.Object {
	t.Helper()
	object, err := stix.Parse([]byte(raw))
	nodetest.Must(t, err)
	return object
}

// Nothing is published for more readers than its marking allows; what has none counts as its collection says.
func TestAnObjectIsPermittedWhereItsLevelAllowsTheReaders(t *testing.T) {
	f := &state.Shared{Self: "self"}
	all, group := wire.Accounts{Members: true}, wire.Accounts{Named: []string{"other"}}
	for _, c := range []struct {
		what    string
		label   string // the object's
		unsaid  string // what objects without a marking count as
		readers wire.Accounts
		level   stix.Level
		refused string
	}{
		{"green for all", "tlp:green", "amber", all, stix.Green, ""},
		{"amber for all", "tlp:amber", "green", all, stix.Amber, `not published in "T": the object carries label "tlp:amber"`},
		{"amber for a group", "tlp:amber", "green", group, stix.Amber, ""},
		{"amber+strict for a group", "tlp:amber+strict", "green", group, stix.AmberStrict, "carries"},
		{"unmarked for all, as green", "", "green", all, stix.Green, ""},
		{"unmarked for all, as amber", "", "amber", all, stix.Amber, "has no marking, and unmarked objects count as TLP:AMBER in this collection"},
		{"unmarked where nothing is said", "", "", group, stix.Red, "count as TLP:RED"},
		{"unmarked where nonsense is said", "", "purple", group, stix.Red, "count as TLP:RED"},
	} {
		raw := nodetest.IndicatorJSON(1)
		if c.label != "" {
			raw = strings.Replace(raw, `"name"`, `"labels":["`+c.label+`"],"name"`, 1)
		}
		into := consortium.Collection{Owner: "self", Properties: wire.Collection{Title: "T", DefaultLevel: c.unsaid, Readers: c.readers}}
		level, err := f.Permit(parse(t, raw), into, stix.Levels{})
		if level != c.level || (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %s, %v", c.what, level, err)
		}
	}
}

// Each collection that others read can need another key: the fees for that are kept.
func TestTheCollectionsThatMayNeedAnotherKeyAreOursThatOthersRead(t *testing.T) {
	w := founded(t)
	other := wire.Accounts{Named: []string{w.bravo.Address()}}
	for n, c := range []struct {
		owner      *nodetest.Org
		properties wire.Collection
		adds       int
	}{
		{w.self, wire.Collection{}, 0},
		{w.self, wire.Collection{Readers: other}, 1},
		{w.self, wire.Collection{Contributors: other}, 1},
		{w.self, wire.Collection{AdHoc: true}, 0},
		{w.self, wire.Collection{AdHoc: true, Readers: other}, 1},
		{w.bravo, wire.Collection{Readers: other}, 0},
	} {
		before := w.State.ToRekey()
		w.collection(c.owner, uuid.NewString(), c.properties)
		if added := w.State.ToRekey() - before; added != c.adds {
			t.Errorf("collection %d adds %d, want %d", n, added, c.adds)
		}
	}
}

// memos are what the outbox keeps under names.
type memos struct {
	kept  map[string][]byte
	fails error
}

func (m memos) Memo(name string) ([]byte, error) { return m.kept[name], m.fails }

func (m memos) SetMemo(name string, data []byte) error {
	m.kept[name] = data
	return m.fails
}

// Who was removed between giving the keys out and their record on the chain has them all the same.
func TestWhoIsRemovedWhileKeysAreOnTheirWayIsExposed(t *testing.T) {
	w := founded(t)
	kept := memos{kept: map[string][]byte{}}
	var given consortium.Position
	w.State.Read(func(s *consortium.State) { given = s.Position() })
	w.removes(w.bravo) // after the keys were given out, before the record
	c := w.collection(w.self, uuid.NewString(), wire.Collection{Readers: wire.Accounts{Members: true, Named: []string{w.bravo.Address()}}})

	exposed := func(c consortium.Collection) string {
		t.Helper()
		names, err := w.State.RemovedFrom(kept, c)
		nodetest.Must(t, err)
		note, err := w.State.ExposedNote(kept, c)
		nodetest.Must(t, err)
		if want := "a removed member still has the key of this collection and can read it: " + strings.Join(names, ", "); (note != "") != (len(names) > 0) || note != "" && note != want {
			t.Errorf("a client is told %q of %v", note, names)
		}
		return strings.Join(names, " ")
	}
	at := func() consortium.Position {
		t.Helper()
		p, err := state.GivenAt(kept, c)
		nodetest.Must(t, err)
		return p
	}
	if got := exposed(c); got != "" || at() != c.Began {
		t.Errorf("where it isn't known when the keys were given: %q, since %s", got, at())
	}
	nodetest.Must(t, state.SetGiven(kept, c, given))
	if got := exposed(c); got != "bravo" || at() != given {
		t.Errorf("where it is known: %q, since %s", got, at())
	}
	for what, change := range map[string]func(*consortium.Collection){
		"it is another member's":  func(c *consortium.Collection) { c.Owner = w.alpha.Address() }, // who gave it out, we don't know when
		"we can't read it":        func(c *consortium.Collection) { c.Former = true },
		"we have no key":          func(c *consortium.Collection) { c.Key = nil },
		"another epoch has begun": func(c *consortium.Collection) { c.Epoch++ },
		"the readers are no more": func(c *consortium.Collection) { c.Properties.Readers = wire.Accounts{} },
		"the epoch began before":  func(c *consortium.Collection) { c.Began = given; c.Owner = w.alpha.Address(); c.Former = true },
	} {
		changed := c
		change(&changed)
		if got := exposed(changed); got != "" {
			t.Errorf("%s: %q", what, got)
		}
	}
	nodetest.Must(t, state.SetGiven(kept, c, consortium.Position{Round: c.Began.Round + 5}))
	if at() != c.Began {
		t.Errorf("given after it began: %s", at())
	}
}

func TestWhoIsExposedIsNotGuessedWhereItCannotBeRead(t *testing.T) {
	w := founded(t)
	kept := memos{kept: map[string][]byte{}}
	c := w.collection(w.self, uuid.NewString(), wire.Collection{Readers: wire.Accounts{Members: true}})
	given := consortium.Position{}
	nodetest.Must(t, state.SetGiven(kept, c, given))
	for name := range kept.kept {
		kept.kept[name] = []byte("{")
	}
	for what, err := range map[string]error{
		"when": second(state.GivenAt(kept, c)), "who": second(w.State.ExposedNow(kept, c)), "names": second(w.State.RemovedFrom(kept, c)), "a note": second(w.State.ExposedNote(kept, c)),
	} {
		if err == nil {
			t.Errorf("%s: what was kept can't be read, and nobody is told", what)
		}
	}
	kept.fails = errors.New("the disk is gone")
	if _, err := state.GivenAt(kept, c); !errors.Is(err, kept.fails) {
		t.Errorf("it gives %v", err)
	}
	if err := state.SetGiven(kept, c, given); !errors.Is(err, kept.fails) {
		t.Errorf("it gives %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// definitions are marking definitions, of this organisation's outbox or in the view.
type definitions struct {
	own   map[string][]string
	view  []*view.Entry
	fails error
	pages int
}

func (d *definitions) Markings(id string, _ int) (list [][]byte, _ error) {
	for _, raw := range d.own[id] {
		list = append(list, []byte(raw))
	}
	return list, d.fails
}

func (d *definitions) Page(q view.Query) (list []*view.Entry, more bool, _ error) {
	d.pages++
	for _, e := range d.view {
		if e.ID == q.IDs[0] && e.DateAdded > q.After {
			list = append(list, e)
		}
	}
	n := min(len(list), q.Limit)
	return list[:n], n < len(list), d.fails
}

func (d *definitions) shows(by *nodetest.Org, raw string) {
	d.view = append(d.view, &view.Entry{ID: marking, Publisher: by.Address(), Object: []byte(raw), DateAdded: int64(len(d.view) + 1)})
}

const marking = "marking-definition--0000aaaa-17d4-4cbf-938f-98ee46b3cd3f"

func defines(kind, value string) string {
	return fmt.Sprintf(`{"type":"marking-definition","spec_version":"2.1","id":%q,"created":"2026-01-02T03:04:05.678Z","definition_type":%q,"definition":{%q:%q}}`, marking, kind, kind, value)
}

// Nobody owns an id: who else defines it can make an object's marking stricter, never weaker, and never known.
func TestOnlyThePublishersOwnDefinitionsSayWhatItsMarkingsMean(t *testing.T) {
	w := founded(t)
	green, amber, red, statement := defines("tlp", "green"), defines("tlp", "amber"), defines("tlp", "red"), defines("statement", "ours")
	for _, c := range []struct {
		what                         string
		request, outbox, own, others []string // in the view: of our own, and others'
		want                         stix.Level
	}{
		{"nobody's", nil, nil, nil, nil, stix.Red},
		{"the request's", []string{green}, nil, nil, nil, stix.Green},
		{"the outbox's", nil, []string{green}, nil, nil, stix.Green},
		{"our own in the view", nil, nil, []string{green}, nil, stix.Green},
		{"others' alone", nil, nil, nil, []string{green}, stix.Red},
		{"the strictest of our own", []string{green}, []string{amber}, []string{green}, nil, stix.Amber},
		{"others' that is stricter", []string{green}, nil, nil, []string{amber}, stix.Amber},
		{"others' that is weaker", []string{amber}, nil, nil, []string{green}, stix.Amber},
		{"others' of a statement of ours", []string{statement}, nil, nil, []string{red}, 0},
		{"others' statement", []string{green}, nil, nil, []string{statement}, stix.Green},
		{"rubbish", nil, []string{"{"}, []string{"{"}, nil, stix.Red},
	} {
		d := &definitions{own: map[string][]string{marking: c.outbox}}
		for _, raw := range c.others {
			d.shows(w.bravo, raw)
		}
		for range 100 { // more than a page
			d.view = append(d.view, &view.Entry{ID: marking, Publisher: w.alpha.Address(), Object: []byte("{"), DateAdded: int64(len(d.view) + 1)})
		}
		for _, raw := range c.own {
			d.shows(w.self, raw)
		}
		m := w.State.Markings(d, d, w.self.Address())
		for _, raw := range c.request {
			m.Add(parse(t, raw).ID, func() ([]byte, error) { return []byte(raw), nil })
		}
		marked := &stix.Object{Markings: []string{marking}}
		if level, _, _ := m.Levels().Of(marked); level != c.want || m.Err != nil {
			t.Errorf("%s: %s, want %s; %v", c.what, level, c.want, m.Err)
		}
		pages := d.pages
		if m.Levels().Of(marked); d.pages != pages || pages != 2 {
			t.Errorf("%s: %d pages are read, and %d when it is asked again", c.what, pages, d.pages-pages)
		}
	}
}

// What another member's markings mean, what we are publishing says nothing of.
func TestWhatWePublishSaysNothingOfAnotherMembersMarkings(t *testing.T) {
	w := founded(t)
	d := &definitions{own: map[string][]string{marking: {defines("tlp", "green")}}}
	d.shows(w.self, defines("tlp", "green"))
	m := w.State.Markings(d, d, w.bravo.Address())
	if m.Resolve(marking) != nil {
		t.Error("ours is taken for theirs")
	}
	d.shows(w.bravo, defines("tlp", "amber"))
	if m = w.State.Markings(d, d, w.bravo.Address()); m.Resolve(marking) == nil {
		t.Error("theirs is not found")
	}
}

func TestAStoreThatFailsMakesNoMarkingKnown(t *testing.T) {
	w := founded(t)
	d := &definitions{own: map[string][]string{marking: {defines("tlp", "clear")}}, fails: errors.New("the disk is gone")}
	for _, publisher := range []*nodetest.Org{w.self, w.bravo} {
		m := w.State.Markings(d, d, publisher.Address())
		if m.Resolve(marking) != nil || !errors.Is(m.Err, d.fails) {
			t.Errorf("it is known, or nobody is told: %v", m.Err)
		}
	}
}

// A member can publish as many definitions of one marking as it likes.
func TestOfOneMarkingAThousandDefinitionsAreRead(t *testing.T) {
	w := founded(t)
	d := &definitions{}
	for range 1024 {
		d.shows(w.bravo, defines("tlp", "green"))
	}
	d.shows(w.self, defines("tlp", "green"))
	m := w.State.Markings(d, d, w.self.Address())
	if m.Resolve(marking) != nil || d.pages != 16 {
		t.Errorf("after %d pages the last is found", d.pages)
	}
}

func TestTheConfigurationSaysWhatOtherMarkingsCountAs(t *testing.T) {
	got, err := state.ReadMarkings(map[string]string{" Classification ": "amber", "internal": "none", "Marking-Definition--0000AAAA-17d4-4cbf-938f-98ee46b3cd3f": "green"})
	if err != nil || len(got) != 3 || got["CLASSIFICATION"] != stix.Amber || got[marking] != stix.Green {
		t.Errorf("%v, %v", got, err)
	}
	if level, said := got["INTERNAL"]; !said || level != 0 {
		t.Errorf("none counts as %s", level)
	}
	if _, err := state.ReadMarkings(map[string]string{"x": "purple"}); err == nil || !strings.Contains(err.Error(), `tlp.markings: "x"`) || !strings.Contains(err.Error(), "nor none") {
		t.Errorf("a level that is none: %v", err)
	}
	if got, err := state.ReadMarkings(nil); err != nil || len(got) != 0 {
		t.Errorf("nothing: %v, %v", got, err)
	}
}

// What some member calls its collection decides nothing that wasn't asked of that member.
func TestANameIsThatOfOurCollectionOrElseOfTheConsortiums(t *testing.T) {
	list := []state.CalledCollection{
		{ID: "id-of-theirs", Alias: "notes", Owner: "bravo"},
		{ID: "id-of-ours", Alias: "notes", Owner: "self", Own: true},
		{ID: "common", Alias: "feed", Owner: "alpha", Common: true},
		{ID: "theirs-too", Alias: "feed", Owner: "bravo"},
		{ID: "first", Alias: "twice", Owner: "self", Own: true},
		{ID: "second", Alias: "twice", Owner: "self", Own: true},
		{ID: "without"},
		{ID: "only-theirs", Alias: "id-of-ours", Owner: "bravo"},
		{ID: "x", Alias: "alone", Owner: "bravo"},
	}
	for name, want := range map[string]string{
		"notes": "id-of-ours", "bravo/notes": "id-of-theirs", "self/notes": "id-of-ours", "feed": "common", "bravo/feed": "theirs-too", "alpha/feed": "common",
		"id-of-ours": "id-of-ours", "without": "without", "bravo/id-of-ours": "only-theirs",
	} {
		if i, err := state.Choose(list, name); err != nil || list[i].ID != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	for name, because := range map[string]string{
		"twice":       "2 collections of one owner are called",
		"alone":       `another member's is named by its id, or as bravo/alone`,
		"bravo/twice": `or as self/twice`,
		"nothing":     `this organisation can read no collection "nothing"; there are feed, notes, twice`,
		"ntoes":       "is notes meant?",
		"note":        "is notes meant?",
		"alnoe":       `"alnoe"; there are feed, notes, twice`,
		"":            "this organisation can read no collection",
		"bravo/":      "this organisation can read no collection",
	} {
		if _, err := state.Choose(list, name); err == nil || !strings.Contains(err.Error(), because) {
			t.Errorf("%q: %v, want %s", name, err, because)
		}
	}
}

func TestACollectionIsCalledByItsOwnersNameAndItsAlias(t *testing.T) {
	w := founded(t)
	ours := w.collection(w.self, uuid.NewString(), wire.Collection{Alias: "notes"})
	theirs := w.collection(w.bravo, uuid.NewString(), wire.Collection{Alias: "notes"})
	for name, want := range map[string]string{"notes": ours.ID, "bravo/notes": theirs.ID, theirs.ID: theirs.ID, w.Chain.Collection: w.Chain.Collection} {
		if c, err := w.State.Called(name); err != nil || c.ID != want {
			t.Errorf("%s is %s, %v", name, c.ID, err)
		}
	}
	if _, err := w.State.Called("x"); err == nil {
		t.Error("a name of nothing is one of something")
	}
	if ids := w.State.Collections(); len(ids) != 3 || !slices.IsSortedFunc(ids, func(a, b consortium.Collection) int { return strings.Compare(a.ID, b.ID) }) {
		t.Errorf("%d collections are known", len(ids))
	}
}
