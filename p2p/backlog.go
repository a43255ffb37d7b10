package p2p

import (
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"
)

const (
	maxUnchecked = 16 << 20        // bytes of messages that wait to be checked
	maxUnsent    = 16 << 20        // bytes that wait for one peer to read them
	checkedBy    = 5 * time.Second // what waits longer was dropped without a word
)

// backlog counts the bytes in gossipsub's queues, whose length it bounds in messages only: a queue that is long enough
// for a burst of small messages is far too long for large ones. It listens to what gossipsub tells of each message.
type backlog struct {
	mu        sync.Mutex
	unchecked map[*pb.Message]unchecked
	bytes     int // of these
	unsent    map[peer.ID]int
	most      int // that may wait for one peer: maxUnsent, but for tests
}

type unchecked struct {
	size  int
	since time.Time
}

var _ pubsub.RawTracer = (*backlog)(nil)

func newBacklog() *backlog {
	return &backlog{unchecked: map[*pb.Message]unchecked{}, unsent: map[peer.ID]int{}, most: maxUnsent}
}

// admit lets a message in to be checked, if there is room.
func (b *backlog) admit(m *pb.Message) bool {
	size := proto.Size(m)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes+size > maxUnchecked {
		for m, w := range b.unchecked {
			if time.Since(w.since) > checkedBy {
				b.forget(m)
			}
		}
	}
	if b.bytes+size > maxUnchecked {
		return false
	}
	b.unchecked[m] = unchecked{size, time.Now()}
	b.bytes += size
	return true
}

func (b *backlog) forget(m *pb.Message) {
	b.bytes -= b.unchecked[m].size
	delete(b.unchecked, m)
}

// checked notes that a message has left the queue, whatever becomes of it.
func (b *backlog) checked(m *pubsub.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(m.Message)
}

// isFull reports whether a peer reads too little of what is sent to it.
func (b *backlog) isFull(id peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unsent[id] > b.most
}

// ValidateMessage implements [pubsub.RawTracer], as do the methods below.
func (b *backlog) ValidateMessage(m *pubsub.Message) { b.checked(m) }

func (b *backlog) RejectMessage(m *pubsub.Message, _ string) { b.checked(m) }

func (b *backlog) DuplicateMessage(m *pubsub.Message) { b.checked(m) }

func (b *backlog) SendRPC(rpc *pubsub.RPC, to peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsent[to] += proto.Size(&rpc.RPC)
}

func (b *backlog) SendRPCCompleted(rpc *pubsub.RPC, to peer.ID, _ time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unsent[to] -= proto.Size(&rpc.RPC); b.unsent[to] <= 0 {
		delete(b.unsent, to)
	}
}

func (b *backlog) OnClosedOutboundStream(to peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.unsent, to)
}

func (*backlog) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (*backlog) Join(string)                              {}
func (*backlog) Leave(string)                             {}
func (*backlog) Graft(peer.ID, string)                    {}
func (*backlog) Prune(peer.ID, string)                    {}
func (*backlog) DeliverMessage(*pubsub.Message)           {}
func (*backlog) ThrottlePeer(peer.ID)                     {}
func (*backlog) RecvRPC(*pubsub.RPC)                      {}
func (*backlog) DropRPC(*pubsub.RPC, peer.ID)             {}
func (*backlog) UndeliverableMessage(*pubsub.Message)     {}
