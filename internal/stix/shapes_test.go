package stix_test

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/export"
	"github.com/serviceledger/slnode/internal/stix"
)

// shape is how a producer writes something, and what has to become of it.
type shape struct {
	Name               string
	Source             string            // where it is written so
	Definitions        []json.RawMessage // of markings, that are known
	DefinitionsRefused int               `json:"definitions_refused"`
	Earlier            json.RawMessage   // what was published of the object before, in the own line
	Object             json.RawMessage
	Becomes            struct {
		Refused    string   // part of the reason; "" if it is taken
		Level      string   // of the TLP; "" if it has none
		Because    string   // part of what decided
		Identifier string   // "clear" or "handle": how metadata may name the object; "" for either
		Version    *string  // as TAXII has it
		Notes      []string // the beginning of each
		Values     []string // of a plain list for firewalls
		Skipped    int      // indicators that are not wholly in such a list
	}
}

// How OpenCTI, MISP, MITRE, Sekoia, OTX, CISA and others write markings, dates, ids, versions and patterns.
func TestRealShapes(t *testing.T) {
	files, err := filepath.Glob("testdata/shapes/*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		var table struct {
			Producer string
			Shapes   []shape
			Labels   map[string][]string // level -> what claims it as a label
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&table); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(table.Shapes) == 0 && len(table.Labels) == 0 {
			t.Errorf("%s has no shapes", file)
		}
		for _, s := range table.Shapes {
			t.Run(table.Producer+": "+s.Name, s.check)
		}
		for level, labels := range table.Labels {
			for _, label := range labels {
				if got := levelOf(&stix.Object{Labels: []string{label}}, nil); got != level {
					t.Errorf("the label %q counts as %q, want %q", label, got, level)
				}
			}
		}
	}
}

func levelOf(o *stix.Object, resolve func(string) *stix.Object) string {
	level, marked, _ := stix.Levels{Resolve: resolve}.Of(o)
	if !marked {
		return ""
	}
	return level.String()
}

func (s shape) check(t *testing.T) {
	if s.Source == "" {
		t.Error("the source is not said")
	}
	known := map[string]*stix.Object{}
	refused := 0
	for _, raw := range s.Definitions {
		definition, err := stix.Parse(raw)
		if err != nil {
			if refused++; refused > s.DefinitionsRefused {
				t.Errorf("a definition is refused: %v", err)
			}
			continue
		}
		known[definition.ID] = definition
		if level := levelOf(definition, nil); level != "" {
			t.Errorf("the definition of %s counts as %s", definition.ID, level)
		}
	}
	if refused < s.DefinitionsRefused {
		t.Errorf("%d definitions are refused, want %d", refused, s.DefinitionsRefused)
	}
	o, err := stix.Parse(s.Object)
	if s.Becomes.Refused != "" {
		if err == nil || !strings.Contains(err.Error(), s.Becomes.Refused) {
			t.Errorf("error is %v, want one about %q", err, s.Becomes.Refused)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(id string) *stix.Object { return known[id] }
	if got := levelOf(o, resolve); got != s.Becomes.Level {
		t.Errorf("level %q, want %q", got, s.Becomes.Level)
	}
	if _, _, because := (stix.Levels{Resolve: resolve}).Of(o); !strings.Contains(because, s.Becomes.Because) {
		t.Errorf("decided by %q, want %q", because, s.Becomes.Because)
	}
	if s.Becomes.Version != nil && o.Version() != *s.Becomes.Version {
		t.Errorf("version %q", o.Version())
	}
	if want := s.Becomes.Identifier; want != "" && o.IDIsRandom() != (want == "clear") {
		t.Errorf("the identifier is random: %v", o.IDIsRandom())
	}
	s.checkNotes(t, o)
	s.checkValues(t, o)
}

func (s shape) checkNotes(t *testing.T, o *stix.Object) {
	notes := slices.Clone(o.Notes())
	if s.Earlier != nil {
		earlier, err := stix.Parse(s.Earlier)
		if err != nil {
			t.Fatal(err)
		}
		notes = append(notes, stix.Succession(earlier, o)...)
	}
	if len(notes) != len(s.Becomes.Notes) {
		t.Errorf("notes %q", notes)
		return
	}
	for i, note := range notes {
		if !strings.HasPrefix(note, s.Becomes.Notes[i]) {
			t.Errorf("note %q, want one about %s", note, s.Becomes.Notes[i])
		}
	}
}

func (s shape) checkValues(t *testing.T, o *stix.Object) {
	if o.Type != "indicator" {
		return
	}
	source := func(context.Context) iter.Seq2[export.Object, error] {
		return func(yield func(export.Object, error) bool) { yield(export.Object{JSON: o.Raw}, nil) }
	}
	list, err := export.Prepare(t.Context(), source, export.Options{Format: export.Plain, Now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := list.Write(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(out.String()); !o.Revoked && !slices.Equal(got, s.Becomes.Values) || list.Skipped.Total() != s.Becomes.Skipped {
		t.Errorf("a list has %q, %d are skipped", got, list.Skipped.Total())
	}
}
