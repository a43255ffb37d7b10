package observable

import "strings"

type tokenKind byte

const (
	end tokenKind = iota
	wrong
	word        // a keyword, an object type or a component of a path
	text        // 'a string', without the quotes and escapes
	number      // an integer or float
	comparator  // =, !=, <, …
	punctuation // [ ] ( ) , : . *
)

type token struct {
	kind tokenKind
	text string
}

// lexer takes a pattern apart.
type lexer struct{ rest string }

// lex gives the next token.
func (l *lexer) lex() token {
	l.skip()
	if l.rest == "" {
		return token{kind: end}
	}
	c := l.rest[0]
	switch {
	case c == '\'':
		return l.quoted()
	case isLetter(c):
		return l.cut(word, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '-' })
	case isDigit(c) || c == '-' || c == '+':
		return l.cut(number, func(c byte) bool { return isDigit(c) || c == '.' })
	case strings.IndexByte("[](),:.*", c) >= 0:
		l.rest = l.rest[1:]
		return token{punctuation, string(c)}
	}
	for _, operator := range []string{"==", "!=", "<>", "<=", ">=", "=", "<", ">"} {
		if strings.HasPrefix(l.rest, operator) {
			l.rest = l.rest[len(operator):]
			return token{comparator, operator}
		}
	}
	return token{kind: wrong}
}

// cut takes a first byte and all that belong to it.
func (l *lexer) cut(kind tokenKind, belongs func(byte) bool) token {
	n := 1
	for n < len(l.rest) && belongs(l.rest[n]) {
		n++
	}
	t := token{kind, l.rest[:n]}
	l.rest = l.rest[n:]
	return t
}

// quoted takes a string; a backslash stands before a quote or another backslash. Where it stands alone the pattern is
// malformed: whoever wrote it may have meant a backslash, or nothing, and a guess would name what nobody has named.
func (l *lexer) quoted() token {
	var b strings.Builder
	for i := 1; i < len(l.rest); i++ {
		switch c := l.rest[i]; c {
		case '\'':
			l.rest = l.rest[i+1:]
			return token{text, b.String()}
		case '\\':
			if i++; i == len(l.rest) || l.rest[i] != '\'' && l.rest[i] != '\\' {
				return token{kind: wrong}
			}
			b.WriteByte(l.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return token{kind: wrong}
}

// skip takes white space and comments.
func (l *lexer) skip() {
	for {
		l.rest = strings.TrimLeft(l.rest, " \t\r\n\f\v\u00a0\u0085")
		switch {
		case strings.HasPrefix(l.rest, "//"):
			_, l.rest, _ = strings.Cut(l.rest, "\n")
		case strings.HasPrefix(l.rest, "/*"):
			_, after, closed := strings.Cut(l.rest[2:], "*/")
			if !closed {
				return // the slash is no token
			}
			l.rest = after
		default:
			return
		}
	}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
