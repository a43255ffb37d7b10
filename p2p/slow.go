package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const firstSlow, lastSlow = time.Minute, 16 * time.Minute

// slowPeers are members that took long to answer. They are asked last for a while, which is longer each time; an answer
// in good time makes up for all.
type slowPeers struct {
	mu    sync.Mutex
	peers map[peer.ID]slowPeer
}

type slowPeer struct {
	until time.Time
	pause time.Duration
}

func (s *slowPeers) add(ids ...peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		p := s.peers[id]
		if time.Now().Before(p.until) {
			continue // it is known
		}
		p.pause = min(max(2*p.pause, firstSlow), lastSlow)
		p.until = time.Now().Add(p.pause)
		if s.peers == nil {
			s.peers = map[peer.ID]slowPeer{}
		}
		s.peers[id] = p // members are not many
	}
}

func (s *slowPeers) remove(id peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, id)
}

func (s *slowPeers) has(id peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.peers[id].until)
}
