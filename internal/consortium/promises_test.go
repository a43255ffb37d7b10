package consortium

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// documented is a number of docs/PROTOCOL.md, by the text around it with # in its place.
func documented(t testing.TB, text string) int {
	t.Helper()
	document, err := os.ReadFile("../../docs/PROTOCOL.md")
	must(t, err)
	found := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(text), "#", `([0-9,]+)`)).FindSubmatch(bytes.Join(bytes.Fields(document), []byte(" ")))
	if found == nil {
		t.Fatalf("PROTOCOL.md does not say %q", text)
	}
	n, err := strconv.Atoi(strings.ReplaceAll(string(found[1]), ",", ""))
	must(t, err)
	return n
}

func TestTheNumbersOfTheRulesAreThoseOfTheProtocol(t *testing.T) {
	for text, number := range map[string]int{
		"plus **#**, the *grace*": Grace, "validity window of a transaction (# rounds)": Overdue,
		"| collections that a member makes | # |": maxCollections, "made # collections makes no more": maxCollections,
		"**#** times what one file for as many readers has (8.3)": maxKeyringStanzas(1024) / seal.Stanzas(1024),
	} {
		if n := documented(t, text); n != number {
			t.Errorf("PROTOCOL.md says %q with %d, the code has %d", text, n, number)
		}
	}
}

// applied is the state of one organisation's node to which no content has come yet.
func (h *history) applied(viewer *organisation) *State {
	s := New(theConsortium, "TX0", viewer.identity)
	for _, e := range h.events {
		s.Apply(e)
	}
	return s
}

func (h *history) metadata(e Event) wire.Metadata {
	h.t.Helper()
	m, err := wire.ParseMetadata(h.content[e.TxID].Metadata)
	must(h.t, err)
	return m
}

// A directory that says another thing than the note that leads to it is void, whoever made it.
func TestContentThatDoesNotFitItsNoteIsVoid(t *testing.T) {
	founder, member, other := newOrganisation(t, "founder"), newOrganisation(t, "member"), newOrganisation(t, "other")
	now, another := member.withOtherKeys(t), member.withOtherKeys(t)
	h := newHistory(t)
	id, key := h.founding(founder)
	charter, collection := h.events[0], h.events[2]
	admission := h.admit(founder, member)
	otherAdmission := h.admit(founder, other)
	keyring := h.keyring(founder, id, map[uint32]*seal.EpochKey{1: key}, founder, member)
	elsewhere := uuid.NewString()
	h.collection(founder, elsewhere, 1, everybody, nil, founder)
	otherCollection := h.events[len(h.events)-1]
	otherKeyring := h.keyring(founder, elsewhere, map[uint32]*seal.EpochKey{1: key}, founder)
	removal := h.remove(founder, other.address())
	amendment := h.amend(founder, 1, other.address())

	peerKey, _, err := p2pcrypto.GenerateEd25519Key(rand.Reader)
	must(t, err)
	peerID, err := peer.IDFromPrivateKey(peerKey)
	must(t, err)
	for _, o := range []*organisation{now, another} { // the same peer key
		o.document.Peer = peerID.String()
		o.document, err = o.document.Sign(o.account.PrivateKey, peerKey)
		must(t, err)
	}
	rotation := h.rotate(member, member.address(), now)
	payload := func(data []byte, err error) []byte {
		t.Helper()
		must(t, err)
		return data
	}
	foreign := map[string]map[string][]byte{
		charter.TxID:    {"the content of an amendment": h.content[amendment.TxID].Payload},
		admission.TxID:  {"another member": h.content[otherAdmission.TxID].Payload},
		collection.TxID: {"another collection": h.content[otherCollection.TxID].Payload, "a keyring's content": h.content[keyring.TxID].Payload},
		keyring.TxID:    {"another collection": h.content[otherKeyring.TxID].Payload, "a collection's content": h.content[collection.TxID].Payload},
		rotation.TxID: {
			"another account": payload(wire.Rotation{Member: another.document}.Encode()), "another peer": payload(wire.Rotation{Member: now.onlyPeer(t).document}.Encode()),
		},
		removal.TxID:   {"another account": payload(wire.Removal{Account: member.address()}.Encode()), "an asset": payload(wire.Removal{Asset: 5}.Encode())},
		amendment.TxID: {"another governor": payload(wire.Amendment{Name: "E", Governor: wire.Quorum{Threshold: 1, Accounts: []string{member.address()}}}.Encode())},
	}
	for _, e := range []Event{charter, admission, collection, keyring, rotation, removal, amendment} {
		s := h.applied(founder)
		if err := s.Attach(e.TxID, h.metadata(e), h.content[e.TxID].Payload); err != nil {
			t.Errorf("the %s's own content: %v", e.Note.Kind, err)
		}
		refused := func(what string, m wire.Metadata, payload []byte) {
			t.Helper()
			s := h.applied(founder)
			before := view(s)
			if err := s.Attach(e.TxID, m, payload); err == nil || !strings.Contains(err.Error(), e.TxID) || what == "no JSON" && strings.Contains(err.Error(), "its note") {
				t.Errorf("a %s with %s: %v", e.Note.Kind, what, err)
			}
			if e.Note.Kind != wire.KindCollection && !reflect.DeepEqual(view(s), before) {
				t.Errorf("a %s with %s changes the state", e.Note.Kind, what)
			}
		}
		for what, change := range map[string]func(*wire.Properties){
			"another kind": func(p *wire.Properties) { p.Kind = "other" }, "another consortium": func(p *wire.Properties) { p.Consortium++ },
			"another collection": func(p *wire.Properties) { p.Collection = elsewhere }, "another publisher": func(p *wire.Properties) { p.Publisher = other.address() },
		} {
			m := h.metadata(e)
			change(&m.Properties)
			refused(what+" in its metadata", m, h.content[e.TxID].Payload)
		}
		refused("no JSON", h.metadata(e), []byte("x"))
		for what, payload := range foreign[e.TxID] {
			refused(what, h.metadata(e), payload)
		}
	}
	if err := h.applied(founder).Attach("TX99", h.metadata(charter), nil); err == nil || !strings.Contains(err.Error(), "no record was made") {
		t.Error("content of no record is attached")
	}
}

// Whoever owns a collection can spoil it for a reader, but whether a record is void is the same for everybody.
func TestAKeyringThatIsBrokenGivesNoKeysAndLeavesItsRecordInOrder(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	id, key := h.founding(founder)
	e := h.keyring(founder, id, map[uint32]*seal.EpochKey{1: key}, reader)
	epochs := func(n int, secret string) []wire.KeyringEpoch {
		list := slices.Repeat([]wire.KeyringEpoch{{Epoch: 1, Secret: secret}}, n)
		list[n-1].Secret = key.Secret()
		return list
	}
	for what, c := range map[string]struct {
		keyring any
		gives   bool
	}{
		"the right key":                   {wire.Keyring{Collection: id, Epochs: epochs(1, "")}, true},
		"others before the right one":     {wire.Keyring{Collection: id, Epochs: epochs(1000, "X")}, true},
		"another collection":              {wire.Keyring{Collection: uuid.NewString(), Epochs: epochs(1, "")}, false},
		"a key that is none":              {wire.Keyring{Collection: id, Epochs: []wire.KeyringEpoch{{Epoch: 1, Secret: "X"}}}, false},
		"a key that is none, as the last": {wire.Keyring{Collection: id, Epochs: append(epochs(1, ""), wire.KeyringEpoch{Epoch: 1, Secret: "x"})}, false},
		"no keyring":                      {[]byte("{}"), false},
		"no age file":                     {nil, false},
	} {
		plaintext, isRaw := c.keyring.([]byte)
		if keyring, ok := c.keyring.(wire.Keyring); ok {
			var err error
			plaintext, err = keyring.Encode()
			must(t, err)
		}
		sealed := []byte("x")
		if isRaw || plaintext != nil {
			var err error
			sealed, err = seal.SealTo([]string{reader.identity.Recipient()}, plaintext)
			must(t, err)
		}
		payload, err := wire.KeyringRecord{Collection: id, Keyrings: [][]byte{sealed}}.Encode()
		must(t, err)
		s := h.applied(reader)
		h.attach(s, h.events[2])
		if err := s.Attach(e.TxID, h.metadata(e), payload); err != nil {
			t.Errorf("%s makes the record void: %v", what, err)
		}
		if got := s.Keys(id)[1]; (got != nil) != c.gives || got != nil && !got.Equal(key) {
			t.Errorf("%s: the key is taken: %v", what, got != nil)
		}
		// It was read once, for good.
		must(t, s.Attach(e.TxID, h.metadata(e), h.content[e.TxID].Payload))
		if got := s.Keys(id)[1]; (got != nil) != c.gives {
			t.Errorf("%s: content that comes again is read again", what)
		}
	}
}

func TestAVoidRecordIsAsIfItWasNeverMinted(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	id, first := h.founding(founder)
	broken, err := seal.NewEpochKey()
	must(t, err)
	draft, err := DraftCollection(theConsortium, id, 2, wire.Collection{Title: "Void", Metadata: wire.MetadataOpen},
		map[uint32]*seal.EpochKey{1: first, 2: broken}, recipients([]*organisation{founder}), noon)
	must(t, err)
	record, err := wire.ParseCollectionRecord(draft.Payload)
	must(t, err)
	record.Collection = uuid.NewString()
	draft.Payload, err = record.Encode()
	must(t, err)
	void := h.mint(founder, draft)
	third := h.collection(founder, id, 2, everybody, map[uint32]*seal.EpochKey{1: first}, founder)
	object, metadata := h.object(founder, id, 2, third)
	s := h.fold(founder)
	if err := h.applied(founder).Attach(void.TxID, h.metadata(void), draft.Payload); err == nil {
		t.Fatal("a record about another collection than its note passes")
	}
	c, ok := s.Collection(id)
	if !ok || c.Epoch != 2 || c.Pending || c.Former || c.Key.Secret() != third.Secret() || c.Began != h.events[4].Position || c.Revision != 3 {
		t.Errorf("the collection is %+v, %v", c, ok)
	}
	if ruling := s.Rule(object, metadata); ruling.Outcome != Readable || ruling.Key.Secret() != third.Secret() {
		t.Errorf("an object of the epoch: %v (%s)", ruling.Outcome, ruling.Reason)
	}
}

// Nor does a keyring that comes after it make a collection.
func TestWithoutARecordInOrderThereIsNoCollection(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	h.founding(founder)
	group := uuid.NewString()
	key := h.collection(founder, group, 1, everybody, nil, founder)
	void := h.events[len(h.events)-1]
	h.content[void.TxID] = Draft{Metadata: h.content[void.TxID].Metadata, Payload: []byte("x")}
	h.keyring(founder, group, map[uint32]*seal.EpochKey{0: key, 1: key}, founder)
	object, metadata := h.object(founder, group, 1, key)
	s := h.fold(founder)
	if c, ok := s.Collection(group); ok || len(s.Collections()) != 1 {
		t.Errorf("it is %+v", c)
	}
	metadata.Properties.Epoch = 0
	if ruling := s.Rule(object, metadata); ruling.Outcome != Refused || !strings.HasSuffix(ruling.Reason, "did not exist at that point") {
		t.Errorf("an object in it: %v (%s)", ruling.Outcome, ruling.Reason)
	}
}

// What a record is about is checked by those too who can't open its keyrings.
func TestARecordAboutAnotherCollectionIsVoidForEverybody(t *testing.T) {
	founder, outsider := newOrganisation(t, "founder"), newOrganisation(t, "outsider")
	h := newHistory(t)
	id, key := h.founding(founder)
	collection := h.events[2]
	keyring := h.keyring(founder, id, map[uint32]*seal.EpochKey{1: key}, founder)
	other := uuid.NewString()
	h.collection(founder, other, 1, everybody, nil, founder)
	for _, c := range []struct {
		of, content Event
	}{{collection, h.events[len(h.events)-1]}, {keyring, h.keyring(founder, other, map[uint32]*seal.EpochKey{1: key}, founder)}} {
		if err := h.applied(outsider).Attach(c.of.TxID, h.metadata(c.of), h.content[c.content.TxID].Payload); err == nil || !strings.Contains(err.Error(), "another collection than its note") {
			t.Errorf("a %s about another collection: %v", c.of.Note.Kind, err)
		}
		if err := h.applied(outsider).Attach(c.of.TxID, h.metadata(c.of), []byte("x")); err == nil || !strings.Contains(err.Error(), "reading a ") {
			t.Errorf("a %s that is none: %v", c.of.Note.Kind, err)
		}
	}
}

func TestTheConsortiumBeginsWithItsOwnCharter(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	h.founding(founder)
	for what, change := range map[string]func(*Event){
		"another transaction": func(e *Event) { e.TxID = "TX9" }, "another asset": func(e *Event) { e.Asset++ }, "another kind": func(e *Event) { e.Note.Kind = wire.KindMember },
	} {
		s, e := New(theConsortium, "TX0", founder.identity), h.events[0]
		if s.Charter() != nil {
			t.Errorf("before there is one, the charter is %+v", s.Charter())
		}
		change(&e)
		if effect, reason := s.Apply(e); effect != Nothing || reason != "before the charter" || s.Governor() != "" || s.Quorum() != nil || s.Position() != (Position{}) || s.Amendments() != 0 {
			t.Errorf("%s founds a consortium: %v (%s), position %v", what, effect, reason, s.Position())
		}
		if effect, reason := s.Apply(h.events[0]); effect != Record {
			t.Errorf("after %s, the charter: %v (%s)", what, effect, reason)
		}
		if s.ID() != theConsortium || s.Charter() != nil || s.Position() != h.events[0].Position || !reflect.DeepEqual(s.Quorum(), &wire.Quorum{Threshold: 1, Accounts: []string{founder.address()}}) {
			t.Errorf("founded: %d, %+v, %v, %+v", s.ID(), s.Charter(), s.Position(), s.Quorum())
		}
	}
	s := h.applied(founder)
	for what, c := range map[string]struct {
		change func(*Event)
		reason string
	}{
		"a second charter":    {func(e *Event) { e.Note.Kind = wire.KindCharter }, "of a kind that is not known"},
		"another consortium":  {func(e *Event) { e.Consortium++ }, "of another consortium"},
		"no consortium":       {func(e *Event) { e.Consortium = 0 }, "of another consortium"},
		"a stranger's record": {func(e *Event) { e.Sender = newOrganisation(t, "x").address() }, "the sender was never a member"},
		"a kind of later":     {func(e *Event) { e.Note.Kind = "later" }, "of a kind that is not known"},
	} {
		e := h.events[2]
		e.Round = s.Position().Round + 1
		c.change(&e)
		if effect, reason := s.Apply(e); effect != Nothing || reason != c.reason {
			t.Errorf("%s: %v (%s)", what, effect, reason)
		}
		if s.Position() != e.Position {
			t.Errorf("after %s the fold stands at %v, not at %v", what, s.Position(), e.Position)
		}
	}
}

func TestAThiefOfTheDefaultCollectionsIdGetsACollectionLikeAnyOther(t *testing.T) {
	founder, thief := newOrganisation(t, "founder"), newOrganisation(t, "thief")
	h := newHistory(t)
	id, _ := h.founding(founder)
	own := uuid.NewString()
	h.collection(founder, own, 1, everybody, nil, founder)
	s := h.applied(founder)
	for _, e := range h.events[1:] {
		h.attach(s, e)
	}
	if c, ok := s.Collection(id); !ok || c.Default {
		t.Errorf("before the charter's content is there: %+v", c)
	}
	h.attach(s, h.events[0])
	for _, c := range s.Collections() {
		if c.Default != (c.ID == id) {
			t.Errorf("%s is the default collection: %v", c.ID, c.Default)
		}
	}
	if len(s.Collections()) != 2 {
		t.Errorf("%d collections", len(s.Collections()))
	}

	// The same history, but the thief was quicker.
	stolen := newHistory(t)
	draft := h.content["TX0"]
	stolen.mint(founder, draft)
	stolen.admit(founder, founder)
	stolen.admit(founder, thief)
	stolen.collection(thief, id, 1, everybody, nil, thief, founder)
	stolen.collection(founder, id, 1, everybody, nil, founder)
	if c, ok := stolen.fold(founder).Collection(id); !ok || c.Default || c.Owner != thief.address() || c.Revision != 1 {
		t.Errorf("the thief's collection is %+v, %v", c, ok)
	}
}

func TestOnlyTheOwnerChangesACollection(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "member")
	h := newHistory(t)
	id, key := h.founding(founder)
	h.admit(founder, member)
	for what, e := range map[string]Event{
		"another's keyring":       h.keyring(member, id, map[uint32]*seal.EpochKey{1: key}, member),
		"a keyring of no":         h.keyring(member, uuid.NewString(), map[uint32]*seal.EpochKey{1: key}, member),
		"another's second record": first(Event{}, wire.Metadata{}),
	} {
		if e.TxID == "" {
			h.collection(member, id, 2, everybody, nil, member)
			e = h.events[len(h.events)-1]
		}
		s := h.applied(founder)
		s.position = Position{}
		if effect, reason := s.Apply(e); effect != Nothing || reason == "" {
			t.Errorf("%s collection: %v (%s)", what, effect, reason)
		}
		if err := s.Attach(e.TxID, h.metadata(e), h.content[e.TxID].Payload); err == nil {
			t.Errorf("%s collection takes content", what)
		}
	}
	s := h.fold(founder)
	if _, ok := s.Collection(uuid.NewString()); ok || len(s.Collections()) != 1 || len(s.Keys(uuid.NewString())) != 0 {
		t.Errorf("the collections are %+v", s.Collections())
	}
}

func TestAnObjectThatDoesNotFitIsRefused(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "member")
	h := newHistory(t)
	id, key := h.founding(founder)
	before := h.admit(founder, member)
	group := uuid.NewString()
	h.collection(member, group, 1, everybody, nil, member)
	object, metadata := h.object(founder, id, 1, key)
	s := h.fold(founder)
	for what, c := range map[string]struct {
		change func(*wire.Properties)
		at     Position
		want   Outcome
	}{
		"as it is":             {func(*wire.Properties) {}, object.Position, Readable},
		"another kind":         {func(p *wire.Properties) { p.Kind = wire.KindCollection }, object.Position, Refused},
		"another consortium":   {func(p *wire.Properties) { p.Consortium++ }, object.Position, Refused},
		"no such collection":   {func(p *wire.Properties) { p.Collection = uuid.NewString() }, object.Position, Refused},
		"a later collection":   {func(p *wire.Properties) { p.Collection = group }, before.Position, Refused},
		"a later epoch":        {func(p *wire.Properties) { p.Epoch = 2 }, object.Position, Refused},
		"a foreign collection": {func(p *wire.Properties) { p.Collection = group }, object.Position, NotForUs},
	} {
		e, m := object, metadata
		e.Position = c.at
		c.change(&m.Properties)
		if ruling := s.Rule(e, m); ruling.Outcome != c.want || (ruling.Reason == "") != (c.want == Readable) || ruling.Late ||
			what == "a later collection" && !strings.HasSuffix(ruling.Reason, "did not exist at that point") {
			t.Errorf("%s: %v (%s), want %v", what, ruling.Outcome, ruling.Reason, c.want)
		}
	}
	stranger := object
	stranger.Sender = newOrganisation(t, "x").address()
	if ruling := s.Rule(stranger, metadata); ruling.Outcome != Refused {
		t.Errorf("a stranger's: %v", ruling.Outcome)
	}
}

func TestWhoHasNoKeyWaitsAsLongAsOneMayCome(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	id, key := h.founding(founder)
	h.admit(founder, reader)
	keyring := h.keyring(founder, id, map[uint32]*seal.EpochKey{1: key}, reader)
	object, metadata := h.object(founder, id, 1, key)
	s := h.applied(reader)
	for _, e := range h.events[:4] {
		h.attach(s, e)
	}
	if ruling := s.Rule(object, metadata); ruling.Outcome != Waits {
		t.Errorf("before the keyring came: %v (%s)", ruling.Outcome, ruling.Reason)
	}
	if c, ok := s.Collection(id); ok {
		t.Errorf("before the keyring came the collection is %+v", c)
	}
	h.attach(s, keyring)
	if ruling := s.Rule(object, metadata); ruling.Outcome != Readable || !ruling.Key.Equal(key) {
		t.Errorf("with the keyring: %v (%s)", ruling.Outcome, ruling.Reason)
	}
	if c, ok := s.Collection(id); !ok || c.Former || c.Pending || c.Key.Secret() != key.Secret() {
		t.Errorf("with the keyring the collection is %+v, %v", c, ok)
	}
	if ruling := h.fold(newOrganisation(t, "outsider")).Rule(object, metadata); ruling.Outcome != NotForUs {
		t.Errorf("without one for ever: %v (%s)", ruling.Outcome, ruling.Reason)
	}
}

// Who was taken out may be given the next key by a record that has not arrived.
func TestACollectionThatCanBeReadNoMoreMayBeReadAgain(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	id, key := h.founding(founder)
	h.admit(founder, reader)
	h.keyring(founder, id, map[uint32]*seal.EpochKey{1: key}, reader)
	second := h.collection(founder, id, 2, everybody, nil, founder)
	keyring := h.keyring(founder, id, map[uint32]*seal.EpochKey{2: second}, reader)
	s := h.applied(reader)
	for _, e := range h.events[:6] {
		h.attach(s, e)
	}
	if c, ok := s.Collection(id); !ok || !c.Former || !c.Pending || c.Epoch != 1 {
		t.Errorf("before the keyring came it is %+v, %v", c, ok)
	}
	h.attach(s, keyring)
	if c, ok := s.Collection(id); !ok || c.Former || c.Pending || c.Epoch != 2 || c.Key.Secret() != second.Secret() {
		t.Errorf("with the keyring it is %+v, %v", c, ok)
	}
}

// A wrong key takes nothing from who is given the right one, before or after it.
func TestAWrongKeyTakesNobodysPlace(t *testing.T) {
	founder, reader, outsider := newOrganisation(t, "founder"), newOrganisation(t, "reader"), newOrganisation(t, "outsider")
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, reader)
	group := uuid.NewString()
	key := h.collection(founder, group, 1, everybody, nil, founder)
	record := h.events[len(h.events)-1]
	wrongKey, err := seal.NewEpochKey()
	must(t, err)
	wrong := h.keyring(founder, group, map[uint32]*seal.EpochKey{1: wrongKey}, outsider)
	right := h.keyring(founder, group, map[uint32]*seal.EpochKey{1: key}, reader, outsider)
	wrongAgain := h.keyring(founder, group, map[uint32]*seal.EpochKey{1: wrongKey}, reader)
	for _, viewer := range []*organisation{reader, outsider} {
		s := h.applied(viewer)
		for _, e := range []Event{record, wrong, wrongAgain} {
			h.attach(s, e)
		}
		if _, ok := s.Collection(group); ok || len(s.Keys(group)) > 0 {
			t.Error("the wrong key is taken")
		}
		h.attach(s, right)
		if c, ok := s.Collection(group); !ok || c.Properties.Title != "Shared" || c.Key.Secret() != key.Secret() {
			t.Errorf("with the right key it is %+v, %v", c, ok)
		}
	}
}

func TestPropertiesHoldFromTheirRecordOn(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "member")
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, member)
	group := uuid.NewString()
	key := h.collection(founder, group, 1, wire.Accounts{}, nil, founder)
	early, earlyMetadata := h.object(member, group, 1, key)
	draft, err := DraftCollection(theConsortium, group, 1, wire.Collection{
		Title: "Changed", Readers: everybody, Contributors: wire.Accounts{Named: []string{member.address()}}, Metadata: wire.MetadataOpen,
	}, map[uint32]*seal.EpochKey{1: key}, recipients([]*organisation{founder}), noon)
	must(t, err)
	change := h.mint(founder, draft)
	late, lateMetadata := h.object(member, group, 1, key)
	skipped := h.collection(founder, group, 3, everybody, nil, founder)
	last, lastMetadata := h.object(member, group, 1, key)
	s := h.fold(founder)
	for what, c := range map[string]struct {
		e    Event
		m    wire.Metadata
		want Outcome
	}{"before it was let in": {early, earlyMetadata, Refused}, "after": {late, lateMetadata, Readable}, "after an epoch was skipped": {last, lastMetadata, Readable}} {
		if ruling := s.Rule(c.e, c.m); ruling.Outcome != c.want || ruling.Late {
			t.Errorf("%s: %v (%s)", what, ruling.Outcome, ruling.Reason)
		}
	}
	c, ok := s.Collection(group)
	if !ok || c.Properties.Title != "Changed" || c.Epoch != 1 || c.Began.Round != change.Round-2 || c.Revision != 3 || c.Key.Secret() == skipped.Secret() {
		t.Errorf("it is %+v, %v", c, ok)
	}
	for who, may := range map[*organisation]bool{founder: true, member: true, newOrganisation(t, "x"): false} {
		if c.MayPublish(who.address()) != may {
			t.Errorf("%s may publish: %v", who.document.Organisation, !may)
		}
	}
	c.Properties.Readers = wire.Accounts{Named: []string{member.address()}}
	for who, may := range map[*organisation]bool{founder: true, member: true, newOrganisation(t, "x"): false} {
		if c.MayRead(who.address()) != may {
			t.Errorf("%s may read: %v", who.document.Organisation, !may)
		}
	}
}

// A record names accounts. Who becomes a member with one of them after it was minted was nobody then: anybody could
// have had that account written down.
func TestWhoIsNamedBeforeItIsAMemberMayNotPublish(t *testing.T) {
	founder, early, late := newOrganisation(t, "founder"), newOrganisation(t, "early"), newOrganisation(t, "late")
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, early)
	group := uuid.NewString()
	key := h.collection(founder, group, 1, wire.Accounts{Named: []string{late.address(), early.address()}}, nil, founder)
	h.admit(founder, late)
	for o, want := range map[*organisation]Outcome{early: Readable, late: Refused} {
		e, m := h.object(o, group, 1, key)
		if ruling := h.fold(founder).Rule(e, m); ruling.Outcome != want {
			t.Errorf("an object of %s, who was named, is %v (%s)", o.document.Organisation, ruling.Outcome, ruling.Reason)
		}
	}
}

func TestWhatEndsAnNFT(t *testing.T) {
	type end struct {
		asset uint64
		index uint32
	}
	for kind, want := range map[wire.Kind]end{
		wire.KindDestroy: {asset: 7}, wire.KindRemoval: {8, 17}, wire.KindObject: {}, wire.KindBatch: {}, wire.KindMember: {}, wire.KindRelease: {},
	} {
		var got end
		if got.asset, got.index = (Event{Asset: 7, Note: wire.Note{Kind: kind, Asset: 8, Index: 17}}).Ends(); got != want {
			t.Errorf("a %s ends %v, want %v", kind, got, want)
		}
	}
}

func TestWithdrawalsAreTheirSendersBusiness(t *testing.T) {
	founder, member, outsider := newOrganisation(t, "founder"), newOrganisation(t, "member"), newOrganisation(t, "outsider")
	h := newHistory(t)
	h.founding(founder)
	admission := h.admit(founder, member)
	h.amend(founder, 1, outsider.address()) // the governor is no member
	draft, err := DraftWithdrawal(theConsortium, 77, 0, noon)
	must(t, err)
	one, err := DraftWithdrawal(theConsortium, 77, 17, noon)
	must(t, err)
	s := h.applied(founder)
	for what, c := range map[string]struct {
		e    Event
		want Effect
	}{
		"a member's destruction":                                 {h.destroy(member, 77), Withdrawal},
		"a member's withdrawal":                                  {h.mint(member, draft), Withdrawal},
		"a governor's withdrawal, who is nobody":                 {h.mint(outsider, draft), Nothing},
		"a member's withdrawal of one of a batch":                {h.mint(member, one), Withdrawal},
		"a member's release":                                     {h.release(member, 77), Release},
		"a release of an admission by the governor of before":    {h.release(founder, admission.Asset), Release},
		"a stranger's release":                                   {h.release(newOrganisation(t, "y"), 77), Nothing},
		"the destruction of an admission by its member":          {h.destroy(member, admission.Asset), Nothing},
		"the destruction of an admission by the former governor": {h.destroy(founder, admission.Asset), Nothing},
	} {
		c.e.Round += 1000
		s.position = Position{Round: c.e.Round - 1}
		if effect, reason := s.Apply(c.e); effect != c.want || (reason == "") != (c.want != Nothing) {
			t.Errorf("%s: %v (%s)", what, effect, reason)
		}
	}
	if s.Removals(member.address()) != 0 || s.Removals(newOrganisation(t, "x").address()) != 0 {
		t.Error("a membership has ended")
	}
}

func TestEndedMembershipsAreCounted(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "member")
	h := newHistory(t)
	h.founding(founder)
	one := h.admit(founder, member)
	h.admit(founder, member)
	destruction := h.destroy(founder, one.Asset)
	again := h.destroy(founder, one.Asset)
	s := h.applied(founder)
	if n := s.Removals(member.address()); n != 1 {
		t.Errorf("%d have ended", n)
	}
	if m := s.Members()[1]; m.InForce != 1 || m.Removed != nil || m.Admitted.TxID == one.TxID {
		t.Errorf("the member is %+v", m)
	}
	if until := s.admissions[one.Asset].until; until == nil || *until != destruction.Position {
		t.Errorf("it ended at %v, and once more at %v", until, again.Position)
	}
	end := h.remove(founder, member.address())
	s = h.applied(founder)
	if n := s.Removals(member.address()); n != 2 {
		t.Errorf("%d have ended", n)
	}
	if m := s.Members()[1]; m.InForce != 0 || m.Removed == nil || *m.Removed != end.Position {
		t.Errorf("the member is %+v", m)
	}
}

// Of several admissions the latest that is in force tells who a member is; without one, the latest of all.
func TestTheLatestAdmissionInForceTellsWhoAMemberIs(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "member")
	renamed := member.onlyPeer(t)
	h := newHistory(t)
	h.founding(founder)
	first := h.admit(founder, member)
	second := h.admit(founder, renamed)
	check := func(what string, s *State, want wire.Member, by Event, past ...string) {
		t.Helper()
		m := s.Members()[1]
		if m.Peer != want.Peer || !m.Known || m.Admitted.TxID != by.TxID || m.Title != want.Title || !slices.Equal(m.PastPeers, past) || m.Rotated != nil || m.Former != nil {
			t.Errorf("%s: %+v", what, m)
		}
	}
	check("both in force", h.fold(founder), renamed.document, second, member.document.Peer)
	h.destroy(founder, second.Asset)
	check("the second ended", h.fold(founder), member.document, first, renamed.document.Peer)
	h.destroy(founder, first.Asset)
	check("both ended", h.fold(founder), renamed.document, second, member.document.Peer)
	if m := h.applied(founder).Members()[1]; m.Known || m.Name != "" || m.Peer != "" || m.Account != member.address() || m.ID != member.address() {
		t.Errorf("without content: %+v", m)
	}
}

func TestWhoChangesWhoseKeys(t *testing.T) {
	founder, member, other := newOrganisation(t, "founder"), newOrganisation(t, "member"), newOrganisation(t, "other")
	now, third := member.withOtherKeys(t), member.withOtherKeys(t)
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, member)
	h.admit(founder, other)
	change := h.rotate(member, member.address(), now)
	s := h.applied(founder)
	if !s.Same(member.address(), now.address()) || s.Same(member.address(), other.address()) || s.Same("x", "y") || !s.Same("x", "x") || s.Same("x", member.address()) {
		t.Error("who is the same member is wrong")
	}
	if got := s.Accounts(now.address()); !slices.Equal(got, []string{member.address(), now.address()}) {
		t.Errorf("its accounts are %v", got)
	}
	if got := s.Accounts("x"); !slices.Equal(got, []string{"x"}) || s.Present("x") != "x" || s.Present(member.address()) != now.address() {
		t.Errorf("a stranger's accounts are %v", got)
	}
	set := s.present(wire.Accounts{Named: []string{now.address(), other.address(), member.address()}})
	if want := slices.Sorted(slices.Values([]string{now.address(), other.address()})); !slices.Equal(set.Named, want) || set.Members {
		t.Errorf("the set is %+v", set)
	}
	if m := s.Members(); m[1].Rotated == nil || m[1].Rotated.TxID != change.TxID || m[2].Rotated != nil {
		t.Errorf("the members are %+v", m)
	}
	for what, c := range map[string]struct {
		e    Event
		want Effect
	}{
		"another member's":                      {h.rotate(other, now.address(), third), Nothing},
		"the member's, of its earlier account":  {h.rotate(now, member.address(), third), Nothing},
		"the earlier account's, of the present": {h.rotate(member, now.address(), third), Nothing},
		"the governor's, of the earlier":        {h.rotate(founder, member.address(), third), Record},
		"the governor's, to another member's":   {h.rotate(founder, now.address(), other), Nothing},
		"the governor's, of a stranger":         {h.rotate(founder, newOrganisation(t, "x").address(), third), Nothing},
		"the member's, to the same account":     {h.rotate(now, now.address(), now.onlyPeer(t)), Record},
	} {
		s := h.applied(founder)
		s.members[now.address()].accounts = s.members[now.address()].accounts[:2] // as it was before the attempts
		delete(s.members, third.address())
		c.e.Round += 1000
		if effect, reason := s.Apply(c.e); effect != c.want {
			t.Errorf("%s: %v (%s)", what, effect, reason)
		}
	}
	removed := newHistory(t)
	removed.founding(founder)
	removed.admit(founder, member)
	removed.remove(founder, member.address())
	for _, sender := range []*organisation{member, founder} {
		e := removed.rotate(sender, member.address(), third)
		s := New(theConsortium, "TX0", founder.identity)
		for _, before := range removed.events[:5] {
			s.Apply(before)
		}
		e.Round = 1000
		if effect, reason := s.Apply(e); effect != Nothing {
			t.Errorf("who was removed has other keys by %s: %v (%s)", sender.document.Organisation, effect, reason)
		}
	}
}

func TestAGovernorWhoseMemberHasAnotherAccountGovernsStill(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "member")
	now := founder.withOtherKeys(t)
	h := newHistory(t)
	h.founding(founder)
	admission := h.admit(founder, member)
	h.rotate(founder, founder.address(), now)
	destruction := h.destroy(founder, admission.Asset)
	again := h.admit(founder, member)
	removal := h.remove(founder, member.address())
	s := New(theConsortium, "TX0", founder.identity)
	for _, e := range h.events {
		effect, reason := s.Apply(e)
		if (e.TxID == destruction.TxID || e.TxID == again.TxID || e.TxID == removal.TxID) && effect != Record {
			t.Errorf("its %s: %v (%s)", e.Note.Kind, effect, reason)
		}
	}
	if s.memberNow(member.address()) || s.Removals(member.address()) != 2 {
		t.Error("whom it removed is a member")
	}
}

func TestTheKeysOfAMemberAreThoseOfItsLatestRecord(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "member")
	second, third := member.onlyPeer(t), member.onlyPeer(t)
	h := newHistory(t)
	h.founding(founder)
	admission := h.admit(founder, member)
	h.rotate(member, member.address(), second)
	rotation := h.rotate(member, member.address(), third)
	past := slices.Sorted(slices.Values([]string{member.document.Peer, second.document.Peer}))
	if m := h.fold(founder).Members()[1]; m.Peer != third.document.Peer || !slices.Equal(m.PastPeers, past) || m.Rotated.TxID != rotation.TxID {
		t.Errorf("after two rotations: %+v", m)
	}
	// Which name the keys are for is in the content of the admission.
	s := h.applied(founder)
	h.attach(s, rotation)
	if m := s.Members()[1]; m.Known || m.Peer != "" || m.Recipient != "" {
		t.Errorf("without the admission's content: %+v", m)
	}
	// What a record that has not arrived says was none of its peer ids.
	if h.attach(s, admission); s.Members()[1].Peer != third.document.Peer || !slices.Equal(s.Members()[1].PastPeers, []string{member.document.Peer}) {
		t.Errorf("with it: %+v", s.Members()[1])
	}
	h.remove(founder, member.address())
	again := h.admit(founder, second)
	if m := h.fold(founder).Members()[1]; m.Peer != second.document.Peer || m.Rotated != nil || m.Admitted.TxID != again.TxID {
		t.Errorf("after its next admission: %+v", m)
	}
}

func TestTheRecordsThatAMembershipRestsOnAreNamedInOrder(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "member")
	now := member.withOtherKeys(t)
	h := newHistory(t)
	h.founding(founder)
	own := h.events[1]
	first := h.admit(founder, member)
	second := h.admit(founder, member)
	amendment := h.amend(founder, 1, founder.address())
	middle := h.amend(founder, 1, founder.address())
	rotation := h.rotate(member, member.address(), now)
	later := h.amend(founder, 1, founder.address())
	s := h.applied(founder)
	ids := func(events ...Event) (list []string) {
		for _, e := range events {
			list = append(list, e.TxID)
		}
		return list
	}
	end := Position{Round: 1000}
	for what, c := range map[string]struct {
		account string
		at      Position
		want    []string
	}{
		"a member that kept its keys": {founder.address(), end, ids(own, amendment, middle, later)},
		"one that changed them":       {now.address(), end, ids(first, second, amendment, middle, rotation, later)},
		"the same, before it did":     {member.address(), rotation.Position, ids(first, second, amendment, middle)},
		"the same, before anything":   {member.address(), first.Position, nil},
		"up to an amendment":          {founder.address(), middle.Position, ids(own, amendment)},
		"somebody who is nobody":      {newOrganisation(t, "x").address(), end, ids(amendment, middle, later)},
	} {
		if got := ids(s.GroundsAt(c.account, c.at)...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
	if e, found := s.AdmissionAt(member.address(), rotation.Position); !found || e.TxID != second.TxID {
		t.Errorf("the admission is %v, %v", e.TxID, found)
	}
	if _, found := s.AdmissionAt("x", end); found {
		t.Error("a stranger was admitted")
	}
}

func TestTheGovernorIsInOfficeSinceItTookThePlaceOfAnother(t *testing.T) {
	founder, second := newOrganisation(t, "founder"), newOrganisation(t, "second")
	h := newHistory(t)
	h.founding(founder)
	check := func(want Position, amendments int) {
		t.Helper()
		if s := h.applied(founder); s.InOffice() != want || s.Amendments() != amendments {
			t.Errorf("in office since %v after %d amendments, want %v after %d", s.InOffice(), s.Amendments(), want, amendments)
		}
	}
	check(h.events[0].Position, 0)
	h.amend(founder, 1, founder.address())
	check(h.events[0].Position, 1)
	handOver := h.amend(founder, 1, second.address())
	check(handOver.Position, 2)
	h.amend(second, 1, second.address())
	check(handOver.Position, 3)
	s := h.applied(founder)
	if s.GovernorAt(h.events[0].Position) != founder.address() || s.GovernorAt(handOver.Position) != founder.address() || s.GovernorAt(Position{Round: 100}) != second.address() {
		t.Error("who the governor was is wrong")
	}
	if s.Quorum() != nil {
		t.Errorf("who makes up the governor is known without the content: %+v", s.Quorum())
	}
}

func TestSequencesAreFollowedForEveryPublisherAndResumed(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "member")
	h := newHistory(t)
	id, key := h.founding(founder)
	h.admit(founder, member)
	h.numbers[member.address()] = 4
	e, _ := h.object(member, id, 1, key)
	s := h.applied(founder)
	last := map[string]Position{}
	for _, e := range h.events {
		last[e.Sender] = e.Position
	}
	want := map[string]*Sequence{
		founder.address(): {Highest: 3, Last: last[founder.address()]}, member.address(): {Highest: 5, Holes: []Range{{1, 4, e.Round}}, Last: e.Position},
	}
	if got := s.Sequences(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	fresh := New(theConsortium, "TX0", founder.identity)
	fresh.Apply(h.events[0])
	fresh.Resume(Position{Round: 9}, want)
	if fresh.Position() != (Position{Round: 9}) || !reflect.DeepEqual(fresh.Sequences(), want) {
		t.Errorf("resumed at %v with %+v", fresh.Position(), fresh.Sequences())
	}
	if fresh.Resume(Position{Round: 4}, nil); fresh.Position() != (Position{Round: 9}) {
		t.Errorf("resumed at an earlier position: %v", fresh.Position())
	}
}

// Somebody who leaves a hole with every number costs everybody a bounded amount of memory.
func TestNoMoreHolesAreRememberedThanTheBound(t *testing.T) {
	var q Sequence
	for n := uint64(2); n <= 2*(maxHoles+1); n += 2 {
		q.Saw(n, Position{Round: n})
	}
	last := Range{2*maxHoles - 1, 2*maxHoles - 1, 2 * maxHoles}
	if len(q.Holes) != maxHoles || q.Highest != 2*(maxHoles+1) || q.Holes[0] != (Range{1, 1, 2}) || q.Holes[maxHoles-1] != last || !q.Blurred {
		t.Errorf("%d holes up to %d, the last %+v", len(q.Holes), q.Highest, q.Holes[len(q.Holes)-1])
	}
	q.Saw(last.First, Position{Round: 3000})
	q.Saw(2*(maxHoles+2), Position{Round: 3000, Intra: 1})
	if next := (Range{2*maxHoles + 3, 2*maxHoles + 3, 3000}); len(q.Holes) != maxHoles || q.Holes[maxHoles-1] != next {
		t.Errorf("%d holes, the last %+v", len(q.Holes), q.Holes[len(q.Holes)-1])
	}
	var ordinary Sequence
	for i, n := range []uint64{0, 1, 2, 3, 0} {
		ordinary.Saw(n, Position{Round: 7, Intra: uint64(i)})
	}
	if ordinary.Highest != 3 || ordinary.Holes != nil || ordinary.Twice != (Repeated{}) || ordinary.Blurred {
		t.Errorf("without a hole: %+v", ordinary)
	}
	ordinary.Saw(9, Position{Round: 8})
	ordinary.Saw(6, Position{Round: 9})
	if want := []Range{{4, 5, 8}, {7, 8, 8}}; !reflect.DeepEqual(ordinary.Holes, want) {
		t.Errorf("the holes are %+v", ordinary.Holes)
	}
}

func TestWhatIsDraftedIsWhatIsMinted(t *testing.T) {
	member, next := newOrganisation(t, "member"), newOrganisation(t, "member")
	id := uuid.NewString()
	key, err := seal.NewEpochKey()
	must(t, err)
	keys := map[uint32]*seal.EpochKey{1: key}
	charter := wire.Charter{Name: "T", GenesisID: "g", GenesisHash: make([]byte, 32), Network: wire.NetworkPublic, Founder: member.address(), DefaultCollection: id}
	quorum := wire.Quorum{Threshold: 1, Accounts: []string{next.address()}}
	properties := wire.Collection{Title: "T", Metadata: wire.MetadataOpen}
	to := []string{member.identity.Recipient()}
	readable := Collection{ID: id, Epoch: 3, Key: key, Properties: properties}
	sealed := readable
	sealed.Properties.Metadata = wire.MetadataSealed
	draft := func(d Draft, err error) func() (Draft, error) { return func() (Draft, error) { return d, err } }
	of := theConsortium
	directory := cid.MustParse("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi")
	for what, c := range map[string]struct {
		draft      func() (Draft, error)
		note       wire.Note
		properties wire.Properties
	}{
		"charter":    {draft(DraftCharter(charter, noon)), wire.Note{}, wire.Properties{}},
		"member":     {draft(DraftMember(uint64(of), member.document, noon)), wire.Note{Account: member.address()}, wire.Properties{}},
		"amendment":  {draft(DraftAmendment(uint64(of), wire.Amendment{Name: "T", Governor: quorum}, noon)), wire.Note{Account: next.address()}, wire.Properties{}},
		"removal":    {draft(DraftRemoval(uint64(of), next.address(), noon)), wire.Note{Account: next.address()}, wire.Properties{}},
		"collection": {draft(DraftCollection(uint64(of), id, 1, properties, keys, to, noon)), wire.Note{Collection: id}, wire.Properties{Collection: id, Epoch: 1}},
		"keyring":    {draft(DraftKeyring(uint64(of), id, keys, to, noon)), wire.Note{Collection: id}, wire.Properties{Collection: id}},
		"batch":      {draft(DraftBatch(uint64(of), id, 3, []cid.Cid{directory}, noon)), wire.Note{}, wire.Properties{Collection: id, Epoch: 3, Objects: 1}},
		"object": {draft(DraftObject(uint64(of), readable, "indicator--1", "v", true, []byte("{}"), noon)), wire.Note{},
			wire.Properties{Collection: id, Epoch: 3, Identifier: "indicator--1", Version: "v"}},
		"object, not to be revealed": {draft(DraftObject(uint64(of), readable, "ipv4-addr--1", "v", false, []byte("{}"), noon)), wire.Note{},
			wire.Properties{Collection: id, Epoch: 3, Identifier: key.Handle("ipv4-addr--1", "v")}},
		"object, in a sealed collection": {draft(DraftObject(uint64(of), sealed, "indicator--1", "v", true, []byte("{}"), noon)), wire.Note{},
			wire.Properties{Collection: id, Epoch: 3, Identifier: key.Handle("indicator--1", "v")}},
	} {
		d, err := c.draft()
		must(t, err)
		d, err = d.By(next.address())
		must(t, err)
		c.properties.Publisher = next.address()
		c.note.Kind = wire.Kind(strings.Split(what, ",")[0])
		c.properties.Kind, c.properties.StoredAt = c.note.Kind, wire.FormatTime(noon)
		if c.note.Kind != wire.KindCharter {
			c.properties.Consortium = theConsortium
		}
		want := wire.NewMetadata(c.properties, d.Payload)
		if m, err := wire.ParseMetadata(d.Metadata); err != nil || m != want || d.Note != c.note || d.PayloadName != want.Properties.Path {
			t.Errorf("the %s is %+v with %s, %v\nwant %+v with %+v", what, d.Note, d.Metadata, err, c.note, want)
		}
	}
}

func TestNothingIsDraftedThatBreaksTheFormat(t *testing.T) {
	member := newOrganisation(t, "member")
	id := uuid.NewString()
	key, err := seal.NewEpochKey()
	must(t, err)
	keys := map[uint32]*seal.EpochKey{1: key}
	properties := wire.Collection{Title: "T", Metadata: wire.MetadataOpen}
	to := []string{member.identity.Recipient()}
	quorum := wire.Quorum{Threshold: 1, Accounts: []string{member.address()}}
	unsigned := member.document
	unsigned.Title = "Other"
	readable := Collection{ID: id, Epoch: 1, Key: key, Properties: properties}
	none := func(d Draft, err error) error {
		if err == nil && d.Payload != nil { // without one it is no draft, and should have been an error
			_, err = d.By(member.address())
		}
		return err
	}
	nobodys := func(d Draft, _ error) error {
		_, err := d.By("")
		return err
	}
	for what, err := range map[string]error{
		"a charter without a name":            none(DraftCharter(wire.Charter{}, noon)),
		"a member that has not signed":        none(DraftMember(theConsortium, unsigned, noon)),
		"an amendment without a name":         none(DraftAmendment(theConsortium, wire.Amendment{Governor: quorum}, noon)),
		"a rotation that was not signed":      none(DraftRotation(theConsortium, member.address(), unsigned, nil, noon)),
		"a member of no consortium":           none(DraftMember(0, member.document, noon)),
		"a governor who can't sign":           none(DraftAmendment(theConsortium, wire.Amendment{Name: "T"}, noon)),
		"an amendment of no consortium":       none(DraftAmendment(0, wire.Amendment{Name: "T", Governor: quorum}, noon)),
		"the removal of nobody":               none(DraftRemoval(theConsortium, "", noon)),
		"a removal of no consortium":          none(DraftRemoval(0, member.address(), noon)),
		"the withdrawal of nothing":           none(DraftWithdrawal(theConsortium, 0, 0, noon)),
		"a withdrawal of no consortium":       none(DraftWithdrawal(0, 5, 0, noon)),
		"a collection without its key":        none(DraftCollection(theConsortium, id, 2, properties, keys, to, noon)),
		"a collection without a title":        none(DraftCollection(theConsortium, id, 1, wire.Collection{}, keys, to, noon)),
		"a collection for nobody":             none(DraftCollection(theConsortium, id, 1, properties, keys, nil, noon)),
		"a collection without an id":          none(DraftCollection(theConsortium, "", 1, properties, keys, to, noon)),
		"a collection of no consortium":       none(DraftCollection(0, id, 1, properties, keys, to, noon)),
		"a collection for a key that is none": none(DraftCollection(theConsortium, id, 1, properties, keys, []string{"age1x"}, noon)),
		"a keyring for nobody":                none(DraftKeyring(theConsortium, id, keys, nil, noon)),
		"a keyring for a key that is none":    none(DraftKeyring(theConsortium, id, keys, []string{"age1x"}, noon)),
		"a keyring of nothing":                none(DraftKeyring(theConsortium, "", keys, to, noon)),
		"a keyring of no consortium":          none(DraftKeyring(0, id, keys, to, noon)),
		"an object without an identifier":     none(DraftObject(theConsortium, readable, "", "", true, []byte("{}"), noon)),
		"an object of no consortium":          none(DraftObject(0, readable, "x", "", true, []byte("{}"), noon)),
		"an object that is too large":         none(DraftObject(theConsortium, readable, "x", "", true, make([]byte, wire.MaxObject), noon)),
		"a batch of nothing":                  none(DraftBatch(theConsortium, id, 1, nil, noon)),
		"a batch of too much":                 none(DraftBatch(theConsortium, id, 1, make([]cid.Cid, wire.MaxBatch+1), noon)),
		"an object of nobody":                 nobodys(DraftObject(theConsortium, readable, "x", "", true, []byte("{}"), noon)),
	} {
		if err == nil {
			t.Errorf("%s is drafted", what)
		}
	}
}

func TestObjectsOfACoarseCollectionAreOfFewSizes(t *testing.T) {
	key, err := seal.NewEpochKey()
	must(t, err)
	c := Collection{ID: uuid.NewString(), Epoch: 1, Key: key, Properties: wire.Collection{Metadata: wire.MetadataOpen}}
	size := func(object string) int {
		d, err := DraftObject(theConsortium, c, "x", "", true, []byte(object), noon)
		must(t, err)
		return len(d.Payload)
	}
	if size("{}") == size(strings.Repeat("x", 3000)) {
		t.Error("ordinary padding hides the size")
	}
	c.Properties.Padding = wire.PaddingCoarse
	if size("{}") != size(strings.Repeat("x", 4096)) || size("{}") == size(strings.Repeat("x", 4097)) {
		t.Error("coarse padding shows the size")
	}
}

// One age file has room for 1,024 readers; more of them share several, evenly, so that the last one tells nothing.
func TestAKeyringForManyReadersIsSeveralFiles(t *testing.T) {
	first, last, other := newOrganisation(t, "first"), newOrganisation(t, "last"), newOrganisation(t, "other")
	key, err := seal.NewEpochKey()
	must(t, err)
	for readers, want := range map[int]int{1: 1, 1024: 1, 1025: 2} {
		to := slices.Repeat([]string{first.identity.Recipient()}, readers)
		to[readers-1] = last.identity.Recipient()
		d, err := DraftKeyring(theConsortium, uuid.NewString(), map[uint32]*seal.EpochKey{1: key}, to, noon)
		must(t, err)
		record, err := wire.ParseKeyringRecord(d.Payload)
		must(t, err)
		opened := map[*organisation]int{}
		for _, o := range []*organisation{first, last, other} {
			for _, file := range record.Keyrings {
				if _, err := o.identity.Open(file); err == nil {
					opened[o]++
				}
			}
		}
		if len(record.Keyrings) != want || opened[last] != 1 || opened[other] != 0 || readers > 1 && opened[first] != want {
			t.Errorf("%d readers have %d files, opened %v", readers, len(record.Keyrings), fmt.Sprint(opened[first], opened[last], opened[other]))
		}
		if want == 2 && min(len(record.Keyrings[0]), len(record.Keyrings[1])) < 500*1500 { // bytes, of 512 stanzas
			t.Errorf("the files have %d and %d bytes", len(record.Keyrings[0]), len(record.Keyrings[1]))
		}
	}
}
