package taxii

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// scope is what a cursor is good for: one kind of listing of one collection,
// or of one object in it.
type scope struct{ kind, collection, object string }

// cursors makes and reads the values of next. A cursor is a position: the
// date_added of the last record given, with a MAC that ties it to its scope
// and its node. It holds no state and no limit, never expires and may be used
// again; what is behind it is found by the query it comes with, so it grants
// nothing that added_after would not.
type cursors struct{ key []byte }

const (
	cursorMAC  = 16
	cursorSize = 8 + cursorMAC
)

var errCursor = errors.New("next: not a value that this server gave for this listing")

// encode returns the cursor that goes on after the position, in microseconds.
func (c cursors) encode(s scope, after int64) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, cursorSize), uint64(after))
	return base64.RawURLEncoding.EncodeToString(c.mac(b, s))
}

// decode returns the position of a cursor made by encode for the same scope.
func (c cursors) decode(s scope, cursor string) (after int64, err error) {
	if len(cursor) != base64.RawURLEncoding.EncodedLen(cursorSize) {
		return 0, errCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != cursorSize { // line breaks count for nothing in it
		return 0, errCursor
	}
	position := b[:8:8]
	if !hmac.Equal(b, c.mac(position, s)) {
		return 0, errCursor
	}
	return int64(binary.BigEndian.Uint64(position)), nil
}

// mac returns the position followed by its MAC in the scope.
func (c cursors) mac(position []byte, s scope) []byte {
	h := hmac.New(sha256.New, c.key)
	h.Write([]byte("slnode taxii next 1"))
	for _, part := range []string{s.kind, s.collection, s.object} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	h.Write(position)
	return append(position, h.Sum(nil)[:cursorMAC]...)
}
