package console

import (
	"io"
	"testing"
)

func BenchmarkAGraphOfSixtyNodes(b *testing.B) {
	templates := parts(b)
	a := Around{ID: "malware--1", Type: "malware", Name: "LockBit 3.0", Open: "report--1"}
	for i, kind := range []string{"indicator", "report", "campaign", "tool", "infrastructure"} {
		for j := range 8 {
			a.Near = append(a.Near, Neighbour{ID: kind + "--" + string(rune('0'+j)), Type: kind, Name: "name of " + kind, Relation: "uses", Out: i%2 == 0})
		}
	}
	for j := range 20 {
		a.Far = append(a.Far, Neighbour{ID: "tool--" + string(rune('a'+j)), Type: []string{"tool", "malware", "identity"}[j%3], Name: "far one", Relation: "object_refs", Out: true})
	}
	nodes := 0
	for b.Loop() {
		d := draw(a)
		nodes = len(d.Nodes)
		if err := templates.ExecuteTemplate(io.Discard, "graph", d); err != nil {
			b.Fatal(err)
		}
	}
	if nodes < 60 {
		b.Fatalf("%d nodes", nodes)
	}
}
