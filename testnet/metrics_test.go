package testnet

import (
	"fmt"
	"io"
	"net/http"
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
		for _, line := range []string{"slnode_view_objects 2\n", "slnode_member 1\n", "slnode_peers_connected 1\n", `slnode_outbox_objects{state="signed"} 0`,
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
}
