package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/config"
)

// endpointCase is one endpoint: what is sent, which part of the node is asked what, and the line that it leaves.
type endpointCase struct {
	method, path, body string
	asks               string // "" for what the repository answers itself
	line               string // of the audit log; "" for none
}

const inCollection = `{"collection":"notes","is":`

// endpointCases have an entry for each endpoint. They are in an order in which all succeed.
var endpointCases = []endpointCase{
	{"GET", "/alive", "", "", ""},
	{"GET", "/status", "", "status", ""},
	{"GET", "/consortium", "", "", ""},
	{"GET", "/verify?what=a+b", "", "verify a b", ""},
	{"GET", "/show?what=TX", "", "show TX", ""},
	{"GET", "/history?what=notes", "", "history notes", ""},
	{"GET", "/governor", "", "governor", ""},
	{"GET", "/feeds", "", "", ""},
	{"POST", "/rebuild", `{}`, "rebuild", "rebuild-view"},
	{"POST", "/sole", `{}`, "sole", "sole-keys"},
	{"POST", "/console/ticket", `{}`, "", "console-ticket"},
	{"POST", "/withdraw", `{"what":"TX","collection":"C"}`, "withdraw TX C", "withdraw 2"},
	{"POST", "/wallet/reclaim", `{"published":true}`, "reclaim true false", "sweep-wallet FORMER 2"},
	{"POST", "/rotate", `{"peer":true}`, "rotate-keys {Account:false Peer:true Identity:false}", "rotate-keys"},
	{"POST", "/admit", `"cmVxdWVzdA=="`, "admit request", "admit newcomer"},
	{"POST", "/admit/price", `"cmVxdWVzdA=="`, "admit-price request", ""},
	{"POST", "/remove", `"mallory"`, "remove mallory", "remove-member mallory"},
	{"POST", "/replace", `{"member":"mallory","request":"cmVxdWVzdA=="}`, "replace mallory request", "replace-keys mallory"},
	{"POST", "/governor/set", `{"threshold":2,"accounts":["A","B"]}`, "set-governor 2 [A B]", "set-governor A,B"},
	{"POST", "/governor/submit", `["YQ==","Yg=="]`, "submit 2", "submit-proposal member A"},
	{"POST", "/governor/renew", `"ZmlsZQ=="`, "renew file", "renew-proposal removal B"},
	{"POST", "/collections", `{"title":"Ring","readers":["founder","mallory"]}`, "create Ring [founder mallory]", "create-collection " + someCollection + " founder,mallory"},
	{"POST", "/collections/grant", inCollection + `{"organisations":["mallory"],"contribute":true,"from":"now"}}`, "grant notes {Organisations:[mallory] Contribute:true From:now}", "grant " + someCollection + " mallory"},
	{"POST", "/collections/revoke", inCollection + `["mallory"]}`, "revoke notes [mallory]", "revoke " + someCollection + " mallory"},
	{"POST", "/collections/rotate", inCollection + `{}}`, "rotate notes", "rotate " + someCollection},
	{"POST", "/collections/set", inCollection + `{"title":"Other"}}`, "set notes Other", "set " + someCollection},
	{"POST", "/feeds/add", `{"name":"misp","url":"https://misp.example"}`, "add-feed misp https://misp.example", "add-feed misp"},
	{"POST", "/feeds/remove", `"misp"`, "remove-feed misp", "remove-feed misp"},
	{"POST", "/feeds/pause", `"misp"`, "pause-feed misp true", "pause-feed misp"},
	{"POST", "/feeds/resume", `"misp"`, "pause-feed misp false", "resume-feed misp"},
	{"POST", "/feeds/test", `"misp"`, "test-feed misp", ""},
	{"POST", "/feeds/try", `{"name":"other","url":"https://misp.example"}`, "try-feed other https://misp.example", ""},
	{"POST", "/feeds/run", `{"name":"misp","again":true}`, "run-feed misp true", "run-feed misp"},
	{"GET", "/webhooks", "", "", ""},
	{"POST", "/webhooks/test", `"siem"`, "", ""},
	{"POST", "/webhooks/replay", `{"name":"siem","since":"2026-01-02T03:04:05Z"}`, "", "replay-webhook siem"},
	{"GET", "/accounts", "", "", ""},
	{"GET", "/keys", "", "", ""},
	{"GET", "/tokens", "", "", ""},
	{"POST", "/accounts/add", `{"user":"alice","password":"correct horse","role":"reader","read":["notes"]}`, "", "sign-up alice"},
	{"POST", "/accounts/change", `{"user":"alice","role":"publisher"}`, "", "set-role alice"},
	{"POST", "/keys/add", `{"name":"siem","role":"reader"}`, "", "add-key siem"},
	{"POST", "/keys/remove", `"siem"`, "", "remove-key siem"},
	{"POST", "/tokens/revoke", `{"user":"alice"}`, "", "revoke-token alice 1"},
	{"GET", "/limits", "", "", ""},
	{"POST", "/limits/set", `{"of":"accounts","name":"alice","objects":7,"algo":"2 ALGO"}`, "", "set-limit alice"},
	{"POST", "/accounts/remove", `{"user":"alice","last":true}`, "", "remove-user alice"},
}

// streams are answered with files and streams, and are no endpoints of the table.
var streams = []string{"GET /admin/shared", "GET /admin/wallet/history", "POST /admin/withdraw/many", "GET /admin/evidence", "GET /admin/audit", "GET /admin/dump", "/admin/pprof/profile", "/admin/pprof/{name:heap|goroutine|allocs|mutex|block}"}

func (c endpointCase) route() string {
	path, _, _ := strings.Cut(c.path, "?")
	return c.method + " /admin" + path
}

func TestEveryEndpointAsksThePartThatItIsForAndIsWrittenDown(t *testing.T) {
	o := newOperated(t)
	o.parts.withdrawn = make([]withdraw.Withdrawal, 2)
	nodetest.Must(t, o.api.Webhooks.Reload([]config.Webhook{aWebhook}))
	var want []string
	for _, c := range endpointCases {
		if c.path == "/tokens/revoke" {
			_, err := o.api.Accounts.Login(t.Context(), "alice", "correct horse")
			nodetest.Must(t, err)
		}
		status, body := o.do(c.method, "/admin"+c.path, c.body)
		if status != http.StatusOK || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s", c.path, status, body)
		}
		if asked := o.parts.taken(); asked != c.asks {
			t.Errorf("%s asks %q, want %q", c.path, asked, c.asks)
		}
		if c.line != "" {
			want = append(want, c.line)
		}
		if got := o.lines(); !slices.Equal(got, want) {
			t.Fatalf("after %s the audit log has %q, want %q", c.path, got, want)
		}
	}
}

func TestEveryRouteOfTheOperatorIsTried(t *testing.T) {
	o := newOperated(t)
	var want []string
	for _, c := range endpointCases {
		want = append(want, c.route())
	}
	var got []string
	nodetest.Must(t, o.handler.(*mux.Router).Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		if err != nil || !strings.HasPrefix(path, "/admin/") || path == "/admin/" {
			return nil
		}
		methods, _ := route.GetMethods() // none: all
		got = append(got, strings.TrimSpace(strings.Join(methods, ",")+" "+path))
		return nil
	}))
	slices.Sort(got)
	if all := slices.Sorted(slices.Values(append(want, streams...))); !slices.Equal(got, all) {
		t.Errorf("the routes are\n%s\ntried are\n%s", strings.Join(got, "\n"), strings.Join(all, "\n"))
	}
	if len(endpointCases) != 47 {
		t.Errorf("%d endpoints", len(endpointCases))
	}
}

func TestNothingIsAnsweredWithoutTheTokenOrByAnotherMethod(t *testing.T) {
	o := newOperated(t)
	for _, c := range endpointCases {
		for _, credential := range []string{"", "Bearer", "Bearer wrong", "Bearer " + token + "x", "Bearer " + token[1:], "Basic b3BlcmF0b3I6"} {
			if status, body := o.do(c.method, "/admin"+c.path, c.body, "Authorization: "+credential); status != http.StatusUnauthorized || strings.Contains(body, token) {
				t.Errorf("%s with %q: %d %s", c.path, credential, status, body)
			}
		}
		other := http.MethodPost
		if c.method == http.MethodPost {
			other = http.MethodGet
		}
		for _, method := range []string{other, http.MethodPut, http.MethodDelete} {
			if status, _ := o.do(method, "/admin"+c.path, c.body); status != http.StatusMethodNotAllowed && status != http.StatusNotFound {
				t.Errorf("%s %s: %d", method, c.path, status)
			}
		}
	}
	for _, stream := range streams {
		method, path, one := strings.Cut(strings.Replace(stream, "{name:heap|goroutine|allocs|mutex|block}", "heap", 1), " ")
		if !one {
			method, path = http.MethodGet, method
		}
		if status, _ := o.do(method, path, "{}", "Authorization: Bearer wrong"); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, status)
		}
	}
	// What changes something does so by no GET, whatever is asked.
	if status, _ := o.do(http.MethodGet, "/admin/withdraw/many?what="+url.QueryEscape(`{"types":["tool"]}`), ""); status != http.StatusMethodNotAllowed && status != http.StatusNotFound {
		t.Errorf("many are withdrawn by GET: %d", status)
	}
	if asked, lines := o.parts.taken(), o.lines(); asked != "" || len(lines) > 0 {
		t.Errorf("it was asked all the same: %s, written down are %q", asked, lines)
	}
}

func TestAnOrderThatCantBeReadIsRefusedAndDoesNothing(t *testing.T) {
	o := newOperated(t)
	for _, c := range endpointCases {
		if c.method != http.MethodPost {
			continue
		}
		for what, body := range map[string]string{
			"nothing": "", "no JSON": "x", "half of it": c.body[:len(c.body)-1], "another type": `[{"a":1}]`,
			"too much": `"` + strings.Repeat("x", maxRequest) + `"`,
		} {
			status, answer := o.do(http.MethodPost, "/admin"+c.path, body)
			var told adminError
			if err := json.Unmarshal([]byte(answer), &told); status != http.StatusBadRequest || err != nil || !strings.HasPrefix(told.Error, "reading the request: ") {
				t.Errorf("%s with %s: %d %.200s", c.path, what, status, answer)
			}
			if what == "too much" && !strings.Contains(told.Error, "too large") && !strings.Contains(told.Error, "cannot unmarshal") {
				t.Errorf("%s: a body that is too large is called %q", c.path, told.Error)
			}
		}
		if strings.HasPrefix(c.body, "{") {
			body := strings.Replace(c.body, "{", `{"nonsense":1,`, 1)
			if c.body == "{}" {
				body = `{"nonsense":1}`
			}
			if status, answer := o.do(http.MethodPost, "/admin"+c.path, body); status != http.StatusBadRequest || !strings.Contains(answer, "nonsense") {
				t.Errorf("%s with a field that it doesn't have: %d %s", c.path, status, answer)
			}
		}
	}
	if asked, lines := o.parts.taken(), o.lines(); asked != "" || len(lines) > 0 {
		t.Errorf("it was asked all the same: %s, written down are %q", asked, lines)
	}
}

func TestWhatFailsIsToldAndNotWrittenDown(t *testing.T) {
	o := newOperated(t)
	for _, c := range endpointCases {
		if c.asks == "" {
			continue
		}
		for err, want := range map[error]int{
			errors.New("the chain is away"):                                              http.StatusInternalServerError,
			problem.Input(errors.New("no such thing")):                                   http.StatusBadRequest,
			fmt.Errorf("doing it: %w", problem.Input(errors.New("there is no mallory"))): http.StatusBadRequest,
		} {
			o.parts.err = err
			status, body := o.do(c.method, "/admin"+c.path, c.body)
			var told adminError
			if jsonErr := json.Unmarshal([]byte(body), &told); jsonErr != nil || status != want || told.Error != err.Error() {
				t.Errorf("%s: %d %s, want %d", c.path, status, body, want)
			}
		}
	}
	if lines := o.lines(); len(lines) > 0 {
		t.Errorf("written down are %q", lines)
	}
}

// A withdrawal that ends early has withdrawn what it has withdrawn.
func TestWhatWasWithdrawnIsWrittenDownThoughTheRestFailed(t *testing.T) {
	o := newOperated(t)
	o.parts.err = errors.New("the chain is away")
	o.parts.withdrawn = make([]withdraw.Withdrawal, 3)
	if status, _ := o.do(http.MethodPost, "/admin/withdraw", `{"what":"TX"}`); status != http.StatusInternalServerError {
		t.Errorf("it is answered with %d", status)
	}
	if lines := o.lines(); !slices.Equal(lines, []string{"withdraw 3"}) {
		t.Errorf("written down are %q", lines)
	}
	o.parts.err, o.parts.withdrawn = nil, nil
	if status, _ := o.do(http.MethodPost, "/admin/withdraw", `{"what":"TX"}`); status != http.StatusOK || len(o.lines()) != 1 {
		t.Errorf("nothing was withdrawn (%d), and written down are %q", status, o.lines())
	}
}

// Where the governor is several accounts, one of them has signed, and nobody is admitted or removed so far.
func TestAProposalIsNotWrittenDownAsWhatItProposes(t *testing.T) {
	o := newOperated(t)
	o.parts.together = true
	for _, c := range endpointCases {
		if slices.Contains([]string{"/admit", "/remove", "/replace", "/governor/set"}, c.path) {
			o.do(c.method, "/admin"+c.path, c.body)
		}
	}
	if want := []string{"propose-admit newcomer", "propose-remove-member mallory", "propose-replace-keys mallory", "propose-set-governor A,B"}; !slices.Equal(o.lines(), want) {
		t.Errorf("written down are %q, want %q", o.lines(), want)
	}
}

// A collection is looked for once the chain is known: before that an alias could be another's.
func TestACollectionIsChangedOnlyOnceTheChainIsKnown(t *testing.T) {
	o := newOperated(t)
	o.parts.behind = errors.New("the indexer is away")
	for _, c := range endpointCases {
		changes := strings.HasPrefix(c.path, "/collections/")
		status, body := o.do(c.method, "/admin"+c.path, c.body)
		if changes && (status != http.StatusInternalServerError || !strings.Contains(body, "the indexer is away") || o.parts.taken() != "") {
			t.Errorf("%s: %d %s", c.path, status, body)
		}
		o.parts.taken()
	}
}
