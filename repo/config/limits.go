package config

import (
	"errors"
	"fmt"

	"github.com/serviceledger/slnode/internal/microalgo"
)

// Limits are what a day (UTC) may bring: all together, and each account and API key. 0 is no limit.
type Limits struct {
	Objects  int64            `toml:"objects"`
	ALGO     microalgo.Text   `toml:"algo"`     // fees and deposits of what is taken in
	Accounts map[string]Limit `toml:"accounts"` // by the account's name
	Keys     map[string]Limit `toml:"keys"`     // by the API key's name
}

// Limit is what a day may bring by one account or API key.
type Limit struct {
	Objects int64          `toml:"objects"`
	ALGO    microalgo.Text `toml:"algo"`
}

// EverybodyElse is the name in [Limits] for the accounts, or keys, that have no limit of their own.
const EverybodyElse = "*"

// Of is the limit of one account or API key.
func (l Limits) Of(list map[string]Limit, name string) Limit {
	if own, found := list[name]; found {
		return own
	}
	return list[EverybodyElse]
}

const mostObjects = 1_000_000_000 // in a day

func (l Limits) check() error {
	wrong := []error{at("limits.objects", between(l.Objects, 0, mostObjects))}
	for section, list := range map[string]map[string]Limit{"limits.accounts": l.Accounts, "limits.keys": l.Keys} {
		for name, one := range list {
			if name == "" {
				wrong = append(wrong, fmt.Errorf("%s: a name is empty; \"*\" is everybody else", section))
			}
			wrong = append(wrong, at(fmt.Sprintf("%s.%q.objects", section, name), between(one.Objects, 0, mostObjects)))
		}
	}
	return errors.Join(wrong...)
}

// at says where something is wrong, if it is.
func at(key string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}
