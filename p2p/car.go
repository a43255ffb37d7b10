package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	carstorage "github.com/ipld/go-car/v2/storage"
	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// Directories travel as a CARv1 (ipld.io/specs/transport/car/carv1) with a stricter order than the format asks for:
// directory after directory, each whole and with its blocks in the order of [unixfs.Directory]. So a reader knows at
// every block which one must come, needs memory for one directory, and takes nothing that it did not ask for.

// carOverhead bounds what a block costs in a CAR beyond its bytes: its length and its CID.
const carOverhead = 4 + 36

// maxCARHeader bounds a CAR's header: maxAnnounced roots of some 41 bytes, and a little.
const maxCARHeader = 16 << 10

// carWriter writes directories to a stream.
type carWriter struct {
	car carstorage.WritableCar
}

// newCARWriter writes the header. The roots are what the reader can expect, no promise.
func newCARWriter(w io.Writer, roots []cid.Cid) (*carWriter, error) {
	if roots == nil {
		roots = []cid.Cid{} // a null in the header would be malformed
	}
	c, err := carstorage.NewWritable(w, roots, car.WriteAsCarV1(true), car.AllowDuplicatePuts(true))
	if err != nil {
		return nil, fmt.Errorf("write a CAR header: %w", err)
	}
	return &carWriter{car: c}, nil
}

func (w *carWriter) write(ctx context.Context, bs ...blocks.Block) error {
	for _, b := range bs {
		if err := w.car.Put(ctx, b.Cid().KeyString(), b.RawData()); err != nil {
			return fmt.Errorf("write block %s: %w", b.Cid(), err)
		}
	}
	return nil
}

// carReader reads directories from a stream whose every byte may be hostile.
type carReader struct {
	roots []cid.Cid
	in    *car.BlockReader
	count *countingReader

	room  *semaphore.Weighted // for the chunks of large files; nil where none can come
	taken int64
}

// countingReader counts bytes, to tell the end of a stream from one in the middle of a block.
type countingReader struct {
	io.Reader
	n int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += int64(n)
	return n, err
}

// newCARReader reads the header.
func newCARReader(r io.Reader) (*carReader, error) {
	count := &countingReader{Reader: r}
	in, err := car.NewBlockReader(count,
		car.MaxAllowedHeaderSize(maxCARHeader),
		car.MaxAllowedSectionSize(unixfs.ChunkSize+carOverhead),
		// The reader would hash with whatever function a CID names; verify knows the one it may be.
		car.WithTrustedCAR(true))
	if err != nil {
		return nil, fmt.Errorf("read a CAR header: %w", err)
	}
	if in.Version != 1 {
		return nil, fmt.Errorf("read a CAR header: version %d, not 1", in.Version)
	}
	return &carReader{roots: in.Roots, in: in, count: count}, nil
}

// read gives the next directory, or io.EOF after the last. wanted is asked for its root before
// anything is kept. A *[verdict] is an error that is about that directory; any other is about the
// stream. Nothing can be read after an error.
func (r *carReader) read(ctx context.Context, wanted func(root cid.Cid) bool) (unixfs.Directory, error) {
	r.release()
	root, err := r.block()
	if err != nil {
		return unixfs.Directory{}, err
	}
	if !wanted(root.Cid()) {
		return unixfs.Directory{}, fmt.Errorf("block %s: not asked for", root.Cid())
	}
	level := 0
	d, err := unixfs.Load(ctx, root.Cid(), func(ctx context.Context, want ...cid.Cid) ([]blocks.Block, error) {
		switch level++; {
		case level == 1:
			return []blocks.Block{root}, nil
		case level > 2 && r.room != nil:
			if err := r.room.Acquire(ctx, int64(len(want))); err != nil {
				return nil, err
			}
			r.taken += int64(len(want))
		}
		got := make([]blocks.Block, len(want))
		for i, c := range want {
			b, err := r.block()
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return nil, err
			}
			if b.Cid() != c {
				return nil, fmt.Errorf("block %s where %s must come", b.Cid(), c)
			}
			got[i] = b
		}
		return got, nil
	})
	if errors.Is(err, unixfs.ErrNotDirectory) {
		return unixfs.Directory{}, &verdict{root: root.Cid(), cause: err}
	}
	return d, err
}

// verdict says that what a CID stands for is no directory. It rests on blocks that were checked, whoever gave them.
type verdict struct {
	root  cid.Cid
	cause error
}

func (v *verdict) Error() string { return v.cause.Error() }
func (v *verdict) Unwrap() error { return v.cause }

// release gives the room of the last directory back.
func (r *carReader) release() {
	if r.taken > 0 {
		r.room.Release(r.taken)
		r.taken = 0
	}
}

// block reads one block and checks it against its CID.
func (r *carReader) block() (blocks.Block, error) {
	start := r.count.n
	b, err := r.in.Next()
	switch {
	case err == io.EOF && r.count.n == start:
		return nil, io.EOF
	case err == io.EOF: // which the library also says after a length without its block
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, fmt.Errorf("read a block: %w", err)
	}
	return b, verify(b)
}

// verify checks a block against its CID, which must be one of the two kinds that directories are made of.
func verify(b blocks.Block) error {
	c := b.Cid()
	if !unixfs.IsNode(c) && !unixfs.IsRaw(c) {
		return fmt.Errorf("block %s: a CID of another kind", c)
	}
	sum, err := c.Prefix().Sum(b.RawData())
	if err != nil {
		return fmt.Errorf("hash block %s: %w", c, err)
	}
	if sum != c {
		return fmt.Errorf("block %s: its bytes have another hash", c)
	}
	return nil
}
