package observable

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// MaxKey bounds a key, in bytes. Of what would be longer the key has the beginning and a hash.
const MaxKey = 256

// Key is where a value is in an index. Beside it in the order of keys is what belongs together: networks before what is
// in them, domains before the names below them, URLs and e-mail addresses by their hosts. It is the kind in one byte
// and
//
//   - of an address or network its bytes and the length of the prefix in one byte;
//   - of a domain its labels from the last to the first, a dot after each;
//   - of a URL '4' or '6' and the address, or 'd' and the domain's form; 0; path and query; 0; and scheme, port and
//     user with a 0 after each;
//   - of an e-mail address the domain's form, 0 and the part before the at sign;
//   - of a hash, a serial number, a hardware address and a CID its bytes, of a system its number in four bytes;
//   - of everything else its text.
//
// Equal values have equal keys, others have others.
func (v Value) Key() []byte {
	key := append([]byte{byte(v.Kind)}, v.form()...)
	if len(key) <= MaxKey {
		return key
	}
	sum := sha256.Sum256(key)
	return slices.Concat(key[:MaxKey-len(sum)], sum[:])
}

func (v Value) form() []byte {
	switch v.Kind {
	case IPv4, IPv6:
		p, _ := v.Prefix()
		return append(p.Addr().AsSlice(), byte(p.Bits()))
	case Domain:
		return reversed(v.Text)
	case URL:
		p := splitURL(v.Text)
		host, _ := v.Host()
		return slices.Concat(hostForm(host), []byte{0}, []byte(p.path), []byte{0}, []byte(p.scheme), []byte{0}, []byte(p.port), []byte{0}, []byte(p.user), []byte{0})
	case Email:
		host, _ := v.Host()
		return slices.Concat(reversed(host.Text), []byte{0}, []byte(v.Text[:len(v.Text)-len(host.Text)-1]))
	case MD5, SHA1, SHA256, SHA512, Serial:
		raw, _ := hex.DecodeString(v.Text)
		return raw
	case MAC:
		mac, _ := net.ParseMAC(v.Text)
		return mac
	case CID:
		raw, _ := cidText.DecodeString(v.Text[1:])
		return raw
	case ASN:
		n, _ := strconv.ParseUint(strings.TrimPrefix(v.Text, "AS"), 10, 32)
		return binary.BigEndian.AppendUint32(nil, uint32(n))
	}
	return []byte(v.Text)
}

// hostForm is what the form of a URL begins with.
func hostForm(host Value) []byte {
	p, is := host.Prefix()
	switch {
	case !is:
		return append([]byte{'d'}, reversed(host.Text)...)
	case p.Addr().Is4():
		return append([]byte{'4'}, p.Addr().AsSlice()...)
	}
	return append([]byte{'6'}, p.Addr().AsSlice()...)
}

// reversed writes a domain's labels from the last to the first, a dot after each, so that what is below a domain begins
// with its form.
func reversed(name string) []byte {
	labels := strings.Split(name, ".")
	slices.Reverse(labels)
	return []byte(strings.Join(labels, ".") + ".")
}

func unreversed(form []byte) string {
	labels := strings.Split(strings.TrimSuffix(string(form), "."), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}

// FromKey gives the value that has a key. Of a key of [MaxKey] bytes that can't be told, nor of what is no key.
func FromKey(key []byte) (v Value, good bool) {
	if len(key) < 2 || len(key) >= MaxKey {
		return Value{}, false
	}
	a := Atom{Kind: Kind(key[0])}
	form := key[1:]
	switch a.Kind {
	case IPv4, IPv6:
		address, is := netip.AddrFromSlice(form[:len(form)-1])
		if !is {
			return Value{}, false
		}
		a.Text = netip.PrefixFrom(address, int(form[len(form)-1])).String()
	case Domain:
		a.Text = unreversed(form)
	case URL:
		a.Text = urlOf(form)
	case Email:
		host, local, _ := bytes.Cut(form, []byte{0})
		a.Text = string(local) + "@" + unreversed(host)
	case MD5, SHA1, SHA256, SHA512, Serial:
		a.Text = hex.EncodeToString(form)
	case MAC:
		a.Text = net.HardwareAddr(form).String()
	case CID:
		a.Text = "b" + cidText.EncodeToString(form)
	case ASN:
		if len(form) != 4 {
			return Value{}, false
		}
		a.Text = strconv.FormatUint(uint64(binary.BigEndian.Uint32(form)), 10)
	default:
		a.Text = string(form)
	}
	v, good = Normalise(a)
	return v, good && bytes.Equal(v.Key(), key)
}

func urlOf(form []byte) string {
	var p parts
	size := map[byte]int{'4': 4, '6': 16}[form[0]]
	host, rest, _ := bytes.Cut(form, []byte{0})
	if size > 0 && len(form) > size+1 {
		host, rest = form[:1+size], form[2+size:]
	}
	if len(host) == 0 {
		return ""
	}
	switch address, is := netip.AddrFromSlice(host[1:]); {
	case host[0] == 'd':
		p.host = unreversed(host[1:])
	case is && address.Is6():
		p.host = "[" + address.String() + "]"
	case is:
		p.host = address.String()
	}
	if fields := strings.Split(string(rest), "\x00"); len(fields) == 5 {
		p.path, p.scheme, p.port, p.user = fields[0], fields[1], fields[2], fields[3]
	}
	return p.String()
}

// The widest networks that are looked for around an address: wider ones are no statement about it.
const (
	widestIPv4 = 8
	widestIPv6 = 16
)

// Around gives what contains a value, from the narrowest on: the networks around an address, from /8 or /16 on; the
// domains above a domain, down to two labels; and of a URL and an e-mail address the host and what is around that.
func (v Value) Around() (list []Value) {
	if host, is := v.Host(); is {
		return append([]Value{host}, host.Around()...)
	}
	if p, is := v.Prefix(); is {
		widest := widestIPv6
		if v.Kind == IPv4 {
			widest = widestIPv4
		}
		for bits := p.Bits() - 1; bits >= widest; bits-- {
			list = append(list, prefixValue(netip.PrefixFrom(p.Addr(), bits)))
		}
		return list
	}
	if v.Kind != Domain {
		return nil
	}
	for name := v.Text; ; {
		_, above, _ := strings.Cut(name, ".")
		if !strings.Contains(above, ".") {
			return list
		}
		list, name = append(list, Value{Domain, above}), above
	}
}

// Span is a stretch of keys: those from First on that are not after Last, or begin with it.
type Span struct{ First, Last []byte }

// Has reports whether a key is in the stretch.
func (s Span) Has(key []byte) bool {
	return bytes.Compare(key, s.First) >= 0 && (bytes.Compare(key, s.Last) <= 0 || bytes.HasPrefix(key, s.Last))
}

// Within says where the keys of what a value contains are, and perhaps its own: of a network what is in it, of a domain
// the names below it, and of both the URLs at these, of a domain the e-mail addresses, too. Other values contain
// nothing.
func (v Value) Within() []Span {
	if p, is := v.Prefix(); is {
		first, last := p.Addr().AsSlice(), lastOf(p)
		letter := byte('4')
		if v.Kind == IPv6 {
			letter = '6'
		}
		return []Span{
			{slices.Concat([]byte{byte(v.Kind)}, first, []byte{byte(p.Bits())}), append([]byte{byte(v.Kind)}, last...)},
			{append([]byte{byte(URL), letter}, first...), append([]byte{byte(URL), letter}, last...)},
		}
	}
	if v.Kind != Domain {
		return nil
	}
	var list []Span
	for _, beginning := range [][]byte{{byte(Domain)}, {byte(URL), 'd'}, {byte(Email)}} {
		k := append(beginning, reversed(v.Text)...)
		list = append(list, Span{k, k})
	}
	return list
}

// lastOf is the last address of a network.
func lastOf(p netip.Prefix) []byte {
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(last); bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	return last
}

// Contains reports whether a value contains another one, or is it.
func (v Value) Contains(other Value) bool {
	return v == other || slices.Contains(other.Around(), v)
}
