package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/serviceledger/slnode/taxii"
)

// many FILE N DEFINITION writes a bundle of N tools, all with one marking, whose definition is the last of its objects.
func many(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	definition := strings.TrimSpace(ts.ReadFile(args[2]))
	objects := make([]string, n, n+1)
	for i := range objects {
		objects[i] = fmt.Sprintf(`{"type":"tool","spec_version":"2.1","id":"tool--%08x-17d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-02T03:04:05.678Z",`+
			`"modified":"2026-01-02T03:04:05.678Z","name":"Tool %d","object_marking_refs":["marking-definition--0000aaaa-17d4-4cbf-938f-98ee46b3cd3f"]}`, i, i)
	}
	text := `{"type":"bundle","id":"bundle--1e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f","objects":[` + strings.Join(append(objects, definition), ",\n") + `]}`
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// mark FILE FROM copies a file and puts a byte order mark before it.
func mark(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("\ufeff"+ts.ReadFile(args[1])), 0o600))
}

func TestWhatAFileHolds(t *testing.T) {
	const a, b = `{"type":"tool","id":"a"}`, `{ "type": "tool", "id": "b" }`
	for text, want := range map[string][]string{
		`{"type":"bundle","objects":[` + a + `,` + b + `]}`:                 {a, b},
		`{"objects":[` + a + `]}`:                                           {a},
		"\ufeff [" + a + ",\n" + b + "]\r\n":                                {a, b},
		"\ufeff" + b:                                                        {b},
		`[{"type":"bundle","objects":[` + a + `]},` + b + `]`:               {a, b},
		`{"objects":[{"type":"bundle","objects":[` + a + `]},` + b + `]}`:   {a, b},
		`{"type":"bundle","objects":[]}`:                                    nil,
		`[{"type":"bundle","x_slnode_to":["bravo"],"objects":[` + a + `]}]`: {`{"type":"bundle","x_slnode_to":["bravo"],"objects":[` + a + `]}`},
		`[7,null]`: {"7", "null"},
	} {
		objects, err := objectsOf([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		var got []string
		for _, o := range objects {
			got = append(got, string(o))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
	for _, text := range []string{``, `{`, `7`, `"a"`, `[`, `{"objects":7}`} {
		if objects, err := objectsOf([]byte(text)); err == nil && len(objects) > 0 {
			t.Errorf("%s: %q", text, objects)
		}
	}
}

func TestDefinitionsGoFirst(t *testing.T) {
	const definition = `{"type":"marking-definition","id":"marking-definition--1"}`
	e := envelope{objects: []jsontext.Value{jsontext.Value(`{"type":"tool","id":"a"}`), jsontext.Value(definition), jsontext.Value(`7`)}}
	if n := e.definitionsFirst(); n != 1 || string(e.objects[0]) != definition || len(e.objects) != 3 || string(e.objects[1]) != `{"type":"tool","id":"a"}` {
		t.Errorf("%d, %s", n, e.objects)
	}
}

// A rehearsal's requests know nothing of each other.
func TestARehearsalTakesTheDefinitionsAlongThatItNeeds(t *testing.T) {
	list := func(texts ...string) (l []jsontext.Value) {
		for _, text := range texts {
			l = append(l, jsontext.Value(text))
		}
		return l
	}
	definitions := list(`{"id":"marking-definition--1","object_marking_refs":["marking-definition--2"]}`, `{"id":"marking-definition--2"}`, `{"id":"marking-definition--3"}`, `7`)
	if named := namedIn(list(`{"object_marking_refs":["marking-definition--1"]}`), definitions); len(named) != 2 {
		t.Errorf("%s", named)
	}
	if named := namedIn(list(`{"name":"x"}`), definitions); len(named) != 0 {
		t.Errorf("%s", named)
	}
}

func TestEnvelopesSayWhatIsWanted(t *testing.T) {
	for want, e := range map[string]envelope{
		`{"objects":[1]}`: {objects: []jsontext.Value{jsontext.Value("1")}},
		`{"x_slnode_to":["bravo"],"x_slnode_replace":true,"objects":[1,2]}`: {to: []string{"bravo"}, replace: true, objects: []jsontext.Value{jsontext.Value("1"), jsontext.Value("2")}},
	} {
		if data, err := e.encode(); err != nil || string(data) != want {
			t.Errorf("%s, %v, want %s", data, err, want)
		}
	}
}

// In a batch the first object pays for all; what goes along again is not paid again.
func TestARehearsalOfManyRequestsAddsUp(t *testing.T) {
	price := func(n uint64) taxii.Price { return taxii.Price{NFTs: int(n), Fees: 1000 * n, Locked: 100_000 * n} }
	objects := func(costs ...uint64) (list []taxii.RehearsedObjectResource) {
		for _, cost := range costs {
			list = append(list, taxii.RehearsedObjectResource{Cost: cost})
		}
		return list
	}
	total := taxii.RehearsalResource{Cost: 301_000}
	addRehearsal(&total, taxii.RehearsalResource{Cost: 301_000, Anchor: "batch", Objects: objects(101_000, 0, 0), AsSingle: price(3), AsBatch: price(1)}, 0)
	addRehearsal(&total, taxii.RehearsalResource{Anchor: "batch", Objects: objects(101_000, 0, 0), AsSingle: price(3), AsBatch: price(1)}, 1)
	last := objects(101_000, 101_000, 0, 0)
	last[2].Message, last[3].TxID = "refused", "TX"
	addRehearsal(&total, taxii.RehearsalResource{Anchor: "single", Objects: last, AsSingle: price(2), AsBatch: price(1)}, 1)
	if total.Cost != 503_000 || total.AsSingle != price(6) || total.AsBatch != price(3) || total.Anchor != "batch" || total.TotalCount != 8 || total.RefusedCount != 1 {
		t.Errorf("all of it is %+v", total)
	}
}
