package consortium

import (
	"crypto/rand"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/uuid"
	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// withOtherKeys is the same organisation with a new account, peer key and identity, which opens with the old one too.
func (o *organisation) withOtherKeys(t testing.TB) *organisation {
	t.Helper()
	next := newOrganisation(t, o.document.Organisation)
	next.identity = next.identity.With(o.identity)
	return next
}

// onlyPeer is the same organisation with a new peer key alone.
func (o *organisation) onlyPeer(t testing.TB) *organisation {
	t.Helper()
	key, _, err := p2pcrypto.GenerateEd25519Key(rand.Reader)
	must(t, err)
	id, err := peer.IDFromPrivateKey(key)
	must(t, err)
	next := *o
	next.document.Peer = id.String()
	next.document, err = next.document.Sign(o.account.PrivateKey, key)
	must(t, err)
	return &next
}

func (h *history) rotate(sender *organisation, former string, next *organisation) Event {
	h.t.Helper()
	draft, err := DraftRotation(theConsortium, former, next.document, next.account.PrivateKey, noon)
	must(h.t, err)
	return h.mint(sender, draft)
}

func TestARotatedMemberIsTheSameMember(t *testing.T) {
	founder, old, other := newOrganisation(t, "founder"), newOrganisation(t, "acme"), newOrganisation(t, "other")
	now := old.withOtherKeys(t)
	h := newHistory(t)
	defaultID, key := h.founding(founder)
	admission := h.admit(founder, old)
	h.admit(founder, other)
	h.keyring(founder, defaultID, map[uint32]*seal.EpochKey{1: key}, old)
	group, named := uuid.NewString(), uuid.NewString()
	groupKey := h.collection(old, group, 1, wire.Accounts{}, nil, old)
	namedKey := h.collection(other, named, 1, wire.Accounts{Named: []string{old.address()}}, nil, other, old)
	before, beforeMetadata := h.object(old, group, 1, groupKey)
	rotation := h.rotate(old, old.address(), now)
	own, ownMetadata := h.object(now, group, 1, groupKey)
	contributed, contributedMetadata := h.object(now, named, 1, namedKey)
	late, _ := h.object(old, group, 1, groupKey)
	h.collection(now, group, 2, wire.Accounts{}, map[uint32]*seal.EpochKey{1: groupKey}, now)

	s := h.fold(now)
	m := s.Members()[1]
	if m.ID != old.address() || m.Account != now.address() || m.Name != "acme" || m.Peer != now.document.Peer || m.Recipient != now.identity.Recipient() || !m.Known ||
		!reflect.DeepEqual(m.Former, []string{old.address()}) || !reflect.DeepEqual(m.PastPeers, []string{old.document.Peer}) || m.Admitted.TxID != admission.TxID {
		t.Fatalf("the member is %+v", m)
	}
	for what, c := range map[string]struct {
		e Event
		m wire.Metadata
	}{"of before": {before, beforeMetadata}, "in its own collection": {own, ownMetadata}, "as a contributor": {contributed, contributedMetadata}} {
		if ruling := s.Rule(c.e, c.m); ruling.Outcome != Readable {
			t.Errorf("an object %s: %v (%s)", what, ruling.Outcome, ruling.Reason)
		}
	}
	if !s.MemberAt(old.address(), before.Position) || s.MemberAt(old.address(), late.Position) || !s.MemberAt(now.address(), own.Position) || s.MemberAt(now.address(), rotation.Position) {
		t.Error("the accounts are a member's at the wrong positions")
	}
	if c, ok := s.Collection(group); !ok || c.Owner != now.address() || c.Epoch != 2 {
		t.Errorf("its collection is %+v, %v", c, ok)
	}
	if c, ok := s.Collection(named); !ok || !c.MayPublish(now.address()) || c.MayPublish(old.address()) {
		t.Errorf("the collection that names it is %+v, %v", c, ok)
	}
	forAll := Collection{Owner: founder.address(), Properties: wire.Collection{Readers: everybody}}
	want := []Exposure{{Account: now.address(), Since: rotation.Round, ByItself: true}}
	if got := s.Exposed(forAll, admission.Position, s.Position()); !reflect.DeepEqual(got, want) {
		t.Errorf("since its admission: %+v, want %+v", got, want)
	}
	if got := s.Exposed(forAll, rotation.Position, s.Position()); len(got) != 0 {
		t.Errorf("since its rotation: %+v", got)
	}
}

func TestTheOldAccountCountsForNothing(t *testing.T) {
	founder, old := newOrganisation(t, "founder"), newOrganisation(t, "acme")
	now, thief, newcomer := old.withOtherKeys(t), old.withOtherKeys(t), newOrganisation(t, "newcomer")
	h := newHistory(t)
	id, key := h.founding(founder)
	h.admit(founder, old)
	object, _ := h.object(old, id, 1, key)
	h.rotate(old, old.address(), now)
	s := New(theConsortium, "TX0", founder.identity)
	for _, e := range h.events {
		s.Apply(e)
	}
	withdrawal, err := DraftWithdrawal(theConsortium, object.Asset, 0, noon)
	must(t, err)
	for what, e := range map[string]Event{
		"an object": first(h.object(old, id, 1, key)), "a destruction": h.destroy(old, object.Asset), "a withdrawal": h.mint(old, withdrawal),
		"a rotation": h.rotate(old, old.address(), thief), "another's rotation": h.rotate(thief, now.address(), thief),
		"an admission of it": h.admit(founder, old), "a rotation to a member's account": h.rotate(now, now.address(), founder),
		"a rotation back": h.rotate(now, now.address(), old), "a stranger's rotation": h.rotate(founder, newcomer.address(), newcomer),
	} {
		e.Round += 1000 // in any order
		s.position = Position{Round: e.Round - 1}
		if effect, reason := s.Apply(e); effect != Nothing {
			t.Errorf("%s has the effect %v (%s)", what, effect, reason)
		}
	}
	for what, e := range map[string]Event{"a withdrawal": h.mint(now, withdrawal)} {
		if effect, reason := s.Apply(Event{Position: Position{Round: 5000}, Sender: e.Sender, Consortium: e.Consortium, Note: e.Note, Asset: e.Asset}); effect != Withdrawal || ends(e) != object.Asset {
			t.Errorf("%s with the new account has the effect %v (%s) on asset %d", what, effect, reason, ends(e))
		}
	}
}

func first(e Event, _ wire.Metadata) Event { return e }

func TestTheGovernorReplacesKeysThoughAThiefWasFirst(t *testing.T) {
	founder, old := newOrganisation(t, "founder"), newOrganisation(t, "acme")
	thief, now := old.withOtherKeys(t), old.withOtherKeys(t)
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, old)
	h.rotate(old, old.address(), thief)
	h.rotate(founder, old.address(), now)
	h.rotate(thief, thief.address(), old.withOtherKeys(t))
	s := h.fold(founder)
	if m := s.Members()[1]; m.Account != now.address() || m.Peer != now.document.Peer || len(s.Members()) != 2 {
		t.Errorf("the member is %+v", m)
	}
	// Nor does a change of account help against a removal that is on its way.
	h.remove(founder, old.address())
	if s := h.fold(founder); s.memberNow(now.address()) {
		t.Error("a removal by an earlier account does not end the membership")
	}
}

func TestWithoutARecordsContentNothingIsSealedToTheOldKeys(t *testing.T) {
	founder, old := newOrganisation(t, "founder"), newOrganisation(t, "acme")
	now, renamed := old.withOtherKeys(t), newOrganisation(t, "evil")
	for what, next := range map[string]*organisation{"not arrived": now, "another name": renamed} {
		h := newHistory(t)
		h.founding(founder)
		h.admit(founder, old)
		rotation := h.rotate(old, old.address(), next)
		s := New(theConsortium, "TX0", founder.identity)
		for _, e := range h.events {
			s.Apply(e)
			if e.TxID != rotation.TxID || what != "not arrived" {
				h.attach(s, e)
			}
		}
		if m := s.Members()[1]; m.Known || m.Recipient != "" || m.Peer != "" || m.Name != "acme" || m.Account != next.address() {
			t.Errorf("%s: the member is %+v", what, m)
		}
	}
}

func TestAPeerKeyAloneCanBeChanged(t *testing.T) {
	founder, old := newOrganisation(t, "founder"), newOrganisation(t, "acme")
	now := old.onlyPeer(t)
	h := newHistory(t)
	id, key := h.founding(founder)
	h.admit(founder, old)
	h.rotate(old, old.address(), now)
	object, _ := h.object(old, id, 1, key)
	s := h.fold(founder)
	if m := s.Members()[1]; m.Account != old.address() || m.Peer != now.document.Peer || len(m.Former) != 0 || !s.MemberAt(old.address(), object.Position) {
		t.Errorf("the member is %+v", m)
	}
}

// Whoever rotates whatever in whatever order: an account is never two members', a member has one account at every
// position, only the member itself and the governor change it, and the order in which content arrives changes nothing.
func TestRotationsInAnyInterleaving(t *testing.T) {
	var crowd []*organisation
	for i := range 6 {
		crowd = append(crowd, newOrganisation(t, fmt.Sprintf("org%d", i%3)))
	}
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t)
		h.founding(crowd[0])
		s := New(theConsortium, "TX0", crowd[0].identity)
		for _, e := range h.events {
			s.Apply(e)
		}
		one := rapid.SampledFrom(crowd)
		for range rapid.IntRange(1, 20).Draw(rt, "events") {
			sender, about, other := one.Draw(rt, "sender"), one.Draw(rt, "about"), one.Draw(rt, "other")
			governor, present := s.Governor(), s.Present(other.address())
			var e Event
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				e = h.admit(sender, about)
			case 1:
				e = h.remove(sender, about.address())
			case 2:
				e = h.amend(sender, 1, about.address())
			case 3:
				e = h.rotate(sender, other.address(), about)
			}
			effect, _ := s.Apply(e)
			changed := s.Present(other.address()) != present
			switch {
			case effect == Nothing && changed, changed && e.Note.Kind != wire.KindRotation:
				rt.Fatalf("a %s of %s changes the account of %s", e.Note.Kind, e.Sender, present)
			case effect == Record && e.Sender != governor && (e.Note.Kind != wire.KindRotation || e.Sender != present):
				rt.Fatalf("a %s of %s counts; the governor is %s", e.Note.Kind, e.Sender, governor)
			}
			accounts := map[string]string{}
			for _, m := range s.Members() {
				for _, account := range append([]string{m.Account}, m.Former...) {
					if accounts[account] != "" {
						rt.Fatalf("the account %s is that of %s and of %s", account, accounts[account], m.ID)
					}
					accounts[account] = m.ID
				}
				for _, account := range m.Former {
					if s.memberNow(account) || s.MemberAt(account, Position{Round: e.Round + 1}) {
						rt.Fatalf("the former account %s is a member", account)
					}
				}
			}
		}
		h.foldsAlike(rt, crowd[1])
	})
}

// Who is exposed by a change of its own may have changed its identity because the former one was stolen before the
// epoch began: it is told when it did so last.
func TestAnExposureTellsWhoseChangeItWas(t *testing.T) {
	founder, first := newOrganisation(t, "founder"), newOrganisation(t, "acme")
	second, third, fourth := first.withOtherKeys(t), first.withOtherKeys(t), first.withOtherKeys(t)
	h := newHistory(t)
	h.founding(founder)
	admission := h.admit(founder, first)
	early := h.rotate(first, first.address(), second)
	h.collection(founder, uuid.NewString(), 1, everybody, nil, founder)
	began := h.events[len(h.events)-1].Position
	late := h.rotate(second, second.address(), third)
	byGovernor := h.rotate(founder, third.address(), fourth)
	s := h.fold(founder)
	c := Collection{Owner: founder.address(), Properties: wire.Collection{Readers: everybody}, Began: began}
	for what, row := range map[string]struct {
		given, upTo Position
		want        Exposure
	}{
		"its own, after another one":       {began, late.Position, Exposure{Since: late.Round, ByItself: true, Before: early.Round}},
		"the governor's":                   {late.Position, s.Position(), Exposure{Since: byGovernor.Round, Before: early.Round}},
		"both":                             {began, s.Position(), Exposure{Since: byGovernor.Round, Before: early.Round}},
		"of keys given before all of them": {admission.Position, early.Position, Exposure{Since: early.Round, ByItself: true, Before: early.Round}},
	} {
		row.want.Account = fourth.address()
		if got := s.Exposed(c, row.given, row.upTo); !reflect.DeepEqual(got, []Exposure{row.want}) {
			t.Errorf("%s: %+v, want %+v", what, got, row.want)
		}
	}
	c.Properties.Readers = wire.Accounts{}
	if got := s.Exposed(c, Position{}, s.Position()); len(got) != 0 {
		t.Errorf("who may not read is exposed: %+v", got)
	}
}
