package devchain

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// maxRoundsAtOnce bounds a request to advance.
const maxRoundsAtOnce = 100_000

// newControlAPI is how other processes switch faults and move the chain:
//
//	GET    /faults        the faults in force
//	PATCH  /faults        changes those that the JSON body names, and answers with all
//	DELETE /faults        makes the chain healthy
//	POST   /rounds?n=10   closes rounds at once
//	GET    /status        {"round": 12, "indexer_round": 12}
func newControlAPI(c *Chain) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, c.Faults())
	})
	mux.HandleFunc("PATCH /faults", func(w http.ResponseWriter, r *http.Request) {
		f := c.Faults()
		if err := decodeStrictly(w, r, &f); err != nil {
			writeError(w, err)
			return
		}
		setAndShow(w, c, f)
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, r *http.Request) {
		setAndShow(w, c, Faults{})
	})
	mux.HandleFunc("POST /rounds", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil || n < 1 || n > maxRoundsAtOnce {
			writeError(w, errors.New("n must be a number of rounds between 1 and "+strconv.Itoa(maxRoundsAtOnce)))
			return
		}
		if err := c.Advance(n); err != nil {
			writeJSON(w, http.StatusInternalServerError, map[string]string{"message": err.Error()})
			return
		}
		writeStatus(w, c)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { writeStatus(w, c) })
	return mux
}

func setAndShow(w http.ResponseWriter, c *Chain, f Faults) {
	if err := c.SetFaults(f); err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, c.Faults())
}

// decodeStrictly reads one JSON value onto what is there, and refuses fields that nobody knows.
func decodeStrictly(w http.ResponseWriter, r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

func writeError(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"message": err.Error()})
}

func writeStatus(w http.ResponseWriter, c *Chain) {
	writeJSON(w, http.StatusOK, map[string]uint64{"round": c.Round(), "indexer_round": c.IndexerRound()})
}
