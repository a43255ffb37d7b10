package control

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// Handler is what the command line talks to: TAXII as an administrator, and /admin/ for what TAXII doesn't have.
// It is reached over loopback by who can read the repository, and over nothing at all by a command that runs the node
// itself.
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
	routeAccounts(admin, clients.AccountAdmin{Accounts: a.Accounts, Collections: func(names []string) ([]string, error) {
		return clients.CollectionIDs(a.State, a.Consortium, names)
	}})
	admin.HandleFunc("/status", answer(func(r *http.Request) (any, error) { return a.Status(r.Context()) })).Methods(http.MethodGet)
	admin.HandleFunc("/consortium", answer(func(r *http.Request) (any, error) { return a.describe(r.Context()) })).Methods(http.MethodGet)
	admin.HandleFunc("/verify", answer(func(r *http.Request) (any, error) { return a.Notary.Verify(r.Context(), r.URL.Query().Get("what")) })).Methods(http.MethodGet)
	admin.HandleFunc("/evidence", a.serveEvidence).Methods(http.MethodGet)
	admin.HandleFunc("/audit", a.serveAudit).Methods(http.MethodGet)
	admin.HandleFunc("/rebuild", answer(func(r *http.Request) (any, error) {
		err := a.Rebuild(r.Context())
		a.Trail.Changed("rebuild-view", "", nil, err)
		return struct{}{}, err
	})).Methods(http.MethodPost)
	admin.HandleFunc("/admit", answer(func(r *http.Request) (any, error) {
		request, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxMetadata))
		if err != nil {
			return nil, problem.Input(err)
		}
		admission, err := a.Members.Admit(r.Context(), request)
		a.Trail.Changed("admit", "", []string{admission.Organisation}, err)
		return admission, err
	})).Methods(http.MethodPost)
	admin.HandleFunc("/show", answer(func(r *http.Request) (any, error) { return a.Withdrawer.Show(r.Context(), r.URL.Query().Get("what")) })).Methods(http.MethodGet)
	admin.HandleFunc("/remove", answer(asked(func(ctx context.Context, name string) (any, error) {
		info, err := a.Members.Remove(ctx, name)
		a.Trail.Changed("remove-member", "", []string{name}, err)
		return info, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/governor", answer(func(r *http.Request) (any, error) { return a.Members.Governor(r.Context()) })).Methods(http.MethodGet)
	admin.HandleFunc("/governor/set", answer(asked(func(ctx context.Context, c members.GovernorChange) (any, error) {
		result, err := a.Members.SetGovernor(ctx, c)
		a.Trail.Changed("set-governor", "", c.Accounts, err)
		return result, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/governor/submit", answer(asked(func(ctx context.Context, files [][]byte) (any, error) {
		result, err := a.Members.SubmitProposal(ctx, files)
		a.Trail.Changed("submit-proposal", "", []string{fmt.Sprintf("%s %s", result.Kind, result.Account)}, err)
		return result, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/governor/renew", answer(asked(func(ctx context.Context, file []byte) (any, error) {
		result, err := a.Members.RenewProposal(ctx, file)
		a.Trail.Changed("renew-proposal", "", []string{fmt.Sprintf("%s %s", result.Kind, result.Account)}, err)
		return result, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/rotate", answer(asked(func(ctx context.Context, c repo.Change) (any, error) {
		result, err := a.Members.RotateKeys(ctx, c)
		a.Trail.Changed("rotate-keys", "", nil, err)
		return result, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/sole", answer(func(r *http.Request) (any, error) {
		err := a.Sole.Settle()
		a.Trail.Changed("sole-keys", "", nil, err)
		return struct{}{}, err
	})).Methods(http.MethodPost)
	admin.HandleFunc("/replace", answer(asked(func(ctx context.Context, r replacement) (any, error) {
		result, err := a.Members.ReplaceKeys(ctx, r.Member, r.Request)
		a.Trail.Changed("replace-keys", "", []string{r.Member}, err)
		return result, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/withdraw", answer(asked(func(ctx context.Context, s withdraw.Selection) (any, error) {
		list, err := a.Withdrawer.WithdrawAll(ctx, s)
		if len(list) > 0 {
			a.Trail.Operator(taxii.Event{Name: taxii.EventWithdraw, Count: len(list)})
		}
		return list, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/collections", answer(asked(func(ctx context.Context, s collections.Spec) (any, error) {
		c, err := a.Collections.Create(ctx, s)
		a.Trail.Changed(taxii.EventCreateCollection, c.ID, s.Readers, err)
		return collections.Describe(a.State, c), err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/collections/{id}/{change}", answer(a.changeCollection)).Methods(http.MethodPost)
	admin.HandleFunc("/dump", a.serveDump).Methods(http.MethodGet)
	admin.HandleFunc("/feeds", answer(func(*http.Request) (any, error) { return a.Feeds.Infos(), nil })).Methods(http.MethodGet)
	admin.HandleFunc("/feeds", answer(asked(func(_ context.Context, f repo.Feed) (any, error) {
		info, err := a.Feeds.Add(f)
		a.Trail.Changed("add-feed", "", []string{info.Name}, err)
		return info, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/feeds/{name}/{do:test|run|remove}", unhurried(answer(a.doWithFeed))).Methods(http.MethodPost)
	admin.HandleFunc("/pprof/profile", pprof.Profile) // for go tool pprof: where the node's time goes
	admin.Handle("/pprof/{name:heap|goroutine|allocs|mutex|block}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pprof.Handler(mux.Vars(r)["name"]).ServeHTTP(w, r)
	}))
	router.PathPrefix("/").Handler(protocol)
	return router, nil
}

// operatorRoutes are the routes of /admin/, for whoever has the token.
func operatorRoutes(router *mux.Router, token string) *mux.Router {
	admin := router.PathPrefix("/admin/").Subrouter()
	admin.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !sameToken(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), token) {
				http.Error(w, "wrong token", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	admin.HandleFunc("/alive", answer(func(*http.Request) (any, error) { return struct{}{}, nil })).Methods(http.MethodGet)
	return admin
}

// maxRequest bounds what the command line says, in bytes.
const maxRequest = 1 << 20

// asked reads the JSON that a request says.
func asked[T any](do func(context.Context, T) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var body T
		decoder := json.NewDecoder(io.LimitReader(r.Body, maxRequest))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&body); err != nil {
			return nil, problem.Input(fmt.Errorf("reading the request: %w", err))
		}
		return do(r.Context(), body)
	}
}

// replacement is whose keys are to be replaced, and by those of which request.
type replacement struct {
	Member  string `json:"member"`
	Request []byte `json:"request"`
}

// changeCollection does what the last segment of the path says with the collection that the one before names.
func (a *API) changeCollection(r *http.Request) (any, error) {
	id := mux.Vars(r)["id"]
	noted := func(event string, organisations []string) func(consortium.Collection, error) (any, error) {
		return func(c consortium.Collection, err error) (any, error) {
			a.Trail.Changed(event, c.ID, organisations, err)
			return collections.Describe(a.State, c), err
		}
	}
	change, known := map[string]func(*http.Request) (any, error){
		"grant": asked(func(ctx context.Context, g collections.Grant) (any, error) {
			return noted("grant", g.Organisations)(a.Collections.Grant(ctx, id, g))
		}),
		"revoke": asked(func(ctx context.Context, names []string) (any, error) {
			return noted("revoke", names)(a.Collections.Revoke(ctx, id, names))
		}),
		"rotate": asked(func(ctx context.Context, _ struct{}) (any, error) {
			return noted("rotate", nil)(a.Collections.Rotate(ctx, id))
		}),
		"set": asked(func(ctx context.Context, c collections.Change) (any, error) {
			return noted("set", nil)(a.Collections.Set(ctx, id, c))
		}),
	}[mux.Vars(r)["change"]]
	if !known {
		return nil, problem.Input(fmt.Errorf("a collection can't be asked to %.40s", mux.Vars(r)["change"]))
	}
	if err := state.AwaitTip(r.Context(), a.Watcher); err != nil {
		return nil, err
	}
	return change(r)
}

// doWithFeed does what the last segment of the path says with the feed that the one before names.
func (a *API) doWithFeed(r *http.Request) (any, error) {
	name := mux.Vars(r)["name"]
	switch mux.Vars(r)["do"] {
	case "test":
		return a.Feeds.Test(r.Context(), name)
	case "run":
		return asked(func(ctx context.Context, how feeds.Run) (any, error) {
			report, err := a.Feeds.RunNow(ctx, name, how.Again)
			a.Trail.Changed("run-feed", "", []string{name}, err) // what it published has lines of its own
			return report, err
		})(r)
	}
	err := a.Feeds.Remove(name)
	a.Trail.Changed("remove-feed", "", []string{name}, err)
	return struct{}{}, err
}

// unhurried lets an answer take longer than the server's time limit.
func unhurried(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		next(w, r)
	}
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

// operator lets whoever has the daemon's token in, as an administrator.
type operator struct{ token, organisation string }

func (o operator) Password(context.Context, string, string) (taxii.Principal, error) {
	return taxii.Principal{}, taxii.ErrUnauthorized
}

func (o operator) Token(_ context.Context, token string) (taxii.Principal, error) {
	if !sameToken(token, o.token) {
		return taxii.Principal{}, taxii.ErrUnauthorized
	}
	return taxii.Principal{User: auditlog.Operator, Org: o.organisation, Role: taxii.RoleAdmin, Credential: "the repository"}, nil
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
	if errors.As(err, &input) {
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
		a.Trail.Operator(taxii.Event{Name: taxii.EventRead, Kind: "evidence", Count: 1})
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // the caller has gone
}

// serveAudit answers with a line of JSON whenever the audit has come further, and with the result in the last.
func (a *API) serveAudit(w http.ResponseWriter, r *http.Request) {
	options := proof.AuditOptions{EveryRound: r.URL.Query().Get("every_round") == "true"}
	if from := r.URL.Query().Get("from"); from != "" {
		var err error
		if options.From, err = strconv.ParseUint(from, 10, 64); err != nil {
			refuse(w, problem.Input(fmt.Errorf("%.30q is not a round", from)))
			return
		}
	}
	lines, flush, begun := json.NewEncoder(w), http.NewResponseController(w), false
	audit, err := a.Notary.Audit(r.Context(), options, func(done, total uint64) {
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
	Done   uint64       `json:"done,omitempty"`
	Total  uint64       `json:"total,omitempty"`
	Result *proof.Audit `json:"result,omitempty"`
	Error  string       `json:"error,omitempty"`
}

type adminError struct {
	Error string `json:"error"`
}
