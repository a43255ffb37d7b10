package warnlist

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func value(t testing.TB, kind observable.Kind, text string) observable.Value {
	t.Helper()
	v, good := observable.Normalise(observable.Atom{Kind: kind, Text: text})
	if !good {
		t.Fatalf("%q is no %v", text, kind)
	}
	return v
}

func builtin(t testing.TB) *Lists {
	t.Helper()
	sources, err := Builtin()
	must(t, err)
	return New(sources)
}

// valueOf is an entry as a value; lists have names of one label and hashes of kinds that are none here.
func valueOf(entry string) (observable.Value, bool) {
	entry = strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
	for kind := observable.IPv4; kind <= observable.SHA512; kind++ {
		if v, good := observable.Normalise(observable.Atom{Kind: kind, Text: entry}); good {
			return v, true
		}
	}
	return observable.Value{}, false
}

func TestEveryEntryOfEveryListMatchesItself(t *testing.T) {
	sources, err := Unpack(packed)
	must(t, err)
	l := builtin(t)
	looked := 0
	for i, s := range sources {
		if s.Class < Hard || s.Class > Context || s.Date == "" || s.Name == "" || len(s.Values) == 0 {
			t.Errorf("%+v", s.List)
		}
		one := New([]Source{s})
		for _, entry := range s.Values {
			v, good := valueOf(entry)
			if !good {
				continue
			}
			looked++
			if hits := one.Match(v); s.Type != Substring && (len(hits) != 1 || hits[0].List != s.Name || hits[0].Class != s.Class) {
				t.Errorf("%s: %q is not on its list: %v", s.ID, entry, hits)
			}
		}
		if got := l.All()[i]; got.ID != s.ID || got.Entries == 0 {
			t.Errorf("%+v", got)
		}
	}
	if looked < 20_000 || len(sources) < 50 {
		t.Errorf("%d entries of %d lists were looked at", looked, len(sources))
	}
}

func TestValuesAreOnTheListsThatTheyBelongTo(t *testing.T) {
	l := builtin(t)
	for text, want := range map[string]Class{
		"ipv4 8.8.8.8": Shared, "ipv4 10.1.2.3": Hard, "ipv4 10.0.0.0/8": Hard, "ipv4 8.8.8.0/24": Shared, "ipv4 203.0.113.9": Context, "ipv4 185.199.108.153": Shared,
		"ipv6 2001:4860:4860::8888": Shared, "ipv6 fe80::1": Hard, "ipv6 fc00::1": Hard, "ipv6 2001:db8::1": Context, "ipv4 224.0.0.251": Hard, "ipv4 100.64.1.1": Hard,
		"domain raw.githubusercontent.com": Shared, "url https://raw.githubusercontent.com/x": 0, "url https://drive.google.com/file/d/x": 0, "domain drive.google.com": Shared,
		"url http://10.0.0.1/x": Hard, "url http://printer.local/x": Hard, "domain printer.local": Hard, "domain bit.ly": Context, "url https://bit.ly/x": Context,
		"md5 d41d8cd98f00b204e9800998ecf8427e": Hard, "domain evil.example": 0, "domain notgoogle.com": 0, "domain login.microsoftonline.com": Shared,
	} {
		kind, text, _ := strings.Cut(text, " ")
		k, err := observable.ParseKind(kind)
		must(t, err)
		hits := l.Match(value(t, k, text))
		if got := Gravest(hits); got != want {
			t.Errorf("%s: %v, want %v", text, hits, want)
		}
		for _, hit := range hits {
			if hit.Date == "" || hit.Entry == "" || !strings.Contains(hit.String(), hit.Date) {
				t.Errorf("%s: %+v", text, hit)
			}
		}
	}
}

func TestNetworksMatchBothWays(t *testing.T) {
	l := New([]Source{{List: List{Name: "one", Class: Shared, Type: CIDR}, Values: []string{"198.51.100.0/24", "2001:db8::/32", "203.0.113.7"}}})
	for text, want := range map[string]bool{
		"198.51.100.7": true, "198.51.100.128/25": true, "198.51.0.0/16": true, "198.51.101.0/24": false, "203.0.113.7": true, "203.0.113.0/24": true, "203.0.113.8": false,
		"2001:db8:1::1": true, "2001::/16": true, "2001:db9::1": false, "198.51.100.0/24": true,
	} {
		kind := observable.IPv4
		if strings.Contains(text, ":") {
			kind = observable.IPv6
		}
		if got := len(l.Match(value(t, kind, text))) == 1; got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestNamesMatchAsTheirListSays(t *testing.T) {
	l := New([]Source{
		{List: List{Name: "string", Class: Shared, Type: String}, Values: []string{"One.example", ".two.example", "http://three.example/A"}},
		{List: List{Name: "hostname", Class: Hard, Type: Hostname}, Values: []string{"bücher.example", "*.four.example"}},
		{List: List{Name: "substring", Class: Context, Type: Substring}, Values: []string{"sandbox"}},
	})
	for text, want := range map[string]string{
		"one.example": "string", "www.one.example": "", "two.example": "string", "www.two.example": "string", "nottwo.example": "", "xn--bcher-kva.example": "hostname",
		"a.b.xn--bcher-kva.example": "hostname", "four.example": "hostname", "my-sandbox.example": "substring",
	} {
		hits := l.Match(value(t, observable.Domain, text))
		if len(hits) > 1 || len(hits) == 0 != (want == "") || len(hits) == 1 && hits[0].List != want {
			t.Errorf("%s: %v, want %s", text, hits, want)
		}
	}
	if hits := l.Match(value(t, observable.URL, "http://three.example/A")); len(hits) != 1 {
		t.Errorf("a URL: %v", hits)
	}
	if hits := l.Match(value(t, observable.URL, "http://three.example/a")); len(hits) != 0 {
		t.Errorf("another URL: %v", hits)
	}
	if all := l.All(); all[0].Entries != 3 || all[1].Entries != 2 {
		t.Errorf("%+v", all)
	}
}

func TestAValueHasNoMoreHitsThanAreShown(t *testing.T) {
	var sources []Source
	for n := range 2 * maxHits {
		sources = append(sources, Source{List: List{Name: fmt.Sprint(n), Class: Class(n%3 + 1), Type: CIDR}, Values: []string{"198.51.100.0/24"}})
	}
	hits := New(sources).Match(value(t, observable.IPv4, "198.51.100.1"))
	if len(hits) != maxHits || Gravest(hits) != Hard || hits[maxHits-1].Class == Hard {
		t.Errorf("%v", hits)
	}
}

func TestTheGravestWarningIsAmongThoseThatAreShown(t *testing.T) {
	l := New([]Source{
		{List: List{Name: "context", Class: Context, Type: CIDR}, Values: []string{"198.51.100.0/24"}},
		{List: List{Name: "hard", Class: Hard, Type: CIDR}, Values: []string{"10.0.0.0/8"}},
	})
	var terms []string
	for n := range maxWarnings + 1 {
		terms = append(terms, fmt.Sprintf("ipv4-addr:value = '198.51.100.%d'", n))
	}
	terms = append(terms, "ipv4-addr:value = '10.0.0.1'")
	object := fmt.Sprintf(`{"type":"indicator","pattern_type":"stix","pattern":%q}`, "["+strings.Join(terms, " OR ")+"]")
	list, mistaken := l.Warnings([]byte(object))
	if !mistaken || len(list) != maxWarnings || Gravest(list[0].Hits) != Hard || list[0].Text != "10.0.0.1" {
		t.Errorf("mistaken is %t, %d warnings: %v", mistaken, len(list), list)
	}
}

func TestAFolderOfListsIsRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[a]*") // no pattern
	stamp, err := StampOf(filepath.Join(dir, "nowhere"))
	if err != nil || stamp != "" {
		t.Errorf("%q, %v", stamp, err)
	}
	write := func(name, text string) {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("ours.json", `{"name":"Ours","version":3,"type":"cidr","x_slnode_class":"hard","list":["198.51.100.0/24"],"matching_attributes":["ip-src"]}`)
	write("theirs/list.json", `{"name":"Theirs","version":20260102,"list":["b.example"]}`)
	before, err := StampOf(dir)
	must(t, err)
	sources, wrong, err := ReadFolder(dir)
	if err != nil || len(wrong) > 0 || len(sources) != 2 {
		t.Fatalf("%+v, %v, %v", sources, wrong, err)
	}
	if s := sources[0]; s.ID != "ours" || s.Class != Hard || s.Date != time.Now().UTC().Format("2006-01-02") {
		t.Errorf("%+v", s)
	}
	if s := sources[1]; s.ID != "theirs" || s.Class != Shared || s.Date != "2026-01-02" || s.Type != String {
		t.Errorf("%+v", s)
	}
	for name, text := range map[string]string{
		"a.json": `{`, "b.json": `{"name":"","list":[]}`, "c.json": `{"name":"x","type":"regex","list":[]}`, "d.json": `{"name":"x","type":"other","list":[]}`,
		"e.json": `{"name":"x","x_slnode_class":"soft","list":[]}`, "f.json": `{"name":"x","list":["` + strings.Repeat("a", 5000) + `"]}`,
	} {
		write(name, text)
	}
	sources, wrong, err = ReadFolder(dir)
	if err != nil || len(wrong) != 6 || len(sources) != 2 {
		t.Errorf("%d lists, %v, %v", len(sources), wrong, err)
	}
	if after, err := StampOf(dir); err != nil || after == before {
		t.Errorf("the stamp stays %q, %v", after, err)
	}
	for n := range MaxFiles {
		write(fmt.Sprintf("many%d.json", n), `{}`)
	}
	if _, _, err := ReadFolder(dir); err == nil {
		t.Error("more lists than may be are read")
	}
}

func TestWhatIsPackedIsUnpacked(t *testing.T) {
	sources := []Source{{List: List{ID: "a", Name: "A", Class: Hard, Type: String, Date: "2026-01-01"}, Values: []string{"x", "y"}}, {List: List{ID: "b", Name: "B", Class: Context, Type: CIDR}}}
	data, err := Pack(sources)
	must(t, err)
	again, err := Unpack(data)
	if err != nil || len(again) != 2 || again[0].Name != "A" || !slices.Equal(again[0].Values, sources[0].Values) || again[1].Class != Context {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := Pack([]Source{{List: List{Name: "a\tb"}}}); err == nil {
		t.Error("a tab is packed")
	}
	for n := range data {
		if _, err := Unpack(data[:n]); err == nil {
			t.Fatalf("the first %d bytes are taken", n)
		}
	}
}

func TestTheNoticeNamesEveryList(t *testing.T) {
	notice, err := os.ReadFile("NOTICE.md")
	must(t, err)
	for _, l := range builtin(t).All() {
		if !strings.Contains(string(notice), fmt.Sprintf("| %s: %s | %s | %s |", l.ID, l.Name, l.Class, l.Date)) {
			t.Errorf("it does not name %s", l.ID)
		}
	}
}

func FuzzList(f *testing.F) {
	f.Add([]byte(`{"name":"x","version":20260102,"type":"cidr","list":["198.51.100.0/24","a","*."]}`), "198.51.100.7")
	f.Add([]byte(`{"name":"x","list":[".a.example","http://a.example/x"," "]}`), "www.a.example")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		s, err := Parse("x", data)
		if err != nil {
			return
		}
		l := New([]Source{s})
		for _, v := range observable.Parse(text) {
			if hits := l.Match(v); len(hits) > 1 {
				t.Fatalf("one list hits %d times", len(hits))
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	l := builtin(b)
	values := []observable.Value{value(b, observable.IPv4, "198.18.0.1"), value(b, observable.Domain, "www.evil.example"), value(b, observable.URL, "http://evil.example/x")}
	for b.Loop() {
		for _, v := range values {
			l.Match(v)
		}
	}
}

func BenchmarkBuiltin(b *testing.B) {
	for b.Loop() {
		builtin(b)
	}
}
