package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/taxii"
)

// Press is what publishing asks: the same as a client's POST over TAXII, and its rehearsal.
type Press interface {
	// Targets are the collections that somebody may publish in, the organisation's own first.
	Targets(ctx context.Context, by By) ([]Target, error)
	// Members are the other members, by name.
	Members(ctx context.Context) ([]string, error)
	// Rehearse tells what Publish would do with each object, in their order.
	Rehearse(ctx context.Context, by By, p Publication) (taxii.Rehearsal, error)
	// Publish takes the objects in and gives the id of their status.
	Publish(ctx context.Context, by By, p Publication) (string, error)
	// Progress tells what has become of them. ErrNotFound if there is no such status or it is not for by.
	Progress(ctx context.Context, by By, id string) (Progress, error)
}

// Target is a collection that can be published in.
type Target struct {
	ID, Title string
	Closed    string // why nobody can publish there now
}

// Publication is what is to be published.
type Publication struct {
	Collection string
	To         []string // if not empty, only these can read it
	Objects    [][]byte
	Names      []string // what people call them, for the status
	Anyway     bool     // indicators are taken also of which hard warning lists say that they are mistaken
}

// Progress is what has become of a publication.
type Progress struct {
	Lines   []ProgressLine
	Pending bool
}

// ProgressLine is an object: State is "accepted", "stored", "signed", "confirmed" or "refused".
type ProgressLine struct {
	ID, Name, State, Why, TxID string
}

type publishModel struct {
	Targets []Target
	Members []choice // Here: chosen
	Chosen  Target
	Paste   string
	Levels  []choice
	Conf    []choice
	Days    []choice
	Name    string
	Anyway  bool // as of [Publication]
	Preview *previewModel
	Wrong   string
}

// previewModel is what a paste would become. It is JSON for publish.js.
type previewModel struct {
	Rows    []previewRow `json:"rows"`
	Refused string       `json:"refused,omitempty"`
	Note    string       `json:"note,omitempty"`
	Says    string       `json:"says"`
	Readers []string     `json:"readers"`
	Extra   uint64       `json:"extra"`
	Button  string       `json:"button"`
	Chosen  int          `json:"chosen"`
	// Mistaken says that something is refused, or would be, because of a hard warning list.
	Mistaken bool `json:"mistaken"`
}

// previewRow is one object of a preview.
type previewRow struct {
	Value  string `json:"value"`
	Kind   string `json:"kind"`
	State  string `json:"state"`  // "new", "there already", "refused"
	Why    string `json:"why"`    // warnings, or why it is refused
	Class  string `json:"class"`  // of the state
	Cost   uint64 `json:"cost"`   // microalgo
	Price  string `json:"price"`  // in words
	Index  string `json:"index"`  // what the checkbox sends
	Chosen bool   `json:"chosen"` // to begin with
	Can    bool   `json:"can"`    // it can be published at all
}

func (c *Console) getPublish(v *visit) error {
	if c.Rooms.Press == nil {
		return taxii.ErrNotFound
	}
	model, err := c.publishForm(v, v.r.URL.Query())
	if err != nil {
		return err
	}
	return v.render("publish", model)
}

// publishForm is the form with what was chosen.
func (c *Console) publishForm(v *visit, form url.Values) (publishModel, error) {
	ctx := v.r.Context()
	model := publishModel{Paste: form.Get("paste"), Name: form.Get("name"), Anyway: form.Get("anyway") != ""}
	targets, err := c.Rooms.Press.Targets(ctx, v.by())
	if err != nil {
		return model, err
	}
	model.Targets = targets
	if len(targets) == 0 {
		model.Wrong = "There is no collection that this account may publish in. An administrator of the node can change that."
		return model, nil
	}
	model.Chosen = targets[0]
	wanted := firstOf(form.Get("collection"), v.remembered("collection"))
	for _, t := range targets {
		if t.ID == wanted {
			model.Chosen = t
		}
	}
	members, err := c.Rooms.Press.Members(ctx)
	if err != nil {
		return model, err
	}
	for _, m := range members {
		model.Members = append(model.Members, choice{Name: m, Here: slices.Contains(form["to"], m)})
	}
	options := func(chosen string, usual string, list ...string) (all []choice) {
		for i := 0; i+1 < len(list); i += 2 {
			all = append(all, choice{Name: list[i+1], Link: list[i], Here: list[i] == firstOf(chosen, usual)})
		}
		return all
	}
	model.Levels = options(form.Get("level"), "none", "none", "collection's", "clear", "CLEAR", "green", "GREEN", "amber", "AMBER", "amber+strict", "AMBER+STRICT")
	model.Conf = options(form.Get("confidence"), "70", "90", "90, confirmed", "70", "70, probable", "50", "50, possible", "30", "30, doubtful", "none", "not said")
	model.Days = options(form.Get("days"), "60", "7", "7 days", "30", "30 days", "60", "60 days", "180", "180 days", "365", "a year", "none", "no end")
	return model, nil
}

// wishes are what the form says.
func (c *Console) wishes(form url.Values) Wishes {
	w := Wishes{Level: form.Get("level"), Confidence: -1, Now: c.Now(), NewID: uuid.NewString}
	if n, err := strconv.Atoi(firstOf(form.Get("confidence"), "70")); err == nil && n >= 0 && n <= 100 {
		w.Confidence = n
	}
	if n, err := strconv.Atoi(firstOf(form.Get("days"), "60")); err == nil && n > 0 && n <= 3660 {
		w.Days = n
	}
	w.Name, _ = clip(strings.TrimSpace(form.Get("name")), maxName)
	return w
}

// postPublish shows what would be published, or publishes what was chosen of it.
func (c *Console) postPublish(v *visit) error {
	if c.Rooms.Press == nil {
		return taxii.ErrNotFound
	}
	form := v.form
	model, err := c.publishForm(v, form)
	if err != nil {
		return err
	}
	in := TakeIn(form.Get("paste"), c.wishes(form))
	if form.Get("do") == "publish" {
		return c.publish(v, model, in)
	}
	preview, err := c.preview(v, model, in)
	if err != nil {
		return err
	}
	if form.Get("do") == "json" {
		return v.answerJSON(preview)
	}
	model.Preview = &preview
	return v.render("publish", model)
}

// preview tells what would become of the drafts.
func (c *Console) preview(v *visit, model publishModel, in Intake) (previewModel, error) {
	p := previewModel{Refused: in.Refused, Note: in.Note, Rows: []previewRow{}, Readers: []string{}}
	publication := Publication{Collection: model.Chosen.ID, To: v.form["to"], Anyway: model.Anyway}
	for _, d := range in.Drafts {
		if d.Refused == "" {
			publication.Objects = append(publication.Objects, d.JSON)
		}
	}
	var rehearsed taxii.Rehearsal
	if len(publication.Objects) > 0 {
		var err error
		if rehearsed, err = c.Rooms.Press.Rehearse(v.r.Context(), v.by(), publication); err != nil {
			return p, err
		}
	}
	here, err := c.alreadyHere(v, in)
	if err != nil {
		return p, err
	}
	p.Extra = rehearsed.Extra
	next := 0
	for i, d := range in.Drafts {
		row := previewRow{Value: name(defang(firstOf(d.Value.Text, d.Name))), Kind: typeWord(d.Type), Index: strconv.Itoa(i)}
		if d.Value.Kind != 0 {
			row.Kind = kindWord(d.Value.Kind.String())
		}
		if d.Refused != "" {
			row.State, row.Why, row.Class = "refused", d.Refused, "bad"
		} else if next < len(rehearsed.Objects) {
			row.rehearsed(d, rehearsed.Objects[next], here[d.Value])
			p.Mistaken = p.Mistaken || gravest(rehearsed.Objects[next]) == "hard"
			if next++; len(p.Readers) == 0 {
				p.Readers = append(p.Readers, rehearsed.Objects[next-1].Readers...)
			}
		}
		p.Rows = append(p.Rows, row)
	}
	p.sumUp()
	return p, nil
}

// rehearsed says what would become of one object.
func (row *previewRow) rehearsed(d Draft, o taxii.RehearsedObject, here string) {
	row.Can, row.Chosen, row.State, row.Class, row.Cost = true, true, "new", "good", o.Cost
	var why []string
	grave := gravest(o)
	switch {
	case o.Failure != "":
		row.Can, row.Chosen, row.State, row.Class = false, false, "refused", "bad"
		if grave != "hard" { // else the lists say it, and the remedy is on the page
			why = append(why, name(o.Failure))
		}
	case o.TxID != "":
		row.Chosen, row.State, row.Class = false, "there already", "off"
		why = append(why, "published by transaction "+o.TxID)
	case here != "":
		row.Class = "warn"
		why = append(why, here)
	}
	if d.Dubious != "" && row.Can {
		row.Chosen, row.Class = false, "warn"
		why = append(why, d.Dubious)
	}
	if row.Can && (grave == "hard" || grave == "shared") {
		row.Chosen, row.Class = false, "warn"
	}
	if why = append(why, warningWords(o.Warnings)...); o.Note != "" && !strings.Contains(o.Note, "on the warning list") {
		why = append(why, name(o.Note))
	}
	row.Why = strings.Join(why, "; ")
	if row.Can {
		row.Price = strings.TrimSuffix(algo(o.Cost), " ALGO")
	}
}

// gravest is the class of the gravest warning list that a value of an object is on; "" for none.
func gravest(o taxii.RehearsedObject) string {
	if len(o.Warnings) == 0 || len(o.Warnings[0].Lists) == 0 {
		return ""
	}
	return o.Warnings[0].Lists[0].Class
}

// mostWarnings is of how many values of an object warnings are shown.
const mostWarnings = 3

// warningWords say on which lists values are, the gravest of each.
func warningWords(warnings []taxii.Warning) (words []string) {
	for i, w := range warnings {
		if i == mostWarnings {
			return append(words, fmt.Sprintf("%d more values of it are on warning lists", len(warnings)-i))
		}
		if len(w.Lists) > 0 {
			words = append(words, fmt.Sprintf("%s is on the warning list %s (%s, %s)", name(defang(w.Value)), name(w.Lists[0].Name), w.Lists[0].Class, name(w.Lists[0].Date)))
		}
	}
	return words
}

// alreadyHere says of values in whose objects they are already.
func (c *Console) alreadyHere(v *visit, in Intake) (map[observable.Value]string, error) {
	said := map[observable.Value]string{}
	var values []observable.Value
	for _, d := range in.Drafts {
		if d.Refused == "" && d.Value.Kind != 0 {
			values = append(values, d.Value)
		}
	}
	if c.Rooms.Finder == nil || len(values) == 0 {
		return said, nil
	}
	answers, err := c.Rooms.Finder.Lookup(v.r.Context(), v.by(), values)
	if err != nil {
		return nil, err
	}
	for _, a := range answers {
		if one := tally(a); one.Found > 0 {
			said[a.Value] = fmt.Sprintf("shared already by %s, last on %s", strings.Join(one.Members, ", "), one.Last.UTC().Format("2 Jan 2006"))
		}
	}
	return said, nil
}

// sumUp says in a sentence and on the button what would happen.
func (p *previewModel) sumUp() {
	counts, cost := map[string]int{}, p.Extra
	for _, row := range p.Rows {
		counts[row.State]++
		if row.Chosen {
			p.Chosen++
			cost += row.Cost
		}
	}
	p.Says = fmt.Sprintf("%s found", thousands(int64(len(p.Rows))))
	for _, part := range []struct {
		n    int
		what string
	}{{p.Chosen, "chosen"}, {counts["there already"], "there already"}, {counts["refused"], "refused"}} {
		if part.n > 0 {
			p.Says += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	p.Says += "."
	p.Button = fmt.Sprintf("Publish %d for %s to %s", p.Chosen, algo(cost), countOf(max(0, len(p.Readers)-1), "other organisation", "other organisations"))
}

// publish publishes the drafts that were chosen.
func (c *Console) publish(v *visit, model publishModel, in Intake) error {
	p := Publication{Collection: model.Chosen.ID, To: v.form["to"], Anyway: model.Anyway}
	for i, d := range in.Drafts {
		if d.Refused == "" && slices.Contains(v.form["take"], strconv.Itoa(i)) {
			p.Objects, p.Names = append(p.Objects, d.JSON), append(p.Names, firstOf(d.Value.Text, d.Name))
		}
	}
	if len(p.Objects) == 0 {
		preview, err := c.preview(v, model, in)
		if err != nil {
			return err
		}
		model.Preview, model.Wrong = &preview, "Nothing was chosen."
		return v.render("publish", model)
	}
	id, err := c.Rooms.Press.Publish(v.r.Context(), v.by(), p)
	if err != nil {
		return err
	}
	v.remember("collection", model.Chosen.ID)
	return v.see(link("published", "id", id))
}

type publishedModel struct {
	ID    string
	Live  string // where publish.js asks
	Lines []publishedLine
	Progress
	Says string
}

type publishedLine struct {
	ProgressLine
	Class, Link string
}

func (c *Console) getPublished(v *visit) error {
	if c.Rooms.Press == nil {
		return taxii.ErrNotFound
	}
	id := v.query("id")
	is, err := c.Rooms.Press.Progress(v.r.Context(), v.by(), id)
	if err != nil {
		return err
	}
	model := publishedModel{ID: id, Live: link("published", "id", id, "format", "json"), Progress: is}
	counts := map[string]int{}
	for _, line := range is.Lines {
		one := publishedLine{ProgressLine: line, Class: "warn"}
		one.Name = name(defang(firstOf(line.Name, line.ID)))
		switch line.State {
		case "confirmed":
			one.Class, one.Link = "good", objectLink(line.ID, "")
		case "refused":
			one.Class = "bad"
		}
		counts[line.State]++
		model.Lines = append(model.Lines, one)
	}
	model.Says = fmt.Sprintf("%d of %d are confirmed on the chain.", counts["confirmed"], len(is.Lines))
	if v.query("format") == "json" {
		return v.answerJSON(map[string]any{"lines": model.Lines, "pending": is.Pending, "says": model.Says})
	}
	return v.render("published", model)
}

// answerJSON answers a script of ours.
func (v *visit) answerJSON(model any) error {
	data, err := json.Marshal(model)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.send(data, nil)
	return nil
}
