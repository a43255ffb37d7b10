package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/taxii"
)

// publishChunk is how many objects go in one request: so the progress can be seen, and one NFT is enough for it.
const publishChunk = 1000

// envelope is objects to publish, for whom, and whether they replace others.
type envelope struct {
	to      []string
	replace bool
	anyway  bool // though they are mistaken
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
	if e.replace {
		b.WriteString(`"x_slnode_replace":true,`)
	}
	if e.anyway {
		b.WriteString(`"x_slnode_publish_anyway":true,`)
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
	var e envelope
	var dryRun bool
	c := &cobra.Command{
		Use:   "publish FILE...",
		Short: "Publish the STIX objects of bundles, envelopes, lists or single objects",
		Long: `Publish takes STIX 2.1 objects from files (- for standard input) and waits until the node serves each. What is
published already costs nothing and is reported with the transaction that minted it. With --to the objects are sealed
for the named organisations alone: so TLP:RED can be shared. An object of which this organisation has published the same
version with other content is refused; with --replace it takes the place of that, which is withdrawn. So is an indicator
that calls something malicious which can't be, such as a private address or an empty file's hash; with --publish-anyway
it is taken (see "slnode warninglists").`,
		Example: `  slnode publish report.json
  slnode publish incident.json --to borealis,cobalt
  slnode publish report.json --dry-run
  curl -s https://example.org/bundle.json | slnode publish - --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			for _, name := range args {
				data, err := readInput(c, name)
				if err != nil {
					return err
				}
				found, err := objectsOf(data)
				if err == nil && len(found) == 0 {
					err = errors.New("it holds no STIX objects")
					if kind := expect(name, data, stixData); kind != nil {
						return kind
					}
				}
				if err != nil {
					return fmt.Errorf("%w: %s: %w", errUsage, name, err)
				}
				e.objects = append(e.objects, found...)
			}
			definitions := e.definitionsFirst()
			return a.withCollection(c, &to, func(protocol *taxii.Client) error {
				if dryRun {
					return a.rehearse(c, protocol, to, e, e.objects[:definitions])
				}
				result, err := publish(c, protocol, to, e)
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
	c.Flags().StringSliceVar(&e.to, "to", nil, "`organisations` that alone can read the objects, beside this one")
	c.Flags().BoolVar(&e.replace, "replace", false, "take the places of the same versions that have other content")
	c.Flags().BoolVar(&e.anyway, "publish-anyway", false, "take indicators also of which warning lists say that they are mistaken")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only tell who could read each object, what it would cost and what would be refused")
	return c
}

// definitionsFirst moves the definitions of markings to the front, and tells how many they are: the requests that the
// objects go in are decided about one after the other, and the definition of a marking must be known by then.
func (e *envelope) definitionsFirst() int {
	var definitions, others []jsontext.Value
	for _, object := range e.objects {
		var o struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(object, &o, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) == nil && o.Type == "marking-definition" {
			definitions = append(definitions, object)
		} else {
			others = append(others, object)
		}
	}
	e.objects = append(definitions, others...)
	return len(definitions)
}

// rehearse tells what publishing would do. It exits like publishing would.
func (a *app) rehearse(c *cobra.Command, client *taxii.Client, to target, e envelope, definitions []jsontext.Value) error {
	total := taxii.RehearsalResource{DryRun: true, Objects: []taxii.RehearsedObjectResource{}}
	for chunk := range slices.Chunk(e.objects, publishChunk) {
		// Nothing of the chunks before was published: the definitions that this one needs go with it again.
		var again []jsontext.Value
		if len(total.Objects) > 0 {
			again = namedIn(chunk, definitions[:min(len(definitions), len(total.Objects))])
		}
		data, err := envelope{to: e.to, replace: e.replace, anyway: e.anyway, objects: slices.Concat(again, chunk)}.encode()
		if err != nil {
			return err
		}
		part, err := client.Rehearse(c.Context(), to.root, to.collection, data)
		if err != nil {
			return err
		}
		if len(part.Objects) != len(again)+len(chunk) {
			return fmt.Errorf("the node tells of %d objects, it was asked about %d", len(part.Objects), len(again)+len(chunk))
		}
		if len(total.Objects) == 0 { // what it needs beside the objects, it needs once
			total.Cost = part.Cost
		}
		addRehearsal(&total, part, len(again))
	}
	if err := a.print(c, total, func(w io.Writer) { printRehearsal(w, total) }); err != nil {
		return err
	}
	if total.RefusedCount > 0 {
		return &noError{fmt.Sprintf("%d of %d objects would be refused", total.RefusedCount, total.TotalCount)}
	}
	return nil
}

// addRehearsal adds what a further request would do, whose first objects are in those before it already.
func addRehearsal(total *taxii.RehearsalResource, part taxii.RehearsalResource, again int) {
	first, fresh := len(total.Objects) == 0, 0
	for i, o := range part.Objects {
		if !first && (i >= again || part.Anchor == "batch") { // there the first of it pays for all
			total.Cost += o.Cost
		}
		if i < again {
			continue
		}
		switch {
		case o.Message != "":
			total.RefusedCount++
		case o.TxID == "":
			fresh++
		}
		total.TotalCount++
		total.Objects = append(total.Objects, o)
	}
	if one := part.AsSingle; one.NFTs > 0 {
		n := uint64(one.NFTs)
		total.AsSingle = total.AsSingle.Plus(taxii.Price{NFTs: fresh, Fees: one.Fees / n * uint64(fresh), Locked: one.Locked / n * uint64(fresh)})
	}
	total.AsBatch = total.AsBatch.Plus(part.AsBatch)
	if total.Anchor != "batch" { // the last part may be a small one
		total.Anchor = part.Anchor
	}
}

// namedIn gives the definitions that objects name, and those that these name.
func namedIn(objects, definitions []jsontext.Value) (named []jsontext.Value) {
	taken := make([]bool, len(definitions))
	for rest := objects; len(rest) > 0; {
		var found []jsontext.Value
		for i, definition := range definitions {
			var d struct {
				ID string `json:"id"`
			}
			if taken[i] || json.Unmarshal(definition, &d, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil || d.ID == "" {
				continue
			}
			if slices.ContainsFunc(rest, func(o jsontext.Value) bool { return bytes.Contains(o, []byte(d.ID)) }) {
				taken[i] = true
				found = append(found, definition)
			}
		}
		named, rest = append(named, found...), found
	}
	return named
}

func printRehearsal(w io.Writer, r taxii.RehearsalResource) {
	fmt.Fprintf(w, "OBJECT\tREADERS\tALGO\tREMARK\n")
	for _, o := range r.Objects {
		var remarks []string
		switch {
		case o.TxID != "":
			remarks = append(remarks, "published already by "+o.TxID)
		case o.Message != "":
			remarks = append(remarks, o.Message)
		case o.Note == "": // which names the gravest, as a message does
			for _, warning := range o.Warnings {
				remarks = append(remarks, fmt.Sprintf("%s is on the warning list %s (%s)", warning.Value, warning.Lists[0].Name, warning.Lists[0].Class))
			}
		}
		if o.Note != "" {
			remarks = append(remarks, o.Note)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", o.ID, strings.Join(o.Readers, ", "), algo(o.Cost), strings.Join(remarks, "; "))
	}
	fmt.Fprintf(w, "\n%d objects, %d would be refused; all of it costs %s ALGO\n", r.TotalCount, r.RefusedCount, algo(r.Cost))
	for _, way := range []struct {
		anchor, says string
		price        taxii.Price
	}{{"single", "each with an NFT of its own", r.AsSingle}, {"batch", "in batches", r.AsBatch}} {
		chosen := ""
		if way.anchor == r.Anchor {
			chosen = ", as it would be"
		}
		fmt.Fprintf(w, "%s%s: %d NFTs, %s ALGO in fees, %s locked\n", way.says, chosen, way.price.NFTs, algo(way.price.Fees), algo(way.price.Locked))
	}
}

// objectsOf gives the objects of a bundle or envelope, of a list, or the one object that the data is. Bundles among
// them are taken apart as well.
func objectsOf(data []byte) ([]jsontext.Value, error) {
	data = bytes.TrimSpace(taxii.TrimByteOrderMark(data))
	var list []jsontext.Value
	if bytes.HasPrefix(data, []byte("[")) {
		if err := json.Unmarshal(data, &list, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
			return nil, notJSON(data, err)
		}
	} else {
		var container struct {
			Objects []jsontext.Value `json:"objects"`
			Type    string           `json:"type"`
		}
		// Objects are checked one by one by the node; here only the container matters.
		if err := json.Unmarshal(data, &container, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
			return nil, notJSON(data, err)
		}
		if list = container.Objects; list == nil && container.Type != "bundle" && container.Type != "" {
			list = []jsontext.Value{data}
		}
	}
	var objects []jsontext.Value
	for _, value := range list {
		for object := range taxii.Unwrap(value) { // what can't be taken apart the node refuses
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// notJSON says of data that can't be read as JSON what is wrong with it.
func notJSON(data []byte, err error) error {
	var wrong *jsontext.SyntacticError
	switch {
	case len(data) == 0:
		return errors.New("it is empty")
	case data[0] != '{' && data[0] != '[':
		return fmt.Errorf("STIX is JSON, and this begins with %.20q", data)
	case !errors.As(err, &wrong):
		return err
	}
	line := 1 + bytes.Count(data[:min(int(wrong.ByteOffset), len(data))], []byte("\n"))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is cut off: in line %d it ends in the middle of JSON", line)
	}
	return fmt.Errorf("line %d: %w", line, err)
}

func publish(c *cobra.Command, client *taxii.Client, to target, e envelope) (published, error) {
	result := published{Total: len(e.objects)}
	bar := newProgress(c, "publishing")
	defer bar.done()
	var pending []string
	for chunk := range slices.Chunk(e.objects, publishChunk) {
		data, err := envelope{to: e.to, replace: e.replace, anyway: e.anyway, objects: chunk}.encode()
		if err != nil {
			return result, err
		}
		status, err := client.Add(c.Context(), to.root, to.collection, data)
		if err != nil {
			return result, err
		}
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
