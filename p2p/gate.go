package p2p

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/peer"
)

// dialGate keeps a host in a private swarm from dialling anybody but members and the peers it was told of, whatever
// some part of the node may come up with. Who dials in is not its concern: a newcomer may know of its admission
// before this node does, so membership is checked at each request instead.
type dialGate struct {
	connmgr.ConnectionGater // Kubo's own, by address; set when the host is made

	private bool
	members Members

	mu   sync.RWMutex
	told map[peer.ID]struct{}
}

func newDialGate(private bool, members Members) *dialGate {
	return &dialGate{private: private, members: members, told: map[peer.ID]struct{}{}}
}

func (g *dialGate) allow(id peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told[id] = struct{}{}
}

func (g *dialGate) disallow(id peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.told, id)
}

// InterceptPeerDial implements [connmgr.ConnectionGater].
func (g *dialGate) InterceptPeerDial(id peer.ID) bool {
	if !g.private {
		return g.ConnectionGater.InterceptPeerDial(id)
	}
	g.mu.RLock()
	_, told := g.told[id]
	g.mu.RUnlock()
	return (told || g.members.IsMember(id)) && g.ConnectionGater.InterceptPeerDial(id)
}
