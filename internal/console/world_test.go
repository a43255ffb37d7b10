package console

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/door"
	"github.com/serviceledger/slnode/taxii"
)

// people are the accounts of the test's node: the name is the token, too, and the password of all is "right".
var people = map[string]taxii.Principal{
	"reader":    {User: "reader", Role: taxii.RoleReader},
	"limited":   {User: "limited", Role: taxii.RoleReader, Limits: taxii.Limits{Read: []string{"c1"}}},
	"publisher": {User: "publisher", Role: taxii.RolePublisher},
	"admin":     {User: "admin", Role: taxii.RoleAdmin},
	"narrow":    {User: "narrow", Role: taxii.RoleAdmin, Limits: taxii.Limits{Read: []string{"c1"}}},
}

// clerk knows them.
type clerk struct {
	mu     sync.Mutex
	ended  map[string]bool
	events []taxii.Event
	secure bool
}

func (c *clerk) Enter(_ *http.Request, user, password string) (taxii.Session, error) {
	who, there := people[user]
	if !there || password != "right" {
		return taxii.Session{}, taxii.ErrUnauthorized
	}
	return taxii.Session{Token: user, Account: taxii.Account{User: user, Role: who.Role}}, nil
}

func (c *clerk) Who(_ *http.Request, token string) (taxii.Principal, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if token == "broken" {
		return taxii.Principal{}, errors.New("the disk is gone")
	}
	who, there := people[token]
	if !there || c.ended[token] {
		return taxii.Principal{}, taxii.ErrUnauthorized
	}
	return who, nil
}

func (c *clerk) Confirm(_ *http.Request, _ taxii.Principal, password string) error {
	switch password {
	case "right":
		return nil
	case "often":
		return &taxii.RetryAfterError{After: time.Minute}
	}
	return taxii.ErrUnauthorized
}

func (c *clerk) Leave(_ *http.Request, _ taxii.Principal, token string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended[token] = true
	return nil
}

func (c *clerk) Note(_ *http.Request, who taxii.Principal, e taxii.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.User = who.User
	c.events = append(c.events, e)
}

func (c *clerk) Secure(*http.Request) bool     { return c.secure }
func (c *clerk) Remote(r *http.Request) string { return r.RemoteAddr }
func (c *clerk) noted(name string) (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e.Name == name {
			list = append(list, e.User)
		}
	}
	return list
}

// world is a console and who comes to it.
type world struct {
	t     *testing.T
	c     *Console
	clerk *clerk
	now   time.Time
}

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, clerk: &clerk{ended: map[string]bool{}}, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	config := Config{
		Organisation: "acme", Title: "ACME CERT", Consortium: "Energy", Node: "node", Clients: w.clerk, Rooms: testRooms(), Hosts: door.NewHosts("taxii.acme.example"),
		Stay: time.Hour, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return w.now },
	}
	if change != nil {
		change(&config)
	}
	var err error
	if w.c, err = New(config); err != nil {
		t.Fatal(err)
	}
	return w
}

// ask has a browser ask for a page as somebody; "" is nobody. A form makes it a post.
func (w *world) ask(who, page string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9440/-/"+page, nil)
	if form != nil {
		r = httptest.NewRequest(http.MethodPost, "http://127.0.0.1:9440/-/"+page, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://127.0.0.1:9440")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	r.Header.Set("Accept", "text/html")
	if who != "" {
		r.AddCookie(&http.Cookie{Name: w.c.logins.cookie, Value: who})
	}
	for _, one := range change {
		one(r)
	}
	answer := httptest.NewRecorder()
	w.c.ServeHTTP(answer, r)
	return answer
}
