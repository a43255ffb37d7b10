package desk

import (
	"context"
	"strings"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/node/search"
)

// Around gives what an object refers to, and what refers to it; of a relationship its other end.
func (s shelf) Around(ctx context.Context, by console.By, id string, most int) (console.Surroundings, error) {
	found, err := s.find.Finder.Around(ctx, by.Principal, id)
	if err != nil {
		return console.Surroundings{}, err
	}
	around := console.Surroundings{More: map[console.Group]int{}, Wait: s.find.waits(by)}
	add := func(id, kind, called, relation string, out bool) {
		if len(around.Near) >= most {
			around.More[console.Group{Relation: relation, Type: kind, Out: out}]++
			return
		}
		around.Near = append(around.Near, console.Neighbour{ID: id, Type: kind, Name: called, Relation: relation, Out: out})
	}
	for _, l := range found.To {
		add(l.Object.ID, l.Object.Type, titled(l.Object), l.Kind, true)
	}
	for _, l := range found.From {
		switch {
		case l.Relationship == "":
			add(l.Object.ID, l.Object.Type, titled(l.Object), l.Kind, false)
		case l.Other != nil:
			add(l.Other.ID, l.Other.Type, titled(*l.Other), l.Relationship, l.Kind == "source_ref")
		default: // the other end is not here, or not for this account
			kind, _, _ := strings.Cut(l.OtherID, "--")
			around.More[console.Group{Relation: l.Relationship, Type: kind, Out: l.Kind == "source_ref"}]++
		}
	}
	if found.CountsMore {
		around.Wait = strings.TrimSpace("More refers to it than is told of here. " + around.Wait)
	}
	return around, nil
}

// titled is what a drawing calls an object: a value where the name says less.
func titled(s search.Summary) string {
	if s.Type == "indicator" && len(s.Values) == 1 {
		return s.Values[0].Value.Text
	}
	return s.Title
}
