// Package stages counts the objects that pass each stage of the two pipelines, and how long they took to get there.
package stages

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Stage is one that an object passes.
type Stage string

// The stages of publish, in their order.
const (
	Accepted  Stage = "accepted"  // from a client or a feed, and durable
	Sealed    Stage = "sealed"    // encrypted for its readers
	Stored    Stage = "stored"    // on IPFS, and durable
	Signed    Stage = "signed"    // as a transaction, and durable; once more if it must be signed again
	Confirmed Stage = "confirmed" // by the chain
)

// The stages of replicate, in their order. A node's own objects pass them, too.
const (
	Fetched Stage = "fetched" // its blocks are here
	Opened  Stage = "opened"  // decrypted and checked
	Visible Stage = "visible" // in the view: clients see it
)

// Origin says whose an object is.
type Origin string

const (
	Own    Origin = "own"
	Member Origin = "member" // of another member
)

// Of is [Own] or [Member].
func Of(own bool) Origin {
	if own {
		return Own
	}
	return Member
}

// Stages is safe for concurrent use. A nil one counts nothing.
type Stages struct {
	passed *prometheus.CounterVec
	took   *prometheus.HistogramVec
	// What operators ask for by its name; see [Totals].
	accepted, published, received, withdrawn, refused, refusedOfMembers atomic.Uint64
}

// Totals are what became of objects since the start.
type Totals struct {
	Accepted         uint64 // from clients and feeds
	Published        uint64 // own ones, confirmed by the chain
	Received         uint64 // of other members, in the view
	Withdrawn        uint64 // by whomever
	Refused          uint64 // of clients and feeds
	RefusedOfMembers uint64 // what other members published and does not count
}

// Totals counts since the start.
func (s *Stages) Totals() Totals {
	if s == nil {
		return Totals{}
	}
	return Totals{
		Accepted: s.accepted.Load(), Published: s.published.Load(), Received: s.received.Load(), Withdrawn: s.withdrawn.Load(),
		Refused: s.refused.Load(), RefusedOfMembers: s.refusedOfMembers.Load(),
	}
}

// Refused counts objects that are not taken: own ones before they are published, or what another member published.
func (s *Stages) Refused(origin Origin, n int) {
	switch {
	case s == nil:
	case origin == Own:
		s.refused.Add(uint64(n))
	default:
		s.refusedOfMembers.Add(uint64(n))
	}
}

// Withdrawn counts objects that were taken back.
func (s *Stages) Withdrawn(n int) {
	if s != nil {
		s.withdrawn.Add(uint64(n))
	}
}

// buckets are in seconds: a node with its own chain is done in milliseconds, a round takes three seconds, and what
// waits for ALGO, or is caught up with, takes as long as it takes.
var buckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5, 10, 15, 30, 60, 300, 1800, 3600, 86400}

// New counts from nothing.
func New() *Stages {
	s := &Stages{
		passed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slnode_stage_objects_total",
			Help: "Objects that passed a stage since the start, by whose they are.",
		}, []string{"stage", "origin"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "slnode_stage_seconds",
			Help:    "From when its publisher accepted an object, by the publisher's clock, until it passed a stage here.",
			Buckets: buckets,
		}, []string{"stage", "origin"}),
	}
	for _, stage := range []Stage{Accepted, Sealed, Stored, Signed, Confirmed} {
		s.with(stage, Own)
	}
	for _, stage := range []Stage{Fetched, Opened, Visible} {
		s.with(stage, Own)
		s.with(stage, Member)
	}
	return s
}

// with makes a series, which is there from the start: an alert can't be about one that isn't.
func (s *Stages) with(stage Stage, origin Origin) {
	s.passed.WithLabelValues(string(stage), string(origin))
	if stage != Accepted { // the time until then is none
		s.took.WithLabelValues(string(stage), string(origin))
	}
}

// Passed counts an object that passed a stage now, and was accepted by its publisher at a time. A clock that is behind
// the publisher's makes the way no shorter than nothing.
func (s *Stages) Passed(stage Stage, origin Origin, accepted time.Time) {
	if s == nil {
		return
	}
	s.passed.WithLabelValues(string(stage), string(origin)).Inc()
	switch {
	case stage == Accepted:
		s.accepted.Add(1)
	case stage == Confirmed:
		s.published.Add(1)
	case stage == Visible && origin == Member:
		s.received.Add(1)
	}
	if stage != Accepted {
		s.took.WithLabelValues(string(stage), string(origin)).Observe(max(0, time.Since(accepted)).Seconds())
	}
}

// Describe implements [prometheus.Collector].
func (s *Stages) Describe(out chan<- *prometheus.Desc) {
	if s == nil {
		return
	}
	s.passed.Describe(out)
	s.took.Describe(out)
	for _, d := range []*prometheus.Desc{descPublished, descReceived, descWithdrawn, descRefused} {
		out <- d
	}
}

var (
	descPublished = prometheus.NewDesc("slnode_published_objects_total", "Objects of this organisation that the chain confirmed since the start.", nil, nil)
	descReceived  = prometheus.NewDesc("slnode_received_objects_total", "Objects of other members that came into the view since the start.", nil, nil)
	descWithdrawn = prometheus.NewDesc("slnode_withdrawn_objects_total", "Objects that were withdrawn since the start, by whomever.", nil, nil)
	descRefused   = prometheus.NewDesc("slnode_refused_objects_total", "Objects that were not taken since the start: of clients and feeds (own), or of other members.", []string{"origin"}, nil)
)

// Collect implements [prometheus.Collector].
func (s *Stages) Collect(out chan<- prometheus.Metric) {
	if s == nil {
		return
	}
	s.passed.Collect(out)
	s.took.Collect(out)
	t := s.Totals()
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	count(descPublished, t.Published)
	count(descReceived, t.Received)
	count(descWithdrawn, t.Withdrawn)
	count(descRefused, t.Refused, string(Own))
	count(descRefused, t.RefusedOfMembers, string(Member))
}
