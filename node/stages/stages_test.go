package stages

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

func TestAnObjectIsCountedAtEveryStageWithTheTimeSinceItWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		accepted := time.Now()
		s.Passed(Accepted, Own, accepted)
		time.Sleep(20 * time.Millisecond)
		s.Passed(Stored, Own, accepted)
		time.Sleep(3 * time.Second)
		s.Passed(Confirmed, Own, accepted)
		s.Passed(Visible, Member, accepted)

		if err := testutil.CollectAndCompare(s, strings.NewReader(`
# HELP slnode_stage_objects_total Objects that passed a stage since the start, by whose they are.
# TYPE slnode_stage_objects_total counter
slnode_stage_objects_total{origin="member",stage="fetched"} 0
slnode_stage_objects_total{origin="member",stage="opened"} 0
slnode_stage_objects_total{origin="member",stage="visible"} 1
slnode_stage_objects_total{origin="own",stage="accepted"} 1
slnode_stage_objects_total{origin="own",stage="confirmed"} 1
slnode_stage_objects_total{origin="own",stage="fetched"} 0
slnode_stage_objects_total{origin="own",stage="opened"} 0
slnode_stage_objects_total{origin="own",stage="sealed"} 0
slnode_stage_objects_total{origin="own",stage="signed"} 0
slnode_stage_objects_total{origin="own",stage="stored"} 1
slnode_stage_objects_total{origin="own",stage="visible"} 0
`), "slnode_stage_objects_total"); err != nil {
			t.Error(err)
		}
		for _, want := range []struct {
			stage   Stage
			origin  Origin
			seconds float64
		}{{Stored, Own, 0.02}, {Confirmed, Own, 3.02}, {Visible, Member, 3.02}} {
			if got := seconds(t, s, want.stage, want.origin); got != want.seconds {
				t.Errorf("%s (%s) took %v seconds, want %v", want.stage, want.origin, got, want.seconds)
			}
		}
	})
}

func TestAPublisherWhoseClockIsAheadTookNoTime(t *testing.T) {
	s := New()
	s.Passed(Visible, Member, time.Now().Add(time.Hour))
	if got := seconds(t, s, Visible, Member); got != 0 {
		t.Errorf("it took %v seconds", got)
	}
}

func TestNoStagesCountNothing(t *testing.T) {
	var s *Stages
	s.Passed(Accepted, Of(true), time.Now())
	s.Passed(Visible, Of(false), time.Now())
	registry := prometheus.NewRegistry()
	registry.MustRegister(s)
	if families, err := registry.Gather(); len(families) > 0 || err != nil {
		t.Error(families, err)
	}
}

// seconds is the sum of what a stage took.
func seconds(t *testing.T, s *Stages, stage Stage, origin Origin) float64 {
	t.Helper()
	var m dto.Metric
	if err := s.took.WithLabelValues(string(stage), string(origin)).(prometheus.Metric).Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.Histogram.GetSampleSum()
}
