package hostile

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-varint"

	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/keys"
)

// The protocols of docs/PROTOCOL.md, section 14.
const (
	CARProtocol       = "/serviceledger/1/car"
	PeersProtocol     = "/serviceledger/1/peers"
	WithdrawnProtocol = "/serviceledger/1/withdrawn"
)

// maxQuestion is how many directories one CAR question can name.
const maxQuestion = 256

// newHost is a libp2p host on loopback with a member's peer key, in its private swarm if there is one.
func newHost(keys keys.Keys, options ...libp2p.Option) (host.Host, error) {
	options = append(options, libp2p.Identity(keys.Peer), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if text := keys.SwarmKey(); text != nil {
		psk, err := pnet.DecodeV1PSK(bytes.NewReader(text))
		if err != nil {
			return nil, errors.New("the swarm key is malformed")
		}
		options = append(options, libp2p.PrivateNetwork(psk))
	}
	return libp2p.New(options...)
}

// Serve gives directories to whoever asks, as a good member does, whether they are on the chain or not.
func (m *Member) Serve(dirs ...unixfs.Directory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range dirs {
		m.served[d.Root()] = d
	}
}

// Answer is what a member does with a question for directories, instead of giving what it serves. The stream is reset
// where it returns an error, else closed.
type Answer func(stream network.Stream, roots []cid.Cid) error

// AnswerCAR changes how questions for directories are answered.
func (m *Member) AnswerCAR(answer Answer) { m.Host.SetStreamHandler(CARProtocol, m.answerCAR(answer)) }

func (m *Member) answerCAR(answer Answer) network.StreamHandler {
	return func(stream network.Stream) {
		roots, err := readQuestion(stream)
		if err == nil {
			err = answer(stream, roots)
		}
		if err != nil {
			_ = stream.Reset()
			return
		}
		_ = stream.Close()
	}
}

// GiveAll is the answer of a good member: what it serves of what is asked for.
func (m *Member) GiveAll(stream network.Stream, roots []cid.Cid) error {
	_, err := stream.Write(CAR(nil, m.held(roots)...))
	return err
}

// GiveNothing is the answer of a member that has nothing.
func (m *Member) GiveNothing(stream network.Stream, _ []cid.Cid) error {
	_, err := stream.Write(CAR(nil))
	return err
}

// KeepSilent takes a question and neither answers nor closes, until the member leaves the swarm.
func (m *Member) KeepSilent(network.Stream, []cid.Cid) error {
	<-m.left.Done()
	return network.ErrReset
}

// Drip is an answer that gives what the member serves so many bytes at a time, with a pause after each.
func (m *Member) Drip(bytes int, pause time.Duration) Answer {
	return func(stream network.Stream, roots []cid.Cid) error {
		return Drip(stream, CAR(nil, m.held(roots)...), bytes, pause)
	}
}

// Drip writes so many bytes at a time, with a pause after each.
func Drip(w io.Writer, data []byte, n int, pause time.Duration) error {
	for len(data) > 0 {
		n = min(n, len(data))
		if _, err := w.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
		time.Sleep(pause)
	}
	return nil
}

// held gives those of the directories that are served.
func (m *Member) held(roots []cid.Cid) (dirs []unixfs.Directory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, root := range roots {
		if d, found := m.served[root]; found {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

func readQuestion(r io.Reader) ([]cid.Cid, error) {
	in := bufio.NewReader(r)
	n, err := varint.ReadUvarint(in)
	if err != nil || n > maxQuestion {
		return nil, fmt.Errorf("a question for %d directories: %w", n, err)
	}
	roots := make([]cid.Cid, n)
	buf := make([]byte, 36)
	for i := range roots {
		if _, err := io.ReadFull(in, buf); err != nil {
			return nil, err
		}
		if roots[i], err = cid.Cast(buf); err != nil {
			return nil, err
		}
	}
	return roots, nil
}

// Question writes a question for directories.
func Question(roots ...cid.Cid) []byte {
	b := binary.AppendUvarint(nil, uint64(len(roots)))
	for _, root := range roots {
		b = append(b, root.Bytes()...)
	}
	return b
}

// Ask opens a stream to a connected node, writes a question and closes its side. The caller reads the answer.
func (m *Member) Ask(ctx context.Context, node peer.ID, name protocol.ID, question []byte) (network.Stream, error) {
	stream, err := m.Host.NewStream(ctx, node, name)
	if err != nil {
		return nil, err
	}
	if _, err := stream.Write(question); err != nil {
		return nil, errors.Join(err, stream.Reset())
	}
	return stream, stream.CloseWrite()
}

// Get asks the connected nodes, one after the other, for directories, and gives those that it got or serves itself.
func (m *Member) Get(ctx context.Context, roots ...cid.Cid) (map[cid.Cid]unixfs.Directory, error) {
	got := map[cid.Cid]unixfs.Directory{}
	for _, d := range m.held(roots) {
		got[d.Root()] = d
	}
	for _, node := range m.Host.Network().Peers() {
		var wanted []cid.Cid
		for _, root := range roots {
			if _, found := got[root]; !found {
				wanted = append(wanted, root)
			}
		}
		if len(wanted) == 0 {
			break
		}
		stream, err := m.Ask(ctx, node, CARProtocol, Question(wanted...))
		if err != nil {
			continue // another may have it
		}
		dirs, _ := ReadCAR(stream) // what came before it broke off is good
		_ = stream.Close()
		for _, d := range dirs {
			got[d.Root()] = d
		}
	}
	return got, ctx.Err()
}

// Say sends messages of any bytes to the consortium's topic, signed by the member, as soon as a node listens to it. The
// first call joins.
func (m *Member) Say(ctx context.Context, messages ...[]byte) error {
	topic, err := m.join()
	if err != nil {
		return fmt.Errorf("joining the announcements: %w", err)
	}
	for len(topic.ListPeers()) == 0 {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("nobody listens to the topic: %w", ctx.Err())
		}
	}
	for _, message := range messages {
		if err := topic.Publish(ctx, message); err != nil {
			return err
		}
	}
	return nil
}

func (m *Member) join() (*pubsub.Topic, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.topic != nil {
		return m.topic, nil
	}
	gossip, err := pubsub.NewGossipSub(m.left, m.Host, pubsub.WithPeerOutboundQueueSize(1<<14))
	if err != nil {
		return nil, err
	}
	m.topic, err = gossip.Join(fmt.Sprintf("/serviceledger/1/%d", m.Consortium.ID))
	return m.topic, err
}

// Record is a signed peer record of this member that names any addresses, as bytes; the higher its number, the newer it
// is.
func (m *Member) Record(number uint64, addresses ...string) ([]byte, error) {
	r := peer.PeerRecord{PeerID: m.Host.ID(), Seq: number}
	for _, text := range addresses {
		address, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return nil, err
		}
		r.Addrs = append(r.Addrs, address)
	}
	envelope, err := record.Seal(&r, m.Keys.Peer)
	if err != nil {
		return nil, err
	}
	return envelope.Marshal()
}

// Tell answers who asks for peers with records, whatever they are.
func (m *Member) Tell(records ...[]byte) {
	m.Host.SetStreamHandler(PeersProtocol, func(stream network.Stream) {
		for _, r := range records {
			if _, err := stream.Write(append(binary.AppendUvarint(nil, uint64(len(r))), r...)); err != nil {
				_ = stream.Reset()
				return
			}
		}
		_ = stream.Close()
	})
}
