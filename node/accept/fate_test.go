package accept

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// publication is one object on its way, in a world where a test says how far it comes.
type publication struct {
	*worldtest.World
	p     *Publisher
	id    string // of the status
	item  outbox.Item
	event consortium.Event
	state chainwatch.State
}

// publishes accepts an object and confirms it, without the indexer having told of it.
func publishes(w *worldtest.World, n int) *publication {
	w.T.Helper()
	x := &publication{World: w}
	x.p = &Publisher{
		Outbox: publish.NewOutbox(w.R.Outbox), View: w.R.View, State: w.State, Shown: &signal.Signal{}, Delay: noDelay(), Wait: time.Hour,
		Watching: func() chainwatch.State { return x.state },
	}
	w.R.View.OnChange(x.p.Shown.Notify)
	collection := taxii.Collection{ID: w.Collection}
	into, err := x.p.target(collection)
	nodetest.Must(w.T, err)
	x.id, err = x.p.Accept(taxii.Principal{User: "u"}, collection, into, taxii.Addition{Objects: taxii.Listed{{Raw: []byte(nodetest.IndicatorJSON(n))}}})
	nodetest.Must(w.T, err)
	items, err := w.R.Outbox.Queue(outbox.Accepted, 0, 10)
	nodetest.Must(w.T, err)
	x.item = items[0]
	x.event = w.Mint(w.Self, w.Object(n))
	x.item.Directory = x.event.Directory
	nodetest.Must(w.T, w.R.Outbox.SetStored([]outbox.Item{x.item}))
	items, err = w.R.Outbox.Queue(outbox.Stored, 0, 10)
	nodetest.Must(w.T, err)
	items[0].Note.Sequence = x.event.Note.Sequence
	_, err = w.R.Outbox.AddGroups([]outbox.Group{{TxIDs: []string{x.event.TxID}, LastValid: 1000}}, items[:1])
	nodetest.Must(w.T, err)
	return x
}

func (x *publication) confirm() {
	x.T.Helper()
	confirmed, err := x.R.Outbox.Confirm([]consortium.Place{{TxID: x.event.TxID, Round: x.event.Round, Asset: x.event.Asset}})
	nodetest.Must(x.T, err)
	if len(confirmed) != 1 {
		x.T.Fatal("it was not confirmed")
	}
	x.p.Outbox.Done.Notify()
}

// is tells what a client is told: "complete", "failed" or "pending", and the message.
func (x *publication) is() (string, string) {
	x.T.Helper()
	status, err := x.p.status(x.id)
	nodetest.Must(x.T, err)
	switch {
	case len(status.Successes) == 1:
		return "complete", status.Successes[0].Message
	case len(status.Failures) == 1:
		return "failed", status.Failures[0].Message
	}
	return "pending", status.Pendings[0].Message
}

func (x *publication) want(state, message string) {
	x.T.Helper()
	if got, text := x.is(); got != state || !strings.Contains(text, message) {
		x.T.Errorf("it is %s: %q; want %s: %q", got, text, state, message)
	}
}

// What is complete is served: who posts and then looks finds it.
func TestCompleteMeansServed(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	x := publishes(w, 1)
	x.want("pending", x.event.TxID)
	x.confirm()
	x.state = chainwatch.State{}
	x.want("pending", "until the node has followed the chain to that round")
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
	nodetest.Must(t, w.Deliver(x.event))
	x.want("pending", "blocks")
	w.Drain()
	x.want("complete", x.event.TxID)
	if entries, _, err := w.R.View.Page(view.Query{Collection: w.Collection, Versions: view.Versions{All: true}, Limit: 10}); err != nil || len(entries) != 1 {
		t.Errorf("%d objects are served, %v", len(entries), err)
	}
	// It is so after a restart, and when it was withdrawn since.
	w.Open()
	x.p.State = w.State
	x.want("complete", x.event.TxID)
	nodetest.Must(t, w.Deliver(w.Destroy(w.Self, x.event.Asset)))
	x.want("complete", x.event.TxID)
}

// A client that waits is answered as soon as the object is served, and not before; one that would wait without success,
// soon.
func TestAClientWaitsUntilWhatItPostedIsServed(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	x := publishes(w, 1)
	x.confirm()
	answered := make(chan taxii.Status, 1)
	go func() {
		status, err := x.p.Await(t.Context(), x.id)
		nodetest.Must(t, err)
		answered <- status
	}()
	nodetest.Must(t, w.Deliver(x.event))
	select {
	case status := <-answered:
		t.Fatalf("it is answered %+v before the object is served", status)
	case <-time.After(50 * time.Millisecond):
	}
	w.Drain()
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
		"it stands still":      {chainwatch.State{}, 200 * time.Millisecond, "has followed it to round"},
	} {
		w := worldtest.NewFoundedWorld(t)
		x := publishes(w, 1)
		x.confirm()
		x.state, x.p.Wait = test.state, test.patience
		begun := time.Now()
		status, err := x.p.Await(t.Context(), x.id)
		nodetest.Must(t, err)
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
	w := worldtest.NewFoundedWorld(t)
	refused := publishes(w, 1)
	refused.confirm()
	refused.event.MetadataHash = make([]byte, 32)
	nodetest.Must(t, w.Deliver(refused.event))
	w.Drain()
	refused.want("failed", "another hash")

	left := publishes(w, 2)
	left.confirm()
	other := w.Mint(w.Self, w.Object(3)) // a later one, which the indexer shows
	nodetest.Must(t, w.Deliver(other))
	w.Drain()
	left.want("pending", "has not seen this transaction")
	void := w.Mint(w.Self, w.Object(4))
	void.Note.Kind, void.Note.Sequence = "of-another-day", left.event.Note.Sequence // so the number was seen, and counts for nothing
	nodetest.Must(t, w.Deliver(void))
	left.want("failed", "counts for nothing")
}

// This organisation published the same before: it is served, and if it is not the same it is no success.
func TestADuplicateIsCompleteIfItsContentIsServed(t *testing.T) {
	for _, same := range []bool{true, false} {
		w := worldtest.NewFoundedWorld(t)
		x := publishes(w, 1)
		x.confirm()
		object := nodetest.IndicatorJSON(1)
		if !same {
			object = nodetest.DescribedIndicator(1, "other")
		}
		earlier := x.event
		earlier.TxID, earlier.Asset, earlier.Note.Sequence = "EARLIER", 77, 0
		x.event.Position.Intra = 1
		nodetest.Must(t, w.R.View.Append([]view.NewEvent{{Event: earlier, Effect: consortium.Object}}, nil))
		parsed, err := parseIncoming(taxii.Incoming{Raw: []byte(object)})
		nodetest.Must(t, err)
		hash, err := parsed.ContentHash()
		nodetest.Must(t, err)
		entry := state.EntryOf(w.Collection, parsed, hash, time.Now())
		entry.Position, entry.TxID, entry.Asset, entry.Publisher = earlier.Position, earlier.TxID, earlier.Asset, earlier.Sender
		nodetest.Must(t, w.R.View.Settle([]view.Outcome{{Event: view.Event{Event: earlier}, State: view.InView, Entry: entry}}))
		nodetest.Must(t, w.Deliver(x.event))
		w.Drain()
		if same {
			x.want("complete", x.event.TxID)
		} else {
			x.want("failed", "other content")
		}
		// What is to take the place of something is served when that has left, whoever's of the two it is.
		item, _, err := w.R.Outbox.Item(x.item.Number)
		nodetest.Must(t, err)
		item.ReplacesAsset = earlier.Asset
		if fate, err := x.p.fate(item); err != nil || fate.done || fate.failure != "" || fate.waits != waitsForReplaced {
			t.Errorf("with the same content (%v) its fate is %+v, %v", same, fate, err)
		}
		if item.ReplacesAsset, item.Replaces = 0, item.Number+1; !same {
			if fate, err := x.p.fate(item); err != nil || fate.done || fate.waits != waitsForReplaced {
				t.Errorf("its fate is %+v, %v", fate, err)
			}
		}
	}
}

// An object that another member published before as well is complete with its own transaction; so it stays when the
// other one withdraws its own.
func TestWhatAnotherMemberPublishedTooIsCompleteWithItsOwnTransaction(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	others := w.EnterBy("SOMEBODY", nodetest.IndicatorJSON(1))
	x := publishes(w, 1)
	x.want("pending", "")
	x.confirm()
	nodetest.Must(t, w.Deliver(x.event))
	w.Drain()
	x.want("complete", x.event.TxID)
	leading := func() string {
		entry, err := w.R.View.Latest(w.Collection, firstID)
		nodetest.Must(t, err)
		if entry == nil {
			return "nothing"
		}
		return entry.Publisher
	}
	if got := leading(); got != "SOMEBODY" {
		t.Errorf("served is %s's, which came second", got)
	}
	_, _, err := w.R.View.Withdraw(view.Recall{Asset: others, Senders: []string{"SOMEBODY"}, At: later})
	nodetest.Must(t, err)
	x.want("complete", x.event.TxID)
	if got := leading(); got != w.Self.Address() {
		t.Errorf("after the other's withdrawal %s is served", got)
	}
}

// later is after everything.
var later = consortium.Position{Round: math.MaxUint64}
