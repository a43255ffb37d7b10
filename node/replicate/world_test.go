package replicate_test

import (
	"testing"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
)

// world is a chain and one node's replicate side over it.
type world struct{ *worldtest.World }

func newWorld(t testing.TB, self *nodetest.Org) *world { return &world{worldtest.NewWorld(t, self)} }

// newFoundedWorld is that of the first of the organisations, which has founded the consortium with the others.
func newFoundedWorld(t *testing.T, members ...*nodetest.Org) *world {
	t.Helper()
	w := newWorld(t, members[0])
	events := w.Found(members...)
	w.Open()
	nodetest.Must(t, w.Deliver(events...))
	return w
}
