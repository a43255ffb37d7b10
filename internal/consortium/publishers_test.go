package consortium

import (
	"crypto/ed25519"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/wire"
)

func TestAMemberTakesNoAccountThatDoesNotConsent(t *testing.T) {
	founder, member, next, stranger := newOrganisation(t, "founder"), newOrganisation(t, "acme"), newOrganisation(t, "acme"), newOrganisation(t, "acme")
	other := newOrganisation(t, "other")
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, member)
	h.admit(founder, other)
	before := len(h.events)
	rotation := func(sender, former *organisation, key ed25519.PrivateKey, change func(*wire.Note)) Event {
		draft, err := DraftRotation(theConsortium, former.address(), next.document, key, noon)
		must(t, err)
		if change != nil {
			change(&draft.Note)
		}
		return h.mint(sender, draft)
	}
	consent := func(consortium uint64, former string) func(*wire.Note) {
		return func(n *wire.Note) {
			signed, err := wire.Note{
				Kind: wire.KindRotation, Account: n.Account, Former: former, PeerDigest: n.PeerDigest,
			}.WithConsent(consortium, next.account.PrivateKey)
			must(t, err)
			n.Consent = signed.Consent
		}
	}
	for what, e := range map[string]Event{
		"no consent":                             rotation(member, member, nil, nil),
		"that of another account":                rotation(member, member, stranger.account.PrivateKey, nil),
		"the member's own":                       rotation(member, member, member.account.PrivateKey, nil),
		"that to another consortium's":           rotation(member, member, nil, consent(theConsortium+1, member.address())),
		"that to another member's":               rotation(member, member, nil, consent(theConsortium, other.address())),
		"that to another peer id":                rotation(member, member, next.account.PrivateKey, func(n *wire.Note) { n.PeerDigest = wire.PeerDigest("x") }),
		"none, of a member that is the governor": rotation(founder, founder, nil, nil),
	} {
		s := h.state(before)
		if effect, reason := s.Apply(e); effect != Nothing || s.members[next.address()] != nil {
			t.Errorf("with %s it has the effect %v (%s)", what, effect, reason)
		}
		for _, p := range h.state(before).Publishers([]Event{e}) {
			if p.Account == next.address() {
				t.Errorf("with %s the account's history is read", what)
			}
		}
	}
	for what, e := range map[string]Event{
		"the account's consent": rotation(member, member, next.account.PrivateKey, nil), "the governor": rotation(founder, member, nil, nil),
	} {
		s := h.state(before)
		if effect, reason := s.Apply(e); effect != Record || s.Present(member.address()) != next.address() {
			t.Errorf("with %s it has the effect %v (%s)", what, effect, reason)
		}
	}
}

// state folds the first events.
func (h *history) state(n int) *State {
	s := New(theConsortium, "TX0", nil)
	for _, e := range h.events[:n] {
		s.Apply(e)
	}
	return s
}

// What may come is folded without being believed: the contents of records that it would replace stay.
func TestAskingWhoCountsChangesNothing(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "acme")
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, member)
	first := member.withOtherKeys(t)
	h.rotate(member, member.address(), first)
	s := h.fold(founder)
	before := s.Members()
	next := []Event{h.rotate(first, first.address(), first.withOtherKeys(t)), h.remove(founder, member.address()), h.admit(founder, newOrganisation(t, "other")), h.amend(founder, 1, first.address())}
	s.Publishers(next)
	if after := s.Members(); !reflect.DeepEqual(after, before) || s.Governor() != founder.address() {
		t.Errorf("the members are\n%+v, were\n%+v", after, before)
	}
}

// Whatever anybody writes: who is asked for is who counts once everything is folded, however much of it was folded when
// the question was put and in whatever order the rest is known; and nothing that counts is missed.
func TestWhoIsAskedForIsWhoCounts(t *testing.T) {
	var crowd []*organisation
	for range 6 {
		crowd = append(crowd, newOrganisation(t, "org"))
	}
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t)
		h.founding(crowd[0])
		one := rapid.SampledFrom(crowd)
		for range rapid.IntRange(1, 15).Draw(rt, "events") {
			sender, about, other := one.Draw(rt, "sender"), one.Draw(rt, "about"), one.Draw(rt, "other")
			switch rapid.IntRange(0, 4).Draw(rt, "kind") {
			case 0:
				h.admit(sender, about)
			case 1:
				h.remove(sender, about.address())
			case 2:
				h.amend(sender, 1, about.address())
			case 3:
				h.rotate(sender, other.address(), about)
			case 4:
				h.destroy(sender, rapid.SampledFrom(h.events).Draw(rt, "asset").Asset)
			}
		}
		whole := h.state(0)
		earliest := map[string]uint64{}
		for _, e := range h.events {
			if effect, _ := whole.Apply(e); effect != Nothing && earliest[e.Sender] == 0 {
				earliest[e.Sender] = e.Round
			}
		}
		want := whole.Publishers(nil)
		for sender, round := range earliest {
			i := slices.IndexFunc(want, func(p Publisher) bool { return p.Account == sender })
			if i < 0 || want[i].Since > round {
				rt.Fatalf("%s counts in round %d and is not read then: %v", sender, round, want)
			}
		}
		split := rapid.IntRange(0, len(h.events)).Draw(rt, "folded")
		s := h.state(split)
		alone := s.Publishers(nil)
		rest := rapid.Permutation(h.events[split:]).Draw(rt, "order")
		if got := s.Publishers(rest); !reflect.DeepEqual(got, want) {
			rt.Fatalf("with %d of %d folded: %v, want %v", split, len(h.events), got, want)
		}
		if got := s.Publishers(nil); !reflect.DeepEqual(got, alone) {
			rt.Fatalf("asking has changed the state: %v, was %v", got, alone)
		}
	})
}

func TestAnAccountCountsFromTheRoundInWhichItBecameAMembers(t *testing.T) {
	founder, member, next := newOrganisation(t, "founder"), newOrganisation(t, "acme"), newOrganisation(t, "acme")
	h := newHistory(t)
	h.founding(founder)
	admission := h.admit(founder, member)
	before := len(h.events)
	rotation := h.rotate(member, member.address(), next)
	want := map[string]uint64{founder.address(): h.events[0].Round, member.address(): admission.Round, next.address(): rotation.Round}
	counts := func(list []Publisher) map[string]uint64 {
		got := map[string]uint64{}
		for _, p := range list {
			got[p.Account] = p.Since
		}
		return got
	}
	if got := counts(h.state(len(h.events)).Publishers(nil)); !reflect.DeepEqual(got, want) {
		t.Errorf("since %v, want %v", got, want)
	}
	if got := counts(h.state(before).Publishers([]Event{rotation})); !reflect.DeepEqual(got, want) {
		t.Errorf("with the rotation to come, since %v, want %v", got, want)
	}
	// Who has left takes no other account.
	delete(want, next.address())
	for what, end := range map[string]func() Event{
		"removed":       func() Event { return h.remove(founder, member.address()) },
		"its NFT ended": func() Event { return h.destroy(founder, admission.Asset) },
	} {
		h.events = h.events[:before]
		events := []Event{end(), h.rotate(member, member.address(), next)}
		if got := counts(h.state(before).Publishers(events)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s first, since %v, want %v", what, got, want)
		}
	}
}
