package console

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func drawNeighbours(t *rapid.T, prefix string, most, ids int) []Neighbour {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Neighbour {
		kind := rapid.SampledFrom([]string{"indicator", "malware", "report", "threat-actor", "ipv4-addr", "x-new", ""}).Draw(t, "type")
		return Neighbour{
			ID:       prefix + kind + "--" + fmt.Sprint(rapid.IntRange(0, ids).Draw(t, "id")),
			Type:     kind,
			Name:     rapid.String().Draw(t, "name"),
			Relation: rapid.SampledFrom([]string{"indicates", "uses", "object_refs", "created_by_ref", "related-to"}).Draw(t, "relation"),
			Out:      rapid.Bool().Draw(t, "out"),
		}
	}), 0, most).Draw(t, "neighbours")
}

func drawAround(t *rapid.T, ids int) Around {
	a := Around{ID: "malware--0", Type: "malware", Name: rapid.String().Draw(t, "middle"), Near: drawNeighbours(t, "a", 120, ids), More: map[Group]int{}}
	for i := range rapid.IntRange(0, 50).Draw(t, "more") {
		a.More[Group{Relation: fmt.Sprint("r", i%9), Type: fmt.Sprint("t", i), Out: i%2 == 0}] = rapid.IntRange(1, 100000).Draw(t, "count")
	}
	if len(a.Near) > 0 && rapid.Bool().Draw(t, "open") {
		a.Open, a.Far, a.FarMore = rapid.SampledFrom(a.Near).Draw(t, "opened").ID, drawNeighbours(t, "b", 120, ids), rapid.IntRange(0, 9).Draw(t, "far more")
	}
	return a
}

func TestNoTwoNodesOverlap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(drawAround(t, 200))
		for i, n := range d.Nodes {
			if n.X < 0 || n.Y < 0 || n.X+n.Width > d.Width || n.Y+nodeHeight > d.Height {
				t.Fatalf("%+v lies outside of %d × %d", n, d.Width, d.Height)
			}
			for _, m := range d.Nodes[:i] {
				if n.X < m.X+m.Width && m.X < n.X+n.Width && n.Y < m.Y+nodeHeight && m.Y < n.Y+nodeHeight {
					t.Fatalf("%+v and %+v overlap", n, m)
				}
			}
			for _, c := range d.Captions {
				if c.X >= n.X && c.X < n.X+n.Width && c.Y > n.Y && c.Y-12 < n.Y+nodeHeight {
					t.Fatalf("%+v is covered by %+v", c, n)
				}
			}
		}
	})
}

func TestTheSameObjectIsDrawnTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := drawAround(t, 1<<40)
		first := draw(a)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)).Shuffle(len(a.Near), func(i, j int) { a.Near[i], a.Near[j] = a.Near[j], a.Near[i] })
		if again := draw(a); !reflect.DeepEqual(first, again) {
			t.Fatalf("%+v\nand then\n%+v", first, again)
		}
	})
}

func TestAGraphKeepsItsCapsAndSaysThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := drawAround(t, 200)
		d := draw(a)
		rings, more := map[bool]int{}, false
		for _, n := range d.Nodes {
			rings[n.column == 0 || n.column == 4]++
			more = more || n.Class == "more"
		}
		if rings[false] > 1+maxRing || rings[true] > maxRing {
			t.Fatalf("%v nodes are drawn", rings)
		}
		if more && len(d.Said) == 0 {
			t.Fatal("something is left out, and nothing said")
		}
	})
	var many []Neighbour
	for i := range 100 {
		many = append(many, Neighbour{ID: fmt.Sprintf("indicator--%03d", i), Type: "indicator", Name: fmt.Sprintf("203.0.113.%d", i), Relation: "indicates"})
	}
	d := draw(Around{ID: "malware--1", Type: "malware", Name: "LockBit", Near: many, More: map[Group]int{{Relation: "indicates", Type: "indicator"}: 14}})
	if len(d.Nodes) != 1+8+1 {
		t.Fatalf("%d nodes are drawn", len(d.Nodes))
	}
	if last := d.Nodes[8]; last.Label != "+106 indicators" || last.Class != "more" {
		t.Fatalf("the rest is %+v", d.Nodes)
	}
	if want := []string{"8 of 114 are drawn: at most 8 of a kind, and 40 in all."}; !reflect.DeepEqual(d.Said, want) {
		t.Fatalf("said is %q, want %q", d.Said, want)
	}
}

func TestANeighbourIsOpenedBesideIt(t *testing.T) {
	t.Parallel()
	d := draw(Around{ID: "malware--1", Type: "malware", Name: "LockBit", Open: "campaign--1",
		Near: []Neighbour{{ID: "campaign--1", Type: "campaign", Name: "Cold Harbour", Relation: "uses"}},
		Far:  []Neighbour{{ID: "threat-actor--1", Type: "threat-actor", Name: "Grey Heron", Relation: "attributed-to", Out: true}}, FarMore: 3})
	var x [5]int
	for _, n := range d.Nodes {
		x[n.column] = n.X
	}
	if len(d.Nodes) != 3 || len(d.Lines) != 2 || x[0] >= x[1] || x[1] >= x[2] {
		t.Fatalf("drawn is %+v", d)
	}
	if want := []string{"campaign: Cold Harbour has 3 more."}; !reflect.DeepEqual(d.Said, want) {
		t.Fatalf("said is %q, want %q", d.Said, want)
	}
}
