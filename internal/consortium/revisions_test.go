package consortium

import (
	"reflect"
	"testing"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

func TestTheHistoryOfACollectionIsTheRecordsThatCount(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, reader)
	id := uuid.NewString()
	last := func() Event { return h.events[len(h.events)-1] }
	first := h.collection(founder, id, 1, everybody, nil, founder)
	begins := last()
	given := h.keyring(founder, id, map[uint32]*seal.EpochKey{1: first}, reader)
	h.collection(founder, id, 3, everybody, nil, founder, reader) // skips an epoch
	draft, err := DraftCollection(theConsortium, id, 1, wire.Collection{Title: "Changed", Readers: everybody, Metadata: wire.MetadataOpen},
		map[uint32]*seal.EpochKey{1: first}, recipients([]*organisation{founder}), noon)
	must(t, err)
	changes := h.mint(founder, draft)
	h.collection(founder, id, 2, everybody, nil, founder) // a key that the reader is not given
	next := last()
	void := h.keyring(founder, id, map[uint32]*seal.EpochKey{1: first}, reader)
	h.content[void.TxID] = Draft{Metadata: h.content[void.TxID].Metadata, Payload: []byte("x")}
	again := h.keyring(founder, id, map[uint32]*seal.EpochKey{1: first}, reader)

	want := []Revision{
		{TxID: begins.TxID, At: begins.Position, Epoch: 1, Begins: true, Key: first},
		{TxID: given.TxID, At: given.Position, Epoch: 1, Keyring: true},
		{TxID: changes.TxID, At: changes.Position, Epoch: 1, Key: first},
		{TxID: next.TxID, At: next.Position, Epoch: 2, Begins: true},
		{TxID: again.TxID, At: again.Position, Epoch: 2, Keyring: true},
	}
	same := func(got, want []Revision) bool {
		if len(got) != len(want) {
			return false
		}
		for i, a := range got {
			b := want[i]
			if (a.Key == nil) != (b.Key == nil) || a.Key != nil && !a.Key.Equal(b.Key) {
				return false
			}
			if a.Key, b.Key = nil, nil; a != b {
				return false
			}
		}
		return true
	}
	if got, known := h.fold(reader).Revisions(id); !known || !same(got, want) {
		t.Errorf("the history is %+v, known %v\nwant %+v", got, known, want)
	}
	s := h.applied(reader)
	h.attach(s, begins)
	h.attach(s, given)
	if got, known := s.Revisions(id); known || !same(got, want[:2]) {
		t.Errorf("up to the record that has not arrived it is %+v, known %v", got, known)
	}
	if got, known := s.Revisions(uuid.NewString()); !known || got != nil {
		t.Errorf("that of no collection is %+v, known %v", got, known)
	}
}

// A keyring gives keys of what was there before: before the first record that counts there was nothing.
func TestAKeyringBeforeACollectionBeginsIsNoneOfItsHistory(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	h.founding(founder)
	id := uuid.NewString()
	h.collection(founder, id, 2, everybody, nil, founder) // it can't begin with the second epoch
	key, err := seal.NewEpochKey()
	must(t, err)
	h.keyring(founder, id, map[uint32]*seal.EpochKey{1: key}, founder)
	h.collection(founder, id, 1, everybody, nil, founder)
	got, known := h.fold(founder).Revisions(id)
	if !known || len(got) != 1 || got[0].TxID != h.events[len(h.events)-1].TxID || !got[0].Begins {
		t.Errorf("the history is %+v, known %v", got, known)
	}
}

func TestAMembershipLastsAsLongAsAnyOfItsAdmissions(t *testing.T) {
	founder, twice, back, gone := newOrganisation(t, "founder"), newOrganisation(t, "twice"), newOrganisation(t, "back"), newOrganisation(t, "gone")
	h := newHistory(t)
	h.founding(founder)
	own := h.events[1]
	one := h.admit(founder, twice)
	left := h.admit(founder, back)
	short := h.admit(founder, gone)
	long := h.admit(founder, gone)
	h.admit(founder, twice)
	h.destroy(founder, one.Asset) // the other admission is in force still
	leaves := h.destroy(founder, left.Asset)
	returns := h.admit(founder, back)
	h.destroy(founder, short.Asset)
	ends := h.destroy(founder, long.Asset)
	h.rotate(back, back.address(), back.withOtherKeys(t))

	want := []Membership{
		{Member: founder.address(), From: own.Position},
		{Member: twice.address(), From: one.Position},
		{Member: back.address(), From: left.Position, Until: &leaves.Position},
		{Member: gone.address(), From: short.Position, Until: &ends.Position},
		{Member: back.address(), From: returns.Position},
	}
	for range 5 { // whatever the order of a map
		if got := h.fold(founder).Memberships(); !reflect.DeepEqual(got, want) {
			t.Fatalf("the memberships are %+v\nwant %+v", got, want)
		}
	}
	// The admission that ends last may be the one that began first.
	h = newHistory(t)
	h.founding(founder)
	first, second := h.admit(founder, gone), h.admit(founder, gone)
	h.destroy(founder, second.Asset)
	ends = h.destroy(founder, first.Asset)
	if got := h.fold(founder).Memberships()[1]; got.From != first.Position || got.Until == nil || *got.Until != ends.Position {
		t.Errorf("of two admissions, the first the longer one: %+v", got)
	}
}

// What a batch lists counts as if it had been published alone, but for what only its transaction has.
func TestAnObjectThatABatchListsIsAtThePlaceOfTheBatch(t *testing.T) {
	batch := Event{
		Position: Position{Round: 7, Intra: 2}, Time: noon, TxID: "TX7", Sender: "S", Asset: 9, Consortium: theConsortium,
		Note: wire.Note{Kind: wire.KindBatch, Sequence: 4}, Directory: "batch", MetadataHash: []byte("hash"), Lease: []byte("lease"), Fee: 1000,
	}
	one := batch.Listed(3, "object")
	want := Event{
		Position: Position{Round: 7, Intra: 2, Index: 3}, Time: noon, TxID: "TX7", Sender: "S", Asset: 9, Consortium: theConsortium,
		Note: wire.Note{Kind: wire.KindObject, Sequence: 4}, Directory: "object", Fee: 1000,
	}
	if !reflect.DeepEqual(one, want) {
		t.Errorf("it is %+v, want %+v", one, want)
	}
	if place, want := one.Place(), (Place{TxID: "TX7", Round: 7, Asset: 9, Index: 3, Directory: "object"}); place != want {
		t.Errorf("its place is %+v, want %+v", place, want)
	}
	if name := (wire.Publication{TxID: "TX7", Index: 3}); one.Name() != name || one.Place().Name() != name {
		t.Errorf("its name is %v, that of its place %v", one.Name(), one.Place().Name())
	}
	if one.String() != "7:2/3" || batch.Position.String() != "7:2" || !batch.Before(one.Position) || one.Before(batch.Position) {
		t.Errorf("the positions are %v and %v", batch.Position, one.Position)
	}
}

func TestWhoOwnsACollectionIsToldByTheChainAlone(t *testing.T) {
	founder := newOrganisation(t, "founder")
	now := founder.withOtherKeys(t)
	h := newHistory(t)
	id, _ := h.founding(founder)
	if account, exists := h.applied(founder).OwnerOf(id); !exists || account != founder.address() {
		t.Errorf("the collection is that of %q, exists %v", account, exists)
	}
	h.rotate(founder, founder.address(), now)
	if account, exists := h.applied(founder).OwnerOf(id); !exists || account != now.address() {
		t.Errorf("after a change of keys it is that of %q, exists %v", account, exists)
	}
	if account, exists := h.applied(founder).OwnerOf(uuid.NewString()); exists || account != "" {
		t.Errorf("a collection that nobody made is that of %q, exists %v", account, exists)
	}
}

// However often the same keyring comes while what it is for is missing, it is one that is missing.
func TestARecordThatComesAgainIsMissedOnce(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	id, first := h.founding(founder)
	h.admit(founder, reader)
	h.keyring(founder, id, map[uint32]*seal.EpochKey{1: first}, reader)
	second := h.collection(founder, id, 2, everybody, nil, founder)
	begins := h.events[len(h.events)-1]
	given := h.keyring(founder, id, map[uint32]*seal.EpochKey{2: second}, reader)
	object, metadata := h.object(founder, id, 2, second)
	s := h.applied(reader)
	for _, e := range append(h.events[:5:5], given, given, given) {
		h.attach(s, e)
	}
	if ruling := s.Rule(object, metadata); ruling.Outcome != Waits {
		t.Errorf("an object without the record of its epoch: %v (%s)", ruling.Outcome, ruling.Reason)
	}
	h.attach(s, begins)
	if ruling := s.Rule(object, metadata); ruling.Outcome != Waits {
		t.Errorf("an object without its key: %v (%s)", ruling.Outcome, ruling.Reason)
	}
	if c, ok := s.Collection(id); !ok || !c.Former || !c.Pending {
		t.Errorf("without its key the collection is %+v, %v", c, ok)
	}
	h.supply(s)
	if c, ok := s.Collection(id); !ok || c.Former || c.Pending || c.Epoch != 2 || s.collections[id].late != 0 {
		t.Errorf("with it the collection is %+v, %v", c, ok)
	}
}

func TestEveryContributorThatIsNamedMayPublishInWhateverOrder(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	h.founding(founder)
	var named []string
	var members []*organisation
	for range 7 {
		o := newOrganisation(t, "member")
		h.admit(founder, o)
		members, named = append(members, o), append(named, o.address())
	}
	id := uuid.NewString()
	key := h.collection(founder, id, 1, wire.Accounts{Named: named}, nil, founder)
	for _, o := range members {
		e, m := h.object(o, id, 1, key)
		if ruling := h.fold(founder).Rule(e, m); ruling.Outcome != Readable {
			t.Errorf("an object of a contributor: %v (%s)", ruling.Outcome, ruling.Reason)
		}
	}
}

// Whoever owns a collection can say nonsense in it. That is the same for everybody, and holds up nothing after it.
func TestACollectionWhosePropertiesAreNotInOrderIsReadByNobody(t *testing.T) {
	founder := newOrganisation(t, "founder")
	key, err := seal.NewEpochKey()
	must(t, err)
	other, err := seal.NewEpochKey()
	must(t, err)
	sealed := func(key *seal.EpochKey, plaintext string) []byte {
		data, err := key.Seal(seal.Pad([]byte(plaintext)))
		must(t, err)
		return data
	}
	for what, properties := range map[string][]byte{
		"not sealed": []byte("x"), "sealed with another key": sealed(other, "{}"), "no properties": sealed(key, "x"), "properties without a title": sealed(key, "{}"),
	} {
		h := newHistory(t)
		h.founding(founder)
		id := uuid.NewString()
		draft, err := DraftCollection(theConsortium, id, 1, wire.Collection{Title: "T", Metadata: wire.MetadataOpen}, map[uint32]*seal.EpochKey{1: key},
			recipients([]*organisation{founder}), noon)
		must(t, err)
		record, err := wire.ParseCollectionRecord(draft.Payload)
		must(t, err)
		record.Sealed = properties
		payload, err := record.Encode()
		must(t, err)
		h.mint(founder, newDraft(draft.Note, wire.Properties{Consortium: theConsortium, Collection: id, Epoch: 1}, payload, noon))
		object, metadata := h.object(founder, id, 1, key)
		s := h.fold(founder)
		if c, ok := s.Collection(id); ok {
			t.Errorf("%s: the collection is %+v", what, c)
		}
		if ruling := s.Rule(object, metadata); ruling.Outcome != NotForUs {
			t.Errorf("%s: an object is %v (%s)", what, ruling.Outcome, ruling.Reason)
		}
		h.collection(founder, id, 2, everybody, map[uint32]*seal.EpochKey{1: key}, founder)
		if c, ok := h.fold(founder).Collection(id); !ok || c.Epoch != 2 || c.Pending || c.Former {
			t.Errorf("%s, and then in order: the collection is %+v, %v", what, c, ok)
		}
	}
}

func TestAKeyringThatIsForOthersIsNotAskedForAgain(t *testing.T) {
	founder, reader, other := newOrganisation(t, "founder"), newOrganisation(t, "reader"), newOrganisation(t, "other")
	h := newHistory(t)
	id, key := h.founding(founder)
	begins := h.events[2]
	given := h.keyring(founder, id, map[uint32]*seal.EpochKey{1: key}, reader)
	for viewer, want := range map[*organisation]int{reader: 1, other: 0} {
		s := h.applied(viewer)
		h.attach(s, given)
		h.attach(s, begins)
		if wanted := s.Wanted(); len(wanted) != want {
			t.Errorf("when the beginning of the epoch has come, %v is wanted again", wanted)
		}
	}
}

func TestAKeyringThatHasNotArrivedHoldsUpNothing(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	id, first := h.founding(founder)
	h.keyring(founder, id, map[uint32]*seal.EpochKey{1: first}, reader)
	second := h.collection(founder, id, 2, everybody, nil, founder)
	next := h.events[len(h.events)-1]
	object, metadata := h.object(founder, id, 2, second)
	s := h.applied(founder)
	for _, e := range append(h.events[:3:3], next) {
		h.attach(s, e)
	}
	if c, ok := s.Collection(id); !ok || c.Epoch != 2 || c.Pending || c.Former {
		t.Errorf("the collection is %+v, %v", c, ok)
	}
	if ruling := s.Rule(object, metadata); ruling.Outcome != Readable {
		t.Errorf("an object is %v (%s)", ruling.Outcome, ruling.Reason)
	}
}

// A node that lacks room has to ask for a record again when the key to it comes. Until then all is as before that
// record.
func TestWhileARecordIsWantedAgainTheCollectionIsAsBeforeIt(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	for what, readable := range map[string]uint32{"it was read before": 1, "only later ones were read": 3} {
		h := newHistory(t)
		h.founding(founder)
		id := uuid.NewString()
		keys := map[uint32]*seal.EpochKey{}
		for epoch := uint32(1); epoch <= 3; epoch++ {
			to := []*organisation{founder}
			if epoch == readable {
				to = append(to, reader)
			}
			keys[epoch] = h.collection(founder, id, epoch, everybody, nil, to...)
		}
		missing := h.events[len(h.events)-2]
		given := h.keyring(founder, id, map[uint32]*seal.EpochKey{2: keys[2]}, reader)
		s := h.applied(reader)
		s.spare = maxSpare
		for _, e := range h.events {
			h.attach(s, e)
		}
		if wanted := s.Wanted(); len(wanted) != 1 || wanted[0] != missing.TxID {
			t.Fatalf("%s: with %s, %v is wanted again", what, given.TxID, wanted)
		}
		if c, ok := s.Collection(id); ok != (readable == 1) || ok && (c.Epoch != 1 || !c.Pending || c.Properties.Title != "Shared") {
			t.Errorf("%s: the collection is %+v, %v", what, c, ok)
		}
		h.attach(s, missing)
		h.supply(s)
		if c, ok := s.Collection(id); !ok || c.Epoch != max(2, readable) || c.Pending || c.Former != (readable == 1) {
			t.Errorf("%s, and it has come: the collection is %+v, %v", what, c, ok)
		}
	}
}

func TestADraftIsReadFromItsFiles(t *testing.T) {
	member, other := newOrganisation(t, "member"), newOrganisation(t, "other")
	draft, err := DraftRemoval(theConsortium, member.address(), noon)
	must(t, err)
	if draft, err = draft.By(other.address()); err != nil {
		t.Fatal(err)
	}
	again, err := Redraft(draft.Note, draft.Metadata, draft.Payload)
	if err != nil || !reflect.DeepEqual(again, draft) || again.Parsed().Properties.Publisher != other.address() {
		t.Errorf("it is %+v, %v, was %+v", again, err, draft)
	}
	mine, err := again.By(member.address())
	if err != nil || mine.Parsed().Properties.Publisher != member.address() || reflect.DeepEqual(mine.Metadata, draft.Metadata) || !reflect.DeepEqual(mine.Payload, draft.Payload) {
		t.Errorf("by somebody else it is %+v, %v", mine, err)
	}
	if again, err := Redraft(draft.Note, []byte("{"), draft.Payload); err == nil || !reflect.DeepEqual(again, Draft{}) {
		t.Errorf("from damaged files it is %+v, %v", again, err)
	}
}
