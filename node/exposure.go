package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo"
)

// Who has the key of a collection and should not: said to the owner, who begins the next epoch, and to everybody who
// publishes in it meanwhile. An owner whose node is away, or whose account is empty, begins none.

// ExposedKey is a collection that others can read than those who may.
type ExposedKey struct {
	Collection string   `json:"collection"`
	Title      string   `json:"title"`
	Owner      string   `json:"owner"`
	Own        bool     `json:"own"`                // it is this organisation's, whose node begins the next epoch
	Removed    []string `json:"removed,omitempty"`  // members that were removed and have its key
	Replaced   []string `json:"replaced,omitempty"` // members whose former identity opens its key
	Since      uint64   `json:"since_round"`
}

// Detail says it in words.
func (e ExposedKey) Detail() string {
	var parts []string
	if len(e.Removed) > 0 {
		parts = append(parts, fmt.Sprintf("a removed member still has the key of %q: %s", e.Title, strings.Join(e.Removed, ", ")))
	}
	if len(e.Replaced) > 0 {
		parts = append(parts, fmt.Sprintf("a former identity still opens the key of %q: that of %s", e.Title, strings.Join(e.Replaced, ", ")))
	}
	return fmt.Sprintf("%s, since round %d; its owner %s gives it another key", strings.Join(parts, "; "), e.Since, e.Owner)
}

// givenMemo is the name under which is kept where the fold stood when an epoch's key was given out, by collection. The
// record is on the chain only later: who was removed in between was given the key all the same.
func givenMemo(collection string) string { return "given/" + collection }

type givenKeys struct {
	Epoch uint32              `json:"epoch"`
	At    consortium.Position `json:"at"`
}

func (o *owner) setGiven(c consortium.Collection) error {
	data, err := json.Marshal(givenKeys{Epoch: c.Epoch, At: o.asOf})
	if err != nil {
		return err
	}
	return o.outbox.SetMemo(givenMemo(c.ID), data)
}

// givenAt is where the fold stood when this organisation gave out the keys of a collection's epoch or, if that isn't
// known, where the epoch began.
func givenAt(outbox *repo.Outbox, c consortium.Collection) (consortium.Position, error) {
	data, err := outbox.Memo(givenMemo(c.ID))
	if err != nil || data == nil {
		return c.Began, err
	}
	var g givenKeys
	if err := json.Unmarshal(data, &g); err != nil {
		return c.Began, fmt.Errorf("reading when the keys of collection %s were given: %w", c.ID, err)
	}
	if g.Epoch != c.Epoch || !g.At.Before(c.Began) {
		return c.Began, nil
	}
	return g.At, nil
}

// exposedNow lists who has the key of a collection and should not, as far as the chain has told.
func (f *fold) exposedNow(outbox *repo.Outbox, c consortium.Collection) (list []consortium.Exposure, err error) {
	if c.Former || c.Key == nil {
		return nil, nil
	}
	given := c.Began
	if c.Owner == f.self {
		if given, err = givenAt(outbox, c); err != nil {
			return nil, err
		}
	}
	f.read(func(s *consortium.State) { list = s.Exposed(c, given, s.Position()) })
	return list, nil
}

// removedFrom names the removed members that have the key of a collection.
func (f *fold) removedFrom(outbox *repo.Outbox, c consortium.Collection) (names []string, err error) {
	list, err := f.exposedNow(outbox, c)
	for _, e := range list {
		if e.Removed {
			names = append(names, f.name(e.Account))
		}
	}
	return names, err
}

// exposedNote tells a client that publishes in a collection who reads it beside its readers; "" if nobody does.
func (f *fold) exposedNote(outbox *repo.Outbox, c consortium.Collection) (string, error) {
	names, err := f.removedFrom(outbox, c)
	if err != nil || len(names) == 0 {
		return "", err
	}
	return "a removed member still has the key of this collection and can read it: " + strings.Join(names, ", "), nil
}

// exposedKeys lists the collections of this organisation, and those that it publishes in, whose keys others have.
func (n *Node) exposedKeys() (list []ExposedKey, err error) {
	for _, c := range n.fold.collections() {
		if !c.MayPublish(n.fold.self) {
			continue
		}
		exposed, err := n.fold.exposedNow(n.repo.Outbox, c)
		if err != nil {
			return nil, err
		}
		if len(exposed) == 0 {
			continue
		}
		one := ExposedKey{Collection: c.ID, Title: c.Properties.Title, Owner: n.fold.name(c.Owner), Own: c.Owner == n.fold.self}
		for _, e := range exposed {
			if e.Removed {
				one.Removed = append(one.Removed, n.fold.name(e.Account))
			} else {
				one.Replaced = append(one.Replaced, n.fold.name(e.Account))
			}
			if one.Since == 0 || e.Since < one.Since {
				one.Since = e.Since
			}
		}
		list = append(list, one)
	}
	return list, nil
}

// watchKeys tells the log who has a key and should not, until the context ends.
func (n *Node) watchKeys(ctx context.Context) error {
	told := map[string]ExposedKey{}
	for {
		changed := n.fold.changed.changed()
		if err := n.tellExposed(told); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// tellExposed logs what has become of the keys since it was called last: told is what it has said.
func (n *Node) tellExposed(told map[string]ExposedKey) error {
	now, err := n.exposedKeys()
	if err != nil {
		return err
	}
	for _, e := range now {
		if before, known := told[e.Collection]; known && slices.Equal(before.Removed, e.Removed) {
			continue
		}
		told[e.Collection] = e
		if len(e.Removed) > 0 {
			n.log.Warn("a removed member still has the key of a collection, until its owner's node has begun another key epoch",
				"collection", e.Collection, "owner", e.Owner, "own", e.Own, "members", e.Removed, "since_round", e.Since)
		}
	}
	for id, before := range told {
		if slices.ContainsFunc(now, func(e ExposedKey) bool { return e.Collection == id }) {
			continue
		}
		delete(told, id)
		if len(before.Removed) > 0 {
			n.log.Info("a collection has another key, that no removed member has", "collection", id, "owner", before.Owner)
		}
	}
	return nil
}
