package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/repo"
)

func (a *app) keysCommand() *cobra.Command {
	return group("keys", "Seal the repository's keys with a passphrase, or take it off; say that they are only here",
		a.keysSealCommand(), a.keysUnsealCommand(), a.keysPassphraseCommand(), a.keysSoleCommand())
}

func (a *app) keysSoleCommand() *cobra.Command {
	var agreed *agreement
	c := &cobra.Command{
		Use:   "sole",
		Short: "Say that no other node has this organisation's keys any more",
		Long: `Sole is for a node that has stopped publishing because the chain shows transactions of its account that it never signed:
another node has the same keys, such as a copy of this machine, or the one that this was restored from. Stop that one
first, for good. Then say so here: the node waits until the chain has shown all that the other can have signed (500
rounds), and publishes again.

If the other one is not yours the keys are stolen: change them at once, with "slnode member rotate".`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := agreed.confirm(c, "Has the other node with these keys ended for good?", nil); err != nil {
				return err
			}
			_, err := ask(a, c, func(client *control.Client) (struct{}, error) { return struct{}{}, client.Sole(c.Context()) })
			if err != nil {
				return err
			}
			return a.print(c, struct{}{}, func(w io.Writer) {
				fmt.Fprintln(w, "publishing goes on when the chain has shown what the other node can have signed; slnode status tells how far it is")
			})
		},
	}
	agreed = asks(c)
	return c
}

func (a *app) keysSealCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "seal",
		Short: "Seal the keys with a passphrase",
		Long: `Seal encrypts the keys on the disk with a passphrase; the daemon must not run. From then on every command that needs the
keys takes the passphrase from SLNODE_PASSPHRASE, from the file that SLNODE_PASSPHRASE_FILE names, or asks for it on the
terminal. Commands that talk to a running daemon don't need it.

Whoever loses the passphrase has lost the keys. A disk may still hold what was on it in clear before: "slnode init
--seal" never writes it. The sealed file opens without this program, too: age -d keys/sealed.age | tar -x`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if sealed, err := repo.KeysSealed(a.dir); err != nil || sealed {
				return orUsage(err, `the keys are sealed already; "slnode keys passphrase" changes the passphrase`)
			}
			if err := repo.CheckFree(a.dir); err != nil {
				return err
			}
			secret, err := choosePassphrase(c.Context(), keysPassphrase, "New passphrase of the keys")
			if err != nil {
				return err
			}
			if err := repo.SealKeys(a.dir, nil, secret); err != nil {
				return err
			}
			a.note(c, "seal-keys", "")
			return a.printSealed(c, true)
		},
	}
}

func (a *app) keysUnsealCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unseal",
		Short: "Put the keys back in clear",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if sealed, err := repo.KeysSealed(a.dir); err != nil || !sealed {
				return orUsage(err, "the keys are not sealed")
			}
			if err := repo.UnsealKeys(a.dir, a.passphrase(c)); err != nil {
				return err
			}
			a.note(c, "unseal-keys", "")
			return a.printSealed(c, false)
		},
	}
}

func (a *app) keysPassphraseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "passphrase",
		Short: "Change the passphrase of the keys",
		Long: `Passphrase seals the keys with another passphrase, which it takes from SLNODE_NEW_PASSPHRASE or the file that
SLNODE_NEW_PASSPHRASE_FILE names, or asks for. Backups made before keep the passphrase that they were made with.`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if sealed, err := repo.KeysSealed(a.dir); err != nil || !sealed {
				return orUsage(err, `the keys are not sealed; "slnode keys seal" seals them`)
			}
			if err := repo.CheckFree(a.dir); err != nil {
				return err
			}
			if _, err := repo.ReadKeys(a.dir, a.passphrase(c)); err != nil {
				return err // before a new one is asked for
			}
			secret, err := choosePassphrase(c.Context(), newPassphrase, "New passphrase of the keys")
			if err != nil {
				return err
			}
			if err := repo.SealKeys(a.dir, a.passphrase(c), secret); err != nil {
				return err
			}
			a.note(c, "change-passphrase", "")
			return a.printSealed(c, true)
		},
	}
}

// orUsage is err or, if there is none, a wrong usage.
func orUsage(err error, problem string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", errUsage, problem)
}

func (a *app) printSealed(c *cobra.Command, sealed bool) error {
	result := struct {
		Sealed bool `json:"sealed"`
	}{sealed}
	return a.print(c, result, func(w io.Writer) {
		if sealed {
			fmt.Fprintln(w, "the keys are sealed with the passphrase")
		} else {
			fmt.Fprintln(w, "the keys are in clear")
		}
	})
}
