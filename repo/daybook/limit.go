package daybook

import (
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

// Limit is what a day may take in, at most; 0 is no limit. Money is the fees and deposits of what is taken in, at the
// lowest fee.
type Limit struct {
	Objects uint64
	Money   microalgo.Amount
}

// Quota bounds what one user and all users together may publish in a day. What is counted is what came in, not what is
// on the chain: so it holds for what is posted at the same time, and for what waits.
type Quota struct {
	Name string // of whom User is the limit, for people: "account alice"
	User Limit
	All  Limit
}

// IsNone reports whether nothing is bounded.
func (q Quota) IsNone() bool { return q.User == Limit{} && q.All == Limit{} }

// OverError is why something is not taken in.
type OverError struct {
	Limit string // which: "limits.objects of account alice"
	Most  string // how much: "100 objects"
	Used  string
	Opens time.Time // when the next day begins
}

func (e *OverError) Error() string {
	return fmt.Sprintf("the limit for a day is reached: %s allows %s, of which %s are used; it opens again at %s", e.Limit, e.Most, e.Used, e.Opens.Format(time.RFC3339))
}

// Tally counts what comes in on a day, against a quota.
type Tally struct {
	quota     Quota
	day       Day
	by        string
	user, all Sums
}

// Begin reads what came in on a day so far, by a user and by all.
func Begin(txn *kv.Txn, quota Quota, by string, day Day) (*Tally, error) {
	t := &Tally{quota: quota, day: day, by: by}
	if quota.IsNone() {
		return t, nil
	}
	err := each(txn, day, day, func(line Line) error {
		if t.all.Add(line.Sums); line.For == Objects && line.By == by {
			t.user.Add(line.Sums)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading what came in today: %w", err)
	}
	return t, nil
}

// Take counts an object that takes so much money, or says why it must not come in.
func (t *Tally) Take(money microalgo.Amount) *OverError {
	for _, one := range []struct {
		whose string
		limit Limit
		used  Sums
	}{{" of " + t.quota.Name, t.quota.User, t.user}, {" of this organisation", t.quota.All, t.all}} {
		if most := one.limit.Objects; most > 0 && one.used.Taken >= most {
			return t.over("limits.objects"+one.whose, fmt.Sprintf("%d objects", most), fmt.Sprint(one.used.Taken))
		}
		if most := one.limit.Money; most > 0 && money > 0 && one.used.Promised.Plus(money) > most {
			return t.over("limits.algo"+one.whose, most.String()+" ALGO", one.used.Promised.String())
		}
	}
	more := Sums{Taken: 1, Promised: money}
	t.user.Add(more)
	t.all.Add(more)
	return nil
}

func (t *Tally) over(limit, most, used string) *OverError {
	return &OverError{Limit: limit, Most: most, Used: used, Opens: (t.day + 1).Begin()}
}

// Tally reads what came in on a day so far, by a user and by all.
func (b *Book) Tally(quota Quota, by string, day Day) (t *Tally, err error) {
	err = b.store.Read(func(txn *kv.Txn) error {
		t, err = Begin(txn, quota, by, day)
		return err
	})
	return t, err
}
