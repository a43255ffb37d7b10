package node

import (
	"context"
	"net/http"

	"github.com/gorilla/mux"
)

// routeAccounts adds what is answered about accounts to a router of /admin/.
func routeAccounts(admin *mux.Router, a accountAdmin) {
	get := func(path string, list func() (any, error)) {
		admin.HandleFunc(path, answer(func(*http.Request) (any, error) { return list() })).Methods(http.MethodGet)
	}
	post := func(path string, do func(*http.Request) (any, error)) {
		admin.HandleFunc(path, answer(do)).Methods(http.MethodPost)
	}
	get("/accounts", func() (any, error) { return a.listAccounts() })
	get("/keys", func() (any, error) { return a.listKeys() })
	get("/tokens", func() (any, error) { return a.listTokens() })
	post("/accounts", asked(func(_ context.Context, s AccountSpec) (any, error) { return a.addAccount(s) }))
	post("/accounts/change", asked(func(_ context.Context, c AccountChange) (any, error) { return a.changeAccount(c) }))
	post("/accounts/remove", asked(func(_ context.Context, user string) (any, error) { return struct{}{}, a.removeAccount(user) }))
	post("/keys", asked(func(_ context.Context, s KeySpec) (any, error) { return a.addKey(s) }))
	post("/keys/remove", asked(func(_ context.Context, name string) (any, error) { return struct{}{}, a.removeKey(name) }))
	post("/tokens/revoke", asked(func(_ context.Context, s TokenSelection) (any, error) { return a.revoke(s) }))
}
