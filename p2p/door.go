package p2p

import (
	"context"
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// door bounds the streams of one protocol that are served: those of one peer, so that none keeps the others out, and
// all of them.
type door struct {
	most    int           // streams of one peer that are served or wait
	perPeer int           // … served at the same time
	slots   chan struct{} // of all peers

	mu    sync.Mutex
	peers map[peer.ID]*caller
}

// caller is a peer with streams open.
type caller struct {
	streams int
	slots   chan struct{}
}

func newDoor(most, perPeer, inTotal int) *door {
	return &door{most: most, perPeer: perPeer, slots: make(chan struct{}, inTotal), peers: map[peer.ID]*caller{}}
}

// visit is a stream that was let in.
type visit struct {
	door   *door
	from   peer.ID
	caller *caller
	holds  []chan struct{}
}

// enter counts a stream; it is an error if the peer has too many.
func (d *door) enter(from peer.ID) (*visit, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.peers[from]
	if c == nil {
		c = &caller{slots: make(chan struct{}, d.perPeer)}
		d.peers[from] = c
	}
	if c.streams >= d.most {
		return nil, fmt.Errorf("more than %d streams", d.most)
	}
	c.streams++
	return &visit{door: d, from: from, caller: c}, nil
}

// wait returns when it is the stream's turn.
func (v *visit) wait(ctx context.Context) error {
	for _, slots := range []chan struct{}{v.caller.slots, v.door.slots} {
		select {
		case slots <- struct{}{}:
			v.holds = append(v.holds, slots)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// leave makes room for others.
func (v *visit) leave() {
	for _, slots := range v.holds {
		<-slots
	}
	v.door.mu.Lock()
	defer v.door.mu.Unlock()
	if v.caller.streams--; v.caller.streams == 0 {
		delete(v.door.peers, v.from)
	}
}
