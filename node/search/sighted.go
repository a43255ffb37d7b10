package search

import (
	"context"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/taxii"
)

// MaxBrief is how many sightings of one object a list looks at: the newest.
const MaxBrief = 20

// Sighted says of each of some objects what its newest sightings say, of those that who asks may read. More says that
// there are more than were looked at.
func (f *Finder) Sighted(ctx context.Context, who taxii.Principal, ids []string) ([]Seen, error) {
	list := make([]Seen, len(ids))
	err := f.read(ctx, who, func(r *reading) error {
		held := 0
		for i, id := range ids {
			var err error
			if list[i], err = r.sighted(id, &held); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking how often objects were seen: %w", err)
	}
	return list, nil
}

func (r *reading) sighted(id string, held *int) (Seen, error) {
	var t tally
	more, err := r.References(id, MaxBrief, func(p find.Pointer) (bool, error) {
		if p.Kind != sightingOf {
			return true, nil
		}
		if *held > maxHeld {
			t.more = true
			return false, nil
		}
		e, err := r.whole(p.Date)
		if err == nil && e != nil {
			*held += len(e.Object)
			err = t.add(r, e)
		}
		return err == nil, err
	})
	t.more = t.more || slices.Contains(more, sightingOf)
	return t.seen(), err
}
