package stix

import (
	"bytes"
	"math/bits"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Notes say what is wrong with an object that was accepted all the same, each about one property: a reader may take the
// object for less than its producer meant. They are fit to be shown, as [Error] is.
func (o *Object) Notes() []string { return o.notes }

// maxNotes bounds the notes about one object.
const maxNotes = 8

func (o *Object) note(property, remark string) {
	if len(o.notes) < maxNotes {
		o.notes = append(o.notes, property+" "+remark)
	}
}

// field is a property that some type requires (sections 4 to 7), a bit of a set.
type field uint64

const (
	hasName field = 1 << iota
	hasContext
	hasObjectRefs
	hasPattern
	hasPatternType
	hasValidFrom
	hasIsFamily
	hasProduct
	hasResult
	hasAnalysisRefs
	hasContent
	hasFirstObserved
	hasLastObserved
	hasNumberObserved
	hasObjects
	hasOpinion
	hasPublished
	hasRelationshipType
	hasSourceRef
	hasTargetRef
	hasSightingOf
	hasRegion
	hasCountry
	hasLatitude
	hasPayload
	hasURL
	hasNumber
	hasPath
	hasValue
	hasIsMultipart
	hasHashes
	hasProtocols
	hasSource
	hasDestination
	hasObjectRef
	hasContents
)

// noted is a property whose value is looked at.
type noted struct {
	name string
	field
	check func(value jsontext.Value) (remark string)
}

// Those that types require are in the order of their bits.
var (
	requiredProperties = [...]string{
		"name", "context", "object_refs", "pattern", "pattern_type", "valid_from", "is_family", "product", "result", "analysis_sco_refs",
		"content", "first_observed", "last_observed", "number_observed", "objects", "opinion", "published", "relationship_type", "source_ref",
		"target_ref", "sighting_of_ref", "region", "country", "latitude", "payload_bin", "url", "number", "path", "value", "is_multipart",
		"hashes", "protocols", "src_ref", "dst_ref", "object_ref", "contents",
	}
	timestampProperties = [...]string{
		"valid_from", "valid_until", "first_observed", "last_observed", "first_seen", "last_seen", "published", "start_time", "stop_time",
	}
	notedProperties = noteProperties()
)

// noteProperties sorts them by the length of their names: a property of an object is sought among a few.
func noteProperties() (byLength [32][]*noted) {
	all := map[string]*noted{"confidence": {name: "confidence", check: checkConfidence}}
	for i, name := range requiredProperties {
		all[name] = &noted{name: name, field: 1 << i}
	}
	for _, name := range timestampProperties {
		if all[name] == nil {
			all[name] = &noted{name: name}
		}
		all[name].check = checkTime
	}
	for name, p := range all {
		byLength[len(name)] = append(byLength[len(name)], p)
	}
	return byLength
}

// notedAs finds a property whose value is looked at; nil if it is none of them.
func notedAs(name []byte) *noted {
	if len(name) >= len(notedProperties) {
		return nil
	}
	for _, p := range notedProperties[len(name)] {
		if p.name == string(name) {
			return p
		}
	}
	return nil
}

// requirements are what a type requires: of each set one property at least.
func requirements(typ string) []field {
	switch typ {
	case "attack-pattern", "campaign", "course-of-action", "identity", "incident", "infrastructure", "intrusion-set", "threat-actor", "tool",
		"vulnerability", "mutex", "software":
		return []field{hasName}
	case "domain-name", "email-addr", "ipv4-addr", "ipv6-addr", "mac-addr", "url":
		return []field{hasValue}
	case "indicator":
		return []field{hasPattern, hasPatternType, hasValidFrom}
	case "relationship":
		return []field{hasRelationshipType, hasSourceRef, hasTargetRef}
	case "sighting":
		return []field{hasSightingOf}
	case "malware":
		return []field{hasIsFamily}
	case "report":
		return []field{hasName, hasPublished, hasObjectRefs}
	case "observed-data":
		return []field{hasFirstObserved, hasLastObserved, hasNumberObserved, hasObjects | hasObjectRefs}
	case "grouping":
		return []field{hasContext, hasObjectRefs}
	case "note":
		return []field{hasContent, hasObjectRefs}
	case "opinion":
		return []field{hasOpinion, hasObjectRefs}
	case "location":
		return []field{hasRegion | hasCountry | hasLatitude}
	case "malware-analysis":
		return []field{hasProduct, hasResult | hasAnalysisRefs}
	case "artifact":
		return []field{hasPayload | hasURL}
	case "autonomous-system":
		return []field{hasNumber}
	case "directory":
		return []field{hasPath}
	case "email-message":
		return []field{hasIsMultipart}
	case "file":
		return []field{hasHashes | hasName}
	case "network-traffic":
		return []field{hasProtocols, hasSource | hasDestination}
	case "language-content":
		return []field{hasObjectRef, hasContents}
	}
	return nil
}

// noteMissing notes what the type of the object requires and it does not have.
func (o *Object) noteMissing() {
	for _, anyOf := range requirements(o.Type) {
		if o.fields&anyOf != 0 {
			continue
		}
		var names []string
		for rest := anyOf; rest != 0; rest &= rest - 1 {
			names = append(names, requiredProperties[bits.TrailingZeros64(uint64(rest))])
		}
		article := "a "
		if strings.IndexByte("aeio", o.Type[0]) >= 0 {
			article = "an "
		}
		o.note(strings.Join(names, " or "), "is missing, which "+article+o.Type+" requires")
	}
}

// noteValue takes down what the value of a property means for the object. There may be a colon and white space before
// it.
func (o *Object) noteValue(p *noted, value jsontext.Value) {
	for value[0] <= ' ' || value[0] == ':' {
		value = value[1:]
	}
	if isEmpty(value) {
		return
	}
	o.fields |= p.field
	if p.check != nil {
		if remark := p.check(value); remark != "" {
			o.note(p.name, remark)
		}
	}
}

func checkConfidence(value jsontext.Value) string {
	if n, err := strconv.Atoi(string(value)); err == nil && n >= 0 && n <= 100 {
		return ""
	}
	return "should be an integer from 0 to 100, not " + printable(clip(string(value)))
}

func checkTime(value jsontext.Value) string {
	if value.Kind() == '"' {
		if _, err := ParseTimestamp(string(unquoted(value))); err == nil {
			return ""
		}
	}
	return "should be a timestamp like 2006-01-02T15:04:05.000Z, not " + printable(clip(string(value)))
}

// isEmpty reports whether a value says nothing. It has no white space around it.
func isEmpty(value jsontext.Value) bool {
	switch value.Kind() {
	case 'n':
		return true
	case '"':
		return len(value) == len(`""`)
	case '[', '{':
		return len(bytes.TrimSpace(value[1:len(value)-1])) == 0
	}
	return false
}
