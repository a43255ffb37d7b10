package console

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sizes of charts, in their own units, and how much they show.
const (
	chartWidth  = 640
	chartHeight = 180
	chartLeft   = 44 // room for the numbers
	chartTop    = 10
	chartBottom = 22 // room for the days
	maxSeries   = 6  // series with a colour of their own; the others are one
	maxBars     = 92 // days
	maxPoints   = 400
)

// Figure is a chart as the template "chart" draws it: bars, or a line with the band of a forecast. It has its own
// table, for those who don't see it.
type Figure struct {
	Title, Says   string // what it is, and what it says in one sentence
	Width, Height int
	Bars          []Bar
	Line, Band    string // paths; of a forecast the middle is Dashed
	Dashed        string
	Ticks         []Tick // lines across, with their numbers
	Days          []Tick // names below
	Legend        []LegendEntry
	Head          []string
	Rows          [][]string
}

// Bar is a piece of a bar.
type Bar struct {
	X, Y, Width, Height string
	Class, Title        string
}

// Tick is a number or a day beside an axis.
type Tick struct {
	At    string
	Text  string
	Spare bool // a narrow window has no room for it
}

// LegendEntry is what a colour means.
type LegendEntry struct{ Class, Name string }

// Series is a row of numbers, one a day.
type Series struct {
	Name   string
	Values []float64
}

// slot is what a bar stands for, in the table and below the bar.
type slot struct{ Long, Short string }

// barChart draws bars by day, of what each series has of it. Days and the values of each series have the same length;
// the oldest is first. At most maxBars days are drawn, the last ones.
func barChart(title, unit string, days []time.Time, series []Series) Figure {
	from := max(0, len(days)-maxBars)
	days = days[from:]
	slots := make([]slot, len(days))
	for i, day := range days {
		slots[i] = slot{day.Format("2 Jan 2006"), day.Format("2 Jan")}
	}
	cut := make([]Series, len(series))
	for i, s := range series {
		cut[i] = Series{s.Name, s.Values[min(from, len(s.Values)):]}
	}
	f, sums := bars(title, unit, "Day", slots, cut)
	f.Says = sumUp(days, sums, unit)
	return f
}

// bars draws a bar for each slot, of what each series has of it, and gives the sum of each; head is what the slots are.
func bars(title, unit, head string, slots []slot, series []Series) (f Figure, sums []float64) {
	series = largest(series, len(slots))
	f = Figure{Title: title, Width: chartWidth, Height: chartHeight, Head: []string{head}}
	sums = make([]float64, len(slots))
	for i, s := range series {
		f.Legend = append(f.Legend, LegendEntry{Class: "f" + strconv.Itoa(i+1), Name: s.Name})
		f.Head = append(f.Head, s.Name)
		for d, v := range s.Values {
			sums[d] += v
		}
	}
	top, step := scale(sums)
	f.ticks(0, top, step)
	width := float64(chartWidth-chartLeft) / float64(max(1, len(slots)))
	for d, at := range slots {
		row := []string{at.Long}
		base := 0.0
		for i, s := range series {
			v := s.Values[d]
			row = append(row, number(v))
			if v <= 0 {
				continue
			}
			y0, y1 := ordinate(base, 0, top), ordinate(base+v, 0, top)
			f.Bars = append(f.Bars, Bar{X: number(chartLeft + float64(d)*width + width*.1), Y: number(y1), Width: number(width * .8),
				Height: number(max(.5, y0-y1)), Class: "f" + strconv.Itoa(i+1), Title: fmt.Sprintf("%s, %s: %s %s", at.Short, s.Name, number(v), unit)})
			base += v
		}
		f.Rows = append(f.Rows, row)
	}
	f.names(slots, func(i int) float64 { return chartLeft + (float64(i)+.5)*width })
	return f, sums
}

// sumUp says in a sentence what bars show.
func sumUp(days []time.Time, sums []float64, unit string) string {
	all, most := 0.0, 0
	for d, v := range sums {
		all += v
		if v > sums[most] {
			most = d
		}
	}
	if all == 0 {
		return fmt.Sprintf("No %s in %d days.", unit, len(days))
	}
	return fmt.Sprintf("%s %s in %d days; the most, %s, on %s.", number(all), unit, len(days), number(sums[most]), days[most].Format("2 January"))
}

// largest keeps the largest series in their order, and puts the others together. What isn't a number or is negative
// counts as nothing.
func largest(series []Series, slots int) []Series {
	sum := func(s Series) (n float64) {
		for _, v := range s.Values {
			n += v
		}
		return n
	}
	var kept []Series
	for _, s := range series {
		values := make([]float64, slots)
		for d := range values {
			if d < len(s.Values) && finite(s.Values[d]) {
				values[d] = max(0, s.Values[d])
			}
		}
		kept = append(kept, Series{Name: name(s.Name), Values: values})
	}
	slices.SortStableFunc(kept, func(a, b Series) int { return cmp.Or(cmp.Compare(sum(b), sum(a)), strings.Compare(a.Name, b.Name)) })
	if len(kept) <= maxSeries {
		return kept
	}
	rest := Series{Name: fmt.Sprintf("%d others", len(kept)-maxSeries+1), Values: make([]float64, slots)}
	for _, s := range kept[maxSeries-1:] {
		for d, v := range s.Values {
			rest.Values[d] += v
		}
	}
	return append(kept[:maxSeries-1], rest)
}

// Point is a value at a time.
type Point struct {
	At    time.Time
	Value float64
}

// Forecast is what is expected at a time, and between what.
type Forecast struct {
	At             time.Time
	Low, Mid, High float64
}

// timeSeries draws a line through points, oldest first, and the band of a forecast behind them.
func timeSeries(title, unit string, points []Point, ahead []Forecast) Figure {
	points = slices.DeleteFunc(slices.Clone(points[max(0, len(points)-maxPoints):]), func(p Point) bool { return !finite(p.Value) })
	ahead = slices.DeleteFunc(slices.Clone(ahead[:min(len(ahead), maxPoints)]), func(a Forecast) bool {
		return !finite(a.Low) || !finite(a.Mid) || !finite(a.High)
	})
	f := Figure{Title: title, Width: chartWidth, Height: chartHeight, Head: []string{"Time", unit}}
	if len(points) == 0 {
		f.Says = "Nothing is known yet."
		return f
	}
	last := points[len(points)-1]
	var values []float64
	for _, p := range points {
		values = append(values, p.Value)
		f.Rows = append(f.Rows, []string{p.At.UTC().Format("2 Jan 2006 15:04"), number(p.Value)})
	}
	begin, end := points[0].At, last.At
	for _, a := range ahead {
		values = append(values, a.Low, a.Mid, a.High)
		f.Rows = append(f.Rows, []string{a.At.UTC().Format("2 Jan 2006 15:04"), fmt.Sprintf("%s (expected, between %s and %s)", number(a.Mid), number(a.Low), number(a.High))})
		end = a.At
	}
	bottom := min(0, slices.Min(values))
	top, step := scale(values)
	if bottom < 0 {
		_, lowStep := scale([]float64{-bottom})
		step = max(step, lowStep)
		bottom, top = -step*math.Ceil(-bottom/step), step*math.Ceil(top/step)
	}
	f.ticks(bottom, top, step)
	span := max(1, end.Sub(begin).Seconds())
	at := func(t time.Time, v float64) string {
		return number(chartLeft+(chartWidth-chartLeft-4)*t.Sub(begin).Seconds()/span) + " " + number(ordinate(v, bottom, top))
	}
	path := make([]string, len(points))
	for i, p := range points {
		path[i] = at(p.At, p.Value)
	}
	f.Line = "M" + strings.Join(path, "L")
	if len(ahead) > 0 {
		over, under, mid := []string{at(last.At, last.Value)}, []string{}, []string{at(last.At, last.Value)}
		for _, a := range ahead {
			over, under, mid = append(over, at(a.At, a.High)), append(under, at(a.At, a.Low)), append(mid, at(a.At, a.Mid))
		}
		slices.Reverse(under)
		f.Band, f.Dashed = "M"+strings.Join(append(over, under...), "L")+"Z", "M"+strings.Join(mid, "L")
	}
	f.spanDays(begin, end)
	f.Says = fmt.Sprintf("%s %s at last, %s at first.", number(last.Value), unit, number(points[0].Value))
	if n := len(ahead); n > 0 {
		f.Says += fmt.Sprintf(" Expected on %s: %s, between %s and %s.", ahead[n-1].At.Format("2 January"), number(ahead[n-1].Mid), number(ahead[n-1].Low), number(ahead[n-1].High))
	}
	return f
}

// Spark is a chart of a word's size.
type Spark struct {
	Width, Height int
	Path          string
	Says          string
}

// spark draws a small bar for each value, at most 32, the last ones.
func spark(values []float64, says string) Spark {
	values = values[max(0, len(values)-32):]
	s := Spark{Width: max(1, len(values)) * 5, Height: 16, Says: says}
	most := 0.0
	for _, v := range values {
		if finite(v) {
			most = max(most, v)
		}
	}
	var b strings.Builder
	for i, v := range values {
		height := 1
		if most > 0 && v > 0 && finite(v) {
			height = 1 + int(math.Round(15*min(1, v/most)))
		}
		fmt.Fprintf(&b, "M%d 16v-%dh4v%dz", i*5, height, height)
	}
	s.Path = b.String()
	return s
}

// ticks puts numbers beside the axis, and lines across.
func (f *Figure) ticks(bottom, top, step float64) {
	for v := bottom; v <= top+step/2; v += step {
		f.Ticks = append(f.Ticks, Tick{At: number(ordinate(v, bottom, top)), Text: short(v)})
	}
}

// names names some slots below: the last one, and of the others as many as have room.
func (f *Figure) names(slots []slot, x func(int) float64) {
	every := max(1, (len(slots)+9)/10)
	for i := (len(slots) - 1) % every; i < len(slots) && i >= 0; i += every {
		f.Days = append(f.Days, Tick{At: number(min(x(i), chartWidth-20)), Text: slots[i].Short})
	}
	const most = 6 // in a narrow window
	for i := len(f.Days) - 2; i >= 0 && len(f.Days) > most; i -= 2 {
		f.Days[i].Spare = true
	}
}

// spanDays names some times below a line.
func (f *Figure) spanDays(begin, end time.Time) {
	layout := "2 Jan"
	if end.Sub(begin) < 48*time.Hour {
		layout = "15:04"
	}
	const parts = 5
	for i := range parts {
		at := begin.Add(end.Sub(begin) / (parts - 1) * time.Duration(i))
		x := chartLeft + (chartWidth-chartLeft)*float64(i)/(parts-1)
		f.Days = append(f.Days, Tick{At: number(min(max(x, chartLeft+14), chartWidth-20)), Text: at.UTC().Format(layout)})
	}
}

// scale gives the top of an axis that has room for all values, and the step of its numbers: 1, 2 or 5 times a power of
// ten.
func scale(values []float64) (top, step float64) {
	most := 0.0
	for _, v := range values {
		if finite(v) {
			most = max(most, v)
		}
	}
	if most <= 0 {
		return 1, 1
	}
	step = math.Pow(10, math.Floor(math.Log10(most)))
	for _, part := range []float64{.2, .5, 1, 2} {
		if most/(step*part) <= 5 {
			step *= part
			break
		}
	}
	return step * math.Ceil(most/step), step
}

// ordinate is where a value stands.
func ordinate(v, bottom, top float64) float64 {
	v = min(max(v, bottom), top)
	return chartTop + (chartHeight-chartTop-chartBottom)*(1-(v-bottom)/max(top-bottom, math.SmallestNonzeroFloat64))
}

// finite reports whether a number can be drawn.
func finite(v float64) bool { return math.Abs(v) <= 1e15 }

// number writes a number with at most two decimals.
func number(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

// short writes a number beside an axis.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e9:
		return number(v/1e9) + " G"
	case a >= 1e6:
		return number(v/1e6) + " M"
	case a >= 1e4:
		return number(v/1e3) + " k"
	}
	return number(v)
}
