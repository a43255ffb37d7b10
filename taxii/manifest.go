package taxii

import (
	"encoding/json"
)

// manifestRecord is an element of a manifest (section 5.3.1). The table there has no next, though the request takes it.
type manifestRecord struct {
	ID        string `json:"id"`
	DateAdded string `json:"date_added"`
	Version   string `json:"version"`
	MediaType string `json:"media_type"`
	Evidence
}

// Evidence are the custom properties that say where an object is kept, and whose it is.
type Evidence struct {
	StoredAt  string `json:"x_slnode_stored_at,omitempty"`
	CID       string `json:"x_slnode_cid,omitempty"`
	AssetID   uint64 `json:"x_slnode_asset_id,omitempty"`
	Index     uint32 `json:"x_slnode_index,omitempty"`
	TxID      string `json:"x_slnode_txid,omitempty"`
	Publisher string `json:"x_slnode_publisher,omitempty"`
}

// getManifest lists a record for each version that getObjects would list.
func (h *Handler) getManifest(x *exchange) error {
	p, err := h.page(x, manifestListing, "", filters{id: true, kind: true, specVersion: true, version: true})
	if err != nil {
		return err
	}
	return h.sendList(x, p, "objects", func(r Record) ([]byte, error) {
		return json.Marshal(manifestRecord{
			ID:        r.ID,
			DateAdded: formatTimestamp(r.DateAdded),
			Version:   r.Version,
			MediaType: stixMediaType,
			Evidence: Evidence{
				StoredAt:  formatOptional(r.StoredAt),
				CID:       r.CID,
				AssetID:   r.AssetID,
				Index:     r.Index,
				TxID:      r.TxID,
				Publisher: r.Publisher,
			},
		})
	}, noHint)
}

// getVersions lists the versions of one object (section 5.8.1).
func (h *Handler) getVersions(x *exchange) error {
	p, err := h.page(x, versionsListing, x.variable("object"), filters{specVersion: true})
	if err != nil {
		return err
	}
	return h.sendList(x, p, "versions", func(r Record) ([]byte, error) { return json.Marshal(r.Version) }, noHint)
}
