package p2p

import (
	"io"
	"reflect"
	"testing"

	unixfiles "github.com/ipfs/boxo/files"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/kubo/core/coreapi"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// What runs is Kubo's own node, whole: every part that it says it needs is there.
func TestTheNodeIsKubosOwn(t *testing.T) {
	h := newWorld(t).member()
	node := reflect.ValueOf(h.IPFS()).Elem()
	for i := range node.NumField() {
		field := node.Type().Field(i)
		if !field.IsExported() || field.Tag.Get("optional") == "true" {
			continue
		}
		if node.Field(i).IsZero() {
			t.Errorf("%s is missing", field.Name)
		}
	}
	if h.node.Identity != h.ID() || !h.node.IsOnline {
		t.Errorf("the node is %s, online %v; want %s", h.node.Identity, h.node.IsOnline, h.ID())
	}
	if h.node.Bootstrapper != nil {
		t.Error("a private swarm has a bootstrapper")
	}
}

// Kubo's own interface reads the directories of this node, and those that a member gives.
func TestTheCoreAPIReadsDirectories(t *testing.T) {
	w := newWorld(t)
	a, b := w.member(), w.member()
	connect(t, a, b)
	d := directoryOf(t, 2*unixfs.ChunkSize+1, "read by Kubo")
	put(t, a, d)
	want, err := d.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]*Host{"who has it": a, "who gets it": b} {
		api, err := coreapi.NewCoreAPI(h.IPFS())
		if err != nil {
			t.Fatal(err)
		}
		root, err := api.Unixfs().Get(t.Context(), path.FromCid(d.Root()))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		folder, ok := root.(unixfiles.Directory)
		if !ok {
			t.Fatalf("%s reads a %T", name, root)
		}
		got := map[string]string{}
		entries := folder.Entries()
		for entries.Next() {
			content, err := io.ReadAll(unixfiles.ToFile(entries.Node()))
			if err != nil {
				t.Fatalf("%s: %s: %v", name, entries.Name(), err)
			}
			got[entries.Name()] = string(content)
		}
		if err := entries.Err(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(got) != len(want) {
			t.Errorf("%s reads %d files, want %d", name, len(got), len(want))
		}
		for _, f := range want {
			if got[f.Name] != string(f.Data) {
				t.Errorf("%s: %s has %d bytes, want %d", name, f.Name, len(got[f.Name]), len(f.Data))
			}
		}
	}
}
