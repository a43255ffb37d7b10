package withdraw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/p2p/swarm"
)

// The other members, as a desk knows them.

func (d *desk) Connected() map[peer.ID]time.Time {
	list := map[peer.ID]time.Time{}
	for id := range d.members {
		list[id] = time.Time{}
	}
	return list
}

func (d *desk) AskWithdrawn(_ context.Context, from peer.ID, asked []swarm.Published) ([]bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	assets, answers := make([]uint64, len(asked)), make([]bool, len(asked))
	for i, of := range asked {
		assets[i], answers[i] = of.Asset, d.seen[from][of.Asset]
	}
	d.asked = append(d.asked, fmt.Sprintf("%s %v", d.nameOf(from), slices.Sorted(slices.Values(assets))))
	if !d.members[from] {
		return nil, errors.New("it does not answer")
	}
	return answers, nil
}

func (d *desk) nameOf(id peer.ID) string {
	for _, o := range []*nodetest.Org{d.self, d.alpha, d.bravo} {
		if o.Document.Peer == id.String() {
			return o.Document.Organisation
		}
	}
	return "nobody"
}

func peerOf(t testing.TB, o *nodetest.Org) peer.ID {
	t.Helper()
	id, err := peer.Decode(o.Document.Peer)
	nodetest.Must(t, err)
	return id
}

func keyOf(v version) []byte { return publish.ObjectKey(v.entry()) }
