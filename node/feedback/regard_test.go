package feedback

import (
	"errors"
	"slices"
	"testing"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

func TestWhatIsHeldOfAnObjectAndWhatCanBeDoneIsToldBeforeItIsDone(t *testing.T) {
	w := newWorld(t)
	mine, theirs := indicatorID(1), indicatorID(2)
	w.EnterBy(w.HostileWorld.State.Self, indicator(1, "2026-01-02T03:04:05.678Z", ""))
	w.EnterBy(w.Founder.Address(), indicator(2, "2026-01-02T03:04:05.678Z", ""))
	w.says(w.Mallory, theirs, taxii.Disagree)
	w.says(w.Founder, mine, taxii.StronglyDisagree)
	us, founder := w.HostileWorld.State.Name(w.HostileWorld.State.Own()), w.HostileWorld.State.Name(w.Founder.Address())
	regard := func(who taxii.Principal, object, member string) taxii.Regard {
		t.Helper()
		about, err := w.Regard(t.Context(), who, object, member)
		nodetest.Must(t, err)
		return about
	}

	about := regard(publisher, theirs, founder)
	if about.Own || about.Said != nil || !about.Begins || about.Places != 0 || !slices.Equal(about.To, []string{taxii.ToProducer, taxii.ToCollection, taxii.ToNobody}) {
		t.Errorf("of another's object is told %+v", about)
	}
	if len(about.Others) != 1 || about.Others[0].Opinion != taxii.Disagree || about.Others[0].State != "" {
		t.Errorf("of it is said %+v", about.Others)
	}
	w.give(publisher, taxii.Judgement{Object: theirs, Member: founder, Reason: taxii.ReasonOurs, To: taxii.ToNobody})
	if about = regard(publisher, theirs, founder); about.Said == nil || about.Said.Reason != taxii.ReasonOurs {
		t.Errorf("what is held of it is %+v", about.Said)
	}
	w.author.closed = true
	if about = regard(publisher, theirs, founder); slices.Contains(about.To, taxii.ToCollection) {
		t.Errorf("where nothing may be published it can be said: %v", about.To)
	}

	if about = regard(publisher, mine, us); !about.Own || about.Places != 1 || about.To != nil || len(about.Others) != 1 || about.Others[0].State != taxii.InboxOpen {
		t.Errorf("of an own object is told %+v", about)
	}
	if about = regard(reader, mine, us); about.Places != 0 || len(about.Others) != 1 {
		t.Errorf("to a reader is told %+v", about)
	}
	if about = regard(reader, theirs, founder); about.To != nil {
		t.Errorf("a reader may say something: %v", about.To)
	}
	for _, object := range []string{mine, theirs} {
		for _, member := range []string{us, founder} {
			if about, err := w.Regard(t.Context(), stranger, object, member); err == nil {
				t.Errorf("who may not read %s is told %+v", object, about)
			}
		}
	}
	if _, err := w.Regard(t.Context(), taxii.Principal{}, theirs, founder); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("nobody is answered with %v", err)
	}
}

func TestAReadersWordStaysHere(t *testing.T) {
	w := newWorld(t, func(q *config.Quality) { q.ReaderFeedback = true })
	w.EnterBy(w.Founder.Address(), indicator(2, "2026-01-02T03:04:05.678Z", ""))
	about, err := w.Regard(t.Context(), reader, indicatorID(2), w.HostileWorld.State.Name(w.Founder.Address()))
	nodetest.Must(t, err)
	if !slices.Equal(about.To, []string{taxii.ToNobody}) {
		t.Errorf("a reader may tell %v", about.To)
	}
}
