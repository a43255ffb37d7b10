package console

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// breakout closes whatever it stands in, and goes on as markup.
const breakout = `javascript:/*--></title></style></textarea></script></svg>"'` + "`" + `><img src=x onerror=alert(1)><svg/onload=alert(2)>{{.}}<!--` + "\u202egnp.exe\u200b\x00\u2066"

// fill sets everything in a value: strings to what next gives, lists to two elements, conditions to true.
func fill(v reflect.Value, next func() string, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(next())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(2)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(3)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Slice:
		if depth < 6 {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range v.Len() {
				fill(v.Index(i), next, depth+1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), next, depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, next, depth+1)
		fill(value, next, depth+1)
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		if depth < 6 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), next, depth+1)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), next, depth+1)
			}
		}
	}
}

// filled is a copy of a model with all its strings from next.
func filled(model any, next func() string) any {
	v := reflect.New(reflect.TypeOf(model)).Elem()
	fill(v, next, 0)
	return v.Interface()
}

// elementsOf lists the elements of a page with the names of their attributes, in their order.
func elementsOf(t *testing.T, page []byte) (list []string) {
	t.Helper()
	tokens := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return list
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			names := []string{}
			for _, a := range token.Attr {
				names = append(names, a.Key)
				value := strings.ToLower(strings.TrimSpace(a.Val))
				if slices.Contains([]string{"href", "src", "action", "formaction", "xlink:href"}, a.Key) && (strings.HasPrefix(value, "javascript:") || strings.HasPrefix(value, "data:")) {
					t.Errorf("<%s> leads to %.60q", token.Data, a.Val)
				}
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
					t.Errorf("<%s> has the attribute %s", token.Data, a.Key)
				}
			}
			slices.Sort(names)
			list = append(list, token.Data+" "+strings.Join(names, ","))
		}
	}
}

// treeOf gives the elements as a browser's parser arranges them.
func treeOf(t *testing.T, page []byte) (list []string) {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		switch n.Type {
		case html.ElementNode:
			list = append(list, fmt.Sprintf("%s>%s %d", n.Parent.Data, n.Data, len(n.Attr)))
		case html.CommentNode:
			t.Errorf("there is a comment: %.60q", n.Data)
		case html.TextNode:
			if n.Parent.Data != "textarea" && strings.ContainsAny(n.Data, "\u202e\u200b\u2066\x00") {
				t.Errorf("the text of <%s> has characters that are not seen: %.80q", n.Parent.Data, n.Data)
			}
		}
	}
	return list
}

func TestNoModelCanAddAnElementOrAnAttribute(t *testing.T) {
	t.Parallel()
	pages, err := parsePages()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(pages.all)) {
		model, has := models[name]
		if !has {
			t.Errorf("models_test.go has no model of the template %s", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			render := func(next func() string) []byte {
				shown := view{
					Page: "x", Title: next(), Organisation: next(), Consortium: next(), User: next(), Role: "admin", Reader: true, Publisher: true, Admin: true,
					Menu: []menuGroup{{Name: "Node", Here: true, Items: []menuItem{{Path: "x", Title: "X", Here: true}}}}, Theme: "dark", Query: next(), Said: next(),
					Request: next(), Model: filled(model, next),
				}
				var out bytes.Buffer
				if err := pages.all[name].ExecuteTemplate(&out, "layout", shown); err != nil {
					t.Fatal(err)
				}
				return revealPage(out.Bytes())
			}
			benign := render(func() string { return "benign" })
			long, n := strings.Repeat("x"+breakout, 1+(1<<12)/len(breakout)), 0
			hostile := render(func() string {
				if n++; n == 9 { // the model's first
					return strings.Repeat(long, 1+(1<<20)/len(long))
				}
				return long
			})
			bare := render(func() string { return breakout })
			for _, other := range [][]byte{bare, hostile} {
				if a, b := elementsOf(t, benign), elementsOf(t, other); !slices.Equal(a, b) {
					t.Errorf("the elements are others: %s", difference(a, b))
				}
				if a, b := treeOf(t, benign), treeOf(t, other); !slices.Equal(a, b) {
					t.Errorf("a browser sees other elements: %s", difference(a, b))
				}
			}
		})
	}
	for name := range models {
		if pages.all[name] == nil {
			t.Errorf("models_test.go has a model of %s, which is no template", name)
		}
	}
}

func difference(a, b []string) string {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("%d and %d, from %d on %q and %q", len(a), len(b), i, a[min(i, len(a)):min(i+3, len(a))], b[min(i, len(b)):min(i+3, len(b))])
		}
	}
	return ""
}

func TestWhatIsNotSeenIsShown(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"<p>plain</p>":                             "<p>plain</p>",
		"<p>a\u202eb</p>":                          "<p>a⟨U+202E⟩b</p>",
		"<p title=\"a\u202eb\">\u200b</p>":         "<p title=\"a\u202eb\">⟨U+200B⟩</p>",
		"<textarea name=t>\u200b</textarea>\ufeff": "<textarea name=t>\u200b</textarea>⟨U+FEFF⟩",
		"line\nand\ttab <b>\x01</b>\u00a0":         "line\nand\ttab <b>⟨U+0001⟩</b>\u00a0",
		"<p>é – “quoted” 日本</p>\u2067<br>and \U000e0041 the end": "<p>é – “quoted” 日本</p>⟨U+2067⟩<br>and ⟨U+E0041⟩ the end",
	} {
		if got := string(revealPage([]byte(page))); got != want {
			t.Errorf("%q becomes %q, want %q", page, got, want)
		}
	}
}
