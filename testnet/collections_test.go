package testnet

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/taxii"
)

// showsExactly waits until a collection at a node holds the objects and no others.
func (o *organisation) showsExactly(root, collection string, objects ...string) {
	o.t.Helper()
	slices.Sort(objects)
	eventually(o.t, func() (bool, string) {
		list, err := o.at(root, collection)
		slices.Sort(list)
		return err == nil && slices.Equal(list, objects), fmt.Sprintf("%s shows %d objects in %s/%s, want %d (%s)", o.Name, len(list), root, collection, len(objects), errorText(err))
	})
}

// hasFolded waits until a node has seen everything that was on the chain when it was called: an object that was
// published after it.
func (n *network) hasFolded(o *organisation, marker int) {
	n.t.Helper()
	n.members[0].post(n.collection, indicator(marker))
	o.shows(n.collection, indicator(marker))
}

// postTo publishes in a collection of an organisation's root.
func (o *organisation) postTo(root, collection string, objects ...string) taxii.StatusResource {
	o.t.Helper()
	status, err := o.client().Add(o.t.Context(), "/"+root+"/", collection, envelope(objects...))
	must(o.t, err)
	client := o.client()
	eventually(o.t, func() (bool, string) {
		status, err = client.Status(o.t.Context(), "/"+root+"/", status.ID)
		return err == nil && status.PendingCount == 0, fmt.Sprintf("status %+v, %v", status, err)
	})
	return status
}

// mayNotSee checks that a node neither lists a collection nor finds it.
func (o *organisation) mayNotSee(root, collection string) {
	o.t.Helper()
	if code, _, body := o.get("/" + root + "/collections/" + collection + "/"); code != http.StatusNotFound {
		o.t.Errorf("%s finds the collection %s: %d %s", o.Name, collection, code, body)
	}
	if _, _, body := o.get("/" + root + "/collections/"); strings.Contains(body, collection) {
		o.t.Errorf("%s lists the collection %s: %s", o.Name, collection, body)
	}
}

func TestACollectionIsReadByWhomItsOwnerNames(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	group := cliJSON[collections.Info](alpha, "collection", "create", "Working group", "--alias", "group", "--readers", "bravo")
	if !slices.Equal(group.Readers, []string{"bravo"}) || group.Epoch != 1 || !group.Write || group.Owner != "alpha" {
		t.Fatalf("the collection is %+v", group)
	}
	alpha.postTo("alpha", group.ID, indicator(1))
	bravo.showsExactly("alpha", group.ID, indicator(1))
	n.hasFolded(charlie, 900)
	charlie.mayNotSee("alpha", group.ID)

	t.Run("a reader who is no contributor may not publish", func(t *testing.T) {
		_, err := bravo.client().Add(t.Context(), "/alpha/", group.ID, envelope(indicator(2)))
		if err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("the answer is %v", err)
		}
	})
	t.Run("granted from now, a reader sees what comes and nothing of before", func(t *testing.T) {
		info := cliJSON[collections.Info](alpha, "collection", "grant", "group", "charlie")
		if info.Epoch != 2 || !slices.Equal(info.Readers, []string{"bravo", "charlie"}) && !slices.Equal(info.Readers, []string{"charlie", "bravo"}) {
			t.Errorf("the collection is %+v", info)
		}
		alpha.postTo("alpha", group.ID, indicator(3))
		charlie.showsExactly("alpha", group.ID, indicator(3))
		bravo.showsExactly("alpha", group.ID, indicator(1), indicator(3))
	})
	t.Run("granted to who reads already, nothing is minted", func(t *testing.T) {
		before := alpha.status().Publishing.Locked
		for _, collection := range []string{"group", "default"} {
			was := cliJSON[collections.Info](alpha, "collection", "show", collection)
			if is := cliJSON[collections.Info](alpha, "collection", "grant", collection, "bravo"); is.Epoch != was.Epoch {
				t.Errorf("%s has key epoch %d, and had %d", collection, is.Epoch, was.Epoch)
			}
		}
		if after := alpha.status().Publishing.Locked; after != before {
			t.Errorf("%d microalgo are locked, before %d", after, before)
		}
	})
	t.Run("granted from the beginning, a reader sees everything with its provenance, and nothing is minted again", func(t *testing.T) {
		before := alpha.status().Publishing.Locked
		cliJSON[collections.Info](alpha, "collection", "grant", "group", "charlie", "--from", "all", "--contribute")
		charlie.showsExactly("alpha", group.ID, indicator(1), indicator(3))
		if after := alpha.status().Publishing.Locked; after != before+100_000 {
			t.Errorf("%d microalgo are locked, before %d: the grant alone has an NFT", after, before)
		}
		id := "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f"
		if a, c := cliJSON[proof.Verification](alpha, "verify", id), cliJSON[proof.Verification](charlie, "verify", id); !c.Passed || a.TxID != c.TxID {
			t.Errorf("charlie verifies %+v", c)
		}
	})
	t.Run("a contributor publishes", func(t *testing.T) {
		charlie.postTo("alpha", group.ID, indicator(4))
		bravo.showsExactly("alpha", group.ID, indicator(1), indicator(3), indicator(4))
	})
	t.Run("revoked, a reader keeps what it had and sees nothing new", func(t *testing.T) {
		info := cliJSON[collections.Info](alpha, "collection", "revoke", "group", "bravo")
		if info.Epoch != 3 || !slices.Equal(info.Readers, []string{"charlie"}) {
			t.Errorf("the collection is %+v", info)
		}
		alpha.postTo("alpha", group.ID, indicator(5))
		charlie.showsExactly("alpha", group.ID, indicator(1), indicator(3), indicator(4), indicator(5))
		n.hasFolded(bravo, 901)
		if _, stderr, code := bravo.try("get", "indicator--00000005-17d4-4cbf-938f-98ee46b3cd3f"); code == 0 {
			t.Errorf("bravo reads what was published after it was revoked: %s", stderr)
		}
		bravo.showsExactly("alpha", group.ID, indicator(1), indicator(3), indicator(4))
		if _, err := bravo.client().Add(t.Context(), "/alpha/", group.ID, envelope(indicator(7))); err == nil {
			t.Error("bravo publishes in a collection that it was taken out of")
		}
	})
	t.Run("rotated, its readers read on", func(t *testing.T) {
		info := cliJSON[collections.Info](alpha, "collection", "rotate", "group")
		if info.Epoch != 4 {
			t.Errorf("the collection is %+v", info)
		}
		charlie.postTo("alpha", group.ID, indicator(6))
		alpha.showsExactly("alpha", group.ID, indicator(1), indicator(3), indicator(4), indicator(5), indicator(6))
	})
	t.Run("only the owner changes it", func(t *testing.T) {
		for _, args := range [][]string{{"rotate", group.ID}, {"grant", group.ID, "bravo"}, {"set", group.ID, "--title", "Mine"}} {
			if _, stderr, code := charlie.try(append([]string{"collection"}, args...)...); code != 2 {
				t.Errorf("collection %v exits with %d: %s", args, code, stderr)
			}
		}
	})
	t.Run("a new title reaches the readers", func(t *testing.T) {
		cliJSON[collections.Info](alpha, "collection", "set", "group", "--title", "Another title", "--default-level", "amber")
		eventually(t, func() (bool, string) {
			info := charlie.consortium()
			for _, c := range info.Collections {
				if c.ID == group.ID {
					return c.Title == "Another title" && c.DefaultLevel == "amber", fmt.Sprintf("%+v", c)
				}
			}
			return false, "not there"
		})
	})
	t.Run("a view built anew is the same", func(t *testing.T) {
		charlie.cli("view", "rebuild")
		charlie.showsExactly("alpha", group.ID, indicator(1), indicator(3), indicator(4), indicator(5), indicator(6))
	})
}

func TestTLPDecidesInWhichCollectionsAnObjectMayGo(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	marked := func(k int, marking string) string {
		return strings.Replace(indicator(k), `"name"`, `"object_marking_refs":["`+marking+`"],"name"`, 1)
	}
	const (
		amber  = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"
		strict = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
		red    = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"
	)
	named := cliJSON[collections.Info](alpha, "collection", "create", "Named", "--readers", "bravo")
	own := cliJSON[collections.Info](alpha, "collection", "create", "Own")
	for i, c := range []struct {
		collection, marking string
		allowed             bool
	}{
		{n.collection, amber, false}, {named.ID, amber, true}, {own.ID, amber, true},
		{n.collection, strict, false}, {named.ID, strict, false}, {own.ID, strict, true},
		{n.collection, red, false}, {named.ID, red, false}, {own.ID, red, false},
	} {
		status := alpha.postTo("alpha", c.collection, marked(10+i, c.marking))
		if allowed := status.SuccessCount == 1; allowed != c.allowed {
			t.Errorf("case %d: %+v", i, status)
		}
	}
	bravo.showsExactly("alpha", named.ID, marked(11, amber))
	if _, stderr, code := alpha.try("collection", "grant", own.ID, "bravo", "--from", "all"); code != 2 || !strings.Contains(stderr, "AMBER+STRICT") {
		t.Errorf("what must not leave the organisation is granted: %d %s", code, stderr)
	}
}

func TestARemovedMemberGetsNothingNew(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	alpha.post(n.collection, indicator(1))
	bravo.shows(n.collection, indicator(1))
	if _, _, code := bravo.try("member", "remove", "charlie"); code != 2 {
		t.Errorf("a member that is not the governor removes another: %d", code)
	}
	removed := cliJSON[members.Info](alpha, "member", "remove", "bravo")
	if removed.Name != "bravo" || removed.Removed == 0 {
		t.Fatalf("removed: %+v", removed)
	}
	for _, o := range n.members {
		eventually(t, func() (bool, string) { // the default collection has a new key
			for _, c := range o.consortium().Collections {
				if c.Default {
					return c.Epoch == 2 || o == bravo, fmt.Sprintf("%s: %+v", o.Name, c)
				}
			}
			return o == bravo, o.Name + " has no default collection"
		})
	}
	alpha.post(n.collection, indicator(2))
	charlie.shows(n.collection, indicator(1), indicator(2))
	eventually(t, func() (bool, string) {
		s := bravo.status()
		return !s.Member && s.Watching.CaughtUp && s.View.Waiting+s.View.Undecided > 0, fmt.Sprintf("%+v", s)
	})
	if _, _, code := bravo.try("get", "indicator--00000002-17d4-4cbf-938f-98ee46b3cd3f"); code == 0 {
		t.Error("the removed member reads what was published after its removal")
	}
	bravo.cli("get", "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f")

	t.Run("it is admitted again", func(t *testing.T) {
		bravo.cli("member", "request", "-o", bravo.Dir+".request", "--force")
		alpha.cli("member", "admit", bravo.Dir+".request", "-o", bravo.Dir+".invite", "--force")
		bravo.shows(n.collection, indicator(1), indicator(2))
		bravo.post(n.collection, indicator(3))
		charlie.shows(n.collection, indicator(1), indicator(2), indicator(3))
	})
}

func TestAWithdrawnObjectLeavesEveryView(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	status := alpha.post(n.collection, indicator(1), indicator(2))
	for _, o := range n.members {
		o.shows(n.collection, indicator(1), indicator(2))
	}
	id, cid := status.Successes[0].ID, status.Successes[0].CID
	if _, stderr, code := bravo.try("withdraw", id); code != 2 {
		t.Errorf("another member withdraws it: %d %s", code, stderr)
	}
	locked := alpha.status().Publishing.Locked
	list := cliJSON[[]withdraw.Withdrawal](alpha, "withdraw", id)
	if len(list) != 1 || !list[0].Withdrawn || list[0].Destroyed == "" {
		t.Fatalf("withdrawn: %+v", list)
	}
	for _, o := range n.members {
		o.showsExactly("alpha", n.collection, indicator(2))
		eventually(t, func() (bool, string) {
			response, err := http.Get("http://" + o.Daemon.Gateway + "/ipfs/" + cid + "/metadata.json")
			must(t, err)
			response.Body.Close()
			return response.StatusCode == http.StatusNotFound, fmt.Sprintf("the gateway of %s says %s", o.Name, response.Status)
		})
	}
	if now := alpha.status().Publishing.Locked; now != locked-100_000 {
		t.Errorf("%d microalgo are locked, before %d", now, locked)
	}
	eventually(t, func() (bool, string) {
		shown := cliJSON[withdraw.Shown](alpha, "show", id)
		acknowledged := 0
		for _, w := range shown.Withdrawals {
			for _, m := range w.Members {
				if !m.At.IsZero() {
					acknowledged++
				}
			}
		}
		return acknowledged == 2 && len(shown.Publications) == 0, fmt.Sprintf("%+v", shown)
	})

	t.Run("an absent member learns of it when it comes back", func(t *testing.T) {
		charlie.stop()
		cliJSON[[]withdraw.Withdrawal](alpha, "withdraw", status.Successes[1].TxID)
		bravo.showsExactly("alpha", n.collection)
		for _, m := range cliJSON[withdraw.Shown](alpha, "show", status.Successes[1].ID).Withdrawals[0].Members {
			if m.Member == "charlie" && !m.At.IsZero() {
				t.Errorf("charlie, which is down, has acknowledged: %+v", m)
			}
		}
		charlie.start()
		charlie.showsExactly("alpha", n.collection)
	})
	t.Run("posted again it is a new publication", func(t *testing.T) {
		again := alpha.post(n.collection, indicator(1))
		if again.SuccessCount != 1 || again.Successes[0].TxID == status.Successes[0].TxID {
			t.Errorf("posted again: %+v", again)
		}
		charlie.showsExactly("alpha", n.collection, indicator(1))
	})
	t.Run("a view built anew doesn't show what was withdrawn", func(t *testing.T) {
		bravo.cli("view", "rebuild")
		bravo.showsExactly("alpha", n.collection, indicator(1))
	})
}

// What was sealed while the chain could not be reached must not go out under a key that a removed reader has.
func TestWhatWaitsIsSealedAnewAfterARevocation(t *testing.T) {
	t.Parallel()
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	group := cliJSON[collections.Info](alpha, "collection", "create", "Group", "--readers", "bravo,charlie", "--contributors", "all")
	bravo.stop()
	bravo.algod = newProxy(t, l.Algod)
	bravo.start()
	n.settled(bravo)
	eventually(t, func() (bool, string) {
		_, err := bravo.at("alpha", group.ID)
		return err == nil, errorText(err)
	})
	bravo.algod.set(func(*http.Request) bool { return false }, nil)
	status, err := bravo.client().Add(t.Context(), "/alpha/", group.ID, envelope(indicator(1)))
	must(t, err)
	eventually(t, func() (bool, string) {
		s := bravo.status()
		return s.Publishing.Stored == 1, fmt.Sprintf("%+v", s.Publishing)
	})
	cliJSON[collections.Info](alpha, "collection", "revoke", group.ID, "charlie")
	eventually(t, func() (bool, string) {
		for _, c := range bravo.consortium().Collections {
			if c.ID == group.ID {
				return c.Epoch == 2, fmt.Sprintf("%+v", c)
			}
		}
		return false, "not there"
	})
	bravo.algod.set(nil, nil)
	eventually(t, func() (bool, string) {
		status, err = bravo.client().Status(t.Context(), "/alpha/", status.ID)
		return err == nil && status.SuccessCount == 1, fmt.Sprintf("%+v, %v", status, err)
	})
	alpha.showsExactly("alpha", group.ID, indicator(1))
	n.hasFolded(charlie, 900)
	if _, _, code := charlie.try("get", "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f"); code == 0 {
		t.Error("the revoked reader reads it")
	}
}

func TestNamedRecipientsAloneReadWhatIsForThem(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	red := func(k int) string {
		return strings.Replace(indicator(k), `"name"`, `"object_marking_refs":["marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"],"name"`, 1)
	}
	file := alpha.Dir + ".red.json"
	must(t, os.WriteFile(file, []byte(red(1)), 0o600))

	free := alpha.status().Publishing.Free
	stdout, _, code := alpha.try("--json", "publish", file, "--to", "bravo", "--dry-run")
	if want := `"readers":["alpha","bravo"]`; code != 0 || !strings.Contains(stdout, want) || !strings.Contains(stdout, `"cost_microalgo":202000`) {
		t.Errorf("the rehearsal exits with %d and says %s", code, stdout)
	}
	if stdout, _, code := alpha.try("--json", "publish", file, "--dry-run"); code != 3 || !strings.Contains(stdout, "TLP:RED") {
		t.Errorf("the rehearsal for everybody exits with %d and says %s", code, stdout)
	}
	if now := alpha.status().Publishing.Free; now != free {
		t.Errorf("rehearsing cost %d microalgo", free-now)
	}

	alpha.cli("publish", file, "--to", "bravo")
	var group string
	eventually(t, func() (bool, string) {
		for _, c := range bravo.consortium().Collections {
			if c.AdHoc {
				group = c.ID
			}
		}
		return group != "", "bravo has no collection for named recipients"
	})
	bravo.showsExactly("alpha", group, red(1))

	t.Run("the same recipients share a collection, others do not", func(t *testing.T) {
		status, err := alpha.client().Add(t.Context(), "/alpha/", n.collection, []byte(`{"x_slnode_to":["bravo"],"objects":[`+red(2)+`]}`))
		must(t, err)
		alpha.complete(status.ID)
		bravo.showsExactly("alpha", group, red(1), red(2))
		status, err = alpha.client().Add(t.Context(), "/alpha/", n.collection, []byte(`{"x_slnode_to":["charlie","bravo"],"objects":[`+red(3)+`]}`))
		must(t, err)
		alpha.complete(status.ID)
		charlie.gets(t, "indicator--00000003-17d4-4cbf-938f-98ee46b3cd3f")
		if _, _, code := charlie.try("get", "indicator--00000002-17d4-4cbf-938f-98ee46b3cd3f"); code == 0 {
			t.Error("charlie reads what is for bravo")
		}
		charlie.mayNotSee("alpha", group)
	})
	t.Run("an unknown recipient is an error", func(t *testing.T) {
		_, err := alpha.client().Add(t.Context(), "/alpha/", n.collection, []byte(`{"x_slnode_to":["nobody"],"objects":[`+red(4)+`]}`))
		if err == nil || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("the answer is %v", err)
		}
	})
}

// gets waits until an object can be got.
func (o *organisation) gets(t *testing.T, id string) {
	t.Helper()
	eventually(t, func() (bool, string) {
		_, stderr, code := o.try("get", id)
		return code == 0, o.Name + ": " + stderr
	})
}

// The founder has no invite to begin from.
func TestAFounderThatLostViewAndBlocksGetsThemFromMembers(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	alpha, bravo := n.members[0], n.members[1]
	alpha.post(n.collection, indicator(1))
	bravo.shows(n.collection, indicator(1))
	eventually(t, func() (bool, string) {
		data, err := os.ReadFile(alpha.Dir + "/consortium.json")
		must(t, err)
		return strings.Contains(string(data), "/p2p/"), string(data)
	})
	alpha.stop()
	for _, name := range []string{"view", "blocks"} {
		must(t, os.RemoveAll(alpha.Dir+"/"+name))
	}
	alpha.start()
	alpha.showsExactly("alpha", n.collection, indicator(1))
	alpha.post(n.collection, indicator(2))
	bravo.shows(n.collection, indicator(2))
}
