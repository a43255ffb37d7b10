package warnlist

import (
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/internal/observable"
)

// Warning is a value of an object that is on lists.
type Warning struct {
	observable.Value
	Hits []Hit `json:"lists"`
}

// maxWarnings bounds the warnings about one object.
const maxWarnings = 20

// accusation is what says that an indicator calls something malicious.
type accusation struct {
	Type    string      `json:"type"`
	Revoked bool        `json:"revoked"`
	Types   benignOrNot `json:"indicator_types"`
}

// benignOrNot is a list of words, or anything.
type benignOrNot []string

// UnmarshalJSON takes what is no list of words for none.
func (b *benignOrNot) UnmarshalJSON(data []byte) error {
	var words []string
	if json.Unmarshal(data, &words) == nil {
		*b = words
	}
	return nil
}

// Warnings gives the values of an indicator that are on lists, the gravest first, and tells whether it is mistaken:
// whether one by which it says that something is malicious is on a hard one. Other objects, revoked ones, and those
// that call something benign accuse nothing.
func (l *Lists) Warnings(object []byte) (list []Warning, mistaken bool) {
	var a accusation
	if json.Unmarshal(object, &a, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil || a.Type != "indicator" || a.Revoked ||
		slices.Contains(a.Types, "benign") {
		return nil, false
	}
	found, _ := observable.FromObject(object)
	for _, f := range found {
		if f.Role != observable.Pattern && f.Role != observable.PartOf {
			continue
		}
		hits := l.Match(f.Value)
		if len(hits) == 0 {
			continue
		}
		mistaken = mistaken || f.Role == observable.Pattern && Gravest(hits) == Hard
		list = append(list, Warning{f.Value, hits})
	}
	slices.SortStableFunc(list, func(a, b Warning) int { return int(Gravest(a.Hits)) - int(Gravest(b.Hits)) })
	return list[:min(len(list), maxWarnings)], mistaken
}
