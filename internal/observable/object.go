package observable

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxValues is how many values of one object are found.
const MaxValues = 500

// Role is what a value is in an object.
type Role byte

// The roles. Their letters are in the index of every node.
const (
	Pattern    Role = 'p' // an indicator is a choice of such values and nothing more: each says by itself that it is there
	PartOf     Role = 'q' // … it says more than that, so that the value alone is not what is meant
	Observed   Role = 'o' // it is the observable itself, or part of it
	ExternalID Role = 'x' // it is an external reference's id, or a name
	Stored     Role = 's' // the object itself is there, as its publisher has encrypted it
)

func (r Role) String() string {
	switch r {
	case Pattern:
		return "pattern"
	case PartOf:
		return "part of a pattern"
	case Observed:
		return "observable"
	case ExternalID:
		return "external id"
	case Stored:
		return "where it is stored"
	}
	return "unknown"
}

// MarshalText writes the role in words.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText undoes MarshalText.
func (r *Role) UnmarshalText(text []byte) error {
	for _, role := range []Role{Pattern, PartOf, Observed, ExternalID, Stored} {
		if role.String() == string(text) {
			*r = role
			return nil
		}
	}
	return fmt.Errorf("%.40q is no role of a value", text)
}

// Found is a value in an object.
type Found struct {
	Value Value `json:"value"`
	Role  Role  `json:"role"`
}

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// FromObject finds the values that a STIX object is about: those of an indicator's pattern, of an observable, of what
// observed data have in themselves, and the CVE and ATT&CK ids that it is known under. Each value is there once, in the
// first of its roles. Up to [MaxValues] are found; more says that there are more.
func FromObject(object []byte) (found []Found, more bool) {
	o, err := ReadProperties(object)
	if err != nil {
		return nil, false
	}
	return o.Values()
}

// Properties are those of an object, as they are written.
type Properties map[string]jsontext.Value

// ReadProperties takes an object apart. What it gives is part of the object's bytes, which must not change.
func ReadProperties(object []byte) (o Properties, err error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(object), lenient)
	if d.PeekKind() != '{' {
		return o, json.Unmarshal(object, &o, lenient) // null, or an error
	}
	const usual = 16
	o = make(Properties, usual)
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		text := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		end := int(d.InputOffset())
		o[text] = object[end-len(value) : end : end]
	}
	if _, err := d.ReadToken(); err != nil { // the closing brace
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, cmp.Or(err, errTrailing)
	}
	return o, nil
}

var errTrailing = errors.New("something follows the object")

// Revoked reports whether the object says that it is revoked (STIX 2.1, section 3.6).
func (o Properties) Revoked() bool { return string(o["revoked"]) == "true" }

// Text is a property that is one; of others "".
func (o Properties) Text(name string) string { return textOf(o[name]) }

func textOf(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	if inside := bytes.TrimSuffix(v[1:], []byte{'"'}); bytes.IndexByte(inside, '\\') < 0 && utf8.Valid(inside) {
		return string(inside)
	}
	text, _ := jsontext.AppendUnquote(nil, v) // what is no UTF-8 is replaced
	return string(text)
}

// Texts are a property that is a list of them, or one alone; of others none.
func (o Properties) Texts(name string) (texts []string) {
	switch v := o[name]; v.Kind() {
	case '"':
		return []string{textOf(v)}
	case '[':
		d := jsontext.NewDecoder(bytes.NewBuffer(v), lenient)
		if _, err := d.ReadToken(); err != nil {
			return nil
		}
		for d.PeekKind() != ']' {
			one, err := d.ReadValue()
			if err != nil {
				return nil
			}
			if text := textOf(one); text != "" {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

// maxReferences is how many external references of an object are read.
const maxReferences = 200

// External gives the external references.
func (o Properties) External() (list []Properties) {
	if v := o["external_references"]; v.Kind() != '[' || json.Unmarshal(v, &list, lenient) != nil {
		return nil
	}
	return list[:min(len(list), maxReferences)]
}

// gathering is the values of one object.
type gathering struct {
	list  []Found
	known map[Value]bool
	more  bool
}

// add takes a value in, if it is one. It reports whether there is room for another.
func (g *gathering) add(a Atom, role Role) bool {
	v, good := Normalise(a)
	if good && !g.known[v] {
		if len(g.list) == MaxValues {
			g.more = true
			return false
		}
		g.known[v] = true
		g.list = append(g.list, Found{v, role})
	}
	return true
}

// Values finds what [FromObject] does.
func (o Properties) Values() ([]Found, bool) {
	g := &gathering{known: map[Value]bool{}}
	switch kind := o.Text("type"); kind {
	case "indicator":
		if o.Text("pattern_type") == "stix" || o["pattern_type"] == nil {
			g.pattern(o.Text("pattern"))
		}
	case "observed-data":
		var inside map[string]Properties
		if json.Unmarshal(o["objects"], &inside, lenient) == nil {
			for _, name := range slices.Sorted(maps.Keys(inside)) {
				g.observable(inside[name])
			}
		}
	case "vulnerability":
		g.add(Atom{CVE, strings.TrimSpace(o.Text("name"))}, ExternalID)
	default:
		g.observable(o)
	}
	g.references(o.External())
	return g.list, g.more
}

// pattern takes the values of a pattern in.
func (g *gathering) pattern(pattern string) {
	p, c := parse(strings.TrimSpace(pattern))
	if !p.failed && !p.compound {
		c = c.settled()
		for _, a := range c.Atoms {
			role := PartOf
			if c.Whole {
				role = Pattern
			}
			g.add(a, role)
		}
	}
	for _, a := range p.named {
		if a.Kind.isEnd() {
			if a.Kind = IPv6; g.add(a, PartOf) && !g.known[valueOf(a)] {
				g.add(Atom{Domain, a.Text}, PartOf)
			}
			continue
		}
		if !g.add(a, PartOf) {
			return
		}
	}
}

func valueOf(a Atom) Value {
	v, _ := Normalise(a)
	return v
}

// simple are the properties of observables that hold the value itself (STIX 2.1, section 6).
var simple = map[string]struct {
	property string
	kind     Kind
}{
	"ipv4-addr": {"value", IPv4}, "ipv6-addr": {"value", IPv6}, "domain-name": {"value", Domain}, "url": {"value", URL}, "email-addr": {"value", Email},
	"mac-addr": {"value", MAC}, "mutex": {"name", Mutex}, "windows-registry-key": {"key", RegistryKey}, "x509-certificate": {"serial_number", Serial},
	"file": {"name", FileName}, "artifact": {"url", URL},
}

// observable takes the values of an observable in.
func (g *gathering) observable(o Properties) {
	kind := o.Text("type")
	if s, is := simple[kind]; is {
		g.add(Atom{s.kind, o.Text(s.property)}, Observed)
	}
	switch kind {
	case "file", "artifact", "x509-certificate":
		var hashes Properties
		if json.Unmarshal(o["hashes"], &hashes, lenient) != nil {
			return
		}
		for _, name := range []string{"MD5", "SHA-1", "SHA1", "SHA-256", "SHA256", "SHA-512", "SHA512", "md5", "sha1", "sha256", "sha512"} {
			g.add(Atom{algorithmOf(name), hashes.Text(name)}, Observed)
		}
	case "autonomous-system":
		g.add(Atom{ASN, strings.TrimSpace(string(o["number"]))}, Observed)
	case "network-traffic":
		var extensions struct {
			HTTP struct {
				Header Properties `json:"request_header"`
			} `json:"http-request-ext"`
		}
		if json.Unmarshal(o["extensions"], &extensions, lenient) == nil {
			g.add(Atom{UserAgent, extensions.HTTP.Header.Text("User-Agent")}, Observed)
		}
	}
}

// references takes in under which ids an object is known elsewhere.
func (g *gathering) references(list []Properties) {
	for _, one := range list {
		id := strings.TrimSpace(one.Text("external_id"))
		if !g.add(Atom{CVE, id}, ExternalID) || !g.add(Atom{Technique, id}, ExternalID) {
			return
		}
	}
}
