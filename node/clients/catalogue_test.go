package clients

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// shownWorld is a hostile world whose view TAXII clients look at.
type shownWorld struct {
	*worldtest.HostileWorld
	*Catalogue
	shared string // a collection of mallory's that all members may publish in
}

var (
	nobody = taxii.Principal{}
	reader = taxii.Principal{User: "rita", Role: taxii.RoleReader}
	writer = taxii.Principal{User: "paul", Role: taxii.RolePublisher}
)

func newShownWorld(t *testing.T) *shownWorld { return newShownWorldIn(t, worldtest.NewHostileWorld(t)) }

func newShownWorldIn(t *testing.T, h *worldtest.HostileWorld) *shownWorld {
	t.Helper()
	described, err := OpenAPIRoot(h.R.Outbox, "The Self")
	nodetest.Must(t, err)
	s := &shownWorld{h, &Catalogue{
		View: h.R.View, State: h.State, Own: "self", Described: described, Consortium: repo.Consortium{ID: h.ID, Name: "As invited"},
		Shown: &signal.Signal{}, Exports: semaphore.NewWeighted(1),
	}, "00000000" + uuid.NewString()[8:]}
	h.Takes(h.CollectionOf(h.Mallory, s.shared, 1, h.Everybody("ring"), h.Self))
	return s
}

func names(roots []taxii.Root) (list []string) {
	for _, r := range roots {
		list = append(list, r.Name+"="+r.Title)
	}
	return list
}

// Who has no credentials learns nothing of the consortium.
func TestAStrangerSeesTheNodesOwnRootAndNothingInIt(t *testing.T) {
	s := newShownWorld(t)
	roots, err := s.Roots(t.Context(), nobody)
	if err != nil || !slices.Equal(names(roots), []string{"self=The Self"}) {
		t.Errorf("%v, %v", roots, err)
	}
	for _, root := range []string{"founder", "mallory", everythingRoot, "nowhere", ""} {
		if r, err := s.Root(t.Context(), nobody, root); !errors.Is(err, taxii.ErrNotFound) {
			t.Errorf("a stranger finds %+v, %v", r, err)
		}
	}
	for _, root := range []string{"self", "founder", everythingRoot, "nowhere"} {
		if list, err := s.Collections(t.Context(), nobody, root); !errors.Is(err, taxii.ErrNotFound) {
			t.Errorf("a stranger sees %+v, %v", list, err)
		}
		if c, err := s.Collection(t.Context(), nobody, root, s.HostileWorld.Collection); !errors.Is(err, taxii.ErrNotFound) {
			t.Errorf("a stranger finds %+v, %v", c, err)
		}
	}
}

func TestThereIsARootForEachMemberAndOneForEverything(t *testing.T) {
	s := newShownWorld(t)
	roots, err := s.Roots(t.Context(), reader)
	if want := []string{"self=The Self", "founder=FOUNDER", "mallory=MALLORY", "consortium=Test"}; err != nil || !slices.Equal(sorted(names(roots)), sorted(want)) {
		t.Errorf("%v, %v", names(roots), err)
	}
	for _, name := range []string{"self", "mallory", everythingRoot} {
		if r, err := s.Root(t.Context(), reader, name); err != nil || r.Name != name {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := s.Root(t.Context(), reader, "nowhere"); !errors.Is(err, taxii.ErrNotFound) {
		t.Errorf("nowhere: %v", err)
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// A member publishes as long as it is one, whoever its users are; a reader never does.
func TestWhoMayWriteSeesThatItMay(t *testing.T) {
	s := newShownWorld(t)
	want := func(when string, who taxii.Principal, write map[string]bool) {
		t.Helper()
		for _, root := range []string{"self", "founder", "mallory", everythingRoot} {
			list, err := s.Collections(t.Context(), who, root)
			nodetest.Must(t, err)
			for _, c := range list {
				one, err := s.Collection(t.Context(), who, root, c.ID)
				if err != nil || one != c || !c.CanRead || c.Root != root || c.CanWrite != write[c.ID] {
					t.Errorf("%s, in %s: %+v, alone %+v, %v", when, root, c, one, err)
				}
			}
		}
	}
	all := map[string]bool{s.HostileWorld.Collection: true, s.HostileWorld.Own: true, s.shared: true}
	want("a publisher", writer, all)
	want("a reader", reader, nil)
	s.Removes(s.Self)
	want("a publisher of a former member", writer, nil)
	c, err := s.Collection(t.Context(), writer, "self", s.HostileWorld.Own)
	m, _ := s.State.Member(s.Self.Address())
	if err != nil || c.Closed != fmt.Sprintf("this organisation was removed in round %d by the governor", m.Removed.Round) {
		t.Errorf("why it may not write is told as %q, %v", c.Closed, err)
	}
}

func TestACollectionIsUnderItsOwnersRootAndTheCommonOneUnderOurs(t *testing.T) {
	s := newShownWorld(t)
	common := s.HostileWorld.Collection
	for root, want := range map[string][]string{"self": {common, s.HostileWorld.Own}, "founder": {common}, "mallory": {s.shared}} {
		list, err := s.Collections(t.Context(), reader, root)
		nodetest.Must(t, err)
		var ids []string
		for _, c := range list {
			ids = append(ids, c.ID)
		}
		if !slices.Equal(sorted(ids), sorted(want)) || !slices.IsSorted(ids) {
			t.Errorf("%s has %v, want %v", root, ids, want)
		}
	}
	for alias, want := range map[string]string{"ring": s.shared, s.shared: s.shared, "": "", "nothing": "", s.HostileWorld.Own: ""} {
		c, err := s.Collection(t.Context(), reader, "mallory", alias)
		if c.ID != want || (want == "") != errors.Is(err, taxii.ErrNotFound) {
			t.Errorf("%q is %q (%v), want %q", alias, c.ID, err, want)
		}
	}
	if _, err := s.Collections(t.Context(), reader, "nowhere"); !errors.Is(err, taxii.ErrNotFound) {
		t.Errorf("nowhere: %v", err)
	}
}

func TestTheCollectionsOfTheViewAreThoseThatNobodyPublishesIn(t *testing.T) {
	s := newShownWorld(t)
	list, err := s.Collections(t.Context(), writer, everythingRoot)
	if err != nil || len(list) != 2 || list[0].ID >= list[1].ID {
		t.Fatalf("%+v, %v", list, err)
	}
	for id, want := range map[string][2]string{EverythingID(s.Consortium): {"everything", "Everything in Test"}, OthersID(s.Consortium): {"others", "Other members' versions"}} {
		c, err := s.Collection(t.Context(), reader, everythingRoot, id)
		if err != nil || !c.CanRead || c.CanWrite || c.Alias != want[0] || c.Title != want[1] {
			t.Errorf("%s is %+v, %v", id, c, err)
		}
	}
	s.Takes(s.Mint(s.Mallory, s.Object(1)))
	for root, n := range map[string]int{everythingRoot: 1, "self": 1, "mallory": 0} {
		of := taxii.Collection{Root: root, ID: s.HostileWorld.Collection}
		if root == "mallory" {
			of.ID = s.shared
		}
		page, err := s.Objects(t.Context(), reader, of, taxii.Query{Version: taxii.VersionMatch{All: true}, Limit: 10})
		has, hasErr := s.HasObject(t.Context(), reader, of, indicatorID(1))
		if err != nil || hasErr != nil || len(page.Records) != n || has != (n == 1) {
			t.Errorf("%s: %d records, %v, %v, %v", root, len(page.Records), has, err, hasErr)
		}
	}
}

// Every node of a consortium has the same id for it, and another consortium another one.
func TestTheIdOfEverythingStaysTheSame(t *testing.T) {
	one := repo.Consortium{ID: 7, GenesisHash: []byte{1, 2, 3}}

	id, err := uuid.Parse(EverythingID(one))
	if err != nil || id.Version() != 4 || id.Variant() != uuid.RFC4122 {
		t.Errorf("%s is version %d: %v", id, id.Version(), err)
	}
	if want := "7340f9fd-4bd6-45e1-a8c5-67605ff16bd8"; id.String() != want {
		t.Errorf("it is %s, and was %s", id, want)
	}
	other, elsewhere := one, one
	other.ID, elsewhere.GenesisHash = 8, []byte{1, 2, 4}
	if EverythingID(one) == EverythingID(other) || EverythingID(one) == EverythingID(elsewhere) {
		t.Error("other consortia have the same id")
	}
}

func indicatorID(n int) string { return fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n) }

// all reads a page to its end.
func all(t *testing.T, page taxii.Page) (list []taxii.Record) {
	t.Helper()
	list = page.Records
	for _, chunk := range page.Rest {
		records, err := chunk.Read()
		nodetest.Must(t, err)
		if len(records) != chunk.Count || !records[0].DateAdded.Equal(chunk.First) || !records[len(records)-1].DateAdded.Equal(chunk.Last) {
			t.Errorf("a part says %+v and has %d records", chunk, len(records))
		}
		list = append(list, records...)
	}
	return list
}

func TestAPageHasWhatTheQueryTakesInOrder(t *testing.T) {
	s := newShownWorldIn(t, worldtest.NewStoredHostileWorld(t)) // where objects have room
	for n := range 5 {
		s.Takes(s.Mint(s.Mallory, s.ObjectOf(n+1, strings.Repeat("x", 100<<10)))) // so that a page has several parts
	}
	of := taxii.Collection{Root: "self", ID: s.HostileWorld.Collection}
	latest := taxii.VersionMatch{Last: true}
	for name, test := range map[string]struct {
		query taxii.Query
		want  []int
		more  bool
	}{
		"all":                {taxii.Query{Version: latest, Limit: 10}, []int{1, 2, 3, 4, 5}, false},
		"a page":             {taxii.Query{Version: latest, Limit: 2}, []int{1, 2}, true},
		"with objects":       {taxii.Query{Version: latest, Limit: 10, WithObjects: true}, []int{1, 2, 3, 4, 5}, false},
		"some ids":           {taxii.Query{Version: latest, Limit: 10, IDs: []string{indicatorID(2), indicatorID(4), indicatorID(99)}}, []int{2, 4}, false},
		"a type":             {taxii.Query{Version: latest, Limit: 10, Types: []string{"indicator"}}, []int{1, 2, 3, 4, 5}, false},
		"another type":       {taxii.Query{Version: latest, Limit: 10, Types: []string{"malware"}}, nil, false},
		"STIX 2.1":           {taxii.Query{Version: latest, Limit: 10, SpecVersions: []string{"2.0", "2.1"}}, []int{1, 2, 3, 4, 5}, false},
		"STIX 2.0 has none":  {taxii.Query{Version: latest, Limit: 10, SpecVersions: []string{"2.0"}}, nil, false},
		"the first versions": {taxii.Query{Version: taxii.VersionMatch{First: true}, Limit: 10}, []int{1, 2, 3, 4, 5}, false},
	} {
		page, err := s.Objects(t.Context(), reader, of, test.query)
		nodetest.Must(t, err)
		var got []int
		for _, r := range all(t, page) {
			var n int
			if test.query.WithObjects {
				for i := range 5 {
					if strings.Contains(string(r.Object), indicatorID(i+1)) {
						n = i + 1
					}
				}
			} else if _, err := fmt.Sscanf(r.ID, "indicator--%08x", &n); err != nil || r.Version != worldtest.FirstTime || r.SpecVersion != "2.1" || r.TxID == "" || r.CID == "" || r.AssetID == 0 || r.StoredAt.IsZero() {
				t.Errorf("%s: %+v", name, r)
			}
			got = append(got, n)
		}
		if !slices.Equal(got, test.want) || page.More != test.more {
			t.Errorf("%s: %v (more: %t), want %v", name, got, page.More, test.want)
		}
	}
	first, err := s.Objects(t.Context(), reader, of, taxii.Query{Version: latest, Limit: 2})
	nodetest.Must(t, err)
	got := all(t, first)
	next, err := s.Objects(t.Context(), reader, of, taxii.Query{Version: latest, Limit: 10, After: got[1].DateAdded.UnixMicro()})
	nodetest.Must(t, err)
	if rest := all(t, next); len(rest) != 3 || rest[0].ID != indicatorID(3) {
		t.Errorf("after the first page come %d", len(rest))
	}
}
