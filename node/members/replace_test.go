package members

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/state"
)

// Who lost its keys gets others by the governor's word, and stays the member that it was.
func TestTheGovernorGivesAMemberTheKeysOfItsRequest(t *testing.T) {
	for _, by := range []string{"its name", "its account"} {
		borealis := nodetest.NewOrg(t, "borealis")
		o := newOffice(t, true, borealis)
		name := map[string]string{"its name": "borealis", "its account": borealis.Address()}[by]
		next := nodetest.NewOrg(t, "borealis")
		if _, err := o.ReplaceKeys(o.waits(1), name, request(t, next)); !errors.Is(err, context.Canceled) {
			t.Errorf("who does not wait is told %v", err)
		} else {
			wantRefusal(t, "who does not wait", err, "replacing the keys of "+name)
		}
		o.opens()
		told, err := o.ReplaceKeys(t.Context(), name, request(t, next))
		nodetest.Must(t, err)
		m := o.member(next.Address())
		if m.ID != borealis.Address() || m.Name != "borealis" || m.Peer != next.Document.Peer || m.Recipient != next.Identity.Recipient() || m.Rotated.TxID != told.TxID || m.Rotated.Round != told.Round ||
			told.Account != next.Address() || told.Peer != m.Peer || told.Recipient != m.Recipient || told.Organisation != "borealis" || told.Proposal != nil {
			t.Errorf("by %s: it is %+v, told %+v", by, m, told)
		}
		if invite, err := wire.OpenInvite(told.Invite, next.Identity); err != nil || invite.Account != next.Address() {
			t.Errorf("the invite is %+v (%v)", invite, err)
		}
		again, err := o.ReplaceKeys(t.Context(), "borealis", request(t, next))
		if err != nil || again.TxID != told.TxID || again.Round != told.Round || len(again.Invite) == 0 || slices.Contains(o.stored(), wire.KindRotation) {
			t.Errorf("replaced again it is %s, %v; %v are minted", again.TxID, err, o.stored())
		}
	}
}

// Each of the three keys that differs is a reason for a record: a request with the same account is none of what is
// there.
func TestARequestWithAnyOtherKeyIsARecord(t *testing.T) {
	for n := range 3 {
		borealis := nodetest.NewOrg(t, "borealis")
		o := newOffice(t, true, borealis)
		o.opens()
		first := nodetest.NewOrg(t, "borealis")
		told, err := o.ReplaceKeys(t.Context(), "borealis", request(t, first))
		nodetest.Must(t, err)
		second, other := *first, nodetest.NewOrg(t, "borealis")
		switch n {
		case 0:
			second.Account = other.Account
		case 1:
			second.PeerKey = other.PeerKey
		case 2:
			second.Identity = other.Identity
		}
		second.Signs(t, "borealis")
		again, err := o.ReplaceKeys(t.Context(), "borealis", request(t, &second))
		if err != nil || again.TxID == told.TxID {
			t.Errorf("with another key (%d) it is told %s, %v", n, again.TxID, err)
		}
	}
}

func TestKeysThatCantBeAMembersAreRefused(t *testing.T) {
	borealis, cobalt := nodetest.NewOrg(t, "borealis"), nodetest.NewOrg(t, "cobalt")
	o := newOffice(t, true, borealis, cobalt)
	former := *cobalt
	*cobalt = *nodetest.NewOrg(t, "cobalt")
	draft, err := consortium.DraftRotation(o.ID, former.Address(), cobalt.Document, cobalt.Account.PrivateKey, state.Now())
	o.sees(&former, draft, err)
	own := *borealis
	*borealis = *nodetest.NewOrg(t, "borealis")
	draft, err = consortium.DraftRotation(o.ID, own.Address(), borealis.Document, borealis.Account.PrivateKey, state.Now())
	o.sees(&own, draft, err)
	asks := func(change func(*nodetest.Org)) []byte {
		t.Helper()
		asking := nodetest.NewOrg(t, "borealis")
		change(asking)
		asking.Signs(t, asking.Document.Organisation)
		return request(t, asking)
	}
	fresh := func(*nodetest.Org) {}
	for _, one := range []struct {
		what, name string
		request    []byte
		words      string
	}{
		{"nobody", "nobody", asks(fresh), `no member is called "nobody"`},
		{"another name", "borealis", request(t, nodetest.NewOrg(t, "delta")), "the request is of delta: a member can't take another name"},
		{"another's account", "borealis", asks(func(o *nodetest.Org) { o.Account = cobalt.Account }), "belongs to another member, cobalt"},
		{"another's former account", "borealis", asks(func(o *nodetest.Org) { o.Account = former.Account }), "belongs to another member, cobalt"},
		{"another's peer", "borealis", asks(func(o *nodetest.Org) { o.PeerKey = cobalt.PeerKey }), "the peer id " + cobalt.Document.Peer + " belongs to another member, cobalt"},
		{"an account that it had", "borealis", asks(func(o *nodetest.Org) { o.Account = own.Account }), "the account " + own.Address() + " was replaced before"},
		{"itself", "self", request(t, nodetest.NewOrg(t, "self")), `this organisation changes its own keys with "slnode member rotate"`},
		{"no request", "borealis", []byte("{}"), "member"},
	} {
		_, err := o.ReplaceKeys(t.Context(), one.name, one.request)
		wantRefusal(t, one.what, err, one.words)
	}
	draft, err = consortium.DraftRemoval(o.ID, borealis.Address(), state.Now())
	o.sees(o.Self, draft, err)
	_, err = o.ReplaceKeys(t.Context(), "borealis", asks(fresh))
	wantRefusal(t, "a former member", err, `no member is called "borealis"`)
	if len(o.stored()) != 0 {
		t.Errorf("%v are minted", o.stored())
	}
}
