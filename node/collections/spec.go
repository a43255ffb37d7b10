package collections

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
)

// Spec is what a collection is made of. Organisations are named as in URLs.
type Spec struct {
	Title        string   `json:"title"`
	Alias        string   `json:"alias,omitempty"`
	Description  string   `json:"description,omitempty"`
	Readers      []string `json:"readers,omitempty"`       // beside the owner; "all" for every member, present and future
	Contributors []string `json:"contributors,omitempty"`  // readers who may also publish; "all" for every reader
	DefaultLevel string   `json:"default_level,omitempty"` // TLP level of objects without a marking; "green" or what the readers allow
	Metadata     string   `json:"metadata,omitempty"`      // "open" or "sealed"
	Padding      string   `json:"padding,omitempty"`       // "" or "coarse"
}

func (o *Owner) properties(spec Spec) (wire.Collection, error) {
	readers, err := o.accounts(spec.Readers)
	if err != nil {
		return wire.Collection{}, fmt.Errorf("readers: %w", err)
	}
	contributors, err := o.accounts(spec.Contributors)
	if err != nil {
		return wire.Collection{}, fmt.Errorf("contributors: %w", err)
	}
	if contributors.Members && !readers.Members { // every reader
		contributors = wire.Accounts{Named: readers.Named}
	}
	for _, account := range contributors.Named {
		if !readers.Includes(account) {
			return wire.Collection{}, errors.New("contributors must be readers too")
		}
	}
	p := wire.Collection{
		Title: spec.Title, Alias: spec.Alias, Description: spec.Description, Readers: readers, Contributors: contributors,
		DefaultLevel: spec.DefaultLevel, Metadata: spec.Metadata, Padding: spec.Padding,
	}
	if p.DefaultLevel == "" {
		p.DefaultLevel = "green"
	}
	if p.Metadata == "" {
		p.Metadata = wire.MetadataOpen
		if o.Network == wire.NetworkPublic {
			p.Metadata = wire.MetadataSealed
		}
	}
	return p, o.check(consortium.Collection{}, p)
}

// check refuses properties that would not do for a collection; for a new one it is the zero value. It doesn't ask what
// the wire format checks.
func (o *Owner) check(c consortium.Collection, p wire.Collection) error {
	if _, err := p.Encode(); err != nil {
		return err
	}
	level, err := stix.ParseLevel(p.DefaultLevel)
	if err != nil || strings.ToLower(p.DefaultLevel) != p.DefaultLevel || strings.HasPrefix(p.DefaultLevel, "tlp") {
		return fmt.Errorf("default level: %.40q is none of clear, green, amber, amber+strict, red", p.DefaultLevel)
	}
	if err := stix.Permits(level, o.State.Audience(consortium.Collection{Owner: o.State.Self, Properties: p})); err != nil {
		return fmt.Errorf("default level %s: %w", level, err)
	}
	if p.Alias == "" || p.Alias == c.Properties.Alias {
		return nil // whatever the consortium's own is called meanwhile: its owner must not keep us from changing ours
	}
	return o.free(c.ID, p.Alias)
}

// free refuses an alias that stands for another collection.
func (o *Owner) free(id, alias string) error {
	if alias == state.EverythingAlias || alias == state.OthersAlias {
		return fmt.Errorf("alias: %q is that of a collection which every node has", alias)
	}
	for _, other := range o.State.Collections() {
		if other.ID != id && other.Properties.Alias == alias && (other.Owner == o.State.Self || other.Default) {
			return fmt.Errorf("alias: %q is that of the collection %q (%s)", alias, other.Properties.Title, other.ID)
		}
	}
	return nil
}

// accounts finds the members with the given names.
func (o *Owner) accounts(names []string) (wire.Accounts, error) {
	var a wire.Accounts
	members := o.State.Members()
	for _, name := range names {
		if name == state.AllMembers {
			a.Members = true
			continue
		}
		i := slices.IndexFunc(members, func(m consortium.Member) bool { return m.Name == name && m.Removed == nil })
		switch {
		case i < 0:
			return a, o.State.NoMember(name)
		case members[i].Account == o.State.Self:
			return a, errors.New("the owner is a reader in any case; name other members")
		case !slices.Contains(a.Named, members[i].Account):
			a.Named = append(a.Named, members[i].Account)
		}
	}
	if a.Members {
		a.Named = nil
	}
	slices.Sort(a.Named)
	return a, nil
}

// readers lists the members that can be given keys of a collection, without the owner.
func (o *Owner) readers(p wire.Collection) (list []consortium.Member) {
	for _, m := range o.members {
		if m.Account != o.State.Self && m.Removed == nil && m.Known && p.Readers.Includes(m.Account) {
			list = append(list, m)
		}
	}
	return list
}
