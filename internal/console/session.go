package console

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

const (
	ticketTime = time.Minute     // within which a ticket is good
	sudoTime   = 5 * time.Minute // for which a password that was given counts
	mostKept   = 1000            // tickets, operators and confirmed logins that are remembered, of each
)

// operatorToken begins the tokens of operators, who have no account: they are known for as long as the node runs.
const operatorToken = "op_"

// operator is who came with a ticket.
func (c *Console) operator() taxii.Principal {
	return taxii.Principal{User: "operator", Org: c.Organisation, Role: taxii.RoleAdmin, Credential: "the repository"}
}

// isOperator tells whether the visitor is one.
func (v *visit) isOperator() bool { return strings.HasPrefix(v.token, operatorToken) }

// logins knows what the node's accounts don't: tickets, operators who came with one, and whose password was given just
// now. Secrets are kept as hashes, in memory.
type logins struct {
	cookie string // its name
	now    func() time.Time

	mu        sync.Mutex
	tickets   map[[32]byte]time.Time // until when they are good
	operators map[[32]byte]time.Time
	confirmed map[[32]byte]time.Time
}

// newLogins names the cookie after the node: cookies take no notice of ports, and two nodes on one host would log each
// other's users out.
func newLogins(node string, now func() time.Time) *logins {
	sum := sha256.Sum256([]byte(node))
	return &logins{
		cookie: "slnode-" + hex.EncodeToString(sum[:4]), now: now,
		tickets: map[[32]byte]time.Time{}, operators: map[[32]byte]time.Time{}, confirmed: map[[32]byte]time.Time{},
	}
}

// has tells whether a request carries a login, good or not.
func (l *logins) has(r *http.Request) bool {
	_, err := r.Cookie(l.cookie)
	return err == nil
}

// who finds out whose login a request carries. It is false if it carries none.
func (l *logins) who(v *visit, clients Clients) (known bool, err error) {
	cookie, err := v.r.Cookie(l.cookie)
	if err != nil || cookie.Value == "" {
		return false, nil
	}
	v.token = cookie.Value
	if v.isOperator() {
		if !l.good(l.operators, v.token) {
			return false, nil
		}
		v.who = v.console.operator()
	} else if v.who, err = clients.Who(v.r, v.token); err != nil {
		return false, err
	}
	v.sudo = l.good(l.confirmed, v.token)
	return true, nil
}

// carry gives a browser a login. The cookie has no Path: its default is the folder of the page that sets it, as the
// browser sees it, whatever prefix a proxy puts before it.
func (l *logins) carry(v *visit, token string) {
	v.setCookie(http.Cookie{Name: l.cookie, Value: token})
}

// forget takes a login from a browser, if it has one.
func (l *logins) forget(v *visit) {
	if l.has(v.r) {
		v.setCookie(http.Cookie{Name: l.cookie, MaxAge: -1})
	}
}

// setCookie sets a cookie that scripts do not see, and that forms of other sites do not send.
func (v *visit) setCookie(c http.Cookie) {
	c.HttpOnly, c.SameSite, c.Secure = true, http.SameSiteLaxMode, v.console.Clients.Secure(v.r)
	http.SetCookie(v.w, &c)
}

// choiceTime is for how long a browser remembers what was chosen, in seconds.
const choiceTime = 400 * 24 * 3600

// remember keeps a choice in the browser: how pages look, or what the next form begins with.
func (v *visit) remember(what, value string) {
	v.setCookie(http.Cookie{Name: v.console.logins.cookie + "-" + what, Value: url.QueryEscape(value), MaxAge: choiceTime})
}

func (v *visit) remembered(what string) string {
	cookie, err := v.r.Cookie(v.console.logins.cookie + "-" + what)
	if err != nil {
		return ""
	}
	value, err := url.QueryUnescape(cookie.Value)
	if err != nil || len(value) > 100 {
		return ""
	}
	return value
}

// issue makes a ticket.
func (l *logins) issue() string {
	secret := newSecret()
	l.keep(l.tickets, secret, ticketTime)
	return secret
}

// redeem takes a ticket and gives an operator's token for it. It is false if the ticket is not good (any more).
func (l *logins) redeem(ticket string, stay time.Duration) (token string, ok bool) {
	if !l.take(l.tickets, ticket) {
		return "", false
	}
	token = operatorToken + newSecret()
	l.keep(l.operators, token, stay)
	l.keep(l.confirmed, token, sudoTime) // who can read the repository has just shown it
	return token, true
}

// confirm remembers that the password of a login was given.
func (l *logins) confirm(token string) { l.keep(l.confirmed, token, sudoTime) }

// end forgets a login.
func (l *logins) end(token string) {
	l.take(l.operators, token)
	l.take(l.confirmed, token)
}

func newSecret() string {
	secret := [32]byte{}
	rand.Read(secret[:]) // never fails: it ends the process rather
	return hex.EncodeToString(secret[:])
}

// keep remembers a secret for a while, and forgets those whose time has come.
func (l *logins) keep(in map[[32]byte]time.Time, secret string, for_ time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for hash, until := range in {
		if !now.Before(until) || len(in) >= mostKept {
			delete(in, hash)
		}
	}
	in[sha256.Sum256([]byte(secret))] = now.Add(for_)
}

func (l *logins) good(in map[[32]byte]time.Time, secret string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now().Before(in[sha256.Sum256([]byte(secret))])
}

// take forgets a secret, and tells whether it was good.
func (l *logins) take(from map[[32]byte]time.Time, secret string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	hash := sha256.Sum256([]byte(secret))
	good := l.now().Before(from[hash])
	delete(from, hash)
	return good
}

// thenOf is the query that brings whoever logs in back to a page that was asked for.
func thenOf(r *http.Request) string {
	page := strings.TrimPrefix(r.URL.Path, Prefix)
	if r.Method != http.MethodGet || page == "" {
		return ""
	}
	if r.URL.RawQuery != "" {
		page += "?" + r.URL.RawQuery
	}
	return "?then=" + url.QueryEscape(page)
}

// checkThen gives where to go after a login: a page of the console, or the first one if it is none.
func (c *Console) checkThen(then string) string {
	path, query, has := strings.Cut(then, "?")
	one, there := c.routes[path]
	if !there || one.get == nil || one.role == taxii.RoleNone {
		return "./"
	}
	if path == "" {
		path = "./"
	}
	if parsed, err := url.ParseQuery(query); has && err == nil {
		return path + "?" + parsed.Encode()
	}
	return path
}

// loginModel is what the login page shows.
type loginModel struct {
	User, Then, Wrong string
}

func (c *Console) getLogin(v *visit) error {
	return v.render("login", loginModel{Then: v.r.URL.Query().Get("then")})
}

func (c *Console) postLogin(v *visit) error {
	user, then := v.form.Get("user"), v.form.Get("then")
	entered, err := c.Clients.Enter(v.r, user, v.form.Get("password"))
	if wrong, is := attempt(err); is {
		v.status = http.StatusForbidden
		return v.render("login", loginModel{User: user, Then: then, Wrong: wrong})
	}
	if err != nil {
		return err
	}
	c.logins.carry(v, entered.Token)
	return v.see(c.checkThen(then))
}

// attempt says why a password was not accepted. It is false if that is not what an error says.
func attempt(err error) (string, bool) {
	var retry *taxii.RetryAfterError
	switch {
	case errors.Is(err, taxii.ErrUnauthorized):
		return "The name or the password is wrong.", true
	case errors.As(err, &retry):
		return "There were too many attempts. Try again in " + retry.After.Round(time.Second).String() + ".", true
	}
	return "", false
}

// enterModel is the page that a ticket leads to. A button takes it: whatever looks at links in advance doesn't.
type enterModel struct {
	Ticket string
	Wrong  string
}

func (c *Console) getEnter(v *visit) error {
	return v.render("enter", enterModel{Ticket: v.r.URL.Query().Get("ticket")})
}

func (c *Console) postEnter(v *visit) error {
	token, ok := c.logins.redeem(v.form.Get("ticket"), c.Stay)
	if !ok {
		v.status = http.StatusForbidden
		return v.render("enter", enterModel{Wrong: "This ticket was used already, or is older than a minute."})
	}
	v.who = c.operator()
	c.Clients.Note(v.r, v.who, taxii.Event{Name: taxii.EventLogin, Detail: "with a ticket, for the console"})
	c.logins.carry(v, token)
	return v.see("./")
}

func (c *Console) postLogout(v *visit) error {
	known, err := c.logins.who(v, c.Clients)
	if err != nil && !errors.Is(err, taxii.ErrUnauthorized) {
		return err
	}
	if known {
		c.logins.end(v.token)
		if v.isOperator() {
			c.Clients.Note(v.r, v.who, taxii.Event{Name: taxii.EventLogout})
		} else if err := c.Clients.Leave(v.r, v.who, v.token); err != nil {
			return err
		}
	}
	c.logins.forget(v)
	return v.see("login")
}

// sudoField is the field of a form with the password that is asked for once more.
const sudoField = "sudo"

// confirmModel asks for the password, with the form that it is for. An operator has none: another ticket will do.
type confirmModel struct {
	Action string // where the form goes
	Wrong  string
	Fields []field
}

type field struct{ Name, Value string }

// confirmed has the password confirmed for a form that carries it, or asks for it. It is false if the answer was given.
func (c *Console) confirmed(v *visit) (bool, error) {
	if v.sudo {
		return true, nil
	}
	ask := confirmModel{Action: v.route.path}
	if v.r.URL.RawQuery != "" {
		ask.Action += "?" + v.r.URL.RawQuery
	}
	if password := v.form.Get(sudoField); password != "" && !v.isOperator() {
		err := c.Clients.Confirm(v.r, v.who, password)
		wrong, is := attempt(err)
		switch {
		case err == nil:
			c.logins.confirm(v.token)
			v.sudo = true
			return true, nil
		case !is:
			return false, err
		}
		ask.Wrong = wrong
	}
	for name, values := range v.form {
		for _, value := range values {
			if name != sudoField {
				ask.Fields = append(ask.Fields, field{name, value})
			}
		}
	}
	v.status = http.StatusForbidden
	return false, v.render("confirm", ask)
}
