package p2p

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-varint"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// A gossip message is one byte that says its kind and version, and what follows:
//
//	1  an announcement: a chain round as a uvarint, then a CARv1 in the order of car.go. Its roots are directories that
//	   were confirmed in that round, its blocks those of the roots that come inline: all of a directory or nothing, in
//	   the order of the roots.
//	2  a hint: a chain round as a uvarint. "Look: something of mine was confirmed in it."
//
// A message of a kind that a node does not know is passed over without penalty, so that later versions can add some.
const (
	kindAnnouncement = 1
	kindHint         = 2
)

const (
	// maxMessage bounds a message, in bytes, well below what gossipsub takes (1 MiB). A directory of
	// everyday size has some 2 to 4 kB.
	maxMessage = 256 << 10
	// maxAnnounced bounds the directories of one announcement.
	maxAnnounced = 256
	// announcedHead is the most that an announcement has before its CAR, in bytes: the kind and the round.
	announcedHead = 1 + varint.MaxLenUvarint63
)

// errUnknownKind is for a message of a later version.
var errUnknownKind = errors.New("a message of an unknown kind")

// message is a decoded gossip message about a round: an announcement if it has roots, else a hint.
type message struct {
	roots []cid.Cid
	dirs  []unixfs.Directory // of the roots, those that came inline
	round uint64
}

// encodeAnnouncements packs directories of a round into as few messages as their number and size allow. A directory
// that would not fit into a message of its own is announced by its root only.
func encodeAnnouncements(ctx context.Context, round uint64, dirs []unixfs.Directory) ([][]byte, error) {
	var messages [][]byte
	for len(dirs) > 0 {
		n, size := 0, announcedHead
		for n < len(dirs) && n < maxAnnounced {
			next := carHeaderSize(n+1) + size + inlineSize(dirs[n])
			if n > 0 && next > maxMessage {
				break
			}
			size += inlineSize(dirs[n])
			n++
		}
		m, err := encodeAnnouncement(ctx, round, dirs[:n])
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
		dirs = dirs[n:]
	}
	return messages, nil
}

func encodeAnnouncement(ctx context.Context, round uint64, dirs []unixfs.Directory) ([]byte, error) {
	buf := bytes.NewBuffer(binary.AppendUvarint([]byte{kindAnnouncement}, round))
	roots := make([]cid.Cid, len(dirs))
	for i, d := range dirs {
		roots[i] = d.Root()
	}
	w, err := newCARWriter(buf, roots)
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		if inlineSize(d) == 0 {
			continue
		}
		if err := w.write(ctx, d.Blocks()...); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), nil
}

// carHeaderSize is at least what the header of a CAR with n roots takes.
func carHeaderSize(n int) int { return 64 + n*(5+cidLength) }

// inlineSize is at least what a directory takes in a message: nothing if it is too large to come inline.
func inlineSize(d unixfs.Directory) int {
	size := d.Size() + len(d.Blocks())*carOverhead
	if carHeaderSize(1)+announcedHead+size > maxMessage {
		return 0
	}
	return size
}

func encodeHint(round uint64) []byte {
	return binary.AppendUvarint([]byte{kindHint}, round)
}

// decodeMessage reads a message whose every byte may be hostile, and checks every block.
func decodeMessage(ctx context.Context, b []byte) (message, error) {
	if len(b) == 0 || len(b) > maxMessage {
		return message{}, fmt.Errorf("a message of %d bytes", len(b))
	}
	kind, body := b[0], b[1:]
	switch kind {
	case kindAnnouncement:
		return decodeAnnouncement(ctx, body)
	case kindHint:
		round, n, err := varint.FromUvarint(body)
		if err != nil {
			return message{}, fmt.Errorf("read a hint: %w", err)
		}
		if n != len(body) {
			return message{}, fmt.Errorf("read a hint: %d bytes too many", len(body)-n)
		}
		return message{round: round}, nil
	default:
		return message{}, errUnknownKind
	}
}

func decodeAnnouncement(ctx context.Context, body []byte) (message, error) {
	round, n, err := varint.FromUvarint(body)
	if err != nil {
		return message{}, fmt.Errorf("read the round of an announcement: %w", err)
	}
	car, err := newCARReader(bytes.NewReader(body[n:]))
	if err != nil {
		return message{}, err
	}
	if len(car.roots) == 0 || len(car.roots) > maxAnnounced {
		return message{}, fmt.Errorf("%d directories announced, 1 to %d allowed", len(car.roots), maxAnnounced)
	}
	m := message{round: round, roots: car.roots}
	position := make(map[cid.Cid]int, len(m.roots))
	for i, c := range m.roots {
		if !unixfs.IsNode(c) {
			return message{}, fmt.Errorf("root %d, %s, is no directory's", i, c)
		}
		if _, twice := position[c]; twice {
			return message{}, fmt.Errorf("root %s is announced twice", c)
		}
		position[c] = i
	}
	next := 0 // the first root that may still come
	for {
		d, err := car.read(ctx, func(root cid.Cid) bool {
			i, announced := position[root]
			return announced && i >= next
		})
		if err == io.EOF {
			return m, nil
		}
		if err != nil {
			return message{}, err
		}
		next = position[d.Root()] + 1
		m.dirs = append(m.dirs, d)
	}
}
