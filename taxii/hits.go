package taxii

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// Sightings are what was seen of objects: by sensors of this organisation, which report hits, and by members, who
// publish sightings.
type Sightings interface {
	// Report counts hits. *InvalidError if a request can't be counted as a whole.
	Report(ctx context.Context, who Principal, r HitReport) (HitsTaken, error)
	// Hits lists the indicators that hit here, of those that who may read: what hit last comes first.
	Hits(ctx context.Context, who Principal, q HitsQuery) (HitList, error)
	// Seen tells how often an object was seen, by whom and when. ErrNotFound if it is not here, or may not be read.
	Seen(ctx context.Context, who Principal, object string) (SeenResource, error)
}

// What a report of hits holds at most.
const (
	MaxHits         = 10_000  // lines
	maxHitLine      = 4 << 10 // bytes
	maxHitsBody     = 8 << 20 // bytes, inflated
	maxHitKey       = 200     // bytes of what names a request
	MaxHitFailures  = 100     // lines that are told of
	MaxHitList      = 1000    // indicators
	usualHitList    = 100
	maxHitCount     = 1_000_000 // of one line
	idempotencyKey  = "Idempotency-Key"
	hitLines        = "application/x-ndjson"
	hitLinesAnother = "application/jsonl"
)

// Hit says that a sensor saw a value, or what an indicator describes.
type Hit struct {
	Line      int       // from 1
	Value     string    // or Indicator, a STIX id
	Indicator string    //
	Time      time.Time // zero: now
	Count     uint64    // 1 to a million
}

// HitReport is a request that reports hits.
type HitReport struct {
	Key  string // names the request: when it comes again within two days, it counts nothing; none if it is empty
	Hits []Hit
}

// HitFailure is why a line counts nothing. It quotes none of it.
type HitFailure struct {
	Line    int    `json:"line"`
	Message string `json:"message"`
}

// HitsTaken is what became of reported hits.
type HitsTaken struct {
	Counted    int          `json:"counted"`    // lines that are of an indicator here
	Unknown    int          `json:"unknown"`    // … of none
	Failed     int          `json:"failed"`     // lines that can't be read
	Indicators int          `json:"indicators"` // that hit
	Again      bool         `json:"again,omitzero"`
	Failures   []HitFailure `json:"failures,omitzero"` // up to MaxHitFailures
}

// Fail notes that a line counts nothing.
func (t *HitsTaken) Fail(line int, message string) {
	if t.Failed++; len(t.Failures) < MaxHitFailures {
		t.Failures = append(t.Failures, HitFailure{line, message})
	}
}

// HitsQuery says which indicators that hit are asked for.
type HitsQuery struct {
	Since time.Time // that hit on this day or later; zero: ever
	Limit int       // 1 to MaxHitList; 0: 100
}

// HitList is the indicators that hit.
type HitList struct {
	Hits []HitCounter `json:"hits"`
	More bool         `json:"more,omitzero"`
	// Share is whom others are told by: "no", "producer" or "collection".
	Share string `json:"share"`
}

// HitCounter is how often one indicator hit here.
type HitCounter struct {
	Indicator string   `json:"indicator"` // STIX id
	Title     string   `json:"title,omitzero"`
	Member    string   `json:"member,omitzero"` // who published it
	Count     uint64   `json:"count"`
	First     string   `json:"first"` // day in UTC: "2026-11-30"
	Last      string   `json:"last"`
	Days      []HitDay `json:"days"` // up to the last 31 with any
	// Sighting is the STIX id of the sighting by which others are told, and Told what that says.
	Sighting string `json:"sighting,omitzero"`
	Told     uint64 `json:"told,omitzero"`
	Through  string `json:"told_through,omitzero"` // the last day that it counts
	Pending  bool   `json:"pending,omitzero"`      // it is on its way to the chain
}

// HitDay is how often an indicator hit on a day.
type HitDay struct {
	Day   string `json:"day"`
	Count uint64 `json:"count"`
}

// SeenResource is how often an object was seen.
type SeenResource struct {
	Object string `json:"object"`
	// Seen is what members say: count, first, last, by, months.
	Seen any `json:"seen"`
	// Here is how often it hit here, if it ever did.
	Here *HitCounter `json:"here,omitzero"`
}

// ReadHits reads reports of hits, a JSON object a line: {"value" or "indicator", "time", "count"}. What of it can't be
// read is told line by line. An error says that it can't be read on.
func ReadHits(from io.Reader, taken *HitsTaken) (hits []Hit, err error) {
	lines := bufio.NewReaderSize(from, maxHitLine)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, &InvalidError{Reason: fmt.Sprintf("line %d has more than %d bytes", n, maxHitLine)}
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if len(hits)+taken.Failed == MaxHits {
				return nil, &InvalidError{Reason: fmt.Sprintf("there are more than %d lines; send them in parts", MaxHits)}
			}
			if hit, wrong := readHit(line); wrong != "" {
				taken.Fail(n, wrong)
			} else {
				hit.Line = n
				hits = append(hits, hit)
			}
		}
		if err == io.EOF {
			return hits, nil
		}
	}
}

// readHit reads one line. What is wrong with it is told without quoting it.
func readHit(line []byte) (hit Hit, wrong string) {
	var is struct {
		Value     string   `json:"value"`
		Indicator string   `json:"indicator"`
		Time      string   `json:"time"`
		Count     *float64 `json:"count"`
	}
	if err := json.Unmarshal(line, &is); err != nil {
		return hit, "it is no JSON object with value or indicator as a string, time as a timestamp and count as a number"
	}
	hit = Hit{Value: is.Value, Indicator: is.Indicator, Count: 1}
	if (is.Value == "") == (is.Indicator == "") {
		return hit, "it has to have one of value and indicator"
	}
	if is.Count != nil {
		if *is.Count < 1 || *is.Count > maxHitCount || *is.Count != float64(uint64(*is.Count)) {
			return hit, fmt.Sprintf("count is no whole number from 1 to %d", maxHitCount)
		}
		hit.Count = uint64(*is.Count)
	}
	if is.Time != "" {
		at, err := time.Parse(time.RFC3339Nano, is.Time)
		if err != nil {
			return hit, "time is no timestamp such as 2026-11-30T12:00:00Z"
		}
		hit.Time = at.UTC()
	}
	return hit, ""
}

func (h *Handler) postHits(x *exchange) error {
	if err := ownUser(x, RoleReader); err != nil {
		return err
	}
	// A web page of another site can send forms and plain text, but not these.
	if kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || kind != plainJSON && kind != hitLines && kind != hitLinesAnother {
		return problemf(http.StatusUnsupportedMediaType, "The body's Content-Type is not %s.", hitLines)
	}
	key := x.r.Header.Get(idempotencyKey)
	if len(key) > maxHitKey {
		return problemf(http.StatusBadRequest, "%s has more than %d bytes.", idempotencyKey, maxHitKey)
	}
	compressed, err := isCompressed(x.r.Header)
	if err != nil {
		return err
	}
	var source io.Reader = newUpload(x)
	if compressed {
		if source, err = gzip.NewReader(source); err != nil {
			return bodyProblem(err)
		}
	}
	body, taken := &bounded{body: source, left: maxHitsBody}, HitsTaken{}
	list, err := ReadHits(body, &taken)
	switch {
	case errors.Is(body.err, errTooLarge):
		return problemf(http.StatusRequestEntityTooLarge, "The body has more than %d bytes.", maxHitsBody)
	case body.err != nil:
		return bodyProblem(body.err)
	case err != nil:
		return err
	case len(list)+taken.Failed == 0:
		return problemf(http.StatusUnprocessableEntity, "There is no hit in the body: it is a JSON object a line.")
	}
	done, err := h.sightings.Report(x.r.Context(), x.who, HitReport{Key: key, Hits: list})
	if err != nil {
		return err
	}
	done.Failed += taken.Failed
	done.Failures = append(taken.Failures, done.Failures...)
	done.Failures = done.Failures[:min(len(done.Failures), MaxHitFailures)]
	h.note(x, Event{Name: EventHits, Count: len(list), Failures: done.Failed})
	return h.sendJSON(x, http.StatusOK, plainJSON, done)
}

func (h *Handler) getHits(x *exchange) error {
	if err := ownUser(x, RoleReader); err != nil {
		return err
	}
	params, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return problemf(http.StatusBadRequest, "The query string is malformed.")
	}
	q := HitsQuery{Limit: usualHitList}
	for name, values := range params {
		switch {
		case len(values) != 1:
			err = strconv.ErrSyntax
		case name == "since":
			q.Since, err = parseAddedAfter(values[0])
		case name == "limit":
			if q.Limit, err = strconv.Atoi(values[0]); err == nil && (q.Limit < 1 || q.Limit > MaxHitList) {
				err = strconv.ErrRange
			}
		default:
			err = strconv.ErrSyntax
		}
		if err != nil {
			return problemf(http.StatusBadRequest, "The parameters are since (a date or timestamp) and limit (1 to %d), each once.", MaxHitList)
		}
	}
	list, err := h.sightings.Hits(x.r.Context(), x.who, q)
	if err != nil {
		return err
	}
	if list.Hits == nil {
		list.Hits = []HitCounter{}
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, list)
}

func (h *Handler) getSightings(x *exchange) error {
	if err := ownUser(x, RoleReader); err != nil {
		return err
	}
	params, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil || len(params) != 1 || len(params["object"]) != 1 || params.Get("object") == "" {
		return problemf(http.StatusBadRequest, "The parameter is object, a STIX id, once.")
	}
	seen, err := h.sightings.Seen(x.r.Context(), x.who, params.Get("object"))
	if err != nil {
		return err
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, seen)
}
