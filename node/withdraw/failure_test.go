package withdraw

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/taxii"
)

// Whoever withdraws, or asks, is told when a store fails, whichever question it is.
func TestAStoreThatFailsIsToldToWhoeverAsked(t *testing.T) {
	d := newDesk(t)
	for what, c := range map[string]struct {
		do      func(ctx context.Context) error
		methods []string
	}{
		"an operator": {func(ctx context.Context) error {
			_, err := d.withdrawer().WithdrawAll(ctx, Selection{What: one})
			return err
		}, []string{"Event", "Page", "EventOf", "Entry", "Find", "Accept", "SetMemo", "Memo"}},
		"an operator who names a transaction": {func(ctx context.Context) error {
			_, err := d.withdrawer().WithdrawAll(ctx, Selection{What: "TX1"})
			return err
		}, []string{"Event", "Entry"}},
		"a client": {func(ctx context.Context) error {
			_, err := d.withdrawer().Withdraw(ctx, taxii.Principal{}, taxii.Collection{ID: here}, []taxii.Record{recordOf(d.items[0])})
			return err
		}, []string{"EventOf", "Entry", "Find", "Accept", "SetMemo", "Memo", "AddStatus"}},
		"who looks": {func(ctx context.Context) error {
			_, err := d.withdrawer().Show(ctx, one)
			return err
		}, []string{"Event", "Page", "Memos", "Memo", "Find"}},
		"who looks at a transaction": {func(ctx context.Context) error {
			_, err := d.withdrawer().Show(ctx, "TX1")
			return err
		}, []string{"Event", "Entry"}},
		"who asks members": {func(ctx context.Context) error { return d.withdrawer().Run(ctx) }, []string{"Memos", "Memo", "SetMemo"}},
		"what replaces":    {func(ctx context.Context) error { return d.replacer().Run(ctx) }, []string{"Replacing", "Item", "EventOf", "Accept"}},
	} {
		for _, method := range c.methods {
			reached := false
			for sound := range 4 {
				d.clear()
				d.publishes(version{one, 1, here})
				d.publishes(version{one, 1, here})
				other := d.publishes(version{two, 1, here})
				_, err := d.withdrawer().beginAll(t.Context(), Selection{What: two})
				nodetest.Must(t, err)
				nodetest.Must(t, d.withdrawer().remember(Withdrawal{ID: one, TxID: "TX1", Asset: other.Asset + 1000}))
				d.mintAll()
				d.members[peerOf(t, d.alpha)] = true
				d.seen[peerOf(t, d.alpha)] = map[uint64]bool{other.Asset: true}
				d.failing, d.sound = method, sound
				ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
				err = c.do(ctx)
				stop()
				failed := d.sound < 0
				if reached = reached || failed; failed && !errors.Is(err, errDisk) {
					t.Errorf("%s: call %d of %s fails, and it gives %v", what, sound+1, method, err)
				}
			}
			if !reached {
				t.Errorf("%s: %s is never asked", what, method)
			}
		}
	}
}
