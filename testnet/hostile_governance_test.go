package testnet

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	p2pcrypto "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/collections"
)

// readers are the public keys of the members whose daemons run.
func (v *villain) readers() (list []string) {
	v.t.Helper()
	state, err := v.Learn(v.minutes())
	must(v.t, err)
	for _, m := range state.Members() {
		if m.Known && m.Account != v.Address() {
			list = append(list, m.Recipient)
		}
	}
	return list
}

// The founder, who owns the default collection, calls it like another member's private collection.
func TestHostileFounderGetsNothingThatIsPostedToAnothersCollection(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie")
	alpha, bravo, charlie := n.members[0], n.members[1], n.members[2]
	bravo.stop()
	bravo.start("SLNODE_TAXII_PUBLISH_WAIT=0s")
	private := cliJSON[collections.Info](bravo, "collection", "create", "Private", "--alias", "private")
	alpha.stop()
	n.members = n.members[1:]
	v := n.asHostile(alpha)
	c := v.learn()
	recipients := v.readers()
	all := wire.Accounts{Members: true}
	for i, alias := range []string{private.ID, strings.ToUpper(private.ID), strings.ReplaceAll(private.ID, "-", ""), "private"} {
		draft, err := v.Collection(c.ID, c.Epoch, wire.Collection{
			Title: alias, Alias: alias, Readers: all, Contributors: all, DefaultLevel: "clear", Metadata: wire.MetadataOpen,
		}, c.Key, recipients...)
		must(t, err)
		v.publish(draft)
		eventually(t, func() (bool, string) {
			shown := cliJSON[collections.Info](bravo, "collection", "show", c.ID)
			return shown.Title == alias, fmt.Sprintf("the default collection is %+v", shown)
		})
		for j, name := range []string{private.ID, "private"} {
			secret := indicator(100 + 10*i + j)
			bravo.complete(bravo.postNow(name, secret).ID)
			if shown := cliJSON[collections.Info](bravo, "collection", "show", name); shown.ID != private.ID {
				t.Errorf("%q is %+v", name, shown)
			}
		}
	}
	var secrets []string
	for i := range 4 {
		secrets = append(secrets, indicator(100+10*i), indicator(100+10*i+1))
	}
	bravo.showsExactly("bravo", private.ID, secrets...)
	bravo.complete(bravo.postNow(c.ID, indicator(900)).ID)
	charlie.showsExactly("charlie", c.ID, indicator(900)) // and nothing that was posted before
	for _, args := range [][]string{
		{"feed", "add", "f", "https://feed.example/root", "--collection", "c", "--into", private.ID},
		{"feed", "add", "g", "https://feed.example/root", "--collection", "c", "--into", "private"},
	} {
		bravo.cli(args...)
	}
	if _, _, code := charlie.try("collection", "show", "alpha/private"); code != 0 {
		t.Error("another member's collection is not found by its owner's name")
	}
	if _, err := charlie.at("bravo", c.ID); err == nil {
		t.Error("the default collection answers under a root that does not list it")
	}
}

// rotates mints a change of the villain's keys: of its peer key, or of its identity, which brings the peer key back
// that it is in the swarm with.
func (v *villain) rotates(identity bool) {
	v.t.Helper()
	document := wire.Member{
		Organisation: v.Config.Organisation.Name, Title: v.Config.Organisation.Title, Account: v.Address(), Recipient: v.Keys.Identity.Recipient(),
	}
	key := v.Keys.Peer
	if identity {
		other, err := seal.NewIdentity()
		must(v.t, err)
		document.Recipient = other.Recipient()
	} else {
		var err error
		key, _, err = p2pcrypto.GenerateEd25519Key(rand.Reader)
		must(v.t, err)
	}
	id, err := peer.IDFromPrivateKey(key)
	must(v.t, err)
	document.Peer = id.String()
	document, err = document.Sign(v.Keys.Account.PrivateKey, key)
	must(v.t, err)
	draft, err := consortium.DraftRotation(v.Consortium.ID, v.Address(), document, v.Keys.Account.PrivateKey, time.Now())
	must(v.t, err)
	v.publish(draft)
}

func TestHostileMemberThatChangesItsKeysCostsOwnersNoMoreThanOneKey(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	bravo := n.members[1]
	mallory := n.hostile("mallory", enoughAlgo)
	var rings []string
	for i := range 3 {
		rings = append(rings, cliJSON[collections.Info](bravo, "collection", "create", fmt.Sprint("Ring ", i), "--readers", "mallory").ID)
	}
	mallory.learn()
	locked := func() uint64 { return bravo.status().Publishing.Locked }
	marker := 0
	settled := func(what string, most uint64) {
		t.Helper()
		marker++
		n.members[0].post(n.collection, indicator(marker)) // when it is shown, what was minted before it has been folded
		bravo.shows(n.collection, indicators(1, marker)...)
		if now := locked(); now > most {
			t.Errorf("%s: %d microalgo are locked, want no more than %d", what, now, most)
		}
	}
	before := locked()
	for range 3 {
		mallory.rotates(false)
	}
	settled("three changes of the peer key", before)
	mallory.rotates(true)
	for _, o := range n.members {
		mallory.reach(o, mallory.info())
	}
	once := before + uint64(len(rings))*200_000
	eventually(t, func() (bool, string) { return locked() == once, fmt.Sprintf("%d, want %d", locked(), once) })
	for range 4 {
		mallory.rotates(true)
	}
	settled("four more changes of the identity", once)
	for _, id := range rings {
		if c := cliJSON[collections.Info](bravo, "collection", "show", id); c.Epoch != 2 {
			t.Errorf("collection %s has the epoch %d, want 2", id, c.Epoch)
		}
	}
}

func TestHostileMemberThatWasRemovedIsNamedWhileItHasAKey(t *testing.T) {
	l := newChain(t)
	n := newNetwork(t, l, "alpha", "charlie")
	bravo := organisationOn(t, l, "bravo", 100_000+101_000+50_000) // for a collection, and for no other key of it
	n.admit(bravo)
	bravo.start("SLNODE_METRICS_LISTEN=127.0.0.1:0")
	n.members = append(n.members, bravo)
	alpha, charlie := n.members[0], n.members[1]
	n.hostile("mallory", enoughAlgo)
	ring := cliJSON[collections.Info](bravo, "collection", "create", "Ring", "--readers", "charlie,mallory", "--contributors", "charlie")
	charlie.postTo("bravo", ring.ID, indicator(1))
	alpha.cli("member", "remove", "mallory")

	exposed := func(o *organisation) *collections.ExposedKey {
		for _, e := range o.status().Exposed {
			if e.Collection == ring.ID {
				return &e
			}
		}
		return nil
	}
	for _, o := range []*organisation{bravo, charlie} {
		eventually(t, func() (bool, string) {
			e := exposed(o)
			return e != nil && len(e.Removed) == 1 && e.Removed[0] == "mallory" && e.Own == (o == bravo), fmt.Sprintf("%s: %+v", o.Name, e)
		})
		if text, _, _ := o.try("status"); !strings.Contains(text, "a removed member still has the key of") {
			t.Errorf("the status of %s doesn't say so:\n%s", o.Name, text)
		}
	}
	response, err := http.Get("http://" + bravo.Daemon.Metrics + "/metrics")
	must(t, err)
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	must(t, err)
	if !strings.Contains(string(metrics), `slnode_exposed_collections{owner="self",reason="removed"} 1`) {
		t.Error("the owner's metrics don't say so")
	}
	status, err := charlie.client().Add(t.Context(), "/bravo/", ring.ID, envelope(indicator(2)))
	must(t, err)
	details := append(status.Successes, status.Pendings...)
	if len(details) != 1 || !strings.Contains(details[0].Note, "mallory") {
		t.Errorf("who publishes is told %+v", status)
	}

	l.fund(t, bravo.account(), 1_000_000)
	for _, o := range []*organisation{bravo, charlie} {
		eventually(t, func() (bool, string) { return exposed(o) == nil, fmt.Sprintf("%s: %+v", o.Name, exposed(o)) })
	}
	if c := cliJSON[collections.Info](bravo, "collection", "show", ring.ID); c.Epoch != 2 {
		t.Errorf("the collection is %+v", c)
	}
}

// What a marking means is not for another member to say.
func TestHostileMemberSaysWhatItsOwnMarkingsMeanAndNoOthers(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	bravo := n.members[1]
	mallory := n.hostile("mallory", enoughAlgo)
	c := mallory.learn()
	marking := func(n int, kind, value string) (id, object string) {
		id = fmt.Sprintf("marking-definition--%08x-17d4-4cbf-938f-98ee46b3cd3f", n)
		return id, fmt.Sprintf(`{"type":"marking-definition","spec_version":"2.1","id":%q,"created":"2026-01-02T03:04:05.678Z","definition_type":%q,"definition":{%q:%q}}`,
			id, kind, kind, value)
	}
	carrying := func(n int, id string) string {
		return strings.Replace(indicator(n), `"name"`, `"object_marking_refs":["`+id+`"],"name"`, 1)
	}
	harmless, harmlessDefinition := marking(1, "statement", "(c) Mallory")
	blocking, blockingDefinition := marking(2, "tlp", "red")
	_, own := marking(2, "statement", "(c) Bravo")
	bravo.post(n.collection, own)
	mallory.publish(mallory.object(c, harmless, "2026-01-02T03:04:05.678Z", harmlessDefinition))
	mallory.publish(mallory.object(c, blocking, "2026-02-02T03:04:05.678Z", strings.Replace(blockingDefinition, "2026-01-02", "2026-02-02", 1)))
	mallory.publish(mallory.indicators(c, 500, 1)...)
	eventually(t, func() (bool, string) {
		list, err := bravo.tryObjects(n.collection)
		return err == nil && strings.Contains(strings.Join(list, ""), "Indicator 500"), fmt.Sprint(len(list), err)
	})
	if status := bravo.post(n.collection, carrying(10, harmless)); status.FailureCount != 1 {
		t.Errorf("a marking that only mallory knows is harmless: %+v", status)
	}
	if status := bravo.post(n.collection, carrying(11, blocking)); status.SuccessCount != 1 {
		t.Errorf("mallory stops what bravo publishes: %+v", status)
	}
}
