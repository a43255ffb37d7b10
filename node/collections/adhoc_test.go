package collections

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
)

// Objects for single recipients go to the collection of these recipients: the same for the same ones, however they are
// named.
func TestTheSameRecipientsHaveTheSameCollection(t *testing.T) {
	h := newOwnersWorld(t)
	planned, exists, err := h.owner.PlanAdHoc([]string{"mallory", "founder"})
	if err != nil || exists || len(h.Records()) != 0 {
		t.Errorf("a plan makes a collection (%v, %v)", exists, err)
	}
	first, err := h.owner.AdHoc(t.Context(), []string{"mallory", "founder"})
	nodetest.Must(t, err)
	p := first.Properties
	if p.Title != "For founder, mallory" || p.DefaultLevel != "red" || p.Metadata != wire.MetadataSealed || !p.AdHoc || len(p.Readers.Named) != 2 || len(p.Contributors.Named) != 0 || fmt.Sprint(planned.Properties) != fmt.Sprint(p) {
		t.Errorf("it is %+v, planned %+v", p, planned.Properties)
	}
	same := func(when string) {
		t.Helper()
		for _, names := range [][]string{{"founder", "mallory"}, {"mallory", "founder", "mallory"}} {
			again, err := h.owner.AdHoc(t.Context(), names)
			planned, exists, planErr := h.owner.PlanAdHoc(names)
			if err = errors.Join(err, planErr); err != nil || again.ID != first.ID || planned.ID != first.ID || !exists || again.Owner != h.Self.Address() {
				t.Errorf("%s: for %v it is %s, planned %s, first %s (%v)", when, names, again.ID, planned.ID, first.ID, err)
			}
		}
	}
	same("on its way")
	h.owner = ownerOf(h.World, h.outbox)
	same("after a restart")
	if minted := h.Records(); !slices.Equal(minted, []wire.Kind{wire.KindCollection}) {
		t.Errorf("%v are minted", minted)
	}
	same("on the chain")
	h.has(h.Mallory, first, 1)
	h.has(h.Founder, first, 1)
	rotated, _, err := h.rotates(first.ID)
	nodetest.Must(t, err)
	if again, err := h.owner.AdHoc(t.Context(), []string{"mallory", "founder"}); err != nil || again.Epoch != 2 || again.Revision != rotated.Revision {
		t.Errorf("with another key it is %+v (%v)", again, err)
	}
	one, err := h.owner.AdHoc(t.Context(), []string{"mallory"})
	if err != nil || one.ID == first.ID {
		t.Errorf("for one of them it is the same (%v)", err)
	}
	// Who was taken out is no recipient any more; named again, it is another set.
	h.Removes(h.Founder)
	h.looksAfter()
	h.Admits(h.Founder)
	if again, err := h.owner.AdHoc(t.Context(), []string{"mallory", "founder"}); err != nil || again.ID == first.ID {
		t.Errorf("a collection that lost a reader is taken for one that has it (%v)", err)
	}
	for words, names := range map[string][]string{
		"recipients: name the organisations; for every member there are collections": {"all"},
		`recipients: no member is called "nobody"`:                                   {"nobody"},
		"recipients: the owner is a reader in any case":                              {"self"},
	} {
		_, err := h.owner.AdHoc(t.Context(), names)
		wantRefusal(t, "recipients", err, words)
	}
	h.Blocks.PutFails = errors.New("no disk")
	_, err = h.owner.AdHoc(t.Context(), []string{"founder"})
	wantRefusal(t, "a full disk", err, "making a collection for founder")
}

// A title says who the recipients are, as far as there is room.
func TestATitleOfManyRecipientsIsBounded(t *testing.T) {
	h := newOwnersWorld(t)
	var names []string
	for n := range 5 {
		o := nodetest.NewOrg(t, fmt.Sprintf("%s-%d", strings.Repeat("long", 12), n))
		h.Admits(o)
		names = append(names, o.Document.Organisation)
	}
	c, err := h.owner.AdHoc(t.Context(), names)
	if err != nil || len([]rune(c.Properties.Title)) != 200 {
		t.Errorf("the title is %q (%v)", c.Properties.Title, err)
	}
}

// What was to be ours and another member made is left to that: nothing of ours goes there, and it never passes for
// ours.
func TestACollectionThatAnotherMemberTookIsLeftToIt(t *testing.T) {
	h := newOwnersWorld(t)
	c, err := h.owner.AdHoc(t.Context(), []string{"founder"})
	nodetest.Must(t, err)
	h.Takes(h.CollectionOf(h.Mallory, c.ID, 1, h.Named("Stolen", ""), h.Self))
	if got, err := h.owner.await(t.Context(), c.ID, 1); !errors.Is(err, errTaken) {
		t.Errorf("%+v passes for the collection that was made (%v)", got, err)
	}
	for range 2 {
		again, err := h.owner.AdHoc(t.Context(), []string{"founder"})
		if err != nil || again.ID == c.ID {
			t.Errorf("what is posted again goes to %s (%v)", again.ID, err)
		}
	}
}

// An owner that can't be first with any id gives up, since every attempt costs.
func TestACollectionIsNotTriedForEver(t *testing.T) {
	h := newOwnersWorld(t)
	tries := 0
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err = h.owner.Create(t.Context(), Spec{Title: "Ours", Alias: "ours"})
	}()
	taken := uint64(0)
	for ended := false; !ended; {
		stored := h.outbox.Stored.Changed()
		items, queueErr := h.R.Outbox.Queue(1+1, taken, 10)
		nodetest.Must(t, queueErr)
		for _, item := range items {
			taken = item.Number
			tries++
			h.Takes(h.CollectionOf(h.Mallory, item.Collection, 1, h.Everybody(""), h.Self))
		}
		select {
		case <-done:
			ended = true
		case <-stored:
		}
	}
	if tries != creationTries || !errors.Is(err, errTaken) || errors.Is(err, ErrOnItsWay) {
		t.Errorf("after %d tries: %v", tries, err)
	}
	// What came to nothing keeps nobody from the alias.
	if c := h.creates(Spec{Title: "Ours", Alias: "ours"}); c.Properties.Alias != "ours" {
		t.Errorf("it is %+v", c)
	}
}
