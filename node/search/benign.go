package search

import (
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/view"
)

const (
	benign       = "benign" // the type of indicators that say that something does no harm (STIX 2.1, section 10.8)
	mostBenign   = 10_000   // values of one member
	benignLooked = 50_000   // objects that are looked at
)

// Benign gives the values that members call benign, by member: those of their indicators of that type that are in
// force.
func (f *Finder) Benign(members []string) (map[string][]observable.Value, error) {
	said, looked, now := map[string][]observable.Value{}, 0, time.Now()
	err := f.Index.Read(func(r *find.Reader) error {
		return r.Word(benign, 0, func(date int64) (bool, error) {
			looked++
			e, err := r.Entry(date, true)
			if err != nil || e == nil || e.Type != "indicator" {
				return err == nil && looked < benignLooked, err
			}
			member := f.State.Name(e.Owner())
			if !slices.Contains(members, member) || len(said[member]) >= mostBenign {
				return looked < benignLooked, nil
			}
			if last, err := r.IsLast(e); err != nil || !last {
				return err == nil, err
			}
			said[member] = append(said[member], calledBenign(e.Object, now)...)
			return looked < benignLooked, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading what members call benign: %w", err)
	}
	return said, nil
}

// calledBenign are the values that an indicator calls benign.
func calledBenign(object []byte, now time.Time) (values []observable.Value) {
	o, err := observable.ReadProperties(object)
	if err != nil || o.Revoked() || !slices.Contains(o.Texts("indicator_types"), benign) {
		return nil
	}
	if until := timeOf(o, "valid_until"); !until.IsZero() && !until.After(now) {
		return nil
	}
	found, _ := o.Values()
	for _, v := range found {
		if v.Role == observable.Pattern {
			values = append(values, v.Value)
		}
	}
	return values
}

// BenignChanged tells when what is here changed last, in unix microseconds.
func (f *Finder) BenignChanged() (int64, error) { return f.View.Changed(view.Everything) }
