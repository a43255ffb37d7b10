package desk

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/taxii"
)

// press answers the page that publishes. It is to the pipeline what the TAXII server is, with the same checks.
type press struct {
	*Desk
	clients taxii.Config

	mu    sync.Mutex
	named []namedStatus // the latest last
}

var _ console.Press = (*press)(nil)

// namedStatus is what people called the objects of a request, in their order.
type namedStatus struct {
	id    string
	names map[string]string // by STIX id
}

// keptNames is of how many requests the names are kept in memory, for pages that show what became of them.
const keptNames = 32

// given is how long a browser waits for the chain: what is on its way then is shown as such.
const given = time.Second

// Targets are the collections that somebody may publish in.
func (p *press) Targets(ctx context.Context, by console.By) ([]console.Target, error) {
	var targets []console.Target
	seen := map[string]bool{}
	for c, err := range p.collections(ctx, by) {
		if err != nil {
			return nil, err
		}
		if seen[c.ID] || !writable(by, c) {
			continue
		}
		seen[c.ID] = true
		t := console.Target{ID: c.ID, Title: c.Title, Closed: c.Closed}
		if c.Root != p.api.Repo.Config.Organisation.Name {
			t.Title = fmt.Sprintf("%s (%s)", c.Title, c.Root)
		}
		targets = append(targets, t)
	}
	arrange(targets, p.api.State.Collection)
	return targets, nil
}

// arrange puts the consortium's collection first, which is chosen where nobody chose, then others by their titles, and
// last those that are for named recipients of single objects.
func arrange(targets []console.Target, find func(id string) (consortium.Collection, bool)) {
	rank := func(t console.Target) int {
		switch c, _ := find(t.ID); {
		case c.Default:
			return 0
		case c.Properties.AdHoc:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(targets, func(a, b console.Target) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Title, b.Title))
	})
}

// collections are those that TAXII clients see, root by root, the organisation's own first. An error is the last.
func (p *press) collections(ctx context.Context, by console.By) iter.Seq2[taxii.Collection, error] {
	return func(yield func(taxii.Collection, error) bool) {
		roots, err := p.clients.Store.Roots(ctx, by.Principal)
		for _, root := range roots {
			var list []taxii.Collection
			if list, err = p.clients.Store.Collections(ctx, by.Principal, root.Name); err != nil {
				break
			}
			for _, c := range list {
				if !yield(c, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(taxii.Collection{}, err)
		}
	}
}

// writable reports whether somebody may publish in a collection.
func writable(by console.By, c taxii.Collection) bool {
	return by.Role >= taxii.RolePublisher && c.CanWrite && by.Limits.MayWrite(c.ID)
}

// Members are the other members, by name.
func (p *press) Members(context.Context) (names []string, err error) {
	for _, m := range p.api.State.Members() {
		if m.Removed == nil && m.Name != "" && !p.api.State.Ours(m.Account) {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// into finds the collection, as the server of TAXII clients would.
func (p *press) into(ctx context.Context, by console.By, id string) (taxii.Collection, error) {
	for c, err := range p.collections(ctx, by) {
		switch {
		case err != nil:
			return taxii.Collection{}, err
		case c.ID != id:
			continue
		case !writable(by, c):
			return c, taxii.ErrForbidden
		case c.Closed != "":
			return c, &taxii.InvalidError{Reason: c.Closed}
		}
		return c, nil
	}
	return taxii.Collection{}, taxii.ErrNotFound
}

func addition(p console.Publication) taxii.Addition {
	list := make(taxii.Listed, len(p.Objects))
	for i, raw := range p.Objects {
		list[i].Raw = raw
	}
	return taxii.Addition{Objects: list, To: p.To, Anyway: p.Anyway}
}

// Rehearse tells what publishing would do.
func (p *press) Rehearse(ctx context.Context, by console.By, what console.Publication) (taxii.Rehearsal, error) {
	c, err := p.into(ctx, by, what.Collection)
	if err != nil {
		return taxii.Rehearsal{}, err
	}
	return p.clients.Rehearser.Rehearse(ctx, by.Principal, c, addition(what))
}

// Publish takes objects in. It does not wait for the chain.
func (p *press) Publish(ctx context.Context, by console.By, what console.Publication) (string, error) {
	c, err := p.into(ctx, by, what.Collection)
	if err != nil {
		return "", err
	}
	wait := ctx
	if len(what.To) == 0 { // else its record must be on the chain first
		short, cancel := context.WithTimeout(ctx, given)
		defer cancel()
		wait = short
	}
	status, err := p.clients.Publisher.Publish(wait, by.Principal, c, addition(what))
	if err != nil {
		return "", err
	}
	p.note(by, c, what, status)
	kept := namedStatus{id: status.ID, names: map[string]string{}}
	for i, raw := range what.Objects {
		if i < len(what.Names) {
			kept.names[textOf(raw, "id")] = what.Names[i]
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.named = append(p.named, kept)
	p.named = p.named[max(0, len(p.named)-keptNames):]
	return status.ID, nil
}

// note writes into the audit log what the server of TAXII clients would.
func (p *press) note(by console.By, c taxii.Collection, what console.Publication, status taxii.Status) {
	e := taxii.Event{
		Name: taxii.EventPublish, Root: c.Root, Collection: c.ID, Status: status.ID, Subject: strings.Join(what.To, ","), Count: len(what.Objects), Failures: len(status.Failures),
	}
	var ids []string
	for _, list := range [][]taxii.StatusDetail{status.Successes, status.Pendings} {
		for _, d := range list {
			ids = append(ids, d.ID)
		}
	}
	e.NameObjects(ids)
	p.record(by, e)
}

// record writes into the audit log that somebody did something.
func (p *press) record(by console.By, e taxii.Event) {
	if p.clients.Auditor == nil {
		return
	}
	e.Time, e.User, e.Role, e.Credential, e.Remote, e.Request = time.Now().UTC(), by.User, by.Role.String(), "console", by.Remote, by.Request
	p.clients.Auditor.Record(e)
}

// Progress tells what has become of a request.
func (p *press) Progress(ctx context.Context, by console.By, id string) (console.Progress, error) {
	roots, err := p.clients.Store.Roots(ctx, by.Principal)
	if err != nil {
		return console.Progress{}, err
	}
	for _, root := range roots {
		status, err := p.clients.Publisher.Status(ctx, by.Principal, root.Name, id)
		if err == nil {
			return p.progress(status)
		}
	}
	return console.Progress{}, taxii.ErrNotFound
}

func (p *press) progress(status taxii.Status) (console.Progress, error) {
	names := p.names(status.ID)
	all := []taxii.Status{status}
	for _, chunk := range status.Rest {
		part, err := chunk.Read()
		if err != nil {
			return console.Progress{}, err
		}
		all = append(all, part)
	}
	var is console.Progress
	add := func(list []taxii.StatusDetail, state func(taxii.StatusDetail) (word, why string)) {
		for _, d := range list {
			word, why := state(d)
			is.Lines = append(is.Lines, console.ProgressLine{ID: d.ID, Name: names[d.ID], State: word, Why: why, TxID: d.TxID})
		}
	}
	for _, part := range all {
		add(part.Failures, func(d taxii.StatusDetail) (string, string) { return "refused", d.Message })
		add(part.Pendings, func(d taxii.StatusDetail) (string, string) { is.Pending = true; return stage(d), d.Message })
		add(part.Successes, func(d taxii.StatusDetail) (string, string) { return "confirmed", d.Note })
	}
	slices.SortStableFunc(is.Lines, func(a, b console.ProgressLine) int { return strings.Compare(a.ID, b.ID) })
	return is, nil
}

// stage is how far what is on its way has come.
func stage(d taxii.StatusDetail) string {
	switch {
	case d.TxID != "":
		return "signed"
	case d.CID != "":
		return "stored"
	}
	return "accepted"
}

func (p *press) names(id string) map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, kept := range p.named {
		if kept.id == id {
			return kept.names
		}
	}
	return nil
}
