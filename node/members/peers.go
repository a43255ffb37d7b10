package members

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/signal"
)

// KeepConnected lets the IPFS node know of every change of membership: newcomers are connected to at once, and the
// connection to a member that was removed is cut.
func (r *Registrar) KeepConnected(ctx context.Context) error {
	return signal.Each(ctx, &r.State.Changed, rememberEvery, func() error {
		r.Host.KeepConnected()
		for _, m := range r.State.Members() {
			id, err := peer.Decode(m.Peer)
			if err != nil || r.State.IsMember(id) {
				continue
			}
			if err := r.Host.Drop(ctx, id); err != nil && ctx.Err() == nil {
				r.Log.Warn("the connection to a former member could not be cut", "member", m.Name, "error", err)
			}
		}
		if err := r.rememberPeers(); err != nil { // it is tried again
			r.Log.Warn("the addresses of members' nodes could not be written down", "error", err)
		}
		return nil
	})
}

// rememberEvery is how often the addresses of the other members are written down.
const rememberEvery = 10 * time.Second

// rememberPeers keeps the members' addresses in the repository's consortium file. A node that lost everything else,
// the founder's too, finds the others by it, and believes them to be members until the chain has told who is.
func (r *Registrar) rememberPeers() error {
	members := map[string]bool{}
	for _, m := range r.State.Members() {
		members[m.Peer] = m.Removed == nil && m.Account != r.State.Self
	}
	var peers []string
	for _, p := range r.Host.Peers() {
		if !members[p.ID.String()] {
			continue
		}
		addresses, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: p.ID, Addrs: p.Addrs})
		if err != nil {
			return fmt.Errorf("the addresses of peer %s: %w", p.ID, err)
		}
		for _, address := range addresses {
			peers = append(peers, address.String())
		}
	}
	slices.Sort(peers)
	if len(peers) == 0 || slices.Equal(peers, r.remembered) {
		return nil
	}
	own := r.Consortium
	own.Peers = peers
	if err := r.Repo.SetConsortium(own); err != nil {
		return err
	}
	r.remembered = peers
	return nil
}

// addresses is how other members reach this node.
func (r *Registrar) addresses() ([]string, error) {
	info := r.Host.AddrInfo()
	addresses, err := peer.AddrInfoToP2pAddrs(&info)
	if err != nil {
		return nil, fmt.Errorf("this node's addresses: %w", err)
	}
	list := make([]string, len(addresses))
	for i, address := range addresses {
		list[i] = address.String()
	}
	return list, nil
}
