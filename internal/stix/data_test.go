package stix

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// objectsIn returns the objects of a bundle, or of a bare list.
func objectsIn(t testing.TB, path string) []jsontext.Value {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct {
		Objects []jsontext.Value `json:"objects"`
	}
	target := any(&bundle)
	if jsontext.Value(text).Kind() == '[' {
		target = &bundle.Objects
	}
	if err := json.Unmarshal(text, target); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if len(bundle.Objects) == 0 {
		t.Fatalf("%s holds no objects", path)
	}
	return bundle.Objects
}

func TestSampleBundleParses(t *testing.T) {
	var types []string
	for _, raw := range objectsIn(t, "testdata/sample-bundle.json") {
		o := mustParse(t, string(raw))
		if !o.IDIsRandom() {
			t.Errorf("%s is not a random id", o.ID)
		}
		types = append(types, o.Type)
	}
	if !slices.Equal(types, []string{"identity", "marking-definition", "indicator"}) {
		t.Errorf("types are %q", types)
	}
}

// Below SLNODE_TEST_DATA, the folder data holds bundles from public sets.
func TestRealDataParses(t *testing.T) {
	dir := os.Getenv("SLNODE_TEST_DATA")
	if dir == "" {
		t.Skip("SLNODE_TEST_DATA is not set")
	}
	dir = filepath.Join(dir, "data")
	objects := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" || entry.Name() == "sco_id_vectors.json" {
			return err
		}
		for _, raw := range objectsIn(t, path) {
			objects++
			o, err := Parse(raw)
			if err != nil {
				t.Errorf("%s: %v\n%s", path, err, raw)
				continue
			}
			if _, err := o.ContentHash(); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if objects == 0 {
		t.Errorf("no objects in %s", dir)
	}
	t.Logf("%d objects", objects)
}
