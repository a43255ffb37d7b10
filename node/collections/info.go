package collections

import (
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/state"
)

// Info is one collection that this organisation can read.
type Info struct {
	ID           string   `json:"id"`
	Alias        string   `json:"alias,omitempty"`
	Title        string   `json:"title"`
	Description  string   `json:"description,omitempty"`
	Owner        string   `json:"owner"`
	Readers      []string `json:"readers"`      // beside the owner; "all" for every member
	Contributors []string `json:"contributors"` // … who may also publish
	DefaultLevel string   `json:"default_level"`
	Metadata     string   `json:"metadata"`
	Padding      string   `json:"padding,omitempty"`
	AdHoc        bool     `json:"ad_hoc,omitempty"`
	Epoch        uint32   `json:"epoch"`
	Since        uint64   `json:"epoch_round"` // the round in which the epoch began
	Write        bool     `json:"can_write"`
	Default      bool     `json:"default"`
	Former       bool     `json:"former,omitempty"` // this organisation can read only what was published before
}

// Describe describes a collection as this organisation sees it.
func Describe(f *state.Shared, c consortium.Collection) Info {
	p := c.Properties
	return Info{
		ID: c.ID, Alias: p.Alias, Title: p.Title, Description: p.Description, Owner: f.Name(c.Owner),
		Readers: f.Names(p.Readers), Contributors: f.Names(p.Contributors), DefaultLevel: p.DefaultLevel, Metadata: p.Metadata,
		Padding: p.Padding, AdHoc: p.AdHoc, Epoch: c.Epoch, Since: c.Began.Round,
		Write: f.Active() && c.MayPublish(f.Self), Default: c.Default, Former: c.Former,
	}
}
