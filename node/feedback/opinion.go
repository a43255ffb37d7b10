package feedback

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/taxii"
)

// maxRefs is about how many objects one opinion says something: what it says of more is not heard.
const maxRefs = 100

// maxText bounds what people say, in bytes.
const maxText = 1000

// The labels by which an opinion is read again.
const (
	falsePositive = "false-positive"
	reasonLabel   = "reason:"
)

// reasons are in words, for people.
var reasons = map[string]string{
	taxii.ReasonOurs: "our own", taxii.ReasonShared: "shared infrastructure", taxii.ReasonBenign: "benign service", taxii.ReasonExpired: "expired",
	taxii.ReasonType: "wrong type", taxii.ReasonOther: "other",
}

var words = []string{taxii.StronglyDisagree, taxii.Disagree, taxii.Neutral, taxii.Agree, taxii.StronglyAgree}

// disagrees reports whether an opinion disputes what it is about.
func disagrees(word string) bool { return word == taxii.StronglyDisagree || word == taxii.Disagree }

// opinionDocument is a STIX opinion (STIX 2.1, section 4.14).
type opinionDocument struct {
	Type        string   `json:"type"`
	SpecVersion string   `json:"spec_version"`
	ID          string   `json:"id"`
	CreatedBy   string   `json:"created_by_ref"`
	Created     string   `json:"created"`
	Modified    string   `json:"modified"`
	Revoked     bool     `json:"revoked,omitempty"`
	Opinion     string   `json:"opinion"`
	Explanation string   `json:"explanation,omitempty"`
	Labels      []string `json:"labels,omitempty"`
	Objects     []string `json:"object_refs"`
	Markings    []string `json:"object_marking_refs"`
}

// document writes a decision as an opinion.
func (d *decision) document(author string, level stix.Level) (json.RawMessage, error) {
	o := opinionDocument{
		Type: "opinion", SpecVersion: stix.SpecVersion, ID: d.OpinionID, CreatedBy: author, Created: stix.FormatTimestamp(d.Created), Modified: stix.FormatTimestamp(d.Modified),
		Revoked: d.Undone, Opinion: d.Opinion, Explanation: d.Text, Objects: []string{d.Object}, Markings: []string{level.Marking()},
	}
	if disagrees(d.Opinion) {
		o.Explanation = "false positive: " + reasons[d.Reason]
		if d.Text != "" {
			o.Explanation += ": " + d.Text
		}
		o.Labels = []string{falsePositive, reasonLabel + d.Reason}
	}
	return json.Marshal(o)
}

// said is what an opinion says, as it was read.
type said struct {
	id, word, reason, text string
	revoked, again         bool // again: it is a later version
	objects                []string
}

// read reads an opinion of anybody. It is none if it has no word that is known.
func read(object []byte) (s said, is bool) {
	o, err := observable.ReadProperties(object)
	if err != nil || o.Text("type") != "opinion" || !slices.Contains(words, o.Text("opinion")) {
		return s, false
	}
	s = said{id: o.Text("id"), word: o.Text("opinion"), text: clip(o.Text("explanation")), revoked: o.Revoked()}
	s.again = o.Text("modified") != o.Text("created")
	for _, label := range o.Texts("labels") {
		if reason, has := strings.CutPrefix(label, reasonLabel); has && reasons[reason] != "" {
			s.reason = reason
		}
	}
	for _, id := range o.Texts("object_refs") {
		if len(s.objects) == maxRefs {
			break
		}
		if _, after, found := strings.Cut(id, "--"); found && uuid.Validate(after) == nil && !slices.Contains(s.objects, id) {
			s.objects = append(s.objects, id)
		}
	}
	return s, true
}

// clip bounds a text that a stranger wrote, and leaves out what can't be seen.
func clip(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.Is(unicode.Cf, c) {
			return ' '
		}
		return c
	}, text)
}

// check checks what somebody wants to say, and fills in what is left open.
func check(g *taxii.Judgement) error {
	invalid := func(format string, args ...any) error {
		return &taxii.InvalidError{Reason: fmt.Sprintf(format, args...)}
	}
	if g.Opinion == "" {
		g.Opinion = taxii.StronglyDisagree
	}
	switch {
	case g.Object == "" || len(g.Object) > 300:
		return invalid("object: it takes the STIX id of an object")
	case !slices.Contains(words, g.Opinion):
		return invalid("opinion: %.40q is none of %s", g.Opinion, strings.Join(words, ", "))
	case disagrees(g.Opinion) && reasons[g.Reason] == "":
		return invalid("reason: who disagrees says why: ours, shared, benign-service, expired, wrong-type or other")
	case !disagrees(g.Opinion) && g.Reason != "":
		return invalid("reason: it is for who disagrees")
	case g.Reason == taxii.ReasonOther && strings.TrimSpace(g.Text) == "":
		return invalid("text: the reason \"other\" needs a few words")
	case len(g.Text) > maxText:
		return invalid("text: it has more than %d bytes", maxText)
	case !slices.Contains([]string{"", taxii.ToCollection, taxii.ToProducer, taxii.ToNobody}, g.To):
		return invalid("to: %.40q is none of collection, producer and nobody", g.To)
	}
	g.Text = strings.TrimSpace(clip(g.Text))
	return nil
}

// later is now, but after another time: as a version has to be, in milliseconds.
func later(than time.Time) time.Time {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if least := than.UTC().Truncate(time.Millisecond).Add(time.Millisecond); now.Before(least) {
		return least
	}
	return now
}
