package desk

import (
	"context"
	"fmt"
	"strings"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/taxii"
)

// finder answers the search of the console by node/search.
type finder struct{ *search.Finder }

var _ console.Finder = finder{}

// newFinder gives the node's own, which knows whom this organisation holds to be reliable and what is on warning lists.
func newFinder(api *control.API, settings taxii.Config) finder {
	if texts, is := settings.Searcher.(search.Texts); is {
		return finder{texts.Finder}
	}
	return finder{&search.Finder{
		View: api.Repo.View, Index: api.Repo.Find, State: api.State, Outbox: api.Repo.Outbox,
		Everything: clients.EverythingID(api.Consortium), Others: clients.OthersID(api.Consortium),
	}}
}

// Lookup tells in which objects values are.
func (f finder) Lookup(ctx context.Context, by console.By, values []observable.Value) ([]console.Answer, error) {
	found, err := f.Finder.Lookup(ctx, by.Principal, values)
	if err != nil {
		return nil, err
	}
	answers := make([]console.Answer, len(found))
	for i, a := range found {
		answers[i] = console.Answer{Value: a.Value, More: a.More, Independent: a.Independent}
		for _, on := range a.Warned {
			answers[i].Warned = append(answers[i].Warned, fmt.Sprintf("%s (%s, %s)", on.Name, on.Class, on.Date))
		}
		if a.Seen != nil {
			answers[i].Seen = brief(*a.Seen)
		}
		for how, hits := range [...][]search.Hit{console.Same: a.Exact, console.Wider: a.Wider, console.Narrower: a.Narrower} {
			for _, hit := range hits {
				answers[i].Hits = append(answers[i].Hits, console.Hit{Row: row(hit.Object), Value: hit.Value, How: console.How(how)})
			}
		}
	}
	if len(answers) != 1 { // then they stand in a list
		return answers, nil
	}
	hits := answers[0].Hits
	rows := make([]console.Row, len(hits))
	for i, hit := range hits {
		rows[i] = hit.Row
	}
	err = f.sight(ctx, by, rows)
	for i := range hits {
		hits[i].Row = rows[i]
	}
	return answers, err
}

// row is an object as a list has it.
func row(s search.Summary) console.Row {
	r := console.Row{ID: s.ID, Type: s.Type, Name: s.Title, Level: s.Level, Member: s.Member, Confidence: -1, Collection: s.CollectionTitle, Added: s.Added}
	if s.Confidence != nil {
		r.Confidence = *s.Confidence
	}
	if s.Type == "indicator" || s.Standing == search.Revoked {
		r.State = string(s.Standing)
	}
	for _, v := range s.Values {
		if v.Role != observable.ExternalID {
			r.Values = append(r.Values, v.Value)
		}
	}
	return r
}

// List gives a page of objects, newest first.
func (f finder) List(ctx context.Context, by console.By, q console.Question) (console.Listing, error) {
	page, err := f.Find(ctx, by.Principal, search.Query{
		Text: q.Text, Type: q.Type, Member: q.Member, Level: q.Level, Collection: q.Collection, Label: q.Label, Standing: search.Standing(q.State), MinConfidence: q.Least, Cursor: q.Before, Limit: q.Limit,
	})
	if err != nil {
		return console.Listing{}, err
	}
	listing := console.Listing{Next: page.Next}
	for _, s := range page.Objects {
		listing.Rows = append(listing.Rows, row(s))
	}
	if err := f.sight(ctx, by, listing.Rows); err != nil {
		return console.Listing{}, err
	}
	if page.Narrow {
		listing.Note = fmt.Sprintf("%d objects were looked at, and there may be more that fit. Narrow it down, by a type for example.", search.MaxCandidates)
	}
	if wait := f.waits(by); wait != "" && q.Text != "" {
		listing.Note = strings.TrimSpace(listing.Note + " " + wait)
	}
	return listing, nil
}

// sight adds how often the objects of a list were seen.
func (f finder) sight(ctx context.Context, by console.By, rows []console.Row) error {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	list, err := f.Sighted(ctx, by.Principal, ids)
	for i, seen := range list {
		rows[i].Seen = brief(seen)
	}
	return err
}

// brief is what sightings say, in short.
func brief(seen search.Seen) console.Brief {
	members := map[string]bool{}
	for _, source := range seen.By {
		if source.Count > 0 {
			members[source.Member] = true
		}
	}
	return console.Brief{Count: seen.Count, Members: len(members), More: seen.More}
}

// Corroborated tells who else says what an object says.
func (f finder) Corroborated(ctx context.Context, by console.By, id string) (console.Corroborated, error) {
	c, err := f.Corroboration(ctx, by.Principal, id)
	return console.Corroborated{Objects: len(c.Objects), More: c.More, Members: len(c.Members), Independent: c.Independent}, err
}

// waits says that the indexes are not whole yet.
func (f finder) waits(by console.By) string {
	progress := f.Progress()
	return waiting(by, progress.Whole, progress.Done, progress.Of)
}

// waiting says how far the indexes are. Accounts with limits are not told how much there is beside what they may read.
func waiting(by console.By, whole bool, done, of int64) string {
	switch {
	case whole:
		return ""
	case by.Limits.Read != nil:
		return "The index is being made: not everything is found yet."
	}
	return fmt.Sprintf("The index is being made: %d of about %d objects are in it.", done, of)
}
