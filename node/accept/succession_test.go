package accept

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/outbox"
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
	if strings.HasSuffix(note, "; ") {
		t.Errorf("the note %q ends with nothing", note)
	}
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
		"as the standard has it":       {nodetest.IndicatorJSON(1), worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, ""), nil},
		"created moved":                {nodetest.IndicatorJSON(1), worldtest.VersionOf(1, worldtest.SecondTime, worldtest.SecondTime, ""), []string{"created is"}},
		"another creator":              {nodetest.IndicatorJSON(1), worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, worldtest.Author), []string{"created_by_ref is"}},
		"both, and a revocation":       {nodetest.IndicatorJSON(1), worldtest.VersionOf(1, worldtest.SecondTime, worldtest.SecondTime, worldtest.Author+worldtest.Revoked), []string{"created is", "created_by_ref is"}},
		"after a revocation":           {worldtest.VersionOf(1, worldtest.FirstTime, worldtest.FirstTime, worldtest.Revoked), worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, ""), []string{"revoked is taken back"}},
		"an older one, late":           {worldtest.VersionOf(1, worldtest.SecondTime, worldtest.ThirdTime, ""), worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, ""), []string{"created is"}},
		"without what a type requires": {nodetest.IndicatorJSON(1), strings.Replace(worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, ""), `"pattern"`, `"x"`, 1), []string{"pattern is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := worldtest.NewFoundedWorld(t)
			w.EnterBy(w.Self.Address(), test.before)
			taken(t, add(w, false, test.after), test.note...)
		})
	}
}

// What others publish under an id is a line of their own.
func TestWhatOthersPublishedIsNoReasonForANote(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	w.EnterBy("SOMEBODY", worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, worldtest.Revoked+worldtest.Author))
	taken(t, add(w, false, worldtest.VersionOf(1, worldtest.ThirdTime, worldtest.ThirdTime, "")))
	w.EnterBy(w.Self.Address(), worldtest.VersionOf(1, worldtest.FirstTime, "2026-01-03T03:04:05.678Z", ""))
	taken(t, add(w, false, worldtest.VersionOf(1, worldtest.ThirdTime, "2026-03-03T03:04:05.678Z", "")), "created is")
}

// MITRE changed 1,093 objects without a new modified.
func TestOtherContentUnderTheSameVersionIsRefusedUnlessItReplaces(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	asset := w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(1))
	other := worldtest.VersionOf(1, worldtest.FirstTime, worldtest.FirstTime, `"description":"better",`)
	wantRefused(t, add(w, false, other), "--replace")
	taken(t, add(w, true, other), "takes the place")
	item := w.LastItem()
	if item.ReplacesAsset != asset {
		t.Errorf("it takes the place of %d, want %d", item.ReplacesAsset, asset)
	}
	// The same again is on its way, with and without the wish.
	for _, replace := range []bool{false, true} {
		taken(t, add(w, replace, other), "takes the place")
		if again := w.LastItem(); again.Number != item.Number {
			t.Errorf("it is published again, as %d beside %d", again.Number, item.Number)
		}
	}
	// Nothing is to be replaced where nothing is there, or the same.
	taken(t, add(w, true, nodetest.IndicatorJSON(2)))
	w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(3))
	if status := add(w, true, nodetest.IndicatorJSON(3)); len(status.Successes) != 1 {
		t.Errorf("what is published already: %+v", status)
	}
}

func TestOtherContentOfWhatIsOnItsWayIsRefusedUnlessItReplaces(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	taken(t, add(w, false, nodetest.IndicatorJSON(1)))
	first := w.LastItem()
	other := worldtest.VersionOf(1, worldtest.FirstTime, worldtest.FirstTime, `"description":"better",`)
	for replace, want := range map[bool]string{false: "--replace", true: "takes the place"} {
		line := rehearse(w, replace, other)
		if !strings.Contains(line.Failure+line.Note, want) || replace == (line.Failure != "") {
			t.Errorf("a rehearsal says %+v", line)
		}
	}
	wantRefused(t, add(w, false, other), "--replace")
	taken(t, add(w, true, other), "takes the place")
	if item := w.LastItem(); item.Replaces != first.Number || item.Publication != 1 {
		t.Errorf("%+v", item)
	}
}

// rehearse tells what would become of one object.
func rehearse(w *worldtest.World, replace bool, object string) outbox.StatusLine {
	w.T.Helper()
	p := publisherIn(w)
	into, err := p.target(taxii.Collection{ID: w.Collection})
	nodetest.Must(w.T, err)
	b, err := p.read(into, taxii.Addition{Objects: taxii.Listed{{Raw: []byte(object)}}, Replace: replace})
	nodetest.Must(w.T, err)
	nodetest.Must(w.T, b.each(func(at int, s outbox.Submission) error {
		_, err := b.foresee(at, s)
		return err
	}))
	return b.Lines[0]
}

func TestARevocationIsAlwaysTaken(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	asset := w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(1))
	taken(t, add(w, false, worldtest.VersionOf(1, worldtest.FirstTime, worldtest.FirstTime, worldtest.Revoked)), "takes the place") // without a new modified
	if item := w.LastItem(); item.ReplacesAsset != asset {
		t.Errorf("it takes the place of %d, want %d", item.ReplacesAsset, asset)
	}
	taken(t, add(w, false, nodetest.IndicatorJSON(2)))
	taken(t, add(w, false, worldtest.VersionOf(2, worldtest.FirstTime, worldtest.FirstTime, worldtest.Revoked)), "takes the place")
	// A revocation in other words is other content like any.
	w.EnterBy(w.Self.Address(), worldtest.VersionOf(3, worldtest.FirstTime, worldtest.FirstTime, worldtest.Revoked))
	wantRefused(t, add(w, false, worldtest.VersionOf(3, worldtest.FirstTime, worldtest.FirstTime, worldtest.Revoked+`"description":"other",`)), "--replace")
}

// Whatever others published under the id, before or after, or revoked: what this organisation publishes is its own.
func TestWhatAnotherMemberPublishedRefusesNothing(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	w.EnterBy("SOMEBODY", nodetest.IndicatorJSON(1))
	w.EnterBy("SOMEBODY", worldtest.VersionOf(2, worldtest.FirstTime, worldtest.FirstTime, worldtest.Revoked))
	w.EnterBy("SOMEBODY", worldtest.VersionOf(3, worldtest.FirstTime, worldtest.FirstTime, `"created_by_ref":"identity--b0000000-17d4-4cbf-938f-98ee46b3cd3f",`))
	for what, object := range map[string]string{
		"the same":                           nodetest.IndicatorJSON(1),
		"the same version, with other words": worldtest.VersionOf(2, worldtest.FirstTime, worldtest.FirstTime, `"description":"mine",`),
		"what is somebody's by its creator":  worldtest.VersionOf(3, worldtest.FirstTime, worldtest.FirstTime, `"created_by_ref":"identity--a0000000-17d4-4cbf-938f-98ee46b3cd3f",`),
	} {
		status := add(w, false, object)
		if len(status.Pendings) != 1 || status.Pendings[0].Note != "" {
			t.Errorf("%s: %+v", what, status)
			continue
		}
		if item := w.LastItem(); item.ReplacesAsset != 0 || item.Replaces != 0 {
			t.Errorf("%s takes the place of something: %+v", what, item)
		}
	}
}

// replacing is a replacer that writes down what it ends.
func replacing(w *worldtest.World, ended *[]uint64) *withdraw.Replacer {
	return &withdraw.Replacer{Outbox: publish.NewOutbox(w.R.Outbox), Log: nodetest.Discard, End: func(_ context.Context, of swarm.Published) (outbox.Item, error) {
		*ended = append(*ended, of.Asset)
		return outbox.Item{}, nil
	}}
}

func TestWhatIsReplacedIsEndedWhenItsSuccessorIsCertain(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	var ended []uint64
	r := replacing(w, &ended)
	look := func(when string, want ...uint64) {
		t.Helper()
		once, stop := context.WithCancel(t.Context())
		stop() // so that it looks around once
		nodetest.Must(t, r.Run(once))
		if fmt.Sprint(ended) != fmt.Sprint(want) {
			t.Errorf("%s: ended are %v, want %v", when, ended, want)
		}
		ended = nil
	}
	old := w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(1))
	add(w, true, worldtest.VersionOf(1, worldtest.FirstTime, worldtest.FirstTime, `"description":"b",`))
	look("accepted")
	w.Seal()
	look("sealed")
	w.Confirm(7001, "NEW")
	look("confirmed", old)
	look("afterwards")

	// What was on its way itself.
	add(w, false, nodetest.IndicatorJSON(2))
	add(w, true, worldtest.VersionOf(2, worldtest.FirstTime, worldtest.FirstTime, `"description":"b",`))
	w.Seal()
	w.Confirm(7002, "FIRST")
	look("the first is confirmed")
	w.Confirm(7003, "SECOND")
	look("both are", 7002)

	// The later one is certain before what it replaces is.
	add(w, false, nodetest.IndicatorJSON(4))
	w.Seal()
	earlier := w.LastItem()
	add(w, true, worldtest.VersionOf(4, worldtest.FirstTime, worldtest.FirstTime, `"description":"b",`))
	w.Seal()
	nodetest.Must(t, w.R.Outbox.Resolve(w.LastItem(), consortium.Place{TxID: "LATER", Round: 1, Asset: 7005}, ""))
	look("only the later one is confirmed")
	nodetest.Must(t, w.R.Outbox.Resolve(earlier, consortium.Place{TxID: "EARLIER", Round: 2, Asset: 7004}, ""))
	look("now the earlier one is, too", 7004)

	// What failed replaces nothing.
	w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(3))
	add(w, true, worldtest.VersionOf(3, worldtest.FirstTime, worldtest.FirstTime, `"description":"b",`))
	nodetest.Must(t, w.R.Outbox.Resolve(w.LastItem(), consortium.Place{}, "refused"))
	look("failed")
}

// The whole way: two publications of one version on the chain, and the end of the first.
func TestAReplacementTakesThePlaceInEveryView(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	shown := func() string {
		t.Helper()
		entry, err := w.R.View.Latest(w.Collection, firstID)
		nodetest.Must(t, err)
		return string(entry.Object)
	}
	first := show(w, w.ObjectOf(1, "old"), [32]byte{1})
	taken(t, add(w, true, nodetest.DescribedIndicator(1, "new")), "takes the place")
	show(w, w.ObjectOf(1, "new"), [32]byte{2})
	if shown() != nodetest.DescribedIndicator(1, "old") {
		t.Errorf("the later publication is shown: %s", shown())
	}
	nodetest.Must(t, w.Deliver(w.Destroy(w.Self, first.Asset)))
	w.Drain()
	if shown() != nodetest.DescribedIndicator(1, "new") || w.Shown() != 1 {
		t.Errorf("%d objects, and it is %s", w.Shown(), shown())
	}
}

func TestOnlyTLPStatementsAndWhatIsConfiguredSayHowFarAnObjectGoes(t *testing.T) {
	others, err := state.ReadMarkings(map[string]string{"Classification": "amber", "internal": "none", "marking-definition--0000AAAA-17d4-4cbf-938f-98ee46b3cd3f": "TLP:GREEN"})
	nodetest.Must(t, err)
	if others["CLASSIFICATION"] != stix.Amber || others["marking-definition--0000aaaa-17d4-4cbf-938f-98ee46b3cd3f"] != stix.Green {
		t.Errorf("%v", others)
	}
	if level, said := others["INTERNAL"]; !said || level != 0 {
		t.Errorf("%v", others)
	}
	if _, err := state.ReadMarkings(map[string]string{"PAP": "PAP:RED"}); err == nil || !strings.Contains(err.Error(), "PAP") {
		t.Errorf("a level that is none: %v", err)
	}

	w := worldtest.NewFoundedWorld(t)
	p := publisherIn(w)
	post := func() (failures int) {
		t.Helper()
		into, err := p.target(taxii.Collection{ID: w.Collection})
		nodetest.Must(t, err)
		w.N++
		b, err := p.Batch(into, taxii.Addition{Objects: taxii.Listed{{Raw: []byte(worldtest.Definition("CLASSIFICATION", "restricted"))}, {Raw: []byte(worldtest.MarkedIndicator(w.N))}}})
		nodetest.Must(t, err)
		for _, line := range b.Lines {
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
		p.State.OtherMarkings, err = state.ReadMarkings(map[string]string{"classification": level})
		nodetest.Must(t, err)
		if n := post(); n != want {
			t.Errorf("counted as %s: %d failures, want %d", level, n, want)
		}
	}
}

// A replacement gives up the place of what it replaces: where another member publishes the object too, that is told.
func TestAReplacementThatGivesTheLeadAwayIsTold(t *testing.T) {
	for _, contested := range []bool{false, true} {
		w := worldtest.NewFoundedWorld(t)
		w.EnterBy(w.Self.Address(), nodetest.DescribedIndicator(1, "old"))
		if contested {
			w.EnterBy("SOMEBODY", nodetest.DescribedIndicator(1, "old"))
		}
		status := add(w, true, nodetest.DescribedIndicator(1, "new"))
		if len(status.Pendings) != 1 || strings.Contains(status.Pendings[0].Note, "another member publishes") != contested {
			t.Errorf("contested %v: %+v", contested, status)
		}
		if later := add(w, false, worldtest.VersionOf(1, worldtest.FirstTime, "2027-01-02T03:04:05.678Z", "")); strings.Contains(later.Pendings[0].Note, "another member") {
			t.Errorf("a later version: %+v", later)
		}
	}
}
