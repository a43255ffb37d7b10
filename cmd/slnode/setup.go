package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/keys"
)

func (a *app) initCommand() *cobra.Command {
	config := config.Default()
	var sealed bool
	c := &cobra.Command{
		Use:   "init --org NAME",
		Short: "Make a repository: a config file and the organisation's keys",
		Long: `Init makes the node's directory with a commented config.toml and new keys: an Algorand account, a libp2p peer key
and an age post-quantum key. A port given as 0 is replaced by a free one.

Whoever has the keys is the organisation, and without them what was sealed for the organisation can't be read any more:
keep a backup ("slnode backup"). With --seal the keys are encrypted on the disk; see "slnode keys seal".`,
		Example: `  slnode init --org acme --title "ACME CERT" --algod https://testnet-api.example --indexer https://testnet-idx.example`,
		Args:    cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := chooseFreePorts(&config); err != nil {
				return err
			}
			if err := config.Validate(); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			secret := ""
			if sealed {
				var err error
				if secret, err = choosePassphrase(c.Context(), keysPassphrase, "New passphrase of the keys"); err != nil {
					return err
				}
			}
			keys, err := repo.Init(a.dir, config, secret)
			if err != nil {
				return err
			}
			id, err := peer.IDFromPrivateKey(keys.Peer)
			if err != nil {
				return err
			}
			result := struct {
				Repo         string `json:"repo"`
				Organisation string `json:"organisation"`
				Account      string `json:"account"`
				Peer         string `json:"peer"`
				TAXII        string `json:"taxii"`
			}{a.dir, config.Organisation.Name, keys.Address(), id.String(), config.TAXII.Listen}
			return a.print(c, result, func(w io.Writer) {
				fmt.Fprintf(w, "repository    %s\norganisation  %s\naccount       %s\npeer          %s\n\n",
					result.Repo, result.Organisation, result.Account, result.Peer)
				fmt.Fprintf(w, "Next: send ALGO to the account (it keeps 0.1; each NFT costs 0.001 and locks 0.1, for one object or for up to\n"+
					"1,000 of a large request or a feed), then \"slnode consortium create\" to found a consortium, or \"slnode member\n"+
					"request\" to be admitted to one.\n")
			})
		},
	}
	f := c.Flags()
	f.BoolVar(&sealed, "seal", false, "seal the keys with a passphrase")
	f.StringVar(&config.Organisation.Name, "org", "", "the organisation's `name` in URLs: lower-case letters, digits, hyphens")
	f.StringVar(&config.Organisation.Title, "title", "", "its `name` as people read it")
	f.StringVar(&config.TAXII.Listen, "taxii-listen", config.TAXII.Listen, "`host:port` for TAXII clients")
	f.StringSliceVar(&config.IPFS.Listen, "ipfs-listen", config.IPFS.Listen, "`multiaddress` for other members' nodes; may be repeated")
	f.StringSliceVar(&config.IPFS.Announce, "ipfs-announce", nil, "`multiaddress` to tell others instead, behind a NAT")
	f.StringVar(&config.IPFS.Gateway, "gateway", config.IPFS.Gateway, "`host:port` of the read-only gateway; empty for none")
	f.StringVar(&config.IPFS.Network, "network", config.IPFS.Network, "IPFS network of a consortium founded here: private or public")
	f.StringVar(&config.Algorand.AlgodURL, "algod", config.Algorand.AlgodURL, "`URL` of algod")
	f.StringVar(&config.Algorand.AlgodToken, "algod-token", "", "algod's API `token`")
	f.StringVar(&config.Algorand.IndexerURL, "indexer", config.Algorand.IndexerURL, "`URL` of the indexer")
	f.StringVar(&config.Algorand.IndexerToken, "indexer-token", "", "the indexer's API `token`")
	_ = c.MarkFlagRequired("org") // fails only for a flag that does not exist
	return c
}

// chooseFreePorts replaces every port 0 by one that is free now.
func chooseFreePorts(config *config.Config) error {
	for _, address := range []*string{&config.TAXII.Listen, &config.IPFS.Gateway} {
		host, port, err := net.SplitHostPort(*address)
		if err != nil || port != "0" {
			continue // Validate says what is wrong
		}
		if port, err = freePort(host); err != nil {
			return err
		}
		*address = net.JoinHostPort(host, port)
	}
	for i, text := range config.IPFS.Listen {
		address, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return fmt.Errorf("%w: %q is not a multiaddress", errUsage, text)
		}
		host, err := address.ValueForProtocol(multiaddr.P_IP4)
		port, portErr := address.ValueForProtocol(multiaddr.P_TCP)
		if err != nil || portErr != nil || port != "0" {
			continue
		}
		if port, err = freePort(host); err != nil {
			return err
		}
		config.IPFS.Listen[i] = "/ip4/" + host + "/tcp/" + port
	}
	return nil
}

// freePort finds a port that is free now and likely to be free tomorrow: below those that systems hand out to outgoing
// connections (from 32768 on Linux, 49152 elsewhere).
func freePort(host string) (string, error) {
	const first, ports, attempts = 10_000, 20_000, 100
	var err error
	for range attempts {
		port := strconv.Itoa(first + rand.IntN(ports))
		var listener net.Listener
		if listener, err = net.Listen("tcp", net.JoinHostPort(host, port)); err == nil {
			return port, listener.Close()
		}
	}
	return "", fmt.Errorf("looking for a free port: %w", err)
}

func (a *app) consortiumCommand() *cobra.Command {
	return group("consortium", "Found a consortium, or show the one that this node belongs to", a.consortiumCreateCommand(), a.consortiumShowCommand())
}

// withRepo opens the repository for a command that must not run beside a daemon.
func (a *app) withRepo(c *cobra.Command, use func(*repo.Repo) error) error {
	r, err := repo.Open(a.dir, a.passphrase(c))
	if err != nil {
		return err
	}
	return errors.Join(use(r), r.Close())
}

func (a *app) consortiumCreateCommand() *cobra.Command {
	charter := members.Charter{History: true}
	var forget bool
	c := &cobra.Command{
		Use:   "create --name NAME",
		Short: "Found a consortium: mint its charter, become its first member, make its default collection",
		Long: `Create founds a consortium on the configured Algorand network, with this organisation as its governor. It mints three
NFTs, which costs 0.303 ALGO, of which 0.3 stay locked, beside the 0.1 that every account keeps. If it is interrupted, repeat it: it goes on where it stopped.`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			charter.History = !forget
			belonged := false
			err := a.withRepo(c, func(r *repo.Repo) error {
				existing, err := r.Consortium()
				if belonged = existing != nil; err != nil || belonged {
					return err // an earlier attempt came so far, or the next step will complain
				}
				_, err = members.Found(c.Context(), r, charter)
				return err
			})
			if err != nil {
				return err
			}
			info, err := ask(a, c, func(client *control.Client) (control.ConsortiumInfo, error) {
				return awaitDefaultCollection(c.Context(), client)
			})
			if err != nil {
				return err
			}
			if belonged && info.Name != charter.Name {
				a.remark(c, fmt.Sprintf("nothing was founded: this node belongs to the consortium %q", info.Name))
			}
			return a.print(c, info, func(w io.Writer) { printConsortium(w, info) })
		},
	}
	c.Flags().StringVar(&charter.Name, "name", "", "the consortium's `name`")
	c.Flags().BoolVar(&forget, "no-history", false, "newcomers can't read what was published before their admission")
	_ = c.MarkFlagRequired("name") // fails only for a flag that does not exist
	return c
}

// awaitDefaultCollection waits until the founding is complete: the default collection is there and can be written.
func awaitDefaultCollection(ctx context.Context, client *control.Client) (control.ConsortiumInfo, error) {
	for {
		info, err := client.Consortium(ctx)
		if err != nil {
			return info, err
		}
		for _, c := range info.Collections {
			if c.Default && c.Write {
				return info, nil
			}
		}
		select {
		case <-ctx.Done():
			return info, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (a *app) consortiumShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show the consortium: charter, governor, members, collections",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withConsortium(c, func(info control.ConsortiumInfo) error {
				return a.print(c, info, func(w io.Writer) { printConsortium(w, info) })
			})
		},
	}
}

// withConsortium asks the node about the consortium.
func (a *app) withConsortium(c *cobra.Command, use func(control.ConsortiumInfo) error) error {
	info, err := ask(a, c, func(client *control.Client) (control.ConsortiumInfo, error) { return client.Consortium(c.Context()) })
	if err != nil {
		return err
	}
	if info.Stale != "" {
		a.remark(c, "this may be old: "+oneLine(info.Stale))
	}
	return use(info)
}

func (a *app) joinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "join INVITE",
		Short: "Join the consortium of an invite",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			invite, err := readKind(c, args[0], anInvite)
			if err != nil {
				return err
			}
			return a.withRepo(c, func(r *repo.Repo) error {
				joined, err := members.Join(c.Context(), r, invite)
				if err != nil {
					return err
				}
				return a.print(c, joined, func(w io.Writer) {
					fmt.Fprintf(w, "joined %q (consortium %d on %s)\n\nNext: slnode daemon\n", joined.Name, joined.ID, joined.GenesisID)
				})
			})
		},
	}
}

// own reads who this organisation is, for commands that need no node.
func (a *app) own(c *cobra.Command) (settings config.Config, keys keys.Keys, err error) {
	if settings, err = config.Read(a.dir); err == nil {
		keys, err = repo.ReadKeys(a.dir, a.passphrase(c))
	}
	return settings, keys, err
}
