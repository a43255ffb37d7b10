package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/certs"
	"github.com/serviceledger/slnode/internal/disk"
	"github.com/serviceledger/slnode/internal/door"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/desk"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// Serve runs the node with all its servers until the context ends. Ready is called once, when everything listens.
func (n *Node) Serve(ctx context.Context, ready func(control.Daemon)) error {
	s := control.NewServers(n.log, n.hosts())
	defer s.Close()
	clients, err := n.clientHandler()
	if err != nil {
		return err
	}
	daemon, err := s.ListenOperator(n.repo.Dir, n.operator.Handler)
	if err != nil {
		return err
	}
	secure, err := n.listenClients(s, &daemon, clients)
	if err != nil {
		return err
	}
	if address := n.repo.Config.IPFS.Gateway; address != "" {
		if daemon.Gateway, err = s.ListenIfThere("the gateway (ipfs.gateway)", address, n.host.Gateway()); err != nil {
			return err
		}
	}
	if address := n.repo.Config.Metrics.Listen; address != "" {
		if daemon.Metrics, err = s.ListenIfThere("metrics (metrics.listen)", address, n.health.Handler()); err != nil {
			return err
		}
	}
	n.health.Opened(health.Doors{TAXII: daemon.URL, Gateway: daemon.Gateway, Metrics: daemon.Metrics, Certificate: secure.Shown})
	if daemon.Lock, err = repo.LockID(n.repo.Dir); err != nil {
		return err
	}
	data, err := json.Marshal(daemon)
	if err != nil {
		return fmt.Errorf("writing how to reach the daemon: %w", err)
	}
	if err := disk.WriteFile(repo.DaemonPath(n.repo.Dir), data); err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return n.Run(running) })
	group.Go(func() error { return n.feeds.Run(running) })
	group.Go(func() error {
		n.tryAlgod(running)
		return nil
	})
	s.Serve(running, group)
	if secure.Acme != nil {
		group.Go(func() error { return secure.Acme.Run(running, n.certified) })
	}
	group.Go(func() error { return n.trail.Forward(running, n.repo.Config.TAXII.AuditForward, n.log) })
	ready(daemon)
	err = n.again(ctx, group.Wait())
	if removeErr := os.Remove(repo.DaemonPath(n.repo.Dir)); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return err
}

// tryAlgod says at the start what would else show with the first publication only, which may be days later: that
// algod's URL or token is wrong.
func (n *Node) tryAlgod(ctx context.Context) {
	params, err := n.ledger.Params(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		n.log.Warn("algod can't be asked; nothing can be published until it can", "error", err)
	case !bytes.Equal(params.GenesisHash[:], n.consortium.GenesisHash):
		n.log.Warn("algod is of another network than the consortium; nothing can be published", "network", params.GenesisID)
	}
}

// listenClients listens for TAXII clients, as the configuration says.
func (n *Node) listenClients(s *control.Servers, daemon *control.Daemon, clients http.Handler) (certs.TLS, error) {
	config := n.repo.Config.TAXII
	secure, err := certs.Open(n.repo.Config, n.repo.Dir, n.log)
	if err != nil {
		return secure, err
	}
	if daemon.TAXII, err = s.ListenTLS("TAXII clients (taxii.listen)", config.Listen, n.health.Before(clients), secure.Config); err != nil {
		return secure, err
	}
	n.certificate, n.tlsFiles = secure.Acme, secure.Files
	daemon.URL = "https://" + daemon.TAXII
	switch {
	case secure.Config == nil:
		daemon.URL = "http://" + daemon.TAXII
		if address, err := netip.ParseAddrPort(daemon.TAXII); err == nil && !address.Addr().Unmap().IsLoopback() {
			n.log.Warn("TAXII is served in the clear: passwords, tokens and intelligence can be read on the network; set taxii.tls", "listen", daemon.TAXII)
		}
	case secure.Fingerprint != "":
		n.log.Info("TAXII is served with a self-signed certificate", "sha256", certs.Colons(secure.Fingerprint), "file", filepath.Join(n.repo.Dir, "tls", "certificate.pem"))
	case secure.Challenges != nil:
		_, err = s.Listen("the ACME authority (taxii.acme_listen)", config.ACMEListen, secure.Challenges)
	}
	return secure, err
}

// hosts are the names by which browsers may call this node.
func (n *Node) hosts() door.Hosts {
	c := n.repo.Config
	names := slices.Concat(c.TAXII.TLSNames, c.Console.Hosts, []string{c.TAXII.Listen, c.IPFS.Gateway, c.Metrics.Listen})
	if c.TAXII.TLS == config.TLSSelfSigned {
		names = append(names, certs.SelfSignedNames(c)...)
	}
	return door.NewHosts(names...)
}

// clientHandler is what TAXII clients see.
func (n *Node) clientHandler() (http.Handler, error) {
	settings, err := n.taxiiConfig()
	if err != nil {
		return nil, err
	}
	settings.Authenticator, settings.Accounts = n.accounts, n.accounts
	settings.Owner = &clients.Administration{Own: n.repo.Config.Organisation.Name, Described: n.described, State: n.state, Collections: n.owner}
	settings.Hosts, settings.Meter = n.hosts(), n.health.Requests
	settings.RateLimit = int(n.repo.Config.TAXII.RateLimit)
	if settings.TrustedProxies, err = config.ParseNetworks(n.repo.Config.TAXII.TrustedProxies); err != nil {
		return nil, err
	}
	handler, err := taxii.NewHandler(settings)
	if err != nil {
		return nil, err
	}
	n.accounts.Changed, n.protocol = handler.Forget, handler
	return desk.Mount(n.operator, handler, settings)
}

// finder answers what is known of values and objects.
func (n *Node) finder() *search.Finder {
	return &search.Finder{
		View: n.repo.View, Index: n.repo.Find, State: n.state, Outbox: n.repo.Outbox,
		Everything: clients.EverythingID(n.consortium), Others: clients.OthersID(n.consortium), Reliability: n.cards.Reliability, Warned: n.appraiser.Warned,
	}
}

func (n *Node) taxiiConfig() (taxii.Config, error) {
	cursorKey, err := n.repo.Keys.CursorKey()
	if err != nil {
		return taxii.Config{}, fmt.Errorf("deriving the cursor key: %w", err)
	}
	organisation := n.repo.Config.Organisation
	shown := &clients.Catalogue{
		View: n.repo.View, State: n.state, Own: organisation.Name, Described: n.described, Consortium: n.consortium,
		Shown: n.shown, Exports: n.exports, Appraisal: n.appraiser,
	}
	return taxii.Config{
		Title: "Service Ledger node of " + organisation.Title, Description: "Threat intelligence of the consortium " + n.state.NameOf(n.consortium) + ".",
		DefaultRoot: organisation.Name, CursorKey: cursorKey, MaxContentLength: n.repo.Config.TAXII.MaxContentLength, Log: n.log,
		Spool: repo.SpoolPath(n.repo.Dir), Room: n.disk.Room,
		Store: shown, Exporter: shown, Observer: shown, Remover: shown,
		Searcher: search.Texts{Finder: n.finder()}, Feedback: n.feedback, Sightings: n.sightings, Members: n.cards, Watch: n.watch, Publisher: n.publisher, Rehearser: n.publisher, Withdrawer: n.withdrawer, Auditor: n.trail,
	}, nil
}
