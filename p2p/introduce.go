package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A connected member is asked whom it knows at once, again soon (two newcomers may have come at the same moment, and
// the one they both know could tell neither), then at four times the interval each time, at last at this one.
const askAgainFirst, askAgainLast = 2 * time.Second, 10 * time.Minute

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
	if err := k.answer(stream, stream.Conn().RemotePeer()); err != nil {
		_ = stream.Reset()
		return
	}
	_ = stream.Close()
}

func (k *keeper) answer(stream network.Stream, from peer.ID) error {
	if !k.members.IsMember(from) {
		return errNotMember
	}
	ctx, done, err := k.life.begin(context.Background())
	if err != nil {
		return err
	}
	defer done()
	visit, err := k.door.enter(from)
	if err != nil {
		return err
	}
	defer visit.leave()
	ctx, cancel := context.WithTimeout(ctx, peersTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = stream.Reset() })()
	if err := visit.wait(ctx); err != nil {
		return err
	}
	if err := stream.SetDeadline(time.Now().Add(peersTimeout)); err != nil {
		return err
	}
	return writeRecords(stream, k.introductions(from))
}

// introductions are the signed records of the members that this node knows, but not the asker's. Of too many, chance
// chooses.
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
