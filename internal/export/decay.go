package export

import (
	"math"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/quality"
)

// aging is how the score of one indicator falls.
type aging struct {
	score  int // that is asked for; 0: none
	base   int
	whole  int // the base, were its publisher completely reliable
	since  time.Time
	now    time.Time
	labels []string
	member string
	rules  quality.Rules
}

// aging begins with the indicator's confidence, when it came into force, was changed or, as far as [Options.Sighted]
// tells, was seen last, whichever is the latest.
func (l *List) aging(in indicator, member string) aging {
	a := aging{
		score: l.options.Score, base: quality.DefaultBase, since: in.ValidFrom, now: l.options.Now, labels: in.Labels, member: member, rules: l.options.Decay,
	}
	if a.score == 0 {
		return a
	}
	if in.Confidence != nil {
		a.base = min(max(*in.Confidence, 0), 100)
	}
	a.whole, a.base = a.base, l.options.Reliability[member].Of(a.base)
	if in.Modified.After(a.since) {
		a.since = in.Modified
	}
	if l.options.Sighted != nil {
		if last := l.options.Sighted(in.ID); last.After(a.since) {
			a.since = last
		}
	}
	return a
}

// left reports whether values of a kind have the score still. When they lose it is a boundary of the list.
func (a *aging) left(k Kind, r *reading) bool {
	if a.score == 0 {
		return true
	}
	model := a.rules.Model(k, a.labels, a.member)
	end, ends := a.end(model, a.base)
	if !ends {
		return true
	}
	if !end.IsZero() {
		r.boundaries = append(r.boundaries, end)
	}
	if end.After(a.now) {
		return true
	}
	if whole, ends := a.end(model, a.whole); (!ends || whole.After(a.now)) && r.skipped == skippedNot {
		r.skipped = skippedReliability // said, so that nobody wonders where it is
	}
	return false
}

// end is when a score that begins with a base is below what is asked for; zero if it always was.
func (a *aging) end(model quality.Model, base int) (at time.Time, ends bool) {
	age, ends := model.Ends(base, a.score)
	if !ends || age == 0 {
		return at, ends
	}
	// Entity tags say when a list ends in whole seconds.
	return a.since.Add(age).Truncate(time.Second), true
}

// someLeft reports whether any of the values of an indicator has the score still, or one of something else than values
// that lists have.
func (l *List) someLeft(in indicator, age aging, r *reading) (left bool) {
	var found observable.Choice
	if in.PatternType == "stix" {
		found, _ = observable.ParsePattern(in.Pattern) // of another one nothing is found
	}
	if len(found.Atoms) == 0 {
		return age.left(0, r)
	}
	for _, atom := range found.Atoms {
		kind := atom.Kind
		if as, _, good := normalise(atom); good {
			kind = as
		}
		left = age.left(kind, r) || left
	}
	return left
}

// Worth is how much of an indicator's score is left, of that of its values which has the most.
type Worth struct {
	Score int // 0 to 100
	Base  int // what it began with
	Falls bool
	Since time.Time // from when on it falls
	Least int       // below this it is over, where no other score is asked for
	Until time.Time // when that is; zero if it never is, or always was
}

// Appraise tells how much an indicator is worth by the rules of lists with a score. None is what is revoked, is benign,
// or can't be read.
func Appraise(object Object, o Options) (w Worth, is bool) {
	var in indicator
	if err := json.Unmarshal(object.JSON, &in, lenient); err != nil {
		if in, err = readLenient(object.JSON); err != nil {
			return w, false
		}
	}
	if in.ID == "" || in.Revoked || slices.Contains(in.Types, "benign") {
		return w, false
	}
	o.Score = 1
	a := (&List{options: o}).aging(in, object.Member)
	var found observable.Choice
	if in.PatternType == "stix" {
		found, _ = observable.ParsePattern(in.Pattern) // of another one nothing is found
	}
	if len(found.Atoms) == 0 {
		return a.worth(0), true
	}
	for i, atom := range found.Atoms {
		kind := atom.Kind
		if as, _, good := normalise(atom); good {
			kind = as
		}
		if one := a.worth(kind); i == 0 || one.Score > w.Score {
			w = one
		}
	}
	return w, true
}

// worth is that of values of a kind.
func (a *aging) worth(k Kind) Worth {
	model := a.rules.Model(k, a.labels, a.member)
	w := Worth{Score: int(math.Round(model.Score(a.base, a.now.Sub(a.since)))), Base: a.base, Falls: model.Falls(), Since: a.since, Least: model.Threshold}
	if age, ends := model.Ends(a.base, model.Threshold); ends && age > 0 {
		w.Until = a.since.Add(age).Truncate(time.Second)
	}
	return w
}
