package p2p

import (
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/time/rate"
)

const (
	dialWindow   = 5 * time.Second  // in which addresses belong to one attempt
	dialAddrs    = 8                // of one peer that are dialled in an attempt
	dialPorts    = 2                // … at one IP address
	dialBurst    = 32               // attempts at one IP address, whichever peers name it
	dialEvery    = 10 * time.Second // … and then
	dialRemember = 4096             // IP addresses
)

// dialGate decides whom a host dials, and where.
//
// In a private swarm it dials nobody but members and the peers it was told of, whatever some part of the node may come
// up with. Who dials in is not its concern: a newcomer may know of its admission before this node does, so membership
// is checked at each request instead.
//
// Members say themselves where they are, and every other member believes them. So an address that only a member's word
// stands for is dialled if a node could be there, and not too often: nobody is to make a consortium knock at the doors
// of its own networks, or of somebody else.
type dialGate struct {
	connmgr.ConnectionGater // Kubo's own, by address; set when the host is made

	private bool
	reach   reach
	members Members

	mu    sync.Mutex
	told  map[peer.ID][]multiaddr.Multiaddr // by the caller: the operator, or an invite
	tries map[peer.ID]*attempt
	knock map[string]*rate.Limiter // by IP address
}

// attempt is the addresses of one peer that are dialled at about the same time.
type attempt struct {
	since time.Time
	addrs []multiaddr.Multiaddr
}

func newDialGate(private bool, reach reach, members Members) *dialGate {
	return &dialGate{
		private: private, reach: reach, members: members,
		told: map[peer.ID][]multiaddr.Multiaddr{}, tries: map[peer.ID]*attempt{}, knock: map[string]*rate.Limiter{},
	}
}

// allow lets the host dial a peer, at these addresses wherever they are.
func (g *dialGate) allow(p peer.AddrInfo) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told[p.ID] = append(g.told[p.ID], p.Addrs...)
}

func (g *dialGate) disallow(id peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.told, id)
	delete(g.tries, id)
}

// InterceptPeerDial implements [connmgr.ConnectionGater].
func (g *dialGate) InterceptPeerDial(id peer.ID) bool {
	if !g.private {
		return g.ConnectionGater.InterceptPeerDial(id)
	}
	g.mu.Lock()
	_, told := g.told[id]
	g.mu.Unlock()
	return (told || g.members.IsMember(id)) && g.ConnectionGater.InterceptPeerDial(id)
}

// InterceptAddrDial implements [connmgr.ConnectionGater]. It is asked once for each address that is about to be
// dialled.
func (g *dialGate) InterceptAddrDial(id peer.ID, to multiaddr.Multiaddr) bool {
	return g.mayDial(id, to) && g.ConnectionGater.InterceptAddrDial(id, to)
}

func (g *dialGate) mayDial(id peer.ID, to multiaddr.Multiaddr) bool {
	if !g.private && !g.members.IsMember(id) {
		return true // a peer of the public network, as for any node there
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.ContainsFunc(g.told[id], func(told multiaddr.Multiaddr) bool { return covers(told, to) }) {
		return true
	}
	return g.reach.plausible(to) && g.afford(id, to)
}

// known gives those of a peer's addresses that it may be dialled at.
func (g *dialGate) known(id peer.ID, addrs []multiaddr.Multiaddr) (list []multiaddr.Multiaddr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range addrs {
		if slices.ContainsFunc(g.told[id], a.Equal) || len(list) < dialAddrs && (g.reach.plausible(a) || len(a) > 0 && isName(a[0].Protocol().Code)) {
			list = append(list, a)
		}
	}
	return list
}

// afford counts an address of a peer. The lock is held.
func (g *dialGate) afford(id peer.ID, to multiaddr.Multiaddr) bool {
	ip, err := manet.ToIP(to)
	if err != nil {
		return false
	}
	t := g.tries[id]
	if t == nil || time.Since(t.since) > dialWindow {
		t = &attempt{since: time.Now()}
		g.tries[id] = t
	}
	same := 0
	for _, other := range t.addrs {
		if otherIP, err := manet.ToIP(other); err == nil && otherIP.Equal(ip) {
			same++
		}
	}
	if len(t.addrs) >= dialAddrs || same >= dialPorts {
		return false
	}
	t.addrs = append(t.addrs, to)
	if ip.IsLoopback() {
		return true
	}
	limit := g.knock[ip.String()]
	if limit == nil {
		if len(g.knock) >= dialRemember {
			clear(g.knock)
		}
		limit = rate.NewLimiter(rate.Every(dialEvery), dialBurst)
		g.knock[ip.String()] = limit
	}
	return limit.Allow()
}
