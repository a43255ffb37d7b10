package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/config"
)

// onAccounts does something with the accounts of the repository.
func onAccounts[T any](a *app, c *cobra.Command, do func(*control.Client) (T, error)) (result T, err error) {
	client, err := control.ConnectAccounts(c.Context(), a.dir, a.passphrase(c), a.log(c))
	if err != nil {
		return result, err
	}
	result, err = do(client)
	return result, errors.Join(err, client.Close())
}

// nothing is the result of what has none.
type nothing struct{}

func (a *app) accountCommand() *cobra.Command {
	return group("account", "The accounts of TAXII clients, and what each may do",
		a.accountAddCommand(), a.accountListCommand(), a.accountPasswdCommand(), a.accountRoleCommand(), a.accountRestrictCommand(),
		a.accountCertificateCommand(), a.limitCommand(config.OfAccounts, "USER", "an account"), a.accountRemoveCommand())
}

func (a *app) accountAddCommand() *cobra.Command {
	var spec clients.AccountSpec
	var limits limitFlags
	c := &cobra.Command{
		Use:   "add USER",
		Short: "Make an account",
		Long: `Add makes an account. The password, of 8 characters or more, is asked for; where standard input is no terminal it is
the first line of it. A reader reads, a publisher also adds objects, an admin also makes accounts and collections over
HTTP. With --read or --write the account can do so in the named collections only.`,
		Example: `  slnode account add alice --role admin
  slnode account add opencti --role publisher --write ransomware < password`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			spec.User, spec.Limits = args[0], limits.limits()
			return a.showAccount(c, func(client *control.Client) (info clients.AccountInfo, err error) {
				if spec.Password, err = passwordFor(c, client, args[0], true); err != nil {
					return info, err
				}
				return client.AddAccount(c.Context(), spec)
			})
		},
	}
	c.Flags().StringVar(&spec.Role, "role", "publisher", "`role`: reader, publisher or admin")
	limits.add(c)
	return c
}

// showAccount does something with an account and shows what it is then.
func (a *app) showAccount(c *cobra.Command, do func(*control.Client) (clients.AccountInfo, error)) error {
	info, err := onAccounts(a, c, do)
	if err != nil {
		return err
	}
	return a.print(c, info, func(w io.Writer) { printAccounts(w, []clients.AccountInfo{info}) })
}

func (a *app) accountListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the accounts",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := onAccounts(a, c, func(client *control.Client) ([]clients.AccountInfo, error) { return client.Accounts(c.Context()) })
			if err != nil {
				return err
			}
			return a.print(c, list, func(w io.Writer) { printAccounts(w, list) })
		},
	}
}

func (a *app) accountPasswdCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "passwd USER",
		Short: "Give an account another password, and end its logins",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.showAccount(c, func(client *control.Client) (info clients.AccountInfo, err error) {
				password, err := passwordFor(c, client, args[0], false)
				if err != nil {
					return info, err
				}
				return client.ChangeAccount(c.Context(), clients.AccountChange{User: args[0], Password: password})
			})
		},
	}
}

// passwordFor asks for the password of a new account, or another one for an account, unless it would be in vain.
func passwordFor(c *cobra.Command, client *control.Client, user string, isNew bool) (string, error) {
	list, err := client.Accounts(c.Context())
	there := slices.ContainsFunc(list, func(one clients.AccountInfo) bool { return one.User == user })
	switch {
	case err != nil:
		return "", err
	case isNew && there:
		return "", fmt.Errorf("%w: the name is taken: there is an account %.60q already", errUsage, user)
	case isNew:
		return readPassword(c, "Password for "+user)
	case !there:
		return "", problem.Missing(fmt.Errorf("account %.60q: there is none of this name", user))
	}
	return readPassword(c, "New password for "+user)
}

func (a *app) changeAccount(c *cobra.Command, change clients.AccountChange) error {
	return a.showAccount(c, func(client *control.Client) (clients.AccountInfo, error) {
		return client.ChangeAccount(c.Context(), change)
	})
}

func (a *app) accountRoleCommand() *cobra.Command {
	var agreed *agreement
	c := &cobra.Command{
		Use:   "role USER ROLE",
		Short: "Make an account a reader, publisher or admin",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.showAccount(c, func(client *control.Client) (clients.AccountInfo, error) {
				change := clients.AccountChange{User: args[0], Role: args[1]}
				only, err := isOnlyAdministrator(c, client, args[0])
				if err == nil && only && args[1] != "admin" {
					change.Last = true
					err = agreed.confirm(c, fmt.Sprintf("%s is the only administrator: after this nobody can make accounts and collections over HTTP. Make it a %s?", args[0], args[1]), nil)
				}
				if err != nil {
					return clients.AccountInfo{}, err
				}
				return client.ChangeAccount(c.Context(), change)
			})
		},
	}
	agreed = asks(c)
	return c
}

// isOnlyAdministrator reports whether there is no other administrator.
func isOnlyAdministrator(c *cobra.Command, client *control.Client, user string) (bool, error) {
	list, err := client.Accounts(c.Context())
	if err != nil {
		return false, err
	}
	is, others := false, false
	for _, account := range list {
		if account.Role == "admin" {
			is, others = is || account.User == user, others || account.User != user
		}
	}
	return is && !others, nil
}

func (a *app) accountRestrictCommand() *cobra.Command {
	var limits limitFlags
	c := &cobra.Command{
		Use:   "restrict USER [--read COLLECTIONS] [--write COLLECTIONS]",
		Short: "Restrict an account to some collections, or lift that",
		Long: `Restrict says in which collections an account may read, and in which it may write, as far as its role goes. A list
that is not given restricts nothing: without any the account is restricted no longer. "none" leaves no collection.`,
		Example: `  slnode account restrict opencti --read everything --write ransomware
  slnode account restrict opencti`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			chosen := limits.limits()
			return a.changeAccount(c, clients.AccountChange{User: args[0], Limits: &chosen})
		},
	}
	limits.add(c)
	return c
}

// limitFlags are the flags --read and --write.
type limitFlags struct{ read, write []string }

func (l *limitFlags) add(c *cobra.Command) {
	c.Flags().StringSliceVar(&l.read, "read", nil, "the only `collections`, by id, alias or owner/alias, that it may read; none for none (default: all that the role may)")
	c.Flags().StringSliceVar(&l.write, "write", nil, "the only `collections` that it may write; none for none")
}

// limits gives a list only where there was a flag.
func (l *limitFlags) limits() accounts.Limits {
	list := func(names []string) []string {
		if len(names) == 1 && names[0] == "none" {
			return []string{}
		}
		return names
	}
	return accounts.Limits{Read: list(l.read), Write: list(l.write)}
}

func (a *app) accountCertificateCommand() *cobra.Command {
	var remove bool
	c := &cobra.Command{
		Use:   "certificate USER CERTIFICATE",
		Short: "Let a TLS client certificate stand for an account",
		Long: `Certificate lets whoever proves over HTTPS to have the key of a certificate in as the account. The certificate is a PEM
file, or its SHA-256 in hex. Who signed it doesn't matter: it is known by its fingerprint, until it expires.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			fingerprint, err := certificateFingerprint(c, args[1])
			if err != nil {
				return err
			}
			change := clients.AccountChange{User: args[0], AddCertificate: fingerprint}
			if remove {
				change = clients.AccountChange{User: args[0], RemoveCertificate: fingerprint}
			}
			return a.changeAccount(c, change)
		},
	}
	c.Flags().BoolVar(&remove, "remove", false, "let it stand for the account no longer")
	return c
}

var fingerprintForm = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// certificateFingerprint reads the fingerprint of a certificate, or finds it out from a PEM file.
func certificateFingerprint(c *cobra.Command, text string) (string, error) {
	if plain := strings.ReplaceAll(text, ":", ""); fingerprintForm.MatchString(plain) {
		return strings.ToLower(plain), nil
	}
	data, err := readInput(c, text)
	if err != nil {
		return "", err
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return "", fmt.Errorf("%w: %s holds no certificate in PEM, and is no SHA-256 in hex", errUsage, text)
		}
		if block.Type == "CERTIFICATE" {
			sum := sha256.Sum256(block.Bytes)
			return hex.EncodeToString(sum[:]), nil
		}
	}
}

func (a *app) accountRemoveCommand() *cobra.Command {
	var agreed *agreement
	c := &cobra.Command{
		Use:   "remove USER",
		Short: "Remove an account, its logins and its certificates",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, err := onAccounts(a, c, func(client *control.Client) (nothing, error) {
				only, err := isOnlyAdministrator(c, client, args[0])
				if err != nil {
					return nothing{}, err
				}
				question := fmt.Sprintf("Remove the account %s, with its logins and certificates?", args[0])
				if only {
					question = fmt.Sprintf("%s is the only administrator: after this nobody can make accounts and collections over HTTP. Remove it?", args[0])
				}
				if err := agreed.confirm(c, question, nil); err != nil {
					return nothing{}, err
				}
				return nothing{}, client.RemoveAccount(c.Context(), clients.AccountRemoval{User: args[0], Last: only})
			})
			return err
		},
	}
	agreed = asks(c)
	return c
}

// readPassword asks for a password twice or, where nobody can be asked, reads a line. It is never an argument, which
// others on the machine could see.
func readPassword(c *cobra.Command, prompt string) (string, error) {
	file, ok := c.InOrStdin().(*os.File)
	if !ok || !isTerminal(file) {
		line, err := bufio.NewReader(io.LimitReader(c.InOrStdin(), 4096)).ReadString('\n')
		if err != nil && (!errors.Is(err, io.EOF) || line == "") {
			return "", fmt.Errorf("%w: standard input holds no password", errUsage)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	return askTwice(c.Context(), prompt)
}

func printAccounts(w io.Writer, list []clients.AccountInfo) {
	fmt.Fprintf(w, "USER\tROLE\tREAD\tWRITE\tCERTIFICATES\tCREATED\n")
	for _, account := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", account.User, account.Role, limitText(account.Read), limitText(account.Write),
			strings.Join(account.Certificates, ","), account.Created.Format(time.DateOnly))
	}
}

// limitText writes the collections that somebody is restricted to.
func limitText(ids []string) string {
	switch {
	case ids == nil:
		return "all"
	case len(ids) == 0:
		return "none"
	}
	return strings.Join(ids, ",")
}
