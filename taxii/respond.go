package taxii

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	gzipFrom     = 1400             // bytes below which compression gains nothing
	gzipsAtOnce  = 16               // compressors, of 1.2 MB each; further answers go out as they are
	writeBlock   = 32 << 10         // bytes handed to the connection at once
	writeTime    = 30 * time.Second // for the client to take one block
	downloadRate = 4 << 10          // bytes/s at which an answer must be taken, after that time
)

// sendResource answers with a TAXII resource.
func (h *Handler) sendResource(x *exchange, status int, resource any) error {
	return h.sendJSON(x, status, MediaType, resource)
}

// sendJSON answers with any value as JSON.
func (h *Handler) sendJSON(x *exchange, status int, contentType string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	x.w.Header().Set("Content-Type", contentType)
	h.send(x, status, body)
	return nil
}

// send writes the answer whose body is the parts in their order, compressed
// if that is worth it and the client takes it.
func (h *Handler) send(x *exchange, status int, parts ...[]byte) {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	b := h.openBody(x, status, size)
	defer b.abandon()
	for _, part := range parts {
		// A write fails only if the client is gone, and every one after it.
		if _, err := b.Write(part); err != nil {
			return
		}
	}
	_ = b.close()
}

// body is the body of an answer on its way.
type body struct {
	io.Writer
	out     *bufio.Writer
	z       *gzip.Writer // nil: it is not compressed
	abandon func()       // must be called in the end; does nothing after close
}

// unknownSize is the size of a body that is made while it is sent.
const unknownSize = -1

// openBody begins an answer whose body has so many bytes. To a HEAD nothing of it is sent.
func (h *Handler) openBody(x *exchange, status, size int) *body {
	header := x.w.Header()
	header.Add("Vary", "Accept-Encoding")
	block := writeBlock
	if size != unknownSize {
		block = min(size, block)
	}
	b := &body{out: bufio.NewWriterSize(&download{w: x.w, control: x.control}, block), abandon: func() {}}
	b.Writer = b.out
	head := x.r.Method == http.MethodHead
	switch {
	// A compressor that the client holds up is nobody else's for as long.
	case (size >= gzipFrom || size == unknownSize) && acceptsGzip(x.r.Header) && h.compressing.TryAcquire(1):
		header.Set("Content-Encoding", "gzip")
		b.z = h.gzips.Get().(*gzip.Writer)
		b.z.Reset(b.out)
		b.Writer = b.z
		b.abandon = sync.OnceFunc(func() {
			h.gzips.Put(b.z)
			h.compressing.Release(1)
		})
	case size != unknownSize:
		header.Set("Content-Length", strconv.Itoa(size))
	}
	x.w.WriteHeader(status)
	if head {
		b.Writer = io.Discard
	}
	return b
}

// close ends the body: it is whole.
func (b *body) close() error {
	if b.Writer == io.Discard {
		return nil
	}
	if b.z != nil {
		if err := b.z.Close(); err != nil {
			return err
		}
	}
	return b.out.Flush()
}

// download writes an answer under a deadline that moves on as the client takes it. Who takes it too slowly is given up:
// an answer that drips holds a connection, and what is next to be sent, for hours.
type download struct {
	w       io.Writer
	control *http.ResponseController
	sent    int64
	waited  time.Duration // for the client, all in all
}

func (d *download) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		begun := time.Now()
		left := writeTime + time.Duration(d.sent/downloadRate)*time.Second - d.waited
		_ = d.control.SetWriteDeadline(begun.Add(min(left, writeTime))) // as in discardBody
		block := p[:min(len(p), writeBlock)]
		m, err := d.w.Write(block)
		d.waited += time.Since(begun)
		n += m
		d.sent += int64(m)
		if err != nil {
			return n, err
		}
		p = p[len(block):]
	}
	return n, nil
}

// sendProblem answers with an error resource (section 3.6.1).
func (h *Handler) sendProblem(x *exchange, p *problem) {
	h.discardBody(x)
	for name, values := range p.header {
		x.w.Header()[name] = values
	}
	contentType := MediaType
	if x.accounts {
		contentType = "application/json"
	}
	resource := ErrorResource{
		Title:       http.StatusText(p.status),
		Description: p.description,
		ErrorID:     x.id,
		ErrorCode:   p.code,
		HTTPStatus:  strconv.Itoa(p.status),
	}
	if err := h.sendJSON(x, p.status, contentType, resource); err != nil {
		h.log.ErrorContext(x.r.Context(), "error resource not sent", "request_id", x.id, "error", err)
	}
}
