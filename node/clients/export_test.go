package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/internal/export"
	"github.com/serviceledger/slnode/internal/quality"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

func TestTheViewIsExported(t *testing.T) {
	h := newHooked(t)
	c := &Catalogue{View: h.R.View, State: h.State, Own: "self", Consortium: repo.Consortium{ID: h.ID}, Shown: &h.shown, Exports: semaphore.NewWeighted(1)}
	box := taxii.Collection{Root: "self", ID: h.Collection}
	changes := c.Changes()
	expired, cancel := context.WithCancel(t.Context())
	cancel()
	before, err := c.Changed(t.Context(), box)
	nodetest.Must(t, err)
	h.publish(1, 2)
	<-changes
	if after, err := c.Changed(t.Context(), box); err != nil || after <= before {
		t.Errorf("changed at %d, after %d, %v", after, before, err)
	}
	want := fmt.Sprintf("%032x\n%032x\n", 1, 2)
	for _, of := range []taxii.Collection{box, {Root: everythingRoot}} {
		e, err := c.Export(t.Context(), taxii.Principal{}, of, taxii.ExportQuery{Format: "plain", Kinds: []string{"hash"}})
		nodetest.Must(t, err)
		if _, err := c.Export(expired, taxii.Principal{}, of, taxii.ExportQuery{Format: "plain"}); err == nil {
			t.Error("more lists are made at once than may be")
		}
		var out bytes.Buffer
		nodetest.Must(t, e.Write(t.Context(), &out))
		e.Close()
		if out.String() != want || e.Skipped != 0 || !strings.HasPrefix(e.MediaType, "text/plain") {
			t.Errorf("%+v: %s", e, out.String())
		}
	}
	for _, q := range []taxii.ExportQuery{{Format: "exe"}, {}, {Format: "plain", Kinds: []string{"x"}}, {Format: "csv", Subdomains: true}} {
		var invalid *taxii.InvalidError
		if _, err := c.Export(t.Context(), taxii.Principal{}, box, q); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// appraised has rules for one member's indicators.
type appraised struct {
	rules   quality.Rules
	changed int64
}

func (a appraised) Changed(bool) (int64, error) { return a.changed, nil }

func (a appraised) Fill(o *export.Options, _ bool) error {
	o.Decay = a.rules
	return nil
}

func (a appraised) Age(o *export.Options) { o.Decay = a.rules }

func TestAListIsMadeByTheRulesOfThisOrganisation(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(1))
	name := w.State.Name(w.Self.Address())
	c := &Catalogue{View: w.R.View, State: w.State, Own: "self", Shown: &signal.Signal{}, Exports: semaphore.NewWeighted(1)}
	box := taxii.Collection{Root: "self", ID: w.Collection}
	for member, want := range map[string]int{name: 0, "another": 1} {
		changed := int64(1 << 60)
		c.Appraisal = appraised{changed: changed, rules: quality.Rules{{Members: []string{member}, Model: quality.Model{Lifetime: time.Minute, Speed: 1}}}}
		if at, err := c.ListChanged(t.Context(), box, taxii.ExportQuery{}); err != nil || at != changed {
			t.Errorf("changed at %d, %v", at, err)
		}
		e, err := c.Export(t.Context(), taxii.Principal{}, box, taxii.ExportQuery{Format: "plain", Score: 30})
		nodetest.Must(t, err)
		var out bytes.Buffer
		nodetest.Must(t, e.Write(t.Context(), &out))
		e.Close()
		if strings.Count(out.String(), "\n") != want {
			t.Errorf("by rules for %s the list is %q", member, out.String())
		}
	}
}

// One export after the other: who can't have its turn is told when to come again, and who fails gives its turn back.
func TestWhoWaitsTooLongForItsTurnIsToldToComeAgain(t *testing.T) {
	h := newHooked(t)
	h.publish(1)
	c := &Catalogue{View: h.R.View, State: h.State, Own: "self", Consortium: repo.Consortium{ID: h.ID}, Shown: &h.shown, Exports: semaphore.NewWeighted(1)}
	box := taxii.Collection{Root: "self", ID: h.Collection}
	q := taxii.ExportQuery{Format: "plain"}
	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		held, err := c.Export(t.Context(), taxii.Principal{}, box, q)
		nodetest.Must(t, err)
		began := time.Now()
		var later *taxii.RetryAfterError
		if _, err := c.Export(t.Context(), taxii.Principal{}, box, q); !errors.As(err, &later) || later.After != exportWait || time.Since(began) != exportWait {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		cancel()
		if _, err := c.Export(ended, taxii.Principal{}, box, q); err == nil || errors.As(err, &later) && later == nil {
			t.Errorf("who has gone: %v", err)
		}
		held.Close()
		for range 2 {
			if _, err := c.Export(ended, taxii.Principal{}, box, q); err == nil {
				t.Error("a list is made for who has gone")
			}
		}
		again, err := c.Export(t.Context(), taxii.Principal{}, box, q)
		nodetest.Must(t, err) // the turns that failed were given back
		again.Close()
	})
}

// Each indicator is in the list in its latest version, however many pages there are.
func TestAListHasTheLatestVersionOfEveryIndicator(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	const many = exportPage + 3
	for n := range many {
		w.EnterBy(w.Self.Address(), nodetest.IndicatorJSON(n+1))
	}
	w.EnterBy(w.Self.Address(), worldtest.VersionOf(many, worldtest.FirstTime, worldtest.SecondTime, `"description":"later",`))
	listed := (&Catalogue{View: w.R.View}).indicators(w.Collection, false)
	seen := map[string]int{}
	for object, err := range listed(t.Context()) {
		nodetest.Must(t, err)
		text := string(object.JSON)
		for n := range many {
			if strings.Contains(text, fmt.Sprintf("indicator--%08x-", n+1)) {
				seen[fmt.Sprintf("%d %t", n+1, strings.Contains(text, "later"))]++
			}
		}
	}
	if len(seen) != many || seen[fmt.Sprintf("%d true", many)] != 1 {
		t.Errorf("%d indicators are listed of %d", len(seen), many)
	}
	stopped := 0
	for range listed(t.Context()) {
		stopped++
		break
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range listed(ended) {
		if err == nil {
			t.Error("it is read for who has gone")
		}
		stopped++
	}
	if stopped != 2 {
		t.Errorf("%d were given", stopped)
	}
}
