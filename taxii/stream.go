package taxii

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	streamsAtOnce = 256
	streamsOfUser = 16
	streamPage    = 32               // objects that are read for one client at once
	heartbeat     = 15 * time.Second // after which a silent stream shows that it lives
	streamRetry   = 3 * time.Second  // after which a client comes again
)

// streams counts the clients of event streams, and ends them.
type streams struct {
	*seats
	heartbeat time.Duration // heartbeat, but for tests
	once      sync.Once
	ended     chan struct{}
}

func newStreams() *streams {
	return &streams{seats: newSeats(streamsAtOnce, streamsOfUser), heartbeat: heartbeat, ended: make(chan struct{})}
}

// EndStreams ends all event streams, now and for good: a server that shuts down
// would wait for them. Clients come again with the last id that they saw.
func (h *Handler) EndStreams() {
	h.streams.once.Do(func() { close(h.streams.ended) })
}

// getStream sends what enters a collection as server-sent events, each with an object as data and its date_added as id.
// It begins after the Last-Event-ID, else after added_after, else now. It is not part of the standard.
//
// Nothing is kept for a client but its place: one that reads too slowly is dropped and takes up where it was.
func (h *Handler) getStream(x *exchange) error {
	c, err := h.readable(x)
	if err != nil {
		return err
	}
	q, err := h.parseStream(x, c)
	if err != nil {
		return err
	}
	leave, ok := h.streams.take(x.who.User)
	if !ok {
		return retryLater(http.StatusTooManyRequests, time.Minute, "There are too many event streams open at once.")
	}
	defer leave()
	header := x.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // nginx would hold events back
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return nil
	}
	_ = x.control.SetReadDeadline(time.Time{}) // else it would end the request; as in discardBody
	h.follow(x, c, q)
	_ = x.control.SetWriteDeadline(time.Now().Add(writeTime)) // for the end of the answer
	return nil
}

// parseStream reads the query string of a stream, and where it begins.
func (h *Handler) parseStream(x *exchange, c Collection) (Query, error) {
	l, err := parseListing(x.r.URL.RawQuery, filters{id: true, kind: true}, PageLimits{Default: streamPage, Max: streamPage})
	if err != nil {
		return Query{}, problemf(http.StatusBadRequest, "%s", err)
	}
	q := l.Query
	q.WithObjects = true
	switch id := x.r.Header.Get("Last-Event-ID"); {
	case id != "":
		t, err := parseInstant(id)
		if err != nil {
			return Query{}, problemf(http.StatusBadRequest, "Last-Event-ID: %s", err)
		}
		q.After = max(0, t.UnixMicro())
	case !x.r.URL.Query().Has("added_after"):
		if q.After, err = h.observer.Changed(x.r.Context(), c); err != nil {
			return Query{}, err
		}
	}
	return q, nil
}

// follow sends events until the client leaves, may not read any more, or the
// server ends. Whatever goes wrong is for the client to see when it comes again.
func (h *Handler) follow(x *exchange, c Collection, q Query) {
	ctx := x.r.Context()
	w := bufio.NewWriterSize(&download{w: x.w, control: x.control}, writeBlock)
	ticker := time.NewTicker(h.streams.heartbeat)
	defer ticker.Stop()
	// An event without data, so that a client that sees no other knows its place too.
	fmt.Fprintf(w, "retry: %d\nid: %s\n\n", streamRetry.Milliseconds(), formatTimestamp(time.UnixMicro(q.After)))
	for {
		select {
		case <-h.streams.ended:
			return
		default:
		}
		changes := h.observer.Changes()
		page, err := h.store.Objects(ctx, x.who, c, q)
		if err != nil {
			if ctx.Err() == nil {
				h.log.ErrorContext(ctx, "an event stream failed", "request_id", x.id, "error", err)
			}
			return
		}
		if !page.empty() {
			h.note(x, Event{Name: EventRead, Root: x.root.Name, Collection: c.ID, Kind: "stream", Count: page.count()})
		}
		for r, err := range h.records(x, page) {
			if err != nil {
				if ctx.Err() == nil {
					h.log.ErrorContext(ctx, "an event stream failed", "request_id", x.id, "error", err)
				}
				return
			}
			if writeEvent(w, r) != nil {
				return
			}
			q.After = r.DateAdded.UnixMicro()
		}
		if w.Flush() != nil || x.control.Flush() != nil {
			return
		}
		if !page.More {
			select {
			case <-ctx.Done():
				return
			case <-h.streams.ended:
				return
			case <-changes:
			case <-ticker.C:
				fmt.Fprint(w, ": still here\n\n")
			}
		}
		// A token that ended and a right that was taken end a stream too.
		if _, err := h.identify(x); err != nil {
			return
		}
		if c, err = h.readable(x); err != nil {
			return
		}
	}
}

// writeEvent writes a record as an event. The object stands there byte for byte, save for its line ends.
func writeEvent(w *bufio.Writer, r Record) error {
	fmt.Fprintf(w, "id: %s\n", formatTimestamp(r.DateAdded))
	object := r.Object
	if bytes.IndexByte(object, '\r') >= 0 { // which ends lines too
		object = bytes.ReplaceAll(bytes.ReplaceAll(object, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
	}
	for line := range bytes.Lines(object) {
		fmt.Fprintf(w, "data: %s\n", bytes.TrimSuffix(line, []byte("\n")))
	}
	_, err := w.WriteString("\n") // w keeps its first error
	return err
}
