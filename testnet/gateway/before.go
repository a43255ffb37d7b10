package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"
)

// before does what a rule says in the server's place. It reports whether the request goes on to the server.
func (g *Gateway) before(one *rule, w http.ResponseWriter, r *http.Request) bool {
	if one.Delay > 0 {
		g.wait(r, time.Duration(one.Delay))
	}
	switch {
	case one.Drop:
		panic(http.ErrAbortHandler)
	case one.Silent:
		g.wait(r, time.Hour)
		panic(http.ErrAbortHandler)
	case one.Status > 0 || one.Location != "":
		one.answer(w, r)
		return false
	}
	if query := r.URL.Query(); one.Endless && strings.HasPrefix(query.Get("next"), endless) {
		query.Del("next")
		r.URL.RawQuery = query.Encode()
	}
	switch {
	case len(one.Refuse) > 0 && strings.Contains(r.URL.Path, "/transactions"):
		for name := range r.URL.Query() {
			if slices.Contains(one.Refuse, name) {
				say(w, http.StatusBadRequest, "provided disabled parameter: "+name)
				return false
			}
		}
	case one.Keep > 0 && strings.HasPrefix(r.URL.Path, "/v2/blocks/"):
		if !g.keeps(one.Keep, r) {
			say(w, http.StatusNotFound, "failed to retrieve information from the ledger")
			return false
		}
	case r.Method == http.MethodPost && (one.Swallow || one.PerByte > 0):
		return one.takes(w, r)
	case one.Lag > 0 || one.Frozen > 0:
		return g.holdBack(one, w, r)
	}
	return true
}

// endless begins the names of pages that the server doesn't have.
const endless = "endless-"

// wait waits, or until the client or the gateway has gone.
func (g *Gateway) wait(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-g.closed:
	}
}

// answer is what a rule says instead of the server.
func (one *rule) answer(w http.ResponseWriter, r *http.Request) {
	status := one.Status
	kind := one.Type
	if kind == "" {
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	if one.RetryAfter > 0 {
		after := time.Duration(one.RetryAfter)
		if one.RetryDate {
			w.Header().Set("Retry-After", time.Now().Add(after).UTC().Format(http.TimeFormat))
		} else {
			w.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
		}
	}
	if one.Location != "" {
		w.Header().Set("Location", one.Location+r.URL.RequestURI())
		if status == 0 {
			status = http.StatusFound
		}
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, one.Body) // who asked may have gone
}

// say answers as algod and the indexer do.
func say(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// keeps reports whether a block is one of the latest that algod has.
func (g *Gateway) keeps(most uint64, r *http.Request) bool {
	status, err := g.ask(r, "/v2/status")
	if err != nil {
		return true
	}
	text, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/blocks/"), "/")
	round, err := strconv.ParseUint(text, 10, 64)
	return err != nil || round+most > number(status["last-round"])
}

// takes decides about transactions that are submitted. It reports whether they go on to the server.
func (one *rule) takes(w http.ResponseWriter, r *http.Request) bool {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	var first string
	for decoder := msgpack.NewDecoder(bytes.NewReader(raw)); ; {
		var signed types.SignedTxn
		if err := decoder.Decode(&signed); err != nil {
			if !errors.Is(err, io.EOF) {
				return true // algod says better what is wrong with it
			}
			break
		}
		if first == "" {
			first = crypto.TransactionIDString(signed.Txn)
		}
		size := uint64(len(msgpack.Encode(signed)))
		if need := one.PerByte * size; uint64(signed.Txn.Fee) < need {
			say(w, http.StatusBadRequest, fmt.Sprintf("TransactionPool.Remember: fee %d below threshold %d (%d per byte * %d bytes)", signed.Txn.Fee, need, one.PerByte, size))
			return false
		}
	}
	if !one.Swallow {
		return true
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"txId": first})
	return false
}

// holdBack makes an indexer know nothing beyond a round. It reports whether the request goes on, then for no more than
// that.
func (g *Gateway) holdBack(one *rule, w http.ResponseWriter, r *http.Request) bool {
	health, err := g.ask(r, "/health")
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	tip := number(health["round"])
	if tip -= min(tip, one.Lag); one.Frozen > 0 {
		tip = min(tip, one.Frozen)
	}
	*r = *r.WithContext(withTip(r.Context(), one, tip))
	query := r.URL.Query()
	if !strings.HasSuffix(r.URL.Path, "/transactions") || query.Has("round") || query.Has("txid") {
		return true
	}
	if first, err := strconv.ParseUint(query.Get("min-round"), 10, 64); err == nil && first > tip {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"current-round":%d,"transactions":[]}`, tip)
		return false
	}
	if last, err := strconv.ParseUint(query.Get("max-round"), 10, 64); err != nil || last > tip {
		query.Set("max-round", strconv.FormatUint(tip, 10))
		r.URL.RawQuery = query.Encode()
	}
	return true
}
