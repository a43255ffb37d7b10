package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// Feedback is what members say of each other's objects.
type Feedback interface {
	// Price is what each publication costs, in microalgo, with what it locks.
	Price() uint64
	// Regard tells what is held of an object of a member, and what can be done about it.
	Regard(ctx context.Context, by By, object, member string) (taxii.Regard, error)
	// Given lists what this organisation says, the newest first.
	Given(ctx context.Context, by By, q taxii.GivenQuery) (taxii.Given, error)
	// Inbox lists what others say of this organisation's objects.
	Inbox(ctx context.Context, by By, q taxii.InboxQuery) (taxii.Inbox, error)
	// Open counts what waits there for an answer.
	Open(ctx context.Context, by By) (Waiting, error)
	// Give says something of another member's object, or takes it back.
	Give(ctx context.Context, by By, g taxii.Judgement) (taxii.Judged, error)
	// Respond does something about what others say of an own object.
	Respond(ctx context.Context, by By, a taxii.Response) (taxii.Responded, error)
	// Next drafts the next version of an own object.
	Next(ctx context.Context, by By, object string) (json.RawMessage, error)
}

// Waiting is how much waits for an answer.
type Waiting struct {
	N     int
	More  bool // there are more than these, or there may be
	Known bool // it did not take long to count them
}

// String says how many; "" for none, or where that is not known.
func (w Waiting) String() string {
	switch {
	case w.N == 0:
		return ""
	case w.More && w.N >= taxii.MostOpen:
		return "more than " + thousands(taxii.MostOpen)
	case w.More:
		return "at least " + thousands(int64(w.N))
	}
	return thousands(int64(w.N))
}

// What a page of feedback has.
const (
	feedbackPage = 25 // what others say
	givenPage    = 50 // what this organisation says
)

// voice is what a member says of an object.
type voice struct {
	Member, Says, Class, Why, Text string
	Link                           string // of the opinion
	Private                        bool
	At                             time.Time
	State, StateClass, Answer      string
}

// given is what this organisation says of an object.
type given struct {
	Object, Title, Link, Member, Says, Class, Why, Text, To, User, Status string
	Values                                                                []string
	At                                                                    time.Time
	Price                                                                 uint64 // of taking it back
	Untold                                                                *untold
}

// untold is what others were to be told and could not, as it was said.
type untold struct {
	taxii.Judgement
	Price uint64
	Why   string
	Again time.Time // when that is tried
}

// regardModel is the part of an object's page about what is held of it.
type regardModel struct {
	Object, Member string
	Own            bool
	Said           *given
	Others         []voice
	Open           bool // something waits for an answer
	Ways           []way
	Again          uint64 // what it costs more to say it elsewhere than before
	Wrong          string
}

// way is where something can be said, and for how much.
type way struct {
	To, Says string
	Price    uint64
	Here     bool // preset
}

// opinionWords are the words of opinions, in those of a page, with the class of their state.
var opinionWords = map[string][2]string{
	taxii.StronglyDisagree: {"strongly disagrees", "bad"}, taxii.Disagree: {"disagrees", "bad"}, taxii.Neutral: {"is neutral", "off"},
	taxii.Agree: {"agrees", "good"}, taxii.StronglyAgree: {"strongly agrees", "good"},
}

// reasonWords say why something is held to be wrong.
var reasonWords = map[string]string{
	taxii.ReasonOurs: "it is the organisation's own", taxii.ReasonShared: "shared infrastructure", taxii.ReasonBenign: "a service that does no harm",
	taxii.ReasonExpired: "it was right once", taxii.ReasonType: "the value is of another kind", taxii.ReasonOther: "another reason",
}

// stateWords are the states of an inbox, with their classes.
var stateWords = map[string][2]string{
	taxii.InboxOpen: {"waits for an answer", "warn"}, taxii.InboxRevoked: {"revoked", "off"}, taxii.InboxCorrected: {"there is a later version", "good"}, taxii.InboxKept: {"kept as it is", "good"},
}

func voiceOf(item taxii.InboxItem) voice {
	says, state := opinionWords[item.Opinion], stateWords[item.State]
	return voice{
		Member: name(item.Member), Says: says[0], Class: says[1], Why: reasonWords[item.Reason], Text: name(item.Text), Link: objectLink(item.OpinionID, ""), Private: item.Private,
		At: item.At, State: state[0], StateClass: state[1], Answer: strings.TrimPrefix(name(item.AnsweredBy)+": "+name(item.Answer), ": "),
	}
}

func (c *Console) givenOf(j taxii.Judged) given {
	says := opinionWords[j.Opinion]
	g := given{
		Object: j.Object, Title: name(defang(j.Title)), Link: objectLink(j.Object, ""), Member: name(j.Member), Says: says[0], Class: says[1], Why: reasonWords[j.Reason], Text: name(j.Text), User: name(j.User), At: j.At,
		To: map[string]string{taxii.ToProducer: name(j.Member) + " alone", taxii.ToCollection: "the readers of its collection", taxii.ToNobody: "nobody else"}[j.To],
	}
	for _, v := range j.Values {
		g.Values = append(g.Values, name(defang(v)))
	}
	if j.OpinionID != "" {
		g.Price = c.Rooms.Feedback.Price()
	}
	if j.Untold != "" {
		g.Untold = &untold{
			taxii.Judgement{Object: j.Object, Member: j.Member, Opinion: j.Opinion, Reason: j.Reason, Text: j.Text, To: j.To}, c.Rooms.Feedback.Price(), name(j.Untold), j.Again,
		}
	}
	if j.Status != "" {
		g.Status = link("published", "id", j.Status)
	}
	return g
}

// regard adds what is held of an object. That it is not known is no reason not to show the rest.
func (c *Console) regard(v *visit, id, member, collection string) *regardModel {
	if c.Rooms.Feedback == nil {
		return nil
	}
	is, err := c.Rooms.Feedback.Regard(v.r.Context(), v.by(), id, member)
	if errors.Is(err, taxii.ErrNotFound) { // a version that is not the last of its line
		return nil
	}
	model := &regardModel{Object: id, Member: name(member), Own: is.Own}
	if err != nil {
		model.Wrong = v.lacks("feedback", err)
		return model
	}
	price := c.Rooms.Feedback.Price()
	if is.Said != nil {
		said := c.givenOf(*is.Said)
		if model.Said = &said; is.Said.OpinionID != "" {
			model.Again = price
		}
	}
	for _, item := range is.Others {
		model.Others = append(model.Others, voiceOf(item))
		model.Open = model.Open || item.State == taxii.InboxOpen && strings.Contains(item.Opinion, "disagree")
	}
	for i, to := range is.To {
		one := way{To: to, Here: i == 0, Price: price}
		switch to {
		case taxii.ToProducer:
			if one.Says = model.Member + " alone"; is.Begins {
				one.Says, one.Price = one.Says+", for the first time", 2*price
			}
		case taxii.ToCollection:
			one.Says = "everybody who can read " + name(collection)
		default:
			one.Says, one.Price = "nobody else: it counts here", 0
		}
		model.Ways = append(model.Ways, one)
	}
	return model
}

type feedbackModel struct {
	Inbox     []inboxGroup
	Waits     string // how many for an answer
	One       bool   // … one
	All       bool
	Object    string // of this alone
	More      string // the next page
	Given     []given
	GivenOnly bool   // a later page of that
	GivenMore string // the next one
	Untold    int    // of how many objects others could not be told yet
	Wrong     string
}

// inboxGroup is what members say of one object.
type inboxGroup struct {
	Object, Title, Link, Correct string
	Values                       []string
	Voices                       []voice
	Open                         bool
	Places                       int    // where its next version would be published; 0: nowhere
	Revoked                      bool   // … it is revoked elsewhere
	Price                        uint64 // of that
}

func (c *Console) getFeedback(v *visit) error {
	if c.Rooms.Feedback == nil {
		return taxii.ErrNotFound
	}
	if object := v.query("correct"); object != "" {
		return c.getCorrection(v, object)
	}
	if v.query("said") != "" {
		model := feedbackModel{GivenOnly: true}
		if err := c.given(v, &model); err != nil {
			return err
		}
		return v.render("feedback", model)
	}
	q := taxii.InboxQuery{All: v.query("all") != "", Object: v.query("object"), Cursor: v.query("next"), Limit: feedbackPage}
	box, err := c.Rooms.Feedback.Inbox(v.r.Context(), v.by(), q)
	if err != nil {
		return err
	}
	waits := Waiting{box.Open, box.OpenMore, true}
	model := feedbackModel{Waits: waits.String(), One: box.Open == 1 && !box.OpenMore, All: q.All, Object: q.Object}
	if box.Next != "" {
		model.More = link("feedback", "all", v.query("all"), "object", q.Object, "next", box.Next)
	}
	if model.Inbox, err = c.grouped(v, box.Items); err != nil {
		return err
	}
	if q.Object == "" && q.Cursor == "" {
		if err := c.given(v, &model); err != nil {
			model.Wrong = v.lacks("what this organisation says", err)
		}
	}
	return v.render("feedback", model)
}

// given adds a page of what this organisation says.
func (c *Console) given(v *visit, model *feedbackModel) error {
	page, err := c.Rooms.Feedback.Given(v.r.Context(), v.by(), taxii.GivenQuery{Cursor: v.query("said"), Limit: givenPage})
	if err != nil {
		return err
	}
	for _, j := range page.Given {
		model.Given = append(model.Given, c.givenOf(j))
	}
	if model.Untold = page.Untold; page.Next != "" {
		model.GivenMore = link("feedback", "said", page.Next) + "#given"
	}
	return nil
}

// grouped puts together what is said of the same object, with what an answer costs.
func (c *Console) grouped(v *visit, items []taxii.InboxItem) (groups []inboxGroup, err error) {
	at := map[string]int{}
	for _, item := range items {
		i, there := at[item.Object]
		if !there {
			i = len(groups)
			at[item.Object] = i
			g := inboxGroup{Object: item.Object, Title: name(defang(item.Title)), Link: objectLink(item.Object, ""), Correct: link("feedback", "correct", item.Object)}
			for _, value := range item.Values[:min(len(item.Values), 5)] {
				if shown := name(defang(value)); shown != g.Title {
					g.Values = append(g.Values, shown)
				}
			}
			if v.may(taxii.RolePublisher) {
				is, err := c.Rooms.Feedback.Regard(v.r.Context(), v.by(), item.Object, c.Organisation)
				if err != nil && !errors.Is(err, taxii.ErrNotFound) { // it was withdrawn
					return nil, err
				}
				g.Places, g.Revoked, g.Price = is.Places, is.Revoked, uint64(is.Places)*c.Rooms.Feedback.Price()
			}
			groups = append(groups, g)
		}
		g := &groups[i]
		g.Voices = append(g.Voices, voiceOf(item))
		g.Open = g.Open || item.State == taxii.InboxOpen
	}
	return groups, nil
}

type correctModel struct {
	Object, Link, Next, Wrong string
	Places                    int
	Price                     uint64
}

// getCorrection drafts the next version of an object.
func (c *Console) getCorrection(v *visit, object string) error {
	next, err := c.Rooms.Feedback.Next(v.r.Context(), v.by(), object)
	if err != nil {
		return err
	}
	return c.correction(v, object, string(next), "")
}

func (c *Console) correction(v *visit, object, next, wrong string) error {
	is, err := c.Rooms.Feedback.Regard(v.r.Context(), v.by(), object, c.Organisation)
	if err != nil {
		return err
	}
	var neat bytes.Buffer
	if json.Indent(&neat, []byte(next), "", "  ") == nil {
		next = neat.String()
	}
	return v.renderAs("correct", "Correct", correctModel{Object: object, Link: objectLink(object, ""), Next: next, Wrong: wrong, Places: is.Places, Price: uint64(is.Places) * c.Rooms.Feedback.Price()})
}

// postFeedback says something of an object, takes it back, or answers what others say.
func (c *Console) postFeedback(v *visit) error {
	if c.Rooms.Feedback == nil {
		return taxii.ErrNotFound
	}
	ctx, object := v.r.Context(), v.form.Get("object")
	back := func(done string) error {
		if v.form.Get("back") == "object" {
			return v.see(link("object", "id", object, "done", done) + "#held")
		}
		return v.see(link("feedback", "done", done))
	}
	switch do := v.form.Get("do"); do {
	case "give", "undo":
		judged, err := c.Rooms.Feedback.Give(ctx, v.by(), judgement(v, object, do == "undo"))
		switch {
		case err != nil:
			return err
		case judged.Untold != "":
			return back("later")
		}
		return back(map[string]string{"give": "told", "undo": "unsaid"}[do])
	case taxii.AnswerRevoke, taxii.AnswerCorrect, taxii.AnswerKeep:
		a := taxii.Response{Object: object, Answer: do}
		if do == taxii.AnswerKeep {
			a.Text = strings.TrimSpace(v.form.Get("text"))
		}
		if do == taxii.AnswerCorrect {
			a.Next = json.RawMessage(v.form.Get("next"))
		}
		_, err := c.Rooms.Feedback.Respond(ctx, v.by(), a)
		var invalid *taxii.InvalidError
		switch {
		case errors.As(err, &invalid) && do == taxii.AnswerCorrect:
			v.status = 422
			return c.correction(v, object, v.form.Get("next"), invalid.Reason)
		case err != nil:
			return err
		}
		return back(map[string]string{taxii.AnswerRevoke: "answered", taxii.AnswerCorrect: "answered", taxii.AnswerKeep: "kept"}[do])
	}
	return errUnknownForm
}

// judgement is what a form says of an object.
func judgement(v *visit, object string, undo bool) taxii.Judgement {
	g := taxii.Judgement{Object: object, Member: v.form.Get("member"), Undo: undo}
	if undo {
		return g
	}
	g.Opinion, g.Text, g.To = v.form.Get("opinion"), strings.TrimSpace(v.form.Get("text")), v.form.Get("to")
	if g.Opinion == taxii.Disagree || g.Opinion == taxii.StronglyDisagree {
		g.Reason = v.form.Get("reason")
	}
	return g
}

// waitsInWords says on the first page what is in the inbox; "" for nothing.
func (c *Console) waitsInWords(v *visit) (words string, err error) {
	if c.Rooms.Feedback == nil || !v.may(taxii.RolePublisher) {
		return "", nil
	}
	waits, err := c.Rooms.Feedback.Open(v.r.Context(), v.by())
	text := waits.String()
	switch {
	case err != nil || waits == Waiting{Known: true}:
		return "", err
	case text == "":
		return "Members say much of what we shared.", nil
	case waits.N == 1 && !waits.More:
		return "1 opinion of an object that we shared waits for an answer.", nil
	}
	return strings.ToUpper(text[:1]) + text[1:] + " opinions of objects that we shared wait for an answer.", nil
}
