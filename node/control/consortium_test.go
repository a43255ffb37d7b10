package control

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/members"
)

func TestACollectionIsCalledTheSameOnTheCommandLine(t *testing.T) {
	info := ConsortiumInfo{Members: []members.Info{{Name: "self", Self: true}}, Collections: []collections.Info{
		{ID: "1", Alias: "notes", Owner: "mallory"}, {ID: "2", Alias: "notes", Owner: "self"}, {ID: "3", Alias: "2", Owner: "mallory"},
	}}
	for name, want := range map[string]string{"notes": "2", "2": "2", "mallory/notes": "1"} {
		if c, err := info.Collection(name); err != nil || c.ID != want {
			t.Errorf("%q is %q (%v), want %q", name, c.ID, err, want)
		}
	}
}

func TestTheConsortiumIsDescribedAsItIsKnown(t *testing.T) {
	o := newOperated(t)
	o.parts.connected = map[peer.ID]time.Time{peerOf(t, o.Mallory): time.Now()}
	info, err := o.client.Consortium(t.Context())
	nodetest.Must(t, err)
	if info.ID != o.ID || info.Name != "Test" || info.Charter != "TX1" || info.GenesisID != "t-v1" || info.Network != "private" || info.Governor != o.Founder.Address() ||
		info.DefaultCollection != o.HostileWorld.Collection || info.Round != o.Round || info.Stale != "" {
		t.Errorf("%+v", info)
	}
	connected := map[string]bool{}
	for _, m := range info.Members {
		connected[m.Name] = m.Connected
	}
	if len(connected) != 3 || !connected["mallory"] || connected["founder"] || connected["self"] || len(info.Collections) != 2 {
		t.Errorf("%+v", info)
	}
	// Without the indexer it tells what it knows, and that it may be old.
	o.parts.behind, o.parts.chain.Detail = context.DeadlineExceeded, "no answer"
	info, err = o.client.Consortium(t.Context())
	if err != nil || !strings.Contains(info.Stale, "no answer") || len(info.Members) != 3 {
		t.Errorf("%v, %+v", err, info)
	}
	o.State.Replace(consortium.New(o.ID, "TX1", o.Self.Identity))
	if _, err := o.client.Consortium(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("nothing is known, and it says %v", err)
	}
}

func peerOf(t *testing.T, org *nodetest.Org) peer.ID {
	t.Helper()
	id, err := peer.Decode(org.Document.Peer)
	nodetest.Must(t, err)
	return id
}
