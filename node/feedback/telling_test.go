package feedback

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

const later1 = time.Hour // more than the first pauses

func (r *Room) given(t *testing.T, who taxii.Principal) taxii.Given {
	t.Helper()
	page, err := r.Given(t.Context(), who, taxii.GivenQuery{})
	nodetest.Must(t, err)
	return page
}

// What others could not be told is told later, also by a node that was started anew, and by one version of one opinion.
func TestWhatOthersCouldNotBeToldIsToldLaterAndOnce(t *testing.T) {
	w := newWorld(t)
	w.EnterBy(w.Founder.Address(), indicator(1, worldtest.FirstTime, ""))
	w.author.fails = errors.New("the disk is full")
	judged := w.give(publisher, taxii.Judgement{Object: indicatorID(1), Reason: taxii.ReasonShared})
	if judged.Untold == "" || judged.OpinionID == "" || w.given(t, reader).Untold != 1 || w.given(t, stranger).Untold != 0 {
		t.Errorf("%+v, %+v", judged, w.given(t, reader))
	}
	now := time.Now()
	w.tellDue(t.Context(), now) // it is not due
	if tries := w.given(t, reader).Given[0].Again; !tries.Equal(judged.Again) {
		t.Errorf("it was tried before its time, again %s", tries)
	}
	w.tellDue(t.Context(), now.Add(later1)) // in vain
	if again := w.given(t, reader).Given[0].Again; !again.After(now.Add(later1)) {
		t.Errorf("after a failure it is tried again %s", again)
	}
	w.author.fails = nil
	room := w.restarted()
	if room.given(t, reader).Untold != 1 {
		t.Error("a restart forgets whom nobody told")
	}
	room.tellDue(t.Context(), now.Add(2*later1))
	room.tellDue(t.Context(), now.Add(3*later1))
	said := room.given(t, reader)
	if len(w.author.sent) != 1 || said.Untold != 0 || said.Given[0].Untold != "" || said.Given[0].Status == "" || said.Given[0].OpinionID != judged.OpinionID {
		t.Errorf("told %d times, %+v", len(w.author.sent), said)
	}
	if value, _ := w.leaves(1, worldtest.FirstTime); !value {
		t.Error("it does not count here")
	}
}

// A node that ended between publishing and noting that publishes the same version again, which is no second one.
func TestACrashBeforeItIsNotedThatOthersWereToldSaysNothingElse(t *testing.T) {
	w := newWorld(t)
	w.EnterBy(w.Founder.Address(), indicator(1, worldtest.FirstTime, ""))
	w.author.fails = errors.New("ended")
	w.give(publisher, taxii.Judgement{Object: indicatorID(1), Reason: taxii.ReasonShared})
	w.author.fails = nil
	for range 2 { // neither notes anything
		w.restarted().tellDue(t.Context(), time.Now().Add(later1))
		d, _ := w.decided(indicatorID(1), w.Founder.Address())
		nodetest.Must(t, w.decide(d))
	}
	if len(w.author.sent) != 2 || fmt.Sprint(w.author.sent[0]) != fmt.Sprint(w.author.sent[1]) {
		t.Errorf("published were %v", w.author.sent)
	}
}

// Where the collection of the two can't be made yet, it counts here all the same.
func TestTheProducerIsToldOnceThereIsACollection(t *testing.T) {
	w := newWorld(t)
	w.EnterBy(w.Founder.Address(), indicator(1, worldtest.FirstTime, ""))
	w.author.closes = context.DeadlineExceeded
	judged := w.give(publisher, taxii.Judgement{Object: indicatorID(1), Reason: taxii.ReasonOurs, To: taxii.ToProducer})
	if value, _ := w.leaves(1, worldtest.FirstTime); !value || judged.Untold == "" || judged.OpinionID != "" {
		t.Errorf("%t, %+v", value, judged)
	}
	w.author.closes = nil
	w.restarted().tellDue(t.Context(), time.Now().Add(later1))
	if len(w.author.sent) != 1 || w.author.into[0] != w.Own || w.author.sent[0]["created"] != w.author.sent[0]["modified"] {
		t.Errorf("published were %v in %v", w.author.sent, w.author.into)
	}
}

func TestWhatWasTakenBackIsNotTold(t *testing.T) {
	w := newWorld(t)
	w.EnterBy(w.Founder.Address(), indicator(1, worldtest.FirstTime, ""))
	w.author.fails = errors.New("the disk is full")
	w.give(publisher, taxii.Judgement{Object: indicatorID(1), Reason: taxii.ReasonShared})
	w.author.fails = nil
	w.give(publisher, taxii.Judgement{Object: indicatorID(1), Undo: true})
	w.tellDue(t.Context(), time.Now().Add(later1))
	w.restarted().tellDue(t.Context(), time.Now().Add(later1))
	if len(w.author.sent) != 0 || len(w.given(t, reader).Given) != 0 {
		t.Errorf("published were %v", w.author.sent)
	}
}

func TestWhatMayNotBeSaidIsRefusedAndSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.EnterBy(w.Founder.Address(), indicator(1, worldtest.FirstTime, ""))
	w.author.fails = &taxii.InvalidError{Reason: "only the reserve is left"}
	var invalid *taxii.InvalidError
	if _, err := w.Give(t.Context(), publisher, taxii.Judgement{Object: indicatorID(1), Reason: taxii.ReasonShared}); !errors.As(err, &invalid) {
		t.Errorf("it is %v", err)
	}
	if said := w.given(t, reader); said.Untold != 1 || said.Given[0].Untold != "only the reserve is left" {
		t.Errorf("%+v", said)
	}
}

// A page of what is said costs what is on it, and pages give everything once, the newest first.
func TestPagesOfWhatIsSaidGiveEverythingOnce(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(t *rapid.T) {
		r := &Room{View: w.View, Index: w.Index, State: w.HostileWorld.State, Outbox: w.Outbox, Author: w.author, Log: w.Log, settings: settings{}}
		r.order(nil)
		r.Configure(config.Default())
		for range rapid.IntRange(0, 40).Draw(t, "decisions") {
			r.hold(decision{
				Object: indicatorID(rapid.IntRange(1, 12).Draw(t, "object")), Member: w.Founder.Address(), At: time.UnixMicro(rapid.Int64Range(1, 20).Draw(t, "at")).UTC(),
				Undone: rapid.Bool().Draw(t, "undone"), Opinion: taxii.Agree, To: taxii.ToNobody,
			})
		}
		var want, got []string
		var counts []decision
		for _, d := range r.decisions {
			if !d.Undone {
				counts = append(counts, d)
			}
		}
		slices.SortFunc(counts, func(a, b decision) int { return turnOf(b).compare(turnOf(a)) })
		for _, d := range counts {
			want = append(want, d.Object)
		}
		q := taxii.GivenQuery{Limit: rapid.IntRange(1, 5).Draw(t, "limit")}
		for {
			page, err := r.Given(context.Background(), reader, q)
			if err != nil || len(page.Given) > q.Limit {
				t.Fatalf("%d, %v", len(page.Given), err)
			}
			for _, one := range page.Given {
				got = append(got, one.Object)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pages have %v, want %v", got, want)
		}
	})
	for _, cursor := range []string{"x", "5", "-1/x", "9223372036854775807/x", "/"} {
		var invalid *taxii.InvalidError
		if _, err := w.Given(t.Context(), reader, taxii.GivenQuery{Cursor: cursor}); !errors.As(err, &invalid) {
			t.Errorf("the cursor %q: %v", cursor, err)
		}
	}
}
