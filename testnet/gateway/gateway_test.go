package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// indexer is a server that answers as one does that stands at round 100 and has a transaction in every round.
func indexer(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/health":
			fmt.Fprint(w, `{"round":100,"db-available":true,"message":"100"}`)
		case "/v2/status":
			fmt.Fprint(w, `{"last-round":100}`)
		case "/v2/transactions":
			first, _ := strconv.Atoi(r.URL.Query().Get("min-round"))
			last, err := strconv.Atoi(r.URL.Query().Get("max-round"))
			if err != nil || last > 100 {
				last = 100
			}
			var list []string
			for round := max(first, 1); round <= last; round++ {
				list = append(list, fmt.Sprintf(`{"id":"T%d","confirmed-round":%d,"note":"aGVsbG8="}`, round, round))
			}
			fmt.Fprintf(w, `{"current-round":100,"transactions":[%s],"next-token":"x"}`, strings.Join(list, ","))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func start(t *testing.T, rules ...Rule) *Gateway {
	t.Helper()
	g, err := Start(indexer(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	if err := g.Set(rules...); err != nil {
		t.Fatal(err)
	}
	return g
}

func get(t *testing.T, g *Gateway, path string) (int, http.Header, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(body), err
}

func page(t *testing.T, body string) (current uint64, ids []string, next string) {
	t.Helper()
	var p struct {
		Current      uint64 `json:"current-round"`
		Transactions []struct{ ID string }
		Next         string `json:"next-token"`
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	for _, one := range p.Transactions {
		ids = append(ids, one.ID)
	}
	return p.Current, ids, p.Next
}

const two = "/v2/transactions?min-round=99&max-round=200"

func TestAGatewayWithoutRulesIsHonest(t *testing.T) {
	g := start(t)
	if status, _, body, err := get(t, g, two); status != 200 || err != nil || !strings.Contains(body, "T100") {
		t.Errorf("%d %s %v", status, body, err)
	}
	if got := g.Requests("^GET /v2/transactions"); len(got) != 1 {
		t.Errorf("it counts %+v", got)
	}
}

func TestItAnswersInTheServersPlace(t *testing.T) {
	for name, c := range map[string]struct {
		rule  Rule
		check func(status int, header http.Header, body string, err error) bool
	}{
		"404": {Rule{Status: 404}, func(s int, _ http.Header, _ string, _ error) bool { return s == 404 }},
		"429, in seconds": {Rule{Status: 429, RetryAfter: Duration(20 * time.Second)}, func(s int, h http.Header, _ string, _ error) bool {
			return s == 429 && h.Get("Retry-After") == "20"
		}},
		"429, with a date": {Rule{Status: 429, RetryAfter: Duration(time.Hour), RetryDate: true}, func(_ int, h http.Header, _ string, _ error) bool {
			at, err := http.ParseTime(h.Get("Retry-After"))
			return err == nil && time.Until(at) > 59*time.Minute
		}},
		"HTML with 200": {Rule{Status: 200, Type: "text/html", Body: "<html>"}, func(s int, h http.Header, b string, _ error) bool {
			return s == 200 && h.Get("Content-Type") == "text/html" && b == "<html>"
		}},
		"a redirect": {Rule{Location: "http://elsewhere.example"}, func(s int, h http.Header, _ string, _ error) bool {
			return s == 302 && h.Get("Location") == "http://elsewhere.example"+two
		}},
		"a connection that is cut": {Rule{Drop: true}, func(s int, _ http.Header, _ string, err error) bool { return s == 0 && err != nil }},
		"silence":                  {Rule{Silent: true}, func(_ int, _ http.Header, _ string, err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		"a body that is cut off": {Rule{CutAfter: 10}, func(s int, _ http.Header, b string, err error) bool {
			return s == 200 && err != nil && len(b) <= 10
		}},
		"a parameter that is refused": {Rule{Refuse: []string{"max-round"}}, func(s int, _ http.Header, b string, _ error) bool {
			return s == 400 && strings.Contains(b, "provided disabled parameter: max-round")
		}},
	} {
		status, header, body, err := get(t, start(t, c.rule), two)
		if !c.check(status, header, body, err) {
			t.Errorf("%s: %d %v %q %v", name, status, header, body, err)
		}
	}
}

func TestItChangesWhatTheServerSays(t *testing.T) {
	for name, c := range map[string]struct {
		rule    Rule
		current uint64
		ids     string
	}{
		"a jump of the round":    {Rule{Round: 1_000_000}, 1_000_100, "T99 T100"},
		"an old round":           {Rule{At: 7}, 7, "T99 T100"},
		"a lag":                  {Rule{Lag: 1}, 99, "T99"},
		"a long lag":             {Rule{Lag: 50}, 50, ""},
		"an indexer that stands": {Rule{Frozen: 99}, 99, "T99"},
		"an omission":            {Rule{Hide: []string{"T99"}}, 100, "T100"},
		"a forgery":              {Rule{Forge: []Forgery{{TxID: "T99", Field: "id", Value: "T1"}}}, 100, "T1 T100"},
	} {
		_, _, body, err := get(t, start(t, c.rule), two)
		if err != nil {
			t.Fatal(err)
		}
		if current, ids, _ := page(t, body); current != c.current || strings.Join(ids, " ") != c.ids {
			t.Errorf("%s: %s", name, body)
		}
	}
}

func TestPagesWithoutEndGoOn(t *testing.T) {
	g := start(t, Rule{Endless: true})
	next := map[string]bool{}
	path := two
	for range 5 {
		_, _, body, err := get(t, g, path)
		if err != nil {
			t.Fatal(err)
		}
		_, ids, token := page(t, body)
		if len(ids) != 2 || next[token] {
			t.Fatalf("a page has %v, and the next is %q", ids, token)
		}
		next[token] = true
		path = two + "&next=" + token
	}
}

func TestARuleTreatsTheRequestsThatItIsMeantFor(t *testing.T) {
	for name, c := range map[string]struct {
		rule Rule
		want string // the first digit of each status
	}{
		"all":               {Rule{Status: 500}, "5555"},
		"by path":           {Rule{Match: "GET /v2/status", Status: 500}, "2222"},
		"some":              {Rule{Skip: 1, Count: 2, Status: 500}, "2552"},
		"a share":           {Rule{Share: 0.5, Status: 500}, "2525"},
		"beyond a rate":     {Rule{Rate: 0.01, Status: 500}, "2555"},
		"in rounds to come": {Rule{From: 101, Status: 500}, "2222"},
		"in these rounds":   {Rule{From: 100, Until: 100, Status: 500}, "2555"}, // the first tells the round
	} {
		g := start(t, c.rule)
		got := ""
		for range 4 {
			status, _, _, err := get(t, g, two)
			if err != nil {
				t.Fatal(err)
			}
			got += strconv.Itoa(status / 100)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestRulesAreReadStrictly(t *testing.T) {
	rules, err := ParseRules([]byte(`[{"match":"/x","status":429,"retry_after":"20s"}]`))
	if err != nil || len(rules) != 1 || rules[0].RetryAfter != Duration(20*time.Second) {
		t.Errorf("%+v, %v", rules, err)
	}
	for _, bad := range []string{`[{"statu":1}]`, `{}`, `[] x`, `[{"delay":"soon"}]`} {
		if _, err := ParseRules([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if err := start(t).Set(Rule{Match: "("}); err == nil {
		t.Error("a pattern that is none is taken")
	}
}
