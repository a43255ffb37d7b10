package view

import (
	"fmt"
	"slices"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// publishAs brings versions of an object of a member into a view.
func publishAs(t testing.TB, v *View, c *chain, member, id string, days ...int) (events []NewEvent) {
	t.Helper()
	for _, day := range days {
		e := c.event()
		e.Sender, e.Member = member, member
		events = append(events, e)
		publish(t, v, e, entryOf(e, collectionA, id, monday.AddDate(0, 0, day), member+fmt.Sprint(day)))
	}
	return events
}

func TestALaterVersionOfAnothersObjectChangesNothing(t *testing.T) {
	v, c := newView(t), &chain{}
	publishAs(t, v, c, "ALPHA", "malware-1", 0, 1)
	publishAs(t, v, c, "MALLORY", "malware-1", 0, 5)
	for of, want := range map[string][]string{
		collectionA: {"malware-1 2026-11-23", "malware-1 2026-11-24"},
		Everything:  {"malware-1 2026-11-23", "malware-1 2026-11-24"},
		Others:      {"malware-1 2026-11-23", "malware-1 2026-11-28"},
	} {
		if got := page(t, v, Query{Collection: of, Versions: Versions{All: true}}); !slices.Equal(got, want) {
			t.Errorf("%s has %v", of, got)
		}
		if got := page(t, v, Query{Collection: of, Versions: Versions{Last: true}}); !slices.Equal(got, want[1:]) {
			t.Errorf("the last of %s is %v", of, got)
		}
	}
	latest, err := v.LatestOf("MALLORY", collectionA, "malware-1")
	must(t, err)
	if latest == nil || string(latest.Object) != "MALLORY5" {
		t.Errorf("the latest of mallory's is %+v", latest)
	}
	if latest, err = v.Latest(collectionA, "malware-1"); err != nil || string(latest.Object) != "ALPHA1" {
		t.Errorf("the latest is %+v, %v", latest, err)
	}
}

// Two copies of one object: who withdraws ends its own, and the other's comes in its place, new to who polls.
func TestAWithdrawalBesideACopyServesTheCopyAsNew(t *testing.T) {
	v, c := newView(t), &chain{}
	of := publishAs(t, v, c, "ALPHA", "malware-1", 0)
	publishAs(t, v, c, "BRAVO", "malware-1", 0)
	entries, _, err := v.Page(Query{Collection: collectionA, Versions: Versions{All: true}, Limit: 10, WithObjects: true})
	must(t, err)
	if len(entries) != 1 || string(entries[0].Object) != "ALPHA0" {
		t.Fatalf("beside each other: %+v", entries)
	}
	changed, err := v.Changed(Others)
	must(t, err)
	_, _, err = withdraw(v, of[0].Asset, "ALPHA")
	must(t, err)
	entries, _, err = v.Page(Query{Collection: collectionA, Versions: Versions{Last: true}, After: changed, Limit: 10, WithObjects: true})
	must(t, err)
	if len(entries) != 1 || string(entries[0].Object) != "BRAVO0" {
		t.Fatalf("after the withdrawal: %+v", entries)
	}
	if rest := page(t, v, Query{Collection: Others, Versions: Versions{All: true}}); len(rest) > 0 {
		t.Errorf("apart is still %v", rest)
	}
}

// A line of any length changes its place in steps, of which a node that stops loses none.
func TestALongLineTakesItsPlaceAlsoWhenTheNodeStops(t *testing.T) {
	dir, c := t.TempDir(), &chain{}
	v, err := Open(dir, make([]byte, 32))
	must(t, err)
	early := c.event()
	early.Sender = "ALPHA"
	must(t, v.Append([]NewEvent{early}, nil))
	var days []int
	for day := range 3*leadItems + 7 {
		days = append(days, day)
	}
	publishAs(t, v, c, "BRAVO", "malware-1", days...)
	count := func(of string) int { return len(page(t, v, Query{Collection: of, Versions: Versions{All: true}})) }
	if n := count(collectionA); n != len(days) {
		t.Fatalf("%d of %d are served", n, len(days))
	}
	settleNow(t, v, early, entryOf(early, collectionA, "malware-1", monday, "first")) // its blocks come late
	if count(Others) == len(days) {
		t.Fatal("the change was no matter of steps")
	}
	select {
	case <-v.Unled():
	default:
		t.Error("nobody is told that there is more to do")
	}
	must(t, v.Close())
	v, err = Open(dir, make([]byte, 32))
	must(t, err)
	defer func() { must(t, v.Close()) }()
	select {
	case <-v.Unled():
	default:
		t.Error("after the restart nobody is told that there is more to do")
	}
	must(t, v.Relead(t.Context()))
	for of, want := range map[string]int{collectionA: 1, Everything: 1, Others: len(days)} {
		if n := count(of); n != want {
			t.Errorf("%s has %d, want %d", of, n, want)
		}
	}
}

func TestTheLineOfAMemberHasItsAccounts(t *testing.T) {
	v, c := newView(t), &chain{}
	first, second := c.event(), c.event()
	first.Sender, first.Member = "ALPHA", "ALPHA"
	second.Sender, second.Member = "ALPHA-2", "ALPHA"
	publish(t, v, first, entryOf(first, collectionA, "malware-1", monday, "1"))
	logged := publish(t, v, second, entryOf(second, collectionA, "malware-1", monday.AddDate(0, 0, 1), "2"))
	entry, err := v.Entry(logged)
	must(t, err)
	if entry.Owner() != "ALPHA" || entry.Publisher != "ALPHA-2" {
		t.Errorf("the entry is %s's, published by %s", entry.Owner(), entry.Publisher)
	}
	if got := page(t, v, Query{Collection: collectionA, Versions: Versions{All: true}}); len(got) != 2 {
		t.Errorf("the line has %v", got)
	}
	third := c.event()
	third.Sender, third.Member = "ALPHA-2", "ALPHA"
	if e := publish(t, v, third, entryOf(third, collectionA, "malware-1", monday, "3")); e.State != Duplicate {
		t.Errorf("the same version by another account of the member is %v", e.State)
	}
}

// Who is mistrusted is served apart, also where nobody else publishes the object.
func TestAMistrustedMembersLinesNeverLead(t *testing.T) {
	dir, c := t.TempDir(), &chain{}
	v, err := Open(dir, make([]byte, 32))
	must(t, err)
	publishAs(t, v, c, "MALLORY", "malware-1", 0)
	publishAs(t, v, c, "ALPHA", "malware-1", 1)
	publishAs(t, v, c, "MALLORY", "malware-2", 2)
	check := func(what string, own, others []string) {
		t.Helper()
		for of, want := range map[string][]string{collectionA: own, Everything: own, Others: others} {
			got := page(t, v, Query{Collection: of, Versions: Versions{All: true}})
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s: %s has %v, want %v", what, of, got, want)
			}
		}
	}
	const first, alphas, second = "malware-1 2026-11-23", "malware-1 2026-11-24", "malware-2 2026-11-25"
	check("trusted", []string{first, second}, []string{alphas})
	must(t, v.Mistrust(t.Context(), []string{"MALLORY"}))
	check("mistrusted", []string{alphas}, []string{first, second})
	must(t, v.Close())
	v, err = Open(dir, make([]byte, 32))
	must(t, err)
	defer func() { must(t, v.Close()) }()
	publishAs(t, v, c, "MALLORY", "malware-3", 3)
	if got := v.Mistrusted(); !slices.Equal(got, []string{"MALLORY"}) {
		t.Errorf("after a restart %v are mistrusted", got)
	}
	check("after a restart", []string{alphas}, []string{first, second, "malware-3 2026-11-26"})
	changed, err := v.Changed(Everything)
	must(t, err)
	must(t, v.Mistrust(t.Context(), []string{"MALLORY"}))
	if again, err := v.Changed(Everything); err != nil || again != changed {
		t.Errorf("to say the same again changes something: %v", err)
	}
	must(t, v.Mistrust(t.Context(), nil))
	check("trusted again", []string{first, second, "malware-3 2026-11-26"}, []string{alphas})
}

func TestWhoLosesTheLeadIsSaidBeforehand(t *testing.T) {
	v, c := newView(t), &chain{}
	first := publishAs(t, v, c, "ALPHA", "malware-1", 0)[0].Position
	bravos := publishAs(t, v, c, "BRAVO", "malware-1", 0)[0].Position
	later := publishAs(t, v, c, "ALPHA", "malware-1", 1)[0].Position
	alone := publishAs(t, v, c, "ALPHA", "malware-2", 0, 1)
	for _, one := range []struct {
		what      string
		member    string
		id        string
		again     bool
		withdrawn []consortium.Position
		want      bool
	}{
		{"the first of two", "ALPHA", "malware-1", false, []consortium.Position{first}, true},
		{"the second of two", "ALPHA", "malware-1", false, []consortium.Position{later}, false},
		{"both", "ALPHA", "malware-1", false, []consortium.Position{first, later}, false},
		{"both, and another one comes", "ALPHA", "malware-1", true, []consortium.Position{first, later}, true},
		{"nothing", "ALPHA", "malware-1", true, nil, false},
		{"of a line that does not lead", "BRAVO", "malware-1", true, []consortium.Position{bravos}, false},
		{"where nobody else is", "ALPHA", "malware-2", true, []consortium.Position{alone[0].Position, alone[1].Position}, false},
		{"of what is not there", "ALPHA", "malware-3", true, []consortium.Position{first}, false},
	} {
		if loses, err := v.LosesLead(one.member, collectionA, one.id, one.again, one.withdrawn...); err != nil || loses != one.want {
			t.Errorf("%s: %v, %v", one.what, loses, err)
		}
	}
}

// … in whatever order, and however often, they are named.
func TestWhoIsMistrustedAlreadyCostsNothing(t *testing.T) {
	memory, err := kv.NewMemory()
	must(t, err)
	defer func() { must(t, memory.Close()) }()
	commits := 0
	v, err := New(store.New(memory.DB(kv.Hooks{Commit: func(commit func() error) error { commits++; return commit() }})))
	must(t, err)
	publishAs(t, v, &chain{}, "ALPHA", "malware-1", 0)
	must(t, v.Mistrust(t.Context(), []string{"BRAVO", "ALPHA"}))
	if got := v.Mistrusted(); !slices.Equal(got, []string{"ALPHA", "BRAVO"}) {
		t.Errorf("mistrusted are %v", got)
	}
	for _, again := range [][]string{{"BRAVO", "ALPHA"}, {"ALPHA", "BRAVO"}, {"BRAVO", "ALPHA", "BRAVO"}} {
		commits = 0
		must(t, v.Mistrust(t.Context(), again))
		if commits > 0 {
			t.Errorf("%v cost %d transactions", again, commits)
		}
	}
	must(t, v.Mistrust(t.Context(), nil))
	if got := v.Mistrusted(); commits == 0 || len(got) > 0 {
		t.Errorf("nobody is mistrusted any more: %v, with %d transactions", got, commits)
	}
}
