package quality

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/observable"
)

const day = 24 * time.Hour

func anyModel(t *rapid.T) Model {
	return Model{
		Lifetime:  time.Duration(rapid.Int64Range(int64(time.Hour), int64(1000*day)).Draw(t, "lifetime")),
		Speed:     rapid.Float64Range(0.1, 10).Draw(t, "speed"),
		Threshold: rapid.IntRange(1, 100).Draw(t, "threshold"),
	}
}

func TestAScoreNeverRises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyModel(t)
		base := rapid.IntRange(-5, 105).Draw(t, "base")
		a := time.Duration(rapid.Int64Range(-int64(day), int64(1200*day)).Draw(t, "age"))
		b := a + time.Duration(rapid.Int64Range(0, int64(300*day)).Draw(t, "later"))
		if x, y := m.Score(base, a), m.Score(base, b); y > x || y < 0 || x > 100 {
			t.Fatalf("%+v from %d: %v after %v, %v after %v", m, base, x, a, y, b)
		}
	})
}

func TestTheEndIsWhereTheScoreIsTheThreshold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyModel(t)
		base := rapid.IntRange(0, 100).Draw(t, "base")
		threshold := rapid.IntRange(1, 100).Draw(t, "asked")
		age, ends := m.Ends(base, threshold)
		switch {
		case !ends || age < 0 || age > m.Lifetime:
			t.Fatalf("%+v from %d to %d: %v, %t", m, base, threshold, age, ends)
		case base <= threshold:
			if age != 0 {
				t.Fatalf("%+v from %d is above %d until %v", m, base, threshold, age)
			}
		default:
			// A duration is whole nanoseconds; near 0 the polynomial is steep.
			before, after := m.Score(base, age-1), m.Score(base, age+1)
			if slack := 1e-6; before < float64(threshold)-slack || after > float64(threshold)+slack {
				t.Fatalf("%+v from %d to %d ends after %v, where it is %v, then %v", m, base, threshold, age, before, after)
			}
		}
	})
}

func TestTheNumbersAreThoseThatMISPPublishes(t *testing.T) {
	for _, c := range []struct {
		model     Model
		base      int
		days      float64
		tolerance float64
	}{
		{Network, 80, 46.875, 0.001}, {Network, 100, 58.8, 0.001}, {Network, 30, 0, 0}, {Network, 10, 0, 0}, {Phishing, 80, 1.0177, 0.001},
	} {
		age, ends := c.model.Ends(c.base, c.model.Threshold)
		if days := age.Hours() / 24; !ends || math.Abs(days-c.days) > c.tolerance {
			t.Errorf("%+v from %d ends after %v days, want %v", c.model, c.base, days, c.days)
		}
	}
	if score := Network.Score(80, 30*day); math.Abs(score-40) > 0.001 { // (30/120)^(1/2) is a half
		t.Errorf("after 30 days it is %v", score)
	}
	if score := Never.Score(80, 10_000*day); score != 80 {
		t.Errorf("what never falls is %v", score)
	}
	for base, want := range map[int]bool{29: true, 30: false, 80: false} {
		if _, ends := Never.Ends(base, 30); ends != want {
			t.Errorf("what never falls from %d ends below 30: %t", base, ends)
		}
	}
}

// A base is of 0 to 100, and what publishers say is not.
func TestABaseOutsideOfTheScaleIsItsEnd(t *testing.T) {
	for outside, end := range map[int]int{-1: 0, 101: 100, 1 << 40: 100} {
		for _, age := range []time.Duration{-day, 0, day} {
			if got, want := Network.Score(outside, age), Network.Score(end, age); got != want {
				t.Errorf("from %d it is %v after %v, from %d %v", outside, got, age, end, want)
			}
		}
		for _, model := range []Model{Network, Never} {
			got, ends := model.Ends(outside, 50)
			want, wanted := model.Ends(end, 50)
			if got != want || ends != wanted {
				t.Errorf("%+v from %d ends after %v (%t), from %d after %v (%t)", model, outside, got, ends, end, want, wanted)
			}
		}
	}
	if DefaultBase != 80 || Never.Threshold != 30 {
		t.Errorf("without a confidence it begins with %d, and ends below %d", DefaultBase, Never.Threshold)
	}
}

func TestTheFirstRuleThatFitsCounts(t *testing.T) {
	own := Rules{
		{Kinds: []observable.Kind{observable.Domain}, Members: []string{"bravo"}, Model: Model{Lifetime: day, Speed: 1, Threshold: 10}},
		{Labels: []string{"C2"}, Model: Model{Lifetime: 2 * day, Speed: 1, Threshold: 10}},
	}
	for _, c := range []struct {
		kind          observable.Kind
		label, member string
		want          time.Duration
	}{
		{observable.Domain, "", "bravo", day}, {observable.Domain, "c2", "bravo", day}, {observable.Domain, "c2", "charlie", 2 * day},
		{observable.SHA256, "c2", "", 2 * day}, {observable.URL, "Phishing", "bravo", Phishing.Lifetime}, {observable.Domain, "", "", Network.Lifetime},
		{observable.SHA256, "phishing", "bravo", 0}, {0, "", "", 0},
	} {
		if got := own.Model(c.kind, []string{"other", c.label}, c.member).Lifetime; got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if !own.ByMember() || own[1:].ByMember() {
		t.Error("whether the member matters")
	}
}
