package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"github.com/serviceledger/slnode/node/problem"
)

// stream is a question whose answer can be any length: an item a line, and at the end what is to be said of all.
// Neither side holds more than one item.
type stream[In, Item, End any] struct {
	path  string
	order bool // it changes something, and what it is about is the body, as that of an [endpoint]
}

func (s stream[In, Item, End]) method() string { return methodOf(s.order) }

// read reads what is asked.
func (s stream[In, Item, End]) read(r *http.Request) (in In, err error) {
	if s.order {
		return in, readOrder(r, &in)
	}
	return in, json.Unmarshal([]byte(r.URL.Query().Get("what")), &in)
}

// streamLine is one line of the answer.
type streamLine[Item, End any] struct {
	Item  *Item  `json:"item,omitempty"`
	End   *End   `json:"end,omitempty"`
	Error string `json:"error,omitempty"`
}

// serve adds what answers the question to a router of /admin/.
func (s stream[In, Item, End]) serve(admin *mux.Router, do func(ctx context.Context, in In, visit func(Item) error) (End, error)) {
	admin.HandleFunc(s.path, func(w http.ResponseWriter, r *http.Request) {
		in, err := s.read(r)
		if err != nil {
			refuse(w, problem.Input(fmt.Errorf("reading the request: %w", err)))
			return
		}
		lines, begun := json.NewEncoder(w), false
		end, err := do(r.Context(), in, func(item Item) error {
			if !begun {
				w.Header().Set("Content-Type", "application/x-ndjson")
				begun = true
			}
			return lines.Encode(streamLine[Item, End]{Item: &item})
		})
		switch {
		case err == nil:
			_ = lines.Encode(streamLine[Item, End]{End: &end}) // the caller has gone
		case begun:
			_ = lines.Encode(streamLine[Item, End]{Error: err.Error()})
		default:
			refuse(w, err)
		}
	}).Methods(s.method())
}

// ask asks the node of a client, and visits the items.
func (s stream[In, Item, End]) ask(ctx context.Context, c *Client, in In, visit func(Item) error) (end End, err error) {
	what, err := json.Marshal(in)
	if err != nil {
		return end, fmt.Errorf("asking the node: %w", err)
	}
	path, body := "/admin"+s.path+"?what="+url.QueryEscape(string(what)), []byte(nil)
	if s.order {
		path, body = "/admin"+s.path, what
	}
	response, err := c.ask(ctx, s.method(), path, body)
	if err != nil {
		return end, err
	}
	defer response.Body.Close()
	for lines := json.NewDecoder(bufio.NewReader(response.Body)); ; {
		var line streamLine[Item, End]
		if err := lines.Decode(&line); err != nil {
			return end, fmt.Errorf("reading the node's answer: %w", err)
		}
		switch {
		case line.Error != "":
			return end, errors.New(line.Error)
		case line.End != nil:
			return *line.End, nil
		case line.Item == nil:
			return end, errors.New("reading the node's answer: a line says nothing")
		}
		if err := visit(*line.Item); err != nil {
			return end, err
		}
	}
}
