package console

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Trends is what came in over time.
type Trends interface {
	// Arrivals tells what came in during the last months, of what somebody may read. It may take about a second, and is
	// not always all then.
	Arrivals(ctx context.Context, by By) (Arrivals, error)
}

// Arrivals is what came in by days.
type Arrivals struct {
	Days           []time.Time      // the oldest first
	Members, Types map[string][]int // how many each day
	All            int
	Back           time.Time // back to when is counted by now; zero if that is all
	Waits          []Wait    // how long it took from the publication until it could be read here, the shortest first
}

// Wait is how many took so long.
type Wait struct {
	Within time.Duration // 0: longer
	N      int
}

type trendsModel struct {
	All                   int
	Days                  int
	Back                  time.Time
	Members, Types, Waits *Figure
}

func (c *Console) getTrends(v *visit) error {
	a, err := c.Rooms.Trends.Arrivals(v.r.Context(), v.by())
	if err != nil {
		return err
	}
	model := trendsModel{All: a.All, Back: a.Back, Days: len(a.Days)}
	if a.All > 0 {
		members, types := barChart("By day and member", "objects", a.Days, seriesOf(a.Members, name)), barChart("By day and type", "objects", a.Days, seriesOf(a.Types, typesWord))
		waits := waitChart(a.Waits)
		model.Members, model.Types, model.Waits = &members, &types, &waits
	}
	return v.render("trends", model)
}

// seriesOf makes rows of numbers of counts, with what they are called on a page.
func seriesOf(counts map[string][]int, called func(string) string) (list []Series) {
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		s := Series{Name: called(what), Values: make([]float64, len(counts[what]))}
		for i, n := range counts[what] {
			s.Values[i] = float64(n)
		}
		list = append(list, s)
	}
	return list
}

// waitChart draws how many took how long.
func waitChart(waits []Wait) Figure {
	slots, values, all := make([]slot, len(waits)), make([]float64, len(waits)), 0
	for i, w := range waits {
		slots[i] = slot{Long: "within " + shortly(w.Within), Short: "≤ " + shortly(w.Within)}
		if w.Within == 0 {
			slots[i] = slot{Long: "longer", Short: "longer"}
		}
		values[i] = float64(w.N)
		all += w.N
	}
	within := func(part float64) Wait {
		sum := 0
		for _, w := range waits {
			if sum += w.N; float64(sum) >= part*float64(all) {
				return w
			}
		}
		return Wait{}
	}
	f, _ := bars("From publication to readable here", "objects", "Time", slots, []Series{{Name: "objects", Values: values}})
	f.Legend = nil
	switch half, most := within(.5).Within, within(.9).Within; {
	case half == 0:
		f.Says = "Most took longer: they were published before this node was there, or while it was away."
	case most == 0:
		f.Says = fmt.Sprintf("Half of them could be read here within %s; more than one in ten took longer than an hour.", shortly(half))
	case half == most:
		f.Says = fmt.Sprintf("Nine of ten could be read here within %s.", shortly(most))
	default:
		f.Says = fmt.Sprintf("Half of them could be read here within %s, nine of ten within %s.", shortly(half), shortly(most))
	}
	return f
}

// shortly writes a round time.
func shortly(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
