package stix

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/waiting"
)

// node is an object named n that refers to others.
func node(n int, refs ...int) *Object {
	o := &Object{ID: fmt.Sprint("x--", n)}
	for _, ref := range refs {
		o.refs = append(o.refs, fmt.Sprint("x--", ref))
	}
	return o
}

func TestOrder(t *testing.T) {
	for _, c := range []struct {
		name    string
		objects []*Object
		want    []int
	}{
		{"nothing", nil, []int{}},
		{"no references", []*Object{node(2), node(1), node(3)}, []int{0, 1, 2}},
		{"in order already", []*Object{node(1), node(2, 1), node(3, 2, 1)}, []int{0, 1, 2}},
		{"backwards", []*Object{node(3, 2), node(2, 1), node(1)}, []int{2, 1, 0}},
		{"only what must moves", []*Object{node(1), node(2, 4), node(3), node(4), node(5)}, []int{0, 3, 1, 2, 4}},
		{"absent objects", []*Object{node(1, 8, 9), node(2, 7)}, []int{0, 1}},
		{"itself", []*Object{node(1, 1), node(2)}, []int{0, 1}},
		{"a circle", []*Object{node(1, 2), node(2, 1), node(3)}, []int{1, 0, 2}},
		{"versions of one id", []*Object{node(1, 2), node(2), node(3, 2), node(2)}, []int{1, 3, 0, 2}},
		{"the same object twice", []*Object{node(1), node(1)}, []int{0, 1}},
	} {
		if got := Order(c.objects); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestOrderPutsTheSampleBundleInAReadableOrder(t *testing.T) {
	var objects []*Object
	for _, raw := range objectsIn(t, "testdata/sample-bundle.json") {
		objects = append(objects, mustParse(t, string(raw)))
	}
	slices.Reverse(objects)
	if got := Order(objects); !slices.Equal(got, []int{2, 1, 0}) {
		t.Errorf("%v", got)
	}
}

func TestOrderPutsReferencedObjectsFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.IntRange(1, 12)
		objects := rapid.SliceOf(rapid.Custom(func(t *rapid.T) *Object {
			return node(ids.Draw(t, "id"), rapid.SliceOfN(ids, 0, 3).Draw(t, "refs")...)
		})).Draw(t, "objects")

		order := Order(objects)

		if sorted := slices.Sorted(slices.Values(order)); !slices.Equal(sorted, upTo(len(objects))) {
			t.Fatalf("%v is no permutation", order)
		}
		position := make([]int, len(objects))
		for p, i := range order {
			position[i] = p
		}
		reaches := reachability(objects)
		inOrder := true
		for i, o := range objects {
			for j, p := range objects {
				if !slices.Contains(o.refs, p.ID) || o.ID == p.ID {
					continue
				}
				inOrder = inOrder && j < i
				if position[j] > position[i] && !reaches[p.ID][o.ID] {
					t.Errorf("%s refers to %s but comes before it in %v", o.ID, p.ID, order)
				}
			}
		}
		if inOrder && !slices.Equal(order, upTo(len(objects))) {
			t.Errorf("%v, though the order given was right", order)
		}
	})
}

func upTo(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// reachability says which ids lead to which others along references (Warshall).
func reachability(objects []*Object) map[string]map[string]bool {
	reaches := make(map[string]map[string]bool)
	for _, o := range objects {
		if reaches[o.ID] == nil {
			reaches[o.ID] = make(map[string]bool)
		}
		for _, ref := range o.refs {
			reaches[o.ID][ref] = true
		}
	}
	for via := range reaches {
		for from := range reaches {
			if reaches[from][via] {
				for to := range reaches[via] {
					reaches[from][to] = true
				}
			}
		}
	}
	return reaches
}

// A quadratic algorithm would take minutes for any of these.
func TestOrderTakesLinearTime(t *testing.T) {
	const n = 100_000
	shapes := map[string]func(i int) *Object{
		"chain":               func(i int) *Object { return node(i, i+1) },
		"all refer to one":    func(i int) *Object { return node(i, n-1) },
		"versions of one":     func(i int) *Object { return node(i%2, 1) },
		"circle":              func(i int) *Object { return node(i, (i+1)%n) },
		"all refer to absent": func(i int) *Object { return node(i, n, n+1) },
	}
	for name, shape := range shapes {
		objects := make([]*Object, n)
		for i := range objects {
			objects[i] = shape(i)
		}
		start := time.Now()
		if order := Order(objects); len(order) != n {
			t.Errorf("%s: %d of %d", name, len(order), n)
		}
		if took := time.Since(start); took > waiting.Limit {
			t.Errorf("%s took %v", name, took)
		}
	}
}
