package watch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const lookedUp = 200 // assets that are looked up at once

// AssetMatches lists which objects here are about an asset, now.
func (r *Room) AssetMatches(ctx context.Context, who taxii.Principal) (taxii.AssetMatches, error) {
	if err := may(who, taxii.RoleReader); err != nil {
		return taxii.AssetMatches{}, err
	}
	var values []observable.Value
	for _, k := range r.list.Load().keys {
		values = append(values, k.value)
	}
	return r.matches(ctx, who, values)
}

// matches looks some assets up in the indexes: of each object the last version in each member's line, each once for an
// asset.
func (r *Room) matches(ctx context.Context, who taxii.Principal, values []observable.Value) (all taxii.AssetMatches, err error) {
	all.Whole = r.Finder.Progress().Whole
	now := r.list.Load()
	for some := range slices.Chunk(values, lookedUp) {
		answers, err := r.Finder.Lookup(ctx, who, some)
		if err != nil {
			return all, fmt.Errorf("looking for what concerns this organisation: %w", err)
		}
		for i, a := range answers {
			all.More = all.More || a.More
			seen := map[string]bool{}
			for _, way := range []struct {
				how  string
				hits []search.Hit
			}{{taxii.ConcernSame, a.Exact}, {taxii.ConcernIn, a.Narrower}, {taxii.ConcernAround, a.Wider}} {
				for _, h := range way.hits {
					key := fmt.Sprintf("%s/%d", h.Object.TxID, h.Object.Index)
					if seen[key] {
						continue
					}
					if len(all.Matches) == taxii.MaxAssetMatches {
						all.More = true
						break
					}
					seen[key] = true
					all.Matches = append(all.Matches, matchOf(now.of[some[i]], way.how, h))
				}
			}
		}
	}
	slices.SortFunc(all.Matches, func(a, b taxii.AssetMatch) int { return b.Added.Compare(a.Added) })
	return all, nil
}

func matchOf(asset taxii.Asset, how string, h search.Hit) taxii.AssetMatch {
	return taxii.AssetMatch{
		Concern: taxii.Concern{Asset: asset, How: how, Value: h.Value.Text}, Object: h.Object.ID, Version: h.Object.Version, Type: h.Object.Type,
		Title: h.Object.Title, Member: h.Object.Member, Standing: string(h.Object.Standing), Added: h.Object.Added,
	}
}

// Recent is what came in lately and concerns this organisation.
type Recent struct {
	Objects int
	IDs     []string // of the newest, up to five
	More    bool     // not all that came in was looked at
}

// Since counts which of the last objects that came in after a moment are about an asset: up to most are looked at.
func (r *Room) Since(ctx context.Context, who taxii.Principal, after time.Time, most int) (found Recent, err error) {
	now := r.list.Load()
	if may(who, taxii.RoleReader) != nil || len(now.of) == 0 {
		return found, nil
	}
	q := view.Query{Collection: view.Everything, AnyLine: true, Versions: view.Versions{Last: true}, After: max(1, after.UnixMicro()), Descending: true, Limit: min(most, pageSize), WithObjects: true}
	for more, looked := true, 0; more; {
		var entries []*view.Entry
		if err := ctx.Err(); err != nil {
			return found, err
		}
		if entries, more, err = r.View.Page(q); err != nil {
			return found, fmt.Errorf("looking for what concerns this organisation: %w", err)
		}
		for _, e := range entries {
			q.Before = e.DateAdded
			if len(now.concerns(e.Object)) == 0 {
				continue
			}
			if found.Objects++; len(found.IDs) < 5 {
				found.IDs = append(found.IDs, e.ID)
			}
		}
		if looked += len(entries); more && looked >= most {
			found.More = true
			break
		}
	}
	return found, nil
}
