package desk

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/taxii"
)

// patience is how long a form waits for the chain. What was begun goes on without it.
const patience = 20 * time.Second

// recordCost is what a record or an object of its own costs, in microalgo, with what it locks.
var recordCost = ledger.Cost(1, ledger.LowestFee)

// as is a context in which somebody acts who came through the console.
func as(ctx context.Context, by console.By) context.Context {
	return auditlog.As(ctx, auditlog.Actor{User: by.User, Web: &auditlog.Web{
		Role: by.Role.String(), Credential: by.Credential, Remote: by.Remote, Request: by.Request,
	}})
}

// told makes an error one that the console shows.
func told(err error) error {
	var input *problem.InputError
	if errors.As(err, &input) {
		return &taxii.InvalidError{Reason: input.Error()}
	}
	return err
}

// mayKnow tells whether somebody's limits leave a collection, to be read or only to be written.
func mayKnow(by console.By, id string) bool {
	return by.Limits.MayRead(id) || slices.Contains(by.Limits.Write, id)
}

// collection describes one for the console.
func (d *Desk) collection(c consortium.Collection) (console.Collection, error) {
	told := collections.Describe(d.api.State, c)
	changed, err := d.api.Repo.View.Changed(c.ID)
	shown := console.Collection{
		ID: told.ID, Alias: told.Alias, Title: told.Title, Description: told.Description, Owner: told.Owner, Own: c.Owner == d.api.State.Self,
		Default: told.Default, Former: told.Former, AdHoc: told.AdHoc, Write: told.Write, Everybody: c.Properties.Readers.Members,
		Readers: told.Readers, Contributors: told.Contributors, Level: told.DefaultLevel, Epoch: told.Epoch, Since: told.Since, CostMicroalgo: recordCost,
	}
	if changed > 0 {
		shown.Changed = time.UnixMicro(changed).UTC()
	}
	for _, m := range d.api.State.Members() {
		if m.Removed == nil && m.Account != c.Owner && m.Name != "" && !c.Properties.Readers.Includes(m.Account) {
			shown.Others = append(shown.Others, m.Name)
		}
	}
	return shown, err
}

// Collections lists those that somebody may read or write.
func (d *Desk) Collections(_ context.Context, by console.By) ([]console.Collection, error) {
	list := []console.Collection{}
	for _, c := range d.api.State.Collections() {
		if !mayKnow(by, c.ID) {
			continue
		}
		one, err := d.collection(c)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	slices.SortStableFunc(list, func(a, b console.Collection) int { return cmp.Compare(rank(a), rank(b)) })
	return list, nil
}

// rank puts our own collections first, then the consortium's, others', and those that are for single objects.
func rank(c console.Collection) int {
	switch {
	case c.AdHoc:
		return 3
	case c.Own:
		return 0
	case c.Default:
		return 1
	}
	return 2
}

// mostChanges is how much of a collection's history is shown.
const mostChanges = 100

// Collection tells of one, with its history.
func (d *Desk) Collection(_ context.Context, by console.By, id string) (console.Collection, []console.CollectionChange, error) {
	c, found := d.api.State.Collection(id)
	if !found || !mayKnow(by, id) {
		return console.Collection{}, nil, taxii.ErrNotFound
	}
	one, err := d.collection(c)
	if err != nil {
		return one, nil, err
	}
	history, err := d.api.Register.History(c.ID)
	if err != nil {
		return one, nil, told(err)
	}
	changes := []console.CollectionChange{}
	for _, h := range slices.Backward(history.Changes) {
		if len(changes) == mostChanges {
			break
		}
		change := console.CollectionChange{At: h.Time, Round: h.Round, What: h.What, Epoch: h.Epoch, Added: h.Added, Removed: h.Removed, By: h.By, TxID: h.TxID}
		for _, given := range h.Given {
			change.Added = append(change.Added, given.Members...)
		}
		slices.Sort(change.Added)
		change.Added = slices.Compact(change.Added)
		changes = append(changes, change)
	}
	return one, changes, nil
}

// act does something that goes onto the chain, for somebody. It is begun if the chain took longer than a form waits.
func (d *Desk) act(ctx context.Context, by console.By, do func(context.Context) error) (begun bool, err error) {
	ctx, cancel := context.WithTimeout(as(ctx, by), patience)
	defer cancel()
	if err := state.AwaitTip(ctx, d.api.Watcher); err != nil {
		return false, err
	}
	err = do(ctx)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return true, nil
	}
	return false, told(err)
}

// change changes a collection of ours, and writes the line of the audit log that the command line's has.
func (d *Desk) change(ctx context.Context, by console.By, event, id string, subjects []string, do func(context.Context) (consortium.Collection, error)) (bool, error) {
	return d.act(ctx, by, func(ctx context.Context) error {
		_, err := do(ctx)
		if errors.Is(err, context.DeadlineExceeded) { // it happens all the same
			d.api.Trail.Changed(ctx, event, id, subjects, nil)
		} else {
			d.api.Trail.Changed(ctx, event, id, subjects, err)
		}
		return err
	})
}

// CreateCollection makes one.
func (d *Desk) CreateCollection(ctx context.Context, by console.By, c console.NewCollection) (id string, begun bool, err error) {
	spec := collections.Spec{Title: c.Title, Alias: c.Alias, Description: c.Description, DefaultLevel: c.Level, Readers: c.Readers}
	if c.Everybody {
		spec.Readers = []string{state.AllMembers}
	}
	if c.Contribute {
		spec.Contributors = []string{state.AllMembers}
	}
	begun, err = d.act(ctx, by, func(ctx context.Context) error {
		made, err := d.api.Collections.Create(ctx, spec)
		id = made.ID
		d.api.Trail.Changed(ctx, taxii.EventCreateCollection, made.ID, spec.Readers, err)
		return err
	})
	return id, begun, err
}

// Grant lets organisations read.
func (d *Desk) Grant(ctx context.Context, by console.By, id string, names []string, from string, contribute bool) (bool, error) {
	return d.change(ctx, by, "grant", id, names, func(ctx context.Context) (consortium.Collection, error) {
		return d.api.Collections.Grant(ctx, id, collections.Grant{Organisations: names, From: from, Contribute: contribute})
	})
}

// Revoke takes organisations out of the readers.
func (d *Desk) Revoke(ctx context.Context, by console.By, id string, names []string) (bool, error) {
	return d.change(ctx, by, "revoke", id, names, func(ctx context.Context) (consortium.Collection, error) {
		return d.api.Collections.Revoke(ctx, id, names)
	})
}

// RenewKey begins a key epoch.
func (d *Desk) RenewKey(ctx context.Context, by console.By, id string) (bool, error) {
	return d.change(ctx, by, "rotate", id, nil, func(ctx context.Context) (consortium.Collection, error) { return d.api.Collections.Rotate(ctx, id) })
}

// SetCollection changes what one is called.
func (d *Desk) SetCollection(ctx context.Context, by console.By, id, title, alias, description, level string) (bool, error) {
	return d.change(ctx, by, "set", id, nil, func(ctx context.Context) (consortium.Collection, error) {
		return d.api.Collections.Set(ctx, id, collections.Change{Title: &title, Alias: &alias, Description: &description, DefaultLevel: &level})
	})
}

// Members lists those of the consortium.
func (d *Desk) Members(ctx context.Context, by console.By) (console.Membership, error) {
	all := console.Membership{Consortium: d.api.State.NameOf(d.api.Consortium)}
	d.api.State.Read(func(s *consortium.State) {
		all.Governor = s.Governor()
		quorum := s.Quorum()
		all.Governs = all.Governor == d.api.State.Self || quorum != nil && slices.Contains(quorum.Accounts, d.api.State.Self)
	})
	s, _, err := d.status(ctx)
	if err != nil {
		return all, err
	}
	known, err := d.Collections(ctx, by)
	if err != nil {
		return all, err
	}
	missing := map[string]int{}
	for _, m := range s.Missing {
		missing[m.Member] += int(m.Range.Last-m.Range.First) + 1
	}
	connected := d.api.Host.Connected()
	for _, m := range d.api.State.Members() {
		info := members.Describe(d.api.State, m)
		one := console.Member{
			Name: info.Name, Title: info.Title, Account: info.Account, Peer: info.Peer, Self: info.Self, Known: info.Known, Admitted: info.Admitted,
			Removed: info.Removed, Missing: missing[info.Name],
		}
		for id := range connected {
			one.Connected = one.Connected || id.String() == m.Peer
		}
		for _, p := range s.Peers {
			if p.ID == m.Peer {
				one.Problem, one.Addresses = p.Problem, p.Addresses
			}
		}
		if one.Connected {
			one.Problem = ""
		}
		for _, c := range known {
			if c.Owner == one.Name || c.Everybody && m.Removed == nil || slices.Contains(c.Readers, one.Name) {
				one.Collections = append(one.Collections, c)
			}
		}
		all.Members = append(all.Members, one)
	}
	slices.SortStableFunc(all.Members, func(a, b console.Member) int { return cmp.Compare(min(a.Removed, 1), min(b.Removed, 1)) })
	return all, nil
}

// ReadRequest reads a request for admission.
func (d *Desk) ReadRequest(request string) (console.AdmissionRequest, error) {
	r, err := members.ReadRequest([]byte(request))
	return console.AdmissionRequest{Organisation: r.Organisation, Title: r.Title, Account: r.Account, Peer: r.Peer}, told(err)
}

// priceWithin is how long a page waits to know a price.
const priceWithin = 3 * time.Second

// PriceOfAdmission tells what it would cost to admit who made a request.
func (d *Desk) PriceOfAdmission(ctx context.Context, request string) (console.AdmissionPrice, error) {
	ctx, cancel := context.WithTimeout(ctx, priceWithin)
	defer cancel()
	price, err := d.api.Members.PriceOfAdmission(ctx, []byte(request))
	return console.AdmissionPrice{Fees: uint64(price.Fees), Locked: uint64(price.Locked), Governor: uint64(price.Governor)}, told(err)
}

// Admit admits who made a request.
func (d *Desk) Admit(ctx context.Context, by console.By, request string) (file console.File, begun bool, err error) {
	begun, err = d.act(ctx, by, func(ctx context.Context) error {
		a, err := d.api.Members.Admit(ctx, []byte(request))
		event, named := "admit", a.Organisation
		file = console.File{Name: named + ".invite", Data: a.Invite}
		if a.Proposal != nil {
			event, file = "propose-admit", console.File{Name: "admit-" + named + ".proposal", Data: a.Proposal}
		}
		d.api.Trail.Changed(ctx, event, "", []string{named}, err)
		return err
	})
	return file, begun, err
}

// RemoveMember ends a membership.
func (d *Desk) RemoveMember(ctx context.Context, by console.By, name string) (file console.File, begun bool, err error) {
	begun, err = d.act(ctx, by, func(ctx context.Context) error {
		r, err := d.api.Members.Remove(ctx, name)
		event := "remove-member"
		if r.Proposal != nil {
			event, file = "propose-remove-member", console.File{Name: "remove-" + name + ".proposal", Data: r.Proposal}
		}
		d.api.Trail.Changed(ctx, event, "", []string{name}, err)
		return err
	})
	return file, begun, err
}
