package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/disclosure"
)

// ask asks the node of the repository something.
func ask[T any](a *app, c *cobra.Command, question func(*control.Client) (T, error)) (result T, err error) {
	client, err := a.connect(c)
	if err != nil {
		return result, err
	}
	stop := a.explain(c, client)
	result, err = question(client)
	stop()
	return result, errors.Join(err, client.Close())
}

func (a *app) collectionCommand() *cobra.Command {
	return group("collection", "Make collections, and say who reads them",
		a.collectionCreateCommand(), a.collectionListCommand(), a.collectionShowCommand(), a.collectionGrantCommand(),
		a.collectionRevokeCommand(), a.collectionRotateCommand(), a.collectionSetCommand())
}

func (a *app) collectionCreateCommand() *cobra.Command {
	var spec collections.Spec
	c := &cobra.Command{
		Use:   "create TITLE",
		Short: "Make a collection of this organisation",
		Long: `Create makes a collection on the chain. Its title, its readers and everything else about it is sealed to its readers;
nobody else can tell more than that this organisation has a collection. Readers can be added later, with what was
published before or without. Making a collection costs 0.101 ALGO, of which 0.1 stay locked, and so does each change of
it; it is refused, before anything is done, if the account can't pay.`,
		Example: `  slnode collection create "Ransomware working group" --alias ransomware --readers borealis,cobalt --contributors all
  slnode collection create "For everybody" --readers all
  slnode collection create "Our own notes"`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			spec.Title = args[0]
			return a.changeCollection(c, func(client *control.Client) (collections.Info, error) {
				return client.CreateCollection(c.Context(), spec)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&spec.Alias, "alias", "", "a short `name` for URLs and commands")
	f.StringVar(&spec.Description, "description", "", "what it is for")
	f.StringSliceVar(&spec.Readers, "readers", nil, "`organisations` that may read it, or all: every member, present and future (default: nobody else)")
	f.StringSliceVar(&spec.Contributors, "contributors", nil, "`organisations` among the readers that may also publish in it, or all of them")
	f.StringVar(&spec.DefaultLevel, "default-level", "", "TLP `level` of objects without a marking: clear, green, amber, amber+strict (default green)")
	f.StringVar(&spec.Metadata, "metadata", "", "open or sealed: whether the ids that say nothing stand in clear on IPFS (default: open in a private swarm)")
	f.StringVar(&spec.Padding, "padding", "", "coarse: hide the size of objects better, at up to twice the space")
	return c
}

// changeCollection does something to a collection and shows what it is then.
func (a *app) changeCollection(c *cobra.Command, do func(*control.Client) (collections.Info, error)) error {
	info, err := ask(a, c, do)
	if err != nil {
		return err
	}
	a.remark(c, fmt.Sprintf("each change of a collection is a record on the chain: %s ALGO, of which %s stay locked; nothing where all was so already",
		microalgo.PerNFT, microalgo.PerAsset))
	return a.print(c, info, func(w io.Writer) { printCollection(w, info) })
}

func (a *app) collectionListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the collections that this organisation can read",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withConsortium(c, func(info control.ConsortiumInfo) error {
				return a.print(c, info.Collections, func(w io.Writer) { printCollections(w, info.Collections) })
			})
		},
	}
}

func (a *app) collectionShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show COLLECTION",
		Short: "Show a collection: who reads it, who publishes in it, its key epoch, and its history",
		Long: `Show tells who reads a collection, who publishes in it, and what has happened to it: every record of it on the chain,
who was given the keys of which epochs by it, who on this node caused it, and which of those who have its keys were
removed from the consortium. A * says that this node did not give the keys itself: they are what the owner's records
say, see "slnode shared".`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withConsortium(c, func(info control.ConsortiumInfo) error {
				one, err := info.Collection(args[0])
				if err != nil {
					return err
				}
				shown := collectionShown{Info: one}
				if shown.History, err = ask(a, c, func(client *control.Client) (disclosure.History, error) { return client.History(c.Context(), one.ID) }); err != nil {
					return err
				}
				return a.print(c, shown, func(w io.Writer) {
					printCollection(w, one)
					printHistory(w, shown.History)
				})
			})
		},
	}
}

func (a *app) collectionGrantCommand() *cobra.Command {
	var grant collections.Grant
	var agreed *agreement
	c := &cobra.Command{
		Use:   "grant COLLECTION ORG...",
		Short: "Let organisations read a collection of this one",
		Long: `Grant adds readers. From now: they read what is published from now on; a new key epoch begins, so that what was
published before stays closed to them. From all: they read everything, with its original provenance; nothing is
encrypted or minted again. From an epoch: what was published since. It is refused where an object published before has
a TLP marking that the new readers are not covered by.`,
		Example: `  slnode collection grant ransomware dorado
  slnode collection grant ransomware dorado --from all --contribute`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			grant.Organisations = args[1:]
			if grant.From != "now" && grant.From != "" {
				question := fmt.Sprintf("Let %s read what was published in %s before?", strings.Join(args[1:], ", "), args[0])
				if err := agreed.confirm(c, question, nil); err != nil {
					return err
				}
			}
			return a.changeCollection(c, func(client *control.Client) (collections.Info, error) {
				return client.Grant(c.Context(), args[0], grant)
			})
		},
	}
	agreed = asks(c)
	c.Flags().StringVar(&grant.From, "from", "now", "from when on: now, all, or the number of an `epoch`")
	c.Flags().BoolVar(&grant.Contribute, "contribute", false, "let them publish in it, too")
	return c
}

func (a *app) collectionRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke COLLECTION ORG...",
		Short: "Take organisations out of a collection's readers",
		Long: `Revoke begins a new key epoch without the organisations: what is published from now on they can't read. What they could
read before, they can: their nodes have it already.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.changeCollection(c, func(client *control.Client) (collections.Info, error) {
				return client.Revoke(c.Context(), args[0], args[1:])
			})
		},
	}
}

func (a *app) collectionRotateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate COLLECTION",
		Short: "Begin a new key epoch for the same readers",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.changeCollection(c, func(client *control.Client) (collections.Info, error) {
				return client.Rotate(c.Context(), args[0])
			})
		},
	}
}

func (a *app) collectionSetCommand() *cobra.Command {
	var change collections.Change
	c := &cobra.Command{
		Use:   "set COLLECTION",
		Short: "Change a collection's title, alias, description, default level, metadata or padding",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			any := false
			for name, field := range map[string]**string{
				"title": &change.Title, "alias": &change.Alias, "description": &change.Description,
				"default-level": &change.DefaultLevel, "metadata": &change.Metadata, "padding": &change.Padding,
			} {
				if c.Flags().Changed(name) {
					value := c.Flags().Lookup(name).Value.String()
					*field, any = &value, true
				}
			}
			if !any {
				return fmt.Errorf("%w: nothing to change; see slnode collection set --help", errUsage)
			}
			return a.changeCollection(c, func(client *control.Client) (collections.Info, error) {
				return client.SetCollection(c.Context(), args[0], change)
			})
		},
	}
	f := c.Flags()
	f.String("title", "", "its title")
	f.String("alias", "", "a short `name` for URLs and commands")
	f.String("description", "", "what it is for")
	f.String("default-level", "", "TLP `level` of objects without a marking, from now on")
	f.String("metadata", "", "open or sealed, from now on")
	f.String("padding", "", "coarse or nothing, from now on")
	return c
}

// collectionShown is a collection with what has happened to it.
type collectionShown struct {
	collections.Info
	disclosure.History
}

func printHistory(w io.Writer, h disclosure.History) {
	fmt.Fprintf(w, "\nTIME\tROUND\tEPOCH\tWHAT\tREADERS\tKEYS GIVEN\tBY\tTRANSACTION\n")
	for _, c := range h.Changes {
		what := c.What
		if len(c.Added) > 0 {
			what += ", +" + strings.Join(c.Added, " +")
		}
		if len(c.Removed) > 0 {
			what += ", -" + strings.Join(c.Removed, " -")
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", c.Time.Format(time.RFC3339), c.Round, c.Epoch, what, strings.Join(c.Readers, ", "), givenText(c), c.By, c.TxID)
	}
	if h.Incomplete {
		fmt.Fprintf(w, "a record has not arrived: what came after it is not known\n")
	}
}

// givenText says who was given the keys of which epochs.
func givenText(c disclosure.Change) string {
	var parts []string
	for _, g := range c.Given {
		epochs := fmt.Sprintf("epoch %d", g.To)
		if g.From != g.To {
			epochs = fmt.Sprintf("epochs %d to %d", g.From, g.To)
		}
		parts = append(parts, epochs+": "+strings.Join(g.Members, ", "))
	}
	text := strings.Join(parts, "; ")
	if c.Stated {
		text += " *"
	}
	return text
}

func printCollections(w io.Writer, list []collections.Info) {
	fmt.Fprintf(w, "COLLECTION\tALIAS\tTITLE\tOWNER\tREADERS\tEPOCH\tWRITE\n")
	for _, c := range list {
		readers := organisations(c.Readers)
		if c.Former {
			readers = "not this organisation any more"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", c.ID, c.Alias, c.Title, c.Owner, readers, c.Epoch, yes(c.Write))
	}
}

func printCollection(w io.Writer, c collections.Info) {
	fmt.Fprintf(w, "collection\t%s\ntitle\t%s\nalias\t%s\ndescription\t%s\nowner\t%s\nreaders\t%s\ncontributors\t%s\n",
		c.ID, c.Title, c.Alias, c.Description, c.Owner, organisations(c.Readers), organisations(c.Contributors))
	fmt.Fprintf(w, "default level\tTLP:%s\nmetadata\t%s\nkey epoch\t%d, since round %d\nwritable here\t%s\n",
		strings.ToUpper(c.DefaultLevel), c.Metadata, c.Epoch, c.Since, yes(c.Write))
}

// organisations writes a list of members beside the owner.
func organisations(names []string) string {
	if len(names) == 0 {
		return "the owner only"
	}
	if names[0] == "all" {
		return "every member"
	}
	return "the owner, " + strings.Join(names, ", ")
}
