package health

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests counts the requests of TAXII clients.
type Requests struct {
	served *prometheus.CounterVec
	took   *prometheus.HistogramVec
}

// NewRequests counts from nothing.
func NewRequests() *Requests {
	return &Requests{
		served: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slnode_http_requests_total",
			Help: "Requests of TAXII clients since the start, by method, route and the answer's status.",
		}, []string{"method", "route", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "slnode_http_request_seconds",
			Help:    "How long requests of TAXII clients took, by route, but for streams, which last as long as they are read.",
			Buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"route"}),
	}
}

// streamEnd is how the routes of streams end.
const streamEnd = "/stream"

// Served implements [taxii.Meter]. What a client makes up is counted under one name, so that it can't make series.
func (r *Requests) Served(method, route string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	if route == "" {
		route = "none"
	}
	answer := "none"
	if status != 0 {
		answer = strconv.Itoa(status)
	}
	r.served.WithLabelValues(method, route, answer).Inc()
	if len(route) < len(streamEnd) || route[len(route)-len(streamEnd):] != streamEnd {
		r.took.WithLabelValues(route).Observe(took.Seconds())
	}
}
