package testnet

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestMetricsShowHowTheNodeIs(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	bravo := n.members[1]
	bravo.stop()
	bravo.start("SLNODE_METRICS_LISTEN=127.0.0.1:0")
	n.members[0].post(n.collection, indicator(1))
	bravo.shows(n.collection, indicator(1))
	own := indicator(2)
	bravo.post(n.collection, own)
	bravo.shows(n.collection, own)
	eventually(t, func() (bool, string) {
		response, err := http.Get("http://" + bravo.Daemon.Metrics + "/metrics")
		must(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		must(t, err)
		for _, line := range []string{"slnode_view_objects 2\n", "slnode_member 1\n", "slnode_members_connected 1\n", "slnode_members_known 1\n", `slnode_outbox_objects{state="signed"} 0`,
			`slnode_stage_objects_total{origin="own",stage="accepted"} 1`, `slnode_stage_seconds_count{origin="own",stage="sealed"} 1`,
			`slnode_stage_seconds_count{origin="own",stage="stored"} 1`, `slnode_stage_seconds_count{origin="own",stage="signed"} 1`,
			`slnode_stage_seconds_count{origin="own",stage="confirmed"} 1`, `slnode_stage_seconds_count{origin="own",stage="visible"} 1`,
			`slnode_stage_seconds_count{origin="member",stage="fetched"} 1`, `slnode_stage_seconds_count{origin="member",stage="opened"} 1`,
			`slnode_stage_seconds_count{origin="member",stage="visible"} 1`} {
			if !strings.Contains(string(body), line) {
				return false, fmt.Sprintf("no %q in\n%s", line, body)
			}
		}
		return response.StatusCode == http.StatusOK, response.Status
	})
	holdQueries(t, bravo)
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusOK, "/": http.StatusNotFound, "/admin/status": http.StatusNotFound} {
		for _, base := range []string{"http://" + bravo.Daemon.Metrics, bravo.Daemon.URL} {
			response, err := http.Get(base + path)
			must(t, err)
			must(t, response.Body.Close())
			if response.StatusCode != want && base == "http://"+bravo.Daemon.Metrics || want == http.StatusOK && response.StatusCode != want {
				t.Errorf("%s%s is answered %s", base, path, response.Status)
			}
		}
	}
}

// onlyThen are the metrics of what is wrong, and of what this node doesn't have or can't know yet.
var onlyThen = []string{
	"slnode_publishing_problem", "slnode_watching_problem", "slnode_source_problem", "slnode_feed_problem", "slnode_webhook_problem", "slnode_certificate_problem", "slnode_audit_problem",
	"slnode_member_missing_transactions", "slnode_member_repeated_numbers_total", "slnode_clock_ahead_seconds", "slnode_backup_timestamp_seconds", "slnode_retention_problem", "slnode_retention_rests", "slnode_retention_objects_today",
	"slnode_sightings_problem", "slnode_sightings_told", "slnode_watch_assets", "slnode_watch_matched_objects_total",
	"slnode_feed_success_timestamp_seconds", "slnode_account_lasts_days", "slnode_webhook_backlog_objects", "slnode_webhook_backlog_age_seconds", "slnode_certificate_expiry_timestamp_seconds",
}

// holdQueries holds what the alerts and the dashboard ask for to what a node that runs exposes.
func holdQueries(t *testing.T, o *organisation) {
	t.Helper()
	response, err := http.Get("http://" + o.Daemon.Metrics + "/metrics")
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	looked := 0
	for _, name := range []string{"alerts.yml", "dashboard.json"} {
		text, err := os.ReadFile("../docs/prometheus/" + name)
		must(t, err)
		for _, metric := range regexp.MustCompile(`\b(slnode|go|process)_[a-z_0-9]+\b`).FindAllString(string(text), -1) {
			looked++
			if !slices.Contains(onlyThen, metric) && !strings.Contains(string(body), "\n"+metric+" ") && !strings.Contains(string(body), "\n"+metric+"{") && !strings.Contains(string(body), "\n"+metric+"_bucket{") {
				t.Errorf("%s asks for %s, which is not there", name, metric)
			}
		}
	}
	if looked < 80 {
		t.Errorf("%d metrics were asked for", looked)
	}
}
