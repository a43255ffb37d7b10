package control

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/gorilla/mux"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/door"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/repo"
)

// ConnectAccounts finds the daemon of a repository or, if none runs, opens the repository alone: accounts need neither
// a consortium nor the chain. The client is for accounts, API keys and tokens only.
func ConnectAccounts(ctx context.Context, dir string, passphrase repo.Passphrase, log *slog.Logger) (*Client, error) {
	client, err := FindDaemon(ctx, dir)
	if err != nil || client != nil {
		return client, err
	}
	r, err := repo.Open(dir, passphrase)
	if err != nil {
		return nil, err
	}
	r.Audit.OnFailure(func(err error) { log.Error("the audit log can't be written", "error", err) })
	s := NewServers(log, door.Hosts{})
	daemon, err := s.ListenOperator(dir, func(token string) (http.Handler, error) {
		router := mux.NewRouter()
		routeAccounts(operatorRoutes(router, token), clients.AccountAdmin{Accounts: clients.NewAccounts(r, auditlog.New(r)), Collections: clients.KnownIDs})
		return router, nil
	})
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	serveCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	group, serveCtx := errgroup.WithContext(serveCtx)
	s.Serve(serveCtx, group)
	return newClient(daemon, func() error {
		stop()
		return errors.Join(group.Wait(), r.Close())
	}), nil
}

func newClient(daemon Daemon, close func() error) *Client {
	c := &Client{base: "http://" + daemon.Admin, token: daemon.Token, http: &http.Client{}, close: close}
	if strings.HasPrefix(daemon.Admin, "/") {
		c.base = "http://localhost"
		c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", daemon.Admin)
		}}
	}
	return c
}

// Accounts lists the accounts.
func (c *Client) Accounts(ctx context.Context) (list []clients.AccountInfo, err error) {
	return list, c.call(ctx, http.MethodGet, "/admin/accounts", nil, &list)
}

// AddAccount makes an account.
func (c *Client) AddAccount(ctx context.Context, s clients.AccountSpec) (info clients.AccountInfo, err error) {
	return info, c.say(ctx, "/admin/accounts", s, &info)
}

// ChangeAccount changes an account.
func (c *Client) ChangeAccount(ctx context.Context, change clients.AccountChange) (info clients.AccountInfo, err error) {
	return info, c.say(ctx, "/admin/accounts/change", change, &info)
}

// RemoveAccount removes an account, its tokens and its certificates.
func (c *Client) RemoveAccount(ctx context.Context, user string) error {
	return c.say(ctx, "/admin/accounts/remove", user, &struct{}{})
}

// Keys lists the API keys.
func (c *Client) Keys(ctx context.Context) (list []clients.KeyInfo, err error) {
	return list, c.call(ctx, http.MethodGet, "/admin/keys", nil, &list)
}

// AddKey makes an API key.
func (c *Client) AddKey(ctx context.Context, s clients.KeySpec) (k clients.NewKey, err error) {
	return k, c.say(ctx, "/admin/keys", s, &k)
}

// RemoveKey ends an API key.
func (c *Client) RemoveKey(ctx context.Context, name string) error {
	return c.say(ctx, "/admin/keys/remove", name, &struct{}{})
}

// Tokens lists the logins that last.
func (c *Client) Tokens(ctx context.Context) (list []repo.Token, err error) {
	return list, c.call(ctx, http.MethodGet, "/admin/tokens", nil, &list)
}

// RevokeTokens ends tokens.
func (c *Client) RevokeTokens(ctx context.Context, s clients.TokenSelection) (e clients.Ended, err error) {
	return e, c.say(ctx, "/admin/tokens/revoke", s, &e)
}
