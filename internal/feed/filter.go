package feed

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/internal/stix"
)

// Filter says which objects are wanted: those that all of its parts let through. A part that is zero lets all through.
type Filter struct {
	Types []string // any of them
	// Markings are TLP levels and ids of marking definitions, any of them. They say nothing of objects that have no
	// TLP level: whether these are wanted is the sink's to say.
	Markings      []string
	MinConfidence int       // objects that state no confidence are not let through either
	Labels        []string  // any of them
	Authors       []string  // ids in created_by_ref, any of them
	Since         time.Time // when the version was made; objects without versions are let through
}

const markingPrefix = "marking-definition--"

func (f Filter) validate() error {
	for _, marking := range f.Markings {
		if strings.HasPrefix(marking, markingPrefix) {
			continue
		}
		if _, err := stix.ParseLevel(marking); err != nil {
			return fmt.Errorf("markings: %w, nor the id of a marking definition", err)
		}
	}
	for _, author := range f.Authors {
		if !strings.Contains(author, "--") {
			return fmt.Errorf("authors: %.80q is not the id of an identity", author)
		}
	}
	if f.MinConfidence < 0 || f.MinConfidence > 100 {
		return errors.New("min_confidence: it is not between 0 and 100")
	}
	return nil
}

// passesOver names the part that does not let an object through; "" if all do. Markings are not looked at.
func (f Filter) passesOver(o *stix.Object) string {
	switch {
	case len(f.Types) > 0 && !slices.Contains(f.Types, o.Type):
		return "types"
	case len(f.Authors) > 0 && !slices.Contains(f.Authors, o.CreatedByRef):
		return "authors"
	case len(f.Labels) > 0 && !slices.ContainsFunc(o.Labels, func(l string) bool { return slices.Contains(f.Labels, l) }):
		return "labels"
	case !f.Since.IsZero() && o.Version() != "" && o.VersionTime().Before(f.Since):
		return "since"
	case f.MinConfidence > 0 && confidence(o) < float64(f.MinConfidence):
		return "min_confidence"
	}
	return ""
}

// confidence is what an object states, or -1. Some producers write it as a fraction, 85.0.
func confidence(o *stix.Object) float64 {
	var stated struct {
		Confidence jsontext.Value `json:"confidence"`
	}
	n := -1.0
	if json.Unmarshal(o.Raw, &stated) != nil || stated.Confidence.Kind() != '0' || json.Unmarshal(stated.Confidence, &n) != nil {
		return -1
	}
	return n
}

func (f Filter) letsMarkings(o *stix.Object, levels stix.Levels) bool {
	if len(f.Markings) == 0 {
		return true
	}
	level, marked, _ := levels.Of(o)
	return !marked || slices.ContainsFunc(f.Markings, func(wanted string) bool {
		if strings.HasPrefix(wanted, markingPrefix) {
			return slices.Contains(o.Markings, wanted)
		}
		l, err := stix.ParseLevel(wanted)
		return err == nil && l == level
	})
}
