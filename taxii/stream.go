package taxii

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	streamsAtOnce = 256
	streamsOfUser = 16
	streamPage    = 32               // objects that are read for one client at once
	removalPage   = 64               // … and removals
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

// getStream sends what enters a collection as server-sent events, each with an object as data and its date_added as id,
// and what leaves it as events of the type "removed".
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
		more, err := h.sendEvents(x, w, c, &q)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, errGoneClient) {
				h.log.ErrorContext(ctx, "an event stream failed", "request_id", x.id, "error", err)
			}
			return
		}
		if w.Flush() != nil || x.control.Flush() != nil {
			return
		}
		if !more {
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

// errGoneClient is that nobody reads a stream any more.
var errGoneClient = errors.New("the client has gone")

// sendEvents sends some of what came and left after a client's place, in the order of time, and moves that on. It tells
// whether there may be more.
func (h *Handler) sendEvents(x *exchange, w *bufio.Writer, c Collection, q *Query) (more bool, err error) {
	ctx := x.r.Context()
	left, until, more, err := h.removed(ctx, c, q)
	if err != nil || until <= q.After { // something happened in another collection
		return false, err
	}
	page, err := h.store.Objects(ctx, x.who, c, *q)
	if err != nil {
		return false, err
	}
	if !page.empty() {
		h.note(x, Event{Name: EventRead, Root: x.root.Name, Collection: c.ID, Kind: "stream", Count: page.count()})
	}
	for r, err := range h.records(x, page) {
		if err != nil {
			return false, err
		}
		date := r.DateAdded.UnixMicro()
		if date > until { // what left meanwhile is before it, perhaps
			return true, h.sendRest(w, left, until, q)
		}
		if err := h.sendRemoved(w, left, date, q); err != nil {
			return false, err
		}
		if err := h.sendFeedback(w, r); err != nil {
			return false, err
		}
		if err := h.sendConcerns(x, w, r); err != nil {
			return false, err
		}
		if writeEvent(w, r) != nil {
			return false, errGoneClient
		}
		q.After = date
	}
	if page.More {
		return true, nil
	}
	return more, h.sendRest(w, left, until, q)
}

// sendRest sends what left up to a time, of which everything that came before was sent.
func (h *Handler) sendRest(w *bufio.Writer, left []Removal, until int64, q *Query) error {
	err := h.sendRemoved(w, left, until, q)
	if until < math.MaxInt64 {
		q.After = max(q.After, until)
	}
	return err
}

// removed gives what left a collection after a client's place, and up to when that is all: not after the place, if
// nothing came or left since.
func (h *Handler) removed(ctx context.Context, c Collection, q *Query) (left []Removal, until int64, more bool, err error) {
	if h.remover == nil {
		return nil, math.MaxInt64, false, nil
	}
	if until, err = h.observer.Changed(ctx, c); err != nil || until <= q.After {
		return nil, until, false, err
	}
	if left, more, err = h.remover.Removals(ctx, c, q.After, removalPage); err != nil {
		return nil, 0, false, err
	}
	if more {
		until = min(until, left[len(left)-1].Time.UnixMicro())
	}
	wanted := func(r Removal) bool {
		return (len(q.IDs) == 0 || slices.Contains(q.IDs, r.ID)) && (len(q.Types) == 0 || slices.Contains(q.Types, r.Type))
	}
	return slices.DeleteFunc(left, func(r Removal) bool { return !wanted(r) }), until, more, nil
}

// sendRemoved sends what left after the client's place, and not after a time.
func (h *Handler) sendRemoved(w *bufio.Writer, left []Removal, before int64, q *Query) error {
	for _, r := range left {
		at := r.Time.UnixMicro()
		if at <= q.After || at > before {
			continue
		}
		data, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("telling what left: %w", err)
		}
		if _, err := fmt.Fprintf(w, "id: %s\nevent: removed\ndata: %s\n\n", formatTimestamp(r.Time), data); err != nil {
			return errGoneClient
		}
		q.After = at
	}
	return nil
}

// sendFeedback says, before an opinion about an object of this organisation is sent, that it is one. The event has no
// id: whoever didn't get the opinion gets both again.
func (h *Handler) sendFeedback(w *bufio.Writer, r Record) error {
	if h.feedback == nil {
		return nil
	}
	events, err := h.feedback.About(r.Object, r.DateAdded.UnixMicro())
	if err != nil {
		return err
	}
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("telling of feedback: %w", err)
		}
		if _, err := fmt.Fprintf(w, "event: feedback.added\ndata: %s\n\n", data); err != nil {
			return errGoneClient
		}
	}
	return nil
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
