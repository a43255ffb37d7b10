package quality

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// Reliability is how far a source is trusted, by the letters of the Admiralty system (NATO STANAG 2511): A to F. It is
// one organisation's own judgement of another; "" is none.
type Reliability string

// scale is what the letters mean, and which share of a score they leave. F is between C and D: what nobody can judge is
// not held to be wrong.
var scale = map[Reliability]struct {
	words  string
	weight float64
}{
	"A": {"completely reliable", 1}, "B": {"usually reliable", 0.85}, "C": {"fairly reliable", 0.7}, "D": {"not usually reliable", 0.5},
	"E": {"unreliable", 0.2}, "F": {"cannot be judged", 0.7},
}

// Letters are all of them, the most reliable first.
func Letters() []Reliability { return slices.Sorted(maps.Keys(scale)) }

var errReliability = errors.New("it is none of the letters A (completely reliable), B (usually), C (fairly), D (not usually), E (unreliable) and F (cannot be judged)")

// ParseReliability reads a letter, in either case.
func ParseReliability(text string) (Reliability, error) {
	r := Reliability(strings.ToUpper(strings.TrimSpace(text)))
	if _, known := scale[r]; !known {
		return "", errReliability
	}
	return r, nil
}

// Words are what the letter means; "" for none.
func (r Reliability) Words() string { return scale[r].words }

// Weight is the share, 0 to 1, that the letter leaves of a score. A source that nobody judged keeps all.
func (r Reliability) Weight() float64 {
	if known, is := scale[r]; is {
		return known.weight
	}
	return 1
}

// Of is what the letter leaves of a score, 0 to 100.
func (r Reliability) Of(score int) int { return int(float64(score)*r.Weight() + 0.5) }

// CannotBeJudged is the credibility of what has no confidence.
const CannotBeJudged = 6

// Credibility is the number of the Admiralty system for a STIX confidence of 0 to 100: 1 to 5, by the table "Admiralty
// Credibility" of STIX 2.1, Appendix A, whose steps are 20 wide.
func Credibility(confidence int) int { return max(1, 5-max(confidence, 0)/20) }

// Confidence is the STIX confidence for a credibility of 1 to 5, by the same table: the middle of its step. For 6,
// truth cannot be judged, there is none.
func Confidence(credibility int) (confidence int, is bool) {
	if credibility < 1 || credibility > 5 {
		return 0, false
	}
	return 110 - 20*credibility, true
}

var credible = [...]string{"", "confirmed by other sources", "probably true", "possibly true", "doubtful", "improbable", "truth cannot be judged"}

// CredibilityWords are what a credibility of 1 to 6 means.
func CredibilityWords(credibility int) string {
	return credible[min(max(credibility, 0), CannotBeJudged)]
}
