package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/state"
)

func (a *app) memberCommand() *cobra.Command {
	return group("member", "Ask to be admitted, admit, remove, list and rate the members, change a member's keys",
		a.memberRequestCommand(), a.memberAdmitCommand(), a.memberRemoveCommand(), a.memberRotateCommand(), a.memberReplaceCommand(), a.memberListCommand(), a.memberCardCommand(), a.memberRateCommand())
}

func (a *app) memberRequestCommand() *cobra.Command {
	out := output{public: true}
	c := &cobra.Command{
		Use:   "request",
		Short: "Write a request for admission, to be sent to a consortium's governor",
		Long: `Request writes who this organisation is: its name, Algorand account, peer id and public key, signed with the account
and the peer key. There is no secret in it. It also prints the account: tell that to the governor by another way than the
request goes, such as on the phone.`,
		Example: `  slnode member request -o acme.request`,
		Args:    cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			config, keys, err := a.own(c)
			if err != nil {
				return err
			}
			request, data, err := members.MakeRequest(config, keys)
			if err != nil {
				return err
			}
			if err := out.write(c, data); err != nil {
				return err
			}
			if out.stdout() {
				a.remark(c, "tell the governor the account by another way than the request goes: "+request.Account)
				return nil
			}
			result := struct {
				members.Request
				File string `json:"file"`
			}{request, out.name}
			return a.print(c, result, func(w io.Writer) {
				printRequest(w, request)
				fmt.Fprintf(w, "\nThe request is in %s. Next: send it to the governor, tell the governor the account by another way (on the phone), and\n"+
					"use the invite that comes back: slnode join INVITE\n", out.name)
			})
		},
	}
	out.flags(c, "-", "`file` to write; - for standard output")
	return c
}

func printRequest(w io.Writer, r members.Request) {
	fmt.Fprintf(w, "organisation\t%s\ntitle\t%s\naccount\t%s\npeer\t%s\n", r.Organisation, printable(r.Title), r.Account, r.Peer)
}

// priceText says what an admission costs.
func priceText(p members.Price) string {
	text := "nothing"
	if p.Fees > 0 {
		text = fmt.Sprintf("%s ALGO: %s in fees, %s locked", p.Fees.Plus(p.Locked), p.Fees, p.Locked)
	}
	if p.Governor > 0 {
		text += fmt.Sprintf("; and %s ALGO of the governor's account, once it is submitted", p.Governor)
	}
	return text
}

func (a *app) memberAdmitCommand() *cobra.Command {
	out, proposal := output{public: true}, output{public: true}
	var agreed *agreement
	c := &cobra.Command{
		Use:   "admit REQUEST",
		Short: "Admit the organisation of a request, and write its invite (governor)",
		Long: `Admit mints a member NFT for the organisation of a request and gives it the keys of the default collection. It writes
an invite, sealed to the newcomer's key, to be sent back. It shows the request and the cost, and asks: check by another way than the
request came that the account in it really is the organisation's. Repeating it writes the invite again and costs nothing.

Where the governor is several accounts, it writes a proposal instead, with this organisation's signature: the others add
theirs with "slnode governor sign", and "slnode governor submit" sends it and writes the invite.`,
		Example: `  slnode member admit acme.request -o acme.invite`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			request, err := readKind(c, args[0], aRequest)
			if err != nil {
				return err
			}
			asked, err := members.ReadRequest(request)
			if err != nil {
				return err
			}
			out.or(asked.Organisation + ".invite")
			proposal.or("admit-" + asked.Organisation + ".proposal")
			if err := out.check(); err != nil {
				return err
			}
			var price members.Price
			if agreed.asking(c) { // what can't be done is refused before anybody is asked
				price, err = ask(a, c, func(client *control.Client) (members.Price, error) {
					return client.PriceOfAdmission(c.Context(), request)
				})
				if err != nil {
					return err
				}
			}
			question := fmt.Sprintf("Admit %s, if %s is the account that it told you by another way?", asked.Organisation, asked.Account)
			if err := agreed.confirm(c, question, func(w io.Writer) {
				printRequest(w, asked)
				fmt.Fprintf(w, "cost\t%s\n", priceText(price))
			}); err != nil {
				return err
			}
			admission, err := ask(a, c, func(client *control.Client) (members.Admission, error) { return client.Admit(c.Context(), request) })
			if err != nil {
				return err
			}
			if admission.Proposal != nil {
				proposal.force = out.force
				return a.writeProposal(c, proposal, admission.Proposal)
			}
			if err := out.write(c, admission.Invite); err != nil || out.stdout() {
				return err
			}
			return a.print(c, admission, func(w io.Writer) {
				fmt.Fprintf(w, "%s is a member: account %s, asset %d, round %d, transaction %s\nthe invite is in %s\n",
					admission.Organisation, admission.Account, admission.Asset, admission.Round, admission.TxID, out.name)
			})
		},
	}
	agreed = asks(c)
	out.flags(c, "", "`file` for the invite; - for standard output (default ORG.invite)")
	proposalFlag(c, &proposal, "admit-ORG.proposal")
	return c
}

func (a *app) memberRemoveCommand() *cobra.Command {
	proposal := output{public: true}
	var agreed *agreement
	c := &cobra.Command{
		Use:   "remove ORG",
		Short: "End the membership of an organisation (governor)",
		Long: `Remove destroys the organisation's member NFT or, if an earlier governor minted that, mints a record that ends the
membership. From that round on what it mints counts for nothing, members' nodes give
it no blocks and drop its announcements, and every collection that it could read gets a new key. What it could read
before, it can. It can be admitted again.

Where the governor is several accounts, it writes a proposal, see "slnode governor".`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := agreed.confirm(c, fmt.Sprintf("End the membership of %s?", args[0]), nil); err != nil {
				return err
			}
			m, err := ask(a, c, func(client *control.Client) (members.Removal, error) { return client.Remove(c.Context(), args[0]) })
			if err != nil {
				return err
			}
			if m.Proposal != nil {
				proposal.or("remove-" + m.Name + ".proposal")
				return a.writeProposal(c, proposal, m.Proposal)
			}
			return a.print(c, m, func(w io.Writer) {
				fmt.Fprintf(w, "removed %s\naccount  %s\nround    %d\n", m.Name, m.Account, m.Removed)
			})
		},
	}
	agreed = asks(c)
	proposal.forceFlag(c)
	proposalFlag(c, &proposal, "remove-ORG.proposal")
	return c
}

func (a *app) memberListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the members",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withConsortium(c, func(info control.ConsortiumInfo) error {
				return a.print(c, info.Members, func(w io.Writer) { printMembers(w, info.Members) })
			})
		},
	}
}

// isMember looks whether there is a member of a name, before anything is asked about it.
func (a *app) isMember(c *cobra.Command, name string) error {
	known, err := ask(a, c, func(client *control.Client) (control.ConsortiumInfo, error) { return client.Consortium(c.Context()) })
	if err != nil {
		return err
	}
	var names []string
	for _, m := range known.Members {
		if !m.Known || m.Removed > 0 {
			continue
		}
		if m.Name == name {
			return nil
		}
		names = append(names, m.Name)
	}
	return state.NoMember(name, names)
}
