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
	"github.com/serviceledger/slnode/node/state"
)

const (
	metricsTimeout = 5 * time.Second // for one collection of the metrics
	metricsAtOnce  = 4               // collections, each of which asks algod for the account
)

// metrics shows the node's status as metrics, in the form of Prometheus. There is nothing secret in them: they carry no
// object, no identifier and no title.
func (o *Observer) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{o}, o.Stages, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if o.Requests != nil {
		registry.MustRegister(o.Requests.served, o.Requests.took)
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: metricsTimeout, MaxRequestsInFlight: metricsAtOnce})
}

// collector asks for the status whenever somebody looks.
type collector struct{ observer *Observer }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("slnode_"+name, help, labels, nil)
}

var (
	descBuild        = describe("build_info", "1, by what program this is.", "version", "commit", "go")
	descUnknown      = describe("unknown", "1 if something can't be told now: its metric is absent then. 0 if it is known.", "what", "name")
	descOutbox       = describe("outbox_objects", "Objects that wait to be published, by state.", "state")
	descPublishing   = describe("publishing_problem", "1 for what keeps objects from being published.", "problem")
	descWatching     = describe("watching_problem", "1 for what keeps the chain from being followed.", "problem")
	descReady        = describe("ready", "1 if the chain was followed to its end and is, as /readyz says.")
	descSource       = describe("source_problem", "1 for what is wrong with a source of the chain.", "source", "problem")
	descAnswer       = describe("source_answer_age_seconds", "Since a source of the chain last gave a good answer.", "source")
	descLies         = describe("source_false_transactions", "Transactions that a source leaves out, or of which it says what isn't so.", "source")
	descLate         = describe("late_transactions", "Transactions that were found when the chain had been passed, by whether the view has them.", "folded")
	descClock        = describe("clock_ahead_seconds", "How far this machine's clock is ahead of the chain's.")
	descCertificate  = describe("certificate_problem", "1 for what keeps TAXII clients from a good certificate, or soon will.", "problem")
	descAudit        = describe("audit_problem", "1 for what is wrong with the audit log: records are lost (writing), or not sent on (forwarding).", "problem")
	descExpiry       = describe("certificate_expiry_timestamp_seconds", "When the certificate ends that TAXII clients are shown.")
	descBackup       = describe("backup_timestamp_seconds", "Of which moment the last backup is that was made on this machine.")
	descFeed         = describe("feed_problem", "1 for a feed whose last run ended early.", "feed")
	descPulled       = describe("feed_success_timestamp_seconds", "When a feed was last pulled without a problem.", "feed")
	descWebhook      = describe("webhook_problem", "1 for what keeps a webhook's receiver from what it is sent.", "webhook", "problem")
	descBacklog      = describe("webhook_backlog_objects", "Objects that a webhook's receiver has not taken; 1,000 may be more.", "webhook")
	descOldest       = describe("webhook_backlog_age_seconds", "For how long the first of them has waited.", "webhook")
	descRetained     = describe("retention_objects_today", "Objects that were withdrawn today because they had expired; absent where retention is off.")
	descRetention    = describe("retention_problem", "1 for what keeps what has expired from being withdrawn.", "problem")
	descRests        = describe("retention_rests", "1 if more had expired than a day allows: the rest goes on another day. Absent where retention is off.")
	descDisk         = describe("disk_free_bytes", "What is free where the repository is.")
	descFree         = describe("account_free_microalgo", "What the account can spend.")
	descLocked       = describe("account_locked_microalgo", "What the account's assets keep locked.")
	descReserved     = describe("account_reserved_microalgo", "What objects leave of that, for other keys of collections, withdrawals and records of membership.")
	descSpendRate    = describe("account_spent_microalgo_a_day", "What a day of the last week took out of the account: fees and deposits, without what came back.")
	descLasts        = describe("account_lasts_days", "For how many days what objects can spend is enough, at that rate; absent where nothing is spent, and in a node's first day.")
	descTold         = describe("sightings_told", "Sightings by which others were told today what was seen; absent where nobody is told.")
	descAssets       = describe("watch_assets", "What this organisation watches for; absent where it is nothing.")
	descMatched      = describe("watch_matched_objects_total", "Objects that came in since the start and are about that.")
	descTelling      = describe("sightings_problem", "1 for what keeps the node from telling others what was seen.", "problem")
	descRound        = describe("chain_folded_round", "The last round whose events are in the log.")
	descTip          = describe("chain_tip_round", "The chain's last round: algod's or, while it doesn't answer, the furthest that is known.")
	descLagRounds    = describe("chain_lag_rounds", "By how many rounds the log is behind that.")
	descLagSeconds   = describe("chain_lag_seconds", "For how long there has been a round that the log lacks.")
	descForged       = describe("indexer_forged_transactions_total", "Transactions from the indexer that nobody signed.")
	descMissing      = describe("member_missing_transactions", "Sequence numbers of a member that the indexer has not shown.", "member", "overdue")
	descRepeated     = describe("member_repeated_numbers_total", "Sequence numbers that a member gave to a second transaction: it has more than one node.", "member")
	descOmitted      = describe("indexer_omitted_transactions", "Transactions that algod has and the indexer has not given.")
	descExposed      = describe("exposed_collections", "Collections whose key somebody has who should not, by whose they are and why.", "owner", "reason")
	descObjects      = describe("view_objects", "Versions of objects that are served.")
	descWaiting      = describe("view_waiting_events", "Events whose blocks are not here yet.")
	descUndecided    = describe("view_undecided_events", "Events that wait for a record or a key.")
	descKnown        = describe("members_known", "Other members of the consortium.")
	descConnected    = describe("members_connected", "Other members whose nodes are connected.")
	descMember       = describe("member", "1 if this organisation is a member of the consortium now.")
	descStatusFailed = describe("status_errors", "1 if the status could not be found out.")
)

// Describe sends nothing: which labels there are depends on the consortium.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), metricsTimeout)
	defer cancel()
	s, err := c.observer.Status(ctx)
	e := exposition{out: out, now: time.Now()}
	e.gauge(descStatusFailed, number(err != nil))
	if err != nil {
		return
	}
	e.gauge(descBuild, 1, s.Daemon.Version, s.Daemon.Commit, s.Daemon.Go)
	e.gauge(descReady, number(c.observer.Ready() == nil))
	e.publishing(s)
	e.unasked(s)
	e.chain(s)
	e.outside(s)
	e.gauge(descDisk, float64(s.Disk.Free))
	e.gauge(descObjects, float64(s.View.Objects))
	e.gauge(descWaiting, float64(s.View.Waiting))
	e.gauge(descUndecided, float64(s.View.Undecided))
	e.members(s)
}

// exposition is one collection of the metrics.
type exposition struct {
	out chan<- prometheus.Metric
	now time.Time
}

func (e exposition) gauge(d *prometheus.Desc, value float64, labels ...string) {
	e.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (e exposition) counter(d *prometheus.Desc, value float64, labels ...string) {
	e.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
}

// known says whether something is known, and reports it. What isn't is absent, and an alarm can be set on that.
func (e exposition) known(is bool, what, name string) bool {
	e.gauge(descUnknown, number(!is), what, name)
	return is
}

// moment shows a time that may not be known.
func (e exposition) moment(d *prometheus.Desc, at time.Time, what, name string, labels ...string) {
	if e.known(!at.IsZero(), what, name) {
		e.gauge(d, float64(at.UnixMilli())/1000, labels...)
	}
}

func (e exposition) publishing(s Status) {
	e.gauge(descOutbox, float64(s.Publishing.Accepted), "accepted")
	e.gauge(descOutbox, float64(s.Publishing.Stored), "stored")
	e.gauge(descOutbox, float64(s.Publishing.Signed), "signed")
	said := map[string]bool{"": true} // a metric that comes twice fails all of them
	for _, one := range append([]problem.Condition{s.Publishing.Condition}, s.Publishing.Also...) {
		if !said[one.Problem] {
			said[one.Problem] = true
			e.gauge(descPublishing, 1, one.Problem)
		}
	}
	if e.known(s.Publishing.Funds == "", "account", "") {
		e.gauge(descFree, float64(s.Publishing.Free))
		e.gauge(descLocked, float64(s.Publishing.Locked))
	}
	e.gauge(descReserved, float64(s.Publishing.Reserved))
	e.gauge(descSpendRate, float64(s.Money.Forecast.Rate))
	if lasts := s.Money.Forecast.Lasts; lasts != nil && !s.Money.Forecast.Young {
		e.gauge(descLasts, *lasts)
	}
	e.moment(descBackup, s.Backup.At, "backup", "")
}

// unasked is about what the node withdraws and publishes by itself, where the configuration says so.
func (e exposition) unasked(s Status) {
	if r := s.Retention; r != nil {
		e.gauge(descRetained, float64(r.Today))
		e.gauge(descRests, number(r.Rests))
		if r.Problem != "" {
			e.gauge(descRetention, 1, r.Problem)
		}
	}
	if watched := s.Watch; watched != nil {
		e.gauge(descAssets, float64(watched.Assets))
		e.counter(descMatched, float64(watched.Matched))
	}
	if told := s.Sightings; told != nil {
		e.gauge(descTold, float64(told.Today))
		if told.Problem != "" {
			e.gauge(descTelling, 1, told.Problem)
		}
	}
}

// chain is about the chain and its sources.
func (e exposition) chain(s Status) {
	w := s.Watching
	e.gauge(descRound, float64(w.Round))
	if e.known(w.Algod > 0 || w.Indexer > 0, "tip", "") {
		e.gauge(descTip, float64(w.Tip))
		e.gauge(descLagRounds, float64(w.LagRounds))
		e.gauge(descLagSeconds, w.LagSeconds)
	}
	if w.Problem != "" {
		e.gauge(descWatching, 1, w.Problem)
	}
	algod := false
	for _, one := range w.Sources {
		if one.Problem != "" {
			e.gauge(descSource, 1, one.Name, one.Problem)
		}
		e.gauge(descLies, float64(len(one.Lies)), one.Name)
		e.answer(one.Answered, one.Name)
		algod = algod || one.Name == state.SourceAlgod
	}
	if !algod { // its blocks are not followed, and it is asked all the same
		e.answer(w.AlgodAnswer, state.SourceAlgod)
	}
	e.gauge(descLate, float64(s.Late.Found-s.Late.Unfolded), "yes")
	e.gauge(descLate, float64(s.Late.Unfolded), "no")
	e.counter(descForged, float64(w.Forged))
	e.gauge(descOmitted, float64(len(s.Omitted)))
	if e.known(s.Clock.Known, "clock", "") {
		e.gauge(descClock, s.Clock.Ahead)
	}
}

func (e exposition) answer(at time.Time, source string) {
	if e.known(!at.IsZero(), "source", source) {
		e.gauge(descAnswer, max(0, e.now.Sub(at)).Seconds(), source)
	}
}

// outside is about servers that the node sends something to or takes something from, and about its certificate.
func (e exposition) outside(s Status) {
	for _, f := range s.Feeds {
		e.gauge(descFeed, 1, f.Name)
	}
	for _, f := range s.Pulled {
		e.moment(descPulled, f.At, "feed", f.Feed, f.Feed)
	}
	for _, hook := range s.Webhooks {
		if hook.Problem != "" {
			e.gauge(descWebhook, 1, hook.Name, hook.Problem)
		}
		if !e.known(hook.Unknown == "", "webhook", hook.Name) {
			continue
		}
		e.gauge(descBacklog, float64(hook.Backlog), hook.Name)
		age := 0.0
		if !hook.Oldest.IsZero() {
			age = max(0, e.now.Sub(hook.Oldest)).Seconds()
		}
		e.gauge(descOldest, age, hook.Name)
	}
	for _, one := range s.Audit {
		e.gauge(descAudit, 1, one.Problem)
	}
	if s.Certificate.Problem != "" {
		e.gauge(descCertificate, 1, s.Certificate.Problem)
	}
	if s.Daemon.HTTPS() {
		e.moment(descExpiry, s.Daemon.CertificateUntil, "certificate", "")
	}
}

// members is about other members.
func (e exposition) members(s Status) {
	e.gauge(descMember, number(s.Member))
	e.gauge(descKnown, float64(s.Members.Known))
	e.gauge(descConnected, float64(s.Members.Connected))
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
		e.gauge(descMissing, float64(count), l.member, overdue)
	}
	repeated := map[string]float64{} // two may have had one name
	for _, r := range s.Repeated {
		repeated[r.Member] += float64(r.Count)
	}
	for member, count := range repeated {
		e.counter(descRepeated, count, member)
	}
	for l, count := range exposedBy(s.Exposed) {
		e.gauge(descExposed, float64(count), l.owner, l.reason)
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
