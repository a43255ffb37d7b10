package p2p

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-varint"
	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// The CAR stream protocol: one stream, one question, one answer.
//
// The question is the number of directories (a uvarint, 1 to 1,000) and that many root CIDs in binary, 36 bytes each;
// then the asker closes its side. The answer is a CARv1 in the order of car.go with those of the directories
// that the answerer has, in the order asked; what it does not have is simply absent. An answerer may end the answer
// early after 16 MiB; who got something but not everything asks again.
const carProtocol = "/serviceledger/1/car"

const (
	maxRequest   = 1000 // directories: those of a batch
	cidLength    = 36   // of a binary CIDv1 with a SHA-256
	answerLimit  = 16 << 20
	maxAnswer    = answerLimit + unixfs.MaxBytes + (1 << 20) // what an honest answer can come to
	streamBuffer = 64 << 10

	streamsPerPeer = 2  // answered at the same time
	queuePerPeer   = 16 // streams that are answered or wait
	streamsInTotal = 16 // answered at the same time; each holds a few MiB
)

func encodeRequest(roots []cid.Cid) []byte {
	b := binary.AppendUvarint(nil, uint64(len(roots)))
	for _, c := range roots {
		b = append(b, c.Bytes()...)
	}
	return b
}

func decodeRequest(r io.Reader) ([]cid.Cid, error) {
	in := bufio.NewReaderSize(io.LimitReader(r, 2+maxRequest*cidLength), 1<<10)
	n, err := varint.ReadUvarint(in)
	if err != nil {
		return nil, fmt.Errorf("read the number of directories: %w", err)
	}
	if n == 0 || n > maxRequest {
		return nil, fmt.Errorf("%d directories asked for, 1 to %d allowed", n, maxRequest)
	}
	roots := make([]cid.Cid, n)
	buf := make([]byte, cidLength)
	for i := range roots {
		if _, err := io.ReadFull(in, buf); err != nil {
			return nil, fmt.Errorf("read CID %d: %w", i, err)
		}
		c, err := cid.Cast(buf)
		if err != nil {
			return nil, fmt.Errorf("read CID %d: %w", i, err)
		}
		if !unixfs.IsNode(c) {
			return nil, fmt.Errorf("CID %d, %s, is no directory's", i, c)
		}
		roots[i] = c
	}
	return roots, nil
}

// carServer answers members.
type carServer struct {
	lifetime *lifetime
	store    *store
	members  Members
	anyone   bool
	wait     patience
	log      *slog.Logger
	door     *door
	most     int // bytes after which an answer ends: answerLimit, but for tests
}

func newCARServer(l *lifetime, s *store, members Members, anyone bool, wait patience, log *slog.Logger) *carServer {
	return &carServer{
		lifetime: l, store: s, members: members, anyone: anyone, wait: wait, log: log,
		door: newDoor(queuePerPeer, streamsPerPeer, streamsInTotal), most: answerLimit,
	}
}

// handle is a [network.StreamHandler].
func (s *carServer) handle(stream network.Stream) {
	from := stream.Conn().RemotePeer()
	if err := s.serve(stream, from); err != nil {
		_ = stream.Reset() // the other side learns that the answer is not complete
		s.log.Debug("CAR stream ended early", "peer", from, "error", err)
		return
	}
	_ = stream.Close()
}

var errNotMember = errors.New("not a member")

func (s *carServer) serve(stream network.Stream, from peer.ID) error {
	if !s.anyone && !s.members.IsMember(from) {
		return errNotMember
	}
	ctx, done, err := s.lifetime.begin(context.Background())
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, s.wait.transfer)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = stream.Reset() })()

	visit, err := s.door.enter(from)
	if err != nil {
		return err
	}
	defer visit.leave()
	if err := stream.SetReadDeadline(time.Now().Add(s.wait.request)); err != nil {
		return fmt.Errorf("set a deadline: %w", err)
	}
	roots, err := decodeRequest(stream)
	if err != nil {
		return fmt.Errorf("read the question: %w", err)
	}
	if err := visit.wait(ctx); err != nil {
		return err
	}
	return s.answer(ctx, s.wait.writer(stream), from, roots)
}

func (s *carServer) answer(ctx context.Context, w io.Writer, from peer.ID, roots []cid.Cid) error {
	out := bufio.NewWriterSize(w, streamBuffer)
	car, err := newCARWriter(out, nil)
	if err != nil {
		return err
	}
	sent := 0
	for _, root := range roots {
		if sent >= s.most {
			break
		}
		if !s.anyone && !s.members.IsMember(from) {
			return errNotMember // since the question came
		}
		n, err := s.store.copy(ctx, root, car)
		if errors.Is(err, unixfs.ErrNotFound) || errors.Is(err, unixfs.ErrNotDirectory) {
			continue
		}
		if err != nil {
			return err
		}
		sent += n
	}
	return out.Flush()
}

// askCAR asks one connected peer for directories and hands them on as they come, each checked. An error says that the
// answer broke off; what was handed on before stays good. A large one takes room, in chunks, until it was handed on.
func (h *Host) askCAR(ctx context.Context, from peer.ID, roots []cid.Cid, deliver func(unixfs.Directory) error) error {
	ctx, cancel := context.WithTimeout(ctx, h.wait.transfer)
	defer cancel()
	opening, cancelOpening := context.WithTimeout(ctx, h.wait.request)
	defer cancelOpening()
	stream, err := h.host.NewStream(network.WithNoDial(opening, "members are dialled elsewhere"), from, carProtocol)
	if err != nil {
		return fmt.Errorf("open a CAR stream to %s: %w", from, err)
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { _ = stream.Reset() })()

	if err := stream.SetWriteDeadline(time.Now().Add(h.wait.request)); err != nil {
		return fmt.Errorf("set a deadline: %w", err)
	}
	if _, err := io.Copy(stream, bytes.NewReader(encodeRequest(roots))); err != nil {
		_ = stream.Reset()
		return fmt.Errorf("ask %s: %w", from, err)
	}
	if err := stream.CloseWrite(); err != nil {
		_ = stream.Reset()
		return fmt.Errorf("ask %s: %w", from, err)
	}
	if err := readAnswer(ctx, h.wait.reader(stream), h.large, roots, deliver); err != nil {
		_ = stream.Reset()
		return fmt.Errorf("answer of %s: %w", from, err)
	}
	return nil
}

// readAnswer takes an answer apart. Directories that were not asked for, or that come twice, are an error.
func readAnswer(ctx context.Context, r io.Reader, room *semaphore.Weighted, roots []cid.Cid, deliver func(unixfs.Directory) error) error {
	in, err := newCARReader(bufio.NewReaderSize(io.LimitReader(r, maxAnswer), streamBuffer))
	if err != nil {
		return err
	}
	in.room = room
	defer in.release()
	open := cid.NewSet()
	for _, c := range roots {
		open.Add(c)
	}
	for {
		d, err := in.read(ctx, open.Has)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		open.Remove(d.Root())
		if err := deliver(d); err != nil {
			return err
		}
	}
}
