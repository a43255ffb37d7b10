package members

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/repo"
)

// KeepConnected lets the IPFS node know of every change of membership: newcomers are connected to at once, and the
// connection to a member that was removed is cut.
func (r *Registrar) KeepConnected(ctx context.Context) error {
	return signal.Each(ctx, &r.State.Changed, rememberEvery, func() error {
		r.Host.KeepConnected()
		r.sayMembership()
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

// sayMembership says in the log that this organisation was removed, and that it is a member again.
func (r *Registrar) sayMembership() {
	if !r.State.Begun() { // at the start nobody is a member yet, as far as we know
		return
	}
	why := r.State.Excluded()
	switch {
	case why == r.excluded, r.isFounding():
		return
	case why != "":
		r.Log.Warn("this organisation is no member: nothing of it counts, and other members give it no blocks", "reason", why)
	default:
		r.Log.Info("this organisation is a member again")
	}
	r.excluded = why
}

// isFounding reports whether this organisation has founded the consortium and its own membership is on its way.
func (r *Registrar) isFounding() bool {
	if _, known := r.State.Member(r.State.Self); known {
		return false
	}
	f, err := readFounding(r.Repo)
	return err == nil && f != nil && f.Group.TxIDs[0] == r.Consortium.Charter
}

// rememberEvery is how often the addresses of the other members are written down.
const rememberEvery = 10 * time.Second

// rememberPeers keeps the members' addresses and names in the repository's consortium file. A node that lost everything
// else, the founder's too, finds the others by it, and believes them to be members until the chain has told who is.
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
	own := r.Consortium
	own.Members = r.names()
	if len(peers) > 0 {
		own.Peers = peers
	} else if r.remembered.Peers != nil {
		own.Peers = r.remembered.Peers
	}
	if reflect.DeepEqual(own, r.remembered) || len(own.Members) == 0 {
		return nil
	}
	if err := r.Repo.SetConsortium(own); err != nil {
		return err
	}
	r.remembered = own
	return nil
}

// names are the names of the members by their accounts, those that they had before, too.
func (r *Registrar) names() map[string]string {
	names := map[string]string{}
	for _, m := range r.State.Members() {
		if !m.Known {
			continue
		}
		for _, account := range append(slices.Clone(m.Former), m.Account) {
			names[account] = m.Name
		}
	}
	return names
}

// own is the consortium with the names that its members have now.
func (r *Registrar) own() repo.Consortium {
	own := r.Consortium
	own.Members = r.names()
	return own
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
