package control

import (
	"context"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/state"
)

// ConsortiumInfo is the consortium as this node sees it.
type ConsortiumInfo struct {
	ID                uint64             `json:"id"`
	Name              string             `json:"name"`
	Charter           string             `json:"charter_txid"`
	GenesisID         string             `json:"genesis_id"`
	Network           string             `json:"network"`
	Governor          string             `json:"governor"`
	DefaultCollection string             `json:"default_collection"`
	Round             uint64             `json:"round"`
	Stale             string             `json:"stale,omitempty"` // why this may be old
	Members           []members.Info     `json:"members"`
	Collections       []collections.Info `json:"collections"`
}

// describe describes the consortium, once the state has reached the tip of the chain. Where the indexer can't be
// followed it tells what is known after a while, and that it may be old.
func (a *API) describe(ctx context.Context) (ConsortiumInfo, error) {
	info := ConsortiumInfo{
		ID: a.Consortium.ID, Name: a.Consortium.Name, Charter: a.Consortium.Charter, GenesisID: a.Consortium.GenesisID, Network: a.Consortium.Network,
	}
	waiting, cancel := context.WithTimeout(ctx, CatchUpTimeout)
	defer cancel()
	if err := state.AwaitTip(waiting, a.Watcher); err != nil {
		if ctx.Err() != nil || !a.State.Begun() {
			return ConsortiumInfo{}, err
		}
		info.Stale = err.Error()
	}
	if charter := a.State.Charter(); charter != nil {
		info.Name, info.DefaultCollection = charter.Name, charter.DefaultCollection
	}
	a.State.Read(func(s *consortium.State) { info.Governor, info.Round = s.Governor(), s.Position().Round })
	connected := map[string]bool{}
	for id := range a.Host.Connected() {
		connected[id.String()] = true
	}
	for _, m := range a.State.Members() {
		one := members.Describe(a.State, m)
		one.Connected = connected[m.Peer]
		info.Members = append(info.Members, one)
	}
	for _, c := range a.State.Collections() {
		info.Collections = append(info.Collections, collections.Describe(a.State, c))
	}
	return info, nil
}

// Collection finds the collection that an operator means.
func (info ConsortiumInfo) Collection(name string) (collections.Info, error) {
	self := slices.IndexFunc(info.Members, func(m members.Info) bool { return m.Self })
	list := make([]state.CalledCollection, len(info.Collections))
	for i, c := range info.Collections {
		own := self >= 0 && (c.Owner == info.Members[self].Name || c.Owner == info.Members[self].Account)
		list[i] = state.CalledCollection{ID: c.ID, Alias: c.Alias, Owner: c.Owner, Own: own, Common: c.Default}
	}
	i, err := state.Choose(list, name)
	if err != nil {
		return collections.Info{}, err
	}
	return info.Collections[i], nil
}
