package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node"
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
	collections, err := client.Collections(ctx, t.root)
	if err != nil {
		return err
	}
	for _, c := range collections {
		if c.ID == t.collection || c.Alias == t.collection {
			t.collection = c.ID
			return nil
		}
	}
	return fmt.Errorf("%w: no collection %q under %s", errUsage, t.collection, t.root)
}

// publishChunk is how many objects go in one request: so the progress can be seen.
const publishChunk = 500

// envelope is objects to publish, and for whom.
type envelope struct {
	to      []string
	objects []jsontext.Value
}

// encode writes the objects as they are: an encoder would take the white space out of them, and they would not be
// published byte for byte.
func (e envelope) encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	if len(e.to) > 0 {
		to, err := json.Marshal(e.to)
		if err != nil {
			return nil, fmt.Errorf("making an envelope: %w", err)
		}
		fmt.Fprintf(&b, `"x_slnode_to":%s,`, to)
	}
	b.WriteString(`"objects":[`)
	for i, object := range e.objects {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(object)
	}
	b.WriteString("]}")
	return b.Bytes(), nil
}

// published is what became of a publication.
type published struct {
	Total     int                          `json:"total"`
	Successes []taxii.StatusDetailResource `json:"successes,omitempty"`
	Failures  []taxii.StatusDetailResource `json:"failures,omitempty"`
}

func (a *app) publishCommand() *cobra.Command {
	var to target
	var recipients []string
	var dryRun bool
	c := &cobra.Command{
		Use:   "publish FILE...",
		Short: "Publish the STIX objects of bundles, envelopes, lists or single objects",
		Long: `Publish takes STIX 2.1 objects from files (- for standard input) and waits until each is on the chain. What is
published already costs nothing and is reported with the transaction that minted it. With --to the objects are sealed
for the named organisations alone: so TLP:RED can be shared.`,
		Example: `  slnode publish report.json
  slnode publish incident.json --to borealis,cobalt
  slnode publish report.json --dry-run
  curl -s https://example.org/bundle.json | slnode publish - --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			var objects []jsontext.Value
			for _, name := range args {
				data, err := readInput(c, name)
				if err != nil {
					return err
				}
				found, err := objectsOf(data)
				if err == nil && len(found) == 0 {
					err = errors.New("it holds no STIX objects")
				}
				if err != nil {
					return fmt.Errorf("%w: %s: %w", errUsage, name, err)
				}
				objects = append(objects, found...)
			}
			return a.withCollection(c, &to, func(protocol *taxii.Client) error {
				if dryRun {
					return a.rehearse(c, protocol, to, recipients, objects)
				}
				result, err := publish(c, protocol, to, recipients, objects)
				if err != nil {
					return err
				}
				if err := a.print(c, result, func(w io.Writer) { printPublished(w, result) }); err != nil {
					return err
				}
				if len(result.Failures) > 0 {
					return &noError{fmt.Sprintf("%d of %d objects were refused", len(result.Failures), result.Total)}
				}
				return nil
			})
		},
	}
	to.flags(c, "default")
	c.Flags().StringSliceVar(&recipients, "to", nil, "`organisations` that alone can read the objects, beside this one")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only tell who could read each object, what it would cost and what would be refused")
	return c
}

// rehearse tells what publishing would do. It exits like publishing would.
func (a *app) rehearse(c *cobra.Command, client *taxii.Client, to target, recipients []string, objects []jsontext.Value) error {
	total := taxii.RehearsalResource{DryRun: true, Objects: []taxii.RehearsedObjectResource{}}
	for chunk := range slices.Chunk(objects, publishChunk) {
		data, err := envelope{to: recipients, objects: chunk}.encode()
		if err != nil {
			return err
		}
		part, err := client.Rehearse(c.Context(), to.root, to.collection, data)
		if err != nil {
			return err
		}
		if len(total.Objects) > 0 { // what it needs beside the objects, it needs once
			for _, o := range part.Objects {
				total.Cost += o.Cost
			}
		} else {
			total.Cost = part.Cost
		}
		total.TotalCount, total.RefusedCount = total.TotalCount+part.TotalCount, total.RefusedCount+part.RefusedCount
		total.Objects = append(total.Objects, part.Objects...)
	}
	if err := a.print(c, total, func(w io.Writer) { printRehearsal(w, total) }); err != nil {
		return err
	}
	if total.RefusedCount > 0 {
		return &noError{fmt.Sprintf("%d of %d objects would be refused", total.RefusedCount, total.TotalCount)}
	}
	return nil
}

func printRehearsal(w io.Writer, r taxii.RehearsalResource) {
	fmt.Fprintf(w, "OBJECT\tREADERS\tALGO\tREMARK\n")
	for _, o := range r.Objects {
		remark := o.Message
		if o.TxID != "" {
			remark = "published already by " + o.TxID
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", o.ID, strings.Join(o.Readers, ", "), algo(o.Cost), remark)
	}
	fmt.Fprintf(w, "\n%d objects, %d would be refused; all of it costs %s ALGO\n", r.TotalCount, r.RefusedCount, algo(r.Cost))
}

// objectsOf gives the objects of a bundle or envelope, of a list, or the one object that the data is.
func objectsOf(data []byte) ([]jsontext.Value, error) {
	data = bytes.TrimSpace(data)
	if bytes.HasPrefix(data, []byte("[")) {
		var list []jsontext.Value
		return list, json.Unmarshal(data, &list, jsontext.AllowDuplicateNames(true))
	}
	var container struct {
		Objects []jsontext.Value `json:"objects"`
		Type    string           `json:"type"`
	}
	// Objects are checked one by one by the node; here only the container matters.
	if err := json.Unmarshal(data, &container, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, err
	}
	if container.Objects != nil || container.Type == "bundle" || container.Type == "" {
		return container.Objects, nil
	}
	return []jsontext.Value{data}, nil
}

func publish(c *cobra.Command, client *taxii.Client, to target, recipients []string, objects []jsontext.Value) (published, error) {
	result := published{Total: len(objects)}
	bar := newProgress(c, "publishing")
	defer bar.done()
	var pending []string
	for len(objects) > 0 {
		n := min(len(objects), publishChunk)
		data, err := envelope{to: recipients, objects: objects[:n]}.encode()
		if err != nil {
			return result, err
		}
		status, err := client.Add(c.Context(), to.root, to.collection, data)
		if err != nil {
			return result, err
		}
		objects = objects[n:]
		if status.PendingCount > 0 {
			pending = append(pending, status.ID)
		} else {
			result.add(status)
		}
		bar.set(len(result.Successes)+len(result.Failures), result.Total)
	}
	for len(pending) > 0 {
		status, err := client.Status(c.Context(), to.root, pending[0])
		if err == nil && status.PendingCount > 0 {
			if err = pause(c.Context(), 200*time.Millisecond); err == nil {
				continue
			}
		}
		if err != nil {
			waiting := result.Total - len(result.Successes) - len(result.Failures)
			return result, fmt.Errorf("%d objects were taken in; they are published as soon as a node that runs can: %w", waiting, err)
		}
		result.add(status)
		pending = pending[1:]
		bar.set(len(result.Successes)+len(result.Failures), result.Total)
	}
	return result, nil
}

func (p *published) add(status taxii.StatusResource) {
	p.Successes = append(p.Successes, status.Successes...)
	p.Failures = append(p.Failures, status.Failures...)
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
		Args: exactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			from.widen()
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
	defer explain(c.Context(), client, c.ErrOrStderr())()
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
		Args:  exactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			from.widen()
			filter := taxii.Filter{IDs: args, Version: version}
			return a.withObjects(c, from, filter, func(o []jsontext.Value) ([]jsontext.Value, bool) { return o, true }, func(objects []jsontext.Value) error {
				if len(objects) == 0 {
					return &noError{fmt.Sprintf("no object %s is in the view of this node", args[0])}
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
		Use:   "verify STIX-ID|TRANSACTION",
		Short: "Walk the evidence for an object: signature, membership, hashes, decryption, round",
		Long: `Verify asks the chain anew for the transaction that published an object and checks, step by step, everything from its
signature to the decrypted object. It exits with 3 if a step fails.`,
		Args: exactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			verification, err := ask(a, c, func(client *node.Client) (node.Verification, error) {
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
