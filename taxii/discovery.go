package taxii

import (
	"net/http"
)

// DiscoveryResource describes a server (section 4.1.1).
type DiscoveryResource struct {
	Title       string   `json:"title"`
	Description string   `json:"description,omitempty"`
	Contact     string   `json:"contact,omitempty"`
	Default     string   `json:"default,omitempty"`
	APIRoots    []string `json:"api_roots,omitempty"`
}

// RootResource describes an API root (section 4.2.1).
type RootResource struct {
	Title            string   `json:"title"`
	Description      string   `json:"description,omitempty"`
	Versions         []string `json:"versions"`
	MaxContentLength int64    `json:"max_content_length"`
}

// getDiscovery lists the API roots by paths relative to the host, which hold behind any proxy.
func (h *Handler) getDiscovery(x *exchange) error {
	roots, err := h.store.Roots(x.r.Context(), x.who)
	if err != nil {
		return err
	}
	resource := DiscoveryResource{Title: h.title, Description: h.description, Contact: h.contact}
	for _, root := range roots {
		path := "/" + root.Name + "/"
		resource.APIRoots = append(resource.APIRoots, path)
		if root.Name == h.defaultRoot {
			resource.Default = path
		}
	}
	return h.sendResource(x, http.StatusOK, resource)
}

func (h *Handler) getRoot(x *exchange) error {
	resource := RootResource{
		Title:            x.root.Title,
		Description:      x.root.Description,
		Versions:         []string{MediaType},
		MaxContentLength: h.maxContentLength,
	}
	if resource.Title == "" {
		resource.Title = x.root.Name
	}
	return h.sendResource(x, http.StatusOK, resource)
}
