package taxii

import (
	"context"
	"slices"
)

// Limits restrict a principal to some collections, beyond what its role does.
// nil restricts nothing, an empty list leaves nothing.
type Limits struct {
	Read, Write []string // ids of collections
}

// Any tells whether there is any restriction.
func (l Limits) Any() bool { return l.Read != nil || l.Write != nil }

// MayRead reports whether the limits leave a collection to be read.
func (l Limits) MayRead(collection string) bool {
	return l.Read == nil || slices.Contains(l.Read, collection)
}

// MayWrite reports whether they leave it to be published in.
func (l Limits) MayWrite(collection string) bool {
	return l.Write == nil || slices.Contains(l.Write, collection)
}

// apply narrows what may be done with a collection.
func (l Limits) apply(c Collection) Collection {
	c.CanRead = c.CanRead && l.MayRead(c.ID)
	c.CanWrite = c.CanWrite && l.MayWrite(c.ID)
	return c
}

// limited is a store whose collections are as the principal's limits leave them, so that no endpoint can forget to ask.
type limited struct{ Store }

func (s limited) Collections(ctx context.Context, who Principal, root string) ([]Collection, error) {
	list, err := s.Store.Collections(ctx, who, root)
	if err != nil || !who.Limits.Any() {
		return list, err
	}
	left := make([]Collection, 0, len(list))
	for _, c := range list {
		if c = who.Limits.apply(c); c.CanRead || c.CanWrite {
			left = append(left, c)
		}
	}
	return left, nil
}

func (s limited) Collection(ctx context.Context, who Principal, root, idOrAlias string) (Collection, error) {
	c, err := s.Store.Collection(ctx, who, root, idOrAlias)
	if err != nil {
		return c, err
	}
	if c = who.Limits.apply(c); !c.CanRead && !c.CanWrite {
		return Collection{}, ErrNotFound
	}
	return c, nil
}

// Objects refuses what Collection did not give, should a caller hold a collection of another principal.
func (s limited) Objects(ctx context.Context, who Principal, c Collection, q Query) (Page, error) {
	if !who.Limits.apply(c).CanRead && who.Limits.Any() {
		return Page{}, ErrForbidden
	}
	return s.Store.Objects(ctx, who, c, q)
}
