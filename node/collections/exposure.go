package collections

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/serviceledger/slnode/internal/signal"
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

// ExposedKeys lists the collections of this organisation, and those that it publishes in, whose keys others have.
func (o *Owner) ExposedKeys() (list []ExposedKey, err error) {
	for _, c := range o.State.Collections() {
		if !c.MayPublish(o.State.Self) {
			continue
		}
		exposed, err := o.State.ExposedNow(o.Outbox, c)
		if err != nil {
			return nil, err
		}
		if len(exposed) == 0 {
			continue
		}
		one := ExposedKey{Collection: c.ID, Title: c.Properties.Title, Owner: o.State.Name(c.Owner), Own: c.Owner == o.State.Self}
		for _, e := range exposed {
			if e.Removed {
				one.Removed = append(one.Removed, o.State.Name(e.Account))
			} else {
				one.Replaced = append(one.Replaced, o.State.Name(e.Account))
			}
			if one.Since == 0 || e.Since < one.Since {
				one.Since = e.Since
			}
		}
		list = append(list, one)
	}
	return list, nil
}

// WatchKeys tells the log who has a key and should not, until the context ends.
func (o *Owner) WatchKeys(ctx context.Context) error {
	told := map[string]ExposedKey{}
	return signal.Each(ctx, &o.State.Changed, 0, func() error { return o.tellExposed(told) })
}

// tellExposed logs what has changed about the keys since it was called last: told is what it has said.
func (o *Owner) tellExposed(told map[string]ExposedKey) error {
	now, err := o.ExposedKeys()
	if err != nil {
		return err
	}
	for _, e := range now {
		if before, known := told[e.Collection]; known && slices.Equal(before.Removed, e.Removed) {
			continue
		}
		told[e.Collection] = e
		if len(e.Removed) > 0 {
			o.Log.Warn("a removed member still has the key of a collection, until its owner's node has begun another key epoch",
				"collection", e.Collection, "owner", e.Owner, "own", e.Own, "members", e.Removed, "since_round", e.Since)
		}
	}
	for id, before := range told {
		if slices.ContainsFunc(now, func(e ExposedKey) bool { return e.Collection == id }) {
			continue
		}
		delete(told, id)
		if len(before.Removed) > 0 {
			o.Log.Info("a collection has another key, that no removed member has", "collection", id, "owner", before.Owner)
		}
	}
	return nil
}
