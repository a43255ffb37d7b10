package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/keys"
)

// backedUp is what backup and restore print.
type backedUp struct {
	Repo         string    `json:"repo"`
	Organisation string    `json:"organisation"`
	Created      time.Time `json:"created"`
	repo.Contents
}

func (a *app) backupCommand() *cobra.Command {
	var recipients []string
	var newIdentity string
	var out output
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write what can't be had back from the chain and the peers into one sealed file",
		Long: `Backup writes keys, configuration, consortium, accounts and outbox into one file (- for standard output), sealed with a
passphrase or to age recipients. The daemon may run meanwhile: the backup is of one moment. Without a daemon the keys
are opened.

The passphrase is the backup's own: from SLNODE_BACKUP_PASSPHRASE, from the file that SLNODE_BACKUP_PASSPHRASE_FILE
names, or typed. With --recipient no secret is needed; keep the identity that belongs to it somewhere else.
--new-identity makes one, and writes it to a file, and its recipient to FILE.pub, which is the --recipient of later
backups. Keys that are sealed in the repository stay sealed in the backup, with the passphrase that they have now: a restore needs both.

What a backup is worth: with it a new machine becomes this organisation's node and reads everything again, as far as
other members keep it; whoever can open it is the organisation. Objects that no other member has fetched are not in
it, save those that are not confirmed yet. One from before the node joined its consortium, or got new keys, is worth
little: make one then, and regularly.

Two nodes must never run from one backup: both would publish under the same name and number what they publish alike.`,
		Example: `  slnode backup acme-$(date +%F).backup
  slnode backup --new-identity safe.key acme.backup
  slnode backup --recipient safe.key.pub /mnt/safe/acme.backup
  slnode backup --recipient age1pq1… - | ssh safe 'cat >acme.backup'`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			out.name = args[0]
			if err := out.check(); err != nil {
				return err
			}
			if newIdentity != "" {
				recipient, err := a.makeIdentity(c, newIdentity)
				if err != nil {
					return err
				}
				recipients = append(recipients, recipient)
			}
			to, err := backupRecipients(c, recipients)
			if err != nil {
				return err
			}
			var manifest repo.Manifest
			var written counter
			write := func(w io.Writer) error {
				sealed, err := age.Encrypt(io.MultiWriter(w, &written), to...)
				if err != nil {
					return fmt.Errorf("%w: %w", errUsage, err)
				}
				manifest, err = control.Backup(c.Context(), a.dir, a.passphrase(c), openBlocks, sealed)
				return errors.Join(err, sealed.Close())
			}
			if err := out.stream(c, write); err != nil {
				return err
			}
			if err := repo.NoteBackup(a.dir, repo.BackedUp{At: manifest.Created, Bytes: int64(written)}); err != nil {
				a.remark(c, "the backup is good, and status will not know of it: "+err.Error())
			}
			if out.stdout() {
				return nil
			}
			return a.printBackedUp(c, manifest, "the backup is in "+args[0])
		},
	}
	out.forceFlag(c)
	c.Flags().StringArrayVar(&recipients, "recipient", nil, "seal to an age `recipient` (age1…, age1pq1…, or a file with such) instead of a passphrase; may be repeated")
	c.Flags().StringVar(&newIdentity, "new-identity", "", "make an age identity, write it to this `file` and seal to it; move the file to another machine")
	return c
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// makeIdentity writes a new identity to a file that isn't there, and says who it is.
func (a *app) makeIdentity(c *cobra.Command, name string) (recipient string, err error) {
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return "", fmt.Errorf("making an identity: %w", err)
	}
	recipient = identity.Recipient().String()
	secret, public := output{name: name}, output{name: name + ".pub"}
	if err := errors.Join(secret.check(), public.check()); err != nil {
		return "", err
	}
	if err := secret.write(c, fmt.Appendf(nil, "# opens backups of slnode\n%s\n", identity)); err != nil {
		return "", err
	}
	if err := public.write(c, []byte(recipient+"\n")); err != nil {
		return "", err
	}
	a.remark(c, "the identity that opens the backup is in "+name+": move it to another machine; later backups: --recipient "+public.name)
	return recipient, nil
}

// backupRecipients is who can open a backup.
func backupRecipients(c *cobra.Command, texts []string) ([]age.Recipient, error) {
	if len(texts) > 0 {
		for i, text := range texts {
			if strings.HasPrefix(text, "age1") {
				continue
			}
			data, err := os.ReadFile(text)
			if err != nil {
				return nil, fmt.Errorf("%w: --recipient: neither age1… nor a file with such: %w", errUsage, err)
			}
			texts[i] = string(data)
		}
		recipients, err := age.ParseRecipients(strings.NewReader(strings.Join(texts, "\n")))
		if err != nil {
			return nil, fmt.Errorf("%w: --recipient: %w", errUsage, err)
		}
		return recipients, nil
	}
	secret, err := choosePassphrase(c.Context(), backupPassphrase, "Passphrase of the backup")
	if err != nil {
		return nil, err
	}
	recipient, err := seal.PassphraseRecipient(secret)
	return []age.Recipient{recipient}, err
}

func (a *app) restoreCommand() *cobra.Command {
	var identity string
	var empty bool
	var agreed *agreement
	c := &cobra.Command{
		Use:   "restore {FILE | --empty-state}",
		Short: "Make a repository from a backup",
		Long: `Restore unpacks a backup (- for standard input) into the repository's directory, which must be empty or absent. Everything
is checked before any of it is put in place. Then "slnode daemon" derives the view again from the chain and the peers.

The restored node reads at once. It takes objects in, but publishes them only when the chain has moved on by 500 rounds
(about 25 minutes on Algorand's public networks): until then something that the lost node signed after the backup was
made could still be confirmed. What the chain shows by then is not published twice; "slnode status" tells how far it is.

Restore only what is lost for good: two nodes must never run from one backup, nor a restored node beside the old one.

Without a backup, --empty-state lets a node whose state is damaged, and whose keys are whole, go on with an empty one. The
damaged one is set aside. Accounts, statuses, and what was not on the chain yet are lost: make accounts anew with
"slnode account add", and post again what "slnode status" does not know.`,
		Example: `  slnode --repo /var/lib/slnode restore acme-2026-11-22.backup
  slnode restore --identity safe.key acme.backup
  slnode restore --empty-state`,
		Args: func(c *cobra.Command, args []string) error {
			if empty {
				return cobra.ExactArgs(0)(c, args)
			}
			return cobra.ExactArgs(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if empty {
				if err := agreed.confirm(c, fmt.Sprintf("Go on without the accounts, statuses and unpublished objects of %s?", a.dir), nil); err != nil {
					return err
				}
				return a.emptyState(c)
			}
			identities, err := backupIdentities(c, identity)
			if err != nil {
				return err
			}
			from := c.InOrStdin()
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("%w: %w", errUsage, unreadable(err))
				}
				defer file.Close()
				from = file
			}
			plaintext, err := seal.OpenStream(from, identities...)
			switch {
			case errors.Is(err, seal.ErrNotForUs) && identity == "":
				return fmt.Errorf("%w: the backup is sealed to a key, not with a passphrase; give the key with --identity", errUsage)
			case errors.Is(err, seal.ErrNotForUs):
				return fmt.Errorf("%w: the backup is not sealed to the identity in %s", errUsage, identity)
			case errors.Is(err, keys.ErrPassphrase):
				return fmt.Errorf("opening the backup: %w", err)
			case err != nil:
				return noBackup(args[0], err)
			}
			manifest, err := repo.Restore(a.dir, plaintext, a.passphrase(c))
			if err != nil {
				return err
			}
			a.note(c, "restore", manifest.Organisation)
			return a.printBackedUp(c, manifest, "restored into "+a.dir+
				"\n\nMake sure that the node that this is a backup of never runs again. Next: slnode daemon")
		},
	}
	agreed = asks(c)
	c.Flags().StringVar(&identity, "identity", "", "`file` with the age identity that the backup is sealed to")
	c.Flags().BoolVar(&empty, "empty-state", false, "go on with an empty state in place of a damaged one, without a backup")
	return c
}

func (a *app) emptyState(c *cobra.Command) error {
	aside, err := repo.EmptyState(a.dir, a.passphrase(c))
	if err != nil {
		return err
	}
	a.note(c, "restore", "an empty state")
	result := struct {
		Repo  string `json:"repo"`
		Aside string `json:"aside,omitempty"`
	}{a.dir, aside}
	return a.print(c, result, func(w io.Writer) {
		fmt.Fprintf(w, "%s has an empty state now", a.dir)
		if aside != "" {
			fmt.Fprintf(w, "; the damaged one is in %s", aside)
		}
		fmt.Fprintf(w, "\n\nNext: slnode daemon, and slnode account add\n")
	})
}

// backupIdentities is what a backup is opened with.
func backupIdentities(c *cobra.Command, path string) ([]age.Identity, error) {
	if path != "" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%w: --identity: %w", errUsage, err)
		}
		defer file.Close()
		identities, err := age.ParseIdentities(file)
		if err != nil { // the cause could quote it
			return nil, fmt.Errorf("%w: --identity: %s holds no age identity", errUsage, filepath.Base(path))
		}
		return identities, nil
	}
	secret, err := readPassphrase(c.Context(), backupPassphrase, "Passphrase of the backup")
	if err != nil {
		return nil, err
	}
	identity, err := seal.PassphraseIdentity(secret)
	return []age.Identity{identity}, err
}

func (a *app) printBackedUp(c *cobra.Command, m repo.Manifest, done string) error {
	result := backedUp{Repo: a.dir, Organisation: m.Organisation, Created: m.Created, Contents: m.Contents}
	return a.print(c, result, func(w io.Writer) {
		fmt.Fprintf(w, "organisation\t%s\nmade at\t%s\nholds\tkeys, configuration, %d entries of outbox and accounts, %d files of records and of objects on their way\n\n%s\n",
			m.Organisation, m.Created.Format(time.RFC3339), m.Contents.Records, m.Contents.Files, done)
	})
}

// openBlocks opens the blocks of a repository on which no daemon runs.
func openBlocks(dir string) (control.Blocks, error) { return p2p.OpenOffline(dir) }

// noBackup says of a file that can't be opened as a backup what it is instead, if that shows.
func noBackup(name string, cause error) error {
	if data, err := os.ReadFile(name); name != "-" && err == nil {
		if err := expect(name, data, aBackup); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s can't be opened as a backup: it is damaged or cut short; take another copy, or an earlier one: %w", errUsage, name, cause)
}
