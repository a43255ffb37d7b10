package members

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/state"
)

// request is what an organisation asks to be admitted with.
func request(t *testing.T, o *nodetest.Org) []byte {
	t.Helper()
	data, err := o.Document.Encode()
	nodetest.Must(t, err)
	return data
}

// wantRefusal checks that a user is told what is wrong with what they want, in these words.
func wantRefusal(t *testing.T, what string, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: %v, want %q", what, err, words)
	}
}

// newFounder is an office whose consortium has nothing but its charter.
func newFounder(t *testing.T, network string) *office {
	t.Helper()
	w := worldtest.NewStoredWorld(t, nil)
	w.R.Config.IPFS.Network = network
	document, err := Document(w.R.Config, w.R.Keys)
	nodetest.Must(t, err)
	w.Self = &nodetest.Org{Account: w.R.Keys.Account, Identity: w.R.Keys.Identity, Document: document}
	b, _ := aFoundation(w.R)
	own, err := b.found(t.Context(), Charter{Name: "Energy", History: true})
	nodetest.Must(t, err)
	f, err := readFounding(w.R)
	nodetest.Must(t, err)
	w.Collection = f.Charter.DefaultCollection
	charter := w.Found(w.Self)[0]
	w.Self.Sequence = 0
	w.Open()
	nodetest.Must(t, w.Deliver(charter))
	w.Drain()
	o := officeIn(w)
	o.Consortium = *own
	return o
}

func TestAFoundingIsCompletedByTheFoundersMembershipAndACollectionForEverybody(t *testing.T) {
	for network, metadata := range map[string]string{wire.NetworkPrivate: wire.MetadataOpen, wire.NetworkPublic: wire.MetadataSealed} {
		o := newFounder(t, network)
		directories := o.Blocks.Count()
		nodetest.Must(t, o.CompleteFounding(t.Context()))
		if o.Blocks.Count() != directories+3 {
			t.Errorf("%d directories are stored, want those of the charter and of two records", o.Blocks.Count()-directories)
		}
		kinds, err := o.mine()
		if err != nil || !slices.Equal(kinds, []wire.Kind{wire.KindMember, wire.KindCollection}) {
			t.Errorf("%v are minted, %v", kinds, err)
		}
		c, found := o.State.Collection(o.Collection)
		p := c.Properties
		if !o.State.Active() || !found || !c.Default || !p.Readers.Members || !p.Contributors.Members || p.Title != "Energy" || p.Alias != "default" ||
			p.Metadata != metadata || p.DefaultLevel != "green" || !strings.Contains(p.Description, "Energy") {
			t.Errorf("on the %s network the collection is %+v", network, c)
		}
		o.R.Config.Organisation.Title = "Called otherwise meanwhile"
		nodetest.Must(t, o.CompleteFounding(t.Context())) // at the next start
		if kinds := o.stored(); len(kinds) != 0 {
			t.Errorf("once more it mints %v", kinds)
		}
	}
}

// While a founder's own membership is on its way nothing is wrong, and nothing is said.
func TestAFounderIsNotWarnedThatItIsNoMemberYet(t *testing.T) {
	o := newFounder(t, wire.NetworkPrivate)
	var said strings.Builder
	o.Log = slog.New(slog.NewTextHandler(&said, nil))
	if o.sayMembership(); said.Len() > 0 {
		t.Errorf("the log says %s", &said)
	}
	nodetest.Must(t, o.R.Outbox.ForgetMemo(foundingMemo))
	if o.sayMembership(); !strings.Contains(said.String(), "is no member") {
		t.Errorf("of who founded nothing the log says %q", &said)
	}
}

// Who gave a founding up and joined another consortium must not bring its collection there.
func TestAFoundingThatWasGivenUpIsNotCompletedElsewhere(t *testing.T) {
	o := newFounder(t, wire.NetworkPrivate)
	o.Consortium.Charter = someCharter
	nodetest.Must(t, o.CompleteFounding(t.Context()))
	nodetest.Must(t, o.R.Outbox.ForgetMemo(foundingMemo))
	nodetest.Must(t, o.CompleteFounding(t.Context()))
	if kinds := o.stored(); len(kinds) != 0 {
		t.Errorf("it mints %v", kinds)
	}
}

func TestACompletionThatFailsIsTakenUpAtTheNextStart(t *testing.T) {
	o := newFounder(t, wire.NetworkPrivate)
	o.Blocks.PutFails = errors.New("no disk")
	if err := o.CompleteFounding(t.Context()); !errors.Is(err, o.Blocks.PutFails) {
		t.Errorf("without a disk: %v", err)
	}
	o.Blocks.PutFails = nil
	_, err := o.storeMember(t.Context(), o.Self.Document) // it was killed after that
	nodetest.Must(t, err)
	nodetest.Must(t, o.CompleteFounding(t.Context()))
	if kinds := o.stored(); !slices.Equal(kinds, []wire.Kind{wire.KindMember, wire.KindCollection}) {
		t.Errorf("it mints %v", kinds)
	}
}

// Admitted, an organisation has all that it needs: the invite leads it to the consortium, and its keys are on the
// chain.
func TestWhoIsAdmittedGetsAnInviteAndItsKeys(t *testing.T) {
	o := newOffice(t, true)
	o.opens()
	newcomer := nodetest.NewOrg(t, "borealis")
	a, err := o.Admit(t.Context(), request(t, newcomer))
	nodetest.Must(t, err)
	m := o.member(newcomer.Address())
	if a.Organisation != "borealis" || a.Account != newcomer.Address() || m.Admitted.TxID != a.TxID || m.Admitted.Round != a.Round || m.Admitted.Asset != a.Asset || m.Removed != nil || a.Proposal != nil {
		t.Errorf("it is %+v, told %+v", m, a)
	}
	invite, err := wire.OpenInvite(a.Invite, newcomer.Identity)
	nodetest.Must(t, err)
	if invite.Account != newcomer.Address() || invite.Consortium != o.ID || invite.Charter != someCharter || invite.Name != "Test" || invite.GenesisID != "t-v1" ||
		string(invite.GenesisHash) != string(genesisHash) || invite.Network != wire.NetworkPrivate || invite.SwarmKey != string(o.R.Keys.SwarmKey()) {
		t.Errorf("the invite is %+v", invite)
	}
	if want := "/ip4/192.0.2.1/tcp/4001/p2p/" + o.Self.Document.Peer; !slices.Equal(invite.Peers, []string{want}) {
		t.Errorf("it leads to %v, want %s", invite.Peers, want)
	}
	if _, err := wire.OpenInvite(a.Invite, nodetest.NewOrg(t, "eve").Identity); err == nil {
		t.Error("others can open the invite")
	}
	if epochs := o.EpochsOf(newcomer, o.Collection); !slices.Equal(epochs, []uint32{1}) {
		t.Errorf("the newcomer has the keys of epochs %v", epochs)
	}
}

func TestAdmittingAgainCostsNothingAndGivesTheSame(t *testing.T) {
	o := newOffice(t, true)
	o.opens()
	newcomer := nodetest.NewOrg(t, "borealis")
	first, err := o.Admit(t.Context(), request(t, newcomer))
	nodetest.Must(t, err)
	o.chain.does = func() fault { return fails } // not even algod is asked
	minted := o.N
	again, err := o.Admit(t.Context(), request(t, newcomer))
	nodetest.Must(t, err)
	if again.TxID != first.TxID || again.Asset != first.Asset || again.Round != first.Round || len(again.Invite) == 0 || o.N != minted || len(o.stored()) != 0 {
		t.Errorf("admitted again it is %+v, first %+v", again, first)
	}
}

// Who was removed can be admitted again, with the same request.
func TestWhoWasRemovedCanBeAdmittedAgain(t *testing.T) {
	o := newOffice(t, true)
	o.opens()
	newcomer := nodetest.NewOrg(t, "borealis")
	first, err := o.Admit(t.Context(), request(t, newcomer))
	nodetest.Must(t, err)
	_, err = o.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	again, err := o.Admit(t.Context(), request(t, newcomer))
	if err != nil || again.TxID == first.TxID || o.member(newcomer.Address()).Removed != nil {
		t.Errorf("it is admitted by %+v, first by %+v (%v)", again, first, err)
	}
}

func TestAnAdmissionReturnsWhenTheKeysAreOnTheChainToo(t *testing.T) {
	o := newOffice(t, true)
	newcomer := nodetest.NewOrg(t, "borealis")
	_, err := o.Admit(o.waits(1), request(t, newcomer))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "admitting borealis") || !strings.Contains(err.Error(), "the account is empty") {
		t.Errorf("who does not wait for the chain is told %v", err)
	}
	_, err = o.mine()
	nodetest.Must(t, err)
	ctx, leave := context.WithCancel(t.Context())
	told := make(chan error)
	go func() {
		_, err := o.Admit(ctx, request(t, newcomer))
		told <- err
	}()
	o.begin(o.owner.Run)
	waiting.Until(t, "the keys are stored", func() bool { return len(o.stored()) == 1 })
	select {
	case err := <-told:
		t.Errorf("it is said before the keys are on the chain: %v", err)
	default:
	}
	leave()
	if err := <-told; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "giving borealis its keys") || !strings.Contains(err.Error(), "the account is empty") {
		t.Errorf("who does not wait for the keys is told %v", err)
	}
	_, err = o.mine()
	nodetest.Must(t, err)
	if _, err := o.Admit(t.Context(), request(t, newcomer)); err != nil {
		t.Errorf("with the keys on the chain: %v", err)
	}
}

func TestNobodyIsAdmittedWithWhatBelongsToAnother(t *testing.T) {
	borealis, cobalt := nodetest.NewOrg(t, "borealis"), nodetest.NewOrg(t, "cobalt")
	o := newOffice(t, true, borealis, cobalt)
	next := nodetest.NewOrg(t, "cobalt")
	draft, err := consortium.DraftRotation(o.ID, cobalt.Address(), next.Document, next.Account.PrivateKey, state.Now())
	o.sees(cobalt, draft, err)

	asks := func(name string, change func(*nodetest.Org)) []byte {
		t.Helper()
		asking := nodetest.NewOrg(t, name)
		change(asking)
		asking.Signs(t, name)
		return request(t, asking)
	}
	for _, one := range []struct {
		what    string
		request []byte
		words   string
	}{
		{"the name of a member", asks("borealis", func(*nodetest.Org) {}), "the name borealis belongs to another member, with account " + borealis.Address()},
		{"the peer id of a member", asks("delta", func(o *nodetest.Org) { o.PeerKey = borealis.PeerKey }), "the peer id " + borealis.Document.Peer + " belongs to another member, borealis"},
		{"an account that was replaced", asks("delta", func(o *nodetest.Org) { o.Account = cobalt.Account }), "was replaced by its member, cobalt"},
		{"the account of a member that changed its keys", asks("delta", func(o *nodetest.Org) { o.Account = next.Account }), "belongs to the member cobalt, which changed its keys"},
		{"something else than a request", []byte(`{"format":"x"}`), "member"},
	} {
		_, err := o.Admit(t.Context(), one.request)
		wantRefusal(t, one.what, err, one.words)
	}
	if kinds := o.stored(); len(kinds) != 0 {
		t.Errorf("%v are minted", kinds)
	}
}

func TestOnlyTheGovernorAdmitsRemovesAndReplaces(t *testing.T) {
	founder := nodetest.NewOrg(t, "founder")
	o := newOffice(t, false, founder)
	newcomer := nodetest.NewOrg(t, "borealis")
	for what, try := range map[string]func() error{
		"admit members":           func() error { _, err := o.Admit(t.Context(), request(t, newcomer)); return err },
		"remove members":          func() error { _, err := o.Remove(t.Context(), "founder"); return err },
		"replace a member's keys": func() error { _, err := o.ReplaceKeys(t.Context(), "founder", request(t, newcomer)); return err },
		"amend the charter":       func() error { _, err := o.SetGovernor(t.Context(), GovernorChange{}); return err },
	} {
		wantRefusal(t, what, try(), "only the governor, founder ("+founder.Address()+"), can "+what)
		o.watcher.lost = errors.New("a timeout")
		wantRefusal(t, what+" without an indexer", try(), "the chain could not be followed to its tip (503): a timeout")
		o.watcher.lost = nil
	}
	if kinds := o.stored(); len(kinds) != 0 {
		t.Errorf("%v are minted", kinds)
	}
}

// What a node says of itself is signed with all that it claims, and its title is its name where it has none.
func TestARequestSaysWhoAsksAndProvesItsKeys(t *testing.T) {
	r := aRepository(t)
	r.Config.Organisation.Title = ""
	m, err := (&Registrar{Repo: r}).memberDocument()
	nodetest.Must(t, err)
	data, err := m.Encode()
	nodetest.Must(t, err)
	read, err := wire.ParseMember(data)
	if err != nil || read.Title != "self" || read.Organisation != "self" || read.Account != r.Keys.Address() || read.Recipient != r.Keys.Identity.Recipient() {
		t.Errorf("it says %+v (%v)", read, err)
	}
	r.Config.Organisation.Title = "Self Ltd"
	if m, err := Document(r.Config, r.Keys); err != nil || m.Title != "Self Ltd" {
		t.Errorf("its title is %q, %v", m.Title, err)
	}
}

// What the governor has admitted in another way, or with a node that was lost, it need not admit again for an invite.
func TestAnInviteForAMemberCostsNothingThoughTheOutboxKnowsOfNoAdmission(t *testing.T) {
	borealis := nodetest.NewOrg(t, "borealis")
	o := newOffice(t, true, borealis)
	o.opens()
	before := o.member(borealis.Address())
	a, err := o.Admit(t.Context(), request(t, borealis))
	nodetest.Must(t, err)
	if m := o.member(borealis.Address()); m.InForce != 1 || a.Asset != before.Admitted.Asset || a.TxID != before.Admitted.TxID || a.Round != before.Admitted.Round || len(a.Invite) == 0 {
		t.Errorf("it is admitted %d times, told %+v", m.InForce, a)
	}
}

// An admission waits for the keys of the collection that everybody reads, if that is the governor's own, and for no
// others: whoever it is, and whatever account it was admitted with.
func TestAnAdmissionWaitsForTheKeysThatTheGovernorGives(t *testing.T) {
	t.Run("of itself", func(t *testing.T) {
		o := newOffice(t, true)
		draft, err := consortium.DraftRemoval(o.ID, o.Self.Address(), state.Now())
		o.sees(o.Self, draft, err)
		o.opensTheChain()
		if _, err := o.Admit(t.Context(), request(t, o.Self)); err != nil || o.member(o.Self.Address()).Removed != nil {
			t.Error(err)
		}
	})
	t.Run("of a member with another account", func(t *testing.T) {
		borealis := nodetest.NewOrg(t, "borealis")
		o := newOffice(t, true, borealis)
		next := nodetest.NewOrg(t, "borealis")
		draft, err := consortium.DraftRotation(o.ID, borealis.Address(), next.Document, next.Account.PrivateKey, state.Now())
		o.sees(borealis, draft, err)
		o.opens()
		if a, err := o.Admit(waiting.Context(t), request(t, next)); err != nil || len(a.Invite) == 0 {
			t.Error(err)
		}
	})
	t.Run("where the founder gives them", func(t *testing.T) {
		founder := nodetest.NewOrg(t, "founder")
		o := newOffice(t, false, founder)
		handsOver(o, founder, o.Self)
		own, err := o.owner.Create(o.waits(1), collections.Spec{Title: "Own"})
		if !errors.Is(err, collections.ErrOnItsWay) {
			t.Fatalf("%+v, %v", own, err)
		}
		o.opensTheChain()
		if _, err := o.Admit(waiting.Context(t), request(t, nodetest.NewOrg(t, "borealis"))); err != nil {
			t.Error(err)
		}
	})
}

// A charter that has not arrived is not amended: its name and history would be lost.
func TestACharterThatHasNotArrivedIsNotAmended(t *testing.T) {
	w := worldtest.NewStoredWorld(t, nil)
	w.Self = &nodetest.Org{Account: w.R.Keys.Account, Identity: w.R.Keys.Identity}
	w.Self.PeerKey = w.R.Keys.Peer
	w.Self.Signs(t, "self")
	charter := w.Found(w.Self)[0]
	clear(w.Blocks.Dirs)
	w.Open()
	nodetest.Must(t, w.Deliver(charter))
	w.Drain()
	o := officeIn(w)
	name := "Other"
	_, err := o.SetGovernor(t.Context(), GovernorChange{Name: &name})
	wantRefusal(t, "an amendment", err, "the charter's content has not arrived")
}
