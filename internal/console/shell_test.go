package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// visitors are everybody who can come, from who may least to who may most.
var visitors = []string{"", "unknown", "limited", "reader", "publisher", "narrow", "admin"}

// may tells what a route says of a visitor.
func may(one route, visitor string) bool {
	who, known := people[visitor]
	if one.role == taxii.RoleNone {
		return true
	}
	return known && who.Role >= one.role && !(one.unlimited && who.Limits.Any())
}

func TestEveryPageIsForThoseWhomItsRouteNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, one := range routes() {
		for _, visitor := range visitors {
			if one.get != nil {
				got := w.ask(visitor, one.path, nil).Code
				_, known := people[visitor]
				switch {
				case may(one, visitor) && (got == http.StatusForbidden || got >= http.StatusInternalServerError):
					t.Errorf("GET %s as %q: %d", one.path, visitor, got)
				case !may(one, visitor) && known && got != http.StatusForbidden, !may(one, visitor) && !known && got != http.StatusSeeOther:
					t.Errorf("GET %s as %q: %d", one.path, visitor, got)
				}
			}
			if one.post == nil || one.role == taxii.RoleNone {
				continue
			}
			answer, who := w.ask(visitor, one.path, url.Values{}), people[visitor]
			if refused := answer.Code == http.StatusForbidden || answer.Code == http.StatusSeeOther && strings.HasPrefix(answer.Header().Get("Location"), "login"); refused {
				if may(one, visitor) && who.Role >= one.writes && !one.sudo {
					t.Errorf("POST %s as %q: %d", one.path, visitor, answer.Code)
				}
			} else if !may(one, visitor) || who.Role < one.writes || one.sudo {
				t.Errorf("POST %s as %q: %d", one.path, visitor, answer.Code)
			}
		}
	}
}

func TestWhatIsOnlyForSomeRolesSaysSo(t *testing.T) {
	t.Parallel()
	for _, one := range routes() {
		switch {
		case one.sudo && (one.post == nil || max(one.role, one.writes) < taxii.RoleAdmin):
			t.Errorf("%s wants the password, but not only administrators can post", one.path)
		case one.get == nil && one.post == nil, strings.Contains(one.path, "/"), one.title == "":
			t.Errorf("%q is not whole", one.path)
		case one.role == taxii.RoleNone && !slices.Contains([]string{"login", "enter", "logout"}, one.path):
			t.Errorf("%s is for everybody", one.path)
		}
	}
}

func TestOnlyTheConsolesOwnFormsAreTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Origins = []string{"https://rewritten.example"} })
	const own = "http://127.0.0.1:9440"
	for _, one := range []struct {
		name, host, origin, site, visitor string
		post                              bool
		want                              int
	}{
		{"a look", "127.0.0.1:9440", "", "none", "reader", false, http.StatusOK},
		{"a look from a link elsewhere", "127.0.0.1:9440", "", "cross-site", "reader", false, http.StatusOK},
		{"a look by the name of the certificate", "taxii.acme.example", "", "none", "reader", false, http.StatusOK},
		{"a look by localhost", "localhost:9440", "", "none", "reader", false, http.StatusOK},
		{"a look by IPv6", "[::1]:9440", "", "none", "reader", false, http.StatusOK},
		{"a look by a foreign name", "rebind.attacker.example", "", "same-origin", "reader", false, http.StatusMisdirectedRequest},
		{"a look by a foreign name, without headers", "rebind.attacker.example", "", "", "", false, http.StatusMisdirectedRequest},
		{"a form by a foreign name", "rebind.attacker.example", "http://rebind.attacker.example", "same-origin", "reader", true, http.StatusMisdirectedRequest},
		{"its own form", "127.0.0.1:9440", own, "same-origin", "reader", true, http.StatusSeeOther},
		{"its own form over plain HTTP", "127.0.0.1:9440", own, "", "reader", true, http.StatusSeeOther},
		{"another site's form", "127.0.0.1:9440", "https://attacker.example", "cross-site", "reader", true, http.StatusForbidden},
		{"another site's form over plain HTTP", "127.0.0.1:9440", "http://attacker.example", "", "reader", true, http.StatusForbidden},
		{"another port's form", "127.0.0.1:9440", "http://127.0.0.1:9999", "same-site", "reader", true, http.StatusForbidden},
		{"another port's form over plain HTTP", "127.0.0.1:9440", "http://127.0.0.1:9999", "", "reader", true, http.StatusForbidden},
		{"a form of a page without origin", "127.0.0.1:9440", "null", "", "reader", true, http.StatusForbidden},
		{"a form with a cookie and neither header", "127.0.0.1:9440", "", "", "reader", true, http.StatusForbidden},
		{"a program without a cookie", "127.0.0.1:9440", "", "", "", true, http.StatusSeeOther},
		{"a form through a proxy that rewrites Host, which is configured", "127.0.0.1:9440", "https://rewritten.example", "", "reader", true, http.StatusSeeOther},
		{"… which is not", "127.0.0.1:9440", "https://other.example", "", "reader", true, http.StatusForbidden},
	} {
		page, form := "", url.Values(nil)
		if one.post {
			page, form = "logout", url.Values{}
		}
		w.clerk.ended = map[string]bool{}
		got := w.ask(one.visitor, page, form, func(r *http.Request) {
			r.Host = one.host
			for name, value := range map[string]string{"Origin": one.origin, "Sec-Fetch-Site": one.site} {
				r.Header.Del(name)
				if value != "" {
					r.Header.Set(name, value)
				}
			}
		})
		if got.Code != one.want {
			t.Errorf("%s: %d, want %d", one.name, got.Code, one.want)
		}
		if ended := w.clerk.ended["reader"]; ended != (one.want == http.StatusSeeOther && one.visitor != "") {
			t.Errorf("%s: it was done: %t", one.name, ended)
		}
		for _, header := range []string{"Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options"} {
			if got.Header().Get(header) == "" {
				t.Errorf("%s: without %s", one.name, header)
			}
		}
		if policy := got.Header().Get("Referrer-Policy"); policy != "same-origin" {
			t.Errorf("%s: the referrer policy is %q", one.name, policy)
		}
	}
}

func TestALoginComesBackToWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	answer := w.ask("", "?q=1.2.3.4", nil)
	if to := answer.Header().Get("Location"); answer.Code != http.StatusSeeOther || to != "login" {
		t.Errorf("nobody is sent to %q", to)
	}
	for then, want := range map[string]string{
		"": "./", "?q=evil%5B.%5Dexample&x=1": "./?q=evil%5B.%5Dexample&x=1", "//evil.example": "./", "https://evil.example/": "./", "\\\\evil.example": "./",
		"../v1": "./", "static/app.css": "./", "logout": "./", "login?then=login": "./", "nowhere": "./", "?a=\r\nSet-Cookie: x=y": "./?a=%0D%0ASet-Cookie%3A+x%3Dy",
	} {
		answer := w.ask("", "login", url.Values{"user": {"reader"}, "password": {"right"}, "then": {then}})
		if got := answer.Header().Get("Location"); got != want {
			t.Errorf("from %q the login leads to %q, want %q", then, got, want)
		}
	}
	wrong := w.ask("", "login", url.Values{"user": {"reader"}, "password": {"guess"}})
	if wrong.Code != http.StatusForbidden || wrong.Header().Get("Set-Cookie") != "" || !strings.Contains(wrong.Body.String(), "wrong") {
		t.Errorf("a wrong password: %d %s", wrong.Code, wrong.Header())
	}
}

// What a browser sends the cookie to is the folder of the page that set it, whatever is before it.
func TestTheCookieIsThisNodesAndForThisFolderOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	login := url.Values{"user": {"admin"}, "password": {"right"}}
	for _, secure := range []bool{false, true} {
		w.clerk.secure = secure
		cookies := w.ask("", "login", login).Result().Cookies()
		if len(cookies) != 1 {
			t.Fatal(cookies)
		}
		c := cookies[0]
		if c.Path != "" || c.Domain != "" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure != secure || c.MaxAge != 0 || !c.Expires.IsZero() {
			t.Errorf("the cookie is %s", c)
		}
		if len(c.Name) != len("slnode-")+8 {
			t.Errorf("the cookie is called %s", c.Name)
		}
	}
	other := newWorld(t, func(c *Config) { c.Node = "another" })
	if other.c.logins.cookie == w.c.logins.cookie {
		t.Error("two nodes give one cookie")
	}
}

func TestALoginThatHasEndedIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if answer := w.ask("reader", "logout", url.Values{}); answer.Code != http.StatusSeeOther || !w.clerk.ended["reader"] || answer.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("logging out: %d %s", answer.Code, answer.Header())
	}
	answer := w.ask("reader", "", nil)
	if answer.Code != http.StatusSeeOther || answer.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("a login that has ended: %d %s", answer.Code, answer.Header())
	}
	if answer := w.ask("broken", "", nil); answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "disk") {
		t.Errorf("a failure: %d %s", answer.Code, answer.Body)
	}
}

func TestATicketLetsTheOperatorInOnceAndSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	enter := func(ticket string) *httptest.ResponseRecorder {
		return w.ask("", "enter", url.Values{"ticket": {ticket}})
	}
	ticket, err := w.c.Ticket()
	if err != nil || len(ticket) != 64 {
		t.Fatal(ticket, err)
	}
	if page := w.ask("", "enter?ticket="+ticket, nil); page.Code != http.StatusOK || page.Header().Get("Set-Cookie") != "" {
		t.Errorf("a look at a ticket takes it: %d", page.Code)
	}
	answer := enter(ticket)
	if answer.Code != http.StatusSeeOther {
		t.Fatalf("a ticket: %d", answer.Code)
	}
	token := answer.Result().Cookies()[0].Value
	if page := w.ask(token, "", nil); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "operator") {
		t.Errorf("the operator is shown %d", page.Code)
	}
	if again := enter(ticket); again.Code != http.StatusForbidden || again.Header().Get("Set-Cookie") != "" {
		t.Errorf("a ticket that was used: %d", again.Code)
	}
	if made := enter(strings.Repeat("0", 64)); made.Code != http.StatusForbidden {
		t.Errorf("a ticket that nobody gave: %d", made.Code)
	}
	late, _ := w.c.Ticket()
	w.now = w.now.Add(ticketTime)
	if answer := enter(late); answer.Code != http.StatusForbidden {
		t.Errorf("a ticket of a minute ago: %d", answer.Code)
	}
	if events := w.clerk.noted(taxii.EventLogin); !slices.Equal(events, []string{"operator"}) {
		t.Errorf("the audit log has logins of %v", events)
	}
	w.now = w.now.Add(time.Hour)
	if page := w.ask(token, "", nil); page.Code != http.StatusSeeOther {
		t.Errorf("after the time of a login the operator is shown %d", page.Code)
	}
	clear := newWorld(t, func(c *Config) { c.Clear = true })
	if _, err := clear.c.Ticket(); err == nil {
		t.Error("there are tickets to a console that does not answer")
	}
	if page := clear.ask("admin", "", nil); page.Code != http.StatusForbidden || !strings.Contains(page.Body.String(), "insecure = true") {
		t.Errorf("in the clear the console answers %d", page.Code)
	}
}

// sudo wants its password for what this route does.
func TestThePasswordIsAskedForOnceMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	did := 0
	w.c.routes["risky"] = route{path: "risky", title: "Risky", role: taxii.RoleAdmin, unlimited: true, sudo: true, post: func(_ *Console, v *visit) error {
		if did++; v.form.Get("keep") != "this <b>" {
			t.Errorf("the form has %v", v.form)
		}
		return v.see("./")
	}}
	post := func(who, password string) *httptest.ResponseRecorder {
		form := url.Values{"keep": {"this <b>"}}
		if password != "" {
			form.Set(sudoField, password)
		}
		return w.ask(who, "risky?id=1", form)
	}
	for _, password := range []string{"", "wrong", "often"} {
		asked := post("admin", password)
		if did != 0 || asked.Code != http.StatusForbidden || !strings.Contains(asked.Body.String(), `action="risky?id=1"`) || !strings.Contains(asked.Body.String(), `name="keep" value="this &lt;b&gt;"`) {
			t.Fatalf("with the password %q: %d %s", password, asked.Code, asked.Body)
		}
		if strings.Contains(asked.Body.String(), `value="wrong"`) {
			t.Error("the password is in the page")
		}
	}
	if post("admin", "right").Code != http.StatusSeeOther || did != 1 {
		t.Error("the right password does nothing")
	}
	w.now = w.now.Add(sudoTime - time.Second)
	if post("admin", "").Code != http.StatusSeeOther || did != 2 {
		t.Error("within five minutes it is asked for again")
	}
	w.now = w.now.Add(time.Second)
	if post("admin", "").Code != http.StatusForbidden || did != 2 {
		t.Error("after five minutes it is not asked for")
	}
	if post("narrow", "right").Code != http.StatusForbidden || did != 2 {
		t.Error("an account with limits may")
	}
	w.clerk.ended = map[string]bool{}
	post("admin", "right")
	w.ask("admin", "logout", url.Values{})
	w.clerk.ended = map[string]bool{}
	if post("admin", "").Code != http.StatusForbidden {
		t.Error("after logging out it is not asked for")
	}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	large := w.ask("", "login", url.Values{"user": {strings.Repeat("x", usualBody)}})
	if large.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large form: %d", large.Code)
	}
	many := url.Values{}
	for range mostParts + 2 {
		many.Add("x", "1")
	}
	if answer := w.ask("", "login", many); answer.Code != http.StatusBadRequest {
		t.Errorf("a form of many fields: %d", answer.Code)
	}
	if answer := w.ask("", "login", url.Values{}, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }); answer.Code != http.StatusBadRequest {
		t.Errorf("what is no form: %d", answer.Code)
	}
	for range requestsAtOnce {
		w.c.running <- struct{}{}
	}
	if answer := w.ask("reader", "", nil); answer.Code != http.StatusServiceUnavailable {
		t.Errorf("one more than at once: %d", answer.Code)
	}
}

func TestFilesAreKeptForAsLongAsTheyAreTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	page := w.ask("", "login", nil).Body.String()
	_, rest, _ := strings.Cut(page, `rel="stylesheet" href="`)
	address, _, _ := strings.Cut(rest, `"`)
	file := w.ask("", address, nil)
	if file.Code != http.StatusOK || !strings.Contains(file.Header().Get("Cache-Control"), "immutable") || !strings.HasPrefix(file.Header().Get("Content-Type"), "text/css") {
		t.Errorf("%s: %d %s", address, file.Code, file.Header())
	}
	if old := w.ask("", "static/app.css?v=old", nil); old.Code != http.StatusOK || old.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("an old file: %d %s", old.Code, old.Header())
	}
	for _, path := range []string{"static/", "static/../guard.go", "static/none.js", "none", "a/b"} {
		if answer := w.ask("reader", path, nil); answer.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
}

func TestTheConsoleStandsBeforeTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ended := 0
	rest := &streaming{func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }, &ended}
	mounted := w.c.Mount(rest)
	for _, one := range []struct {
		path, accept string
		want         int
		to           string
	}{
		{"/", "text/html,*/*", http.StatusSeeOther, "-/"}, {"/", "application/taxii+json;version=2.1", http.StatusTeapot, ""}, {"/-", "text/html", http.StatusSeeOther, "-/"},
		{"/-/login", "", http.StatusOK, ""}, {"/-x", "", http.StatusTeapot, ""}, {"/taxii2/", "text/html", http.StatusTeapot, ""}, {"/acme/-/login", "", http.StatusTeapot, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+one.path, nil)
		r.Header.Set("Accept", one.accept)
		answer := httptest.NewRecorder()
		mounted.ServeHTTP(answer, r)
		if answer.Code != one.want || answer.Header().Get("Location") != one.to {
			t.Errorf("%s: %d to %q", one.path, answer.Code, answer.Header().Get("Location"))
		}
	}
	mounted.(interface{ EndStreams() }).EndStreams()
	if ended != 1 {
		t.Errorf("the streams of the rest were ended %d times", ended)
	}
}

type streaming struct {
	http.HandlerFunc
	ended *int
}

func (s *streaming) EndStreams() { *s.ended++ }
