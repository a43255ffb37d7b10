package taxii

import (
	"context"
	"net/http"
	"net/url"
)

// Searcher tells what is known of values.
type Searcher interface {
	// Lookup says what is known of the values in texts, in their order, of what who may read. *InvalidError if a text is
	// no value, or there are too many; it must not quote them.
	Lookup(ctx context.Context, who Principal, texts []string) (LookupResource, error)
}

// LookupResource is what is known of values.
type LookupResource struct {
	Answers []any `json:"answers"`
	// Whole says that everything that is here is searched. After a first start with this release older objects are
	// missing until they are in the indexes: so many of about so many are.
	Whole   bool  `json:"whole"`
	Indexed int64 `json:"indexed,omitzero"`
	Of      int64 `json:"of,omitzero"`
}

// What a lookup takes at most.
const (
	MaxLookup     = 1000    // values
	maxLookupBody = 1 << 20 // bytes
)

// lookupRequest is the body of a lookup.
type lookupRequest struct {
	Values []string `json:"values"`
}

func (h *Handler) getLookup(x *exchange) error {
	params, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return problemf(http.StatusBadRequest, "The query string is malformed.")
	}
	for name := range params {
		if name != "value" {
			return problemf(http.StatusBadRequest, "The parameter is value, once for each value.")
		}
	}
	return h.lookUp(x, params["value"])
}

func (h *Handler) postLookup(x *exchange) error {
	var request lookupRequest
	if err := readJSONOf(x, &request, "values as a list of strings", maxLookupBody); err != nil {
		return err
	}
	return h.lookUp(x, request.Values)
}

// lookUp answers, and says in the audit log how many values were asked for, and never which: what somebody looks for
// tells what happened to them.
func (h *Handler) lookUp(x *exchange, texts []string) error {
	if err := ownUser(x, RoleReader); err != nil {
		return err
	}
	if len(texts) == 0 || len(texts) > MaxLookup {
		return problemf(http.StatusUnprocessableEntity, "A lookup takes 1 to %d values.", MaxLookup)
	}
	found, err := h.searcher.Lookup(x.r.Context(), x.who, texts)
	if err != nil {
		return err
	}
	h.note(x, Event{Name: EventLookup, Count: len(texts)})
	return h.sendJSON(x, http.StatusOK, plainJSON, found)
}

// LookUp asks what is known of values at the organisation of an API root.
func (c *Client) LookUp(ctx context.Context, org string, values []string, into any) error {
	return c.plain(ctx, http.MethodPost, org, "lookup", nil, lookupRequest{values}, into)
}
