package docs_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-varint"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// deadline bounds every wait of these tests.
const deadline = waiting.Limit

// everybody is a member.
type everybody struct{}

func (everybody) IsMember(peer.ID) bool { return true }

// heard takes what the node is told.
type heard struct {
	roots chan []cid.Cid
	round chan uint64
}

func (h heard) Announced(from peer.ID, round uint64, roots []cid.Cid) {
	h.roots <- roots
	h.Hinted(from, round)
}

func (h heard) Hinted(_ peer.ID, round uint64) { h.round <- round }

// ourNode is a node with the example's charter in its store.
func ourNode(ctx context.Context, t *testing.T) *p2p.Host {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	node := must[*p2p.Host](t)(p2p.Open(ctx, p2p.Config{
		Dir: t.TempDir(), Key: key, SwarmKey: []byte(keys(t).SwarmKey), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Members: everybody{},
	}))
	t.Cleanup(func() {
		if err := node.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := node.Put(ctx, []unixfs.Directory{directory(t, "1-charter")}); err != nil {
		t.Fatal(err)
	}
	return node
}

// otherNode is a libp2p host that has nothing of ours, connected to a node.
func otherNode(ctx context.Context, t *testing.T, to *p2p.Host) host.Host {
	t.Helper()
	psk := must[pnet.PSK](t)(pnet.DecodeV1PSK(strings.NewReader(keys(t).SwarmKey)))
	h := must[host.Host](t)(libp2p.New(libp2p.PrivateNetwork(psk), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0")))
	t.Cleanup(func() { _ = h.Close() }) // nothing of it is looked at any more
	if err := h.Connect(ctx, to.AddrInfo()); err != nil {
		t.Fatal(err)
	}
	return h
}

// ask opens a stream, says something, closes its side and reads the answer.
func ask(ctx context.Context, t *testing.T, h host.Host, to peer.ID, protocol protocol.ID, question []byte) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	stream := must[network.Stream](t)(h.NewStream(ctx, to, protocol))
	defer stream.Close()
	if _, err := stream.Write(question); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	return must[[]byte](t)(io.ReadAll(stream))
}

// bytesOf are those of a block that shows them in hex.
func bytesOf(t *testing.T, name string) []byte {
	t.Helper()
	return must[[]byte](t)(hex.DecodeString(strings.Join(strings.Fields(block(t, name)), "")))
}

func TestAnotherImplementationGetsACARAsTheDocumentSays(t *testing.T) {
	ctx := t.Context()
	node := ourNode(ctx, t)
	got := ask(ctx, t, otherNode(ctx, t, node), node.ID(), "/serviceledger/1/car", bytesOf(t, "car-request"))
	if want := vector(t, "answer.car"); !bytes.Equal(got, want) {
		t.Errorf("the answer is\n%x, want\n%x", got, want)
	}
}

func TestAnotherImplementationIsHeardAsTheDocumentSays(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	node := ourNode(ctx, t)
	told := heard{make(chan []cid.Cid, 1), make(chan uint64, 2)}
	must[*p2p.Topic](t)(node.Join(ctx, "1002", told))
	gossip := must[*pubsub.PubSub](t)(pubsub.NewGossipSub(ctx, otherNode(ctx, t, node)))
	topic := must[*pubsub.Topic](t)(gossip.Join("/serviceledger/1/1002"))
	listeners := must[*pubsub.TopicEventHandler](t)(topic.EventHandler())
	defer listeners.Cancel()
	must[pubsub.PeerEvent](t)(listeners.NextPeerEvent(ctx))
	for _, message := range [][]byte{vector(t, "announcement.bin"), bytesOf(t, "hint")} {
		if err := topic.Publish(ctx, message); err != nil {
			t.Fatal(err)
		}
	}
	var rounds []uint64
	for range 3 {
		select {
		case roots := <-told.roots:
			if want := directory(t, "1-charter").Root(); len(roots) != 1 || roots[0] != want {
				t.Errorf("announced: %v, want %s", roots, want)
			}
		case round := <-told.round:
			rounds = append(rounds, round)
		case <-ctx.Done():
			t.Fatal("not heard")
		}
	}
	slices.Sort(rounds) // each message is checked by itself
	if !slices.Equal(rounds, []uint64{10, 50}) {
		t.Errorf("the rounds are %v, want that of the charter and the hinted one", rounds)
	}
}

func TestAnotherImplementationIsToldOfPeersAsTheDocumentSays(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	node := ourNode(ctx, t)
	asker, third := otherNode(ctx, t, node), otherNode(ctx, t, node)
	for {
		answer := bufio.NewReader(bytes.NewReader(ask(ctx, t, asker, node.ID(), "/serviceledger/1/peers", nil)))
		n, err := varint.ReadUvarint(answer)
		if err == io.EOF { // the node has not met the third yet
			select {
			case <-time.After(20 * time.Millisecond):
				continue
			case <-ctx.Done():
				t.Fatal("the node tells of nobody")
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		signed := make([]byte, n)
		if _, err := io.ReadFull(answer, signed); err != nil {
			t.Fatal(err)
		}
		var told peer.PeerRecord
		if _, err := record.ConsumeTypedEnvelope(signed, &told); err != nil {
			t.Fatal(err)
		}
		if told.PeerID != third.ID() || len(told.Addrs) == 0 {
			t.Errorf("told of %s at %v, want %s", told.PeerID, told.Addrs, third.ID())
		}
		return
	}
}
