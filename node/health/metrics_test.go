package health

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo"
)

// An alarm on a metric that is called otherwise never rings.
func TestTheMetricsThatOperatorsAreToldOfExist(t *testing.T) {
	document, err := os.ReadFile("../../docs/OPERATIONS.md")
	nodetest.Must(t, err)
	sources := ""
	for _, name := range []string{"metrics.go", "requests.go", "../stages/stages.go"} {
		source, err := os.ReadFile(name)
		nodetest.Must(t, err)
		sources += string(source)
	}
	names := regexp.MustCompile(`\bslnode_[a-z_]+`).FindAllString(string(document), -1)
	if len(names) < 10 {
		t.Errorf("the document names %q only", names)
	}
	for _, name := range names {
		name = strings.TrimSuffix(name, "_bucket") // of a histogram
		if !strings.Contains(sources, `describe("`+strings.TrimPrefix(name, "slnode_")+`"`) && !strings.Contains(sources, `"`+name+`"`) {
			t.Errorf("there is no metric %s", name)
		}
	}
	for _, made := range regexp.MustCompile(`(?:describe\(|Name: +|NewDesc\()"(?:slnode_)?([a-z_]+[a-z])"`).FindAllStringSubmatch(sources, -1) {
		if !slices.Contains(names, "slnode_"+made[1]) && !slices.Contains(names, "slnode_"+made[1]+"_bucket") {
			t.Errorf("nobody is told of the metric slnode_%s", made[1])
		}
	}
}

// What isn't known is absent, which rings no alarm, and said to be unknown, which does.
func TestWhatIsNotKnownIsSaidToBeUnknown(t *testing.T) {
	o := newObserved(t)
	o.parts.poor = errors.New("algod is away")
	o.parts.feeds = []feeds.Info{{Name: "misp"}}
	o.parts.chain.Sources = []chainwatch.SourceState{{Name: "I"}}
	o.Opened(Doors{TAXII: "https://127.0.0.1:1", Certificate: func() *x509.Certificate { return nil }})
	says := func(known bool, now string) {
		t.Helper()
		for series, of := range map[string][2]string{
			"slnode_account_free_microalgo ":                      {"account"},
			"slnode_account_locked_microalgo ":                    {"account"},
			"slnode_chain_tip_round ":                             {"tip"},
			"slnode_chain_lag_rounds ":                            {"tip"},
			"slnode_chain_lag_seconds ":                           {"tip"},
			`slnode_source_answer_age_seconds{source="I"} `:       {"source", "I"},
			`slnode_source_answer_age_seconds{source="algod"} `:   {"source", "algod"},
			`slnode_feed_success_timestamp_seconds{feed="misp"} `: {"feed", "misp"},
			"slnode_certificate_expiry_timestamp_seconds ":        {"certificate"},
			"slnode_backup_timestamp_seconds ":                    {"backup"},
		} {
			unknown := fmt.Sprintf("\nslnode_unknown{name=%q,what=%q} %d\n", of[1], of[0], int(number(!known)))
			if there := strings.Contains(now, "\n"+series); there != known || !strings.Contains(now, unknown) {
				t.Errorf("known %t: %s is there: %t; %q is: %t", known, series, there, unknown, strings.Contains(now, unknown))
			}
		}
		if strings.Contains(now, "\nslnode_clock_ahead_seconds ") || !strings.Contains(now, `slnode_unknown{name="",what="clock"} 1`) {
			t.Error("nobody has told the time")
		}
	}
	says(false, o.scrape())
	at := time.Now().Add(-time.Minute)
	o.parts.poor, o.parts.feeds[0].Good = nil, at
	o.parts.chain = chainwatch.State{Algod: 9, Tip: 9, Answered: at, Sources: []chainwatch.SourceState{{Name: "I", Answered: at}}}
	o.Opened(Doors{TAXII: "https://127.0.0.1:1", Certificate: func() *x509.Certificate { return &x509.Certificate{NotAfter: at} }})
	nodetest.Must(t, repo.NoteBackup(o.R.Dir, repo.BackedUp{At: at, Bytes: 5}))
	says(true, o.scrape())
	if b := o.status().Backup; !b.At.Equal(at) || b.Bytes != 5 || b.Unknown != "" {
		t.Errorf("the backup is %+v", b)
	}
}

// What has expired and is taken back is told where that is on, and what it waits for.
func TestRetentionIsMeasuredWhereItIsOn(t *testing.T) {
	o := newObserved(t)
	if now := o.scrape(); strings.Contains(now, "slnode_retention") {
		t.Error("it is off, and told")
	}
	r := &withdraw.Retention{Today: 7, Most: 1000}
	o.Retention = func() (*withdraw.Retention, error) { return r, nil }
	says := func(lines ...string) {
		t.Helper()
		now := o.scrape()
		for _, line := range lines {
			if !strings.Contains(now, "\n"+line+"\n") {
				t.Errorf("the metrics don't say %s", line)
			}
		}
		if told := strings.Contains(now, "\nslnode_retention_problem"); told != (r.Problem != "") {
			t.Errorf("of the problem %q it is told: %t", r.Problem, told)
		}
	}
	says("slnode_retention_objects_today 7", "slnode_retention_rests 0")
	r.Rests, r.Condition = true, problem.Condition{Problem: "funds"}
	says("slnode_retention_rests 1", `slnode_retention_problem{problem="funds"} 1`)
}

func TestRequestsAreCountedByRouteAndNotByWhatClientsMakeUp(t *testing.T) {
	o := newObserved(t)
	o.Requests = NewRequests()
	o.Requests.Served("GET", "/{root}", 200, 20*time.Millisecond)
	o.Requests.Served("GET", "/{root}", 200, 20*time.Millisecond)
	o.Requests.Served("GET", "/{root}/collections/{collection}/stream", 200, time.Hour)
	for i := range 100 {
		o.Requests.Served(fmt.Sprintf("M%d", i), "", 404, time.Millisecond)
	}
	o.Requests.Served("POST", "/{root}", 0, time.Second)
	text := o.scrape()
	for _, line := range []string{
		`slnode_http_requests_total{method="GET",route="/{root}",status="200"} 2`, `slnode_http_requests_total{method="other",route="none",status="404"} 100`,
		`slnode_http_requests_total{method="POST",route="/{root}",status="none"} 1`, `slnode_http_request_seconds_count{route="/{root}"} 3`,
		`slnode_http_request_seconds_bucket{route="/{root}",le="0.005"} 0`, `slnode_http_request_seconds_bucket{route="/{root}",le="0.025"} 2`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the metrics don't say %s", line)
		}
	}
	if n := strings.Count(text, "\nslnode_http_requests_total{"); n != 4 || strings.Contains(text, `stream"} 1`) && strings.Contains(text, `seconds_count{route="/{root}/collections/{collection}/stream"`) {
		t.Errorf("there are %d series of requests", n)
	}
}

func TestTotalsSayWhatBecameOfObjects(t *testing.T) {
	o := newObserved(t)
	now := time.Now()
	for range 3 {
		o.Stages.Passed(stages.Accepted, stages.Own, now)
	}
	o.Stages.Passed(stages.Confirmed, stages.Own, now)
	o.Stages.Passed(stages.Visible, stages.Own, now)
	o.Stages.Passed(stages.Visible, stages.Member, now)
	o.Stages.Passed(stages.Visible, stages.Member, now)
	o.Stages.Refused(stages.Own, 5)
	o.Stages.Refused(stages.Member, 7)
	o.Stages.Withdrawn(4)
	if got := o.Stages.Totals(); got != (stages.Totals{Accepted: 3, Published: 1, Received: 2, Withdrawn: 4, Refused: 5, RefusedOfMembers: 7}) {
		t.Errorf("%+v", got)
	}
	text := o.scrape()
	for _, line := range []string{
		"slnode_published_objects_total 1", "slnode_received_objects_total 2", "slnode_withdrawn_objects_total 4",
		`slnode_refused_objects_total{origin="own"} 5`, `slnode_refused_objects_total{origin="member"} 7`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the metrics don't say %s", line)
		}
	}
}

func TestExposedKeysAreCountedByWhoseTheyAre(t *testing.T) {
	own, founders := collections.ExposedKey{Own: true, Removed: []string{"mallory"}}, collections.ExposedKey{Removed: []string{"mallory"}}
	counts := exposedBy([]collections.ExposedKey{own, founders})
	if counts[exposedLabel{"self", "removed"}] != 1 || counts[exposedLabel{"member", "removed"}] != 1 {
		t.Errorf("the metrics are %v", counts)
	}
}
