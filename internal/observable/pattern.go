package observable

import (
	"cmp"
	"errors"
	"net/netip"
	"strings"
)

// The grammar that is read is that of the STIX 2.1 specification, section 9. Only equality, IN and ISSUBSET give
// values.
const (
	MaxPattern = 1 << 20 // bytes
	maxNesting = 32      // of parentheses
	maxAtoms   = 10_000  // values in one pattern
)

// ErrNotSimple refuses a pattern as a whole: it is malformed, or more than a choice of values.
var ErrNotSimple = errors.New("the pattern is not a choice of values")

// Atom is a value as it stands in a pattern. Of an address the kind is what the pattern says.
type Atom struct {
	Kind Kind
	Text string
}

// What is the value of an end of a connection is of these kinds until it is known what it is.
const (
	sourceEnd Kind = iota + 0x80
	destinationEnd
)

// Choice is what an expression says: that one of the atoms is there or, if it is not whole, something else too.
type Choice struct {
	Atoms   []Atom
	Whole   bool
	implied implied
}

// implied is what an expression says that a value beside it implies, so that it does not narrow the value.
type implied struct {
	size bool // the size of a file, which a hash implies
	url  bool // a part of a URL, which MISP writes beside it
	end  Kind // this end of a connection is of a kind
	kind Kind // … which one; 0 if it is none that is exported
}

// ParsePattern finds the values of a pattern that is a choice of them: of the kinds up to [SHA512], which lists are
// made of. Observations that must all be there, one after another or within a time, are no choice.
func ParsePattern(pattern string) (Choice, error) {
	p, c := parse(pattern)
	if p.failed || p.compound {
		return Choice{}, ErrNotSimple
	}
	return c.settled(), nil
}

// parse reads a pattern.
func parse(pattern string) (*parser, Choice) {
	if len(pattern) > MaxPattern {
		return &parser{failed: true}, Choice{}
	}
	p := &parser{lexer: lexer{rest: pattern}}
	p.next()
	c := p.observations()
	if p.token.kind != end {
		p.failed = true
	}
	return p, c
}

// settled gives the atoms a kind that the pattern says nothing of: an end of a connection is an address by its looks,
// or it is not known what it is.
func (c Choice) settled() Choice {
	atoms := c.Atoms
	c.Atoms = nil
	for _, a := range atoms {
		if a.Kind.isEnd() {
			prefix := strings.SplitN(a.Text, "/", 2)[0]
			switch address, err := netip.ParseAddr(prefix); {
			case err != nil:
				c.Whole = false
				continue
			case address.Is4():
				a.Kind = IPv4
			default:
				a.Kind = IPv6
			}
		}
		c.Atoms = append(c.Atoms, a)
	}
	return c
}

// parser is a recursive descent. After a failure it goes through the motions on an empty input.
type parser struct {
	lexer
	token  token
	depth  int
	atoms  int
	named  []Atom // all that it says may be there, also where it is no choice
	failed bool

	compound bool // it is about several observations, or about when they are made
}

func (p *parser) next() { p.token = p.lex() }

func (p *parser) fail() Choice {
	p.failed, p.token, p.rest = true, token{kind: end}, ""
	return Choice{}
}

// take moves on if the token is a certain one.
func (p *parser) take(kind tokenKind, text string) bool {
	if p.token.kind != kind || p.token.text != text {
		return false
	}
	p.next()
	return true
}

// nested reads an expression up to a closing bracket.
func (p *parser) nested(expression func() Choice, closing string) Choice {
	if p.depth++; p.depth > maxNesting {
		return p.fail()
	}
	c := expression()
	p.depth--
	if !p.take(punctuation, closing) {
		return p.fail()
	}
	return c
}

// observations reads observation expressions joined by OR, AND and FOLLOWEDBY.
func (p *parser) observations() Choice {
	c := p.observation()
	for {
		switch {
		case p.take(word, "OR"):
			c = c.or(p.observation())
		case p.take(word, "AND"), p.take(word, "FOLLOWEDBY"):
			p.compound = true
			p.observation()
		default:
			return c
		}
	}
}

// observation reads one observation expression with its qualifiers.
func (p *parser) observation() (c Choice) {
	switch {
	case p.take(punctuation, "["):
		c = p.nested(p.comparisons, "]")
	case p.take(punctuation, "("):
		c = p.nested(p.observations, ")")
	default:
		return p.fail()
	}
	for p.qualifier() {
		p.compound = true
	}
	return c
}

// qualifier reads when, or how often, something is observed.
func (p *parser) qualifier() bool {
	for _, q := range []struct{ first, then string }{{"WITHIN", "SECONDS"}, {"REPEATS", "TIMES"}, {"START", "STOP"}} {
		if !p.take(word, q.first) {
			continue
		}
		p.literal()
		if !p.take(word, q.then) {
			p.fail()
		}
		if q.first == "START" {
			p.literal()
		}
		return true
	}
	return false
}

// comparisons reads comparison expressions joined by OR.
func (p *parser) comparisons() Choice {
	c := p.conjunction()
	for p.take(word, "OR") {
		c = c.or(p.conjunction())
	}
	return c
}

// conjunction reads comparison expressions joined by AND.
func (p *parser) conjunction() Choice {
	parts := []Choice{p.comparison()}
	for p.take(word, "AND") {
		parts = append(parts, p.comparison())
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return and(parts)
}

func (p *parser) comparison() Choice {
	switch {
	case p.take(punctuation, "("):
		return p.nested(p.comparisons, ")")
	case p.take(word, "EXISTS"):
		p.path()
		return Choice{}
	}
	path := p.path()
	negated := p.take(word, "NOT")
	operator := p.token
	p.next()
	if operator.kind != comparator && (operator.kind != word || !isOperator(operator.text)) {
		return p.fail()
	}
	var texts []string
	var plain bool // all operands are strings
	if operator.text == "IN" {
		texts, plain = p.set()
	} else {
		var text string
		text, plain = p.literal()
		texts = []string{text}
	}
	if negated {
		return Choice{}
	}
	return p.compared(path, operator.text, texts, plain)
}

func isOperator(text string) bool {
	switch text {
	case "IN", "LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET":
		return true
	}
	return false
}

// compared gives the values of one comparison.
func (p *parser) compared(path, operator string, texts []string, plain bool) Choice {
	single := operator == "=" || operator == "=="
	equality := single || operator == "IN"
	if single && path == "file:size" {
		return Choice{implied: implied{size: true}}
	}
	if single && plain {
		if beside, found := impliedBy(path, texts[0]); found {
			return Choice{implied: beside}
		}
	}
	kind := kindOf(path)
	if named := cmp.Or(kind, alsoKindOf(path)); named != 0 && (plain || named == ASN) {
		p.name(named, operator, texts)
	}
	if kind == 0 || !plain || !equality && !isSubset(kind, operator) {
		return Choice{}
	}
	if p.atoms += len(texts); p.atoms > maxAtoms {
		return p.fail()
	}
	c := Choice{Whole: true}
	for _, text := range texts {
		c.Atoms = append(c.Atoms, Atom{kind, text})
	}
	return c
}

// isSubset reports whether a comparison is with a network.
func isSubset(kind Kind, operator string) bool {
	return operator == "ISSUBSET" && (kind == IPv4 || kind == IPv6 || kind.isEnd())
}

// name takes down what a comparison names, as far as there is room for it.
func (p *parser) name(kind Kind, operator string, texts []string) {
	switch {
	case operator == "=", operator == "==", operator == "IN", isSubset(kind, operator):
		for _, text := range texts[:min(len(texts), maxAtoms-len(p.named))] {
			p.named = append(p.named, Atom{kind, text})
		}
	}
}

// alsoKindOf tells what an object path names that no list is made of.
func alsoKindOf(path string) Kind {
	switch path {
	case "email-addr:value", "email-message:from_ref.value", "email-message:sender_ref.value":
		return Email
	case "autonomous-system:number":
		return ASN
	case "file:name":
		return FileName
	case "mutex:name":
		return Mutex
	case "windows-registry-key:key":
		return RegistryKey
	case "mac-addr:value":
		return MAC
	case "x509-certificate:serial_number":
		return Serial
	case "network-traffic:extensions.http-request-ext.request_header.User-Agent":
		return UserAgent
	}
	if algorithm, found := strings.CutPrefix(path, "x509-certificate:hashes."); found {
		return algorithmOf(algorithm)
	}
	return 0
}

// impliedBy reads a comparison that says nothing beside a value.
func impliedBy(path, text string) (implied, bool) {
	switch path {
	case "network-traffic:src_ref.type":
		return implied{end: sourceEnd, kind: endKind(text)}, true
	case "network-traffic:dst_ref.type":
		return implied{end: destinationEnd, kind: endKind(text)}, true
	}
	// What MISP knows of a URL beside it: its host, port and domain, and the address that it had.
	return implied{url: true}, strings.HasPrefix(path, "url:x_misp_")
}

// endKind is what the end of a connection is by the type of its object; 0 if that is nothing that is exported.
func endKind(typ string) Kind {
	switch typ {
	case "ipv4-addr":
		return IPv4
	case "ipv6-addr":
		return IPv6
	case "domain-name":
		return Domain
	}
	return 0
}

// kindOf tells what an object path names; 0 is nothing that is exported.
func kindOf(path string) Kind {
	switch path {
	case "ipv4-addr:value":
		return IPv4
	case "ipv6-addr:value":
		return IPv6
	case "domain-name:value":
		return Domain
	case "url:value":
		return URL
	case "network-traffic:src_ref.value": // MISP writes addresses so
		return sourceEnd
	case "network-traffic:dst_ref.value":
		return destinationEnd
	}
	algorithm, found := strings.CutPrefix(path, "file:hashes.")
	if !found {
		if algorithm, found = strings.CutPrefix(path, "artifact:hashes."); !found {
			return 0
		}
	}
	return algorithmOf(algorithm)
}

// algorithmOf is the kind of a hash by an algorithm, as STIX and others write it; 0 if it is another one.
func algorithmOf(name string) Kind {
	switch strings.ToUpper(name) {
	case "MD5":
		return MD5
	case "SHA-1", "SHA1":
		return SHA1
	case "SHA-256", "SHA256":
		return SHA256
	case "SHA-512", "SHA512":
		return SHA512
	}
	return 0
}

// path reads an object path. A component in quotes comes out like one without.
func (p *parser) path() string {
	var path strings.Builder
	if p.token.kind != word {
		p.fail()
		return ""
	}
	path.WriteString(p.token.text)
	p.next()
	if !p.take(punctuation, ":") {
		p.fail()
		return ""
	}
	for separator := ":"; ; separator = "." {
		if p.token.kind != word && p.token.kind != text {
			p.fail()
			return ""
		}
		if strings.ContainsAny(p.token.text, ":.[") { // only in quotes, and then not what it would look like
			path.WriteString(" ")
		}
		path.WriteString(separator + p.token.text)
		p.next()
		for p.take(punctuation, "[") {
			path.WriteString("[]")
			p.next() // an index or *
			if !p.take(punctuation, "]") {
				p.fail()
				return ""
			}
		}
		if !p.take(punctuation, ".") {
			return path.String()
		}
	}
}

// literal reads a constant, and reports whether it is a string.
func (p *parser) literal() (string, bool) {
	t := p.token
	p.next()
	switch t.kind {
	case text:
		return t.text, true
	case number:
		return t.text, false
	case word:
		switch t.text {
		case "true", "false":
			return "", false
		case "t", "h", "b": // a timestamp, or bytes
			if p.token.kind == text {
				p.next()
				return "", false
			}
		}
	}
	p.fail()
	return "", false
}

// set reads the operand of IN.
func (p *parser) set() (texts []string, plain bool) {
	if !p.take(punctuation, "(") {
		p.fail()
		return nil, false
	}
	plain = true
	for {
		one, isString := p.literal()
		texts, plain = append(texts, one), plain && isString
		if len(texts) > maxAtoms {
			p.fail()
		}
		if p.take(punctuation, ",") {
			continue
		}
		if !p.take(punctuation, ")") {
			p.fail()
		}
		return texts, plain
	}
}

// or joins two choices. Each says what it says without the other.
func (c Choice) or(d Choice) Choice {
	return Choice{Atoms: append(c.Atoms, d.Atoms...), Whole: c.Whole && d.Whole}
}

// and joins expressions that must all be true. It is a choice still where they say the same thing twice: the one value,
// or hashes of the one file by several algorithms, and what these imply. Whatever else stands beside a value narrows
// it, and the value alone is not what the pattern means.
func and(parts []Choice) Choice {
	var joined Choice
	var beside []implied
	for _, part := range parts {
		if part.implied != (implied{}) {
			beside = append(beside, part.implied)
			continue
		}
		if !part.Whole || len(part.Atoms) != 1 {
			return Choice{}
		}
		one := part.Atoms[0]
		for _, other := range joined.Atoms {
			hashes := one.Kind.IsHash() && other.Kind.IsHash() && one.Kind != other.Kind
			if one != other && !hashes {
				return Choice{}
			}
		}
		joined.Atoms = append(joined.Atoms, one)
	}
	if len(joined.Atoms) == 0 {
		return Choice{}
	}
	for _, i := range beside {
		if !joined.Atoms[0].implies(i) {
			return Choice{}
		}
		for n := range joined.Atoms {
			if i.end != 0 {
				joined.Atoms[n].Kind = i.kind
			}
		}
	}
	return Choice{Atoms: joined.Atoms, Whole: true}
}

// implies reports whether a value says by itself what stands beside it.
func (a Atom) implies(i implied) bool {
	switch {
	case i.size:
		return a.Kind.IsHash()
	case i.url:
		return a.Kind == URL
	}
	return i.kind != 0 && a.Kind == i.end
}
