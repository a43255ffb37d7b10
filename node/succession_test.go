package node

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// versionOf is a version of an indicator, with other properties.
func versionOf(n int, created, modified, more string) string {
	return strings.NewReplacer(`"created":"2026-01-02T03:04:05.678Z"`, `"created":"`+created+`"`, `"modified":"2026-01-02T03:04:05.678Z"`,
		`"modified":"`+modified+`"`, `"name"`, more+`"name"`).Replace(indicatorJSON(n))
}

const (
	firstTime  = "2026-01-02T03:04:05.678Z" // of indicatorJSON
	secondTime = "2026-02-02T03:04:05.678Z"
	thirdTime  = "2026-03-02T03:04:05.678Z"
	author     = `"created_by_ref":"identity--f431f809-377b-45e0-aa1c-6a4751cae5ff",`
	revoked    = `"revoked":true,`
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
			w := newPublishingWorld(t)
			w.enterBy(w.self.address(), test.before)
			taken(t, w.add(false, test.after), test.note...)
		})
	}
}

// What others publish under an id is a line of their own.
func TestWhatOthersPublishedIsNoReasonForANote(t *testing.T) {
	w := newPublishingWorld(t)
	w.enterBy("SOMEBODY", versionOf(1, firstTime, secondTime, revoked+author))
	taken(t, w.add(false, versionOf(1, thirdTime, thirdTime, "")))
	w.enterBy(w.self.address(), versionOf(1, firstTime, "2026-01-03T03:04:05.678Z", ""))
	taken(t, w.add(false, versionOf(1, thirdTime, "2026-03-03T03:04:05.678Z", "")), "created is")
}

// MITRE changed 1,093 objects without a new modified.
func TestOtherContentUnderTheSameVersionIsRefusedUnlessItReplaces(t *testing.T) {
	w := newPublishingWorld(t)
	asset := w.enterBy(w.self.address(), indicatorJSON(1))
	other := versionOf(1, firstTime, firstTime, `"description":"better",`)
	wantRefused(t, w.add(false, other), "--replace")
	taken(t, w.add(true, other), "takes the place")
	item := w.lastItem()
	if item.ReplacesAsset != asset {
		t.Errorf("it takes the place of %d, want %d", item.ReplacesAsset, asset)
	}
	// The same again is on its way, with and without the wish.
	for _, replace := range []bool{false, true} {
		taken(t, w.add(replace, other), "takes the place")
		if again := w.lastItem(); again.Number != item.Number {
			t.Errorf("it is published again, as %d beside %d", again.Number, item.Number)
		}
	}
	// Nothing is to be replaced where nothing is there, or the same.
	taken(t, w.add(true, indicatorJSON(2)))
	if status := w.add(true, indicatorJSON(1)); len(status.Successes) != 1 {
		t.Errorf("what is published already: %+v", status)
	}
}

func TestOtherContentOfWhatIsOnItsWayIsRefusedUnlessItReplaces(t *testing.T) {
	w := newPublishingWorld(t)
	taken(t, w.add(false, indicatorJSON(1)))
	first := w.lastItem()
	other := versionOf(1, firstTime, firstTime, `"description":"better",`)
	for replace, want := range map[bool]string{false: "--replace", true: "takes the place"} {
		line := w.rehearse(replace, other)
		if !strings.Contains(line.Failure+line.Note, want) || replace == (line.Failure != "") {
			t.Errorf("a rehearsal says %+v", line)
		}
	}
	wantRefused(t, w.add(false, other), "--replace")
	taken(t, w.add(true, other), "takes the place")
	if item := w.lastItem(); item.Replaces != first.Number || item.Publication != 1 {
		t.Errorf("%+v", item)
	}
}

// rehearse tells what would become of one object.
func (w *world) rehearse(replace bool, object string) repo.StatusLine {
	w.t.Helper()
	p := w.publisher()
	into, err := p.target(taxii.Collection{ID: w.collection})
	must(w.t, err)
	b, err := p.batch(into, taxii.Addition{Objects: []taxii.Incoming{{Raw: []byte(object)}}, Replace: replace})
	must(w.t, err)
	must(w.t, b.foresee())
	return b.lines[0]
}

func TestARevocationIsAlwaysTaken(t *testing.T) {
	w := newPublishingWorld(t)
	asset := w.enterBy(w.self.address(), indicatorJSON(1))
	taken(t, w.add(false, versionOf(1, firstTime, firstTime, revoked)), "takes the place") // without a new modified
	if item := w.lastItem(); item.ReplacesAsset != asset {
		t.Errorf("it takes the place of %d, want %d", item.ReplacesAsset, asset)
	}
	taken(t, w.add(false, indicatorJSON(2)))
	taken(t, w.add(false, versionOf(2, firstTime, firstTime, revoked)), "takes the place")
	// A revocation in other words is other content like any.
	w.enterBy(w.self.address(), versionOf(3, firstTime, firstTime, revoked))
	wantRefused(t, w.add(false, versionOf(3, firstTime, firstTime, revoked+`"description":"other",`)), "--replace")
}

func TestWhatAnotherMemberPublishedCantBeReplaced(t *testing.T) {
	w := newPublishingWorld(t)
	w.enterBy("SOMEBODY", indicatorJSON(1))
	for _, replace := range []bool{false, true} {
		wantRefused(t, w.add(replace, versionOf(1, firstTime, firstTime, `"description":"mine",`)), "SOMEBODY has published")
	}
}

// lastItem is the item that was accepted last.
func (w *world) lastItem() repo.Item {
	w.t.Helper()
	var last repo.Item
	for n := uint64(1); ; n++ {
		item, found, err := w.r.Outbox.Item(n)
		must(w.t, err)
		if !found {
			return last
		}
		last = item
	}
}

// confirm makes the first object that is not confirmed so, as far as the outbox is concerned.
func (w *world) confirm(asset uint64, txid string) {
	w.t.Helper()
	w.seal()
	items, err := w.r.Outbox.Queue(repo.Stored, 0, 100)
	must(w.t, err)
	items = without(items, isDestroy)[:1]
	_, err = w.r.Outbox.AddGroups([]repo.Group{{TxIDs: []string{txid}}}, items)
	must(w.t, err)
	_, err = w.r.Outbox.Confirm([]repo.Confirmation{{TxID: txid, Round: 1, Asset: asset}})
	must(w.t, err)
}

// replacing is a replacer that writes down what it ends.
func (w *world) replacing(ended *[]uint64) *replacer {
	return &replacer{outbox: w.r.Outbox, wake: func() {}, confirmed: &signal{}, log: discard, end: func(_ context.Context, asset uint64) (repo.Item, error) {
		*ended = append(*ended, asset)
		return repo.Item{}, nil
	}}
}

func TestWhatIsReplacedIsEndedWhenItsSuccessorIsCertain(t *testing.T) {
	w := newPublishingWorld(t)
	var ended []uint64
	r := w.replacing(&ended)
	look := func(when string, want ...uint64) {
		t.Helper()
		must(t, r.endAll(t.Context()))
		if fmt.Sprint(ended) != fmt.Sprint(want) {
			t.Errorf("%s: ended are %v, want %v", when, ended, want)
		}
		ended = nil
	}
	old := w.enterBy(w.self.address(), indicatorJSON(1))
	w.add(true, versionOf(1, firstTime, firstTime, `"description":"b",`))
	look("accepted")
	w.seal()
	look("sealed")
	w.confirm(7001, "NEW")
	look("confirmed", old)
	look("afterwards")

	// What was on its way itself.
	w.add(false, indicatorJSON(2))
	w.add(true, versionOf(2, firstTime, firstTime, `"description":"b",`))
	w.seal()
	w.confirm(7002, "FIRST")
	look("the first is confirmed")
	w.confirm(7003, "SECOND")
	look("both are", 7002)

	// The later one is certain before what it replaces is.
	w.add(false, indicatorJSON(4))
	w.seal()
	earlier := w.lastItem()
	w.add(true, versionOf(4, firstTime, firstTime, `"description":"b",`))
	w.seal()
	must(t, w.r.Outbox.Resolve(w.lastItem(), repo.Confirmation{TxID: "LATER", Round: 1, Asset: 7005}, ""))
	look("only the later one is confirmed")
	must(t, w.r.Outbox.Resolve(earlier, repo.Confirmation{TxID: "EARLIER", Round: 2, Asset: 7004}, ""))
	look("now the earlier one is, too", 7004)

	// What failed replaces nothing.
	w.enterBy(w.self.address(), indicatorJSON(3))
	w.add(true, versionOf(3, firstTime, firstTime, `"description":"b",`))
	must(t, w.r.Outbox.Resolve(w.lastItem(), repo.Confirmation{}, "refused"))
	look("failed")
}

// The whole way: two publications of one version on the chain, and the end of the first.
func TestAReplacementTakesThePlaceInEveryView(t *testing.T) {
	w := newPublishingWorld(t)
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
	taken(t, w.add(true, describedIndicator(1, "new")), "takes the place")
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

	w := newPublishingWorld(t)
	p := w.publisher()
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

// A feed that is told again of what was withdrawn would publish it again (opencti#11132).
func TestAFeedDoesNotPublishWhatThisOrganisationTookBack(t *testing.T) {
	w := newPublishingWorld(t)
	p := w.publisher()
	s := &feedSink{feeds: &feeds{fold: w.fold, publisher: p}}
	withdrawer := &withdrawer{outbox: w.r.Outbox, view: w.r.View, fold: w.fold, records: recordsIn(w.r.Outbox, w.blocks), log: discard}
	into, err := p.target(taxii.Collection{ID: w.collection})
	must(t, err)
	verdict := func(raw string) (known bool, refused string) {
		t.Helper()
		object, err := stix.Parse([]byte(raw))
		must(t, err)
		v, err := s.known(into, map[string]consortium.Collection{into.ID: into}, object)
		must(t, err)
		return v.Known, v.Refused
	}
	want := func(when, raw string, wantKnown, wantRefused bool) {
		t.Helper()
		if known, refused := verdict(raw); known != wantKnown || (refused != "") != wantRefused {
			t.Errorf("%s: known %v, refused %q", when, known, refused)
		}
	}
	later := versionOf(1, firstTime, secondTime, `"description":"edited",`)
	sco := `{"type":"ipv4-addr","id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd","value":"198.51.100.3"}`

	want("new", indicatorJSON(1), false, false)
	w.add(false, indicatorJSON(1))
	want("on its way", indicatorJSON(1), true, false)
	w.confirm(7001, "ONE")
	want("on the chain", indicatorJSON(1), true, false)
	want("a new version", later, false, false)
	_, _, err = withdrawer.begin(t.Context(), Withdrawal{ID: "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f", Version: firstTime, Collection: w.collection, TxID: "ONE", Asset: 7001})
	must(t, err)
	want("a new version of what is about to be withdrawn", later, false, true)
	must(t, w.r.Outbox.Withdraw("ONE"))
	want("withdrawn", indicatorJSON(1), false, true)
	want("a new version of what is withdrawn", later, false, true)
	want("something else", indicatorJSON(2), false, false)

	// Somebody publishes it by hand: the feed goes on, but for the version that was taken back.
	w.add(false, later)
	want("published by hand", later, true, false)
	want("a version after that", versionOf(1, firstTime, thirdTime, `"description":"again",`), false, false)
	want("the one that was taken back", indicatorJSON(1), false, true)

	// What has no versions.
	w.seal()
	w.add(false, sco)
	w.confirm(7002, "LATER")
	w.confirm(7003, "SCO")
	_, _, err = withdrawer.begin(t.Context(), Withdrawal{ID: "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd", Collection: w.collection, TxID: "SCO", Asset: 7003})
	must(t, err)
	must(t, w.r.Outbox.Withdraw("SCO"))
	want("an observable", sco, false, true)
	want("an observable with other content", strings.Replace(sco, `"value"`, `"x":1,"value"`, 1), false, true)

	// One version of several is withdrawn: the others are in force.
	w.enterBy(w.self.address(), indicatorJSON(3))
	_, _, err = withdrawer.begin(t.Context(), Withdrawal{ID: "indicator--00000003-17d4-4cbf-938f-98ee46b3cd3f", Version: secondTime, Collection: w.collection, TxID: "THREE", Asset: 7004})
	must(t, err)
	want("a version after one that was taken back", versionOf(3, firstTime, thirdTime, `"description":"c",`), false, false)
}

// Other content of a version counted as known, so that nobody was told.
func TestAFeedNamesOtherContentUnderAPublishedVersion(t *testing.T) {
	w := newPublishingWorld(t)
	s := &feedSink{feeds: &feeds{fold: w.fold, publisher: w.publisher()}}
	into, err := s.publisher.target(taxii.Collection{ID: w.collection})
	must(t, err)
	elsewhere := consortium.Collection{ID: "5d0092c5-5f74-4287-9642-33f4c354e56d", Properties: wire.Collection{Readers: wire.Accounts{Members: true}}}
	covering := map[string]consortium.Collection{into.ID: into, elsewhere.ID: elsewhere}
	w.enterBy(w.self.address(), indicatorJSON(1))
	w.add(false, indicatorJSON(2))
	for n := 1; n <= 2; n++ {
		for raw, want := range map[string]bool{indicatorJSON(n): true, versionOf(n, firstTime, firstTime, `"description":"other",`): false} {
			object, err := stix.Parse([]byte(raw))
			must(t, err)
			v, err := s.known(into, covering, object)
			must(t, err)
			if v.Known != want {
				t.Errorf("%s: %+v", raw, v)
			}
		}
	}
	wantRefused(t, w.add(false, versionOf(1, firstTime, firstTime, `"description":"other",`)), "with other content")
}
