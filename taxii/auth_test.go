package taxii

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// Checklist 3.2, 3.3.
func TestCredentialsThatAreTaken(t *testing.T) {
	f := newFixture(t)
	for name, header := range map[string]string{
		"Basic":                             basic("paul", "pw-paul"),
		"basic, as MISP writes it":          strings.Replace(basic("paul", "pw-paul"), "Basic", "basic", 1),
		"Bearer":                            "Authorization: Bearer tok-paul",
		"bearer":                            "Authorization: bearer tok-paul",
		"Token, as taxii2client writes it":  "Authorization: Token tok-paul",
		"X-API-Key":                         "X-API-Key: tok-paul",
		"Basic with a key and no user":      basic("", "tok-paul"),
		"Basic with a key and another user": basic("apikey", "tok-paul"),
	} {
		if a := f.anonymous(http.MethodGet, "/acme/", "", header); a.status != http.StatusOK {
			t.Errorf("%s: %d", name, a.status)
		}
	}
}

// Checklist 3.1: 401 with the schemes, on every method and path.
func TestCredentialsThatAreRefused(t *testing.T) {
	f := newFixture(t)
	for name, header := range map[string]string{
		"none":                    "X-Other: 1",
		"wrong password":          basic("paul", "wrong"),
		"unknown user":            basic("nobody", "pw-paul"),
		"empty Basic":             basic("", ""),
		"a user and no password":  basic("paul", ""),
		"a password of 5 kB":      basic("paul", strings.Repeat("x", 5000)),
		"Basic that is no base64": "Authorization: Basic !!!",
		"Bearer without a token":  "Authorization: Bearer",
		"a wrong token":           "Authorization: Bearer nonsense",
		"a token of 5 kB":         "Authorization: Bearer " + strings.Repeat("x", 5000),
		"a scheme unheard of":     "Authorization: Digest username=paul",
		"a password as a token":   "Authorization: Bearer pw-paul",
		"a wrong key":             "X-API-Key: nonsense",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions} {
			a := f.anonymous(method, boxPath+"objects/", "", header)
			f.clock.advance(time.Hour) // past every limit
			if a.status != http.StatusUnauthorized {
				t.Errorf("%s, %s: %d", name, method, a.status)
			}
			challenges := strings.Join(a.header.Values("WWW-Authenticate"), "; ")
			if !strings.Contains(challenges, "Basic realm=") || !strings.Contains(challenges, "Bearer realm=") {
				t.Errorf("%s, %s: WWW-Authenticate %q", name, method, challenges)
			}
		}
	}
}

// An Authorization header that is wrong is not made good by a key beside it.
func TestAuthorizationGoesBeforeAPIKey(t *testing.T) {
	f := newFixture(t)
	f.get("/acme/", "Authorization: Bearer nonsense", "X-API-Key: tok-paul").want(t, http.StatusUnauthorized)
}

// Checklist 6.4: discovery is open, but not to wrong credentials.
func TestDiscoveryNeedsNoCredentials(t *testing.T) {
	f := newFixture(t)
	anonymous := decode[DiscoveryResource](t, f.anonymous(http.MethodGet, "/taxii2/", ""))
	known := decode[DiscoveryResource](t, f.get("/taxii2/"))
	if len(anonymous.APIRoots) != 1 || len(known.APIRoots) != 2 {
		t.Errorf("anonymous sees %v, paul %v", anonymous.APIRoots, known.APIRoots)
	}
	f.anonymous(http.MethodGet, "/taxii2/", "", basic("paul", "wrong")).wantProblem(t, http.StatusUnauthorized)
}

// Checklist 3.4: Basic costs one slow check, not one each.
func TestRightPasswordsAreRemembered(t *testing.T) {
	f := newFixture(t)
	for range 5 {
		f.get("/acme/", basic("paul", "pw-paul")).want(t, http.StatusOK)
	}
	if f.backend.checks != 1 {
		t.Errorf("%d checks", f.backend.checks)
	}
	f.get("/acme/", basic("paul", "wrong")).want(t, http.StatusUnauthorized)
	if f.backend.checks != 2 {
		t.Error("a wrong password was not checked")
	}
	f.clock.advance(credentialTTL)
	f.get("/acme/", basic("paul", "pw-paul")).want(t, http.StatusOK)
	if f.backend.checks != 3 {
		t.Errorf("after its time the password is not checked again: %d checks", f.backend.checks)
	}
}

func TestChangedPasswordsAreForgotten(t *testing.T) {
	f := newFixture(t)
	f.get("/acme/", basic("paul", "pw-paul")).want(t, http.StatusOK)
	f.get("/acme/", basic("rita", "pw-rita")).want(t, http.StatusOK)
	f.backend.accounts["paul"] = storedAccount{Principal{User: "paul", Org: "acme", Role: RolePublisher}, "new"}
	f.handler.Forget("paul")
	f.get("/acme/", basic("paul", "pw-paul")).want(t, http.StatusUnauthorized)
	f.get("/acme/", basic("paul", "new")).want(t, http.StatusOK)
	checks := f.backend.checks
	f.get("/acme/", basic("rita", "pw-rita")).want(t, http.StatusOK)
	if f.backend.checks != checks {
		t.Error("another user was forgotten too")
	}
}

// A check that was under way when the account changed may have seen the old password: it is not remembered.
func TestAChangeDuringACheckIsNotOverlooked(t *testing.T) {
	c := newCredentials(time.Minute, time.Now)
	key := c.keyOf("paul", "old", "192.0.2.1")
	_, generation, _ := c.get(key)
	c.forget("paul")
	c.put(key, "paul", Principal{User: "paul"}, generation)
	if _, _, ok := c.get(key); ok {
		t.Error("the old password is remembered")
	}
}

func TestRememberedCredentialsAreBounded(t *testing.T) {
	clock := &clock{now: time.Unix(0, 0)}
	c := newCredentials(time.Minute, clock.Now)
	for i := range credentialsKept + 100 {
		key := c.keyOf("user", indicatorID(i), "192.0.2.1")
		_, generation, _ := c.get(key)
		c.put(key, "user", Principal{User: "user"}, generation)
		if _, _, ok := c.get(key); !ok {
			t.Fatalf("credential %d is not remembered", i)
		}
	}
	if len(c.known) > credentialsKept {
		t.Errorf("%d are kept", len(c.known))
	}
}

// Many connections opened at once with one good password are one check, and none of them counts as a failure.
func TestRequestsAtOnceShareACheck(t *testing.T) {
	f := newFixture(t)
	var wg sync.WaitGroup
	statuses := make([]int, 40)
	for i := range statuses {
		wg.Go(func() { statuses[i] = f.get("/acme/", basic("paul", "pw-paul")).status })
	}
	wg.Wait()
	for _, s := range statuses {
		if s != http.StatusOK {
			t.Errorf("status %d", s)
		}
	}
	if f.backend.checks != 1 {
		t.Errorf("%d checks", f.backend.checks)
	}
}

// Checklist 5.4: guessing is slowed down, for the user and for the address.
func TestGuessingAPasswordIsLimited(t *testing.T) {
	f := newFixture(t)
	f.get("/acme/", basic("rita", "pw-rita")).want(t, http.StatusOK)
	for i := range failuresOfUser {
		if a := f.get("/acme/", basic("paul", "guess")); a.status != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d", i, a.status)
		}
	}
	checks := f.backend.checks
	a := f.get("/acme/", basic("paul", "guess"))
	a.wantProblem(t, http.StatusTooManyRequests)
	if got := a.header.Get("Retry-After"); got != "10" {
		t.Errorf("Retry-After %q", got)
	}
	if f.backend.checks != checks {
		t.Error("a refused guess was checked")
	}
	f.anonymous(http.MethodPost, "/v1/login", `{"username":"paul","password":"guess"}`, "Content-Type: application/json").want(t, http.StatusTooManyRequests)

	f.get("/acme/", basic("ada", "pw-ada")).want(t, http.StatusOK)           // another user is not affected,
	f.get("/acme/", basic("rita", "pw-rita")).want(t, http.StatusOK)         // nor who is remembered,
	f.get("/acme/", "Authorization: Bearer tok-paul").want(t, http.StatusOK) // nor the user's tokens,
	f.clock.advance(userInterval)                                            // and it passes
	f.get("/acme/", basic("paul", "pw-paul")).want(t, http.StatusOK)
}

// from makes a request as if it came from an address, which a trusted proxy says.
func (f *fixture) from(address, method, path, body string, headers ...string) answer {
	f.t.Helper()
	return f.anonymous(method, path, body, append([]string{"X-Forwarded-For: " + address, "Content-Type: application/json"}, headers...)...)
}

func behindProxy(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} }

func loginBody(user, password string) string {
	return fmt.Sprintf(`{"username":%q,"password":%q}`, user, password)
}

// Wrong passwords, however many and from wherever, don't lock out who is right
// at an address where they were right before, nor at first at any other.
func TestWrongPasswordsFromElsewhereLockNobodyOut(t *testing.T) {
	const home, away = "192.0.2.1", "198.51.100.7"
	f := newFixture(t, behindProxy)
	f.handler.gate.failures.pause = 0
	f.from(home, http.MethodPost, "/v1/login", loginBody("paul", "pw-paul")).want(t, http.StatusOK)
	for range failuresOfUser + 2 {
		f.from(away, http.MethodPost, "/v1/login", loginBody("paul", "guess"))
	}
	f.from(away, http.MethodPost, "/v1/login", loginBody("paul", "pw-paul")).want(t, http.StatusTooManyRequests)
	f.from(home, http.MethodPost, "/v1/login", loginBody("paul", "pw-paul")).want(t, http.StatusOK)
	f.from("203.0.113.9", http.MethodPost, "/v1/login", loginBody("paul", "pw-paul")).want(t, http.StatusOK) // ten are few

	for i := range 2 * failuresAnywhere / failuresOfUser { // a botnet
		for range failuresOfUser {
			f.from(fmt.Sprintf("198.51.100.%d", i+10), http.MethodGet, "/acme/", "", basic("paul", "guess"))
		}
	}
	f.from("203.0.113.10", http.MethodGet, "/acme/", "", basic("paul", "pw-paul")).want(t, http.StatusTooManyRequests)
	f.clock.advance(2 * userInterval)
	for _, known := range []string{home, "203.0.113.9"} {
		f.from(known, http.MethodPost, "/v1/login", loginBody("paul", "pw-paul")).want(t, http.StatusOK)
	}
}

// Whoever guesses behind the same proxy or NAT does not lock the others there out, who were right before.
func TestWrongPasswordsOfOthersAtTheAddressLockNobodyOut(t *testing.T) {
	f := newFixture(t)
	login := func(user, password string) answer {
		return f.anonymous(http.MethodPost, "/v1/login", loginBody(user, password), "Content-Type: application/json")
	}
	login("paul", "pw-paul").want(t, http.StatusOK)
	for i := range failuresOfHost {
		login(indicatorID(i), "guess").want(t, http.StatusUnauthorized)
	}
	login("rita", "pw-rita").want(t, http.StatusTooManyRequests) // who was never right here waits
	login("paul", "pw-paul").want(t, http.StatusOK)
}

// Where attempts are refused for what others have done, who exists and has been here is told apart from who does not
// exist neither by the answer nor by the time that it takes.
func TestRefusalsDoNotTellWhoExists(t *testing.T) {
	const pause = 50 * time.Millisecond
	f := newFixture(t)
	f.handler.gate.failures.pause = pause
	login := func(user, password string) (answer, time.Duration) {
		begun := time.Now()
		a := f.anonymous(http.MethodPost, "/v1/login", loginBody(user, password), "Content-Type: application/json")
		return a, time.Since(begun)
	}
	a, _ := login("paul", "pw-paul")
	a.want(t, http.StatusOK)
	for i := range failuresOfHost {
		login(indicatorID(i), "guess")
	}
	for attempt := range failuresOfUser + 1 {
		known, first := login("paul", "guess")
		unknown, second := login("nobody", "guess")
		if known.status != http.StatusTooManyRequests || unknown.status != known.status || known.header.Get("Retry-After") != unknown.header.Get("Retry-After") {
			t.Errorf("attempt %d: %d after %s, and %d after %s", attempt, known.status, known.header.Get("Retry-After"), unknown.status, unknown.header.Get("Retry-After"))
		}
		if slow := attempt < failuresOfUser; slow && min(first, second) < pause {
			t.Errorf("attempt %d: refused after %v and %v", attempt, first, second)
		}
	}
}

// A password that is remembered as right is no oracle: elsewhere it is not
// looked at, and where it was right not without end.
func TestWhatIsRememberedCanNotBeGuessedFast(t *testing.T) {
	const home, away = "192.0.2.1", "198.51.100.7"
	f := newFixture(t, behindProxy)
	f.from(home, http.MethodGet, "/acme/", "", basic("paul", "pw-paul")).want(t, http.StatusOK)
	for range failuresOfUser {
		f.from(away, http.MethodGet, "/acme/", "", basic("paul", "guess"))
		f.from(home, http.MethodGet, "/acme/", "", basic("paul", "guess"))
	}
	f.from(away, http.MethodGet, "/acme/", "", basic("paul", "pw-paul")).want(t, http.StatusTooManyRequests)
	f.from(home, http.MethodGet, "/acme/", "", basic("paul", "pw-paul")).want(t, http.StatusOK)
	f.from(home, http.MethodPost, "/v1/login", loginBody("paul", "pw-paul")).want(t, http.StatusOK)
	for range refusalsHeard + 1 {
		f.from(home, http.MethodGet, "/acme/", "", basic("paul", "guess"))
	}
	f.from(home, http.MethodGet, "/acme/", "", basic("paul", "pw-paul")).want(t, http.StatusTooManyRequests)
	f.clock.advance(10 * refusalInterval)
	f.from(home, http.MethodGet, "/acme/", "", basic("paul", "pw-paul")).want(t, http.StatusOK)
}

// To sign up as the first takes no attempt from anybody.
func TestSigningUpLocksNobodyOut(t *testing.T) {
	f := newFixture(t)
	for range 2 * failuresOfHost {
		f.anonymous(http.MethodPost, "/v1/signup/admin", `{"org_name":"other","username":"paul","password":"long enough"}`, "Content-Type: application/json")
	}
	f.anonymous(http.MethodPost, "/v1/login", loginBody("paul", "pw-paul"), "Content-Type: application/json").want(t, http.StatusOK)
}

func TestSuccessesThatAreRememberedAreBounded(t *testing.T) {
	f := newFailures(time.Now)
	for i := range successesKept + 100 {
		f.try(source{user: "paul", address: indicatorID(i)}).succeeded()
	}
	if len(f.succeeded) > successesKept {
		t.Errorf("%d are kept", len(f.succeeded))
	}
}

// However many log in, only failures count.
func TestRightPasswordsAreNotLimited(t *testing.T) {
	f := newFixture(t)
	for i := range 2 * failuresOfHost {
		a := f.anonymous(http.MethodPost, "/v1/login", `{"username":"paul","password":"pw-paul"}`, "Content-Type: application/json")
		if a.status != http.StatusOK {
			t.Fatalf("login %d: %d", i, a.status)
		}
	}
}

func TestGuessingTokensIsLimitedByAddress(t *testing.T) {
	f := newFixture(t)
	for range failuresOfHost {
		f.get("/acme/", "Authorization: Bearer guess").want(t, http.StatusUnauthorized)
	}
	f.get("/acme/", "Authorization: Bearer guess").wantProblem(t, http.StatusTooManyRequests)
	f.get("/acme/", "Authorization: Bearer tok-paul").want(t, http.StatusOK)
}

func TestAnAddressIsLimitedWhateverTheUser(t *testing.T) {
	f := newFixture(t)
	for i := range failuresOfHost {
		f.get("/acme/", basic(indicatorID(i), "guess")).want(t, http.StatusUnauthorized)
	}
	f.get("/acme/", basic("one more", "guess")).want(t, http.StatusTooManyRequests)
}

func TestABackendMayLimitAttemptsToo(t *testing.T) {
	if p := problemOf(attempts(&RetryAfterError{After: time.Minute})); p.status != http.StatusTooManyRequests || p.header.Get("Retry-After") != "60" {
		t.Errorf("answered %d, %v", p.status, p.header)
	}
}

func TestFailuresAreCountedByCustomerNetwork(t *testing.T) {
	g := newGate(nil, 0, nil, time.Now)
	for remote, want := range map[string]string{
		"192.0.2.7:1234":             "192.0.2.7",
		"[::ffff:192.0.2.7]:1234":    "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:443": "2001:db8:1:2::/64",
		"@":                          "@",
	} {
		if got := g.network(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

func TestThrottleForgetsInTimeAndIsBounded(t *testing.T) {
	clock := &clock{now: time.Unix(0, 0)}
	th := newThrottle(2, time.Second, clock.Now)
	for i, want := range []time.Duration{0, 0, time.Second} {
		if got := th.take("a"); got != want {
			t.Errorf("attempt %d waits %v, want %v", i, got, want)
		}
	}
	th.giveBack("a")
	if th.take("a") != 0 {
		t.Error("an attempt given back is not there again")
	}
	clock.advance(time.Second)
	if th.take("a") != 0 || th.take("a") == 0 {
		t.Error("a second does not bring one attempt")
	}
	for i := range throttleKeys + 100 {
		th.take(indicatorID(i))
	}
	if len(th.due) > throttleKeys {
		t.Errorf("%d keys are remembered", len(th.due))
	}
	clock.advance(time.Hour)
	th.take("b")
	if len(th.due) > throttleKeys-10 {
		t.Errorf("%d keys are remembered after an hour", len(th.due))
	}
}
