package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/taxii"
)

// target is a collection that a command is about.
type target struct{ root, collection string }

func (t *target) flags(c *cobra.Command, collection string) {
	c.Flags().StringVar(&t.root, "root", "", "the API `root`: an organisation's name, or consortium (default: this organisation's)")
	c.Flags().StringVar(&t.collection, "collection", collection, "the collection's `id` or alias")
}

// widen finds the collection of everything where it is, for commands that read it unless they are told another.
func (t *target) widen() {
	if t.root == "" && t.collection == everything {
		t.root = "consortium"
	}
}

// resolve finds the root's URL and the collection's id.
func (t *target) resolve(ctx context.Context, client *taxii.Client) error {
	discovery, err := client.Discovery(ctx)
	if err != nil {
		return err
	}
	switch {
	case t.root == "":
		t.root = discovery.Default
	default:
		t.root = "/" + t.root + "/"
	}
	found, err := client.Collection(ctx, t.root, t.collection)
	var refused *taxii.ResponseError
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return problem.Missing(fmt.Errorf("no collection %q under %s", t.collection, t.root))
	}
	t.collection = found.ID
	return err
}

func (a *app) listCommand() *cobra.Command {
	var from target
	var filter taxii.Filter
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List the objects that this organisation can read",
		Example: `  slnode list --type indicator
  slnode list --root acme --collection default --json`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			from.widen()
			if err := a.checkTypesThere(c, from, filter.Types); err != nil {
				return err
			}
			return a.withObjects(c, from, filter, func(objects []jsontext.Value) ([]jsontext.Value, bool) {
				if limit > 0 && len(objects) >= limit {
					return objects[:limit], false
				}
				return objects, true
			}, func(objects []jsontext.Value) error {
				return a.print(c, objects, func(w io.Writer) { printObjects(w, objects) })
			})
		},
	}
	from.flags(c, everything)
	c.Flags().StringSliceVar(&filter.Types, "type", nil, "only these STIX `types`")
	c.Flags().StringVar(&filter.Version, "version", "", "which `versions`: last (default), first, all, or a timestamp")
	c.Flags().IntVar(&limit, "limit", 0, "at most `n` objects")
	return c
}

// checkTypesThere refuses types that are neither of the standard nor those of any object there: a mistyped one would
// look like one without objects.
func (a *app) checkTypesThere(c *cobra.Command, from target, types []string) error {
	for _, name := range types {
		if slices.Contains(stix.Types(), name) {
			continue
		}
		found := false
		filter := taxii.Filter{Types: []string{name}, Version: "all"}
		err := a.withObjects(c, from, filter, func(objects []jsontext.Value) ([]jsontext.Value, bool) {
			found = found || len(objects) > 0
			return nil, !found
		}, func([]jsontext.Value) error { return nil })
		if err == nil && !found {
			err = unknownType(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// everything is the alias of the collection that holds all that can be read.
const everything = "everything"

// withCollection finds the collection that a command is about, and talks TAXII with the node of the repository.
func (a *app) withCollection(c *cobra.Command, about *target, use func(*taxii.Client) error) (err error) {
	client, err := a.connect(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	protocol, err := client.TAXII()
	if err != nil {
		return err
	}
	if err := about.resolve(c.Context(), protocol); err != nil {
		return err
	}
	defer a.explain(c, client)()
	return use(protocol)
}

// withObjects reads objects page by page until enough says so.
func (a *app) withObjects(c *cobra.Command, from target, filter taxii.Filter,
	enough func([]jsontext.Value) ([]jsontext.Value, bool), use func([]jsontext.Value) error) error {
	return a.withCollection(c, &from, func(protocol *taxii.Client) error {
		objects := []jsontext.Value{}
		for page, err := range protocol.Objects(c.Context(), from.root, from.collection, filter) {
			if err != nil {
				return err
			}
			more := true
			if objects, more = enough(append(objects, page.Objects...)); !more {
				break
			}
		}
		return use(objects)
	})
}

func (a *app) getCommand() *cobra.Command {
	var from target
	var version string
	c := &cobra.Command{
		Use:   "get STIX-ID",
		Short: "Print an object, byte for byte as it was published",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			from.widen()
			filter := taxii.Filter{IDs: args, Version: version}
			return a.withObjects(c, from, filter, func(o []jsontext.Value) ([]jsontext.Value, bool) { return o, true }, func(objects []jsontext.Value) error {
				if len(objects) == 0 {
					return problem.Missing(fmt.Errorf("no object %s is in the view of this node", args[0]))
				}
				for _, object := range objects {
					if _, err := fmt.Fprintf(c.OutOrStdout(), "%s\n", object); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	from.flags(c, everything)
	c.Flags().StringVar(&version, "version", "", "which `versions`: last (default), first, all, or a timestamp")
	return c
}

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify STIX-ID|TRANSACTION[/INDEX]",
		Short: "Walk the evidence for an object: signature, membership, hashes, decryption, round",
		Long: `Verify asks the chain anew for the transaction that published an object and checks, step by step, everything from its
signature to the decrypted object. It exits with 3 if a step fails.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			verification, err := ask(a, c, func(client *control.Client) (proof.Verification, error) {
				return client.Verify(c.Context(), args[0])
			})
			if err != nil {
				return err
			}
			if err := a.print(c, verification, func(w io.Writer) { printVerification(w, verification) }); err != nil {
				return err
			}
			if !verification.Passed {
				return &noError{"the verification failed"}
			}
			return nil
		},
	}
}
