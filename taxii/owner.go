package taxii

import (
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// The first Service Ledger made API roots and collections with POST. Here the API root of an organisation is there from
// the start, so that a POST gives it its title; a collection is made on the chain.

// creationTime is how long the answer to the making of a collection may take: the chain has the last word.
const creationTime = 3 * time.Minute

type rootRequest struct {
	Title       string  `json:"title"`
	Description *string `json:"description"`
}

type apiRootResource struct {
	APIRoot apiRootFields `json:"apiroot"`
}

type apiRootFields struct {
	ID               string   `json:"id"`
	Title            string   `json:"title"`
	Description      *string  `json:"description"`
	Versions         []string `json:"versions"`
	MaxContentLength int64    `json:"max_content_length"`
	Domain           string   `json:"domain"`
	Slug             string   `json:"slug"`
	DiscoveryID      string   `json:"discoveryId"`
}

type collectionRequest struct {
	Title       string  `json:"title"`
	Alias       string  `json:"alias"`
	Description *string `json:"description"`
	// The rest the first Service Ledger did not know. A collection without
	// readers is, as all of them were there, the organisation's alone.
	Readers      []string `json:"readers"`
	Contributors []string `json:"contributors"`
	DefaultLevel string   `json:"default_level"`
	Metadata     string   `json:"metadata"`
	Padding      string   `json:"padding"`
}

type createdResource struct {
	Collection createdFields `json:"collection"`
}

type createdFields struct {
	ID          string   `json:"id"`
	Title       string   `json:"title"`
	Description *string  `json:"description"`
	Alias       string   `json:"alias,omitempty"`
	MediaTypes  []string `json:"media_types"`
	CanRead     bool     `json:"can_read"`
	CanWrite    bool     `json:"can_write"`
	RootID      string   `json:"apiRootId"`
}

// maxRootTitle and maxRootDescription bound what an API root is described by, in characters.
const (
	maxRootTitle       = 200
	maxRootDescription = 2000
)

// mayOwn refuses who is no administrator of the path's API root, or is limited to some collections.
func (h *Handler) mayOwn(x *exchange) error {
	x.accounts = true
	if err := h.mayAdminister(x, x.root.Name); err != nil {
		return err
	}
	if x.who.Limits.Any() {
		return ErrForbidden
	}
	return nil
}

// postRoot gives the organisation's API root a title and a description.
func (h *Handler) postRoot(x *exchange) error {
	if err := h.mayOwn(x); err != nil {
		return err
	}
	var request rootRequest
	if err := readJSON(x, &request, "title and description as strings"); err != nil {
		return err
	}
	description := ""
	if request.Description != nil {
		description = *request.Description
	}
	if n := utf8.RuneCountInString(request.Title); n < 1 || n > maxRootTitle || utf8.RuneCountInString(description) > maxRootDescription {
		return problemf(http.StatusUnprocessableEntity, "title must have 1 to %d characters, description at most %d.", maxRootTitle, maxRootDescription)
	}
	if err := h.owner.DescribeRoot(x.r.Context(), x.who, request.Title, description); err != nil {
		return err
	}
	h.note(x, Event{Name: EventDescribeRoot, Root: x.root.Name})
	scheme := "http://"
	if h.gate.proxies.secure(x.r) {
		scheme = "https://"
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, apiRootResource{apiRootFields{
		ID:               rootDigest(x.root.Name),
		Title:            request.Title,
		Description:      request.Description,
		Versions:         []string{MediaType},
		MaxContentLength: h.maxContentLength,
		Domain:           scheme + x.r.Host, // told to nobody but who named it
		Slug:             x.root.Name,
		DiscoveryID:      "taxii2",
	}})
}

// postCollection makes a collection of the organisation.
func (h *Handler) postCollection(x *exchange) error {
	if err := h.mayOwn(x); err != nil {
		return err
	}
	var request collectionRequest
	if err := readJSON(x, &request, "title and alias as strings, and readers and contributors as lists of strings"); err != nil {
		return err
	}
	spec := NewCollection{
		Title: request.Title, Alias: formerAlias(request.Alias), Readers: request.Readers, Contributors: request.Contributors,
		DefaultLevel: request.DefaultLevel, Metadata: request.Metadata, Padding: request.Padding,
	}
	if request.Description != nil {
		spec.Description = *request.Description
	}
	// An error only says that this connection knows no deadlines.
	_ = x.control.SetReadDeadline(time.Time{})
	_ = x.control.SetWriteDeadline(time.Now().Add(creationTime))
	c, err := h.owner.CreateCollection(x.r.Context(), x.who, spec)
	if err != nil {
		return err
	}
	h.note(x, Event{
		Name: EventCreateCollection, Root: x.root.Name, Collection: c.ID,
		Subject: strings.Join(request.Readers, ","),
	})
	return h.sendJSON(x, http.StatusOK, plainJSON, createdResource{createdFields{
		ID:          c.ID,
		Title:       c.Title,
		Description: request.Description,
		Alias:       c.Alias,
		MediaTypes:  []string{MediaType},
		CanRead:     c.CanRead,
		CanWrite:    c.CanWrite,
		RootID:      rootDigest(x.root.Name),
	}})
}

var (
	plainAlias = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)
	notWord    = regexp.MustCompile(`[^A-Za-z0-9_]`)
)

// formerAlias makes an alias of what is not fit for a path, by the first
// Service Ledger's rule: spaces become underlines, the rest of it goes.
func formerAlias(alias string) string {
	if plainAlias.MatchString(alias) {
		return alias
	}
	return strings.ToLower(notWord.ReplaceAllString(strings.ReplaceAll(alias, " ", "_"), ""))
}
