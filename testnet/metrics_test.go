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
	eventually(t, func() (bool, string) {
		response, err := http.Get("http://" + bravo.daemon.Metrics + "/metrics")
		must(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		must(t, err)
		for _, line := range []string{"slnode_view_objects 1\n", "slnode_member 1\n", "slnode_peers_connected 1\n", `slnode_outbox_objects{state="signed"} 0`} {
			if !strings.Contains(string(body), line) {
				return false, fmt.Sprintf("no %q in\n%s", line, body)
			}
		}
		return response.StatusCode == http.StatusOK, response.Status
	})
}
