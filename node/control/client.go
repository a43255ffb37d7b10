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
	"syscall"
	"time"

	"github.com/serviceledger/slnode/internal/evidence"
	"github.com/serviceledger/slnode/internal/feed"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/disclosure"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/keys"
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
	client, _, err := findDaemon(ctx, dir)
	return client, err
}

// answerTimeout is how long a daemon has to say that it is there.
const answerTimeout = 5 * time.Second

// findDaemon also says why there is none.
func findDaemon(ctx context.Context, dir string) (client *Client, absent health.Daemon, err error) {
	daemon, err := ReadDaemon(dir)
	if errors.Is(err, os.ErrNotExist) {
		if pid := repo.LockHolder(dir); pid > 0 {
			return nil, health.Daemon{Absent: fmt.Sprintf("it is not ready yet, or a command uses the repository: process %d", pid), PID: pid}, nil
		}
		return nil, health.Daemon{Absent: "it was not started, or was stopped"}, nil
	}
	if err != nil {
		return nil, absent, err
	}
	if lock, err := repo.LockID(dir); err != nil || lock != daemon.Lock {
		return nil, health.Daemon{Absent: "this folder is a copy, and the daemon that its daemon.json names is that of the original"}, nil
	}
	if client := newClient(daemon, func() error { return nil }); client.answers(ctx) {
		return client, absent, nil
	}
	absent.PID = daemon.PID
	switch {
	case daemon.PID > 0 && repo.LockHolder(dir) == daemon.PID:
		absent.Hangs = true
		absent.Absent = fmt.Sprintf("its process %d is there, and has not answered within %s; look at its log, and start it again if that stays", daemon.PID, answerTimeout)
	case daemon.PID > 0 && syscall.Kill(daemon.PID, 0) == nil:
		absent.Absent = fmt.Sprintf("it does not answer; its process was %d, and one of this number is there", daemon.PID)
	default:
		absent.Absent = fmt.Sprintf("its process %d has ended without a word: it was killed, or the machine lost power", daemon.PID)
	}
	return nil, absent, nil
}

// answers reports whether the daemon is there: the file that names it may be left over from one that was killed, and
// its port another program's by now.
func (c *Client) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := alive.ask(ctx, c, nothing{})
	return err == nil
}

// CatchUpTimeout is how long a command waits for the view to be what the chain says. A command that only reads shows
// what is known after that.
const CatchUpTimeout = 15 * time.Second

// IsDaemon reports whether the node is another process, which logs elsewhere.
func (c *Client) IsDaemon() bool { return !c.own }

// Close ends the node if it runs in this process.
func (c *Client) Close() error { return c.close() }

// TAXII is a TAXII client with the operator's rights.
func (c *Client) TAXII() (*taxii.Client, error) {
	return taxii.NewClient(c.base, taxii.ClientConfig{Token: c.token, HTTP: c.http})
}

// Status asks how the node is.
func (c *Client) Status(ctx context.Context) (health.Status, error) {
	return status.ask(ctx, c, nothing{})
}

// Consortium asks about the consortium.
func (c *Client) Consortium(ctx context.Context) (ConsortiumInfo, error) {
	return overview.ask(ctx, c, nothing{})
}

// PriceOfAdmission tells what it costs to admit the organisation of a request.
func (c *Client) PriceOfAdmission(ctx context.Context, request []byte) (members.Price, error) {
	return toAdmit.ask(ctx, c, request)
}

// Admit admits the organisation of a request.
func (c *Client) Admit(ctx context.Context, request []byte) (members.Admission, error) {
	return admit.ask(ctx, c, request)
}

// Verify walks the evidence for an object or a transaction.
func (c *Client) Verify(ctx context.Context, what string) (proof.Verification, error) {
	return verify.ask(ctx, c, what)
}

// Show asks what is known of an object.
func (c *Client) Show(ctx context.Context, what string) (withdraw.Shown, error) {
	return show.ask(ctx, c, what)
}

// WithdrawMany takes many objects back, see [withdraw.Withdrawer.WithdrawMany].
func (c *Client) WithdrawMany(ctx context.Context, choice withdraw.Choice, say func(withdraw.Progress) error) (withdraw.Progress, error) {
	return takeMany.ask(ctx, c, choice, say)
}

// Shared visits what this organisation has published, see [disclosure.Register.Each].
func (c *Client) Shared(ctx context.Context, q disclosure.Query, visit func(disclosure.Object) error) (disclosure.Known, error) {
	return shared.ask(ctx, c, q, visit)
}

// Spent visits what this organisation has spent, by days, see [money.History.Each].
func (c *Client) Spent(ctx context.Context, q money.Query, visit func(daybook.Line) error) (money.Total, error) {
	return spent.ask(ctx, c, q, visit)
}

// History asks what has happened to a collection, given by id or alias.
func (c *Client) History(ctx context.Context, collection string) (disclosure.History, error) {
	return history.ask(ctx, c, collection)
}

// Reclaim destroys NFTs that accounts of before keep locked ALGO with.
func (c *Client) Reclaim(ctx context.Context, r withdraw.Reclaim) ([]withdraw.Reclaimed, error) {
	return reclaim.ask(ctx, c, r)
}

// Remove ends the membership of an organisation.
func (c *Client) Remove(ctx context.Context, name string) (members.Removal, error) {
	return remove.ask(ctx, c, name)
}

// RotateKeys gives this organisation other keys.
func (c *Client) RotateKeys(ctx context.Context, change keys.Change) (members.Rotated, error) {
	return rotate.ask(ctx, c, change)
}

// ReplaceKeys gives a member other keys, those of a request.
func (c *Client) ReplaceKeys(ctx context.Context, member string, request []byte) (members.Rotated, error) {
	return replace.ask(ctx, c, replacement{member, request})
}

// Governor asks who the governor is.
func (c *Client) Governor(ctx context.Context) (members.GovernorInfo, error) {
	return governor.ask(ctx, c, nothing{})
}

// SetGovernor amends the charter.
func (c *Client) SetGovernor(ctx context.Context, change members.GovernorChange) (members.GovernorInfo, error) {
	return appoint.ask(ctx, c, change)
}

// SubmitProposal sends a proposal of the governor's, given by one copy or several.
func (c *Client) SubmitProposal(ctx context.Context, files [][]byte) (members.Submitted, error) {
	return submit.ask(ctx, c, files)
}

// RenewProposal makes a proposal again that took too long.
func (c *Client) RenewProposal(ctx context.Context, file []byte) (members.ProposalInfo, error) {
	return renew.ask(ctx, c, file)
}

// Withdraw takes objects of this organisation back.
func (c *Client) Withdraw(ctx context.Context, s withdraw.Selection) ([]withdraw.Withdrawal, error) {
	return takeBack.ask(ctx, c, s)
}

// CreateCollection makes a collection of this organisation.
func (c *Client) CreateCollection(ctx context.Context, spec collections.Spec) (collections.Info, error) {
	return create.ask(ctx, c, spec)
}

// Grant lets organisations read a collection of this one, given by id or alias.
func (c *Client) Grant(ctx context.Context, id string, g collections.Grant) (collections.Info, error) {
	return grant.ask(ctx, c, of[collections.Grant]{id, g})
}

// Revoke takes organisations out of a collection's readers.
func (c *Client) Revoke(ctx context.Context, id string, names []string) (collections.Info, error) {
	return revoke.ask(ctx, c, of[[]string]{id, names})
}

// Rotate begins a key epoch of a collection.
func (c *Client) Rotate(ctx context.Context, id string) (collections.Info, error) {
	return newKey.ask(ctx, c, of[nothing]{Collection: id})
}

// SetCollection changes the properties of a collection.
func (c *Client) SetCollection(ctx context.Context, id string, change collections.Change) (collections.Info, error) {
	return configure.ask(ctx, c, of[collections.Change]{id, change})
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

// Crosscheck compares the event log with algod's blocks, see [proof.Notary.Crosscheck].
func (c *Client) Crosscheck(ctx context.Context, o proof.CrosscheckOptions, progress func(done, total uint64)) (proof.Crosscheck, error) {
	query := url.Values{"every_round": {strconv.FormatBool(o.EveryRound)}, "from": {strconv.FormatUint(o.From, 10)}}
	response, err := c.ask(ctx, http.MethodGet, "/admin/audit?"+query.Encode(), nil)
	if err != nil {
		return proof.Crosscheck{}, err
	}
	defer response.Body.Close()
	for lines := json.NewDecoder(response.Body); ; {
		var line auditLine
		if err := lines.Decode(&line); err != nil {
			return proof.Crosscheck{}, fmt.Errorf("reading the node's answer: %w", err)
		}
		switch {
		case line.Error != "":
			return proof.Crosscheck{}, errors.New(line.Error)
		case line.Result != nil:
			return *line.Result, nil
		}
		progress(line.Done, line.Total)
	}
}

// Feeds lists the feeds.
func (c *Client) Feeds(ctx context.Context) ([]feeds.Info, error) {
	return listFeeds.ask(ctx, c, nothing{})
}

// AddFeed makes a feed.
func (c *Client) AddFeed(ctx context.Context, f config.Feed) (feeds.Info, error) {
	return addFeed.ask(ctx, c, f)
}

// RemoveFeed ends a feed.
func (c *Client) RemoveFeed(ctx context.Context, name string) error {
	_, err := removeFeed.ask(ctx, c, name)
	return err
}

// PauseFeed makes a feed rest, until it is resumed.
func (c *Client) PauseFeed(ctx context.Context, name string) (feeds.Info, error) {
	return pauseFeed.ask(ctx, c, name)
}

// ResumeFeed lets a feed run by itself.
func (c *Client) ResumeFeed(ctx context.Context, name string) (feeds.Info, error) {
	return resumeFeed.ask(ctx, c, name)
}

// TestFeed finds out what a feed would do.
func (c *Client) TestFeed(ctx context.Context, name string) (feeds.Trial, error) {
	return testFeed.ask(ctx, c, name)
}

// TryFeed finds out what a feed would do that is not there.
func (c *Client) TryFeed(ctx context.Context, f config.Feed) (feeds.Trial, error) {
	return tryFeed.ask(ctx, c, f)
}

// RunFeed runs a feed now.
func (c *Client) RunFeed(ctx context.Context, name string, again bool) (feed.Report, error) {
	report, err := runFeed.ask(ctx, c, feeds.Run{Name: name, Again: again})
	if err != nil {
		return feed.Report{}, err
	}
	return *report, nil
}

// Webhooks lists the webhooks.
func (c *Client) Webhooks(ctx context.Context) ([]clients.WebhookInfo, error) {
	return listWebhooks.ask(ctx, c, nothing{})
}

// TestWebhook sends an event without objects to a webhook's receiver.
func (c *Client) TestWebhook(ctx context.Context, name string) (clients.WebhookTrial, error) {
	return testWebhook.ask(ctx, c, name)
}

// ReplayWebhook lets a webhook send again what came since a time.
func (c *Client) ReplayWebhook(ctx context.Context, r clients.WebhookReplay) error {
	_, err := replayWebhook.ask(ctx, c, r)
	return err
}

// Sole says that no other node has this organisation's keys any more.
func (c *Client) Sole(ctx context.Context) error {
	_, err := soleKeys.ask(ctx, c, nothing{})
	return err
}

// Rebuild makes the node derive its view again.
func (c *Client) Rebuild(ctx context.Context) error {
	_, err := rebuild.ask(ctx, c, nothing{})
	return err
}

// maxAnswer bounds an answer of our own daemon, in bytes.
const maxAnswer = 64 << 20

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
	case response.StatusCode == http.StatusNotFound:
		return nil, problem.Missing(errors.New(told.Error))
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
