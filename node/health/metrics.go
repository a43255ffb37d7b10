package health

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/problem"
)

const (
	metricsTimeout = 5 * time.Second // for one collection of the metrics
	metricsAtOnce  = 4               // collections, each of which asks algod for the account
)

// Metrics shows the node's status as metrics, in the form of Prometheus. There is nothing secret in them: they
// carry no object, no identifier and no title.
func (o *Observer) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics{o}, o.Stages, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: metricsTimeout, MaxRequestsInFlight: metricsAtOnce})
}

// metrics asks for the status whenever somebody looks.
type metrics struct{ observer *Observer }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("slnode_"+name, help, labels, nil)
}

var (
	descOutbox       = describe("outbox_objects", "Objects that wait to be published, by state.", "state")
	descPublishing   = describe("publishing_problem", "1 for what keeps objects from being published.", "problem")
	descWatching     = describe("watching_problem", "1 for what keeps the chain from being followed.", "problem")
	descSource       = describe("source_problem", "1 for what is wrong with a source of the chain.", "source", "problem")
	descLies         = describe("source_false_transactions", "Transactions that a source leaves out, or of which it says what isn't so.", "source")
	descLate         = describe("late_transactions", "Transactions that were found when the chain had been passed, by whether the view has them.", "folded")
	descClock        = describe("clock_ahead_seconds", "How far this machine's clock is ahead of the chain's.")
	descCertificate  = describe("certificate_problem", "1 for what keeps an ACME authority's certificate from TAXII clients.", "problem")
	descFeed         = describe("feed_problem", "1 for a feed whose last run ended early.", "feed")
	descDisk         = describe("disk_free_bytes", "What is free where the repository is.")
	descFree         = describe("account_free_microalgo", "What the account can spend.")
	descLocked       = describe("account_locked_microalgo", "What the account's assets keep locked.")
	descRound        = describe("chain_folded_round", "The last round whose events are in the log.")
	descTip          = describe("chain_tip_round", "The chain's last round, by algod and the indexer.")
	descForged       = describe("indexer_forged_transactions_total", "Transactions from the indexer that nobody signed.")
	descMissing      = describe("member_missing_transactions", "Sequence numbers of a member that the indexer has not shown.", "member", "overdue")
	descRepeated     = describe("member_repeated_numbers_total", "Sequence numbers that a member gave to a second transaction: it has more than one node.", "member")
	descOmitted      = describe("indexer_omitted_transactions", "Transactions that algod has and the indexer has not given.")
	descReserved     = describe("account_reserved_microalgo", "What is kept of that for other keys of this organisation's collections.")
	descExposed      = describe("exposed_collections", "Collections whose key somebody has who should not, by whose they are and why.", "owner", "reason")
	descObjects      = describe("view_objects", "Versions of objects that are served.")
	descWaiting      = describe("view_waiting_events", "Events whose blocks are not here yet.")
	descUndecided    = describe("view_undecided_events", "Events that wait for a record or a key.")
	descPeers        = describe("peers_connected", "Members' nodes that are connected.")
	descMember       = describe("member", "1 if this organisation is a member of the consortium now.")
	descStatusFailed = describe("status_errors", "1 if the status could not be found out.")
)

// Describe sends nothing: which labels there are depends on the consortium.
func (m metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (m metrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), metricsTimeout)
	defer cancel()
	s, err := m.observer.Status(ctx)
	gauge(descStatusFailed, number(err != nil))
	if err != nil {
		return
	}
	gauge(descOutbox, float64(s.Publishing.Accepted), "accepted")
	gauge(descOutbox, float64(s.Publishing.Stored), "stored")
	gauge(descOutbox, float64(s.Publishing.Signed), "signed")
	said := map[string]bool{"": true} // a metric that comes twice fails all of them
	for _, one := range append([]problem.Condition{s.Publishing.Condition}, s.Publishing.Also...) {
		if !said[one.Problem] {
			said[one.Problem] = true
			gauge(descPublishing, 1, one.Problem)
		}
	}
	for _, f := range s.Feeds {
		gauge(descFeed, 1, f.Name)
	}
	gauge(descDisk, float64(s.Disk.Free))
	if s.Certificate.Problem != "" {
		gauge(descCertificate, 1, s.Certificate.Problem)
	}
	if s.Publishing.Funds == "" {
		gauge(descFree, float64(s.Publishing.Free))
		gauge(descLocked, float64(s.Publishing.Locked))
	}
	gauge(descRound, float64(s.Watching.Round))
	gauge(descTip, float64(s.Watching.Tip))
	if s.Watching.Problem != "" {
		gauge(descWatching, 1, s.Watching.Problem)
	}
	collectSources(s, gauge)
	if s.Clock.Known {
		gauge(descClock, s.Clock.Ahead)
	}
	out <- prometheus.MustNewConstMetric(descForged, prometheus.CounterValue, float64(s.Watching.Forged))
	gauge(descOmitted, float64(len(s.Omitted)))
	for _, r := range s.Repeated {
		out <- prometheus.MustNewConstMetric(descRepeated, prometheus.CounterValue, float64(r.Count), r.Member)
	}
	gauge(descReserved, float64(s.Publishing.Reserved))
	for l, count := range exposedBy(s.Exposed) {
		gauge(descExposed, float64(count), l.owner, l.reason)
	}
	gauge(descObjects, float64(s.View.Objects))
	gauge(descWaiting, float64(s.View.Waiting))
	gauge(descUndecided, float64(s.View.Undecided))
	gauge(descMember, number(s.Member))
	collectMembers(s, gauge)
}

// collectSources collects what is about the sources of the chain.
func collectSources(s Status, gauge func(d *prometheus.Desc, value float64, labels ...string)) {
	for _, one := range s.Watching.Sources {
		if one.Problem != "" {
			gauge(descSource, 1, one.Name, one.Problem)
		}
		gauge(descLies, float64(len(one.Lies)), one.Name)
	}
	gauge(descLate, float64(s.Late.Found-s.Late.Unfolded), "yes")
	gauge(descLate, float64(s.Late.Unfolded), "no")
}

// collectMembers collects what is about other members.
func collectMembers(s Status, gauge func(d *prometheus.Desc, value float64, labels ...string)) {
	connected := 0
	for _, p := range s.Peers {
		if p.Connected {
			connected++
		}
	}
	gauge(descPeers, float64(connected))
	type label struct {
		member  string
		overdue bool
	}
	missing := map[label]uint64{}
	for _, hole := range s.Missing {
		missing[label{hole.Member, hole.Overdue}] += hole.Range.Last - hole.Range.First + 1
	}
	for l, count := range missing {
		overdue := "no"
		if l.overdue {
			overdue = "yes"
		}
		gauge(descMissing, float64(count), l.member, overdue)
	}
}

type exposedLabel struct{ owner, reason string }

// exposedBy counts collections whose keys others have. Those of this organisation are always there, to alert on.
func exposedBy(list []collections.ExposedKey) map[exposedLabel]int {
	counts := map[exposedLabel]int{{"self", "removed"}: 0, {"member", "removed"}: 0}
	for _, e := range list {
		l := exposedLabel{owner: "member"}
		if e.Own {
			l.owner = "self"
		}
		if len(e.Removed) > 0 {
			l.reason = "removed"
			counts[l]++
		}
		if len(e.Replaced) > 0 {
			l.reason = "replaced"
			counts[l]++
		}
	}
	return counts
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
