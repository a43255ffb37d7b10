package consortium

import (
	"reflect"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/wire"
)

// amend mints an amendment that makes some accounts the governor.
func (h *history) amend(sender *organisation, threshold int, accounts ...string) Event {
	h.t.Helper()
	draft, err := DraftAmendment(theConsortium, wire.Amendment{Name: "Amended", Governor: wire.Quorum{Threshold: threshold, Accounts: accounts}}, noon)
	must(h.t, err)
	return h.mint(sender, draft)
}

func (h *history) remove(sender *organisation, account string) Event {
	h.t.Helper()
	draft, err := DraftRemoval(theConsortium, account, noon)
	must(h.t, err)
	return h.mint(sender, draft)
}

// together is several organisations' multisig account, as somebody who can mint.
func together(t testing.TB, threshold int, members ...*organisation) (*organisation, wire.Quorum) {
	t.Helper()
	q := wire.Quorum{Threshold: threshold}
	for _, m := range members {
		q.Accounts = append(q.Accounts, m.address())
	}
	account, err := q.Multisig()
	must(t, err)
	address, err := account.Address()
	must(t, err)
	return &organisation{account: crypto.Account{Address: address}}, q
}

func TestTheGovernorHandsOver(t *testing.T) {
	founder, second, third, newcomer := newOrganisation(t, "founder"), newOrganisation(t, "second"), newOrganisation(t, "third"), newOrganisation(t, "newcomer")
	h := newHistory(t)
	h.founding(founder)
	h.admit(founder, second)
	byFirst := h.admit(founder, third)
	quorum, q := together(t, 2, founder, second, third)
	handOver := h.amend(founder, q.Threshold, q.Accounts...)
	s := h.fold(founder)
	if s.Governor() != quorum.address() || s.Quorum() == nil || !reflect.DeepEqual(*s.Quorum(), q) || s.Charter().Name != "Amended" || s.Charter().History {
		t.Fatalf("after the amendment: governor %s of %+v, charter %+v", s.Governor(), s.Quorum(), s.Charter())
	}

	h.admit(founder, newcomer)             // not any more
	h.destroy(founder, byFirst.Asset)      // its own NFT, but it is not the governor any more
	h.remove(founder, third.address())     //
	h.amend(founder, 1, founder.address()) // a coup
	h.admit(second, newcomer)              // one of several is not the governor
	h.amend(second, 1, second.address())   //
	h.destroy(quorum, byFirst.Asset)       // it minted another one's NFT, it can't destroy it
	s = h.fold(founder)
	if s.Governor() != quorum.address() || len(s.Members()) != 3 || !s.memberNow(third.address()) {
		t.Fatalf("after attempts of others: governor %s, %d members", s.Governor(), len(s.Members()))
	}
	if got := s.GovernorAt(handOver.Position); got != founder.address() {
		t.Errorf("the amendment's own governor is %s", got)
	}
	if got := s.GovernorAt(byFirst.Position); got != founder.address() || s.GovernorAt(Position{}) != "" {
		t.Errorf("at the admission the governor was %s", got)
	}

	h.admit(quorum, newcomer)
	end := h.remove(quorum, third.address())
	s = h.fold(founder)
	if !s.memberNow(newcomer.address()) || s.memberNow(third.address()) || !s.MemberAt(third.address(), end.Position) {
		t.Error("the new governor's admission or removal does not count")
	}
	forAll := Collection{Owner: founder.address(), Properties: wire.Collection{Readers: everybody}}
	if got := s.Exposed(forAll, handOver.Position, s.Position()); !reflect.DeepEqual(got, []Exposure{{Account: third.address(), Removed: true, Since: end.Round}}) {
		t.Errorf("since the amendment: %+v", got)
	}
	if got := s.Exposed(forAll, handOver.Position, byFirst.Position); len(got) != 0 {
		t.Errorf("up to the position before: %+v", got)
	}
}

func TestARemovalEndsEveryAdmission(t *testing.T) {
	founder, member := newOrganisation(t, "founder"), newOrganisation(t, "member")
	h := newHistory(t)
	h.founding(founder)
	first := h.admit(founder, member)
	h.admit(founder, member)
	h.destroy(founder, first.Asset)
	if s := h.fold(founder); !s.memberNow(member.address()) || s.Members()[1].InForce != 1 {
		t.Error("of two admissions, one was ended: the account is a member no more")
	}
	h.admit(founder, member)
	h.remove(founder, member.address())
	if s := h.fold(founder); s.memberNow(member.address()) || s.Members()[1].InForce != 0 {
		t.Error("after its removal the account is a member")
	}
	if effect, reason := h.fold(founder).Apply(h.remove(founder, member.address())); effect != Nothing {
		t.Errorf("to remove who is no member has the effect %v (%s)", effect, reason)
	}
	h.admit(founder, member)
	if s := h.fold(founder); !s.memberNow(member.address()) {
		t.Error("who was removed can't be admitted again")
	}
}

func TestAnAmendmentWhoseContentIsVoidHandsOverAllTheSame(t *testing.T) {
	founder, second := newOrganisation(t, "founder"), newOrganisation(t, "second")
	h := newHistory(t)
	h.founding(founder)
	e := h.amend(founder, 1, second.address())
	draft := h.content[e.TxID]
	other, err := DraftAmendment(theConsortium, wire.Amendment{Name: "Evil", Governor: wire.Quorum{Threshold: 1, Accounts: []string{founder.address()}}}, noon)
	must(t, err)
	for what, payload := range map[string][]byte{"no JSON": []byte("x"), "another governor": other.Payload} {
		s := New(theConsortium, "TX0", founder.identity)
		for _, e := range h.events {
			s.Apply(e)
		}
		h.attach(s, h.events[0])
		metadata, err := wire.ParseMetadata(draft.Metadata)
		must(t, err)
		if err := s.Attach(e.TxID, metadata, payload); err == nil {
			t.Errorf("%s passes", what)
		}
		if s.Governor() != second.address() || s.Quorum() != nil || s.Charter().Name != "Test" {
			t.Errorf("%s: governor %s of %+v, charter %+v", what, s.Governor(), s.Quorum(), s.Charter())
		}
	}
}

func TestAWatcherAsksForEveryGovernor(t *testing.T) {
	founder, second, third := newOrganisation(t, "founder"), newOrganisation(t, "second"), newOrganisation(t, "third")
	h := newHistory(t)
	h.founding(founder)
	h.amend(founder, 1, second.address())
	next := h.amend(second, 1, third.address())
	s := New(theConsortium, "TX0", founder.identity)
	for _, e := range h.events[:len(h.events)-1] {
		s.Apply(e)
	}
	since := map[string]uint64{}
	for _, p := range s.Publishers([]Event{next}) {
		since[p.Account] = p.Since
	}
	if since[founder.address()] != h.events[0].Round || since[second.address()] >= next.Round || since[third.address()] != next.Round {
		t.Errorf("publishers: %v, and the third one's round is %d", since, next.Round)
	}
}

// model is the rules of membership and government once more, written as simply as possible: the property test compares
// the fold with it.
type model struct {
	governor string
	minters  map[uint64]string // asset of an admission -> who minted it
	accounts map[uint64]string // … and whom it admitted
	inForce  map[uint64]bool
}

func (m *model) apply(e Event) {
	if e.Sender != m.governor {
		return
	}
	switch e.Note.Kind {
	case wire.KindAmendment:
		m.governor = e.Note.Account
	case wire.KindMember:
		m.minters[e.Asset], m.accounts[e.Asset], m.inForce[e.Asset] = e.Sender, e.Note.Account, true
	case wire.KindRemoval:
		for asset, account := range m.accounts {
			if account == e.Note.Account {
				delete(m.inForce, asset)
			}
		}
	case wire.KindDestroy:
		if m.minters[e.Asset] == e.Sender {
			delete(m.inForce, e.Asset)
		}
	}
}

func (m *model) member(account string) bool {
	for asset := range m.inForce {
		if m.accounts[asset] == account {
			return true
		}
	}
	return false
}

// Whatever is minted by whomever in whatever order: who is not the governor at that point changes nothing, and nobody
// but members and governors of some time is ever asked for.
func TestGovernmentFollowsTheModelInAnyInterleaving(t *testing.T) {
	var crowd []*organisation
	for _, name := range []string{"a", "b", "c", "d"} {
		crowd = append(crowd, newOrganisation(t, name))
	}
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t)
		h.founding(crowd[0])
		m := model{governor: crowd[0].address(), minters: map[uint64]string{}, accounts: map[uint64]string{}, inForce: map[uint64]bool{}}
		own := h.events[1]
		m.minters[own.Asset], m.accounts[own.Asset], m.inForce[own.Asset] = own.Sender, own.Note.Account, true
		s := New(theConsortium, "TX0", crowd[0].identity)
		for _, e := range h.events {
			s.Apply(e)
		}
		one := rapid.SampledFrom(crowd)
		assets := []uint64{own.Asset}
		for range rapid.IntRange(1, 25).Draw(rt, "events") {
			sender, about := one.Draw(rt, "sender"), one.Draw(rt, "about")
			var e Event
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				e = h.admit(sender, about)
				assets = append(assets, e.Asset)
			case 1:
				e = h.remove(sender, about.address())
			case 2:
				e = h.amend(sender, 1, about.address())
			case 3:
				e = h.destroy(sender, rapid.SampledFrom(assets).Draw(rt, "asset"))
			}
			effect, reason := s.Apply(e)
			if effect == Record && e.Sender != m.governor {
				rt.Fatalf("a %s of %s counts, the governor is %s", e.Note.Kind, e.Sender, m.governor)
			}
			m.apply(e)
			if s.Governor() != m.governor {
				rt.Fatalf("the governor is %s, the model's is %s (%s)", s.Governor(), m.governor, reason)
			}
			for _, o := range crowd {
				if got, want := s.memberNow(o.address()), m.member(o.address()); got != want {
					rt.Fatalf("%s is a member: %v, the model says %v, after a %s of %s", o.document.Organisation, got, want, e.Note.Kind, e.Sender)
				}
			}
		}
		h.foldsAlike(rt, crowd[1])
	})
}

// foldsAlike checks that an organisation comes to the same state in whichever order the content of the records arrives.
func (h *history) foldsAlike(rt *rapid.T, reader *organisation) {
	var records []int
	probe := New(theConsortium, "TX0", reader.identity)
	for _, e := range h.events {
		if effect, _ := probe.Apply(e); effect == Record && e.Note.Kind != wire.KindDestroy {
			records = append(records, len(records))
		}
	}
	order := rapid.Permutation(records).Draw(rt, "order")
	if inOrder, another := view(h.fold(reader)), view(h.fold(reader, order...)); !reflect.DeepEqual(inOrder, another) {
		rt.Fatalf("with content in chain order:\n%+v\nin another order:\n%+v", inOrder, another)
	}
}
