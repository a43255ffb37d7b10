package clients

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// DayLimit is what a day (UTC) may bring at most; 0 is no limit.
type DayLimit struct {
	Of      config.Whose   `json:"of,omitempty"`   // accounts or keys; "" is this organisation, with all that is its own
	Name    string         `json:"name,omitempty"` // "*" is everybody else
	Objects int64          `json:"objects"`
	ALGO    microalgo.Text `json:"algo"` // fees and deposits: "1.5 ALGO"
}

// String writes it as the audit log has it.
func (l DayLimit) String() string {
	if l.Objects == 0 && l.ALGO == 0 {
		return "no limit"
	}
	text := ""
	if l.Objects > 0 {
		text = fmt.Sprintf("%d objects", l.Objects)
	}
	if l.ALGO > 0 {
		if text != "" {
			text += ", "
		}
		text += l.ALGO.String()
	}
	return text + " a day"
}

// DayLimitChange changes the limit of an account or an API key: what is nil stays.
type DayLimitChange struct {
	Of      config.Whose    `json:"of"`
	Name    string          `json:"name"`
	Objects *int64          `json:"objects,omitempty"`
	ALGO    *microalgo.Text `json:"algo,omitempty"`
	Drop    bool            `json:"drop,omitempty"` // it has none of its own any more: that of everybody else counts
}

// DayLimits lists what the configuration says a day may bring: this organisation's first, then those of accounts and of
// keys, by name.
func (a AccountAdmin) DayLimits() ([]DayLimit, error) {
	c, err := config.Read(a.dir)
	if err != nil {
		return nil, err
	}
	list := []DayLimit{{Objects: c.Limits.Objects, ALGO: c.Limits.ALGO}}
	for name, l := range c.Limits.Accounts {
		list = append(list, DayLimit{config.OfAccounts, name, l.Objects, l.ALGO})
	}
	for name, l := range c.Limits.Keys {
		list = append(list, DayLimit{config.OfKeys, name, l.Objects, l.ALGO})
	}
	slices.SortFunc(list, func(a, b DayLimit) int { return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Name, b.Name)) })
	return list, nil
}

// SetDayLimit changes a limit in the configuration, and lets a node that runs take it over. It gives the limit that
// counts then.
func (a AccountAdmin) SetDayLimit(ctx context.Context, change DayLimitChange) (DayLimit, error) {
	if err := a.mayLimit(change); err != nil {
		return DayLimit{}, mistaken(err)
	}
	before, err := config.Read(a.dir)
	if err != nil {
		return DayLimit{}, err
	}
	limit := &config.Limit{}
	*limit = change.listed(before)[change.Name]
	if change.Objects != nil {
		limit.Objects = *change.Objects
	}
	if change.ALGO != nil {
		limit.ALGO = *change.ALGO
	}
	if change.Drop {
		limit = nil
	}
	after, err := config.SetLimit(a.dir, change.Of, change.Name, limit)
	if err != nil {
		return DayLimit{}, problem.Input(err)
	}
	counts := after.Limits.Of(change.listed(after), change.Name)
	now := DayLimit{change.Of, change.Name, counts.Objects, counts.ALGO}
	a.audit.Operator(ctx, taxii.Event{Name: "set-limit", Subject: change.Name, Detail: fmt.Sprintf("%s: %s", change.Of, now)})
	return now, a.Limited()
}

func (change DayLimitChange) listed(c config.Config) map[string]config.Limit {
	if change.Of == config.OfKeys {
		return c.Limits.Keys
	}
	return c.Limits.Accounts
}

// mayLimit refuses to limit what isn't there. A limit that is left over can be dropped.
func (a AccountAdmin) mayLimit(change DayLimitChange) (err error) {
	switch {
	case change.Of != config.OfAccounts && change.Of != config.OfKeys:
		return problem.Input(errors.New("the limits are those of accounts or of keys"))
	case change.Drop || change.Name == config.EverybodyElse:
		return nil
	case change.Of == config.OfAccounts:
		_, err = a.repo.Account(change.Name)
		return err
	}
	list, err := a.repo.Keys()
	if err == nil && !slices.ContainsFunc(list, func(k accounts.APIKey) bool { return k.Name == change.Name }) {
		err = fmt.Errorf("API key %.60q: %w", change.Name, accounts.ErrUnknown)
	}
	return err
}
