package stix

import (
	"fmt"
	"time"
)

// ParseTimestamp reads a STIX timestamp (section 2.16): RFC 3339 in UTC, written with Z, with no fraction or one of 1
// to 9 digits. The result compares as an instant; the text, whose precision carries meaning, is the caller's to keep.
func ParseTimestamp(s string) (time.Time, error) {
	// time.Parse alone would also take hours of one digit, a comma, and more digits than it keeps.
	const shortest, longest = "2006-01-02T15:04:05Z", "2006-01-02T15:04:05.999999999Z"
	if len(s) >= len(shortest) && len(s) <= len(longest) && (s[19] == '.' || s[19] == 'Z') && s[len(s)-1] == 'Z' {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is not a timestamp like 2006-01-02T15:04:05.000Z", quote(s))
}

// FormatTimestamp writes a STIX timestamp (section 2.16) in milliseconds, as "created" and "modified" have it.
func FormatTimestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
