package search

import (
	"context"
	"fmt"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// referrer is an entry that refers to an object.
type referrer struct {
	kind  string
	entry *view.Entry
}

// Around gives what refers to an object and what it refers to, in last versions that who asks may read. The object
// itself need not be here.
func (f *Finder) Around(ctx context.Context, who taxii.Principal, id string) (n Neighbours, err error) {
	own, err := f.byID(ctx, who, id)
	if err != nil {
		return n, fmt.Errorf("looking around object %.80q: %w", id, err)
	}
	var from []referrer
	n.Counts = map[string]int{}
	err = f.read(ctx, who, func(r *reading) error {
		held := 0
		more, err := r.References(id, MaxAround, func(p find.Pointer) (bool, error) {
			e, err := r.head(p.Date)
			if err != nil || e == nil {
				return err == nil, err
			}
			n.Counts[e.Type]++
			if len(from) == MaxAround || held > maxHeld {
				n.More = true
				return true, nil
			}
			if e, err = r.Entry(p.Date, true); err == nil && e != nil {
				from = append(from, referrer{p.Kind, e})
				held += len(e.Object)
			}
			return err == nil, err
		})
		n.CountsMore, n.More = len(more) > 0, n.More || len(more) > 0
		return err
	})
	if err != nil {
		return n, fmt.Errorf("looking around object %.80q: %w", id, err)
	}
	d := f.describer()
	for _, one := range from {
		n.From = append(n.From, Link{Kind: one.kind, Object: d.summary(one.entry)})
	}
	if err := f.others(ctx, who, d, id, from, n.From); err != nil {
		return n, err
	}
	if len(own) > 0 {
		if err := f.to(ctx, who, d, own[0], &n); err != nil {
			return n, err
		}
	}
	return n, d.err
}

// others completes relationships with the object at their other end.
func (f *Finder) others(ctx context.Context, who taxii.Principal, d *describer, id string, from []referrer, links []Link) error {
	for i, one := range from {
		if one.entry.Type != "relationship" {
			continue
		}
		o, _ := observable.ReadProperties(one.entry.Object)
		l := &links[i]
		l.Relationship = clip(o.Text("relationship_type"))
		if l.OtherID = o.Text("target_ref"); l.OtherID == id {
			l.OtherID = o.Text("source_ref")
		}
		other, err := f.byID(ctx, who, l.OtherID)
		if err != nil {
			return err
		}
		if len(other) > 0 {
			s := d.summary(other[0])
			l.Other = &s
		}
	}
	return nil
}

// to finds what an object refers to.
func (f *Finder) to(ctx context.Context, who taxii.Principal, d *describer, own *view.Entry, n *Neighbours) error {
	references := find.References(own.Object, MaxAround+1)
	if len(references) > MaxAround {
		references, n.More = references[:MaxAround], true
	}
	for _, ref := range references {
		entries, err := f.byID(ctx, who, ref.ID)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			n.Missing = append(n.Missing, ref.ID)
			continue
		}
		n.To = append(n.To, Link{Kind: ref.Kind, Object: d.summary(entries[0])})
	}
	return nil
}
