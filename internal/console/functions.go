package console

import (
	"fmt"
	"html/template"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

// functions are what templates can use.
var functions = template.FuncMap{
	"algo":   algo,
	"defang": defang,
	"bytes":  sizeOf,
	"tlp":    tlpClass,
	"kind":   kindWord,
	"level": func(word string) string {
		if tlpClass(word) == "tlp-none" || strings.HasPrefix(strings.ToLower(word), "tlp:") {
			return word
		}
		return "TLP:" + word
	},
	"levels": func() []string { return []string{"clear", "green", "amber", "amber+strict", "red"} },
	"roles":  func() []string { return []string{"reader", "publisher", "admin"} },
	"first": func(list []Account) string {
		if len(list) == 0 {
			return "admin" // the first account has to be one
		}
		return "reader"
	},
	"brief": func(hash string) string { return hash[:min(len(hash), 8)] },
	"upper": strings.ToUpper,
	"has": func(list []string, one string) bool {
		return slices.Contains(list, one) || slices.Contains(list, "all")
	},
	"more":   func(list any, shown int) int { return reflect.ValueOf(list).Len() - shown },
	"wide":   func(n int) int64 { return int64(n) },
	"whole":  func(n int64) uint64 { return uint64(max(n, 0)) },
	"signed": func(n uint64) int64 { return int64(min(n, math.MaxInt64)) },
	"join":   func(list []string) string { return strings.Join(list, ", ") },
	"count":  countOf,
	"number": thousands,
	"ago":    func(t time.Time) string { return ago(time.Since(t)) },
	"utc":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"minute": func(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") },
}

// algo writes microalgo as ALGO.
func algo(micro uint64) string {
	text := fmt.Sprintf("%s.%06d", thousands(int64(micro/1_000_000)), micro%1_000_000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + " ALGO"
}

// sizeOf writes a number of bytes.
func sizeOf(n uint64) string {
	size, units := float64(n), []string{"B", "kB", "MB", "GB", "TB", "PB"}
	for size >= 1000 && len(units) > 1 {
		size, units = size/1000, units[1:]
	}
	if size < 10 && units[0] != "B" {
		return fmt.Sprintf("%.1f %s", size, units[0])
	}
	return fmt.Sprintf("%.0f %s", size, units[0])
}

// thousands writes a number with commas.
func thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// countOf writes how many of something there are.
func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(int64(n)) + " " + many
}

// ago says how long ago something was.
func ago(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// tlpClass is the class of the chip of a TLP level; its word stands in the chip, too.
func tlpClass(level string) string {
	switch word := strings.TrimPrefix(strings.ToLower(level), "tlp:"); word {
	case "red", "amber", "green", "clear":
		return "tlp-" + word
	case "amber+strict":
		return "tlp-amber"
	case "white":
		return "tlp-clear"
	}
	return "tlp-none"
}
