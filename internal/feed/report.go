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
	Warned  int            `json:"warned,omitempty"`      // of the new and the refused ones, those with values on warning lists
	Reasons []Reason       `json:"reasons,omitempty"`     // the most frequent ones
	Remarks []Reason       `json:"remarks,omitempty"`     // what is odd about what was published, the most frequent first
	Rest    bool           `json:"rest_later,omitempty"`  // a limit of the run was reached
	Problem string         `json:"problem,omitempty"`     // what ended the run early

	refusals, remarks tally
}

// Reason is why objects were refused, or what is odd about those that were published.
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

// tally counts reasons.
type tally map[string]*Reason

func (t *tally) add(reason, id string) {
	if *t == nil {
		*t = tally{}
	}
	if (*t)[reason] == nil && len(*t) >= maxReasons {
		reason = otherReasons
	}
	if (*t)[reason] == nil {
		(*t)[reason] = &Reason{Reason: reason, Example: id}
	}
	(*t)[reason].Count++
}

// top gives the most frequent ones.
func (t tally) top() (list []Reason) {
	for _, reason := range t {
		list = append(list, *reason)
	}
	slices.SortFunc(list, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return list[:min(len(list), maxShownReasons)]
}

func (r *Report) refuse(reason, id string) {
	r.Refused++
	r.refusals.add(reason, id)
}

func (r *Report) note(remark, id string) {
	if remark != "" {
		r.remarks.add(remark, id)
	}
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
	r.Reasons, r.Remarks = r.refusals.top(), r.remarks.top()
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
