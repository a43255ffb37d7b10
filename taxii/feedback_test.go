package taxii

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// said answers as if an object of every id but "none" were there.
type said struct{}

const saidID = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"

func (said) Give(_ context.Context, who Principal, g Judgement) (Judged, error) {
	switch {
	case who.Role < RolePublisher:
		return Judged{}, ErrForbidden
	case g.Object == "none":
		return Judged{}, ErrNotFound
	case g.Reason == "":
		return Judged{}, &InvalidError{Reason: "reason: say why"}
	}
	return Judged{Object: g.Object, Member: "bravo", Opinion: StronglyDisagree, Reason: g.Reason, Text: g.Text, To: ToCollection, User: who.User, At: time.Unix(0, 0).UTC(), Status: "2d086da7-4bdc-4f91-900e-d77486753710", Values: []string{"203.0.113.7"}}, nil
}

func (said) Given(_ context.Context, _ Principal, q GivenQuery) (Given, error) {
	return Given{Next: q.Cursor}, nil
}

func (said) Inbox(_ context.Context, _ Principal, q InboxQuery) (Inbox, error) {
	if q.Object == "none" {
		return Inbox{}, nil
	}
	return Inbox{Open: 1, Next: q.Cursor, Items: []InboxItem{{Object: saidID, Title: "x", Member: "bravo", Opinion: Disagree, OpinionID: "o", Collection: "c", At: time.Unix(0, 0).UTC(), State: InboxOpen}}}, nil
}

func (said) Respond(_ context.Context, _ Principal, r Response) (Responded, error) {
	if r.Answer != AnswerRevoke {
		return Responded{}, &InvalidError{Reason: "answer"}
	}
	return Responded{Object: r.Object, State: InboxRevoked, Versions: []string{"v"}}, nil
}

func (said) Next(Principal, string) (json.RawMessage, error) { return nil, ErrNotFound }

func (said) Regard(context.Context, Principal, string, string) (Regard, error) {
	return Regard{}, ErrNotFound
}

// feedbackNumber is that of the object which is feedback.
const feedbackNumber = 7777

// About knows one object that is feedback.
func (said) About(object []byte, _ int64) ([]FeedbackEvent, error) {
	if !strings.Contains(string(object), indicatorID(feedbackNumber)) {
		return nil, nil
	}
	return []FeedbackEvent{{Object: saidID, Member: "bravo", Opinion: Disagree, OpinionID: "o"}}, nil
}

func feedbackRequests() []describedRequest {
	return []describedRequest{
		{"get", "/v1/{org}/feedback", "/v1/acme/feedback", "", nil, "200"},
		{"post", "/v1/{org}/feedback", "/v1/acme/feedback", `{"object":"x","reason":"ours","text":"y"}`, []string{jsonBody}, "200"},
		{"post", "/v1/{org}/feedback", "/v1/acme/feedback", `{"object":"x"}`, []string{jsonBody}, "422"},
		{"get", "/v1/{org}/inbox", "/v1/acme/inbox?all=true", "", nil, "200"},
		{"get", "/v1/{org}/inbox", "/v1/acme/inbox?x=true", "", nil, "400"},
		{"post", "/v1/{org}/inbox", "/v1/acme/inbox", `{"object":"x","answer":"revoke"}`, []string{jsonBody}, "200"},
	}
}

func TestFeedbackIsForThoseWhoMay(t *testing.T) {
	f := newFixture(t)
	const rita = "Authorization: Bearer tok-rita"
	for _, c := range []struct {
		method, path, body string
		headers            []string
		want               int
	}{
		{http.MethodPost, "/v1/acme/feedback", `{"object":"x","reason":"ours"}`, nil, http.StatusOK},
		{http.MethodPost, "/v1/acme/feedback", `{"object":"x","reason":"ours"}`, []string{rita}, http.StatusForbidden},
		{http.MethodPost, "/v1/acme/feedback", `{"object":"x"}`, nil, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/acme/feedback", `{"object":"none"}`, nil, http.StatusNotFound},
		{http.MethodPost, "/v1/acme/feedback", `{"object":`, nil, http.StatusBadRequest},
		{http.MethodPost, "/v1/other/feedback", `{"object":"x","reason":"ours"}`, nil, http.StatusNotFound},
		{http.MethodGet, "/v1/acme/inbox?all=true&limit=7&next=5%2Fx", "", []string{rita}, http.StatusOK},
		{http.MethodGet, "/v1/acme/inbox?limit=101", "", nil, http.StatusBadRequest},
		{http.MethodGet, "/v1/acme/inbox?all=perhaps", "", nil, http.StatusBadRequest},
		{http.MethodGet, "/v1/acme/inbox?nonsense=1", "", nil, http.StatusBadRequest},
		{http.MethodGet, "/v1/acme/feedback", "", []string{rita}, http.StatusOK},
		{http.MethodPost, "/v1/acme/inbox", `{"object":"x","answer":"revoke"}`, nil, http.StatusOK},
		{http.MethodPost, "/v1/acme/inbox", `{"object":"x","answer":"revoke"}`, []string{rita}, http.StatusForbidden},
	} {
		if a := f.do(c.method, c.path, c.body, append([]string{"Content-Type: application/json"}, c.headers...)...); a.status != c.want {
			t.Errorf("%s %s %s is answered %d: %s", c.method, c.path, c.body, a.status, a.body)
		}
	}
	names := map[string]int{}
	for _, e := range f.backend.events {
		names[e.Name]++
	}
	if names[EventFeedback] != 1 || names[EventAnswer] != 1 {
		t.Errorf("the audit log has %v", names)
	}
}

func TestAStreamSaysThatAnObjectIsFeedback(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 0), indicator(feedbackNumber, 0), indicator(2, 0))
	s := f.subscribe("?added_after=2020-01-01", "")
	var got []event
	for range 4 {
		got = append(got, s.next())
	}
	if got[0].kind != "" || got[1].kind != "feedback.added" || !strings.Contains(got[1].data, `"member":"bravo"`) || got[2].data != indicator(feedbackNumber, 0) || got[3].kind != "" {
		t.Errorf("the stream has %+v", got)
	}
	if got[1].id != got[0].id {
		t.Errorf("who loses the connection after %s does not get what it is about", got[1].id)
	}
}
