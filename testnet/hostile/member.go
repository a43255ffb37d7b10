// Package hostile is a member of a consortium that keeps to no rule, for tests against real nodes. It has what a thief
// of a repository has: the member's account, peer key, identity and swarm key. With these it mints any NFT about any
// directory, serves and announces what it likes, answers as it likes, and keeps silent where it likes.
//
// A test admits an organisation whose daemon does not run and gives its repository to [Open]. What the member does by
// the rules is one call ([Member.Publish], [Member.Serve], [Member.Learn]); everything below it is open to the test:
// [Member.Mint] takes any transaction parameters, [Member.Host] is a libp2p host whose stream handlers can be replaced,
// [Member.Say] sends any bytes to the gossip topic, and [CAR] and its like write the formats, whole or broken.
//
// It shares the formats with the node (packages wire, consortium, ledger, p2p), but none of its courtesy: no check of
// its own stands between a test and the wire.
package hostile

import (
	"context"
	"fmt"
	"sync"

	"github.com/ipfs/go-cid"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/keys"
)

// Member is a hostile member. Its methods may be called from many goroutines.
type Member struct {
	Keys       keys.Keys
	Config     config.Config
	Consortium repo.Consortium
	Ledger     *ledger.Ledger
	Host       host.Host // in the swarm, with the member's peer key

	mu       sync.Mutex
	sequence uint64                       // the last number that was given
	served   map[cid.Cid]unixfs.Directory // see Serve
	topic    *pubsub.Topic

	left  context.Context // ends with Close
	leave context.CancelFunc
}

// Open takes the repository of an organisation that was admitted and whose daemon does not run, and comes up in the
// swarm with its keys. It listens on loopback, dials nobody by itself, and has nothing to give.
func Open(dir string) (*Member, error) {
	keys, err := repo.ReadKeys(dir, nil)
	if err != nil {
		return nil, err
	}
	config, err := config.Read(dir)
	if err != nil {
		return nil, err
	}
	own, err := repo.ReadConsortium(dir)
	if err != nil {
		return nil, err
	}
	if own == nil {
		return nil, fmt.Errorf("%s belongs to no consortium", dir)
	}
	client, err := algorand.NewAlgod(config.Algorand.AlgodURL, config.Algorand.AlgodToken)
	if err != nil {
		return nil, err
	}
	m := &Member{
		Keys: keys, Config: config, Consortium: *own, Ledger: ledger.New(client, keys.Account, maxFee), served: map[cid.Cid]unixfs.Directory{},
	}
	m.left, m.leave = context.WithCancel(context.Background())
	if m.Host, err = newHost(keys); err != nil {
		return nil, fmt.Errorf("coming up in the swarm: %w", err)
	}
	m.Host.SetStreamHandler(CARProtocol, m.answerCAR(m.GiveAll))
	return m, nil
}

// Close leaves the swarm.
func (m *Member) Close() error {
	m.leave()
	return m.Host.Close()
}

// Address is the member's account.
func (m *Member) Address() string { return m.Keys.Address() }

// DirectoryOf is the directory of a draft, which is the member's unless it was drafted by somebody else.
func (m *Member) DirectoryOf(d consortium.Draft) (unixfs.Directory, error) {
	if d.Metadata == nil {
		var err error
		if d, err = d.By(m.Address()); err != nil {
			return unixfs.Directory{}, err
		}
	}
	return Directory(d.Metadata, d.PayloadName, d.Payload)
}

// Directory is a directory of metadata.json and one payload, whatever is in them.
func Directory(metadata []byte, payloadName string, payload []byte) (unixfs.Directory, error) {
	return unixfs.Build(unixfs.File{Name: unixfs.MetadataName, Data: metadata}, unixfs.File{Name: payloadName, Data: payload})
}
