package health

import (
	"fmt"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/outbox"
)

// The status tells what a release would bring back. It is asked for all the time, and counted now and then.
func TestTheStatusTellsWhatAReleaseWouldBringBack(t *testing.T) {
	o := newObserved(t)
	publish := func(n uint64, by string) {
		t.Helper()
		items, err := o.R.Outbox.Accept([]outbox.Submission{{Item: outbox.Item{Key: fmt.Append(nil, n), Note: wire.Note{Kind: wire.KindObject}, Publisher: by}}})
		nodetest.Must(t, err)
		nodetest.Must(t, o.R.Outbox.Resolve(items[0], consortium.Place{TxID: fmt.Sprint(n), Round: n, Asset: n}, ""))
	}
	tells := func(want uint64) {
		t.Helper()
		s, err := o.Observer.Status(t.Context())
		nodetest.Must(t, err)
		if s.Publishing.Releases != want {
			t.Errorf("%d microalgo can come back, want %d", s.Publishing.Releases, want)
		}
	}
	publish(1, o.Self.Address())
	publish(2, o.Self.Address())
	publish(3, "an account of before")
	tells(200_000)
	publish(4, o.Self.Address())
	tells(200_000)
	o.Observer.counted.at = o.Observer.counted.at.Add(-countEvery)
	tells(300_000)
	nodetest.Must(t, o.R.Outbox.Withdraw(wire.Publication{TxID: "1"}))
	o.Observer.counted.at = o.Observer.counted.at.Add(-countEvery)
	tells(200_000)
}
