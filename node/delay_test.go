package node

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/repo"
)

func TestWhatIsSignedAndWaitsSaysWhy(t *testing.T) {
	publishing := newMonitor("publishing", slog.New(slog.DiscardHandler))
	d := delay{sealing: newMonitor("sealing", slog.New(slog.DiscardHandler)), publishing: publishing}
	item := repo.Item{State: repo.Signed, TxID: "TX"}
	if got := d.of(item); got != "" {
		t.Errorf("without a problem it says %q", got)
	}
	publishing.set("congestion", "a detail that is the operator's")
	if got := d.of(item); !strings.Contains(got, "higher fee") || strings.Contains(got, "operator") {
		t.Errorf("it says %q", got)
	}
}
