package stix

import (
	"strings"
	"testing"
	"time"
)

func TestParseTimestampReadsInstants(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2024-02-29T23:59:59Z":           time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC),
		"2024-02-29T23:59:59.5Z":         time.Date(2024, 2, 29, 23, 59, 59, 5e8, time.UTC),
		"2024-02-29T23:59:59.500Z":       time.Date(2024, 2, 29, 23, 59, 59, 5e8, time.UTC),
		"2024-02-29T23:59:59.123456Z":    time.Date(2024, 2, 29, 23, 59, 59, 123456000, time.UTC),
		"2024-02-29T23:59:59.123456789Z": time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.UTC),
		"0000-01-01T00:00:00Z":           time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
		"9999-12-31T23:59:59.999999999Z": time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
	} {
		got, err := ParseTimestamp(text)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestParseTimestampRefuses(t *testing.T) {
	for _, text := range []string{
		"",
		"2024-01-01",
		"2024-01-01T00:00Z",
		"2024-01-01T00:00:00",
		"2024-01-01T00:00:00.000+00:00",
		"2024-01-01T00:00:00+00:00Z",
		"2024-01-01T00:00:00-00:00",
		"2024-01-01t00:00:00Z",
		"2024-01-01T00:00:00z",
		"2024-01-01 00:00:00Z",
		"2024-01-01T00:00:00.Z",
		"2024-01-01T00:00:00,5Z",
		"2024-01-01T00:00:00.1234567890Z",
		"2024-01-01T0:00:00.000Z",
		"2024-01-01T00:00:0.0000Z",
		"2024-1-01T00:00:00.000Z",
		"2023-02-29T00:00:00Z",
		"2024-13-01T00:00:00Z",
		"2024-01-01T24:00:00Z",
		"2024-01-01T00:60:00Z",
		"2024-01-01T23:59:60Z",
		"02024-01-01T00:00:00Z",
		"-024-01-01T00:00:00Z",
		" 2024-01-01T00:00:00Z",
		"2024-01-01T00:00:00ZZ",
		"٢٠٢٤-01-01T00:00:00Z",
	} {
		got, err := ParseTimestamp(text)
		if err == nil {
			t.Errorf("%q is taken for %v", text, got)
		} else if !strings.Contains(err.Error(), "is not a timestamp") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseTimestamp(f *testing.F) {
	for _, text := range []string{"2024-02-29T23:59:59.123456789Z", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00+01:00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTimestamp(text)
		if err != nil {
			if !got.IsZero() {
				t.Errorf("%q: a time with an error", text)
			}
			return
		}
		// Written with as many digits, it is the same text again.
		layout := "2006-01-02T15:04:05Z"
		if digits := len(text) - len(layout) - 1; digits >= 0 {
			layout = "2006-01-02T15:04:05." + strings.Repeat("0", digits) + "Z"
		}
		if back := got.Format(layout); back != text || got.Location() != time.UTC {
			t.Errorf("%q is read as %q", text, back)
		}
	})
}

func TestATimestampIsWrittenInMilliseconds(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 20, 11, 407_999_999, time.FixedZone("CET", 3600))
	if got := FormatTimestamp(at); got != "2026-03-02T08:20:11.407Z" {
		t.Errorf("it is %s", got)
	}
}
