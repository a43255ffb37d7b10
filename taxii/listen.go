package taxii

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"github.com/serviceledger/slnode/internal/door"
)

// streamsAtATime is how many requests one HTTP/2 connection may carry at a time.
const streamsAtATime = 100

// NewServer returns a server for the handler with limits that neither cut off large bodies on slow lines, for which the
// handler moves the deadlines, nor let idle or stalled connections pile up. When it shuts down, the streams of a
// [Handler] end. With a TLS configuration it is held to TLS 1.2 and 1.3 (section 8.2.2); nil is for plain HTTP. What
// the connections have to complain of goes to the log at debug level.
func NewServer(handler http.Handler, config *tls.Config, log *slog.Logger) *http.Server {
	if config != nil {
		config = config.Clone()
		config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
		// Of TLS 1.2 only what RFC 7540 appendix A does not rule out.
		config.CipherSuites = []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		}
	}
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		ConnContext:       door.Context,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: streamsAtATime, WriteByteTimeout: writeTime, SendPingTimeout: time.Minute},
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    64 << 10, // a filter may name hundreds of ids
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if h, ok := handler.(interface{ EndStreams() }); ok { // a [Handler], or what is before one
		server.RegisterOnShutdown(h.EndStreams)
	}
	return server
}
