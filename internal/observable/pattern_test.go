package observable

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPatternsGiveTheValuesThatTheyAreAChoiceOf(t *testing.T) {
	for _, test := range []struct {
		pattern string
		want    []Atom
		whole   bool
	}{
		{`[ipv4-addr:value = '198.51.100.1']`, []Atom{{IPv4, "198.51.100.1"}}, true},
		{`[ipv4-addr:value == '198.51.100.1']`, []Atom{{IPv4, "198.51.100.1"}}, true},
		{` [ domain-name:value='a.example' OR domain-name:value = 'b.example' ] `, []Atom{{Domain, "a.example"}, {Domain, "b.example"}}, true},
		{`[url:value IN ('http://a.example/', 'http://b.example/')]`, []Atom{{URL, "http://a.example/"}, {URL, "http://b.example/"}}, true},
		{`[ipv6-addr:value ISSUBSET '2001:db8::/32']`, []Atom{{IPv6, "2001:db8::/32"}}, true},
		{`[ipv4-addr:value='1.1.1.1'] OR ([domain-name:value='a.example'] OR [url:value='x'])`, []Atom{{IPv4, "1.1.1.1"}, {Domain, "a.example"}, {URL, "x"}}, true},
		{`[file:hashes.'SHA-256' = 'aa' OR file:hashes.MD5 = 'bb']`, []Atom{{SHA256, "aa"}, {MD5, "bb"}}, true},
		{`[file:hashes.'SHA-256' = 'aa' AND file:hashes.MD5 = 'bb' AND file:size = 12]`, []Atom{{SHA256, "aa"}, {MD5, "bb"}}, true},
		{`[domain-name:value = 'a.example' AND domain-name:value = 'a.example']`, []Atom{{Domain, "a.example"}, {Domain, "a.example"}}, true},
		{`[(ipv4-addr:value = '1.1.1.1')] // a remark`, []Atom{{IPv4, "1.1.1.1"}}, true},
		{`/* a remark */ [domain-name:value = 'it\'s \\ a value']`, []Atom{{Domain, `it's \ a value`}}, true},

		// MISP's addresses are ends of connections.
		{`[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '198.51.100.1']`, []Atom{{IPv4, "198.51.100.1"}}, true},
		{`[network-traffic:src_ref.type = 'ipv6-addr' AND network-traffic:src_ref.value = '2001:db8::1']`, []Atom{{IPv6, "2001:db8::1"}}, true},
		{`[(network-traffic:dst_ref.value = 'a.example' AND network-traffic:dst_ref.type = 'domain-name')]`, []Atom{{Domain, "a.example"}}, true},
		{`[network-traffic:dst_ref.value = '198.51.100.1']`, []Atom{{IPv4, "198.51.100.1"}}, true},
		{`[network-traffic:dst_ref.value ISSUBSET '2001:db8::/32' OR network-traffic:src_ref.value ISSUBSET '198.51.100.0/24']`, []Atom{{IPv6, "2001:db8::/32"}, {IPv4, "198.51.100.0/24"}}, true},
		{`[network-traffic:src_ref.value IN ('198.51.100.1', '198.51.100.2')]`, []Atom{{IPv4, "198.51.100.1"}, {IPv4, "198.51.100.2"}}, true},
		{`[url:value = 'https://a.example/x' AND url:x_misp_domain = 'a.example' AND url:x_misp_port = '443']`, []Atom{{URL, "https://a.example/x"}}, true},
		{`[artifact:hashes.MD5 = 'bb']`, []Atom{{MD5, "bb"}}, true},

		// Of a choice between a value and something else, the value counts and the rest is missing.
		{`[domain-name:value = 'a.example' OR email-addr:value = 'x@a.example']`, []Atom{{Domain, "a.example"}}, false},
		{`[domain-name:value = 'a.example'] OR [process:pid > 3]`, []Atom{{Domain, "a.example"}}, false},
		{`[domain-name:value = 'a.example' OR domain-name:value LIKE '%.example']`, []Atom{{Domain, "a.example"}}, false},

		{`[network-traffic:dst_ref.value = '198.51.100.1' OR network-traffic:dst_ref.value = 'a.example']`, []Atom{{IPv4, "198.51.100.1"}}, false},

		// Nothing of these is a value.
		{`[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '198.51.100.1' AND network-traffic:dst_port = '443']`, nil, false},
		{`[network-traffic:src_ref.value = '198.51.100.1' AND network-traffic:dst_ref.value = '198.51.100.2']`, nil, false},
		{`[network-traffic:src_ref.value = '198.51.100.1' AND network-traffic:dst_ref.value = '198.51.100.1']`, nil, false},
		{`[network-traffic:src_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '198.51.100.1']`, nil, false},
		{`[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.type = 'domain-name' AND network-traffic:dst_ref.value = 'a.example']`, nil, false},
		{`[network-traffic:dst_ref.type = 'mac-addr' AND network-traffic:dst_ref.value = '198.51.100.1']`, nil, false},
		{`[network-traffic:dst_ref.type = 'ipv4-addr']`, nil, false},
		{`[network-traffic:dst_ref.type IN ('ipv4-addr') AND network-traffic:dst_ref.value = '198.51.100.1']`, nil, false},
		{`[network-traffic:dst_ref.type != 'ipv4-addr' AND network-traffic:dst_ref.value = '198.51.100.1']`, nil, false},
		{`[network-traffic:dst_ref.value = 'a.example']`, nil, false},
		{`[network-traffic:dst_ref.value != '198.51.100.1']`, nil, false},
		{`[network-traffic:dst_byte_count = 5 AND ipv4-addr:value = '198.51.100.1']`, nil, false},
		{`[domain-name:value = 'a.example' AND url:x_misp_domain = 'a.example']`, nil, false},
		{`[domain-name:value = 'a.example' AND domain-name:x_misp_port = '8443']`, nil, false},
		{`[url:x_misp_domain = 'a.example']`, nil, false},
		{`[domain-name:value = 'a.example' AND network-traffic:dst_ref.type = 'domain-name']`, nil, false},
		{`[ipv4-addr:value = '1.1.1.1' AND network-traffic:dst_port = 80]`, nil, false},
		{`[file:hashes.MD5 = 'aa' AND file:name = 'cmd.exe']`, nil, false},
		{`[file:hashes.MD5 = 'aa' AND file:hashes.MD5 = 'bb']`, nil, false},
		{`[file:hashes.MD5 = 'aa' AND (file:hashes.'SHA-1' = 'bb' OR file:hashes.'SHA-1' = 'cc')]`, nil, false},
		{`[ipv4-addr:value = '1.1.1.1' AND file:size = 3]`, nil, false},
		{`[file:size = 3]`, nil, false},
		{`[ipv4-addr:value != '1.1.1.1']`, nil, false},
		{`[ipv4-addr:value NOT = '1.1.1.1']`, nil, false},
		{`[ipv4-addr:value NOT IN ('1.1.1.1')]`, nil, false},
		{`[domain-name:value ISSUBSET 'a.example']`, nil, false},
		{`[domain-name:value MATCHES '^a']`, nil, false},
		{`[EXISTS domain-name:value]`, nil, false},
		{`[domain-name:value = 3]`, nil, false},
		{`[domain-name:value = h'00']`, nil, false},
		{`[domain-name:resolves_to_refs[*].value = 'b.example']`, nil, false},
		{`[x:'y.z' = 'b']`, nil, false},
		{`[file:'hashes.MD5' = 'bb']`, nil, false},
	} {
		got, err := ParsePattern(test.pattern)
		if err != nil || got.Whole != test.whole || !reflect.DeepEqual(got.Atoms, test.want) {
			t.Errorf("%s: %+v, %v", test.pattern, got, err)
		}
	}
}

func TestWhatIsNoChoiceOfValuesIsRefusedAsAWhole(t *testing.T) {
	for _, pattern := range []string{
		"", "[", "[]", "x", "[domain-name:value = 'a.example'", "[domain-name:value = 'a.example]", "domain-name:value = 'a.example'",
		`[domain-name:value = 'a.example'] AND [ipv4-addr:value = '1.1.1.1']`,
		`[domain-name:value = 'a.example'] FOLLOWEDBY [ipv4-addr:value = '1.1.1.1']`,
		`[domain-name:value = 'a.example'] WITHIN 5 SECONDS`,
		`[domain-name:value = 'a.example'] REPEATS 2 TIMES`,
		`([domain-name:value = 'a.example'] OR [domain-name:value = 'b.example']) START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00Z'`,
		`[domain-name:value = 'a.example'] trailing`, `[domain-name:value IN ()]`, `[domain-name:value IN ('a' 'b')]`, `[domain-name = 'a']`,
		// A lone backslash: a guess would name a URL that nobody has named.
		`[url:value = 'http://a.example\b']`, `[url:value = 'http://a.example/\']`, `[domain-name:value = 'a.exa\mple']`,
		`[file:name = 'C:\Windows' OR domain-name:value = 'a.example']`,
		`[domain-name:value or 'a']`, `[domain-name:value = 'a' OR]`, `[domain-name:value = "a"]`, `/* [domain-name:value = 'a']`,
		strings.Repeat("(", 100_000), "[" + strings.Repeat("(", 100) + "domain-name:value='a.example'" + strings.Repeat(")", 100) + "]",
		"[domain-name:value IN (" + strings.Repeat("'a',", maxAtoms) + "'a')]",
	} {
		if got, err := ParsePattern(pattern); err == nil {
			t.Errorf("%.80s gives %+.3v", pattern, got.Atoms)
		}
	}
}

// Whatever is written as a choice of values is read as just these.
func TestAChoiceIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		paths := map[Kind]string{IPv4: "ipv4-addr:value", IPv6: "ipv6-addr:value", Domain: "domain-name:value", URL: "url:value",
			MD5: "file:hashes.MD5", SHA1: "file:hashes.'SHA-1'", SHA256: "file:hashes.'SHA-256'", SHA512: "file:hashes.'SHA-512'"}
		quote := func(s string) string {
			return "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `'`, `\'`) + "'"
		}
		var want []Atom
		var observations []string
		for range rapid.IntRange(1, 4).Draw(t, "observations") {
			var comparisons []string
			for range rapid.IntRange(1, 4).Draw(t, "comparisons") {
				kind := Kind(rapid.IntRange(int(IPv4), int(SHA512)).Draw(t, "kind"))
				texts := rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "texts")
				var quoted []string
				for _, text := range texts {
					want, quoted = append(want, Atom{kind, text}), append(quoted, quote(text))
				}
				comparison := fmt.Sprintf("%s IN (%s)", paths[kind], strings.Join(quoted, ", "))
				if len(texts) == 1 && rapid.Bool().Draw(t, "equal") {
					comparison = paths[kind] + "=" + quoted[0]
				}
				if rapid.Bool().Draw(t, "nested") {
					comparison = "( " + comparison + " )"
				}
				comparisons = append(comparisons, comparison)
			}
			observations = append(observations, "["+strings.Join(comparisons, " OR ")+"]")
		}
		pattern := strings.Join(observations, "OR ")
		got, err := ParsePattern(pattern)
		if err != nil || !got.Whole || !reflect.DeepEqual(got.Atoms, want) {
			t.Fatalf("%s: %+v, %v", pattern, got, err)
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{
		`[ipv4-addr:value = '198.51.100.1' OR file:hashes.'SHA-256' IN ('a','b')] OR [url:value='x']`,
		`[(file:hashes.MD5='a' AND file:size=3) OR NOT x:y.z[*].'q' MATCHES t'']`, `[a:b = 'c'] WITHIN 5 SECONDS /* x */ // y`, `[a:b='\\\'`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		c, err := ParsePattern(pattern)
		if err != nil && (len(c.Atoms) > 0 || c.Whole) || c.Whole && len(c.Atoms) == 0 {
			t.Fatalf("%q gives %+v, %v", pattern, c, err)
		}
		for _, a := range c.Atoms {
			v, good := Normalise(a)
			if !good {
				continue
			}
			if again, good := Normalise(Atom(v)); !good || again != v {
				t.Fatalf("%q is %q, and that is %q", a.Text, v, again)
			}
		}
	})
}
