package observable

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestValuesAreFoundInWhatPeopleWrite(t *testing.T) {
	sha := strings.Repeat("ab", 32)
	for text, want := range map[string][]string{
		"203.0.113.7":                                                      {"ipv4 203.0.113.7"},
		"203.0.113[.]7":                                                    {"ipv4 203.0.113.7"},
		"203[.]0[.]113[.]7, 10.0.0.1.":                                     {"ipv4 203.0.113.7", "ipv4 10.0.0.1"},
		"203.0.113.0/24 and 2001:db8::":                                    {"ipv4 203.0.113.0/24", "ipv6 2001:db8::"},
		"203.0.113.7:8443 [2001:db8::1]:443 [2001:db8::2]":                 {"ipv4 203.0.113.7", "ipv6 2001:db8::1", "ipv6 2001:db8::2"},
		"1.2.3.4.5":                                                        nil,
		"2001[:]db8[:][:]1":                                                {"ipv6 2001:db8::1"},
		"evil[.]example":                                                   {"domain evil.example"},
		"Evil(.)Example. www{.}evil{.}example":                             {"domain evil.example", "domain www.evil.example"},
		"evil[dot]example (dot)":                                           {"domain evil.example"},
		`evil\.example`:                                                    {"domain evil.example"},
		"bücher.example und xn--bcher-kva.example":                         {"domain xn--bcher-kva.example"},
		"hxxp://evil[.]example/a":                                          {"url http://evil.example/a"},
		"hXXps[:]//evil[.]example:8443/x?y=1#z":                            {"url https://evil.example:8443/x?y=1"},
		"h**p://evil.example and fxp://evil.example/f":                     {"url http://evil.example/", "url ftp://evil.example/f"},
		"(see http://evil.example/a_(b)).":                                 {"url http://evil.example/a_(b)"},
		"http://a.example/1,http://b.example/2":                            {"url http://a.example/1", "url http://b.example/2"},
		"<a href=\"http://evil.example/\">x</a>":                           {"url http://evil.example/"},
		"url=https://evil.example/x":                                       {"url https://evil.example/x"},
		"http://user:pw@evil.example/":                                     {"url http://user:pw@evil.example/"},
		"evil.example/login":                                               {"url http://evil.example/login"},
		"mallory[at]evil[.]example, Bob@Evil.example":                      {"email mallory@evil.example", "email bob@evil.example"},
		strings.ToUpper(sha):                                               {"sha256 " + sha},
		"md5:" + sha[:32] + " sha1=" + sha[:40] + ";" + sha + sha:          {"md5 " + sha[:32], "sha1 " + sha[:40], "sha512 " + sha + sha},
		"cve-2024-3094 (CVE-2021-44228), T1566.001; t1059":                 {"cve CVE-2024-3094", "cve CVE-2021-44228", "technique T1566.001", "technique T1059"},
		"see bafybeifzkvbygcognodndgwq4mgwumjb2siskdyon7a6pwuf3pm4bsz6ii.": {"cid bafybeifzkvbygcognodndgwq4mgwumjb2siskdyon7a6pwuf3pm4bsz6ii"},
		"b" + strings.Repeat("a", 58):                                      nil, // of no version
		"AS64496 as64497 ASN64498":                                         {"asn AS64496", "asn AS64497", "asn AS64498"},
		"00-1A-2b-3c-4D-5e":                                                {"mac 00:1a:2b:3c:4d:5e"},
		`HKLM\Software\Run With Spaces`:                                    {`registry-key hkey_local_machine\software\run with spaces`},
		`it writes HKCU\Software\Run and ends`:                             {`registry-key hkey_current_user\software\run`},
		"invoice.exe":                                                      {"file-name invoice.exe"},
		"payload.zip payload[.]zip":                                        {"file-name payload.zip", "domain payload.zip"},
		"e.g. it is i.e. Node.js v1.2.b foo.baz() and the.end":             {"file-name node.js"},
		"example.com co.uk evil.co.uk evil.nosuchtld":                      {"domain example.com", "domain co.uk", "domain evil.co.uk"},
		"evil.nosuchtld":                                                   {"domain evil.nosuchtld"},
		"mutex:Global\\x y":                                                {`mutex Global\x y`},
		"user-agent: Mozilla/5.0 (x)":                                      {"user-agent Mozilla/5.0 (x)"},
		"domain: evil[.]example":                                           {"domain evil.example"},
		"x509-serial:00:0A:bc":                                             {"x509-serial 0abc"},
		"ip:203.0.113.7 dst=203.0.113.8 {203.0.113.9}":                     {"ipv4 203.0.113.7", "ipv4 203.0.113.8", "ipv4 203.0.113.9"},
		"203.0.113.7\r\n203.0.113.7\n\nevil.example\n":                     {"ipv4 203.0.113.7", "domain evil.example"},
		"\u201cevil.example\u201d \u00abevil2.example\u00bb":               {"domain evil.example", "domain evil2.example"},
		"ev\u200bil.example":                                               {"domain evil.example"},
		"hxxp://203[.]0[.]113[.]7/x 203[.]0[.]113[.]7/y":                   {"url http://203.0.113.7/x", "url http://203.0.113.7/y"},
		"javascript:alert(1) mailto:x@evil.example data:,x file:///x":      {"email x@evil.example"},
	} {
		var got []string
		for _, v := range Parse(text) {
			got = append(got, fmt.Sprintf("%v %s", v.Kind, v.Text))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func TestALongTextIsReadUpToItsBounds(t *testing.T) {
	var b strings.Builder
	for n := range MaxFound + 5 {
		fmt.Fprintf(&b, "%d.%d.1.1 ", n>>8&0xff, n&0xff)
	}
	if got := len(Parse(b.String())); got != MaxFound {
		t.Errorf("%d values", got)
	}
	if got := Parse(strings.Repeat(" ", MaxText) + "203.0.113.7"); len(got) != 0 {
		t.Errorf("beyond the bound: %v", got)
	}
}

// defang writes a value as reports do.
func defang(t *rapid.T, v Value) string {
	dot := rapid.SampledFrom([]string{".", "[.]", "(.)", "{.}", "[dot]"}).Draw(t, "dot")
	text := v.Text
	switch v.Kind {
	case URL:
		p := splitURL(text)
		p.scheme = strings.Replace(p.scheme, "http", rapid.SampledFrom([]string{"http", "hxxp", "hXXp"}).Draw(t, "scheme"), 1)
		p.host = strings.ReplaceAll(p.host, ".", dot)
		return p.String()
	case Email:
		return strings.ReplaceAll(strings.Replace(text, "@", rapid.SampledFrom([]string{"@", "[at]", "(at)", "[@]"}).Draw(t, "at"), 1), ".", dot)
	case IPv4, IPv6, Domain:
		return strings.ReplaceAll(text, ".", dot)
	}
	return text
}

// values draws values that are written without spaces.
func values() *rapid.Generator[Value] {
	label := rapid.StringMatching(`[a-z0-9_]([a-z0-9-]{0,5}[a-z0-9])?`)
	return rapid.Custom(func(t *rapid.T) Value {
		octets := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "octets")
		name := strings.Join(rapid.SliceOfN(label, 1, 3).Draw(t, "labels"), ".") + ".example"
		var a Atom
		switch a.Kind = rapid.SampledFrom([]Kind{IPv4, IPv6, Domain, URL, MD5, SHA1, SHA256, SHA512, Email, ASN, MAC, CVE, Technique, FileName}).Draw(t, "kind"); a.Kind {
		case IPv4:
			a.Text = fmt.Sprintf("%d.%d.%d.%d/%d", octets[0], octets[1], octets[2], octets[3], 8+octets[4]%25)
		case IPv6:
			a.Text = fmt.Sprintf("2001:db8:%x:%x::%x/%d", octets[0], octets[1], octets[2], 48+octets[3]%81)
		case Domain:
			a.Text = name
		case URL:
			a.Text = rapid.SampledFrom([]string{"http", "https", "ftp"}).Draw(t, "scheme") + "://" + name + rapid.StringMatching(`(:[1-9][0-9]{0,3})?/[a-z0-9/-]{0,12}[a-z0-9]`).Draw(t, "path")
		case MD5, SHA1, SHA256, SHA512:
			a.Text = strings.Repeat(fmt.Sprintf("%02x", octets[0]), sizes[a.Kind])
		case Email:
			a.Text = "m" + label.Draw(t, "local") + "@" + name
		case ASN:
			a.Text = fmt.Sprintf("AS%d", 10+int(octets[0]))
		case MAC:
			a.Text = fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", octets[0], octets[1], octets[2], octets[3], octets[4], octets[5])
		case CVE:
			a.Text = fmt.Sprintf("CVE-2024-%04d", octets[0])
		case Technique:
			a.Text = fmt.Sprintf("T%04d", octets[0])
		case FileName:
			a.Text = "x" + label.Draw(t, "file") + ".exe"
		}
		v, good := Normalise(a)
		if !good {
			t.Fatalf("%v %q is none", a.Kind, a.Text)
		}
		return v
	})
}

func TestWhatIsDefangedIsFoundAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfNDistinct(values(), 1, 8, func(v Value) Value { return v }).Draw(t, "values")
		var texts []string
		for _, v := range want {
			texts = append(texts, defang(t, v))
		}
		text := strings.Join(texts, rapid.SampledFrom([]string{" ", "\n", ", ", "; ", "\t", "\r\n"}).Draw(t, "separator"))
		if got := Parse(text); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q gives %v, want %v", text, got, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"hxxps[:]//evil[.]example:8443/x?y=1#z 203.0.113[.]0/24", "mallory[at]evil[.]example HKLM\\x\ny", "mutex:a\x00b", "http://a,http://b://c", "[2001:db8::1]:443",
		"http://\u202e.example/", "AS1 CVE-2024-3094 T1566.001", "[[[[((((:::://", strings.Repeat("[.]", 1000), "bücher。example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		known := map[Value]bool{}
		for _, v := range Parse(text) {
			if known[v] {
				t.Fatalf("%q twice", v)
			}
			known[v] = true
			checkValue(t, v)
		}
	})
}

// checkValue holds what is true of every value.
func checkValue(t interface{ Fatalf(string, ...any) }, v Value) {
	if again, good := Normalise(Atom(v)); !good || again != v {
		t.Fatalf("%v %q is %q, %v", v.Kind, v.Text, again, good)
	}
	key := v.Key()
	if len(key) > MaxKey {
		t.Fatalf("the key of %q has %d bytes", v, len(key))
	}
	if len(key) < MaxKey {
		if again, good := FromKey(key); !good || again != v {
			t.Fatalf("the key of %v %q is that of %v %q, %v", v.Kind, v.Text, again.Kind, again, good)
		}
	}
	for _, around := range v.Around() {
		if again, good := Normalise(Atom(around)); !good || again != around {
			t.Fatalf("%q is in %q, which is %q", v, around, again)
		}
		within := false
		for _, span := range around.Within() {
			within = within || span.Has(key)
		}
		if !within && len(key) < MaxKey {
			t.Fatalf("%v %q is in %v %q, and its key in none of that's spans", v.Kind, v, around.Kind, around)
		}
	}
	_ = v.Unicode()
}
