package taxii

import (
	_ "embed"
	"net/http"

	"github.com/serviceledger/slnode/internal/version"
)

// openAPI describes every resource of the server, also those that a
// configuration may leave out. A test holds it to the routes and the answers.
//
//go:embed openapi.json
var openAPI []byte

// getOpenAPI describes the server to anybody.
func (h *Handler) getOpenAPI(x *exchange) error {
	x.w.Header().Set("Content-Type", plainJSON)
	h.send(x, http.StatusOK, openAPI)
	return nil
}

// getVersion tells those who are let in which program this is; for strangers it would be a list of its known faults.
func (h *Handler) getVersion(x *exchange) error {
	return h.sendJSON(x, http.StatusOK, plainJSON, version.Current())
}
