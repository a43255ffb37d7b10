package console

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestNothingHiddenStaysHidden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"plain", "LockBit 3.0", "LockBit 3.0"},
		{"another script", "Медведь 熊 دب", "Медведь 熊 دب"},
		{"override", "invoice\u202Efdp.exe", "invoice⟨U+202E⟩fdp.exe"},
		{"isolate", "a\u2066b\u2069", "a⟨U+2066⟩b⟨U+2069⟩"},
		{"zero width", "pay\u200Bpal", "pay⟨U+200B⟩pal"},
		{"control", "a\x00b\x1b[31m", "a⟨U+0000⟩b⟨U+001B⟩[31m"},
		{"line feed in a name", "a\nb", "a⟨U+000A⟩b"},
		{"line separator", "a\u2028b", "a⟨U+2028⟩b"},
		{"blank letter", "a\u3164b", "a⟨U+3164⟩b"},
		{"tag", "a\U000E0041b", "a⟨U+E0041⟩b"},
		{"soft hyphen", "a\u00ADb", "a⟨U+00AD⟩b"},
		{"not UTF-8", "a\xffb", "a⟨0xFF⟩b"},
		{"replacement character", "a\uFFFDb", "a\uFFFDb"},
		{"private use", "a\uE000b", "a⟨U+E000⟩b"},
		{"no-break space", "12\u00A0%", "12\u00A0%"},
		{"accents", "e\u0301", "e\u0301"},
		{"a tower of marks", "e" + strings.Repeat("\u0301", 6), "e" + strings.Repeat("\u0301", 4) + "⟨U+0301⟩⟨U+0301⟩"},
	} {
		if got := visible(c.in); got != c.want {
			t.Errorf("%s: %q is shown as %q, want %q", c.name, c.in, got, c.want)
		}
	}
	if got := visibleText("a\r\n\tb\u202E\rc"); got != "a\n\tb⟨U+202E⟩⟨U+000D⟩c" {
		t.Errorf("several lines are shown as %q", got)
	}
}

func TestWhatIsShownIsVisibleAndShownOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) })).Draw(t, "text")
		got := visible(in)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, hidden) {
			t.Fatalf("%q is shown as %q", in, got)
		}
		if again := visible(got); again != got {
			t.Fatalf("%q is shown as %q, and that as %q", in, got, again)
		}
	})
}

func TestTextIsCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in, n := rapid.String().Draw(t, "text"), rapid.IntRange(0, 40).Draw(t, "most")
		got, cut := clip(in, n)
		if !utf8.ValidString(got) || !strings.HasPrefix(in, got) || utf8.RuneCountInString(got) != min(n, utf8.RuneCountInString(in)) || cut != (got != in) {
			t.Fatalf("%q cut to %d characters is %q, %v", in, n, got, cut)
		}
		got, cut = clipBytes(in, n)
		if !utf8.ValidString(got) || !strings.HasPrefix(in, got) || len(got) > n || len(got) < min(n-3, len(in)) || cut != (got != in) {
			t.Fatalf("%q cut to %d bytes is %q, %v", in, n, got, cut)
		}
	})
	if got := name(strings.Repeat("ä", 1<<20)); got != strings.Repeat("ä", 300)+"…" {
		t.Errorf("a long name is shown with %d characters", utf8.RuneCountInString(got))
	}
	if got := long(strings.Repeat("x", 8<<20)); len(got.Text) != 16<<10 || got.Cut != 8<<20-16<<10 {
		t.Errorf("of a long description %d bytes are shown, and %d are said not to be", len(got.Text), got.Cut)
	}
}

func TestValuesAreDefanged(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"203.0.113.7":                       "203.0.113[.]7",
		"203.0.113.0/24":                    "203.0.113[.]0/24",
		"2001:db8::7":                       "2001:db8:[:]7",
		"2001:db8::/32":                     "2001:db8:[:]/32",
		"evil.example":                      "evil[.]example",
		"a.evil.example.":                   "a.evil[.]example.",
		"müller.example":                    "müller[.]example",
		"http://evil.example/a.b?c=d.e":     "hxxp://evil[.]example/a.b?c=d.e",
		"https://203.0.113.7:8080":          "hxxps://203.0.113[.]7:8080",
		"ftp://evil.example/x":              "fxp://evil[.]example/x",
		"hTtP://evil.example":               "hxxP://evil[.]example",
		"HTTPS://evil//x":                   "HxxPS://evil//x",
		"FtP://evil.example":                "FxP://evil[.]example",
		"https://[2001:db8::7]/":            "hxxps://[2001:db8::7]/",
		"mallory@evil.example":              "mallory[@]evil[.]example",
		"LockBit 3.0":                       "LockBit 3.0",
		"report.pdf text":                   "report.pdf text",
		"3.0":                               "3.0",
		"C:\\Windows\\evil.exe":             "C:\\Windows\\evil.exe",
		"d41d8cd98f00b204e9800998ecf8427e":  "d41d8cd98f00b204e9800998ecf8427e",
		"[ipv4-addr:value = '203.0.113.7']": "[ipv4-addr:value = '203.0.113.7']",
		"":                                  "",
	} {
		if got := defang(in); got != want {
			t.Errorf("%q is written %q, want %q", in, got, want)
		}
	}
}

func TestADomainHasBothForms(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"xn--mller-kva.example": "müller.example", "müller.example": "xn--mller-kva.example", "evil.example": "", "xn--.example": "",
	} {
		if got := bothForms(in); got != want {
			t.Errorf("the other form of %q is %q, want %q", in, got, want)
		}
	}
}

func TestOnlyWebAddressesAreLinks(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"https://example.org/a?b=c": true, "http://example.org": true, "javascript:alert(1)": false, "JaVaScRiPt:alert(1)": false,
		"data:text/html,x": false, "//example.org": false, "/x": false, "https://user:pass@example.org": false, "": false,
		"https://example.org/\u202Efdp": false, "https:///x": false, "https://example.org/" + strings.Repeat("x", 5000): false,
	} {
		if _, got := webLink(in); got != want {
			t.Errorf("%.60q is a link: %v, want %v", in, got, want)
		}
	}
}

func TestNoCellIsAFormula(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\t=1": "'\t=1", "\r=1": "'\r=1", "a=1": "a=1", "": "", "203.0.113.7": "203.0.113.7",
	} {
		if got := csvCell(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func FuzzShownTextIsVisible(f *testing.F) {
	f.Add("invoice\u202Efdp.exe")
	f.Add("http://evil.example/\xff")
	f.Add("hTtp://evi//evil.exa")
	f.Fuzz(func(t *testing.T, in string) {
		for _, got := range []string{visible(in), name(in), long(visible(in)).Text} {
			if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && r != '\t' && hidden(r) }) {
				t.Fatalf("%q is shown as %q", in, got)
			}
		}
		if got := csvCell(in); got != "" && strings.IndexByte("=+-@\t\r", got[0]) >= 0 {
			t.Fatalf("%q becomes the cell %q", in, got)
		}
		if _, good := webLink(defang(in)); good && strings.Contains(in, "://") && !strings.Contains(in, "[") {
			t.Fatalf("%q is defanged to %q, which is a link", in, defang(in))
		}
	})
}
