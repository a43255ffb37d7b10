package taxii

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// StatusResource is what became of a request to add objects (section 4.3.1).
type StatusResource struct {
	ID               string                 `json:"id"`
	Status           string                 `json:"status"` // "complete" or "pending"
	RequestTimestamp string                 `json:"request_timestamp,omitempty"`
	TotalCount       int                    `json:"total_count"`
	SuccessCount     int                    `json:"success_count"`
	Successes        []StatusDetailResource `json:"successes,omitempty"`
	FailureCount     int                    `json:"failure_count"`
	Failures         []StatusDetailResource `json:"failures,omitempty"`
	PendingCount     int                    `json:"pending_count"`
	Pendings         []StatusDetailResource `json:"pendings,omitempty"`
}

// StatusDetailResource is what became of one object.
type StatusDetailResource struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Message string `json:"message,omitempty"`
	Note    string `json:"x_slnode_note,omitempty"`
	Evidence
}

// counts tells how many objects there are in each list.
func (s Status) counts() (successes, failures, pendings int) {
	successes, failures, pendings = len(s.Successes), len(s.Failures), len(s.Pendings)
	for _, chunk := range s.Rest {
		successes, failures, pendings = successes+chunk.Successes, failures+chunk.Failures, pendings+chunk.Pendings
	}
	return successes, failures, pendings
}

// resource counts what the lists hold and lists what is in memory: a client checks that both agree, and that the counts
// add up.
func (s Status) resource() StatusResource {
	resource := StatusResource{
		ID:               s.ID,
		Status:           "complete",
		RequestTimestamp: formatOptional(s.RequestedAt),
		Successes:        details(s.Successes, s.RequestedAt),
		Failures:         details(s.Failures, s.RequestedAt),
		Pendings:         details(s.Pendings, s.RequestedAt),
	}
	resource.SuccessCount, resource.FailureCount, resource.PendingCount = s.counts()
	resource.TotalCount = resource.SuccessCount + resource.FailureCount + resource.PendingCount
	if resource.PendingCount > 0 {
		resource.Status = "pending"
	}
	return resource
}

// sendStatus answers with a status.
func (h *Handler) sendStatus(x *exchange, code int, s Status) error {
	if s.Rest == nil {
		return h.sendResource(x, code, s.resource())
	}
	head := s.resource()
	head.Successes, head.Failures, head.Pendings = nil, nil, nil
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	x.w.Header().Set("Content-Type", MediaType)
	body := h.openBody(x, code, unknownSize)
	defer body.abandon()
	if _, err := body.Write(text[:len(text)-1]); err != nil {
		return nil // the client is gone, or too slow: it sees that the answer is not whole
	}
	for _, list := range []statusList{
		{"successes", func(s Status) []StatusDetail { return s.Successes }, func(c StatusChunk) int { return c.Successes }},
		{"failures", func(s Status) []StatusDetail { return s.Failures }, func(c StatusChunk) int { return c.Failures }},
		{"pendings", func(s Status) []StatusDetail { return s.Pendings }, func(c StatusChunk) int { return c.Pendings }},
	} {
		if gone, err := h.sendDetails(x, body, s, list); err != nil || gone {
			return err
		}
	}
	if _, err := body.Write([]byte("}")); err == nil {
		_ = body.close() // as above
	}
	return nil
}

// statusList is one of the lists of a status, and of its chunks.
type statusList struct {
	name  string
	in    func(Status) []StatusDetail
	count func(StatusChunk) int
}

// sendDetails sends a list of a status, chunk for chunk.
func (h *Handler) sendDetails(x *exchange, to io.Writer, s Status, list statusList) (gone bool, err error) {
	before := `,"` + list.name + `":[`
	send := func(of Status) error {
		for _, detail := range details(list.in(of), s.RequestedAt) {
			text, err := json.Marshal(detail)
			if err != nil {
				return err
			}
			if _, err := to.Write(append([]byte(before), text...)); err != nil {
				gone = true
				return nil
			}
			before = ","
		}
		return nil
	}
	err = send(s)
	for _, chunk := range s.Rest {
		if gone || err != nil {
			return gone, err
		}
		if list.count(chunk) > 0 {
			err = h.holding(x, chunk, func() error {
				part, err := chunk.Read()
				if err != nil {
					return err
				}
				return send(part)
			})
		}
	}
	if before == "," && err == nil && !gone {
		_, failed := to.Write([]byte("]"))
		gone = failed != nil
	}
	return gone, err
}

// detailBytes is about what a detail takes in memory.
const detailBytes = 2 << 10

// holding does something for which a chunk is in memory, when that is to be had.
func (h *Handler) holding(x *exchange, chunk StatusChunk, do func() error) error {
	ctx, cancel := context.WithTimeout(x.r.Context(), memoryWait)
	defer cancel()
	held, err := h.answers.take(ctx, x.who.User, int64(chunk.Successes+chunk.Failures+chunk.Pendings)*detailBytes)
	if err != nil {
		return &RetryAfterError{After: memoryWait}
	}
	defer held.release()
	return do()
}

func details(list []StatusDetail, requested time.Time) []StatusDetailResource {
	var resources []StatusDetailResource
	for _, d := range list {
		// The standard requires both and has no rule for an object without.
		if d.ID == "" {
			d.ID = "unidentified"
		}
		if d.Version == "" {
			d.Version = formatTimestamp(requested)
		}
		resources = append(resources, StatusDetailResource{
			ID:      d.ID,
			Version: d.Version,
			Message: d.Message,
			Note:    d.Note,
			Evidence: Evidence{
				StoredAt:  formatOptional(d.StoredAt),
				CID:       d.CID,
				AssetID:   d.AssetID,
				Index:     d.Index,
				TxID:      d.TxID,
				Publisher: d.Publisher,
			},
		})
	}
	return resources
}

// getStatus tells how far a request to add objects has come (section 4.3).
func (h *Handler) getStatus(x *exchange) error {
	id, err := uuid.Parse(x.variable("status"))
	if err != nil {
		return ErrNotFound
	}
	status, err := h.statusOf(x, id.String())
	if err != nil {
		return err
	}
	return h.sendStatus(x, http.StatusOK, status)
}

// statusesAtOnce is how many statuses are made at a time: one can have a hundred thousand objects to be looked for.
const statusesAtOnce = 4

// statusOf finds a status.
func (h *Handler) statusOf(x *exchange, id string) (Status, error) {
	if err := h.statuses.Acquire(x.r.Context(), 1); err != nil {
		return Status{}, err
	}
	defer h.statuses.Release(1)
	return h.publisher.Status(x.r.Context(), x.who, x.root.Name, id)
}
