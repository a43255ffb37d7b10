package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"github.com/serviceledger/slnode/node/auditlog"
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
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/taxii"
)

// endpoint is one thing that an operator can ask of a node. The server's route, the client's request and the line in
// the audit log come from it.
type endpoint[In, Out any] struct {
	path  string
	order bool   // it changes something, and what it is about is the body; else it is a question, about ?what=
	event string // what the audit log calls it; "" if it has no line, or writes its own
	about func(In, Out) about
}

// about is what a line of the audit log is about.
type about struct {
	collection string   // its id
	subjects   []string // members, feeds
	proposed   bool     // where the governor is several accounts: so far one of them has signed, and nothing else
}

func named(subjects ...string) about { return about{subjects: subjects} }

// orProposed is about what was carried out, unless there is a proposal for it.
func (a about) orProposed(proposal []byte) about {
	a.proposed = proposal != nil
	return a
}

// nothing is what a question without a subject asks, and what an order without a result answers.
type nothing = struct{}

func question[In, Out any](path string) endpoint[In, Out] { return endpoint[In, Out]{path: path} }

func order[In, Out any](path, event string, of func(In, Out) about) endpoint[In, Out] {
	return endpoint[In, Out]{path: path, order: true, event: event, about: of}
}

// Everything that the operator can ask, but for what is answered with files and streams, see [API.Handler].
var (
	alive     = question[nothing, nothing]("/alive")
	status    = question[nothing, health.Status]("/status")
	overview  = question[nothing, ConsortiumInfo]("/consortium")
	verify    = question[string, proof.Verification]("/verify")
	show      = question[string, withdraw.Shown]("/show")
	governor  = question[nothing, members.GovernorInfo]("/governor")
	history   = question[string, disclosure.History]("/history")
	shared    = stream[disclosure.Query, disclosure.Object, disclosure.Known]{path: "/shared"}
	spent     = stream[money.Query, daybook.Line, money.Total]{path: "/wallet/history"}
	listFeeds = question[nothing, []feeds.Info]("/feeds")

	ticket   = order[nothing, string]("/console/ticket", "console-ticket", nil)
	rebuild  = order[nothing, nothing]("/rebuild", "rebuild-view", nil)
	soleKeys = order[nothing, nothing]("/sole", "sole-keys", nil)
	takeMany = stream[withdraw.Choice, withdraw.Progress, withdraw.Progress]{path: "/withdraw/many", order: true}
	reclaim  = order[withdraw.Reclaim, []withdraw.Reclaimed]("/wallet/reclaim", "", nil)
	takeBack = order[withdraw.Selection, []withdraw.Withdrawal]("/withdraw", "", nil)

	rotate  = order[keys.Change, members.Rotated]("/rotate", "rotate-keys", nil)
	admit   = order("/admit", "admit", func(_ []byte, a members.Admission) about { return named(a.Organisation).orProposed(a.Proposal) })
	toAdmit = order[[]byte, members.Price]("/admit/price", "", nil)
	remove  = order("/remove", "remove-member", func(name string, r members.Removal) about { return named(name).orProposed(r.Proposal) })
	replace = order("/replace", "replace-keys", func(r replacement, now members.Rotated) about { return named(r.Member).orProposed(now.Proposal) })
	appoint = order("/governor/set", "set-governor", func(c members.GovernorChange, g members.GovernorInfo) about {
		return named(c.Accounts...).orProposed(g.Proposal)
	})
	submit = order("/governor/submit", "submit-proposal", func(_ [][]byte, s members.Submitted) about { return aboutProposal(s.ProposalInfo) })
	renew  = order("/governor/renew", "renew-proposal", func(_ []byte, p members.ProposalInfo) about { return aboutProposal(p) })

	create = order("/collections", taxii.EventCreateCollection, func(s collections.Spec, c collections.Info) about {
		return about{collection: c.ID, subjects: s.Readers}
	})
	grant = order("/collections/grant", "grant", func(g of[collections.Grant], c collections.Info) about {
		return about{collection: c.ID, subjects: g.Is.Organisations}
	})
	revoke    = order("/collections/revoke", "revoke", func(names of[[]string], c collections.Info) about { return about{collection: c.ID, subjects: names.Is} })
	newKey    = order("/collections/rotate", "rotate", func(_ of[nothing], c collections.Info) about { return about{collection: c.ID} })
	configure = order("/collections/set", "set", func(_ of[collections.Change], c collections.Info) about { return about{collection: c.ID} })

	addFeed    = order("/feeds/add", "add-feed", func(_ config.Feed, f feeds.Info) about { return named(f.Name) })
	removeFeed = order("/feeds/remove", "remove-feed", func(name string, _ nothing) about { return named(name) })
	pauseFeed  = order("/feeds/pause", "pause-feed", func(name string, _ feeds.Info) about { return named(name) })
	resumeFeed = order("/feeds/resume", "resume-feed", func(name string, _ feeds.Info) about { return named(name) })
	testFeed   = order[string, feeds.Trial]("/feeds/test", "", nil)
	tryFeed    = order[config.Feed, feeds.Trial]("/feeds/try", "", nil)
	runFeed    = order("/feeds/run", "run-feed", func(r feeds.Run, _ *feeds.Report) about { return named(r.Name) })

	listWebhooks  = question[nothing, []clients.WebhookInfo]("/webhooks")
	testWebhook   = order[string, clients.WebhookTrial]("/webhooks/test", "", nil)
	replayWebhook = order("/webhooks/replay", "replay-webhook", func(r clients.WebhookReplay, _ nothing) about { return named(r.Name) })

	// Accounts write lines of their own: they tell more than who it was.
	listAccounts  = question[nothing, []clients.AccountInfo]("/accounts")
	listKeys      = question[nothing, []clients.KeyInfo]("/keys")
	listTokens    = question[nothing, []accounts.Token]("/tokens")
	listLimits    = question[nothing, []clients.DayLimit]("/limits")
	setLimit      = order[clients.DayLimitChange, clients.DayLimit]("/limits/set", "", nil)
	addAccount    = order[clients.AccountSpec, clients.AccountInfo]("/accounts/add", "", nil)
	changeAccount = order[clients.AccountChange, clients.AccountInfo]("/accounts/change", "", nil)
	removeAccount = order[clients.AccountRemoval, nothing]("/accounts/remove", "", nil)
	addKey        = order[clients.KeySpec, clients.NewKey]("/keys/add", "", nil)
	removeKey     = order[string, nothing]("/keys/remove", "", nil)
	revokeTokens  = order[clients.TokenSelection, clients.Ended]("/tokens/revoke", "", nil)
)

// of is what is asked about a collection, given by its id or alias.
type of[T any] struct {
	Collection string `json:"collection"`
	Is         T      `json:"is"`
}

// replacement is whose keys are to be replaced, and by those of which request.
type replacement struct {
	Member  string `json:"member"`
	Request []byte `json:"request"`
}

func aboutProposal(p members.ProposalInfo) about {
	return named(fmt.Sprintf("%s %s", p.Kind, p.Account))
}

// maxRequest bounds what the command line says, in bytes.
const maxRequest = 1 << 20

func (e endpoint[In, Out]) method() string { return methodOf(e.order) }

func methodOf(order bool) string {
	if order {
		return http.MethodPost
	}
	return http.MethodGet
}

// serve adds what answers the endpoint to a router of /admin/.
func (e endpoint[In, Out]) serve(admin *mux.Router, trail *auditlog.Trail, do func(context.Context, In) (Out, error)) {
	admin.HandleFunc(e.path, answer(func(r *http.Request) (any, error) {
		in, err := e.read(r)
		if err != nil {
			return nil, problem.Input(fmt.Errorf("reading the request: %w", err))
		}
		out, err := do(r.Context(), in)
		if e.event != "" {
			var it about
			if e.about != nil {
				it = e.about(in, out)
			}
			event := e.event
			if it.proposed {
				event = "propose-" + event
			}
			trail.Changed(r.Context(), event, it.collection, it.subjects, err)
		}
		return out, err
	})).Methods(e.method())
}

func (e endpoint[In, Out]) read(r *http.Request) (in In, err error) {
	if !e.order {
		if text, is := any(&in).(*string); is {
			*text = r.URL.Query().Get("what")
		}
		return in, nil
	}
	return in, readOrder(r, &in)
}

// readOrder reads what an order is about.
func readOrder(r *http.Request, in any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxRequest))
	decoder.DisallowUnknownFields()
	return decoder.Decode(in)
}

// ask asks the node of a client.
func (e endpoint[In, Out]) ask(ctx context.Context, c *Client, in In) (out Out, err error) {
	path, body := "/admin"+e.path, []byte(nil)
	if text, is := any(in).(string); is && !e.order {
		path += "?what=" + url.QueryEscape(text)
	}
	if e.order {
		if body, err = json.Marshal(in); err != nil {
			return out, fmt.Errorf("asking the node: %w", err)
		}
	}
	response, err := c.ask(ctx, e.method(), path, body)
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		return out, fmt.Errorf("reading the node's answer: %w", err)
	}
	return out, nil
}
