// Package feed pulls STIX 2.1 objects from where others publish them, a TAXII 2.1 collection or a MISP instance, and
// hands those on that are wanted and new. It knows nothing of IPFS or of a chain: it is given a [Sink] to ask and to
// publish into, and a [Memory] for its place in the source. It promises:
//
//   - No object is lost, whatever the source's pages, cursors and dates are like, as long as the source gives every
//     object at all. The place in the source moves on only after what came before it was taken in durably.
//   - What the sink knows is not published again. A place that is lost, or given up because the source forgot it,
//     costs time and nothing else.
//   - A run takes no more than its limits. What is left is for the next run.
//   - Objects are handed on byte for byte as they came.
//   - Answers are bounded in size, number and time. No secret is in an error or a report, even if the source sends one
//     back.
package feed

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/internal/stix"
)

// The kinds of sources.
const (
	KindTAXII = "taxii"
	KindMISP  = "misp"
)

// Config says what a feed pulls from where.
type Config struct {
	Name       string
	Kind       string
	URL        string // of a TAXII API root, or of a MISP instance
	Collection string // id of a TAXII collection
	Target     string // names the sink: with another target the feed begins again
	Filter     Filter
	PageSize   int // objects of a TAXII page, events of a MISP one; 0 for the usual

	// Others says what markings count as that are no TLP, see [stix.Levels].
	Others map[string]stix.Level

	MaxObjects int    // that a run publishes
	MaxCost    uint64 // … in microalgo; 0 for no limit beside MaxObjects
	Portion    int    // how many objects are published at once, if the source has so many; 0: what it gives at once

	Credentials Credentials

	most int64 // bytes of an answer, for tests; 0 for maxAnswer
}

// Sink is where the objects go.
type Sink interface {
	// Check tells what Publish would do with each of the objects.
	Check(ctx context.Context, objects []*stix.Object) ([]Verdict, error)
	// Publish takes objects in. What it has returned from is durable.
	Publish(ctx context.Context, objects []*stix.Object) ([]Verdict, error)
	// Marking gives the definition of a marking that was published before; nil if there is none.
	Marking(id string) (*stix.Object, error)
}

// Verdict is what becomes of an object: it is new, or known, or refused.
type Verdict struct {
	Known   bool
	Refused string // why
	Note    string // what is odd about a new one
	Warned  bool   // a value of it is on a warning list
	Cost    uint64 // of a new one, in microalgo
}

// Memory keeps the places in the sources.
type Memory interface {
	Memo(name string) ([]byte, error)
	SetMemo(name string, data []byte) error
}

// source gives objects in portions.
type source interface {
	// fetch gives the objects after a place; nil is the beginning.
	fetch(ctx context.Context, place []byte) (portion, error)
	// definitions gives the marking definitions with the given ids, as far as the source has them.
	definitions(ctx context.Context, ids []string) ([]jsontext.Value, error)
	// describe finds out whether the source is there at all, and readable.
	describe(ctx context.Context) (Description, error)
}

// portion is some objects of a source and the place after them.
type portion struct {
	objects []jsontext.Value
	place   []byte
	keep    []byte   // the place that still holds after a failure
	more    bool     // there is something after the place already
	failed  []string // what the source could not give now
	stuck   error    // why nothing can be had after the place, though there is something
}

// Bounds on one run.
const (
	maxRunPages  = 1000
	maxRunTime   = 30 * time.Minute
	maxTestPages = 3
	maxPlace     = 1 << 20 // bytes
)

// Feed is one feed. Run and Forget change its place and must not run at the same time; Test may at any.
type Feed struct {
	config Config
	memory Memory
	clock  clock
}

// New makes a feed of a configuration. Its error names what is wrong with that, in the words of the config file.
func New(c Config, memory Memory) (*Feed, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("feed %s: %w", c.Name, err)
	}
	return &Feed{config: c, memory: memory, clock: systemClock()}, nil
}

// place is what is remembered between runs.
type place struct {
	Config []byte         `json:"config"` // a hash: a feed that is changed begins again
	Source jsontext.Value `json:"source"`
}

func (f *Feed) memo() string { return "feed/" + f.config.Name }

// fingerprint changes with everything that decides which objects the feed takes.
func (c Config) fingerprint() ([]byte, error) {
	c.Credentials, c.PageSize, c.MaxObjects, c.MaxCost, c.Portion = Credentials{}, 0, 0, 0, 0
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("naming the feed's place: %w", err)
	}
	sum := sha256.Sum256(data)
	return sum[:], nil
}

// place gives the place in the source; nil for the beginning.
func (f *Feed) place() ([]byte, error) {
	data, err := f.memory.Memo(f.memo())
	if err != nil || data == nil {
		return nil, err
	}
	var p place
	own, err := f.config.fingerprint()
	if err != nil || json.Unmarshal(data, &p) != nil || string(p.Config) != string(own) {
		return nil, err
	}
	return p.Source, nil
}

func (f *Feed) setPlace(source []byte) error {
	if len(source) > maxPlace {
		return fmt.Errorf("the source's cursor is larger than %d bytes", maxPlace)
	}
	own, err := f.config.fingerprint()
	if err != nil {
		return err
	}
	data, err := json.Marshal(place{Config: own, Source: source})
	if err != nil {
		return fmt.Errorf("keeping the feed's place: %w", err)
	}
	return f.memory.SetMemo(f.memo(), data)
}

// Forget makes the feed begin again at the source's beginning.
func (f *Feed) Forget() error { return f.memory.SetMemo(f.memo(), nil) }

// Run pulls what is new and publishes it. The report tells how far it came, also with an error.
func (f *Feed) Run(ctx context.Context, sink Sink) (*Report, error) {
	r := f.run(sink, false)
	err := r.do(ctx)
	r.report.finish(f.clock.now().UTC(), err)
	return r.report, err
}

// Test finds out whether the source can be reached and read, and what a run would do now. It changes nothing.
func (f *Feed) Test(ctx context.Context, sink Sink) (*Trial, error) {
	r := f.run(sink, true)
	trial := &Trial{Report: r.report, Credentials: f.config.Credentials.String(), Notes: f.config.notes()}
	err := r.do(ctx)
	trial.Source = r.description
	r.report.finish(f.clock.now().UTC(), err)
	return trial, err
}

// run is one run on its way.
type run struct {
	feed        *Feed
	sink        Sink
	source      source
	rehearsal   bool
	description Description
	report      *Report

	definitions definitions
	held        held
	gathered    gathered
}

// gathered are objects that wait until they are a portion, and the places after which they are all published.
type gathered struct {
	objects []*stix.Object
	taken   int // before these
	marks   []mark
}

// mark is a place in the source, and how many objects of the run come before it.
type mark struct {
	objects int
	keep    []byte
}

func (f *Feed) run(sink Sink, rehearsal bool) *run {
	return &run{feed: f, sink: sink, rehearsal: rehearsal, report: &Report{Started: f.clock.now().UTC()}}
}

func (r *run) do(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, maxRunTime, errors.New("the run took too long; the next one goes on from here"))
	defer cancel()
	attempts := maxAttempts
	if r.rehearsal {
		attempts = 1 // somebody waits to be told
	}
	connection, err := r.feed.config.open(patience{clock: r.feed.clock, attempts: attempts})
	if err != nil {
		return err
	}
	defer connection.close()
	r.source = connection.source
	if err = r.walk(ctx); err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return connection.clean(err)
}

// walk goes through the source from the place on.
func (r *run) walk(ctx context.Context) error {
	most := maxRunPages
	if r.rehearsal {
		most = maxTestPages
		var err error
		if r.description, err = r.source.describe(ctx); err != nil {
			return err
		}
	}
	at, err := r.feed.place()
	if err != nil {
		return err
	}
	for range most {
		p, err := r.source.fetch(ctx, at)
		if err != nil {
			if failed := r.finish(ctx); failed != nil {
				err = errors.Join(err, failed)
			}
			return err
		}
		r.report.Pages++
		for _, reason := range p.failed {
			r.report.refuse(reason, "")
		}
		at = p.place
		last := !p.more || p.stuck != nil
		done, err := r.take(ctx, p.objects, last)
		if err != nil {
			return err
		}
		if done && r.held.isEmpty() {
			r.gathered.marks = append(r.gathered.marks, mark{r.gathered.taken + len(r.gathered.objects), p.keep})
		}
		if err := r.keepPlace(); err != nil {
			return err
		}
		if !done {
			r.report.Rest = true
			return nil
		}
		if last {
			return p.stuck
		}
	}
	r.report.Rest = true
	return r.finish(ctx)
}

// finish publishes what was gathered when there is no more to be had, though the source has not come to its end.
func (r *run) finish(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	if _, err := r.hand(ctx, true); err != nil {
		return err
	}
	return r.keepPlace()
}

// keepPlace remembers the last place before which everything is published.
func (r *run) keepPlace() error {
	g := &r.gathered
	n := 0
	for n < len(g.marks) && g.marks[n].objects <= g.taken {
		n++
	}
	if n == 0 || r.rehearsal {
		return nil
	}
	keep := g.marks[n-1].keep
	g.marks = g.marks[n:]
	return r.feed.setPlace(keep)
}

// take gathers what is wanted of a page, and publishes what is a portion. It reports whether that was all of it, or
// whether a limit of the run is reached.
func (r *run) take(ctx context.Context, page []jsontext.Value, last bool) (done bool, err error) {
	wanted, err := r.choose(ctx, page, last)
	if err != nil {
		return true, err
	}
	r.gathered.objects = append(r.gathered.objects, wanted...)
	return r.hand(ctx, last)
}

// hand publishes what was gathered, in portions; one that is not full only if it is the last. It reports whether that
// was all, or whether a limit of the run is reached.
func (r *run) hand(ctx context.Context, last bool) (done bool, err error) {
	g, full := &r.gathered, min(r.feed.config.Portion, r.feed.config.MaxObjects)
	for len(g.objects) > 0 {
		portion := len(g.objects)
		if full > 0 {
			portion = min(portion, full)
			if portion < full && !last {
				break
			}
		}
		if done, err := r.publish(ctx, distinct(slices.Clone(g.objects[:portion]))); err != nil || !done {
			return false, err
		}
		g.objects, g.taken = g.objects[portion:], g.taken+portion
	}
	return true, nil
}

// publish publishes what is new of some objects. It reports whether that was all of it, or whether a limit of the run
// is reached.
func (r *run) publish(ctx context.Context, wanted []*stix.Object) (done bool, err error) {
	verdicts, err := r.sink.Check(ctx, wanted)
	if err != nil {
		return false, err
	}
	if len(verdicts) != len(wanted) {
		return false, fmt.Errorf("%d verdicts about %d objects", len(verdicts), len(wanted))
	}
	var fresh []*stix.Object
	var expected []Verdict
	done = true
	count, cost := r.report.New, r.report.Cost
	for i, v := range verdicts {
		switch {
		case v.Known:
			r.report.Known++
		case v.Refused != "":
			r.report.refuse(v.Refused, wanted[i].ID)
			if v.Warned {
				r.report.Warned++
			}
		case count == r.feed.config.MaxObjects || r.feed.config.MaxCost > 0 && cost+v.Cost > r.feed.config.MaxCost:
			done = false
		default:
			if v.Warned {
				r.report.Warned++
			}
			count, cost = count+1, cost+v.Cost
			fresh, expected = append(fresh, wanted[i]), append(expected, v)
		}
	}
	if !r.rehearsal && len(fresh) > 0 {
		expected, err = r.sink.Publish(ctx, fresh)
	}
	for i, v := range expected {
		switch {
		case v.Known:
			r.report.Known++
		case v.Refused != "":
			r.report.refuse(v.Refused, fresh[i].ID)
		default:
			r.report.New, r.report.Cost = r.report.New+1, r.report.Cost+v.Cost
			r.report.note(v.Note, fresh[i].ID)
		}
	}
	return done, err
}
