package money

import (
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/daybook"
)

func TestTheReserveIsWhatIsSetAndNeverLessThanOtherKeysCost(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Publish.Reserve = 300_000
	terms := NewTerms(c)
	for rekey, want := range map[int]microalgo.Amount{0: 300_000, 2: 300_000, 3: 303_000} {
		if got := terms.Kept(rekey, 1000); got != want {
			t.Errorf("for %d collections it is %s, want %s", rekey, got, want)
		}
	}
	if got := (*Terms)(nil).Kept(2, 1000); got != 202_000 || !(*Terms)(nil).Quota("alice").IsNone() {
		t.Errorf("without terms it is %s", got)
	}
}

func TestObjectsLeaveTheReserveAndOthersDoNot(t *testing.T) {
	t.Parallel()
	p := NewPurse(605_000, 200_000, 1000)
	p.Spend(Object, 1)
	p.Spend(End, 2)
	for i, c := range []struct {
		sort Sort
		paid bool
	}{{Object, true}, {Object, true}, {Object, false}, {End, true}, {Record, true}, {Record, true}, {Record, false}, {End, true}} {
		if got := p.Pay(c.sort); got != c.paid {
			t.Errorf("payment %d: %t", i, got)
		}
	}
	if text := p.Lacking("A"); !strings.Contains(text, "account A has 0.605 ALGO to spend") || !strings.Contains(text, "reserve of 0.2") || !strings.Contains(text, "send it ALGO") {
		t.Errorf("it says %s", text)
	}
}

func TestTheLimitsThatAreUsedAreTold(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Limits = config.Limits{Objects: 100, Accounts: map[string]config.Limit{"alice": {Objects: 10, ALGO: 2_000_000}}, Keys: map[string]config.Limit{"*": {ALGO: 1_000_000}}}
	line := func(by string, objects uint64, money microalgo.Amount) daybook.Line {
		return daybook.Line{Day: day0, For: daybook.Objects, By: by, Sums: daybook.Sums{Taken: objects, Promised: money}}
	}
	yesterday := line("alice", 50, 0)
	yesterday.Day--
	b := book{lines: []daybook.Line{yesterday, line("alice", 10, 1_010_000), line("bob", 1, 101_000), line("feed misp", 5, 101_000), line("key:siem", 9, 909_000), line("operator", 2, 202_000)}}
	list, err := NewTerms(c).Uses(b, day0.Begin().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, u := range list {
		said = append(said, u.String())
	}
	want := `this organisation has used 27 of 100 objects today
account alice has used 10 of 10 objects and 1.01 of 2 ALGO today; what it posts is refused until 2024-10-05T00:00:00Z
API key siem has used 0.909 of 1 ALGO today; what it posts is refused until 2024-10-05T00:00:00Z`
	if got := strings.Join(said, "\n"); got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
}
