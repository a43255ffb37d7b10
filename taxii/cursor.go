package taxii

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// scope is what a cursor is good for: one kind of listing of one collection, or of one object in it.
type scope struct{ kind, collection, object string }

// cursors makes and reads the values of next. A cursor is a position, the date_added of the last record given, and the
// listing it belongs to, with a MAC. It holds no state and no limit, never expires and may be used again; what is
// behind it is found by the query it comes with, so it grants nothing that added_after would not.
type cursors struct{ key []byte }

const (
	cursorScope = 4
	cursorMAC   = 16
	cursorSize  = 8 + cursorScope + cursorMAC
)

var errCursor = errors.New("next: not a value that this server gave")

// encode returns the cursor that goes on after the position, in microseconds.
func (c cursors) encode(s scope, after int64) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, cursorSize), uint64(after))
	b = append(b, c.tag(s)...)
	return base64.RawURLEncoding.EncodeToString(append(b, c.mac(b)...))
}

// decode returns the position of a cursor made by encode. One that was made for another listing counts as none and
// leads to the beginning: a client in wide use takes the last cursor of one collection along to the next.
func (c cursors) decode(s scope, cursor string) (after int64, err error) {
	if len(cursor) != base64.RawURLEncoding.EncodedLen(cursorSize) {
		return 0, errCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != cursorSize { // line breaks count for nothing in it
		return 0, errCursor
	}
	signed, mac := b[:8+cursorScope], b[8+cursorScope:]
	if !hmac.Equal(mac, c.mac(signed)) {
		return 0, errCursor
	}
	if !hmac.Equal(signed[8:], c.tag(s)) {
		return 0, nil
	}
	return int64(binary.BigEndian.Uint64(signed)), nil
}

// tag stands for a scope in a cursor.
func (c cursors) tag(s scope) []byte {
	return c.hash("slnode taxii listing 1", []byte(s.kind), []byte(s.collection), []byte(s.object))[:cursorScope]
}

func (c cursors) mac(signed []byte) []byte {
	return c.hash("slnode taxii next 2", signed)[:cursorMAC]
}

func (c cursors) hash(purpose string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, c.key)
	h.Write([]byte(purpose))
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return h.Sum(nil)
}
