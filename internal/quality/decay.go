// Package quality says how much of an indicator's worth is left. It computes and changes nothing: no object becomes
// another one, and nothing is published or revoked, because time has passed.
package quality

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
)

// DefaultBase is the score that an indicator without a confidence begins with.
const DefaultBase = 80

// Model is how a score falls: the polynomial of MISP's decaying models (Mokaddem et al., "Taxonomy driven indicator
// scoring in MISP threat intelligence platforms", 2018), so that numbers agree with MISP's.
//
//	score(t) = base × (1 − ((t − t0)/τ)^(1/δ))
type Model struct {
	Lifetime  time.Duration // τ, after which the score is 0; 0: it never falls
	Speed     float64       // δ, above 0: the greater, the faster it falls in the beginning
	Threshold int           // θ, 1 to 100, below which an indicator is over where no other score is asked for
}

// The models that MISP publishes ("NIDS Simple Decaying Model", "Phishing model"), and what never falls.
var (
	Network  = Model{Lifetime: 120 * 24 * time.Hour, Speed: 2, Threshold: 30}
	Phishing = Model{Lifetime: 3 * 24 * time.Hour, Speed: 2.3, Threshold: 30}
	Never    = Model{Threshold: 30}
)

// Falls reports whether the score falls at all.
func (m Model) Falls() bool { return m.Lifetime > 0 }

// Score is what is left of a base, 0 to 100, at an age. Before it begins it is the base.
func (m Model) Score(base int, age time.Duration) float64 {
	start := float64(min(max(base, 0), 100))
	if !m.Falls() || age <= 0 {
		return start
	}
	return max(0, start*(1-math.Pow(float64(age)/float64(m.Lifetime), 1/m.Speed)))
}

// Ends is the age at which a score that begins with a base falls to a threshold, 1 to 100:
//
//	t* − t0 = τ × (1 − θ/base)^δ
//
// It is 0 for a base that never was above it; one that doesn't fall and is not below it has no end.
func (m Model) Ends(base, threshold int) (age time.Duration, ends bool) {
	base = min(max(base, 0), 100)
	if !m.Falls() {
		return 0, base < threshold
	}
	if base <= threshold {
		return 0, true
	}
	return time.Duration(float64(m.Lifetime) * math.Pow(1-float64(threshold)/float64(base), m.Speed)), true
}

// Rule is for whom a model is. What is empty doesn't restrict.
type Rule struct {
	Kinds   []observable.Kind // of values
	Labels  []string          // of which an indicator has one, in any case of letters
	Members []string          // that published it, by name
	Model   Model
}

// Rules are looked at in their order: the first that fits counts, then those by default.
type Rules []Rule

var networkKinds = []observable.Kind{observable.IPv4, observable.IPv6, observable.Domain, observable.URL}

// byDefault is for what no rule fits. Files don't change, so that their hashes never end.
var byDefault = Rules{
	{Kinds: networkKinds, Labels: []string{"phishing"}, Model: Phishing},
	{Kinds: networkKinds, Model: Network},
}

// Model is the one for values of a kind in an indicator with labels, of a member.
func (r Rules) Model(kind observable.Kind, labels []string, member string) Model {
	for _, rules := range []Rules{r, byDefault} {
		for i := range rules {
			if rules[i].fits(kind, labels, member) {
				return rules[i].Model
			}
		}
	}
	return Never
}

// ByMember reports whether it matters who published an indicator.
func (r Rules) ByMember() bool {
	return slices.ContainsFunc(r, func(r Rule) bool { return len(r.Members) > 0 })
}

func (r *Rule) fits(kind observable.Kind, labels []string, member string) bool {
	return (len(r.Kinds) == 0 || slices.Contains(r.Kinds, kind)) && (len(r.Members) == 0 || slices.Contains(r.Members, member)) &&
		(len(r.Labels) == 0 || slices.ContainsFunc(labels, func(has string) bool {
			return slices.ContainsFunc(r.Labels, func(wanted string) bool { return strings.EqualFold(has, wanted) })
		}))
}
