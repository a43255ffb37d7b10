package console

import (
	"context"
	"strconv"
	"time"
)

// Outbox is what is on its way to the chain.
type Outbox interface {
	// OnTheWay gives up to limit things of a state (accepted, stored, signed), after the one of a number (0: the first),
	// in the order in which they go on.
	OnTheWay(ctx context.Context, state string, after uint64, limit int) ([]Outgoing, error)
}

// Outgoing is one thing on its way.
type Outgoing struct {
	Number     uint64
	ID         string // STIX id; empty for a record
	Version    string
	Kind       string // of a record
	Collection string // its title
	User       string
	Stored     time.Time
	Objects    int // of a batch
	Bulk       bool
}

const outboxPage = 50

type outboxModel struct {
	States  []outboxState
	State   string
	List    []Outgoing
	Older   string
	Waits   []Condition
	At      time.Time
	Account string
}

type outboxState struct {
	Name, Says string
	Count      int
	Here       bool
}

func (c *Console) getOutbox(v *visit) error {
	state, err := c.Rooms.Node.State(v.r.Context())
	if err != nil {
		return err
	}
	model := outboxModel{Waits: state.Waits, At: state.At, Account: state.Money.Account, States: []outboxState{
		{Name: "accepted", Says: "taken in, to be encrypted", Count: state.Accepted}, {Name: "stored", Says: "encrypted and on IPFS, to be signed", Count: state.Stored},
		{Name: "signed", Says: "sent to the chain, to be confirmed", Count: state.Signed},
	}}
	for i := range model.States {
		one := &model.States[i]
		if one.Name == v.query("state") || v.query("state") == "" && model.State == "" && (one.Count > 0 || i == len(model.States)-1) {
			model.State, one.Here = one.Name, true
		}
	}
	if model.State == "" {
		return errUnknownForm
	}
	after, _ := strconv.ParseUint(v.query("after"), 10, 64) // what is no number is the first page
	if model.List, err = c.Rooms.Outbox.OnTheWay(v.r.Context(), model.State, after, outboxPage); err != nil {
		return err
	}
	if n := len(model.List); n == outboxPage {
		model.Older = strconv.FormatUint(model.List[n-1].Number, 10)
	}
	return v.render("outbox", model)
}
