package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// Daemon is where a running daemon is reached, as it says itself.
type Daemon struct {
	PID     int    `json:"pid"`
	Admin   string `json:"admin"`
	Token   string `json:"token"`
	TAXII   string `json:"taxii"`
	URL     string `json:"taxii_url"`
	Gateway string `json:"gateway"`
	Metrics string `json:"metrics"`
}

func readDaemon(dir string) (d Daemon, err error) {
	data, err := os.ReadFile(filepath.Join(dir, "daemon.json"))
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	return d, err
}

// Find learns from a repository where its daemon is reached.
func (n *Node) Find() error {
	daemon, err := readDaemon(n.Dir)
	if err == nil {
		n.Daemon = daemon
	}
	return err
}

// StatusError is an answer that is no success.
type StatusError struct {
	Code int
	Body string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%d: %s", e.Code, strings.TrimSpace(e.Body)) }

// Ask reads what the node tells its operator, at a path of /admin/.
func (n *Node) Ask(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Daemon.Admin+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+n.Daemon.Token)
	answer, err := Do(request)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// Request is a request to the TAXII server of the node, with a token of [Node.Login].
func (n *Node) Request(ctx context.Context, token, method, path string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+n.Daemon.TAXII+path, bytes.NewReader(body))
	if err == nil {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request, err
}

// SignUp makes the first account of the node's TAXII server. A server that has one already is left as it is.
func (n *Node) SignUp(ctx context.Context) error {
	_, err := n.tell(ctx, "/v1/signup/admin", map[string]string{"org_name": n.Name, "username": n.User, "password": n.Password})
	if refused := (*StatusError)(nil); errors.As(err, &refused) && refused.Code == http.StatusConflict {
		return nil
	}
	if err != nil {
		return &Failure{What: "signing up at " + n.Name + " failed", Log: n.Log, Err: err}
	}
	return nil
}

// Login begins a session of the first account, and returns its token.
func (n *Node) Login(ctx context.Context) (token string, err error) {
	answer, err := n.tell(ctx, "/v1/login", map[string]string{"username": n.User, "password": n.Password})
	var session struct {
		Token string `json:"sl_token"`
	}
	if err == nil {
		err = json.Unmarshal(answer, &session)
	}
	if err == nil && session.Token == "" {
		err = errors.New("there is no token in the answer")
	}
	if err != nil {
		return "", &Failure{What: "logging in at " + n.Name + " failed", Log: n.Log, Err: err}
	}
	return session.Token, nil
}

// tell makes a request that has no credentials.
func (n *Node) tell(ctx context.Context, path string, what any) ([]byte, error) {
	body, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.Daemon.TAXII+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	return Do(request)
}

// Do makes a request and returns the body of a success.
func Do(request *http.Request) ([]byte, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode < 200 || response.StatusCode > 299) {
		err = &StatusError{Code: response.StatusCode, Body: string(body)}
	}
	return body, err
}
