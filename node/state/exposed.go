package state

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/serviceledger/slnode/internal/consortium"
)

// givenMemo is the name under which is kept where the state stood when an epoch's key was given out, by collection. The
// record is on the chain only later: who was removed in between was given the key all the same.
func givenMemo(collection string) string { return "given/" + collection }

type givenKeys struct {
	Epoch uint32              `json:"epoch"`
	At    consortium.Position `json:"at"`
}

// memos are small things that this organisation keeps under names; nil for none.
type memos interface {
	Memo(name string) ([]byte, error)
	SetMemo(name string, data []byte) error
}

// GivenAt is where the state stood when this organisation gave out the keys of a collection's epoch or, if that isn't
// known, where the epoch began.
func GivenAt(outbox memos, c consortium.Collection) (consortium.Position, error) {
	data, err := outbox.Memo(givenMemo(c.ID))
	if err != nil || data == nil {
		return c.Began, err
	}
	var g givenKeys
	if err := json.Unmarshal(data, &g); err != nil {
		return c.Began, fmt.Errorf("reading when the keys of collection %s were given: %w", c.ID, err)
	}
	if g.Epoch != c.Epoch || !g.At.Before(c.Began) {
		return c.Began, nil
	}
	return g.At, nil
}

// ExposedNow lists who has the key of a collection and should not, as far as the chain has told.
func (f *Shared) ExposedNow(outbox memos, c consortium.Collection) (list []consortium.Exposure, err error) {
	if c.Former || c.Key == nil {
		return nil, nil
	}
	given := c.Began
	if c.Owner == f.Self {
		if given, err = GivenAt(outbox, c); err != nil {
			return nil, err
		}
	}
	f.Read(func(s *consortium.State) { list = s.Exposed(c, given, s.Position()) })
	return list, nil
}

// RemovedFrom names the removed members that have the key of a collection.
func (f *Shared) RemovedFrom(outbox memos, c consortium.Collection) (names []string, err error) {
	list, err := f.ExposedNow(outbox, c)
	for _, e := range list {
		if e.Removed {
			names = append(names, f.Name(e.Account))
		}
	}
	return names, err
}

// ExposedNote tells a client that publishes in a collection who reads it beside its readers; "" if nobody does.
func (f *Shared) ExposedNote(outbox memos, c consortium.Collection) (string, error) {
	names, err := f.RemovedFrom(outbox, c)
	if err != nil || len(names) == 0 {
		return "", err
	}
	return "a removed member still has the key of this collection and can read it: " + strings.Join(names, ", "), nil
}

// SetGiven keeps where the state stood when the key of a collection's epoch was given out.
func SetGiven(outbox memos, c consortium.Collection, at consortium.Position) error {
	data, err := json.Marshal(givenKeys{Epoch: c.Epoch, At: at})
	if err != nil {
		return err
	}
	return outbox.SetMemo(givenMemo(c.ID), data)
}
