package node

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// collectionOf mints a collection record with whatever properties its owner cares to write, which a node of ours would not.
func (w *hostileWorld) collectionOf(owner *org, id string, epoch uint32, properties wire.Collection, readers ...*org) consortium.Event {
	w.t.Helper()
	of := id + "/" + strconv.FormatUint(uint64(epoch), 10)
	if w.keys[of] == nil {
		key, err := seal.NewEpochKey()
		must(w.t, err)
		w.keys[of] = key
	}
	key := w.keys[of]
	plaintext, err := json.Marshal(properties)
	must(w.t, err)
	sealed, err := key.Seal(plaintext)
	must(w.t, err)
	keyring, err := wire.Keyring{Collection: id, Epochs: []wire.KeyringEpoch{{Epoch: epoch, Secret: key.Secret()}}}.Encode()
	must(w.t, err)
	recipients := []string{owner.identity.Recipient()}
	for _, reader := range readers {
		recipients = append(recipients, reader.identity.Recipient())
	}
	forReaders, err := seal.SealTo(recipients, keyring)
	must(w.t, err)
	payload, err := wire.CollectionRecord{Collection: id, Keyrings: [][]byte{forReaders}, Sealed: sealed}.Encode()
	must(w.t, err)
	metadata := wire.NewMetadata(wire.Properties{
		Kind: wire.KindCollection, Consortium: w.id, Collection: id, Epoch: epoch, StoredAt: wire.FormatTime(time.Now()),
	}, payload)
	encoded, err := metadata.Encode()
	must(w.t, err)
	return w.mint(owner, consortium.Draft{
		Note: wire.Note{Kind: wire.KindCollection, Collection: id}, Metadata: encoded, Payload: payload, PayloadName: metadata.Properties.Path,
	})
}

// hostileWorld is the world of a member, self, whose founder and fellow member write what they like.
type hostileWorld struct {
	*world
	founder, mallory *org
	catalogue        *catalogue
	owner            *owner
	sole             *sole
	keys             map[string]*seal.EpochKey // by collection and epoch
	recorded         uint64                    // the last item of the outbox that was put on the chain
	own              string                    // a collection of self's that nobody else reads; sorted last
}

func newHostileWorld(t *testing.T) *hostileWorld {
	self, founder, mallory := newOrg(t, "self"), newOrg(t, "founder"), newOrg(t, "mallory")
	h := &hostileWorld{world: newWorld(t, self), founder: founder, mallory: mallory, keys: map[string]*seal.EpochKey{}, own: "ffffffff" + uuid.NewString()[8:]}
	h.sole = &sole{outbox: h.r.Outbox, self: self.address(), condition: newMonitor("", discard), log: discard}
	h.saw = h.sole.saw
	events := h.found(founder, self, mallory)
	h.open()
	h.owner = &owner{turn: newTurn(), outbox: h.r.Outbox, view: h.r.View, fold: h.fold, records: recordsIn(h.r.Outbox, h.blocks), watcher: caughtUp{}, consortium: h.id,
		recipient: self.identity.Recipient(), problem: func() error { return nil }, log: discard}
	h.catalogue = &catalogue{view: h.r.View, fold: h.fold, own: "self", described: &ownRoot{}, consortium: repo.Consortium{ID: h.id}}
	h.takes(events...)
	h.takes(h.collectionOf(self, h.own, 1, h.named("Own", "notes")))
	return h
}

func (h *hostileWorld) takes(events ...consortium.Event) {
	h.t.Helper()
	must(h.t, h.deliver(events...))
	h.drain()
}

func (h *hostileWorld) named(title, alias string) wire.Collection {
	return wire.Collection{Title: title, Alias: alias, DefaultLevel: "green", Metadata: wire.MetadataOpen}
}

// everybody is a collection that all members read and write, under an alias.
func (h *hostileWorld) everybody(alias string) wire.Collection {
	p, all := h.named("For everybody", alias), wire.Accounts{Members: true}
	p.Readers, p.Contributors = all, all
	return p
}

var publisherRole = taxii.Principal{User: "u", Role: taxii.RolePublisher}

// lookalikes are aliases that could be taken for the id of a collection, or for something else in a URL.
func lookalikes(id string) []string {
	return []string{
		id, strings.ToUpper(id), strings.ReplaceAll(id, "-", ""), "urn:uuid:" + id, "{" + id + "}", everythingAlias,
		"", ".", "..", "a/b", "x y", "?", "%2e", strings.Repeat("a", 101), "a\x00", "ä",
	}
}

func TestWhatSomebodyCallsItsCollectionNeverHidesAnother(t *testing.T) {
	h := newHostileWorld(t)
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
	h := newHostileWorld(t)
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
	// The same in the command line's words.
	info := ConsortiumInfo{Members: []MemberInfo{{Name: "self", Self: true}}, Collections: []CollectionInfo{
		{ID: "1", Alias: "notes", Owner: "mallory"}, {ID: "2", Alias: "notes", Owner: "self"}, {ID: "3", Alias: "2", Owner: "mallory"},
	}}
	for name, want := range map[string]string{"notes": "2", "2": "2", "mallory/notes": "1"} {
		if c, err := info.Collection(name); err != nil || c.ID != want {
			t.Errorf("%q is %q (%v), want %q", name, c.ID, err, want)
		}
	}
}

func TestACollectionIsFoundWhereItIsListedAndNowhereElse(t *testing.T) {
	h := newHostileWorld(t)
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
	h := &hostileWorld{world: newWorld(t, self), founder: founder, mallory: mallory, keys: map[string]*seal.EpochKey{}, own: uuid.NewString()}
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

func TestACollectionWhoseIdIsTakenIsMadeAgain(t *testing.T) {
	h := newHostileWorld(t)
	stolen := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for after := uint64(0); ; {
			items, err := h.r.Outbox.Queue(repo.Stored, after, 10)
			if err != nil || t.Context().Err() != nil {
				return
			}
			for _, item := range items {
				after = item.Number
				if stolen++; stolen <= 2 {
					h.takes(h.collectionOf(h.mallory, item.Collection, 1, h.everybody(""), h.self))
					continue
				}
				root, err := cid.Decode(item.Directory)
				if err != nil {
					return
				}
				h.takes(h.mintDirectory(h.self, item.Note, root, item.MetadataHash))
				return
			}
		}
	}()
	c, err := h.owner.create(t.Context(), CollectionSpec{Title: "Ours"})
	<-done
	if err != nil || c.Owner != h.self.address() || stolen != 3 {
		t.Errorf("after %d records it is %+v (%v)", stolen, c, err)
	}
}

func TestTheFoundersAliasDoesNotKeepAMemberFromChangingItsCollection(t *testing.T) {
	h := newHostileWorld(t)
	h.takes(h.collectionOf(h.founder, h.collection, 2, h.everybody("notes"), h.self, h.mallory))
	c, err := h.owner.find(h.own)
	must(t, err)
	if err := h.owner.check(c, c.Properties); err != nil {
		t.Errorf("a change that leaves the alias is refused: %v", err)
	}
	renamed := c.Properties
	for alias, want := range map[string]bool{"other": true, "notes": true, everythingAlias: false, h.own: false} {
		renamed.Alias = alias
		if err := h.owner.check(c, renamed); (err == nil) != want {
			t.Errorf("the alias %q: %v", alias, err)
		}
	}
	renamed.Alias = "notes"
	if err := h.owner.check(consortium.Collection{}, renamed); err == nil {
		t.Error("a second collection gets the alias of the first")
	}
}

// A collection's id stands in a note on its way to the chain: another member can be first with it.
func TestWhatIsForNamedRecipientsNeverGoesIntoACollectionThatSomebodyElseMade(t *testing.T) {
	for name, hostile := range map[string]wire.Collection{
		"which it can't read":   madeForOne("red", wire.Accounts{}, wire.Accounts{}),
		"made to look the same": madeForOne("red", wire.Accounts{}, wire.Accounts{}),
		"for everybody":         madeForOne("clear", wire.Accounts{Members: true}, wire.Accounts{Members: true}),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostileWorld(t)
			p := &publisher{outbox: h.r.Outbox, view: h.r.View, fold: h.fold, recipients: h.owner, wake: func() {}, done: &signal{}, delay: noDelay()}
			to, err := h.owner.AdHoc(t.Context(), []string{"founder"})
			must(t, err)
			red := strings.Replace(indicatorJSON(1), `"name"`, `"labels":["tlp:red"],"name"`, 1)
			id, err := p.accept(publisherRole, taxii.Collection{Root: "self", ID: to.ID}, to, taxii.Addition{Objects: []taxii.Incoming{{Raw: []byte(red)}, {Raw: []byte(indicatorJSON(2))}}})
			must(t, err)
			readers := []*org{h.self}
			if name == "which it can't read" {
				readers = nil
			}
			if name == "made to look the same" {
				hostile.Readers.Named, hostile.Contributors.Named = to.Properties.Readers.Named, []string{h.self.address()}
			}
			h.takes(h.collectionOf(h.mallory, to.ID, 1, hostile, readers...))

			s := h.sealer()
			items, err := h.r.Outbox.Queue(repo.Accepted, 0, 10)
			must(t, err)
			_, err = s.seal(t.Context(), items)
			must(t, err)
			if counts := h.r.Outbox.Count(); counts[repo.Accepted]+counts[repo.Stored]-1 != 0 { // the record that came too late
				t.Errorf("%v wait to be published", counts)
			}
			status, err := p.status(id)
			must(t, err)
			if len(status.Failures) != 2 || !strings.Contains(status.Failures[0].Message, "taken the id") {
				t.Errorf("the status is %+v", status)
			}
			again, err := h.owner.AdHoc(t.Context(), []string{"founder"})
			if err != nil || again.ID == to.ID {
				t.Errorf("what is posted again goes to %s (%v)", again.ID, err)
			}
			if c, err := h.owner.await(t.Context(), to.ID, 1); err == nil {
				t.Errorf("%+v passes for the collection that was made", c)
			}
		})
	}
}

// madeForOne is an ad hoc collection.
func madeForOne(level string, readers, contributors wire.Accounts) wire.Collection {
	return wire.Collection{Title: "For founder", Readers: readers, Contributors: contributors, DefaultLevel: level, Metadata: wire.MetadataSealed, AdHoc: true}
}

func (h *hostileWorld) sealer() *sealer {
	return &sealer{outbox: h.r.Outbox, fold: h.fold, blocks: h.blocks, fresh: &freshDirectories{blocks: h.blocks}, consortium: h.id, stored: func() {}, done: &signal{},
		memory: sealBytes, condition: newMonitor("", discard), log: discard}
}

func TestAWebhooksCollectionIsTheOneThatItsIdNames(t *testing.T) {
	own, id := repo.Consortium{ID: 7}, uuid.NewString()
	for written, want := range map[string]string{
		everythingID(own): repo.Everything, strings.ToUpper(everythingID(own)): repo.Everything, strings.ToUpper(id): id, id: id, "": "",
	} {
		if got := webhookCollection(own, written); got != want {
			t.Errorf("%q is %q, want %q", written, got, want)
		}
	}
}
