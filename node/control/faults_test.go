package control

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/accounts"
)

// questions are the methods of a client that ask the node, with nothing in particular.
func questions(t *testing.T, c *Client) map[string]func() error {
	t.Helper()
	asks, errorType, contextType := map[string]func() error{}, reflect.TypeFor[error](), reflect.TypeFor[context.Context]()
	for i := range reflect.TypeOf(c).NumMethod() {
		method := reflect.ValueOf(c).Method(i)
		kind := method.Type()
		if kind.NumIn() == 0 || kind.In(0) != contextType || kind.NumOut() == 0 || kind.Out(kind.NumOut()-1) != errorType {
			continue
		}
		arguments := []reflect.Value{reflect.ValueOf(t.Context())}
		for n := 1; n < kind.NumIn(); n++ {
			arguments = append(arguments, reflect.Zero(kind.In(n)))
		}
		asks[reflect.TypeOf(c).Method(i).Name] = func() error {
			out := method.Call(arguments)
			err, _ := out[len(out)-1].Interface().(error)
			return err
		}
	}
	if len(asks) < 30 {
		t.Fatalf("the client has %d questions", len(asks))
	}
	return asks
}

// Whatever is asked, a node that fails, refuses, says nonsense or breaks off is told of, and never taken for an answer.
func TestANodeThatDoesNotAnswerIsNeverTakenForAnAnswer(t *testing.T) {
	for what, answer := range map[string]http.HandlerFunc{
		"fails": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":"it is broken"}`, http.StatusInternalServerError)
		},
		"refuses":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error":"no"}`, http.StatusBadRequest) },
		"is another": func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) },
		"breaks off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		server := httptest.NewServer(answer)
		c := &Client{base: server.URL, http: server.Client()}
		for name, ask := range questions(t, c) {
			if err := ask(); err == nil {
				t.Errorf("%s of a node that %s is answered", name, what)
			}
		}
		server.Close()
	}
	nobody := &Client{base: "http://127.0.0.1:0", http: http.DefaultClient}
	for name, ask := range questions(t, nobody) {
		if ask() == nil {
			t.Errorf("%s of nobody is answered", name)
		}
	}
}

// Accounts that can't be read are not said to be none.
func TestAccountsThatCantBeReadAreNotSaidToBeNone(t *testing.T) {
	o := newOperated(t)
	c, ctx := o.client, t.Context()
	told := func(what string, ask func() error) {
		t.Helper()
		o.Faults.EachIsTold(t, what, func() error {
			if ask() != nil {
				return nodetest.ErrFault
			}
			return nil
		})
	}
	_, err := c.AddAccount(ctx, clients.AccountSpec{User: "alice", Password: "correct horse", Role: "reader"})
	nodetest.Must(t, err)
	_, err = c.AddKey(ctx, clients.KeySpec{Name: "siem", Role: "reader"})
	nodetest.Must(t, err)
	told("the accounts", func() error { _, err := c.Accounts(ctx); return err })
	told("the keys", func() error { _, err := c.Keys(ctx); return err })
	told("the tokens", func() error { _, err := c.Tokens(ctx); return err })
	told("a change", func() error {
		_, err := c.ChangeAccount(ctx, clients.AccountChange{User: "alice", Role: "publisher"})
		return err
	})
	told("a key less", func() error { return c.RemoveKey(ctx, "siem") })
	told("an account less", func() error { return c.RemoveAccount(ctx, clients.AccountRemoval{User: "alice", Last: true}) })
	_, err = c.AddAccount(ctx, clients.AccountSpec{User: "bob", Password: "correct horse", Role: "reader", Limits: accounts.Limits{Read: []string{"nothing"}}})
	if err == nil {
		t.Error("an account is limited to a collection that there is not")
	}
}

// A round that is none is refused, in whatever form, and the largest is one.
func TestAnAuditBeginsAtARound(t *testing.T) {
	o := newOperated(t)
	for from, want := range map[string]int{"18446744073709551615": http.StatusOK, "10": http.StatusOK, "a": http.StatusBadRequest, "-1": http.StatusBadRequest, "18446744073709551616": http.StatusBadRequest} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.server.URL+"/admin/audit?from="+from, nil)
		nodetest.Must(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := o.server.Client().Do(request)
		nodetest.Must(t, err)
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("from %s it answers %s", from, response.Status)
		}
	}
}
