package control

import (
	"testing"

	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/members"
)

func TestACollectionIsCalledTheSameOnTheCommandLine(t *testing.T) {
	info := ConsortiumInfo{Members: []members.Info{{Name: "self", Self: true}}, Collections: []collections.Info{
		{ID: "1", Alias: "notes", Owner: "mallory"}, {ID: "2", Alias: "notes", Owner: "self"}, {ID: "3", Alias: "2", Owner: "mallory"},
	}}
	for name, want := range map[string]string{"notes": "2", "2": "2", "mallory/notes": "1"} {
		if c, err := info.Collection(name); err != nil || c.ID != want {
			t.Errorf("%q is %q (%v), want %q", name, c.ID, err, want)
		}
	}
}
