package collections

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
)

// orders carries an order out up to where it waits for the chain.
func (h *ownersWorld) orders(order func(context.Context) error) error {
	ctx, stop := context.WithCancel(h.T.Context())
	ended := make(chan struct{})
	stored := h.outbox.Stored.Changed()
	go func() {
		defer close(ended)
		select {
		case <-stored:
			stop()
		case <-ctx.Done():
		}
	}()
	err := order(ctx)
	stop()
	<-ended
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// What a store does not give is never taken for there being nothing: no collection is changed on a guess, and what
// failed can be ordered again.
func TestNoCollectionIsChangedOnAGuess(t *testing.T) {
	h, ring := newOwningWorld(t)
	h.EnterBy(h.Founder.Address(), nodetest.IndicatorJSON(1))
	named := Spec{Title: "Everybody", Alias: "all", Readers: []string{"all"}}
	title := "Another"
	for _, one := range []struct {
		what  string
		order func(context.Context) error
	}{
		{"making a collection", func(ctx context.Context) error { _, err := h.owner.Create(ctx, named); return err }},
		{"making one for recipients", func(ctx context.Context) error { _, err := h.owner.AdHoc(ctx, []string{"mallory"}); return err }},
		{"revoking", func(ctx context.Context) error {
			_, err := h.owner.Revoke(ctx, ring().ID, []string{"founder"})
			return err
		}},
		{"rotating", func(ctx context.Context) error { _, err := h.owner.Rotate(ctx, ring().ID); return err }},
		{"granting", func(ctx context.Context) error {
			_, err := h.owner.Grant(ctx, ring().ID, Grant{Organisations: []string{"founder"}, From: "all"})
			return err
		}},
		{"renaming", func(ctx context.Context) error {
			_, err := h.owner.Set(ctx, ring().ID, Change{Title: &title})
			return err
		}},
	} {
		h.Faults.EachIsTold(t, one.what, func() error { return h.orders(one.order) })
		if n := len(h.Records()); n != 1 {
			t.Errorf("%s makes %d records", one.what, n)
		}
	}
	everybody, err := h.State.Called("all")
	nodetest.Must(t, err)
	looks := func(what string) {
		t.Helper()
		h.Faults.EachIsTold(t, what, func() error { return h.owner.lookAfter(t.Context()) })
		h.looksAfter()
		h.Faults.EachIsTold(t, "who has keys", func() error { _, err := h.owner.ExposedKeys(); return err })
		h.Faults.EachIsTold(t, "who has keys, to the log", func() error { return h.owner.tellExposed(map[string]ExposedKey{}) })
	}
	delta := nodetest.NewOrg(t, "delta")
	h.Admits(delta)
	looks("giving a newcomer keys")
	h.has(delta, everybody, 1)
	h.Rotates(h.Founder, worldtest.Changes{Identity: true})
	looks("another identity")
	h.Removes(h.Mallory)
	looks("a removal")
	if c, _ := h.State.Collection(ring().ID); c.MayRead(h.Mallory.Address()) || !c.MayRead(h.Founder.Address()) {
		t.Errorf("it is read by %+v", c.Properties.Readers)
	}
}

// Whether the past may be disclosed is not guessed, either: what a marking means is looked up.
func TestThePastIsNotDisclosedOnAGuess(t *testing.T) {
	h, ring := newOwningWorld(t)
	h.HostileWorld.Collection = ring().ID // where objects are published
	h.EnterBy(h.Self.Address(), worldtest.MarkedIndicator(1))
	h.EnterBy(h.Self.Address(), worldtest.DefinitionOf("statement (c)"))
	h.Faults.EachIsTold(t, "a grant of the past", func() error { return h.owner.mayDisclose(ring(), ring().Properties) })
	h.HostileWorld.Collection = uuid.NewString()
}

// A first record that the chain had, and the node has not followed up to, is on its way.
func TestACollectionIsOnItsWayUntilTheChainIsFollowedSoFar(t *testing.T) {
	h := newOwnersWorld(t)
	nodetest.Must(t, h.orders(func(ctx context.Context) error {
		_, err := h.owner.Create(ctx, Spec{Title: "A", Alias: "a"})
		return err
	}))
	h.World.Confirm(7, "TX")
	id := h.LastItem().Collection
	h.Faults.EachIsTold(t, "whether it is on its way", func() error { _, err := h.owner.isOnItsWay(id); return err })
	for _, unknown := range []string{uuid.NewString(), h.Own} {
		if is, err := h.owner.isOnItsWay(unknown); err != nil || is {
			t.Errorf("%s is on its way (%v)", unknown, err)
		}
	}
}

// A change takes the members for what they are when it is ordered.
func TestWhoWasAdmittedAMomentAgoIsGivenTheKeysOfAGrant(t *testing.T) {
	h, ring := newOwningWorld(t)
	delta := nodetest.NewOrg(t, "delta")
	h.Admits(delta)
	c, _, err := h.grants(ring().ID, Grant{Organisations: []string{"delta"}})
	nodetest.Must(t, err)
	h.has(delta, c, 2)
}

// "all" are all, whoever is named beside.
func TestAllAreAllWhoeverIsNamedBeside(t *testing.T) {
	h := newOwnersWorld(t)
	if c := h.creates(Spec{Title: "Everybody", Readers: []string{"mallory", "all"}}); !c.Properties.Readers.Members || len(c.Properties.Readers.Named) > 0 {
		t.Errorf("it is read by %+v", c.Properties.Readers)
	}
}

// What is said of a key names only what is so.
func TestOnlyWhatIsSoIsSaidOfAKey(t *testing.T) {
	e := ExposedKey{Title: "Ring", Owner: "self", Removed: []string{"mallory"}, Since: 7}
	if got := e.Detail(); got != `a removed member still has the key of "Ring": mallory, since round 7; its owner self gives it another key` {
		t.Error(got)
	}
	e.Removed, e.Replaced = nil, []string{"founder"}
	if got := e.Detail(); got != `a former identity still opens the key of "Ring": that of founder, since round 7; its owner self gives it another key` {
		t.Error(got)
	}
}

// A member may read what its former identity opens: the log warns of removed ones alone, and ends no warning that it
// has not given.
func TestTheLogDoesNotWarnOfAFormerIdentity(t *testing.T) {
	h, ring := newOwningWorld(t)
	var log strings.Builder
	h.owner.Log = nodetest.LogTo(&log)
	told := map[string]ExposedKey{}
	h.Rotates(h.Founder, worldtest.Changes{Identity: true})
	nodetest.Must(t, h.owner.tellExposed(told))
	if _, said := told[ring().ID]; !said {
		t.Error("of the former identity the status says nothing")
	}
	h.looksAfter()
	nodetest.Must(t, h.owner.tellExposed(told))
	if text := log.String(); strings.Contains(text, "removed member") {
		t.Errorf("the log says\n%s", text)
	}
}

// Nobody writes to a collection that it only reads, nor to its own once it is no member.
func TestACollectionIsDescribedAsWrittenToByWhoMayPublish(t *testing.T) {
	h, ring := newOwningWorld(t)
	reads := h.Named("Read only", "")
	reads.Readers.Named = []string{h.Self.Address()}
	id := uuid.NewString()
	h.Takes(h.CollectionOf(h.Mallory, id, 1, reads, h.Self))
	c, _ := h.State.Collection(id)
	if !Describe(h.State, ring()).Write || Describe(h.State, c).Write {
		t.Error("what it only reads is written to, or its own is not")
	}
	h.Removes(h.Self)
	if Describe(h.State, ring()).Write {
		t.Error("a former member writes to it")
	}
}

// The owner pays for one key of a member in a day of 30,000 rounds, not for the first of a day.
func TestAMembersFirstChangeOfIdentityOfADayIsActedUponAtOnce(t *testing.T) {
	if rekeyEvery != 30_000 {
		t.Errorf("a day has %d rounds", rekeyEvery)
	}
	h, ring := newOwningWorld(t)
	h.Rotates(h.Mallory, worldtest.Changes{Identity: true})
	h.looksAfter()
	h.Pass(rekeyEvery)
	_, _, err := h.rotates(ring().ID)
	nodetest.Must(t, err)
	h.Rotates(h.Mallory, worldtest.Changes{Identity: true})
	if h.looksAfter(); ring().Epoch != 4 {
		t.Errorf("the epoch is %d", ring().Epoch)
	}
}

// Who is named as a reader before it is a member gets the present key when it becomes one; nobody else gets another for
// that. So does a member whose record comes late, where newcomers may not read the past.
func TestAReaderNamedBeforeItIsAMemberGetsThePresentKey(t *testing.T) {
	h := newOwnersWorld(t)
	delta := nodetest.NewOrg(t, "delta")
	p := h.Named("Ring", "")
	p.Readers = wire.Accounts{Named: []string{delta.Address()}}
	id := uuid.NewString()
	nodetest.Must(t, h.owner.Found(t.Context(), id, p))
	h.looksAfter()
	h.Admits(delta)
	if minted := h.looksAfter(); !slices.Equal(minted, []wire.Kind{wire.KindKeyring}) {
		t.Errorf("%v are minted", minted)
	}
	c, _ := h.State.Collection(id)
	h.has(delta, c, 1)
}

// Of several reasons the first is said since when a key is exposed, whichever it is.
func TestAKeyIsExposedSinceTheFirstReason(t *testing.T) {
	for _, removalFirst := range []bool{true, false} {
		h, ring := newOwningWorld(t)
		reasons := []func(){func() { h.Removes(h.Mallory) }, func() { h.Rotates(h.Founder, worldtest.Changes{Identity: true}) }}
		if !removalFirst {
			slices.Reverse(reasons)
		}
		reasons[0]()
		since := h.Round
		reasons[1]()
		list, err := h.owner.ExposedKeys()
		nodetest.Must(t, err)
		for _, e := range list {
			if e.Collection == ring().ID && e.Since != since {
				t.Errorf("it is exposed since round %d, want %d", e.Since, since)
			}
		}
	}
}

// Who leaves before its turn has changed nothing.
func TestAChangeWhoseTurnDoesNotComeIsNone(t *testing.T) {
	h, ring := newOwningWorld(t)
	nodetest.Must(t, h.owner.turn.take(t.Context()))
	if _, err := h.owner.Rotate(soon(t), ring().ID); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it is told %v", err)
	}
	h.owner.turn.give()
	if minted := h.Records(); len(minted) != 0 {
		t.Errorf("%v are minted", minted)
	}
}

// A reader that was given all keys once has them all, as far as the owner knows.
func TestAGrantOfAllKeysIsRemembered(t *testing.T) {
	h, ring := newOwningWorld(t)
	c, _, err := h.rotates(ring().ID)
	nodetest.Must(t, err)
	delta := nodetest.NewOrg(t, "delta")
	h.Admits(delta)
	if c, _, err = h.grants(c.ID, Grant{Organisations: []string{"delta"}, From: "all"}); err != nil {
		t.Fatal(err)
	}
	h.has(delta, c, 1, 2)
	if since, err := h.owner.since(c, h.memberID(delta)); err != nil || since != 1 {
		t.Errorf("it has them from epoch %d on, %v", since, err)
	}
}

func (h *ownersWorld) memberID(o *nodetest.Org) string {
	m, _ := h.State.Member(o.Address())
	return m.ID
}
