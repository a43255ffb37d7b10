package taxii

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	uploadGrace  = 30 * time.Second // for a body to begin to arrive
	uploadRate   = 4 << 10          // bytes/s that a body must keep up after that
	discardTime  = 10 * time.Second // spent on reading a body that is refused
	memoryWait   = 30 * time.Second // for a large body's turn
	bodiesAtOnce = 4                // of the largest size, on the disk
	bodiesOfUser = 2                // of those, at most
	readBlock    = 64 << 10         // bytes read at once
)

// readObjects reads the objects of a request's body, inflated if it is compressed, as it arrives, and keeps them on the
// disk if they are many. The body is bounded by the server's max_content_length, all bodies at once by bodiesAtOnce
// times that: release gives its share back and must be called once the objects are no longer used, if there was no
// error.
func (h *Handler) readObjects(x *exchange) (a Addition, release func(), err error) {
	limit := h.maxContentLength
	compressed, err := isCompressed(x.r.Header)
	if err != nil {
		return a, nil, err
	}
	if x.r.ContentLength > limit {
		return a, nil, h.tooLarge()
	}

	// A body of unknown size counts as one of the largest until it is read.
	share := limit
	if x.r.ContentLength >= 0 && !compressed {
		share = x.r.ContentLength
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), memoryWait)
	defer cancel()
	held, err := h.bodies.take(ctx, x.who.User, share)
	if err != nil {
		return a, nil, &RetryAfterError{After: memoryWait}
	}
	objects := newReceived(h.spool, h.room)
	end := func() {
		objects.close()
		held.release()
	}
	defer func() {
		if err != nil {
			end()
		}
	}()

	var source io.Reader = newUpload(x)
	if compressed {
		source, err = gzip.NewReader(source)
		if err != nil {
			return a, nil, bodyProblem(err)
		}
	}
	body := &bounded{body: source, left: limit}
	// Each read moves two deadlines, so that few large ones are wanted.
	a, err = decodeEnvelope(bufio.NewReaderSize(body, int(min(share, readBlock))), objects)
	switch {
	case errors.Is(body.err, errTooLarge):
		return a, nil, h.tooLarge()
	case body.err != nil:
		return a, nil, bodyProblem(body.err)
	case err != nil:
		return a, nil, err
	}
	size := limit - body.left
	// From here on the connection is only watched for the client leaving, and no deadline is to be taken for that.
	_ = x.control.SetReadDeadline(time.Time{})
	_ = x.control.SetWriteDeadline(time.Time{})
	held.shrink(size)
	return a, end, nil
}

// isCompressed tells whether a body is.
func isCompressed(header http.Header) (bool, error) {
	switch coding := header.Get("Content-Encoding"); strings.ToLower(coding) {
	case "", "identity":
		return false, nil
	case "gzip", "x-gzip":
		return true, nil
	default:
		return false, problemf(http.StatusUnsupportedMediaType, "Content-Encoding %.40q is not known; send gzip or none.", coding).
			with("Accept-Encoding", "gzip")
	}
}

// errTooLarge says that a body goes on beyond its bound.
var errTooLarge = errors.New("the body is too large")

// bounded reads a body up to a bound, and remembers why it ended if that was
// not its end: what a decoder makes of it is then of no interest.
type bounded struct {
	body io.Reader
	left int64 // bytes
	err  error // the first that was not io.EOF
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.body.Read(p[:min(int64(len(p)), b.left+1)])
	if int64(n) > b.left {
		n, err = int(b.left), errTooLarge
	}
	b.left -= int64(n)
	if err != nil && err != io.EOF && b.err == nil {
		b.err = err
	}
	return n, err
}

func (h *Handler) tooLarge() error {
	return problemf(http.StatusRequestEntityTooLarge, "The body is larger than this server's max_content_length, %d bytes.", h.maxContentLength)
}

// bodyProblem is the answer to a body that can't be read.
func bodyProblem(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problemf(http.StatusRequestTimeout, "The body arrived too slowly.")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return problemf(http.StatusBadRequest, "The body is not gzip as its Content-Encoding says.")
	}
	return problemf(http.StatusBadRequest, "The body ended early or is damaged.")
}

// discardBody reads on in a body that is refused, so that a client that sends all of it before it looks for an answer
// finds the answer and not a broken connection. Its effort is bounded.
func (h *Handler) discardBody(x *exchange) {
	if x.r.Body == nil || x.r.Body == http.NoBody {
		return
	}
	if x.r.Header.Get("Expect") != "" { // the client waits for a go-ahead
		return
	}
	// An error only says that this connection knows no deadlines, as in tests.
	_ = x.control.SetReadDeadline(time.Now().Add(discardTime))
	_, _ = io.CopyN(io.Discard, x.r.Body, 2*h.maxContentLength)
}

// upload reads a body under a deadline that moves on as bytes arrive: large
// bodies on slow lines get through, stalled ones do not hold on to memory.
type upload struct {
	body    io.Reader
	control *http.ResponseController
	start   time.Time
	read    int64
}

func newUpload(x *exchange) *upload {
	return &upload{body: x.r.Body, control: x.control, start: time.Now()}
}

func (u *upload) Read(p []byte) (int, error) {
	deadline := u.start.Add(uploadGrace + time.Duration(u.read/uploadRate)*time.Second)
	_ = u.control.SetReadDeadline(deadline)                 // as in discardBody
	_ = u.control.SetWriteDeadline(deadline.Add(writeTime)) // the server's own counts from the request's start
	n, err := u.body.Read(p)
	u.read += int64(n)
	return n, err
}
