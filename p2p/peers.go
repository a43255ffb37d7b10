package p2p

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/p2p/swarm"
)

// KeepConnected names peers to stay connected to, those of an invite above all; they need not be members (yet). It
// dials in the background and keeps trying with growing pauses. On the public network a peer without addresses is
// looked up. Members whose addresses are known are dialled without being named; call it with no peers when membership
// has changed, and the node looks at once instead of within 15 s.
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
func (h *Host) Peers() []swarm.Peer { return h.keeper.states() }

func (k *keeper) states() []swarm.Peer {
	k.mu.Lock()
	defer k.mu.Unlock()
	states := make([]swarm.Peer, 0, len(k.contacts))
	for id, c := range k.contacts {
		s := swarm.Peer{
			ID:    id,
			Addrs: k.dials.known(id, k.host.Peerstore().Addrs(id)),
		}
		s.Inbound = slices.ContainsFunc(k.host.Network().ConnsToPeer(id), func(c network.Conn) bool { return c.Stat().Direction == network.DirInbound })
		if s.Since, s.Connected = k.connectedSince(id); !s.Connected {
			s.NextAttempt = c.next
			if c.lastErr != nil {
				s.LastError = c.lastErr.Error()
			}
		}
		states = append(states, s)
	}
	slices.SortFunc(states, func(a, b swarm.Peer) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return states
}

// connectedSince says since when there has been a connection to a peer.
func (k *keeper) connectedSince(id peer.ID) (since time.Time, connected bool) {
	for _, c := range k.host.Network().ConnsToPeer(id) {
		if opened := c.Stat().Opened; !connected || opened.Before(since) {
			since, connected = opened, true
		}
	}
	return since, connected
}
