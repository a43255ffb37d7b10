package taxii

import (
	"net/http"
)

// CollectionsResource lists collections (section 5.1.1).
type CollectionsResource struct {
	Collections []CollectionResource `json:"collections,omitempty"`
}

// CollectionResource describes a collection as it is for one client (section 5.2.1).
type CollectionResource struct {
	ID          string   `json:"id"`
	Title       string   `json:"title"`
	Description string   `json:"description,omitempty"`
	Alias       string   `json:"alias,omitempty"`
	CanRead     bool     `json:"can_read"`
	CanWrite    bool     `json:"can_write"`
	MediaTypes  []string `json:"media_types,omitempty"`
}

func (c Collection) resource() CollectionResource {
	resource := CollectionResource{
		ID:          c.ID,
		Title:       c.Title,
		Description: c.Description,
		Alias:       c.Alias,
		CanRead:     c.CanRead,
		CanWrite:    c.CanWrite,
		MediaTypes:  []string{stixMediaType},
	}
	if resource.Title == "" { // the standard requires one
		resource.Title = c.ID
	}
	return resource
}

func (h *Handler) getCollections(x *exchange) error {
	collections, err := h.store.Collections(x.r.Context(), x.who, x.root.Name)
	if err != nil {
		return err
	}
	var resource CollectionsResource
	for _, c := range collections {
		resource.Collections = append(resource.Collections, c.resource())
	}
	return h.sendResource(x, http.StatusOK, resource)
}

func (h *Handler) getCollection(x *exchange) error {
	c, err := h.collection(x)
	if err != nil {
		return err
	}
	return h.sendResource(x, http.StatusOK, c.resource())
}

// collection finds the collection that the path names by id or alias. To who
// can neither read nor write it, it does not exist.
func (h *Handler) collection(x *exchange) (Collection, error) {
	c, err := h.store.Collection(x.r.Context(), x.who, x.root.Name, x.variable("collection"))
	if err == nil && !c.CanRead && !c.CanWrite {
		err = ErrNotFound
	}
	return c, err
}

// readable finds the path's collection for one who reads it.
func (h *Handler) readable(x *exchange) (Collection, error) {
	c, err := h.collection(x)
	if err == nil && !c.CanRead {
		err = problemf(http.StatusForbidden, "This account may not read this collection.")
	}
	return c, err
}

// erasable finds the path's collection for one who takes objects out of it,
// for which the standard wants both rights (section 5.7).
func (h *Handler) erasable(x *exchange) (Collection, error) {
	c, err := h.collection(x)
	if err == nil && (!c.CanRead || !c.CanWrite) {
		err = problemf(http.StatusForbidden, "This account may not delete from this collection, which takes the rights to read and to write it.")
	}
	return c, err
}

// writable finds the path's collection for one who adds to it.
func (h *Handler) writable(x *exchange) (Collection, error) {
	c, err := h.collection(x)
	switch {
	case err == nil && !c.CanWrite && c.Closed != "":
		err = problemf(http.StatusForbidden, "Nothing can be added to this collection: %s.", c.Closed)
	case err == nil && !c.CanWrite:
		err = problemf(http.StatusForbidden, "This account may not add to this collection.")
	}
	return c, err
}
