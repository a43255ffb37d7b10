package clients

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/taxii"
)

func TestTheWordsOfARootAreThisNodesAndStay(t *testing.T) {
	s := newShownWorld(t)
	a := &Administration{Own: "self", Described: s.Described, State: s.HostileWorld.State}
	nodetest.Must(t, a.DescribeRoot(t.Context(), taxii.Principal{}, "The Hospital", "A group"))
	again, err := OpenAPIRoot(s.R.Outbox, "The Self")
	nodetest.Must(t, err)
	for _, described := range []*APIRoot{s.Described, again} {
		s.Described = described
		root, err := s.Root(t.Context(), nobody, "self")
		if err != nil || root.Title != "The Hospital" || root.Description != "A group" {
			t.Errorf("%+v, %v", root, err)
		}
	}
	nodetest.Must(t, s.R.Outbox.SetMemo(rootMemo, []byte("{")))
	if _, err := OpenAPIRoot(s.R.Outbox, "The Self"); err == nil || !strings.Contains(err.Error(), "the description of the API root") {
		t.Errorf("a description that can't be read: %v", err)
	}
}

// making makes collections, or doesn't.
type making struct {
	asked []collections.Spec
	made  consortium.Collection
	err   error
	slow  bool // it takes until the context ends
}

func (m *making) Create(ctx context.Context, spec collections.Spec) (consortium.Collection, error) {
	m.asked = append(m.asked, spec)
	if m.slow {
		<-ctx.Done()
		return consortium.Collection{}, ctx.Err()
	}
	return m.made, m.err
}

func TestACollectionIsMadeAsItWasAskedFor(t *testing.T) {
	s := newShownWorld(t)
	made, found := s.HostileWorld.State.Collection(s.HostileWorld.Own)
	if !found {
		t.Fatal("there is no collection")
	}
	m := &making{made: made}
	a := &Administration{Own: "self", State: s.HostileWorld.State, Collections: m}
	spec := taxii.NewCollection{
		Title: "Attacks", Alias: "attacks", Description: "d", Readers: []string{"founder", "mallory"}, Contributors: []string{"mallory"}, DefaultLevel: "amber", Metadata: "sealed", Padding: "coarse",
	}
	c, err := a.CreateCollection(t.Context(), taxii.Principal{}, spec)
	if want := (taxii.Collection{Root: "self", ID: made.ID, Alias: "notes", Title: "Own", CanRead: true, CanWrite: true}); err != nil || c != want {
		t.Errorf("%+v, %v, want %+v", c, err, want)
	}
	got := m.asked[0]
	if got.Title != "Attacks" || got.Alias != "attacks" || got.Description != "d" || strings.Join(got.Readers, " ") != "founder mallory" || strings.Join(got.Contributors, " ") != "mallory" ||
		got.DefaultLevel != "amber" || got.Metadata != "sealed" || got.Padding != "coarse" {
		t.Errorf("asked is %+v", got)
	}
}

// An alias of ours, or of the collection that stands under our root, is taken; another member's is its own affair.
func TestAnAliasIsTakenUnderOurRootOnly(t *testing.T) {
	s := newShownWorld(t)
	s.Takes(s.CollectionOf(s.Founder, s.HostileWorld.Collection, 2, s.Everybody("common"), s.Self, s.Mallory))
	m := &making{made: consortium.Collection{ID: "x"}}
	a := &Administration{Own: "self", State: s.HostileWorld.State, Collections: m}
	for alias, taken := range map[string]bool{"notes": true, "common": true, "ring": false, "new": false, "": false} {
		m.asked = nil
		_, err := a.CreateCollection(t.Context(), taxii.Principal{}, taxii.NewCollection{Title: "T", Alias: alias})
		if errors.Is(err, taxii.ErrConflict) != taken || (len(m.asked) > 0) == taken || !taken && err != nil {
			t.Errorf("%q: %v, asked %d times", alias, err, len(m.asked))
		}
	}
}

// A client that need not wait for the chain is told when to ask again, and told apart from one that made a mistake.
func TestACollectionThatTakesLongIsAskedForAgain(t *testing.T) {
	s := newShownWorld(t)
	m := &making{}
	a := &Administration{Own: "self", State: s.HostileWorld.State, Collections: m}
	synctest.Test(t, func(t *testing.T) {
		ask := func() (after time.Duration, err error) {
			_, err = a.CreateCollection(t.Context(), taxii.Principal{}, taxii.NewCollection{Title: "T"})
			var later *taxii.RetryAfterError
			if errors.As(err, &later) {
				after = later.After
			}
			return after, err
		}
		m.err = collections.ErrOnItsWay
		if after, err := ask(); after != creationRetry || !errors.Is(err, collections.ErrOnItsWay) {
			t.Errorf("it is on its way: %v, %v", after, err)
		}
		m.slow = true
		began := time.Now()
		if after, err := ask(); after != creationRetry || err == nil || time.Since(began) != creationTimeout {
			t.Errorf("after %v: %v, %v", time.Since(began), after, err)
		}
		m.slow = false
		m.err = problem.Input(errors.New("who is bob?"))
		var invalid *taxii.InvalidError
		if after, err := ask(); after != 0 || !errors.As(err, &invalid) || invalid.Reason != "who is bob?" {
			t.Errorf("a mistake: %v, %v", after, err)
		}
		m.err = errors.New("the disk says no")
		if after, err := ask(); after != 0 || !errors.Is(err, m.err) || errors.As(err, &invalid) {
			t.Errorf("a failure of ours: %v, %v", after, err)
		}
	})
}
