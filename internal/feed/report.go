package feed

import (
	"cmp"
	"slices"
	"time"
)

// Report tells what a run did, or would do.
type Report struct {
	Started time.Time      `json:"started"`
	Ended   time.Time      `json:"ended"`
	Pages   int            `json:"pages"`
	Objects int            `json:"objects"`               // that the source gave
	New     int            `json:"new"`                   // published
	Cost    uint64         `json:"cost_microalgo"`        // of these, with what is locked
	Known   int            `json:"known"`                 // published before, by whomever
	Passed  map[string]int `json:"passed_over,omitempty"` // by the filter that did it
	Refused int            `json:"refused"`               // what can't be published
	Reasons []Reason       `json:"reasons,omitempty"`     // the most frequent ones
	Rest    bool           `json:"rest_later,omitempty"`  // a limit of the run was reached
	Problem string         `json:"problem,omitempty"`     // what ended the run early

	refusals map[string]*Reason
}

// Reason is why objects were refused.
type Reason struct {
	Reason  string `json:"reason"`
	Count   int    `json:"count"`
	Example string `json:"example,omitempty"` // id of one of them
}

// Bounds on the reasons: they repeat foreign words.
const (
	maxReasons      = 100 // that are told apart
	maxShownReasons = 10
	otherReasons    = "other reasons"
)

func (r *Report) refuse(reason, id string) {
	r.Refused++
	if r.refusals == nil {
		r.refusals = map[string]*Reason{}
	}
	if r.refusals[reason] == nil && len(r.refusals) >= maxReasons {
		reason = otherReasons
	}
	if r.refusals[reason] == nil {
		r.refusals[reason] = &Reason{Reason: reason, Example: id}
	}
	r.refusals[reason].Count++
}

func (r *Report) pass(filter string) {
	if r.Passed == nil {
		r.Passed = map[string]int{}
	}
	r.Passed[filter]++
}

func (r *Report) finish(ended time.Time, err error) {
	r.Ended = ended
	if err != nil {
		r.Problem = err.Error()
	}
	for _, reason := range r.refusals {
		r.Reasons = append(r.Reasons, *reason)
	}
	slices.SortFunc(r.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	r.Reasons = r.Reasons[:min(len(r.Reasons), maxShownReasons)]
}

// Trial is what a test of a feed found.
type Trial struct {
	*Report
	Source      Description `json:"source"`
	Credentials string      `json:"credentials"` // which, without secrets
	Notes       []string    `json:"notes,omitempty"`
}

// Description is what a source says of itself.
type Description struct {
	Reached bool     `json:"reached"`         // and the credentials are good
	Title   string   `json:"title,omitempty"` // of the collection, or the server's version
	Hints   []string `json:"hints,omitempty"` // what there is instead of what was asked for
}
