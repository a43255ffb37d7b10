package taxii

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	gzipFrom   = 1400             // bytes below which compression gains nothing
	writeBlock = 32 << 10         // bytes handed to the connection at once
	writeTime  = 30 * time.Second // for the client to take one block
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
	header := x.w.Header()
	header.Add("Vary", "Accept-Encoding")
	compress := size >= gzipFrom && acceptsGzip(x.r.Header)
	if compress {
		header.Set("Content-Encoding", "gzip")
	} else {
		header.Set("Content-Length", strconv.Itoa(size))
	}
	x.w.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return
	}

	out := bufio.NewWriterSize(&download{w: x.w, control: x.control}, min(size, writeBlock))
	var w io.Writer = out
	if compress {
		z := h.gzips.Get().(*gzip.Writer)
		defer h.gzips.Put(z)
		z.Reset(out)
		defer out.Flush()
		defer z.Close()
		w = z
	} else {
		defer out.Flush()
	}
	for _, part := range parts {
		// A write fails only if the client is gone, and every one after it.
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}

// download writes an answer under a deadline that moves on as the client
// takes it.
type download struct {
	w       io.Writer
	control *http.ResponseController
}

func (d *download) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		_ = d.control.SetWriteDeadline(time.Now().Add(writeTime)) // as in discardBody
		block := p[:min(len(p), writeBlock)]
		m, err := d.w.Write(block)
		n += m
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
		HTTPStatus:  strconv.Itoa(p.status),
	}
	if err := h.sendJSON(x, p.status, contentType, resource); err != nil {
		h.log.ErrorContext(x.r.Context(), "error resource not sent", "request_id", x.id, "error", err)
	}
}
