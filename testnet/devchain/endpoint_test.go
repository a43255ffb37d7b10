package devchain

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"
)

func TestAClosingEndpointTellsRequestsToEndAndLetsThemAnswer(t *testing.T) {
	entered := make(chan struct{})
	e, err := newEndpoint(anyPort, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		io.WriteString(w, "ended")
	}))
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		response, err := http.Get(e.url())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answer <- string(body)
	}()
	<-entered
	if err := e.close(); err != nil {
		t.Error(err)
	}
	if got := <-answer; got != "ended" {
		t.Errorf("the request got %q", got)
	}
	if err := e.up(); err == nil {
		t.Error("a closed endpoint came up")
	}
}

func TestADelayedRequestGetsNoAnswerFromAClosingEndpoint(t *testing.T) {
	entered := make(chan struct{})
	h := gate(func() hindrance { return hindrance{latency: time.Hour} }, nil)
	e, err := newEndpoint(anyPort, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		h.ServeHTTP(w, r)
	}))
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		response, err := http.Get(e.url())
		if err == nil {
			response.Body.Close()
		}
		failed <- err
	}()
	<-entered
	if err := e.close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, io.EOF) {
		t.Errorf("the request got %v", err)
	}
}
