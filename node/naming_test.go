package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

var publisherRole = taxii.Principal{User: "u", Role: taxii.RolePublisher}

// lookalikes are aliases that could be taken for the id of a collection, or for something else in a URL.
func lookalikes(id string) []string {
	return []string{
		id, strings.ToUpper(id), strings.ReplaceAll(id, "-", ""), "urn:uuid:" + id, "{" + id + "}", everythingAlias,
		"", ".", "..", "a/b", "x y", "?", "%2e", strings.Repeat("a", 101), "a\x00", "ä",
	}
}

func TestWhatSomebodyCallsItsCollectionNeverHidesAnother(t *testing.T) {
	h := newNamedWorld(t)
	epoch := uint32(1)
	for _, alias := range append(lookalikes(h.own), "notes") {
		epoch++
		h.takes(h.collectionOf(h.founder, h.collection, epoch, h.everybody(alias), h.self, h.mallory))
		h.takes(h.collectionOf(h.mallory, uuid.NewString(), 1, h.everybody(alias), h.self))
		if c, _ := h.fold.collection(h.collection); c.Epoch != epoch {
			t.Fatalf("the founder's record for %q was not taken", alias)
		}
		for _, name := range []string{h.own, "notes"} {
			c, err := h.catalogue.Collection(t.Context(), publisherRole, "self", name)
			if err != nil || c.ID != h.own {
				t.Errorf("others call theirs %q: a post to %q goes to %q (%v)", alias, name, c.Title, err)
			}
			for what, find := range map[string]func() (string, error){
				"an owner's change": func() (string, error) { c, err := h.owner.find(name); return c.ID, err },
				"a feed": func() (string, error) {
					s := &feedSink{feeds: &feeds{fold: h.fold}, config: repo.Feed{Into: name}}
					c, err := s.into()
					return c.ID, err
				},
				"an account's limit": func() (string, error) {
					ids, err := collectionIDs(h.fold, repo.Consortium{ID: h.id}, []string{name})
					return strings.Join(ids, " "), err
				},
			} {
				if id, err := find(); err != nil || id != h.own {
					t.Errorf("others call theirs %q: %s of %q is about %q (%v)", alias, what, name, id, err)
				}
			}
		}
		everything, err := collectionIDs(h.fold, repo.Consortium{ID: h.id}, []string{everythingAlias})
		if err != nil || everything[0] != everythingID(repo.Consortium{ID: h.id}) {
			t.Errorf("others call theirs %q: everything is %v (%v)", alias, everything, err)
		}
		for _, c := range h.fold.collections() {
			if a := c.Properties.Alias; a != "" && wire.CheckAlias(a) != nil {
				t.Errorf("a collection has the alias %q", a)
			}
		}
	}
}

func TestAnotherMembersCollectionIsNamedWithItsOwner(t *testing.T) {
	h := newNamedWorld(t)
	theirs := uuid.NewString()
	h.takes(h.collectionOf(h.mallory, theirs, 1, h.everybody("ring"), h.self))
	for name, want := range map[string]string{"ring": "", "mallory/ring": theirs, "founder/ring": "", theirs: theirs, "self/notes": h.own, "mallory/": "", "/ring": ""} {
		c, err := h.fold.called(name)
		if c.ID != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q (%v), want %q", name, c.ID, err, want)
		}
	}
	if _, err := h.fold.called("ring"); err == nil || !strings.Contains(err.Error(), "mallory/ring") {
		t.Errorf("the remedy is not told: %v", err)
	}
}

func TestACollectionIsFoundWhereItIsListedAndNowhereElse(t *testing.T) {
	h := newNamedWorld(t)
	theirs := uuid.NewString()
	h.takes(h.collectionOf(h.mallory, theirs, 1, h.everybody("ring"), h.self))
	for root, want := range map[string][]string{"self": {h.own, h.collection}, "founder": {h.collection}, "mallory": {theirs}} {
		listed, err := h.catalogue.Collections(t.Context(), publisherRole, root)
		must(t, err)
		for _, id := range []string{h.own, h.collection, theirs} {
			_, err := h.catalogue.Collection(t.Context(), publisherRole, root, id)
			found, isListed := err == nil, slices.ContainsFunc(listed, func(c taxii.Collection) bool { return c.ID == id })
			if found != slices.Contains(want, id) || isListed != found {
				t.Errorf("/%s/collections/%s/: found %v, listed %v, want %v", root, id, found, isListed, want)
			}
		}
	}
}

// A governor admits whom it likes, under the name of another that is admitted later.
func TestWhoHasOurNameInTheConsortiumGetsNothingThatIsPostedToOurRoot(t *testing.T) {
	self, founder, mallory := newOrg(t, "self"), newOrg(t, "founder"), newOrg(t, "self")
	h := &namedWorld{hostileWorld: &hostileWorld{world: newWorld(t, self), founder: founder, mallory: mallory, keys: map[string]*seal.EpochKey{}, own: uuid.NewString()}}
	events := h.found(founder, mallory, self)
	h.open()
	h.catalogue = &catalogue{view: h.r.View, fold: h.fold, own: "self", described: &ownRoot{}, consortium: repo.Consortium{ID: h.id}}
	h.takes(events...)
	theirs := "00000000" + uuid.NewString()[8:]
	h.takes(h.collectionOf(mallory, theirs, 1, h.everybody("notes"), self), h.collectionOf(self, h.own, 1, h.named("Own", "notes")))
	if m, _ := h.fold.member(mallory.address()); m.Name != "self" {
		t.Fatalf("mallory is called %q", m.Name)
	}
	if c, err := h.catalogue.Collection(t.Context(), publisherRole, "self", "notes"); err != nil || c.ID != h.own {
		t.Errorf("a post goes to %q (%v)", c.Title, err)
	}
	if c, err := h.catalogue.Collection(t.Context(), publisherRole, "self", theirs); err == nil {
		t.Errorf("%q is under our root", c.Title)
	}
}

// namedWorld is a hostile world that is shown to TAXII clients.
type namedWorld struct {
	*hostileWorld
	catalogue *catalogue
	owner     *owner
}

func newNamedWorld(t *testing.T) *namedWorld {
	h := newHostileWorld(t)
	return &namedWorld{
		h, &catalogue{view: h.r.View, fold: h.fold, own: "self", described: &ownRoot{}, consortium: repo.Consortium{ID: h.id}}, &owner{fold: h.fold},
	}
}
