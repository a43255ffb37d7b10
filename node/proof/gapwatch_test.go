package proof

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/internal/nodetest"
)

// A member leaves out as many numbers as it likes. That costs algod some questions, not one for each, and doesn't put
// off those about others.
func TestSkippedSequenceNumbersCostFewAudits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var mu sync.Mutex
		asked := map[string]int{}
		skipped, honest := uint64(0), false
		o := &GapWatch{
			Log:   nodetest.Discard,
			Round: func() uint64 { return 3600 + uint64(time.Since(began)/time.Second) },
			Missing: func() (list []Missing) {
				mu.Lock()
				defer mu.Unlock()
				for n := range skipped {
					list = append(list, Missing{Member: "mallory", Range: consortium.Range{First: 2 * n, Last: 2 * n, Since: n}})
				}
				if honest { // the same numbers, so that nobody's holes are taken for another's
					list = append(list, Missing{Member: "alpha", Range: consortium.Range{First: 0, Last: 0, Since: 0}})
				}
				return list
			},
			Crosscheck: func(_ context.Context, o CrosscheckOptions, _ func(uint64, uint64)) (Crosscheck, error) {
				mu.Lock()
				defer mu.Unlock()
				asked[o.Member]++
				if o.Member == "alpha" {
					return Crosscheck{Findings: []Finding{{Problem: Omitted, TxID: fmt.Sprint(asked[o.Member])}}}, nil
				}
				return Crosscheck{}, nil
			},
		}
		ended := make(chan error, 1)
		go func() { ended <- o.Run(ctx) }()
		for range 1024 { // a new one every 15 seconds
			mu.Lock()
			skipped++
			mu.Unlock()
			time.Sleep(lookEvery)
		}
		mu.Lock()
		honest = true
		mu.Unlock()
		time.Sleep(2 * lookEvery)
		mu.Lock()
		if asked["mallory"] < 4 || asked["mallory"] > 16 { // 1, 2, 4 … 60 minutes in 4 hours and 16 minutes
			t.Errorf("algod is asked %d times about 1,024 holes", asked["mallory"])
		}
		if asked["alpha"] != 1 || len(o.List()) != 1 {
			t.Errorf("about another member algod is asked %d times at once, with %d findings", asked["alpha"], len(o.List()))
		}
		mu.Unlock()
		cancel()
		nodetest.Must(t, <-ended)
	})
}
