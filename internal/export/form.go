package export

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"strconv"
	"time"
)

// Format is a way to write a list.
type Format string

// The formats.
const (
	Plain    Format = "plain"    // one value a line and nothing else
	PANOS    Format = "panos"    // the same as Palo Alto Networks' firewalls read it
	CSV      Format = "csv"      // RFC 4180, with a heading
	Hosts    Format = "hosts"    // a hosts file that sends domains nowhere
	RPZ      Format = "rpz"      // a DNS response policy zone
	Suricata Format = "suricata" // rules that alert
	Zeek     Format = "zeek"     // a file of Zeek's Intelligence Framework
	STIX     Format = "stix"     // a bundle of the indicators themselves
)

// Formats lists them.
func Formats() []Format { return []Format{Plain, PANOS, CSV, Hosts, RPZ, Suricata, Zeek, STIX} }

// Check refuses what is none of them.
func (f Format) Check() error {
	_, err := formOf(f)
	return err
}

// Subdomains reports whether lists of a format can have all names below a name. In the others a name is that name
// alone; what else it stands for is for the reader of the list to decide.
func (f Format) Subdomains() bool { return f == RPZ }

// MediaType is the content type of lists in a format.
func (f Format) MediaType() string {
	switch f {
	case CSV:
		return "text/csv; charset=utf-8; header=present"
	case RPZ:
		return "text/dns; charset=utf-8"
	case STIX:
		return "application/stix+json;version=2.1"
	}
	return "text/plain; charset=utf-8"
}

// form is how a format writes items. What it writes to keeps the first error.
type form struct {
	takes func(Kind, string) bool   // whether there is a place for a value
	as    func(Kind, string) string // how a value is written, if that is another way
	begin func(*bufio.Writer, *List)
	line  func(*bufio.Writer, Item)
}

func formOf(f Format) (form, error) {
	everything := func(Kind, string) bool { return true }
	switch f {
	case Plain:
		return form{takes: everything, begin: func(*bufio.Writer, *List) {}, line: linePlain}, nil
	case PANOS:
		return form{takes: takesPANOS, as: asPANOS, begin: func(*bufio.Writer, *List) {}, line: linePlain}, nil
	case CSV:
		return form{takes: everything, begin: beginCSV, line: lineCSV}, nil
	case Hosts:
		return form{takes: func(k Kind, _ string) bool { return k == Domain }, begin: beginHosts, line: lineHosts}, nil
	case RPZ:
		return form{takes: takesRPZ, begin: beginRPZ, line: lineRPZ}, nil
	case Suricata:
		return form{takes: takesSuricata, begin: beginSuricata, line: lineSuricata}, nil
	case Zeek:
		return form{takes: func(k Kind, _ string) bool { return k != SHA512 }, begin: beginZeek, line: lineZeek}, nil
	case STIX:
		return form{takes: everything}, nil
	}
	return form{}, fmt.Errorf("%.40q is none of the formats %v", f, Formats())
}

// remark describes the list, as comments that begin with a mark.
func (l *List) remark(w *bufio.Writer, mark string) {
	fmt.Fprintf(w, "%s Indicators in force at %s\n", mark, l.asOf.UTC().Format(time.RFC3339))
	if n := l.Skipped.Total(); n > 0 {
		fmt.Fprintf(w, "%s %d indicators are not or not wholly in this list: %d with another pattern than a choice of values, %d with a value that\n", mark, n, l.Skipped.Pattern, l.Skipped.Value)
		fmt.Fprintf(w, "%s is malformed or must not be blocked, %d with a value that this format has no place for\n", mark, l.Skipped.Format)
		if l.Skipped.Date > 0 {
			fmt.Fprintf(w, "%s and %d of which it can't be told when they end\n", mark, l.Skipped.Date)
		}
	}
}

func linePlain(w *bufio.Writer, i Item) { fmt.Fprintln(w, i.Value) }

func (i *Item) indicatorID() string { return "indicator--" + i.Indicator.String() }

func beginCSV(w *bufio.Writer, _ *List) {
	writeCSV(w, []string{"type", "value", "indicator", "confidence", "valid_until"})
}

func lineCSV(w *bufio.Writer, i Item) {
	confidence, until := "", ""
	if i.Confidence >= 0 {
		confidence = strconv.Itoa(i.Confidence)
	}
	if !i.Until.IsZero() {
		until = i.Until.UTC().Format(time.RFC3339)
	}
	// No field begins with a character that a spreadsheet takes for a formula.
	writeCSV(w, []string{i.Kind.String(), i.Value, i.indicatorID(), confidence, until})
}

func writeCSV(w *bufio.Writer, fields []string) {
	_ = csv.NewWriter(w).Write(fields) // into w itself, which keeps the error
}

func beginHosts(w *bufio.Writer, l *List) { l.remark(w, "#") }

func lineHosts(w *bufio.Writer, i Item) { fmt.Fprintf(w, "0.0.0.0 %s\n", i.Value) }
