package members

import (
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/state"
)

// Info is one organisation, past or present.
type Info struct {
	Name      string `json:"name"`
	Title     string `json:"title"`
	Account   string `json:"account"`
	Peer      string `json:"peer"`
	Asset     uint64 `json:"asset_id"`
	Admitted  uint64 `json:"admitted_round"`
	Removed   uint64 `json:"removed_round,omitempty"`
	Known     bool   `json:"known"` // its record has arrived
	Connected bool   `json:"connected"`
	Self      bool   `json:"self"`
}

// Describe tells of a member as this organisation sees it.
func Describe(f *state.Shared, m consortium.Member) Info {
	one := Info{
		Name: m.Name, Title: m.Title, Account: m.Account, Peer: m.Peer, Asset: m.Admitted.Asset, Admitted: m.Admitted.Round,
		Known: m.Known, Self: m.Account == f.Self,
	}
	if m.Removed != nil {
		one.Removed = m.Removed.Round
	}
	return one
}
