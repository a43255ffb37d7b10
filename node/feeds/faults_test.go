package feeds

import (
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/config"
)

// What a store does not give is never taken for there being nothing: what a feed brings is judged, and published, of
// what is known.
func TestNothingOfAFeedIsJudgedOnAGuess(t *testing.T) {
	f := newFed(t)
	f.EnterBy("MALLORY", nodetest.IndicatorJSON(1))
	f.EnterBy(f.Self.Address(), nodetest.IndicatorJSON(2))
	f.EnterBy(f.Self.Address(), worldtest.Definition("statement", "(c)"))
	var objects []*stix.Object
	for _, raw := range []string{
		nodetest.IndicatorJSON(1), nodetest.DescribedIndicator(2, "other"), worldtest.VersionOf(2, worldtest.FirstTime, worldtest.SecondTime, ""),
		nodetest.IndicatorJSON(3), worldtest.MarkedIndicator(4),
	} {
		object, err := stix.Parse([]byte(raw))
		nodetest.Must(t, err)
		objects = append(objects, object)
	}
	s := f.sink(config.Feed{Name: "misp", Into: f.World.Collection}.WithDefaults())
	f.Faults.EachIsTold(t, "judging", func() error { _, err := s.Check(t.Context(), objects); return err })
	f.Faults.EachIsTold(t, "a marking", func() error { _, err := s.Marking(objects[4].ID); return err })
	f.Faults.EachIsTold(t, "publishing", func() error { _, err := s.Publish(t.Context(), objects[3:4]); return err })
	for _, id := range []string{objects[1].ID, objects[3].ID} {
		into, err := s.into()
		nodetest.Must(t, err)
		f.Faults.EachIsTold(t, "what was taken back", func() error { _, err := s.tookBack(into, &stix.Object{ID: id}); return err })
	}
}

// What the readers have already is known, whichever member's it is and whether it is the one that is served; so is what
// has but other dates, and what has no version.
func TestWhatReadersHaveIsKnownInWhoeversLine(t *testing.T) {
	const address = `{"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd","value":"198.51.100.3"}`
	f := newFed(t)
	for _, one := range []struct{ by, object string }{
		{"LEADS", nodetest.DescribedIndicator(1, "served")}, {"SECOND", nodetest.DescribedIndicator(1, "apart")},
		{"LEADS", nodetest.DescribedIndicator(2, "served")}, {"SECOND", nodetest.DescribedIndicator(2, "apart")},
		{"SECOND", address},
	} {
		f.EnterBy(one.by, one.object)
	}
	later := strings.Replace(nodetest.DescribedIndicator(2, "apart"), `"modified":"`+worldtest.FirstTime, `"modified":"`+worldtest.SecondTime, 1)
	s := f.sink(config.Feed{Name: "misp", Into: f.World.Collection}.WithDefaults())
	for _, one := range []struct {
		what, raw string
		known     bool
	}{
		{"what is served", nodetest.DescribedIndicator(1, "served"), true}, {"what is not served", nodetest.DescribedIndicator(1, "apart"), true},
		{"other content", nodetest.DescribedIndicator(1, "another"), false}, {"other dates of what is not served", later, true},
		{"what has no version", address, true}, {"what is new", nodetest.IndicatorJSON(9), false},
	} {
		object, err := stix.Parse([]byte(one.raw))
		nodetest.Must(t, err)
		verdicts, err := s.Check(t.Context(), []*stix.Object{object})
		if nodetest.Must(t, err); verdicts[0].Known != one.known || one.known && (verdicts[0].Cost != 0 || verdicts[0].Refused != "" || verdicts[0].Note != "") {
			t.Errorf("%s is known: %+v, want %v", one.what, verdicts[0], one.known)
		}
	}
}
