// Package warnlist knows values of which it is a mistake, or at least a surprise, to call them malicious: addresses
// that belong to everybody, services that everybody uses. It deletes and hides nothing: it names the lists that a value
// is on.
//
//   - warnlist.go has a set of lists and looks values up in it;
//   - builtin.go has the lists that come with the program, which gen makes of MISP's (NOTICE.md names them and their
//     terms);
//   - own.go reads lists in MISP's form, as an organisation keeps them.
package warnlist

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/serviceledger/slnode/internal/observable"
)

// Class is what it means to be on a list.
type Class byte

// The classes, the graver ones first.
const (
	Hard    Class = iota + 1 // to call it malicious is a mistake: it belongs to nobody, to everybody or to ourselves
	Shared                   // many who are no attackers use it, too
	Context                  // it says something about the value, and nothing against the indicator
)

func (c Class) String() string {
	switch c {
	case Hard:
		return "hard"
	case Shared:
		return "shared"
	case Context:
		return "context"
	}
	return fmt.Sprintf("Class(%d)", byte(c))
}

// IsAgainst reports whether to be on such a list speaks against an indicator.
func (c Class) IsAgainst() bool { return c == Hard || c == Shared }

// ParseClass gives the class with a name.
func ParseClass(name string) (Class, error) {
	for c := Hard; c <= Context; c++ {
		if c.String() == name {
			return c, nil
		}
	}
	return 0, fmt.Errorf("%.40q is none of hard, shared and context", name)
}

// MarshalText writes the class's name.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText undoes MarshalText.
func (c *Class) UnmarshalText(text []byte) (err error) {
	*c, err = ParseClass(string(text))
	return err
}

// The ways in which a list's entries match, as MISP calls them. Lists of regular expressions are not read.
const (
	String    = "string"    // the value itself; a name that begins with a dot also stands for all names below it
	Hostname  = "hostname"  // a name, and all names below it
	CIDR      = "cidr"      // an address or network, what is in it and what it is in
	Substring = "substring" // what is part of a name
)

// List describes a list.
type List struct {
	ID      string `json:"id"` // of the folder or file that it comes from
	Name    string `json:"name"`
	Class   Class  `json:"class"`
	Type    string `json:"type"`
	Date    string `json:"date"` // of the list, else when it was taken, as 2026-01-31; or its version
	Entries int    `json:"entries"`
}

// Source is a list with its entries.
type Source struct {
	List
	Values []string
}

// Hit is a list that a value is on.
type Hit struct {
	List  string `json:"list"`
	Class Class  `json:"class"`
	Date  string `json:"date"`
	Entry string `json:"entry"` // of the list, that matches
}

func (h Hit) String() string { return fmt.Sprintf("%s (%s, %s)", h.List, h.Class, h.Date) }

// place is an entry of a list.
type place struct {
	list  uint16
	entry string
}

// Lists are some lists, in a form in which values are found. They don't change.
type Lists struct {
	lists    []List
	exact    map[string][]uint16 // a value as it is -> the lists
	below    map[string][]place  // a name -> the lists that have it and all names below it
	prefixes map[netip.Prefix][]place
	sorted   []netip.Prefix // their keys
	lengths  [2][129]bool   // that they have, of IPv4 and IPv6
	parts    []place        // of names
}

// maxHits bounds the hits of one value.
const maxHits = 20

// New makes lists findable. What of an entry is no value of its list's type is passed over.
func New(sources []Source) *Lists {
	l := &Lists{exact: map[string][]uint16{}, below: map[string][]place{}, prefixes: map[netip.Prefix][]place{}}
	for _, s := range sources {
		n := uint16(len(l.lists))
		s.Entries = 0
		for _, entry := range s.Values {
			if l.add(n, s.Type, entry) {
				s.Entries++
			}
		}
		l.lists = append(l.lists, s.List)
	}
	for p := range l.prefixes {
		l.sorted = append(l.sorted, p)
		l.lengths[family(p)][p.Bits()] = true
	}
	slices.SortFunc(l.sorted, comparePrefixes)
	return l
}

func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// add takes an entry in, if it is one.
func (l *Lists) add(n uint16, kind, entry string) bool {
	text := strings.ToLower(strings.TrimSpace(entry))
	if p, is := prefixOf(text); is && (kind == CIDR || kind == String) {
		l.prefixes[p] = append(l.prefixes[p], place{n, entry})
		return true
	}
	name, isName := strings.CutPrefix(text, "*.")
	if !isName {
		name, isName = strings.CutPrefix(text, ".")
	}
	switch {
	case text == "" || name == "" || kind == CIDR:
		return false
	case kind == Substring:
		l.parts = append(l.parts, place{n, text})
	case kind == Hostname || isName && kind == String:
		name = asName(name)
		l.below[name] = append(l.below[name], place{n, entry})
	case kind == String:
		if v, good := observable.Normalise(observable.Atom{Kind: observable.URL, Text: entry}); good { // of which the path has its case
			text = v.Text
		} else {
			text = asName(text)
		}
		l.exact[text] = append(l.exact[text], n)
	default:
		return false
	}
	return true
}

// asName is a text as names are written, if it is one.
func asName(text string) string {
	if v, good := observable.Normalise(observable.Atom{Kind: observable.Domain, Text: text}); good {
		return v.Text
	}
	return text
}

func prefixOf(text string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), true
}

// All describes the lists.
func (l *Lists) All() []List { return slices.Clone(l.lists) }

// Match gives the lists that a value is on, the graver ones first, each once, and not more than some. A URL is not on
// the list of a shared host that it is at: what many use, an attacker uses as well, and the URL says which part of it.
func (l *Lists) Match(v observable.Value) []Hit {
	m := matching{l: l}
	m.value(v)
	if host, is := v.Host(); is && v.Kind == observable.URL {
		m.passed = Shared
		m.value(host)
	}
	slices.SortStableFunc(m.hits, func(a, b Hit) int { return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.List, b.List)) })
	return m.hits[:min(len(m.hits), maxHits)]
}

// matching gathers hits.
type matching struct {
	l      *Lists
	passed Class // is passed over; 0: none
	seen   []uint16
	hits   []Hit
}

func (m *matching) hit(n uint16, entry string) {
	list := &m.l.lists[n]
	if list.Class == m.passed || slices.Contains(m.seen, n) {
		return
	}
	m.seen = append(m.seen, n)
	m.hits = append(m.hits, Hit{List: list.Name, Class: list.Class, Date: list.Date, Entry: entry})
}

func (m *matching) places(list []place) {
	for _, p := range list {
		m.hit(p.list, p.entry)
	}
}

func (m *matching) value(v observable.Value) {
	if p, is := v.Prefix(); is {
		m.network(p)
		return
	}
	text := v.Text
	if v.Kind != observable.URL {
		text = strings.ToLower(text)
	}
	for _, n := range m.l.exact[text] {
		m.hit(n, v.Text)
	}
	if v.Kind != observable.Domain {
		return
	}
	for name := text; name != ""; {
		m.places(m.l.below[name])
		_, name, _ = strings.Cut(name, ".")
	}
	for _, p := range m.l.parts {
		if strings.Contains(text, p.entry) {
			m.hit(p.list, p.entry)
		}
	}
}

// network finds the networks around one, and those in it.
func (m *matching) network(p netip.Prefix) {
	for bits := p.Bits(); bits >= 0; bits-- {
		if !m.l.lengths[family(p)][bits] {
			continue
		}
		around, err := p.Addr().Prefix(bits)
		if err != nil {
			return
		}
		m.places(m.l.prefixes[around])
	}
	from, _ := slices.BinarySearchFunc(m.l.sorted, p, comparePrefixes)
	for _, in := range m.l.sorted[from:] {
		if !p.Contains(in.Addr()) || len(m.hits) >= maxHits {
			return
		}
		m.places(m.l.prefixes[in])
	}
}

// Gravest is the class of the first of some hits, as Match sorts them; 0 if there is none.
func Gravest(hits []Hit) Class {
	if len(hits) == 0 {
		return 0
	}
	return hits[0].Class
}

// mispList is a list in MISP's form (MISP/misp-warninglists, schema.json), and what we may say beside.
type mispList struct {
	Name    string      `json:"name"`
	Version json.Number `json:"version"`
	Type    string      `json:"type"`
	Class   string      `json:"x_slnode_class"` // "shared", if there is none
	List    []string    `json:"list"`
}

// Parse reads a list in MISP's form. Its id is given.
func Parse(id string, data []byte) (Source, error) {
	var in mispList
	if err := json.Unmarshal(data, &in); err != nil {
		return Source{}, fmt.Errorf("the list %.80s: %w", id, err)
	}
	s := Source{List: List{ID: id, Name: in.Name, Type: cmp.Or(in.Type, String), Class: Shared, Date: dateOf(string(in.Version))}, Values: in.List}
	if in.Class != "" {
		class, err := ParseClass(in.Class)
		if err != nil {
			return Source{}, fmt.Errorf("the list %.80s: x_slnode_class: %w", id, err)
		}
		s.Class = class
	}
	switch {
	case in.Name == "" || len(in.Name) > maxName:
		return Source{}, fmt.Errorf("the list %.80s has no name of 1 to %d bytes", id, maxName)
	case s.Type == "regex":
		return Source{}, fmt.Errorf("the list %.80s: lists of regular expressions are not read", id)
	case !slices.Contains([]string{String, Hostname, CIDR, Substring}, s.Type):
		return Source{}, fmt.Errorf("the list %.80s: the type %.40q is none of string, hostname, cidr and substring", id, s.Type)
	case len(in.List) > MaxEntries:
		return Source{}, fmt.Errorf("the list %.80s has more than %d entries", id, MaxEntries)
	}
	for _, entry := range in.List {
		if len(entry) > observable.MaxValue {
			return Source{}, fmt.Errorf("the list %.80s: the entry %.40q is longer than %d bytes", id, entry, observable.MaxValue)
		}
	}
	return s, nil
}

// The bounds of lists.
const (
	MaxEntries = 500_000 // of one list, and of all that an organisation keeps
	maxName    = 300     // bytes
)

// dateOf reads the version of a list, which mostly is the day on which it was made.
func dateOf(version string) string {
	if len(version) == 8 && strings.HasPrefix(version, "20") {
		return version[:4] + "-" + version[4:6] + "-" + version[6:]
	}
	return ""
}
