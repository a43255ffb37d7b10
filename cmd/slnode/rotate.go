package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/repo/keys"
)

func (a *app) memberRotateCommand() *cobra.Command {
	var change keys.Change
	var agreed *agreement
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Give this organisation new keys",
		Long: `Rotate makes new keys, publishes a record that is signed with the old ones, and goes over to the new ones when the chain
has it. Without a flag it changes all three. The organisation goes on being the same member: its name, its collections,
what it may read. From that round on nothing counts that is signed with the old account; with a new identity every
collection that the organisation reads gets a new key. The old keys stay in the keys folder: what was sealed to them opens with them only.

A new account has to be paid for: the command says which account to send ALGO to; repeat it then. The old account keeps
what it has. Interrupted at any point, the change goes on by itself or by repeating the command.

Who has lost its keys makes a new repository and a request, and asks the governor for "slnode member replace".`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if change == (keys.Change{}) {
				change = keys.Change{Account: true, Peer: true, Identity: true}
			}
			if err := agreed.confirm(c, fmt.Sprintf("Give this organisation %s?", describeChange(change)), nil); err != nil {
				return err
			}
			r, err := ask(a, c, func(client *control.Client) (members.Rotated, error) { return client.RotateKeys(c.Context(), change) })
			if err != nil {
				return err
			}
			return a.print(c, r, func(w io.Writer) { printRotated(w, r) })
		},
	}
	c.Flags().BoolVar(&change.Account, "account", false, "a new Algorand account")
	c.Flags().BoolVar(&change.Peer, "peer", false, "a new peer key")
	c.Flags().BoolVar(&change.Identity, "identity", false, "a new post-quantum key, which opens keyrings")
	agreed = asks(c)
	return c
}

func describeChange(change keys.Change) string {
	var parts []string
	for _, part := range []struct {
		chosen bool
		what   string
	}{{change.Account, "a new account"}, {change.Peer, "a new peer key"}, {change.Identity, "a new post-quantum key"}} {
		if part.chosen {
			parts = append(parts, part.what)
		}
	}
	return strings.Join(parts, ", ")
}

func printRotated(w io.Writer, r members.Rotated) {
	fmt.Fprintf(w, "%s has other keys\naccount      %s\npeer         %s\nround        %d\ntransaction  %s\n",
		r.Organisation, r.Account, r.Peer, r.Round, r.TxID)
	for _, line := range r.Advice {
		fmt.Fprintf(w, "note: %s\n", line)
	}
}

func (a *app) memberReplaceCommand() *cobra.Command {
	out, proposal := output{public: true}, output{public: true}
	var agreed *agreement
	c := &cobra.Command{
		Use:   "replace ORG REQUEST",
		Short: "Give a member that has lost its keys those of a request (governor)",
		Long: `Replace gives a member the keys of a request that it made with a new repository, and writes an invite for it, to be used
there with "slnode join". The member keeps its name, its collections and what it may read; owners of collections give
it their keys anew. Keys of its own collections that only the lost identity could open are lost.

Check, by another way than the request came, that it really is the organisation's. Where the governor is several
accounts, it writes a proposal, see "slnode governor".`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			request, err := readKind(c, args[1], aRequest)
			if err != nil {
				return err
			}
			asked, err := members.ReadRequest(request)
			if err != nil {
				return err
			}
			out.or(asked.Organisation + ".invite")
			proposal.or("replace-" + asked.Organisation + ".proposal")
			if err := out.check(); err != nil {
				return err
			}
			if err := a.isMember(c, args[0]); err != nil {
				return err
			}
			question := fmt.Sprintf("Give the member %s these keys, if %s is the account that it told you by another way?", args[0], asked.Account)
			if err := agreed.confirm(c, question, func(w io.Writer) { printRequest(w, asked) }); err != nil {
				return err
			}
			r, err := ask(a, c, func(client *control.Client) (members.Rotated, error) {
				return client.ReplaceKeys(c.Context(), args[0], request)
			})
			if err != nil {
				return err
			}
			if r.Proposal != nil {
				proposal.force = out.force
				return a.writeProposal(c, proposal, r.Proposal)
			}
			if err := out.write(c, r.Invite); err != nil || out.stdout() {
				return err
			}
			return a.print(c, r, func(w io.Writer) {
				printRotated(w, r)
				fmt.Fprintf(w, "the invite is in %s\n", out.name)
			})
		},
	}
	agreed = asks(c)
	out.flags(c, "", "`file` for the invite; - for standard output (default ORG.invite)")
	proposalFlag(c, &proposal, "replace-ORG.proposal")
	return c
}
