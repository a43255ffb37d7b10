package collections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
)

// wantRefusal checks that a user is told what is wrong with what they want, in these words.
func wantRefusal(t *testing.T, what string, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: %v, want %q", what, err, words)
	}
}

func (h *ownersWorld) creates(spec Spec) consortium.Collection {
	h.T.Helper()
	c, _, err := h.carriesOut(func(ctx context.Context) (consortium.Collection, error) { return h.owner.Create(ctx, spec) })
	nodetest.Must(h.T, err)
	return c
}

func (h *ownersWorld) grants(id string, g Grant) (consortium.Collection, []wire.Kind, error) {
	h.T.Helper()
	return h.carriesOut(func(ctx context.Context) (consortium.Collection, error) { return h.owner.Grant(ctx, id, g) })
}

func (h *ownersWorld) revokes(id string, names ...string) (consortium.Collection, []wire.Kind, error) {
	h.T.Helper()
	return h.carriesOut(func(ctx context.Context) (consortium.Collection, error) { return h.owner.Revoke(ctx, id, names) })
}

func (h *ownersWorld) rotates(id string) (consortium.Collection, []wire.Kind, error) {
	h.T.Helper()
	return h.carriesOut(func(ctx context.Context) (consortium.Collection, error) { return h.owner.Rotate(ctx, id) })
}

// has checks which epochs' keys an organisation was given.
func (h *ownersWorld) has(o *nodetest.Org, c consortium.Collection, want ...uint32) {
	h.T.Helper()
	if got := h.EpochsOf(o, c.ID); !slices.Equal(got, want) {
		h.T.Errorf("%s has the keys of epochs %v, want %v", o.Document.Organisation, got, want)
	}
}

func TestANewCollectionIsWhatItWasAskedToBe(t *testing.T) {
	h := newOwnersWorld(t)
	c := h.creates(Spec{Title: "Working group", Alias: "group", Description: "d", Readers: []string{"mallory", "founder", "mallory"}, Contributors: []string{"mallory"},
		DefaultLevel: "amber", Metadata: wire.MetadataSealed, Padding: "coarse"})
	p := c.Properties
	both := []string{h.Founder.Address(), h.Mallory.Address()}
	slices.Sort(both)
	if p.Title != "Working group" || p.Alias != "group" || p.Description != "d" || !slices.Equal(p.Readers.Named, both) || !slices.Equal(p.Contributors.Named, []string{h.Mallory.Address()}) ||
		p.DefaultLevel != "amber" || p.Metadata != wire.MetadataSealed || p.Padding != "coarse" || c.Epoch != 1 || c.Owner != h.Self.Address() || p.AdHoc {
		t.Errorf("it is %+v", c)
	}
	for _, reader := range []*nodetest.Org{h.Self, h.Founder, h.Mallory} {
		h.has(reader, c, 1)
	}
	if got := Describe(h.State, c); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", Info{ID: c.ID, Alias: "group", Title: "Working group", Description: "d", Owner: "self", Readers: []string{"founder", "mallory"},
		Contributors: []string{"mallory"}, DefaultLevel: "amber", Metadata: "sealed", Padding: "coarse", Epoch: 1, Since: c.Began.Round, Write: true}) {
		t.Errorf("described as %+v", got)
	}
	alone := h.creates(Spec{Title: "Own"})
	if p := alone.Properties; p.DefaultLevel != "green" || p.Metadata != wire.MetadataOpen || p.Readers.Members || len(p.Readers.Named)+len(p.Contributors.Named) != 0 {
		t.Errorf("with nothing but a title it is %+v", p)
	}
	h.has(h.Mallory, alone)
	h.owner.Network = wire.NetworkPublic
	if p := h.creates(Spec{Title: "Public", Readers: []string{"all"}, Contributors: []string{"mallory"}}).Properties; p.Metadata != wire.MetadataSealed || !p.Readers.Members || !slices.Equal(p.Contributors.Named, []string{h.Mallory.Address()}) {
		t.Errorf("on the public network it is %+v", p)
	}
	if p := h.creates(Spec{Title: "Every reader", Readers: []string{"mallory"}, Contributors: []string{"all"}}).Properties; p.Contributors.Members || !slices.Equal(p.Contributors.Named, p.Readers.Named) {
		t.Errorf("all its readers publish in it, as %+v", p)
	}
}

func TestACollectionThatCantBeIsRefusedWithTheReason(t *testing.T) {
	h := newOwnersWorld(t)
	h.creates(Spec{Title: "First", Alias: "first"})
	h.Removes(h.Founder)
	for words, spec := range map[string]Spec{
		`readers: no member is called "nobody"`:                            {Title: "x", Readers: []string{"nobody"}},
		`readers: no member is called "founder"`:                           {Title: "x", Readers: []string{"founder"}}, // it was removed
		"contributors: no member is called":                                {Title: "x", Contributors: []string{"nobody"}},
		"the owner is a reader in any case":                                {Title: "x", Readers: []string{"self"}},
		"contributors must be readers too":                                 {Title: "x", Contributors: []string{"mallory"}},
		`default level: "purple" is none of clear, green`:                  {Title: "x", DefaultLevel: "purple"},
		`default level: "tlp:red" is none`:                                 {Title: "x", DefaultLevel: "tlp:red"},
		`default level: "Red" is none`:                                     {Title: "x", DefaultLevel: "Red"},
		"default level TLP:RED":                                            {Title: "x", DefaultLevel: "red", Readers: []string{"all"}},
		"title":                                                            {},
		`alias: "first" is that of the collection "First"`:                 {Title: "x", Alias: "first"},
		`alias: "others" is that of a collection which every node has`:     {Title: "x", Alias: "others"},
		`alias: "everything" is that of a collection which every node has`: {Title: "x", Alias: "everything"},
	} {
		_, minted, err := h.carriesOut(func(ctx context.Context) (consortium.Collection, error) { return h.owner.Create(ctx, spec) })
		wantRefusal(t, fmt.Sprintf("%+v", spec), err, words)
		if len(minted) != 0 {
			t.Errorf("%+v: %v are minted", spec, minted)
		}
	}
	h.Removes(h.Self)
	_, err := h.owner.Create(t.Context(), Spec{Title: "x"})
	m, _ := h.State.Member(h.Self.Address())
	wantRefusal(t, "no member", err, fmt.Sprintf("this organisation was removed in round %d by the governor", m.Removed.Round))
}

// lost is an indexer that can't be followed.
type lost struct{ worldtest.CaughtUp }

func (lost) AwaitTip(context.Context) error { return errors.New("a timeout") }

func TestNoCollectionIsMadeBeforeTheChainIsKnown(t *testing.T) {
	h := newOwnersWorld(t)
	h.owner.Watcher = lost{}
	_, err := h.owner.Create(t.Context(), Spec{Title: "x"})
	wantRefusal(t, "an indexer that is lost", err, "a timeout")
}

// "From now on" is a new key; "all", or from an epoch on, is the keys of the past: whoever is granted them can read
// what was published then, and those who read already lose nothing.
func TestAGrantGivesTheKeysFromTheEpochThatItSays(t *testing.T) {
	for from, want := range map[string][]uint32{"now": {3}, "": {3}, "all": {1, 2}, "1": {1, 2}, "2": {2}} {
		h := newOwnersWorld(t)
		c := h.creates(Spec{Title: "Ring", Readers: []string{"founder"}})
		c, _, err := h.rotates(c.ID)
		nodetest.Must(t, err)
		c, minted, err := h.grants(c.ID, Grant{Organisations: []string{"mallory"}, From: from})
		if err != nil || !slices.Equal(minted, []wire.Kind{wire.KindCollection}) {
			t.Errorf("from %q: %v are minted (%v)", from, minted, err)
		}
		if !c.MayRead(h.Mallory.Address()) || !c.MayRead(h.Founder.Address()) || c.MayPublish(h.Mallory.Address()) || c.Epoch != want[len(want)-1] {
			t.Errorf("from %q: the collection is %+v", from, c)
		}
		h.has(h.Mallory, c, want...)
		h.has(h.Founder, c, []uint32{1, 2, 3}[:c.Epoch]...)
		h.looksAfter() // nothing is left to be done
		h.has(h.Mallory, c, want...)
	}
}

// Whoever may read already is granted nothing, and nothing is paid for it; to publish costs a record and no key.
func TestAGrantOfWhatIsGrantedCostsNothing(t *testing.T) {
	h := newOwnersWorld(t)
	c := h.creates(Spec{Title: "Ring", Readers: []string{"mallory", "founder"}})
	again, minted, err := h.grants(c.ID, Grant{Organisations: []string{"mallory"}})
	if err != nil || len(minted) != 0 || again.Revision != c.Revision {
		t.Errorf("%v are minted (%v)", minted, err)
	}
	for range 2 {
		again, minted, err = h.grants(c.ID, Grant{Organisations: []string{"mallory"}, Contribute: true})
		if err != nil || again.Epoch != 1 || !again.MayPublish(h.Mallory.Address()) || again.MayPublish(h.Founder.Address()) || again.Revision != c.Revision+1 {
			t.Errorf("%v are minted (%v); the collection is %+v", minted, err, again)
		}
	}
	all, _, err := h.grants(c.ID, Grant{Organisations: []string{"all"}, Contribute: true, From: "all"})
	if err != nil || !all.Properties.Readers.Members || len(all.Properties.Readers.Named) != 0 || !all.Properties.Contributors.Members || all.Epoch != 1 {
		t.Errorf("for all it is %+v (%v)", all, err)
	}
	if again, minted, err = h.grants(c.ID, Grant{Organisations: []string{"mallory"}, Contribute: true}); err != nil || len(minted) != 0 || !again.Properties.Readers.Members {
		t.Errorf("for one of all: %v are minted (%v)", minted, err)
	}
}

func TestAGrantThatCantBeIsRefusedWithTheReason(t *testing.T) {
	h := newOwnersWorld(t)
	c := h.creates(Spec{Title: "Ring", Readers: []string{"founder"}})
	adHoc, err := h.owner.AdHoc(t.Context(), []string{"founder"})
	nodetest.Must(t, err)
	h.Records()
	for _, one := range []struct {
		id    string
		grant Grant
		words string
	}{
		{c.ID, Grant{Organisations: []string{"nobody"}}, `collection "Ring": no member is called "nobody"`},
		{c.ID, Grant{}, "name the organisations"},
		{adHoc.ID, Grant{Organisations: []string{"mallory"}}, "the collection is for the recipients that were named for its objects, and no others"},
		{c.ID, Grant{Organisations: []string{"mallory"}, From: "0"}, `from "0": it is now, all, or an epoch from 1 to 1`},
		{c.ID, Grant{Organisations: []string{"mallory"}, From: "2"}, `from "2": it is now, all, or an epoch from 1 to 1`},
		{c.ID, Grant{Organisations: []string{"mallory"}, From: "yesterday"}, "it is now, all, or an epoch"},
		{h.Collection, Grant{Organisations: []string{"mallory"}}, `the collection "Default" belongs to another organisation`},
		{"nothing", Grant{Organisations: []string{"mallory"}}, "nothing"},
	} {
		_, minted, err := h.grants(one.id, one.grant)
		wantRefusal(t, fmt.Sprintf("%+v", one.grant), err, one.words)
		if len(minted) != 0 {
			t.Errorf("%+v: %v are minted", one.grant, minted)
		}
	}
}

// What was published for few is not given to others afterwards: from now on they can read, and nothing before.
func TestThePastIsNotGrantedToWhomItsMarkingsForbid(t *testing.T) {
	h := newOwnersWorld(t)
	h.EnterBy(h.Self.Address(), worldtest.DefinitionOf("tlp red"))
	h.EnterBy(h.Self.Address(), worldtest.MarkedIndicator(1))
	c := consortium.Collection{ID: h.Collection, Owner: h.Self.Address(), Properties: h.Named("Ring", "ring")}
	err := h.owner.mayDisclose(c, h.Everybody("ring"))
	wantRefusal(t, "an object for nobody", err, "must not reach them, grant from now instead")
}

// What is not served as the object, because another member published under the id before, is given with the keys as
// well.
func TestThePastThatIsNotServedIsNotGrantedEither(t *testing.T) {
	h := newOwnersWorld(t)
	h.EnterBy(h.Mallory.Address(), nodetest.IndicatorJSON(1))
	h.EnterBy(h.Self.Address(), worldtest.DefinitionOf("tlp red"))
	h.EnterBy(h.Self.Address(), worldtest.MarkedIndicator(1))
	c := consortium.Collection{ID: h.Collection, Owner: h.Self.Address(), Properties: h.Named("Ring", "ring")}
	err := h.owner.mayDisclose(c, h.Everybody("ring"))
	wantRefusal(t, "an object for nobody, apart", err, "must not reach them, grant from now instead")
}

func TestARevocationBeginsAKeyThatTheRevokedDoNotGet(t *testing.T) {
	h := newOwnersWorld(t)
	c := h.creates(Spec{Title: "Ring", Alias: "circle", Readers: []string{"mallory", "founder"}, Contributors: []string{"all"}})
	c, minted, err := h.revokes("circle", "mallory")
	if err != nil || !slices.Equal(minted, []wire.Kind{wire.KindCollection}) || c.Epoch != 2 || c.MayRead(h.Mallory.Address()) || c.MayPublish(h.Mallory.Address()) || !c.MayPublish(h.Founder.Address()) {
		t.Errorf("the collection is %+v, %v are minted (%v)", c, minted, err)
	}
	h.has(h.Mallory, c, 1)
	h.has(h.Founder, c, 1, 2)
	_, _, err = h.revokes(c.ID, "mallory")
	wantRefusal(t, "who is no reader", err, "none of them is a reader")
	_, _, err = h.revokes(c.ID, "nobody")
	wantRefusal(t, "nobody", err, `no member is called "nobody"`)
	// Let in again, it gets what it had been given, and the new key; not what was published in between.
	c, _, err = h.rotates(c.ID)
	nodetest.Must(t, err)
	c, _, err = h.grants(c.ID, Grant{Organisations: []string{"mallory"}})
	nodetest.Must(t, err)
	h.has(h.Mallory, c, 1, 4)

	c, _, err = h.revokes(c.ID, "all")
	if err != nil || len(c.Properties.Readers.Named)+len(c.Properties.Contributors.Named) != 0 || c.Epoch != 5 {
		t.Errorf("without all it is %+v (%v)", c, err)
	}
	h.has(h.Founder, c, 1, 2, 3, 4)
	everybody := h.creates(Spec{Title: "Everybody", Readers: []string{"all"}, Contributors: []string{"all"}})
	_, _, err = h.revokes(everybody.ID, "mallory")
	wantRefusal(t, "one of all", err, "every member may read the collection; make one for those who shall, or remove the member")
	everybody, _, err = h.revokes(everybody.ID, "all")
	if err != nil || everybody.Properties.Readers.Members || everybody.Properties.Contributors.Members || everybody.Epoch != 2 {
		t.Errorf("without all it is %+v (%v)", everybody, err)
	}
}

func TestARotationGivesTheSameReadersAnotherKey(t *testing.T) {
	h := newOwnersWorld(t)
	first := h.creates(Spec{Title: "Ring", Readers: []string{"mallory"}})
	c, minted, err := h.rotates(first.ID)
	if err != nil || !slices.Equal(minted, []wire.Kind{wire.KindCollection}) || c.Epoch != 2 || fmt.Sprint(c.Properties) != fmt.Sprint(first.Properties) || c.Key.Secret() == first.Key.Secret() {
		t.Errorf("the collection is %+v, %v are minted (%v)", c, minted, err)
	}
	h.has(h.Mallory, c, 1, 2)
	h.has(h.Founder, c)
}

// Each property is changed by itself, with no key; the others stay.
func TestAPropertyIsChangedByItselfAndWithoutAKey(t *testing.T) {
	h := newOwnersWorld(t)
	c := h.creates(Spec{Title: "Ring", Alias: "circle", Description: "d", Readers: []string{"mallory"}})
	epochs := c.Epoch
	word := func(s string) *string { return &s }
	for _, one := range []struct {
		change Change
		want   func(*wire.Collection)
	}{
		{Change{Title: word("Round")}, func(p *wire.Collection) { p.Title = "Round" }},
		{Change{Alias: word("round")}, func(p *wire.Collection) { p.Alias = "round" }},
		{Change{Description: word("")}, func(p *wire.Collection) { p.Description = "" }},
		{Change{DefaultLevel: word("amber")}, func(p *wire.Collection) { p.DefaultLevel = "amber" }},
		{Change{Metadata: word("sealed")}, func(p *wire.Collection) { p.Metadata = "sealed" }},
		{Change{Padding: word("coarse")}, func(p *wire.Collection) { p.Padding = "coarse" }},
	} {
		want := c.Properties
		one.want(&want)
		var err error
		c, _, err = h.carriesOut(func(ctx context.Context) (consortium.Collection, error) { return h.owner.Set(ctx, c.ID, one.change) })
		if err != nil || fmt.Sprintf("%+v", c.Properties) != fmt.Sprintf("%+v", want) || c.Epoch != epochs {
			t.Errorf("it is %+v (%v), want %+v", c.Properties, err, want)
		}
	}
	for words, change := range map[string]Change{"default level": {DefaultLevel: word("purple")}, "alias": {Alias: word("notes")}} {
		_, _, err := h.carriesOut(func(ctx context.Context) (consortium.Collection, error) { return h.owner.Set(ctx, c.ID, change) })
		wantRefusal(t, "a change that can't be", err, words)
	}
}

// What others call theirs keeps nobody from its own.
func TestAChangeIsOfTheOwnersCollectionWhateverOthersCallTheirs(t *testing.T) {
	h := newOwnersWorld(t)
	h.Takes(h.CollectionOf(h.Founder, h.Collection, 2, h.Everybody("notes"), h.Self, h.Mallory))
	for _, name := range []string{"notes", h.Own} {
		if c, _, err := h.rotates(name); err != nil || c.ID != h.Own {
			t.Errorf("a change of %q is one of %q (%v)", name, c.Properties.Title, err)
		}
	}
	for name, words := range map[string]string{h.Collection: `the collection "For everybody" belongs to another organisation`, "nothing": "nothing"} {
		_, _, err := h.rotates(name)
		wantRefusal(t, "a change of "+name, err, words)
	}
}

// There is one change of a collection at a time: who changes it while a record is on its way waits, and changes what it
// says.
func TestChangesOfOneCollectionFollowOneAnother(t *testing.T) {
	h := newOwnersWorld(t)
	c := h.creates(Spec{Title: "Ring", Readers: []string{"founder"}})
	h.Admits(nodetest.NewOrg(t, "delta"))
	ended := make(chan error, 3)
	go func() { _, err := h.owner.Rotate(t.Context(), c.ID); ended <- err }()
	go func() {
		_, err := h.owner.Grant(t.Context(), c.ID, Grant{Organisations: []string{"delta"}})
		ended <- err
	}()
	last, _, err := h.carriesOut(func(ctx context.Context) (consortium.Collection, error) {
		_, err := h.owner.Grant(ctx, c.ID, Grant{Organisations: []string{"mallory"}})
		err = errors.Join(err, <-ended, <-ended)
		now, _ := h.State.Collection(c.ID)
		return now, err
	})
	if err != nil || last.Epoch != 4 || last.Revision != 4 || len(last.Properties.Readers.Named) != 3 {
		t.Errorf("after three changes it is %+v (%v)", last, err)
	}
}

// Who does not wait is told that the change happens all the same.
func TestAChangeHappensThoughNobodyWaitsForIt(t *testing.T) {
	h := newOwnersWorld(t)
	h.owner.Problem = func() error { return errors.New("the account is empty") }
	c := h.creates(Spec{Title: "Ring", Readers: []string{"mallory"}})
	gone, leave := context.WithCancel(t.Context())
	stored := h.outbox.Stored.Changed()
	go func() { <-stored; leave() }()
	_, err := h.owner.Rotate(gone, c.ID)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	wantRefusal(t, "who left", err, "the change of collection "+c.ID+" is stored and will be on the chain, but isn't yet")
	wantRefusal(t, "who left", err, "the account is empty")
	h.Records()
	if c, _ := h.State.Collection(c.ID); c.Epoch != 2 {
		t.Errorf("the collection is %+v", c)
	}
	if _, err := h.owner.Rotate(gone, c.ID); !errors.Is(err, context.Canceled) || len(h.Records()) != 0 {
		t.Errorf("who has left before begins a change: %v", err)
	}
	h.Blocks.PutFails = errors.New("no disk")
	_, err = h.owner.Rotate(t.Context(), c.ID)
	wantRefusal(t, "a full disk", err, `changing the collection "Ring"`)
}

// Who reads what is set arithmetic on accounts: nobody gets in that was not named, and nobody stays that was taken out.
func TestReadersAreThoseWhoWereNamedAndNotTakenOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"A", "B", "C", "D", "E"}), rapid.ID)
		named := func(label string) wire.Accounts {
			list := some.Draw(t, label)
			slices.Sort(list)
			return wire.Accounts{Named: list, Members: rapid.IntRange(0, 5).Draw(t, label+" all") == 0}
		}
		a, b := named("a"), named("b")
		all, rest := union(a, b), minus(a, b.Named)
		for _, account := range []string{"A", "B", "C", "D", "E", "F"} {
			inA, inB := slices.Contains(a.Named, account), slices.Contains(b.Named, account)
			if got, want := all.Includes(account), a.Members || b.Members || inA || inB; got != want {
				t.Fatalf("%s in the union of %+v and %+v: %v", account, a, b, got)
			}
			if got := slices.Contains(rest.Named, account); got != (inA && !inB) || rest.Members != a.Members {
				t.Fatalf("%s in %+v without %+v: %v", account, a, b, got)
			}
		}
		if !slices.IsSorted(all.Named) || all.Members && len(all.Named) > 0 || len(slices.Compact(slices.Clone(all.Named))) != len(all.Named) {
			t.Fatalf("the union is %+v", all)
		}
		if !sameAccounts(a, a) || sameAccounts(a, b) != (a.Members == b.Members && slices.Equal(a.Named, b.Named)) {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}
