package accept

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/warnlist"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/taxii"
)

// warned says the same of every indicator.
type warned struct {
	class    warnlist.Class
	mistaken bool
	err      error
}

func (w warned) Warnings(object []byte) ([]warnlist.Warning, bool, error) {
	if !strings.Contains(string(object), `"indicator"`) || w.class == 0 {
		return nil, false, w.err
	}
	return []warnlist.Warning{{
		Value: observable.Value{Kind: observable.IPv4, Text: "10.0.0.1"}, Hits: []warnlist.Hit{{List: "Private", Class: w.class, Date: "2026-01-01"}},
	}}, w.mistaken, w.err
}

func TestWhatWarningListsSayIsARemarkOrARefusal(t *testing.T) {
	for _, c := range []struct {
		warned
		anyway                bool
		refused, noted, shown bool
	}{
		{warned: warned{class: warnlist.Hard, mistaken: true}, refused: true, shown: true},
		{warned: warned{class: warnlist.Hard, mistaken: true}, anyway: true, noted: true, shown: true},
		{warned: warned{class: warnlist.Hard}, noted: true, shown: true}, // as a part of a pattern
		{warned: warned{class: warnlist.Shared}, noted: true, shown: true},
		{warned: warned{class: warnlist.Context}, shown: true},
		{warned: warned{}},
	} {
		w := worldtest.NewFoundedWorld(t)
		p := publisherIn(w)
		p.Fees, p.Warner = fee(2000), c.warned
		a := taxii.Addition{Objects: taxii.Listed{{Raw: []byte(nodetest.IndicatorJSON(1))}}, Anyway: c.anyway}
		box := taxii.Collection{Root: "self", ID: w.Collection, CanWrite: true}
		rehearsed, err := p.Rehearse(t.Context(), taxii.Principal{}, box, a)
		nodetest.Must(t, err)
		o := rehearsed.Objects[0]
		if got := fmt.Sprint(o.Failure != "", o.Note != "", len(o.Warnings) == 1); got != fmt.Sprint(c.refused, c.noted, c.shown) {
			t.Errorf("%+v: refused, noted, shown are %s: %+v", c, got, o)
		}
		if c.refused && (!strings.Contains(o.Failure, "--publish-anyway") || !strings.Contains(o.Failure, "Private (hard, 2026-01-01)")) {
			t.Errorf("%+v: %s", c, o.Failure)
		}
		into, _ := w.State.Collection(w.Collection)
		id, err := p.Accept(taxii.Principal{User: "paul"}, box, into, a)
		nodetest.Must(t, err)
		lines, err := p.Outbox.StatusLines(id, 0)
		nodetest.Must(t, err)
		if refused := lines[0].Failure != ""; refused != c.refused || (lines[0].Note != "") != c.noted {
			t.Errorf("%+v: it becomes %+v", c, lines[0])
		}
	}
}

func TestNothingIsTakenWhileTheListsCanNotBeRead(t *testing.T) {
	w := worldtest.NewFoundedWorld(t)
	p := publisherIn(w)
	broken := errors.New("broken")
	p.Warner = warned{err: broken}
	into, _ := w.State.Collection(w.Collection)
	a := taxii.Addition{Objects: taxii.Listed{{Raw: []byte(nodetest.IndicatorJSON(1))}}}
	if _, err := p.Accept(taxii.Principal{}, taxii.Collection{ID: w.Collection}, into, a); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
