package testnet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/withdraw"
)

// rotate gives an organisation other keys, and waits until its daemon is ready again.
func (n *network) rotate(o *organisation, flags ...string) members.Rotated {
	n.t.Helper()
	args := append([]string{"--json", "member", "rotate"}, flags...)
	admin := o.Daemon.Admin
	stdout, stderr, code := o.try(args...)
	if code != 0 { // the new account has no ALGO yet
		const before = "the new account "
		i := strings.Index(stderr, before)
		if i < 0 {
			n.t.Fatalf("slnode %v exits with %d: %s", args, code, stderr)
		}
		account, _, _ := strings.Cut(stderr[i+len(before):], " ")
		n.fund(n.t, account, enoughAlgo)
		stdout = o.cli(args...)
	}
	var rotated members.Rotated
	must(n.t, json.Unmarshal([]byte(stdout), &rotated))
	eventually(n.t, func() (bool, string) {
		err := o.Find()
		if err == nil && o.Daemon.Admin != admin {
			return true, ""
		}
		return false, fmt.Sprintf("the daemon of %s does not begin anew: %v", o.Name, err)
	})
	return rotated
}

func TestARotatedMemberGoesOn(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	group := cliJSON[collections.Info](bravo, "collection", "create", "Group", "--alias", "group", "--readers", "charlie", "--contributors", "charlie")
	bravo.post(n.collection, indicator(1))
	alpha.post(n.collection, indicator(2))
	bravo.postTo("bravo", group.ID, indicator(3))
	charlie.postTo("bravo", group.ID, indicator(4))
	old := bravo.keys()

	rotated := n.rotate(bravo)
	if rotated.Account == old.Address() || rotated.Account != bravo.account() || rotated.Round == 0 {
		t.Fatalf("rotated: %+v, the account is %s", rotated, bravo.account())
	}
	n.settled(alpha, bravo, charlie)
	t.Run("it reads old and new objects, and publishes", func(t *testing.T) {
		bravo.post(n.collection, indicator(5))
		alpha.post(n.collection, indicator(6))
		for _, o := range n.members {
			o.shows(n.collection, indicator(1), indicator(2), indicator(5), indicator(6))
		}
	})
	t.Run("its collection is its own still", func(t *testing.T) {
		eventually(t, func() (bool, string) {
			_, stderr, code := bravo.try("collection", "set", "group", "--title", "Renamed")
			return code == 0, stderr
		})
		bravo.postTo("bravo", group.ID, indicator(7))
		charlie.showsExactly("bravo", group.ID, indicator(3), indicator(4), indicator(7))
		charlie.postTo("bravo", group.ID, indicator(8))
		bravo.showsExactly("bravo", group.ID, indicator(3), indicator(4), indicator(7), indicator(8))
		eventually(t, func() (bool, string) { // an owner changes the keys of its collections by itself
			for _, c := range bravo.consortium().Collections {
				if c.Epoch < 2 {
					return false, fmt.Sprintf("after its owner's or its reader's keys were changed, the collection %s is in epoch %d", c.Title, c.Epoch)
				}
			}
			return true, ""
		})
	})
	t.Run("evidence stands about what it published with the old account, and with the new", func(t *testing.T) {
		charlie.proves(indicatorID(3), old.Address())
		charlie.proves(indicatorID(5), rotated.Account)
	})
	t.Run("it withdraws what it published with the old account", func(t *testing.T) {
		bravo.cli("withdraw", "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f")
		for _, o := range n.members {
			eventually(t, func() (bool, string) {
				list := o.objects(n.collection)
				return !slices.Contains(list, indicator(1)) && slices.Contains(list, indicator(2)), fmt.Sprintf("%s shows %v", o.Name, list)
			})
		}
	})
	t.Run("the old account counts for nothing", func(t *testing.T) {
		var mints []ledger.Mint
		shown := cliJSON[withdraw.Shown](charlie, "show", "indicator--00000003-17d4-4cbf-938f-98ee46b3cd3f").Publications
		mints = append(mints, ledger.Mint{Destroys: shown[0].Asset, Note: n.note(wire.Note{Kind: wire.KindDestroy, Sequence: 90})})
		thief := alpha.account()
		for _, note := range []wire.Note{
			{Kind: wire.KindObject}, {Kind: wire.KindKeyring, Collection: group.ID}, {Kind: wire.KindCollection, Collection: group.ID},
			{Kind: wire.KindRotation, Former: old.Address(), Account: thief, PeerDigest: wire.PeerDigest("x")}, {Kind: wire.KindRemoval, Asset: shown[0].Asset},
		} {
			note.Sequence = 91
			mints = append(mints, ledger.Mint{URL: wire.URL(n.someDirectory()), Note: n.note(note)})
		}
		before := charlie.status().View
		mintWith(t, n, old.Account, mints...)
		n.hasFolded(charlie, 902)
		charlie.showsExactly("bravo", group.ID, indicator(3), indicator(4), indicator(7), indicator(8))
		if after := charlie.status().View; after.Waiting != before.Waiting || after.Undecided != before.Undecided {
			t.Errorf("before: %+v, after: %+v", before, after)
		}
	})
	t.Run("one that begins anew sees the same", func(t *testing.T) {
		bravo.cli("view", "rebuild")
		bravo.showsExactly("bravo", group.ID, indicator(3), indicator(4), indicator(7), indicator(8))
		m := alpha.consortium().Members
		if len(m) != 3 || m[1].Name != "bravo" || m[1].Account != rotated.Account || m[1].Peer != rotated.Peer {
			t.Errorf("the members are %+v", m)
		}
		for _, p := range alpha.status().Peers {
			if p.Member == "" {
				t.Errorf("alpha shows the peer %s, which is nobody's any more", p.ID)
			}
		}
	})
	t.Run("the founder and governor changes its keys too, and admits", func(t *testing.T) {
		n.rotate(alpha)
		delta := organisationOn(t, n.blockchain, "delta", enoughAlgo)
		n.governs(alpha, alpha.account())
		n.admit(delta)
		delta.start()
		n.settled(alpha, bravo, charlie, delta)
		delta.post(n.collection, indicator(9))
		alpha.shows(n.collection, indicator(2), indicator(5), indicator(9))
		delta.shows(n.collection, indicator(2), indicator(5), indicator(9))
	})
	for _, o := range n.members {
		o.stop()
	}
}

func TestAMemberThatLostItsKeysIsGivenOthersByTheGovernor(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo")
	alpha, lost := n.members[0], n.members[1]
	lost.post(n.collection, indicator(1))
	alpha.post(n.collection, indicator(2))
	alpha.shows(n.collection, indicator(1), indicator(2))
	lost.kill()
	found := organisationOn(t, l, "bravo", enoughAlgo)
	request, invite := found.Dir+".request", found.Dir+".invite"
	found.cli("member", "request", "-o", request)
	if _, stderr, code := alpha.try("member", "admit", request); code != 2 || !strings.Contains(stderr, "belongs to another member") {
		t.Errorf("admitting it anew exits with %d: %s", code, stderr)
	}
	alpha.cli("member", "replace", "bravo", request, "-o", invite)
	found.cli("join", invite)
	found.start()
	n.settled(alpha, found)
	found.shows(n.collection, indicator(1), indicator(2))
	found.post(n.collection, indicator(3))
	alpha.shows(n.collection, indicator(1), indicator(2), indicator(3))
	lost.start()
	eventually(t, func() (bool, string) {
		s := lost.status()
		return !s.Member, fmt.Sprintf("%+v", s)
	})
}

// The record that tells a member's new peer id is nowhere but at the member with that peer id.
func TestAMemberThatWasAbsentFindsARotatedOne(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	alpha.stop()
	n.rotate(bravo, "--peer", "--identity")
	bravo.post(n.collection, indicator(1))
	alpha.start()
	n.settled(alpha, bravo)
	alpha.shows(n.collection, indicator(1))
	alpha.post(n.collection, indicator(2))
	bravo.shows(n.collection, indicator(1), indicator(2))
}

// Killed at any moment of the change, the node has the old keys or the new ones, and goes on.
func TestAChangeOfKeysSurvivesKills(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	bravo.post(n.collection, indicator(1))
	old := bravo.account()
	_, stderr, _ := bravo.try("member", "rotate")
	_, rest, found := strings.Cut(stderr, "the new account ")
	if !found {
		t.Fatalf("it does not ask for ALGO: %s", stderr)
	}
	next, _, _ := strings.Cut(rest, " ")
	n.fund(t, next, enoughAlgo)
	for _, after := range []time.Duration{0, 20, 40, 80, 160, 320} {
		if bravo.account() == next {
			break
		}
		command := startCommand(t, bravo, "member", "rotate")
		time.Sleep(after * time.Millisecond) // the moment is the point
		bravo.kill()
		_ = command.Wait() // its daemon is gone
		bravo.start()
	}
	eventually(t, func() (bool, string) {
		if bravo.account() == next {
			return true, ""
		}
		_, stderr, _ := bravo.try("member", "rotate")
		return false, "the account is the old one still: " + stderr
	})
	eventually(t, func() (bool, string) {
		out, stderr, code := bravo.try("status") // there is no daemon while it begins anew, with other addresses
		return code == 0 && strings.Contains(out, next) && bravo.Find() == nil, out + stderr
	})
	n.settled(alpha, bravo)
	bravo.post(n.collection, indicator(2))
	alpha.post(n.collection, indicator(3))
	for _, o := range n.members {
		o.shows(n.collection, indicator(1), indicator(2), indicator(3))
	}
	rotations := 0
	for _, m := range alpha.consortium().Members {
		if m.Name == "bravo" && m.Account == next && next != old {
			rotations++
		}
	}
	if rotations != 1 {
		t.Errorf("alpha knows %d members with the new account", rotations)
	}
}
