package node

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
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// adminHandler is what the command line talks to: TAXII as an administrator, and /admin/ for what TAXII doesn't have.
// It is reached over loopback by who can read the repository, and over nothing at all by a command that runs the node
// itself.
func (n *Node) adminHandler(token string) (http.Handler, error) {
	config, err := n.taxiiConfig()
	if err != nil {
		return nil, err
	}
	config.Observer = nil // the command line asks for no streams
	config.Log = slog.New(quiet{n.log.Handler()})
	config.Authenticator = operator{token: token, organisation: n.repo.Config.Organisation.Name}
	protocol, err := taxii.NewHandler(config)
	if err != nil {
		return nil, err
	}
	router := mux.NewRouter()
	admin := operatorRoutes(router, token)
	accountAdmin{n.accounts, n.collectionIDs}.route(admin)
	admin.HandleFunc("/status", answer(func(r *http.Request) (any, error) { return n.Status(r.Context()) })).Methods(http.MethodGet)
	admin.HandleFunc("/consortium", answer(func(r *http.Request) (any, error) { return n.Consortium(r.Context()) })).Methods(http.MethodGet)
	admin.HandleFunc("/verify", answer(func(r *http.Request) (any, error) { return n.Verify(r.Context(), r.URL.Query().Get("what")) })).Methods(http.MethodGet)
	admin.HandleFunc("/evidence", n.serveEvidence).Methods(http.MethodGet)
	admin.HandleFunc("/audit", n.serveAudit).Methods(http.MethodGet)
	admin.HandleFunc("/rebuild", answer(func(r *http.Request) (any, error) {
		err := n.Rebuild(r.Context())
		n.trail.changed("rebuild-view", "", nil, err)
		return struct{}{}, err
	})).Methods(http.MethodPost)
	admin.HandleFunc("/admit", answer(func(r *http.Request) (any, error) {
		request, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxMetadata))
		if err != nil {
			return nil, &InputError{err}
		}
		admission, err := n.Admit(r.Context(), request)
		n.trail.changed("admit", "", []string{admission.Organisation}, err)
		return admission, err
	})).Methods(http.MethodPost)
	admin.HandleFunc("/show", answer(func(r *http.Request) (any, error) { return n.Show(r.Context(), r.URL.Query().Get("what")) })).Methods(http.MethodGet)
	admin.HandleFunc("/remove", answer(asked(func(ctx context.Context, name string) (any, error) {
		info, err := n.Remove(ctx, name)
		n.trail.changed("remove-member", "", []string{name}, err)
		return info, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/governor", answer(func(r *http.Request) (any, error) { return n.Governor(r.Context()) })).Methods(http.MethodGet)
	admin.HandleFunc("/governor/set", answer(asked(func(ctx context.Context, c GovernorChange) (any, error) {
		result, err := n.SetGovernor(ctx, c)
		n.trail.changed("set-governor", "", c.Accounts, err)
		return result, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/governor/submit", answer(asked(func(ctx context.Context, files [][]byte) (any, error) {
		result, err := n.SubmitProposal(ctx, files)
		n.trail.changed("submit-proposal", "", []string{fmt.Sprintf("%s %s", result.Kind, result.Account)}, err)
		return result, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/governor/renew", answer(asked(func(ctx context.Context, file []byte) (any, error) {
		result, err := n.RenewProposal(ctx, file)
		n.trail.changed("renew-proposal", "", []string{fmt.Sprintf("%s %s", result.Kind, result.Account)}, err)
		return result, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/rotate", answer(asked(func(ctx context.Context, c repo.Change) (any, error) {
		result, err := n.RotateKeys(ctx, c)
		n.trail.changed("rotate-keys", "", nil, err)
		return result, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/sole", answer(func(r *http.Request) (any, error) {
		err := n.Sole(r.Context())
		n.trail.changed("sole-keys", "", nil, err)
		return struct{}{}, err
	})).Methods(http.MethodPost)
	admin.HandleFunc("/replace", answer(asked(func(ctx context.Context, r replacement) (any, error) {
		result, err := n.ReplaceKeys(ctx, r.Member, r.Request)
		n.trail.changed("replace-keys", "", []string{r.Member}, err)
		return result, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/withdraw", answer(asked(func(ctx context.Context, s Selection) (any, error) {
		list, err := n.Withdraw(ctx, s)
		if len(list) > 0 {
			n.trail.operator(taxii.Event{Name: taxii.EventWithdraw, Count: len(list)})
		}
		return list, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/collections", answer(asked(func(ctx context.Context, s CollectionSpec) (any, error) {
		info, err := n.CreateCollection(ctx, s)
		n.trail.changed(taxii.EventCreateCollection, info.ID, s.Readers, err)
		return info, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/collections/{id}/{change}", answer(n.changeCollection)).Methods(http.MethodPost)
	admin.HandleFunc("/dump", n.serveDump).Methods(http.MethodGet)
	admin.HandleFunc("/feeds", answer(func(*http.Request) (any, error) { return n.feeds.infos(), nil })).Methods(http.MethodGet)
	admin.HandleFunc("/feeds", answer(asked(func(_ context.Context, f repo.Feed) (any, error) {
		info, err := n.feeds.add(f)
		n.trail.changed("add-feed", "", []string{info.Name}, err)
		return info, err
	}))).Methods(http.MethodPost)
	admin.HandleFunc("/feeds/{name}/{do:test|run|remove}", unhurried(answer(n.doWithFeed))).Methods(http.MethodPost)
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
			return nil, &InputError{fmt.Errorf("reading the request: %w", err)}
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
func (n *Node) changeCollection(r *http.Request) (any, error) {
	id := mux.Vars(r)["id"]
	noted := func(event string, organisations []string) func(consortium.Collection, error) (any, error) {
		return func(c consortium.Collection, err error) (any, error) {
			n.trail.changed(event, c.ID, organisations, err)
			return n.collectionInfo(c, err)
		}
	}
	change, known := map[string]func(*http.Request) (any, error){
		"grant": asked(func(ctx context.Context, g Grant) (any, error) {
			return noted("grant", g.Organisations)(n.owner.grant(ctx, id, g))
		}),
		"revoke": asked(func(ctx context.Context, names []string) (any, error) {
			return noted("revoke", names)(n.owner.revoke(ctx, id, names))
		}),
		"rotate": asked(func(ctx context.Context, _ struct{}) (any, error) {
			return noted("rotate", nil)(n.owner.rotate(ctx, id))
		}),
		"set": asked(func(ctx context.Context, c CollectionChange) (any, error) {
			return noted("set", nil)(n.owner.set(ctx, id, c))
		}),
	}[mux.Vars(r)["change"]]
	if !known {
		return nil, &InputError{fmt.Errorf("a collection can't be asked to %.40s", mux.Vars(r)["change"])}
	}
	if err := n.awaitFold(r.Context()); err != nil {
		return nil, err
	}
	return change(r)
}

// doWithFeed does what the last segment of the path says with the feed that the one before names.
func (n *Node) doWithFeed(r *http.Request) (any, error) {
	name := mux.Vars(r)["name"]
	switch mux.Vars(r)["do"] {
	case "test":
		return n.feeds.test(r.Context(), name)
	case "run":
		return asked(func(ctx context.Context, how FeedRun) (any, error) {
			report, err := n.feeds.runNow(ctx, name, how.Again)
			n.trail.changed("run-feed", "", []string{name}, err) // what it published has lines of its own
			return report, err
		})(r)
	}
	err := n.feeds.remove(name)
	n.trail.changed("remove-feed", "", []string{name}, err)
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

// CreateCollection makes a collection of this organisation, and returns when it is on the chain.
func (n *Node) CreateCollection(ctx context.Context, spec CollectionSpec) (CollectionInfo, error) {
	if err := n.awaitFold(ctx); err != nil {
		return CollectionInfo{}, err
	}
	return n.collectionInfo(n.owner.create(ctx, spec, n.consortium.Network))
}

// Withdraw takes objects of this organisation back, and returns when the chain has it.
func (n *Node) Withdraw(ctx context.Context, s Selection) ([]Withdrawal, error) {
	if err := n.awaitFold(ctx); err != nil {
		return nil, err
	}
	list, err := n.withdrawer.withdraw(ctx, s)
	if err != nil {
		return nil, err
	}
	return list, n.withdrawer.await(ctx, list)
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
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }

func demote(level slog.Level) slog.Level {
	if level == slog.LevelInfo {
		return slog.LevelDebug
	}
	return level
}

// operator lets whoever has the daemon's token in, as an administrator.
type operator struct{ token, organisation string }

// operatorName is the user that the command line publishes as.
const operatorName = "operator"

func (o operator) Password(context.Context, string, string) (taxii.Principal, error) {
	return taxii.Principal{}, taxii.ErrUnauthorized
}

func (o operator) Token(_ context.Context, token string) (taxii.Principal, error) {
	if !sameToken(token, o.token) {
		return taxii.Principal{}, taxii.ErrUnauthorized
	}
	return taxii.Principal{User: operatorName, Org: o.organisation, Role: taxii.RoleAdmin, Credential: "the repository"}, nil
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
	var input *InputError
	if errors.As(err, &input) {
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(adminError{err.Error()}) // the caller has gone
}

// serveEvidence answers with a file, byte for byte.
func (n *Node) serveEvidence(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	disclose := query.Get("disclose") == "true"
	data, err := n.Evidence(r.Context(), query.Get("what"), disclose)
	if err != nil {
		refuse(w, err)
		return
	}
	if disclose {
		n.trail.operator(taxii.Event{Name: taxii.EventRead, Kind: "evidence", Count: 1})
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // the caller has gone
}

// serveAudit answers with a line of JSON whenever the audit has come further, and with the result in the last.
func (n *Node) serveAudit(w http.ResponseWriter, r *http.Request) {
	options := AuditOptions{EveryRound: r.URL.Query().Get("every_round") == "true"}
	if from := r.URL.Query().Get("from"); from != "" {
		var err error
		if options.From, err = strconv.ParseUint(from, 10, 64); err != nil {
			refuse(w, &InputError{fmt.Errorf("%.30q is not a round", from)})
			return
		}
	}
	lines, flush, begun := json.NewEncoder(w), http.NewResponseController(w), false
	audit, err := n.Audit(r.Context(), options, func(done, total uint64) {
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
	Done   uint64 `json:"done,omitempty"`
	Total  uint64 `json:"total,omitempty"`
	Result *Audit `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
}

type adminError struct {
	Error string `json:"error"`
}

// ConsortiumInfo is the consortium as this node sees it.
type ConsortiumInfo struct {
	ID                uint64           `json:"id"`
	Name              string           `json:"name"`
	Charter           string           `json:"charter_txid"`
	GenesisID         string           `json:"genesis_id"`
	Network           string           `json:"network"`
	Governor          string           `json:"governor"`
	DefaultCollection string           `json:"default_collection"`
	Round             uint64           `json:"round"`
	Stale             string           `json:"stale,omitempty"` // why this may be old
	Members           []MemberInfo     `json:"members"`
	Collections       []CollectionInfo `json:"collections"`
}

// MemberInfo is one organisation, past or present.
type MemberInfo struct {
	Name      string `json:"name"`
	Title     string `json:"title"`
	Account   string `json:"account"`
	Peer      string `json:"peer"`
	Asset     uint64 `json:"asset_id"`
	Admitted  uint64 `json:"admitted_round"`
	Removed   uint64 `json:"removed_round,omitempty"`
	Known     bool   `json:"known"` // its record has arrived
	Connected bool   `json:"connected"`
	Self      bool   `json:"self"`
}

// CollectionInfo is one collection that this organisation can read.
type CollectionInfo struct {
	ID           string   `json:"id"`
	Alias        string   `json:"alias,omitempty"`
	Title        string   `json:"title"`
	Description  string   `json:"description,omitempty"`
	Owner        string   `json:"owner"`
	Readers      []string `json:"readers"`      // beside the owner; "all" for every member
	Contributors []string `json:"contributors"` // … who may also publish
	DefaultLevel string   `json:"default_level"`
	Metadata     string   `json:"metadata"`
	Padding      string   `json:"padding,omitempty"`
	AdHoc        bool     `json:"ad_hoc,omitempty"`
	Epoch        uint32   `json:"epoch"`
	Since        uint64   `json:"epoch_round"` // the round in which the epoch began
	Write        bool     `json:"can_write"`
	Default      bool     `json:"default"`
	Former       bool     `json:"former,omitempty"` // this organisation can read only what was published before
}

// Consortium describes the consortium, once the fold has reached the tip of the chain. Where the indexer can't be
// followed it tells what is known after a while, and that it may be old.
func (n *Node) Consortium(ctx context.Context) (ConsortiumInfo, error) {
	info := ConsortiumInfo{
		ID: n.consortium.ID, Name: n.consortium.Name, Charter: n.consortium.Charter, GenesisID: n.consortium.GenesisID, Network: n.consortium.Network,
	}
	waiting, cancel := context.WithTimeout(ctx, catchUpPatience)
	defer cancel()
	if err := n.awaitFold(waiting); err != nil {
		if ctx.Err() != nil || !n.fold.begun() {
			return ConsortiumInfo{}, err
		}
		info.Stale = err.Error()
	}
	if charter := n.fold.charter(); charter != nil {
		info.Name, info.DefaultCollection = charter.Name, charter.DefaultCollection
	}
	n.fold.read(func(s *consortium.State) { info.Governor, info.Round = s.Governor(), s.Position().Round })
	connected := map[string]bool{}
	for id := range n.host.Connected() {
		connected[id.String()] = true
	}
	for _, m := range n.fold.members() {
		one := n.describeMember(m)
		one.Connected = connected[m.Peer]
		info.Members = append(info.Members, one)
	}
	for _, c := range n.fold.collections() {
		one, _ := n.collectionInfo(c, nil)
		info.Collections = append(info.Collections, one)
	}
	return info, nil
}

func (n *Node) describeMember(m consortium.Member) MemberInfo {
	one := MemberInfo{
		Name: m.Name, Title: m.Title, Account: m.Account, Peer: m.Peer, Asset: m.Admitted.Asset, Admitted: m.Admitted.Round,
		Known: m.Known, Self: m.Account == n.fold.self,
	}
	if m.Removed != nil {
		one.Removed = m.Removed.Round
	}
	return one
}

// collectionInfo describes a collection, unless there is an error.
func (n *Node) collectionInfo(c consortium.Collection, err error) (CollectionInfo, error) {
	if err != nil {
		return CollectionInfo{}, err
	}
	p := c.Properties
	return CollectionInfo{
		ID: c.ID, Alias: p.Alias, Title: p.Title, Description: p.Description, Owner: n.fold.name(c.Owner),
		Readers: n.fold.names(p.Readers), Contributors: n.fold.names(p.Contributors), DefaultLevel: p.DefaultLevel, Metadata: p.Metadata,
		Padding: p.Padding, AdHoc: p.AdHoc, Epoch: c.Epoch, Since: c.Began.Round,
		Write: n.fold.active() && c.MayPublish(n.fold.self), Default: c.Default, Former: c.Former,
	}, nil
}
