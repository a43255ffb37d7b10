package stix

import (
	"crypto/sha256"
	"testing"

	"github.com/gowebpki/jcs"
)

func hashOf(t testing.TB, raw string) [sha256.Size]byte {
	t.Helper()
	hash, err := mustParse(t, raw).ContentHash()
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestContentHashIsThatOfTheCanonicalForm(t *testing.T) {
	raw := domainObject(`"x_number":[1.0,1e2,-0,333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"x_text":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7`)
	canonical, err := jcs.Transform([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if hashOf(t, raw) != sha256.Sum256(canonical) {
		t.Errorf("another implementation has another canonical form: %s", canonical)
	}
}

// Checklist 13.4: section 3.6 lets default values be left out.
func TestContentHashIgnoresWhatSaysNothing(t *testing.T) {
	marked := `"type":"sighting","spec_version":"2.1","id":"sighting--` + randomUUID + `"`
	for _, c := range []struct{ name, a, b string }{
		{"white space", domainObject(`"x":[1,2]`), "\n" + domainObject(` "x" : [ 1 , 2 ] `)},
		{"order", object(`"a":1,"type":"url","id":"url--` + randomUUID + `"`), object(`"id":"url--` + randomUUID + `","type":"url","a":1`)},
		{"spelling", domainObject(`"name":"é","x":10`), domainObject(`"n\u0061me":"\u00e9","x":1e1`)},
		{"revoked", domainObject(`"a":1,"z":2`), domainObject(`"a":1,"revoked":false,"z":2`)},
		{"revoked of an observable", observable(""), observable(`"revoked":false`)},
		{"lang", domainObject(""), domainObject(`"lang":"e\u006e"`)},
		{"defanged of an observable", observable(""), observable(`"defanged":false`)},
		{"spec_version of an observable", observable(""), observable(`"spec_version":"2.1"`)},
		{"summary of a sighting", object(marked, times), object(marked, times, `"summary":false`)},
		{"all at once", observable(`"zz":1`), observable(`"spec_version":"2.1","defanged":false,"revoked":false,"lang":"en","zz":1`)},
	} {
		if hashOf(t, c.a) != hashOf(t, c.b) {
			t.Errorf("%s: the hash differs", c.name)
		}
	}
}

func TestContentHashTellsContentApart(t *testing.T) {
	for _, c := range []struct{ name, a, b string }{
		{"value", domainObject(`"name":"a"`), domainObject(`"name":"b"`)},
		{"text that looks alike", domainObject(`"name":"\u00e9"`), domainObject(`"name":"e\u0301"`)},
		{"order in a list", domainObject(`"x":[1,2]`), domainObject(`"x":[2,1]`)},
		{"revoked", domainObject(``), domainObject(`"revoked":true`)},
		{"revoked inside", domainObject(`"x":{}`), domainObject(`"x":{"revoked":false}`)},
		{"lang", domainObject(``), domainObject(`"lang":"de"`)},
		{"lang inside a granular marking", domainObject(`"granular_markings":[{"selectors":["name"]}]`), domainObject(`"granular_markings":[{"lang":"en","selectors":["name"]}]`)},
		{"defanged", observable(``), observable(`"defanged":true`)},
		{"defanged of what cannot be", domainObject(``), domainObject(`"defanged":false`)},
		{"summary of what has none", domainObject(``), domainObject(`"summary":false`)},
		{"null", domainObject(``), domainObject(`"revoked":null`)},
		{"precision of a time", domainObject(`"valid_from":"2024-01-01T00:00:00Z"`), domainObject(`"valid_from":"2024-01-01T00:00:00.0Z"`)},
	} {
		if hashOf(t, c.a) == hashOf(t, c.b) {
			t.Errorf("%s: the hash is the same", c.name)
		}
	}
}

func TestContentHashLeavesTheObjectAlone(t *testing.T) {
	raw := domainObject(` "z" : 1.0 , "revoked":false, "a":2`)
	o := mustParse(t, raw)
	if _, err := o.ContentHash(); err != nil {
		t.Fatal(err)
	}
	if string(o.Raw) != raw {
		t.Errorf("Raw became %s", o.Raw)
	}
}
