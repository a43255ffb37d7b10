package export

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/observable"
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
	Labels      []string  `json:"labels"`
	Modified    time.Time `json:"modified"`
}

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// readLenient reads an indicator property by property, as far as each can be understood: producers write confidences as
// fractions, and dates without a time zone. Its error says that it can't be told when the indicator ends.
func readLenient(object []byte) (in indicator, err error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(object, &members, lenient); err != nil {
		return in, err
	}
	text := func(name string) (text string) {
		_ = json.Unmarshal(members[name], &text, lenient) // what is no text is none
		return text
	}
	in.ID, in.Pattern, in.PatternType = text("id"), text("pattern"), text("pattern_type")
	in.Revoked = string(members["revoked"]) == "true"
	if json.Unmarshal(members["indicator_types"], &in.Types, lenient) != nil {
		in.Types = []string{text("indicator_types")}
	}
	if json.Unmarshal(members["labels"], &in.Labels, lenient) != nil {
		in.Labels = []string{text("labels")}
	}
	in.Modified, _ = readDate(text("modified"))
	in.Confidence = readConfidence(members["confidence"])
	in.ValidFrom, _ = readDate(text("valid_from")) // without one it is in force
	until := members["valid_until"]
	if until == nil || until.Kind() == 'n' || string(until) == `""` {
		return in, nil
	}
	in.ValidUntil, err = readDate(text("valid_until"))
	return in, err
}

// readConfidence reads a confidence as a number or a text; nil if it is neither.
func readConfidence(v jsontext.Value) *int {
	if v == nil {
		return nil
	}
	f, err := strconv.ParseFloat(strings.Trim(string(v), `"`), 64)
	if err != nil || math.IsNaN(f) {
		return nil
	}
	n := int(math.Floor(min(max(f, 0), 100)))
	return &n
}

// readDate reads a date as it is found in the wild. Without a time zone it is in UTC, as STIX wants all of them.
func readDate(text string) (time.Time, error) {
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04Z07:00",
		"2006-01-02T15:04", "2006-01-02T15:04:05.999999999Z0700", time.DateOnly,
	} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errors.New("it is not a date")
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
	skippedJudged
	skippedFormat
	skippedDate
	skippedReliability
)

// reading is what one indicator means for a list.
type reading struct {
	inForce    bool
	items      []Item
	skipped    skip
	boundaries []time.Time // when it comes into force and when it ends
}

// read works an indicator out.
func (l *List) read(object Object) reading {
	var in indicator
	if err := json.Unmarshal(object.JSON, &in, lenient); err != nil {
		if in, err = readLenient(object.JSON); err != nil {
			return reading{skipped: skippedDate}
		}
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
	if left := l.options.Left.Indicator; r.inForce && left != nil && left(in.ID, in.Modified) {
		r.inForce, r.skipped = false, skippedJudged
	}
	if !r.inForce || l.options.Format == STIX && l.options.Score == 0 {
		return r
	}
	age := l.aging(in, object.Member)
	if l.options.Format == STIX {
		r.inForce = l.someLeft(in, age, &r)
		return r
	}
	const prefix = len("indicator--")
	if len(in.ID) > prefix {
		item.Indicator, _ = uuid.Parse(in.ID[prefix:]) // the nil UUID is as good a name for one that has none
	}
	l.readPattern(in, item, age, &r)
	return r
}

// readPattern finds the items of an indicator in force.
func (l *List) readPattern(in indicator, item Item, age aging, r *reading) {
	skipped := func(reason skip) {
		if r.skipped == skippedNot {
			r.skipped = reason
		}
	}
	found, err := observable.Choice{}, observable.ErrNotSimple
	if in.PatternType == "stix" {
		found, err = observable.ParsePattern(in.Pattern)
	}
	if err != nil || !found.Whole {
		skipped(skippedPattern)
	}
	for _, a := range found.Atoms {
		kind, value, good := normalise(a)
		switch {
		case !good:
			if l.options.wants(a.Kind) {
				skipped(skippedValue)
			}
		case !l.options.wants(kind):
		case l.omits(observable.Value{Kind: observable.Kind(kind), Text: value}):
			skipped(skippedValue)
		case !l.form.takes(kind, value):
			skipped(skippedFormat)
		case !age.left(kind, r):
		default:
			if l.form.as != nil {
				value = l.form.as(kind, value)
			}
			item.Kind, item.Value = kind, value
			r.items = append(r.items, item)
		}
	}
}

// omits reports whether a value is not to be in the list.
func (l *List) omits(v observable.Value) bool {
	return l.options.Left.Value != nil && l.options.Left.Value(v)
}
