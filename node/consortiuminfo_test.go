package node

import "testing"

func TestACollectionIsCalledTheSameOnTheCommandLine(t *testing.T) {
	info := ConsortiumInfo{Members: []MemberInfo{{Name: "self", Self: true}}, Collections: []CollectionInfo{
		{ID: "1", Alias: "notes", Owner: "mallory"}, {ID: "2", Alias: "notes", Owner: "self"}, {ID: "3", Alias: "2", Owner: "mallory"},
	}}
	for name, want := range map[string]string{"notes": "2", "2": "2", "mallory/notes": "1"} {
		if c, err := info.Collection(name); err != nil || c.ID != want {
			t.Errorf("%q is %q (%v), want %q", name, c.ID, err, want)
		}
	}
}
