package feeds

import (
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
		f.Faults.EachIsTold(t, "what was taken back", func() error { _, err := s.tookBack(into, id); return err })
	}
}
