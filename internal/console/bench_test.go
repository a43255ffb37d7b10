package console

import (
	"bytes"
	"io"
	"path"
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

// BenchmarkAPage makes whole pages, compressed as browsers get them.
func BenchmarkAPage(b *testing.B) {
	all, err := parsePages()
	if err != nil {
		b.Fatal(err)
	}
	rows := searchModel{Facets: Question{Limit: 50}.facets()}
	for _, r := range someLibrary.rows(50) {
		rows.Rows = append(rows.Rows, shown(r, ""))
	}
	around, err := someLibrary.Around(b.Context(), By{}, malwareID, maxNeighbours)
	if err != nil {
		b.Fatal(err)
	}
	for _, page := range []struct {
		name  string
		model func() any
	}{
		{"search", func() any { return rows }},
		{"object", func() any {
			drawing := draw(Around{ID: malwareID, Type: "malware", Name: "TarnLocker", Near: around.Near, More: around.More})
			return objectModel{Summary: summarise([]byte(someLibrary.objects()[malwareID]), someLibrary.at), Drawing: &drawing}
		}},
	} {
		b.Run(page.name, func(b *testing.B) {
			size := 0
			for b.Loop() {
				var out bytes.Buffer
				if err := all.all[page.name].ExecuteTemplate(&out, "layout", view{Page: page.name, Reader: true, Model: page.model()}); err != nil {
					b.Fatal(err)
				}
				size = len(zip(revealPage(out.Bytes())))
			}
			b.ReportMetric(float64(size), "gz-bytes")
		})
	}
	css, js := 0, 0
	for name, file := range all.assets {
		if path.Ext(name) == ".css" {
			css += len(file.zipped)
		} else {
			js += len(file.zipped)
		}
	}
	b.Logf("style sheets have %d bytes compressed, scripts and the icon %d", css, js)
}
