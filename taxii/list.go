package taxii

import (
	"context"
	"iter"
	"net/http"
	"strconv"
)

const (
	// smallChunk is what a request may hold of a page without asking, in bytes.
	smallChunk = 256 << 10
	// answersBytes is what all requests hold beyond that at most, and
	// answersOfUser those of one user. One object has some MiB at most.
	answersBytes  = 96 << 20
	answersOfUser = 32 << 20
)

// records reads the records of a page. Those that it has not given yet take little memory.
func (h *Handler) records(x *exchange, p Page) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for _, r := range p.Records {
			if !yield(r, nil) {
				return
			}
		}
		for _, chunk := range p.Rest {
			if more, err := h.readChunk(x, chunk, yield); err != nil || !more {
				if err != nil {
					yield(Record{}, err)
				}
				return
			}
		}
	}
}

// readChunk gives the records of a chunk; more is false when no further ones
// are wanted. What it holds in memory counts until they are done with.
func (h *Handler) readChunk(x *exchange, chunk Chunk, yield func(Record, error) bool) (more bool, err error) {
	if chunk.Bytes > smallChunk {
		ctx, cancel := context.WithTimeout(x.r.Context(), memoryWait)
		defer cancel()
		held, err := h.answers.take(ctx, x.who.User, chunk.Bytes)
		if err != nil {
			return false, &RetryAfterError{After: memoryWait}
		}
		defer held.release()
	}
	records, err := chunk.Read()
	if err != nil {
		return false, err
	}
	for _, r := range records {
		if !yield(r, nil) {
			return false, nil
		}
	}
	return true, nil
}

// sendList answers with the records of a page, as a list of the given name. The
// hint is further properties, made of what the first record is encoded as.
func (h *Handler) sendList(x *exchange, p page, name string, encode func(Record) ([]byte, error), hint func(first []byte) string) error {
	x.w.Header().Set("Content-Type", MediaType)
	var parts [][]byte // of an answer that is small
	var long *body     // of one that is not
	for r, err := range h.records(x, p.Page) {
		if err != nil {
			return err
		}
		element, err := encode(r)
		if err != nil {
			return err
		}
		before := []byte(",")
		switch {
		case parts != nil || long != nil:
		case len(p.Rest) > 0:
			before = p.opening(name, hint(element))
			long = h.openBody(x, http.StatusOK, unknownSize)
			defer long.abandon()
		default:
			before = p.opening(name, hint(element))
		}
		if long == nil {
			parts = append(parts, before, element)
			continue
		}
		for _, part := range [][]byte{before, element} {
			if _, err := long.Write(part); err != nil {
				return nil // the client is gone, or too slow: it sees that the answer is not whole
			}
		}
	}
	end := []byte("]}")
	switch {
	case long != nil:
		if _, err := long.Write(end); err == nil {
			_ = long.close() // as above
		}
	case parts == nil: // also if all of it has left the collection since
		h.send(x, http.StatusOK, []byte("{}"))
	default:
		h.send(x, http.StatusOK, append(parts, end)...)
	}
	return nil
}

// opening is a list up to its first element.
func (p page) opening(name, hint string) []byte {
	opening := []byte(`{`)
	if p.More {
		opening = append(opening, `"more":true,"next":`...)
		opening = strconv.AppendQuote(opening, p.next) // base64: nothing in it needs JSON's rules
		opening = append(opening, ',')
	}
	opening = append(opening, hint...)
	opening = strconv.AppendQuote(opening, name)
	return append(opening, ":["...)
}

// noHint adds nothing to a list.
func noHint([]byte) string { return "" }
