package members

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/keys"
)

// council is an office whose organisation is the governor with two others: two of the three sign.
type council struct {
	*office
	borealis, cobalt *nodetest.Org
}

func newCouncil(t *testing.T) *council {
	t.Helper()
	c := &council{borealis: nodetest.NewOrg(t, "borealis"), cobalt: nodetest.NewOrg(t, "cobalt")}
	c.office = newOffice(t, true, c.borealis, c.cobalt)
	c.isGovernedBy(2, c.Self, c.borealis, c.cobalt)
	return c
}

// isGovernedBy makes others the governor, by the word of the present one, which is self.
func (o *office) isGovernedBy(threshold int, who ...*nodetest.Org) {
	o.T.Helper()
	quorum := wire.Quorum{Threshold: threshold}
	for _, one := range who {
		quorum.Accounts = append(quorum.Accounts, one.Address())
	}
	draft, err := consortium.DraftAmendment(o.ID, wire.Amendment{Name: "Test", History: true, Governor: quorum}, state.Now())
	o.sees(o.Self, draft, err)
}

func (o *office) governor() (account string, quorum *wire.Quorum) {
	o.State.Read(func(s *consortium.State) { account, quorum = s.Governor(), s.Quorum() })
	return account, quorum
}

// signedBy is a proposal with another organisation's signature.
func (c *council) signedBy(who *nodetest.Org, file []byte) []byte {
	c.T.Helper()
	info, err := SignProposal(c.Consortium, c.R.Config, keys.Keys{Account: who.Account}, file)
	nodetest.Must(c.T, err)
	return info.File
}

// decides signs a proposal with another's key and submits it.
func (c *council) decides(file []byte) (Submitted, error) {
	return c.SubmitProposal(c.T.Context(), [][]byte{c.signedBy(c.cobalt, file)})
}

func TestAGovernorHandsOverToSeveral(t *testing.T) {
	borealis := nodetest.NewOrg(t, "borealis")
	o := newOffice(t, true, borealis)
	o.chain.funds = ledger.Funds{Amount: 300_000, Locked: 100_000}
	o.opens()
	stranger := nodetest.NewOrg(t, "stranger")
	name, history := "Energy Sharing", false
	info, err := o.SetGovernor(t.Context(), GovernorChange{Threshold: 2, Accounts: []string{"self", "borealis", stranger.Address()}, Name: &name, History: &history})
	nodetest.Must(t, err)
	account, quorum := o.governor()
	want, err := wire.Quorum{Threshold: 2, Accounts: []string{o.Self.Address(), borealis.Address(), stranger.Address()}}.Address()
	nodetest.Must(t, err)
	if account != want || info.Account != want || !info.Known || info.Threshold != 2 || info.Free != 200_000 || info.Since == 0 || info.Proposal != nil || quorum == nil {
		t.Errorf("the governor is %s, want %s; told %+v", account, want, info)
	}
	if accounts := []GovernorAccount{{o.Self.Address(), "self", true}, {borealis.Address(), "borealis", false}, {stranger.Address(), "", false}}; !slices.Equal(info.Accounts, accounts) {
		t.Errorf("it is made up of %+v", info.Accounts)
	}
	if charter := o.State.Charter(); charter.Name != name || charter.History {
		t.Errorf("the charter is %+v", charter)
	}
}

// What an amendment does not name stays as it is.
func TestAnAmendmentChangesNothingElse(t *testing.T) {
	o := newOffice(t, true)
	o.opens()
	name := "Other"
	_, err := o.SetGovernor(t.Context(), GovernorChange{Name: &name})
	nodetest.Must(t, err)
	if account, quorum := o.governor(); account != o.Self.Address() || quorum.Threshold != 1 || o.State.Charter().Name != "Other" || !o.State.Charter().History {
		t.Errorf("the governor is %s, the charter %+v", account, o.State.Charter())
	}
	history := false
	_, err = o.SetGovernor(t.Context(), GovernorChange{History: &history, Threshold: 1})
	if nodetest.Must(t, err); o.State.Charter().Name != "Other" || o.State.Charter().History {
		t.Errorf("the charter is %+v", o.State.Charter())
	}
	for words, change := range map[string]GovernorChange{
		"a threshold needs the accounts that it is about": {Threshold: 2},
		"2 of 1 accounts can't sign":                      {Threshold: 2, Accounts: []string{"self"}},
		"is named twice":                                  {Threshold: 1, Accounts: []string{"self", o.Self.Address()}},
		"the governor":                                    {Threshold: 1, Accounts: []string{"nobody"}},
	} {
		_, err := o.SetGovernor(t.Context(), change)
		wantRefusal(t, "an amendment", err, words)
	}
	if len(o.stored()) != 0 {
		t.Errorf("%v are minted", o.stored())
	}
}

func TestWhoDoesNotWaitForAnAmendmentIsTold(t *testing.T) {
	o := newOffice(t, true)
	_, err := o.SetGovernor(o.waits(1), GovernorChange{Threshold: 1, Accounts: []string{nodetest.NewOrg(t, "x").Address()}})
	wantRefusal(t, "who does not wait", err, "amending the charter")
	wantRefusal(t, "who does not wait", err, "the account is empty")
}

// A former member is no account's name in the governor.
func TestAFormerMembersNameStandsForNoGovernor(t *testing.T) {
	borealis := nodetest.NewOrg(t, "borealis")
	o := newOffice(t, true, borealis)
	draft, err := consortium.DraftRemoval(o.ID, borealis.Address(), state.Now())
	o.sees(o.Self, draft, err)
	_, err = o.SetGovernor(t.Context(), GovernorChange{Threshold: 1, Accounts: []string{"borealis"}})
	wantRefusal(t, "a former member", err, "the governor")
	o.isGovernedBy(1, borealis)
	if info, err := o.Governor(t.Context()); err != nil || info.Accounts[0].Member != "" {
		t.Errorf("the governor is %+v (%v)", info, err)
	}
	o.chain.does = func() fault { return fails }
	if _, err := o.Governor(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("without algod: %v", err)
	}
	o.watcher.lost = errors.New("a timeout")
	if _, err := o.Governor(t.Context()); !errors.Is(err, o.watcher.lost) {
		t.Errorf("without an indexer: %v", err)
	}
}

// One of several who are the governor decides nothing by itself; two of three do.
func TestAQuorumAdmitsAndOneAloneDoesNot(t *testing.T) {
	c := newCouncil(t)
	newcomer := nodetest.NewOrg(t, "delta")
	a, err := c.Admit(t.Context(), request(t, newcomer))
	nodetest.Must(t, err)
	if _, found := c.State.Member(newcomer.Address()); found || a.Invite != nil || len(a.Proposal) == 0 || a.Organisation != "delta" || a.Account != newcomer.Address() || len(c.stored()) != 0 {
		t.Errorf("told %+v; %v are minted", a, c.stored())
	}
	_, err = c.SubmitProposal(t.Context(), [][]byte{a.Proposal})
	wantRefusal(t, "one signature", err, "the proposal has too few signatures, 2 are needed: \nself "+c.Self.Address()+" has signed\nborealis "+c.borealis.Address()+" has not signed\ncobalt "+c.cobalt.Address()+" has not signed")
	if len(c.chain.confirmed) != 0 {
		t.Fatal("it is on the chain all the same")
	}
	// Copies with a signature each are as good as one with all.
	one, other := c.signedBy(c.borealis, a.Proposal), c.signedBy(c.cobalt, a.Proposal)
	done, err := c.SubmitProposal(t.Context(), [][]byte{one, other})
	nodetest.Must(t, err)
	m := c.member(newcomer.Address())
	if m.Admitted.TxID != done.TxID || done.Round != c.chain.confirmed[done.TxID].Round || !done.Complete || m.Name != "delta" {
		t.Errorf("it is %+v, told %+v", m, done.ProposalInfo)
	}
	if invite, err := wire.OpenInvite(done.Invite, newcomer.Identity); err != nil || invite.Account != newcomer.Address() {
		t.Errorf("the invite is %+v (%v)", invite, err)
	}
	if len(c.host.announced) != 1 || c.host.announced[0].String() != m.Admitted.Directory || !slices.Equal(c.host.hinted, []uint64{done.Round}) || !slices.Equal(c.watcher.confirmed, []uint64{done.Round}) {
		t.Errorf("members are told of %v and of rounds %v, the watcher of %v", c.host.announced, c.host.hinted, c.watcher.confirmed)
	}
	// Repeating either is harmless.
	again, err := c.SubmitProposal(t.Context(), [][]byte{one, other})
	if err != nil || again.Round != done.Round || len(c.chain.confirmed) != 1 {
		t.Errorf("submitted again: %+v, %v", again, err)
	}
	admitted, err := c.Admit(t.Context(), request(t, newcomer))
	if err != nil || admitted.Proposal != nil || len(admitted.Invite) == 0 || admitted.TxID != done.TxID || admitted.Round != m.Admitted.Round || admitted.Asset != m.Admitted.Asset {
		t.Errorf("admitted again: %+v, %v", admitted.TxID, err)
	}
}

func TestAQuorumRemovesAmendsAndReplaces(t *testing.T) {
	c := newCouncil(t)
	removal, err := c.Remove(t.Context(), "borealis")
	if err != nil || removal.Removed != 0 || removal.Name != "borealis" {
		t.Errorf("told %+v, %v", removal.Info, err)
	}
	done, err := c.decides(removal.Proposal)
	if err != nil || c.member(c.borealis.Address()).Removed == nil || done.Invite != nil {
		t.Errorf("it is not removed (%v)", err)
	}

	next := nodetest.NewOrg(t, "cobalt")
	old := c.cobalt.Address()
	replaced, err := c.ReplaceKeys(t.Context(), "cobalt", request(t, next))
	if err != nil || replaced.Account != next.Address() || replaced.Invite != nil || replaced.Organisation != "cobalt" || replaced.TxID != "" {
		t.Errorf("told %+v, %v", replaced, err)
	}
	done, err = c.decides(replaced.Proposal)
	nodetest.Must(t, err)
	if m := c.member(old); m.Account != next.Address() || m.Recipient != next.Identity.Recipient() {
		t.Errorf("it is %+v", m)
	}
	if _, err := wire.OpenInvite(done.Invite, next.Identity); err != nil {
		t.Error(err)
	}
	again, err := c.ReplaceKeys(t.Context(), "cobalt", request(t, next))
	if err != nil || again.Proposal != nil || len(again.Invite) == 0 || again.TxID != done.TxID || again.Round != done.Round {
		t.Errorf("replaced again: %+v, %v", again.TxID, err)
	}

	info, err := c.SetGovernor(t.Context(), GovernorChange{Threshold: 1, Accounts: []string{"self"}})
	nodetest.Must(t, err)
	if account, _ := c.governor(); account == c.Self.Address() || info.Account != account || !info.Known || info.Threshold != 2 {
		t.Errorf("before it is decided the governor is %+v", info)
	}
	_, err = c.decides(info.Proposal)
	if account, quorum := c.governor(); err != nil || account != c.Self.Address() || quorum.Threshold != 1 {
		t.Errorf("the governor is %s (%v)", account, err)
	}
}

// Whoever is one of the governor with an account that it had before signs with that.
func TestWhoChangedItsAccountSignsWithTheFormerOne(t *testing.T) {
	c := newCouncil(t)
	c.chain.funds.Amount = 10_000_000
	c.rotates(keys.Change{Account: true})
	c.office = c.restarts()
	removal, err := c.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	info, err := ReadProposal(c.Consortium, c.R.Config, removal.Proposal)
	if err != nil || !info.Signers[0].Signed {
		t.Errorf("its signature is missing: %+v (%v)", info.Signers, err)
	}
	if _, err := c.decides(removal.Proposal); err != nil || c.member(c.borealis.Address()).Removed == nil {
		t.Error(err)
	}
}

func TestWhoIsNoneOfTheGovernorProposesNothing(t *testing.T) {
	founder, borealis := nodetest.NewOrg(t, "founder"), nodetest.NewOrg(t, "borealis")
	o := newOffice(t, false, founder, borealis)
	o.isGovernedByWord(founder, 1, founder, borealis)
	account, _ := o.governor()
	_, err := o.Remove(t.Context(), "borealis")
	wantRefusal(t, "a member", err, "only the governor, "+account+", can remove members")
}

// isGovernedByWord is isGovernedBy by the word of another.
func (o *office) isGovernedByWord(word *nodetest.Org, threshold int, who ...*nodetest.Org) {
	self := o.Self
	o.Self = word
	defer func() { o.Self = self }()
	o.isGovernedBy(threshold, who...)
}

// The account of a governor of one is that one's, and signs alone: no proposal is made for it.
func TestAGovernorOfOneIsNoQuorum(t *testing.T) {
	founder := nodetest.NewOrg(t, "founder")
	o := newOffice(t, false, founder)
	handsOver(o, founder, o.Self)
	old := o.R.Keys.Address()
	// It has another account since, and did not make that the governor: its former one alone can't sign for it.
	next := nodetest.NewOrg(t, "self")
	draft, err := consortium.DraftRotation(o.ID, old, next.Document, next.Account.PrivateKey, state.Now())
	o.sees(o.Self, draft, err)
	o.State.Self = next.Address()
	_, err = o.Remove(t.Context(), "founder")
	wantRefusal(t, "with another account", err, "only the governor, self ("+old+"), can remove members")
}

func TestWithoutTheRecordOfTheGovernorNobodyProposes(t *testing.T) {
	o := newOffice(t, true, nodetest.NewOrg(t, "borealis"))
	stranger := nodetest.NewOrg(t, "stranger")
	draft, err := consortium.DraftAmendment(o.ID, wire.Amendment{Name: "Test", Governor: wire.Quorum{Threshold: 1, Accounts: []string{stranger.Address()}}}, state.Now())
	nodetest.Must(t, err)
	e := o.Mint(o.Self, draft)
	clear(o.Blocks.Dirs)
	nodetest.Must(t, o.takes(e))
	_, err = o.Remove(t.Context(), "borealis")
	wantRefusal(t, "an unknown governor", err, "only the governor, "+stranger.Address()+", can remove members, and the record that tells who that is has not arrived")
	if info, err := o.Governor(t.Context()); err != nil || info.Known || info.Account != stranger.Address() {
		t.Errorf("the governor is %+v (%v)", info, err)
	}
}

func TestAProposalIsMadeForTheConsortiumsNetworkAndWithinTheFee(t *testing.T) {
	c := newCouncil(t)
	c.chain.params.GenesisHash[0]++
	_, err := c.Remove(t.Context(), "borealis")
	wantRefusal(t, "another network", err, "proposing to remove borealis: algod is of the network t-v1, the consortium lives on t-v1")
	c.chain.params.GenesisHash[0]--
	c.chain.params.MinFee = c.R.Config.Algorand.MaxFee + 1
	var congested *ledger.CongestedError
	if _, err := c.Remove(t.Context(), "borealis"); !errors.As(err, &congested) {
		t.Errorf("a fee that may not be spent: %v", err)
	}
	c.chain.does = func() fault { return fails }
	for what, try := range map[string]func() error{
		"proposing to admit delta":     func() error { _, err := c.Admit(t.Context(), request(t, nodetest.NewOrg(t, "delta"))); return err },
		"proposing to remove borealis": func() error { _, err := c.Remove(t.Context(), "borealis"); return err },
		"proposing other keys for borealis": func() error {
			_, err := c.ReplaceKeys(t.Context(), "borealis", request(t, nodetest.NewOrg(t, "borealis")))
			return err
		},
		"": func() error { _, err := c.SetGovernor(t.Context(), GovernorChange{}); return err },
	} {
		if err := try(); !errors.Is(err, errDown) || !strings.Contains(err.Error(), what) {
			t.Errorf("without algod: %v", err)
		}
	}
}

// After what it was for is done, the same can be proposed once more: the purpose counts how often.
func TestAPurposeEndsWithWhatItIsFor(t *testing.T) {
	c := newCouncil(t)
	for range 2 {
		removal, err := c.Remove(t.Context(), "borealis")
		nodetest.Must(t, err)
		if _, err := c.decides(removal.Proposal); err != nil {
			t.Fatal(err)
		}
		a, err := c.Admit(t.Context(), request(t, c.borealis))
		nodetest.Must(t, err)
		if _, err := c.decides(a.Proposal); err != nil {
			t.Fatal(err)
		}
		info, err := c.SetGovernor(t.Context(), GovernorChange{})
		nodetest.Must(t, err)
		if _, err := c.decides(info.Proposal); err != nil {
			t.Fatal(err)
		}
	}
}

// The lease is what PROTOCOL.md says, so that two nodes give it alike.
func TestTheLeaseOfAProposalIsTheProtocols(t *testing.T) {
	c := newCouncil(t)
	if got := c.purposeOf(wire.KindAmendment, "x"); !slices.Equal(got, []string{"amendment", "", "1"}) {
		t.Errorf("after one amendment the purpose of the next is %v", got)
	}
	if got := c.purposeOf(wire.KindRemoval, "x"); !slices.Equal(got, []string{"removal", "x", "0"}) {
		t.Errorf("a removal's is %v", got)
	}
	removal, err := c.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	proposal, err := wire.ParseProposal(removal.Proposal)
	nodetest.Must(t, err)
	joint, err := ledger.ParseJoint(proposal.Transaction)
	nodetest.Must(t, err)
	if want := sha256.Sum256([]byte("serviceledger/1 governor\x00removal\x00" + c.borealis.Address() + "\x000")); joint.Mint().Lease != want {
		t.Errorf("the lease is %x, want %x", joint.Mint().Lease, want)
	}
}
