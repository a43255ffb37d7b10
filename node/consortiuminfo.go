package node

import (
	"context"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
)

// ConsortiumInfo is the consortium as this node sees it.
type ConsortiumInfo struct {
	ID                uint64           `json:"id"`
	Name              string           `json:"name"`
	Charter           string           `json:"charter_txid"`
	GenesisID         string           `json:"genesis_id"`
	Network           string           `json:"network"`
	Governor          string           `json:"governor"`
	DefaultCollection string           `json:"default_collection"`
	Round             uint64           `json:"round"`
	Stale             string           `json:"stale,omitempty"` // why this may be old
	Members           []MemberInfo     `json:"members"`
	Collections       []CollectionInfo `json:"collections"`
}

// describe describes the consortium, once the fold has reached the tip of the chain. Where the indexer can't be
// followed it tells what is known after a while, and that it may be old.
func (a *API) describe(ctx context.Context) (ConsortiumInfo, error) {
	info := ConsortiumInfo{
		ID: a.consortium.ID, Name: a.consortium.Name, Charter: a.consortium.Charter, GenesisID: a.consortium.GenesisID, Network: a.consortium.Network,
	}
	waiting, cancel := context.WithTimeout(ctx, catchUpPatience)
	defer cancel()
	if err := awaitTip(waiting, a.watcher); err != nil {
		if ctx.Err() != nil || !a.fold.begun() {
			return ConsortiumInfo{}, err
		}
		info.Stale = err.Error()
	}
	if charter := a.fold.charter(); charter != nil {
		info.Name, info.DefaultCollection = charter.Name, charter.DefaultCollection
	}
	a.fold.read(func(s *consortium.State) { info.Governor, info.Round = s.Governor(), s.Position().Round })
	connected := map[string]bool{}
	for id := range a.host.Connected() {
		connected[id.String()] = true
	}
	for _, m := range a.fold.members() {
		one := describeMember(a.fold, m)
		one.Connected = connected[m.Peer]
		info.Members = append(info.Members, one)
	}
	for _, c := range a.fold.collections() {
		info.Collections = append(info.Collections, describeCollection(a.fold, c))
	}
	return info, nil
}

// Collection finds the collection that an operator means.
func (info ConsortiumInfo) Collection(name string) (CollectionInfo, error) {
	self := slices.IndexFunc(info.Members, func(m MemberInfo) bool { return m.Self })
	list := make([]calledCollection, len(info.Collections))
	for i, c := range info.Collections {
		own := self >= 0 && (c.Owner == info.Members[self].Name || c.Owner == info.Members[self].Account)
		list[i] = calledCollection{ID: c.ID, Alias: c.Alias, Owner: c.Owner, Own: own, Common: c.Default}
	}
	i, err := choose(list, name)
	if err != nil {
		return CollectionInfo{}, err
	}
	return info.Collections[i], nil
}
