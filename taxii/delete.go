package taxii

import (
	"fmt"
	"net/http"
	"net/url"
)

// deleteObject takes an object, or the versions of it that the query string names, out of a collection (section 5.7).
func (h *Handler) deleteObject(x *exchange) error {
	c, err := h.erasable(x)
	if err != nil {
		return err
	}
	q, err := parseErasure(x.r.URL.RawQuery, h.pages.Max)
	if err != nil {
		return problemf(http.StatusBadRequest, "%s", err)
	}
	q.IDs, q.Own = []string{x.variable("object")}, true
	records, err := h.everyRecord(x, c, q)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return h.notOwn(x, c, q)
	}
	status, err := h.withdrawer.Withdraw(x.r.Context(), x.who, c, records)
	if err != nil {
		return err
	}
	event := Event{Name: EventWithdraw, Root: x.root.Name, Collection: c.ID, Status: status.ID, Count: len(records)}
	event.NameObjects(q.IDs)
	h.note(x, event)
	if _, _, pendings := status.counts(); pendings > 0 {
		return h.sendStatus(x, http.StatusAccepted, status)
	}
	x.w.Header().Set("Content-Type", MediaType)
	h.send(x, http.StatusOK)
	return nil
}

// notOwn says why nothing can be deleted: others published it, or nobody.
func (h *Handler) notOwn(x *exchange, c Collection, q Query) error {
	q.Own = false
	records, err := h.everyRecord(x, c, q)
	switch {
	case err != nil:
		return err
	case len(records) > 0:
		return ErrForbidden
	}
	return ErrNotFound
}

// parseErasure reads the query string of a DELETE. Unlike a listing's it must hold nothing but the two filters that the
// standard defines there: one that was meant to spare something must not be passed over.
func parseErasure(raw string, limit int) (Query, error) {
	params, err := url.ParseQuery(raw)
	if err != nil {
		return Query{}, fmt.Errorf("the query string is malformed: %w", err)
	}
	for name := range params {
		if name != "match[version]" && name != "match[spec_version]" {
			return Query{}, fmt.Errorf("%.40q is not a parameter of DELETE, which takes match[version] and match[spec_version]", name)
		}
	}
	l, err := parseListing(raw, filters{specVersion: true, version: true}, PageLimits{Default: limit, Max: limit})
	if err != nil {
		return Query{}, err
	}
	if !params.Has("match[version]") {
		l.Version = VersionMatch{All: true}
	}
	return l.Query, nil
}

// everyRecord collects what a query takes from all its pages.
func (h *Handler) everyRecord(x *exchange, c Collection, q Query) (records []Record, err error) {
	for more := true; more; {
		page, err := h.store.Objects(x.r.Context(), x.who, c, q)
		if err != nil {
			return nil, err
		}
		for r, err := range h.records(x, page) {
			if err != nil {
				return nil, err
			}
			records = append(records, r)
		}
		if len(records) > maxObjects {
			return nil, problemf(http.StatusUnprocessableEntity, "That is more than %d versions; delete them in several requests.", maxObjects)
		}
		if more = page.More; more {
			if page.empty() {
				return nil, errEmptyPage
			}
			_, last := page.dates()
			q.After = last.UnixMicro()
		}
	}
	return records, nil
}
