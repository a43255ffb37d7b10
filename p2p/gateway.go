package p2p

import (
	"net/http"
	"strings"

	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange/offline"
	"github.com/ipfs/boxo/gateway"
	"github.com/ipfs/go-cid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// gatewayRequests bounds the requests that the gateway works on at a time.
const gatewayRequests = 64

// newGateway serves what is in the store, and fetches nothing.
func newGateway(blocks blockstore.Blockstore) (http.Handler, error) {
	backend, err := gateway.NewBlocksBackend(blockservice.New(blocks, offline.Exchange(blocks)))
	if err != nil {
		return nil, err
	}
	return gateway.NewHandler(gateway.Config{
		DeserializedResponses: true,
		NoDNSLink:             true,
		DisableHTMLErrors:     true,
		MaxConcurrentRequests: gatewayRequests,
		MetricsRegistry:       prometheus.NewRegistry(), // not the process's: hosts would share their counters
	}, backend), nil
}

// Gateway answers GET and HEAD of /ipfs/<cid>/... over HTTP, so that an NFT's URL can be followed: files, the listing
// of one directory, and the verifiable forms (raw blocks, CAR) of the IPFS gateway specification. It serves what this
// node has and fetches nothing. It knows no access control: bind it to the loopback interface. After Close
// it answers 503.
func (h *Host) Gateway() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, done, err := h.lifetime.begin(r.Context())
		if err != nil {
			http.Error(w, "the node is shutting down", http.StatusServiceUnavailable)
			return
		}
		defer done()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		if !servable(r.URL.Path) {
			http.Error(w, "only /ipfs/<cid>/...", http.StatusNotFound)
			return
		}
		// The files are other people's: a browser must neither run them nor take them for something else.
		w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.gateway.ServeHTTP(w, r.WithContext(ctx))
	})
}

// servable says whether the path begins with /ipfs/ and a CID that blocks of this store can have. It leaves out IPNS,
// DNSLink, and above all identity CIDs, which would let a link put any content under this address.
func servable(path string) bool {
	rest, ok := strings.CutPrefix(path, "/ipfs/")
	if !ok {
		return false
	}
	root, _, _ := strings.Cut(rest, "/")
	c, err := cid.Decode(root)
	return err == nil && (unixfs.IsNode(c) || unixfs.IsRaw(c))
}
