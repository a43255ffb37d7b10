// Package swarm is what a node says of the others in its swarm: who they are, what came from them, and at which
// addresses they and it are reached. The host itself is package p2p.
package swarm

import (
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// Peer is what status shows of a peer that this node knows how to reach.
type Peer struct {
	ID          peer.ID
	Addrs       []multiaddr.Multiaddr // at which it may be dialled
	Connected   bool
	Inbound     bool      // … by itself: this node can be reached
	Since       time.Time // of the connection; zero if there is none
	LastError   string    // of the last attempt; empty after a success
	NextAttempt time.Time // zero while connected
}

// MaxFetch is the greatest number of directories in one fetch.
const MaxFetch = 1024

// Fetched says what a fetch could not get, and what it has at hand.
type Fetched struct {
	Missing   []cid.Cid // not to be had now; another time perhaps
	Malformed []cid.Cid // what the CID stands for is no directory, and never will be

	// Brought are directories that came in this call, as far as they fit in 8 MiB. They are kept like all others;
	// they are here so that they need not be read again at once.
	Brought map[cid.Cid]unixfs.Directory
}

// Published is what an NFT published: all of it or, with an index, one object of a batch.
type Published struct {
	Asset uint64
	Index uint32
}
