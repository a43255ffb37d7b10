package members

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo"
)

// algodOf answers for a network.
func algodOf(t *testing.T, genesis []byte) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"genesis-hash":%q,"genesis-id":"t-v1","last-round":5,"min-fee":1000,"fee":0,"consensus-version":"x"}`, base64.StdEncoding.EncodeToString(genesis))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// anInvite is one for a repository.
func anInvite(r *repo.Repo) wire.Invite {
	return wire.Invite{Consortium: 1002, Charter: someCharter, Name: "Energy", GenesisID: "t-v1", GenesisHash: genesisHash, Account: r.Keys.Address(),
		Network: wire.NetworkPrivate, SwarmKey: "/key/swarm/psk/1.0.0/\n/base16/\n00\n", Peers: []string{"/ip4/192.0.2.1/tcp/4001"}}
}

// sealedFor is an invite as it comes by mail.
func sealedFor(t *testing.T, recipient string, i wire.Invite) []byte {
	t.Helper()
	sealed, err := i.Seal(recipient)
	nodetest.Must(t, err)
	return sealed
}

func TestWhoJoinsBelongsToTheConsortiumOfTheInvite(t *testing.T) {
	for _, network := range []string{wire.NetworkPrivate, wire.NetworkPublic} {
		r := aRepository(t)
		r.Config.Algorand.AlgodURL = algodOf(t, genesisHash)
		invite := anInvite(r)
		if invite.Network = network; network == wire.NetworkPublic {
			invite.SwarmKey = ""
		}
		own, err := Join(t.Context(), r, sealedFor(t, r.Keys.Identity.Recipient(), invite))
		nodetest.Must(t, err)
		kept, err := r.Consortium()
		nodetest.Must(t, err)
		for _, c := range []*repo.Consortium{own, kept} {
			if c.ID != 1002 || c.Charter != someCharter || c.Name != "Energy" || c.GenesisID != "t-v1" || !bytes.Equal(c.GenesisHash, genesisHash) || c.Network != network || !slices.Equal(c.Peers, invite.Peers) {
				t.Errorf("it belongs to %+v", c)
			}
		}
		if string(r.Keys.SwarmKey()) != invite.SwarmKey {
			t.Errorf("on the %s network the swarm key is %q", network, r.Keys.SwarmKey())
		}
		// A new invite replaces the addresses of the old one, and an invite elsewhere is refused.
		invite.Peers = []string{"/ip4/192.0.2.2/tcp/4001"}
		if own, err = Join(t.Context(), r, sealedFor(t, r.Keys.Identity.Recipient(), invite)); err != nil || !slices.Equal(own.Peers, invite.Peers) {
			t.Errorf("the addresses are %v, %v", own.Peers, err)
		}
		invite.Consortium++
		_, err = Join(t.Context(), r, sealedFor(t, r.Keys.Identity.Recipient(), invite))
		wantRefusal(t, "another consortium", err, `this repository belongs to the consortium "Energy" (1002) already`)
	}
}

func TestAnInviteThatDoesNotFitChangesNothing(t *testing.T) {
	r := aRepository(t)
	r.Config.Algorand.AlgodURL = algodOf(t, genesisHash)
	forOther, elsewhere := anInvite(r), anInvite(r)
	other := nodetest.NewOrg(t, "other")
	forOther.Account = other.Address()
	elsewhere.GenesisHash = slices.Repeat([]byte{8}, 32)
	for what, one := range map[string]struct {
		sealed []byte
		words  string
	}{
		"for another account": {sealedFor(t, r.Keys.Identity.Recipient(), forOther), "the invite is for the account " + other.Address() + ", this repository's is " + r.Keys.Address()},
		"for another's key":   {sealedFor(t, other.Identity.Recipient(), anInvite(r)), "made for another key than this repository's"},
		"on another network":  {sealedFor(t, r.Keys.Identity.Recipient(), elsewhere), "the consortium lives on t-v1, and they are not the same: the genesis hash of the one is 07070707…"},
		"something else":      {[]byte("x"), "invite"},
	} {
		_, err := Join(t.Context(), r, one.sealed)
		wantRefusal(t, what, err, one.words)
	}
	r.Config.Algorand.AlgodURL = "http://127.0.0.1:1"
	if _, err := Join(t.Context(), r, sealedFor(t, r.Keys.Identity.Recipient(), anInvite(r))); err == nil {
		t.Error("without algod it is believed")
	}
	if own, err := r.Consortium(); err != nil || own != nil || len(r.Keys.SwarmKey()) != 0 {
		t.Errorf("the repository belongs to %+v, %v", own, err)
	}
}
