package observable

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestAWordStandsForKinds(t *testing.T) {
	for word, want := range map[string][]Kind{
		"ip": {IPv4, IPv6}, "hash": {MD5, SHA1, SHA256, SHA512}, "ipv4": {IPv4}, "ipv6": {IPv6}, "domain": {Domain}, "url": {URL},
		"md5": {MD5}, "sha1": {SHA1}, "sha256": {SHA256}, "sha512": {SHA512}, "": nil, "IP": nil, "email": nil,
	} {
		if got, err := ParseKinds(word); !reflect.DeepEqual(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%s: %v, %v", word, got, err)
		}
	}
}

func TestCharactersAreOfTheirClasses(t *testing.T) {
	for c := range byte(128) {
		plain := regexp.MustCompile(`^[A-Za-z0-9_\-.~!$&()*+,;=:@/?]$`).MatchString(string(rune(c)))
		if got := escape(string(rune(c))); (got == string(rune(c))) != plain || !plain && got != fmt.Sprintf("%%%02X", c) {
			t.Errorf("%q is escaped as %q", c, got)
		}
		if hex := regexp.MustCompile(`^[0-9A-Fa-f]$`).MatchString(string(rune(c))); isHex(c) != hex {
			t.Errorf("%q is hexadecimal: %v", c, !hex)
		}
		if letter := regexp.MustCompile(`^[A-Za-z_]$`).MatchString(string(rune(c))); isLetter(c) != letter {
			t.Errorf("%q is a letter: %v", c, !letter)
		}
		if digit := c >= 48 && c <= 57; isDigit(c) != digit {
			t.Errorf("%q is a digit: %v", c, !digit)
		}
	}
}

func TestWhatStandsBesideAValueNarrowsIt(t *testing.T) {
	for _, pattern := range []string{
		`[file:hashes.MD5 = 'aa' AND file:size > 12]`, `[file:hashes.MD5 = 'aa' AND file:size != 12]`, `[file:size > 12 AND file:hashes.MD5 = 'aa']`,
		`[file:hashes.MD5 = 'aa' AND file:size IN (12)]`, `[file:hashes.MD5 = 'aa' AND domain-name:value = 'a.example']`,
		`[domain-name:value = 'a.example' AND file:hashes.MD5 = 'aa']`, `[domain-name:value = 'a.example' AND ipv4-addr:value = '1.1.1.1']`,
		`[domain-name:value = 'a.example' AND domain-name:value = 'b.example']`, `[domain-name:value = 'a.example' AND file:size = 3]`,
		`[file:size = 3 AND domain-name:value = 'a.example']`, `[file:size = 3 AND file:size = 3]`,
		`[(domain-name:value = 'a.example' OR email-addr:value = 'x') AND domain-name:value = 'a.example']`,
		`[domain-name:value = 'a.example' AND (domain-name:value = 'a.example' OR email-addr:value = 'x')]`,
		`[domain-name:value = 'a.example' AND domain-name:value IN ('a.example', 'b.example')]`,
		`[domain-name:value[0] = 'a.example']`, `[domain-name:value[*] = 'a.example']`, `[domain-name:value = true]`, `[domain-name:value = t'2026-01-01T00:00:00Z']`,
		`[domain-name:value IN ('a.example', 3)]`, `[domain-name:value IN (3, 'a.example')]`, `[domain-name:value IN (true)]`,
		`[process:pid = -3]`, `[process:pid = +1.5]`, `[process:pid = 1.5]`, `[file:hashes.CRC32 = 'aa']`, `[md5:value = 'aa']`,
	} {
		if got, err := ParsePattern(pattern); err != nil || len(got.Atoms) > 0 || got.Whole {
			t.Errorf("%s: %+v, %v", pattern, got, err)
		}
	}
	for pattern, want := range map[string][]Atom{
		`[ipv4-addr:value ISSUBSET '198.51.100.0/24']`:                                          {{IPv4, "198.51.100.0/24"}},
		`[file:hashes.sha1 = 'a' AND file:hashes.SHA512 = 'b' AND file:hashes.'sha-256' = 'c']`: {{SHA1, "a"}, {SHA512, "b"}, {SHA256, "c"}},
		`[file:size = 3 AND file:hashes.MD5 = 'aa']`:                                            {{MD5, "aa"}},
		`/**/[domain-name:value = 'a.example']`:                                                 {{Domain, "a.example"}},
		"// x\n[domain-name:value//y\n= 'a.example']":                                           {{Domain, "a.example"}},
	} {
		if got, err := ParsePattern(pattern); err != nil || !got.Whole || !reflect.DeepEqual(got.Atoms, want) {
			t.Errorf("%s: %+v, %v", pattern, got, err)
		}
	}
	for pattern, want := range map[string][]Atom{
		`[email-addr:value = 'x' OR domain-name:value = 'a.example']`: {{Domain, "a.example"}},
		`[process:pid > 3] OR [domain-name:value = 'a.example']`:      {{Domain, "a.example"}},
	} {
		if got, err := ParsePattern(pattern); err != nil || got.Whole || !reflect.DeepEqual(got.Atoms, want) {
			t.Errorf("%s: %+v, %v", pattern, got, err)
		}
	}
}

func TestAMalformedPatternIsRefusedWhereverItIs(t *testing.T) {
	for _, pattern := range []string{
		`[domain-name:value = 'a.example' 'OR' domain-name:value = 'b.example']`, `'[' domain-name:value = 'a.example']`, `[domain-name:value 'IN' ('a.example')]`,
		`[domain-name:value '=' 'a.example']`, `['domain-name':value = 'a.example']`, `[= 'a.example']`, `[domain-name.value = 'a.example']`, `[domain-name 'value' = 'a.example']`,
		`[domain-name:3 = 'a.example']`, `[domain-name:value. = 'a.example']`, `[domain-name:value[0 = 'a.example']`, `[domain-name:value IN 'a.example']`,
		`[domain-name:value IN ('a.example']`, `[domain-name:value IN ('a.example';)]`, `[domain-name:value = t]`, `[domain-name:value = t 3]`, `[domain-name:value = x'00']`,
		`[domain-name:value = ]`, `[domain-name:value IN (,)]`, `[domain-name:value = 'a.example'] /* x`, `[domain-name:value = 'a.example'] /`, `[domain-name:value = 'a.example\`,
		`[domain-name:value = 'a.example'}`, `[domain-name:value ~ 'a.example']`, `[EXISTS 3]`, `[EXISTS domain-name]`, `[(domain-name:value = 'a.example']`, `([domain-name:value = 'a.example']`,
		`[domain-name:value = 'a.example')`, `(domain-name:value = 'a.example')`, `[[domain-name:value = 'a.example']]`,
	} {
		if got, err := ParsePattern(pattern); err == nil {
			t.Errorf("%s gives %+v", pattern, got)
		}
	}
}

func TestPatternsAreReadUpToTheirBounds(t *testing.T) {
	one := `domain-name:value='a.example'`
	nested := func(n int) string { return "[" + strings.Repeat("(", n-1) + one + strings.Repeat(")", n-1) + "]" }
	set := func(operator string, n int) string {
		return "[domain-name:value " + operator + " (" + strings.Repeat("'a',", n-1) + "'a')]"
	}
	long := "[" + one + "]"
	for what, c := range map[string]struct {
		pattern string
		good    bool
	}{
		"a MiB":                           {long + strings.Repeat(" ", 1<<20-len(long)), true},
		"a byte more":                     {long + strings.Repeat(" ", 1<<20-len(long)+1), false},
		"32 levels":                       {nested(32), true},
		"33 levels":                       {nested(33), false},
		"100 observations":                {strings.Repeat(long+" OR ", 99) + long, true},
		"100 comparisons in brackets":     {"[" + strings.Repeat("("+one+") OR ", 99) + one + "]", true},
		"10,000 values":                   {set("IN", 10_000), true},
		"10,001 values":                   {set("IN", 10_001), false},
		"10,000 values in two sets":       {set("IN", 5_000) + " OR " + set("IN", 5_000), true},
		"10,001 values in two sets":       {set("IN", 5_000) + " OR " + set("IN", 5_001), false},
		"10,000 values that are excluded": {set("NOT IN", 10_000), true},
		"10,001 values that are excluded": {set("NOT IN", 10_001), false},
	} {
		if got, err := ParsePattern(c.pattern); (err == nil) != c.good {
			t.Errorf("%s give %d values, %v", what, len(got.Atoms), err)
		}
	}
}
