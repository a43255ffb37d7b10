package observable

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// What [Parse] reads at most.
const (
	MaxText  = 1 << 20 // bytes; the rest is not looked at
	MaxFound = 10_000  // values
)

// defanging is how people write values so that nobody follows them by mistake.
var defanging = strings.NewReplacer(
	"[.]", ".", "(.)", ".", "{.}", ".", "[.", ".", ".]", ".", `\.`, ".", "[dot]", ".", "(dot)", ".", "{dot}", ".", "[DOT]", ".", "(DOT)", ".", "{DOT}", ".", "[d]", ".",
	"[:]", ":", "(:)", ":", "[://]", "://", "[:/]/", "://", "[:]//", "://", "[/]", "/", ":\\\\", "://",
	"[@]", "@", "(@)", "@", "[at]", "@", "(at)", "@", "{at}", "@", "[AT]", "@", "(AT)", "@",
	"。", ".", "．", ".", "\u200b", "", "\u2060", "", "\ufeff", "", "\u00ad", "", // full stops of other scripts, and what can't be seen
)

// scheme is that of a URL, defanged or not.
var scheme = regexp.MustCompile(`(?i)\b(h(?:xx|\*\*|\+\+|__|tt)p|f(?:x|\*|t)p)(s?)(?:__|://)`)

// Refang undoes what keeps people from following a value by mistake: brackets around dots, colons and at signs, and
// schemes such as hxxp.
func Refang(text string) string {
	text = defanging.Replace(text)
	return scheme.ReplaceAllStringFunc(text, func(s string) string {
		secure := strings.Contains(strings.ToLower(strings.TrimRight(s, " _:/")), "ps")
		protocol := "http"
		if s[0] == 'f' || s[0] == 'F' {
			protocol = "ftp"
		}
		if secure {
			protocol += "s"
		}
		return protocol + "://"
	})
}

// Parse finds the values in a text, defanged or not, each once, in their order: addresses with or without a prefix
// length, domains, URLs, e-mail addresses, hashes by their length, hardware addresses, keys of the Windows registry,
// the numbers of systems (AS64496), of vulnerabilities (CVE-2024-3094) and of techniques (T1566.001), and CIDs. In
// running text a domain is what ends in a top-level domain that there is; alone in its line, or defanged, it is what
// looks like one. A line that is a kind, a colon and a value is such a value, whatever it looks like: "mutex:Global\x".
//
// It reads the first [MaxText] bytes and gives up to [MaxFound] values.
func Parse(text string) []Value {
	f := finder{known: map[Value]bool{}}
	for line := range strings.Lines(text[:min(len(text), MaxText)]) {
		if len(f.list) >= MaxFound {
			break
		}
		f.line(strings.TrimSpace(strings.ToValidUTF8(line, " ")))
	}
	return f.list[:min(len(f.list), MaxFound)]
}

// finder gathers values.
type finder struct {
	known map[Value]bool
	list  []Value
}

func (f *finder) add(v Value) {
	if !f.known[v] {
		f.known[v] = true
		f.list = append(f.list, v)
	}
}

// take adds a value of a kind, if the text is one.
func (f *finder) take(kind Kind, text string) bool {
	v, good := Normalise(Atom{kind, text})
	if good {
		f.add(v)
	}
	return good
}

func (f *finder) line(line string) {
	if name, text, found := strings.Cut(line, ":"); found && !strings.HasPrefix(text, "//") {
		if kind, err := ParseKind(strings.ToLower(strings.TrimSpace(name))); err == nil {
			text = strings.TrimSpace(text)
			if f.take(kind, text) || f.take(kind, Refang(text)) {
				return
			}
		}
	}
	if isRegistry(line) && f.take(RegistryKey, line) {
		return
	}
	fields := strings.FieldsFunc(line, isSpace)
	for _, field := range fields {
		clear := Refang(field)
		f.field(trim(clear), reading{alone: len(fields) == 1, defanged: clear != field})
	}
}

// reading is what is known of a token beside it.
type reading struct {
	alone    bool // it is all that is in the line
	defanged bool
}

// field reads what stands between two spaces: a value, or several that something else parts.
func (f *finder) field(field string, r reading) {
	if f.token(field, r) {
		return
	}
	r.alone = false
	for _, part := range strings.FieldsFunc(field, func(c rune) bool { return strings.ContainsRune(",;()[]{}'=", c) }) {
		if part = trim(part); part != field && !f.token(part, r) {
			if _, after, found := strings.Cut(part, ":"); found { // "ip:198.51.100.7"
				f.token(trim(after), r)
			}
		}
	}
	if _, after, found := strings.Cut(field, ":"); found && !strings.ContainsAny(field, ",;()[]{}'=") {
		f.token(trim(after), r)
	}
}

// token reads one value.
func (f *finder) token(t string, r reading) bool {
	if len(t) < 4 || len(t) > MaxValue {
		return false
	}
	if strings.Contains(t, "://") {
		return f.urls(t)
	}
	if isRegistry(t) {
		return f.take(RegistryKey, t)
	}
	if f.address(t) {
		return true
	}
	for kind, size := range sizes {
		if len(t) == 2*size && f.take(kind, t) {
			return true
		}
	}
	upper := strings.ToUpper(t)
	switch {
	case isCVE.MatchString(upper):
		return f.take(CVE, t)
	case isTechnique.MatchString(upper):
		return f.take(Technique, t)
	case len(t) == 59 && f.take(CID, t):
		return true
	case isSystem.MatchString(upper):
		return f.take(ASN, t)
	case strings.Count(t, "@") == 1:
		return f.take(Email, strings.TrimPrefix(strings.ToLower(t), "mailto:"))
	case isHardware.MatchString(t):
		return f.take(MAC, t)
	}
	return f.named(t, r)
}

var (
	isSystem   = regexp.MustCompile(`^ASN?[0-9]{1,10}$`)
	isHardware = regexp.MustCompile(`^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}(([:-][0-9A-Fa-f]{2}){2})?$`)
	hasPort    = regexp.MustCompile(`^[^:/]+:[0-9]{1,5}$`)
)

// urls reads a URL, or several that commas part.
func (f *finder) urls(t string) bool {
	found := false
	for t != "" {
		one := t
		t = ""
		rest := strings.Index(one, "://") + 3
		if second := strings.Index(one[rest:], "://"); second >= 0 && rest > 3 {
			if comma := strings.LastIndexAny(one[:rest+second], ",;|"); comma > rest {
				one, t = one[:comma], one[comma+1:]
			}
		}
		if start := strings.LastIndexAny(one[:strings.Index(one+"://", "://")], "([{'=,;"); start >= 0 {
			one = one[start+1:]
		}
		found = f.take(URL, trim(one)) || found
	}
	return found
}

// address reads an address, a network, or an address with a port.
func (f *finder) address(t string) bool {
	if a, err := netip.ParseAddrPort(t); err == nil {
		return f.take(IPv6, a.Addr().String())
	}
	t = strings.Trim(t, "[]")
	return strings.ContainsAny(t, ".:") && f.take(IPv6, t)
}

// named reads the name of a host or a file.
func (f *finder) named(t string, r reading) bool {
	host, path, hasPath := strings.Cut(t, "/")
	if hasPath {
		if v, good := Normalise(Atom{Domain, host}); good && r.isDomain(v.Text) && !isFile(v.Text) {
			return f.take(URL, "http://"+host+"/"+path)
		}
		if _, err := netip.ParseAddr(host); err == nil {
			return f.take(URL, "http://"+host+"/"+path)
		}
		return false
	}
	if hasPort.MatchString(t) {
		t, _, _ = strings.Cut(t, ":")
	}
	v, good := Normalise(Atom{Domain, t})
	switch {
	case isFile(strings.ToLower(t)) && !r.defanged:
		return f.take(FileName, t)
	case good && r.isDomain(v.Text):
		f.add(v)
		return true
	}
	return false
}

// special are top-level domains that are in no public list (RFC 6761, RFC 7686 and what is used all the same).
var special = []string{"example", "test", "invalid", "onion", "local", "internal", "lan", "home", "corp", "i2p", "bit"}

// isDomain reports whether what looks like a domain is to be taken for one.
func (r reading) isDomain(name string) bool {
	if r.alone || r.defanged {
		return true
	}
	suffix, listed := publicsuffix.PublicSuffix(name)
	return listed || strings.Contains(suffix, ".") || slices.Contains(special, suffix)
}

// extensions are those of files, of which no or hardly any domain has the name of.
var extensions = []string{"exe", "dll", "sys", "scr", "pdf", "doc", "docx", "docm", "xls", "xlsx", "xlsm", "xlsb", "ppt", "pptx", "pptm", "rtf", "js", "jse", "vbs", "vbe", "wsf",
	"hta", "lnk", "ps1", "psm1", "bat", "cmd", "msi", "msix", "jar", "apk", "dmg", "iso", "img", "vhd", "rar", "7z", "gz", "tar", "tgz", "cab", "zip", "mov", "png", "jpg", "jpeg",
	"gif", "txt", "log", "htm", "html", "php", "asp", "aspx", "jsp", "xml", "json", "yml", "yaml", "csv", "ini", "cfg", "conf", "tmp", "dat", "db", "elf", "one", "chm", "ocx", "cpl"}

func isFile(name string) bool {
	dot := strings.LastIndexByte(name, '.')
	return dot > 0 && slices.Contains(extensions, name[dot+1:])
}

// isRegistry reports whether something begins as keys of the Windows registry do.
func isRegistry(text string) bool {
	hive, _, found := strings.Cut(strings.ToLower(text), `\`)
	if _, short := hives[hive]; short && found {
		return true
	}
	return found && strings.HasPrefix(hive, "hkey_")
}

// isSpace tells what stands in no value.
func isSpace(c rune) bool {
	return c <= ' ' || strings.ContainsRune("<>\"`|\u00a0\u2003\u2009“”„«»‘’‚", c)
}

// trim takes off the punctuation of the text around a value. A closing bracket that was opened in it stays.
func trim(t string) string {
	t = strings.TrimLeft(t, "([{'*,;:")
	if strings.Contains(t, "]:") || strings.HasSuffix(t, "]") && strings.Contains(t, "::") {
		return t
	}
	open := map[byte]int{}
	for closing, opening := range brackets {
		open[closing] = strings.Count(t, opening) - strings.Count(t, string(closing))
	}
	for t != "" && !strings.HasSuffix(t, "::") {
		c := t[len(t)-1]
		_, isBracket := brackets[c]
		switch {
		case strings.IndexByte(".,;:!?'*", c) >= 0:
		case isBracket && open[c] < 0:
			open[c]++
		default:
			return t
		}
		t = t[:len(t)-1]
	}
	return t
}

// brackets are what closes, and what opens it.
var brackets = map[byte]string{')': "(", ']': "[", '}': "{"}
