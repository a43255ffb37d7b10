package testnet

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/testnet/gateway"
)

// A machine is copied, and both run.
func TestTwoNodesWithOneIdentityPublishNothingMoreAndSaySo(t *testing.T) {
	t.Parallel()
	l := development(t).behindGateways(t).byIndexer()
	n := newNetwork(t, l, "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	alpha.complete(alpha.post("default", indicator(1)).ID)
	alpha.stop()
	clone := *alpha
	clone.Dir, clone.Process = filepath.Join(t.TempDir(), "clone"), nil
	clone.Log = clone.Dir + ".log"
	t.Cleanup(func() {
		clone.kill()
		if t.Failed() {
			clone.showLog()
		}
	})
	must(t, exec.Command("cp", "-a", alpha.Dir, clone.Dir).Run())
	alpha.start("SLNODE_TAXII_PUBLISH_WAIT=0s", "SLNODE_METRICS_LISTEN=127.0.0.1:"+newPort())
	clone.start("SLNODE_TAXII_PUBLISH_WAIT=0s", "SLNODE_METRICS_LISTEN=127.0.0.1:"+newPort(), "SLNODE_TAXII_LISTEN=127.0.0.1:"+newPort(), "SLNODE_IPFS_GATEWAY=127.0.0.1:"+newPort(),
		"SLNODE_IPFS_LISTEN=/ip4/127.0.0.1/tcp/"+newPort())

	// Both sign before either sees what the other has signed.
	l.fault(t, faults{indexer: only(gateway.Rule{Frozen: l.round(t)})})
	alpha.postNow("default", indicator(2))
	clone.postNow("default", indicator(3))
	for _, o := range []*organisation{alpha, &clone} {
		o.confirms()
	}
	l.fault(t, faults{})
	for _, o := range []*organisation{alpha, &clone} {
		eventually(t, func() (bool, string) {
			s := o.status()
			return s.Publishing.Problem == "duplicate", fmt.Sprintf("%s: %+v", o.Dir, s.Publishing)
		})
		response, err := http.Get("http://" + o.Daemon.Metrics + "/metrics")
		must(t, err)
		metrics, err := io.ReadAll(response.Body)
		must(t, errors.Join(err, response.Body.Close()))
		if !strings.Contains(string(metrics), `slnode_publishing_problem{problem="duplicate"} 1`) {
			t.Errorf("the metrics of %s don't say so", o.Dir)
		}
		log, err := os.ReadFile(o.Log)
		must(t, err)
		if !strings.Contains(string(log), "another node publishes with this organisation's account") {
			t.Errorf("the log of %s doesn't say so", o.Dir)
		}
	}
	eventually(t, func() (bool, string) {
		s := bravo.status()
		return len(s.Repeated) == 1 && s.Repeated[0].Member == "alpha", fmt.Sprintf("bravo: %+v", s.Repeated)
	})
	waiting := alpha.postNow("default", indicator(4))
	if len(waiting.Pendings) != 1 || !strings.Contains(waiting.Pendings[0].Message, "another node publishes") {
		t.Errorf("a client is told %+v", waiting)
	}

	clone.stop()
	alpha.cli("keys", "sole")
	alpha.recovers()
	alpha.complete(waiting.ID)
	if s := alpha.status(); s.Publishing.Problem != "" {
		t.Errorf("alone again, alpha waits: %+v", s.Publishing)
	}
	if _, problem, code := alpha.try("keys", "sole"); code == 0 {
		t.Errorf("it is settled twice: %s", problem)
	}
}
