package export

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/observable"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// id is the id of the n-th indicator.
func id(n int) string { return fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n) }

// made is an indicator with a pattern and with further properties, which replace its own.
func made(n int, pattern string, more map[string]any) []byte {
	o := map[string]any{"type": "indicator", "spec_version": "2.1", "id": id(n), "created": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z",
		"name": "x\n* CNAME .\n", "pattern": pattern, "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z"}
	for name, value := range more {
		o[name] = value
	}
	data, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return data
}

// equals is a pattern of one comparison.
func equals(path, value string) string {
	return "[" + path + " = '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "']"
}

func sourceOf(objects ...[]byte) Source { return sourceOfMember("", objects...) }

func sourceOfMember(member string, objects ...[]byte) Source {
	return func(context.Context) iter.Seq2[Object, error] {
		return func(yield func(Object, error) bool) {
			for _, o := range objects {
				if !yield(Object{JSON: o, Member: member}, nil) {
					return
				}
			}
		}
	}
}

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatal(...any)
}

func exported(t failer, o Options, objects ...[]byte) (*List, string) {
	t.Helper()
	if o.Now.IsZero() {
		o.Now = noon
	}
	l, err := Prepare(context.Background(), sourceOf(objects...), o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := l.Write(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	return l, out.String()
}

// one of each kind, unsorted, one twice.
func sample() [][]byte {
	return [][]byte{
		made(1, equals("url:value", "http://evil.example:8080/a;b?c=d"), nil),
		made(2, equals("domain-name:value", "evil.example"), map[string]any{"confidence": 40}),
		made(3, "[ipv4-addr:value IN ('198.51.100.9', '203.0.113.0/24')]", map[string]any{"valid_until": "2026-12-31T00:00:00Z"}),
		made(4, equals("domain-name:value", "EVIL.example"), map[string]any{"confidence": 80}),
		made(5, equals("file:hashes.'SHA-256'", strings.Repeat("ab", 32)), nil),
		made(6, equals("ipv6-addr:value", "2001:db8::7:0:1"), nil),
		made(7, equals("email-addr:value", "x@evil.example"), nil),
		made(8, equals("ipv4-addr:value", "127.0.0.1"), nil),
	}
}

func TestEveryFormatWritesTheSample(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for format, want := range map[Format]string{
		Plain: "198.51.100.9\n203.0.113.0/24\n2001:db8::7:0:1\nevil.example\nhttp://evil.example:8080/a;b?c=d\n" + hash + "\n",
		PANOS: "198.51.100.9\n203.0.113.0/24\n2001:db8::7:0:1\nevil.example\n",
		CSV: "type,value,indicator,confidence,valid_until\n" +
			"ipv4,198.51.100.9," + id(3) + ",,2026-12-31T00:00:00Z\nipv4,203.0.113.0/24," + id(3) + ",,2026-12-31T00:00:00Z\n" +
			"ipv6,2001:db8::7:0:1," + id(6) + ",,\ndomain,evil.example," + id(4) + ",80,\n" +
			"url,http://evil.example:8080/a;b?c=d," + id(1) + ",,\nsha256," + hash + "," + id(5) + ",,\n",
		Hosts: "# Indicators in force at 2026-01-01T00:00:00Z\n" +
			"# 6 indicators are not or not wholly in this list: 1 with another pattern than a choice of values, 1 with a value that\n" +
			"# is malformed or must not be blocked, 4 with a value that this format has no place for\n0.0.0.0 evil.example\n",
		RPZ: "; Indicators in force at 2026-01-01T00:00:00Z\n" +
			"; 4 indicators are not or not wholly in this list: 1 with another pattern than a choice of values, 1 with a value that\n" +
			"; is malformed or must not be blocked, 2 with a value that this format has no place for\n" +
			"$TTL 60\n@ SOA localhost. hostmaster.localhost. 1767225600 60 60 86400 60\n@ NS localhost.\n" +
			"32.9.100.51.198.rpz-ip CNAME .\n24.0.113.0.203.rpz-ip CNAME .\n128.1.0.7.zz.db8.2001.rpz-ip CNAME .\nevil.example CNAME .\n",
		Suricata: "# Indicators in force at 2026-01-01T00:00:00Z\n" +
			"# 3 indicators are not or not wholly in this list: 1 with another pattern than a choice of values, 1 with a value that\n" +
			"# is malformed or must not be blocked, 1 with a value that this format has no place for\n" +
			"alert ip $HOME_NET any <> [198.51.100.9] any (msg:\"slnode address 198.51.100.9\"; metadata:stix_id " + id(3) + "; N)\n" +
			"alert ip $HOME_NET any <> [203.0.113.0/24] any (msg:\"slnode address 203.0.113.0/24\"; metadata:stix_id " + id(3) + "; N)\n" +
			"alert ip $HOME_NET any <> [2001:db8::7:0:1] any (msg:\"slnode address 2001:db8::7:0:1\"; metadata:stix_id " + id(6) + "; N)\n" +
			"alert dns $HOME_NET any -> any any (msg:\"slnode domain evil.example\"; dns.query; content:\"evil.example\"; nocase; bsize:12; metadata:stix_id " + id(4) + "; N)\n" +
			"alert http $HOME_NET any -> any 8080 (msg:\"slnode URL at evil.example\"; flow:established,to_server; http.host; content:\"evil.example\"; bsize:12; " +
			"http.uri.raw; content:\"/a|3B|b|3F|c|3D|d\"; bsize:8; metadata:stix_id " + id(1) + "; N)\n",
		Zeek: "# Indicators in force at 2026-01-01T00:00:00Z\n" +
			"# 2 indicators are not or not wholly in this list: 1 with another pattern than a choice of values, 1 with a value that\n" +
			"# is malformed or must not be blocked, 0 with a value that this format has no place for\n" +
			"#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\n" +
			"198.51.100.9\tIntel::ADDR\tslnode\t" + id(3) + "\n203.0.113.0/24\tIntel::SUBNET\tslnode\t" + id(3) + "\n" +
			"2001:db8::7:0:1\tIntel::ADDR\tslnode\t" + id(6) + "\nevil.example\tIntel::DOMAIN\tslnode\t" + id(4) + "\n" +
			"evil.example:8080/a;b?c=d\tIntel::URL\tslnode\t" + id(1) + "\n" + hash + "\tIntel::FILE_HASH\tslnode\t" + id(5) + "\n",
	} {
		l, got := exported(t, Options{Format: format}, sample()...)
		got = regexp.MustCompile(`gid:\d+; sid:\d+; rev:1;`).ReplaceAllString(got, "N")
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", format, got, want)
		}
		if !l.Until.Equal(time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s is good until %s", format, l.Until)
		}
		reversed := sample()
		slices.Reverse(reversed)
		if _, again := exported(t, Options{Format: format}, reversed...); regexp.MustCompile(`gid:\d+; sid:\d+; rev:1;`).ReplaceAllString(again, "N") != want {
			t.Errorf("%s comes out otherwise from the same indicators in another order", format)
		}
	}
}

// Palo Alto Networks' firewalls load no entry with http:// (content#6459), and read two characters of URLs as
// wildcards.
func TestURLsForPANOSAreEntriesThatItLoadsAndMeanNoMore(t *testing.T) {
	var objects [][]byte
	for i, url := range []string{
		"http://evil.example", "https://evil.example/", "http://evil.example/a?b=c#d", "https://198.51.100.1/x", "http://evil.example:80/p",
		"http://evil.example:8080/", "ftp://evil.example/f", "http://[2001:db8::1]/", "http://evil.example/*", "http://evil.example/^", "http://evil.example/" + strings.Repeat("a", 255),
	} {
		objects = append(objects, made(i, equals("url:value", url), nil))
	}
	l, out := exported(t, Options{Format: PANOS}, append(objects, made(90, equals("file:hashes.MD5", strings.Repeat("ab", 16)), nil))...)
	if want := "198.51.100.1/x\nevil.example/\nevil.example/%5E\nevil.example/a?b=c\nevil.example/p\n"; out != want || l.Skipped != (Skipped{Format: 6}) {
		t.Errorf("%s, %+v, want\n%s", out, l.Skipped, want)
	}
}

// A rule about a name does not cover the names below it.
func TestAPolicyZoneCanCoverSubdomains(t *testing.T) {
	objects := [][]byte{made(1, equals("domain-name:value", "evil.example"), nil), made(2, equals("ipv4-addr:value", "198.51.100.9"), nil)}
	rules := func(o Options) string {
		_, out := exported(t, o, objects...)
		_, rules, _ := strings.Cut(out, "NS localhost.\n")
		return rules
	}
	if got := rules(Options{Format: RPZ}); got != "32.9.100.51.198.rpz-ip CNAME .\nevil.example CNAME .\n" {
		t.Error(got)
	}
	if got := rules(Options{Format: RPZ, Subdomains: true}); got != "32.9.100.51.198.rpz-ip CNAME .\nevil.example CNAME .\n*.evil.example CNAME .\n" {
		t.Error(got)
	}
	for _, format := range Formats() {
		_, err := Prepare(t.Context(), sourceOf(objects...), Options{Format: format, Subdomains: true, Now: noon})
		if (err == nil) != format.Subdomains() || format.Subdomains() != (format == RPZ) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// A fraction, a text, a date without a zone: none of them drops an indicator without a word.
func TestOddSpellingsDoNotDropAnIndicator(t *testing.T) {
	odd := func(property, value string) []byte {
		object := made(1, equals("domain-name:value", "evil.example"), map[string]any{property: "@"})
		return bytes.Replace(object, []byte(`"@"`), []byte(value), 1)
	}
	for _, test := range []struct {
		property, value string
		limit           int
		in              bool
		skipped         Skipped
	}{
		{"confidence", `85.0`, 80, true, Skipped{}},
		{"confidence", `85.9`, 86, false, Skipped{}},
		{"confidence", `8.5e1`, 80, true, Skipped{}},
		{"confidence", `"85"`, 80, true, Skipped{}},
		{"confidence", `"high"`, 0, true, Skipped{}},
		{"confidence", `"high"`, 1, false, Skipped{}},
		{"confidence", `null`, 0, true, Skipped{}},
		{"confidence", `1e300`, 100, true, Skipped{}},
		{"confidence", `-5`, 1, false, Skipped{}},
		{"valid_from", `"2026-01-01T00:00:00"`, 0, true, Skipped{}},
		{"valid_from", `"2026-01-01"`, 0, true, Skipped{}},
		{"valid_from", `"2026-06-02 00:00:00"`, 0, false, Skipped{}}, // tomorrow
		{"valid_from", `"soon"`, 0, true, Skipped{}},
		{"valid_from", `17`, 0, true, Skipped{}},
		{"valid_until", `"2026-06-01T13:00:00"`, 0, true, Skipped{}},
		{"valid_until", `"2026-06-01T12:00:00"`, 0, false, Skipped{}},
		{"valid_until", `"2026-06-01T13:00:00+02:00"`, 0, false, Skipped{}},
		{"valid_until", `"2026-06-01T13:00:00.123456+0000"`, 0, true, Skipped{}},
		{"valid_until", `"2026-06-02"`, 0, true, Skipped{}},
		{"valid_until", `null`, 0, true, Skipped{}},
		{"valid_until", `""`, 0, true, Skipped{}},
		{"valid_until", `"never"`, 0, false, Skipped{Date: 1}},
		{"valid_until", `17`, 0, false, Skipped{Date: 1}},
		{"indicator_types", `"benign"`, 0, false, Skipped{}},
		{"indicator_types", `"malicious-activity"`, 0, true, Skipped{}},
		{"revoked", `true`, 0, false, Skipped{}},
		{"pattern", `["x"]`, 0, false, Skipped{Pattern: 1}},
		{"pattern_type", `7`, 0, false, Skipped{Pattern: 1}},
		{"id", `7`, 0, true, Skipped{}},
	} {
		for _, also := range []string{"", `"confidence":99.0,`} { // by itself, and where something else is odd, too
			object := odd(test.property, test.value)
			if also != "" && test.property != "confidence" {
				object = bytes.Replace(object, []byte(`"created"`), []byte(also+`"created"`), 1)
			}
			l, out := exported(t, Options{Format: Plain, MinConfidence: test.limit}, object)
			if (out == "evil.example\n") != test.in || l.Skipped != test.skipped {
				t.Errorf("%s %s: %q, %+v", test.property, test.value, out, l.Skipped)
			}
		}
	}
}

func TestABundleHasTheIndicatorsInForceByteForByte(t *testing.T) {
	odd := []byte(`{"type" : "indicator","id":"` + id(9) + `","pattern":"[a:b MATCHES 'c']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z", "x" : 1.0}`)
	_, out := exported(t, Options{Format: STIX}, sample()[0], odd, made(10, "x", map[string]any{"revoked": true}))
	var bundle struct {
		Type, ID string
		Objects  []json.RawMessage
	}
	if err := json.Unmarshal([]byte(out), &bundle); err != nil || bundle.Type != "bundle" || len(bundle.Objects) != 2 || !bytes.Equal(bundle.Objects[1], odd) {
		t.Errorf("%v in %s", err, out)
	}
	if _, out := exported(t, Options{Format: STIX}); json.Unmarshal([]byte(out), &bundle) != nil || strings.Contains(out, "objects") {
		t.Errorf("an empty bundle is %s", out)
	}
}

func TestOnlyWhatIsInForceAndSureEnoughIsExported(t *testing.T) {
	pattern := equals("domain-name:value", "evil.example")
	at := func(d time.Duration) string { return noon.Add(d).Format(time.RFC3339) }
	for _, test := range []struct {
		name  string
		more  map[string]any
		limit int
		in    bool
		until time.Time
	}{
		{"a plain one", nil, 0, true, time.Time{}},
		{"revoked", map[string]any{"revoked": true}, 0, false, time.Time{}},
		{"benign", map[string]any{"indicator_types": []string{"benign"}}, 0, false, time.Time{}},
		{"beginning now", map[string]any{"valid_from": at(0)}, 0, true, time.Time{}},
		{"beginning later", map[string]any{"valid_from": at(time.Hour)}, 0, false, noon.Add(time.Hour)},
		{"ending later", map[string]any{"valid_until": at(time.Hour)}, 0, true, noon.Add(time.Hour)},
		{"ending now", map[string]any{"valid_until": at(0)}, 0, false, time.Time{}},
		{"surer", map[string]any{"confidence": 70}, 70, true, time.Time{}},
		{"less sure", map[string]any{"confidence": 69}, 70, false, time.Time{}},
		{"of unknown confidence", nil, 1, false, time.Time{}},
		{"a Snort rule", map[string]any{"pattern_type": "snort"}, 0, false, time.Time{}},
	} {
		l, out := exported(t, Options{Format: Plain, MinConfidence: test.limit}, made(1, pattern, test.more))
		if (out == "evil.example\n") != test.in || !l.Until.Equal(test.until) {
			t.Errorf("%s: %q until %s", test.name, out, l.Until)
		}
		if skipped := l.Skipped.Total(); (skipped == 1) != (test.more["pattern_type"] != nil) {
			t.Errorf("%s: %d are skipped", test.name, skipped)
		}
	}
}

func TestOnlyTheKindsThatAreAskedForAreExported(t *testing.T) {
	kinds, err := observable.ParseKinds("ip")
	if err != nil {
		t.Fatal(err)
	}
	l, out := exported(t, Options{Format: Plain, Kinds: kinds}, sample()...)
	if out != "198.51.100.9\n203.0.113.0/24\n2001:db8::7:0:1\n" || l.Skipped != (Skipped{Pattern: 1, Value: 1}) {
		t.Errorf("%s, %+v", out, l.Skipped)
	}
	if _, err := observable.ParseKinds("x"); err == nil {
		t.Error("x is a kind")
	}
}

func TestTheFirstErrorOfTheSourceEndsIt(t *testing.T) {
	broken := errors.New("broken")
	source := func(context.Context) iter.Seq2[Object, error] {
		return func(yield func(Object, error) bool) { yield(Object{}, broken) }
	}
	if _, err := Prepare(t.Context(), source, Options{Format: Plain}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := Prepare(t.Context(), source, Options{Format: "exe"}); err == nil || errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// A list that does not fit is written in several goes, and comes out as one that fits.
func TestAListThatDoesNotFitIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.IntRange(0, 60), 1, 80).Draw(t, "numbers")
		var objects [][]byte
		for i, n := range numbers {
			objects = append(objects, made(i, equals("domain-name:value", fmt.Sprintf("a%d.example", n)), nil))
		}
		_, want := exported(t, Options{Format: CSV}, objects...)
		l, err := Prepare(context.Background(), sourceOf(objects...), Options{Format: CSV, Now: noon})
		if err != nil {
			t.Fatal(err)
		}
		limit := rapid.IntRange(1, 3000).Draw(t, "limit")
		l.limit = limit
		l.first = l.newSelection("")
		for _, o := range objects {
			l.first.add(l.read(Object{JSON: o}).items)
			if len(l.first.items) > 1 && l.first.held > limit {
				t.Fatalf("%d bytes are held, %d may be", l.first.held, limit)
			}
		}
		var out bytes.Buffer
		if err := l.Write(context.Background(), &out); err != nil || out.String() != want {
			t.Fatalf("%v:\n%s\nwant\n%s", err, out.String(), want)
		}
	})
}

var (
	domainForm = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+$`)
	ruleForm   = regexp.MustCompile(`^alert (ip|dns|http) \$HOME_NET any (<>|->) (any|\[[0-9a-f.:/]+\]) (any|[0-9]+) \(msg:"[A-Za-z0-9 ._:/-]+"; ` +
		`((flow:established,to_server|dns\.query|http\.host|http\.uri\.raw|nocase|bsize:[0-9]+|content:"([A-Za-z0-9./_-]|\|[0-9A-F]{2}\|)+"); )*` +
		`metadata:stix_id indicator--[0-9a-f-]{36}; gid:[0-9]+; sid:[0-9]+; rev:1;\)$`)
	zeekForm = regexp.MustCompile(`^[^\t\x00-\x20\x7f-\xff"\\#]+\tIntel::(ADDR|SUBNET|DOMAIN|URL|FILE_HASH)\tslnode\tindicator--[0-9a-f-]{36}$`)
)

// lines are those of an export that are no remark.
func lines(out, mark string) (list []string) {
	for line := range strings.Lines(out) {
		if line = strings.TrimSuffix(line, "\n"); mark == "" || !strings.HasPrefix(line, mark) {
			list = append(list, line)
		}
	}
	return list
}

// checkGrammar reads an export as the program that it is for does.
func checkGrammar(t *rapid.T, format Format, out string) {
	switch format {
	case Plain:
		for _, line := range lines(out, "") {
			_, single := netip.ParseAddr(line)
			_, prefix := netip.ParsePrefix(line)
			u, notURL := url.Parse(line)
			isURL := notURL == nil && u.Scheme != "" && u.Host != ""
			if single != nil && prefix != nil && !isURL && !domainForm.MatchString(line) && !regexp.MustCompile(`^[0-9a-f]{32,128}$`).MatchString(line) {
				t.Fatalf("%q is no value", line)
			}
		}
	case CSV:
		r := csv.NewReader(strings.NewReader(out))
		r.FieldsPerRecord = 5
		records, err := r.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range slices.Concat(records...) {
			if strings.HasPrefix(field, "=") || strings.HasPrefix(field, "+") || strings.HasPrefix(field, "-") || strings.HasPrefix(field, "@") {
				t.Fatalf("%q is a formula", field)
			}
		}
	case Hosts:
		for _, line := range lines(out, "#") {
			name, found := strings.CutPrefix(line, "0.0.0.0 ")
			if !found || !domainForm.MatchString(name) {
				t.Fatalf("%q is no line of a hosts file", line)
			}
		}
	case RPZ:
		zone := dns.NewZoneParser(strings.NewReader(out), "rpz.example.", "")
		records := 0
		for rr, ok := zone.Next(); ok; rr, ok = zone.Next() {
			records++
			rule, isRule := rr.(*dns.CNAME)
			switch {
			case records <= 2:
			case !isRule || rule.Target != "." || !dns.IsSubDomain("rpz.example.", rule.Hdr.Name) || strings.Contains(rule.Hdr.Name, "*"):
				t.Fatalf("%s is no rule", rr)
			}
		}
		if err := zone.Err(); err != nil || records < 2 || records != len(lines(out, ";"))-1 {
			t.Fatalf("%v, %d records in %s", err, records, out)
		}
	case Suricata:
		for _, line := range lines(out, "#") {
			if !ruleForm.MatchString(line) {
				t.Fatalf("%q is no rule of ours", line)
			}
		}
	case Zeek:
		for _, line := range lines(out, "#") {
			if !zeekForm.MatchString(line) {
				t.Fatalf("%q is no line of ours", line)
			}
		}
	case STIX:
		var bundle map[string]any
		if err := json.Unmarshal([]byte(out), &bundle); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever the indicators say, what is exported is in the format's own grammar and means what was meant.
func TestWhatIsExportedParsesInItsFormat(t *testing.T) {
	hostile := rapid.SampledFrom([]string{"\n", "\r\n", "; drop", "\"", "'", "\\", "|", "\t", "#", "=cmd()", "\x00", "ü", " ", "*", ".", "%0a", ")", "$", "@", "127.0.0.1", "rpz-ip"})
	values := map[string]*rapid.Generator[string]{
		"domain-name:value":     rapid.StringMatching(`[a-zA-Z0-9_.-]{1,30}\.example`),
		"ipv4-addr:value":       rapid.StringMatching(`[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(/[0-9]{1,2})?`),
		"ipv6-addr:value":       rapid.StringMatching(`2[0-9a-f]{3}:[0-9a-f:]{2,20}(/[0-9]{1,3})?`),
		"url:value":             rapid.StringMatching(`(http|https|ftp)://([a-z0-9]{1,10}\.example|198\.51\.100\.7|\[2001:db8::7\])(:[0-9]{1,5})?/[ -~]{0,40}`),
		"file:hashes.MD5":       rapid.StringMatching(`[0-9a-fA-F]{32}`),
		"file:hashes.'SHA-256'": rapid.StringMatching(`[0-9a-f]{64}`),
	}
	paths := slices.Sorted(func(yield func(string) bool) {
		for path := range values {
			if !yield(path) {
				return
			}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		var objects [][]byte
		for n := range rapid.IntRange(0, 12).Draw(t, "n") {
			path := rapid.SampledFrom(paths).Draw(t, "path")
			value := values[path].Draw(t, "value")
			if rapid.IntRange(0, 3).Draw(t, "spoilt") == 0 {
				at := rapid.IntRange(0, len(value)).Draw(t, "at")
				value = value[:at] + hostile.Draw(t, "with") + value[at:]
			}
			objects = append(objects, made(n, equals(path, value), nil))
		}
		for _, format := range Formats() {
			_, out := exported(t, Options{Format: format}, objects...)
			checkGrammar(t, format, out)
		}
	})
}

func BenchmarkExport(b *testing.B) {
	const many = 100_000
	objects := make([][]byte, many)
	for n := range objects {
		objects[n] = made(n, equals("ipv4-addr:value", fmt.Sprintf("198.%d.%d.%d", 20+n>>16, n>>8&255, n&255)), nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		l, err := Prepare(b.Context(), sourceOf(objects...), Options{Format: Plain, Now: noon})
		if err != nil {
			b.Fatal(err)
		}
		var out bytes.Buffer
		if err := l.Write(b.Context(), &out); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != many {
			b.Fatal(err, out.Len())
		}
	}
	b.ReportMetric(float64(b.N*many)/b.Elapsed().Seconds(), "indicators/s")
}
