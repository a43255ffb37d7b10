package taxii

import (
	"context"
	"encoding/json"
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

// resource counts what the lists hold and lists all of it: a client checks that both agree, and that the counts add up.
func (s Status) resource() StatusResource {
	resource := StatusResource{
		ID:               s.ID,
		Status:           "complete",
		RequestTimestamp: formatOptional(s.RequestedAt),
		TotalCount:       len(s.Successes) + len(s.Failures) + len(s.Pendings),
		SuccessCount:     len(s.Successes),
		Successes:        details(s.Successes, s.RequestedAt),
		FailureCount:     len(s.Failures),
		Failures:         details(s.Failures, s.RequestedAt),
		PendingCount:     len(s.Pendings),
		Pendings:         details(s.Pendings, s.RequestedAt),
	}
	if resource.PendingCount > 0 {
		resource.Status = "pending"
	}
	return resource
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
	text, err := h.statusOf(x, id.String())
	if err != nil {
		return err
	}
	if len(text) > smallChunk {
		ctx, cancel := context.WithTimeout(x.r.Context(), memoryWait)
		defer cancel()
		held, err := h.answers.take(ctx, x.who.User, int64(len(text)))
		if err != nil {
			return &RetryAfterError{After: memoryWait}
		}
		defer held.release()
	}
	x.w.Header().Set("Content-Type", MediaType)
	h.send(x, http.StatusOK, text)
	return nil
}

// statusesAtOnce is how many statuses are made at a time: one can list a hundred thousand objects.
const statusesAtOnce = 4

// statusOf finds a status and writes it out.
func (h *Handler) statusOf(x *exchange, id string) ([]byte, error) {
	if err := h.statuses.Acquire(x.r.Context(), 1); err != nil {
		return nil, err
	}
	defer h.statuses.Release(1)
	status, err := h.publisher.Status(x.r.Context(), x.who, x.root.Name, id)
	if err != nil {
		return nil, err
	}
	return json.Marshal(status.resource())
}
