package stix

import (
	"bytes"
	"errors"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func FuzzParse(f *testing.F) {
	for _, raw := range []string{
		typicalObject, domainObject(`"revoked":false,"labels":["tlp:red"],"x":[1.5,{"a_refs":["tool--` + randomUUID + `"]}]`), observable(`"defanged":false`),
		`{"type":"marking-definition","spec_version":"2.1","id":"` + tlp1Red + `","created":"2017-01-20T00:00:00.000Z","definition_type":"tlp","definition":{"tlp":"red"}}`,
		`{"type":"bundle","id":"bundle--` + randomUUID + `"}`, `{"id":"\ud800"}`, `{"a":1,"a":2}`, `[`, ``,
	} {
		f.Add([]byte(raw))
	}
	for _, file := range []string{"testdata/sample-bundle.json", "testdata/tlp-definitions.json"} {
		for _, raw := range objectsIn(f, file) {
			f.Add([]byte(raw))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		o, err := Parse(raw)
		sameToBoth(t, raw)
		if !bytes.Equal(raw, before) {
			t.Fatal("the input was altered")
		}
		if err != nil {
			var broken *Error
			if !errors.As(err, &broken) {
				t.Fatalf("error is a %T", err)
			}
			checkErrorIsFitToShow(t, broken)
			return
		}

		hash, err := o.ContentHash()
		if err != nil {
			t.Fatal(err)
		}
		if typ, _, ok := splitID(o.ID); !ok || typ != o.Type || o.SpecVersion != SpecVersion {
			t.Errorf("%q of type %q, spec_version %q", o.ID, o.Type, o.SpecVersion)
		}
		level, marked, because := Levels{Resolve: func(string) *Object { return o }}.Of(o)
		if marked != (level != 0) || marked != (because != "") {
			t.Errorf("%v, %v, %q", level, marked, because)
		}
		if len(Order([]*Object{o, o})) != 2 {
			t.Error("Order lost an object")
		}

		// The canonical form means the same.
		canonical := jsontext.Value(bytes.Clone(o.Raw))
		if err := canonical.Canonicalize(); err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(o.Raw, "eE") { // 1e20 becomes an integer, which is not accepted as one
			return
		}
		again, err := Parse(canonical)
		if err != nil {
			t.Fatalf("the canonical form is refused: %v", err)
		}
		if hash2, err := again.ContentHash(); err != nil || hash2 != hash {
			t.Errorf("the canonical form has another hash, %v", err)
		}
		if again.ID != o.ID || again.Version() != o.Version() || again.Revoked != o.Revoked {
			t.Errorf("the canonical form is %s %s", again.ID, again.Version())
		}
	})
}
