package taxii

import (
	"errors"
	"regexp"
	"strings"
	"time"
)

// formatTimestamp writes a TAXII timestamp: UTC, exactly six fraction digits (section 2).
func formatTimestamp(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}

// formatOptional leaves out a time that is not known.
func formatOptional(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return formatTimestamp(t)
}

// instant is RFC 3339's form, of which package time takes more than there is.
var instant = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)

var errTimestamp = errors.New("not a timestamp such as 2026-01-31T08:00:00.000000Z")

// parseInstant reads a timestamp as it arrives in a query: any precision and any offset, since clients format them with
// what their language has to hand. A raw + of an offset has become a space by then.
func parseInstant(s string) (time.Time, error) {
	s = strings.ReplaceAll(s, " ", "+")
	if !instant.MatchString(s) {
		return time.Time{}, errTimestamp
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil { // there is no such day or hour
		return time.Time{}, errTimestamp
	}
	return t, nil
}

// parseAddedAfter reads the added_after parameter, which may also be a bare
// date, as the first Service Ledger's clients send it.
func parseAddedAfter(s string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02", "2006/01/02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return parseInstant(s)
}
