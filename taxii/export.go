package taxii

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	exportTime    = 5 * time.Minute  // for the making and sending of one list
	exportWait    = 10 * time.Second // for one's turn
	exportsAtOnce = 4
	exportsOfUser = 2
)

// getExport answers with the values that a collection's indicators name, in a
// format of firewalls, resolvers and sensors. It is not part of the standard.
//
// Clients poll it. The entity tag says what the list was made of, up to when it holds, and of what query, so that
// whoever has it already is answered without a look at the collection.
func (h *Handler) getExport(x *exchange) error {
	c, err := h.readable(x)
	if err != nil {
		return err
	}
	q, err := parseExport(x.r.URL.RawQuery)
	if err != nil {
		return problemf(http.StatusBadRequest, "%s", err)
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), exportTime)
	defer cancel()
	changed, err := h.exporter.ListChanged(ctx, c, q)
	if err != nil {
		return err
	}
	q.Changed = time.UnixMicro(changed).UTC()
	header := x.w.Header()
	header.Set("Cache-Control", "private, no-cache") // keep it, but ask
	tag := exportTag{changed: changed, query: q.digest(c)}
	if known, ok := tag.among(x.r.Header.Values("If-None-Match"), h.now()); ok {
		header.Set("ETag", known)
		header.Add("Vary", "Accept-Encoding")
		x.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	held, err := h.exportTurn(x)
	if err != nil {
		header.Set("Cache-Control", "no-store")
		return err
	}
	defer held.release()
	export, err := h.exporter.Export(ctx, x.who, c, q)
	if err != nil {
		header.Set("Cache-Control", "no-store")
		var invalid *InvalidError
		if errors.As(err, &invalid) {
			return problemf(http.StatusBadRequest, "%s", invalid.Reason)
		}
		return err
	}
	defer export.Close()
	h.note(x, Event{Name: EventRead, Root: x.root.Name, Collection: c.ID, Kind: "export", Detail: q.Format})
	tag.until = export.Until
	header.Set("ETag", tag.String())
	header.Set("Content-Type", export.MediaType)
	header.Set("X-Slnode-Skipped", strconv.Itoa(export.Skipped))
	if export.Unreliable > 0 {
		header.Set("X-Slnode-Skipped-Reliability", strconv.Itoa(export.Unreliable))
	}
	return h.sendStream(x, func(w io.Writer) error { return export.Write(ctx, w) })
}

// exportTurn waits for a turn: each list takes memory, and who does not read its own holds it up.
func (h *Handler) exportTurn(x *exchange) (*grant, error) {
	ctx, cancel := context.WithTimeout(x.r.Context(), exportWait)
	defer cancel()
	held, err := h.exports.take(ctx, x.who.User, 1)
	if err != nil && x.r.Context().Err() == nil {
		err = &RetryAfterError{After: exportWait}
	}
	return held, err
}

// parseExport reads the query string of an export. It must hold nothing else: a
// list that was meant to be shorter blocks what should not be.
func parseExport(raw string) (ExportQuery, error) {
	params, err := url.ParseQuery(raw)
	if err != nil {
		return ExportQuery{}, fmt.Errorf("the query string is malformed: %w", err)
	}
	for name, values := range params {
		if !slices.Contains([]string{"format", "kind", "min_confidence", "score", "subdomains", "warninglists"}, name) {
			return ExportQuery{}, fmt.Errorf("%.40q is not a parameter of an export, which takes format, kind, min_confidence, score, subdomains and warninglists", name)
		}
		if len(values) > 1 {
			return ExportQuery{}, fmt.Errorf("%s is given more than once", name)
		}
	}
	q := ExportQuery{Format: params.Get("format")}
	if params.Has("kind") {
		q.Kinds = strings.Split(params.Get("kind"), ",")
	}
	for name, into := range map[string]*int{"min_confidence": &q.MinConfidence, "score": &q.Score} {
		if !params.Has(name) {
			continue
		}
		if *into, err = strconv.Atoi(params.Get(name)); err != nil || *into < 0 || *into > 100 {
			return ExportQuery{}, fmt.Errorf("%s: %.40q is not a whole number from 0 to 100", name, params.Get(name))
		}
	}
	if params.Has("subdomains") {
		if q.Subdomains, err = strconv.ParseBool(params.Get("subdomains")); err != nil {
			return ExportQuery{}, fmt.Errorf("subdomains: %.40q is neither true nor false", params.Get("subdomains"))
		}
	}
	if params.Has("warninglists") {
		if err := q.SetWarningLists(params.Get("warninglists")); err != nil {
			return ExportQuery{}, fmt.Errorf("warninglists: %w", err)
		}
	}
	return q, nil
}

// SetWarningLists takes what is to become of what many use: keep or drop.
func (q *ExportQuery) SetWarningLists(word string) error {
	if word != "keep" && word != "drop" {
		return fmt.Errorf("%.40q is neither keep nor drop", word)
	}
	q.DropShared = word == "drop"
	return nil
}

// exportVersion changes when the same query gives another list than it gave with an earlier release.
const exportVersion = 3

// digest names a query of a collection.
func (q ExportQuery) digest(c Collection) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %q %q %q %d %t %d %t",
		exportVersion, c.Root, c.ID, q.Format, q.Kinds, q.MinConfidence, q.Subdomains, q.Score, q.DropShared))
	return hex.EncodeToString(sum[:8])
}

// exportTag is what the entity tag of a list says. It is a weak one: a change
// while the list is written may be in it already.
type exportTag struct {
	changed int64 // of the collection, when the list was begun
	until   time.Time
	query   string
}

func (t exportTag) String() string {
	until := int64(0)
	if !t.until.IsZero() {
		until = t.until.Unix()
	}
	return fmt.Sprintf(`W/"%d-%d-%s"`, t.changed, until, t.query)
}

// among finds one among the tags that a client knows that is as good as the tag, until its time is over.
func (t exportTag) among(headers []string, now time.Time) (string, bool) {
	for _, value := range headers {
		for _, known := range splitList(value) {
			known = strings.TrimSpace(known)
			var k exportTag
			var until int64
			// Some proxies write into the tag that they compress.
			plain := strings.TrimSuffix(strings.Trim(strings.TrimPrefix(known, "W/"), `"`), "-gzip")
			if n, err := fmt.Sscanf(plain, "%d-%d-%s", &k.changed, &until, &k.query); err != nil || n != 3 {
				continue
			}
			if k.changed == t.changed && k.query == t.query && (until == 0 || now.Before(time.Unix(until, 0))) {
				return known, true
			}
		}
	}
	return "", false
}

// sendStream sends a body whose length is not known before. An error of its writer cuts the connection, so that the
// client does not take the part for the whole.
func (h *Handler) sendStream(x *exchange, write func(io.Writer) error) error {
	b := h.openBody(x, http.StatusOK, unknownSize)
	defer b.abandon()
	if x.r.Method == http.MethodHead {
		return nil
	}
	_ = x.control.SetReadDeadline(time.Time{}) // else it would end the request; as in discardBody
	if err := write(b); err != nil {
		return err
	}
	return b.close()
}
