package console

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxDrawnMembers is how many members are drawn at most; the table has all.
const maxDrawnMembers = 40

// connections draws this organisation's node in the middle and the others' around it, those first that it has a
// connection to: nil if there is no other.
func connections(all []Member) *Drawing {
	var self string
	var others []Member
	for _, m := range all {
		switch {
		case m.Self:
			self = m.Name
		case m.Removed == 0 && m.Name != "":
			others = append(others, m)
		}
	}
	if len(others) == 0 {
		return nil
	}
	slices.SortFunc(others, func(a, b Member) int {
		return cmp.Or(-compareBool(a.Connected, b.Connected), strings.Compare(a.Name, b.Name))
	})
	d := &Drawing{}
	connected := 0
	for _, m := range others {
		if m.Connected {
			connected++
		}
	}
	d.Label = fmt.Sprintf("%d of %s connected; the table has the same.", connected, countOf(len(others), "other member is", "other members are"))
	if n := len(others); n > maxDrawnMembers {
		others = others[:maxDrawnMembers]
		d.Said = append(d.Said, fmt.Sprintf("%d of %d are drawn.", len(others), n))
	}
	half := (len(others) + 1) / 2
	d.Height = half*nodeStep + 2*margin
	d.Width = 3*nodeWidth + 2*columnGap + 2*margin
	d.put(DrawnNode{X: margin + nodeWidth + columnGap, Y: (d.Height - nodeHeight) / 2, Width: nodeWidth, Class: "middle t-on", Label: label(self, ""), Title: name(self) + ": this node", column: 2})
	for i, m := range others {
		node := DrawnNode{X: d.Width - margin - nodeWidth, Width: nodeWidth, Class: "t-on", Label: label(m.Name, ""), Title: name(m.Name) + ": connected", Href: link("member", "name", m.Name), column: 3}
		rows := half
		if i%2 == 1 {
			node.X, node.column, rows = margin, 1, len(others)/2
		}
		node.Y = (d.Height-rows*nodeStep)/2 + i/2*nodeStep
		if !m.Connected {
			node.Class, node.Title = "t-off", name(m.Name)+": not connected"
		}
		d.put(node)
	}
	d.join(Around{}, nil)
	return d
}
