// Package money says what this organisation's account can pay for, and for how long: what a console, `slnode status`,
// its --check and the metrics show of it is one [Report]. money.go has that, terms.go the reserve and what a day may
// bring, purse.go what can be paid now, account.go by whom, forecast.go how long it lasts, history.go what was spent,
// by days.
package money

import (
	"github.com/serviceledger/slnode/internal/microalgo"
)

// Report is the money of this organisation's account. Amounts are in microalgo.
type Report struct {
	// Known reports whether the balance is, of which Spendable and how long it lasts are a part.
	Known     bool             `json:"known"`
	Spendable microalgo.Amount `json:"spendable_microalgo"` // what objects can spend: what is free, without the reserve
	Reserve   microalgo.Amount `json:"reserve_microalgo"`   // what objects leave
	Forecast  Forecast         `json:"forecast"`
	// Limits are how much of what a day may bring is used.
	Limits []Use `json:"limits,omitempty"`
}
