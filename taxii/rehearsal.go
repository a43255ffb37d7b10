package taxii

import (
	"net/http"
	"net/url"
	"time"
)

// RehearsalResource is what adding objects would do: the answer to a request
// with dry_run=true, which is not part of the standard.
type RehearsalResource struct {
	DryRun       bool                      `json:"dry_run"` // true
	TotalCount   int                       `json:"total_count"`
	RefusedCount int                       `json:"refused_count"`
	Cost         uint64                    `json:"cost_microalgo"` // of all, and of what they need beside
	Anchor       string                    `json:"anchor"`         // "single" or "batch"
	AsSingle     Price                     `json:"as_single"`
	AsBatch      Price                     `json:"as_batch"`
	Objects      []RehearsedObjectResource `json:"objects"`
}

// RehearsedObjectResource is what would become of one object.
type RehearsedObjectResource struct {
	ID      string   `json:"id"`
	Version string   `json:"version"`
	Readers []string `json:"readers"` // organisations
	Cost    uint64   `json:"cost_microalgo"`
	TxID    string   `json:"x_slnode_txid,omitempty"` // it is published already
	Message string   `json:"message,omitempty"`       // why it would be refused
	Note    string   `json:"x_slnode_note,omitempty"` // what is odd about it, though it would be taken

	Warnings []Warning `json:"x_slnode_warnings,omitempty"`
}

func (r Rehearsal) resource(requested time.Time) RehearsalResource {
	resource := RehearsalResource{
		DryRun: true, TotalCount: len(r.Objects), Cost: r.Extra, Anchor: "single", AsSingle: r.AsSingle, AsBatch: r.AsBatch,
		Objects: []RehearsedObjectResource{},
	}
	if r.Batched {
		resource.Anchor = "batch"
	}
	for _, o := range r.Objects {
		one := RehearsedObjectResource{ID: o.ID, Version: o.Version, Readers: o.Readers, Cost: o.Cost, TxID: o.TxID, Message: o.Failure, Note: o.Note, Warnings: o.Warnings}
		if one.ID == "" {
			one.ID = "unidentified"
		}
		if one.Version == "" {
			one.Version = formatTimestamp(requested)
		}
		if one.Message != "" {
			resource.RefusedCount++
		}
		if one.Readers == nil {
			one.Readers = []string{}
		}
		resource.Cost += one.Cost
		resource.Objects = append(resource.Objects, one)
	}
	return resource
}

// parseAddition reads the query string of a POST: dry_run=true asks what would be done. Whatever else is there was
// meant to restrict, and must not be passed over.
func (h *Handler) parseAddition(raw string) (dryRun bool, err error) {
	params, err := url.ParseQuery(raw)
	if err != nil {
		return false, problemf(http.StatusBadRequest, "The query string is malformed.")
	}
	for name, values := range params {
		if name != "dry_run" || h.rehearser == nil {
			return false, problemf(http.StatusBadRequest, "%.40q is not a parameter of adding objects.", name)
		}
		if len(values) != 1 || values[0] != "true" && values[0] != "false" {
			return false, problemf(http.StatusBadRequest, "The parameter dry_run is true or false.")
		}
		dryRun = values[0] == "true"
	}
	return dryRun, nil
}
