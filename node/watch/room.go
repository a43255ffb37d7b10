// Package watch knows what this organisation watches for, its own addresses, networks, domains and the like, and which
// objects are about that. Nothing of it is published, and no log has it.
//
// room.go has the list, match.go says what an object is about, check.go looks among what is here, follow.go at what
// comes in.
//
// Which objects match is worked out whenever it is asked for, from the list and the indexes: there is no list of
// matches that could lack one after a crash, or have one of an object that is gone. Receivers of events keep their own
// place, and are told of an object's assets with the object.
package watch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const (
	assetPrefix = "watch/asset/" // begins the names under which assets are kept
	placeMemo   = "watch/place"  // … and the name of how far what came in was looked at
	atOnce      = 250            // assets that are kept in one write
	maxNote     = 200            // bytes
)

// Room watches.
type Room struct {
	View   pages
	Finder *search.Finder
	Memos  memos
	Shown  *signal.Signal // something came into the view, or left it
	Log    *slog.Logger
	Now    func() time.Time

	changing sync.Mutex // one at a time
	list     atomic.Pointer[list]
	matched  atomic.Int64 // objects that came in and are about an asset, since the start
}

// pages are the view's.
type pages interface {
	Page(q view.Query) (entries []*view.Entry, more bool, err error)
	Changed(collection string) (at int64, err error)
}

// memos keep small things durably.
type memos interface {
	Memo(name string) ([]byte, error)
	SetMemo(name string, data []byte) error
	SetMemos(all map[string][]byte) error
	ForgetMemo(name string) error
	Memos(prefix string, limit int) ([]string, error)
}

var _ taxii.Watch = (*Room)(nil)

// New makes the room of a node.
func New(f *search.Finder, m memos, shown *signal.Signal, log *slog.Logger) (*Room, error) {
	r := &Room{View: f.View, Finder: f, Memos: m, Shown: shown, Log: log, Now: time.Now}
	return r, r.load()
}

// list is what is watched for, as it was at one moment. Nothing of it changes.
type list struct {
	of   map[observable.Value]taxii.Asset
	keys []keyed // in the order of keys
}

type keyed struct {
	key   []byte
	value observable.Value
}

func listOf(of map[observable.Value]taxii.Asset) *list {
	l := &list{of: of}
	for v := range of {
		l.keys = append(l.keys, keyed{v.Key(), v})
	}
	slices.SortFunc(l.keys, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	return l
}

// kept is an asset as it is kept.
type kept struct {
	Value observable.Value `json:"value"`
	Note  string           `json:"note,omitempty"`
	By    string           `json:"by,omitempty"`
	At    time.Time        `json:"at"`
}

// nameOf is the name under which an asset is kept.
func nameOf(v observable.Value) string {
	sum := sha256.Sum256(v.Key())
	return assetPrefix + hex.EncodeToString(sum[:])
}

func (k *kept) asset() taxii.Asset {
	return taxii.Asset{Kind: k.Value.Kind.String(), Value: k.Value.Text, Note: k.Note, By: k.By, At: k.At}
}

func (r *Room) load() error {
	of := map[observable.Value]taxii.Asset{}
	err := state.EachMemo(r.Memos, assetPrefix, taxii.MaxAssets, func(_ string, k kept) { of[k.Value] = k.asset() })
	if err != nil {
		return fmt.Errorf("reading what is watched for: %w", err)
	}
	r.list.Store(listOf(of))
	return nil
}

// may refuses who has limits: what there is to lose is not for everybody.
func may(who taxii.Principal, least taxii.Role) error {
	if who.Role < least || who.Limits.Any() {
		return taxii.ErrForbidden
	}
	return nil
}

// Assets lists what is watched for.
func (r *Room) Assets(_ context.Context, who taxii.Principal) (all []taxii.Asset, err error) {
	if err := may(who, taxii.RoleReader); err != nil {
		return nil, err
	}
	now := r.list.Load()
	for _, k := range now.keys {
		all = append(all, now.of[k.value])
	}
	return all, nil
}

// valuesOf reads values as people write them. What is none is told by its number, and not quoted: errors may come into
// logs.
func valuesOf(what string, texts []string) (values []observable.Value, err error) {
	if len(texts) > taxii.MaxAssets {
		return nil, &taxii.InvalidError{Reason: fmt.Sprintf("%s: more than %d values are too many", what, taxii.MaxAssets)}
	}
	for n, text := range texts {
		some := observable.Parse(text)
		if len(some) != 1 {
			return nil, &taxii.InvalidError{Reason: fmt.Sprintf("%s: value %d is not one address, network, domain, URL, e-mail address, hash, CVE or other value that is known here; "+
				"of what can't be told by its looks the kind is written before it, as in mutex:NAME", what, n+1)}
		}
		values = append(values, some[0])
	}
	return values, nil
}

// ChangeAssets adds some and takes others out.
func (r *Room) ChangeAssets(ctx context.Context, who taxii.Principal, c taxii.AssetChange) (done taxii.AssetsChanged, err error) {
	if err := may(who, taxii.RolePublisher); err != nil {
		return done, err
	}
	add, err := valuesOf("add", c.Add)
	if err != nil {
		return done, err
	}
	drop, err := valuesOf("remove", c.Remove)
	switch {
	case err != nil:
		return done, err
	case len(add)+len(drop) == 0:
		return done, &taxii.InvalidError{Reason: "there is nothing to add or to remove"}
	case len(c.Note) > maxNote:
		return done, &taxii.InvalidError{Reason: fmt.Sprintf("note: it has more than %d bytes", maxNote)}
	}
	added, err := r.change(add, drop, kept{Note: c.Note, By: who.User, At: r.Now().UTC().Truncate(time.Second)}, &done)
	if err != nil {
		return done, err
	}
	done.Matches, err = r.matches(ctx, who, added)
	return done, err
}

// change keeps another list, and gives what is new in it.
func (r *Room) change(add, drop []observable.Value, like kept, done *taxii.AssetsChanged) (added []observable.Value, err error) {
	r.changing.Lock()
	defer r.changing.Unlock()
	of := maps.Clone(r.list.Load().of)
	for _, v := range drop {
		if _, known := of[v]; !known {
			done.Unknown++
			continue
		}
		delete(of, v)
		done.Removed++
	}
	fresh := map[string][]byte{}
	for _, v := range add {
		if _, known := of[v]; known {
			done.Known++
			continue
		}
		like.Value = v
		data, err := json.Marshal(like)
		if err != nil {
			return nil, fmt.Errorf("keeping what is watched for: %w", err)
		}
		of[v], fresh[nameOf(v)] = like.asset(), data
		added = append(added, v)
	}
	if len(of) > taxii.MaxAssets {
		return nil, &taxii.InvalidError{Reason: fmt.Sprintf("there would be %d, which is more than %d; networks and domains stand for all in them", len(of), taxii.MaxAssets)}
	}
	for _, v := range drop {
		if _, again := of[v]; !again {
			if err := r.Memos.ForgetMemo(nameOf(v)); err != nil {
				return nil, fmt.Errorf("forgetting what was watched for: %w", err)
			}
		}
	}
	for names := range slices.Chunk(slices.Sorted(maps.Keys(fresh)), atOnce) {
		some := map[string][]byte{}
		for _, name := range names {
			some[name] = fresh[name]
		}
		if err := r.Memos.SetMemos(some); err != nil {
			return nil, fmt.Errorf("keeping what is watched for: %w", err)
		}
	}
	r.list.Store(listOf(of))
	done.Added, done.Assets = len(added), len(of)
	return added, nil
}
