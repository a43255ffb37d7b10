package testnet

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/disclosure"
	"github.com/serviceledger/slnode/node/withdraw"
)

// shared asks a node what its organisation has shared.
func (o *organisation) shared(args ...string) (list []disclosure.Object) {
	o.t.Helper()
	for line := range strings.Lines(o.cli(append([]string{"--json", "shared"}, args...)...)) {
		var one disclosure.Object
		must(o.t, json.Unmarshal([]byte(line), &one))
		list = append(list, one)
	}
	return list
}

// readersOf is what is said of who could read an object then, and can now.
func readersOf(t *testing.T, list []disclosure.Object, n int) (then, now, removed string) {
	t.Helper()
	i := slices.IndexFunc(list, func(o disclosure.Object) bool { return strings.Contains(indicator(n), `"`+o.ID+`"`) })
	if i < 0 {
		t.Fatalf("indicator %d is not among %+v", n, list)
	}
	return strings.Join(list[i].Then, " "), strings.Join(list[i].Now, " "), strings.Join(list[i].Removed, " ")
}

// One collection whose readers change in all ways that there are: what is said of each object is who had the key of its
// epoch when it was confirmed, and who has it by now.
func TestWhoCouldReadWhatWasSharedThenAndWhoCanNow(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo", "charlie", "delta")
	alpha, charlie, delta := n.members[0], n.members[2], n.members[3]
	group := cliJSON[collections.Info](alpha, "collection", "create", "Working group", "--alias", "group", "--readers", "bravo")
	alpha.postTo("alpha", group.ID, indicator(1))
	// Charlie reads what comes, and gets the keys of the past later; delta is given those at once.
	alpha.cli("collection", "grant", "group", "charlie")
	alpha.postTo("alpha", group.ID, indicator(2))
	alpha.cli("collection", "grant", "group", "charlie", "--from", "all")
	charlie.showsExactly("alpha", group.ID, indicator(1), indicator(2))
	// What is withdrawn stays what it was; who comes after it never could read it.
	alpha.postTo("alpha", group.ID, indicator(3))
	alpha.cli("withdraw", objectID(3))
	alpha.cli("collection", "grant", "group", "delta", "--from", "all")
	delta.showsExactly("alpha", group.ID, indicator(1), indicator(2))
	// Bravo is removed from the consortium: the next epoch begins without it.
	alpha.cli("member", "remove", "bravo")
	eventually(t, func() (bool, string) {
		c := cliJSON[collections.Info](alpha, "collection", "show", "group")
		return c.Epoch == 3, "no key epoch begins"
	})
	alpha.postTo("alpha", group.ID, indicator(4))

	list := alpha.shared("--collection", "group")
	if len(list) != 4 {
		t.Fatalf("there are %+v", list)
	}
	for n, want := range map[int][3]string{
		1: {"bravo", "bravo charlie delta", "bravo"},
		2: {"bravo charlie", "bravo charlie delta", "bravo"},
		3: {"bravo charlie", "bravo charlie", ""},
		4: {"charlie delta", "charlie delta", ""},
	} {
		then, now, removed := readersOf(t, list, n)
		if then != want[0] || now != want[1] || removed != want[2] {
			t.Errorf("indicator %d: then %q, now %q, of whom were removed %q; want %q", n, then, now, removed, want)
		}
	}
	for _, o := range list {
		if o.Stated || o.User == "" || o.Level != "TLP:GREEN" || o.Type != "indicator" || o.Title != "Working group" || o.Owner != "alpha" || o.Cost.Fee < 1000 || o.Note != "" {
			t.Errorf("it says %+v", o)
		}
		if withdrawn := o.ID == objectID(3); withdrawn != (o.State == "withdrawn") || withdrawn != (o.Withdrawn != nil) ||
			withdrawn && (o.Withdrawn.Round <= o.Round || o.Withdrawn.Time.IsZero() || len(o.Withdrawn.TxID) != 52) {
			t.Errorf("it says %+v, %+v", o, o.Withdrawn)
		}
	}
	t.Run("with a member and in a period", func(t *testing.T) { periods(t, alpha, list) })
	t.Run("show says the same of each object", func(t *testing.T) {
		shown := cliJSON[withdraw.Shown](alpha, "show", objectID(1)).Publications[0]
		if !slices.Equal(shown.Then, list[0].Then) || !slices.Equal(shown.Now, list[0].Now) || shown.Level != "TLP:GREEN" || shown.Description.Name != "Indicator 1" {
			t.Errorf("it shows %+v", shown)
		}
		gone := cliJSON[withdraw.Shown](alpha, "show", objectID(3)).Withdrawals[0]
		if !slices.Equal(gone.Then, list[2].Then) || !slices.Equal(gone.Now, list[2].Now) {
			t.Errorf("it shows %+v", gone)
		}
	})
	t.Run("a reader can say no more than what the owner's records say", func(t *testing.T) {
		shown := cliJSON[withdraw.Shown](delta, "show", objectID(4)).Publications[0]
		if !shown.Stated || strings.Join(shown.Then, " ") != "alpha charlie" {
			t.Errorf("it shows %+v", shown.Description)
		}
	})
	t.Run("the history says who was given what, by whom", func(t *testing.T) { history(t, alpha) })
}

func periods(t *testing.T, alpha *organisation, list []disclosure.Object) {
	with := func(args ...string) string {
		var ids []string
		for _, o := range alpha.shared(append([]string{"--collection", "group"}, args...)...) {
			ids = append(ids, o.ID)
		}
		return strings.Join(ids, " ")
	}
	if got, want := with("--with", "delta"), strings.Join([]string{objectID(1), objectID(2), objectID(4)}, " "); got != want {
		t.Errorf("with delta there are %s", got)
	}
	if got, want := with("--with", "bravo"), strings.Join([]string{objectID(1), objectID(2), objectID(3)}, " "); got != want {
		t.Errorf("with bravo there are %s", got)
	}
	day := list[0].Time.Format("2006-01-02")
	if got := with("--until", day); strings.Count(got, "indicator") != 4 {
		t.Errorf("by the end of the day there are %s", got)
	}
	if got := with("--since", list[3].Time.AddDate(0, 0, 1).Format("2006-01-02")); got != "" {
		t.Errorf("after it there are %s", got)
	}
	if _, stderr, code := alpha.try("shared", "--with", "nobody"); code != 4 || !strings.Contains(stderr, "charlie") {
		t.Errorf("with nobody: %d %s", code, stderr)
	}
}

func history(t *testing.T, alpha *organisation) {
	h := cliJSON[disclosure.History](alpha, "collection", "show", "group")
	var said []string
	for _, c := range h.Changes {
		line := c.What
		for _, g := range c.Given {
			line += " " + strings.Join(g.Members, ",")
			if g.From != g.To {
				line += " from the first"
			}
		}
		if c.What != "removed from the consortium" && c.TxID != "" && !strings.HasPrefix(c.By, "operator (Unix user ") && c.By != "the node itself" {
			t.Errorf("%s was done by %q", c.What, c.By)
		}
		said = append(said, line)
	}
	want := []string{"made bravo", "new key epoch bravo,charlie", "keys given charlie from the first", "keys given delta from the first",
		"removed from the consortium", "new key epoch charlie,delta"}
	changes := strings.NewReplacer("changed", "keys given").Replace(strings.Join(said, "; "))
	if changes != strings.Join(want, "; ") {
		t.Errorf("the history is %s", changes)
	}
}
