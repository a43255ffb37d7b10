package console

import (
	"fmt"
	"strings"
	"testing"
)

func TestMembersAreDrawnWithTheirConnections(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, maxDrawnMembers, maxDrawnMembers + 5} {
		list := []Member{{Name: "acme", Self: true}, {Name: "gone", Removed: 7}}
		for i := range n {
			list = append(list, Member{Name: fmt.Sprintf("member-%02d", i), Connected: i%3 == 0})
		}
		d := connections(list)
		drawn := min(n, maxDrawnMembers)
		if len(d.Nodes) != drawn+1 || len(d.Lines) != drawn || len(d.Said) > 0 != (n > drawn) {
			t.Errorf("of %d others %d are drawn with %d lines, and it says %q", n, len(d.Nodes)-1, len(d.Lines), d.Said)
		}
		for i, a := range d.Nodes {
			if a.Y < 0 || a.Y+nodeHeight > d.Height || a.X < 0 || a.X+a.Width > d.Width || strings.Contains(a.Label, "gone") {
				t.Errorf("of %d others %+v is not within %d × %d", n, a, d.Width, d.Height)
			}
			for _, b := range d.Nodes[:i] {
				if a.X < b.X+b.Width && b.X < a.X+a.Width && a.Y < b.Y+nodeHeight && b.Y < a.Y+nodeHeight {
					t.Errorf("of %d others %s and %s overlap", n, a.Label, b.Label)
				}
			}
		}
		off := 0
		for _, l := range d.Lines {
			if l.Class == "t-off" {
				off++
			}
		}
		if want := drawn - min((n+2)/3, drawn); off != want {
			t.Errorf("of %d others %d are drawn as not connected, not %d", n, off, want)
		}
	}
	if d := connections([]Member{{Name: "acme", Self: true}}); d != nil {
		t.Errorf("alone it is %+v", d)
	}
}
