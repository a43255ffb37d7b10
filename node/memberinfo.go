package node

import "github.com/serviceledger/slnode/internal/consortium"

// MemberInfo is one organisation, past or present.
type MemberInfo struct {
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

func describeMember(f *fold, m consortium.Member) MemberInfo {
	one := MemberInfo{
		Name: m.Name, Title: m.Title, Account: m.Account, Peer: m.Peer, Asset: m.Admitted.Asset, Admitted: m.Admitted.Round,
		Known: m.Known, Self: m.Account == f.self,
	}
	if m.Removed != nil {
		one.Removed = m.Removed.Round
	}
	return one
}
