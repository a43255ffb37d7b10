package taxii

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json/jsontext"
)

func TestEnvelopeObjectsComeOutByteForByte(t *testing.T) {
	objects := []string{
		`{"type":"indicator","id":"indicator--1"}`,
		"{ \"type\" : \"x\",\n\t\"n\": 1.50, \"s\":\"\\u00e9\\/ü\" }",
		`{"a":[{"b":{"c":[1,2,3]}}],"big":9007199254740991,"small":-9007199254740991,"f":1e30}`,
		`{}`,
	}
	for _, body := range []string{
		`{"objects":[%s]}`,
		"\n { \"more\": false, \"next\": null, \"objects\" : [ %s ] , \"x_other\": {\"a\":1} } \n",
		`{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":[%s]}`,
		`{"type":"bundle","spec_version":"2.0","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":[%s]}`,
		`{"\u006fbjects":[%s]}`,
	} {
		body = fmt.Sprintf(body, strings.Join(objects, " ,\n"))
		a, err := decodeAll(strings.NewReader(body))
		got := a.Objects
		if err != nil {
			t.Errorf("%.60s: %v", body, err)
			continue
		}
		if len(got) != len(objects) {
			t.Errorf("%.60s: %d objects", body, len(got))
			continue
		}
		for i, in := range got {
			if string(in.Raw) != objects[i] || in.Err != nil {
				t.Errorf("object %d is %s, %v", i, in.Raw, in.Err)
			}
		}
	}
}

// decoded is what an envelope has.
type decoded struct {
	Objects []Incoming
	Replace bool
}

func decodeAll(body io.Reader) (d decoded, err error) {
	into := newReceived("", nil)
	defer into.close()
	a, err := decodeEnvelope(body, into)
	if err != nil {
		return d, err
	}
	d.Objects, err = listed(a.Objects)
	d.Replace = a.Replace
	return d, err
}

// listed reads all of some objects.
func listed(objects Objects) (list []Incoming, err error) {
	for i := range objects.Len() {
		in, err := objects.At(i)
		if err != nil {
			return nil, err
		}
		list = append(list, in)
	}
	return list, nil
}

// Checklist 5.2, 12.2, 12.3: what spoils the whole body.
func TestBodiesThatAreNoEnvelope(t *testing.T) {
	for _, test := range []struct {
		body   string
		status int
	}{
		{``, 400},
		{`not JSON`, 400},
		{`[]`, 400},
		{`[{"type":"indicator"}]`, 400},
		{`"objects"`, 400},
		{`null`, 400},
		{`{"objects":[{}]`, 400},
		{`{"objects":[{}`, 400},
		{`{"objects":[{},]}`, 400},
		{`{"objects":[{}]}{}`, 400},
		{`{"objects":[{}]} x`, 400},
		{`{"objects":[{}],"objects":[{}]}`, 400},
		{`{"objects":[{}],"obj\u0065cts":[{}]}`, 400},
		{`{"objects":[{"a":NaN}]}`, 400},
		{`{"objects":[{"a":01}]}`, 400},
		{"{\"objects\":[{\"a\":\"\x01\"}]}", 400},
		{"{\"x\xff\":1,\"objects\":[{}]}", 400},
		{`{"x":"\ud800","objects":[{}]}`, 400},
		{`{"x":{"a":1,"a":2},"objects":[{}]}`, 400},
		{strings.Repeat("[", 100_000), 400},
		{`{"objects":[` + strings.Repeat("[", 100_000), 400},
		{`{}`, 422},
		{`{"objects":[]}`, 422},
		{`{"objects":null}`, 422},
		{`{"objects":{}}`, 422},
		{`{"objects":"x"}`, 422},
		{`{"type":"indicator","id":"indicator--1"}`, 422},
		{`{"type":7,"objects":[{}]}`, 422},
		{`{"x_slnode_to":[],"objects":[{}]}`, 422},
		{`{"x_slnode_replace":"true","objects":[{}]}`, 422},
		{`{"x_slnode_replace":null,"objects":[{}]}`, 422},
		{byteOrderMark + byteOrderMark + `{"objects":[{}]}`, 400},
		{byteOrderMark, 400},
		{`{"objects":[` + strings.Repeat("0,", maxObjects) + `0]}`, 422},
	} {
		_, err := decodeAll(strings.NewReader(test.body))
		var p *problem
		if !errors.As(err, &p) || p.status != test.status {
			t.Errorf("%.60q: %v, want status %d", test.body, err, test.status)
		}
	}
	many := new(strings.Builder)
	for i := range maxProperties + 1 {
		fmt.Fprintf(many, `"p%d":0,`, i)
	}
	if _, err := decodeAll(strings.NewReader(`{` + many.String() + `"objects":[{}]}`)); err == nil {
		t.Error("any number of properties is taken")
	}
}

// Checklist 1.6, 12.3 and 13: what spoils one object and no other.
func TestABadObjectDoesNotHarmTheOthers(t *testing.T) {
	for name, bad := range map[string]string{
		"repeated name":            `{"type":"indicator","id":"a","id":"b"}`,
		"repeated name, deep":      `{"a":[{"b":1,"\u0062":2}]}`,
		"lone surrogate":           `{"a":"\ud800"}`,
		"lone low surrogate":       `{"a":"\udc00x"}`,
		"bytes that are not UTF-8": "{\"a\":\"\xff\"}",
		"2^53":                     `{"a":9007199254740992}`,
		"-2^53":                    `{"a":[-9007199254740992]}`,
		"an endless integer":       `{"a":` + strings.Repeat("9", 1000) + `}`,
		"a float beyond float64":   `{"a":1e400}`,
		"too deep":                 `{"a":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`,
		"a number":                 `1`,
		"a string":                 `"indicator"`,
		"null":                     `null`,
		"a list":                   `[{}]`,
	} {
		good := indicator(1, 1)
		a, err := decodeAll(strings.NewReader(`{"objects":[` + good + `,` + bad + `,` + good + `]}`))
		got := a.Objects
		if err != nil || len(got) != 3 {
			t.Errorf("%s: %d objects, %v", name, len(got), err)
			continue
		}
		if got[0].Err != nil || got[2].Err != nil {
			t.Errorf("%s: its neighbours have %v and %v", name, got[0].Err, got[2].Err)
		}
		if got[1].Err == nil {
			t.Errorf("%s is let through", name)
		} else if len(got[1].Err.Error()) > 300 {
			t.Errorf("%s: the reason has %d bytes", name, len(got[1].Err.Error()))
		}
		if string(got[1].Raw) != bad {
			t.Errorf("%s: raw is %.60q", name, got[1].Raw)
		}
	}
}

func TestDepthThatIsBearable(t *testing.T) {
	deep := `{"a":` + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1) + `}`
	a, err := decodeAll(strings.NewReader(`{"objects":[` + deep + `]}`))
	got := a.Objects
	if err != nil || got[0].Err != nil {
		t.Errorf("%v, %v", err, got[0].Err)
	}
}

// The first Service Ledger's own example sends a bundle in the objects of an envelope.
func TestBundlesAmongTheObjectsAreTakenApart(t *testing.T) {
	one, two, three := indicator(1, 1), indicator(2, 1), "{ \"type\" : \"x\",\n \"of\": \"a bundle\" }"
	bundle := func(objects string) string {
		return `{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects": [` + objects + `]}`
	}
	for name, objects := range map[string]string{
		"one bundle":              bundle(one + " , " + two + "," + three),
		"bundles and objects":     one + "," + bundle(two) + "," + three,
		"bundles in bundles":      bundle(bundle(bundle(one)+","+two) + "," + bundle(three)),
		"its type after the list": strings.Replace(bundle(one+","+two+","+three), `"type":"bundle",`, ``, 1)[:len(bundle(one+","+two+","+three))-len(`"type":"bundle",`)-1] + `,"type":"bundle"}`,
	} {
		a, err := decodeAll(strings.NewReader(`{"objects":[` + objects + `]}`))
		if err != nil || len(a.Objects) != 3 {
			t.Errorf("%s: %d objects, %v", name, len(a.Objects), err)
			continue
		}
		for i, want := range []string{one, two, three} {
			if string(a.Objects[i].Raw) != want || a.Objects[i].Err != nil {
				t.Errorf("%s: object %d is %s, %v", name, i, a.Objects[i].Raw, a.Objects[i].Err)
			}
		}
	}
}

func TestABundleAmongTheObjectsThatCantBeTakenApartIsAFailure(t *testing.T) {
	deep := `{"type":"indicator"}`
	for range maxBundles + 2 {
		deep = `{"type":"bundle","objects":[` + deep + `]}`
	}
	for name, bundle := range map[string]string{
		"no objects":      `{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d"}`,
		"an empty list":   `{"type":"bundle","objects":[]}`,
		"not a list":      `{"type":"bundle","objects":{"a":1}}`,
		"objects twice":   `{"type":"bundle","objects":[{}],"objects":[{}]}`,
		"its own readers": `{"type":"bundle","x_slnode_to":["bravo"],"objects":[{"type":"indicator"}]}`,
		"too deep":        deep,
	} {
		a, err := decodeAll(strings.NewReader(`{"objects":[` + bundle + `,` + indicator(1, 1) + `]}`))
		if err != nil || len(a.Objects) != 2 || a.Objects[0].Err == nil || a.Objects[1].Err != nil {
			t.Errorf("%s: %d objects, %v", name, len(a.Objects), err)
		}
	}
	// An object that only speaks of bundles is none.
	if a, err := decodeAll(strings.NewReader(`{"objects":[{"type":"tool","name":"bundle","objects":[{}]}]}`)); err != nil || len(a.Objects) != 1 || a.Objects[0].Err != nil {
		t.Errorf("%+v, %v", a.Objects, err)
	}
}

func TestBundlesDoNotEvadeTheBoundOnObjects(t *testing.T) {
	body := `{"objects":[{"type":"bundle","objects":[` + strings.Repeat("1,", maxObjects) + `1]}]}`
	if _, err := decodeAll(strings.NewReader(body)); err == nil {
		t.Error("any number of objects is taken")
	}
}

func TestAByteOrderMarkIsPassedOver(t *testing.T) {
	a, err := decodeAll(strings.NewReader(byteOrderMark + `{"objects":[` + indicator(1, 1) + `]}`))
	if err != nil || len(a.Objects) != 1 || string(a.Objects[0].Raw) != indicator(1, 1) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAnEnvelopeCanAskForReplacement(t *testing.T) {
	for text, want := range map[string]bool{`"x_slnode_replace":true,`: true, `"x_slnode_replace":false,`: false, ``: false} {
		if a, err := decodeAll(strings.NewReader(`{` + text + `"objects":[{}]}`)); err != nil || a.Replace != want {
			t.Errorf("%s: %v, %v", text, a.Replace, err)
		}
	}
}

// The decoder never panics; what it lets through is I-JSON and lies in the body in that order.
func FuzzEnvelope(f *testing.F) {
	for _, seed := range []string{
		`{"objects":[` + indicator(1, 1) + `]}`,
		`{"type":"bundle","objects":[{"a":1e400},{"b":"\ud800"},{"c":1,"c":2},7]}`,
		`{"objects":[{"a":[[[[{"b":[]}]]]]}],"more":true}`, `{`, byteOrderMark + `{"x_slnode_replace":true,"objects":[1]}`,
		`{"objects":[{"type":"bundle","objects":[{"type":"bundle","objects":[{}, 1]},{"x":"bundle"}]},{"type":"bundle","objects":[],"objects":1}]}`, `{"objects":[`, `[]`, "\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decodeAll(bytes.NewReader(body))
		// What is read does not depend on the pieces that the body arrives in.
		a2, err2 := decodeAll(iotest.OneByteReader(bytes.NewReader(body)))
		got, pieces := a.Objects, a2.Objects
		if (err == nil) != (err2 == nil) || len(got) != len(pieces) {
			t.Fatalf("at once %d objects, %v; byte by byte %d, %v", len(got), err, len(pieces), err2)
		}
		if err != nil {
			var p *problem
			if !errors.As(err, &p) || (p.status != http.StatusBadRequest && p.status != http.StatusUnprocessableEntity) {
				t.Errorf("error %v", err)
			}
			if len(p.description) > 600 {
				t.Errorf("description of %d bytes", len(p.description))
			}
			return
		}
		rest := body
		for _, in := range got {
			i := bytes.Index(rest, in.Raw)
			if i < 0 {
				t.Fatalf("object %q is not in the body after the one before", in.Raw)
			}
			rest = rest[i+len(in.Raw):]
			if in.Err == nil && (!jsontext.Value(in.Raw).IsValid() || in.Raw[0] != '{') {
				t.Errorf("%q is let through", in.Raw)
			}
		}
	})
}

func BenchmarkDecodeEnvelope(b *testing.B) {
	objects := make([]string, 1000)
	for i := range objects {
		objects[i] = indicator(i, 1)
	}
	body := []byte(`{"objects":[` + strings.Join(objects, ",") + `]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeAll(bytes.NewReader(body)); err != nil {
			b.Fatal(err)
		}
	}
}
