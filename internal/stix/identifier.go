package stix

import (
	"bytes"

	"github.com/google/uuid"
)

const (
	uuidLen    = 36
	maxTypeLen = 250
	maxIDLen   = maxTypeLen + len("--") + uuidLen
)

// splitID takes an identifier (section 2.9) apart. It accepts every UUID of the variant that RFC 4122 defines, whatever
// its version and the case of its digits: producers use versions 1, 3, 4 and 5.
func splitID(id string) (typ string, u uuid.UUID, ok bool) {
	n := len(id) - uuidLen - len("--")
	if n < 1 || id[n:n+len("--")] != "--" || !validType(id[:n]) {
		return "", u, false
	}
	u, err := uuid.Parse(id[n+len("--"):])
	if err != nil || u.Variant() != uuid.RFC4122 {
		return "", u, false
	}
	return id[:n], u, true
}

// validType follows the naming rule for types (sections 3.1, 7.3.2 and 11.2), without
// its minimum length and its ban of two hyphens in a row.
func validType(s string) bool {
	if s == "" || len(s) > maxTypeLen || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// isRefName reports whether a property of this name holds identifiers.
func isRefName(name []byte) bool {
	return bytes.HasSuffix(name, []byte("_ref")) || bytes.HasSuffix(name, []byte("_refs"))
}
