package taxii

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Feedback is what this organisation says of others' objects, and what others say of its own.
type Feedback interface {
	// Give says something of an object that another organisation published. *InvalidError if that is not possible.
	Give(ctx context.Context, who Principal, g Judgement) (Judged, error)
	// Given lists what this organisation says, the newest first.
	Given(ctx context.Context, who Principal, q GivenQuery) (Given, error)
	// Inbox lists what others say of this organisation's objects, the newest first, of what who may read.
	Inbox(ctx context.Context, who Principal, q InboxQuery) (Inbox, error)
	// Respond does something about what others say of an object of this organisation.
	Respond(ctx context.Context, who Principal, r Response) (Responded, error)
	// Next drafts the next version of an object of this organisation, to be corrected.
	Next(who Principal, object string) (json.RawMessage, error)
	// Regard tells what is held of an object, and what who can do about it. The member is whose, where several published
	// one under this id. ErrNotFound if who may not read it.
	Regard(ctx context.Context, who Principal, object, member string) (Regard, error)
	// About tells what an object that came into the view, with a date_added in unix microseconds, says of this
	// organisation's objects; nothing if it is none of that kind.
	About(object []byte, added int64) ([]FeedbackEvent, error)
}

// The words of an opinion (STIX 2.1, section 10.9, opinion-enum).
const (
	StronglyDisagree = "strongly-disagree"
	Disagree         = "disagree"
	Neutral          = "neutral"
	Agree            = "agree"
	StronglyAgree    = "strongly-agree"
)

// Why an indicator is called a false positive.
const (
	ReasonOurs    = "ours"           // it is the organisation's own
	ReasonShared  = "shared"         // many use it: shared infrastructure
	ReasonBenign  = "benign-service" // it is a service that does no harm
	ReasonExpired = "expired"        // it was right once
	ReasonType    = "wrong-type"     // the value is of another kind, or the pattern says something else
	ReasonOther   = "other"
)

// Where feedback goes.
const (
	ToCollection = "collection" // that of the object: all its readers see it
	ToProducer   = "producer"   // who published the object, and nobody else can read it
	ToNobody     = "nobody"     // it is kept here, and publishes nothing
)

// Judgement is what somebody says of an object.
type Judgement struct {
	Object  string `json:"object"`            // STIX id
	Member  string `json:"member,omitempty"`  // whose, where several published one under this id
	Opinion string `json:"opinion,omitempty"` // strongly-disagree if it is empty
	Reason  string `json:"reason,omitempty"`  // needed where it disagrees
	Text    string `json:"text,omitempty"`    // up to 1,000 bytes
	To      string `json:"to,omitempty"`      // collection where that is possible, else producer, if it is empty
	Undo    bool   `json:"undo,omitempty"`    // takes back what was said; only Object counts then
}

// Judged is what this organisation says of an object.
type Judged struct {
	Object     string    `json:"object"`
	Title      string    `json:"title,omitempty"` // in lists its name, or the value that it is about
	Version    string    `json:"version"`         // that was looked at
	Member     string    `json:"member"`          // who published it
	Opinion    string    `json:"opinion"`
	Reason     string    `json:"reason,omitempty"`
	Text       string    `json:"text,omitempty"`
	Values     []string  `json:"values,omitempty"` // that are in none of this organisation's lists therefore
	To         string    `json:"to"`
	User       string    `json:"user"`
	At         time.Time `json:"at"`
	OpinionID  string    `json:"opinion_id,omitempty"` // of the STIX opinion that says so
	Collection string    `json:"collection,omitempty"` // id of the collection that it is in
	Status     string    `json:"status,omitempty"`     // id of the status resource of its publication
	Pending    bool      `json:"pending,omitempty"`    // it is on its way to the chain
	Untold     string    `json:"untold,omitempty"`     // why others could not be told yet; it is tried again
	Again      time.Time `json:"again,omitzero"`       // … when
}

// GivenQuery says which page of what this organisation says is asked for.
type GivenQuery struct {
	Cursor string // of the page before
	Limit  int    // 1 to 100; 50 if it is 0
}

// Given is a page of what this organisation says, the newest first.
type Given struct {
	Given  []Judged `json:"given"`
	Next   string   `json:"next,omitempty"`   // cursor of the next page, also where a page found little that the account may read
	Untold int      `json:"untold,omitempty"` // of how many objects others could not be told yet, of all; accounts with limits don't learn it
}

// What was done about feedback.
const (
	InboxOpen      = "open"
	InboxRevoked   = "revoked"
	InboxCorrected = "corrected" // there is a later version
	InboxKept      = "kept"
)

// MostOpen is how many opinions that wait for an answer are counted.
const MostOpen = 1000

// InboxQuery says which feedback is asked for.
type InboxQuery struct {
	All    bool   // also what was answered
	Object string // of this object alone
	Cursor string // of the page before
	Limit  int    // 1 to 100; 50 if it is 0
}

// InboxItem is the last that a member said of an object of this organisation.
type InboxItem struct {
	Object     string    `json:"object"`
	Title      string    `json:"title"` // its name, or the value that it is about
	Values     []string  `json:"values,omitempty"`
	Member     string    `json:"member"` // who says so; proved by its signature on the chain
	Opinion    string    `json:"opinion"`
	Reason     string    `json:"reason,omitempty"`
	Text       string    `json:"text,omitempty"`
	OpinionID  string    `json:"opinion_id"`
	Collection string    `json:"collection"`        // id of the collection that the opinion is in
	Private    bool      `json:"private,omitempty"` // nobody else was to read it
	At         time.Time `json:"at"`                // when it came in here
	State      string    `json:"state"`
	AnsweredBy string    `json:"answered_by,omitempty"` // the account, where it was kept
	Answer     string    `json:"answer,omitempty"`      // … and why
}

// Inbox is a page of feedback.
type Inbox struct {
	Items []InboxItem `json:"items"`
	Next  string      `json:"next,omitempty"` // cursor of the next page
	Open  int         `json:"open"`           // how many are open, of all that the account may read; at most 1,000
	// OpenMore says that there are more than these, or that there may be.
	OpenMore bool `json:"open_more,omitempty"`
}

// Response is what is done about feedback.
type Response struct {
	Object string          `json:"object"`
	Answer string          `json:"answer"`         // revoke, correct or keep
	Next   json.RawMessage `json:"next,omitempty"` // the corrected version
	Text   string          `json:"text,omitempty"` // why it is kept; it stays here
}

// The answers.
const (
	AnswerRevoke  = "revoke"
	AnswerCorrect = "correct"
	AnswerKeep    = "keep"
)

// Responded is what became of a response.
type Responded struct {
	Object   string   `json:"object"`
	State    string   `json:"state"`
	Versions []string `json:"versions,omitempty"` // that were published, one for each collection
	Statuses []string `json:"statuses,omitempty"` // ids of their status resources
	Pending  bool     `json:"pending,omitempty"`
}

// Regard is what is held of an object, and what can be done about it. Each publication costs what an object does.
type Regard struct {
	Own     bool        // it is this organisation's: it is answered for, and not judged
	Said    *Judged     // what this organisation holds of it
	Others  []InboxItem // the last word of each other member, the newest first, at most 50; of others' objects without a state
	To      []string    // where something can be said of it: ToProducer, ToCollection, ToNobody; none if who may not
	Begins  bool        // what is said to the producer first makes the collection that the two then have: a record
	Places  int         // of an own object: in how many collections its next version is published; 0 if who may not
	Revoked bool        // … it is revoked in others already, so that it can't be corrected
}

// FeedbackEvent says that somebody said something of an object of this organisation.
type FeedbackEvent struct {
	Object    string `json:"object"`
	Member    string `json:"member"`
	Opinion   string `json:"opinion"`
	Reason    string `json:"reason,omitempty"`
	Text      string `json:"text,omitempty"`
	OpinionID string `json:"opinion_id"`
}

const (
	maxFeedbackBody = 1 << 20 // bytes
	maxInboxPage    = 100
)

func (h *Handler) postFeedback(x *exchange) error {
	var g Judgement
	if err := ownUser(x, RoleReader); err != nil {
		return err
	}
	if err := readJSONOf(x, &g, "object, opinion, reason, text and to as strings", maxFeedbackBody); err != nil {
		return err
	}
	judged, err := h.feedback.Give(x.r.Context(), x.who, g)
	if err != nil {
		return err
	}
	e := Event{Name: EventFeedback, Kind: judged.To, Collection: judged.Collection, Status: judged.Status, Subject: judged.Member, Count: 1}
	e.NameObjects([]string{judged.Object})
	h.note(x, e)
	return h.sendJSON(x, http.StatusOK, plainJSON, judged)
}

func (h *Handler) getGiven(x *exchange) error {
	if err := ownUser(x, RoleReader); err != nil {
		return err
	}
	var q GivenQuery
	err := eachParameter(x, "next and limit (1 to 100)", func(name, value string) (err error) {
		switch name {
		case "next":
			q.Cursor = value
		case "limit":
			q.Limit, err = pageLimit(value)
		default:
			err = strconv.ErrSyntax
		}
		return err
	})
	if err != nil {
		return err
	}
	page, err := h.feedback.Given(x.r.Context(), x.who, q)
	if err != nil {
		return err
	}
	if page.Given == nil {
		page.Given = []Judged{}
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, page)
}

// eachParameter visits the parameters of a request, each of which is there once.
func eachParameter(x *exchange, known string, visit func(name, value string) error) error {
	params, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return problemf(http.StatusBadRequest, "The query string is malformed.")
	}
	for name, values := range params {
		if len(values) != 1 || visit(name, values[0]) != nil {
			return problemf(http.StatusBadRequest, "The parameters are %s, each once.", known)
		}
	}
	return nil
}

// pageLimit reads how much a page of feedback is to have.
func pageLimit(text string) (int, error) {
	limit, err := strconv.Atoi(text)
	if err == nil && (limit < 1 || limit > maxInboxPage) {
		err = strconv.ErrRange
	}
	return limit, err
}

func (h *Handler) getInbox(x *exchange) error {
	if err := ownUser(x, RoleReader); err != nil {
		return err
	}
	var q InboxQuery
	err := eachParameter(x, "all (true or false), object, next and limit (1 to 100)", func(name, value string) (err error) {
		switch name {
		case "all":
			q.All, err = strconv.ParseBool(value)
		case "object":
			q.Object = value
		case "next":
			q.Cursor = value
		case "limit":
			q.Limit, err = pageLimit(value)
		default:
			err = strconv.ErrSyntax
		}
		return err
	})
	if err != nil {
		return err
	}
	inbox, err := h.feedback.Inbox(x.r.Context(), x.who, q)
	if err != nil {
		return err
	}
	if inbox.Items == nil {
		inbox.Items = []InboxItem{}
	}
	return h.sendJSON(x, http.StatusOK, plainJSON, inbox)
}

func (h *Handler) postAnswer(x *exchange) error {
	var r Response
	if err := ownUser(x, RolePublisher); err != nil {
		return err
	}
	if err := readJSONOf(x, &r, "object and answer as strings, and next as a STIX object", h.maxContentLength); err != nil {
		return err
	}
	done, err := h.feedback.Respond(x.r.Context(), x.who, r)
	if err != nil {
		return err
	}
	e := Event{Name: EventAnswer, Kind: r.Answer, Count: 1, Detail: r.Text}
	e.NameObjects([]string{r.Object})
	h.note(x, e)
	return h.sendJSON(x, http.StatusOK, plainJSON, done)
}
