package accept

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/outbox"
)

func TestWhatIsSignedAndWaitsSaysWhy(t *testing.T) {
	publishing := problem.NewMonitor("publishing", slog.New(slog.DiscardHandler))
	d := Delay{Sealing: problem.NewMonitor("sealing", slog.New(slog.DiscardHandler)), Publishing: publishing}
	item := outbox.Item{State: outbox.Signed, TxID: "TX"}
	if got := d.of(item); got != "" {
		t.Errorf("without a problem it says %q", got)
	}
	publishing.Set("congestion", "a detail that is the operator's")
	if got := d.of(item); !strings.Contains(got, "higher fee") || strings.Contains(got, "operator") {
		t.Errorf("it says %q", got)
	}
}
