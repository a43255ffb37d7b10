package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// opinions is a node where bravo disputes an object of acme's; it notes what is done.
type opinions struct {
	given    []taxii.Judgement
	answered []taxii.Response
	waits    Waiting
}

func (*opinions) Price() uint64 { return 101_000 }

var disputed = taxii.InboxItem{
	Object: indicatorID, Title: "C2 of TarnLocker", Values: []string{"203.0.113.7"}, Member: "bravo", Opinion: taxii.StronglyDisagree, Reason: taxii.ReasonShared, Text: "our mail relay\u202e",
	OpinionID: "opinion--1", At: time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC), State: taxii.InboxOpen,
}

func (*opinions) Regard(_ context.Context, by By, _, member string) (taxii.Regard, error) {
	if member == "acme" {
		return taxii.Regard{Own: true, Others: []taxii.InboxItem{disputed}, Places: 2}, nil
	}
	is := taxii.Regard{Others: []taxii.InboxItem{disputed}}
	if by.Role >= taxii.RolePublisher {
		is.To, is.Begins = []string{taxii.ToProducer, taxii.ToCollection, taxii.ToNobody}, true
		is.Said = &taxii.Judged{Object: indicatorID, Member: "bravo", Opinion: taxii.Disagree, Reason: taxii.ReasonOurs, Values: []string{"203.0.113.7"}, To: taxii.ToCollection, OpinionID: "opinion--2", Status: "s"}
	}
	return is, nil
}

func (o *opinions) Given(_ context.Context, _ By, q taxii.GivenQuery) (taxii.Given, error) {
	if q.Cursor == "9/older" {
		return taxii.Given{Given: []taxii.Judged{{Object: indicatorID, Member: "delta", Opinion: taxii.Neutral, To: taxii.ToNobody}}}, nil
	}
	return taxii.Given{Untold: 1, Next: "9/older", Given: []taxii.Judged{
		{Object: indicatorID, Member: "bravo", Opinion: taxii.Agree, To: taxii.ToNobody},
		{Object: malwareID, Member: "bravo", Opinion: taxii.Disagree, Reason: taxii.ReasonOurs, Text: "our relay", To: taxii.ToCollection, OpinionID: "opinion--3", Untold: "only the reserve is left", Again: then},
		{Object: malwareID, Member: "charlie", Opinion: taxii.Disagree, Reason: taxii.ReasonOurs, To: taxii.ToCollection, OpinionID: "opinion--4", Status: "s"},
	}}, nil
}

func (*opinions) Inbox(_ context.Context, _ By, q taxii.InboxQuery) (taxii.Inbox, error) {
	again := disputed
	again.Member, again.Private = "charlie", true
	box := taxii.Inbox{Open: 2, Items: []taxii.InboxItem{disputed, again}}
	if !q.All {
		box.Next = "5/x"
	}
	return box, nil
}

func (o *opinions) Open(context.Context, By) (Waiting, error) { return o.waits, nil }

func (o *opinions) Give(_ context.Context, by By, g taxii.Judgement) (taxii.Judged, error) {
	if by.Role < taxii.RolePublisher && g.Object != "" {
		return taxii.Judged{}, taxii.ErrForbidden
	}
	o.given = append(o.given, g)
	if g.Text == "later" {
		return taxii.Judged{Untold: "only the reserve is left"}, nil
	}
	return taxii.Judged{}, nil
}

func (o *opinions) Respond(_ context.Context, _ By, a taxii.Response) (taxii.Responded, error) {
	if a.Answer == taxii.AnswerCorrect && !json.Valid(a.Next) {
		return taxii.Responded{}, &taxii.InvalidError{Reason: "next: it is no JSON"}
	}
	o.answered = append(o.answered, a)
	return taxii.Responded{}, nil
}

func (*opinions) Next(_ context.Context, by By, _ string) (json.RawMessage, error) {
	if by.Role < taxii.RolePublisher {
		return nil, taxii.ErrForbidden
	}
	return json.RawMessage(`{"type":"indicator","name":"</textarea><b>"}`), nil
}

func TestWhatIsHeldOfAnObjectStandsOnItsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	page := w.ask("publisher", "object?id="+indicatorID, nil).Body.String()
	has(t, page, "strongly disagrees", "shared infrastructure", "our mail relay⟨U&#43;202E⟩", "This organisation", "it is the organisation&#39;s own", "In none of our lists therefore", "203.0.113[.]7",
		"Not malicious…", "bravo alone, for the first time <small>0.202 ALGO", `value="producer" checked`, "everybody who can read Energy Sharing <small>0.101 ALGO", "costs nothing",
		"0.101 ALGO more", "Take it back for 0.101 ALGO", `href="published?id=s"`, "!Answer…")
	has(t, w.ask("reader", "object?id="+indicatorID, nil).Body.String(), "our mail relay", "!Not malicious…", "!Take it back")
}

func TestANotMaliciousGoesToWhomItIsMeantFor(t *testing.T) {
	t.Parallel()
	said := &opinions{}
	w := newWorld(t, func(c *Config) { c.Rooms.Feedback = said })
	form := url.Values{"do": {"give"}, "back": {"object"}, "object": {indicatorID}, "member": {"bravo"}, "opinion": {taxii.StronglyDisagree}, "reason": {taxii.ReasonOurs}, "text": {" our relay "}, "to": {taxii.ToProducer}}
	answer := w.ask("publisher", "feedback", form)
	if to := answer.Header().Get("Location"); answer.Code != http.StatusSeeOther || to != "object?id="+indicatorID+"&done=told#held" {
		t.Errorf("it leads to %d %q", answer.Code, to)
	}
	form.Set("text", "later")
	if to := w.ask("publisher", "feedback", form).Header().Get("Location"); to != "object?id="+indicatorID+"&done=later#held" {
		t.Errorf("what others can't be told of leads to %q", to)
	}
	has(t, w.ask("publisher", "feedback?done=later", nil).Body.String(), "which the node goes on trying", "of 1 object others are not told yet", "only the reserve is left", `href="feedback?said=9%2Folder#given"`)
	has(t, w.ask("publisher", "feedback?said=9/older", nil).Body.String(), "delta", "is neutral", "!What others say of ours", "!Older")
	said.given = said.given[:1]
	form.Set("text", " our relay ")
	form.Set("opinion", taxii.Agree)
	w.ask("publisher", "feedback", form)
	w.ask("publisher", "feedback", url.Values{"do": {"undo"}, "object": {indicatorID}, "member": {"bravo"}, "to": {"x"}})
	want := []taxii.Judgement{
		{Object: indicatorID, Member: "bravo", Opinion: taxii.StronglyDisagree, Reason: taxii.ReasonOurs, Text: "our relay", To: taxii.ToProducer},
		{Object: indicatorID, Member: "bravo", Opinion: taxii.Agree, Text: "our relay", To: taxii.ToProducer},
		{Object: indicatorID, Member: "bravo", Undo: true},
	}
	if len(said.given) != len(want) {
		t.Fatalf("given is %+v", said.given)
	}
	for i := range want {
		if said.given[i] != want[i] {
			t.Errorf("given is %+v", said.given[i])
		}
	}
	if answer := w.ask("reader", "feedback", form); answer.Code != http.StatusForbidden {
		t.Errorf("a reader's is answered with %d", answer.Code)
	}
}

func TestTheInboxSaysWhatAnAnswerCosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	page := w.ask("publisher", "feedback", nil).Body.String()
	has(t, page, "2 wait for an answer", "C2 of TarnLocker", "203.0.113[.]7", "bravo", "charlie", "told us alone", "in 2 collections: 0.202 ALGO", "Revoke it for 0.202 ALGO", "Correct…", "That costs nothing",
		`href="feedback?next=5%2Fx"`, "What we say of others", "agrees")
	if n := strings.Count(page, "<article"); n != 1 {
		t.Errorf("two members' words of one object stand in %d places", n)
	}
	has(t, w.ask("reader", "feedback?all=1", nil).Body.String(), "bravo", "!Revoke it", "!Keep it")
	page = w.ask("publisher", "feedback?correct="+indicatorID, nil).Body.String()
	has(t, page, "&lt;/textarea&gt;&lt;b&gt;", "Publish it for 0.202 ALGO", "In 2 collections")
}

func TestWhatWaitsForAnAnswerIsToldOnTheFirstPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for waits, want := range map[Waiting]string{
		{N: 1, Known: true}: "1 opinion of an object that we shared waits for an answer.", {N: 2, Known: true}: "2 opinions of objects that we shared wait for an answer.",
		{N: 1000, More: true, Known: true}: "More than 1,000 opinions of objects that we shared wait for an answer.", {N: 3, More: true, Known: true}: "At least 3 opinions of objects that we shared wait",
		{More: true, Known: true}: "Members say much of what we shared.", {}: "Members say much of what we shared.", {Known: true}: "!that we shared",
	} {
		w.c.Rooms.Feedback = &opinions{waits: waits}
		has(t, w.ask("publisher", "", nil).Body.String(), want)
		has(t, w.ask("reader", "", nil).Body.String(), "!that we shared")
	}
}

func TestWhatOthersCouldNotBeToldIsToldAgainWithOneClick(t *testing.T) {
	t.Parallel()
	said := &opinions{}
	w := newWorld(t, func(c *Config) { c.Rooms.Feedback = said })
	page := w.ask("publisher", "feedback", nil).Body.String()
	has(t, page, "not told yet", "Tell them now for 0.101 ALGO", `name="reason" value="ours"`, `name="text" value="our relay"`, `name="to" value="collection"`)
	if n := strings.Count(page, ">not told yet<"); n != 1 {
		t.Errorf("%d were not told yet", n)
	}
	has(t, w.ask("reader", "feedback", nil).Body.String(), "not told yet", "!Tell them")
}

func TestAnAnswerIsGivenAsItWasChosen(t *testing.T) {
	t.Parallel()
	said := &opinions{}
	w := newWorld(t, func(c *Config) { c.Rooms.Feedback = said })
	for _, c := range []struct {
		do, text, next string
		status         int
	}{
		{taxii.AnswerRevoke, "x", "{}", http.StatusSeeOther},
		{taxii.AnswerKeep, "we see it daily", "{}", http.StatusSeeOther},
		{taxii.AnswerCorrect, "x", `{"a":1}`, http.StatusSeeOther},
		{taxii.AnswerCorrect, "", `{"a":`, http.StatusUnprocessableEntity},
		{"nonsense", "", "", http.StatusUnprocessableEntity},
	} {
		answer := w.ask("publisher", "feedback", url.Values{"do": {c.do}, "object": {indicatorID}, "text": {c.text}, "next": {c.next}})
		if answer.Code != c.status {
			t.Errorf("%s is answered with %d", c.do, answer.Code)
		}
		if c.next == `{"a":` {
			has(t, answer.Body.String(), "next: it is no JSON", "{&#34;a&#34;:")
		}
	}
	if len(said.answered) != 3 || said.answered[0].Text != "" || said.answered[0].Next != nil || said.answered[1].Text != "we see it daily" || string(said.answered[2].Next) != `{"a":1}` {
		t.Errorf("answered is %+v", said.answered)
	}
}
