package control

import (
	"context"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/serviceledger/slnode/node/clients"
)

// routeAccounts adds what is answered about accounts to a router of /admin/.
func routeAccounts(admin *mux.Router, a clients.AccountAdmin) {
	get := func(path string, list func() (any, error)) {
		admin.HandleFunc(path, answer(func(*http.Request) (any, error) { return list() })).Methods(http.MethodGet)
	}
	post := func(path string, do func(*http.Request) (any, error)) {
		admin.HandleFunc(path, answer(do)).Methods(http.MethodPost)
	}
	get("/accounts", func() (any, error) { return a.ListAccounts() })
	get("/keys", func() (any, error) { return a.ListKeys() })
	get("/tokens", func() (any, error) { return a.ListTokens() })
	post("/accounts", asked(func(_ context.Context, s clients.AccountSpec) (any, error) { return a.AddAccount(s) }))
	post("/accounts/change", asked(func(_ context.Context, c clients.AccountChange) (any, error) { return a.ChangeAccount(c) }))
	post("/accounts/remove", asked(func(_ context.Context, user string) (any, error) { return struct{}{}, a.RemoveAccount(user) }))
	post("/keys", asked(func(_ context.Context, s clients.KeySpec) (any, error) { return a.AddKey(s) }))
	post("/keys/remove", asked(func(_ context.Context, name string) (any, error) { return struct{}{}, a.RemoveKey(name) }))
	post("/tokens/revoke", asked(func(_ context.Context, s clients.TokenSelection) (any, error) { return a.Revoke(s) }))
}
