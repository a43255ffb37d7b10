package taxii

import (
	"bytes"
	"errors"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The kinds of listing that cursors are tied to.
const (
	objectsListing  = "objects"
	manifestListing = "manifest"
	versionsListing = "versions"
)

// getObjects lists the objects of a collection (section 5.4).
func (h *Handler) getObjects(x *exchange) error {
	p, err := h.page(x, objectsListing, "", filters{id: true, kind: true, specVersion: true, version: true})
	if err != nil {
		return err
	}
	return h.sendEnvelope(x, p)
}

// getObject lists the versions of one object, by default the last one (section 5.6).
func (h *Handler) getObject(x *exchange) error {
	p, err := h.page(x, objectsListing, x.variable("object"), filters{specVersion: true, version: true})
	if err != nil {
		return err
	}
	return h.sendEnvelope(x, p)
}

// page is a page of records with its cursor.
type page struct {
	Page
	next string // where the next page starts; empty if there is none
}

// page finds the page of the path's collection, or of one object in it, that
// the query string asks for, and names its dates in the header (section 3.2).
func (h *Handler) page(x *exchange, kind, object string, match filters) (page, error) {
	c, err := h.readable(x)
	if err != nil {
		return page{}, err
	}
	l, err := parseListing(x.r.URL.RawQuery, match, h.pages)
	if err != nil {
		return page{}, problemf(http.StatusBadRequest, "%s", err)
	}
	s := scope{kind: kind, collection: c.ID, object: object}
	if l.next != "" {
		after, err := h.cursors.decode(s, l.next)
		if err != nil {
			return page{}, problemf(http.StatusBadRequest, "%s", err)
		}
		l.After = max(l.After, after) // clients send both
	}
	if object != "" {
		l.IDs = []string{object}
	}
	l.WithObjects = kind == objectsListing

	found, err := h.store.Objects(x.r.Context(), x.who, c, l.Query)
	if err != nil {
		return page{}, err
	}
	if found.empty() {
		return h.emptyPage(x, c, object, found)
	}
	first, last := found.dates()
	// Spelt as in the standard: some clients' scripts look for just that.
	x.w.Header()["X-TAXII-Date-Added-First"] = []string{formatTimestamp(first)}
	x.w.Header()["X-TAXII-Date-Added-Last"] = []string{formatTimestamp(last)}
	h.note(x, Event{Name: EventRead, Root: x.root.Name, Collection: c.ID, Kind: kind, Count: found.count()})
	p := page{Page: found}
	if found.More {
		p.next = h.cursors.encode(s, last.UnixMicro())
	}
	return p, nil
}

// errEmptyPage is a store that breaks its promise on pages.
var errEmptyPage = errors.New("the store returned an empty page with more to come")

// emptyPage tells an object that is not there, a 404, from one that the filters leave nothing of.
func (h *Handler) emptyPage(x *exchange, c Collection, object string, found Page) (page, error) {
	if found.More {
		return page{}, errEmptyPage
	}
	if object == "" {
		return page{}, nil
	}
	known, err := h.store.HasObject(x.r.Context(), x.who, c, object)
	if err == nil && !known {
		err = ErrNotFound
	}
	return page{}, err
}

// specVersionHint is a custom property (section 7.1) of envelopes whose first object leaves its spec_version out, as
// observables may. OpenCTI's connector external-import/taxii2 looks here and there for it, and where it finds none
// pages in the manner of TAXII 2.0, at the end of which it fails and loses what it has read.
const specVersionHint = `"spec_version":"` + specVersion + `",`

// namesSpecVersion tells whether an object has a spec_version of its own.
func namesSpecVersion(object []byte) bool {
	dec := jsontext.NewDecoder(bytes.NewBuffer(object))
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return false
		}
		if name.String() == "spec_version" {
			return true
		}
		if err := dec.SkipValue(); err != nil {
			return false
		}
	}
	return false
}

// sendEnvelope answers with the page's objects, byte for byte as the store has them.
func (h *Handler) sendEnvelope(x *exchange, p page) error {
	return h.sendList(x, p, "objects", func(r Record) ([]byte, error) { return r.Object, nil }, func(first []byte) string {
		if namesSpecVersion(first) {
			return ""
		}
		return specVersionHint
	})
}

// postObjects adds objects to a collection (section 5.5).
func (h *Handler) postObjects(x *exchange) error {
	c, err := h.writable(x)
	if err != nil {
		return err
	}
	if contentType := x.r.Header.Get("Content-Type"); !carriesSTIX(contentType) {
		return problemf(http.StatusUnsupportedMediaType, "The body's Content-Type %.80q is not %s.", contentType, MediaType)
	}
	dryRun, err := h.parseAddition(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	addition, release, err := h.readObjects(x)
	if err != nil {
		return err
	}
	defer release()
	if dryRun {
		rehearsal, err := h.rehearser.Rehearse(x.r.Context(), x.who, c, addition)
		if err != nil {
			return err
		}
		return h.sendResource(x, http.StatusOK, rehearsal.resource(h.now()))
	}
	status, err := h.publisher.Publish(x.r.Context(), x.who, c, addition)
	if err != nil {
		return err
	}
	_, failures, _ := status.counts()
	event := Event{
		Name: EventPublish, Root: x.root.Name, Collection: c.ID, Status: status.ID, Subject: strings.Join(addition.To, ","),
		Count: addition.Objects.Len(), Failures: failures,
	}
	event.NameObjects(status.taken())
	h.note(x, event)
	return h.sendStatus(x, http.StatusAccepted, status)
}
