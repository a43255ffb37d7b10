package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/multiformats/go-multiaddr"
)

// Members says who belongs to the consortium. It is asked for every request and every message and must be
// quick; its answer may change while the host runs.
type Members interface {
	IsMember(id peer.ID) bool
}

// Config is what a [Host] needs to know.
type Config struct {
	// Dir holds the block store. It is made if absent; one host at a time may use it.
	Dir string

	// Key is the node's identity.
	Key crypto.PrivKey

	// SwarmKey is the content of a swarm.key file ("/key/swarm/psk/1.0.0/", "/base16/", 64 hex digits). It is
	// required, and makes the swarm private, unless Public is set.
	SwarmKey []byte

	// Public joins the public IPFS network instead: DHT client, roots provided, TCP and QUIC, no swarm key.
	Public bool

	// Bootstrap are the public network's first contacts, multiaddresses that end in /p2p/<id>. Nil means the
	// usual ones. Unused in a private swarm.
	Bootstrap []string

	// Listen are the multiaddresses to listen on; none means that this node only dials.
	Listen []string

	// Announce are the multiaddresses told to others instead of those listened on: what a NAT or a firewall makes of them.
	Announce []string

	// Members is who is served and whose announcements count.
	Members Members

	// ServeAnyone gives blocks to every peer that asks.
	ServeAnyone bool

	// Limits bounds memory; its zero value is sensible.
	Limits Limits

	// Logger gets this package's few log lines; nil discards them.
	Logger *slog.Logger

	patience patience // a test has less
}

// patience is how long a host waits for others.
type patience struct {
	request      time.Duration // to open a stream and to get a question across
	idle         time.Duration // without a byte from the other side
	floor        int64         // bytes a second that a stream must make, over all
	transfer     time.Duration // for one CAR answer
	long         time.Duration // for one CAR answer, before others are asked for the same
	slow         time.Duration // for the CAR answers of members that took long before
	bitswap      time.Duration // for one directory
	bitswapTotal time.Duration // for all directories of one Fetch
}

var defaultPatience = patience{
	request:      10 * time.Second,
	idle:         15 * time.Second,
	floor:        8 << 10,
	transfer:     5 * time.Minute,
	long:         2 * time.Second,
	slow:         10 * time.Second,
	bitswap:      10 * time.Second,
	bitswapTotal: 30 * time.Second,
}

// Limits bounds what others can make a host hold in memory. A zero field means its default.
type Limits struct {
	StagedBytes          int64 // blocks of announcements that nobody fetched yet, in total; 32 MiB
	StagedBytesPerAuthor int64 // of those, from one author; half of the total

	AnnouncedBytesPerSecond int // per author, sustained; what comes faster is left to Fetch; 4 MiB
	AnnouncedBytesBurst     int // per author, at once; 16 MiB

	AllAnnouncedBytesPerSecond int // of all authors together; 8 MiB
	AllAnnouncedBytesBurst     int // … at once: gossip holds as much of it in memory, and three seconds more; 24 MiB
}

// ErrSwarmKey means that the key of a private swarm is missing or can't be used.
var ErrSwarmKey = errors.New("the swarm's key, keys/swarm.key,")

// complete checks what was given and fills in the defaults.
func (c *Config) complete() error {
	switch {
	case c.Dir == "":
		return errors.New("no Dir")
	case c.Key == nil:
		return errors.New("no Key")
	case c.Members == nil:
		return errors.New("no Members")
	case c.Public && c.SwarmKey != nil:
		return errors.New("both Public and SwarmKey")
	case !c.Public && c.SwarmKey == nil:
		return fmt.Errorf("%w is missing: put it back from a backup, or join again with a new invite, which the founder has from nobody", ErrSwarmKey)
	}
	if c.SwarmKey != nil {
		if _, err := pnet.DecodeV1PSK(bytes.NewReader(c.SwarmKey)); err != nil {
			return fmt.Errorf("%w is damaged: put it back from a backup, or join again with a new invite, which the founder has from nobody", ErrSwarmKey) // the cause could quote it
		}
	}
	for _, list := range []struct {
		name  string
		addrs []string
	}{{"Listen", c.Listen}, {"Announce", c.Announce}, {"Bootstrap", c.Bootstrap}} {
		for _, a := range list.addrs {
			if _, err := multiaddr.NewMultiaddr(a); err != nil {
				return fmt.Errorf("%s: %q: %w", list.name, a, err)
			}
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.patience == (patience{}) {
		c.patience = defaultPatience
	}
	c.Limits.complete()
	return nil
}

func (l *Limits) complete() {
	setDefault(&l.StagedBytes, 32<<20)
	setDefault(&l.StagedBytesPerAuthor, l.StagedBytes/2)
	setDefault(&l.AnnouncedBytesPerSecond, 4<<20)
	setDefault(&l.AnnouncedBytesBurst, 16<<20)
	setDefault(&l.AllAnnouncedBytesPerSecond, max(8<<20, l.AnnouncedBytesPerSecond))
	setDefault(&l.AllAnnouncedBytesBurst, max(24<<20, l.AnnouncedBytesBurst))
}

func setDefault[T int | int64](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
