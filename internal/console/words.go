package console

import (
	"fmt"
	"strings"
	"unicode"
)

func title(kind, called string) string {
	if called == "" {
		return typeWord(kind)
	}
	return typeWord(kind) + ": " + name(defang(called))
}

// label is a name that fits into a node.
func label(called, kind string) string {
	if called == "" {
		return typeWord(kind)
	}
	short, _ := clip(called, 80)
	return fit(visible(defang(short)), labelWidth)
}

// fit cuts text to a number of columns.
func fit(short string, columns int) string {
	width := 0
	for i, r := range short {
		w := 1
		if r >= 0x1F000 || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) || r >= 0xFF01 && r <= 0xFF60 {
			w = 2
		}
		if width += w; width > columns {
			return short[:i] + "…"
		}
	}
	return short
}

// relationWord is a relation in words.
func relationWord(relation string) string {
	switch relation {
	case "object_refs":
		return "contains"
	case "created_by_ref":
		return "created by"
	case "sighting_of_ref":
		return "sighting of"
	case "where_sighted_refs":
		return "sighted at"
	}
	relation = strings.TrimSuffix(strings.TrimSuffix(relation, "_refs"), "_ref")
	return name(strings.NewReplacer("-", " ", "_", " ").Replace(relation))
}

// typeClass is the class of a type, of which there are six: who, what they use, what they do, where it shows, where it
// is written, the rest.
func typeClass(kind string) string {
	switch kind {
	case "threat-actor", "intrusion-set", "identity", "location":
		return "t-who"
	case "malware", "tool", "attack-pattern", "vulnerability", "malware-analysis":
		return "t-how"
	case "campaign", "incident", "infrastructure", "course-of-action":
		return "t-what"
	case "indicator":
		return "t-sign"
	case "report", "note", "opinion", "grouping", "sighting", "observed-data":
		return "t-said"
	}
	return "t-seen"
}

// glyph is the path of a small shape about a point: for each class of types another one.
func glyph(class string, x, y int) string {
	switch class = strings.TrimPrefix(class, "middle "); {
	case strings.HasPrefix(class, "t-who"): // a head and shoulders
		return fmt.Sprintf("M%d %da3 3 0 1 1 6 0a3 3 0 1 1-6 0zm-3 9a6 5 0 0 1 12 0z", x-3, y-3)
	case strings.HasPrefix(class, "t-how"): // a diamond
		return fmt.Sprintf("M%d %dl6 6-6 6-6-6z", x, y-6)
	case strings.HasPrefix(class, "t-what"): // a hexagon
		return fmt.Sprintf("M%d %dl6 3v6l-6 3-6-3v-6z", x, y-6)
	case strings.HasPrefix(class, "t-sign"): // a triangle
		return fmt.Sprintf("M%d %dl6.5 11h-13z", x, y-6)
	case strings.HasPrefix(class, "t-said"): // a sheet
		return fmt.Sprintf("M%d %dh6l4 4v8h-10z", x-5, y-6)
	case strings.HasPrefix(class, "more"):
		return ""
	}
	return fmt.Sprintf("M%d %da5 5 0 1 1 10 0a5 5 0 1 1-10 0z", x-5, y)
}
