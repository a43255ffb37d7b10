package accept

import (
	"errors"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const firstID = "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f" // of nodetest.DescribedIndicator(1, "old")

func withdrawerIn(w *worldtest.World) *withdraw.Withdrawer {
	return &withdraw.Withdrawer{
		Outbox: publish.NewOutbox(w.R.Outbox), View: w.R.View, State: w.State, Records: publish.NewRecords(w.State.Self, publish.NewOutbox(w.R.Outbox), w.Blocks, publish.NewFresh(w.Blocks)),
		Watcher: worldtest.CaughtUp{}, Statuses: publisherIn(w), Problem: func() error { return nil }, Log: nodetest.Discard,
	}
}

// show mints an object and brings it into the view.
func show(w *worldtest.World, d consortium.Draft, lease [32]byte) consortium.Event {
	w.T.Helper()
	e := w.Mint(w.Self, d)
	e.Lease = lease[:]
	nodetest.Must(w.T, w.Deliver(e))
	w.Drain()
	return e
}

// stateOf tells what a client is told of the only object of a request.
func stateOf(s taxii.Status) string {
	switch {
	case len(s.Successes) == 1:
		return "complete"
	case len(s.Failures) == 1:
		return "failed"
	}
	return "pending"
}

// Who withdraws an object and then posts it again was answered "complete", with the transaction that was about to end.
func TestWhatIsPostedWhileItIsBeingWithdrawnIsPublishedOnceMore(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	first := show(w, w.ObjectOf(1, "old"), [32]byte{1})
	if s := add(w, false, nodetest.DescribedIndicator(1, "old")); stateOf(s) != "complete" {
		t.Fatalf("the same again: %+v", s)
	}
	_, err := withdrawerIn(w).Withdraw(t.Context(), worldtest.PublisherRole, taxii.Collection{ID: w.Collection}, []taxii.Record{{ID: firstID, TxID: first.TxID, AssetID: first.Asset}})
	nodetest.Must(t, err)
	taken(t, add(w, false, nodetest.DescribedIndicator(1, "old")), "takes the place")
	item := w.LastItem()
	if item.ReplacesAsset != first.Asset {
		t.Errorf("it takes the place of %d, want %d", item.ReplacesAsset, first.Asset)
	}
	taken(t, add(w, false, nodetest.DescribedIndicator(1, "old")), "takes the place")
	if again := w.LastItem(); again.Number != item.Number {
		t.Errorf("it is published twice, as %d and %d", item.Number, again.Number)
	}
	// As long as it is on its way it can't be withdrawn, and nobody is told that it was.
	record := []taxii.Record{{ID: firstID, AssetID: first.Asset}}
	if _, err := withdrawerIn(w).Withdraw(t.Context(), taxii.Principal{User: "u"}, taxii.Collection{ID: w.Collection}, record); !errors.Is(err, taxii.ErrConflict) {
		t.Errorf("a withdrawal meanwhile: %v", err)
	}
	var input *problem.InputError
	if _, err := withdrawerIn(w).WithdrawAll(t.Context(), withdraw.Selection{What: firstID}); !errors.As(err, &input) {
		t.Errorf("a withdrawal meanwhile, by the command: %v", err)
	}

	second := show(w, w.ObjectOf(1, "old"), [32]byte{2})
	w.Seal()
	nodetest.Must(t, w.R.Outbox.Resolve(item, consortium.Place{TxID: second.TxID, Round: second.Round, Asset: second.Asset}, ""))
	status := add(w, false, nodetest.DescribedIndicator(1, "old"))
	if stateOf(status) != "pending" {
		t.Errorf("before the first one has left: %+v", status)
	}
	nodetest.Must(t, w.Deliver(w.Destroy(w.Self, first.Asset)))
	w.Drain()
	status, err = publisherIn(w).Status(t.Context(), taxii.Principal{User: "u"}, "", status.ID)
	nodetest.Must(t, err)
	if stateOf(status) != "complete" || w.Shown() != 1 {
		t.Errorf("at the end %d objects are served, and the status is %+v", w.Shown(), status)
	}
}

// So it is where the outbox knows what is being withdrawn.
func TestWhatTheOutboxHasAndIsBeingWithdrawnIsPublishedOnceMore(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	object := nodetest.DescribedIndicator(1, "")
	taken(t, add(w, false, object))
	item := w.LastItem()
	w.Seal()
	first := show(w, w.Object(1), [32]byte{1})
	nodetest.Must(t, w.R.Outbox.Resolve(item, consortium.Place{TxID: first.TxID, Round: first.Round, Asset: first.Asset}, ""))
	if s := add(w, false, object); stateOf(s) != "complete" {
		t.Fatalf("the same again: %+v", s)
	}
	_, err := withdrawerIn(w).Withdraw(t.Context(), worldtest.PublisherRole, taxii.Collection{ID: w.Collection}, []taxii.Record{{ID: firstID, TxID: first.TxID, AssetID: first.Asset}})
	nodetest.Must(t, err)
	taken(t, add(w, false, object), "takes the place")
	if last := w.LastItem(); last.Replaces != item.Number || last.Publication != 1 {
		t.Errorf("it is published as %+v", last)
	}
}

// A withdrawal takes with it what would come in the place of what is withdrawn.
func TestAWithdrawalEndsWhatFollows(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	first := show(w, w.ObjectOf(1, "old"), [32]byte{1})
	taken(t, add(w, true, nodetest.DescribedIndicator(1, "new")), "takes the place")
	item := w.LastItem()
	second := show(w, w.ObjectOf(1, "new"), [32]byte{2})
	w.Seal()
	nodetest.Must(t, w.R.Outbox.Resolve(item, consortium.Place{TxID: second.TxID, Round: second.Round, Asset: second.Asset}, ""))
	status, err := withdrawerIn(w).Withdraw(t.Context(), taxii.Principal{User: "u"}, taxii.Collection{ID: w.Collection}, []taxii.Record{{ID: firstID, Version: worldtest.FirstTime, AssetID: first.Asset}})
	nodetest.Must(t, err)
	if len(status.Pendings) != 2 {
		t.Fatalf("%+v", status)
	}
	nodetest.Must(t, w.Deliver(w.Destroy(w.Self, first.Asset)))
	if status, err = publisherIn(w).Status(t.Context(), taxii.Principal{User: "u"}, "", status.ID); err != nil || len(status.Pendings) != 1 {
		t.Errorf("when the first is ended: %+v, %v", status, err)
	}
	nodetest.Must(t, w.Deliver(w.Destroy(w.Self, second.Asset)))
	w.Drain()
	if status, err = publisherIn(w).Status(t.Context(), taxii.Principal{User: "u"}, "", status.ID); err != nil || len(status.Successes) != 2 || w.Shown() != 0 {
		t.Errorf("when both are: %+v, %v, and %d objects", status, err, w.Shown())
	}
}

// What is in the view and about to be replaced is not what a client finds published who wants it back.
func TestWhatIsBeingReplacedIsNotPublishedAlready(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	show(w, w.ObjectOf(1, "old"), [32]byte{1})
	taken(t, add(w, true, nodetest.DescribedIndicator(1, "new")), "takes the place")
	item := w.LastItem()
	wantRefused(t, add(w, false, nodetest.DescribedIndicator(1, "old")), "--replace")
	taken(t, add(w, true, nodetest.DescribedIndicator(1, "old")), "takes the place")
	if last := w.LastItem(); last.Replaces != item.Number {
		t.Errorf("it takes the place of item %d, want %d", last.Replaces, item.Number)
	}
}

// The view learns of a withdrawal a moment before the outbox does.
func TestWhatTheViewHasSeenWithdrawnIsPublishedAnew(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	x := publishes(w, 1)
	x.confirm()
	nodetest.Must(t, w.Deliver(x.event))
	w.Drain()
	ended, _, err := w.R.View.Withdraw(view.Recall{Asset: x.event.Asset, Senders: []string{x.event.Sender}, At: later})
	nodetest.Must(t, err)
	if len(ended) != 1 {
		t.Fatal("nothing was withdrawn")
	}
	taken(t, add(w, false, nodetest.IndicatorJSON(1)))
	if item := w.LastItem(); item.Number == x.item.Number || item.Publication != 1 {
		t.Errorf("it is published as %+v", item)
	}
}
