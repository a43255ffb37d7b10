package consortium

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// read reads the content of a record as a node does, stores it and takes it from the store.
func (h *history) read(s *State, e Event) (Content, error) {
	h.t.Helper()
	draft := h.content[e.TxID]
	metadata, err := wire.ParseMetadata(draft.Metadata)
	must(h.t, err)
	reader, err := s.Reader(e.TxID)
	must(h.t, err)
	c, err := reader.Read(metadata, draft.Payload)
	if err != nil {
		return c, err
	}
	stored, err := c.Encode()
	must(h.t, err)
	c, err = DecodeContent(stored)
	must(h.t, err)
	return c, nil
}

// foldCramped is fold for a node that has room for so many bytes beside the present properties of each collection, and
// that is asked for the rest again and again.
func (h *history) foldCramped(viewer *organisation, room int, order ...int) *State {
	h.t.Helper()
	s := New(theConsortium, "TX0", viewer.identity)
	s.spare = maxSpare - room
	var records []Event
	for _, e := range h.events {
		if effect, _ := s.Apply(e); effect == Record && e.Note.Kind != wire.KindDestroy {
			records = append(records, e)
		}
	}
	contents := map[string]Content{}
	for _, i := range order {
		c, err := h.read(s, records[i])
		if err != nil {
			s.Void(records[i].TxID)
			continue
		}
		contents[records[i].TxID] = c
		s.Take(records[i].TxID, c)
		for again := 0; ; again++ {
			wanted := s.Wanted()
			if len(wanted) == 0 {
				break
			}
			if again > 100 {
				h.t.Fatalf("it wants %v again and again", wanted)
			}
			for _, txid := range wanted {
				s.Take(txid, contents[txid])
			}
		}
	}
	return s
}

// What the state keeps in memory, and what it has to ask for again, is its own affair.
func TestAStateWithoutRoomIsTheSame(t *testing.T) {
	founder, member, late := newOrganisation(t, "founder"), newOrganisation(t, "member"), newOrganisation(t, "late")
	everyone := []*organisation{founder, member, late}
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t)
		h.founding(founder)
		h.admit(founder, member)
		h.admit(founder, late)
		id := uuid.NewString()
		keys := map[uint32]*seal.EpochKey{}
		type published struct {
			e Event
			m wire.Metadata
		}
		var objects []published
		some := func(what string) []*organisation {
			return slices.DeleteFunc(slices.Clone(everyone), func(*organisation) bool { return rapid.Bool().Draw(rt, what) })
		}
		for range rapid.IntRange(1, 9).Draw(rt, "steps") {
			epoch := uint32(len(keys))
			switch step := rapid.IntRange(0, 6).Draw(rt, "record"); {
			case step == 0 || epoch == 0:
				contributors := wire.Accounts{Named: strings.Fields(strings.Join(accounts(some("contributors")), " "))}
				keys[epoch+1] = h.collection(founder, id, epoch+1, contributors, nil, append(some("readers"), founder)...)
			case step == 1:
				h.keyring(founder, id, keys, append(some("given"), founder)...)
			case step == 2: // other keys for the same epochs
				wrong, err := seal.NewEpochKey()
				must(t, err)
				h.keyring(founder, id, map[uint32]*seal.EpochKey{rapid.Uint32Range(1, epoch+1).Draw(rt, "epoch"): wrong}, append(some("given"), founder)...)
			case step == 4: // the present epoch's properties, with its key or another
				with := map[uint32]*seal.EpochKey{epoch: keys[rapid.Uint32Range(1, epoch).Draw(rt, "key")]}
				draft, err := DraftCollection(theConsortium, id, epoch, wire.Collection{Title: "Again", Readers: everybody, Metadata: wire.MetadataOpen},
					with, recipients(append(some("again"), founder)), noon)
				must(t, err)
				h.mint(founder, draft)
			case step == 3:
				h.collection(founder, id, epoch+2, everybody, nil, founder, member) // skips an epoch: void
			default:
				e, m := h.object(rapid.SampledFrom(everyone).Draw(rt, "publisher"), id, epoch, keys[epoch])
				objects = append(objects, published{e, m})
			}
		}
		records := 0
		probe := New(theConsortium, "TX0", nil)
		for _, e := range h.events {
			if effect, _ := probe.Apply(e); effect == Record {
				records++
			}
		}
		order := make([]int, records)
		for i := range order {
			order[i] = i
		}
		viewer := rapid.SampledFrom(everyone).Draw(rt, "viewer")
		want := h.fold(viewer)
		if len(want.Wanted()) > 0 {
			rt.Fatal("with room for everything it wants something again")
		}
		room := rapid.SampledFrom([]int{0, 300, 700, 5000, maxSpare}).Draw(rt, "room")
		got := h.foldCramped(viewer, room, rapid.Permutation(order).Draw(rt, "order")...)
		if a, b := fmt.Sprintf("%+v", collectionsOf(want)), fmt.Sprintf("%+v", collectionsOf(got)); a != b {
			rt.Fatalf("with room:\n%.2000s\nwithout:\n%.2000s", a, b)
		}
		for _, o := range objects {
			a, b := want.Rule(o.e, o.m), got.Rule(o.e, o.m)
			if a.Outcome != b.Outcome || a.Reason != b.Reason {
				rt.Fatalf("an object of round %d is %v (%s) and %v (%s)", o.e.Round, a.Outcome, a.Reason, b.Outcome, b.Reason)
			}
		}
		if counted, kept := got.spare-(maxSpare-room), got.kept(); counted != kept || kept > room {
			rt.Fatalf("%d bytes are counted as spare, %d are kept where there is room for %d", counted, kept, room)
		}
	})
}

// kept is how many bytes of properties a state holds beside the present ones of each collection.
func (s *State) kept() (bytes int) {
	for _, c := range s.collections {
		for _, r := range c.records {
			if bytes += len(r.sealed); r.opened != nil && r != c.last {
				bytes += r.length
			}
		}
	}
	return bytes
}

func accounts(organisations []*organisation) (list []string) {
	for _, o := range organisations {
		list = append(list, o.address())
	}
	return list
}

// collectionsOf is what a state says of collections, with the secrets of their keys.
func collectionsOf(s *State) (list []any) {
	for _, c := range s.Collections() {
		secret := c.Key.Secret()
		c.Key = nil
		list = append(list, c, secret)
	}
	return list
}

// large is properties of about the size that is allowed, with names of accounts that nobody has.
func large(t testing.TB) wire.Collection {
	t.Helper()
	stranger := newOrganisation(t, "stranger").address()
	return wire.Collection{
		Title: "Large", Metadata: wire.MetadataOpen, DefaultLevel: "green", Readers: everybody,
		Contributors: wire.Accounts{Named: slices.Repeat([]string{stranger}, (wire.MaxProperties-200)/(len(stranger)+3))},
	}
}

// One member makes records that everybody has to remember. They cost memory in proportion to what it pays, however
// large they are.
func TestRecordsTakeLittleMemory(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	h.founding(founder)
	key, err := seal.NewEpochKey()
	must(t, err)
	id := uuid.NewString()
	draft, err := DraftCollection(theConsortium, id, 1, large(t), map[uint32]*seal.EpochKey{1: key}, []string{founder.identity.Recipient()}, noon)
	must(t, err)
	draft = h.by(founder, draft)
	const count = 400
	first := h.mint(founder, draft)
	for range count - 1 {
		h.mint(founder, Draft{Note: draft.Note, Metadata: draft.Metadata})
	}
	s := New(theConsortium, "TX0", founder.identity)
	for _, e := range h.events {
		s.Apply(e)
	}
	content, err := h.read(s, first)
	must(t, err)
	encoded, err := content.Encode()
	must(t, err)
	before := heap()
	for _, e := range slices.Backward(h.events) { // the worst order: nothing is known until the last of them
		if e.Note.Collection == id {
			c, err := DecodeContent(encoded)
			must(t, err)
			s.Take(e.TxID, c)
		}
	}
	for _, txid := range s.Wanted() {
		s.Take(txid, content)
	}
	if c, ok := s.Collection(id); !ok || c.Properties.Title != "Large" || c.Pending || c.Revision != count {
		t.Fatalf("the collection is %v, pending %v, revision %d", ok, c.Pending, c.Revision)
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("%d records of %d bytes take %d bytes", count, len(encoded), grown)
	}
	runtime.KeepAlive(s)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAKeyringBringsKeysOfEpochsThatHaveBegunOnly(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	id, first := h.founding(founder)
	h.admit(founder, reader)
	keys := map[uint32]*seal.EpochKey{}
	for epoch := range uint32(200) {
		keys[epoch] = first
	}
	h.keyring(founder, id, keys, reader)
	h.collection(founder, id, 2, everybody, keys, reader)
	if got := h.fold(reader).Keys(id); len(got) != 2 {
		t.Errorf("after two collection records it holds %d keys of %d, want 2", len(got), len(keys))
	}
}

func TestNoMoreStanzasAreTriedThanTheMembersNeed(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	id, key := h.founding(founder)
	h.admit(founder, reader)
	organisations := 2
	for _, row := range []struct {
		organisations, files int
		tried                bool
	}{ // files of 4 stanzas each, the least: 16 for up to four organisations, 32 for up to eight
		{2, 4, true}, {2, 5, false}, {4, 5, false}, {5, 8, true}, {5, 9, false},
	} {
		for ; organisations < row.organisations; organisations++ {
			h.admit(founder, newOrganisation(t, "another"))
		}
		files, tried := row.files, row.tried
		var keyrings [][]byte
		for n := range files {
			to := founder
			if n == files-1 {
				to = reader
			}
			sealed, err := sealKeyrings(id, map[uint32]*seal.EpochKey{1: key}, []string{to.identity.Recipient()})
			must(t, err)
			keyrings = append(keyrings, sealed...)
		}
		payload, err := wire.KeyringRecord{Collection: id, Keyrings: keyrings}.Encode()
		must(t, err)
		e := h.mint(founder, newDraft(wire.Note{Kind: wire.KindKeyring, Collection: id}, wire.Properties{Consortium: theConsortium, Collection: id}, payload, noon))
		s := h.fold(newOrganisation(t, "other"))
		s.identity = reader.identity
		if c, err := h.read(s, e); err != nil || (len(c.Keys) == 1) != tried {
			t.Errorf("for %d organisations, the last of %d keyrings gives %d keys, %v", organisations, files, len(c.Keys), err)
		}
	}
}

// An owner can damage a keyring for one reader. For the others, and in what everybody sees, nothing changes.
func TestADamagedKeyringGivesNoKeysAndMakesNothingVoid(t *testing.T) {
	founder, reader, other := newOrganisation(t, "founder"), newOrganisation(t, "reader"), newOrganisation(t, "other")
	h := newHistory(t)
	id, key := h.founding(founder)
	h.admit(founder, reader)
	h.admit(founder, other)
	sealedTo := func(plaintext string) []byte {
		sealed, err := seal.SealTo([]string{reader.identity.Recipient()}, []byte(plaintext))
		must(t, err)
		return sealed
	}
	whole, err := wire.Keyring{Collection: id, Epochs: []wire.KeyringEpoch{{Epoch: 1, Secret: key.Secret()}}}.Encode()
	must(t, err)
	torn := sealedTo(string(whole))
	torn[len(torn)-1]++
	for what, keyring := range map[string][]byte{
		"no age file": []byte("not age"), "no JSON": sealedTo("{"), "a torn one": torn,
		"one of another collection": sealedTo(strings.Replace(string(whole), id, uuid.NewString(), 1)),
		"one without keys":          sealedTo(strings.Replace(string(whole), key.Secret(), "x"+key.Secret()[1:], 1)),
	} {
		good, err := sealKeyrings(id, map[uint32]*seal.EpochKey{1: key}, []string{other.identity.Recipient()})
		must(t, err)
		payload, err := wire.KeyringRecord{Collection: id, Keyrings: append([][]byte{keyring}, good...)}.Encode()
		must(t, err)
		events := len(h.events)
		h.mint(founder, newDraft(wire.Note{Kind: wire.KindKeyring, Collection: id}, wire.Properties{Consortium: theConsortium, Collection: id}, payload, noon))
		if len(h.fold(reader).Keys(id)) != 0 || len(h.fold(other).Keys(id)) != 1 {
			t.Errorf("with %s the reader has %d keys and the other one %d", what, len(h.fold(reader).Keys(id)), len(h.fold(other).Keys(id)))
		}
		h.events = h.events[:events]
	}
}

func TestADirectoryIsOneRecordOfAMember(t *testing.T) {
	founder, other := newOrganisation(t, "founder"), newOrganisation(t, "other")
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, other)
	s := New(theConsortium, "TX0", nil)
	for _, e := range h.events {
		s.Apply(e)
	}
	made := func(by *organisation, kind wire.Kind, collection, directory string) Effect {
		e := h.mint(by, Draft{Note: wire.Note{Kind: kind, Collection: collection}, Metadata: []byte("{}")})
		e.Directory = directory
		effect, _ := s.Apply(e)
		return effect
	}
	mine, others := uuid.NewString(), uuid.NewString()
	for i, step := range []struct {
		by         *organisation
		kind       wire.Kind
		collection string
		directory  string
		want       Effect
	}{
		{other, wire.KindCollection, others, "A", Record},
		{founder, wire.KindCollection, mine, "A", Record}, // whose it was: nobody takes another's record from it by being first
		{founder, wire.KindKeyring, mine, "A", Nothing},
		{founder, wire.KindCollection, uuid.NewString(), "A", Nothing},
		{founder, wire.KindCollection, mine, "B", Record},
		{founder, wire.KindCollection, mine, "B", Nothing},
		{founder, wire.KindKeyring, mine, "C", Record},
	} {
		if got := made(step.by, step.kind, step.collection, step.directory); got != step.want {
			t.Errorf("step %d has the effect %v, want %v", i, got, step.want)
		}
	}
}

func TestAMemberMakesABoundedNumberOfCollections(t *testing.T) {
	founder, other := newOrganisation(t, "founder"), newOrganisation(t, "other")
	h := newHistory(t)
	id, _ := h.founding(founder)
	h.admit(founder, other)
	s := New(theConsortium, "TX0", nil)
	for _, e := range h.events {
		s.Apply(e)
	}
	made := func(by *organisation) Effect {
		note := wire.Note{Kind: wire.KindCollection, Collection: uuid.NewString()}
		effect, _ := s.Apply(h.mint(by, Draft{Note: note, Metadata: []byte("{}")}))
		return effect
	}
	for n := 1; n <= maxCollections+1; n++ { // the founder has one already
		if got, want := made(founder), n < maxCollections; (got == Record) != want {
			t.Fatalf("collection %d of a member has the effect %v", n+1, got)
		}
	}
	if made(other) != Record {
		t.Error("another member can't make any")
	}
	again := h.mint(founder, Draft{Note: wire.Note{Kind: wire.KindCollection, Collection: id}, Metadata: []byte("{}")})
	if effect, reason := s.Apply(again); effect != Record {
		t.Errorf("a record of a collection that it has made has the effect %v (%s)", effect, reason)
	}
}

// A member gives itself other keys again and again: only what it has now is held in full.
func TestRotationsTakeLittleMemory(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	h.founding(founder)
	next := founder.onlyPeer(t)
	for range 50 {
		h.rotate(founder, founder.address(), next)
	}
	atOnce := New(theConsortium, "TX0", founder.identity)
	for _, e := range h.events {
		atOnce.Apply(e)
		h.attach(atOnce, e)
	}
	for what, s := range map[string]*State{"after all of them": h.fold(founder), "each at once": atOnce} {
		held := 0
		for _, r := range s.members[founder.address()].rotations {
			if r.content != nil {
				held++
			}
		}
		if held != 1 {
			t.Errorf("with their content %s, %d of 50 documents are held", what, held)
		}
		if got := s.Members()[0]; !got.Known || got.Peer != next.document.Peer || !slices.Contains(got.PastPeers, founder.document.Peer) {
			t.Errorf("with their content %s, the member is %+v", what, got)
		}
	}
}

func TestAContentIsStoredWhole(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	id, key := h.founding(founder)
	h.admit(founder, reader)
	h.keyring(founder, id, map[uint32]*seal.EpochKey{1: key}, reader)
	s := New(theConsortium, "TX0", reader.identity)
	for _, e := range h.events {
		s.Apply(e)
	}
	for _, e := range h.events {
		c, err := h.read(s, e)
		must(t, err)
		if e.Note.Kind == wire.KindKeyring && (len(c.Keys) != 1 || c.Keys[0].Secret != key.Secret()) {
			t.Errorf("the keyring gives %d keys", len(c.Keys))
		}
		if !c.Opened(reader.identity) {
			t.Errorf("the %s is not known to be read with this identity", e.Note.Kind)
		}
		asks := e.Note.Kind == wire.KindCollection || e.Note.Kind == wire.KindKeyring
		if c.Opened(founder.identity) == asks {
			t.Errorf("the %s is taken for read with another identity", e.Note.Kind)
		}
		s.Take(e.TxID, c)
	}
	if a, b := view(h.fold(reader)), view(s); !reflect.DeepEqual(a, b) {
		t.Error("from what was stored it is another state")
	}
}

func TestAContentThatIsDamagedIsNotQuoted(t *testing.T) {
	c, err := DecodeContent([]byte(`{"keys":[{"epoch":1,"secret":"the secret"}],"epoch":"x"}`))
	if err == nil || strings.Contains(err.Error(), "secret") || !reflect.DeepEqual(c, Content{}) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAContentThatAnIdentityOpenedWasOpenedByNone(t *testing.T) {
	identity := newOrganisation(t, "member").identity
	if (Content{Fingerprint: identity.Fingerprint()}).Opened(nil) || !(Content{}).Opened(nil) {
		t.Error("without an identity, a keyring was tried")
	}
}

func TestTheKeysOfAContentAreAscending(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	id, first := h.founding(founder)
	keys := map[uint32]*seal.EpochKey{1: first}
	for epoch := uint32(2); epoch <= 9; epoch++ {
		keys[epoch] = h.collection(founder, id, epoch, everybody, nil, founder)
	}
	e := h.keyring(founder, id, keys, founder)
	c, err := h.read(h.applied(founder), e)
	must(t, err)
	for i, key := range c.Keys {
		if key.Epoch != uint32(i+1) || key.Secret != keys[key.Epoch].Secret() {
			t.Errorf("key %d is of epoch %d", i, key.Epoch)
		}
	}
	if len(c.Keys) != len(keys) {
		t.Errorf("%d of %d keys", len(c.Keys), len(keys))
	}
}

func TestWhatIsNoRecordHasNoContent(t *testing.T) {
	member := newOrganisation(t, "member")
	h := newHistory(t)
	id, key := h.founding(member)
	object, metadata := h.object(member, id, 1, key)
	metadata.Properties.Collection = ""
	if c, err := (Reader{event: object}).Read(metadata, []byte("{}")); err == nil || !strings.Contains(err.Error(), "has no content") {
		t.Errorf("the content of an object is %+v, %v", c, err)
	}
}
