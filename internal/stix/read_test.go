package stix

import (
	"strings"
	"testing"
)

// What a release refuses to publish, or will refuse, is read all the same: whether an object counts must not depend on
// the release of who reads it.
func TestAReaderTakesWhatAPublisherWouldNotHavePublished(t *testing.T) {
	id := "indicator--" + randomUUID
	markings := strings.Repeat(`"marking-definition--`+randomUUID+`x",`, 300)
	for what, raw := range map[string]string{
		"no spec_version":                  `{"type":"indicator","id":"` + id + `"}`,
		"another spec_version":             `{"type":"indicator","id":"` + id + `","spec_version":"2.2"}`,
		"a spec_version that is a number":  `{"type":"indicator","id":"` + id + `","spec_version":2.1}`,
		"no created and no modified":       `{"type":"indicator","id":"` + id + `","spec_version":"2.1"}`,
		"modified before created":          `{"type":"indicator","id":"` + id + `","created":"2026-02-01T00:00:00Z","modified":"2026-01-01T00:00:00Z"}`,
		"labels that are no list":          `{"type":"indicator","id":"` + id + `","labels":"x"}`,
		"markings that are no list":        `{"type":"indicator","id":"` + id + `","object_marking_refs":{}}`,
		"more markings than are resolved":  `{"type":"indicator","id":"` + id + `","object_marking_refs":[` + strings.TrimSuffix(markings, ",") + `]}`,
		"… in an object within":            `{"type":"indicator","id":"` + id + `","lang":{"object_marking_refs":[` + strings.TrimSuffix(markings, ",") + `]}}`,
		"an extension without its type":    `{"type":"indicator","id":"` + id + `","extensions":{"extension-definition--` + randomUUID + `":{}}}`,
		"revoked that is neither":          `{"type":"indicator","id":"` + id + `","revoked":"perhaps"}`,
		"a definition without a statement": `{"type":"marking-definition","id":"marking-definition--` + randomUUID + `"}`,
	} {
		if _, err := Read([]byte(raw)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAReaderRefusesWhatNoReaderTakes(t *testing.T) {
	id := "indicator--" + randomUUID
	for what, raw := range map[string]string{
		"no object": `[]`, "half an object": `{"type":"indicator"`, "no type": `{"id":"` + id + `"}`, "no id": `{"type":"indicator"}`,
		"an id of another type":     `{"type":"malware","id":"` + id + `"}`,
		"an id without a UUID":      `{"type":"indicator","id":"indicator--x"}`,
		"a bundle":                  `{"type":"bundle","id":"bundle--` + randomUUID + `"}`,
		"a name twice":              `{"type":"indicator","id":"` + id + `","a":1,"a":2}`,
		"a name twice, deep within": `{"type":"indicator","id":"` + id + `","x":{"a":1,"a":2}}`,
		"no UTF-8":                  `{"type":"indicator","id":"` + id + `","name":"` + "\xff" + `"}`,
		"half a surrogate":          `{"type":"indicator","id":"` + id + `","name":"\ud800"}`,
		"a number beyond a float":   `{"type":"indicator","id":"` + id + `","x":9007199254740993}`,
		"too deep":                  `{"type":"indicator","id":"` + id + `","x":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`,
		"a time that is none":       `{"type":"indicator","id":"` + id + `","created":"yesterday"}`,
		"a time that is a number":   `{"type":"indicator","id":"` + id + `","modified":1}`,
		"a time of another zone":    `{"type":"indicator","id":"` + id + `","modified":"2026-01-01T00:00:00+01:00"}`,
		"a TLP marking redefined":   `{"type":"marking-definition","spec_version":"2.1","id":"` + tlp1Red + `","created":"2017-01-20T00:00:00.000Z","definition_type":"tlp","name":"TLP:WHITE","definition":{"tlp":"white"}}`,
		"too many properties":       `{"type":"indicator","id":"` + id + `","x":[` + strings.Repeat(`{"a":1},`, maxProperties) + `{}]}`,
		"too large":                 `{"type":"indicator","id":"` + id + `","x":"` + strings.Repeat("x", MaxSize) + `"}`,
	} {
		if o, err := Read([]byte(raw)); err == nil {
			t.Errorf("%s: it is read as %s", what, o.ID)
		}
	}
}

// What can be published can be read, and is the same object to both.
func TestAPublisherAndAReaderSeeTheSameObject(t *testing.T) {
	for _, file := range []string{"testdata/sample-bundle.json", "testdata/tlp-definitions.json"} {
		for _, raw := range objectsIn(t, file) {
			sameToBoth(t, []byte(raw))
		}
	}
}

func sameToBoth(t *testing.T, raw []byte) {
	t.Helper()
	published, err := Parse(raw)
	if err != nil {
		return
	}
	read, err := Read(raw)
	if err != nil {
		t.Fatalf("%.200s is published and can't be read: %v", raw, err)
	}
	a, errA := published.ContentHash()
	b, errB := read.ContentHash()
	if read.ID != published.ID || read.Type != published.Type || read.Version() != published.Version() ||
		!read.VersionTime().Equal(published.VersionTime()) || a != b || errA != nil || errB != nil || string(read.Raw) != string(published.Raw) {
		t.Errorf("%.200s is read as %s of %q, %q with the hash %x; published with %x (%v, %v)", raw, read.ID, read.Type, read.Version(), b, a, errA, errB)
	}
}
