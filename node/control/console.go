package control

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"

	"github.com/serviceledger/slnode/node/problem"
)

// ErrNoConsole means that there is no console to enter.
var ErrNoConsole = errors.New("this node has no console: it is off ([console] enabled)")

func (a *API) ticketFor(context.Context, nothing) (string, error) {
	if a.Ticket == nil {
		return "", problem.Input(ErrNoConsole)
	}
	secret, err := a.Ticket()
	if err != nil {
		return "", problem.Input(err)
	}
	return secret, nil
}

// Console gives the address at which the operator enters the console of the daemon of a repository: once, within a
// minute. names are those of its certificate.
func (c *Client) Console(ctx context.Context, daemon Daemon, names []string) (string, error) {
	at, err := url.Parse(daemon.URL)
	if err != nil {
		return "", err
	}
	secret, err := ticket.ask(ctx, c, nothing{})
	if err != nil {
		return "", err
	}
	host, port := at.Hostname(), at.Port()
	address, err := netip.ParseAddr(host)
	switch {
	case at.Scheme == "https" && len(names) > 0:
		host = names[0]
	case err == nil && address.IsUnspecified(): // of which IP version it listens for is not said
		host = "localhost"
	}
	at.Host, at.Path, at.RawQuery = net.JoinHostPort(host, port), "/-/enter", url.Values{"ticket": {secret}}.Encode()
	return at.String(), nil
}
