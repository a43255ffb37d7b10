package taxii

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/serviceledger/slnode/internal/spool"
)

// received are the objects of a body. They are on the disk where they are many.
type received struct {
	spool *spool.Spool
	bad   map[int]error // what is wrong with some of them
}

var _ Objects = (*received)(nil)

func newReceived(dir string, room func() error) *received {
	return &received{spool: spool.New(dir, room), bad: map[int]error{}}
}

// add appends a copy of an object, of which err says what is wrong.
func (r *received) add(raw []byte, err error) error {
	if err != nil {
		r.bad[r.Len()] = err
	}
	err = r.spool.Add(raw)
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// Len is how many there are.
func (r *received) Len() int { return r.spool.Len() }

// At reads one of them.
func (r *received) At(i int) (Incoming, error) {
	raw, err := r.spool.Read(i)
	return Incoming{Raw: raw, Err: r.bad[i]}, err
}

// close gives back what they take.
func (r *received) close() { _ = r.spool.Close() } // nothing is lost with a file that nobody reads any more
