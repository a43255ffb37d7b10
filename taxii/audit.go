package taxii

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// The names of events.
const (
	EventRead             = "read"              // objects, manifest records or versions were handed out
	EventLookup           = "lookup"            // it was asked what is known of values
	EventHits             = "hits"              // sensors reported hits
	EventFeedback         = "feedback"          // something was said of an object of another organisation
	EventAnswer           = "answer-feedback"   // something was done about what others say of an object
	EventPublish          = "publish"           // objects were taken in, or refused one by one
	EventWithdraw         = "withdraw"          // objects were taken out
	EventLogin            = "login"             // a password was found right, or traded for a token
	EventLogout           = "logout"            // a token was ended
	EventRefused          = "refused"           // credentials were wrong
	EventSignUp           = "sign-up"           // an account was made
	EventRemoveUser       = "remove-user"       // an account was removed
	EventDescribeRoot     = "describe-root"     // the API root got a title
	EventCreateCollection = "create-collection" // a collection was made
	EventReadAudit        = "read-audit"        // the audit log was handed out
	EventWatch            = "watch"             // what is watched for was changed
	EventRate             = "rate-member"       // it was said how reliable a member is
)

// Event is a line of the audit log: who did what, when and from where. It holds no secret. Of what was read it names no
// object; of what was published and withdrawn the first, which an officer answers for.
type Event struct {
	Time       time.Time `json:"time"`
	Name       string    `json:"event"`
	User       string    `json:"user,omitzero"`
	Role       string    `json:"role,omitzero"`
	Credential string    `json:"credential,omitzero"` // its kind, and what names it in lists
	UnixUser   string    `json:"unix_user,omitzero"`  // of the command line: the account on the node's machine
	LoginUser  string    `json:"login_user,omitzero"` // … with which its session began, where the kernel kept it
	Remote     string    `json:"remote,omitzero"`     // address
	Request    string    `json:"request,omitzero"`    // as in the log and in error resources
	Root       string    `json:"root,omitzero"`
	Collection string    `json:"collection,omitzero"` // id
	Kind       string    `json:"kind,omitzero"`       // of what was read: objects, manifest, versions
	Count      int       `json:"count,omitzero"`      // of objects
	Failures   int       `json:"failures,omitzero"`   // of them
	Status     string    `json:"status,omitzero"`     // id of the status resource, which names the objects
	Subject    string    `json:"subject,omitzero"`    // the account, organisations or other thing that was acted upon
	Detail     string    `json:"detail,omitzero"`
	Objects    []string  `json:"objects,omitzero"` // STIX ids of what was published or withdrawn: the first [AuditObjects]
	// Nonce is random where there are objects: it keeps the hash of a line from telling which they are.
	Nonce string `json:"nonce,omitzero"`
}

// AuditObjects is how many objects a line of the audit log names.
const AuditObjects = 100

// NameObjects names the first of some objects in the event.
func (e *Event) NameObjects(ids []string) {
	e.Objects = slices.DeleteFunc(slices.Clone(ids[:min(len(ids), AuditObjects)]), func(id string) bool { return id == "" })
	if len(e.Objects) > 0 {
		e.Nonce = rand.Text()
	}
}

// Auditor keeps the audit log. Record is called on every request that hands
// objects out and must be fast; it has nobody to report a failure to.
type Auditor interface {
	Record(Event)
	// Read visits the lines that a query chooses, in their order, until visit returns an error, which it returns.
	Read(ctx context.Context, q AuditQuery, visit func(line []byte) error) error
}

// AuditQuery chooses lines of the audit log. What is zero restricts nothing.
type AuditQuery struct {
	Since, Until time.Time // from Since on, and before Until
	Event, User  string
}

// note records what a request did. The event needs to say only that.
func (h *Handler) note(x *exchange, e Event) {
	if h.audit == nil {
		return
	}
	e.Time = h.now().UTC()
	if e.User == "" {
		e.User = x.who.User
	}
	if e.Role == "" && x.who.Role != RoleNone {
		e.Role = x.who.Role.String()
	}
	if e.Credential == "" {
		e.Credential = x.who.Credential
	}
	e.UnixUser, e.LoginUser = x.who.UnixUser, x.who.LoginUser
	e.Remote, e.Request = h.gate.remote(x.r), x.id
	h.audit.Record(e)
}

// noteRefusal records wrong credentials. Those that are not even looked at,
// because there were too many before, leave no line each.
func (h *Handler) noteRefusal(x *exchange, user, credential string, err error) {
	if errors.Is(err, ErrUnauthorized) {
		h.note(x, Event{Name: EventRefused, User: user, Credential: credential})
	}
}

// auditQuery reads the parameters since, until, event and user. An until that is a date is up to the end of that day.
func auditQuery(params url.Values) (q AuditQuery, err error) {
	for name, values := range params {
		if len(values) != 1 {
			return q, problemf(http.StatusBadRequest, "The parameters are since, until, event and user, each once.")
		}
		switch value := values[0]; name {
		case "since":
			q.Since, err = parseAddedAfter(value)
		case "until":
			if q.Until, err = parseAddedAfter(value); len(value) == len(time.DateOnly) {
				q.Until = q.Until.AddDate(0, 0, 1)
			}
		case "event":
			q.Event = value
		case "user":
			q.User = value
		default:
			return q, problemf(http.StatusBadRequest, "The parameters are since, until, event and user, each once.")
		}
		if err != nil {
			return q, problemf(http.StatusBadRequest, "%s: %s", name, err)
		}
	}
	return q, nil
}

// getAudit hands the audit log out, a JSON object a line: of what the parameters leave.
func (h *Handler) getAudit(x *exchange) error {
	params, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return problemf(http.StatusBadRequest, "The query string is malformed.")
	}
	query, err := auditQuery(params)
	if err != nil {
		return err
	}
	h.note(x, Event{Name: EventReadAudit})
	x.w.Header().Set("Content-Type", "application/x-ndjson")
	if x.r.Method == http.MethodHead {
		x.w.WriteHeader(http.StatusOK)
		return nil
	}
	out := bufio.NewWriterSize(&download{w: x.w, control: x.control}, writeBlock)
	err = h.audit.Read(x.r.Context(), query, func(line []byte) error {
		if _, err := out.Write(line); err != nil {
			return err
		}
		return out.WriteByte('\n')
	})
	if err = errors.Join(err, out.Flush()); err == nil && x.w.Status == 0 {
		x.w.WriteHeader(http.StatusOK)
	}
	return err
}
