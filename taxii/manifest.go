package taxii

import (
	"net/http"
)

// manifestResource lists what a collection holds (section 5.3.1). The table
// there has no next, though the request takes it.
type manifestResource struct {
	More    bool             `json:"more,omitempty"`
	Next    string           `json:"next,omitempty"`
	Objects []manifestRecord `json:"objects,omitempty"`
}

type manifestRecord struct {
	ID        string `json:"id"`
	DateAdded string `json:"date_added"`
	Version   string `json:"version"`
	MediaType string `json:"media_type"`
	Evidence
}

// Evidence are the custom properties that say where an object is kept.
type Evidence struct {
	StoredAt string `json:"x_slnode_stored_at,omitempty"`
	CID      string `json:"x_slnode_cid,omitempty"`
	AssetID  uint64 `json:"x_slnode_asset_id,omitempty"`
	TxID     string `json:"x_slnode_txid,omitempty"`
}

// versionsResource lists the versions of an object (section 5.8.1).
type versionsResource struct {
	More     bool     `json:"more,omitempty"`
	Next     string   `json:"next,omitempty"`
	Versions []string `json:"versions,omitempty"`
}

// getManifest lists a record for each version that getObjects would list.
func (h *Handler) getManifest(x *exchange) error {
	p, err := h.page(x, manifestListing, "", filters{id: true, kind: true, specVersion: true, version: true})
	if err != nil {
		return err
	}
	resource := manifestResource{More: p.More, Next: p.next}
	for _, r := range p.Records {
		resource.Objects = append(resource.Objects, manifestRecord{
			ID:        r.ID,
			DateAdded: formatTimestamp(r.DateAdded),
			Version:   r.Version,
			MediaType: stixMediaType,
			Evidence: Evidence{
				StoredAt: formatOptional(r.StoredAt),
				CID:      r.CID,
				AssetID:  r.AssetID,
				TxID:     r.TxID,
			},
		})
	}
	return h.sendResource(x, http.StatusOK, resource)
}

// getVersions lists the versions of one object.
func (h *Handler) getVersions(x *exchange) error {
	p, err := h.page(x, versionsListing, x.variable("object"), filters{specVersion: true})
	if err != nil {
		return err
	}
	resource := versionsResource{More: p.More, Next: p.next}
	for _, r := range p.Records {
		resource.Versions = append(resource.Versions, r.Version)
	}
	return h.sendResource(x, http.StatusOK, resource)
}
