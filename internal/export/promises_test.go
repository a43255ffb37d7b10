package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/observable"
)

func TestAListBlocksNoNetworkThatIsWiderThanAnOrganisations(t *testing.T) {
	for text, want := range map[string]string{
		"8.0.0.0/5": "", "8.0.0.0/7": "", "8.0.0.0/8": "8.0.0.0/8", "8.0.0.0/9": "8.0.0.0/9",
		"192.0.2.0/24": "192.0.2.0/24", "0.1.2.3": "", "1.0.0.0": "1.0.0.0", "100.63.255.255": "100.63.255.255", "100.64.0.0": "", "100.127.255.255": "",
		"100.128.0.0": "100.128.0.0", "169.254.1.1": "", "172.15.0.1": "172.15.0.1", "172.16.0.1": "", "192.168.1.1": "", "223.255.255.255": "223.255.255.255", "224.0.0.1": "", "240.0.0.1": "",
		"198.51.100.7/33": "", "198.51.100.7/": "", "198.51.100": "",
	} {
		if _, value, good := normalise(observable.Atom{Kind: IPv4, Text: text}); good != (want != "") || good && value != want {
			t.Errorf("%s is %q, %v", text, value, good)
		}
	}
	for text, want := range map[string]string{
		"2400::/18": "", "2400::/19": "2400::/19", "2001:db8::/32": "2001:db8::/32", "3fff::1": "3fff::1", "4000::1": "", "1fff::1": "", "2001:db8::1%eth0": "", "198.51.100.0/24": "198.51.100.0/24",
	} {
		if _, value, good := normalise(observable.Atom{Kind: IPv6, Text: text}); good != (want != "") || good && value != want {
			t.Errorf("%s is %q, %v", text, value, good)
		}
	}
}

func TestANameHasNothingButWhatIsLookedUp(t *testing.T) {
	for c := byte(' '); c < 0x7f; c++ {
		want := regexp.MustCompile(`^[A-Za-z0-9_.-]$`).MatchString(string(c))
		text := "a" + string(c) + "b.example"
		if _, value, good := normalise(observable.Atom{Kind: Domain, Text: text}); good != want || good && value != strings.ToLower(text) {
			t.Errorf("%q is %q, %v", text, value, good)
		}
	}
	for text, good := range map[string]bool{
		"a.z": true, "z.a": true, "evil.0": false, "evil.9": false, "evil.0a": true, "evil.9z": true, "evil.-": false, "-evil.example": false, "evil-.example": false, "evil.-example": false,
		"evil.example-": false, ".evil.example": false, "localhost": false, "evil.rpz-x": false, "rpz-x.example": true, "_.example": true, "": false, ".": false, "a.example..": false,
	} {
		if _, value, got := normalise(observable.Atom{Kind: Domain, Text: text}); got != good {
			t.Errorf("%q is %q, %v", text, value, got)
		}
	}
}

func TestAURLIsOneThatIsSent(t *testing.T) {
	base := "http://evil.example/"
	for text, want := range map[string]string{
		base + "?": base + "?", base + "?#": base + "?", base + "#": base, "http://evil.example?a": base + "?a",
		"ftp://evil.example:21/f": "ftp://evil.example/f", "https://evil.example:443": "https://evil.example/", "https://evil.example:80": "https://evil.example:80/",
		"http://evil.example:080/": base, "http://evil.example:65535/": "http://evil.example:65535/", "http://evil.example:65536/": "", "http://evil.example:-1/": "",
		"http://evil.example:008080/": "http://evil.example:8080/", "http:evil.example": "", "http:///x": "", "gopher://evil.example/": "", "mailto:x@evil.example": "",
		"http://[::ffff:198.51.100.7]/": "http://198.51.100.7/", "http://[2001:db8::1%25eth0]/": "", "http://[fe80::1]/": "", "http://10.0.0.1/": "", "http://[::ffff:10.0.0.1]/": "",
		"http://com/": "", base + "%": "", base + "%4g": "", base + "%4a%4A%Af": base + "%4a%4A%Af",
		base + "?%4g": base + "?%254g", base + "?%g4": base + "?%25g4", base + "?%4": base + "?%254", base + "?%": base + "?%25", base + "?%4f": base + "?%4f",
		base + strings.Repeat("a", 4096-len(base)): base + strings.Repeat("a", 4096-len(base)), base + strings.Repeat("a", 4097-len(base)): "",
		base + "?" + strings.Repeat("|", 1300): base + "?" + strings.Repeat("%7C", 1300), base + "?" + strings.Repeat("|", 1400): "",
		base + "?" + strings.Repeat("|", 1358) + "a": base + "?" + strings.Repeat("%7C", 1358) + "a", base + "?" + strings.Repeat("|", 1358) + "aa": "",
	} {
		if _, value, good := normalise(observable.Atom{Kind: URL, Text: text}); good != (want != "") || good && value != want {
			t.Errorf("%.80q is %.80q, %v", text, value, good)
		}
	}
}

func TestWhenAnIndicatorIsInForceIsBetweenItsDates(t *testing.T) {
	pattern := equals("domain-name:value", "evil.example")
	at := func(d time.Duration) string { return noon.Add(d).Format(time.RFC3339) }
	l, out := exported(t, Options{Format: Plain}, made(1, pattern, map[string]any{"valid_from": at(time.Hour), "valid_until": at(2 * time.Hour)}))
	if out != "" || !l.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("before both: %q until %v", out, l.Until)
	}
	// The list changes at the first of the times to come, whichever is read first, and is of the last that has passed.
	soon, late := made(2, pattern, map[string]any{"valid_until": at(time.Hour)}), made(3, pattern, map[string]any{"valid_until": at(3 * time.Hour)})
	for _, objects := range [][][]byte{{soon, late}, {late, soon}} {
		l, _ := exported(t, Options{Format: Plain}, objects...)
		if !l.Until.Equal(noon.Add(time.Hour)) {
			t.Errorf("until %v", l.Until)
		}
	}
	_, out = exported(t, Options{Format: Hosts}, made(1, pattern, map[string]any{"valid_from": at(0)}), made(2, pattern, nil))
	if !strings.HasPrefix(out, "# Indicators in force at "+at(0)+"\n0.0.0.0") {
		t.Errorf("%s", out)
	}
	_, out = exported(t, Options{Format: Hosts, Changed: noon.Add(-time.Hour)}, made(1, pattern, nil))
	if !strings.HasPrefix(out, "# Indicators in force at "+at(-time.Hour)+"\n0.0.0.0") {
		t.Errorf("%s", out)
	}
}

func TestTheConfidenceOfAnIndicatorIsBetween0And100(t *testing.T) {
	for confidence, want := range map[int]string{-5: ",0,", 0: ",0,", 1: ",1,", 100: ",100,", 250: ",100,"} {
		_, out := exported(t, Options{Format: CSV}, made(1, equals("domain-name:value", "evil.example"), map[string]any{"confidence": confidence}))
		if !strings.Contains(out, id(1)+want) {
			t.Errorf("%d: %s", confidence, out)
		}
	}
}

func TestAnIndicatorIsReadHoweverItIsSpelt(t *testing.T) {
	whole := string(made(1, equals("domain-name:value", "evil.example"), nil))
	for what, object := range map[string]string{
		"a property twice":       strings.Replace(whole, `{`, `{"name":"y","name":"z",`, 1),
		"bytes that are no text": strings.Replace(whole, `{`, "{\"x\":\"\xff\",", 1),
		"an id that is none":     strings.Replace(whole, id(1), "x", 1),
	} {
		if _, out := exported(t, Options{Format: Plain}, []byte(object)); out != "evil.example\n" {
			t.Errorf("%s: %q", what, out)
		}
	}
	if l, out := exported(t, Options{Format: Plain}, []byte(whole[:20])); out != "" || l.Skipped.Total() != 1 {
		t.Errorf("half an indicator: %q, %+v", out, l.Skipped)
	}
	if l, out := exported(t, Options{Format: STIX}, made(1, "[x", nil)); !strings.Contains(out, id(1)) || l.Skipped.Total() != 0 {
		t.Errorf("in a bundle every pattern stands: %s, %+v", out, l.Skipped)
	}
}

func TestAFormatIsOneOfThem(t *testing.T) {
	for _, format := range Formats() {
		if err := format.Check(); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
	if Format("exe").Check() == nil || Format("").Check() == nil {
		t.Error("another format passes")
	}
}

func TestHashesOf512BitsHaveNoPlaceInZeek(t *testing.T) {
	for algorithm, length := range map[string]int{"MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-512": 128} {
		l, out := exported(t, Options{Format: Zeek}, made(1, equals("file:hashes.'"+algorithm+"'", strings.Repeat("a", length)), nil))
		if in := strings.Contains(out, "Intel::FILE_HASH"); in != (algorithm != "SHA-512") || (l.Skipped.Format == 1) == in {
			t.Errorf("%s: %s, %+v", algorithm, out, l.Skipped)
		}
	}
}

func TestTheRemarkSaysHowManyAreMissingOrNothing(t *testing.T) {
	_, out := exported(t, Options{Format: Hosts}, sample()[1])
	if strings.Contains(out, "not wholly") {
		t.Error(out)
	}
	if _, out := exported(t, Options{Format: Hosts}, sample()[1], sample()[6]); !strings.Contains(out, "# 1 indicators are not or not wholly in this list: 1 with another pattern") {
		t.Error(out)
	}
}

func TestWhatIsTooLongForAFormatHasNoPlaceInIt(t *testing.T) {
	path := func(n int) string { return "http://evil.example/" + strings.Repeat("a", n-1) }
	for _, c := range []struct {
		format Format
		path   string
		value  string
		in     bool
	}{
		{Suricata, "url:value", path(255), true}, {Suricata, "url:value", path(256), false},
		{Suricata, "url:value", "https://evil.example/", false}, {Suricata, "url:value", "ftp://evil.example/", false}, {Suricata, "url:value", "http://[2001:db8::1]/", false},
		{RPZ, "url:value", path(1), false}, {RPZ, "ipv6-addr:value", "2001:db8::/32", true},
	} {
		l, out := exported(t, Options{Format: c.format}, made(1, equals(c.path, c.value), nil))
		in := strings.Contains(out, "CNAME .") || strings.Contains(out, "alert")
		if in != c.in || (l.Skipped.Format == 0) != c.in {
			t.Errorf("%s %s of %d bytes: %+v", c.format, c.path, len(c.value), l.Skipped)
		}
	}
	odd := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 54) + ".example"
	if l, _ := exported(t, Options{Format: RPZ}, made(1, equals("domain-name:value", odd[1:]), nil), made(2, equals("domain-name:value", odd), nil)); len(odd) != 190 || l.Skipped.Format != 0 {
		t.Errorf("a name of %d bytes: %+v", len(odd), l.Skipped)
	}
	if l, _ := exported(t, Options{Format: RPZ}, made(1, equals("domain-name:value", strings.Replace(odd, ".example", "d.example", 1)), nil)); l.Skipped.Format != 1 {
		t.Errorf("a name of 191 bytes: %+v", l.Skipped)
	}
}

func TestANetworkIsATriggerOfAPolicyZone(t *testing.T) {
	for value, want := range map[string]string{
		"198.51.100.7": "32.7.100.51.198.rpz-ip", "198.51.0.0/16": "16.0.0.51.198.rpz-ip", "2001:db8::/32": "32.zz.db8.2001.rpz-ip",
		"2001:db8::1": "128.1.zz.db8.2001.rpz-ip", "2001:db8:1:2:3:4:5:6": "128.6.5.4.3.2.1.db8.2001.rpz-ip",
	} {
		if got := triggerRPZ(value); got != want {
			t.Errorf("%s is %s, want %s", value, got, want)
		}
	}
}

// The numbers of a rule are those that an operator has written into its own suppressions.
func TestTheNumbersOfARuleStay(t *testing.T) {
	_, out := exported(t, Options{Format: Suricata}, made(1, equals("domain-name:value", "evil.example"), nil), made(2, equals("domain-name:value", "evil-two.example"), nil))
	want := `content:"evil.example"; nocase; bsize:12; metadata:stix_id ` + id(1) + "; gid:GID; sid:SID; rev:1;)\n"
	if got := regexp.MustCompile(`gid:(\d+); sid:(\d+)`).FindAllStringSubmatch(out, -1); len(got) != 2 || got[0][1] == got[1][1] || got[0][2] == got[1][2] {
		t.Errorf("the numbers are %q", got)
	} else if !strings.Contains(out, strings.NewReplacer("GID", "1850950625", "SID", "1732463515").Replace(want)) || !strings.Contains(out, `content:"evil-two.example"`) {
		t.Error(out)
	}
}

func TestAURLIsTakenApart(t *testing.T) {
	for value, want := range map[string][3]string{
		"http://evil.example/a/b?c": {"evil.example", "any", "/a/b?c"}, "http://evil.example:81/": {"evil.example", "81", "/"},
		"http://[2001:db8::1]/x": {"[2001:db8::1]", "any", "/x"}, "http://[2001:db8::1]:82/x": {"[2001:db8::1]", "82", "/x"},
	} {
		if host, port, path := splitURL(value); [3]string{host, port, path} != want {
			t.Errorf("%s: %s, %s, %s", value, host, port, path)
		}
	}
	if got := contentOf("a-b./c|\";:\\ Z9_é"); got != "a-b./c|7C||22||3B||3A||5C||20|Z9_|C3||A9|" {
		t.Error(got)
	}
}

func TestOfTwoIndicatorsTheSurerAndThenTheOneThatLastsIsNamed(t *testing.T) {
	order := []Item{ // the later, the better
		{Confidence: -1, Until: noon, Indicator: uuid.UUID{2}}, {Confidence: -1, Until: noon, Indicator: uuid.UUID{1}}, {Confidence: -1, Until: noon.Add(time.Second), Indicator: uuid.UUID{3}},
		{Confidence: -1, Indicator: uuid.UUID{4}}, {Confidence: 0, Until: noon, Indicator: uuid.UUID{5}}, {Confidence: 1, Until: noon, Indicator: uuid.UUID{6}},
	}
	for i := range order {
		for j := range order {
			if got := order[i].preferable(&order[j]); got != (i > j) {
				t.Errorf("%+v is preferred to %+v: %v", order[i], order[j], got)
			}
		}
	}
}

func TestASelectionHoldsAsMuchAsItMay(t *testing.T) {
	item := func(n int) Item { return Item{Kind: Domain, Value: fmt.Sprintf("a%02d.example", n)} }
	one := item(0)
	each := weight(one.key())
	if each < len(one.key())+100 || weight(one.key()+"xyz") != each+3 {
		t.Errorf("an item weighs %d", each)
	}
	l := &List{limit: 8 * each}
	s := l.newSelection("")
	for n := range 8 {
		s.add([]Item{item(20 - n)})
	}
	for c := range 100 { // a value that comes again is no other one
		again := item(20)
		again.Confidence = c
		s.add([]Item{again})
	}
	if s.more || s.held != 8*each || len(s.items) != 8 || s.sorted()[7].Confidence != 99 {
		t.Fatalf("%d items of %d bytes, more: %v", len(s.items), s.held, s.more)
	}
	s.add([]Item{item(5)})
	last := item(17)
	if !s.more || s.held != 6*each || len(s.items) != 6 || s.ceiling != last.key() {
		t.Fatalf("after a cut: %d items of %d bytes up to %q, more: %v", len(s.items), s.held, s.ceiling, s.more)
	}
	s.add([]Item{item(18), item(17)}) // above the ceiling, and the ceiling itself
	if len(s.items) != 6 || s.held != 6*each {
		t.Errorf("%d items of %d bytes", len(s.items), s.held)
	}
	above := l.newSelection(last.key())
	above.add([]Item{item(17), item(18)})
	if got := above.sorted(); len(got) != 1 || got[0].Value != "a18.example" {
		t.Errorf("above the floor are %+v", got)
	}
	tiny := (&List{limit: 1}).newSelection("")
	tiny.add([]Item{item(2), item(1)})
	if got := tiny.sorted(); len(got) != 1 || got[0].Value != "a01.example" || !tiny.more {
		t.Errorf("where nothing fits, one stays: %+v", got)
	}
}

func TestAListHolds32MiB(t *testing.T) {
	l, err := Prepare(t.Context(), sourceOf(), Options{Format: Plain, Now: noon})
	if err != nil || l.limit != 32<<20 || l.first.limit != 32<<20 {
		t.Errorf("%v, %v", l, err)
	}
}

// gone is a reader that went away after some bytes.
type gone struct{ left int }

var errGone = errors.New("the reader is gone")

func (g *gone) Write(p []byte) (int, error) {
	if g.left -= len(p); g.left < 0 {
		return 0, errGone
	}
	return len(p), nil
}

func TestNothingIsReadForAReaderThatIsGone(t *testing.T) {
	var objects [][]byte
	for n := range 200 {
		objects = append(objects, made(n, equals("domain-name:value", fmt.Sprintf("a%d.example", n)), nil))
	}
	for _, format := range Formats() {
		for _, left := range []int{0, 2000} {
			reads := 0
			source := func(ctx context.Context) iter.Seq2[Object, error] {
				return func(yield func(Object, error) bool) {
					for o := range sourceOf(objects...)(ctx) {
						if reads++; !yield(o, nil) {
							return
						}
					}
				}
			}
			l, err := Prepare(t.Context(), source, Options{Format: format, Now: noon})
			if err != nil {
				t.Fatal(err)
			}
			if l.limit = 50 * weight("a100.example"); format != STIX {
				l.first.limit = l.limit
				l.first.cut()
			}
			reads = 0
			if err := l.Write(t.Context(), &gone{left}); !errors.Is(err, errGone) {
				t.Errorf("%s, %d bytes: %v", format, left, err)
			}
			if format == STIX && reads == 200 {
				t.Errorf("%s, %d bytes: %d were read", format, left, reads)
			}
		}
	}
}

func TestASourceThatBreaksLaterEndsTheList(t *testing.T) {
	for _, format := range []Format{Plain, STIX} {
		var broken error
		source := func(ctx context.Context) iter.Seq2[Object, error] {
			return func(yield func(Object, error) bool) {
				for n := range 20 {
					if !yield(Object{JSON: made(n, equals("domain-name:value", fmt.Sprintf("a%d.example", n)), nil)}, nil) {
						return
					}
				}
				if broken != nil {
					yield(Object{}, broken)
				}
			}
		}
		l, err := Prepare(t.Context(), source, Options{Format: format, Now: noon})
		if err != nil {
			t.Fatal(err)
		}
		l.first.limit = 1
		l.first.add([]Item{{Kind: IPv4, Value: "1.1.1.1"}})
		broken = errors.New("broken")
		var out bytes.Buffer
		if err := l.Write(t.Context(), &out); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "reading the indicators: ") {
			t.Errorf("%s: %v", format, err)
		}
	}
}
