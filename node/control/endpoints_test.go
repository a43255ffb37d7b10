package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

type shout struct {
	Text string `json:"text"`
}

func TestAnEndpointIsServedAskedAndWrittenDownInOnePlace(t *testing.T) {
	dir := t.TempDir()
	config := config.Default()
	config.Organisation.Name = "acme"
	_, err := repo.Init(dir, config, "")
	fatal(t, err)
	r, err := repo.Open(dir, nil)
	fatal(t, err)
	defer func() { fatal(t, r.Close()) }()
	trail := auditlog.New(r)
	echo := question[string, string]("/echo")
	shouts := order("/shout", "shout", func(s shout, got string) about {
		return about{collection: "collection", subjects: []string{s.Text, got}}
	})
	router := mux.NewRouter()
	admin := operatorRoutes(router, "token")
	echo.serve(admin, trail, func(_ context.Context, what string) (string, error) { return what, nil })
	shouts.serve(admin, trail, func(_ context.Context, s shout) (string, error) {
		if s.Text == "" {
			return "", problem.Input(errors.New("nothing to shout"))
		}
		return strings.ToUpper(s.Text), nil
	})
	server := httptest.NewServer(router)
	defer server.Close()
	c := &Client{base: server.URL, token: "token", http: server.Client()}

	if got, err := echo.ask(t.Context(), c, "a b&what=c/é"); err != nil || got != "a b&what=c/é" {
		t.Errorf("the question arrives as %q (%v)", got, err)
	}
	if got, err := shouts.ask(t.Context(), c, shout{"hey"}); err != nil || got != "HEY" {
		t.Errorf("the answer is %q (%v)", got, err)
	}
	var mistake *problem.InputError
	if _, err := shouts.ask(t.Context(), c, shout{}); !errors.As(err, &mistake) {
		t.Errorf("the caller's mistake is %v", err)
	}
	other := order[map[string]int, string]("/shout", "", nil)
	if _, err := other.ask(t.Context(), c, map[string]int{"volume": 11}); !errors.As(err, &mistake) {
		t.Errorf("what the server does not know is %v", err)
	}
	if _, err := echo.ask(t.Context(), &Client{base: server.URL, token: "wrong", http: server.Client()}, "x"); err == nil || !strings.Contains(err.Error(), http.StatusText(http.StatusUnauthorized)) {
		t.Errorf("without the token: %v", err)
	}

	var lines []map[string]any
	fatal(t, trail.Read(t.Context(), taxii.AuditQuery{Event: "shout"}, func(line []byte) error {
		var one map[string]any
		lines = append(lines, one)
		return json.Unmarshal(line, &lines[len(lines)-1])
	}))
	if len(lines) != 1 || lines[0]["collection"] != "collection" || lines[0]["subject"] != "hey,HEY" {
		t.Errorf("the audit log has %v, want the order that was carried out", lines)
	}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The chain takes its time, other members' servers do, and a server's limits are for strangers.
func TestWhatTheOperatorAsksForTakesAsLongAsItTakes(t *testing.T) {
	slow := order[nothing, string]("/slow", "", nil)
	many := stream[nothing, string, string]{path: "/many"}
	router := mux.NewRouter()
	admin := operatorRoutes(router, "token")
	const limit = 50 * time.Millisecond
	outlast := func(ctx context.Context) (string, error) {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(4 * limit):
			return "done", nil
		}
	}
	slow.serve(admin, nil, func(ctx context.Context, _ nothing) (string, error) { return outlast(ctx) })
	many.serve(admin, func(ctx context.Context, _ nothing, visit func(string) error) (string, error) {
		if err := visit("first"); err != nil {
			return "", err
		}
		return outlast(ctx)
	})
	server := httptest.NewUnstartedServer(router)
	server.Config.ReadTimeout, server.Config.WriteTimeout = limit, limit
	server.Start()
	defer server.Close()
	c := &Client{base: server.URL, token: "token", http: server.Client()}
	if got, err := slow.ask(t.Context(), c, nothing{}); err != nil || got != "done" {
		t.Errorf("an order is answered with %q, %v", got, err)
	}
	if got, err := many.ask(t.Context(), c, nothing{}, func(string) error { return nil }); err != nil || got != "done" {
		t.Errorf("a stream ends with %q, %v", got, err)
	}
}
