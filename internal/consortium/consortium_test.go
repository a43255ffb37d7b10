package consortium

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/google/uuid"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// organisation is a member, or somebody who would like to be one, with all its keys.
type organisation struct {
	account  crypto.Account
	identity *seal.Identity
	document wire.Member
}

func (o *organisation) address() string { return o.account.Address.String() }

func newOrganisation(t testing.TB, name string) *organisation {
	t.Helper()
	identity, err := seal.NewIdentity()
	must(t, err)
	peerKey, _, err := p2pcrypto.GenerateEd25519Key(rand.Reader)
	must(t, err)
	id, err := peer.IDFromPrivateKey(peerKey)
	must(t, err)
	o := &organisation{account: crypto.GenerateAccount(), identity: identity}
	o.document, err = wire.Member{
		Organisation: name, Title: strings.ToUpper(name), Account: o.address(), Peer: id.String(), Recipient: identity.Recipient(),
	}.Sign(o.account.PrivateKey, peerKey)
	must(t, err)
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// history is a chain that exists only in the test: events in order, and the content that each leads to.
type history struct {
	t       testing.TB
	events  []Event
	content map[string]Draft // by transaction id
	numbers map[string]uint64
	assets  uint64
}

const theConsortium = 1001

func newHistory(t testing.TB) *history {
	return &history{t: t, content: map[string]Draft{}, numbers: map[string]uint64{}, assets: theConsortium - 1}
}

// mint puts a draft on the chain, in a round of its own. It is its sender's, unless it was drafted by somebody else.
func (h *history) mint(sender *organisation, draft Draft) Event {
	h.t.Helper()
	if draft.Metadata == nil {
		draft = h.by(sender, draft)
	}
	h.assets++
	id := uint64(theConsortium)
	if draft.Note.Kind == wire.KindCharter {
		id = 0
	} else {
		h.numbers[sender.address()]++
		draft.Note.Sequence = h.numbers[sender.address()]
	}
	hash := wire.MetadataHash(draft.Metadata)
	return h.append(Event{
		Position: Position{Round: uint64(len(h.events) + 1)}, Time: noon, TxID: fmt.Sprintf("TX%d", len(h.events)),
		Sender: sender.address(), Asset: h.assets, Consortium: id, Note: draft.Note, MetadataHash: hash[:],
	}, draft)
}

func (h *history) by(publisher *organisation, draft Draft) Draft {
	h.t.Helper()
	draft, err := draft.By(publisher.address())
	must(h.t, err)
	return draft
}

func (h *history) destroy(sender *organisation, asset uint64) Event {
	h.numbers[sender.address()]++
	return h.append(Event{
		Position: Position{Round: uint64(len(h.events) + 1)}, TxID: fmt.Sprintf("TX%d", len(h.events)), Sender: sender.address(),
		Asset: asset, Consortium: theConsortium, Note: wire.Note{Kind: wire.KindDestroy, Sequence: h.numbers[sender.address()]},
	}, Draft{})
}

func (h *history) release(sender *organisation, asset uint64) Event {
	e := h.destroy(sender, asset)
	e.Note.Kind = wire.KindRelease
	h.events[len(h.events)-1] = e
	return e
}

// ends is the asset that an event ends.
func ends(e Event) uint64 {
	asset, _ := e.Ends()
	return asset
}

func (h *history) append(e Event, draft Draft) Event {
	h.events = append(h.events, e)
	h.content[e.TxID] = draft
	return e
}

// founding mints a charter, the founder's membership and the default collection.
func (h *history) founding(founder *organisation) (defaultCollection string, key *seal.EpochKey) {
	h.t.Helper()
	defaultCollection = uuid.NewString()
	charter, err := DraftCharter(wire.Charter{
		Name: "Test", GenesisID: "test-v1", GenesisHash: bytes.Repeat([]byte{7}, 32), Network: wire.NetworkPrivate,
		Founder: founder.address(), DefaultCollection: defaultCollection, History: true,
	}, noon)
	must(h.t, err)
	h.mint(founder, charter)
	h.admit(founder, founder)
	key = h.collection(founder, defaultCollection, 1, everybody, nil, founder)
	return defaultCollection, key
}

var everybody = wire.Accounts{Members: true}

func (h *history) admit(governor, newcomer *organisation) Event {
	h.t.Helper()
	draft, err := DraftMember(theConsortium, newcomer.document, noon)
	must(h.t, err)
	return h.mint(governor, draft)
}

// collection mints a collection record that begins an epoch, for the given readers.
func (h *history) collection(owner *organisation, id string, epoch uint32, contributors wire.Accounts,
	older map[uint32]*seal.EpochKey, readers ...*organisation) *seal.EpochKey {
	h.t.Helper()
	key, err := seal.NewEpochKey()
	must(h.t, err)
	keys := map[uint32]*seal.EpochKey{epoch: key}
	for n, k := range older {
		keys[n] = k
	}
	draft, err := DraftCollection(theConsortium, id, epoch, wire.Collection{
		Title: "Shared", Readers: everybody, Contributors: contributors, DefaultLevel: "green", Metadata: wire.MetadataOpen,
	}, keys, recipients(readers), noon)
	must(h.t, err)
	h.mint(owner, draft)
	return key
}

func (h *history) keyring(owner *organisation, id string, keys map[uint32]*seal.EpochKey, readers ...*organisation) Event {
	h.t.Helper()
	draft, err := DraftKeyring(theConsortium, id, keys, recipients(readers), noon)
	must(h.t, err)
	return h.mint(owner, draft)
}

func recipients(organisations []*organisation) []string {
	var list []string
	for _, o := range organisations {
		list = append(list, o.identity.Recipient())
	}
	return list
}

func (h *history) object(publisher *organisation, collection string, epoch uint32, key *seal.EpochKey) (Event, wire.Metadata) {
	h.t.Helper()
	draft, err := DraftObject(theConsortium, Collection{ID: collection, Epoch: epoch, Key: key, Properties: wire.Collection{Metadata: wire.MetadataOpen}},
		"indicator--"+uuid.NewString(), "2026-01-01T00:00:00Z", true, []byte(`{"type":"indicator"}`), noon)
	must(h.t, err)
	draft = h.by(publisher, draft)
	metadata, err := wire.ParseMetadata(draft.Metadata)
	must(h.t, err)
	return h.mint(publisher, draft), metadata
}

// fold is the state of one organisation's node, with the content attached in the given order (default: the chain's).
func (h *history) fold(viewer *organisation, order ...int) *State {
	h.t.Helper()
	s := New(theConsortium, "TX0", viewer.identity)
	var records []Event
	for _, e := range h.events {
		if effect, _ := s.Apply(e); effect == Record && e.Note.Kind != wire.KindDestroy {
			records = append(records, e)
		}
	}
	for i := range records {
		if len(order) > 0 {
			i = order[i]
		}
		h.attach(s, records[i])
	}
	h.supply(s)
	return s
}

// supply gives the state what it wants again, until it wants nothing.
func (h *history) supply(s *State) {
	h.t.Helper()
	for again := 0; ; again++ {
		wanted := s.Wanted()
		if len(wanted) == 0 {
			return
		}
		if again > 2*len(h.events) {
			h.t.Fatalf("it wants %v again and again", wanted)
		}
		for _, txid := range wanted {
			h.attach(s, Event{TxID: txid})
		}
	}
}

// attach gives the state the content of one event. Void content is part of some tests; it is not an error here.
func (h *history) attach(s *State, e Event) {
	draft := h.content[e.TxID]
	metadata, err := wire.ParseMetadata(draft.Metadata)
	must(h.t, err)
	_ = s.Attach(e.TxID, metadata, draft.Payload)
}

func TestAMemberCountsFromItsAdmissionToItsRemoval(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "member")
	h := newHistory(t)
	id, key := h.founding(founder)
	before, _ := h.object(member, id, 1, key)
	admission := h.admit(founder, member)
	during, _ := h.object(member, id, 1, key)
	removal := h.destroy(founder, admission.Asset)
	after, _ := h.object(member, id, 1, key)

	s := New(theConsortium, "TX0", founder.identity)
	effects := map[string]Effect{}
	for _, e := range h.events {
		effects[e.TxID], _ = s.Apply(e)
	}
	for _, c := range []struct {
		object Event
		want   Effect
	}{{before, Nothing}, {during, Object}, {after, Nothing}} {
		if got := effects[c.object.TxID]; got != c.want {
			t.Errorf("an object in round %d has effect %v, want %v (admitted in %d, removed in %d)",
				c.object.Round, got, c.want, admission.Round, removal.Round)
		}
		if got := s.MemberAt(member.address(), c.object.Position); got != (c.want == Object) {
			t.Errorf("MemberAt(%d) = %v", c.object.Round, got)
		}
	}
}

func TestOnlyTheGovernorAdmitsAndRemoves(t *testing.T) {
	founder, member, friend := newOrganisation(t, "founder"), newOrganisation(t, "member"), newOrganisation(t, "friend")
	h := newHistory(t)
	h.founding(founder)
	own := h.admit(founder, member)
	h.admit(member, friend)
	h.destroy(member, own.Asset)
	s := h.fold(founder)
	if len(s.Members()) != 2 {
		t.Errorf("%d members, want the founder and the member", len(s.Members()))
	}
	if !s.memberNow(member.address()) {
		t.Error("a member's own transaction ended its membership")
	}
}

func TestAReplayChangesNothing(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	h.founding(founder)
	s := h.fold(founder)
	for _, e := range h.events {
		if effect, reason := s.Apply(e); effect != Nothing || reason != "replayed" {
			t.Errorf("replaying round %d: %v, %q", e.Round, effect, reason)
		}
	}
}

func TestARecordOfSomebodyElsesCharterIsNotOurs(t *testing.T) {
	founder, impostor := newOrganisation(t, "founder"), newOrganisation(t, "impostor")
	h := newHistory(t)
	h.assets -= 1 // the impostor's charter comes first, with another asset id
	charter, err := DraftCharter(wire.Charter{Name: "Fake", GenesisID: "test-v1", GenesisHash: bytes.Repeat([]byte{7}, 32),
		Network: wire.NetworkPrivate, Founder: impostor.address(), DefaultCollection: uuid.NewString()}, noon)
	must(t, err)
	h.mint(impostor, charter)
	h.founding(founder)
	s := New(theConsortium, "TX1", founder.identity)
	for _, e := range h.events {
		s.Apply(e)
	}
	if s.Governor() != founder.address() {
		t.Errorf("the governor is %s, want the founder", s.Governor())
	}
}

func TestAReaderOpensWhatItsKeyringAllows(t *testing.T) {
	founder, early, late, outsider := newOrganisation(t, "founder"), newOrganisation(t, "early"), newOrganisation(t, "late"), newOrganisation(t, "outsider")
	h := newHistory(t)
	id, first := h.founding(founder)
	h.admit(founder, early)
	h.keyring(founder, id, map[uint32]*seal.EpochKey{1: first}, early)
	object, metadata := h.object(early, id, 1, first)
	second := h.collection(founder, id, 2, everybody, map[uint32]*seal.EpochKey{1: first}, founder, early)
	h.admit(founder, late)
	h.keyring(founder, id, map[uint32]*seal.EpochKey{2: second}, late)
	newer, newerMetadata := h.object(late, id, 2, second)

	cases := []struct {
		viewer *organisation
		event  Event
		m      wire.Metadata
		want   Outcome
	}{
		{founder, object, metadata, Readable},
		{early, object, metadata, Readable},
		{late, object, metadata, NotForUs},
		{outsider, object, metadata, NotForUs},
		{founder, newer, newerMetadata, Readable},
		{early, newer, newerMetadata, Readable},
		{late, newer, newerMetadata, Readable},
		{outsider, newer, newerMetadata, NotForUs},
	}
	for _, c := range cases {
		ruling := h.fold(c.viewer).Rule(c.event, c.m)
		if ruling.Outcome != c.want {
			t.Errorf("%s reads the object of epoch %d: %v (%s), want %v",
				c.viewer.document.Organisation, c.m.Properties.Epoch, ruling.Outcome, ruling.Reason, c.want)
		}
		if ruling.Outcome == Readable {
			sealed, err := wire.ParseSealedObject(h.content[c.event.TxID].Payload)
			must(t, err)
			if opened, err := ruling.Key.Open(sealed); err != nil || string(opened) != `{"type":"indicator"}` {
				t.Errorf("opened %q, %v", opened, err)
			}
		}
	}
}

// Whichever arrives first, and wherever it stands on the chain: an owner can't split those who publish in an epoch.
func TestTheKeyOfAnEpochIsTheOneItBeganWith(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, reader)
	group := uuid.NewString()
	early, err := seal.NewEpochKey()
	must(t, err)
	wrong, err := seal.NewEpochKey()
	must(t, err)
	key := h.collection(founder, group, 1, everybody, nil, founder)
	h.keyring(founder, group, map[uint32]*seal.EpochKey{1: wrong}, reader)
	h.keyring(founder, group, map[uint32]*seal.EpochKey{2: early}, reader) // before the epoch begins
	next := h.collection(founder, group, 2, everybody, map[uint32]*seal.EpochKey{1: wrong}, founder, reader)
	h.keyring(founder, group, map[uint32]*seal.EpochKey{1: key}, reader)
	object, metadata := h.object(founder, group, 1, key)
	for _, order := range [][]int{{0, 1, 2, 3, 4, 5, 6, 7, 8}, {8, 7, 6, 5, 4, 3, 2, 1, 0}, {0, 1, 2, 7, 8, 6, 5, 4, 3}} {
		s := h.fold(reader, order...)
		keys := s.Keys(group)
		if len(keys) != 2 || !keys[1].Equal(key) || !keys[2].Equal(next) {
			t.Errorf("in the order %v it holds %d keys, of which %v and %v are the right ones", order, len(keys), keys[1].Equal(key), keys[2].Equal(next))
		}
		if ruling := s.Rule(object, metadata); ruling.Outcome != Readable || !ruling.Key.Equal(key) {
			t.Errorf("in the order %v: %v (%s)", order, ruling.Outcome, ruling.Reason)
		}
	}
}

// Two nodes of an owner, or one that lost its journal, make a second key for an epoch: the record that comes second
// does nothing.
func TestARecordWithAnotherKeyOfTheSameEpochChangesNothing(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	id, key := h.founding(founder)
	h.admit(founder, reader)
	h.keyring(founder, id, map[uint32]*seal.EpochKey{1: key}, reader)
	before := h.fold(reader)
	other := h.collection(founder, id, 1, wire.Accounts{}, nil, founder, reader)
	object, metadata := h.object(reader, id, 1, key)
	after := h.fold(reader)
	c, _ := before.Collection(id)
	d, ok := after.Collection(id)
	if !ok || !d.Key.Equal(key) || d.Key.Equal(other) || !d.Properties.Contributors.Members || d.Began != c.Began || d.Epoch != 1 || d.Pending {
		t.Errorf("it is %+v, %v", d, ok)
	}
	if ruling := after.Rule(object, metadata); ruling.Outcome != Readable {
		t.Errorf("an object after it: %v (%s)", ruling.Outcome, ruling.Reason)
	}
}

func TestWhoWasTakenOutKeepsACollectionAsItWas(t *testing.T) {
	founder, reader := newOrganisation(t, "founder"), newOrganisation(t, "reader")
	h := newHistory(t)
	id, first := h.founding(founder)
	h.admit(founder, reader)
	h.keyring(founder, id, map[uint32]*seal.EpochKey{1: first}, reader)
	before, ok := h.fold(reader).Collection(id)
	if !ok || before.Former || before.Pending || !before.MayPublish(reader.address()) {
		t.Fatalf("a reader's collection is %+v, %v", before, ok)
	}
	h.collection(founder, id, 2, everybody, nil, founder) // a key that the reader is not given
	after, ok := h.fold(reader).Collection(id)
	if !ok || !after.Former || after.Pending || after.Epoch != 1 || after.MayPublish(reader.address()) {
		t.Errorf("afterwards it is %+v, %v", after, ok)
	}
	pending := New(theConsortium, "TX0", reader.identity)
	for _, e := range h.events {
		pending.Apply(e)
	}
	for _, e := range h.events[:len(h.events)-1] {
		h.attach(pending, e)
	}
	if c, ok := pending.Collection(id); !ok || !c.Pending || c.Former {
		t.Errorf("while the last record has not arrived it is %+v, %v", c, ok)
	}
}

func TestAnObjectWaitsForTheRecordsBeforeIt(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	id, key := h.founding(founder)
	object, metadata := h.object(founder, id, 1, key)
	s := New(theConsortium, "TX0", founder.identity)
	for _, e := range h.events {
		s.Apply(e)
	}
	if ruling := s.Rule(object, metadata); ruling.Outcome != Waits || s.Decided(object, id, 1) {
		t.Fatalf("without the collection's content: %v (%s), want Waits", ruling.Outcome, ruling.Reason)
	}
	for _, e := range h.events[:3] {
		h.attach(s, e)
	}
	if ruling := s.Rule(object, metadata); ruling.Outcome != Readable {
		t.Fatalf("with the collection's content: %v (%s), want Readable", ruling.Outcome, ruling.Reason)
	}
	if !s.Decided(object, id, 1) || !s.Decided(object, id, 2) {
		t.Error("neither that it counts nor that an epoch had not begun is decided")
	}
	if other := h.fold(newOrganisation(t, "other")); other.Decided(object, id, 1) {
		t.Error("for who has no key, it is decided")
	}
}

func TestWhoMayNotPublishIsRefused(t *testing.T) {
	founder, reader, contributor := newOrganisation(t, "founder"), newOrganisation(t, "reader"), newOrganisation(t, "contributor")
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, reader)
	h.admit(founder, contributor)
	group := uuid.NewString()
	key := h.collection(founder, group, 1, wire.Accounts{Named: []string{contributor.address()}}, nil, founder, reader, contributor)
	for publisher, want := range map[*organisation]Outcome{founder: Readable, contributor: Readable, reader: Refused} {
		event, metadata := h.object(publisher, group, 1, key)
		if ruling := h.fold(founder).Rule(event, metadata); ruling.Outcome != want {
			t.Errorf("%s publishes: %v (%s), want %v", publisher.document.Organisation, ruling.Outcome, ruling.Reason, want)
		}
	}
}

func TestAnOldEpochCountsUntilTheGraceIsOver(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	id, first := h.founding(founder)
	second := h.collection(founder, id, 2, everybody, map[uint32]*seal.EpochKey{1: first}, founder)
	rotation := h.events[len(h.events)-1]
	object, metadata := h.object(founder, id, 1, first)
	_, future := h.object(founder, id, 3, second)
	s := h.fold(founder)
	for round, want := range map[uint64]Outcome{
		rotation.Round + 1: Readable, rotation.Round + Grace: Readable, rotation.Round + Grace + 1: Refused,
	} {
		object.Position = Position{Round: round}
		if ruling := s.Rule(object, metadata); ruling.Outcome != want {
			t.Errorf("epoch 1, %d rounds after the rotation: %v (%s), want %v", round-rotation.Round, ruling.Outcome, ruling.Reason, want)
		}
	}
	object.Position = Position{Round: rotation.Round + 1}
	if ruling := s.Rule(object, future); ruling.Outcome != Refused {
		t.Errorf("epoch 3 before it began: %v, want Refused", ruling.Outcome)
	}
}

// Whatever makes an owner begin epochs one after the other, what honest members signed before counts.
func TestQuickEpochsRefuseNothingThatWasSignedBefore(t *testing.T) {
	founder := newOrganisation(t, "founder")
	h := newHistory(t)
	id, first := h.founding(founder)
	keys := map[uint32]*seal.EpochKey{1: first}
	ends := map[uint32]uint64{}
	for epoch := uint32(2); epoch <= 6; epoch++ {
		keys[epoch] = h.collection(founder, id, epoch, everybody, maps.Clone(keys), founder)
		ends[epoch-1] = h.events[len(h.events)-1].Round
	}
	type made struct {
		e Event
		m wire.Metadata
	}
	objects := map[uint32]made{}
	for epoch := range ends {
		e, m := h.object(founder, id, epoch, keys[epoch])
		objects[epoch] = made{e, m}
	}
	s := h.fold(founder)
	for epoch, end := range ends {
		for round, want := range map[uint64]Outcome{end + 1: Readable, end + Grace: Readable, end + Grace + 1: Refused} {
			o := objects[epoch]
			o.e.Position = Position{Round: round}
			if ruling := s.Rule(o.e, o.m); ruling.Outcome != want || want == Readable && !ruling.Late {
				t.Errorf("epoch %d, %d rounds after its end: %v (%s), want %v", epoch, round-end, ruling.Outcome, ruling.Reason, want)
			}
		}
	}
}

func TestACollectionBelongsToWhoMadeItFirst(t *testing.T) {
	founder, thief := newOrganisation(t, "founder"), newOrganisation(t, "thief")
	h := newHistory(t)
	id, key := h.founding(founder)
	h.admit(founder, thief)
	h.collection(thief, id, 2, everybody, nil, thief)
	h.keyring(thief, id, map[uint32]*seal.EpochKey{1: key}, thief)
	s := h.fold(founder)
	c, ok := s.Collection(id)
	if !ok || c.Owner != founder.address() || c.Epoch != 1 || !c.Default {
		t.Errorf("after the thief's record: %+v, %v", c, ok)
	}
}

func TestANameBelongsToWhoWasAdmittedWithItFirst(t *testing.T) {
	founder, first, second := newOrganisation(t, "founder"), newOrganisation(t, "acme"), newOrganisation(t, "acme")
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, first)
	h.admit(founder, second)
	members := h.fold(founder).Members()
	if members[1].Name != "acme" || members[2].Name != "" {
		t.Errorf("the names are %q and %q, want acme and none", members[1].Name, members[2].Name)
	}
}

// view is everything of a state that a node acts upon.
func view(s *State) any {
	type collectionView struct {
		ID, Owner, Title string
		Epoch            uint32
		Secret           string
	}
	var collections []collectionView
	for _, c := range s.Collections() {
		collections = append(collections, collectionView{c.ID, c.Owner, c.Properties.Title, c.Epoch, c.Key.Secret()})
	}
	return []any{s.Members(), collections, s.Charter(), s.Position(), s.Sequences(), s.Governor(), s.Quorum()}
}

// Content comes from IPFS in any order, with any delay. The state must come out the same.
func TestTheOrderInWhichContentArrivesChangesNothing(t *testing.T) {
	founder, member, late := newOrganisation(t, "founder"), newOrganisation(t, "member"), newOrganisation(t, "late")
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t)
		id, key := h.founding(founder)
		h.admit(founder, member)
		keys := map[uint32]*seal.EpochKey{1: key}
		var objects []Event
		var metadata []wire.Metadata
		for step := range rapid.IntRange(1, 6).Draw(rt, "steps") {
			epoch := uint32(len(keys))
			switch rapid.IntRange(0, 5).Draw(rt, "record") {
			case 0:
				h.keyring(founder, id, keys, member)
			case 1:
				keys[epoch+1] = h.collection(founder, id, epoch+1, everybody, keys, founder, member)
			case 2:
				h.collection(founder, id, epoch+2, everybody, nil, founder, member) // skips an epoch: void
			case 5: // properties again, with the epoch's key or another
				draft, err := DraftCollection(theConsortium, id, epoch, wire.Collection{Title: "Again", Readers: everybody, Metadata: wire.MetadataOpen},
					map[uint32]*seal.EpochKey{epoch: []*seal.EpochKey{keys[epoch], key}[step%2]}, recipients([]*organisation{founder, member}), noon)
				must(t, err)
				h.mint(founder, draft)
			case 3:
				h.admit(founder, late)
				wrong, err := seal.NewEpochKey()
				must(t, err)
				h.keyring(founder, id, map[uint32]*seal.EpochKey{epoch: wrong}, late, member) // a second, false key
			case 4:
				e, m := h.object([]*organisation{founder, member}[step%2], id, epoch, keys[epoch])
				objects, metadata = append(objects, e), append(metadata, m)
			}
		}
		records := 0
		probe := New(theConsortium, "TX0", member.identity)
		for _, e := range h.events {
			if effect, _ := probe.Apply(e); effect == Record {
				records++
			}
		}
		indices := make([]int, records)
		for i := range indices {
			indices[i] = i
		}
		want := h.fold(member)
		got := h.fold(member, rapid.Permutation(indices).Draw(rt, "order")...)
		if !reflect.DeepEqual(view(want), view(got)) {
			rt.Fatalf("in chain order:\n%+v\nin another order:\n%+v", view(want), view(got))
		}
		for i, e := range objects {
			a, b := want.Rule(e, metadata[i]), got.Rule(e, metadata[i])
			if a.Outcome != b.Outcome || a.Reason != b.Reason {
				rt.Fatalf("an object of round %d is %v (%s) and %v (%s)", e.Round, a.Outcome, a.Reason, b.Outcome, b.Reason)
			}
		}
	})
}

func TestARecordByWhoHasNoRightToItChangesNothing(t *testing.T) {
	founder, member, outsider := newOrganisation(t, "founder"), newOrganisation(t, "member"), newOrganisation(t, "outsider")
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t)
		id, key := h.founding(founder)
		own := h.admit(founder, member)
		clean := h.fold(founder)
		for range rapid.IntRange(1, 5).Draw(rt, "attempts") {
			switch rapid.IntRange(0, 5).Draw(rt, "attempt") {
			case 0:
				h.admit(outsider, outsider)
			case 1:
				h.destroy(outsider, own.Asset)
			case 2:
				h.collection(outsider, uuid.NewString(), 1, everybody, nil, outsider)
			case 3:
				h.keyring(outsider, id, map[uint32]*seal.EpochKey{1: key}, outsider)
			case 4:
				h.object(outsider, id, 1, key)
			case 5:
				h.collection(outsider, id, 2, everybody, nil, outsider)
			}
		}
		attacked := h.fold(founder)
		a, b := view(clean).([]any), view(attacked).([]any)
		a[3], b[3] = nil, nil // the position moves on
		if !reflect.DeepEqual(a, b) {
			rt.Fatalf("before:\n%+v\nafter:\n%+v", a, b)
		}
	})
}

func TestSequencesShowHolesAndFillThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		numbers := make([]uint64, n)
		for i := range numbers {
			numbers[i] = uint64(i + 1)
		}
		order := rapid.Permutation(numbers).Draw(t, "order")
		seen := rapid.IntRange(0, n).Draw(t, "seen")
		var q Sequence
		missing := map[uint64]bool{}
		for i, number := range order[:seen] {
			at := Position{Round: 7, Intra: uint64(i + 1)}
			q.Saw(number, at)
			q.Saw(number, at) // told again, which changes nothing
		}
		if q.Twice.Count != 0 {
			t.Fatalf("no number came twice: %+v", q.Twice)
		}
		for number := uint64(1); number <= q.Highest; number++ {
			missing[number] = true
		}
		for _, number := range order[:seen] {
			delete(missing, number)
		}
		for _, hole := range q.Holes {
			if hole.Since != 7 || hole.IsOverdue(7+Overdue) || !hole.IsOverdue(8+Overdue) {
				t.Fatalf("the hole %+v is not of round 7", hole)
			}
			for number := hole.First; number <= hole.Last; number++ {
				if !missing[number] {
					t.Fatalf("%d is in a hole but was seen: %+v", number, q)
				}
				delete(missing, number)
			}
		}
		if len(missing) > 0 {
			t.Fatalf("not shown as missing: %v of %+v", missing, q)
		}
		if seen == 0 {
			return
		}
		again := rapid.SampledFrom(order[:seen]).Draw(t, "again")
		q.Saw(again, Position{Round: 9})
		if q.Twice != (Repeated{Count: 1, Number: again, Round: 9}) {
			t.Fatalf("%d came twice: %+v", again, q.Twice)
		}
	})
}

func TestWhatCanNotBeToldApartIsNoRepeatedNumber(t *testing.T) {
	var q Sequence
	round := uint64(0)
	saw := func(number uint64) {
		round++
		q.Saw(number, Position{Round: round})
	}
	for n := uint64(1); n <= maxHoles+2; n++ {
		saw(2 * n) // each leaves a hole
	}
	saw(2*maxHoles + 3) // in one that is not remembered
	saw(0)
	if q.Twice.Count != 0 {
		t.Errorf("%+v", q.Twice)
	}
}

func BenchmarkFold(b *testing.B) {
	founder := newOrganisation(b, "founder")
	h := newHistory(b)
	id, key := h.founding(founder)
	event, _ := h.object(founder, id, 1, key)
	for _, events := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			for b.Loop() {
				s := New(theConsortium, "TX0", founder.identity)
				for _, e := range h.events[:3] {
					s.Apply(e)
				}
				for n := range events {
					e := event
					e.Position = Position{Round: uint64(10 + n/16), Intra: uint64(n % 16)}
					e.Note.Sequence = uint64(3 + n)
					if effect, _ := s.Apply(e); effect != Object {
						b.Fatal(effect)
					}
				}
			}
			b.ReportMetric(float64(b.N)*float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkRule: what it takes to decide about an object doesn't depend on how many keyrings the collection's owner
// sent, nor on how many contributors it named.
func BenchmarkRule(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		founder, reader := newOrganisation(b, "founder"), newOrganisation(b, "reader")
		h := newHistory(b)
		id, first := h.founding(founder)
		contributors := wire.Accounts{}
		for range n - 1 {
			contributors.Named = append(contributors.Named, crypto.GenerateAccount().Address.String())
		}
		h.admit(founder, reader)
		contributors.Named = append(contributors.Named, reader.address())
		for range n {
			h.keyring(founder, id, map[uint32]*seal.EpochKey{1: first}, founder)
		}
		key := h.collection(founder, id, 2, contributors, nil, founder)
		s := h.fold(founder)
		event, metadata := h.object(reader, id, 2, key)
		b.Run(fmt.Sprintf("keyrings=%d", n), func(b *testing.B) {
			for b.Loop() {
				if r := s.Rule(event, metadata); r.Outcome != Readable {
					b.Fatal(r.Reason)
				}
			}
		})
	}
}
