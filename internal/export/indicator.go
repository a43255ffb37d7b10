package export

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// indicator is what matters here of a STIX indicator (STIX 2.1, section 4.7).
type indicator struct {
	ID          string    `json:"id"`
	Revoked     bool      `json:"revoked"`
	Types       []string  `json:"indicator_types"`
	Pattern     string    `json:"pattern"`
	PatternType string    `json:"pattern_type"`
	ValidFrom   time.Time `json:"valid_from"`
	ValidUntil  time.Time `json:"valid_until"`
	Confidence  *int      `json:"confidence"`
}

// Item is a value of a list, and an indicator that it comes from.
type Item struct {
	Kind       Kind
	Value      string
	Indicator  uuid.UUID // of the id indicator--<UUID>
	Confidence int       // 0 to 100; -1 if the indicator has none
	Until      time.Time // when the indicator ends; zero if it doesn't
}

type skip byte

const (
	skippedNot skip = iota
	skippedPattern
	skippedValue
	skippedFormat
)

// reading is what one indicator means for a list.
type reading struct {
	inForce    bool
	items      []Item
	skipped    skip
	boundaries []time.Time // when it comes into force and when it ends
}

// read works an indicator out.
func (l *List) read(object []byte) reading {
	var in indicator
	err := json.Unmarshal(object, &in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return reading{skipped: skippedValue}
	}
	// Who says that something is benign does not want it blocked.
	if in.Revoked || slices.Contains(in.Types, "benign") {
		return reading{}
	}
	item := Item{Confidence: -1, Until: in.ValidUntil}
	if in.Confidence != nil {
		item.Confidence = min(max(*in.Confidence, 0), 100)
	}
	if l.options.MinConfidence > 0 && item.Confidence < l.options.MinConfidence {
		return reading{}
	}
	r := reading{inForce: !in.ValidFrom.After(l.options.Now)}
	r.boundaries = append(r.boundaries, in.ValidFrom)
	if !in.ValidUntil.IsZero() {
		r.inForce = r.inForce && in.ValidUntil.After(l.options.Now)
		r.boundaries = append(r.boundaries, in.ValidUntil)
	}
	if !r.inForce || l.options.Format == STIX {
		return r
	}
	const prefix = len("indicator--")
	if len(in.ID) > prefix {
		item.Indicator, _ = uuid.Parse(in.ID[prefix:]) // the nil UUID is as good a name for one that has none
	}
	l.readPattern(in, item, &r)
	return r
}

// readPattern finds the items of an indicator in force.
func (l *List) readPattern(in indicator, item Item, r *reading) {
	skipped := func(reason skip) {
		if r.skipped == skippedNot {
			r.skipped = reason
		}
	}
	found, err := choice{}, errNotSimple
	if in.PatternType == "stix" {
		found, err = parsePattern(in.Pattern)
	}
	if err != nil || !found.whole {
		skipped(skippedPattern)
	}
	for _, a := range found.atoms {
		kind, value, good := normalise(a)
		switch {
		case !good:
			if l.options.wants(a.kind) {
				skipped(skippedValue)
			}
		case !l.options.wants(kind):
		case !l.form.takes(kind, value):
			skipped(skippedFormat)
		default:
			item.Kind, item.Value = kind, value
			r.items = append(r.items, item)
		}
	}
}
