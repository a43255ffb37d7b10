package disclosure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// chronicle is a log of events and an outbox, in memory. What is not asked for is nil, and panics.
type chronicle struct {
	log
	box
	t      *testing.T
	events []view.Event
	listed map[string][]view.Event
	items  map[string]outbox.Item
	most   int // events that were asked for at once
}

func (c *chronicle) Cursor() (uint64, error) { return c.events[len(c.events)-1].Round, nil }

func (c *chronicle) Log(after consortium.Position, limit int) ([]view.Event, error) {
	n, _ := slices.BinarySearchFunc(c.events, after, func(e view.Event, p consortium.Position) int {
		if p.Before(e.Position) {
			return 1
		}
		return -1
	})
	c.most = max(c.most, limit)
	return c.events[n:min(n+limit, len(c.events))], nil
}

func (c *chronicle) Objects(batch view.Event) ([]view.Event, error) { return c.listed[batch.TxID], nil }
func (c *chronicle) Entry(view.Event) (*view.Entry, error)          { return nil, nil }

func (c *chronicle) Published(name wire.Publication) (outbox.Item, bool, error) {
	item, found := c.items[name.String()]
	return item, found, nil
}

// archive is its outbox: both have a method Published.
type archive struct{ *chronicle }

func (a archive) Objects(batch outbox.Item) (list []outbox.Item, err error) {
	for n := range batch.Objects {
		list = append(list, a.items[fmt.Sprintf("%s/%d", batch.TxID, n+1)])
	}
	return list, nil
}

// past is the log: its Published is another.
type past struct{ *chronicle }

func (p past) Published(wire.Publication) (view.Event, bool, error) { return view.Event{}, false, nil }

// tells makes a register of a log in which each round is an hour, from the first of January on.
func tells(t *testing.T) (*Register, *chronicle) {
	self := nodetest.NewOrg(t, "self")
	chain := nodetest.NewBareChain(t, self)
	events := chain.Found(self, nodetest.NewOrg(t, "bravo"))
	chain.Begin()
	chain.Know(events...)
	c := &chronicle{t: t, listed: map[string][]view.Event{}, items: map[string]outbox.Item{}}
	for round := uint64(1); round <= 3000; round++ {
		e := view.Event{State: view.InView, Epoch: 1}
		e.Position, e.Time = consortium.Position{Round: round, Intra: round % 3}, hour(round)
		e.TxID, e.Sender, e.Note.Kind, e.Fee = fmt.Sprintf("%052d", round), self.Address(), wire.KindObject, 1000+round
		if round%2 == 0 {
			e.Sender = "somebody else"
		}
		c.items[e.TxID] = outbox.Item{
			ObjectID: fmt.Sprintf("tool--%d", round), Collection: "c", Epoch: 1, Level: uint8(stix.Green), Version: "v", User: "ann", TxID: e.TxID,
		}
		c.events = append(c.events, e)
	}
	return &Register{View: past{c}, Outbox: archive{c}, State: chain.State}, c
}

func hour(n uint64) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Hour)
}

// walked gives what a query finds: the numbers of the rounds.
func walked(t *testing.T, r *Register, q Query) (rounds []uint64, all []Object) {
	t.Helper()
	known, err := r.Each(t.Context(), q, func(o Object) error {
		rounds, all = append(rounds, o.Round), append(all, o)
		return nil
	})
	nodetest.Must(t, err)
	if known.Objects != len(all) || known.Round != 3000 {
		t.Errorf("it says %+v of %d", known, len(all))
	}
	return rounds, all
}

func TestAPeriodIsWhatItsBlocksTimesSay(t *testing.T) {
	r, c := tells(t)
	for _, test := range []struct {
		since, until time.Time
		first, last  uint64
		count        int
	}{
		{time.Time{}, time.Time{}, 1, 2999, 1500},
		{hour(0), hour(9999), 1, 2999, 1500},
		{hour(1001), hour(1003), 1001, 1001, 1},
		{hour(1001).Add(1), hour(1003).Add(1), 1003, 1003, 1},
		{hour(2), hour(3), 0, 0, 0},
		{hour(2997).Add(1), time.Time{}, 2999, 2999, 1}, // what is earlier is the first of its round
		{hour(2999), time.Time{}, 2999, 2999, 1},
		{hour(3001), time.Time{}, 0, 0, 0},
		{time.Time{}, hour(4), 1, 3, 2},
	} {
		rounds, _ := walked(t, r, Query{Since: test.since, Until: test.until})
		if len(rounds) != test.count || test.count > 0 && (rounds[0] != test.first || rounds[len(rounds)-1] != test.last) {
			t.Errorf("from %s to %s there are %d: %v", test.since, test.until, len(rounds), rounds)
		}
	}
	if c.most > page {
		t.Errorf("%d events are held", c.most)
	}
}

func TestWhatIsSaidOfAnObjectIsWhatItWasAcceptedWith(t *testing.T) {
	r, c := tells(t)
	gone := &c.events[6]
	gone.State, gone.Ended = view.Ended, c.events[9].Position
	c.events[8].State, c.events[8].Reason = view.Refused, "too late"
	delete(c.items, c.events[10].TxID)
	c.events[10].State = view.Ended
	_, all := walked(t, r, Query{Until: hour(13)})
	if len(all) != 6 {
		t.Fatalf("there are %+v", all)
	}
	if o := all[0]; o.ID != "tool--1" || o.Type != "tool" || o.Level != "TLP:GREEN" || o.User != "ann" || o.Collection != "c" || o.Epoch != 1 || o.State != "shared" ||
		o.Cost != (Cost{1001, 100_000, 1}) || o.Note != "" {
		t.Errorf("of the first it says %+v", o)
	}
	if o := all[3]; o.State != "withdrawn" || o.Withdrawn == nil || o.Withdrawn.Round != 10 || o.Withdrawn.TxID != c.events[9].TxID || !o.Withdrawn.Time.Equal(hour(10)) {
		t.Errorf("of the withdrawn one it says %+v", o)
	}
	if o := all[4]; o.State != "refused: too late" {
		t.Errorf("of the refused one it says %+v", o)
	}
	if o := all[5]; o.ID != "" || o.Note == "" || o.Withdrawn == nil || o.Withdrawn.Round != 0 {
		t.Errorf("of one that nobody knows any more it says %+v", o)
	}
	// Nobody has a key; what isn't known could have been anybody's.
	if _, all := walked(t, r, Query{Until: hour(13), With: "bravo"}); len(all) != 1 || all[0].Round != 11 {
		t.Errorf("with bravo there are %+v", all)
	}
}

func TestTheObjectsOfABatchAreSharedOneByOne(t *testing.T) {
	r, c := tells(t)
	e := &c.events[0]
	e.Note.Kind, e.State = wire.KindBatch, view.Held
	c.items[e.TxID] = outbox.Item{Objects: 3, TxID: e.TxID}
	for n := uint32(1); n <= 3; n++ {
		c.items[fmt.Sprintf("%s/%d", e.TxID, n)] = outbox.Item{ObjectID: fmt.Sprintf("tool--1-%d", n), Collection: "c", Epoch: 1}
	}
	second := e.Object(2, "", view.Listed{Collection: "c", Epoch: 1})
	second.State, second.Ended = view.Ended, c.events[1].Position
	c.listed[e.TxID] = []view.Event{e.Object(1, "", view.Listed{}), second}
	c.events[2].Note.Kind, c.events[2].State = wire.KindBatch, view.Waiting // of which nothing is known
	delete(c.items, c.events[2].TxID)
	_, all := walked(t, r, Query{Until: hour(4)})
	var said []string
	for _, o := range all {
		said = append(said, fmt.Sprintf("%s %s of %d", o.ID, strings.TrimLeft(o.Name(), "0"), o.Cost.Objects))
	}
	if want := []string{"tool--1-1 1/1 of 3", "tool--1-2 1/2 of 3", "tool--1-3 1/3 of 3", " 3 of 0"}; !slices.Equal(said, want) {
		t.Errorf("it says %q", said)
	}
	if all[1].Withdrawn == nil || all[0].Withdrawn != nil || all[3].Note == "" {
		t.Errorf("it says %+v", all)
	}
}

func TestAWalkEndsWithWhoeverWalksAndAQuestionNamesWhatThereIs(t *testing.T) {
	r, _ := tells(t)
	enough := errors.New("enough")
	if known, err := r.Each(t.Context(), Query{}, func(Object) error { return enough }); !errors.Is(err, enough) || known.Objects != 1 {
		t.Errorf("%+v, %v", known, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if _, err := r.Each(ctx, Query{}, func(Object) error { stop(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("who has left is walked for: %v", err)
	}
	var input *problem.InputError
	if _, err := r.Each(t.Context(), Query{With: "nobody"}, nil); !errors.As(err, &input) || !strings.Contains(err.Error(), "bravo") {
		t.Errorf("with nobody: %v", err)
	}
	if _, err := r.Each(t.Context(), Query{Collection: "nowhere"}, nil); !errors.As(err, &input) {
		t.Errorf("in nowhere: %v", err)
	}
	if _, err := r.History("nowhere"); !errors.As(err, &input) {
		t.Errorf("of nowhere: %v", err)
	}
}
