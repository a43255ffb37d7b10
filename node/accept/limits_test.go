package accept

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

func limited(w *worldtest.World, change func(*config.Limits)) *Publisher {
	p := publisherIn(w)
	c := config.Default()
	change(&c.Limits)
	p.Terms, p.Book, p.Fees = money.NewTerms(c), w.R.Daybook, fee(1000)
	return p
}

// What is more than a day may bring is refused, object by object, and where nothing else is left the whole request is.
func TestWhatIsMoreThanADayMayBringIsRefusedWithTheTimeWhenItOpensAgain(t *testing.T) {
	for _, c := range []struct {
		name, user string
		limits     config.Limits
		says       string
	}{
		{"an account", "alice", config.Limits{Accounts: map[string]config.Limit{"alice": {Objects: 2}, "*": {Objects: 1}}}, "limits.objects of account alice allows 2 objects, of which 2 are used"},
		{"everybody else", "bob", config.Limits{Accounts: map[string]config.Limit{"alice": {Objects: 1}, "*": {Objects: 2}}}, "limits.objects of account bob allows 2 objects"},
		{"an API key", "key:siem", config.Limits{Keys: map[string]config.Limit{"siem": {Objects: 2}}, Accounts: map[string]config.Limit{"*": {Objects: 1}}}, "limits.objects of API key siem allows 2 objects"},
		{"ALGO", "alice", config.Limits{Accounts: map[string]config.Limit{"alice": {ALGO: 250_000}}}, "limits.algo of account alice allows 0.25 ALGO, of which 0.202 are used"},
		{"the organisation", "alice", config.Limits{Objects: 2}, "limits.objects of this organisation allows 2 objects"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := worldtest.NewFoundedWorld(t)
			p := limited(w, func(l *config.Limits) { *l = c.limits })
			who, in := taxii.Principal{User: c.user}, taxii.Collection{ID: w.Collection}
			into, err := p.target(in)
			nodetest.Must(t, err)
			three := posts(nodetest.IndicatorJSON(1), nodetest.IndicatorJSON(2), nodetest.IndicatorJSON(3))
			rehearsal, err := p.Rehearse(t.Context(), who, in, three)
			if err != nil || rehearsal.Objects[1].Failure != "" || !strings.Contains(rehearsal.Objects[2].Failure, c.says) || rehearsal.Objects[2].Cost != 0 || rehearsal.AsSingle.NFTs != 2 {
				t.Errorf("a rehearsal tells %+v, %v", rehearsal, err)
			}
			id, err := p.Accept(who, in, into, three)
			nodetest.Must(t, err)
			lines, err := w.R.Outbox.StatusLines(id, 0)
			nodetest.Must(t, err)
			if lines[0].Failure != "" || lines[1].Failure != "" || !strings.Contains(lines[2].Failure, c.says) || !strings.Contains(lines[2].Failure, "opens again at 2") || lines[2].Item != 0 {
				t.Errorf("of three objects: %+v", lines)
			}
			var over *taxii.LimitError
			if _, err = p.Accept(who, in, into, posts(nodetest.IndicatorJSON(4))); !errors.As(err, &over) || !strings.Contains(over.Reason, c.says) || over.After <= 0 || over.After > 24*time.Hour {
				t.Errorf("a request of one more: %v", err)
			}
			if _, err = p.Accept(who, in, into, posts(nodetest.IndicatorJSON(1))); err != nil {
				t.Errorf("what came in already: %v", err)
			}
			if n := w.R.Outbox.Count()[outbox.Accepted]; n != 2 {
				t.Errorf("%d objects came in", n)
			}
			p.Terms.Set(config.Default()) // by SIGHUP
			if _, err = p.Accept(who, in, into, posts(nodetest.IndicatorJSON(3))); err != nil {
				t.Errorf("without limits: %v", err)
			}
		})
	}
}

// A feed comes again tomorrow with what is left: nothing of it is counted as refused for good.
func TestAFeedIsToldToComeAgainWhereADayIsFull(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	p := limited(w, func(l *config.Limits) { l.Objects, l.Accounts = 1, map[string]config.Limit{"*": {Objects: 1}} })
	in := taxii.Collection{ID: w.Collection}
	into, err := p.target(in)
	nodetest.Must(t, err)
	var over *taxii.LimitError
	if _, err := p.AcceptAs(taxii.Principal{User: "feed misp"}, in, into, posts(nodetest.IndicatorJSON(1), nodetest.IndicatorJSON(2)), outbox.Anchor{}); !errors.As(err, &over) {
		t.Errorf("a feed is told %v", err)
	}
	if _, err := p.Accept(taxii.Principal{User: "operator"}, in, into, posts(nodetest.IndicatorJSON(3))); !errors.As(err, &over) || !strings.Contains(err.Error(), "this organisation") {
		t.Errorf("the operator is told %v", err)
	}
}

// What a limit refuses was not published again: no feed may do that for whoever was refused.
func TestWhatALimitRefusesStaysTakenBack(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	memo := withdraw.TakenBackMemo(w.Collection, firstID)
	nodetest.Must(t, w.R.Outbox.SetMemo(memo, []byte{1}))
	p := limited(w, func(l *config.Limits) { l.Objects = 1 })
	who, in := taxii.Principal{User: "alice"}, taxii.Collection{ID: w.Collection}
	into, err := p.target(in)
	nodetest.Must(t, err)
	accept := func(objects ...string) { // which may all be refused
		var over *taxii.LimitError
		if _, err := p.Accept(who, in, into, posts(objects...)); err != nil && !errors.As(err, &over) {
			t.Fatal(err)
		}
	}
	back := func() bool {
		back, err := withdraw.KeepsOut(w.R.Outbox, w.Collection, firstID, nil, time.Now())
		nodetest.Must(t, err)
		return back
	}
	accept(nodetest.IndicatorJSON(2), nodetest.IndicatorJSON(1))
	if accept(nodetest.IndicatorJSON(1)); !back() {
		t.Error("refused by a limit, it is shared again")
	}
	p.Terms.Set(config.Default())
	if accept(nodetest.IndicatorJSON(1)); back() {
		t.Error("taken in, it is taken back still")
	}
	nodetest.Must(t, w.R.Outbox.SetMemo(memo, []byte{1}))
	if accept(nodetest.DescribedIndicator(1, "other")); !back() {
		t.Error("refused for its content, it is shared again")
	}
	if accept(nodetest.IndicatorJSON(1)); back() {
		t.Error("on its way, and posted once more, it is taken back still")
	}
}

// What a limit refuses is no part of what a dry run says that a request costs, either way.
func TestARehearsalCountsNoCostsOfWhatALimitRefuses(t *testing.T) {
	for _, c := range []struct{ most, nfts, batches int }{{0, 7, 3}, {5, 5, 2}, {4, 4, 2}, {3, 3, 1}} {
		w := worldtest.NewFoundedWorld(t)
		p := limited(w, func(l *config.Limits) { l.Objects = int64(c.most) })
		p.Anchor = outbox.Anchor{From: 2, Most: 3, Bytes: 1 << 20}
		who, in := taxii.Principal{User: "alice"}, taxii.Collection{ID: w.Collection}
		into, err := p.target(in)
		nodetest.Must(t, err)
		var seven []string
		for n := range 7 {
			seven = append(seven, nodetest.IndicatorJSON(n))
		}
		r, err := p.Rehearse(t.Context(), who, in, posts(seven...))
		if err != nil || r.AsSingle.NFTs != c.nfts || r.AsBatch.NFTs != c.batches || !r.Batched {
			t.Errorf("of a limit of %d: %+v or %+v, %v", c.most, r.AsSingle, r.AsBatch, err)
		}
		_, err = p.Accept(who, in, into, posts(seven...))
		nodetest.Must(t, err)
		if c.most == 0 {
			continue
		}
		r, err = p.Rehearse(t.Context(), who, in, posts(nodetest.IndicatorJSON(8), nodetest.IndicatorJSON(9)))
		if err != nil || r.AsSingle != (taxii.Price{}) || r.AsBatch != (taxii.Price{}) || r.Objects[1].Failure == "" {
			t.Errorf("when a limit of %d is reached: %+v or %+v, %v", c.most, r.AsSingle, r.AsBatch, err)
		}
	}
}
