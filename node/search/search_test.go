package search

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/repotest"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	collectionA = "7f0a4d1c-2f5e-4f43-9d3b-0d6d5c2f9a01"
	collectionB = "7f0a4d1c-2f5e-4f43-9d3b-0d6d5c2f9a02"
	uuid        = "-17d4-4cbf-938f-98ee46b3cd3f"
)

var (
	monday  = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	reader  = taxii.Principal{User: "rita", Role: taxii.RoleReader}
	limited = taxii.Principal{User: "lena", Role: taxii.RoleReader, Limits: taxii.Limits{Read: []string{collectionB}}}
)

// world is a node's view that is searched.
type world struct {
	*Finder
	t     testing.TB
	round uint64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	r, closed, err := repotest.New(t.TempDir(), config.Default(), repotest.Hooks{})
	must(t, err)
	t.Cleanup(func() { must(t, closed()) })
	f := &Finder{View: r.View, Index: r.Find, Outbox: r.Outbox, State: state.New("SELF", consortium.New(7, "CHARTER", nil), nil), Everything: "everything", Others: "others"}
	return &world{Finder: f, t: t}
}

// cid is that of the directory of what is published at a round.
func cid(round uint64) string {
	hash := sha256.Sum256(fmt.Append(nil, round))
	return "b" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(append([]byte{1, 0x70, 0x12, 32}, hash[:]...)))
}

// id is that of object n of a type.
func id(kind string, n int) string { return fmt.Sprintf("%s--%08d%s", kind, n, uuid) }

// add publishes an object; more are its properties beside type and id.
func (w *world) add(member, collection, id, more string) uint64 {
	w.t.Helper()
	w.round++
	kind, _, _ := strings.Cut(id, "--")
	object := fmt.Sprintf(`{"type":%q,"spec_version":"2.1","id":%q,"created":"2026-11-23T00:00:00.000Z","modified":"2026-11-23T00:00:00.000Z",%s}`, kind, id, more)
	hash := sha256.Sum256([]byte(object))
	tx := strings.Map(func(r rune) rune {
		if strings.ContainsRune("0189", r) {
			return 'Z'
		}
		return r
	}, strings.ToUpper(fmt.Sprintf("%x", hash[:26])))
	e := view.NewEvent{Effect: consortium.Object, Event: consortium.Event{
		Position: consortium.Position{Round: w.round}, TxID: tx, Sender: member, Asset: 1000 + w.round,
		Note: wire.Note{Kind: wire.KindObject, Sequence: w.round}, Directory: cid(w.round),
	}}
	must(w.t, w.View.Append([]view.NewEvent{e}, nil))
	logged, _, err := w.View.Event(e.TxID)
	must(w.t, err)
	version := monday.Add(time.Duration(w.round) * time.Second)
	must(w.t, w.View.Settle([]view.Outcome{{Event: logged, State: view.InView, Entry: &view.Entry{
		Collection: collection, ID: id, Type: kind, Version: wire.FormatTime(version), Instant: version, Hash: hash[:],
		Position: e.Position, Publisher: member, TxID: e.TxID, Asset: e.Asset, Directory: cid(w.round), Object: []byte(object),
	}}}))
	return e.Asset
}

func (w *world) withdraw(member string, asset uint64) {
	w.t.Helper()
	_, _, err := w.View.Withdraw(view.Recall{Asset: asset, Senders: []string{member}, At: consortium.Position{Round: math.MaxUint64}})
	must(w.t, err)
}

func says(pattern string, more ...string) string {
	return strings.Join(append([]string{fmt.Sprintf(`"pattern_type":"stix","pattern":"[%s]","valid_from":"2026-01-01T00:00:00Z"`, pattern)}, more...), ",")
}

func ids(hits []Hit) string {
	var list []string
	for _, h := range hits {
		list = append(list, strings.TrimLeft(h.Object.ID[len(h.Object.Type)+2:][:8], "0"))
	}
	return strings.Join(list, " ")
}

func (w *world) lookup(who taxii.Principal, text string) Answer {
	w.t.Helper()
	answers, err := w.Lookup(w.t.Context(), who, observable.Parse(text))
	must(w.t, err)
	if len(answers) != 1 {
		w.t.Fatalf("%q is %d values", text, len(answers))
	}
	return answers[0]
}

func TestAValueIsFoundWithWhatContainsItAndWhatItContains(t *testing.T) {
	w := newWorld(t)
	w.add("ALPHA", collectionA, id("indicator", 1), says("ipv4-addr:value = '203.0.113.7'"))
	w.add("BRAVO", collectionB, id("indicator", 2), says("ipv4-addr:value = '203.0.113.0/24'"))
	w.add("BRAVO", collectionA, id("indicator", 3), says("url:value = 'http://203.0.113.7/x'"))
	w.add("BRAVO", collectionA, id("indicator", 4), says("domain-name:value = 'evil.example' AND file:name = 'x'"))
	w.add("ALPHA", collectionA, id("domain-name", 5), `"value":"www.evil.example"`)
	gone := w.add("ALPHA", collectionA, id("indicator", 6), says("ipv4-addr:value = '203.0.113.7'"))
	w.withdraw("ALPHA", gone)
	w.add("ALPHA", collectionA, id("indicator", 7), says("ipv4-addr:value = '203.0.113.7'", `"valid_until":"2026-02-01T00:00:00Z"`))
	w.add("ALPHA", collectionA, id("sighting", 8), fmt.Sprintf(`"sighting_of_ref":%q`, id("indicator", 1)))
	w.add("ALPHA", collectionA, id("opinion", 9), fmt.Sprintf(`"opinion":"disagree","object_refs":[%q]`, id("indicator", 1)))
	for text, want := range map[string]string{
		"203.0.113[.]7": "1 7|2|3", "203.0.113.0/24": "2||1 7 3", "203.0.0.0/16": "||1 2 7 3", "203.0.113.8": "|2|", "hxxp://203.0.113.7/x": "3|7 1 2|",
		"evil.example": "4||5", "www.evil[.]example": "5|4|", "x@evil.example": "|4|", "198.51.100.1": "||", "file-name:x": "4||",
	} {
		a := w.lookup(reader, text)
		got := ids(a.Exact) + "|" + ids(a.Wider) + "|"
		if narrower := strings.Fields(ids(a.Narrower)); len(narrower) != len(strings.Fields(want[strings.LastIndex(want, "|")+1:])) {
			t.Errorf("%s contains %v", text, narrower)
		}
		if !strings.HasPrefix(want, got) {
			t.Errorf("%s gives %s, want %s", text, got, want)
		}
	}
	a := w.lookup(reader, "203.0.113.7")
	if a.Sightings != 1 || a.Opinions != 1 || strings.Join(a.Members, " ") != "ALPHA" || a.Independent != 1 || !a.Known() {
		t.Errorf("%+v", a)
	}
	if a.Exact[0].Object.Standing != InForce || a.Exact[1].Object.Standing != Expired {
		t.Errorf("in force comes %v, %v", a.Exact[0].Object.Standing, a.Exact[1].Object.Standing)
	}
	// Who may read another collection alone is told of nothing else, and nothing else is counted.
	if a = w.lookup(limited, "203.0.113.7"); ids(a.Exact) != "" || ids(a.Wider) != "2" || ids(a.Narrower) != "" || a.Sightings+a.Opinions+len(a.Members)+a.Independent != 0 {
		t.Errorf("a limited account is told %+v", a)
	}
	for _, test := range []struct {
		read []string
		want string
	}{{nil, "1 7"}, {[]string{}, ""}, {[]string{"everything"}, "1 7"}, {[]string{"others"}, ""}, {[]string{collectionA}, "1 7"}} {
		who := reader
		who.Limits.Read = test.read
		if got := ids(w.lookup(who, "203.0.113.7").Exact); got != test.want {
			t.Errorf("who may read %v is told of %q, want %q", test.read, got, test.want)
		}
	}
	if _, err := w.Lookup(t.Context(), taxii.Principal{}, observable.Parse("203.0.113.7")); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("nobody is answered %v", err)
	}
}

func TestOnlyIndependentSourcesCount(t *testing.T) {
	w := newWorld(t)
	otx := `"external_references":[{"source_name":"otx","external_id":"1"}]`
	p := "domain-name:value = 'evil.example'"
	for n, member := range []string{"ALPHA", "BRAVO", "CHARLIE"} {
		w.add(member, collectionA, id("indicator", 1+n), says(p, otx))
	}
	check := func(when string, objects, members, independent int) {
		t.Helper()
		c, err := w.Corroboration(t.Context(), reader, id("indicator", 1))
		must(t, err)
		if len(c.Objects) != objects || len(c.Members) != members || c.Independent != independent || c.More {
			t.Errorf("%s there are %d objects of %v, %d independent", when, len(c.Objects), c.Members, c.Independent)
		}
		if a := w.lookup(reader, "evil.example"); a.Independent != independent || len(a.Members) != members {
			t.Errorf("%s a lookup says %d of %v", when, a.Independent, a.Members)
		}
	}
	check("with one feed", 2, 3, 1)
	own := w.add("DELTA", collectionA, id("indicator", 4), says(p, fmt.Sprintf(`"created_by_ref":%q`, id("identity", 1))))
	check("with another source", 3, 4, 2)
	w.add("ECHO", collectionA, id("indicator", 5), says(p, fmt.Sprintf(`"created_by_ref":%q`, id("identity", 1))))
	check("with the same author twice", 4, 5, 2)
	w.add("FOXTROT", collectionA, id("indicator", 6), says(p, `"revoked":true`))
	check("with one that is revoked", 4, 5, 2)
	w.withdraw("DELTA", own)
	check("with one withdrawn", 3, 4, 2)
	w.add("DELTA", collectionA, id("indicator", 7), says("domain-name:value = 'other.example'"))
	check("with another value", 3, 4, 2)
	if _, err := w.Corroboration(t.Context(), limited, id("indicator", 1)); !errors.Is(err, taxii.ErrNotFound) {
		t.Errorf("who may not read it is told %v", err)
	}
}

func TestAValueThatTooManyAreAboutCorroboratesNothing(t *testing.T) {
	w := newWorld(t)
	for n := range MaxSame + 2 {
		w.add("ALPHA", collectionA, id("indicator", n), says("file:name = 'setup.exe'"))
	}
	c, err := w.Corroboration(t.Context(), reader, id("indicator", 1))
	must(t, err)
	if !c.More || len(c.Objects) != 0 || c.Independent != 1 {
		t.Errorf("%+v", c)
	}
	if a := w.lookup(reader, "file-name:setup.exe"); !a.More || len(a.Exact) != MaxExact {
		t.Errorf("%d are told of, more: %v", len(a.Exact), a.More)
	}
}

// found gives the numbers of the objects of all pages.
func (w *world) found(who taxii.Principal, q Query) string {
	w.t.Helper()
	var list []string
	for {
		page, err := w.Find(w.t.Context(), who, q)
		must(w.t, err)
		for _, s := range page.Objects {
			list = append(list, strings.TrimLeft(s.ID[len(s.Type)+2:][:8], "0"))
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return strings.Join(list, " ")
		}
	}
}

func TestABoxTakesWhatSomebodyTypes(t *testing.T) {
	w := newWorld(t)
	w.add("ALPHA", collectionA, id("malware", 1), `"name":"LockBit 3.0","is_family":true,"malware_types":["ransomware"],"labels":["crime"]`)
	w.add("BRAVO", collectionB, id("indicator", 2), says("ipv4-addr:value = '203.0.113.7'", `"name":"C2 of LockBit","confidence":80,"object_marking_refs":["marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"]`))
	w.add("ALPHA", collectionA, id("vulnerability", 3), `"name":"CVE-2024-3094"`)
	w.add("ALPHA", collectionA, id("attack-pattern", 4), `"name":"Phishing","external_references":[{"source_name":"mitre-attack","external_id":"T1566"}]`)
	w.add("ALPHA", collectionA, id("indicator", 5), says("domain-name:value = 'evil.example'", `"name":"Lock picking","confidence":20`))
	tx, err := w.View.Latest(collectionA, id("malware", 1))
	must(t, err)
	for _, test := range []struct {
		q    Query
		want string
	}{
		{Query{}, "5 4 3 2 1"}, {Query{Text: "lockbit"}, "2 1"}, {Query{Text: "LOCKBIT 3"}, "2 1"}, {Query{Text: "lock"}, "5 2 1"}, {Query{Text: "c2 lock"}, "2"}, {Query{Text: "lockbit c2"}, "2"},
		{Query{Text: "c2 nothing"}, ""}, {Query{Text: "ransom"}, "1"}, {Query{Text: "203.0.113[.]7"}, "2"}, {Query{Text: "203.0.113.0/24"}, "2"}, {Query{Text: "cve-2024-3094"}, "3"},
		{Query{Text: "t1566"}, "4"}, {Query{Text: id("malware", 1)}, "1"}, {Query{Text: tx.TxID}, "1"}, {Query{Text: strings.ToLower(tx.TxID)}, "1"}, {Query{Text: strings.Repeat("A", 52)}, ""},
		{Query{Type: "indicator"}, "5 2"}, {Query{Member: "BRAVO"}, "2"}, {Query{Collection: collectionB}, "2"}, {Query{MinConfidence: 50}, "2"}, {Query{Label: "crime"}, "1"},
		{Query{Level: "amber"}, "2"}, {Query{Text: "lock", Type: "indicator"}, "5 2"}, {Query{Standing: Revoked}, ""}, {Query{Text: "!!"}, ""},
	} {
		for limit := range 3 {
			test.q.Limit = limit
			if got := w.found(reader, test.q); got != test.want {
				t.Errorf("%+v gives %q, want %q", test.q, got, test.want)
			}
		}
	}
	if got := w.found(limited, Query{}); got != "2" {
		t.Errorf("a limited account finds %q", got)
	}
	if got := w.found(limited, Query{Text: "lock"}); got != "2" {
		t.Errorf("a limited account finds %q", got)
	}
	for what, q := range map[string]Query{"a cursor": {Cursor: "x"}, "a limit": {Limit: 101}, "a level": {Level: "pink"}, "a confidence": {MinConfidence: 101}, "a long text": {Text: strings.Repeat("a", 5000)}} {
		var invalid *taxii.InvalidError
		if _, err := w.Find(t.Context(), reader, q); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestANewestListHasWhatSomebodyMayReadWhereverElseItIsServed(t *testing.T) {
	w := newWorld(t)
	name := func(n int) string { return fmt.Sprintf(`"name":"x%d"`, n) }
	w.add("ALPHA", collectionA, id("malware", 1), name(1))
	w.add("ALPHA", collectionB, id("malware", 2), name(2))
	w.add("BRAVO", collectionB, id("malware", 1), name(1)) // ALPHA's leads among all collections
	w.add("ALPHA", collectionB, id("malware", 3), name(3))
	w.add("ALPHA", collectionA, id("malware", 3), name(3)) // the last version, in another collection
	for _, test := range []struct {
		read []string
		want string
	}{
		{nil, "3 2 1"}, {[]string{}, ""}, {[]string{"everything"}, "3 2 1"}, {[]string{"others"}, "1"}, {[]string{collectionA}, "3 1"}, {[]string{collectionB}, "3 1 2"},
		{[]string{collectionA, "everything"}, "3 2 1"}, {[]string{"everything", "others"}, "3 1 2 1"},
	} {
		who := reader
		who.Limits.Read = test.read
		for limit := range 3 {
			if got := w.found(who, Query{Limit: limit}); got != test.want {
				t.Errorf("who may read %v is given %q, want %q", test.read, got, test.want)
			}
		}
	}
}

func TestAnObjectIsShownWithWhatIsAroundIt(t *testing.T) {
	w := newWorld(t)
	w.add("ALPHA", collectionA, id("malware", 1), `"name":"LockBit"`)
	w.add("ALPHA", collectionA, id("indicator", 2), says("domain-name:value = 'evil.example'", fmt.Sprintf(`"created_by_ref":%q`, id("identity", 9))))
	w.add("ALPHA", collectionA, id("identity", 9), `"name":"CERT-Alpha"`)
	w.add("ALPHA", collectionA, id("relationship", 3), fmt.Sprintf(`"relationship_type":"indicates","source_ref":%q,"target_ref":%q`, id("indicator", 2), id("malware", 1)))
	w.add("BRAVO", collectionB, id("report", 4), fmt.Sprintf(`"name":"x","object_refs":[%q,%q]`, id("malware", 1), id("malware", 8)))
	n, err := w.Around(t.Context(), reader, id("malware", 1))
	must(t, err)
	if len(n.From) != 2 || n.Counts["report"] != 1 || n.Counts["relationship"] != 1 || n.More {
		t.Errorf("around the malware is %+v", n)
	}
	for _, l := range n.From {
		if l.Kind == "target_ref" && (l.Other == nil || l.Other.ID != id("indicator", 2) || l.Relationship != "indicates") {
			t.Errorf("the relationship is %+v", l)
		}
	}
	if n, err = w.Around(t.Context(), reader, id("report", 4)); err != nil || len(n.To) != 1 || len(n.Missing) != 1 || n.Missing[0] != id("malware", 8) {
		t.Errorf("the report refers to %+v, %v", n, err)
	}
	if n, err = w.Around(t.Context(), limited, id("malware", 1)); err != nil || len(n.From) != 1 || n.Counts["relationship"] != 0 {
		t.Errorf("a limited account is told %+v, %v", n, err)
	}
	list, err := w.Describe(t.Context(), reader, []string{id("indicator", 2), id("malware", 1), id("malware", 8)})
	must(t, err)
	if len(list) != 2 || list[0].Sentence != "evil.example indicates malicious activity." || list[0].AuthorName != "CERT-Alpha" || list[0].Member != "ALPHA" || list[1].Title != "LockBit" {
		t.Errorf("%+v", list)
	}
}

func TestWhatCameInIsCountedAsItIsListed(t *testing.T) {
	w := newWorld(t)
	w.add("ALPHA", collectionA, id("indicator", 1), says("ipv4-addr:value = '203.0.113.7'"))
	before, err := w.Find(t.Context(), reader, Query{})
	must(t, err)
	w.add("ALPHA", collectionA, id("malware", 2), `"name":"Tarn"`)
	w.add("BRAVO", collectionB, id("indicator", 3), says("ipv4-addr:value = '203.0.113.8'"))
	w.add("BRAVO", collectionB, id("indicator", 1), says("ipv4-addr:value = '203.0.113.9'"))
	withBoth := limited
	withBoth.Limits = taxii.Limits{Read: []string{collectionB, "everything"}}
	for _, c := range []struct {
		who   taxii.Principal
		after time.Time
		most  int
		want  string
	}{
		{reader, time.Time{}, 10, "3 false map[indicator:2 malware:1] map[ALPHA:2 BRAVO:1]"},
		{reader, before.Objects[0].Added, 10, "2 false map[indicator:1 malware:1] map[ALPHA:1 BRAVO:1]"},
		{reader, time.Time{}, 3, "3 false map[indicator:2 malware:1] map[ALPHA:2 BRAVO:1]"},
		{reader, time.Time{}, 2, "2 true map[indicator:1 malware:1] map[ALPHA:1 BRAVO:1]"},
		{limited, time.Time{}, 10, "2 false map[indicator:2] map[BRAVO:2]"},
		{withBoth, time.Time{}, 10, "4 false map[indicator:3 malware:1] map[ALPHA:2 BRAVO:2]"},
		{reader, time.Now().Add(time.Hour), 10, "0 false map[] map[]"},
	} {
		n, err := w.Since(t.Context(), c.who, c.after, c.most)
		if got := fmt.Sprint(n.Objects, n.More, n.Types, n.Members); err != nil || got != c.want {
			t.Errorf("%s is told %s, %v, want %s", c.who.User, got, err, c.want)
		}
	}
	if _, err := w.Since(t.Context(), taxii.Principal{}, time.Time{}, 10); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("nobody is told %v", err)
	}
}

func TestALargeListIsFoundInParts(t *testing.T) {
	w := newWorld(t)
	w.most = 1 // one object is held at once
	for n := range 5 {
		w.add("ALPHA", collectionA, id("malware", n), `"name":"LockBit loader"`)
	}
	for _, text := range []string{"", "lockbit loader"} {
		var got []string
		for q := (Query{Text: text, Limit: 2}); ; {
			page, err := w.Find(t.Context(), reader, q)
			must(t, err)
			for _, o := range page.Objects {
				got = append(got, o.ID[15:17])
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if list := strings.Join(got, " "); list != "04 03 02 01 00" {
			t.Errorf("%q finds %s", text, list)
		}
	}
}

// A CID, as a chain's explorer shows it, leads to the object that is stored there, and to nobody who may not read it.
func TestACIDFindsWhatIsStoredThere(t *testing.T) {
	w := newWorld(t)
	w.add("ALPHA", collectionA, id("malware", 1), `"name":"x"`)
	w.add("ALPHA", collectionA, id("malware", 2), `"name":"y"`)
	for text, want := range map[string]string{cid(1): id("malware", 1), " " + strings.ToUpper(cid(2)) + " ": id("malware", 2), cid(3): ""} {
		page, err := w.Find(t.Context(), reader, Query{Text: text})
		must(t, err)
		answers, err := w.Lookup(t.Context(), reader, observable.Parse(text))
		must(t, err)
		switch {
		case want == "":
			if len(page.Objects) > 0 || answers[0].Known() {
				t.Errorf("of nothing: %+v, %+v", page, answers)
			}
		case page.Read != "cid" || len(page.Objects) != 1 || page.Objects[0].ID != want || len(answers[0].Exact) != 1 || answers[0].Exact[0].Object.ID != want || answers[0].Exact[0].Role != observable.Stored:
			t.Errorf("%q: %+v, %+v", text, page, answers)
		}
		answers, err = w.Lookup(t.Context(), limited, observable.Parse(text))
		if must(t, err); answers[0].Known() {
			t.Errorf("%q is found by who may not read it: %+v", text, answers)
		}
	}
}

func TestAnAnswerSaysOnWhichWarningListsAValueIs(t *testing.T) {
	w := newWorld(t)
	w.Warned = func(v observable.Value) (list []taxii.WarningList, err error) {
		if v.Text == "8.8.8.8" {
			list = append(list, taxii.WarningList{Name: "resolvers", Class: "shared"})
		}
		return list, nil
	}
	answers, err := w.Lookup(t.Context(), reader, observable.Parse("8.8.8.8 203.0.113.7"))
	if must(t, err); len(answers[0].Warned) != 1 || answers[0].Warned[0].Name != "resolvers" || answers[1].Warned != nil || answers[0].Known() {
		t.Errorf("%+v", answers)
	}
	w.Warned = func(observable.Value) ([]taxii.WarningList, error) { return nil, errors.New("the disk is gone") }
	if _, err := w.Lookup(t.Context(), reader, observable.Parse("8.8.8.8")); err == nil {
		t.Error("what can't be looked up is said to be on no list")
	}
}
