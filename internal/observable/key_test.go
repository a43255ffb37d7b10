package observable

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func value(t testing.TB, kind Kind, text string) Value {
	t.Helper()
	v, good := Normalise(Atom{kind, text})
	if !good {
		t.Fatalf("%q is no %v", text, kind)
	}
	return v
}

func TestWhatContainsAValueIsAroundIt(t *testing.T) {
	address := value(t, IPv4, "203.0.113.7").Around()
	if len(address) != 24 || address[0].Text != "203.0.113.6/31" || address[7].Text != "203.0.113.0/24" || address[23].Text != "203.0.0.0/8" {
		t.Errorf("around an address are %v", address)
	}
	for text, want := range map[string]string{
		"domain a.b.evil.example": "b.evil.example evil.example", "domain evil.example": "", "email x@b.evil.example": "b.evil.example evil.example",
		"url http://b.evil.example/x": "b.evil.example evil.example", "md5 " + strings.Repeat("0", 32): "", "url http://[2001:db8::1]/": "2001:db8::1 2001:db8::/127",
		"mutex a.b.c": "",
	} {
		kind, one, _ := strings.Cut(text, " ")
		k, err := ParseKind(kind)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range value(t, k, one).Around() {
			got = append(got, v.Text)
		}
		if strings.Join(got[:min(2, len(got))], " ") != want {
			t.Errorf("around %s are %v", text, got)
		}
	}
}

func TestKeysSayWhatIsInANetworkOrBelowADomain(t *testing.T) {
	in := func(outer Value, inner Value) bool {
		return slices.ContainsFunc(outer.Within(), func(s Span) bool { return s.Has(inner.Key()) })
	}
	for _, test := range []struct {
		outer, inner Value
		want         bool
	}{
		{value(t, IPv4, "203.0.113.0/24"), value(t, IPv4, "203.0.113.0"), true},
		{value(t, IPv4, "203.0.113.0/24"), value(t, IPv4, "203.0.113.255"), true},
		{value(t, IPv4, "203.0.113.0/24"), value(t, IPv4, "203.0.113.128/25"), true},
		{value(t, IPv4, "203.0.113.0/24"), value(t, IPv4, "203.0.114.0"), false},
		{value(t, IPv4, "203.0.113.0/24"), value(t, IPv4, "203.0.112.255"), false},
		{value(t, IPv4, "203.0.113.0/24"), value(t, IPv4, "203.0.113.0/23"), false},
		{value(t, IPv4, "203.0.113.0/24"), value(t, URL, "http://203.0.113.9/x"), true},
		{value(t, IPv4, "203.0.113.0/24"), value(t, URL, "http://203.0.114.9/x"), false},
		{value(t, IPv6, "2001:db8::/32"), value(t, IPv6, "2001:db8:ffff::1"), true},
		{value(t, IPv6, "2001:db8::/32"), value(t, IPv6, "2001:db9::1"), false},
		{value(t, Domain, "evil.example"), value(t, Domain, "www.evil.example"), true},
		{value(t, Domain, "evil.example"), value(t, Domain, "notevil.example"), false},
		{value(t, Domain, "evil.example"), value(t, Domain, "evil-x.example"), false},
		{value(t, Domain, "evil.example"), value(t, URL, "https://www.evil.example/x"), true},
		{value(t, Domain, "evil.example"), value(t, URL, "https://evil.example.org/"), false},
		{value(t, Domain, "evil.example"), value(t, Email, "x@evil.example"), true},
	} {
		if got := in(test.outer, test.inner); got != test.want {
			t.Errorf("%v in %v: %v", test.inner, test.outer, got)
		}
	}
}

func TestKeysAreEqualIfTheValuesAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := values().Draw(t, "one"), values().Draw(t, "another")
		checkValue(t, a)
		if (a == b) != bytes.Equal(a.Key(), b.Key()) {
			t.Fatalf("%v and %v", a, b)
		}
	})
}

func TestAValueThatIsLongHasAKeyAllTheSame(t *testing.T) {
	base := "http://evil.example/" + strings.Repeat("a", MaxKey)
	one, other := value(t, URL, base+"b"), value(t, URL, base+"c")
	if bytes.Equal(one.Key(), other.Key()) || len(one.Key()) != MaxKey {
		t.Errorf("the keys are %x and %x", one.Key(), other.Key())
	}
	if !value(t, Domain, "evil.example").Within()[1].Has(one.Key()) {
		t.Error("it is not at its host")
	}
	if v, good := FromKey(one.Key()); good {
		t.Errorf("the key of a part is that of %v", v)
	}
}

func TestADomainIsShownAsPeopleWriteIt(t *testing.T) {
	for in, want := range map[string]string{"xn--bcher-kva.example": "bücher.example", "evil.example": "evil.example"} {
		if got := value(t, Domain, in).Unicode(); got != want {
			t.Errorf("%s is shown as %s", in, got)
		}
	}
	if got := value(t, URL, "http://Bücher.example/x").Unicode(); got != "http://bücher.example/x" {
		t.Errorf("a URL is shown as %s", got)
	}
}

func FuzzKey(f *testing.F) {
	f.Add(append([]byte{byte(URL)}, "dexample.evil.\x00/\x00http\x00\x00\x00"...))
	f.Add([]byte{byte(IPv4), 203, 0, 113, 0, 24})
	f.Fuzz(func(t *testing.T, key []byte) {
		if v, good := FromKey(key); good {
			checkValue(t, v)
		}
	})
}
