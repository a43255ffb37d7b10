package console

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func parts(t testing.TB) *template.Template {
	t.Helper()
	return template.Must(template.New("").Funcs(functions).ParseGlob("templates/parts/*.html"))
}

// polyglot breaks out of text, attributes, scripts and comments where one is let.
const polyglot = "--></title></script><script>alert(1)</script><img src=x onerror=alert(1)> \" onx=1 ' onx=2 `javascript:alert(1)//\u202E{{.}}"

// bones gives the elements of a page and their attributes' names, without what text there is.
func bones(t testing.TB, page string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			b.WriteString("<" + n.Data)
			for _, a := range n.Attr {
				b.WriteString(" " + a.Key)
			}
			b.WriteString(">")
		}
		if n.Type == html.CommentNode {
			t.Errorf("there is a comment: %s", n.Data)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(root)
	return b.String()
}

func around(text string) Around {
	a := Around{ID: "malware--" + text, Type: "malware", Name: text, Open: "indicator--3" + text, More: map[Group]int{{Relation: "indicates", Type: "indicator"}: 9}}
	for i := range 20 {
		a.Near = append(a.Near, Neighbour{ID: fmt.Sprintf("indicator--%d%s", i, text), Type: "indicator", Name: text, Relation: "indicates"})
		a.Far = append(a.Far, Neighbour{ID: fmt.Sprintf("tool--%d%s", i, text), Type: "tool", Name: text, Relation: "uses", Out: true})
	}
	return a
}

func TestAHostileNameIsTextInEveryFigure(t *testing.T) {
	t.Parallel()
	templates := parts(t)
	show := func(text string) string {
		var b bytes.Buffer
		for _, part := range []struct {
			template string
			model    any
		}{
			{"graph", draw(around(text))},
			{"chart", barChart(text, text, someDays(3), []Series{{text, []float64{1, 2, 3}}})},
			{"spark", spark([]float64{1, 2}, text)},
		} {
			if err := templates.ExecuteTemplate(&b, part.template, part.model); err != nil {
				t.Fatal(err)
			}
		}
		return b.String()
	}
	good, bad := bones(t, show("LockBit")), bones(t, show(polyglot))
	if good != bad {
		t.Errorf("shown is\n%s\nwant\n%s", bad, good)
	}
	if strings.Contains(good, " style") || !strings.Contains(good, "<a href") {
		t.Errorf("shown is %s", good)
	}
}
