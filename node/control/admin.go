package control

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/serviceledger/slnode/internal/consortium"
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
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// Handler is what the command line talks to: TAXII as an administrator, and /admin/ for what TAXII doesn't have. It is
// reached over loopback by who can read the repository, and over nothing at all by a command that runs the node itself.
func (a *API) Handler(token string) (http.Handler, error) {
	config, err := a.Taxii()
	if err != nil {
		return nil, err
	}
	config.Observer = nil // the command line asks for no streams
	config.Log = slog.New(quiet{a.Log.Handler()})
	config.Authenticator = operator{token: token, organisation: a.Repo.Config.Organisation.Name}
	protocol, err := taxii.NewHandler(config)
	if err != nil {
		return nil, err
	}
	router := mux.NewRouter()
	admin := operatorRoutes(router, token)
	serveAccounts(admin, a.Trail, a.AccountAdmin())
	a.serveNode(admin)
	a.serveMembers(admin)
	a.serveCollections(admin)
	a.serveFeeds(admin)
	a.serveWebhooks(admin)
	admin.HandleFunc("/evidence", a.serveEvidence).Methods(http.MethodGet)
	admin.HandleFunc("/audit", a.serveAudit).Methods(http.MethodGet)
	admin.HandleFunc("/dump", a.serveDump).Methods(http.MethodGet)
	admin.HandleFunc("/pprof/profile", pprof.Profile) // for go tool pprof: where the node's time goes
	admin.Handle("/pprof/{name:heap|goroutine|allocs|mutex|block}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pprof.Handler(mux.Vars(r)["name"]).ServeHTTP(w, r)
	}))
	router.PathPrefix("/").Handler(protocol)
	return router, nil
}

// serveNode serves what is about the node itself and about single objects.
func (a *API) serveNode(admin *mux.Router) {
	status.serve(admin, a.Trail, func(ctx context.Context, _ nothing) (health.Status, error) { return a.Health.Status(ctx) })
	overview.serve(admin, a.Trail, func(ctx context.Context, _ nothing) (ConsortiumInfo, error) { return a.describe(ctx) })
	verify.serve(admin, a.Trail, a.Notary.Verify)
	show.serve(admin, a.Trail, a.Withdrawer.Show)
	shared.serve(admin, a.Register.Each)
	spent.serve(admin, (&money.History{Book: a.Repo.Daybook, Now: time.Now}).Each)
	ticket.serve(admin, a.Trail, a.ticketFor)
	rebuild.serve(admin, a.Trail, func(ctx context.Context, _ nothing) (nothing, error) { return nothing{}, a.Rebuild(ctx) })
	soleKeys.serve(admin, a.Trail, func(context.Context, nothing) (nothing, error) { return nothing{}, a.Sole.Settle() })
	takeMany.serve(admin, a.withdrawMany)
	reclaim.serve(admin, a.Trail, a.reclaim)
	takeBack.serve(admin, a.Trail, func(ctx context.Context, s withdraw.Selection) ([]withdraw.Withdrawal, error) {
		list, err := a.Withdrawer.WithdrawAll(ctx, s)
		if len(list) > 0 {
			event := taxii.Event{Name: taxii.EventWithdraw, Count: len(list)}
			event.NameObjects(idsOf(list))
			a.Trail.Operator(ctx, event)
		}
		return list, err
	})
}

// withdrawMany takes many objects back, and notes how many.
func (a *API) withdrawMany(ctx context.Context, c withdraw.Choice, say func(withdraw.Progress) error) (withdraw.Progress, error) {
	done, err := a.Withdrawer.WithdrawMany(ctx, c, say)
	if n := done.Objects; n > 0 && !c.DryRun {
		a.Trail.Operator(ctx, taxii.Event{Name: taxii.EventWithdraw, Count: n})
	}
	return done, err
}

// reclaim destroys what former accounts keep locked, and notes of which.
func (a *API) reclaim(ctx context.Context, r withdraw.Reclaim) ([]withdraw.Reclaimed, error) {
	list, err := a.Withdrawer.Reclaim(ctx, r)
	for _, one := range list {
		if one.NFTs > 0 && !r.DryRun {
			a.Trail.Operator(ctx, taxii.Event{Name: "sweep-wallet", Subject: one.Account, Count: one.NFTs, Detail: "NFTs destroyed"})
		}
		if one.Paid > 0 {
			a.Trail.Operator(ctx, taxii.Event{Name: "sweep-wallet", Subject: one.Account, Detail: fmt.Sprintf("%s ALGO paid to the present account by %s", one.Paid, one.TxID)})
		}
	}
	return list, err
}

// idsOf are the ids of the first withdrawals, as many as the audit log names. All of a batch has none.
func idsOf(list []withdraw.Withdrawal) (ids []string) {
	for _, one := range list[:min(len(list), taxii.AuditObjects)] {
		ids = append(ids, one.ID)
	}
	return ids
}

// serveMembers serves what is about members and the governor.
func (a *API) serveMembers(admin *mux.Router) {
	admit.serve(admin, a.Trail, a.Members.Admit)
	toAdmit.serve(admin, a.Trail, a.Members.PriceOfAdmission)
	remove.serve(admin, a.Trail, a.Members.Remove)
	rotate.serve(admin, a.Trail, a.Members.RotateKeys)
	replace.serve(admin, a.Trail, func(ctx context.Context, r replacement) (members.Rotated, error) {
		return a.Members.ReplaceKeys(ctx, r.Member, r.Request)
	})
	governor.serve(admin, a.Trail, func(ctx context.Context, _ nothing) (members.GovernorInfo, error) { return a.Members.Governor(ctx) })
	appoint.serve(admin, a.Trail, a.Members.SetGovernor)
	submit.serve(admin, a.Trail, a.Members.SubmitProposal)
	renew.serve(admin, a.Trail, a.Members.RenewProposal)
}

// serveCollections serves what is about this organisation's collections.
func (a *API) serveCollections(admin *mux.Router) {
	create.serve(admin, a.Trail, func(ctx context.Context, s collections.Spec) (collections.Info, error) {
		return a.described(a.Collections.Create(ctx, s))
	})
	history.serve(admin, a.Trail, func(_ context.Context, name string) (disclosure.History, error) { return a.Register.History(name) })
	serveChange(a, admin, grant, a.Collections.Grant)
	serveChange(a, admin, revoke, a.Collections.Revoke)
	serveChange(a, admin, configure, a.Collections.Set)
	serveChange(a, admin, newKey, func(ctx context.Context, id string, _ nothing) (consortium.Collection, error) {
		return a.Collections.Rotate(ctx, id)
	})
}

// serveChange serves a change of a collection, which is found once the state has reached the tip of the chain.
func serveChange[T any](a *API, admin *mux.Router, e endpoint[of[T], collections.Info], change func(context.Context, string, T) (consortium.Collection, error)) {
	e.serve(admin, a.Trail, func(ctx context.Context, asked of[T]) (collections.Info, error) {
		if err := state.AwaitTip(ctx, a.Watcher); err != nil {
			return collections.Info{}, err
		}
		return a.described(change(ctx, asked.Collection, asked.Is))
	})
}

func (a *API) described(c consortium.Collection, err error) (collections.Info, error) {
	if err != nil {
		return collections.Info{}, err
	}
	return collections.Describe(a.State, c), nil
}

// serveFeeds serves what is about feeds.
func (a *API) serveFeeds(admin *mux.Router) {
	listFeeds.serve(admin, a.Trail, func(context.Context, nothing) ([]feeds.Info, error) { return a.Feeds.Infos(), nil })
	addFeed.serve(admin, a.Trail, func(_ context.Context, f config.Feed) (feeds.Info, error) { return a.Feeds.Add(f) })
	removeFeed.serve(admin, a.Trail, func(_ context.Context, name string) (nothing, error) { return nothing{}, a.Feeds.Remove(name) })
	pauseFeed.serve(admin, a.Trail, func(_ context.Context, name string) (feeds.Info, error) { return a.Feeds.Pause(name, true) })
	resumeFeed.serve(admin, a.Trail, func(_ context.Context, name string) (feeds.Info, error) { return a.Feeds.Pause(name, false) })
	testFeed.serve(admin, a.Trail, a.Feeds.Test)
	tryFeed.serve(admin, a.Trail, a.Feeds.Try)
	// What it published has lines of its own.
	runFeed.serve(admin, a.Trail, func(ctx context.Context, r feeds.Run) (*feeds.Report, error) {
		return a.Feeds.RunNow(ctx, r.Name, r.Again)
	})
}

// serveWebhooks serves what is about webhooks.
func (a *API) serveWebhooks(admin *mux.Router) {
	listWebhooks.serve(admin, a.Trail, func(context.Context, nothing) ([]clients.WebhookInfo, error) { return a.Webhooks.Infos() })
	testWebhook.serve(admin, a.Trail, a.Webhooks.Test)
	replayWebhook.serve(admin, a.Trail, func(_ context.Context, r clients.WebhookReplay) (nothing, error) {
		return nothing{}, a.Webhooks.Replay(r)
	})
}

// AccountAdmin is what an administrator does with accounts, keys and tokens.
func (a *API) AccountAdmin() clients.AccountAdmin {
	return clients.AccountAdmin{Accounts: a.Accounts, Collections: func(names []string) ([]string, error) {
		return clients.CollectionIDs(a.State, a.Consortium, names)
	}}
}

// serveAccounts serves what is about accounts, API keys and tokens.
func serveAccounts(admin *mux.Router, trail *auditlog.Trail, a clients.AccountAdmin) {
	listAccounts.serve(admin, trail, func(context.Context, nothing) ([]clients.AccountInfo, error) { return a.ListAccounts() })
	listKeys.serve(admin, trail, func(context.Context, nothing) ([]clients.KeyInfo, error) { return a.ListKeys() })
	listTokens.serve(admin, trail, func(context.Context, nothing) ([]accounts.Token, error) { return a.ListTokens() })
	listLimits.serve(admin, trail, func(context.Context, nothing) ([]clients.DayLimit, error) { return a.DayLimits() })
	setLimit.serve(admin, trail, a.SetDayLimit)
	addAccount.serve(admin, trail, a.AddAccount)
	changeAccount.serve(admin, trail, a.ChangeAccount)
	removeAccount.serve(admin, trail, func(ctx context.Context, r clients.AccountRemoval) (nothing, error) {
		return nothing{}, a.RemoveAccount(ctx, r)
	})
	addKey.serve(admin, trail, a.AddKey)
	removeKey.serve(admin, trail, func(ctx context.Context, name string) (nothing, error) { return nothing{}, a.RemoveKey(ctx, name) })
	revokeTokens.serve(admin, trail, a.Revoke)
}

// operatorRoutes are the routes of /admin/, for anyone who has the token.
func operatorRoutes(router *mux.Router, token string) *mux.Router {
	admin := router.PathPrefix("/admin/").Subrouter()
	admin.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !sameToken(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), token) {
				http.Error(w, "wrong token", http.StatusUnauthorized)
				return
			}
			// What waits for the chain or for others takes as long as they do: it ends when the operator goes away. The
			// deadline for reading, else, would end the request.
			unlimited := http.NewResponseController(w)
			if err := errors.Join(unlimited.SetReadDeadline(time.Time{}), unlimited.SetWriteDeadline(time.Time{})); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			next.ServeHTTP(w, r.WithContext(auditlog.AsUser(r.Context(), auditlog.Operator)))
		})
	})
	alive.serve(admin, nil, func(context.Context, nothing) (nothing, error) { return nothing{}, nil })
	return admin
}

// quiet logs for debugging only what others log for information: commands that wait ask several times a second.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, demote(level))
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = demote(r.Level)
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

func demote(level slog.Level) slog.Level {
	if level == slog.LevelInfo {
		return slog.LevelDebug
	}
	return level
}

// operator lets anyone who has the daemon's token in, as an administrator.
type operator struct{ token, organisation string }

func (o operator) Password(context.Context, string, string) (taxii.Principal, error) {
	return taxii.Principal{}, taxii.ErrUnauthorized
}

func (o operator) Token(ctx context.Context, token string) (taxii.Principal, error) {
	if !sameToken(token, o.token) {
		return taxii.Principal{}, taxii.ErrUnauthorized
	}
	who := taxii.Principal{User: auditlog.Operator, Org: o.organisation, Role: taxii.RoleAdmin, Credential: "the repository"}
	if local := auditlog.ActorIn(ctx).Local; local != nil {
		who.UnixUser, who.LoginUser = local.Account(), local.Login
	}
	return who, nil
}

func sameToken(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// answer writes what a function returns, as JSON. A mistake of the caller's is told apart by its status.
func answer(ask func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result, err := ask(r)
		if err != nil {
			refuse(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(result) // the caller has gone
	}
}

// refuse writes an error.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var input *problem.InputError
	switch {
	case errors.Is(err, problem.ErrMissing):
		status = http.StatusNotFound
	case errors.As(err, &input):
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(adminError{err.Error()}) // the caller has gone
}

// serveEvidence answers with a file, byte for byte.
func (a *API) serveEvidence(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	disclose := query.Get("disclose") == "true"
	data, err := a.Notary.Evidence(r.Context(), query.Get("what"), disclose)
	if err != nil {
		refuse(w, err)
		return
	}
	if disclose {
		event := taxii.Event{Name: taxii.EventRead, Kind: "evidence", Count: 1}
		event.NameObjects([]string{query.Get("what")})
		a.Trail.Operator(r.Context(), event)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // the caller has gone
}

// serveAudit answers with a line of JSON whenever the audit has come further, and with the result in the last.
func (a *API) serveAudit(w http.ResponseWriter, r *http.Request) {
	options := proof.CrosscheckOptions{EveryRound: r.URL.Query().Get("every_round") == "true"}
	if from := r.URL.Query().Get("from"); from != "" {
		var err error
		if options.From, err = strconv.ParseUint(from, 10, 64); err != nil {
			refuse(w, problem.Input(fmt.Errorf("%.30q is not a round", from)))
			return
		}
	}
	lines, flush, begun := json.NewEncoder(w), http.NewResponseController(w), false
	audit, err := a.Notary.Crosscheck(r.Context(), options, func(done, total uint64) {
		begun = true
		_ = lines.Encode(auditLine{Done: done, Total: total}) // if the caller has gone, the context ends
		_ = flush.Flush()
	})
	switch {
	case err == nil:
		_ = lines.Encode(auditLine{Result: &audit})
	case begun:
		_ = lines.Encode(auditLine{Error: err.Error()})
	default:
		refuse(w, err)
	}
}

// auditLine is one line of the answer to an audit: how far it is, what it found, or why it ended.
type auditLine struct {
	Done   uint64            `json:"done,omitempty"`
	Total  uint64            `json:"total,omitempty"`
	Result *proof.Crosscheck `json:"result,omitempty"`
	Error  string            `json:"error,omitempty"`
}

type adminError struct {
	Error string `json:"error"`
}
