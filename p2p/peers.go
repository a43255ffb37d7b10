package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"
)

const (
	firstRetry   = time.Second // doubled with every failure
	lastRetry    = 5 * time.Minute
	dialTimeout  = 15 * time.Second
	dialParallel = 8
	// enoughMembers is how many connections to members a node seeks by itself: gossip and fetching need some, not
	// all. It takes any number that come in.
	enoughMembers = 32
	// A connected member is asked whom it knows at once, again soon (two newcomers may have come at the same moment, and
	// the one they both know could tell neither), then at four times the interval each time, at last at this one.
	askAgainFirst, askAgainLast = 2 * time.Second, 10 * time.Minute
	// lookAround is how often the keeper looks for what no event tells: above all a new member that was connected before.
	lookAround = 15 * time.Second
)

// PeerState is what status shows of a peer that this node knows how to reach.
type PeerState struct {
	ID          peer.ID
	Addrs       []multiaddr.Multiaddr
	Connected   bool
	Since       time.Time // of the connection; zero if there is none
	LastError   string    // of the last attempt; empty after a success
	NextAttempt time.Time // zero while connected
}

// keeper keeps this node connected: to peers it was told of, and to members whose addresses it learnt from other members.
type keeper struct {
	host    host.Host
	dials   *dialGate
	book    *addressBook
	members Members
	log     *slog.Logger
	private bool
	life    *lifetime
	records peerstore.CertifiedAddrBook
	wake    chan struct{}
	slots   chan struct{} // for dials

	mu       sync.Mutex
	contacts map[peer.ID]*contact
}

// contact is a peer that may be dialled: one that the caller named, or any member.
type contact struct {
	named    bool
	busy     bool // being dialled
	failures int
	next     time.Time // of the next attempt
	since    time.Time
	lastErr  error
	asked    int // for its peers, during this connection
	askNext  time.Time
}

func newKeeper(life *lifetime, h host.Host, dials *dialGate, book *addressBook, members Members, log *slog.Logger) (*keeper, error) {
	records, ok := peerstore.GetCertifiedAddrBook(h.Peerstore())
	if !ok {
		return nil, errors.New("the peerstore keeps no signed records")
	}
	k := &keeper{
		records: records, host: h, dials: dials, book: book, members: members, log: log, private: dials.private, life: life,
		wake:     make(chan struct{}, 1),
		slots:    make(chan struct{}, dialParallel),
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

// KeepConnected names peers to stay connected to, those of an invite above all; they need not be members (yet). It dials in
// the background and keeps trying with growing pauses. On the public network a peer without addresses is looked up.
func (h *Host) KeepConnected(peers ...peer.AddrInfo) { h.keeper.name(peers) }

// Connect dials a peer once and returns when the connection stands or has failed.
func (h *Host) Connect(ctx context.Context, p peer.AddrInfo) error {
	ctx, done, err := h.lifetime.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	h.keeper.name([]peer.AddrInfo{p})
	return h.keeper.dial(ctx, p.ID)
}

// Drop closes the connections to a peer and forgets where it is, and that it was named: for a removed member.
func (h *Host) Drop(ctx context.Context, id peer.ID) error {
	ctx, done, err := h.lifetime.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return h.keeper.drop(ctx, id)
}

// Peers lists the peers that this node knows how to reach, in the order of their ids.
func (h *Host) Peers() []PeerState { return h.keeper.states() }

func (k *keeper) name(peers []peer.AddrInfo) {
	k.mu.Lock()
	for _, p := range peers {
		if p.ID == k.host.ID() {
			continue
		}
		k.dials.allow(p.ID)
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
	if accepted, err := k.records.ConsumePeerRecord(r.envelope, peerstore.PermanentAddrTTL); err != nil || !accepted {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.contact(r.PeerID)
	return before == nil || !before.Equal(r.envelope)
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
		c.failures, c.lastErr, c.since = 0, nil, time.Now()
		return
	}
	c.since, c.asked, c.askNext = time.Time{}, 0, time.Time{}
	c.next = time.Now().Add(jitter(firstRetry))
}

// identified keeps a peer's record while it is connected, member or not: it may become one.
func (k *keeper) identified(e event.EvtPeerIdentificationCompleted) {
	if e.SignedPeerRecord == nil {
		return
	}
	// The book is bounded; where it refuses, the peer is just not introduced to others.
	_, _ = k.records.ConsumePeerRecord(e.SignedPeerRecord, peerstore.ConnectedAddrTTL)
}

// protectTag marks members' connections as not to be trimmed.
const protectTag = "slnode-member"

// greet remembers where connected members are, asks those whose time has come for others, and says when to look again.
func (k *keeper) greet() time.Duration {
	now := time.Now()
	wait := lookAround
	for _, id := range k.host.Network().Peers() {
		if !k.members.IsMember(id) || k.host.Network().Connectedness(id) != network.Connected {
			continue
		}
		envelope := k.records.GetPeerRecord(id)
		if envelope == nil {
			continue // not identified yet; an event will tell
		}
		k.mu.Lock()
		c := k.contact(id)
		if c.since.IsZero() {
			c.since = now
		}
		until := c.askNext.Sub(now)
		if until <= 0 {
			until = min(askAgainFirst<<(2*min(c.asked, 10)), askAgainLast)
			c.askNext = now.Add(until)
			c.asked++
			k.host.ConnManager().Protect(id, protectTag)
			k.life.run(func(ctx context.Context) { k.meet(ctx, id, envelope.Marshal) })
		}
		k.mu.Unlock()
		wait = min(wait, until)
	}
	return wait
}

// meet remembers a member's addresses and learns from it of others.
func (k *keeper) meet(ctx context.Context, id peer.ID, own func() ([]byte, error)) {
	if b, err := own(); err == nil {
		if r, err := openRecord(b); err == nil {
			k.learn(r)
			if err := k.book.save(ctx, r); err != nil {
				k.log.Warn("a member's addresses are not remembered", "peer", id, "error", err)
			}
		}
	}
	records, err := askPeers(ctx, k.host, id)
	if err != nil {
		k.log.Debug("a member did not tell whom it knows", "peer", id, "error", err)
		return
	}
	for _, r := range records {
		if !k.members.IsMember(r.PeerID) || !k.learn(r) {
			continue
		}
		if err := k.book.save(ctx, r); err != nil {
			k.log.Warn("a member's addresses are not remembered", "peer", r.PeerID, "error", err)
		}
	}
	k.nudge()
}

// handle answers the peers protocol: members learn of members. It is a [network.StreamHandler].
func (k *keeper) handle(stream network.Stream) {
	from := stream.Conn().RemotePeer()
	ctx, done, err := k.life.begin(context.Background())
	if err != nil || !k.members.IsMember(from) {
		_ = stream.Reset()
		if err == nil {
			done()
		}
		return
	}
	defer done()
	defer context.AfterFunc(ctx, func() { _ = stream.Reset() })()
	if err := stream.SetDeadline(time.Now().Add(peersTimeout)); err != nil {
		_ = stream.Reset()
		return
	}
	if err := writeRecords(stream, k.introductions(from)); err != nil {
		_ = stream.Reset()
		return
	}
	_ = stream.Close()
}

// introductions are the signed records of the members that this node knows, but not the asker's. Of too many, chance chooses.
func (k *keeper) introductions(asker peer.ID) [][]byte {
	k.mu.Lock()
	ids := make([]peer.ID, 0, len(k.contacts))
	for id := range k.contacts { // in no order
		ids = append(ids, id)
	}
	k.mu.Unlock()
	var records [][]byte
	for _, id := range ids {
		if id == asker || !k.members.IsMember(id) {
			continue
		}
		envelope := k.records.GetPeerRecord(id)
		if envelope == nil {
			continue
		}
		b, err := envelope.Marshal()
		if err != nil || len(b) > maxRecord {
			continue
		}
		if records = append(records, b); len(records) == maxRecords {
			break
		}
	}
	return records
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

// explain says what libp2p's words mean: with another swarm key the two sides read noise, and it is the first
// negotiation, that of the encryption, that fails or times out.
func (k *keeper) explain(id peer.ID, err error) error {
	if k.private && strings.Contains(err.Error(), "failed to negotiate security protocol") {
		return fmt.Errorf("%s cannot be reached, or has another swarm key: %w", id, err)
	}
	return fmt.Errorf("%s cannot be reached: %w", id, err)
}

// jitter spreads d over half to one and a half times its length, so that nodes do not all dial at once.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

func (k *keeper) states() []PeerState {
	k.mu.Lock()
	defer k.mu.Unlock()
	states := make([]PeerState, 0, len(k.contacts))
	for id, c := range k.contacts {
		s := PeerState{
			ID:        id,
			Addrs:     k.host.Peerstore().Addrs(id),
			Connected: k.host.Network().Connectedness(id) == network.Connected,
		}
		if s.Connected {
			s.Since = c.since
		} else {
			s.NextAttempt = c.next
			if c.lastErr != nil {
				s.LastError = c.lastErr.Error()
			}
		}
		states = append(states, s)
	}
	slices.SortFunc(states, func(a, b PeerState) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return states
}
