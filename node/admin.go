package node

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
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
	config.Authenticator = operator{token: token, organisation: n.repo.Config.Organisation.Name}
	protocol, err := taxii.NewHandler(config)
	if err != nil {
		return nil, err
	}
	router := mux.NewRouter()
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
	admin.HandleFunc("/status", answer(func(r *http.Request) (any, error) { return n.Status(r.Context()) })).Methods(http.MethodGet)
	admin.HandleFunc("/consortium", answer(func(r *http.Request) (any, error) { return n.Consortium(r.Context()) })).Methods(http.MethodGet)
	admin.HandleFunc("/verify", answer(func(r *http.Request) (any, error) { return n.Verify(r.Context(), r.URL.Query().Get("what")) })).Methods(http.MethodGet)
	admin.HandleFunc("/evidence", n.serveEvidence).Methods(http.MethodGet)
	admin.HandleFunc("/audit", n.serveAudit).Methods(http.MethodGet)
	admin.HandleFunc("/rebuild", answer(func(r *http.Request) (any, error) { return struct{}{}, n.Rebuild(r.Context()) })).Methods(http.MethodPost)
	admin.HandleFunc("/admit", answer(func(r *http.Request) (any, error) {
		request, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxMetadata))
		if err != nil {
			return nil, &InputError{err}
		}
		return n.Admit(r.Context(), request)
	})).Methods(http.MethodPost)
	admin.HandleFunc("/pprof/profile", pprof.Profile) // for go tool pprof: where the node's time goes
	admin.Handle("/pprof/{name:heap|goroutine|allocs|mutex|block}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pprof.Handler(mux.Vars(r)["name"]).ServeHTTP(w, r)
	}))
	router.PathPrefix("/").Handler(protocol)
	return router, nil
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
	return taxii.Principal{User: operatorName, Org: o.organisation, Role: taxii.RoleAdmin}, nil
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
	data, err := n.Evidence(r.Context(), query.Get("what"), query.Get("disclose") == "true")
	if err != nil {
		refuse(w, err)
		return
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
	ID      string `json:"id"`
	Alias   string `json:"alias,omitempty"`
	Title   string `json:"title"`
	Owner   string `json:"owner"`
	Epoch   uint32 `json:"epoch"`
	Write   bool   `json:"can_write"`
	Default bool   `json:"default"`
}

// Consortium describes the consortium, once the fold has reached the tip of the chain.
func (n *Node) Consortium(ctx context.Context) (ConsortiumInfo, error) {
	if err := n.awaitFold(ctx); err != nil {
		return ConsortiumInfo{}, err
	}
	info := ConsortiumInfo{
		ID: n.consortium.ID, Name: n.consortium.Name, Charter: n.consortium.Charter, GenesisID: n.consortium.GenesisID, Network: n.consortium.Network,
	}
	if charter := n.fold.charter(); charter != nil {
		info.DefaultCollection = charter.DefaultCollection
	}
	n.fold.read(func(s *consortium.State) { info.Governor, info.Round = s.Governor(), s.Position().Round })
	connected := map[string]bool{}
	for _, id := range n.host.Connected() {
		connected[id.String()] = true
	}
	names := map[string]string{}
	for _, m := range n.fold.members() {
		one := MemberInfo{
			Name: m.Name, Title: m.Title, Account: m.Account, Peer: m.Peer, Asset: m.Admitted.Asset, Admitted: m.Admitted.Round,
			Known: m.Known, Connected: connected[m.Peer], Self: m.Account == n.fold.self,
		}
		if m.Removed != nil {
			one.Removed = m.Removed.Round
		}
		names[m.Account] = m.Name
		info.Members = append(info.Members, one)
	}
	for _, c := range n.fold.collections() {
		info.Collections = append(info.Collections, CollectionInfo{
			ID: c.ID, Alias: c.Properties.Alias, Title: c.Properties.Title, Owner: names[c.Owner], Epoch: c.Epoch,
			Write: n.fold.active() && c.MayPublish(n.fold.self), Default: c.Default,
		})
	}
	return info, nil
}
