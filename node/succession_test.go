package node

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// taken wants one object to be taken in, with a note that has these words, or none.
func taken(t *testing.T, s taxii.Status, words ...string) {
	t.Helper()
	if len(s.Pendings) != 1 || len(s.Failures) > 0 {
		t.Errorf("status %+v", s)
		return
	}
	note := s.Pendings[0].Note
	for _, word := range words {
		if !strings.Contains(note, word) {
			t.Errorf("the note %q does not speak of %s", note, word)
		}
	}
	if len(words) == 0 && note != "" {
		t.Errorf("the note %q", note)
	}
}

// wantRefused wants one object to be refused for a reason with these words.
func wantRefused(t *testing.T, s taxii.Status, words string) {
	t.Helper()
	if len(s.Failures) != 1 || !strings.Contains(s.Failures[0].Message, words) || s.Failures[0].Note != "" {
		t.Errorf("status %+v, want a failure about %q", s, words)
	}
}

// MISP moves created with every edit (MISP#5752).
func TestALaterVersionInTheOwnLineIsTakenWhateverChanged(t *testing.T) {
	for name, test := range map[string]struct {
		before, after string
		note          []string
	}{
		"as the standard has it":       {indicatorJSON(1), versionOf(1, firstTime, secondTime, ""), nil},
		"created moved":                {indicatorJSON(1), versionOf(1, secondTime, secondTime, ""), []string{"created is"}},
		"another creator":              {indicatorJSON(1), versionOf(1, firstTime, secondTime, author), []string{"created_by_ref is"}},
		"both, and a revocation":       {indicatorJSON(1), versionOf(1, secondTime, secondTime, author+revoked), []string{"created is", "created_by_ref is"}},
		"after a revocation":           {versionOf(1, firstTime, firstTime, revoked), versionOf(1, firstTime, secondTime, ""), []string{"revoked is taken back"}},
		"an older one, late":           {versionOf(1, secondTime, thirdTime, ""), versionOf(1, firstTime, secondTime, ""), []string{"created is"}},
		"without what a type requires": {indicatorJSON(1), strings.Replace(versionOf(1, firstTime, secondTime, ""), `"pattern"`, `"x"`, 1), []string{"pattern is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFoundedWorld(t)
			w.enterBy(w.self.address(), test.before)
			taken(t, add(w, false, test.after), test.note...)
		})
	}
}

// What others publish under an id is a line of their own.
func TestWhatOthersPublishedIsNoReasonForANote(t *testing.T) {
	w := newFoundedWorld(t)
	w.enterBy("SOMEBODY", versionOf(1, firstTime, secondTime, revoked+author))
	taken(t, add(w, false, versionOf(1, thirdTime, thirdTime, "")))
	w.enterBy(w.self.address(), versionOf(1, firstTime, "2026-01-03T03:04:05.678Z", ""))
	taken(t, add(w, false, versionOf(1, thirdTime, "2026-03-03T03:04:05.678Z", "")), "created is")
}

// MITRE changed 1,093 objects without a new modified.
func TestOtherContentUnderTheSameVersionIsRefusedUnlessItReplaces(t *testing.T) {
	w := newFoundedWorld(t)
	asset := w.enterBy(w.self.address(), indicatorJSON(1))
	other := versionOf(1, firstTime, firstTime, `"description":"better",`)
	wantRefused(t, add(w, false, other), "--replace")
	taken(t, add(w, true, other), "takes the place")
	item := w.lastItem()
	if item.ReplacesAsset != asset {
		t.Errorf("it takes the place of %d, want %d", item.ReplacesAsset, asset)
	}
	// The same again is on its way, with and without the wish.
	for _, replace := range []bool{false, true} {
		taken(t, add(w, replace, other), "takes the place")
		if again := w.lastItem(); again.Number != item.Number {
			t.Errorf("it is published again, as %d beside %d", again.Number, item.Number)
		}
	}
	// Nothing is to be replaced where nothing is there, or the same.
	taken(t, add(w, true, indicatorJSON(2)))
	if status := add(w, true, indicatorJSON(1)); len(status.Successes) != 1 {
		t.Errorf("what is published already: %+v", status)
	}
}

func TestOtherContentOfWhatIsOnItsWayIsRefusedUnlessItReplaces(t *testing.T) {
	w := newFoundedWorld(t)
	taken(t, add(w, false, indicatorJSON(1)))
	first := w.lastItem()
	other := versionOf(1, firstTime, firstTime, `"description":"better",`)
	for replace, want := range map[bool]string{false: "--replace", true: "takes the place"} {
		line := rehearse(w, replace, other)
		if !strings.Contains(line.Failure+line.Note, want) || replace == (line.Failure != "") {
			t.Errorf("a rehearsal says %+v", line)
		}
	}
	wantRefused(t, add(w, false, other), "--replace")
	taken(t, add(w, true, other), "takes the place")
	if item := w.lastItem(); item.Replaces != first.Number || item.Publication != 1 {
		t.Errorf("%+v", item)
	}
}

// rehearse tells what would become of one object.
func rehearse(w *world, replace bool, object string) repo.StatusLine {
	w.t.Helper()
	p := publisherIn(w)
	into, err := p.target(taxii.Collection{ID: w.collection})
	must(w.t, err)
	b, err := p.batch(into, taxii.Addition{Objects: []taxii.Incoming{{Raw: []byte(object)}}, Replace: replace})
	must(w.t, err)
	must(w.t, b.foresee())
	return b.lines[0]
}

func TestARevocationIsAlwaysTaken(t *testing.T) {
	w := newFoundedWorld(t)
	asset := w.enterBy(w.self.address(), indicatorJSON(1))
	taken(t, add(w, false, versionOf(1, firstTime, firstTime, revoked)), "takes the place") // without a new modified
	if item := w.lastItem(); item.ReplacesAsset != asset {
		t.Errorf("it takes the place of %d, want %d", item.ReplacesAsset, asset)
	}
	taken(t, add(w, false, indicatorJSON(2)))
	taken(t, add(w, false, versionOf(2, firstTime, firstTime, revoked)), "takes the place")
	// A revocation in other words is other content like any.
	w.enterBy(w.self.address(), versionOf(3, firstTime, firstTime, revoked))
	wantRefused(t, add(w, false, versionOf(3, firstTime, firstTime, revoked+`"description":"other",`)), "--replace")
}

func TestWhatAnotherMemberPublishedCantBeReplaced(t *testing.T) {
	w := newFoundedWorld(t)
	w.enterBy("SOMEBODY", indicatorJSON(1))
	for _, replace := range []bool{false, true} {
		wantRefused(t, add(w, replace, versionOf(1, firstTime, firstTime, `"description":"mine",`)), "SOMEBODY has published")
	}
}

// replacing is a replacer that writes down what it ends.
func replacing(w *world, ended *[]uint64) *replacer {
	return &replacer{outbox: w.r.Outbox, wake: func() {}, confirmed: &signal{}, log: discard, end: func(_ context.Context, asset uint64) (repo.Item, error) {
		*ended = append(*ended, asset)
		return repo.Item{}, nil
	}}
}

func TestWhatIsReplacedIsEndedWhenItsSuccessorIsCertain(t *testing.T) {
	w := newFoundedWorld(t)
	var ended []uint64
	r := replacing(w, &ended)
	look := func(when string, want ...uint64) {
		t.Helper()
		must(t, r.endAll(t.Context()))
		if fmt.Sprint(ended) != fmt.Sprint(want) {
			t.Errorf("%s: ended are %v, want %v", when, ended, want)
		}
		ended = nil
	}
	old := w.enterBy(w.self.address(), indicatorJSON(1))
	add(w, true, versionOf(1, firstTime, firstTime, `"description":"b",`))
	look("accepted")
	w.seal()
	look("sealed")
	w.confirm(7001, "NEW")
	look("confirmed", old)
	look("afterwards")

	// What was on its way itself.
	add(w, false, indicatorJSON(2))
	add(w, true, versionOf(2, firstTime, firstTime, `"description":"b",`))
	w.seal()
	w.confirm(7002, "FIRST")
	look("the first is confirmed")
	w.confirm(7003, "SECOND")
	look("both are", 7002)

	// The later one is certain before what it replaces is.
	add(w, false, indicatorJSON(4))
	w.seal()
	earlier := w.lastItem()
	add(w, true, versionOf(4, firstTime, firstTime, `"description":"b",`))
	w.seal()
	must(t, w.r.Outbox.Resolve(w.lastItem(), repo.Confirmation{TxID: "LATER", Round: 1, Asset: 7005}, ""))
	look("only the later one is confirmed")
	must(t, w.r.Outbox.Resolve(earlier, repo.Confirmation{TxID: "EARLIER", Round: 2, Asset: 7004}, ""))
	look("now the earlier one is, too", 7004)

	// What failed replaces nothing.
	w.enterBy(w.self.address(), indicatorJSON(3))
	add(w, true, versionOf(3, firstTime, firstTime, `"description":"b",`))
	must(t, w.r.Outbox.Resolve(w.lastItem(), repo.Confirmation{}, "refused"))
	look("failed")
}

// The whole way: two publications of one version on the chain, and the end of the first.
func TestAReplacementTakesThePlaceInEveryView(t *testing.T) {
	w := newFoundedWorld(t)
	m := &minter{outbox: w.r.Outbox, view: w.r.View, leaseKey: []byte("key")}
	version, err := stix.ParseTimestamp(firstTime)
	must(t, err)
	const id = "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f"
	key := objectKey(&repo.Entry{Collection: w.collection, ID: id, Instant: version})
	publish := func(description string, item repo.Item) consortium.Event {
		e := w.mint(w.self, w.objectOf(1, description))
		lease := m.lease(item)
		e.Lease = lease[:]
		must(t, w.deliver(e))
		w.drain()
		return e
	}
	shown := func() string {
		t.Helper()
		entry, err := w.r.View.Latest(w.collection, id)
		must(t, err)
		return string(entry.Object)
	}
	first := publish("old", repo.Item{Key: key})
	taken(t, add(w, true, describedIndicator(1, "new")), "takes the place")
	item := w.lastItem()
	other := item
	other.ReplacesAsset = 0
	if done, _, failure, err := m.done(&other); err != nil || !done || failure == "" {
		t.Errorf("one that replaces nothing: %v, %q, %v", done, failure, err)
	}
	// The outbox that knew of the first publication was lost: its transaction is not the one of what replaces it.
	if done, _, failure, err := m.done(&item); err != nil || done {
		t.Fatalf("nothing would be minted: %v, %q, %v", done, failure, err)
	}
	if item.Publication == 0 {
		t.Error("it would be minted with the lease of what it replaces")
	}
	second := publish("new", item)
	if shown() != describedIndicator(1, "old") {
		t.Errorf("the later publication is shown: %s", shown())
	}
	item.Publication = 0
	if done, by, failure, err := m.done(&item); err != nil || !done || failure != "" || by.Asset != second.Asset {
		t.Errorf("it would be minted twice: %v, %+v, %q, %v", done, by, failure, err)
	}
	must(t, w.deliver(w.destroy(w.self, first.Asset)))
	w.drain()
	if shown() != describedIndicator(1, "new") || w.shown() != 1 {
		t.Errorf("%d objects, and it is %s", w.shown(), shown())
	}
}

func TestOnlyTLPStatementsAndWhatIsConfiguredSayHowFarAnObjectGoes(t *testing.T) {
	others, err := otherMarkings(map[string]string{"Classification": "amber", "internal": "none", "marking-definition--0000AAAA-17d4-4cbf-938f-98ee46b3cd3f": "TLP:GREEN"})
	must(t, err)
	if others["CLASSIFICATION"] != stix.Amber || others["marking-definition--0000aaaa-17d4-4cbf-938f-98ee46b3cd3f"] != stix.Green {
		t.Errorf("%v", others)
	}
	if level, said := others["INTERNAL"]; !said || level != 0 {
		t.Errorf("%v", others)
	}
	if _, err := otherMarkings(map[string]string{"PAP": "PAP:RED"}); err == nil || !strings.Contains(err.Error(), "PAP") {
		t.Errorf("a level that is none: %v", err)
	}

	w := newFoundedWorld(t)
	p := publisherIn(w)
	post := func() (failures int) {
		t.Helper()
		into, err := p.target(taxii.Collection{ID: w.collection})
		must(t, err)
		w.n++
		b, err := p.batch(into, taxii.Addition{Objects: []taxii.Incoming{{Raw: []byte(definition("CLASSIFICATION", "restricted"))}, {Raw: []byte(markedIndicator(w.n))}}})
		must(t, err)
		for _, line := range b.lines {
			if line.Failure != "" {
				failures++
			}
		}
		return failures
	}
	if n := post(); n != 1 {
		t.Errorf("%d failures of an object with a marking of a type that nobody knows", n)
	}
	for level, want := range map[string]int{"none": 0, "green": 0, "amber": 1} {
		p.fold.otherMarkings, err = otherMarkings(map[string]string{"classification": level})
		must(t, err)
		if n := post(); n != want {
			t.Errorf("counted as %s: %d failures, want %d", level, n, want)
		}
	}
}
