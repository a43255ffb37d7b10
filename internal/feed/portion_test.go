package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/stix"
)

// counting is a sink that tells how much it was given at once.
type counting struct {
	*ledger
	sizes []int
}

func (c *counting) Publish(ctx context.Context, objects []*stix.Object) ([]Verdict, error) {
	c.sizes = append(c.sizes, len(objects))
	return c.ledger.Publish(ctx, objects)
}

// pages are indicators, so many in each.
func pages(sizes ...int) (list []portion) {
	n := 0
	for _, size := range sizes {
		var numbers []int
		for range size {
			n++
			numbers = append(numbers, n)
		}
		list = append(list, portion{objects: objects(numbers...)})
	}
	return list
}

func portioned(size int) Config {
	c := taxiiConfig("http://x")
	c.Portion = size
	return c
}

// placeIn is the place of a feed.
func placeIn(t *testing.T, c Config, memory Memory) string {
	t.Helper()
	f, _ := newFeed(t, c, memory)
	place, err := f.place()
	must(t, err)
	return string(place)
}

func TestWhatIsPublishedAtOnceIsGatheredOverPages(t *testing.T) {
	for _, c := range []struct {
		portion int
		pages   []int
		want    []int
	}{
		{5, []int{3, 3, 3, 3}, []int{5, 5, 2}},
		{5, []int{12}, []int{5, 5, 2}},
		{5, []int{2, 0, 3, 0}, []int{5}},
		{5, []int{1}, []int{1}},
		{0, []int{3, 0, 4}, []int{3, 4}},
	} {
		sink := &counting{ledger: newLedger()}
		memory := memo{}
		report, err := walk(t, portioned(c.portion), memory, &script{portions: pages(c.pages...)}, sink, false)
		if err != nil || !slices.Equal(sink.sizes, c.want) || report.New != len(sink.order) {
			t.Errorf("%v by %d: published are %v, %d new (%v)", c.pages, c.portion, sink.sizes, report.New, err)
		}
		if place := placeIn(t, portioned(c.portion), memory); place != fmt.Sprint(len(c.pages)) {
			t.Errorf("%v by %d: the place is %s", c.pages, c.portion, place)
		}
	}
}

// What was gathered is published when the source fails, and the place is before what is not published.
func TestWhatWasGatheredIsNotLostWhenTheSourceFails(t *testing.T) {
	cut := errors.New("the line is cut")
	sink, memory := &counting{ledger: newLedger()}, memo{}
	report, err := walk(t, portioned(5), memory, &script{portions: pages(3, 3), err: cut}, sink, false)
	if !errors.Is(err, cut) || report.New != 6 || !slices.Equal(sink.sizes, []int{5, 1}) || placeIn(t, portioned(5), memory) != "2" {
		t.Errorf("%d are published, in %v, and the place is %s (%v)", report.New, sink.sizes, placeIn(t, portioned(5), memory), err)
	}
	full := errors.New("the disk is full")
	sink, memory = &counting{ledger: newLedger()}, memo{}
	b := broken{ledger: sink.ledger, memo: memory, publish: full}
	if _, err := walk(t, portioned(5), memory, &script{portions: pages(3, 3), err: cut}, b, false); !errors.Is(err, full) || placeIn(t, portioned(5), memory) != "" {
		t.Errorf("the place is %q (%v)", placeIn(t, portioned(5), memory), err)
	}
}

// A portion is no larger than what a run may publish: so the place moves on with each run.
func TestALimitedRunTakesWhatItMay(t *testing.T) {
	c := portioned(1000)
	c.MaxObjects = 4
	sink, memory := &counting{ledger: newLedger()}, memo{}
	report, err := walk(t, c, memory, &script{portions: pages(2, 2, 2)}, sink, false)
	if err != nil || report.New != 4 || !report.Rest || !slices.Equal(sink.sizes, []int{4}) || placeIn(t, c, memory) != "2" {
		t.Errorf("%d are published, in %v, and the place is %s (%v)", report.New, sink.sizes, placeIn(t, c, memory), err)
	}
}

// An object that is on two pages of a portion is published once.
func TestAnObjectOfTwoPagesIsPublishedOnce(t *testing.T) {
	sink := &counting{ledger: newLedger()}
	report, err := walk(t, portioned(9), memo{}, &script{portions: []portion{{objects: objects(1, 2)}, {objects: objects(2, 3)}}}, sink, false)
	if err != nil || report.New != 3 || !slices.Equal(sink.sizes, []int{3}) {
		t.Errorf("%d are published, in %v (%v)", report.New, sink.sizes, err)
	}
}

// However the pages are cut, and wherever the source fails: after some runs everything is published, once, and the
// place was never behind something that was not.
func TestNoPortionLosesAnything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 7), 1, 8).Draw(rt, "pages")
		c := portioned(rapid.IntRange(0, 9).Draw(rt, "portion"))
		c.MaxObjects = rapid.IntRange(1, 40).Draw(rt, "at most")
		all, sink, memory := pages(sizes...), &counting{ledger: newLedger()}, memo{}
		for range 200 {
			from := 0
			if place := placeIn(t, c, memory); place != "" {
				_, err := fmt.Sscan(place, &from)
				must(t, err)
			}
			for _, p := range all[:from] {
				for _, raw := range p.objects {
					if o := parsed(t, string(raw)); sink.published[publication(o)] == 0 {
						rt.Fatalf("the place is %d, before which %s is not published", from, o.ID)
					}
				}
			}
			rest := slices.Clone(all[from:])
			for i := range rest {
				rest[i].place = fmt.Append(nil, from+i+1)
			}
			s := &script{portions: rest}
			if rapid.Bool().Draw(rt, "fails") {
				s.portions, s.err = rest[:rapid.IntRange(0, len(rest)).Draw(rt, "at")], errors.New("the line is cut")
			}
			if len(rest) == 0 {
				break
			}
			_, err := walk(t, c, memory, s, sink, false)
			if s.err == nil && err != nil {
				rt.Fatal(err)
			}
		}
		total := 0
		for _, n := range sizes {
			total += n
		}
		for name, n := range sink.published {
			if n != 1 {
				rt.Fatalf("%s is published %d times", name, n)
			}
		}
		if len(sink.published) != total {
			rt.Fatalf("%d of %d are published", len(sink.published), total)
		}
	})
}
