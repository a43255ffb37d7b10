package console

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/stix"
)

// What is read of a paste, and what is published of it in one go.
const (
	maxPaste = 2 << 20 // bytes
	maxTaken = 1000    // objects
)

// Intake is what a pasted text would be published as.
type Intake struct {
	Kind    string // "text", "csv" or "stix"
	Drafts  []Draft
	Refused string // why all of it is refused, with the remedy
	Note    string // what is to be known of it, such as that not all was read
}

// Draft is an object that a paste would become. A draft that is refused has no JSON.
type Draft struct {
	Value   observable.Value // of what was found in text; zero for an object that was pasted
	Type    string
	Name    string
	JSON    []byte
	Refused string // why it can't be published, with the remedy
	Dubious string // why it is not chosen unless somebody wants it
}

// Wishes are what the person who publishes has chosen.
type Wishes struct {
	Level      string // TLP: "clear", "green", "amber", "amber+strict"; empty: the collection's own
	Confidence int    // 0 to 100; -1: none
	Days       int    // for how long an indicator counts; 0: for ever
	Name       string // of all of them; empty: each by its value
	Now        time.Time
	NewID      func() string // a random UUID
	CreatedBy  string        // id of the organisation's identity; may be empty
}

var isRed = regexp.MustCompile(`(?i)\bTLP\s*[:\-]?\s*RED\b`)

// TakeIn reads a paste: a STIX object, list or bundle, a table with commas or semicolons that has a column of values,
// or any text with values in it, defanged or not.
func TakeIn(paste string, w Wishes) Intake {
	switch trimmed := strings.TrimSpace(paste); {
	case len(paste) > maxPaste:
		return Intake{Refused: fmt.Sprintf("This is more than %s. Post it over TAXII, or divide it.", sizeOf(maxPaste))}
	case trimmed == "":
		return Intake{Refused: "There is nothing in it yet."}
	case trimmed[0] == '{' || trimmed[0] == '[' && looksLikeList(trimmed):
		return stixOf(trimmed, w)
	default:
		if isRed.MatchString(trimmed) {
			return Intake{Kind: "text", Refused: "The text says TLP:RED, which can't go to a collection: it is for the persons named only. Ask its author for another marking, or take the mark out if it isn't about this."}
		}
		if in, is := tableOf(trimmed, w); is {
			return in
		}
		return textIntake(trimmed, w)
	}
}

// looksLikeList reports whether a text in brackets is JSON rather than a defanged value.
func looksLikeList(text string) bool {
	rest := strings.TrimSpace(text[1:])
	return strings.HasPrefix(rest, "{") || strings.HasPrefix(rest, "]")
}

func textIntake(text string, w Wishes) Intake {
	in := Intake{Kind: "text"}
	values := observable.Parse(text)
	if len(text) > observable.MaxText {
		in.Note = "Only the first MB was read. Divide it."
	}
	for _, v := range values {
		in.add(v, row{}, w)
	}
	if len(in.Drafts) == 0 {
		in.Refused = "No address, domain, URL, mailbox or hash was found in it."
	}
	return in
}

// row is what a line of a table says of a value beside the value.
type row struct {
	name       string
	confidence int
	has        bool
}

// add makes a draft of a value.
func (in *Intake) add(v observable.Value, r row, w Wishes) {
	if slices.ContainsFunc(in.Drafts, func(d Draft) bool { return d.Value == v }) {
		return
	}
	if len(in.Drafts) >= maxTaken {
		in.Note = fmt.Sprintf("Only the first %s are taken. Divide it.", thousands(maxTaken))
		return
	}
	d := Draft{Value: v, Type: "indicator", Name: v.Text}
	pattern, is := patternOf(v)
	if why := unfit(v); why != "" {
		d.Refused = why
	} else if !is {
		d.Refused = "A " + kindWord(v.Kind.String()) + " alone is no indicator. Write what it is about as an object of its own."
	} else {
		d.Dubious = dubious(v)
		d.JSON = indicator(v, pattern, r, w)
	}
	in.Drafts = append(in.Drafts, d)
}

// unfit says why a value is of no use to others, beside what the node's warning lists say of it.
func unfit(v observable.Value) string {
	where := v
	if host, is := v.Host(); is {
		where = host
	}
	if p, is := where.Prefix(); is {
		if bits := p.Bits(); p.Addr().Is4() && bits < 8 || p.Addr().Is6() && bits < 19 {
			return "so wide a network says nothing about anybody in it"
		}
	}
	if where.Kind == observable.Domain {
		for _, suffix := range []string{".internal", ".lan", ".in-addr.arpa", ".ip6.arpa"} {
			if strings.HasSuffix(where.Text, suffix) {
				return "a name that means something in one network only"
			}
		}
	}
	return ""
}

// dubious says why a value is probably not meant.
func dubious(v observable.Value) string {
	if v.Kind == observable.Domain && slices.Contains(cited, v.Text) {
		return "a service that reports refer to: others would block it"
	}
	return ""
}

// cited are sites that are in reports as their sources.
var cited = []string{"virustotal.com", "www.virustotal.com", "twitter.com", "x.com", "linkedin.com", "attack.mitre.org", "cve.org", "www.cve.org", "nvd.nist.gov"}

// patternOf is the STIX pattern of a value.
func patternOf(v observable.Value) (string, bool) {
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v.Text)
	path := ""
	switch v.Kind {
	case observable.IPv4:
		path = "ipv4-addr:value"
	case observable.IPv6:
		path = "ipv6-addr:value"
	case observable.Domain:
		path = "domain-name:value"
	case observable.URL:
		path = "url:value"
	case observable.MD5:
		path = "file:hashes.MD5"
	case observable.SHA1:
		path = "file:hashes.'SHA-1'"
	case observable.SHA256:
		path = "file:hashes.'SHA-256'"
	case observable.SHA512:
		path = "file:hashes.'SHA-512'"
	case observable.Email:
		path = "email-addr:value"
	case observable.ASN:
		path, quoted = "autonomous-system:number", strings.TrimPrefix(v.Text, "AS")
		return "[" + path + " = " + quoted + "]", true
	case observable.FileName:
		path = "file:name"
	case observable.Mutex:
		path = "mutex:name"
	case observable.RegistryKey:
		path = "windows-registry-key:key"
	case observable.MAC:
		path = "mac-addr:value"
	case observable.UserAgent:
		path = "network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'"
	case observable.Serial:
		path = "x509-certificate:serial_number"
	default:
		return "", false
	}
	return "[" + path + " = '" + quoted + "']", true
}

// indicator is the STIX object of a value.
func indicator(v observable.Value, pattern string, r row, w Wishes) []byte {
	at := stix.FormatTimestamp(w.Now)
	o := map[string]any{
		"type": "indicator", "spec_version": "2.1", "id": "indicator--" + w.NewID(), "created": at, "modified": at, "valid_from": at,
		"name": firstOf(r.name, w.Name, v.Text), "pattern": pattern, "pattern_type": "stix", "indicator_types": []string{"malicious-activity"},
	}
	confidence := w.Confidence
	if r.has {
		confidence = r.confidence
	}
	if confidence >= 0 {
		o["confidence"] = min(confidence, 100)
	}
	if w.Days > 0 {
		o["valid_until"] = stix.FormatTimestamp(w.Now.UTC().AddDate(0, 0, w.Days))
	}
	if level, err := stix.ParseLevel(w.Level); err == nil {
		o["object_marking_refs"] = []string{level.Marking()}
	}
	if w.CreatedBy != "" {
		o["created_by_ref"] = w.CreatedBy
	}
	data, err := json.Marshal(o)
	if err != nil {
		return nil
	}
	return data
}

// valueColumns and nameColumns are how tables call them.
var (
	valueColumns = []string{"value", "indicator", "ioc", "observable", "ip", "ip address", "address", "domain", "url", "hash", "md5", "sha1", "sha256", "sha-256"}
	nameColumns  = []string{"name", "title", "comment", "description", "threat", "malware"}
)

// tableOf reads a table whose first line names its columns.
func tableOf(text string, w Wishes) (Intake, bool) {
	first, _, _ := strings.Cut(text, "\n")
	for _, comma := range []rune{',', ';', '\t'} {
		if !strings.ContainsRune(first, comma) {
			continue
		}
		r := csv.NewReader(strings.NewReader(text))
		r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace = comma, -1, true, true
		head, err := r.Read()
		if err != nil {
			continue
		}
		column := func(names []string) int {
			return slices.IndexFunc(head, func(h string) bool { return slices.Contains(names, strings.ToLower(strings.TrimSpace(h))) })
		}
		value := column(valueColumns)
		if value < 0 {
			continue
		}
		return readTable(r, value, column(nameColumns), column([]string{"confidence", "score"}), w), true
	}
	return Intake{}, false
}

func readTable(r *csv.Reader, value, called, confidence int, w Wishes) Intake {
	in := Intake{Kind: "csv"}
	cell := func(record []string, at int) string {
		if at < 0 || at >= len(record) {
			return ""
		}
		return strings.TrimPrefix(strings.TrimSpace(record[at]), "'")
	}
	for lines := 0; lines < maxTaken*4; lines++ {
		record, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			in.Note = "Not all of the table could be read: " + name(err.Error())
			break
		}
		line := row{}
		line.name, _ = clip(cell(record, called), maxName)
		if n, err := strconv.Atoi(cell(record, confidence)); err == nil && n >= 0 && n <= 100 {
			line.confidence, line.has = n, true
		}
		for _, v := range observable.Parse(cell(record, value)) {
			in.add(v, line, w)
		}
	}
	if len(in.Drafts) == 0 {
		in.Refused = "No address, domain, URL, mailbox or hash was found in its column of values."
	}
	return in
}

// stixOf reads STIX: an object, a list of objects or a bundle. It is published as it is.
func stixOf(text string, w Wishes) Intake {
	in := Intake{Kind: "stix"}
	var list []json.RawMessage
	if text[0] == '[' {
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			in.Refused = "This begins like a list in JSON and is none: " + name(err.Error())
			return in
		}
	} else {
		var bundle struct {
			Type    string            `json:"type"`
			Objects []json.RawMessage `json:"objects"`
		}
		if err := json.Unmarshal([]byte(text), &bundle); err != nil {
			in.Refused = "This begins like JSON and is none: " + name(err.Error())
			return in
		}
		if list = bundle.Objects; bundle.Type != "bundle" && bundle.Objects == nil {
			list = []json.RawMessage{json.RawMessage(text)}
		}
	}
	for _, raw := range list {
		if len(in.Drafts) >= maxTaken {
			in.Note = fmt.Sprintf("Only the first %s are taken. Divide it.", thousands(maxTaken))
			break
		}
		in.Drafts = append(in.Drafts, draftOf(raw, w))
	}
	if len(in.Drafts) == 0 {
		in.Refused = "There is no object in it."
	}
	return in
}

func draftOf(raw json.RawMessage, w Wishes) Draft {
	s := summarise(raw, w.Now)
	d := Draft{Type: s.Type, Name: s.Name, JSON: raw}
	read, err := stix.Parse(raw)
	switch {
	case err != nil:
		d.Refused = name(err.Error())
	case slices.ContainsFunc(read.Markings, func(id string) bool { return stix.KnownLevel(id) == stix.Red }),
		slices.ContainsFunc(read.Labels, isRed.MatchString):
		d.Refused = "TLP:RED can't go to a collection"
	}
	if d.Refused == "" && s.Type == "indicator" {
		found, _ := observable.FromObject(raw)
		if len(found) == 1 {
			d.Value = found[0].Value
			d.Refused, d.Dubious = unfit(d.Value), dubious(d.Value)
		}
	}
	if d.Refused != "" {
		d.JSON = nil
	}
	return d
}
