package members

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/state"
)

// Removing somebody destroys the member NFT, which frees its 0.1 ALGO. It returns when the membership has ended.
func TestARemovalEndsAMembershipAndFreesWhatItLocked(t *testing.T) {
	borealis := nodetest.NewOrg(t, "borealis")
	for _, name := range []string{"borealis", borealis.Address()} {
		o := newOffice(t, true, borealis)
		left, err := o.Remove(o.waits(1), name)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "removing borealis") || !strings.Contains(err.Error(), "the account is empty") || left.Name != "" {
			t.Errorf("who does not wait for the chain is told %+v, %v", left, err)
		}
		if kinds := o.stored(); !slices.Equal(kinds, []wire.Kind{wire.KindDestroy}) {
			t.Errorf("%v are minted", kinds)
		}
		o.opens()
		removal, err := o.Remove(t.Context(), name)
		m := o.member(borealis.Address())
		if err != nil || m.Removed == nil || removal.Removed != m.Removed.Round || removal.Name != "borealis" || removal.Self || removal.Proposal != nil {
			t.Errorf("it is %+v, told %+v, %v", m, removal, err)
		}
		again, err := o.Remove(t.Context(), name)
		if err != nil || again.Removed != removal.Removed || slices.Contains(o.stored(), wire.KindDestroy) || slices.Contains(o.stored(), wire.KindRemoval) {
			t.Errorf("removed again it is %+v, %v", again, err)
		}
	}
}

// The destruction of an NFT ends no membership that somebody else's NFT, or a second one, is for.
func TestAMembershipThatADestructionWouldNotEndIsEndedByARecord(t *testing.T) {
	borealis := nodetest.NewOrg(t, "borealis")
	for what, before := range map[string]func(*office){
		"it was admitted twice": func(o *office) {
			draft, err := consortium.DraftMember(o.ID, borealis.Document, state.Now())
			o.sees(o.Self, draft, err)
		},
		"another one was the governor since": func(o *office) {
			handsOver(o, o.Self, borealis)
			handsOver(o, borealis, o.Self)
		},
	} {
		o := newOffice(t, true, borealis)
		before(o)
		_, err := o.Remove(o.waits(1), "borealis")
		if kinds := o.stored(); !errors.Is(err, context.Canceled) || !slices.Equal(kinds, []wire.Kind{wire.KindRemoval}) {
			t.Errorf("%s: %v are minted (%v)", what, kinds, err)
		}
		o.opens()
		if removal, err := o.Remove(t.Context(), "borealis"); err != nil || removal.Removed == 0 || o.member(borealis.Address()).Removed == nil {
			t.Errorf("%s: %+v, %v", what, removal, err)
		}
	}
}

// handsOver makes another organisation the governor.
func handsOver(o *office, from, to *nodetest.Org) {
	o.T.Helper()
	draft, err := consortium.DraftAmendment(o.ID, wire.Amendment{Name: "Test", Governor: wire.Quorum{Threshold: 1, Accounts: []string{to.Address()}}}, state.Now())
	o.sees(from, draft, err)
}

func TestAMemberThatAFormerGovernorAdmittedIsRemovedByARecord(t *testing.T) {
	founder, borealis := nodetest.NewOrg(t, "founder"), nodetest.NewOrg(t, "borealis")
	o := newOffice(t, false, founder, borealis)
	handsOver(o, founder, o.Self)
	_, err := o.Remove(o.waits(1), "borealis")
	if kinds := o.stored(); !errors.Is(err, context.Canceled) || !slices.Equal(kinds, []wire.Kind{wire.KindRemoval}) {
		t.Errorf("%v are minted (%v)", kinds, err)
	}
}

func TestWhoCantBeRemovedIsSaid(t *testing.T) {
	o := newOffice(t, true)
	_, err := o.Remove(t.Context(), "nobody")
	wantRefusal(t, "nobody", err, `no member is called "nobody"`)
	_, err = o.Remove(t.Context(), "self")
	wantRefusal(t, "itself", err, "this organisation would remove itself")
	if kinds := o.stored(); len(kinds) != 0 {
		t.Errorf("%v are minted", kinds)
	}
}

// Removed, a member gets no other key: the owner's node begins the next epoch by itself, for those who stay.
func TestARemovalGivesEverybodyElseAnotherKey(t *testing.T) {
	borealis, cobalt := nodetest.NewOrg(t, "borealis"), nodetest.NewOrg(t, "cobalt")
	o := newOffice(t, true, borealis, cobalt)
	o.opens()
	_, err := o.Remove(t.Context(), "borealis")
	nodetest.Must(t, err)
	waiting.Until(t, "who stays has the next key", func() bool { return slices.Equal(o.EpochsOf(cobalt, o.Collection), []uint32{1, 2}) })
	if of := o.EpochsOf(borealis, o.Collection); !slices.Equal(of, []uint32{1}) {
		t.Errorf("who was removed has the keys of epochs %v", of)
	}
}

// What a member is, as others see it.
func TestAMemberIsDescribedAsTheChainHasIt(t *testing.T) {
	borealis := nodetest.NewOrg(t, "borealis")
	o := newOffice(t, true, borealis)
	draft, err := consortium.DraftRemoval(o.ID, borealis.Address(), state.Now())
	removed := o.sees(o.Self, draft, err)
	m := o.member(borealis.Address())
	want := Info{Name: "borealis", Title: "BOREALIS", Account: borealis.Address(), Peer: borealis.Document.Peer, Asset: m.Admitted.Asset, Admitted: m.Admitted.Round, Removed: removed.Round, Known: true}
	if got := Describe(o.State, m); got != want || m.Admitted.Round == 0 {
		t.Errorf("it is %+v, want %+v", got, want)
	}
	if self := Describe(o.State, o.member(o.Self.Address())); !self.Self || self.Removed != 0 {
		t.Errorf("the own is %+v", self)
	}
}

// Newcomers are connected to, whoever was removed is cut off, and the addresses of the others are written down, so that
// a node that lost everything else finds them.
func TestTheNodesOfMembersAreKeptAndThoseOfFormerOnesCutOff(t *testing.T) {
	borealis, cobalt := nodetest.NewOrg(t, "borealis"), nodetest.NewOrg(t, "cobalt")
	o := newOffice(t, true, borealis, cobalt)
	draft, err := consortium.DraftRemoval(o.ID, cobalt.Address(), state.Now())
	o.sees(o.Self, draft, err)
	for _, one := range []*nodetest.Org{o.Self, borealis, cobalt, nodetest.NewOrg(t, "stranger")} {
		o.host.at(one.Document.Peer, "/ip4/192.0.2.7/tcp/1")
	}
	o.host.at(borealis.Document.Peer, "/ip4/192.0.2.2/tcp/1")
	o.host.deaf = errors.New("it is gone already")
	ctx, stop := context.WithCancel(t.Context())
	keep := func() {
		t.Helper()
		stop()
		nodetest.Must(t, o.KeepConnected(ctx)) // once
	}
	keep()
	former, err := peer.Decode(cobalt.Document.Peer)
	nodetest.Must(t, err)
	if o.host.asked != 1 || !slices.Equal(o.host.dropped, []peer.ID{former}) {
		t.Errorf("connected %d times, dropped %v", o.host.asked, o.host.dropped)
	}
	written := func() []string {
		t.Helper()
		own, err := o.R.Consortium()
		nodetest.Must(t, err)
		if own == nil {
			return nil
		}
		return own.Peers
	}
	want := []string{"/ip4/192.0.2.2/tcp/1/p2p/" + borealis.Document.Peer, "/ip4/192.0.2.7/tcp/1/p2p/" + borealis.Document.Peer}
	if got := written(); !slices.Equal(got, want) {
		t.Errorf("written down is %v, want %v", got, want)
	}
	// It is written when it changes, and what was known is not forgotten when nobody is to be seen.
	changed := o.Consortium
	changed.Peers = []string{"unchanged"}
	nodetest.Must(t, o.R.SetConsortium(changed))
	keep()
	o.host.peers = nil
	keep()
	if got := written(); !slices.Equal(got, changed.Peers) {
		t.Errorf("without a change %v is written", got)
	}
	o.host.at(borealis.Document.Peer, "/ip4/192.0.2.3/tcp/1")
	keep()
	if got := written(); !slices.Equal(got, []string{"/ip4/192.0.2.3/tcp/1/p2p/" + borealis.Document.Peer}) {
		t.Errorf("after a change %v is written", got)
	}
}
