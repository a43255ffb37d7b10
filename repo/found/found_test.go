package found

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// table is one whose state is kept when it is opened again.
type table struct {
	*Table
	t   testing.TB
	dir string
	s   *store.Store
}

func newTable(t testing.TB) *table {
	t.Helper()
	x := &table{t: t, dir: t.TempDir()}
	x.open(true)
	t.Cleanup(func() { must(t, x.s.Close()) })
	return x
}

func (x *table) open(create bool) {
	x.t.Helper()
	var err error
	x.s, err = store.Open(x.dir, kv.Options{Key: make([]byte, 32), Durable: true, Create: create})
	must(x.t, err)
	x.Table, err = Open(x.s)
	must(x.t, err)
}

func (x *table) again() {
	x.t.Helper()
	must(x.t, x.s.Close())
	x.open(false)
}

func ids(list []Transaction) (txids []string) {
	for _, one := range list {
		txids = append(txids, one.TxID)
	}
	return txids
}

func TestWhatWasFoundIsKeptInTheOrderOfTheChain(t *testing.T) {
	x := newTable(t)
	added, err := x.Add(Transaction{TxID: "C", Round: 7, Intra: 2}, Transaction{TxID: "A", Round: 5}, Transaction{TxID: "A", Round: 5})
	must(t, err)
	more, err := x.Add(Transaction{TxID: "B", Round: 7, Intra: 1, Signed: []byte{1}, Asset: 3, Time: 9}, Transaction{TxID: "C", Round: 8})
	must(t, err)
	if added != 2 || more != 1 {
		t.Errorf("%d and %d are new", added, more)
	}
	for range 2 {
		for _, c := range []struct {
			first, last uint64
			want        []string
		}{{1, 9, []string{"A", "B", "C"}}, {5, 5, []string{"A"}}, {6, 7, []string{"B", "C"}}, {8, 9, nil}, {1, 4, nil}} {
			if got := ids(x.Between(c.first, c.last)); !slices.Equal(got, c.want) {
				t.Errorf("%d to %d: %v, want %v", c.first, c.last, got, c.want)
			}
		}
		if b := x.Between(7, 7)[0]; string(b.Signed) != "\x01" || b.Asset != 3 || b.Time != 9 {
			t.Errorf("%+v", b)
		}
		x.again()
	}
}

func TestHowMuchIsKeptIsBounded(t *testing.T) {
	x := newTable(t)
	x.list = make([]Transaction, Max-1)
	if added, err := x.Add(Transaction{TxID: "A", Round: 1}, Transaction{TxID: "B", Round: 2}); err != nil || added != 1 {
		t.Errorf("%d, %v", added, err)
	}
	if added, err := x.Add(Transaction{TxID: "C", Round: 3}); err != nil || added != 0 {
		t.Errorf("%d, %v", added, err)
	}
}

func TestAViewThatIsBegunAnewHasAllThatWasFound(t *testing.T) {
	x := newTable(t)
	count := func(all, unfolded int, itself time.Time) {
		t.Helper()
		for range 2 {
			if a, u, at := x.Count(); a != all || u != unfolded || !at.Equal(itself) {
				t.Errorf("%d found, %d not folded in, since %s; want %d, %d, %s", a, u, at, all, unfolded, itself)
			}
			x.again()
		}
	}
	count(0, 0, time.Time{})
	_, err := x.Add(Transaction{TxID: "A", Round: 1}, Transaction{TxID: "B", Round: 2})
	must(t, err)
	count(2, 2, time.Time{})
	must(t, x.Began(time.Time{}))
	count(2, 0, time.Time{})
	_, err = x.Add(Transaction{TxID: "C", Round: 1})
	must(t, err)
	count(3, 1, time.Time{})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	must(t, x.Began(now))
	count(3, 0, now)
	must(t, x.Began(time.Time{})) // by the operator
	count(3, 0, now)
}

func TestWhatASourceHasMissedIsRememberedUntilItIsAsked(t *testing.T) {
	x := newTable(t)
	if m, some := x.Missed("A"); some {
		t.Errorf("%+v", m)
	}
	for _, r := range []Missed{{310, 320}, {321, 330}, {300, 305}, {331, 480}} {
		must(t, x.Miss("A", r.First, r.Last))
	}
	must(t, x.Miss("B", 1, 2))
	if m, _ := x.Missed("A"); m != (Missed{300, 480}) {
		t.Errorf("%+v", m)
	}
	x.again()
	m, some := x.Missed("A") // perhaps more than it was: it isn't written every time
	if !some || m.First != 300 || m.Last < 480 || m.Last > 480+apart {
		t.Errorf("after a crash: %+v", m)
	}
	must(t, x.Asked("A", Missed{300, 310})) // meanwhile it missed more
	if _, some = x.Missed("A"); !some {
		t.Error("it is forgotten too early")
	}
	must(t, x.Asked("A", m))
	x.again()
	if _, some = x.Missed("A"); some {
		t.Error("it would be asked again")
	}
	if m, _ := x.Missed("B"); m.First != 1 {
		t.Errorf("%+v", m)
	}
}

func TestASourceIsNewIfThereWereOthersBefore(t *testing.T) {
	x := newTable(t)
	for _, c := range []struct{ names, want string }{{"A", ""}, {"A", ""}, {"A B C", "B C"}, {"B", ""}, {"A D", "D"}} {
		must(t, x.Follow(strings.Fields(c.names), 500))
		var added []string
		for _, name := range []string{"A", "B", "C", "D"} {
			if m, some := x.Missed(name); some {
				added = append(added, name)
				if m.First != 1 || m.Last != 500 {
					t.Errorf("%s is to be asked for %+v", name, m)
				}
				must(t, x.Asked(name, m))
			}
		}
		if got := strings.Join(added, " "); got != c.want {
			t.Errorf("%s: new are %q, want %q", c.names, got, c.want)
		}
		must(t, x.Follow([]string{"E"}, 0))
		if m, some := x.Missed("E"); some {
			t.Errorf("nothing was passed, and it is to be asked for %+v", m)
		}
		x.again()
	}
}
