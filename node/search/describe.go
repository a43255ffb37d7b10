package search

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/quality"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// What of an object is told in a summary.
const (
	maxTitle         = 300 // characters
	maxSummaryValues = 20
	maxLabels        = 20
)

// Describe says what objects are, in the order of their ids, one line of each after the other, the newest first. What
// is not here, or may not be read, is left out.
func (f *Finder) Describe(ctx context.Context, who taxii.Principal, ids []string) ([]Summary, error) {
	if len(ids) > MaxPage {
		return nil, &taxii.InvalidError{Reason: fmt.Sprintf("%d objects are more than %d", len(ids), MaxPage)}
	}
	entries, err := f.byID(ctx, who, ids...)
	if err != nil {
		return nil, fmt.Errorf("describing objects: %w", err)
	}
	slices.SortStableFunc(entries, func(a, b *view.Entry) int {
		return cmp.Compare(slices.Index(ids, a.ID), slices.Index(ids, b.ID))
	})
	d := f.describer()
	return d.summaries(entries), d.err
}

// describer describes objects at one moment. What it looks up it looks up once.
type describer struct {
	finder    *Finder
	now       time.Time
	markings  map[string]*state.Markings // by publisher
	authors   map[string]string          // names by id and owner
	externals map[int64][]string         // where an entry says that it is from, by its date_added
	err       error                      // that kept a level from being known
}

func (f *Finder) describer() *describer {
	return &describer{finder: f, now: time.Now(), markings: map[string]*state.Markings{}, authors: map[string]string{}, externals: map[int64][]string{}}
}

func (d *describer) summaries(entries []*view.Entry) (list []Summary) {
	for _, e := range entries {
		list = append(list, d.summary(e))
	}
	return list
}

func (d *describer) hits(list []found) (hits []Hit) {
	for _, f := range list {
		hits = append(hits, Hit{Value: f.Value, Role: f.Role, Object: d.summary(f.entry)})
	}
	return hits
}

// summary describes an entry with its object.
func (d *describer) summary(e *view.Entry) Summary {
	o, _ := observable.ReadProperties(e.Object)
	shared := d.finder.State
	s := Summary{
		ID: e.ID, Type: e.Type, Version: e.Version, Member: shared.Name(e.Publisher), Own: shared.Ours(e.Publisher), Author: o.Text("created_by_ref"),
		Collection: e.Collection, Created: timeOf(o, "created"), Modified: timeOf(o, "modified"), Added: e.Added(), StoredAt: e.StoredAt,
		TxID: e.TxID, Asset: e.Asset, Index: e.Position.Index, CID: e.Directory, Labels: o.Texts("labels"),
	}
	if rated := d.finder.Reliability; rated != nil {
		s.Reliability = string(rated(e.Publisher))
	}
	s.Labels = s.Labels[:min(len(s.Labels), maxLabels)]
	if c, found := shared.Collection(e.Collection); found {
		s.CollectionTitle = c.Properties.Title
	}
	if n, err := strconv.ParseFloat(strings.Trim(string(o["confidence"]), `"`), 64); err == nil && n >= 0 && n <= 100 {
		confidence := int(n)
		s.Confidence, s.Credibility = &confidence, quality.Credibility(confidence)
	}
	values, more := o.Values()
	s.Values, s.MoreValues = values[:min(len(values), maxSummaryValues)], more || len(values) > maxSummaryValues
	s.Standing, s.Until = d.standing(o)
	s.Level = d.level(e)
	s.Title = clip(cmp.Or(strings.TrimSpace(o.Text("name")), firstValue(values), e.ID))
	s.Sentence = sentence(o, s, len(values))
	s.AuthorName = d.author(e, s.Author)
	d.externals[e.DateAdded] = externalOf(o)
	return s
}

func firstValue(values []observable.Found) string {
	if len(values) == 0 {
		return ""
	}
	return values[0].Value.Text
}

func timeOf(o observable.Properties, name string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, o.Text(name))
	return t.UTC()
}

// standing tells whether an object counts now, and until when.
func (d *describer) standing(o observable.Properties) (Standing, time.Time) {
	from, until := timeOf(o, "valid_from"), timeOf(o, "valid_until")
	switch {
	case o.Revoked():
		return Revoked, until
	case !until.IsZero() && !until.After(d.now):
		return Expired, until
	case from.After(d.now):
		return NotYet, until
	}
	return InForce, until
}

// level is the TLP level of an object; of one that can't be read the strictest.
func (d *describer) level(e *view.Entry) string {
	says := d.markings[e.Publisher]
	if says == nil {
		says = d.finder.State.Markings(d.finder.Outbox, d.finder.View, e.Publisher)
		d.markings[e.Publisher] = says
	}
	level, err := d.finder.State.LevelOf(says, e)
	if level == "" {
		return stix.Red.String()
	}
	d.err = cmp.Or(d.err, err)
	return level
}

// author is the name of the identity that wrote an object, in the words of the member that published the object.
func (d *describer) author(e *view.Entry, id string) string {
	if !strings.HasPrefix(id, "identity--") {
		return ""
	}
	key := id + " " + e.Owner()
	if name, known := d.authors[key]; known {
		return name
	}
	name := ""
	if latest, err := d.finder.View.LatestOf(e.Owner(), view.Everything, id); err == nil && latest != nil && latest.Collection == e.Collection {
		o, _ := observable.ReadProperties(latest.Object)
		name = clip(o.Text("name"))
	}
	d.authors[key] = name
	return name
}

// clip bounds a text that a stranger wrote, and leaves out what can't be seen.
func clip(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), 8*maxTitle)], ""))
	if characters := []rune(text); len(characters) > maxTitle {
		return string(characters[:maxTitle-1]) + "…"
	}
	return text
}

// sentence says what an object says.
func sentence(o observable.Properties, s Summary, values int) string {
	first := ""
	if len(s.Values) > 0 {
		first = s.Values[0].Value.Text
		if values > 1 {
			first += fmt.Sprintf(" (and %d more)", values-1)
		}
	}
	list := func(name string) string { return strings.Join(o.Texts(name), ", ") }
	text := ""
	switch s.Type {
	case "indicator":
		means := cmp.Or(list("indicator_types"), "malicious activity")
		text = fmt.Sprintf("%s: a %s pattern that indicates %s.", s.Title, cmp.Or(o.Text("pattern_type"), "STIX"), means)
		if first != "" {
			text = fmt.Sprintf("%s indicates %s.", first, means)
			if s.Values[0].Role == observable.PartOf {
				text = fmt.Sprintf("%s, together with something else, indicates %s.", first, means)
			}
		}
	case "relationship":
		text = fmt.Sprintf("A %s %s a %s.", kindOf(o.Text("source_ref")), strings.ReplaceAll(o.Text("relationship_type"), "-", " "), kindOf(o.Text("target_ref")))
	case "sighting":
		text = fmt.Sprintf("A %s was seen %s times.", kindOf(o.Text("sighting_of_ref")), cmp.Or(string(o["count"]), "some"))
	case "opinion":
		text = fmt.Sprintf("%s: %s", cmp.Or(o.Text("opinion"), "An opinion"), o.Text("explanation"))
	case "report", "grouping", "note":
		text = fmt.Sprintf("A %s about %d objects: %s.", s.Type, len(o.Texts("object_refs")), s.Title)
	default:
		what := cmp.Or(list(strings.ReplaceAll(s.Type, "-", "_")+"_types"), "")
		if text = fmt.Sprintf("%s: %s.", strings.ReplaceAll(s.Type, "-", " "), s.Title); what != "" {
			text = fmt.Sprintf("%s: %s (%s).", strings.ReplaceAll(s.Type, "-", " "), s.Title, what)
		}
	}
	if s.Standing == Revoked {
		text = "Revoked: " + text
	}
	return clip(text)
}

// kindOf is the type in an id, in words.
func kindOf(id string) string {
	kind, _, found := strings.Cut(id, "--")
	if !found {
		return "something"
	}
	return strings.ReplaceAll(kind, "-", " ")
}
