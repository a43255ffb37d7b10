package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
)

// world is a chain whose founder is alpha, and what self knows of it.
type world struct {
	*nodetest.Chain
	self, alpha, bravo *nodetest.Org
	founding           []consortium.Event
}

// newWorld has alpha and bravo as members, and self where it is one.
func newWorld(t *testing.T, member bool) *world {
	t.Helper()
	w := &world{self: nodetest.NewOrg(t, "self"), alpha: nodetest.NewOrg(t, "alpha"), bravo: nodetest.NewOrg(t, "bravo")}
	w.Chain = nodetest.NewBareChain(t, w.self)
	members := []*nodetest.Org{w.alpha, w.bravo}
	if member {
		members = append(members, w.self)
	}
	w.founding = w.Found(members...)
	w.Begin()
	return w
}

func founded(t *testing.T) *world {
	w := newWorld(t, true)
	w.Know(w.founding...)
	return w
}

func peerOf(t *testing.T, text string) peer.ID {
	t.Helper()
	id, err := peer.Decode(text)
	nodetest.Must(t, err)
	return id
}

func (w *world) removes(o *nodetest.Org) {
	w.T.Helper()
	d, err := consortium.DraftRemoval(w.ID, o.Address(), time.Now())
	nodetest.Must(w.T, err)
	w.Know(w.Mint(w.alpha, d))
}

// rotates gives an organisation another account and, unless it keeps it, another peer, by a record of its own; known
// says whether the record's content has arrived.
func (w *world) rotates(o *nodetest.Org, samePeer, known bool) (before nodetest.Org) {
	w.T.Helper()
	before = *o
	next := nodetest.NewOrg(w.T, o.Document.Organisation)
	now := *o
	now.Account, now.Document.Account, now.Sequence = next.Account, next.Address(), 0
	if !samePeer {
		now.PeerKey, now.Document.Peer = next.PeerKey, next.Document.Peer
	}
	var err error
	now.Document, err = now.Document.Sign(now.Account.PrivateKey, now.PeerKey)
	nodetest.Must(w.T, err)
	draft, err := consortium.DraftRotation(w.ID, before.Address(), now.Document, now.Account.PrivateKey, time.Now())
	nodetest.Must(w.T, err)
	e := w.Mint(&before, draft)
	if known {
		w.Know(e)
	} else {
		w.State.Change(func(s *consortium.State) { s.Apply(e) })
	}
	*o = now
	return before
}

// Who is let in decides who is given blocks, records and invitations.
func TestAPeerIsAMembersAsLongAsItsMembershipAndItsKeysLast(t *testing.T) {
	w := newWorld(t, true)
	invited, stranger := peerOf(t, nodetest.NewOrg(t, "x").Document.Peer), peerOf(t, nodetest.NewOrg(t, "y").Document.Peer)
	w.State = state.New(w.self.Address(), consortium.New(w.ID, w.founding[0].TxID, w.self.Identity), []peer.ID{invited, peerOf(t, w.bravo.Document.Peer)})
	is := func(when string, want map[peer.ID]bool) {
		t.Helper()
		want[stranger] = false
		for id, member := range want {
			if w.State.IsMember(id) != member {
				t.Errorf("%s: %s is let in: %t", when, id, !member)
			}
		}
	}
	alpha, bravo := peerOf(t, w.alpha.Document.Peer), peerOf(t, w.bravo.Document.Peer)
	is("nothing is known", map[peer.ID]bool{alpha: false, bravo: true, invited: true})
	w.Know(w.founding...)
	is("founded", map[peer.ID]bool{alpha: true, bravo: true, invited: true})
	w.removes(w.bravo)
	is("removed, though it stands in our invite", map[peer.ID]bool{alpha: true, bravo: false, invited: true})

	before := w.rotates(w.alpha, false, false)
	next := peerOf(t, w.alpha.Document.Peer)
	is("its record has not arrived", map[peer.ID]bool{peerOf(t, before.Document.Peer): false, next: true})
}

func TestAMemberWithAnotherPeerIsLetInAsThatOne(t *testing.T) {
	w := founded(t)
	before := w.rotates(w.alpha, false, true)
	if w.State.IsMember(peerOf(t, before.Document.Peer)) || !w.State.IsMember(peerOf(t, w.alpha.Document.Peer)) {
		t.Error("the old peer is let in, or the new one isn't")
	}
}

// A member that keeps its peer with other keys may be the only one that has the record of them.
func TestAMemberThatKeepsItsPeerIsLetInBeforeItsRecordHasArrived(t *testing.T) {
	w := founded(t)
	before := w.rotates(w.bravo, true, false)
	if !w.State.IsMember(peerOf(t, before.Document.Peer)) {
		t.Error("it is shut out")
	}
	w.removes(w.bravo)
	if w.State.IsMember(peerOf(t, before.Document.Peer)) {
		t.Error("it is let in though it was removed")
	}
}

func TestWhoIsWhoIsFoundByEveryAccountThatTheyHad(t *testing.T) {
	w := founded(t)
	before := w.rotates(w.bravo, false, true)
	for account, name := range map[string]string{w.bravo.Address(): "bravo", before.Address(): "bravo", w.self.Address(): "self", "NOBODY": "NOBODY"} {
		if got := w.State.Name(account); got != name {
			t.Errorf("%s is called %s, want %s", account, got, name)
		}
	}
	if got := w.State.Names(wire.Accounts{Named: []string{w.self.Address(), before.Address(), w.alpha.Address()}}); !slices.Equal(got, []string{"alpha", "bravo", "self"}) {
		t.Errorf("the names are %v", got)
	}
	if got := w.State.Names(wire.Accounts{Members: true, Named: []string{w.self.Address()}}); !slices.Equal(got, []string{"all"}) {
		t.Errorf("all are called %v", got)
	}
	if n := len(w.State.Members()); n != 3 {
		t.Errorf("%d members are known", n)
	}
	if w.State.Ours(w.alpha.Address()) || !w.State.Ours(w.self.Address()) || w.State.Ours("NOBODY") {
		t.Error("others' accounts are taken for ours, or ours for others'")
	}
	if got := w.State.Own(); got != w.self.Address() {
		t.Errorf("this organisation is %s", got)
	}
	accounts, unknown := w.State.MembersCalled([]string{"bravo", "nobody", w.alpha.Address(), ""})
	if len(accounts) != 2 || accounts[1] != w.alpha.Address() || !slices.Equal(unknown, []string{"nobody", ""}) {
		t.Errorf("they are %v, and %q are unknown", accounts, unknown)
	}
	for _, account := range []string{w.bravo.Address(), before.Address()} {
		if again, _ := w.State.MembersCalled([]string{account}); !slices.Equal(again, accounts[:1]) {
			t.Errorf("who has the account %s is %v, want %v", account, again, accounts[:1])
		}
	}
	own := w.rotates(w.self, false, true)
	if !w.State.Ours(own.Address()) || !w.State.Ours(w.self.Address()) {
		t.Error("one of our accounts is not taken for ours")
	}
	if got, _ := w.State.MembersCalled([]string{"self"}); !slices.Equal(got, []string{w.State.Own()}) {
		t.Errorf("this organisation is %s, and called %v", w.State.Own(), got)
	}
	if w.State.Active() {
		t.Error("a node with an account that was replaced is active")
	}
}

func TestWhoMayWriteIsAMemberOrTheGovernor(t *testing.T) {
	for _, c := range []struct {
		what                 string
		self                 func(*world) *nodetest.Org
		known                bool
		removed              bool
		begun, active, write bool
	}{
		{"nothing is known", func(w *world) *nodetest.Org { return w.bravo }, false, false, false, false, false},
		{"a member", func(w *world) *nodetest.Org { return w.bravo }, true, false, true, true, true},
		{"one that was removed", func(w *world) *nodetest.Org { return w.bravo }, true, true, true, false, false},
		{"one that was never admitted", func(w *world) *nodetest.Org { return w.self }, true, false, true, false, false},
		{"the governor, who is a member", func(w *world) *nodetest.Org { return w.alpha }, true, false, true, true, true},
	} {
		w := newWorld(t, false)
		s := state.New(c.self(w).Address(), consortium.New(w.ID, w.founding[0].TxID, nil), nil)
		w.State = s
		if c.known {
			w.Know(w.founding...)
		}
		if c.removed {
			w.removes(w.bravo)
		}
		if s.Begun() != c.begun || s.Active() != c.active || s.MayWrite() != c.write {
			t.Errorf("%s: begun %t, active %t, may write %t", c.what, s.Begun(), s.Active(), s.MayWrite())
		}
	}
	w := newWorld(t, true)
	s := state.New(w.alpha.Address(), consortium.New(w.ID, w.founding[0].TxID, nil), nil)
	w.State = s
	w.Know(w.founding[0]) // the charter alone
	if s.Active() || !s.MayWrite() {
		t.Errorf("the founder before its admission: active %t, may write %t", s.Active(), s.MayWrite())
	}
}

// The charter's name is the consortium's, as soon as it is known.
func TestAConsortiumIsCalledWhatItsCharterSays(t *testing.T) {
	w := newWorld(t, true)
	if got := w.State.NameOf(repo.Consortium{Name: "As the invite says"}); got != "As the invite says" || w.State.Charter() != nil {
		t.Errorf("it is called %q", got)
	}
	w.Know(w.founding...)
	if got := w.State.NameOf(repo.Consortium{Name: "As the invite says"}); got != "Test" || w.State.Charter() == nil {
		t.Errorf("it is called %q", got)
	}
}

// A collection's id stands in a note on its way to the chain: another member can be first.
func TestACollectionThatSomebodyElseMadeFirstIsTaken(t *testing.T) {
	w := founded(t)
	ours, theirs := uuid.NewString(), uuid.NewString()
	w.collection(w.self, ours, wire.Collection{})
	w.collection(w.bravo, theirs, wire.Collection{})
	for id, taken := range map[string]bool{ours: false, theirs: true, uuid.NewString(): false, w.Chain.Collection: true} {
		if w.State.Taken(id) != taken {
			t.Errorf("collection %s is taken: %t", id, !taken)
		}
	}
	if _, found := w.State.Collection(uuid.NewString()); found {
		t.Error("a collection is found that there isn't")
	}
	if c, found := w.State.Collection(ours); !found || c.Owner != w.self.Address() {
		t.Errorf("ours is %+v", c)
	}
}

// collection makes a collection of an owner's, for which we are given the key.
func (w *world) collection(owner *nodetest.Org, id string, properties wire.Collection) consortium.Collection {
	w.T.Helper()
	key, err := seal.NewEpochKey()
	nodetest.Must(w.T, err)
	properties.Metadata = wire.MetadataOpen
	if properties.Title == "" {
		properties.Title = "A collection"
	}
	if properties.DefaultLevel == "" {
		properties.DefaultLevel = "green"
	}
	d, err := consortium.DraftCollection(w.ID, id, 1, properties, map[uint32]*seal.EpochKey{1: key}, []string{w.self.Identity.Recipient(), owner.Identity.Recipient()}, time.Now())
	nodetest.Must(w.T, err)
	w.Know(w.Mint(owner, d))
	c, _ := w.State.Collection(id)
	return c
}

func TestOfTheSequenceNumbersItIsKnownWhichTheChainHasShown(t *testing.T) {
	w := founded(t)
	w.self.Sequence = 1 // which is not seen
	w.collection(w.self, uuid.NewString(), wire.Collection{})
	w.self.Sequence = 5
	w.collection(w.self, uuid.NewString(), wire.Collection{}) // 6
	highest, missing := w.State.Sequence(w.self.Address())
	var ranges [][2]uint64
	for _, r := range missing {
		ranges = append(ranges, [2]uint64{r.First, r.Last})
	}
	if highest != 6 || fmt.Sprint(ranges) != "[[1 1] [3 5]]" {
		t.Errorf("up to %d without %v", highest, missing)
	}
	for number, tells := range []bool{false, false, true, false, false, false, true, false} {
		if w.State.TellsOf(uint64(number)) != tells {
			t.Errorf("it tells of %d: %t", number, !tells)
		}
	}
	if highest, missing = w.State.Sequence("NOBODY"); highest != 0 || missing != nil {
		t.Errorf("nobody's are up to %d without %v", highest, missing)
	}
	var copied map[string]*consortium.Sequence
	w.State.Read(func(s *consortium.State) { copied = state.CopySequences(s) })
	w.collection(w.self, uuid.NewString(), wire.Collection{})
	if q := copied[w.self.Address()]; q.Highest != 6 {
		t.Errorf("a copy changes: %+v", q)
	}
}

// Whoever waits is woken by what others look at, and by that alone.
func TestAChangeIsToldAndAQuietOneIsNot(t *testing.T) {
	w := founded(t)
	for _, c := range []struct {
		what   string
		change func()
		told   bool
	}{
		{"a change", func() { w.State.Change(func(*consortium.State) {}) }, true},
		{"a quiet change", func() { w.State.Quietly(func(*consortium.State) {}) }, false},
		{"another state", func() { w.State.Replace(consortium.New(w.ID, "", nil)) }, true},
	} {
		changed := w.State.Changed.Changed()
		c.change()
		told := false
		select {
		case <-changed:
			told = true
		default:
		}
		if told != c.told {
			t.Errorf("%s: told %t", c.what, told)
		}
	}
	if w.State.IsMember(peerOf(t, w.alpha.Document.Peer)) || w.State.Begun() {
		t.Error("the state is the old one after it was replaced")
	}
}

type follower struct{ err error }

func (f follower) AwaitTip(context.Context) error { return f.err }

func (follower) State() chainwatch.State { return chainwatch.State{Detail: "the indexer is down"} }

func TestWhoWaitsForTheTipIsToldWhyItDoesNotCome(t *testing.T) {
	nodetest.Must(t, state.AwaitTip(t.Context(), follower{}))
	if err := state.AwaitTip(t.Context(), follower{context.DeadlineExceeded}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the indexer is down") {
		t.Errorf("it says %v", err)
	}
	if now := state.Now(); now.Location() != time.UTC || now.Nanosecond()%1000 != 0 || time.Since(now).Abs() > time.Minute {
		t.Errorf("now is %v", now)
	}
}

func TestAnEntryIsItsObjectAndWhereItIs(t *testing.T) {
	stored := time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
	object, err := stix.Parse([]byte(nodetest.IndicatorJSON(1)))
	nodetest.Must(t, err)
	e := state.EntryOf("c", object, [32]byte{7}, stored)
	if e.Collection != "c" || e.ID != object.ID || e.Type != "indicator" || e.Version != "2026-01-02T03:04:05.678Z" || !e.Instant.Equal(object.VersionTime()) || e.Unversioned ||
		!bytes.Equal(e.Hash, append([]byte{7}, make([]byte, 31)...)) || !e.StoredAt.Equal(stored) || !bytes.Equal(e.Object, object.Raw) {
		t.Errorf("the entry is %+v", e)
	}
	if object, err = stix.Parse([]byte(`{"type":"ipv4-addr","id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd","value":"198.51.100.3"}`)); err != nil {
		t.Fatal(err)
	}
	if e = state.EntryOf("c", object, [32]byte{}, stored); !e.Unversioned || e.Version != wire.FormatTime(stored) || !e.Instant.Equal(stored) {
		t.Errorf("the entry of what has no versions is %+v", e)
	}
}
