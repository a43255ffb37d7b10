package find

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view"
)

func must(t interface {
	Helper()
	Fatal(...any)
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	collectionA = "7f0a4d1c-2f5e-4f43-9d3b-0d6d5c2f9a01"
	collectionB = "7f0a4d1c-2f5e-4f43-9d3b-0d6d5c2f9a02"
)

var monday = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// world is a view with its indexes, and who publishes in it.
type world struct {
	view   *view.View
	index  *Index
	commit *commits
}

// commits decides when the store dies: at a commit, before it is on the disk or afterwards.
type commits struct {
	left int // until then; 0 is never
	done bool
}

var errKilled = errors.New("killed")

func (c *commits) do(commit func() error) error {
	if c.left > 0 {
		if c.left--; c.left == 0 {
			if c.done {
				must(c, commit())
			}
			return errKilled
		}
	}
	return commit()
}

func (c *commits) Helper()          {}
func (c *commits) Fatal(all ...any) { panic(fmt.Sprint(all...)) }

func newWorld(t testing.TB) *world {
	t.Helper()
	memory, err := kv.NewMemory()
	must(t, err)
	t.Cleanup(func() { must(t, memory.Close()) })
	return openWorld(t, memory)
}

func openWorld(t testing.TB, memory *kv.Memory) *world {
	t.Helper()
	var c commits
	v, err := view.New(store.New(memory.DB(kv.Hooks{Commit: c.do})))
	must(t, err)
	x, err := New(v)
	must(t, err)
	return &world{view: v, index: x, commit: &c}
}

// brought is an object that comes into the view, at a round of the chain.
type brought struct {
	round                  uint64
	member, collection, id string
	day                    int
	object                 string
}

// bring brings objects into the view, in one transaction after one that brings their events.
func (w *world) bring(all ...brought) error {
	var events []view.NewEvent
	var outcomes []view.Outcome
	for _, b := range all {
		hash := sha256.Sum256([]byte(b.object))
		events = append(events, view.NewEvent{Effect: consortium.Object, Event: consortium.Event{
			Position: consortium.Position{Round: b.round}, TxID: fmt.Sprintf("TX%d", b.round), Sender: b.member, Asset: 1000 + b.round,
			Note: wire.Note{Kind: wire.KindObject, Sequence: b.round}, Directory: cid(b.round),
		}})
		kind, _, _ := strings.Cut(b.id, "--")
		version := monday.AddDate(0, 0, b.day)
		e := events[len(events)-1].Event
		outcomes = append(outcomes, view.Outcome{State: view.InView, Entry: &view.Entry{
			Collection: b.collection, ID: b.id, Type: kind, Version: wire.FormatTime(version), Instant: version, Hash: hash[:],
			Position: e.Position, Publisher: b.member, TxID: e.TxID, Asset: e.Asset, Directory: e.Directory, Object: []byte(b.object),
		}})
	}
	if err := w.view.Append(events, nil); err != nil {
		return err
	}
	for i, e := range events {
		logged, _, err := w.view.Event(e.TxID)
		if err != nil {
			return err
		}
		outcomes[i].Event = logged
	}
	return w.view.Settle(outcomes)
}

// cid is that of what is published at a round.
func cid(round uint64) string {
	hash := sha256.Sum256(fmt.Append(nil, round))
	return "b" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(append([]byte{1, 0x70, 0x12, 32}, hash[:]...)))
}

// add brings one object into the view.
func (w *world) add(t testing.TB, round uint64, member, collection, id string, day int, object string) {
	t.Helper()
	must(t, w.bring(brought{round, member, collection, id, day, object}))
}

func (w *world) withdraw(member string, rounds ...uint64) error {
	var recalls []view.Recall
	for _, round := range rounds {
		recalls = append(recalls, view.Recall{Asset: 1000 + round, Senders: []string{member}, At: consortium.Position{Round: math.MaxUint64}})
	}
	_, _, err := w.view.Withdraw(recalls...)
	return err
}

// entries are all that the view has.
func (w *world) entries(t testing.TB) (list []*view.Entry) {
	t.Helper()
	for _, collection := range []string{view.Everything, view.Others} {
		some, more, err := w.view.Page(view.Query{Collection: collection, Versions: view.Versions{All: true}, Limit: 1000, WithObjects: true})
		must(t, err)
		if more {
			t.Fatal("there are more")
		}
		list = append(list, some...)
	}
	return list
}

// content are the names in the indexes and the entries under them, of our format; all else is there as it is.
func (w *world) content(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, w.view.Read(func(txn *kv.Txn) error {
		for _, table := range []byte{store.TableValue, store.TableReference, store.TableWord} {
			err := store.Scan(txn, store.Key(table), nil, func(k []byte, item *kv.Item) (bool, error) {
				if k[2] != format {
					all[string(k)] = ""
					return true, nil
				}
				block, err := readBlock(item)
				for _, m := range block {
					key := string(blockKey(k[:len(k)-8], m.date))
					if _, twice := all[key]; twice {
						t.Fatalf("%q is there twice", key)
					}
					all[key] = string([]byte{m.tag})
				}
				return true, err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return all
}

// wanted is what they must be.
func (w *world) wanted(t testing.TB) map[string]string {
	all := map[string]string{}
	for _, e := range w.entries(t) {
		for _, p := range postings(e) {
			all[string(blockKey(p.prefix, e.DateAdded))] = string([]byte{p.tag})
		}
	}
	return all
}

func (w *world) check(t testing.TB, when string) {
	t.Helper()
	if got, want := w.content(t), w.wanted(t); !maps.Equal(got, want) {
		t.Fatalf("%s the indexes have %d keys, want %d:\n%q\n%q", when, len(got), len(want), slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}
