package health

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/outbox"
)

// spends has objects confirmed that cost 0.101 ALGO each, some days ago.
func (o *observed) spends(daysAgo, objects int) {
	o.T.Helper()
	o.R.Outbox.Now = func() time.Time { return time.Now().AddDate(0, 0, -daysAgo) }
	for i := range objects {
		name := fmt.Sprint(daysAgo, " days ago, ", i)
		items, err := o.R.Outbox.Accept([]outbox.Submission{{Item: outbox.Item{Key: []byte(name), Note: wire.Note{Kind: wire.KindObject}, User: "alice"}}})
		nodetest.Must(o.T, err)
		_, err = o.R.Outbox.AddGroups([]outbox.Group{{TxIDs: []string{name}, Fees: []uint64{1000}}}, items)
		nodetest.Must(o.T, err)
		_, err = o.R.Outbox.Confirm([]consortium.Place{{TxID: name, Round: 5, Asset: 6}})
		nodetest.Must(o.T, err)
	}
}

func TestTheMoneyIsForeseenAndWarnedOfBeforeItEnds(t *testing.T) {
	o := newObserved(t)
	o.parts.funds = ledger.Funds{Amount: 1_000_000, Locked: 100_000}
	o.spends(0, 7)
	metric := func(name string) bool {
		return slices.ContainsFunc(strings.Split(o.scrape(), "\n"), func(line string) bool { return strings.HasPrefix(line, name+" ") })
	}
	warned := func() bool {
		return slices.ContainsFunc(o.status().Trouble(), func(line string) bool { return strings.HasPrefix(line, "account: what objects can spend lasts") })
	}
	if s := o.status(); !s.Money.Known || s.Money.Spendable != 900_000 || s.Money.Forecast.Rate != 707_000 || s.Money.Forecast.Lasts == nil || warned() || metric("slnode_account_lasts_days") {
		t.Errorf("on the first day it is %+v, warned: %t", s.Money, warned())
	}
	o.spends(10, 1) // the book is older than a week
	s := o.status()
	if f := s.Money.Forecast; f.Lasts == nil || *f.Lasts < 8 || *f.Lasts > 11 || !warned() || !metric("slnode_account_lasts_days") || !metric("slnode_account_spent_microalgo_a_day") {
		t.Errorf("after ten days it is %+v, warned: %t", s.Money, warned())
	}
	o.parts.funds.Amount *= 100
	if f := o.status().Money.Forecast; f.Lasts == nil || *f.Lasts < 800 || warned() {
		t.Errorf("with more of it it is %s, warned: %t", f, warned())
	}
	o.parts.poor = errors.New("algod is away")
	if s := o.status(); s.Money.Known || s.Money.Forecast.Lasts != nil || s.Money.Forecast.Rate == 0 || metric("slnode_account_lasts_days") {
		t.Errorf("without a balance it is %+v", s.Money)
	}
}
