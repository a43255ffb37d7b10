package console

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// What a page shows of a string that a stranger wrote; the rest is in the JSON.
const (
	maxText       = 16 << 10 // bytes of a description
	maxName       = 300      // characters of a name
	maxProperties = 200      // of one object
	maxMarks      = 4        // combining marks on one letter
)

// visible gives one line of foreign text in which nothing is hidden: what is not seen, or moves what stands beside it
// (controls, bidirectional overrides, zero width, fillers), stands there as ⟨U+202E⟩. That is CVE-2021-42574's cure.
func visible(text string) string { return reveal(text, false) }

// visibleText is visible for text of several lines: line feeds and tabs stay.
func visibleText(text string) string { return reveal(text, true) }

func reveal(text string, lines bool) string {
	if plain(text) {
		return text
	}
	var b strings.Builder
	marks := 0
	for i, r := range text {
		if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
			if marks++; marks > maxMarks {
				fmt.Fprintf(&b, "⟨U+%04X⟩", r)
				continue
			}
		} else {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && text[i] != "\uFFFD"[0]:
			fmt.Fprintf(&b, "⟨0x%02X⟩", text[i])
		case lines && r == '\r' && strings.HasPrefix(text[i+1:], "\n"):
		case lines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case hidden(r):
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain reports whether text is printable ASCII, as most is.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// hidden reports whether a character shows nothing by itself. Spaces of other scripts are none of those, and neither
// are the selectors of emoji's form.
func hidden(r rune) bool {
	switch r {
	case '\u115F', '\u1160', '\u3164', '\uFFA0', '\u2800', '\u034F', '\u17B4', '\u17B5':
		return true // letters that are blank
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp) ||
		r >= 0xE0100 && r <= 0xE01EF || r > 0xFFFF && !unicode.IsGraphic(r) || r&0xFFFE == 0xFFFE
}

// clip cuts text to a number of characters, and says whether it did.
func clip(text string, characters int) (string, bool) {
	if len(text) <= characters {
		return text, false
	}
	n := 0
	for i := range text {
		if n == characters {
			return text[:i], true
		}
		n++
	}
	return text, false
}

// clipBytes cuts text to a number of bytes, not within a character, and says whether it did.
func clipBytes(text string, most int) (string, bool) {
	if len(text) <= most {
		return text, false
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most], true
}

// name gives foreign text as the name of something, on one line.
func name(text string) string {
	short, cut := clip(text, maxName)
	if cut {
		short += "…"
	}
	return visible(short)
}

// longText is foreign text as a page shows it.
type longText struct {
	Text string
	Cut  int // bytes that are not shown
}

func long(text string) longText {
	short, _ := clipBytes(text, maxText)
	return longText{Text: visibleText(short), Cut: len(text) - len(short)}
}

// defang writes a value so that no program makes a link of it, and a person can't call it by mistake. What
// internal/observable reads is the same value. What is no address, domain, URL or mailbox stays as it is.
func defang(value string) string {
	if scheme, rest, found := strings.Cut(value, "://"); found && isScheme(scheme) {
		host, path := rest, ""
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			host, path = rest[:i], rest[i:]
		}
		return defangScheme(scheme) + "://" + defangHost(host) + path
	}
	if user, host, found := strings.Cut(value, "@"); found && user != "" && looksLikeHost(host) {
		return user + "[@]" + defangHost(host)
	}
	if address, length, found := strings.Cut(value, "/"); found {
		if _, err := netip.ParsePrefix(value); err == nil {
			return defangHost(address) + "/" + length
		}
	}
	if looksLikeHost(value) {
		return defangHost(value)
	}
	return value
}

func isScheme(scheme string) bool {
	switch strings.ToLower(scheme) {
	case "http", "https", "ftp":
		return true
	}
	return false
}

// defangScheme writes hxxp, hxxps and fxp, however the letters were written.
func defangScheme(scheme string) string {
	if strings.EqualFold(scheme, "ftp") {
		return scheme[:1] + "x" + scheme[2:]
	}
	return scheme[:1] + "xx" + scheme[3:]
}

// defangHost puts brackets around the last separator: that is enough, and the value can be read still.
func defangHost(host string) string {
	mark := "."
	if bare := strings.Trim(host, "[]"); strings.Count(bare, ":") > 1 {
		mark = ":"
		if strings.HasPrefix(host, "[") {
			return host // within a URL; its scheme says enough
		}
	}
	i := strings.LastIndex(strings.TrimRight(host, "."), mark)
	if i < 0 {
		return host
	}
	return host[:i] + "[" + mark + "]" + host[i+1:]
}

// looksLikeHost reports whether text is an address or a name of two labels and more.
func looksLikeHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	if len(text) > 253 || !strings.Contains(strings.Trim(text, "."), ".") {
		return false
	}
	labels := strings.Split(strings.TrimSuffix(text, "."), ".")
	for _, label := range labels {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool {
			return r < 0x80 && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		}) {
			return false
		}
	}
	return strings.ContainsFunc(labels[len(labels)-1], unicode.IsLetter)
}

// bothForms gives the other form of an internationalised domain, for people who would take one letter for another:
// Unicode for A-labels, A-labels for Unicode. It is empty if there is none.
func bothForms(domain string) string {
	if strings.Contains(domain, "xn--") {
		other, err := idna.Display.ToUnicode(domain)
		if back, bad := idna.Lookup.ToASCII(other); err != nil || bad != nil || back != domain || other == domain {
			return ""
		}
		return other
	}
	if plain(domain) {
		return ""
	}
	other, err := idna.Lookup.ToASCII(domain)
	if err != nil || other == domain {
		return ""
	}
	return other
}

// webLink gives a reference's URL if a browser may be sent there when the reader insists.
func webLink(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || len(text) > 4096 || visible(text) != text {
		return "", false
	}
	return u.String(), true
}

// csvCell keeps a spreadsheet from taking a value for a formula.
func csvCell(text string) string {
	if text != "" && strings.IndexByte("=+-@\t\r", text[0]) >= 0 {
		return "'" + text
	}
	return text
}
