package p2p

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-varint"

	"github.com/serviceledger/slnode/p2p/swarm"
)

// The withdrawn protocol asks a member what it has seen withdrawn, out of its view and its blocks deleted. The asker
// writes for each the asset id and the index, each a uvarint, and closes its side; the answer has a byte for each, 1
// for yes and 0 for no. It is the member's own word: that it keeps no copy elsewhere nobody can prove.
const withdrawnProtocol = "/serviceledger/1/withdrawn"

const (
	maxAsked         = 1000
	withdrawnTimeout = 15 * time.Second

	shortPerPeer = 4 // streams of a protocol of short answers that one peer has open; one of them is answered at a time
	shortInTotal = 8 // that are answered at the same time
)

// AnswerWithdrawn lets the node answer members that ask what was withdrawn.
func (h *Host) AnswerWithdrawn(isWithdrawn func(swarm.Published) bool) {
	door := newDoor(shortPerPeer, 1, shortInTotal)
	h.host.SetStreamHandler(withdrawnProtocol, func(stream network.Stream) {
		ctx, done, err := h.lifetime.begin(context.Background())
		if err != nil {
			_ = stream.Reset()
			return
		}
		defer done()
		defer context.AfterFunc(ctx, func() { _ = stream.Reset() })()
		if err := h.answerWithdrawn(ctx, door, stream, isWithdrawn); err != nil {
			_ = stream.Reset()
			h.log.Debug("a question about what was withdrawn is not answered", "peer", stream.Conn().RemotePeer(), "error", err)
			return
		}
		_ = stream.Close()
	})
}

func (h *Host) answerWithdrawn(ctx context.Context, door *door, stream network.Stream, isWithdrawn func(swarm.Published) bool) error {
	from := stream.Conn().RemotePeer()
	if !h.members.IsMember(from) {
		return errNotMember
	}
	visit, err := door.enter(from)
	if err != nil {
		return err
	}
	defer visit.leave()
	ctx, cancel := context.WithTimeout(ctx, withdrawnTimeout)
	defer cancel()
	if err := stream.SetDeadline(time.Now().Add(withdrawnTimeout)); err != nil {
		return err
	}
	if err := visit.wait(ctx); err != nil {
		return err
	}
	asked, err := readAsked(stream)
	if err != nil {
		return err
	}
	answer := make([]byte, len(asked))
	for i, one := range asked {
		if isWithdrawn(one) {
			answer[i] = 1
		}
	}
	_, err = stream.Write(answer)
	return err
}

// readAsked reads what an asker writes, every byte of which may be hostile.
func readAsked(r io.Reader) (asked []swarm.Published, err error) {
	in := bufio.NewReader(io.LimitReader(r, 2*maxAsked*binary.MaxVarintLen64+1))
	for {
		asset, err := varint.ReadUvarint(in)
		if err == io.EOF {
			return asked, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read asset %d: %w", len(asked), err)
		}
		index, err := varint.ReadUvarint(in)
		if err != nil || index > math.MaxUint32 {
			return nil, fmt.Errorf("read index %d of asset %d: %w", index, asset, cmp.Or(err, errNoIndex))
		}
		if asked = append(asked, swarm.Published{Asset: asset, Index: uint32(index)}); len(asked) > maxAsked {
			return nil, fmt.Errorf("more than %d are asked for", maxAsked)
		}
	}
}

var errNoIndex = errors.New("no object of a batch can have it")

// AskWithdrawn asks a connected member what of some things that were published, at most 1,000, it has seen withdrawn.
func (h *Host) AskWithdrawn(ctx context.Context, from peer.ID, asked []swarm.Published) ([]bool, error) {
	ctx, done, err := h.lifetime.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if len(asked) > maxAsked {
		return nil, fmt.Errorf("asking for %d at once, at most %d can be", len(asked), maxAsked)
	}
	ctx, cancel := context.WithTimeout(ctx, withdrawnTimeout)
	defer cancel()
	stream, err := h.host.NewStream(network.WithNoDial(ctx, "asked only while connected"), from, withdrawnProtocol)
	if err != nil {
		return nil, fmt.Errorf("ask %s what it has seen withdrawn: %w", from, err)
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { _ = stream.Reset() })()
	var question []byte
	for _, one := range asked {
		question = binary.AppendUvarint(binary.AppendUvarint(question, one.Asset), uint64(one.Index))
	}
	answer := make([]byte, len(asked))
	if _, err = stream.Write(question); err == nil {
		if err = stream.CloseWrite(); err == nil {
			_, err = io.ReadFull(stream, answer)
		}
	}
	if err != nil {
		_ = stream.Reset()
		return nil, fmt.Errorf("ask %s what it has seen withdrawn: %w", from, err)
	}
	seen := make([]bool, len(asked))
	for i, b := range answer {
		seen[i] = b == 1
	}
	return seen, nil
}
