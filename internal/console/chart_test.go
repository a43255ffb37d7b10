package console

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var chartDay = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func someDays(n int) (days []time.Time) {
	for i := range n {
		days = append(days, chartDay.AddDate(0, 0, i))
	}
	return days
}

func anyNumber() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.Float64Range(0, 1000), rapid.Float64Range(0, 1e-3), rapid.SampledFrom([]float64{0, -1, math.Inf(1), math.Inf(-1), math.NaN(), 1e300, 5e-324}))
}

func TestBarsStandWithinTheChartAndAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 200).Draw(t, "days")
		series := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Series {
			return Series{Name: rapid.String().Draw(t, "name"), Values: rapid.SliceOfN(anyNumber(), 0, n).Draw(t, "values")}
		}), 0, 12).Draw(t, "series")
		f := barChart("Objects", "objects", someDays(n), series)
		if len(f.Legend) > maxSeries || len(f.Rows) != min(n, maxBars) {
			t.Fatalf("%d colours, %d rows", len(f.Legend), len(f.Rows))
		}
		for _, b := range f.Bars {
			x, y, w, h := coordinate(t, b.X), coordinate(t, b.Y), coordinate(t, b.Width), coordinate(t, b.Height)
			if x < chartLeft || x+w > chartWidth+.1 || y < chartTop-.51 || h <= 0 || y+h > chartHeight-chartBottom+.51 {
				t.Fatalf("%+v stands outside", b)
			}
		}
	})
	f := barChart("Objects", "objects", someDays(3), []Series{{"bravo", []float64{1, 2, 3}}, {"charlie", []float64{0, 40, 0}}})
	if f.Says != "46 objects in 3 days; the most, 42, on 2 November." || len(f.Bars) != 4 || f.Legend[0].Name != "charlie" {
		t.Errorf("it says %q, with %d bars, %+v", f.Says, len(f.Bars), f.Legend)
	}
	if got := strings.Join(f.Rows[1], "|"); got != "2 Nov 2026|40|2" {
		t.Errorf("the table says %q", got)
	}
}

func coordinate(t *rapid.T, text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%q is no coordinate", text)
	}
	return v
}

func TestAnAxisHasRoomAndFewNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Float64Range(1e-6, 1e12).Draw(t, "most")
		top, step := scale([]float64{most, 0})
		if top < most || top > 2*most+step || top/step > 6 || step <= 0 {
			t.Fatalf("up to %v goes the axis %v by %v", most, top, step)
		}
	})
	for _, c := range []struct{ most, top, step float64 }{{0, 1, 1}, {1, 1, .2}, {7, 8, 2}, {42, 50, 10}, {99, 100, 20}, {math.NaN(), 1, 1}} {
		if top, step := scale([]float64{c.most}); math.Abs(top-c.top) > 1e-9 || math.Abs(step-c.step) > 1e-9 {
			t.Errorf("up to %v goes the axis %v by %v, want %v by %v", c.most, top, step, c.top, c.step)
		}
	}
}

func TestALineStaysWithinTheChart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var points []Point
		for i, v := range rapid.SliceOfN(anyNumber(), 0, 600).Draw(t, "values") {
			points = append(points, Point{chartDay.Add(time.Duration(i) * time.Hour), v})
		}
		var ahead []Forecast
		for i, v := range rapid.SliceOfN(rapid.Float64Range(-100, 100), 0, 30).Draw(t, "ahead") {
			ahead = append(ahead, Forecast{chartDay.AddDate(0, 0, 30+i), v - 1, v, v + 1})
		}
		f := timeSeries("ALGO", "ALGO", points, ahead)
		for _, path := range []string{f.Line, f.Band, f.Dashed} {
			for _, pair := range strings.FieldsFunc(path, func(r rune) bool { return r == 'M' || r == 'L' || r == 'Z' }) {
				x, y, _ := strings.Cut(pair, " ")
				if x, y := coordinate(t, x), coordinate(t, y); x < chartLeft || x > chartWidth || y < chartTop-.01 || y > chartHeight-chartBottom+.01 {
					t.Fatalf("%q lies outside", pair)
				}
			}
		}
	})
	if f := timeSeries("ALGO", "ALGO", nil, nil); f.Says != "Nothing is known yet." {
		t.Errorf("of nothing it says %q", f.Says)
	}
}

func TestASparklineShowsTheLastValues(t *testing.T) {
	t.Parallel()
	if s := spark([]float64{0, 5, 10}, "3 hits"); s.Path != "M0 16v-1h4v1zM5 16v-9h4v9zM10 16v-16h4v16z" || s.Width != 15 || s.Says != "3 hits" {
		t.Errorf("drawn is %+v", s)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := spark(rapid.SliceOfN(anyNumber(), 0, 100).Draw(t, "values"), "")
		if strings.Count(s.Path, "M") > 32 || s.Width > 160 {
			t.Fatalf("drawn is %+v", s)
		}
	})
}

// A narrow window has room for half of many names, and the last is always there.
func TestOfManyNamesBesideAnAxisSomeCanBeSpared(t *testing.T) {
	t.Parallel()
	for days, want := range map[int]string{1: "+", 5: "+++++", 6: "++++++", 7: "+-+-+-+", 30: "-+-+-+-+-+", 90: "-+-+-+-+-+"} {
		var list []time.Time
		for i := range days {
			list = append(list, then.AddDate(0, 0, i))
		}
		got := ""
		for _, day := range barChart("x", "y", list, []Series{{"z", make([]float64, days)}}).Days {
			got += map[bool]string{true: "-", false: "+"}[day.Spare]
		}
		if got != want {
			t.Errorf("of %d days: %s, want %s", days, got, want)
		}
	}
}
