package desk

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/taxii"
)

// sensors hit everything, but tell who has limits of nothing outside of narrow.
type sensors struct {
	taxii.Sightings
	find finder
}

func (s sensors) Seen(ctx context.Context, who taxii.Principal, object string) (taxii.SeenResource, error) {
	if !who.Limits.MayRead(open) && object != id("malware", 1) {
		return taxii.SeenResource{}, taxii.ErrNotFound
	}
	told, err := s.find.Seen(ctx, who, object)
	return taxii.SeenResource{Seen: told, Here: &taxii.HitCounter{Count: 4, First: "2026-11-02", Last: "2026-11-03"}}, err
}

func TestAnAccountWithLimitsIsToldOfNoSightingOutsideOfItsCollections(t *testing.T) {
	w := newWorld(t)
	w.fill()
	sighting := `"sighting_of_ref":"` + id("malware", 1) + `","first_seen":"2026-10-01T00:00:00Z","last_seen":"2026-11-01T00:00:00Z","count":`
	w.add(narrow, id("sighting", 7), sighting+"31")
	w.add(open, id("sighting", 8), sighting+"100")
	w.press.clients.Sightings = sensors{find: w.shelf.find}
	seen := func(by console.By, n string) string {
		s, err := sighted{w.Desk}.Seen(t.Context(), by, n)
		if errors.Is(err, taxii.ErrNotFound) {
			return "nothing"
		}
		must(t, err)
		return fmt.Sprint(s.Count, len(s.By), len(s.Months), s.Here.Count)
	}
	compare(t, map[string]sight{
		"an object of both collections": {func(by console.By) string { return seen(by, id("malware", 1)) }, "131 1 2 4", "31 1 2 4"},
		"an object of another":          {func(by console.By) string { return seen(by, id("indicator", 3)) }, "0 0 0 4", "nothing"},
	})
}

// Report counts what is an indicator.
func (s sensors) Report(_ context.Context, who taxii.Principal, report taxii.HitReport) (taken taxii.HitsTaken, err error) {
	if who.Role < taxii.RolePublisher {
		return taken, taxii.ErrForbidden
	}
	for _, hit := range report.Hits {
		if hit.Indicator == id("indicator", 1) && hit.Count == 1 && hit.Time.IsZero() {
			taken.Counted++
		}
	}
	return taken, nil
}

func TestWhatSomebodySawIsAHitOfTheIndicator(t *testing.T) {
	w := newWorld(t)
	w.press.clients.Sightings = sensors{find: w.shelf.find}
	publisher := console.By{Principal: taxii.Principal{User: "paul", Role: taxii.RolePublisher}}
	must(t, sighted{w.Desk}.Saw(t.Context(), publisher, id("indicator", 1)))
	var invalid *taxii.InvalidError
	if err := (sighted{w.Desk}).Saw(t.Context(), publisher, id("malware", 1)); !errors.As(err, &invalid) {
		t.Errorf("of what is no indicator: %v", err)
	}
	publisher.Role = taxii.RoleReader
	if err := (sighted{w.Desk}).Saw(t.Context(), publisher, id("indicator", 1)); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("by a reader: %v", err)
	}
}
