package p2p

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

// As in Kubo: below this number of connections the first contacts are dialled, looked at this often.
const (
	publicConnections = 4
	publicInterval    = 30 * time.Second
)

// provide tells the public network of directories that were stored. It is told of them again later: see announceKept.
func (h *Host) provide(roots []multihash.Multihash) {
	if err := h.node.Provider.StartProviding(false, roots...); err != nil {
		h.log.Debug("new directories can't be announced to the public network now", "error", err)
	}
}

// stayInPublicNetwork keeps the DHT alive through its first contacts. Boxo's bootstrapper does the same but cannot be
// waited for, and without a list of its own on disk it stops after its first round.
func (h *Host) stayInPublicNetwork(ctx context.Context, first []peer.AddrInfo) {
	if err := h.node.Routing.Bootstrap(ctx); err != nil {
		h.log.Warn("the DHT does not start", "error", err)
	}
	ticker := time.NewTicker(publicInterval)
	defer ticker.Stop()
	for {
		if need := publicConnections - len(h.host.Network().Peers()); need > 0 {
			var dials sync.WaitGroup
			for _, i := range rand.Perm(len(first))[:min(need, len(first))] {
				dials.Go(func() {
					ctx, cancel := context.WithTimeout(ctx, dialTimeout)
					defer cancel()
					if err := h.host.Connect(ctx, first[i]); err != nil {
						h.log.Debug("cannot reach a first contact of the public network", "peer", first[i].ID, "error", err)
					}
				})
			}
			dials.Wait()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
