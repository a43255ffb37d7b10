package publish

import (
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
)

// waitedFor is an outbox with what a test puts into it.
type waitedFor struct {
	*Outbox
	t          *testing.T
	collection string
}

func (o *waitedFor) accept(s outbox.Submission) outbox.Item {
	o.t.Helper()
	items, err := o.Accept([]outbox.Submission{s})
	nodetest.Must(o.t, err)
	return items[0]
}

func (o *waitedFor) object(key string) outbox.Item {
	o.t.Helper()
	return o.accept(outbox.Submission{Payload: []byte(nodetest.IndicatorJSON(1)), Item: outbox.Item{
		Key: []byte(key), Note: wire.Note{Kind: wire.KindObject}, Collection: o.collection, ObjectID: "indicator--" + key, StoredAt: state.Now(),
	}})
}

func (o *waitedFor) store(item outbox.Item) outbox.Item {
	o.t.Helper()
	item.Directory, item.MetadataHash = "directory", make([]byte, 32)
	nodetest.Must(o.t, o.SetStored([]outbox.Item{item}))
	item, _, err := o.Item(item.Number)
	nodetest.Must(o.t, err)
	return item
}

func (o *waitedFor) sign(key string) outbox.Group {
	o.t.Helper()
	groups, err := o.AddGroups([]outbox.Group{{TxIDs: []string{key}, FirstValid: 1, LastValid: 1000}}, []outbox.Item{o.store(o.object(key))})
	nodetest.Must(o.t, err)
	return groups[0]
}

func (o *waitedFor) confirm(txid string) {
	o.t.Helper()
	_, err := o.Confirm([]consortium.Place{{TxID: txid, Round: 1, Asset: 7}})
	nodetest.Must(o.t, err)
}

// A waiter that is not woken waits until something else happens, which can be days later.
func TestWhoWaitsForTheOutboxIsWokenByEveryChange(t *testing.T) {
	c := nodetest.NewChain(t, nodetest.NewOrg(t, "self"))
	o := &waitedFor{NewOutbox(c.R.Outbox), t, c.Collection}
	for name, test := range map[string]struct {
		wakes  *signal.Signal
		before func() (change func() error)
	}{
		"an object comes in": {&o.Accepted, func() func() error {
			return func() error { o.object("a"); return nil }
		}},
		"a record comes in": {&o.Stored, func() func() error {
			record := outbox.Submission{Item: outbox.Item{Key: []byte("b"), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: 7}}
			return func() error { o.accept(record); return nil }
		}},
		"an object is stored": {&o.Stored, func() func() error {
			item := o.object("c")
			return func() error { o.store(item); return nil }
		}},
		"an object is sealed again": {&o.Accepted, func() func() error {
			item := o.store(o.object("d"))
			return func() error { return o.Reopen(item, []byte(nodetest.IndicatorJSON(1))) }
		}},
		"a group has expired": {&o.Stored, func() func() error {
			group := o.sign("e")
			return func() error { return o.Expire(group) }
		}},
		"a group is confirmed": {&o.Done, func() func() error {
			o.sign("f")
			return func() error { o.confirm("f"); return nil }
		}},
		"the chain has it already": {&o.Done, func() func() error {
			item := o.store(o.object("g"))
			return func() error { return o.Resolve(item, consortium.Place{TxID: "G", Round: 1, Asset: 8}, "") }
		}},
		"an object is given up": {&o.Done, func() func() error {
			item := o.object("h")
			return func() error { return o.GiveUp(item, "because") }
		}},
		"an object is withdrawn": {&o.Done, func() func() error {
			o.sign("i")
			o.confirm("i")
			return func() error { return o.Withdraw(wire.Publication{TxID: "i"}) }
		}},
	} {
		change := test.before()
		if woken := test.wakes.Changed(); change() != nil || !isClosed(woken) {
			t.Errorf("%s, and who waits for it is not woken", name)
		}
	}
	woken := o.Done.Changed()
	if o.confirm("nobody's"); isClosed(woken) {
		t.Error("somebody else's transaction wakes who waits for ours")
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
