package observable

import (
	"encoding/base32"
	"encoding/hex"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// MaxValue bounds a value, in bytes.
const MaxValue = 4096

// Value is a value in its one form: up to [SHA512] that is printable ASCII without spaces, quotes and backslashes. Two
// values are the same if they are equal.
type Value struct {
	Kind Kind   `json:"kind"`
	Text string `json:"value"`
}

func (v Value) String() string { return v.Text }

// Normalise checks a value and brings it into its one form. To normalise that again changes nothing.
func Normalise(a Atom) (v Value, good bool) {
	if len(a.Text) > MaxValue {
		return Value{}, false
	}
	v.Kind = a.Kind
	switch a.Kind {
	case IPv4, IPv6:
		return network(a)
	case Domain:
		v.Text, good = domain(a.Text)
	case URL:
		v.Text, good = address(a.Text)
	case MD5, SHA1, SHA256, SHA512:
		v.Text, good = hash(a.Kind, a.Text)
	case Email:
		v.Text, good = mailbox(a.Text)
	case ASN:
		v.Text, good = systemNumber(a.Text)
	case FileName, Mutex, UserAgent:
		v.Text, good = line(a.Text)
		if a.Kind == FileName {
			v.Text = norm.NFC.String(strings.ToLower(v.Text))
		}
	case RegistryKey:
		v.Text, good = registryKey(a.Text)
	case Serial:
		v.Text, good = serial(a.Text)
	case MAC:
		v.Text, good = hardware(a.Text)
	case CVE:
		v.Text, good = numbered(a.Text, isCVE)
	case Technique:
		v.Text, good = numbered(a.Text, isTechnique)
	case CID:
		v.Text, good = contentID(a.Text)
	}
	if !good || len(v.Text) > MaxValue {
		return Value{}, false
	}
	return v, true
}

// cidText is base32 as CIDs have it (multibase "b").
var cidText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// contentID reads a CID of version 1 whose hash is a SHA-256: 36 bytes.
func contentID(text string) (string, bool) {
	text = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(text), "ipfs://"))
	if !isCID.MatchString(text) {
		return "", false
	}
	raw, err := cidText.DecodeString(text[1:])
	if err != nil || raw[0] != 1 || raw[2] != 0x12 || raw[3] != 0x20 {
		return "", false
	}
	return "b" + cidText.EncodeToString(raw), true
}

// network reads an address or a network in CIDR notation. What is mapped into IPv6 is an IPv4 address.
func network(a Atom) (Value, bool) {
	prefix, err := netip.ParsePrefix(a.Text)
	if err != nil {
		single, err := netip.ParseAddr(a.Text)
		if err != nil || single.Zone() != "" {
			return Value{}, false
		}
		single = single.Unmap()
		prefix = netip.PrefixFrom(single, single.BitLen())
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return Value{}, false
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	v := prefixValue(prefix)
	return v, v.Kind == a.Kind || a.Kind == IPv6
}

// prefixValue is a network, or an address, as a value.
func prefixValue(p netip.Prefix) Value {
	p = p.Masked()
	v := Value{Kind: IPv6, Text: p.String()}
	if p.Addr().Is4() {
		v.Kind = IPv4
	}
	if p.IsSingleIP() {
		v.Text = p.Addr().String()
	}
	return v
}

// Prefix gives the network that an address or network is; not of other kinds.
func (v Value) Prefix() (p netip.Prefix, is bool) {
	if !v.Kind.IsAddress() {
		return p, false
	}
	if single, err := netip.ParseAddr(v.Text); err == nil {
		return netip.PrefixFrom(single, single.BitLen()), true
	}
	p, err := netip.ParsePrefix(v.Text)
	return p, err == nil
}

// lookups reads names as they are looked up. Letters are not all that hyphens in third and fourth place announce: some
// large networks' names have them.
var lookups = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true), idna.StrictDomainName(false), idna.CheckHyphens(false))

// domain reads a domain name of two labels or more, into its A-labels without the last dot. Underscores are taken: they
// are no host names, but they are looked up.
func domain(text string) (string, bool) {
	name, err := lookups.ToASCII(strings.TrimSuffix(text, "."))
	if err != nil {
		return "", false
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.ContainsFunc(label, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' }) {
			return "", false
		}
	}
	top := labels[len(labels)-1]
	isName := len(labels) >= 2 && strings.ContainsFunc(top, func(r rune) bool { return r >= 'a' && r <= 'z' })
	return name, isName
}

// Unicode gives a domain, or a URL or e-mail address at one, as people write it; another value as it is. It is for
// showing beside the value, never in its place: many letters look alike.
func (v Value) Unicode() string {
	host, is := v.Host()
	if v.Kind == Domain {
		host, is = v, true
	}
	if !is || host.Kind != Domain || !strings.Contains(host.Text, "xn--") {
		return v.Text
	}
	readable, err := lookups.ToUnicode(host.Text)
	if err != nil {
		return v.Text
	}
	return strings.Replace(v.Text, host.Text, readable, 1)
}

// ports are those that a scheme has anyway.
var ports = map[string]string{"http": "80", "https": "443", "ftp": "21"}

// address reads a URL at a host. What is never sent is dropped: the fragment, and the scheme's own port.
func address(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return "", false
	}
	host, good := host(u.Hostname())
	if !good {
		return "", false
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", false
		}
		if decimal := strconv.FormatUint(n, 10); decimal != ports[u.Scheme] {
			host += ":" + decimal
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return "", false
	}
	path := escape(u.EscapedPath())
	if path == "" {
		path = "/"
	}
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + escape(u.RawQuery)
	}
	if u.User != nil {
		host = escape(u.User.String()) + "@" + host
	}
	return u.Scheme + "://" + host + path, true
}

// host reads the host of a URL.
func host(text string) (string, bool) {
	single, err := netip.ParseAddr(text)
	if err != nil {
		return domain(text)
	}
	single = single.Unmap()
	if single.Zone() != "" {
		return "", false
	}
	if single.Is6() {
		return "[" + single.String() + "]", true
	}
	return single.String(), true
}

// Host gives the domain or the address that a URL or an e-mail address is at; not of other kinds.
func (v Value) Host() (host Value, is bool) {
	switch v.Kind {
	case Email:
		return Value{Domain, v.Text[strings.LastIndexByte(v.Text, '@')+1:]}, true
	case URL:
		name := splitURL(v.Text).host
		if single, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
			return prefixValue(netip.PrefixFrom(single, single.BitLen())), true
		}
		return Value{Domain, name}, true
	}
	return Value{}, false
}

// parts are those of a URL in its one form.
type parts struct{ scheme, user, host, port, path string }

func splitURL(text string) (p parts) {
	p.scheme, text, _ = strings.Cut(text, "://")
	at := strings.IndexByte(text, '/')
	if at < 0 { // nothing that Normalise wrote
		at = len(text)
	}
	p.host, p.path = text[:at], text[at:]
	if i := strings.LastIndexByte(p.host, '@'); i >= 0 {
		p.user, p.host = p.host[:i+1], p.host[i+1:]
	}
	if colon := strings.LastIndexByte(p.host, ':'); colon > strings.LastIndexByte(p.host, ']') {
		p.host, p.port = p.host[:colon], p.host[colon:]
	}
	return p
}

func (p parts) String() string { return p.scheme + "://" + p.user + p.host + p.port + p.path }

// escape writes everything that RFC 3986 does not let stand in a path or query as %XX, and the apostrophe.
func escape(part string) string {
	var b strings.Builder
	for i := range len(part) {
		c := part[i]
		escaped := c == '%' && i+2 < len(part) && isHex(part[i+1]) && isHex(part[i+2])
		if escaped || isLetter(c) || isDigit(c) || strings.IndexByte("-.~!$&()*+,;=:@/?", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return b.String()
}

func isHex(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

// sizes of hashes, in bytes.
var sizes = map[Kind]int{MD5: 16, SHA1: 20, SHA256: 32, SHA512: 64}

// hash reads a hash of the kind's length.
func hash(kind Kind, text string) (string, bool) {
	value := strings.ToLower(text)
	raw, err := hex.DecodeString(value)
	return value, err == nil && len(raw) == sizes[kind]
}

// mailbox reads an e-mail address, in lower case: there may be systems that tell case apart, but nobody who searches.
func mailbox(text string) (string, bool) {
	at := strings.LastIndexByte(text, '@')
	if at < 1 || at > 64 {
		return "", false
	}
	local := strings.ToLower(text[:at])
	name, good := domain(text[at+1:])
	bad := func(r rune) bool {
		return r == utf8.RuneError || r == '@' || !unicode.IsPrint(r) || strings.ContainsRune(" \"'(),:;<>[\\]", r)
	}
	if !good || strings.ContainsFunc(local, bad) || strings.ToLower(local) != local {
		return "", false
	}
	return local + "@" + name, true
}

// The forms of numbers that are searched for.
var (
	isCVE       = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)
	isCID       = regexp.MustCompile(`^b[a-z2-7]{58}$`)
	isTechnique = regexp.MustCompile(`^T[0-9]{4}(\.[0-9]{3})?$`)
)

func numbered(text string, form *regexp.Regexp) (string, bool) {
	text = strings.ToUpper(text)
	return text, form.MatchString(text)
}

// systemNumber reads the number of an autonomous system, with or without the letters (RFC 5396, asplain).
func systemNumber(text string) (string, bool) {
	text = strings.TrimPrefix(strings.TrimPrefix(strings.ToUpper(text), "AS"), "N")
	n, err := strconv.ParseUint(text, 10, 32)
	return "AS" + strconv.FormatUint(n, 10), err == nil
}

// line reads a text of one line as it is, without the space around it.
func line(text string) (string, bool) {
	text = strings.TrimSpace(text)
	return text, text != "" && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// hives are the short names of the parts of the Windows registry.
var hives = map[string]string{"hklm": "hkey_local_machine", "hkcu": "hkey_current_user", "hkcr": "hkey_classes_root", "hku": "hkey_users", "hkcc": "hkey_current_config"}

// registryKey reads a key of the Windows registry, which tells no case apart.
func registryKey(text string) (string, bool) {
	text, good := line(text)
	hive, rest, _ := strings.Cut(strings.ToLower(text), `\`)
	if full, is := hives[hive]; is {
		hive = full
	}
	return strings.TrimRight(norm.NFC.String(hive+`\`+rest), `\`), good && strings.Trim(text, `\`) != ""
}

// serial reads the serial number of a certificate: hexadecimal, with colons or spaces or without. RFC 5280, section
// 4.1.2.2, has 20 bytes at most; there are longer ones.
func serial(text string) (string, bool) {
	digits := strings.TrimLeft(strings.NewReplacer(":", "", " ", "").Replace(strings.ToLower(text)), "0")
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	_, err := hex.DecodeString(digits)
	return digits, err == nil && len(digits) > 0 && len(digits) <= 2*32
}

// hardware reads a hardware address of 6 or 8 bytes.
func hardware(text string) (string, bool) {
	mac, err := net.ParseMAC(text)
	return mac.String(), err == nil && len(mac) <= 8
}
