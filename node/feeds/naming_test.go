package feeds

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// lookalikes are aliases that could be taken for the id of a collection, or for something else in a URL.
func lookalikes(id string) []string {
	return []string{
		id, strings.ToUpper(id), strings.ReplaceAll(id, "-", ""), "urn:uuid:" + id, "{" + id + "}", state.EverythingAlias,
		"", ".", "..", "a/b", "x y", "?", "%2e", strings.Repeat("a", 101), "a\x00", "ä",
	}
}

func TestWhatSomebodyCallsItsCollectionNeverHidesAnother(t *testing.T) {
	h := newNamedWorld(t)
	epoch := uint32(1)
	for _, alias := range append(lookalikes(h.Own), "notes") {
		epoch++
		h.Takes(h.CollectionOf(h.Founder, h.Collection, epoch, h.Everybody(alias), h.Self, h.Mallory))
		h.Takes(h.CollectionOf(h.Mallory, uuid.NewString(), 1, h.Everybody(alias), h.Self))
		if c, _ := h.State.Collection(h.Collection); c.Epoch != epoch {
			t.Fatalf("the founder's record for %q was not taken", alias)
		}
		for _, name := range []string{h.Own, "notes"} {
			c, err := h.catalogue.Collection(t.Context(), worldtest.PublisherRole, "self", name)
			if err != nil || c.ID != h.Own {
				t.Errorf("others call theirs %q: a post to %q goes to %q (%v)", alias, name, c.Title, err)
			}
			for what, find := range map[string]func() (string, error){
				"an owner's change": func() (string, error) { c, err := h.State.Called(name); return c.ID, err },
				"a feed": func() (string, error) {
					s := &sink{Feeds: &Feeds{State: h.State}, config: config.Feed{Into: name}}
					c, err := s.into()
					return c.ID, err
				},
				"an account's limit": func() (string, error) {
					ids, err := clients.CollectionIDs(h.State, repo.Consortium{ID: h.ID}, []string{name})
					return strings.Join(ids, " "), err
				},
			} {
				if id, err := find(); err != nil || id != h.Own {
					t.Errorf("others call theirs %q: %s of %q is about %q (%v)", alias, what, name, id, err)
				}
			}
		}
		everything, err := clients.CollectionIDs(h.State, repo.Consortium{ID: h.ID}, []string{state.EverythingAlias})
		if err != nil || everything[0] != clients.EverythingID(repo.Consortium{ID: h.ID}) {
			t.Errorf("others call theirs %q: everything is %v (%v)", alias, everything, err)
		}
		for _, c := range h.State.Collections() {
			if a := c.Properties.Alias; a != "" && wire.CheckAlias(a) != nil {
				t.Errorf("a collection has the alias %q", a)
			}
		}
	}
}

func TestAnotherMembersCollectionIsNamedWithItsOwner(t *testing.T) {
	h := newNamedWorld(t)
	theirs := uuid.NewString()
	h.Takes(h.CollectionOf(h.Mallory, theirs, 1, h.Everybody("ring"), h.Self))
	for name, want := range map[string]string{"ring": "", "mallory/ring": theirs, "founder/ring": "", theirs: theirs, "self/notes": h.Own, "mallory/": "", "/ring": ""} {
		c, err := h.State.Called(name)
		if c.ID != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q (%v), want %q", name, c.ID, err, want)
		}
	}
	if _, err := h.State.Called("ring"); err == nil || !strings.Contains(err.Error(), "mallory/ring") {
		t.Errorf("the remedy is not told: %v", err)
	}
}

func TestACollectionIsFoundWhereItIsListedAndNowhereElse(t *testing.T) {
	h := newNamedWorld(t)
	theirs := uuid.NewString()
	h.Takes(h.CollectionOf(h.Mallory, theirs, 1, h.Everybody("ring"), h.Self))
	for root, want := range map[string][]string{"self": {h.Own, h.Collection}, "founder": {h.Collection}, "mallory": {theirs}} {
		listed, err := h.catalogue.Collections(t.Context(), worldtest.PublisherRole, root)
		nodetest.Must(t, err)
		for _, id := range []string{h.Own, h.Collection, theirs} {
			_, err := h.catalogue.Collection(t.Context(), worldtest.PublisherRole, root, id)
			found, isListed := err == nil, slices.ContainsFunc(listed, func(c taxii.Collection) bool { return c.ID == id })
			if found != slices.Contains(want, id) || isListed != found {
				t.Errorf("/%s/collections/%s/: found %v, listed %v, want %v", root, id, found, isListed, want)
			}
		}
	}
}

// A governor admits whom it likes, under the name of another that is admitted later.
func TestWhoHasOurNameInTheConsortiumGetsNothingThatIsPostedToOurRoot(t *testing.T) {
	self, founder, mallory := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "founder"), nodetest.NewOrg(t, "self")
	h := &namedWorld{HostileWorld: &worldtest.HostileWorld{World: worldtest.NewWorld(t, self), Founder: founder, Mallory: mallory, Keys: map[string]*seal.EpochKey{}, Own: uuid.NewString()}}
	events := h.Found(founder, mallory, self)
	h.Open()
	h.catalogue = &clients.Catalogue{View: h.R.View, State: h.State, Own: "self", Described: &clients.APIRoot{}, Consortium: repo.Consortium{ID: h.ID}}
	h.Takes(events...)
	theirs := "00000000" + uuid.NewString()[8:]
	h.Takes(h.CollectionOf(mallory, theirs, 1, h.Everybody("notes"), self), h.CollectionOf(self, h.Own, 1, h.Named("Own", "notes")))
	if m, _ := h.State.Member(mallory.Address()); m.Name != "self" {
		t.Fatalf("mallory is called %q", m.Name)
	}
	if c, err := h.catalogue.Collection(t.Context(), worldtest.PublisherRole, "self", "notes"); err != nil || c.ID != h.Own {
		t.Errorf("a post goes to %q (%v)", c.Title, err)
	}
	if c, err := h.catalogue.Collection(t.Context(), worldtest.PublisherRole, "self", theirs); err == nil {
		t.Errorf("%q is under our root", c.Title)
	}
}

// namedWorld is a hostile world that is shown to TAXII clients.
type namedWorld struct {
	*worldtest.HostileWorld
	catalogue *clients.Catalogue
}

func newNamedWorld(t *testing.T) *namedWorld {
	h := worldtest.NewHostileWorld(t)
	return &namedWorld{
		h, &clients.Catalogue{View: h.R.View, State: h.State, Own: "self", Described: &clients.APIRoot{}, Consortium: repo.Consortium{ID: h.ID}},
	}
}
