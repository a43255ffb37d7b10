package export

import (
	"errors"
	"net/netip"
	"strings"
)

// The grammar that is read is that of the STIX 2.1 specification, section 9, without what never is a choice of values:
// AND and FOLLOWEDBY between observations, and qualifiers. Of what is read, only equality, IN and ISSUBSET give values.
const (
	maxPattern = 1 << 20 // bytes
	maxNesting = 32      // of parentheses
	maxAtoms   = 10_000  // values in one pattern
)

// errNotSimple refuses a pattern as a whole: it is malformed, or more than a choice of values.
var errNotSimple = errors.New("the pattern is not a choice of values")

// atom is a value as it stands in a pattern. Of an address the kind is what the pattern says.
type atom struct {
	kind Kind
	text string
}

// What is the value of an end of a connection is of these kinds until it is known what it is.
const (
	sourceEnd Kind = iota + 0x80
	destinationEnd
)

// choice is what an expression says: that one of the atoms is there or, if it is not whole, something else too.
type choice struct {
	atoms   []atom
	whole   bool
	implied implied
}

// implied is what an expression says that a value beside it implies, so that it does not narrow the value.
type implied struct {
	size bool // the size of a file, which a hash implies
	url  bool // a part of a URL, which MISP writes beside it
	end  Kind // this end of a connection is of a kind
	kind Kind // … which one; 0 if it is none that is exported
}

// parsePattern finds the values of a pattern.
func parsePattern(pattern string) (choice, error) {
	if len(pattern) > maxPattern {
		return choice{}, errNotSimple
	}
	p := &parser{lexer: lexer{rest: pattern}}
	p.next()
	c := p.observations()
	if p.failed || p.token.kind != end {
		return choice{}, errNotSimple
	}
	return c.settled(), nil
}

// settled gives the atoms a kind that the pattern says nothing of: an end of a connection is an address by its looks,
// or it is not known what it is.
func (c choice) settled() choice {
	atoms := c.atoms
	c.atoms = nil
	for _, a := range atoms {
		if a.kind.isEnd() {
			prefix := strings.SplitN(a.text, "/", 2)[0]
			switch address, err := netip.ParseAddr(prefix); {
			case err != nil:
				c.whole = false
				continue
			case address.Is4():
				a.kind = IPv4
			default:
				a.kind = IPv6
			}
		}
		c.atoms = append(c.atoms, a)
	}
	return c
}

// parser is a recursive descent. After a failure it goes through the motions on an empty input.
type parser struct {
	lexer
	token  token
	depth  int
	atoms  int
	failed bool
}

func (p *parser) next() { p.token = p.lex() }

func (p *parser) fail() choice {
	p.failed, p.token, p.rest = true, token{kind: end}, ""
	return choice{}
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
func (p *parser) nested(expression func() choice, closing string) choice {
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

// observations reads observation expressions joined by OR.
func (p *parser) observations() choice {
	c := p.observation()
	for p.take(word, "OR") {
		c = c.or(p.observation())
	}
	return c
}

func (p *parser) observation() choice {
	switch {
	case p.take(punctuation, "["):
		return p.nested(p.comparisons, "]")
	case p.take(punctuation, "("):
		return p.nested(p.observations, ")")
	}
	return p.fail()
}

// comparisons reads comparison expressions joined by OR.
func (p *parser) comparisons() choice {
	c := p.conjunction()
	for p.take(word, "OR") {
		c = c.or(p.conjunction())
	}
	return c
}

// conjunction reads comparison expressions joined by AND.
func (p *parser) conjunction() choice {
	parts := []choice{p.comparison()}
	for p.take(word, "AND") {
		parts = append(parts, p.comparison())
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return and(parts)
}

func (p *parser) comparison() choice {
	switch {
	case p.take(punctuation, "("):
		return p.nested(p.comparisons, ")")
	case p.take(word, "EXISTS"):
		p.path()
		return choice{}
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
		return choice{}
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
func (p *parser) compared(path, operator string, texts []string, plain bool) choice {
	single := operator == "=" || operator == "=="
	equality := single || operator == "IN"
	if single && path == "file:size" {
		return choice{implied: implied{size: true}}
	}
	if single && plain {
		if beside, found := impliedBy(path, texts[0]); found {
			return choice{implied: beside}
		}
	}
	kind := kindOf(path)
	subnet := operator == "ISSUBSET" && (kind == IPv4 || kind == IPv6 || kind.isEnd())
	if kind == 0 || !plain || !equality && !subnet {
		return choice{}
	}
	if p.atoms += len(texts); p.atoms > maxAtoms {
		return p.fail()
	}
	c := choice{whole: true}
	for _, text := range texts {
		c.atoms = append(c.atoms, atom{kind, text})
	}
	return c
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
	switch strings.ToUpper(algorithm) {
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
		return "", false
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
func (c choice) or(d choice) choice {
	return choice{atoms: append(c.atoms, d.atoms...), whole: c.whole && d.whole}
}

// and joins expressions that must all be true. It is a choice still where they say the same thing twice: the one value,
// or hashes of the one file by several algorithms, and what these imply. Whatever else stands beside a value narrows
// it, and the value alone is not what the pattern means.
func and(parts []choice) choice {
	var joined choice
	var beside []implied
	for _, part := range parts {
		if part.implied != (implied{}) {
			beside = append(beside, part.implied)
			continue
		}
		if !part.whole || len(part.atoms) != 1 {
			return choice{}
		}
		one := part.atoms[0]
		for _, other := range joined.atoms {
			hashes := one.kind.isHash() && other.kind.isHash() && one.kind != other.kind
			if one != other && !hashes {
				return choice{}
			}
		}
		joined.atoms = append(joined.atoms, one)
	}
	if len(joined.atoms) == 0 {
		return choice{}
	}
	for _, i := range beside {
		if !joined.atoms[0].implies(i) {
			return choice{}
		}
		for n := range joined.atoms {
			if i.end != 0 {
				joined.atoms[n].kind = i.kind
			}
		}
	}
	return choice{atoms: joined.atoms, whole: true}
}

// implies reports whether a value says by itself what stands beside it.
func (a atom) implies(i implied) bool {
	switch {
	case i.size:
		return a.kind.isHash()
	case i.url:
		return a.kind == URL
	}
	return i.kind != 0 && a.kind == i.end
}
