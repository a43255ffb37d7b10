package publish

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/repo/outbox"
)

// RotationPlan is kept from the moment when a change of our own keys is stored until it is carried out.
type RotationPlan struct {
	Key     []byte `json:"key"`     // of the record, in the outbox
	Account string `json:"account"` // the next one
}

// RotationMemo is the name under which the plan is kept.
const RotationMemo = "rotation"

// Keep writes the plan down.
func (p RotationPlan) Keep(outbox *outbox.Outbox) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("storing a change of keys: %w", err)
	}
	return outbox.SetMemo(RotationMemo, data)
}

// ReadRotation reads the plan; nil if there is none.
func ReadRotation(outbox *outbox.Outbox) (*RotationPlan, error) {
	data, err := outbox.Memo(RotationMemo)
	if err != nil || data == nil {
		return nil, err
	}
	var p RotationPlan
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("reading a change of keys: %w", err)
	}
	return &p, nil
}

// beforeRotation gives the items that may be signed now. A change of this organisation's account is signed when
// nothing else of the old account is on its way, and nothing after it: that would not count.
func (m *Minter) beforeRotation(items []outbox.Item) ([]outbox.Item, error) {
	plan, err := ReadRotation(m.Outbox.Outbox)
	if err != nil || plan == nil || plan.Account == m.State.Self {
		return items, err
	}
	record, found, err := m.Outbox.Find(plan.Key)
	switch {
	case err != nil || !found:
		return items, err
	case record.State > outbox.Stored:
		return nil, nil
	}
	at := slices.IndexFunc(items, func(item outbox.Item) bool { return !item.Before(record) })
	switch {
	case at < 0: // it is further behind
		return items, nil
	case at > 0:
		return items[:at], nil
	case !m.flights.areEmpty() || items[0].Number != record.Number:
		return nil, nil
	}
	return items[:1], nil
}

// otherKeys gives the change of this organisation's own keys, if one is waiting and nothing is on its way: all that is
// signed while another node has the same ones.
func (m *Minter) otherKeys() ([]outbox.Item, error) {
	plan, err := ReadRotation(m.Outbox.Outbox)
	if err != nil || plan == nil || plan.Account != m.State.Self && !m.flights.areEmpty() {
		return nil, err
	}
	record, found, err := m.Outbox.Find(plan.Key)
	if err != nil || !found || record.State != outbox.Stored {
		return nil, err
	}
	return []outbox.Item{record}, nil
}
