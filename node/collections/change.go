package collections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/view"
)

// Change changes what is not nil.
type Change struct {
	Title        *string `json:"title,omitempty"`
	Alias        *string `json:"alias,omitempty"`
	Description  *string `json:"description,omitempty"`
	DefaultLevel *string `json:"default_level,omitempty"`
	Metadata     *string `json:"metadata,omitempty"`
	Padding      *string `json:"padding,omitempty"`
}

// Grant lets organisations read a collection.
type Grant struct {
	Organisations []string `json:"organisations"` // "all" for every member, present and future
	Contribute    bool     `json:"contribute"`    // … and publish in it
	// From says from when on: "now" begins a new key epoch, "all" gives every key, a number those from that epoch on.
	From string `json:"from"`
}

// Grant lets organisations read, and perhaps publish. It changes nothing for those who may already: a new key would
// cost a transaction and shut nobody out.
func (o *Owner) Grant(ctx context.Context, id string, g Grant) (consortium.Collection, error) {
	return o.update(ctx, id, func(c consortium.Collection) (change, error) {
		added, err := o.accounts(g.Organisations)
		if err != nil {
			return change{}, err
		}
		if len(g.Organisations) == 0 {
			return change{}, errors.New("name the organisations")
		}
		if c.Properties.AdHoc {
			return change{}, errors.New("the collection is for the recipients that were named for its objects, and no others")
		}
		p := c.Properties
		p.Readers = union(p.Readers, added)
		if g.Contribute {
			p.Contributors = union(p.Contributors, added)
		}
		next := change{properties: p, to: o.readers(wire.Collection{Readers: added})}
		switch g.From {
		case "", "now":
			if sameAccounts(p.Readers, c.Properties.Readers) {
				return change{properties: p, from: c.Epoch, none: sameAccounts(p.Contributors, c.Properties.Contributors)}, nil
			}
			next.rotate, next.to = true, o.readers(p)
			return next, nil
		case state.AllMembers:
			next.from = 1
		default:
			epoch, _ := strconv.ParseUint(g.From, 10, 32) // what is no number is 0, what is too large the largest
			if epoch < 1 || epoch > uint64(c.Epoch) {
				return change{}, fmt.Errorf("from %.20q: it is now, all, or an epoch from 1 to %d", g.From, c.Epoch)
			}
			next.from = uint32(epoch)
		}
		return next, o.mayDisclose(c, p)
	})
}

func union(a, b wire.Accounts) wire.Accounts {
	if a.Members || b.Members {
		return wire.Accounts{Members: true}
	}
	named := slices.Concat(a.Named, b.Named)
	slices.Sort(named)
	return wire.Accounts{Named: slices.Compact(named)}
}

func sameAccounts(a, b wire.Accounts) bool {
	return a.Members == b.Members && slices.Equal(a.Named, b.Named)
}

func minus(a wire.Accounts, removed []string) wire.Accounts {
	return wire.Accounts{Members: a.Members, Named: slices.DeleteFunc(slices.Clone(a.Named), func(account string) bool {
		return slices.Contains(removed, account)
	})}
}

// mayDisclose refuses to give keys of the past to an audience that objects published then must not reach.
func (o *Owner) mayDisclose(c consortium.Collection, to wire.Collection) error {
	wider := c
	wider.Properties = to
	known := map[string]*state.Markings{} // by publisher: each says what the markings of its objects mean
	query := view.Query{Collection: c.ID, AnyLine: true, Versions: view.Versions{All: true}, Limit: 1000, WithObjects: true}
	for {
		entries, more, err := o.View.Page(query)
		if err != nil {
			return err
		}
		for _, e := range entries {
			object, err := stix.Parse(e.Object)
			if err != nil {
				return fmt.Errorf("reading object %s: %w", e.ID, err)
			}
			if known[e.Publisher] == nil {
				known[e.Publisher] = o.State.Markings(o.Outbox, o.View, e.Publisher)
			}
			says := known[e.Publisher]
			_, err = o.State.Permit(object, wider, says.Levels())
			if says.Err != nil { // what was not found may be there
				return says.Err
			}
			if err != nil {
				return fmt.Errorf("object %s must not reach them, grant from now instead: %w", e.ID, err)
			}
			query.After = e.DateAdded
		}
		if !more {
			return nil
		}
	}
}

// Revoke takes organisations out of a collection's readers: a new key epoch begins without them. What they could read
// before, they can.
func (o *Owner) Revoke(ctx context.Context, id string, names []string) (consortium.Collection, error) {
	return o.update(ctx, id, func(c consortium.Collection) (change, error) {
		removed, err := o.accounts(names)
		switch {
		case err != nil:
			return change{}, err
		case c.Properties.Readers.Members && !removed.Members:
			return change{}, errors.New("every member may read the collection; make one for those who shall, or remove the member")
		case removed.Members:
			removed.Named = slices.Concat(c.Properties.Readers.Named, c.Properties.Contributors.Named)
		case !slices.ContainsFunc(removed.Named, c.Properties.Readers.Includes):
			return change{}, errors.New("none of them is a reader")
		}
		p := c.Properties
		p.Readers, p.Contributors = minus(p.Readers, removed.Named), minus(p.Contributors, removed.Named)
		if removed.Members {
			p.Readers, p.Contributors = wire.Accounts{}, wire.Accounts{}
		}
		return change{properties: p, rotate: true, to: o.readers(p)}, nil
	})
}

// Rotate begins a key epoch for the same readers.
func (o *Owner) Rotate(ctx context.Context, id string) (consortium.Collection, error) {
	return o.update(ctx, id, func(c consortium.Collection) (change, error) {
		return change{properties: c.Properties, rotate: true, to: o.readers(c.Properties)}, nil
	})
}

// Set changes what a collection is called and how its objects are treated from now on.
func (o *Owner) Set(ctx context.Context, id string, s Change) (consortium.Collection, error) {
	return o.update(ctx, id, func(c consortium.Collection) (change, error) {
		p := c.Properties
		for _, field := range []struct {
			to  *string
			set *string
		}{{&p.Title, s.Title}, {&p.Alias, s.Alias}, {&p.Description, s.Description}, {&p.DefaultLevel, s.DefaultLevel}, {&p.Metadata, s.Metadata}, {&p.Padding, s.Padding}} {
			if field.set != nil {
				*field.to = *field.set
			}
		}
		return change{properties: p, from: c.Epoch}, nil
	})
}

// change is what the next record of a collection says.
type change struct {
	properties wire.Collection
	rotate     bool                // it begins a key epoch; those whom it is given to get that key only
	from       uint32              // else: the first epoch whose key they get
	to         []consortium.Member // who gets keys, beside the owner
	none       bool                // all of it is so already: there is no next record
}

// update changes a collection of ours, given by id or alias, and waits until the change is on the chain. If the
// context ends before that, the change happens all the same.
func (o *Owner) update(ctx context.Context, idOrAlias string, decide func(consortium.Collection) (change, error)) (consortium.Collection, error) {
	for {
		c, begun, err := o.beginUpdate(ctx, idOrAlias, decide)
		if err != nil {
			return c, err
		}
		if c, err = o.await(ctx, c.ID, c.Revision); err != nil || begun {
			return c, err
		}
	}
}

// beginUpdate stores the next record of a collection, unless it has to wait for one that is on its way. It returns the
// collection as it will be.
func (o *Owner) beginUpdate(ctx context.Context, idOrAlias string, decide func(consortium.Collection) (change, error)) (c consortium.Collection, begun bool, err error) {
	if err := o.turn.take(ctx); err != nil {
		return c, false, err
	}
	defer o.turn.give()
	if c, err = o.find(idOrAlias); err != nil {
		return c, false, problem.Input(err)
	}
	pending, err := o.pending(c)
	if err != nil {
		return c, false, err
	}
	if pending {
		c.Revision++
	}
	if pending || c.Pending {
		return c, false, nil
	}
	o.begins()
	next, err := decide(c)
	if err == nil {
		err = o.check(c, next.properties)
	}
	if err != nil {
		return c, false, problem.Input(fmt.Errorf("collection %q: %w", c.Properties.Title, err))
	}
	if next.none {
		return c, true, nil
	}
	if err := o.afford(ctx, 1); err != nil {
		return c, false, err
	}
	if c, err = o.publish(ctx, c, next); err != nil {
		return c, false, fmt.Errorf("changing the collection %q: %w", next.properties.Title, err)
	}
	return c, true, nil
}

// find gives a collection of this organisation.
func (o *Owner) find(idOrAlias string) (consortium.Collection, error) {
	c, err := o.State.Called(idOrAlias)
	if err == nil && c.Owner != o.State.Self {
		err = fmt.Errorf("the collection %q belongs to another organisation", c.Properties.Title)
	}
	return c, err
}
