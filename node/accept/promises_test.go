package accept

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// fee is what the network asks for.
type fee uint64

func (f fee) Params(context.Context) (ledger.Params, error) {
	return ledger.Params{MinFee: uint64(f)}, nil
}

// fixed is a collection for any recipients.
type fixed struct {
	consortium.Collection
	exists bool
	asked  [][]string
	made   int
	err    error
}

func (f *fixed) AdHoc(_ context.Context, names []string) (consortium.Collection, error) {
	f.asked, f.made = append(f.asked, names), f.made+1
	return f.Collection, f.err
}

func (f *fixed) PlanAdHoc(names []string) (consortium.Collection, bool, error) {
	f.asked = append(f.asked, names)
	return f.Collection, f.exists, f.err
}

func posts(objects ...string) taxii.Addition {
	listed := make(taxii.Listed, len(objects))
	a := taxii.Addition{Objects: listed}
	for i, o := range objects {
		listed[i].Raw = []byte(o)
	}
	return a
}

// Where an object may go is decided by its level and by who reads the collection, whosever it is; what may not is
// refused before it leaves the node, with the reason.
func TestTheLevelOfAnObjectDecidesIntoWhichCollectionItMayGo(t *testing.T) {
	h := newPublishersWorld(t)
	self, mallory := h.Self.Address(), h.Mallory.Address()
	made := func(owner *nodetest.Org, p wire.Collection) string {
		t.Helper()
		id := uuid.NewString()
		h.Takes(h.CollectionOf(owner, id, 1, p, h.Self, h.Mallory))
		return id
	}
	everybody := h.Everybody("")
	ring := h.Named("Ring", "")
	ring.Readers.Named, ring.Contributors.Named = []string{mallory}, []string{mallory}
	theirs := h.Named("Theirs", "")
	theirs.Readers.Named, theirs.Contributors.Named = []string{self}, []string{self}
	for what, collection := range map[string]struct {
		id     string
		levels []string // that may go there
	}{
		"everybody's":           {made(h.Self, everybody), []string{"clear", "white", "green"}},
		"a ring of ours":        {made(h.Self, ring), []string{"clear", "white", "green", "amber"}},
		"a ring of another's":   {made(h.Mallory, theirs), []string{"clear", "white", "green", "amber"}},
		"our own":               {h.Own, []string{"clear", "white", "green", "amber", "amber+strict"}},
		"for single recipients": {made(h.Self, madeForOne("red", wire.Accounts{Named: []string{mallory}}, wire.Accounts{})), []string{"clear", "white", "green", "amber", "red", "nonsense"}}, // what is no level counts as red
	} {
		for n, level := range []string{"clear", "white", "green", "amber", "amber+strict", "red", "nonsense"} {
			p := h.publisher()
			into, err := p.target(taxii.Collection{ID: collection.id})
			nodetest.Must(t, err)
			b, err := p.Batch(into, posts(labelled(n, level)))
			nodetest.Must(t, err)
			failure := b.Lines[0].Failure
			if want := slices.Contains(collection.levels, level); (failure == "") != want || !want && !strings.Contains(failure, "TLP:") {
				t.Errorf("tlp:%s into %s: %q, want it taken: %v", level, what, failure, want)
			}
			if failure == "" && kept(t, b) != b.level(t) {
				t.Errorf("tlp:%s is kept as %s", level, kept(t, b))
			}
		}
	}
}

// kept is the level with which the only object of a batch is taken in.
func kept(t *testing.T, b *Batch) (level stix.Level) {
	nodetest.Must(t, b.each(func(_ int, s outbox.Submission) error {
		level = stix.Level(s.Item.Level)
		return nil
	}))
	return level
}

// level is that of the only object of a batch.
func (b *Batch) level(t *testing.T) stix.Level {
	raw, err := b.raw(0)
	nodetest.Must(t, err)
	object, err := stix.Parse(raw)
	nodetest.Must(t, err)
	level, err := b.State.Permit(object, b.Into, b.Markings.Levels())
	nodetest.Must(t, err)
	return level
}

// What is for named recipients is published in their collection, and not in that which it was posted to.
func TestWhatIsForNamedRecipientsGoesToTheirCollection(t *testing.T) {
	h := newPublishersWorld(t)
	recipients := &fixed{}
	recipients.ID, recipients.Owner = uuid.NewString(), h.Self.Address()
	recipients.Properties = madeForOne("red", wire.Accounts{Named: []string{h.Mallory.Address()}}, wire.Accounts{})
	p := h.publisher()
	p.Recipients = recipients
	a := posts(labelled(1, "red"))
	a.To = []string{"mallory"}
	status, err := p.Publish(t.Context(), taxii.Principal{User: "ann"}, taxii.Collection{Root: "self", ID: h.Collection}, a)
	nodetest.Must(t, err)
	item := h.LastItem()
	if len(status.Pendings) != 1 || item.Collection != recipients.ID || item.User != "ann" || recipients.made != 1 || !slices.Equal(recipients.asked[0], a.To) {
		t.Errorf("%+v is published in %s for %q", status, item.Collection, item.User)
	}
	recipients.err = problem.Input(errors.New("no member is called x"))
	if _, err := p.Publish(t.Context(), taxii.Principal{}, taxii.Collection{ID: h.Collection}, a); err == nil || !strings.Contains(err.Error(), "no member is called x") {
		t.Errorf("for nobody: %v", err)
	}
	// Without recipients nobody is asked.
	if _, err := p.Publish(t.Context(), taxii.Principal{}, taxii.Collection{ID: h.Collection}, posts(nodetest.IndicatorJSON(9))); err != nil || recipients.made != 2 || h.LastItem().Collection != h.Collection {
		t.Errorf("without recipients: %v, in %s", err, h.LastItem().Collection)
	}
}

func TestWhoMayNotPublishInACollectionIsForbiddenTo(t *testing.T) {
	h := newPublishersWorld(t)
	p := h.publisher()
	reads := h.Named("Read only", "")
	reads.Readers.Named = []string{h.Self.Address()}
	readOnly := uuid.NewString()
	h.Takes(h.CollectionOf(h.Mallory, readOnly, 1, reads, h.Self))
	for what, id := range map[string]string{"an unknown collection": uuid.NewString(), "one that it only reads": readOnly} {
		if _, err := p.Publish(t.Context(), worldtest.PublisherRole, taxii.Collection{ID: id}, posts(nodetest.IndicatorJSON(1))); !errors.Is(err, taxii.ErrForbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := p.target(taxii.Collection{ID: h.Own}); err != nil {
		t.Errorf("the own: %v", err)
	}
	h.Removes(h.Self)
	if _, err := p.target(taxii.Collection{ID: h.Own}); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("as no member: %v", err)
	}
	if len(h.R.Outbox.Count()) > 0 && h.R.Outbox.Count()[outbox.Accepted] != 0 {
		t.Errorf("%v were taken in", h.R.Outbox.Count())
	}
}

// A status is told to who made the request, under the same API root, and to administrators.
func TestAStatusIsToldToWhoAskedAndToAdministrators(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	p := publisherIn(w)
	status, err := p.Publish(t.Context(), taxii.Principal{User: "ann"}, taxii.Collection{Root: "self", ID: w.Collection}, posts(nodetest.IndicatorJSON(1)))
	nodetest.Must(t, err)
	for _, one := range []struct {
		who  taxii.Principal
		root string
		id   string
		want bool
	}{
		{taxii.Principal{User: "ann"}, "self", status.ID, true},
		{taxii.Principal{User: "bob"}, "self", status.ID, false},
		{taxii.Principal{User: "bob", Role: taxii.RoleAdmin}, "self", status.ID, true},
		{taxii.Principal{User: "ann"}, "other", status.ID, false},
		{taxii.Principal{User: "bob", Role: taxii.RoleAdmin}, "other", status.ID, false},
		{taxii.Principal{User: "ann"}, "self", uuid.NewString(), false},
		{taxii.Principal{}, "", uuid.NewString(), false},
	} {
		got, err := p.Status(t.Context(), one.who, one.root, one.id)
		if one.want && (err != nil || got.ID != status.ID || got.RequestedAt.IsZero() || len(got.Pendings) != 1) || !one.want && !errors.Is(err, taxii.ErrNotFound) {
			t.Errorf("%+v under %s is told %+v (%v)", one.who, one.root, got, err)
		}
	}
}

// A request's objects each have their part of the status, in whatever order they were looked at; what is refused keeps
// nothing.
func TestEveryObjectOfARequestHasItsPartOfTheStatus(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	p := publisherIn(w)
	broken := taxii.Incoming{Raw: []byte(`{"id":"indicator--x"}`), Err: errors.New("it is too large")}
	a := posts("{", nodetest.IndicatorJSON(1), labelled(2, "red"), nodetest.IndicatorJSON(3))
	a.Objects = append(a.Objects.(taxii.Listed), broken)
	status, err := p.Publish(t.Context(), taxii.Principal{User: "ann"}, taxii.Collection{ID: w.Collection}, a)
	nodetest.Must(t, err)
	if len(status.Failures) != 3 || len(status.Pendings) != 2 || status.Pendings[0].ID != firstID || status.Failures[2].Message != "it is too large" || status.Failures[2].ID != "indicator--x" {
		t.Errorf("the status is %+v", status)
	}
	first, _, err := w.R.Outbox.Item(1)
	nodetest.Must(t, err)
	second, _, err := w.R.Outbox.Item(2)
	nodetest.Must(t, err)
	if first.ObjectID != firstID || second.StoredAt.Sub(first.StoredAt) != 2*time.Microsecond || first.Version != worldtest.FirstTime || !first.Revealing || first.Revoked {
		t.Errorf("they are %+v and %+v", first, second)
	}
	if _, err := w.R.Outbox.Payload(2); err != nil {
		t.Error(err)
	}
	if n := w.R.Outbox.Count()[outbox.Accepted]; n != 2 {
		t.Errorf("%d objects were taken in", n)
	}
}

// Each problem that keeps what was accepted from the chain is told in words for clients, and never the operator's
// details: but for those of the membership, which say since when and by whom.
func TestAClientIsToldWhyWhatItPostedWaits(t *testing.T) {
	const details = "secret"
	for known := range delays {
		told := "accepted and kept; it waits, since " + delays[known]
		if known == "membership" {
			told = "accepted and kept; it waits, since " + details
		}
		for _, state := range []outbox.State{outbox.Accepted, outbox.Stored, outbox.Signed} {
			d := noDelay()
			d.Sealing.Set(known, details)
			if got, want := d.of(outbox.Item{State: state}), state == outbox.Accepted; want && got != told || !want && got != "" {
				t.Errorf("sealing has the problem %s: what is %s says %q", known, state, got)
			}
			d = noDelay()
			d.Publishing.Set(known, details)
			if got := d.of(outbox.Item{State: state}); got != told {
				t.Errorf("publishing has the problem %s: what is %s says %q", known, state, got)
			}
		}
	}
	d := noDelay()
	d.Publishing.Set("something new", "secret")
	if got := d.of(outbox.Item{State: outbox.Accepted}); got != "" || d.isLasting() {
		t.Errorf("of a problem that has no words for clients it is said %q", got)
	}
}

// A problem that has stood for longer than a moment is a reason not to wait for its end.
func TestNobodyWaitsForTheEndOfALastingProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := noDelay()
		if d.isLasting() {
			t.Error("without a problem")
		}
		d.Publishing.Set("funds", "")
		time.Sleep(lasting)
		if d.isLasting() {
			t.Error("at once")
		}
		time.Sleep(time.Millisecond)
		if !d.isLasting() {
			t.Error("it is waited for")
		}
		since := time.Now()
		p := &Publisher{Watching: func() chainwatch.State { return chainwatch.State{Problem: chainwatch.ProblemBehind, Since: since} }}
		time.Sleep(lasting)
		if p.followingIsHopeless() {
			t.Error("an indexer that lags for a moment is given up")
		}
		time.Sleep(time.Millisecond)
		if !p.followingIsHopeless() || (&Publisher{}).followingIsHopeless() {
			t.Error("an indexer that lags is waited for, or one that nobody follows is not")
		}
	})
}

// Remarks about an object are bounded, and whole texts.
func TestRemarksAreBounded(t *testing.T) {
	for _, one := range []struct{ got, want string }{
		{joinedNotes(), ""}, {joinedNotes("", "a", "", "b"), "a; b"}, {joinedNotes(strings.Repeat("x", maxNote)), strings.Repeat("x", maxNote)},
		{joinedNotes(strings.Repeat("x", maxNote+1)), strings.Repeat("x", maxNote-3) + "..."},
		{joinedNotes(strings.Repeat("ä", maxNote)), strings.Repeat("ä", (maxNote-3)/2) + "..."},
	} {
		if one.got != one.want {
			t.Errorf("%q, want %q", one.got, one.want)
		}
	}
}

// What this organisation has of an object is what it published and does not take back.
func TestWhatStaysOfAnObjectIsOursAndNotBeingWithdrawn(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	b := &Batch{Publisher: publisherIn(w)}
	b.Into.ID = w.Collection
	stays := func(want bool, when string) {
		t.Helper()
		if got, err := b.InForce(firstID); err != nil || got != want {
			t.Errorf("%s: %v, %v", when, got, err)
		}
	}
	stays(false, "nothing is published")
	w.EnterBy("MALLORY", worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, ""))
	stays(false, "another member's is")
	asset := w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(1))
	stays(true, "ours is")
	_, err := withdrawerIn(w).Withdraw(t.Context(), worldtest.PublisherRole, taxii.Collection{ID: w.Collection}, []taxii.Record{{ID: firstID, AssetID: asset}})
	nodetest.Must(t, err)
	stays(false, "ours is being withdrawn")
	w.EnterBy(w.Self.Address(), worldtest.VersionOf(1, worldtest.FirstTime, worldtest.ThirdTime, ""))
	stays(true, "a later version of ours is there")
}

// What is posted again after it was taken back is shared again.
func TestWhatIsPostedAgainIsNotTakenBackAnyMore(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	asset := w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(1))
	_, err := withdrawerIn(w).Withdraw(t.Context(), worldtest.PublisherRole, taxii.Collection{ID: w.Collection}, []taxii.Record{{ID: firstID, AssetID: asset}})
	nodetest.Must(t, err)
	back := func() bool {
		t.Helper()
		back, err := withdraw.KeepsOut(w.R.Outbox, w.Collection, firstID, nil, time.Now())
		nodetest.Must(t, err)
		return back
	}
	add(w, false, nodetest.IndicatorJSON(2))
	if !back() {
		t.Error("another object shares it again")
	}
	add(w, false, worldtest.VersionOf(1, worldtest.FirstTime, worldtest.SecondTime, ""))
	if back() {
		t.Error("posted again, it is taken back still")
	}
}

// A withdrawal is complete when the object has left what is served: not when it was signed, nor when it was confirmed.
func TestAWithdrawalIsCompleteWhenNothingIsServed(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	shown := w.Mint(w.Self, w.Object(1))
	nodetest.Must(t, w.Deliver(shown))
	w.Drain()
	p := publisherIn(w)
	_, err := withdrawerIn(w).Withdraw(t.Context(), worldtest.PublisherRole, taxii.Collection{ID: w.Collection}, []taxii.Record{{ID: firstID, AssetID: shown.Asset}})
	nodetest.Must(t, err)
	item := w.LastItem()
	is := func(item outbox.Item, done bool, words string) {
		t.Helper()
		fate, err := p.fate(item)
		if err != nil || fate.done != done || fate.failure != "" || !strings.Contains(fate.waits, words) || words == "" && fate.waits != "" {
			t.Errorf("it is %+v (%v), want done %v, %q", fate, err, done, words)
		}
	}
	is(item, false, "")
	p.Delay.Publishing.Set("funds", "")
	is(item, false, "can't pay")
	end := w.Destroy(w.Self, shown.Asset)
	item.State, item.Round, item.Note.Sequence = outbox.Confirmed, end.Round, end.Note.Sequence
	is(item, false, "until the node has followed the chain to that round")
	nodetest.Must(t, w.Replicator.Deliver(t.Context(), end.Round, nil))
	is(item, false, "has not seen this transaction")
	nodetest.Must(t, w.Deliver(end))
	is(item, true, "")
	item.State = outbox.Stored // the view is ahead of the outbox
	is(item, true, "")
	is(outbox.Item{State: outbox.Confirmed, Note: wire.Note{Kind: wire.KindMember}}, true, "")
	is(outbox.Item{State: outbox.Withdrawn, Note: wire.Note{Kind: wire.KindObject}}, true, "")
	if fate, err := p.fate(outbox.Item{Failure: "no"}); err != nil || fate.failure != "no" || fate.done {
		t.Errorf("what was given up is %+v (%v)", fate, err)
	}
}

// A client that leaves is let go, and a status that there is none of is waited for by nobody.
func TestAClientThatLeavesIsLetGo(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	p := publisherIn(w)
	p.Wait, p.Shown = time.Hour, &signal.Signal{}
	gone, leave := context.WithCancel(t.Context())
	leave()
	status, err := p.Publish(gone, taxii.Principal{}, taxii.Collection{ID: w.Collection}, posts(nodetest.IndicatorJSON(1)))
	if err != nil || len(status.Pendings) != 1 {
		t.Errorf("%+v, %v", status, err)
	}
	if status, err := p.Await(t.Context(), uuid.NewString()); err != nil || status.ID != "" {
		t.Errorf("%+v, %v", status, err)
	}
	// What is over at once is not waited for.
	status, err = p.Publish(t.Context(), taxii.Principal{}, taxii.Collection{ID: w.Collection}, posts(labelled(1, "red"), "{"))
	if err != nil || len(status.Failures) != 2 {
		t.Errorf("%+v, %v", status, err)
	}
}

// What the chain has of a collection whose record has not come is told as it is.
func TestEachStateOfWhatIsOnTheChainIsToldInWords(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	x := publishes(w, 1)
	x.confirm()
	nodetest.Must(t, w.R.View.Append([]view.NewEvent{{Event: x.event, Effect: consortium.Object}}, nil))
	x.want("pending", "its blocks are being read")
	nodetest.Must(t, w.R.View.Settle([]view.Outcome{{Event: view.Event{Event: x.event}, State: view.Undecided}}))
	x.want("pending", "it waits for a record of its collection")
}

type down struct{}

func (down) Params(context.Context) (ledger.Params, error) { return ledger.Params{}, fmt.Errorf("503") }
