// Package conformance checks a TAXII 2.1 server from outside, over HTTP alone:
// it knows nothing of how a server is built and can be pointed at any.
//
// Each check cites the section of "TAXII Version 2.1", OASIS Standard, 10 June 2021, that it stands on, and says how
// much it weighs: what the standard demands, what it recommends, and what real clients need although the standard does
// not say so.
//
// The checks write some twenty small objects into one collection and take one
// of them out again, where the server can do that.
package conformance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
)

// Level is how much a check weighs.
type Level string

// The levels of checks.
const (
	Must    Level = "MUST"
	Should  Level = "SHOULD"
	Interop Level = "interop" // not in the standard: clients in use need it
)

// Check is one thing that a server is asked.
type Check struct {
	Section string // of the standard, as in "3.4.1"
	Level   Level
	Title   string // what the server does, as a sentence without its subject; unique
	run     func(*trial)
}

// Outcome is how a check went.
type Outcome string

// The outcomes of checks.
const (
	Passed  Outcome = "yes"
	Failed  Outcome = "no"
	Skipped Outcome = "–" // the server has nothing that this could be tried on
)

// Result is a check and how it went.
type Result struct {
	Check
	Outcome Outcome
	Detail  string // what was seen instead, or why the check was skipped
}

// Checks lists all checks in the order in which they are made.
func Checks() []Check {
	return slices.Concat(transport, negotiation, authentication, information, collections, listings, paging, filters, manifests, single, adding, deleting, failing)
}

// Target says where a server is and how to be let in.
type Target struct {
	Name string // for tables
	URL  string // scheme://host:port

	// Root is the path of an API root and Collection the id of a collection in it that can be read and written. Left
	// empty, the first is taken from discovery, the second is the first such collection in the list.
	Root, Collection string

	User, Password string // HTTP Basic
	Token          string // a bearer token, in place of both or beside them

	HTTP *http.Client // one with a timeout of a minute if nil
}

// Run makes some or all of the checks of [Checks]. Its error says that the server can't be checked at all.
func Run(ctx context.Context, target Target, checks []Check) ([]Result, error) {
	s, err := newSession(ctx, target)
	if err != nil {
		return nil, fmt.Errorf("checking %s: %w", target.URL, err)
	}
	var results []Result
	for _, check := range checks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		outcome, detail := s.try(ctx, check.run)
		results = append(results, Result{check, outcome, detail})
	}
	return results, nil
}

// verdict ends a check early.
type verdict struct {
	outcome Outcome
	detail  string
}

// try makes one check.
func (s *session) try(ctx context.Context, run func(*trial)) (outcome Outcome, detail string) {
	defer func() {
		switch thrown := recover().(type) {
		case nil:
		case verdict:
			outcome, detail = thrown.outcome, thrown.detail
		default:
			panic(thrown)
		}
	}()
	run(&trial{session: s, ctx: ctx})
	return Passed, ""
}

// trial is one check being made. Like a test, it ends with the first thing that is not as it should be.
type trial struct {
	*session
	ctx context.Context
}

func (t *trial) fail(format string, args ...any) {
	panic(verdict{Failed, clip(fmt.Sprintf(format, args...))})
}

func (t *trial) skip(format string, args ...any) {
	panic(verdict{Skipped, clip(fmt.Sprintf(format, args...))})
}

// clip shortens what a server said for a line of a table.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
