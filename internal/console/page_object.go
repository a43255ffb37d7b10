package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/taxii"
)

// Library is what the page of an object asks. What the visitor may not see is not there: ErrNotFound.
type Library interface {
	// Object gives what is known of an object, by its STIX id or by a transaction that published it.
	Object(ctx context.Context, by By, id string) (Object, error)
	// Around gives what refers to an object and what it refers to: at most so many objects, which by may see.
	Around(ctx context.Context, by By, id string, most int) (Surroundings, error)
	// Raw gives a version byte for byte; the one that is served if version is empty.
	Raw(ctx context.Context, by By, id, version string) ([]byte, error)
	// Worth tells how much is left of an indicator's score, which a member published and which was seen at a time last, or
	// never; false of what has none.
	Worth(object []byte, member string, seen time.Time) (Worth, bool)
	// Check holds the publication of an object against the chain. It takes seconds.
	Check(ctx context.Context, by By, id string) (Proof, error)
	// Evidence makes a file that proves the publication to somebody without a node. It discloses nothing.
	Evidence(ctx context.Context, by By, id string) ([]byte, error)
}

// Object is an object with all its versions.
type Object struct {
	ID       string
	JSON     []byte // of the version that is served, which is the first
	Versions []Version
	Creator  string // name of the identity in created_by_ref, if it is here
}

// Version is a publication of one version of an object.
type Version struct {
	Version         string
	Level           string // TLP
	Collection      string // its title
	CollectionID    string
	Publisher       string // the member whose account signed it
	TxID, CID, Name string // Name is the transaction, and the place in a batch
	Asset, Round    uint64
	Stored, Added   time.Time
	Readers         []string // members that can read it now, beside this organisation
	Stated          bool     // of some of them it is the owner's word that they can
	Apart           bool     // another member's versions are served as the object
	Withdrawn       bool
	Note            string
	Explorer        string // where people can look the transaction up
}

// Surroundings are an object's neighbours, and how many more there are of each kind.
type Surroundings struct {
	Near []Neighbour
	More map[Group]int
	Wait string // why not all are known yet, such as an index that is being built
}

// Proof is what a check of a publication found, step by step.
type Proof struct {
	Steps    []ProofStep
	Explorer string
}

// ProofStep is one of them: State is "pass", "fail" or "not checked".
type ProofStep struct{ What, State, Value, Why string }

// Worth is how much is left of an indicator's score, by which lists for firewalls and sensors leave it out.
type Worth struct {
	Score, Base int // 0 to 100: now, and what it began with
	Falls       bool
	Least       int       // below this it is over
	Until       time.Time // when that is; zero: never
}

// inWords says it in a sentence.
func (w Worth) inWords(now time.Time) string {
	const day = "2 January 2006"
	text := fmt.Sprintf("Score %d", w.Score)
	if w.Score != w.Base {
		text += fmt.Sprintf(" of %d", w.Base)
	}
	switch {
	case w.Until.IsZero() && w.Falls, w.Base < w.Least:
		return text + fmt.Sprintf(", which was never above %d.", w.Least)
	case w.Until.IsZero():
		return text + "; it does not fall with time."
	case w.Until.After(now):
		return text + fmt.Sprintf("; it falls below %d on %s unless it is seen again.", w.Least, w.Until.UTC().Format(day))
	}
	return text + fmt.Sprintf("; it is below %d since %s: lists that ask for that leave it out.", w.Least, w.Until.UTC().Format(day))
}

// maxNeighbours is how many objects around one are read.
const maxNeighbours = 200

type objectModel struct {
	Summary
	First      Version
	Versions   []Version
	Creator    string
	Drawing    *Drawing
	Split      bool // there is room beside the drawing
	Relations  []relation
	MoreAround []string
	Wait       string
	Also       []alsoIn
	AlsoSays   string // who says the same
	AlsoWrong  string
	Wrong      string // why the surroundings are not known
	JSONLink   string
	ProofLink  string
	CheckLink  string
	Proof      *Proof
	ProofWrong string
	Publisher  bool
	Held       *regardModel
	Seen       *seenModel
	MaySee     bool // what it describes can be counted as seen here
	Worth      string
}

// relation is a neighbour in the table.
type relation struct {
	Relation, Kind, Name string
	Out                  bool
	Link                 string
}

// alsoIn is another object with a value of this one.
type alsoIn struct {
	Value, Kind, Name, Member, Link, How string
	Seen                                 time.Time
}

func (c *Console) getObject(v *visit) error {
	if c.Rooms.Library == nil {
		return taxii.ErrNotFound
	}
	ctx, id := v.r.Context(), v.query("id")
	is, err := c.Rooms.Library.Object(ctx, v.by(), id)
	if err != nil {
		return err
	}
	model := objectModel{Summary: summarise(is.JSON, c.Now()), Versions: is.Versions, Creator: name(is.Creator), Publisher: v.may(taxii.RolePublisher),
		JSONLink: link("object.json", "id", is.ID), ProofLink: link("proof.json", "id", is.ID), CheckLink: link("object", "id", is.ID, "check", "1") + "#proof"}
	if len(is.Versions) > 0 {
		model.First = is.Versions[0]
	}
	if model.Name == "" {
		model.Name = name(is.ID)
	}
	c.surround(v, &model, is)
	model.Split = model.Drawing == nil || model.Drawing.Width <= 900
	c.corroborate(v, &model)
	var last time.Time
	model.Seen, last = c.sightings(v, is.ID)
	model.MaySee = c.Rooms.Sightings != nil && model.Type == "indicator" && model.Publisher && !model.First.Withdrawn
	if worth, has := c.Rooms.Library.Worth(is.JSON, model.First.Publisher, last); has && model.State == "in force" {
		model.Worth = worth.inWords(c.Now())
	}
	model.Held = c.regard(v, is.ID, model.First.Publisher, model.First.Collection)
	if v.query("check") != "" {
		found, err := c.Rooms.Library.Check(ctx, v.by(), is.ID)
		if model.Proof = &found; err != nil {
			model.Proof, model.ProofWrong = nil, v.lacks("proof", err)
		}
	}
	return v.renderAs("object", model.Name, model)
}

// surround adds what is around the object. That it is not known is no reason not to show the rest.
func (c *Console) surround(v *visit, model *objectModel, is Object) {
	around, err := c.Rooms.Library.Around(v.r.Context(), v.by(), is.ID, maxNeighbours)
	if err != nil {
		model.Wrong = v.lacks("surroundings", err)
		return
	}
	a := Around{ID: is.ID, Type: model.Type, Name: model.Name, Near: around.Near, More: around.More}
	model.Wait = around.Wait
	if open := v.query("open"); open != "" && slices.ContainsFunc(a.Near, func(n Neighbour) bool { return n.ID == open }) {
		if far, err := c.Rooms.Library.Around(v.r.Context(), v.by(), open, maxRing+1); err == nil {
			a.Open = open
			a.Far = slices.DeleteFunc(far.Near, func(n Neighbour) bool { return n.ID == is.ID })
			for _, n := range far.More {
				a.FarMore += n
			}
		}
	}
	if len(a.Near)+len(a.More) > 0 {
		drawing := draw(a)
		model.Drawing = &drawing
	}
	for _, n := range ordered(a.Near) {
		model.Relations = append(model.Relations, relation{relationWord(n.Relation), typeWord(n.Type), firstOf(name(defang(n.Name)), n.ID), n.Out, objectLink(n.ID, "")})
	}
	slices.SortStableFunc(model.Relations, func(a, b relation) int {
		return strings.Compare(fmt.Sprint(!a.Out)+a.Relation+a.Kind, fmt.Sprint(!b.Out)+b.Relation+b.Kind)
	})
	for g, n := range a.More {
		model.MoreAround = append(model.MoreAround, fmt.Sprintf("%s more (%s)", typeCount(g.Type, n), relationWord(g.Relation)))
	}
	slices.Sort(model.MoreAround)
}

// corroborate adds which other objects have the same values.
func (c *Console) corroborate(v *visit, model *objectModel) {
	if c.Rooms.Finder == nil || len(model.Values) == 0 {
		return
	}
	var asked []observable.Value
	for _, value := range model.Values[:min(len(model.Values), 10)] {
		kind, err := observable.ParseKind(value.Kind)
		if err == nil {
			asked = append(asked, observable.Value{Kind: kind, Text: value.Plain})
		}
	}
	answers, err := c.Rooms.Finder.Lookup(v.r.Context(), v.by(), asked)
	if err != nil {
		model.AlsoWrong = v.lacks("corroboration", err)
		return
	}
	if others, err := c.Rooms.Finder.Corroborated(v.r.Context(), v.by(), model.ID); err == nil {
		model.AlsoSays = others.inWords()
	} else if !errors.Is(err, taxii.ErrNotFound) {
		model.AlsoWrong = v.lacks("corroboration", err)
	}
	for _, answer := range answers {
		for _, hit := range answer.Hits {
			if hit.ID == model.ID || len(model.Also) == 20 {
				continue
			}
			model.Also = append(model.Also, alsoIn{Value: name(defang(hit.Value.Text)), Kind: typeWord(hit.Type), Name: firstOf(name(defang(hit.Name)), hit.ID),
				Member: hit.Member, Link: objectLink(hit.ID, ""), How: hit.How.String(), Seen: hit.Added})
		}
	}
}

// inWords says who says the same; "" for nobody.
func (o Corroborated) inWords() string {
	switch {
	case o.More:
		return "So many objects have the value that this says nothing."
	case o.Objects == 0:
		return ""
	}
	say := "say"
	if o.Members == 1 {
		say = "says"
	}
	text := fmt.Sprintf("%s %s it, by %s", countOf(o.Members, "member", "members"), say, countOf(o.Objects+1, "object", "objects"))
	if o.Independent == 1 {
		return text + "; all of it is from one source."
	}
	return text + fmt.Sprintf(" from %d independent sources.", o.Independent)
}

func (c *Console) getObjectJSON(v *visit) error {
	if c.Rooms.Library == nil {
		return taxii.ErrNotFound
	}
	data, err := c.Rooms.Library.Raw(v.r.Context(), v.by(), v.query("id"), v.query("version"))
	if err != nil {
		return err
	}
	return v.download("object.json", "application/json", data)
}

func (c *Console) getProof(v *visit) error {
	if c.Rooms.Library == nil {
		return taxii.ErrNotFound
	}
	data, err := c.Rooms.Library.Evidence(v.r.Context(), v.by(), v.query("id"))
	if err != nil {
		return err
	}
	return v.download("proof.json", "application/json", data)
}

// download answers with a file that no browser shows: it is a stranger's.
func (v *visit) download(file, kind string, data []byte) error {
	header := v.w.Header()
	header.Set("Content-Type", kind)
	header.Set("Content-Disposition", `attachment; filename="`+file+`"`)
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	v.w.WriteHeader(http.StatusOK)
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(data) // the browser has gone
	}
	return nil
}

// link is a page with parameters, in their order.
func link(page string, parameters ...string) string {
	var b strings.Builder
	b.WriteString(page)
	mark := byte('?')
	for i := 0; i+1 < len(parameters); i += 2 {
		if parameters[i+1] != "" {
			b.WriteByte(mark)
			b.WriteString(parameters[i] + "=" + url.QueryEscape(parameters[i+1]))
			mark = '&'
		}
	}
	return b.String()
}

// searchLink is a search for something.
func searchLink(text string) string { return link("search", "q", text) }

type leaveModel struct{ URL, Shown string }

// getLeave asks before a browser goes where a stranger wrote.
func (c *Console) getLeave(v *visit) error {
	to, good := webLink(v.query("to"))
	if !good {
		return taxii.ErrNotFound
	}
	return v.render("leave", leaveModel{URL: to, Shown: to})
}
