package node

import (
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// publication is one object on its way, in a world where a test says how far it comes.
type publication struct {
	*world
	p     *publisher
	id    string // of the status
	item  repo.Item
	event consortium.Event
	state chainwatch.State
}

// publishes accepts an object and confirms it, without the indexer having told of it.
func publishes(w *world, n int) *publication {
	w.t.Helper()
	x := &publication{world: w}
	x.p = &publisher{
		outbox: w.r.Outbox, view: w.r.View, fold: w.fold, wake: func() {}, done: &signal{}, shown: &signal{}, delay: noDelay(), wait: time.Hour,
		watching: func() chainwatch.State { return x.state },
	}
	w.r.View.OnChange(x.p.shown.notify)
	collection := taxii.Collection{ID: w.collection}
	into, err := x.p.target(collection)
	must(w.t, err)
	x.id, err = x.p.accept(taxii.Principal{User: "u"}, collection, into, taxii.Addition{Objects: []taxii.Incoming{{Raw: []byte(indicatorJSON(n))}}})
	must(w.t, err)
	items, err := w.r.Outbox.Queue(repo.Accepted, 0, 10)
	must(w.t, err)
	x.item = items[0]
	x.event = w.mint(w.self, w.object(n))
	x.item.Directory = x.event.Directory
	must(w.t, w.r.Outbox.SetStored([]repo.Item{x.item}))
	items, err = w.r.Outbox.Queue(repo.Stored, 0, 10)
	must(w.t, err)
	items[0].Note.Sequence = x.event.Note.Sequence
	_, err = w.r.Outbox.AddGroups([]repo.Group{{TxIDs: []string{x.event.TxID}, LastValid: 1000}}, items[:1])
	must(w.t, err)
	return x
}

func (x *publication) confirm() {
	x.t.Helper()
	confirmed, err := x.r.Outbox.Confirm([]repo.Confirmation{{TxID: x.event.TxID, Round: x.event.Round, Asset: x.event.Asset}})
	must(x.t, err)
	if len(confirmed) != 1 {
		x.t.Fatal("it was not confirmed")
	}
	x.p.done.notify()
}

// is tells what a client is told: "complete", "failed" or "pending", and the message.
func (x *publication) is() (string, string) {
	x.t.Helper()
	status, err := x.p.status(x.id)
	must(x.t, err)
	switch {
	case len(status.Successes) == 1:
		return "complete", status.Successes[0].Message
	case len(status.Failures) == 1:
		return "failed", status.Failures[0].Message
	}
	return "pending", status.Pendings[0].Message
}

func (x *publication) want(state, message string) {
	x.t.Helper()
	if got, text := x.is(); got != state || !strings.Contains(text, message) {
		x.t.Errorf("it is %s: %q; want %s: %q", got, text, state, message)
	}
}

// What is complete is served: who posts and then looks finds it.
func TestCompleteMeansServed(t *testing.T) {
	w := newFoundedWorld(t)
	x := publishes(w, 1)
	x.want("pending", x.event.TxID)
	x.confirm()
	x.state = chainwatch.State{}
	x.want("pending", "until the indexer has told of that round")
	x.state.Problem, x.state.Detail = chainwatch.ProblemIndexer, "https://indexer.example/?key=secret answers 503"
	x.want("pending", "can't follow the indexer")
	x.state.Problem = chainwatch.ProblemBehind
	x.want("pending", "lacks what the chain has")
	x.state.Problem = chainwatch.ProblemAhead
	x.want("pending", "don't agree")
	if _, text := x.is(); strings.Contains(text, "secret") {
		t.Errorf("a client is told %q", text)
	}
	x.state.Problem = ""
	must(t, w.deliver(x.event))
	x.want("pending", "blocks")
	w.drain()
	x.want("complete", x.event.TxID)
	if entries, _, err := w.r.View.Page(repo.Query{Collection: w.collection, Versions: repo.Versions{All: true}, Limit: 10}); err != nil || len(entries) != 1 {
		t.Errorf("%d objects are served, %v", len(entries), err)
	}
	// It is so after a restart, and when it was withdrawn since.
	w.open()
	x.p.fold = w.fold
	x.want("complete", x.event.TxID)
	must(t, w.deliver(w.destroy(w.self, x.event.Asset)))
	x.want("complete", x.event.TxID)
}

// A client that waits is answered as soon as the object is served, and not before; one that would wait in vain, soon.
func TestAClientWaitsUntilWhatItPostedIsServed(t *testing.T) {
	w := newFoundedWorld(t)
	x := publishes(w, 1)
	x.confirm()
	answered := make(chan taxii.Status, 1)
	go func() {
		status, err := x.p.Await(t.Context(), x.id)
		must(t, err)
		answered <- status
	}()
	must(t, w.deliver(x.event))
	select {
	case status := <-answered:
		t.Fatalf("it is answered %+v before the object is served", status)
	case <-time.After(50 * time.Millisecond):
	}
	w.drain()
	if status := <-answered; len(status.Successes) != 1 {
		t.Errorf("it is answered %+v", status)
	}
}

// An indexer that can't be followed, or stands still, leaves the answer pending, with the reason; nothing hangs.
func TestAnIndexerThatStandsStillLeavesTheAnswerPending(t *testing.T) {
	for what, test := range map[string]struct {
		state    chainwatch.State
		patience time.Duration
		message  string
	}{
		"it can't be followed": {chainwatch.State{Problem: chainwatch.ProblemIndexer, Since: time.Now()}, time.Hour, "can't follow the indexer"},
		"it stands still":      {chainwatch.State{}, 200 * time.Millisecond, "told up to round"},
	} {
		w := newFoundedWorld(t)
		x := publishes(w, 1)
		x.confirm()
		x.state, x.p.wait = test.state, test.patience
		begun := time.Now()
		status, err := x.p.Await(t.Context(), x.id)
		must(t, err)
		if took := time.Since(begun); took > time.Minute || took < min(test.patience, lasting) {
			t.Errorf("%s: answered after %v", what, took)
		}
		if len(status.Pendings) != 1 || !strings.Contains(status.Pendings[0].Message, test.message) || status.Pendings[0].TxID == "" {
			t.Errorf("%s: answered %+v", what, status)
		}
	}
}

// What is on the chain and does not count is a failure, with the reason, and no success; what the indexer leaves out is
// neither.
func TestWhatDoesNotCountIsAFailure(t *testing.T) {
	w := newFoundedWorld(t)
	refused := publishes(w, 1)
	refused.confirm()
	refused.event.MetadataHash = make([]byte, 32)
	must(t, w.deliver(refused.event))
	w.drain()
	refused.want("failed", "another hash")

	left := publishes(w, 2)
	left.confirm()
	other := w.mint(w.self, w.object(3)) // a later one, which the indexer shows
	must(t, w.deliver(other))
	w.drain()
	left.want("pending", "not of this transaction")
	void := w.mint(w.self, w.object(4))
	void.Note.Kind, void.Note.Sequence = "of-another-day", left.event.Note.Sequence // so the number was seen, and counts for nothing
	must(t, w.deliver(void))
	left.want("failed", "counts for nothing")
}

// Somebody else published the same before: it is served, and if it is not the same it is no success.
func TestADuplicateIsCompleteIfItsContentIsServed(t *testing.T) {
	for _, same := range []bool{true, false} {
		w := newFoundedWorld(t)
		x := publishes(w, 1)
		x.confirm()
		object := indicatorJSON(1)
		if !same {
			object = describedIndicator(1, "other")
		}
		earlier := x.event
		earlier.TxID, earlier.Asset, earlier.Note.Sequence = "EARLIER", 77, 0
		x.event.Position.Intra = 1
		must(t, w.r.View.Append([]repo.NewEvent{{Event: earlier, Effect: consortium.Object}}, nil))
		parsed, err := parseIncoming(taxii.Incoming{Raw: []byte(object)})
		must(t, err)
		hash, err := parsed.ContentHash()
		must(t, err)
		entry := entryOf(w.collection, parsed, hash, time.Now())
		entry.Position, entry.TxID, entry.Asset = earlier.Position, earlier.TxID, earlier.Asset
		must(t, w.r.View.Settle([]repo.Outcome{{Event: repo.LoggedEvent{Event: earlier}, State: repo.InView, Entry: entry}}))
		must(t, w.deliver(x.event))
		w.drain()
		if same {
			x.want("complete", x.event.TxID)
		} else {
			x.want("failed", "other content")
		}
	}
}
