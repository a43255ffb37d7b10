package taxii

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// MediaType is the content type of every TAXII 2.1 resource, written as
// clients compare it: without a space and without quotes (section 1.6.8).
const MediaType = "application/taxii+json;version=2.1"

// specVersion is the version of STIX that collections hold, and stixMediaType their media type.
const (
	specVersion   = "2.1"
	stixMediaType = "application/stix+json;version=" + specVersion
)

// acceptsTAXII tells whether an Accept header admits a TAXII 2.1 resource. Ranges that name no version admit any. STIX
// 2.1 counts, since section 5.3 lists it, and so does plain JSON, which is what TAXII is. TAXII 2.0 does not: clients
// that speak both find out by the 406.
func acceptsTAXII(header http.Header) bool {
	values := header.Values("Accept")
	if strings.TrimSpace(strings.Join(values, "")) == "" {
		return true
	}
	for _, value := range values {
		for _, element := range splitList(value) {
			kind, params, err := mime.ParseMediaType(element)
			if err != nil || quality(params) == 0 {
				continue
			}
			switch kind {
			case "*/*", "application/*", "application/json":
				return true
			case "application/taxii+json", "application/stix+json":
				if version, ok := params["version"]; !ok || version == "2.1" {
					return true
				}
			}
		}
	}
	return false
}

// isJSON tells whether a body's Content-Type is plain JSON.
func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}

// carriesSTIX tells whether a body's Content-Type is one that objects are
// added in: TAXII's, and those that clients use in its place.
func carriesSTIX(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch kind {
	case "application/json":
		return true
	case "application/taxii+json", "application/stix+json", "application/vnd.oasis.stix+json":
		version, ok := params["version"]
		return !ok || version == "2.1"
	}
	return false
}

// acceptsGzip tells whether an Accept-Encoding header admits gzip.
func acceptsGzip(header http.Header) bool {
	any := false
	for _, value := range header.Values("Accept-Encoding") {
		for _, element := range splitList(value) {
			coding, params, err := mime.ParseMediaType(element)
			if err != nil {
				continue
			}
			switch coding {
			case "gzip", "x-gzip":
				return quality(params) > 0
			case "*":
				any = quality(params) > 0
			}
		}
	}
	return any
}

// quality is the weight of an element of a header list, 1 if none is given and 0 if it makes no sense.
func quality(params map[string]string) float64 {
	s, ok := params["q"]
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(s, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}

// splitList splits a header value at the commas outside of quotes.
func splitList(s string) []string {
	var list []string
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == ',' && !quoted:
			list = append(list, s[start:i])
			start = i + 1
		}
	}
	return append(list, s[start:])
}
