package withdraw

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// LosesLead looks at what is in the view, in the order of the chain.
func (d *desk) LosesLead(_, collection, id string, again bool, withdrawn ...consortium.Position) (bool, error) {
	if err := d.fails("LosesLead"); err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	first, others := true, false
	for _, s := range d.events {
		if s.State != view.InView || s.entry.ID != id || collection != view.Everything && s.entry.Collection != collection {
			continue
		}
		ours := d.chain.State.Ours(s.entry.Publisher)
		switch {
		case !ours && first:
			return false, nil // they lead anyway
		case !ours:
			others = true
		case !slices.Contains(withdrawn, s.entry.Position):
			return others, nil
		}
		first = false
	}
	return others && again, nil
}

// Where somebody else publishes the object too, who withdraws the first of its versions is served no more, though
// others of them stay: that must be meant.
func TestWhatGivesTheLeadAwayMustBeMeant(t *testing.T) {
	d := newDesk(t)
	first := d.publishes(version{one, 1, here})
	d.show(version{one, 3, here}.entry(), d.alpha.Address(), "ALPHA", 7000)
	second := d.publishes(version{one, 2, here})
	var input *problem.InputError
	_, err := d.withdrawer().beginAll(t.Context(), Selection{What: first.TxID})
	if !errors.As(err, &input) || !errors.Is(err, errLosesLead) || !strings.Contains(err.Error(), "--only-this-version") || len(d.ends()) > 0 {
		t.Fatalf("%v; the outbox ends %v", err, d.ends())
	}
	if list, err := d.withdrawer().beginAll(t.Context(), Selection{What: second.TxID}); err != nil || len(list) != 1 {
		t.Errorf("the second: %+v, %v", list, err)
	}
	if list, err := d.withdrawer().beginAll(t.Context(), Selection{What: first.TxID, OnlyThis: true}); err != nil || len(list) != 1 {
		t.Errorf("the first, as it is meant: %+v, %v", list, err)
	}
	for _, c := range []struct {
		records []taxii.Record
		note    string
	}{
		{[]taxii.Record{recordOf(first)}, errLosesLead.Error()},
		{[]taxii.Record{recordOf(second)}, ""},
		{[]taxii.Record{recordOf(first), recordOf(second)}, ""},
	} {
		d.statuses = nil
		if _, err := d.withdrawer().Withdraw(t.Context(), taxii.Principal{User: "u"}, taxii.Collection{ID: here}, c.records); err != nil {
			t.Fatal(err)
		}
		for _, line := range d.statuses[0].lines {
			if line.Note != c.note {
				t.Errorf("%+v: the note is %q", c.records, line.Note)
			}
		}
	}
}
