package control

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"

	"github.com/gorilla/mux"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/door"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/keys"
)

// ConnectAccounts finds the daemon of a repository or, if none runs, opens the repository alone: accounts need neither
// a consortium nor the chain. The client is for accounts, API keys and tokens only.
func ConnectAccounts(ctx context.Context, dir string, passphrase keys.Passphrase, log *slog.Logger) (*Client, error) {
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
		serveAccounts(operatorRoutes(router, token), auditlog.New(r), clients.AccountAdmin{Accounts: clients.NewAccounts(r, auditlog.New(r)), Collections: clients.KnownIDs})
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
	if socket := cmp.Or(daemon.Socket, daemon.Admin); filepath.IsAbs(socket) {
		c.base = "http://localhost"
		c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}
	}
	return c
}

// Accounts lists the accounts.
func (c *Client) Accounts(ctx context.Context) ([]clients.AccountInfo, error) {
	return listAccounts.ask(ctx, c, nothing{})
}

// AddAccount makes an account.
func (c *Client) AddAccount(ctx context.Context, s clients.AccountSpec) (clients.AccountInfo, error) {
	return addAccount.ask(ctx, c, s)
}

// ChangeAccount changes an account.
func (c *Client) ChangeAccount(ctx context.Context, change clients.AccountChange) (clients.AccountInfo, error) {
	return changeAccount.ask(ctx, c, change)
}

// RemoveAccount removes an account, its tokens and its certificates.
func (c *Client) RemoveAccount(ctx context.Context, r clients.AccountRemoval) error {
	_, err := removeAccount.ask(ctx, c, r)
	return err
}

// DayLimits lists what a day may bring.
func (c *Client) DayLimits(ctx context.Context) ([]clients.DayLimit, error) {
	return listLimits.ask(ctx, c, nothing{})
}

// SetDayLimit changes what a day may bring by an account or an API key.
func (c *Client) SetDayLimit(ctx context.Context, change clients.DayLimitChange) (clients.DayLimit, error) {
	return setLimit.ask(ctx, c, change)
}

// Keys lists the API keys.
func (c *Client) Keys(ctx context.Context) ([]clients.KeyInfo, error) {
	return listKeys.ask(ctx, c, nothing{})
}

// AddKey makes an API key.
func (c *Client) AddKey(ctx context.Context, s clients.KeySpec) (clients.NewKey, error) {
	return addKey.ask(ctx, c, s)
}

// RemoveKey ends an API key.
func (c *Client) RemoveKey(ctx context.Context, name string) error {
	_, err := removeKey.ask(ctx, c, name)
	return err
}

// Tokens lists the logins that last.
func (c *Client) Tokens(ctx context.Context) ([]accounts.Token, error) {
	return listTokens.ask(ctx, c, nothing{})
}

// RevokeTokens ends tokens.
func (c *Client) RevokeTokens(ctx context.Context, s clients.TokenSelection) (clients.Ended, error) {
	return revokeTokens.ask(ctx, c, s)
}
