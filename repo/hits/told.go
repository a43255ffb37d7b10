package hits

import (
	"errors"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Told is what others were told of an indicator: by one sighting, in its last version.
type Told struct {
	ID       string    `json:"id"` // STIX id of the sighting
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
	First    Day       `json:"first"`   // the first day that it counts
	Through  Day       `json:"through"` // … and the last
	Count    uint64    `json:"count"`   // that it says
	In       string    `json:"in"`      // id of the collection that it is in
	// Document is the version as it is to be published, byte for byte, until it was: who is killed in between publishes
	// the same again, which is published once.
	Document []byte `json:"document,omitzero"`
	// Refused says that it could not be published.
	Refused bool `json:"refused,omitzero"`
	// Older says that there may be a version before, which is to be taken back once this one is there.
	Older bool `json:"older,omitzero"`
}

// Used is how much of a day's ration is.
type Used struct {
	Day       Day              `json:"day"`
	Sightings int              `json:"sightings"`
	Money     microalgo.Amount `json:"microalgo"`
}

// ErrGone says that a counter is not there any more.
var ErrGone = errors.New("the counter is gone")

// Plan notes what others are about to be told of an indicator, and what of the day's ration that takes, in one write.
func (b *Book) Plan(indicator string, t Told, u Used) error {
	return b.tell(indicator, &t, &u)
}

// Spend notes what of the day's ration is used.
func (b *Book) Spend(u Used) error {
	err := b.store.Write(func(txn *kv.Txn) error { return store.SetJSON(txn, key(rations, ""), u) })
	if err != nil {
		return fmt.Errorf("noting what was spent: %w", err)
	}
	return nil
}

// Tell notes what others were told of an indicator.
func (b *Book) Tell(indicator string, t Told) error { return b.tell(indicator, &t, nil) }

func (b *Book) tell(indicator string, t *Told, u *Used) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.store.Write(func(txn *kv.Txn) error {
		c := Counter{}
		found, err := store.GetJSON(txn, key(counters, indicator), &c)
		if err != nil {
			return err
		}
		if !found {
			return ErrGone
		}
		c.Told = t
		if err := store.SetJSON(txn, key(counters, indicator), c); err != nil || u == nil {
			return err
		}
		return store.SetJSON(txn, key(rations, ""), *u)
	})
	if err != nil {
		return fmt.Errorf("noting what others are told of %.80q: %w", indicator, err)
	}
	return nil
}

// Today is how much of a day's ration is used. A clock that was set back gives no second one.
func (b *Book) Today(day Day) (u Used, err error) {
	err = b.store.Read(func(txn *kv.Txn) error {
		_, err := store.GetJSON(txn, key(rations, ""), &u)
		return err
	})
	if err != nil {
		return u, fmt.Errorf("reading how much others were told today: %w", err)
	}
	if u.Day < day {
		u = Used{Day: day}
	}
	return u, nil
}
