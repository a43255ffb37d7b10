package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/disclosure"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/taxii"
)

// parts are the parts of a node as the API sees them. They do nothing but write down what they were asked, and answer
// with the error that a test gives them.
type parts struct {
	mu    sync.Mutex
	asked []string
	err   error

	together  bool // the governor is several accounts
	chain     chainwatch.State
	behind    error
	connected map[peer.ID]time.Time
	withdrawn []withdraw.Withdrawal
	chosen    withdraw.Choice
	steps     uint64 // of a crosscheck before it ends
	directory map[string][]unixfs.File
	broken    error // of reading directories
}

func (p *parts) note(what string, values ...any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := what
	for _, v := range values {
		if b, is := v.([]byte); is {
			v = string(b)
		}
		text += fmt.Sprintf(" %+v", v)
	}
	p.asked = append(p.asked, text)
	return p.err
}

// taken gives what was asked since.
func (p *parts) taken() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.Join(p.asked, "; ")
	p.asked = nil
	return text
}

func (p *parts) proposal() []byte {
	if p.together {
		return []byte("a proposal")
	}
	return nil
}

const someCollection = "6f1c1e1a-98a3-4a52-9d0f-0c5f3c2b1a00"

var changed = consortium.Collection{ID: someCollection}

func (p *parts) Create(_ context.Context, s collections.Spec) (consortium.Collection, error) {
	return changed, p.note("create", s.Title, s.Readers)
}

func (p *parts) Grant(_ context.Context, id string, g collections.Grant) (consortium.Collection, error) {
	return changed, p.note("grant", id, g)
}

func (p *parts) Revoke(_ context.Context, id string, names []string) (consortium.Collection, error) {
	return changed, p.note("revoke", id, names)
}

func (p *parts) Set(_ context.Context, id string, c collections.Change) (consortium.Collection, error) {
	return changed, p.note("set", id, *c.Title)
}

func (p *parts) Rotate(_ context.Context, id string) (consortium.Collection, error) {
	return changed, p.note("rotate", id)
}

func (p *parts) Admit(_ context.Context, request []byte) (members.Admission, error) {
	return members.Admission{Organisation: "newcomer", Proposal: p.proposal()}, p.note("admit", request)
}

func (p *parts) PriceOfAdmission(_ context.Context, request []byte) (members.Price, error) {
	return members.Price{Fees: 2000}, p.note("admit-price", request)
}

func (p *parts) Remove(_ context.Context, name string) (members.Removal, error) {
	return members.Removal{Proposal: p.proposal()}, p.note("remove", name)
}

func (p *parts) RotateKeys(_ context.Context, c keys.Change) (members.Rotated, error) {
	return members.Rotated{}, p.note("rotate-keys", c)
}

func (p *parts) ReplaceKeys(_ context.Context, member string, request []byte) (members.Rotated, error) {
	return members.Rotated{Proposal: p.proposal()}, p.note("replace", member, request)
}

func (p *parts) Governor(context.Context) (members.GovernorInfo, error) {
	return members.GovernorInfo{Account: "GOVERNOR"}, p.note("governor")
}

func (p *parts) SetGovernor(_ context.Context, c members.GovernorChange) (members.GovernorInfo, error) {
	return members.GovernorInfo{Proposal: p.proposal()}, p.note("set-governor", c.Threshold, c.Accounts)
}

func (p *parts) SubmitProposal(_ context.Context, files [][]byte) (members.Submitted, error) {
	return members.Submitted{ProposalInfo: members.ProposalInfo{Kind: "member", Account: "A"}}, p.note("submit", len(files))
}

func (p *parts) RenewProposal(_ context.Context, file []byte) (members.ProposalInfo, error) {
	return members.ProposalInfo{Kind: "removal", Account: "B"}, p.note("renew", file)
}

func (p *parts) Show(_ context.Context, what string) (withdraw.Shown, error) {
	return withdraw.Shown{Publications: []withdraw.Publication{{ID: what}}}, p.note("show", what)
}

func (p *parts) Publications(what string) ([]withdraw.Publication, error) {
	return []withdraw.Publication{{ID: what}}, nil
}

func (p *parts) Each(_ context.Context, q disclosure.Query, visit func(disclosure.Object) error) (disclosure.Known, error) {
	if err := p.note("shared", q.With); err != nil {
		return disclosure.Known{}, err
	}
	return disclosure.Known{Objects: 1}, visit(disclosure.Object{ID: "indicator--1"})
}

func (p *parts) History(collection string) (disclosure.History, error) {
	return disclosure.History{Changes: []disclosure.Change{{TxID: "T"}}}, p.note("history", collection)
}

func (p *parts) WithdrawMany(_ context.Context, c withdraw.Choice, say func(withdraw.Progress) error) (withdraw.Progress, error) {
	p.chosen = c
	done := withdraw.Progress{Objects: 3, NFTs: 1, Done: 1}
	return done, errors.Join(say(withdraw.Progress{Objects: 3}), p.err)
}

func (p *parts) WithdrawAll(_ context.Context, s withdraw.Selection) ([]withdraw.Withdrawal, error) {
	return p.withdrawn, p.note("withdraw", s.What, s.Collection)
}

func (p *parts) Reclaim(_ context.Context, r withdraw.Reclaim) ([]withdraw.Reclaimed, error) {
	if err := p.note("reclaim", r.Published, r.DryRun); err != nil {
		return nil, err
	}
	return []withdraw.Reclaimed{{Account: "FORMER", NFTs: 2}}, nil
}

func (p *parts) Verify(_ context.Context, what string) (v proof.Verification, err error) {
	v.TxID = what
	return v, p.note("verify", what)
}

func (p *parts) Evidence(_ context.Context, what string, disclose bool) ([]byte, error) {
	return []byte("{\"evidence\": \"byte for byte\" }\n"), p.note("evidence", what, disclose)
}

func (p *parts) Crosscheck(_ context.Context, o proof.CrosscheckOptions, progress func(done, total uint64)) (proof.Crosscheck, error) {
	for n := range p.steps {
		progress(n+1, p.steps)
	}
	return proof.Crosscheck{Passed: true, Rounds: 9}, p.note("crosscheck", o.EveryRound, o.From)
}

func (p *parts) Settle() error { return p.note("sole") }

// feeding is the parts as feeds.
type feeding struct{ *parts }

func (f feeding) Infos() []feeds.Info { return []feeds.Info{{Name: "misp"}} }
func (f feeding) Add(c config.Feed) (feeds.Info, error) {
	return feeds.Info{Name: c.Name}, f.note("add-feed", c.Name, c.URL)
}
func (f feeding) Remove(name string) error { return f.note("remove-feed", name) }
func (f feeding) Pause(name string, paused bool) (feeds.Info, error) {
	return feeds.Info{Name: name, Paused: paused}, f.note("pause-feed", name, paused)
}
func (f feeding) Test(_ context.Context, name string) (feeds.Trial, error) {
	return feeds.Trial{Into: "x"}, f.note("test-feed", name)
}

func (f feeding) Try(_ context.Context, c config.Feed) (feeds.Trial, error) {
	return feeds.Trial{Into: "x"}, f.note("try-feed", c.Name, c.URL)
}

func (feeding) RunSoon(string) error { return nil }

func (f feeding) RunNow(_ context.Context, name string, again bool) (*feeds.Report, error) {
	return &feeds.Report{New: 3}, f.note("run-feed", name, again)
}

// Status implements statuser.
func (p *parts) Status(context.Context) (s health.Status, err error) {
	s.Organisation = "self"
	return s, p.note("status")
}

// following is the parts as who follows the chain.
type following struct{ *parts }

func (f following) AwaitTip(context.Context) error { return f.behind }
func (f following) State() chainwatch.State        { return f.chain }

// hosting is the parts as who is connected.
type hosting struct{ *parts }

func (h hosting) Connected() map[peer.ID]time.Time { return h.connected }

func (h hosting) Read(_ context.Context, root cid.Cid) ([]unixfs.File, error) {
	files, found := h.directory[root.String()]
	if !found && h.broken == nil {
		return nil, fmt.Errorf("%s: %w", root, unixfs.ErrNotFound)
	}
	return files, h.broken
}

// operated is a node's API over a repository and a consortium of its own, and a client that talks to it as the command
// line does.
type operated struct {
	*worldtest.HostileWorld
	parts   *parts
	api     *API
	trail   *auditlog.Trail
	server  *httptest.Server
	client  *Client
	handler http.Handler
	said    *waiting.Text // the log
}

const token = "the daemon's token"

var aWebhook = config.Webhook{Name: "siem", URL: "https://127.0.0.1:1/hook", Secret: "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBhIHNlY3JldCBrZXk="}

func newOperated(t *testing.T) *operated { return newOperatedIn(t, worldtest.NewHostileWorld(t)) }

func newOperatedIn(t *testing.T, h *worldtest.HostileWorld) *operated {
	t.Helper()
	o := &operated{HostileWorld: h, parts: &parts{}, trail: auditlog.New(h.R), said: &waiting.Text{}}
	log := slog.New(slog.NewTextHandler(o.said, nil))
	described, err := clients.OpenAPIRoot(h.R.Outbox, "Self")
	nodetest.Must(t, err)
	own := repo.Consortium{ID: h.ID, Name: "As invited", GenesisID: "t-v1", Network: "private", Charter: "TX1", GenesisHash: bytes.Repeat([]byte{7}, 32)}
	o.api = &API{
		Repo: h.R, Consortium: own, State: h.State, Host: hosting{o.parts}, Health: o.parts, Watcher: following{o.parts}, Collections: o.parts,
		Members: o.parts, Withdrawer: o.parts, Register: o.parts, Notary: o.parts, Sole: o.parts, Ticket: func() (string, error) { return "once", nil }, Feeds: feeding{o.parts},
		Webhooks: clients.NewWebhooks(func(c config.Webhook) (*clients.Webhook, error) {
			return clients.NewWebhook(c, h.R.View, h.R.Outbox, &signal.Signal{}, nodetest.Discard)
		}),
		Accounts: clients.NewAccounts(h.R, o.trail), Trail: o.trail, Log: log,
		Rebuild: func(context.Context) error { return o.parts.note("rebuild") },
		Taxii: func() (taxii.Config, error) {
			store := &clients.Catalogue{View: h.R.View, State: h.State, Own: "self", Described: described, Consortium: own, Shown: &signal.Signal{}}
			return taxii.Config{Store: store, Observer: store, Publisher: struct{ taxii.Publisher }{}, DefaultRoot: "self", CursorKey: make([]byte, 32), Log: log}, nil
		},
	}
	o.handler, err = o.api.Handler(token)
	nodetest.Must(t, err)
	o.server = httptest.NewServer(o.handler)
	t.Cleanup(o.server.Close)
	o.client = &Client{base: o.server.URL, token: token, http: o.server.Client(), close: func() error { return nil }}
	return o
}

// lines are those of the audit log: event, collection, subject, and how many.
func (o *operated) lines() (list []string) {
	o.T.Helper()
	nodetest.Must(o.T, o.trail.Read(o.T.Context(), taxii.AuditQuery{}, func(line []byte) error {
		var e taxii.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.User != auditlog.Operator || e.Role != "admin" || e.Credential != "the repository" || time.Since(e.Time) > time.Hour {
			o.T.Errorf("the line is %s", line)
		}
		text := fmt.Sprintf("%s %s %s", e.Name, e.Collection, e.Subject)
		if e.Count > 0 {
			text += fmt.Sprintf(" %d %s", e.Count, e.Kind)
		}
		list = append(list, strings.Join(strings.Fields(text), " "))
		return nil
	}))
	return list
}

// do asks as the command line does, but with whatever the test likes.
func (o *operated) do(method, path, body string, headers ...string) (int, string) {
	o.T.Helper()
	request, err := http.NewRequestWithContext(o.T.Context(), method, o.server.URL+path, strings.NewReader(body))
	nodetest.Must(o.T, err)
	request.Header.Set("Authorization", "Bearer "+token)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err := o.server.Client().Do(request)
	nodetest.Must(o.T, err)
	defer response.Body.Close()
	text, err := io.ReadAll(bufio.NewReader(response.Body))
	nodetest.Must(o.T, err)
	return response.StatusCode, string(text)
}
