package console

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/taxii"
)

// Finder is what the search asks. What the visitor may not see is in no answer and counts nowhere.
type Finder interface {
	// Lookup tells in which objects values are, an answer for each value in their order.
	Lookup(ctx context.Context, by By, values []observable.Value) ([]Answer, error)
	// List gives a page of objects, newest first.
	List(ctx context.Context, by By, q Question) (Listing, error)
	// Corroborated tells who else says what an object says.
	Corroborated(ctx context.Context, by By, id string) (Corroborated, error)
}

// Answer is what is known of a value.
type Answer struct {
	Value observable.Value
	Hits  []Hit
	More  bool // there are more than were read
	// Independent is how many independent sources those with just this value have that are in force: what is of one
	// member, author, external reference or feed is of one.
	Independent int
	Seen        Brief    // what sightings of these say
	Warned      []string // the warning lists that it is on, the graver ones first
}

// Corroborated is who says what an object says.
type Corroborated struct {
	Objects     int  // others that say it and are in force
	More        bool // the value is too common to say anything
	Members     int  // that say it, with the object's own
	Independent int  // sources that they have
}

// Hit is an object that has a value, or one that contains it, or one within it.
type Hit struct {
	Row
	Value observable.Value
	How   How
}

// How is what the value of an object has to do with the one that was asked for.
type How byte

// What it is: the same, a network or domain around it, or an address or name within it.
const (
	Same How = iota
	Wider
	Narrower
)

func (h How) String() string { return [...]string{"same", "contains it", "inside it"}[h] }

// Row is an object in a list.
type Row struct {
	ID, Type, Name string
	Values         []observable.Value // some of those that it is about
	Level          string
	Member         string // who published it
	Confidence     int    // -1 if none is given
	State          string
	Collection     string
	Added          time.Time
	Seen           Brief
}

// Brief is what the newest sightings of an object say.
type Brief struct {
	Count   uint64
	Members int  // who say so
	More    bool // … and there are others that were not looked at
}

// String says it in short: "31× by 3"; "" for what nobody has seen.
func (b Brief) String() string {
	if b.Count == 0 {
		return ""
	}
	text := thousands(int64(min(b.Count, math.MaxInt64)))
	if b.More {
		text += "+"
	}
	return fmt.Sprintf("%s× by %d", text, b.Members)
}

// Question is what a list is asked for. Empty fields do not restrict.
type Question struct {
	Text       string // words of names, or an id, a transaction, a CID
	Type       string
	Member     string
	Level      string
	Collection string
	Label      string
	State      string // "in force", "not yet", "expired" or "revoked"
	Least      int    // confidence, 1 to 100
	Before     string // a cursor
	Limit      int
}

// Listing is a page of objects.
type Listing struct {
	Rows []Row
	Next string // the cursor of the next page, if there is any
	Note string // what is to be known of it, such as that not all was looked at
}

// Rows of a page, and what a list of values has at most.
const (
	usualRows = 50
	maxAsked  = 1000
	maxBox    = 256 << 10 // bytes of pasted text
)

type searchModel struct {
	Text      string
	Bulk      bool // several lines
	Answer    string
	Found     bool
	Warned    string
	Asked     []askedValue
	Missing   int
	Truncated bool
	Rows      []shownRow
	Note      string
	Facets    []facet
	Next      string
	First     string
	Sizes     []choice
	CSV       string
	Empty     bool
	Wrong     string
}

type shownRow struct {
	Kind, Type, Name, Level, Member, State, StateClass, Collection, How, Seen string
	Values                                                                    []string
	Confidence                                                                int
	Added                                                                     time.Time
	Link, MemberLink, TypeLink                                                string
	Plain                                                                     string // the value as it is, to be copied
}

type askedValue struct {
	Kind, Value, Link string
	Found             int
	More              bool
	Members, Levels   []string
	Wider             int
	Warned            string
	Last              time.Time
}

type facet struct {
	Name    string
	Choices []choice
}

type choice struct {
	Name, Link string
	Here       bool
}

func (c *Console) getSearch(v *visit) error { return c.search(v, v.query("q")) }

// postSearch takes a list that is too long for an address. It changes nothing.
func (c *Console) postSearch(v *visit) error { return c.search(v, v.form.Get("q")) }

func (c *Console) search(v *visit, text string) error {
	if c.Rooms.Finder == nil {
		return taxii.ErrNotFound
	}
	if len(text) > maxBox {
		return &refusal{status: 413, title: "Too much", text: fmt.Sprintf("Of a list at most %s are looked at in one go. Divide it.", sizeOf(maxBox))}
	}
	values := observable.Parse(text)
	model := searchModel{Text: strings.TrimSpace(text), Bulk: len(values) > 1}
	if len(values) > maxAsked {
		values, model.Truncated = values[:maxAsked], true
	}
	if len(values) > 0 {
		return c.lookup(v, model, values)
	}
	return c.list(v, model)
}

// lookup answers what is known of values.
func (c *Console) lookup(v *visit, model searchModel, values []observable.Value) error {
	answers, err := c.Rooms.Finder.Lookup(v.r.Context(), v.by(), values)
	if err != nil {
		return err
	}
	if v.query("format") == "csv" || v.form.Get("format") == "csv" {
		return v.download("values.csv", "text/csv; charset=utf-8", valuesCSV(answers))
	}
	for _, answer := range answers {
		one := tally(answer)
		if one.Found+one.Wider == 0 {
			model.Missing++
		}
		model.Asked = append(model.Asked, one)
	}
	slices.SortStableFunc(model.Asked, func(a, b askedValue) int { return min(b.Found, 1) - min(a.Found, 1) })
	model.Found = model.Missing < len(answers)
	if model.Bulk {
		model.Answer = fmt.Sprintf("%d of %d are known, %d are not.", len(answers)-model.Missing, len(answers), model.Missing)
	} else {
		model.Answer, model.Warned = inWords(answers[0]), warnedOf(answers[0])
		for _, hit := range answers[0].Hits {
			model.Rows = append(model.Rows, shown(hit.Row, hit.How.String()))
		}
	}
	if len(model.Text) < 4<<10 {
		model.CSV = link("search", "q", model.Text, "format", "csv")
	}
	return v.render("search", model)
}

// tally counts an answer.
func tally(a Answer) askedValue {
	one := askedValue{Kind: kindWord(a.Value.Kind.String()), Value: name(defang(a.Value.Text)), Link: searchLink(a.Value.Text), More: a.More, Warned: warnedOf(a)}
	members, levels := map[string]bool{}, map[string]bool{}
	for _, hit := range a.Hits {
		switch hit.How {
		case Same:
			one.Found++
		case Wider:
			one.Wider++
		default:
			continue
		}
		if !members[hit.Member] {
			members[hit.Member] = true
			one.Members = append(one.Members, hit.Member)
		}
		if hit.Level != "" && !levels[hit.Level] {
			levels[hit.Level] = true
			one.Levels = append(one.Levels, hit.Level)
		}
		if hit.Added.After(one.Last) {
			one.Last = hit.Added
		}
	}
	slices.Sort(one.Members)
	slices.Sort(one.Levels)
	return one
}

// warnedOf says on which warning lists a value is; "" for none.
func warnedOf(a Answer) string {
	const most = 3
	text := strings.Join(a.Warned[:min(len(a.Warned), most)], ", ")
	if more := len(a.Warned) - most; more > 0 {
		text += " and " + countOf(more, "other", "others")
	}
	return text
}

// inWords answers in a sentence whether anybody has seen a value.
func inWords(a Answer) string {
	one := tally(a)
	within := 0
	types, members, wider := map[string]int{}, map[string]bool{}, ""
	for _, hit := range a.Hits {
		switch hit.How {
		case Same:
			types[hit.Type]++
			members[hit.Member] = true
		case Wider:
			if wider == "" {
				wider = fmt.Sprintf("inside %s of %s", name(defang(hit.Value.Text)), hit.Member)
			}
		case Narrower:
			within++
		}
	}
	var parts []string
	if one.Found > 0 {
		parts = append(parts, fmt.Sprintf("in %s by %s (%s)", typesCount(types), countOf(len(members), "member", "members"), strings.Join(sortedKeys(members), ", ")))
		if one.Found > 1 && a.Independent > 0 {
			parts[0] += ", from " + countOf(a.Independent, "independent source", "independent sources")
		}
	}
	if a.Seen.Count > 0 {
		parts = append(parts, fmt.Sprintf("seen %s by %s", howOften(a.Seen.Count), countOf(a.Seen.Members, "member", "members")))
	}
	if wider != "" {
		parts = append(parts, wider)
	}
	if within > 0 {
		parts = append(parts, fmt.Sprintf("%s inside it", countOf(within, "object is", "objects are")))
	}
	if len(parts) == 0 {
		return "No. Nothing that this account may read has it."
	}
	more := ""
	if a.More {
		more = " There are more than are shown here."
	}
	return "Yes: " + strings.Join(parts, "; ") + "." + more
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// shown is a row as a page has it.
func shown(r Row, how string) shownRow {
	s := shownRow{Kind: typeWord(r.Type), Type: r.Type, Name: name(defang(r.Name)), Level: r.Level, Member: name(r.Member), State: r.State, Collection: name(r.Collection), How: how, Seen: r.Seen.String(),
		Confidence: r.Confidence, Added: r.Added, Link: objectLink(r.ID, ""), MemberLink: link("search", "member", r.Member), TypeLink: link("search", "type", r.Type)}
	for _, value := range r.Values[:min(len(r.Values), 3)] {
		if text := name(defang(value.Text)); text != s.Name {
			s.Values = append(s.Values, text)
		}
	}
	if len(r.Values) > 0 {
		s.Plain = r.Values[0].Text
	}
	if s.Name == "" {
		s.Name = firstOf(strings.Join(s.Values, ", "), r.ID)
		s.Values = nil
	}
	switch r.State {
	case "revoked":
		s.StateClass = "bad"
	case "in force":
		s.StateClass = "good"
	default:
		s.StateClass = "off"
	}
	return s
}

// list answers with objects, newest first.
func (c *Console) list(v *visit, model searchModel) error {
	q, err := v.question(model.Text)
	if err != nil {
		return err
	}
	found, err := c.Rooms.Finder.List(v.r.Context(), v.by(), q)
	if err != nil {
		return err
	}
	if v.query("format") == "csv" {
		return v.download("objects.csv", "text/csv; charset=utf-8", rowsCSV(found.Rows))
	}
	for _, r := range found.Rows {
		model.Rows = append(model.Rows, shown(r, ""))
	}
	model.Note, model.Empty = found.Note, len(found.Rows) == 0
	if found.Next != "" {
		model.Next = q.link("before", found.Next)
	}
	if q.Before != "" {
		model.First = q.link("before", "")
	}
	model.CSV = q.link("format", "csv")
	for _, n := range []int{25, 50, 100} {
		model.Sizes = append(model.Sizes, choice{strconv.Itoa(n), q.link("rows", strconv.Itoa(n), "before", ""), n == q.Limit})
	}
	model.Facets = q.facets()
	return v.render("search", model)
}

// valuesCSV lists values with what is known of them.
func valuesCSV(answers []Answer) []byte {
	rows := [][]string{{"value", "kind", "found", "members", "marking", "last", "contained_in"}}
	for _, a := range answers {
		one := tally(a)
		last := ""
		if !one.Last.IsZero() {
			last = one.Last.UTC().Format(time.RFC3339)
		}
		rows = append(rows, []string{a.Value.Text, a.Value.Kind.String(), strconv.Itoa(one.Found), strings.Join(one.Members, " "), strings.Join(one.Levels, " "), last, strconv.Itoa(one.Wider)})
	}
	return writeCSV(rows)
}

func rowsCSV(list []Row) []byte {
	rows := [][]string{{"id", "type", "name", "marking", "member", "confidence", "state", "collection", "added", "seen", "seen_by"}}
	for _, r := range list {
		confidence, seen, by := "", "", ""
		if r.Seen.Count > 0 {
			seen, by = strconv.FormatUint(r.Seen.Count, 10), strconv.Itoa(r.Seen.Members)
		}
		if r.Confidence >= 0 {
			confidence = strconv.Itoa(r.Confidence)
		}
		rows = append(rows, []string{r.ID, r.Type, r.Name, r.Level, r.Member, confidence, r.State, r.Collection, r.Added.UTC().Format(time.RFC3339), seen, by})
	}
	return writeCSV(rows)
}

func writeCSV(rows [][]string) []byte {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	for _, row := range rows {
		for i := range row {
			row[i] = csvCell(row[i])
		}
		_ = w.Write(row) // to memory
	}
	w.Flush()
	return out.Bytes()
}
