package withdraw

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// batchID is the transaction of a batch.
var batchID = strings.Repeat("A", 52)

// batch puts a batch on the chain, and lets the view show its objects.
func (d *desk) batch(sender string, asset uint64, versions ...version) {
	d.events = append(d.events, &shown{Event: view.Event{State: view.Held, Event: consortium.Event{
		Position: consortium.Position{Round: uint64(len(d.events) + 1)}, TxID: batchID, Asset: asset, Sender: sender, Note: wire.Note{Kind: wire.KindBatch},
	}}})
	round := uint64(len(d.events))
	for i, v := range versions {
		entry := v.entry()
		d.show(entry, sender, batchID, asset)
		entry.Position = consortium.Position{Round: round, Index: uint32(i + 1)}
		d.events[len(d.events)-1].Position = entry.Position
	}
}

func (d *desk) Objects(batch view.Event) (list []view.Event, err error) {
	if err := d.fails("Objects"); err != nil {
		return nil, err
	}
	for _, s := range d.events {
		if s.TxID == batch.TxID && s.Index > 0 {
			list = append(list, s.Event)
		}
	}
	return list, nil
}

// endOne ends an object of a batch.
func (d *desk) endOne(asset uint64, index uint32) {
	for _, s := range d.events {
		switch {
		case s.Asset != asset:
		case s.Index == index:
			s.State = view.Ended
		case s.Index == 0:
			if s.Withdrawn == nil {
				s.Withdrawn = make([]byte, wire.MaxBatch/8)
			}
			s.Withdrawn[(index-1)/8] |= 1 << ((index - 1) % 8)
		}
	}
}

// lastItem is what came into the outbox last.
func (d *desk) lastItem() outbox.Item { return d.items[len(d.items)-1] }

// One object of a batch is withdrawn by a record, the NFT of which nothing is left is destroyed.
func TestObjectsAreTakenOutOfABatchOneByOne(t *testing.T) {
	d := newDesk(t)
	d.batch(d.self.Address(), 7, version{one, 1, here}, version{two, 1, here})
	w := d.withdrawer()
	list, err := w.beginAll(t.Context(), Selection{What: batchID + "/2"})
	nodetest.Must(t, err)
	if len(list) != 1 || list[0].ID != two || list[0].Index != 2 || list[0].Asset != 7 {
		t.Fatalf("withdrawn is %+v", list)
	}
	if item := d.lastItem(); item.Note.Kind != wire.KindRemoval || item.Note.Asset != 7 || item.Note.Index != 2 {
		t.Errorf("by %+v", item)
	}
	d.mintAll()
	nodetest.Must(t, w.endEmpty(t.Context()))
	if !w.IsWithdrawn(swarm.Published{Asset: 7, Index: 2}) || w.IsWithdrawn(swarm.Published{Asset: 7, Index: 1}) || w.IsWithdrawn(swarm.Published{Asset: 7}) || len(d.items) != 1 {
		t.Errorf("withdrawn is the second: %v, the first: %v; there are %d items", w.IsWithdrawn(swarm.Published{Asset: 7, Index: 2}), w.IsWithdrawn(swarm.Published{Asset: 7, Index: 1}), len(d.items))
	}
	_, err = w.Withdraw(t.Context(), taxii.Principal{}, taxii.Collection{ID: here}, []taxii.Record{{ID: one, TxID: batchID, AssetID: 7, Index: 1}})
	nodetest.Must(t, err)
	d.mintAll()
	nodetest.Must(t, w.endEmpty(t.Context()))
	if item := d.lastItem(); len(d.items) != 3 || item.Note.Kind != wire.KindDestroy || item.Destroys != 7 {
		t.Errorf("when nothing is left there are %d items, the last is %+v", len(d.items), item)
	}
	d.mintAll()
	nodetest.Must(t, w.endEmpty(t.Context()))
	nodetest.Must(t, d.withdrawer().endEmpty(t.Context()))
	if len(d.items) != 3 || !w.IsWithdrawn(swarm.Published{Asset: 7}) {
		t.Errorf("it is ended %d times", len(d.items)-2)
	}
}

func TestABatchIsWithdrawnAsAWhole(t *testing.T) {
	d := newDesk(t)
	d.batch(d.self.Address(), 7, version{one, 1, here}, version{two, 1, here})
	list, err := d.withdrawer().beginAll(t.Context(), Selection{What: batchID})
	nodetest.Must(t, err)
	if len(list) != 1 || list[0].Objects != 2 || list[0].Asset != 7 || list[0].Index != 0 || list[0].TxID != batchID {
		t.Errorf("withdrawn is %+v", list)
	}
	if item := d.lastItem(); len(d.items) != 1 || item.Note.Kind != wire.KindDestroy || item.Destroys != 7 {
		t.Errorf("by %+v", d.items)
	}
	for _, id := range []string{one, two} {
		if back, err := KeepsOut(d, here, id, nil, time.Now()); err != nil || !back {
			t.Errorf("that %s is taken back is known: %v (%v)", id, back, err)
		}
		entry := version{id, 1, here}.entry()
		entry.Asset, entry.Position.Index = 7, 2
		if leaving, err := IsLeaving(d, entry); err != nil || !leaving {
			t.Errorf("%s leaves: %v (%v)", id, leaving, err)
		}
	}
}

func TestNobodyWithdrawsABatchOfOthers(t *testing.T) {
	d := newDesk(t)
	d.batch(d.alpha.Address(), 7, version{one, 1, here})
	for _, what := range []string{batchID, batchID + "/1"} {
		if list, err := d.withdrawer().beginAll(t.Context(), Selection{What: what}); err == nil || len(d.items) > 0 {
			t.Errorf("%s: withdrawn is %+v", what, list)
		}
	}
}

func TestObjectsOfABatchAreShownWithTheirPlaces(t *testing.T) {
	d := newDesk(t)
	d.batch(d.self.Address(), 7, version{one, 1, here}, version{two, 1, here})
	shown, err := d.withdrawer().Show(t.Context(), batchID+"/2")
	if err != nil || len(shown.Publications) != 1 || shown.Publications[0].ID != two || shown.Publications[0].Index != 2 {
		t.Errorf("shown is %+v (%v)", shown, err)
	}
}

// releasing is a desk whose deposits are to come back after a day.
func (d *desk) releasing() *Releaser {
	return &Releaser{Outbox: d, View: d, State: d.chain.State, After: 24 * time.Hour, Log: nodetest.Discard}
}

func (d *desk) Cursor() (uint64, error) { return d.cursor, d.fails("Cursor") }

func (d *desk) Deposits(before time.Time, limit int) (list []outbox.Deposit, err error) {
	if err := d.fails("Deposits"); err != nil {
		return nil, err
	}
	for _, deposit := range d.deposits {
		if deposit.At.Before(before) && len(list) < limit {
			deposit.Item = d.items[deposit.Item.Number-1]
			list = append(list, deposit)
		}
	}
	return list, nil
}

func (d *desk) Decided(decided outbox.Deposit) error {
	return d.write(func() {
		d.deposits = slices.DeleteFunc(d.deposits, func(o outbox.Deposit) bool { return o.Item.Number == decided.Item.Number })
	})
}

// deposit publishes something that is confirmed now.
func (d *desk) deposit(v version) outbox.Item {
	item := d.publishes(v)
	d.deposits = append(d.deposits, outbox.Deposit{Item: item, At: time.Now()})
	return item
}

// releases counts the releases and other ends of an NFT.
func (d *desk) releases(asset uint64) (releases, ends int) {
	for _, item := range d.items {
		switch {
		case item.Destroys == asset && item.Note.Kind == wire.KindRelease:
			releases++
		case item.Destroys == asset:
			ends++
		}
	}
	return releases, ends
}

func TestADepositComesBackAfterItsTimeAndOnce(t *testing.T) {
	d := newDesk(t)
	synctest.Test(t, func(t *testing.T) {
		d.clear()
		item := d.deposit(version{one, 1, here})
		r := d.releasing()
		nodetest.Must(t, r.releaseSome())
		time.Sleep(24 * time.Hour)
		if n, _ := d.releases(item.Asset); n != 0 {
			t.Error("it is released at once")
		}
		time.Sleep(2 * time.Second)
		for range 3 {
			nodetest.Must(t, r.releaseSome())
			nodetest.Must(t, d.releasing().releaseSome())
		}
		if n, ends := d.releases(item.Asset); n != 1 || ends != 0 || !d.lastItem().Bulk || d.lastItem().User != releases {
			t.Errorf("it is released %d times, and ended %d times: %+v", n, ends, d.lastItem())
		}
		d.mintAll()
		if len(d.deposits) != 0 || d.ended[item.Asset] != 0 {
			t.Errorf("%d are left; the object is withdrawn %d times", len(d.deposits), d.ended[item.Asset])
		}
	})
}

// The power fails after each of its writes.
func TestAReleaseSurvivesAFailureOfThePower(t *testing.T) {
	d := newDesk(t)
	for left := 1; left < 8; left++ {
		synctest.Test(t, func(t *testing.T) {
			d.clear()
			items := []outbox.Item{d.deposit(version{one, 1, here}), d.deposit(version{two, 1, here})}
			time.Sleep(25 * time.Hour)
			d.left = left
			failed := d.releasing().releaseSome()
			if d.left = 0; failed == nil && left < 4 {
				t.Errorf("after %d writes nothing fails", left)
			}
			nodetest.Must(t, d.releasing().releaseSome())
			for _, item := range items {
				if n, _ := d.releases(item.Asset); n != 1 || len(d.deposits) > 0 {
					t.Errorf("after %d writes: NFT %d is released %d times, %d are left", left, item.Asset, n, len(d.deposits))
				}
			}
		})
	}
}

// Whichever comes first: an NFT is destroyed once. What is released is withdrawn by a record.
func TestAnNFTIsReleasedOrDestroyed(t *testing.T) {
	d := newDesk(t)
	synctest.Test(t, func(t *testing.T) {
		d.clear()
		first, second := d.deposit(version{one, 1, here}), d.deposit(version{two, 1, here})
		time.Sleep(25 * time.Hour)
		_, err := d.withdrawer().End(t.Context(), swarm.Published{Asset: first.Asset})
		nodetest.Must(t, err)
		nodetest.Must(t, d.releasing().releaseSome())
		if n, ends := d.releases(first.Asset); n != 0 || ends != 1 {
			t.Errorf("what is being withdrawn is released %d times, and ended %d times", n, ends)
		}
		if n, ends := d.releases(second.Asset); n != 1 || ends != 0 {
			t.Errorf("the other is released %d times, and ended %d times", n, ends)
		}
		item, err := d.withdrawer().End(t.Context(), swarm.Published{Asset: second.Asset})
		if err != nil || item.Note.Kind != wire.KindRemoval || item.Note.Asset != second.Asset || item.Note.Index != 0 {
			t.Errorf("what is released is withdrawn by %+v (%v)", item, err)
		}
		again, err := d.withdrawer().End(t.Context(), swarm.Published{Asset: second.Asset})
		if err != nil || again.Number != item.Number {
			t.Errorf("and once more by %+v (%v)", again, err)
		}
	})
}

func TestOnlyWhatIsOursAndPublishesIsReleased(t *testing.T) {
	d := newDesk(t)
	for what, change := range map[string]func(e *shown, item *outbox.Item){
		"a member's NFT":               func(e *shown, _ *outbox.Item) { e.Note.Kind = wire.KindMember },
		"a charter":                    func(e *shown, _ *outbox.Item) { e.Note.Kind = wire.KindCharter },
		"another account's":            func(e *shown, _ *outbox.Item) { e.Sender = d.alpha.Address() },
		"what the chain has ended":     func(e *shown, _ *outbox.Item) { e.State = view.Ended },
		"what the outbox has ended":    func(_ *shown, item *outbox.Item) { item.State = outbox.Withdrawn },
		"what counts for nothing":      func(e *shown, _ *outbox.Item) { e.Asset, d.cursor = 1, 1000 },
		"what has not been seen there": func(e *shown, _ *outbox.Item) { e.Asset, d.cursor = 1, 0 },
	} {
		synctest.Test(t, func(t *testing.T) {
			d.clear()
			item := d.deposit(version{one, 1, here})
			time.Sleep(25 * time.Hour)
			change(d.events[0], &d.items[0])
			nodetest.Must(t, d.releasing().releaseSome())
			if n, _ := d.releases(item.Asset); n != 0 {
				t.Errorf("%s is released", what)
			}
			if waits := what == "what has not been seen there"; waits != (len(d.deposits) == 1) {
				t.Errorf("%s is looked at again: %v", what, len(d.deposits) == 1)
			}
		})
	}
}

// However many are due: some at a time, and no more before these are on the chain.
func TestReleasesAreInNoHurry(t *testing.T) {
	d := newDesk(t)
	synctest.Test(t, func(t *testing.T) {
		d.clear()
		for n := range 3 * releasesAtOnce {
			d.deposit(version{fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n), 1, here})
		}
		time.Sleep(25 * time.Hour)
		r := d.releasing()
		for round := 1; round <= 3; round++ {
			nodetest.Must(t, r.releaseSome())
			nodetest.Must(t, r.releaseSome())
			if n := len(d.items); n != (3+round)*releasesAtOnce {
				t.Errorf("in round %d there are %d", round, n-3*releasesAtOnce)
			}
			d.mintAll()
		}
	})
}

func TestNothingIsReleasedUnlessItIsConfigured(t *testing.T) {
	d := newDesk(t)
	r := d.releasing()
	r.After = 0
	nodetest.Must(t, r.Run(t.Context()))
	d.failing = "Deposits"
	r.After = time.Hour
	if err := r.Run(t.Context()); err == nil {
		t.Error("a failing store is passed over")
	}
}
