package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
)

// What a page shows of an object's lists; the rest is in the JSON.
const (
	maxValues     = 50
	maxReferences = 50
	maxLabels     = 40
	maxProperty   = 2 << 10 // bytes of a property that no page knows
)

// Summary is what an object says, in the words of a page. Its texts are a stranger's.
type Summary struct {
	ID, Type, Kind    string // Kind is the type in words
	Name              string
	Sentence          string
	Description       longText
	Pattern           string // of an indicator, where it is not a choice of values
	Values            []ShownValue
	MoreValues        bool
	State             string // "in force", "expired", "revoked", "not yet"; empty where there is none
	StateClass        string
	Confidence        int // 0 to 100; -1 if none is given
	From, Until       time.Time
	Created, Modified time.Time
	By                string // created_by_ref
	Labels            []string
	Aliases           []string
	References        []Reference
	MoreReferences    int
	Properties        []Property
	MoreProperties    int
}

// ShownValue is a value of an object, defanged, and what a search for it asks.
type ShownValue struct {
	Kind, Text, Plain string
	Other             string // an internationalised domain in its other form
	Link              string
}

// Reference is an external reference.
type Reference struct {
	Source, ID, Description string
	Shown, URL              string // defanged, and the page that leads there; empty if it is no web address
	Link                    string // search for the id
}

// Property is one that has no place of its own.
type Property struct {
	Name, Value string
	Code        bool // it is JSON
}

// told are the properties that have a place of their own.
var told = []string{"type", "id", "spec_version", "name", "description", "pattern", "pattern_type", "pattern_version", "confidence", "valid_from", "valid_until", "created", "modified",
	"created_by_ref", "labels", "aliases", "external_references", "revoked", "object_marking_refs", "value", "hashes", "extensions"}

type object map[string]any

func (o object) text(name string) string { s, _ := o[name].(string); return s }

func (o object) list(name string) (texts []string) {
	values, _ := o[name].([]any)
	for _, v := range values {
		if s, is := v.(string); is {
			texts = append(texts, s)
		}
	}
	return texts
}

func (o object) time(name string) time.Time {
	at, err := time.Parse(time.RFC3339, o.text(name))
	if err != nil || at.Year() > 9999 {
		return time.Time{}
	}
	return at
}

func (o object) count(name string) int { n, _ := o[name].(float64); return int(n) }

// summarise reads what an object says as of a time.
func summarise(raw []byte, now time.Time) Summary {
	var o object
	if json.Unmarshal(raw, &o) != nil || o == nil {
		o = object{}
	}
	s := Summary{ID: o.text("id"), Type: o.text("type"), Kind: typeWord(o.text("type")), Confidence: -1, Description: long(o.text("description")),
		From: o.time("valid_from"), Until: o.time("valid_until"), Created: o.time("created"), Modified: o.time("modified"), By: o.text("created_by_ref"),
		Labels: few(o.list("labels"), maxLabels), Aliases: few(o.list("aliases"), maxLabels)}
	if c, is := o["confidence"].(float64); is && c >= 0 && c <= 100 {
		s.Confidence = int(c)
	}
	if s.Description.Text == "" {
		s.Description = long(firstOf(o.text("abstract"), o.text("content"), o.text("explanation")))
	}
	s.values(raw, o)
	s.Name = o.called(s)
	s.state(o, now)
	s.Sentence = o.sentence(s)
	s.references(o)
	s.rest(o)
	return s
}

func few(list []string, most int) []string {
	var short []string
	for _, one := range list[:min(len(list), most)] {
		short = append(short, name(one))
	}
	return short
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// values are those that the object is about.
func (s *Summary) values(raw []byte, o object) {
	found, more := observable.FromObject(raw)
	whole := o.text("type") == "indicator"
	for i, f := range found {
		if f.Role == observable.ExternalID {
			continue
		}
		whole = whole && f.Role == observable.Pattern
		if len(s.Values) == maxValues {
			more = more || i < len(found)
			break
		}
		v := ShownValue{Kind: f.Value.Kind.String(), Text: name(defang(f.Value.Text)), Plain: f.Value.Text, Link: searchLink(f.Value.Text)}
		if f.Value.Kind == observable.Domain {
			v.Other = name(bothForms(f.Value.Text))
		}
		s.Values = append(s.Values, v)
	}
	s.MoreValues = more
	if pattern := o.text("pattern"); pattern != "" && (!whole || len(s.Values) == 0) {
		short, cut := clipBytes(pattern, maxText)
		if cut {
			short += "…"
		}
		s.Pattern = visibleText(short)
	}
}

// called is what people call the object.
func (o object) called(s Summary) string {
	called := firstOf(o.text("name"), o.text("value"), o.text("key"), o.text("path"), o.text("subject"), o.text("opinion"), o.text("relationship_type"), o.text("abstract"))
	if called == "" && o.text("type") == "sighting" {
		called = fmt.Sprintf("seen %s", times(max(1, o.count("count"))))
	}
	if called == "" && len(s.Values) > 0 {
		called = s.Values[0].Plain
	}
	if called == "" {
		called = firstLine(o.text("content"))
	}
	return name(called)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return thousands(int64(n)) + " times"
}

// state tells whether the object counts.
func (s *Summary) state(o object, now time.Time) {
	revoked, _ := o["revoked"].(bool)
	switch {
	case revoked:
		s.State, s.StateClass = "revoked", "bad"
	case s.Type != "indicator":
	case !s.Until.IsZero() && !now.Before(s.Until):
		s.State, s.StateClass = "expired", "off"
	case s.From.After(now):
		s.State, s.StateClass = "not yet in force", "off"
	default:
		s.State, s.StateClass = "in force", "good"
	}
}

// sentence says what the object says.
func (o object) sentence(s Summary) string {
	switch s.Type {
	case "indicator":
		of := words(o.list("indicator_types"))
		if of == "" {
			of = "something suspicious"
		}
		if o.text("pattern_type") != "stix" && o.text("pattern_type") != "" {
			return fmt.Sprintf("What matches this %s rule is a sign of %s.", name(o.text("pattern_type")), of)
		}
		if len(s.Values) == 1 && s.Pattern == "" {
			return fmt.Sprintf("Who sees this %s sees a sign of %s.", kindWord(s.Values[0].Kind), of)
		}
		return fmt.Sprintf("What matches is a sign of %s.", of)
	case "malware":
		what := "Malware"
		if family, _ := o["is_family"].(bool); family {
			what = "A family of malware"
		}
		return with(what, o.list("malware_types"))
	case "threat-actor":
		return with("A threat actor", o.list("threat_actor_types"))
	case "tool":
		return with("A tool", o.list("tool_types"))
	case "infrastructure":
		return with("Infrastructure", o.list("infrastructure_types"))
	case "report":
		text := with("A report", o.list("report_types"))
		if n := len(o.list("object_refs")); n > 0 {
			text = strings.TrimSuffix(text, ".") + fmt.Sprintf(", about %s.", objects(n))
		}
		return text
	case "campaign", "intrusion-set":
		return between("A "+s.Kind, o.time("first_seen"), o.time("last_seen"))
	case "sighting":
		return between("Seen "+times(max(1, o.count("count"))), o.time("first_seen"), o.time("last_seen"))
	case "opinion":
		return fmt.Sprintf("Somebody's opinion: %s.", name(strings.ReplaceAll(o.text("opinion"), "-", " ")))
	case "note", "grouping":
		return fmt.Sprintf("A %s about %s.", s.Kind, objects(len(o.list("object_refs"))))
	case "relationship":
		return "One object has to do with another."
	case "identity":
		return with("An identity", []string{o.text("identity_class")})
	}
	return ""
}

func objects(n int) string { return countOf(n, "object", "objects") }

func with(what string, kinds []string) string {
	if kinds := words(kinds); kinds != "" {
		return what + ": " + kinds + "."
	}
	return what + "."
}

// words are a STIX vocabulary's, for people.
func words(list []string) string {
	var all []string
	for _, w := range list[:min(len(list), 6)] {
		if w != "" {
			all = append(all, name(strings.ReplaceAll(w, "-", " ")))
		}
	}
	return strings.Join(all, ", ")
}

func between(what string, first, last time.Time) string {
	const day = "2 January 2006"
	switch {
	case !first.IsZero() && !last.IsZero() && first.Format(day) != last.Format(day):
		return fmt.Sprintf("%s, from %s to %s.", what, first.UTC().Format(day), last.UTC().Format(day))
	case !first.IsZero():
		return fmt.Sprintf("%s, on %s.", what, first.UTC().Format(day))
	case !last.IsZero():
		return fmt.Sprintf("%s, last on %s.", what, last.UTC().Format(day))
	}
	return what + "."
}

// kindWord is a kind of value in words.
func kindWord(kind string) string {
	switch kind {
	case "ipv4", "ipv6":
		return "address"
	case "md5", "sha1", "sha256", "sha512":
		return "file"
	case "url", "asn", "cve", "mac", "cid":
		return strings.ToUpper(kind)
	}
	return strings.ReplaceAll(kind, "-", " ")
}

// references are where else the object is written about. Nothing is fetched from there.
func (s *Summary) references(o object) {
	list, _ := o["external_references"].([]any)
	for _, one := range list[:min(len(list), maxReferences)] {
		fields, _ := one.(map[string]any)
		r := object(fields)
		ref := Reference{Source: name(r.text("source_name")), ID: name(r.text("external_id")), Description: name(r.text("description"))}
		if id := r.text("external_id"); id != "" && len(id) < 100 {
			ref.Link = searchLink(id)
		}
		if text := r.text("url"); text != "" {
			ref.Shown = name(defang(text))
			if _, good := webLink(text); good {
				ref.URL = link("leave", "to", text)
			}
		}
		s.References = append(s.References, ref)
	}
	s.MoreReferences = len(list) - len(s.References)
}

// rest are the properties that have no place.
func (s *Summary) rest(o object) {
	for _, key := range slices.Sorted(maps.Keys(o)) {
		if slices.Contains(told, key) {
			continue
		}
		if len(s.Properties) == maxProperties {
			s.MoreProperties++
			continue
		}
		p := Property{Name: name(key)}
		switch v := o[key].(type) {
		case string:
			short, cut := clipBytes(v, maxProperty)
			if p.Value = visibleText(short); cut {
				p.Value += "…"
			}
		default:
			data, err := json.MarshalIndent(v, "", " ")
			if err != nil {
				continue
			}
			short, cut := clipBytes(string(data), maxProperty)
			if p.Value, p.Code = visibleText(short), true; cut {
				p.Value += "…"
			}
		}
		s.Properties = append(s.Properties, p)
	}
}
