// Package export makes lists of indicators of compromise for firewalls, resolvers and sensors from STIX indicators.
//
// What it promises:
//
//   - A value is in a list only if an indicator that is in force says by itself that the value is bad: the pattern is a
//     choice of values and nothing more. What is left out for want of a simple pattern, of a good value or of a place
//     in the format is counted.
//   - Whoever writes indicators can't write anything else into a list: every value is checked and brought into one
//     form that has none of the format's own characters, and what would block a network's own or everybody's addresses
//     is no value.
//   - A list is sorted and names each value once. It is the same, byte by byte, as long as the collection and the
//     indicators in force are.
//   - The memory that it takes does not grow with the collection. A collection with more values than are held at once
//     is read several times.
package export

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/quality"
)

// Object is an indicator, and who published it.
type Object struct {
	JSON   []byte
	Member string // its name; needed where [Options.ByMember]
}

// Source gives the indicators of a collection, each in its latest version, as often as it is called.
type Source func(context.Context) iter.Seq2[Object, error]

// Options say what is exported. Format must be one of [Formats].
type Options struct {
	Format        Format
	Kinds         []Kind // empty: all
	MinConfidence int    // 0 to 100; above 0 it leaves out indicators without a confidence
	Subdomains    bool   // a name stands for all names below it, too; [Format.Subdomains] says where
	// Score leaves out what has a lower one by now, 1 to 100; 0 leaves out nothing. Of an indicator with values of
	// several kinds each falls in its own way; one that is about something else doesn't.
	Score   int
	Decay   quality.Rules                           // how scores fall
	Sighted func(indicator string) (last time.Time) // from when on they fall, if that is later; nil: nobody has seen any
	// Reliability is how reliable members are held to be, by their names: a score begins with the share that a letter
	// leaves of it.
	Reliability map[string]quality.Reliability
	Left        Left // what is not to be in the list
	Now         time.Time
	Changed     time.Time // when the collection changed last
}

// ByMember reports whether it matters who published an indicator.
func (o *Options) ByMember() bool {
	return o.Score > 0 && (o.Decay.ByMember() || len(o.Reliability) > 0)
}

// Left is what is left out; nil is nothing.
type Left struct {
	Value     func(observable.Value) bool              // whichever indicator says it
	Indicator func(id string, modified time.Time) bool // that is held to be wrong in this version
}

// Skipped counts the indicators in force of which something is not in the list, by the first reason.
type Skipped struct {
	Pattern int // the pattern says more than a choice of values, or is not a STIX pattern, or is about something else
	Value   int // a value is malformed, must not be blocked or is to be left out
	Judged  int // the indicator is held to be wrong
	Format  int // the format has no place for a value
	Date    int // it can't be told when it ends
	// Reliability: it would have the score still if its publisher were held to be completely reliable
	Reliability int
}

// Total is all of them.
func (s Skipped) Total() int {
	return s.Pattern + s.Value + s.Judged + s.Format + s.Date + s.Reliability
}

// List is an export that is ready to be written.
type List struct {
	Skipped Skipped
	// Until is when the list becomes another by the passing of time alone, because an indicator comes into force or
	// ends; zero if it won't.
	Until time.Time

	source  Source
	options Options
	form    form
	asOf    time.Time // the last time that changed the list
	limit   int       // of a selection; maxHeld, but for tests
	first   *selection
}

// Prepare reads the indicators once and works out everything about the list but what does not fit in memory.
func Prepare(ctx context.Context, source Source, o Options) (*List, error) {
	form, err := formOf(o.Format)
	if err != nil {
		return nil, err
	}
	if o.Subdomains {
		if !o.Format.Subdomains() {
			return nil, fmt.Errorf("lists in the format %s have names alone, without those below them", o.Format)
		}
		form.line = lineRPZBelow
	}
	l := &List{source: source, options: o, form: form, asOf: o.Changed, limit: maxHeld}
	l.first = l.newSelection("")
	for object, err := range source(ctx) {
		if err != nil {
			return nil, fmt.Errorf("reading the indicators: %w", err)
		}
		in := l.read(object)
		l.note(in)
		l.first.add(in.items)
	}
	return l, nil
}

// note takes down what an indicator says about the list as a whole.
func (l *List) note(in reading) {
	for _, boundary := range in.boundaries {
		switch {
		case !boundary.After(l.options.Now):
			if boundary.After(l.asOf) {
				l.asOf = boundary
			}
		case l.Until.IsZero() || boundary.Before(l.Until):
			l.Until = boundary
		}
	}
	switch in.skipped {
	case skippedPattern:
		l.Skipped.Pattern++
	case skippedValue:
		l.Skipped.Value++
	case skippedJudged:
		l.Skipped.Judged++
	case skippedFormat:
		l.Skipped.Format++
	case skippedDate:
		l.Skipped.Date++
	case skippedReliability:
		l.Skipped.Reliability++
	}
}

// Write writes the list, once.
func (l *List) Write(ctx context.Context, to io.Writer) error {
	w := bufio.NewWriter(to)
	if l.options.Format == STIX {
		if err := l.writeBundle(ctx, w); err != nil {
			return err
		}
		return w.Flush()
	}
	l.form.begin(w, l)
	chosen := l.first
	for l.first = nil; ; {
		for _, item := range chosen.sorted() {
			l.form.line(w, item)
		}
		if err := w.Flush(); err != nil || !chosen.more {
			return err
		}
		chosen = l.newSelection(chosen.ceiling)
		for object, err := range l.source(ctx) {
			if err != nil {
				return fmt.Errorf("reading the indicators: %w", err)
			}
			chosen.add(l.read(object).items)
		}
	}
}
