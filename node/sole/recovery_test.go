package sole

import (
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/outbox"
)

func TestWhoElseSignedIsSaid(t *testing.T) {
	if s := whoElseSigned(&outbox.Recovery{Disputed: true}); !strings.Contains(s, "another node") {
		t.Error(s)
	}
	holes := []consortium.Range{{First: 3, Last: 4}, {First: 7, Last: 7}}
	for number, want := range map[uint64]bool{2: false, 3: true, 4: true, 5: false, 7: true, 8: false} {
		if missing(holes, number) != want {
			t.Errorf("%d is missing: %v", number, !want)
		}
	}
}
