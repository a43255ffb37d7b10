package taxii

import (
	"net/http"
	"slices"
)

// crossOrigin lets the scripts of the configured origins use the server (the fetch standard's CORS protocol) and
// answers a browser's preflight, which carries no credentials. It tells whether the request is answered by that.
func (h *Handler) crossOrigin(x *exchange) bool {
	origin := x.r.Header.Get("Origin")
	if origin == "" || len(h.origins) == 0 {
		return false
	}
	header := x.w.Header()
	header.Add("Vary", "Origin")
	if !slices.Contains(h.origins, origin) && !slices.Contains(h.origins, "*") {
		return false
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Expose-Headers",
		"X-TAXII-Date-Added-First, X-TAXII-Date-Added-Last, X-Request-Id, Retry-After")
	if x.r.Method != http.MethodOptions || x.r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
	header.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Content-Encoding, X-API-Key")
	header.Set("Access-Control-Max-Age", "600")
	x.w.WriteHeader(http.StatusNoContent)
	return true
}
