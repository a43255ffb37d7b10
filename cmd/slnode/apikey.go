package main

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/config"
)

func (a *app) apikeyCommand() *cobra.Command {
	return group("apikey", "API keys for machines", a.apikeyAddCommand(), a.apikeyListCommand(), a.limitCommand(config.OfKeys, "NAME", "an API key"), a.apikeyRemoveCommand())
}

func (a *app) apikeyAddCommand() *cobra.Command {
	var spec clients.KeySpec
	var limits limitFlags
	var expires string
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make an API key, and show it this once",
		Long: `Add makes an API key with a role and restrictions of its own. A machine presents it as "Authorization: Bearer KEY", as
"Authorization: Token KEY", as "X-API-Key: KEY" or as the password of HTTP Basic under any user name. Only its hash is
kept: a key that is lost is replaced by another.`,
		Example: `  slnode apikey add siem --role reader --expires 365d
  slnode apikey add opencti --role publisher --write ransomware`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			spec.Name, spec.Limits = args[0], limits.limits()
			if spec.Expires, err = parseExpiry(expires, time.Now()); err != nil {
				return err
			}
			k, err := onAccounts(a, c, func(client *control.Client) (clients.NewKey, error) { return client.AddKey(c.Context(), spec) })
			if err != nil {
				return err
			}
			return a.print(c, k, func(w io.Writer) {
				fmt.Fprintln(w, k.Secret)
				fmt.Fprintf(c.ErrOrStderr(), "This is the key %q. It is not shown again.\n", k.Name)
			})
		},
	}
	c.Flags().StringVar(&spec.Role, "role", "reader", "`role`: reader, publisher or admin")
	c.Flags().StringVar(&expires, "expires", "", "when it ends: a `time` from now such as 90d or 12h, or a date such as 2027-01-31 (default: never)")
	limits.add(c)
	return c
}

var days = regexp.MustCompile(`^([0-9]{1,5})d$`)

// parseExpiry reads when a key ends; the zero time is never.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if match := days.FindStringSubmatch(text); match != nil {
		n, err := strconv.Atoi(match[1])
		return now.UTC().AddDate(0, 0, n), err
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.UTC().Add(d), nil
	}
	if t, err := parseDate(text); err == nil && t.After(now) {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%w: %q is neither a time such as 90d or 12h nor a date to come such as 2027-01-31", errUsage, text)
}

// parseDate reads a date, or a time in full.
func parseDate(text string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, text)
}

func (a *app) apikeyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the API keys",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := onAccounts(a, c, func(client *control.Client) ([]clients.KeyInfo, error) { return client.Keys(c.Context()) })
			if err != nil {
				return err
			}
			return a.print(c, list, func(w io.Writer) {
				fmt.Fprintf(w, "NAME\tROLE\tREAD\tWRITE\tCREATED\tEXPIRES\n")
				for _, k := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Name, k.Role, limitText(k.Read), limitText(k.Write), k.Created.Format(time.DateOnly), expiryText(k.Expires))
				}
			})
		},
	}
}

func expiryText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	if t.Before(time.Now()) {
		return t.Format(time.RFC3339) + " (expired)"
	}
	return t.Format(time.RFC3339)
}

func (a *app) apikeyRemoveCommand() *cobra.Command {
	var agreed *agreement
	c := &cobra.Command{
		Use:   "remove NAME",
		Short: "End an API key",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := agreed.confirm(c, fmt.Sprintf("End the API key %s?", args[0]), nil); err != nil {
				return err
			}
			_, err := onAccounts(a, c, func(client *control.Client) (nothing, error) {
				return nothing{}, client.RemoveKey(c.Context(), args[0])
			})
			return err
		},
	}
	agreed = asks(c)
	return c
}

func (a *app) tokenCommand() *cobra.Command {
	return group("token", "The logins of TAXII clients", a.tokenListCommand(), a.tokenRevokeCommand())
}

func (a *app) tokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the logins that last",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := onAccounts(a, c, func(client *control.Client) ([]accounts.Token, error) { return client.Tokens(c.Context()) })
			if err != nil {
				return err
			}
			return a.print(c, list, func(w io.Writer) {
				fmt.Fprintf(w, "TOKEN\tUSER\tCREATED\tEXPIRES\n")
				for _, t := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.ID, t.User, t.Created.Format(time.RFC3339), t.Expires.Format(time.RFC3339))
				}
			})
		},
	}
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	var chosen clients.TokenSelection
	c := &cobra.Command{
		Use:   "revoke [TOKEN]",
		Short: "End a login, by its id, or all those of a user",
		Example: `  slnode token revoke 1f0c9a7b2d3e4f50
  slnode token revoke --user alice`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				chosen.ID = args[0]
			}
			ended, err := onAccounts(a, c, func(client *control.Client) (clients.Ended, error) { return client.RevokeTokens(c.Context(), chosen) })
			if err != nil {
				return err
			}
			return a.print(c, ended, func(w io.Writer) { fmt.Fprintf(w, "%d ended\n", ended.Tokens) })
		},
	}
	c.Flags().StringVar(&chosen.User, "user", "", "all logins of a `user`")
	return c
}
