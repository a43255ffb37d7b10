package withdraw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const (
	one   = "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f"
	two   = "indicator--00000002-17d4-4cbf-938f-98ee46b3cd3f"
	here  = "11111111-17d4-4cbf-938f-98ee46b3cd3f"
	there = "22222222-17d4-4cbf-938f-98ee46b3cd3f"
)

// recordOf is what a client that withdraws is shown of a publication.
func recordOf(item outbox.Item) taxii.Record {
	return taxii.Record{ID: item.ObjectID, Version: item.Version, TxID: item.TxID, AssetID: item.Asset}
}

func TestOnlyWhatThisOrganisationPublishedIsWithdrawn(t *testing.T) {
	d := newDesk(t)
	own := d.publishes(version{one, 1, here})
	d.show(version{two, 1, here}.entry(), d.alpha.Address(), "ALPHA", 7000)
	who := taxii.Principal{User: "u", Role: taxii.RolePublisher}
	for _, records := range [][]taxii.Record{{{ID: two, AssetID: 7000}}, {recordOf(own), {ID: two, AssetID: 7000}}, {{ID: one, AssetID: 1}}} {
		if _, err := d.withdrawer().Withdraw(t.Context(), who, taxii.Collection{ID: here}, records); !errors.Is(err, taxii.ErrForbidden) {
			t.Errorf("%+v: %v", records, err)
		}
	}
	var input *problem.InputError
	for _, what := range []string{two, "ALPHA"} {
		if _, err := d.withdrawer().WithdrawAll(t.Context(), Selection{What: what}); !errors.Is(err, errNotPublisher) || !errors.As(err, &input) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(d.ends()) > 0 || len(d.memory) > 0 {
		t.Fatalf("%v are withdrawn, and %v is remembered", d.ends(), d.memory)
	}

	// Somebody else has published the same object: ours is withdrawn, theirs stays.
	d.show(version{one, 2, here}.entry(), d.alpha.Address(), "ALPHA2", 7001)
	list, err := d.withdrawer().beginAll(t.Context(), Selection{What: one})
	if err != nil || len(list) != 1 || list[0].Asset != own.Asset || !slices.Equal(d.ends(), []uint64{own.Asset}) {
		t.Errorf("%+v, %v; the outbox ends %v", list, err, d.ends())
	}
}

func TestASelectionIsAllVersionsOfAnObjectOrWhatATransactionPublished(t *testing.T) {
	for _, c := range []struct {
		what     string
		selected Selection
		want     []int // of what was published
		fails    string
	}{
		{"an object", Selection{What: one}, []int{0, 1, 2}, ""},
		{"an object in one collection", Selection{What: one, Collection: there}, []int{2}, ""},
		{"an object in a collection that it isn't in", Selection{What: two, Collection: there}, nil, "no object"},
		{"a transaction", Selection{What: "TX2"}, []int{1}, ""},
		{"what nobody knows", Selection{What: "TX99"}, nil, "no object TX99 is in the view"},
		{"a transaction whose object is gone", Selection{What: "GONE"}, nil, "transaction GONE published nothing that is in the view: withdrawn"},
	} {
		d := newDesk(t)
		published := []outbox.Item{d.publishes(version{one, 1, here}), d.publishes(version{one, 2, here}), d.publishes(version{one, 1, there}), d.publishes(version{two, 1, here})}
		d.show(version{two, 2, here}.entry(), d.self.Address(), "GONE", 7000)
		d.end(7000)
		list, err := d.withdrawer().beginAll(t.Context(), c.selected)
		var input *problem.InputError
		if c.fails != "" && (!errors.As(err, &input) || !strings.Contains(err.Error(), c.fails)) || c.fails == "" && err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		var got, want []Withdrawal
		for _, w := range list {
			got = append(got, Withdrawal{ID: w.ID, Version: w.Version, Collection: w.Collection, TxID: w.TxID, Asset: w.Asset})
		}
		for _, n := range c.want {
			p := published[n]
			want = append(want, Withdrawal{ID: p.ObjectID, Version: p.Version, Collection: p.Collection, TxID: p.TxID, Asset: p.Asset})
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v", c.what, got, want)
		}
	}
}

func TestOneCallWithdrawsTenThousandVersionsAndNoMore(t *testing.T) {
	d := newDesk(t)
	for n := range 10_000 {
		d.events = append(d.events, &shown{entry: &view.Entry{ID: one, TxID: "T", Asset: uint64(n), Publisher: d.self.Address()}, Event: view.Event{State: view.InView}})
	}
	if entries, err := d.withdrawer().selected(Selection{What: one}); err != nil || len(entries) != 10_000 {
		t.Errorf("%d of 10,000 are selected, %v", len(entries), err)
	}
	d.show(version{one, 1, here}.entry(), d.self.Address(), "X", 1)
	if _, err := d.withdrawer().selected(Selection{What: one}); err == nil || !strings.Contains(err.Error(), "more than 10000 versions") {
		t.Errorf("one more: %v", err)
	}
}

// Destroying the NFT of a batch would withdraw all of it.
func TestOneObjectOfABatchIsEndedByARecord(t *testing.T) {
	d := newDesk(t)
	asset := d.publishes(version{one, 2, here}).Asset
	of := swarm.Published{Asset: asset, Index: 17}
	item, err := d.withdrawer().End(t.Context(), of)
	nodetest.Must(t, err)
	if item.Note.Kind != wire.KindRemoval || item.Note.Asset != asset || item.Note.Index != 17 {
		t.Errorf("it is ended by %+v", item)
	}
	entry := &view.Entry{Asset: asset, Position: consortium.Position{Index: 17}}
	other := &view.Entry{Asset: asset, Position: consortium.Position{Index: 18}}
	for e, want := range map[*view.Entry]bool{entry: true, other: false} {
		if leaving, err := IsLeaving(d, e); err != nil || leaving != want {
			t.Errorf("object %d is leaving: %t, %v", e.Position.Index, leaving, err)
		}
	}
	_, err = d.withdrawer().Destroy(t.Context(), asset)
	nodetest.Must(t, err)
	if leaving, err := IsLeaving(d, other); err != nil || !leaving {
		t.Errorf("with the batch object 18 is leaving: %t, %v", leaving, err)
	}
}

// With a key that was replaced nothing can be destroyed: a record says that it is withdrawn.
func TestWhatWasMintedWithAnEarlierAccountIsEndedByARecord(t *testing.T) {
	d := newDesk(t)
	d.show(version{one, 1, here}.entry(), "FORMER", "OLD", 7000)
	item, err := d.withdrawer().End(t.Context(), swarm.Published{Asset: 7000})
	nodetest.Must(t, err)
	if item.Note.Kind != wire.KindRemoval || item.Note.Asset != 7000 {
		t.Errorf("it is ended by %+v", item)
	}
	for _, asset := range []uint64{d.publishes(version{one, 2, here}).Asset, 4711} { // ours, or nobody's that the view knows: a membership
		if item, err = d.withdrawer().End(t.Context(), swarm.Published{Asset: asset}); err != nil || item.Note.Kind != wire.KindDestroy || item.Destroys != asset || item.User != withdrawals {
			t.Errorf("it is ended by %+v, %v", item, err)
		}
	}
}

func TestAWithdrawalIsOverWhenTheViewSaysSo(t *testing.T) {
	d := newDesk(t)
	synctest.Test(t, func(t *testing.T) {
		d.clear()
		d.done = *newSignal()
		first, second := d.publishes(version{one, 1, here}), d.publishes(version{one, 2, here})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		list, err := d.withdrawer().WithdrawAll(ctx, Selection{What: one})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "each of 2 withdrawals is stored and will be on the chain, but isn't yet") ||
			!strings.Contains(err.Error(), "the account is empty") || len(list) != 2 || list[0].Withdrawn {
			t.Errorf("nothing is minted: %+v, %v", list, err)
		}
		ended := make(chan error, 1)
		go func() {
			list, err = d.withdrawer().WithdrawAll(t.Context(), Selection{What: one})
			ended <- err
		}()
		synctest.Wait()
		d.mint(3)
		synctest.Wait()
		select {
		case <-ended:
			t.Fatal("it is over with one of two")
		default:
		}
		d.mint(4)
		nodetest.Must(t, <-ended)
		for i, item := range []outbox.Item{first, second} {
			if w := list[i]; w.Asset != item.Asset || !w.Withdrawn || w.Destroyed != fmt.Sprintf("TX%d", i+3) || w.Requested.IsZero() != (d.items[i+2].StoredAt.IsZero()) {
				t.Errorf("withdrawal %d is %+v", i, w)
			}
		}
	})
}

func TestAClientIsTold(t *testing.T) {
	d := newDesk(t)
	item := d.publishes(version{one, 1, here})
	status, err := d.withdrawer().Withdraw(t.Context(), taxii.Principal{User: "u"}, taxii.Collection{ID: here, Root: "root"}, []taxii.Record{recordOf(item)})
	nodetest.Must(t, err)
	if len(d.statuses) != 1 {
		t.Fatalf("the statuses are %+v", d.statuses)
	}
	s := d.statuses[0]
	if s.ID != status.ID || s.User != "u" || s.Root != "root" || s.Requested.IsZero() || len(s.lines) != 1 || s.lines[0] != (outbox.StatusLine{ObjectID: one, Version: item.Version, Item: 2}) {
		t.Errorf("the status is %+v", s)
	}
}

// What is to come in the place of what is withdrawn is withdrawn with it, or nothing is.
func TestWhatFollowsIsWithdrawnTooAndWhatIsStillOnItsWayKeepsAllOfIt(t *testing.T) {
	d := newDesk(t)
	old := d.publishes(version{one, 1, here})
	next := d.post(version{one, 1, here})
	for name, withdraw := range map[string]func() error{
		"an operator": func() error {
			_, err := d.withdrawer().WithdrawAll(t.Context(), Selection{What: one})
			var input *problem.InputError
			if !errors.As(err, &input) {
				t.Errorf("it is no mistake of the caller's: %v", err)
			}
			return err
		},
		"a client": func() error {
			_, err := d.withdrawer().Withdraw(t.Context(), taxii.Principal{}, taxii.Collection{ID: here}, []taxii.Record{recordOf(old)})
			return err
		},
	} {
		if err := withdraw(); !errors.Is(err, taxii.ErrConflict) || len(d.ends()) > 0 {
			t.Errorf("%s: %v; %v are ended", name, err, d.ends())
		}
	}
	d.mint(next.Number)
	_, err := d.withdrawer().Withdraw(t.Context(), taxii.Principal{}, taxii.Collection{ID: here}, []taxii.Record{recordOf(old)})
	nodetest.Must(t, err)
	if want := []uint64{old.Asset, d.items[next.Number-1].Asset}; !slices.Equal(d.ends(), want) {
		t.Errorf("%v are ended, want %v", d.ends(), want)
	}
}

func TestWhatReplacesIsKnownByItsKey(t *testing.T) {
	entry := version{one, 1, here}.entry()
	entry.TxID = "TX1"
	for _, c := range []struct {
		what    string
		item    outbox.Item
		follows bool
	}{
		{"another publication", outbox.Item{State: outbox.Confirmed, TxID: "TX2"}, true},
		{"one that is not signed yet", outbox.Item{State: outbox.Stored}, true},
		{"the entry itself", outbox.Item{State: outbox.Confirmed, TxID: "TX1"}, false},
		{"one that failed", outbox.Item{State: outbox.Confirmed, TxID: "TX2", Failure: "x"}, false},
		{"one that is withdrawn", outbox.Item{State: outbox.Withdrawn, TxID: "TX2"}, false},
	} {
		d := &desk{items: []outbox.Item{c.item}, byKey: map[string]int{"key": 0}}
		if _, found, err := Follows(d, []byte("key"), entry); err != nil || found != c.follows {
			t.Errorf("%s: %t, %v", c.what, found, err)
		}
		d.byKey[string(destroyKey(7))] = 0
		if leaving, err := IsLeaving(d, &view.Entry{Asset: 7}); err != nil || leaving != (c.item.Failure == "") {
			t.Errorf("%s ends it: %t, %v", c.what, leaving, err)
		}
	}
	if leaving, err := IsLeaving(&desk{}, &view.Entry{Asset: 7}); err != nil || leaving {
		t.Errorf("nothing ends it: %t, %v", leaving, err)
	}
}

func TestWhatIsTakenBackStaysSoUntilItIsSharedAgain(t *testing.T) {
	d := newDesk(t)
	d.publishes(version{one, 1, here})
	says := func(what string, back, other, any bool) {
		t.Helper()
		for _, c := range []struct {
			collection string
			want       bool
		}{{here, back}, {there, other}} {
			if got, err := KeepsOut(d, c.collection, one, nil, time.Now()); err != nil || got != c.want {
				t.Errorf("%s: taken back in %.4s: %t, %v", what, c.collection, got, err)
			}
		}
		if got, err := AnyTakenBack(d); err != nil || got != any {
			t.Errorf("%s: anything: %t, %v", what, got, err)
		}
	}
	says("at first", false, false, false)
	_, err := d.withdrawer().beginAll(t.Context(), Selection{What: one})
	nodetest.Must(t, err)
	says("withdrawn", true, false, true)
	nodetest.Must(t, d.ForgetMemo(TakenBackMemo(there, one)))
	says("shared elsewhere", true, false, true)
	nodetest.Must(t, d.ForgetMemo(TakenBackMemo(here, one)))
	says("shared again", false, false, false)
}

func TestWhatIsKnownOfAnObjectIsShown(t *testing.T) {
	d := newDesk(t)
	title := d.chain.State.Collections()[0]
	own := d.publishes(version{one, 1, title.ID})
	d.show(version{one, 2, there}.entry(), d.alpha.Address(), "ALPHA", 7000)
	if _, err := d.withdrawer().Show(t.Context(), two); err == nil || !strings.Contains(err.Error(), "nothing is known of "+two) {
		t.Errorf("what nobody knows: %v", err)
	}
	shown, err := d.withdrawer().Show(t.Context(), one)
	nodetest.Must(t, err)
	if p := shown.Publications; len(p) != 2 || p[0].Asset != own.Asset || p[0].TxID != own.TxID || p[0].Title != title.Properties.Title || p[0].Publisher != "self" || p[0].Version != own.Version ||
		p[0].Round != 1 || p[1].Publisher != "alpha" || p[1].Title != "" || len(shown.Withdrawals) > 0 {
		t.Errorf("it is shown as %+v", shown)
	}
	if shown, err = d.withdrawer().Show(t.Context(), "ALPHA"); err != nil || len(shown.Publications) != 1 || shown.Publications[0].Asset != 7000 {
		t.Errorf("by its transaction it is shown as %+v, %v", shown, err)
	}

	_, err = d.withdrawer().beginAll(t.Context(), Selection{What: one})
	nodetest.Must(t, err)
	shown, err = d.withdrawer().Show(t.Context(), one)
	nodetest.Must(t, err)
	if w := shown.Withdrawals; len(shown.Publications) != 2 || len(w) != 1 || w[0].Withdrawn || len(w[0].Members) > 0 {
		t.Errorf("about to be withdrawn it is shown as %+v", shown)
	}
	d.mintAll()
	for _, what := range []string{one, own.TxID} {
		shown, err = d.withdrawer().Show(t.Context(), what)
		nodetest.Must(t, err)
		if w := shown.Withdrawals; len(w) != 1 || !w[0].Withdrawn || w[0].Destroyed != "TX2" || len(w[0].Members) != 2 || !w[0].Members[0].At.IsZero() {
			t.Errorf("withdrawn %s is shown as %+v", what, shown)
		}
	}
}
