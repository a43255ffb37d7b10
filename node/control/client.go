package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/serviceledger/slnode/internal/evidence"
	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// Client talks to a node as its operator: to the daemon that runs on the repository or, if there is none, to a node
// that it runs itself for as long as the client is open.
type Client struct {
	base  string
	token string
	http  *http.Client
	close func() error
	own   bool // the node runs in this process
}

// FindDaemon gives a client of the daemon that runs on a repository; nil if none does.
func FindDaemon(ctx context.Context, dir string) (*Client, error) {
	daemon, err := ReadDaemon(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if lock, err := repo.LockID(dir); err != nil || lock != daemon.Lock {
		return nil, nil // the file was copied with the folder, and names the daemon of the original
	}
	if client := newClient(daemon, func() error { return nil }); client.answers(ctx) {
		return client, nil
	}
	return nil, nil
}

// answers reports whether the daemon is there: the file that names it may be left over from one that was killed, and
// its port another program's by now.
func (c *Client) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return c.call(ctx, http.MethodGet, "/admin/alive", nil, &struct{}{}) == nil
}

// CatchUpPatience is how long a command waits for the view to be what the chain says. A command that only reads shows
// what is known after that.
const CatchUpPatience = 15 * time.Second

// IsDaemon reports whether the node is another process, which logs elsewhere.
func (c *Client) IsDaemon() bool { return !c.own }

// Close ends the node if it runs in this process.
func (c *Client) Close() error { return c.close() }

// TAXII is a TAXII client with the operator's rights.
func (c *Client) TAXII() (*taxii.Client, error) {
	return taxii.NewClient(c.base, taxii.ClientConfig{Token: c.token, HTTP: c.http})
}

// Status asks how the node is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/admin/status", nil, &s)
}

// Consortium asks about the consortium.
func (c *Client) Consortium(ctx context.Context) (info ConsortiumInfo, err error) {
	return info, c.call(ctx, http.MethodGet, "/admin/consortium", nil, &info)
}

// Admit admits the organisation of a request.
func (c *Client) Admit(ctx context.Context, request []byte) (a members.Admission, err error) {
	return a, c.call(ctx, http.MethodPost, "/admin/admit", request, &a)
}

// Verify walks the evidence for an object or a transaction.
func (c *Client) Verify(ctx context.Context, what string) (v proof.Verification, err error) {
	return v, c.call(ctx, http.MethodGet, "/admin/verify?what="+url.QueryEscape(what), nil, &v)
}

// Show asks what is known of an object.
func (c *Client) Show(ctx context.Context, what string) (s withdraw.Shown, err error) {
	return s, c.call(ctx, http.MethodGet, "/admin/show?what="+url.QueryEscape(what), nil, &s)
}

// Remove ends the membership of an organisation.
func (c *Client) Remove(ctx context.Context, name string) (r members.Removal, err error) {
	return r, c.say(ctx, "/admin/remove", name, &r)
}

// RotateKeys gives this organisation other keys.
func (c *Client) RotateKeys(ctx context.Context, change repo.Change) (r members.Rotated, err error) {
	return r, c.say(ctx, "/admin/rotate", change, &r)
}

// ReplaceKeys gives a member other keys, those of a request.
func (c *Client) ReplaceKeys(ctx context.Context, member string, request []byte) (r members.Rotated, err error) {
	return r, c.say(ctx, "/admin/replace", replacement{member, request}, &r)
}

// Governor asks who the governor is.
func (c *Client) Governor(ctx context.Context) (g members.GovernorInfo, err error) {
	return g, c.call(ctx, http.MethodGet, "/admin/governor", nil, &g)
}

// SetGovernor amends the charter.
func (c *Client) SetGovernor(ctx context.Context, change members.GovernorChange) (g members.GovernorInfo, err error) {
	return g, c.say(ctx, "/admin/governor/set", change, &g)
}

// SubmitProposal sends a proposal of the governor's, given by one copy or several.
func (c *Client) SubmitProposal(ctx context.Context, files [][]byte) (s members.Submitted, err error) {
	return s, c.say(ctx, "/admin/governor/submit", files, &s)
}

// RenewProposal makes a proposal anew that took too long.
func (c *Client) RenewProposal(ctx context.Context, file []byte) (p members.ProposalInfo, err error) {
	return p, c.say(ctx, "/admin/governor/renew", file, &p)
}

// Withdraw takes objects of this organisation back.
func (c *Client) Withdraw(ctx context.Context, s withdraw.Selection) (list []withdraw.Withdrawal, err error) {
	return list, c.say(ctx, "/admin/withdraw", s, &list)
}

// CreateCollection makes a collection of this organisation.
func (c *Client) CreateCollection(ctx context.Context, spec collections.Spec) (info collections.Info, err error) {
	return info, c.say(ctx, "/admin/collections", spec, &info)
}

// Grant lets organisations read a collection of this one, given by id or alias.
func (c *Client) Grant(ctx context.Context, id string, g collections.Grant) (info collections.Info, err error) {
	return info, c.say(ctx, "/admin/collections/"+url.PathEscape(id)+"/grant", g, &info)
}

// Revoke takes organisations out of a collection's readers.
func (c *Client) Revoke(ctx context.Context, id string, names []string) (info collections.Info, err error) {
	return info, c.say(ctx, "/admin/collections/"+url.PathEscape(id)+"/revoke", names, &info)
}

// Rotate begins a key epoch of a collection.
func (c *Client) Rotate(ctx context.Context, id string) (info collections.Info, err error) {
	return info, c.say(ctx, "/admin/collections/"+url.PathEscape(id)+"/rotate", struct{}{}, &info)
}

// SetCollection changes the properties of a collection.
func (c *Client) SetCollection(ctx context.Context, id string, change collections.Change) (info collections.Info, err error) {
	return info, c.say(ctx, "/admin/collections/"+url.PathEscape(id)+"/set", change, &info)
}

// Evidence asks for a file that proves a publication, see [proof.Notary.Evidence].
func (c *Client) Evidence(ctx context.Context, what string, disclose bool) ([]byte, error) {
	query := url.Values{"what": {what}, "disclose": {strconv.FormatBool(disclose)}}
	response, err := c.ask(ctx, http.MethodGet, "/admin/evidence?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, evidence.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the node's answer: %w", err)
	}
	return data, nil
}

// Audit compares the event log with algod's blocks, see [proof.Notary.Audit].
func (c *Client) Audit(ctx context.Context, o proof.AuditOptions, progress func(done, total uint64)) (proof.Audit, error) {
	query := url.Values{"every_round": {strconv.FormatBool(o.EveryRound)}, "from": {strconv.FormatUint(o.From, 10)}}
	response, err := c.ask(ctx, http.MethodGet, "/admin/audit?"+query.Encode(), nil)
	if err != nil {
		return proof.Audit{}, err
	}
	defer response.Body.Close()
	for lines := json.NewDecoder(response.Body); ; {
		var line auditLine
		if err := lines.Decode(&line); err != nil {
			return proof.Audit{}, fmt.Errorf("reading the node's answer: %w", err)
		}
		switch {
		case line.Error != "":
			return proof.Audit{}, errors.New(line.Error)
		case line.Result != nil:
			return *line.Result, nil
		}
		progress(line.Done, line.Total)
	}
}

// Feeds lists the feeds.
func (c *Client) Feeds(ctx context.Context) (list []feeds.Info, err error) {
	return list, c.call(ctx, http.MethodGet, "/admin/feeds", nil, &list)
}

// AddFeed makes a feed.
func (c *Client) AddFeed(ctx context.Context, f repo.Feed) (info feeds.Info, err error) {
	return info, c.say(ctx, "/admin/feeds", f, &info)
}

// RemoveFeed ends a feed.
func (c *Client) RemoveFeed(ctx context.Context, name string) error {
	return c.say(ctx, "/admin/feeds/"+url.PathEscape(name)+"/remove", struct{}{}, &struct{}{})
}

// TestFeed finds out what a feed would do.
func (c *Client) TestFeed(ctx context.Context, name string) (trial feeds.Trial, err error) {
	return trial, c.say(ctx, "/admin/feeds/"+url.PathEscape(name)+"/test", struct{}{}, &trial)
}

// RunFeed runs a feed now.
func (c *Client) RunFeed(ctx context.Context, name string, again bool) (report feed.Report, err error) {
	return report, c.say(ctx, "/admin/feeds/"+url.PathEscape(name)+"/run", feeds.Run{Again: again}, &report)
}

// Sole says that no other node has this organisation's keys any more.
func (c *Client) Sole(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/admin/sole", nil, &struct{}{})
}

// Rebuild makes the node derive its view anew.
func (c *Client) Rebuild(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/admin/rebuild", nil, &struct{}{})
}

// maxAnswer bounds an answer of our own daemon, in bytes.
const maxAnswer = 64 << 20

// say posts something as JSON.
func (c *Client) say(ctx context.Context, path string, what, result any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("asking the node: %w", err)
	}
	return c.call(ctx, http.MethodPost, path, body, result)
}

func (c *Client) call(ctx context.Context, method, path string, body []byte, result any) error {
	response, err := c.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the node's answer: %w", err)
	}
	if err := json.Unmarshal(data, result); err != nil {
		return fmt.Errorf("reading the node's answer: %w", err)
	}
	return nil
}

// ask sends a request. The response is a success, and its body is the caller's to close.
func (c *Client) ask(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking the node: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the node: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	var told adminError
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking the node: %w", err)
	case json.Unmarshal(data, &told) != nil || told.Error == "":
		return nil, fmt.Errorf("the node answered %s", response.Status)
	case response.StatusCode == http.StatusBadRequest:
		return nil, problem.Input(errors.New(told.Error))
	}
	return nil, errors.New(told.Error)
}

// NewOwnClient is a client of a node in this process, which ends with it.
func NewOwnClient(daemon Daemon, close func() error) *Client {
	client := newClient(daemon, close)
	client.own = true
	return client
}
