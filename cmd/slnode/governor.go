package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
)

func (a *app) governorCommand() *cobra.Command {
	c := group("governor", "Show or change who governs the consortium; sign what several governors decide together",
		a.governorShowCommand(), a.governorSetCommand(), a.governorSignCommand(), a.governorRenewCommand(), a.governorSubmitCommand())
	c.Long = `The governor admits and removes members and amends the charter. It is one account, or so many of several: an Algorand
multisig account, which needs ALGO of its own (every record costs 0.101).

What several decide is a file, a proposal, that begins with the command for it ("member admit", "member remove",
"governor set") at one of them. Each of the others adds its signature with "governor sign", which needs no network. Any
member's node sends it with "governor submit" once there are enough. A proposal can be confirmed for a thousand rounds,
about 45 minutes on Algorand's networks; one that took longer is made anew with "governor renew".`
	return c
}

func (a *app) governorShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show who the governor is",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			info, err := ask(a, c, func(client *control.Client) (members.GovernorInfo, error) { return client.Governor(c.Context()) })
			if err != nil {
				return err
			}
			return a.print(c, info, func(w io.Writer) { printGovernor(w, info) })
		},
	}
}

func printGovernor(w io.Writer, info members.GovernorInfo) {
	fmt.Fprintf(w, "governor\t%s\nsince\tround %d\nfree\t%s ALGO\n", info.Account, info.Since, algo(info.Free))
	if !info.Known {
		fmt.Fprintf(w, "made up of\tnot known yet: the record has not arrived\n")
		return
	}
	fmt.Fprintf(w, "signatures\t%d of %d\n", info.Threshold, len(info.Accounts))
	for _, one := range info.Accounts {
		name := one.Member
		if one.Self {
			name += " (this organisation)"
		}
		fmt.Fprintf(w, "account\t%s\t%s\n", one.Account, name)
	}
}

func (a *app) governorSetCommand() *cobra.Command {
	var change members.GovernorChange
	var name string
	proposal := output{public: true}
	var agreed *agreement
	var history bool
	c := &cobra.Command{
		Use:   "set",
		Short: "Hand over to another governor, or change the consortium's name (governor)",
		Long: `Set amends the charter. From its round on the governor is the one that it names: one account, or so many of several.
The governor before it has no right any more, from that moment; members stay members. Check twice whom you name: if
they can't sign, nobody can admit or remove anybody ever again.

The order of the accounts is part of the multisig account's address. Fund that account before the first decision.`,
		Example: `  slnode governor set --threshold 2 --accounts acme,borealis,cert-eu
  slnode governor set --accounts borealis`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("name") {
				change.Name = &name
			}
			if c.Flags().Changed("history") {
				change.History = &history
			}
			if change.Name == nil && change.History == nil && len(change.Accounts) == 0 {
				return fmt.Errorf("%w: nothing is to be changed; see slnode governor set --help", errUsage)
			}
			if len(change.Accounts) > 0 {
				question := fmt.Sprintf("Hand over to %d of %s?", change.Threshold, strings.Join(change.Accounts, ", "))
				if err := agreed.confirm(c, question, nil); err != nil {
					return err
				}
			}
			info, err := ask(a, c, func(client *control.Client) (members.GovernorInfo, error) {
				return client.SetGovernor(c.Context(), change)
			})
			if err != nil {
				return err
			}
			if info.Proposal != nil {
				proposal.or("governor.proposal")
				return a.writeProposal(c, proposal, info.Proposal)
			}
			return a.print(c, info, func(w io.Writer) { printGovernor(w, info) })
		},
	}
	c.Flags().StringSliceVar(&change.Accounts, "accounts", nil, "the governor's `accounts`: names of members, or Algorand addresses")
	c.Flags().IntVar(&change.Threshold, "threshold", 1, "how `many` of them sign")
	c.Flags().StringVar(&name, "name", "", "a new `name` for the consortium")
	c.Flags().BoolVar(&history, "history", true, "whether newcomers can read what was published before their admission")
	agreed = asks(c)
	proposal.forceFlag(c)
	proposalFlag(c, &proposal, "governor.proposal")
	return c
}

func proposalFlag(c *cobra.Command, proposal *output, file string) {
	c.Flags().StringVar(&proposal.name, "proposal", "", "`file` for the proposal, where the governor is several (default "+file+")")
}

// writeProposal writes a proposal that was begun, and says what to do with it.
func (a *app) writeProposal(c *cobra.Command, out output, file []byte) error {
	info, err := a.readProposal(file)
	if err != nil {
		return err
	}
	if err := out.write(c, append(file, '\n')); err != nil || out.stdout() {
		return err
	}
	return a.print(c, info, func(w io.Writer) {
		printProposal(w, info)
		fmt.Fprintf(w, "\nThe proposal is in %s. Next: slnode governor sign %s at the others, then slnode governor submit %s\n", out.name, out.name, out.name)
	})
}

// offline reads what a command needs that works without a network and beside a daemon.
func (a *app) offline() (repo.Consortium, config.Config, error) {
	config, err := config.Read(a.dir)
	if err != nil {
		return repo.Consortium{}, config, err
	}
	own, err := repo.ReadConsortium(a.dir)
	if err == nil && own == nil {
		err = node.ErrNoConsortium
	}
	if err != nil {
		return repo.Consortium{}, config, err
	}
	return *own, config, nil
}

func (a *app) readProposal(files ...[]byte) (members.ProposalInfo, error) {
	own, config, err := a.offline()
	if err != nil {
		return members.ProposalInfo{}, err
	}
	return members.ReadProposal(own, config, files...)
}

func (a *app) governorSignCommand() *cobra.Command {
	out := output{public: true}
	var agreed *agreement
	var show bool
	c := &cobra.Command{
		Use:   "sign FILE",
		Short: "Show what a proposal does, and add this organisation's signature",
		Long: `Sign shows what a proposal does and adds the signature of this repository's account. It reads that from the transaction
itself and from the record that the transaction names by its hash; whoever wrote the file can't make it say something
else. It needs no network and no daemon: it works on a machine that has only the repository's config.toml,
consortium.json and keys.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			file, err := readKind(c, args[0], aProposal)
			if err != nil {
				return err
			}
			info, err := a.readProposal(file)
			if err != nil {
				return err
			}
			if show {
				return a.print(c, info, func(w io.Writer) { printProposal(w, info) })
			}
			out.inPlace(args[0])
			if err := out.check(); err != nil {
				return err
			}
			if err := agreed.confirm(c, fmt.Sprintf("Sign what %s?", info.Does), func(w io.Writer) { printProposal(w, info) }); err != nil {
				return err
			}
			own, config, err := a.offline()
			if err != nil {
				return err
			}
			keys, err := repo.ReadKeys(a.dir, a.passphrase(c))
			if err != nil {
				return err
			}
			signed, err := members.SignProposal(own, config, keys, file)
			if err != nil {
				return err
			}
			a.note(c, "sign-proposal", fmt.Sprintf("%s %s", signed.Kind, signed.Account))
			if err := out.write(c, append(signed.File, '\n')); err != nil || out.stdout() {
				return err
			}
			return a.print(c, signed, func(w io.Writer) {
				printProposal(w, signed)
				fmt.Fprintf(w, "\nsigned; the proposal is in %s\n", out.name)
			})
		},
	}
	out.flags(c, "", "`file` for the signed proposal; - for standard output (default the same file)")
	agreed = asks(c)
	c.Flags().BoolVar(&show, "show", false, "only show what it does")
	return c
}

func printProposal(w io.Writer, info members.ProposalInfo) {
	fmt.Fprintf(w, "does\t%s\nconsortium\t%d\n", info.Does, info.Consortium)
	for _, detail := range info.Details {
		fmt.Fprintf(w, "%s\t%s\n", detail.Name, detail.Value)
	}
	fmt.Fprintf(w, "decided by\t%s\nfee\t%s ALGO, and 0.1 stay locked\nrounds\t%d to %d\ntransaction\t%s\nsignatures\t%d needed\n",
		info.Governor, algo(info.Fee), info.FirstValid, info.LastValid, info.TxID, info.Threshold)
	for _, s := range info.Signers {
		state := "not yet"
		if s.Signed {
			state = "signed"
		}
		name := s.Member
		if name == "" {
			name = "(no member that this node knows)"
		}
		fmt.Fprintf(w, "%s\t%s, account %s\n", name, state, s.Account)
	}
}

func (a *app) governorRenewCommand() *cobra.Command {
	out := output{public: true}
	c := &cobra.Command{
		Use:   "renew FILE",
		Short: "Make a proposal anew that took too long to be signed",
		Long: `Renew makes the same proposal for the next thousand rounds, with this organisation's signature. The others have to
sign again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			file, err := readKind(c, args[0], aProposal)
			if err != nil {
				return err
			}
			out.inPlace(args[0])
			if err := out.check(); err != nil {
				return err
			}
			info, err := ask(a, c, func(client *control.Client) (members.ProposalInfo, error) {
				return client.RenewProposal(c.Context(), file)
			})
			if err != nil {
				return err
			}
			return a.writeProposal(c, out, info.File)
		},
	}
	out.flags(c, "", "`file` for the proposal; - for standard output (default the same file)")
	return c
}

func (a *app) governorSubmitCommand() *cobra.Command {
	out := output{public: true}
	var agreed *agreement
	c := &cobra.Command{
		Use:   "submit FILE...",
		Short: "Send a proposal that has enough signatures",
		Long: `Submit sends a proposal to the chain and returns when it is there. Copies that were signed apart from each other are put
together. After an admission it writes the newcomer's invite. Repeating it is harmless.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%w: name the proposal; see slnode governor submit --help", errUsage)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			var files [][]byte
			for _, name := range args {
				file, err := readKind(c, name, aProposal)
				if err != nil {
					return err
				}
				files = append(files, file)
			}
			info, err := a.readProposal(files...)
			if err != nil {
				return err
			}
			if info.Organisation != "" {
				out.or(info.Organisation + ".invite")
				if err := out.check(); err != nil {
					return err
				}
			}
			if info.Complete { // else it is refused with who has to sign
				if err := agreed.confirm(c, fmt.Sprintf("Carry out what %s?", info.Does), func(w io.Writer) { printProposal(w, info) }); err != nil {
					return err
				}
			}
			done, err := ask(a, c, func(client *control.Client) (members.Submitted, error) {
				return client.SubmitProposal(c.Context(), files)
			})
			if err != nil {
				return err
			}
			if done.Invite != nil {
				if err := out.write(c, done.Invite); err != nil || out.stdout() {
					return err
				}
			}
			return a.print(c, done, func(w io.Writer) {
				fmt.Fprintf(w, "done: it %s\nround        %d\ntransaction  %s\n", done.Does, done.Round, done.TxID)
				if done.Invite != nil {
					fmt.Fprintf(w, "the invite is in %s\n", out.name)
				}
			})
		},
	}
	agreed = asks(c)
	out.flags(c, "", "`file` for the newcomer's invite; - for standard output (default ORG.invite)")
	return c
}
