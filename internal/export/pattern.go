package export

import (
	"errors"
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

// choice is what an expression says: that one of the atoms is there or, if it is not whole, something else too.
type choice struct {
	atoms []atom
	whole bool
	size  bool // the expression is the size of a file, which a hash implies
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
	return c, nil
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
	equality := operator == "=" || operator == "==" || operator == "IN"
	if equality && path == "file:size" {
		return choice{size: operator != "IN"}
	}
	kind := kindOf(path)
	subnet := operator == "ISSUBSET" && (kind == IPv4 || kind == IPv6)
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
	}
	algorithm, found := strings.CutPrefix(path, "file:hashes.")
	if !found {
		return 0
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
// or hashes of the one file by several algorithms, with or without its size. Whatever else stands beside a value
// narrows it, and the value alone is not what the pattern means.
func and(parts []choice) choice {
	var joined choice
	for _, part := range parts {
		if part.size {
			joined.size = true
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
	if len(joined.atoms) == 0 || joined.size && !joined.atoms[0].kind.isHash() {
		return choice{}
	}
	return choice{atoms: joined.atoms, whole: true}
}
