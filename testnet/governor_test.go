package testnet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/keys"
)

// governedBy hands a consortium over to so many of its members, and gives the multisig account some ALGO.
func (n *network) governedBy(threshold int, among ...*organisation) members.GovernorInfo {
	n.t.Helper()
	names := make([]string, len(among))
	for i, m := range among {
		names[i] = m.Name
	}
	info := cliJSON[members.GovernorInfo](n.members[0], "governor", "set", "--threshold", fmt.Sprint(threshold), "--accounts", strings.Join(names, ","))
	n.fund(n.t, info.Account, enoughAlgo)
	for _, m := range n.members {
		n.governs(m, info.Account)
	}
	return info
}

// governs waits until an organisation's node knows who the governor is, and who makes it up.
func (n *network) governs(o *organisation, account string) {
	n.t.Helper()
	eventually(n.t, func() (bool, string) {
		info := cliJSON[members.GovernorInfo](o, "governor", "show")
		return info.Account == account && info.Known, fmt.Sprintf("%s sees %+v", o.Name, info)
	})
}

// members lists the names of the members that an organisation's node knows now.
func (o *organisation) membersNow() (names []string) {
	o.t.Helper()
	for _, m := range o.consortium().Members {
		if m.Removed == 0 {
			names = append(names, m.Name)
		}
	}
	return names
}

// copyOf copies a file, as it would be sent to somebody.
func copyOf(t testing.TB, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	to := filepath.Join(t.TempDir(), filepath.Base(file))
	must(t, os.WriteFile(to, data, 0o600))
	return to
}

// mintWith puts transactions on the chain that are signed with an account's key, whatever a node would think of them.
func mintWith(t testing.TB, n *network, account crypto.Account, mints ...ledger.Mint) {
	t.Helper()
	client, err := algorand.NewAlgod(n.Algod, n.AlgodToken)
	must(t, err)
	l := ledger.New(client, account, 10_000)
	params, err := l.Params(t.Context())
	must(t, err)
	group, err := l.Sign(params, mints)
	must(t, err)
	must(t, l.Submit(t.Context(), group.Raw))
	eventually(t, func() (bool, string) {
		fate, _, err := l.Fate(t.Context(), group.TxIDs[0], group.FirstValid, group.LastValid)
		return fate == ledger.Confirmed, "it is not confirmed: " + errorText(err)
	})
}

// keys reads an organisation's keys, as somebody does who has stolen them.
func (o *organisation) keys() keys.Keys {
	o.t.Helper()
	keys, err := repo.ReadKeys(o.Dir, nil)
	must(o.t, err)
	return keys
}

func (n *network) note(note wire.Note) []byte {
	n.t.Helper()
	encoded, err := note.Encode(n.members[0].consortium().ID)
	must(n.t, err)
	return encoded
}

// someDirectory is the CID of a directory that nobody has.
func (n *network) someDirectory() cid.Cid {
	n.t.Helper()
	c, err := wire.DirectoryCID.Sum([]byte("nobody has it"))
	must(n.t, err)
	return c
}

func TestSeveralGovernTogether(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	governor := n.governedBy(2, alpha, bravo, charlie)
	if governor.Threshold != 2 || len(governor.Accounts) != 3 || governor.Accounts[1].Member != "bravo" || !governor.Accounts[0].Self {
		t.Fatalf("the governor is %+v", governor)
	}
	delta := organisationOn(t, l, "delta", enoughAlgo)
	request := delta.Dir + ".request"
	delta.cli("member", "request", "-o", request)
	proposal := filepath.Join(t.TempDir(), "admit.proposal")

	t.Run("the founder alone can't admit any more", func(t *testing.T) {
		info := cliJSON[members.ProposalInfo](alpha, "member", "admit", request, "--proposal", proposal)
		if info.Organisation != "delta" || info.Account != delta.account() || info.Complete || info.Governor != governor.Account || len(info.Signers) != 3 || !info.Signers[0].Signed {
			t.Errorf("the proposal is %+v", info)
		}
		_, stderr, code := alpha.try("governor", "submit", proposal)
		if code != 2 || !strings.Contains(stderr, "too few signatures") {
			t.Errorf("submitted with one signature, it exits with %d: %s", code, stderr)
		}
		if names := bravo.membersNow(); len(names) != 3 {
			t.Errorf("the members are %v", names)
		}
	})
	t.Run("a second one signs without a network and without a daemon", func(t *testing.T) {
		charlie.stop()
		elsewhere := *charlie
		elsewhere.Dir = filepath.Join(t.TempDir(), "offline")
		must(t, os.MkdirAll(elsewhere.Dir, 0o700))
		for _, name := range []string{"consortium.json", "version", "keys"} {
			must(t, os.Symlink(filepath.Join(charlie.Dir, name), filepath.Join(elsewhere.Dir, name)))
		}
		config, err := os.ReadFile(filepath.Join(charlie.Dir, "config.toml"))
		must(t, err)
		nowhere := strings.NewReplacer(l.Algod, "http://127.0.0.1:1", l.Indexer, "http://127.0.0.1:1").Replace(string(config))
		must(t, os.WriteFile(filepath.Join(elsewhere.Dir, "config.toml"), []byte(nowhere), 0o600))
		mine := copyOf(t, proposal)
		if shown := elsewhere.cli("governor", "sign", "--show", mine); !strings.Contains(shown, "admits the organisation delta") || !strings.Contains(shown, delta.account()) {
			t.Errorf("it shows %s", shown)
		}
		if info := cliJSON[members.ProposalInfo](&elsewhere, "governor", "sign", mine); !info.Complete || !info.Signers[2].Signed || info.Signers[1].Signed {
			t.Errorf("the proposal is %+v", info)
		}
		must(t, os.Rename(mine, proposal))
	})
	charlie.start()
	t.Run("with two signatures the newcomer is a member", func(t *testing.T) {
		invite := delta.Dir + ".invite"
		done := cliJSON[members.Submitted](bravo, "governor", "submit", proposal, "-o", invite)
		if done.Round == 0 || len(done.Invite) == 0 {
			t.Errorf("submitted: %+v", done)
		}
		if again := cliJSON[members.Submitted](alpha, "governor", "submit", proposal, "-o", invite, "--force"); again.Round != done.Round {
			t.Errorf("submitted again: %+v", again)
		}
		delta.cli("join", invite)
		delta.start()
		n.settled(alpha, bravo, charlie, delta)
		delta.post(n.collection, indicator(1))
		for _, o := range n.members {
			o.shows(n.collection, indicator(1))
		}
		if v := cliJSON[proof.Verification](charlie, "verify", done.TxID); !v.Passed {
			t.Errorf("the admission does not verify: %+v", v)
		}
	})
	t.Run("evidence stands about what it publishes", func(t *testing.T) {
		alpha.proves(indicatorID(1), delta.account())
	})
	t.Run("admitting it again gives the invite", func(t *testing.T) {
		a := cliJSON[members.Admission](bravo, "member", "admit", request, "-o", filepath.Join(t.TempDir(), "invite"))
		if a.Proposal != nil || len(a.Invite) == 0 {
			t.Errorf("the answer is %+v", a)
		}
	})
	t.Run("copies that were signed apart are put together, and end a membership", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "remove.proposal")
		cliJSON[members.ProposalInfo](alpha, "member", "remove", "delta", "--proposal", file)
		other := copyOf(t, file)
		charlie.cli("governor", "sign", other)
		alpha.cli("governor", "submit", file, other)
		for _, o := range n.members {
			eventually(t, func() (bool, string) {
				names := o.membersNow()
				return len(names) == 3, fmt.Sprintf("%s sees the members %v", o.Name, names)
			})
			eventually(t, func() (bool, string) {
				exposed := o.status().Exposed
				return len(exposed) == 0, fmt.Sprintf("%s still sees keys that delta has: %+v", o.Name, exposed)
			})
		}
	})
	t.Run("an organisation that is none of the governor's can't sign", func(t *testing.T) {
		_, stderr, code := delta.try("governor", "sign", proposal)
		if code != 2 || !strings.Contains(stderr, "none of the governor's") {
			t.Errorf("it exits with %d: %s", code, stderr)
		}
	})
	t.Run("who was removed by several can be admitted again by them, and removed once more", func(t *testing.T) {
		file, invite := filepath.Join(t.TempDir(), "again.proposal"), filepath.Join(t.TempDir(), "again.invite")
		cliJSON[members.ProposalInfo](bravo, "member", "admit", request, "--proposal", file)
		charlie.cli("governor", "sign", file)
		cliJSON[members.Submitted](charlie, "governor", "submit", file, "-o", invite)
		n.settled(alpha, bravo, charlie, delta)
		eventually(t, func() (bool, string) { // with the key of before delta may write until it learns that there is another one
			return delta.epochOf(n.collection) == alpha.epochOf(n.collection), "delta has not been given the present key"
		})
		delta.post(n.collection, indicator(2))
		alpha.shows(n.collection, indicator(1), indicator(2))
	})
	var found *organisation // delta with other keys
	t.Run("several give a member other keys that has lost its own", func(t *testing.T) {
		delta.kill()
		found = organisationOn(n.t, l, "delta", enoughAlgo)
		request, invite, file := found.Dir+".request", found.Dir+".invite", filepath.Join(t.TempDir(), "replace.proposal")
		found.cli("member", "request", "-o", request)
		info := cliJSON[members.ProposalInfo](alpha, "member", "replace", "delta", request, "--proposal", file)
		if info.Organisation != "delta" || info.Account != found.account() || !strings.Contains(info.Does, "other keys") {
			t.Errorf("the proposal is %+v", info)
		}
		cliJSON[members.ProposalInfo](bravo, "governor", "renew", file)
		charlie.cli("governor", "sign", file)
		cliJSON[members.Submitted](charlie, "governor", "submit", file, "-o", invite)
		found.cli("join", invite)
		found.start()
		n.settled(alpha, bravo, charlie, found)
		found.post(n.collection, indicator(3))
		alpha.shows(n.collection, indicator(1), indicator(2), indicator(3))
		found.shows(n.collection, indicator(1), indicator(2), indicator(3))
	})
	t.Run("several hand over to one", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "governor.proposal")
		cliJSON[members.ProposalInfo](alpha, "governor", "set", "--accounts", "bravo", "--name", "Renamed", "--proposal", file)
		bravo.cli("governor", "sign", file)
		bravo.cli("governor", "submit", file)
		for _, o := range n.members {
			n.governs(o, bravo.account())
		}
		removed := cliJSON[members.Removal](bravo, "member", "remove", "delta")
		if removed.Removed == 0 || removed.Proposal != nil {
			t.Errorf("bravo removes delta: %+v", removed)
		}
		if info := charlie.consortium(); info.Name != "Renamed" || info.Governor != bravo.account() {
			t.Errorf("charlie sees %+v", info)
		}
		if name := charlie.status().Consortium; name != "Renamed" {
			t.Errorf("charlie's status calls the consortium %q", name)
		}
	})
	t.Run("evidence stands about what was published under either governor, by members and by who was one", func(t *testing.T) {
		bravo.post(n.collection, indicator(4))
		charlie.shows(n.collection, indicator(4))
		charlie.proves(indicatorID(4), bravo.account())
		charlie.proves(indicatorID(1), delta.account())
		charlie.proves(indicatorID(3), found.account())
	})
	for _, o := range n.members {
		o.stop()
	}
}

func TestAFormerGovernorCanDoNothing(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	cliJSON[members.GovernorInfo](alpha, "governor", "set", "--accounts", "bravo")
	n.governs(alpha, bravo.account())
	delta := organisationOn(t, l, "delta", enoughAlgo)
	request := delta.Dir + ".request"
	delta.cli("member", "request", "-o", request)
	for _, attempt := range [][]string{
		{"member", "admit", request}, {"member", "remove", "charlie"}, {"governor", "set", "--accounts", "alpha"},
	} {
		if _, stderr, code := alpha.try(attempt...); code != 2 || !strings.Contains(stderr, "only the governor") {
			t.Errorf("slnode %v exits with %d: %s", attempt, code, stderr)
		}
	}
	// By other means than its own node, which would not: the NFTs that it minted as the governor are still its own.
	var mints []ledger.Mint
	for _, m := range alpha.consortium().Members {
		mints = append(mints, ledger.Mint{Destroys: m.Asset, Note: n.note(wire.Note{Kind: wire.KindDestroy, Sequence: 50})})
	}
	for _, note := range []wire.Note{
		{Kind: wire.KindAmendment, Account: alpha.account()}, {Kind: wire.KindRemoval, Account: bravo.account()}, {Kind: wire.KindMember, Account: delta.account()},
	} {
		note.Sequence = 60
		mints = append(mints, ledger.Mint{URL: wire.URL(n.someDirectory()), Note: n.note(note)})
	}
	mintWith(t, n, alpha.keys().Account, mints...)
	bravo.post(n.collection, indicator(900)) // what is shown of it comes after the coup
	for _, o := range n.members {
		o.shows(n.collection, indicator(900))
	}
	for _, o := range n.members {
		if names := o.membersNow(); len(names) != 3 {
			t.Errorf("%s sees the members %v after a coup", o.Name, names)
		}
	}
	t.Run("the new one removes whom the former one admitted", func(t *testing.T) {
		if m := cliJSON[members.Removal](bravo, "member", "remove", "charlie"); m.Removed == 0 {
			t.Errorf("bravo removes charlie: %+v", m)
		}
		eventually(t, func() (bool, string) {
			s := charlie.status()
			return !s.Member, fmt.Sprintf("%+v", s)
		})
	})
	t.Run("a node that begins anew comes to the same", func(t *testing.T) {
		bravo.cli("view", "rebuild")
		eventually(t, func() (bool, string) {
			names := bravo.membersNow()
			return len(names) == 2, fmt.Sprint(names)
		})
		n.governs(bravo, bravo.account())
	})
}

// epochOf is the key epoch of a collection as a node sees it.
func (o *organisation) epochOf(collection string) (epoch uint32) {
	for _, c := range o.consortium().Collections {
		if c.ID == collection {
			epoch = c.Epoch
		}
	}
	return epoch
}
