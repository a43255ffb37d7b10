package money

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/daybook"
)

// Terms are what may be spent: the reserve, and what a day may bring. They can change while the node runs. None at all,
// a nil, is no reserve but for other keys, and no limit.
type Terms struct {
	mu      sync.Mutex
	reserve microalgo.Amount
	limits  config.Limits
}

// NewTerms are those of a configuration.
func NewTerms(c config.Config) *Terms {
	t := &Terms{}
	t.Set(c)
	return t
}

// Set takes over those of another configuration.
func (t *Terms) Set(c config.Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reserve, t.limits = microalgo.Amount(c.Publish.Reserve), c.Limits
}

// Kept is what objects leave in the account, where so many collections can need another key.
func (t *Terms) Kept(rekey int, minFee uint64) microalgo.Amount {
	keys := (microalgo.PerAsset + microalgo.Amount(minFee)).Times(uint64(rekey))
	if t == nil {
		return keys
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.reserve, keys)
}

const keyPrefix = "key:" // begins the user that an API key acts as; no account's name has a colon

// Quota is what a day may bring by a user, an account or an API key; and by all. Who else publishes, the command line
// and feeds, has no limit of its own.
func (t *Terms) Quota(user string) daybook.Quota {
	q := t.quotaOfAll()
	if t == nil || user == auditlog.Operator || strings.Contains(user, " ") {
		return q
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.limits.Of(t.limits.Accounts, user)
	q.Name = "account " + user
	if name, is := strings.CutPrefix(user, keyPrefix); is {
		own, q.Name = t.limits.Of(t.limits.Keys, name), "API key "+name
	}
	q.User = limitOf(own.Objects, own.ALGO)
	return q
}

// quotaOfAll is what a day may bring by all.
func (t *Terms) quotaOfAll() (q daybook.Quota) {
	if t == nil {
		return q
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	q.All = limitOf(t.limits.Objects, t.limits.ALGO)
	return q
}

func limitOf(objects int64, money microalgo.Text) daybook.Limit {
	return daybook.Limit{Objects: uint64(objects), Money: microalgo.Amount(money)}
}

// Use is how much of a limit is used today.
type Use struct {
	// Of is whose it is: "account alice", "API key siem", or "" for this organisation's.
	Of          string           `json:"of,omitempty"`
	Objects     uint64           `json:"objects"`                 // that came in today
	MostObjects uint64           `json:"most_objects,omitzero"`   // 0: no limit
	Money       microalgo.Amount `json:"microalgo"`               // … and what they take at the lowest fee
	MostMoney   microalgo.Amount `json:"most_microalgo,omitzero"` // 0: no limit
	Reached     bool             `json:"reached"`                 // nothing more comes in, or nothing that needs an NFT
	Opens       time.Time        `json:"opens"`                   // when the next day begins
}

// Uses tells how much of each limit is used today, of those that anything was used of, and of the organisation's own.
func (t *Terms) Uses(book Book, at time.Time) (list []Use, err error) {
	today := daybook.DayOf(at)
	all := Use{Opens: (today + 1).Begin()}
	var total daybook.Sums
	err = book.Each(today, today, func(l daybook.Line) error {
		total.Add(l.Sums)
		if l.For != daybook.Objects || l.Taken == 0 || l.By == daybook.Others {
			return nil
		}
		if q := t.Quota(l.By); q.User != (daybook.Limit{}) {
			list = append(list, used(Use{Of: q.Name, Opens: all.Opens}, q.User, l.Sums))
		}
		return nil
	})
	if q := t.quotaOfAll(); err == nil && !q.IsNone() {
		list = append([]Use{used(all, q.All, total)}, list...)
	}
	return list, err
}

func used(u Use, most daybook.Limit, sums daybook.Sums) Use {
	u.Objects, u.MostObjects, u.Money, u.MostMoney = sums.Taken, most.Objects, sums.Promised, most.Money
	u.Reached = most.Objects > 0 && u.Objects >= most.Objects || most.Money > 0 && u.Money.Plus(microalgo.PerNFT) > most.Money
	return u
}

// String says it in words: "account alice has used 10 of 10 objects and 1.010000 of 2.000000 ALGO today".
func (u Use) String() string {
	whose := u.Of
	if whose == "" {
		whose = "this organisation"
	}
	var parts []string
	if u.MostObjects > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d objects", u.Objects, u.MostObjects))
	}
	if u.MostMoney > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s ALGO", u.Money, u.MostMoney))
	}
	text := fmt.Sprintf("%s has used %s today", whose, strings.Join(parts, " and "))
	if u.Reached {
		text += "; what it posts is refused until " + u.Opens.Format(time.RFC3339)
	}
	return text
}
