package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/replicate"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// refilling is a node whose block store was damaged: what is in its log and its outbox, and where the blocks are.
type refilling struct {
	mu sync.Mutex // over what changes while it runs
	*replicate.Refiller
	events []view.Event
	lists  map[string][]view.Event // of batches, by transaction
	items  []outbox.Item
	here   map[cid.Cid]bool
	aside  map[cid.Cid][]unixfs.File // of the damaged store
	given  map[cid.Cid]bool          // by members
	asked  [][]cid.Cid
	ended  []string
	closed int
	fails  map[string]error // by method
}

func newRefilling(t *testing.T) *refilling {
	f := &refilling{fails: map[string]error{}, here: map[cid.Cid]bool{}, aside: map[cid.Cid][]unixfs.File{}, given: map[cid.Cid]bool{}}
	dir := filepath.Join(t.TempDir(), "aside")
	nodetest.Must(t, os.Mkdir(dir, 0o700))
	f.Refiller = &replicate.Refiller{View: f, Outbox: f, Blocks: f, Aside: dir, Log: nodetest.Discard,
		OpenAside: func(string) (replicate.AsideStore, error) { return asideOf{f}, nil }}
	return f
}

func (f *refilling) Log(after consortium.Position, limit int) ([]view.Event, error) {
	var list []view.Event
	for _, e := range f.events {
		if after.Before(e.Position) && len(list) < min(limit, 3) {
			list = append(list, e)
		}
	}
	return list, f.fails["Log"]
}

func (f *refilling) Objects(batch view.Event) ([]view.Event, error) {
	return f.lists[batch.TxID], f.fails["Objects"]
}

func (f *refilling) Queue(state outbox.State, after uint64, limit int) (list []outbox.Item, _ error) {
	for _, item := range f.items {
		if item.State == state && item.Number > after && len(list) < min(limit, 2) {
			list = append(list, item)
		}
	}
	return list, f.fails["Queue"]
}

func (f *refilling) Resolve(item outbox.Item, _ consortium.Place, failure string) error {
	f.ended = append(f.ended, item.ObjectID+": "+failure)
	return f.fails["Resolve"]
}

func (f *refilling) Has(_ context.Context, root cid.Cid) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.here[root], f.fails["Has"]
}

func (f *refilling) Put(_ context.Context, directories []unixfs.Directory) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range directories {
		f.here[d.Root()] = true
	}
	return f.fails["Put"]
}

func (f *refilling) Fetch(_ context.Context, roots []cid.Cid) (got swarm.Fetched, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, roots)
	for _, root := range roots {
		if f.given[root] {
			f.here[root] = true
		} else {
			got.Missing = append(got.Missing, root)
		}
	}
	return got, f.fails["Fetch"]
}

type asideOf struct{ *refilling }

func (a asideOf) Read(_ context.Context, root cid.Cid) ([]unixfs.File, error) {
	if files, found := a.aside[root]; found {
		return files, nil
	}
	return nil, unixfs.ErrNotFound
}

func (a asideOf) Close() error { a.closed++; return nil }

// directory is one that the damaged store has.
func (f *refilling) directory(t *testing.T, n int) cid.Cid {
	t.Helper()
	files := []unixfs.File{{Name: wire.MetadataName, Data: fmt.Append(nil, n)}, {Name: wire.ObjectName, Data: []byte("x")}}
	d, err := unixfs.Build(files...)
	nodetest.Must(t, err)
	f.aside[d.Root()] = files
	return d.Root()
}

func (f *refilling) logs(root cid.Cid, state view.State) {
	f.events = append(f.events, view.Event{State: state, Event: consortium.Event{Position: consortium.Position{Round: uint64(len(f.events) + 1)}, Directory: root.String()}})
}

// What a batch lists was lost as well, and is no event of the log.
func TestTheObjectsOfABatchAreBroughtBackWithIt(t *testing.T) {
	f := newRefilling(t)
	var roots []cid.Cid
	for n := range 5 {
		roots = append(roots, f.directory(t, n))
	}
	delete(f.aside, roots[2])
	f.given[roots[2]] = true
	batch := view.Event{State: view.Held, Event: consortium.Event{
		Position: consortium.Position{Round: 1}, TxID: "TX", Note: wire.Note{Kind: wire.KindBatch}, Directory: roots[0].String()}}
	f.events = []view.Event{batch}
	f.lists = map[string][]view.Event{"TX": nil}
	for n, state := range []view.State{view.InView, view.Duplicate, view.Ended, view.Waiting} {
		o := batch.Object(uint32(n+1), roots[n+1].String(), view.Listed{})
		o.State = state
		f.lists["TX"] = append(f.lists["TX"], o)
	}
	f.fails["Objects"] = errDisk
	if err := f.Run(t.Context()); !errors.Is(err, errDisk) {
		t.Errorf("without the list of the objects: %v", err)
	}
	delete(f.fails, "Objects")
	nodetest.Must(t, f.Run(t.Context()))
	for n, want := range []bool{true, true, true, false, false} {
		if f.here[roots[n]] != want {
			t.Errorf("directory %d is here: %t, want %t", n, !want, want)
		}
	}
}

func TestABlockStoreIsFilledAgainFromWhatWasSavedAndFromMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newRefilling(t)
		saved, damaged, lost, late := f.directory(t, 1), f.directory(t, 2), f.directory(t, 3), f.directory(t, 4)
		f.aside[damaged] = f.aside[saved] // which is not what its name says
		delete(f.aside, lost)
		delete(f.aside, late)
		f.given[damaged], f.given[lost] = true, true
		var none []cid.Cid
		for n, state := range []view.State{view.Waiting, view.Refused, view.Ended, view.Done} { // whoever waits for it asks for it
			none = append(none, f.directory(t, 10+n))
			f.logs(none[n], state)
		}
		f.logs(saved, view.InView)
		f.logs(damaged, view.Held)
		f.logs(lost, view.Undecided)
		f.logs(late, view.Duplicate)
		f.events = append(f.events, view.Event{State: view.Done, Event: consortium.Event{Position: consortium.Position{Round: 100}}})

		ended := make(chan error, 1)
		go func() { ended <- f.Run(t.Context()) }()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if !f.here[saved] || !f.here[damaged] || !f.here[lost] || f.here[late] {
			t.Errorf("here are %v", f.here)
		}
		if _, err := os.Stat(f.Aside); err != nil {
			t.Errorf("the damaged store is gone while something is missing: %v", err)
		}
		if n := len(f.asked); n < 8 || n > 20 {
			t.Errorf("members are asked %d times in two hours for what nobody has", n)
		}
		f.mu.Lock()
		f.given[late] = true
		f.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		nodetest.Must(t, <-ended)
		if _, err := os.Stat(f.Aside); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the damaged store stays when all is here: %v", err)
		}
		for _, roots := range f.asked {
			if slices.Contains(roots, saved) || slices.ContainsFunc(none, func(c cid.Cid) bool { return slices.Contains(roots, c) }) {
				t.Error("members are asked for what is here, or for what nothing needs")
			}
		}
		if !f.here[late] || f.closed == 0 {
			t.Errorf("the last directory is here: %t; the damaged store was closed %d times", f.here[late], f.closed)
		}
		asked := len(f.asked)
		nodetest.Must(t, f.Run(t.Context())) // at the next start there is nothing to do
		if len(f.asked) != asked {
			t.Error("members are asked again")
		}
	})
}

func TestADamagedStoreThatCannotBeOpenedIsFilledByMembers(t *testing.T) {
	f := newRefilling(t)
	root := f.directory(t, 1)
	f.given[root] = true
	f.logs(root, view.InView)
	f.OpenAside = func(string) (replicate.AsideStore, error) { return nil, errors.New("it is rubble") }
	nodetest.Must(t, f.Run(t.Context()))
	if !f.here[root] || len(f.asked) != 1 {
		t.Errorf("it is here: %t, after %d requests", f.here[root], len(f.asked))
	}
}

func TestRefillingEndsWithTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newRefilling(t)
		f.logs(f.directory(t, 1), view.InView)
		clear(f.aside)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(time.Minute)
		stop()
		nodetest.Must(t, <-ended)
	})
}

func TestAFailureOfThisNodesOwnEndsTheRefilling(t *testing.T) {
	for _, method := range []string{"Log", "Has", "Put", "Fetch"} {
		f := newRefilling(t)
		f.logs(f.directory(t, 1), view.InView)
		f.logs(f.directory(t, 2), view.InView)
		delete(f.aside, cid.MustParse(f.events[1].Directory))
		f.fails[method] = errDisk
		if err := f.Run(t.Context()); !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "filling the block store again") {
			t.Errorf("%s fails, and it gives %v", method, err)
		}
	}
	for _, method := range []string{"Queue", "Has", "Put", "Resolve"} {
		f := newRefilling(t)
		for n := range 2 {
			f.items = append(f.items, outbox.Item{Number: uint64(n + 1), State: outbox.Stored, Note: wire.Note{Kind: wire.KindObject}, Directory: f.directory(t, n).String()})
		}
		delete(f.aside, cid.MustParse(f.items[1].Directory))
		f.fails[method] = errDisk
		if err := f.Pending(t.Context()); !errors.Is(err, errDisk) {
			t.Errorf("%s fails, and what is on its way gives %v", method, err)
		}
	}
	f := newRefilling(t)
	f.Aside = "\x00"
	if err, other := f.Run(t.Context()), f.Pending(t.Context()); err == nil || other == nil {
		t.Errorf("where the damaged store can't be looked for: %v, %v", err, other)
	}
	f.Aside = t.TempDir()
	f.events = []view.Event{{State: view.InView, Event: consortium.Event{Position: consortium.Position{Round: 1}, TxID: "TX", Directory: "no CID"}}}
	f.items = []outbox.Item{{Number: 1, State: outbox.Stored, Directory: "no CID"}}
	if err, other := f.Run(t.Context()), f.Pending(t.Context()); err == nil || other == nil || !strings.Contains(err.Error(), "transaction TX") || !strings.Contains(other.Error(), "item 1") {
		t.Errorf("a directory that is none: %v, %v", err, other)
	}
}

// What this organisation is publishing is on no other node: it comes from the damaged store, or is lost, and then it is
// said.
func TestWhatIsOnItsWayToTheChainComesFromTheDamagedStoreOrIsLost(t *testing.T) {
	for _, c := range []struct {
		what  string
		item  outbox.Item
		saved bool
		here  bool
		ends  bool
		fails string
	}{
		{what: "a stored object", item: outbox.Item{State: outbox.Stored, Note: wire.Note{Kind: wire.KindObject}}, saved: true, here: true},
		{what: "a stored object that is lost", item: outbox.Item{State: outbox.Stored, Note: wire.Note{Kind: wire.KindObject}}, ends: true},
		{what: "a signed object that is lost", item: outbox.Item{State: outbox.Signed, Note: wire.Note{Kind: wire.KindObject}}},
		{what: "a stored record", item: outbox.Item{State: outbox.Stored, Note: wire.Note{Kind: wire.KindKeyring}}, saved: true, here: true},
		{what: "a stored record that is lost", item: outbox.Item{State: outbox.Stored, Note: wire.Note{Kind: wire.KindKeyring}}, fails: "restore a backup"},
		{what: "a signed record that is lost", item: outbox.Item{State: outbox.Signed, Note: wire.Note{Kind: wire.KindKeyring}}},
		{what: "a withdrawal", item: outbox.Item{State: outbox.Stored, Note: wire.Note{Kind: wire.KindDestroy}}},
		{what: "what is confirmed", item: outbox.Item{State: outbox.Confirmed, Note: wire.Note{Kind: wire.KindObject}}},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newRefilling(t)
			root := f.directory(t, 1)
			if !c.saved {
				clear(f.aside)
			}
			c.item.ObjectID = "object"
			for n := range 5 { // more than are read at once
				c.item.Number = uint64(n + 1)
				if c.item.Directory = root.String(); c.item.Note.Kind == wire.KindDestroy {
					c.item.Directory = ""
				}
				f.items = append(f.items, c.item)
			}
			err := f.Pending(t.Context())
			if (err != nil) != (c.fails != "") || err != nil && (!errors.Is(err, repo.ErrDamaged) || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("it gives %v", err)
			}
			if f.here[root] != c.here || c.ends != (len(f.ended) == 5) || !c.ends && len(f.ended) > 0 {
				t.Errorf("here: %t; ended: %q", f.here[root], f.ended)
			}
			if len(f.asked) > 0 {
				t.Error("members are asked for what they can't have")
			}
			nodetest.Must(t, os.RemoveAll(f.Aside)) // the store is in order
			f.here, f.ended = map[cid.Cid]bool{}, nil
			nodetest.Must(t, f.Pending(t.Context()))
			if len(f.here)+len(f.ended) > 0 {
				t.Error("something is done though the store is in order")
			}
		})
	}
}
