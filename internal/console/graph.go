package console

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The caps of a graph: more can't be read, and what is left out is said in the picture.
const (
	maxGroup = 8  // nodes of one relation and type
	maxRing  = 40 // nodes of a ring
)

// Neighbour is an object that has to do with another one.
type Neighbour struct {
	ID, Type, Name string
	Relation       string // "indicates", "object_refs", …
	Out            bool   // from the object in the middle to this one
}

// Around is what lies around an object.
type Around struct {
	ID, Type, Name string
	Near           []Neighbour
	// More counts what is there beyond Near, by relation, direction and type.
	More map[Group]int
	// Open is the id of the neighbour whose own neighbours are Far.
	Open string
	Far  []Neighbour
	// FarMore counts what Open has beyond Far.
	FarMore int
}

// Group is what neighbours are put together by.
type Group struct {
	Relation, Type string
	Out            bool
}

// Drawing is a graph with places: columns beside the middle, so that no two labels meet. Left of the middle stands what
// refers to it, right what it refers to, unless one side would be much longer than the other.
type Drawing struct {
	Width, Height int
	Label         string // for those who don't see it
	Nodes         []DrawnNode
	Lines         []DrawnLine
	Captions      []Caption
	Said          []string // what is left out
}

// DrawnNode is a node: a box of Width by nodeHeight whose upper left corner is X, Y.
type DrawnNode struct {
	X, Y, Width   int
	TextX, TextY  int
	Class         string // by type
	Dot           string // path of the shape that stands for the type, so that colour alone says nothing
	Label, Title  string
	Href          string
	Expand        string // link that opens its own neighbours; empty without
	ExpandX       int
	MiddleY       int
	Sign          string // path of a plus, or of a minus
	ExpandTitle   string
	column, order int
}

// DrawnLine is a line from one node to another.
type DrawnLine struct {
	Path  string
	Class string
}

// Caption is the name of a group, above it.
type Caption struct {
	X, Y int
	Text string
}

// Sizes of a drawing, in its own units, which are pixels of an ordinary screen.
const (
	nodeWidth    = 208
	nodeHeight   = 26
	nodeStep     = 32 // from a node to the next
	captionStep  = 24
	groupGap     = 10
	columnGap    = 92
	margin       = 10
	labelWidth   = 21 // columns of text, of which a letter of an Asian script has two
	captionWidth = 32
)

// draw places what is around an object. The same object is always drawn the same.
func draw(a Around) Drawing {
	a.Near, a.Far = ordered(a.Near), ordered(a.Far)
	groups, rest := gather(a.Near, a.More)
	said := caps(groups, rest)
	left, right := sides(groups)
	open := a.Open != "" && slices.ContainsFunc(append(slices.Clone(left), right...), func(g drawnGroup) bool { return g.has(a.Open) })
	var far []drawnGroup
	if open {
		far, rest = gather(a.Far, nil)
		if rest += a.FarMore + undrawn(far); rest > 0 {
			said = append(said, fmt.Sprintf("%s has %d more.", shortName(a, a.Open), rest))
		}
	}
	openLeft := slices.ContainsFunc(left, func(g drawnGroup) bool { return g.has(a.Open) })

	// Columns from left to right: far, near, middle, near, far; a column without nodes takes no room.
	columns := make([][]drawnGroup, 5)
	columns[1], columns[3] = left, right
	if openLeft {
		columns[0] = far
	} else {
		columns[4] = far
	}
	d := Drawing{Said: said}
	height := nodeHeight + captionStep
	for _, c := range columns {
		height = max(height, heightOf(c))
	}
	d.Height = height + 2*margin
	x := margin
	for i, c := range columns {
		switch {
		case i == 2:
			d.put(DrawnNode{X: x, Y: (d.Height - nodeHeight) / 2, Width: nodeWidth, Class: "middle " + typeClass(a.Type),
				Label: label(a.Name, a.Type), Title: title(a.Type, a.Name), column: 2})
		case len(c) == 0:
			continue
		default:
			d.column(a, i, x, c)
		}
		x += nodeWidth + columnGap
	}
	d.Width = x - columnGap + margin
	d.join(a, columns)
	d.Label = fmt.Sprintf("%s and the %d objects around it; the table has the same.", title(a.Type, a.Name), len(d.Nodes)-1)
	return d
}

// drawnGroup is a group as it is drawn.
type drawnGroup struct {
	Group
	members []Neighbour
	rest    int // not shown
}

func (g drawnGroup) has(id string) bool {
	return id != "" && slices.ContainsFunc(g.members, func(n Neighbour) bool { return n.ID == id })
}

func (g drawnGroup) caption() string {
	count := len(g.members) + g.rest
	if g.Out {
		return fmt.Sprintf("%s → %s · %d", relationWord(g.Relation), typeWord(g.Type), count)
	}
	if g.Relation == g.Type+"_of_ref" {
		return fmt.Sprintf("%s of this · %d", typeWord(g.Type), count)
	}
	return fmt.Sprintf("%s %s this · %d", typeWord(g.Type), relationWord(g.Relation), count)
}

// rows is how many nodes a group has.
func (g drawnGroup) rows() int {
	if g.rest > 0 {
		return len(g.members) + 1
	}
	return len(g.members)
}

func ordered(near []Neighbour) []Neighbour {
	return slices.SortedFunc(slices.Values(near), func(a, b Neighbour) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
}

// gather puts neighbours into groups, within the caps: first the groups get their share, then the ring is cut, each of
// the largest groups by one in turn. It counts the neighbours whose groups have no place at all.
func gather(near []Neighbour, more map[Group]int) (groups []drawnGroup, rest int) {
	by := map[Group][]Neighbour{}
	seen := map[string]bool{}
	for _, n := range near {
		g := Group{n.Relation, n.Type, n.Out}
		if key := n.ID + "\x00" + n.Relation + strconv.FormatBool(n.Out); !seen[key] {
			seen[key] = true
			by[g] = append(by[g], n)
		}
	}
	for g := range more {
		by[g] = append(by[g], nil...)
	}
	for g, members := range by {
		shown := members[:min(len(members), maxGroup)]
		groups = append(groups, drawnGroup{Group: g, members: shown, rest: len(members) - len(shown) + max(0, more[g])})
	}
	slices.SortFunc(groups, func(a, b drawnGroup) int {
		return cmp.Or(-compareBool(a.Out, b.Out), strings.Compare(a.Relation, b.Relation), strings.Compare(a.Type, b.Type))
	})
	if len(groups) > maxRing {
		for _, g := range groups[maxRing:] {
			rest += len(g.members) + g.rest
		}
		groups = groups[:maxRing]
	}
	for total(groups) > maxRing {
		largest := 0
		for i := range groups {
			if len(groups[i].members) > len(groups[largest].members) {
				largest = i
			}
		}
		g := &groups[largest]
		if len(g.members) == 0 {
			break
		}
		g.members = g.members[:len(g.members)-1]
		g.rest++
	}
	return groups, rest
}

func undrawn(groups []drawnGroup) (n int) {
	for _, g := range groups {
		n += g.rest
	}
	return n
}

func total(groups []drawnGroup) (n int) {
	for _, g := range groups {
		n += g.rows()
	}
	return n
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// caps says what is left out.
func caps(groups []drawnGroup, rest int) []string {
	shown := 0
	for _, g := range groups {
		shown += len(g.members)
	}
	rest += undrawn(groups)
	if rest == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d of %d are drawn: at most %d of a kind, and %d in all.", shown, shown+rest, maxGroup, maxRing)}
}

// sides puts what comes in to the left and what goes out to the right, and moves whole groups over while that makes the
// drawing lower.
func sides(groups []drawnGroup) (left, right []drawnGroup) {
	for _, g := range groups {
		if g.Out {
			right = append(right, g)
		} else {
			left = append(left, g)
		}
	}
	for {
		from, to := &left, &right
		if heightOf(right) > heightOf(left) {
			from, to = &right, &left
		}
		n := len(*from)
		if n < 2 {
			return left, right
		}
		moved := append(slices.Clone(*to), (*from)[n-1])
		if heightOf(moved) >= heightOf(*from) {
			return left, right
		}
		*from, *to = (*from)[:n-1], moved
	}
}

// heightOf is the height of a column.
func heightOf(groups []drawnGroup) int {
	height := 0
	for i, g := range groups {
		if i > 0 {
			height += groupGap
		}
		height += captionStep + g.rows()*nodeStep
	}
	return height
}

func (d *Drawing) put(n DrawnNode) {
	n.TextX, n.TextY, n.MiddleY = n.X+26, n.Y+nodeHeight/2+4, n.Y+nodeHeight/2
	n.Dot = glyph(n.Class, n.X+14, n.MiddleY)
	if n.Expand != "" {
		n.Sign = fmt.Sprintf("M%d %dh8", n.ExpandX-4, n.MiddleY)
		if !strings.HasSuffix(n.Class, " open") {
			n.Sign += "m-4-4v8"
		}
	}
	n.order = len(d.Nodes)
	d.Nodes = append(d.Nodes, n)
}

// column places the groups of a column, in the middle of the drawing's height.
func (d *Drawing) column(a Around, column, x int, groups []drawnGroup) {
	y := (d.Height - heightOf(groups)) / 2
	near := column == 1 || column == 3
	for i, g := range groups {
		if i > 0 {
			y += groupGap
		}
		d.Captions = append(d.Captions, Caption{X: x + 2, Y: y + captionStep - 7, Text: fit(g.caption(), captionWidth)})
		y += captionStep
		for _, n := range g.members {
			node := DrawnNode{X: x, Y: y, Width: nodeWidth, Class: typeClass(n.Type), Label: label(n.Name, n.Type), Title: title(n.Type, n.Name),
				Href: objectLink(n.ID, ""), column: column}
			switch {
			case near && n.ID == a.Open:
				node.Class += " open"
				node.Expand, node.ExpandTitle = objectLink(a.ID, ""), "Close what is around "+name(n.Name)
			case near && n.ID != a.ID:
				node.Expand, node.ExpandTitle = objectLink(a.ID, n.ID), "Show what is around "+name(n.Name)
			}
			node.ExpandX = x + nodeWidth - 14
			d.put(node)
			y += nodeStep
		}
		if g.rest > 0 {
			d.put(DrawnNode{X: x, Y: y, Width: nodeWidth, Class: "more", Label: fit("+"+typeCount(g.Type, g.rest), labelWidth),
				Title: thousands(int64(g.rest)) + " more, in the table", Href: "#around", column: column})
			y += nodeStep
		}
	}
}

// join draws the lines: from the middle to the near nodes, from the open one to the far ones.
func (d *Drawing) join(a Around, columns [][]drawnGroup) {
	var middle, open *DrawnNode
	for i := range d.Nodes {
		n := &d.Nodes[i]
		if n.column == 2 {
			middle = n
		}
		if strings.HasSuffix(n.Class, " open") {
			open = n
		}
	}
	for i := range d.Nodes {
		n := &d.Nodes[i]
		switch n.column {
		case 1, 3:
			d.line(middle, n)
		case 0, 4:
			d.line(open, n)
		}
	}
}

// line draws a curve between the sides of two nodes that face each other.
func (d *Drawing) line(from, to *DrawnNode) {
	x1, x2 := from.X+from.Width, to.X
	if to.X < from.X {
		x1, x2 = from.X, to.X+to.Width
	}
	y1, y2 := from.Y+nodeHeight/2, to.Y+nodeHeight/2
	bend := (x1 + x2) / 2
	class, _, _ := strings.Cut(to.Class, " ")
	d.Lines = append(d.Lines, DrawnLine{Path: fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, bend, y1, bend, y2, x2, y2), Class: class})
}

// objectLink is the address of an object's page, with one neighbour opened.
func objectLink(id, open string) string {
	address := link("object", "id", id, "open", open)
	if open != "" {
		address += "#around"
	}
	return address
}

func shortName(a Around, id string) string {
	for _, n := range a.Near {
		if n.ID == id {
			return title(n.Type, n.Name)
		}
	}
	return "it"
}
