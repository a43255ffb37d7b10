package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

const (
	firstRetry   = time.Second // doubled with every failure
	lastRetry    = 5 * time.Minute
	dialTimeout  = 15 * time.Second
	dialParallel = 8
	// enoughMembers is how many connections to members a node seeks by itself: gossip and fetching need some, not
	// all. It takes any number that come in.
	enoughMembers = 32
	// lookAround is how often the keeper looks for what no event tells: above all a new member that was connected before.
	lookAround = 15 * time.Second
	// movedPause is how often at most the word that a member has moved makes it be dialled at once.
	movedPause = time.Minute
)

// keeper keeps this node connected: to peers it was told of, and to members whose addresses it learnt from other
// members.
type keeper struct {
	host    host.Host
	dials   *dialGate
	book    *addressBook
	members Members
	log     *slog.Logger
	life    *lifetime
	records peerstore.CertifiedAddrBook
	wake    chan struct{}
	slots   chan struct{} // for dials
	door    *door         // for who asks for peers

	mu       sync.Mutex
	contacts map[peer.ID]*contact
}

// contact is a peer that may be dialled: one that the caller named, or any member.
type contact struct {
	named    bool
	busy     bool // being dialled
	failures int
	next     time.Time // of the next attempt
	lastErr  error
	asked    int // for its peers, during this connection
	askNext  time.Time
	moved    time.Time // when it last said that it is somewhere else
}

func newKeeper(life *lifetime, h host.Host, dials *dialGate, book *addressBook, members Members, log *slog.Logger) (*keeper, error) {
	records, ok := peerstore.GetCertifiedAddrBook(h.Peerstore())
	if !ok {
		return nil, errors.New("the peerstore keeps no signed records")
	}
	k := &keeper{
		records: records, host: h, dials: dials, book: book, members: members, log: log, life: life,
		wake:     make(chan struct{}, 1),
		slots:    make(chan struct{}, dialParallel),
		door:     newDoor(shortPerPeer, 1, shortInTotal),
		contacts: map[peer.ID]*contact{},
	}
	known, err := book.load(life.ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range known {
		k.learn(r)
	}
	events, err := h.EventBus().Subscribe([]any{new(event.EvtPeerConnectednessChanged), new(event.EvtPeerIdentificationCompleted)})
	if err != nil {
		return nil, fmt.Errorf("subscribe to connection events: %w", err)
	}
	life.run(func(ctx context.Context) {
		defer events.Close()
		k.loop(ctx, events)
	})
	return k, nil
}

func (k *keeper) name(peers []peer.AddrInfo) {
	k.mu.Lock()
	for _, p := range peers {
		if p.ID == k.host.ID() {
			continue
		}
		k.dials.allow(p)
		k.host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.PermanentAddrTTL)
		c := k.contact(p.ID)
		c.named, c.next = true, time.Time{}
	}
	k.mu.Unlock()
	k.nudge()
}

// contact finds or makes a contact. The lock is held.
func (k *keeper) contact(id peer.ID) *contact {
	c := k.contacts[id]
	if c == nil {
		c = &contact{}
		k.contacts[id] = c
	}
	return c
}

// learn takes a record into memory. It says whether it was news.
func (k *keeper) learn(r *signedRecord) bool {
	if r.PeerID == k.host.ID() {
		return false
	}
	before := k.records.GetPeerRecord(r.PeerID)
	if !k.consume(r, peerstore.PermanentAddrTTL, false) {
		return false
	}
	news := before == nil || !before.Equal(r.envelope)
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.contact(r.PeerID); news {
		if time.Since(c.moved) > movedPause { // else it would be dialled as often as it likes
			c.failures, c.next = 0, time.Time{}
		}
		c.moved = time.Now()
	}
	return news
}

func (k *keeper) drop(ctx context.Context, id peer.ID) error {
	k.mu.Lock()
	delete(k.contacts, id)
	k.mu.Unlock()
	k.dials.disallow(id)
	k.host.ConnManager().Unprotect(id, protectTag)
	err := errors.Join(k.book.remove(ctx, id), k.host.Network().ClosePeer(id))
	k.host.Peerstore().ClearAddrs(id)
	return err
}

func (k *keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default: // it is awake
	}
}

// loop acts on connections that come and go, on names and on time.
func (k *keeper) loop(ctx context.Context, events event.Subscription) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events.Out():
			switch e := e.(type) {
			case event.EvtPeerConnectednessChanged:
				k.connectedness(e.Peer, e.Connectedness)
			case event.EvtPeerIdentificationCompleted:
				k.identified(e)
			}
		case <-k.wake:
		case <-timer.C:
		}
		timer.Reset(min(k.greet(), k.dialDue()))
	}
}

func (k *keeper) connectedness(id peer.ID, now network.Connectedness) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.contacts[id]
	if c == nil {
		return
	}
	if now == network.Connected {
		c.failures, c.lastErr = 0, nil
		return
	}
	c.asked, c.askNext = 0, time.Time{}
	c.next = time.Now().Add(jitter(firstRetry))
}

// identified keeps a peer's record while it is connected, member or not: it may become one.
func (k *keeper) identified(e event.EvtPeerIdentificationCompleted) {
	if e.SignedPeerRecord == nil {
		return
	}
	b, err := e.SignedPeerRecord.Marshal()
	if err != nil {
		return
	}
	if r, err := openRecord(b); err == nil && r.PeerID == e.Peer {
		// The book is bounded; where it refuses, the peer is just not introduced to others.
		k.consume(r, peerstore.ConnectedAddrTTL, true)
	}
}

// consume takes a record into memory, in the place of what is known of the peer unless that is newer. Records are
// numbered by the clock of who signs them. A clock that was ahead once must not keep a peer's later addresses out: what
// the peer itself says over a connection counts whatever its number, and a number of the future as none.
func (k *keeper) consume(r *signedRecord, ttl time.Duration, firstHand bool) bool {
	if known := k.records.GetPeerRecord(r.PeerID); known != nil {
		if old, err := peerRecord(known); err == nil && old.Seq > r.Seq && (firstHand || !olderThan(&r.PeerRecord, old, time.Now())) {
			k.host.Peerstore().ClearAddrs(r.PeerID)
		}
	}
	accepted, err := k.records.ConsumePeerRecord(r.envelope, ttl)
	return err == nil && accepted
}

// dialDue starts the dials whose time has come and says when to look again.
func (k *keeper) dialDue() time.Duration {
	now := time.Now()
	wait := lookAround
	connected := 0
	for _, id := range k.host.Network().Peers() {
		if k.members.IsMember(id) {
			connected++
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, c := range k.contacts {
		if c.busy || k.host.Network().Connectedness(id) == network.Connected {
			continue
		}
		if !c.named && (connected >= enoughMembers || !k.members.IsMember(id)) {
			continue
		}
		if d := c.next.Sub(now); d > 0 {
			wait = min(wait, d)
			continue
		}
		select {
		case k.slots <- struct{}{}:
		default:
			return wait // every place is taken; the end of a dial wakes the loop
		}
		c.busy = true
		connected++
		k.life.run(func(ctx context.Context) {
			defer k.nudge()
			defer func() { <-k.slots }()
			if err := k.dial(ctx, id); err != nil && ctx.Err() == nil {
				k.log.Debug("cannot connect to a member", "peer", id, "error", err)
			}
		})
	}
	return wait
}

// dial makes one attempt and notes how it went.
func (k *keeper) dial(ctx context.Context, id peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	// Our own pauses are the measure; libp2p's would refuse an attempt right after a failed one.
	err := k.host.Connect(network.WithForceDirectDial(ctx, "keeping in touch"), peer.AddrInfo{ID: id})
	if err != nil {
		err = k.explain(id, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.contacts[id]
	if c == nil {
		return err
	}
	c.busy, c.lastErr = false, err
	if err != nil {
		c.next = time.Now().Add(jitter(min(firstRetry<<min(c.failures, 16), lastRetry)))
		c.failures++
	}
	return err
}

// undialled is an error of libp2p without the words that repeat what is said before it.
type undialled struct {
	text  string
	cause error
}

func (e *undialled) Error() string { return e.text }
func (e *undialled) Unwrap() error { return e.cause }

// explain says what libp2p's words mean: with another swarm key the two sides read noise, and it is the first
// negotiation, that of the encryption, that fails or times out. Where the clocks differ by more than an hour, it is the
// certificates of that negotiation that are not valid yet.
func (k *keeper) explain(id peer.ID, err error) error {
	if text := err.Error(); strings.Contains(text, "certificate has expired or is not yet valid") || strings.Contains(text, "bad certificate") {
		return fmt.Errorf("%s refuses or is refused by its certificate: the clock of one of the two machines is wrong; this one says %s: %w",
			id, time.Now().UTC().Format(time.RFC3339), err)
	}
	cause := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "failed to dial: "), "failed to dial "+id.String()+": ") // said here already
	if cause != err.Error() {
		err = &undialled{cause, err}
	}
	if k.dials.private && strings.Contains(err.Error(), "failed to negotiate security protocol") {
		return fmt.Errorf("%s cannot be reached, or has another swarm key: %w", id, err)
	}
	return fmt.Errorf("%s cannot be reached: %w", id, err)
}

// jitter spreads d over half to one and a half times its length, so that nodes do not all dial at once.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
