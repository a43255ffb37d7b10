package stix

import (
	"slices"

	"github.com/go-json-experiment/json"
)

// checkExtensionDefinition asks for the required properties of section 7.3.
func (o *Object) checkExtensionDefinition() *Error {
	var def struct {
		Name    any   `json:"name"`
		Schema  any   `json:"schema"`
		Version any   `json:"version"`
		Types   []any `json:"extension_types"`
	}
	if err := json.Unmarshal(o.Raw, &def); err != nil {
		return broken("extension_types", "must be a list")
	}
	for _, required := range []struct {
		name  string
		value any
	}{
		{"created_by_ref", o.CreatedByRef}, {"name", def.Name}, {"schema", def.Schema}, {"version", def.Version},
	} {
		if text, ok := required.value.(string); !ok || text == "" {
			return broken(required.name, "is required for an extension-definition, as a string")
		}
	}
	if len(def.Types) == 0 {
		return broken("extension_types", "is required for an extension-definition, as a list that is not empty")
	}
	known := []any{"new-sdo", "new-sco", "new-sro", "property-extension", "toplevel-property-extension"}
	for _, t := range def.Types {
		if text, ok := t.(string); !ok || !slices.Contains(known, any(text)) {
			return broken("extension_types", "must be of new-sdo, new-sco, new-sro, property-extension and toplevel-property-extension")
		}
	}
	return nil
}
