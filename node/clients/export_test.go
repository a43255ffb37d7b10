package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/node/internal/nodetest"
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
	for _, q := range []taxii.ExportQuery{{Format: "exe"}, {}, {Format: "plain", Kinds: []string{"x"}}} {
		var invalid *taxii.InvalidError
		if _, err := c.Export(t.Context(), taxii.Principal{}, box, q); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
