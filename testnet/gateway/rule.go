package gateway

import (
	"encoding/json"
	"fmt"
	"regexp"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rule says which requests are treated, and how. The zero value of a field does nothing; several can be set.
type Rule struct {
	// Match is a regular expression for method, path and query, as in "GET /v2/status"; empty for all.
	Match string `json:"match,omitempty"`
	// Skip lets so many pass first, Count treats so many after that (0: all), and Share only this part of them, spread
	// evenly (0: all).
	Skip  int     `json:"skip,omitempty"`
	Count int     `json:"count,omitempty"`
	Share float64 `json:"share,omitempty"`
	// From and Until are rounds: the rule is in force while the server's last one is between them. 0 is no bound.
	From  uint64 `json:"from,omitempty"`
	Until uint64 `json:"until,omitempty"`

	// What takes the place of an answer.
	Delay      Duration `json:"delay,omitempty"`       // passes before anything else
	Drop       bool     `json:"drop,omitempty"`        // the connection is cut without an answer
	Silent     bool     `json:"silent,omitempty"`      // there is never an answer
	Rate       float64  `json:"rate,omitempty"`        // requests a second that pass; those beyond get the status
	Status     int      `json:"status,omitempty"`      // of an answer that the server never sees
	Type       string   `json:"type,omitempty"`        // its Content-Type; JSON if empty
	Body       string   `json:"body,omitempty"`        // its body
	Location   string   `json:"location,omitempty"`    // where it redirects to; the request's path is added
	RetryAfter Duration `json:"retry_after,omitempty"` // in seconds …
	RetryDate  bool     `json:"retry_date,omitempty"`  // … or as a date
	Swallow    bool     `json:"swallow,omitempty"`     // transactions are taken, and forgotten
	Refuse     []string `json:"refuse,omitempty"`      // parameters that are refused, as a released indexer does
	Keep       uint64   `json:"keep,omitempty"`        // blocks that algod has: the latest
	PerByte    uint64   `json:"per_byte,omitempty"`    // the fee that algod suggests and demands, in microalgo

	// What is done to the server's own answer.
	CutAfter int       `json:"cut_after,omitempty"` // bytes, after which the connection breaks
	Replay   bool      `json:"replay,omitempty"`    // the first answer to this path and query is given again and again
	Endless  bool      `json:"endless,omitempty"`   // pages don't end: the first comes again and again
	Round    int64     `json:"round,omitempty"`     // is added to the last round that an answer tells …
	At       uint64    `json:"at,omitempty"`        // … or stands in its place
	Lag      uint64    `json:"lag,omitempty"`       // the indexer's, in rounds
	Frozen   uint64    `json:"frozen,omitempty"`    // the round at which the indexer stands
	Hide     []string  `json:"hide,omitempty"`      // ids of transactions that the indexer leaves out, or algod of its blocks
	Forge    []Forgery `json:"forge,omitempty"`     // lies about transactions
}

// Forgery replaces one value wherever an answer describes a transaction.
type Forgery struct {
	TxID  string `json:"txid"`
	Field string `json:"field"` // a path in its JSON: "asset-config-transaction.params.url"
	Value any    `json:"value"` // null removes the field
}

// Duration is a time.Duration that JSON holds as text, such as "150ms".
type Duration time.Duration

// MarshalText writes it as text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// ParseRules reads a list of rules; a field that is not known is an error.
func ParseRules(data []byte) (rules []Rule, err error) {
	if err := strictly(data, &rules); err != nil {
		return nil, fmt.Errorf("reading the rules: %w", err)
	}
	return rules, nil
}

// rule is one in force.
type rule struct {
	Rule
	pattern *regexp.Regexp

	// Guarded by the gateway's lock.
	seen  int
	carry float64 // what is owed of a share
	rate  *rate.Limiter

	mu       sync.Mutex
	replayed map[string][]byte
	pages    int
}

// applies decides about one request, and counts it.
func (r *rule) applies(what string, round uint64) bool {
	if !r.pattern.MatchString(what) || round < r.From || r.Until > 0 && round > r.Until {
		return false
	}
	r.seen++
	if r.seen <= r.Skip || r.Count > 0 && r.seen > r.Skip+r.Count {
		return false
	}
	if r.rate != nil && r.rate.Allow() {
		return false
	}
	if r.Share == 0 {
		return true
	}
	if r.carry += r.Share; r.carry < 1 {
		return false
	}
	r.carry--
	return true
}

// encode is JSON of what was read as JSON.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was JSON a moment ago
	}
	return data
}
