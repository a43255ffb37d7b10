package replicate_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/replicate"
	"github.com/serviceledger/slnode/node/state"
)

// What is restored from a log that can't be read to its end is no state: whichever question fails, Restore says so.
func TestAStoreThatFailsEndsARestore(t *testing.T) {
	c := newCast(t)
	for method, lost := range map[string]bool{"Cursor": false, "Records": false, "Sequences": false, "Content": false, "Await": true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHistory(eventful(c))
			nodetest.Must(t, h.live(t.Context()))
			if lost {
				clear(h.swarm.here)
			}
			for nth := 1; ; nth++ {
				f := &failing{method: method, nth: nth}
				h.fails = f
				r, _ := h.parts()
				err := r.Restore(t.Context())
				if f.calls < nth {
					nodetest.Must(t, err)
					if nth == 1 {
						t.Errorf("%s is never asked", method)
					}
					return
				}
				if !errors.Is(err, errDisk) {
					t.Errorf("%s fails for the %d. time, and Restore gives %v", method, nth, err)
				}
			}
		})
	}
}

// A view that can't serve the lines that lead, or pass over a member, is told: what is served would be wrong in
// silence.
func TestAViewThatFailsEndsTheLines(t *testing.T) {
	for name, v := range map[string]*failingLines{"Relead": {relead: errDisk}, "Mistrust": {mistrust: errDisk}} {
		synctest.Test(t, func(t *testing.T) {
			v.unled = make(chan struct{}, 1)
			v.unled <- struct{}{}
			l := &replicate.Lines{View: v, State: state.New("", consortium.New(1, "", nil), nil), Mistrusts: []string{"alpha"}}
			if err := l.Run(t.Context()); !errors.Is(err, errDisk) {
				t.Errorf("%s fails, and the lines end with %v", name, err)
			}
		})
	}
}

type failingLines struct {
	relead, mistrust error
	unled            chan struct{}
}

func (v *failingLines) Unled() <-chan struct{} { return v.unled }

func (v *failingLines) Relead(context.Context) error { return v.relead }

func (v *failingLines) Mistrust(context.Context, []string) error { return v.mistrust }
