package feedback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

func TestAFalsePositiveCountsHereAtOnceAndTellsOthers(t *testing.T) {
	w := newWorld(t)
	w.EnterBy(w.Founder.Address(), indicator(1, worldtest.FirstTime, ""))
	w.EnterBy(w.Founder.Address(), indicator(2, worldtest.FirstTime, ""))
	before, _, err := w.Judged()
	nodetest.Must(t, err)
	judged := w.give(publisher, taxii.Judgement{Object: indicatorID(1), Reason: taxii.ReasonOurs, Text: "our mail relay"})
	if judged.To != taxii.ToCollection || judged.Member != "founder" || !slices.Equal(judged.Values, []string{"203.0.113.1"}) || judged.Status == "" {
		t.Errorf("%+v", judged)
	}
	o := w.author.sent[0]
	if o["type"] != "opinion" || o["opinion"] != "strongly-disagree" || o["explanation"] != "false positive: our own: our mail relay" || o["created_by_ref"] != identityID ||
		fmt.Sprint(o["object_refs"]) != "["+indicatorID(1)+"]" || fmt.Sprint(o["object_marking_refs"]) != "["+stix.Green.Marking()+"]" || w.author.into[0] != w.Collection {
		t.Errorf("the opinion is %v in %s", o, w.author.into[0])
	}
	if value, object := w.leaves(1, worldtest.SecondTime); !value || object {
		t.Errorf("lists leave out the value: %t, a later version: %t", value, object)
	}
	w.give(publisher, taxii.Judgement{Object: indicatorID(2), Reason: taxii.ReasonExpired})
	if value, object := w.leaves(2, worldtest.FirstTime); value || !object {
		t.Errorf("what expired: lists leave out the value: %t, the version: %t", value, object)
	}
	if _, object := w.leaves(2, worldtest.SecondTime); object {
		t.Error("a later version of what expired is left out")
	}
	after, _, err := w.Judged()
	if nodetest.Must(t, err); after == before {
		t.Error("lists are another ones, and don't say so")
	}
	// A restart changes nothing.
	again := w.restarted()
	if digest, _, err := again.Judged(); err != nil || digest != after {
		t.Errorf("after a restart: %s, %v; before it %s", digest, err, after)
	}
	// The same again says nothing new; something else is a later version of the same opinion.
	w.give(publisher, taxii.Judgement{Object: indicatorID(1), Reason: taxii.ReasonOurs, Text: "our mail relay"})
	if len(w.author.sent) != 2 {
		t.Errorf("%d opinions", len(w.author.sent))
	}
	w.give(publisher, taxii.Judgement{Object: indicatorID(1), Opinion: taxii.Agree})
	if last := w.author.sent[2]; last["id"] != o["id"] || last["created"] != o["created"] || fmt.Sprint(last["modified"]) <= fmt.Sprint(o["modified"]) || last["opinion"] != "agree" {
		t.Errorf("then it is %v", last)
	}
	if value, object := w.leaves(1, worldtest.FirstTime); value || object {
		t.Error("what is agreed to is left out")
	}
	w.give(publisher, taxii.Judgement{Object: indicatorID(2), Undo: true})
	if last := w.author.sent[3]; last["revoked"] != true {
		t.Errorf("taken back it is %v", last)
	}
	if page, err := w.Given(t.Context(), reader, taxii.GivenQuery{}); err != nil || len(page.Given) != 1 || page.Given[0].Object != indicatorID(1) || page.Next != "" {
		t.Errorf("given is %+v, %v", page, err)
	}
}

func TestFeedbackGoesToTheProducerAloneWhereTheCollectionIsClosedOrItIsAskedFor(t *testing.T) {
	w := newWorld(t)
	w.EnterBy(w.Founder.Address(), indicator(1, worldtest.FirstTime, ""))
	w.give(publisher, taxii.Judgement{Object: indicatorID(1), Reason: taxii.ReasonShared, To: taxii.ToProducer})
	w.EnterBy(w.Mallory.Address(), indicator(2, worldtest.FirstTime, ""))
	w.author.closed = true
	judged := w.give(publisher, taxii.Judgement{Object: indicatorID(2), Reason: taxii.ReasonShared})
	if fmt.Sprint(w.author.members) != "[founder mallory]" || judged.To != taxii.ToProducer || w.author.into[1] != w.Own {
		t.Errorf("for %v, %+v", w.author.members, judged)
	}
	w.EnterBy(w.Mallory.Address(), indicator(3, worldtest.FirstTime, ""))
	var invalid *taxii.InvalidError
	if _, err := w.Give(t.Context(), publisher, taxii.Judgement{Object: indicatorID(3), Reason: taxii.ReasonShared, To: taxii.ToCollection}); !errors.As(err, &invalid) {
		t.Errorf("into a closed collection: %v", err)
	}
	// What keeps it from being published does not keep it from counting here.
	w.author.fails = errors.New("the disk is full")
	if judged := w.give(publisher, taxii.Judgement{Object: indicatorID(3), Reason: taxii.ReasonShared}); judged.Untold == "" || judged.Again.IsZero() || strings.Contains(judged.Untold, "disk") {
		t.Errorf("unpublished: %+v", judged)
	}
	if value, _ := w.leaves(3, worldtest.FirstTime); !value {
		t.Error("what could not be published does not count")
	}
}

func TestWhoMaySayWhat(t *testing.T) {
	w := newWorld(t)
	w.EnterBy(w.Founder.Address(), indicator(1, worldtest.FirstTime, ""))
	w.EnterBy(w.HostileWorld.State.Self, indicator(2, worldtest.FirstTime, ""))
	fine := taxii.Judgement{Object: indicatorID(1), Reason: taxii.ReasonShared}
	with := func(change func(*taxii.Judgement)) taxii.Judgement {
		g := fine
		change(&g)
		return g
	}
	for name, c := range map[string]struct {
		who  taxii.Principal
		g    taxii.Judgement
		want error
	}{
		"a reader":               {reader, fine, taxii.ErrForbidden},
		"nobody":                 {taxii.Principal{}, fine, taxii.ErrForbidden},
		"who may not read it":    {stranger, fine, taxii.ErrNotFound},
		"of what is not there":   {publisher, with(func(g *taxii.Judgement) { g.Object = indicatorID(9) }), taxii.ErrNotFound},
		"of another member's":    {publisher, with(func(g *taxii.Judgement) { g.Member = "mallory" }), taxii.ErrNotFound},
		"of one's own":           {publisher, with(func(g *taxii.Judgement) { g.Object = indicatorID(2) }), &taxii.InvalidError{}},
		"without a reason":       {publisher, with(func(g *taxii.Judgement) { g.Reason = "" }), &taxii.InvalidError{}},
		"an unknown reason":      {publisher, with(func(g *taxii.Judgement) { g.Reason = "because" }), &taxii.InvalidError{}},
		"other without words":    {publisher, with(func(g *taxii.Judgement) { g.Reason = taxii.ReasonOther }), &taxii.InvalidError{}},
		"an unknown opinion":     {publisher, with(func(g *taxii.Judgement) { g.Opinion = "hm" }), &taxii.InvalidError{}},
		"a reason to agree":      {publisher, with(func(g *taxii.Judgement) { g.Opinion = taxii.Agree }), &taxii.InvalidError{}},
		"to somebody":            {publisher, with(func(g *taxii.Judgement) { g.To = "all" }), &taxii.InvalidError{}},
		"a long text":            {publisher, with(func(g *taxii.Judgement) { g.Text = strings.Repeat("x", 1001) }), &taxii.InvalidError{}},
		"undoing what is unsaid": {publisher, with(func(g *taxii.Judgement) { g.Undo = true }), taxii.ErrNotFound},
	} {
		_, err := w.Give(t.Context(), c.who, c.g)
		var invalid *taxii.InvalidError
		if is := errors.As(err, &invalid); !errors.Is(err, c.want) && !(is && errors.As(c.want, &invalid)) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if len(w.author.sent) > 0 {
		t.Errorf("published were %v", w.author.sent)
	}
	// Where readers' word counts it is kept here, and publishes nothing.
	c := config.Default()
	c.Quality.ReaderFeedback = true
	w.Configure(c)
	judged := w.give(reader, fine)
	if value, _ := w.leaves(1, worldtest.FirstTime); !value || judged.To != taxii.ToNobody || len(w.author.sent) > 0 {
		t.Errorf("%t, %+v, %v", value, judged, w.author.sent)
	}
	w.Configure(config.Default())
	if value, _ := w.leaves(1, worldtest.FirstTime); value {
		t.Error("readers' word counts when it should not any more")
	}
	w.give(publisher, fine)
	w.Configure(c)
	if _, err := w.Give(t.Context(), reader, taxii.Judgement{Object: indicatorID(1), Opinion: taxii.Agree}); err == nil {
		t.Error("a reader changes what others were told")
	}
}

// A member can say what it likes, as often as it likes: it is one voice, and changes nobody's lists by itself.
func TestAMemberIsOneVoiceAndHidesNothing(t *testing.T) {
	w := newWorld(t)
	w.EnterBy(w.HostileWorld.State.Self, indicator(1, worldtest.FirstTime, ""))
	w.EnterBy(w.Founder.Address(), indicator(2, worldtest.FirstTime, ""))
	for range 30 {
		w.says(w.Mallory, indicatorID(1), taxii.StronglyDisagree)
		w.says(w.Mallory, indicatorID(2), taxii.StronglyDisagree)
	}
	if value, object := w.leaves(1, worldtest.FirstTime); value || object {
		t.Error("what one member says is left out")
	}
	box := w.inbox(publisher, taxii.InboxQuery{})
	if box.Open != 1 || len(box.Items) != 1 || box.Items[0].Member != "mallory" || box.Items[0].Object != indicatorID(1) || box.Items[0].Text != "no  harm" || box.Items[0].Reason != "shared" {
		t.Errorf("the inbox is %+v", box)
	}
	c := config.Default()
	c.Quality.DisputedBy = 2
	w.Configure(c)
	if _, object := w.leaves(1, worldtest.FirstTime); object {
		t.Error("one member is two")
	}
	w.says(w.Founder, indicatorID(1), taxii.Disagree)
	if _, object := w.leaves(1, worldtest.FirstTime); !object {
		t.Error("two members dispute it, and it is not left out")
	}
	w.says(w.Founder, indicatorID(1), taxii.Agree)
	if _, object := w.leaves(1, worldtest.FirstTime); object {
		t.Error("a member's last word is not the one that counts")
	}
	w.says(w.Founder, indicatorID(1), taxii.Disagree)
	w.Removes(w.Mallory)
	w.Room.mu.Lock()
	w.Room.left.at = time.Time{} // some time passes
	w.Room.mu.Unlock()
	if _, object := w.leaves(1, worldtest.FirstTime); object {
		t.Error("a member that was removed is heard")
	}
}

func TestTheInboxTellsWhatWasDone(t *testing.T) {
	w := newWorld(t)
	for n := 1; n <= 3; n++ {
		w.EnterBy(w.HostileWorld.State.Self, indicator(n, worldtest.FirstTime, ""))
		w.says(w.Mallory, indicatorID(n), taxii.Disagree)
	}
	w.says(w.Founder, indicatorID(3), taxii.Agree)
	states := func() string {
		box := w.inbox(publisher, taxii.InboxQuery{All: true})
		var list []string
		for _, i := range slices.Backward(box.Items) {
			list = append(list, i.Object[len("indicator--"):][:8]+" "+i.State)
		}
		return fmt.Sprint(box.Open, list)
	}
	if got := states(); got != "3 [00000001 open 00000002 open 00000003 open 00000003 open]" {
		t.Fatal(got)
	}
	if box := w.inbox(publisher, taxii.InboxQuery{}); len(box.Items) != 3 {
		t.Errorf("what agrees waits for an answer: %+v", box.Items)
	}
	done, err := w.Respond(t.Context(), publisher, taxii.Response{Object: indicatorID(1), Answer: taxii.AnswerRevoke})
	nodetest.Must(t, err)
	if last := w.author.sent[0]; last["revoked"] != true || last["pattern"] != "[ipv4-addr:value = '203.0.113.1']" || done.State != taxii.InboxRevoked || len(done.Versions) != 1 {
		t.Errorf("%v, %+v", last, done)
	}
	if _, err := w.Respond(t.Context(), publisher, taxii.Response{Object: indicatorID(1), Answer: taxii.AnswerRevoke}); err == nil {
		t.Error("it is revoked twice")
	}
	_, err = w.Respond(t.Context(), publisher, taxii.Response{Object: indicatorID(2), Answer: taxii.AnswerCorrect, Next: json.RawMessage(indicator(2, worldtest.SecondTime, `"confidence":10,`))})
	nodetest.Must(t, err)
	_, err = w.Respond(t.Context(), publisher, taxii.Response{Object: indicatorID(3), Answer: taxii.AnswerKeep, Text: "we saw it"})
	nodetest.Must(t, err)
	if got := states(); got != "0 [00000001 revoked 00000002 corrected 00000003 kept 00000003 kept]" {
		t.Error(got)
	}
	w.says(w.Mallory, indicatorID(3), taxii.StronglyDisagree)
	if got := states(); !strings.HasPrefix(got, "1 [") || !strings.HasSuffix(got, "00000003 open]") {
		t.Errorf("who says it again is not heard: %s", got)
	}
	if box := w.inbox(stranger, taxii.InboxQuery{All: true}); len(box.Items)+box.Open != 0 {
		t.Errorf("a limited account reads %+v", box)
	}
	page := w.inbox(publisher, taxii.InboxQuery{All: true, Limit: 2})
	rest := w.inbox(publisher, taxii.InboxQuery{All: true, Limit: 2, Cursor: page.Next})
	if len(page.Items) != 2 || len(rest.Items) != 2 || rest.Next != "" || page.Items[1].OpinionID == rest.Items[0].OpinionID {
		t.Errorf("in pages: %+v, then %+v", page, rest)
	}
}

func TestAnObjectIsAnsweredForOnceItIsSoWhereverItIs(t *testing.T) {
	w := newWorld(t)
	us := w.HostileWorld.State.Self
	w.EnterBy(us, indicator(1, worldtest.FirstTime, ""))
	w.enterIn(w.Own, us, indicator(1, worldtest.FirstTime, ""))
	w.says(w.Mallory, indicatorID(1), taxii.Disagree)
	revoked := indicator(1, worldtest.SecondTime, `"revoked":true,`)
	w.EnterBy(us, revoked)
	if box := w.inbox(publisher, taxii.InboxQuery{}); box.Open != 1 || len(box.Items) != 1 {
		t.Errorf("revoked in one of two collections it is answered: %+v", box)
	}
	about, err := w.Regard(t.Context(), publisher, indicatorID(1), w.HostileWorld.State.Name(w.HostileWorld.State.Own()))
	if err != nil || about.Places != 1 || !about.Revoked {
		t.Errorf("%+v, %v", about, err)
	}
	_, err = w.Respond(t.Context(), publisher, taxii.Response{Object: indicatorID(1), Answer: taxii.AnswerRevoke})
	nodetest.Must(t, err)
	if len(w.author.sent) != 1 || w.author.into[0] != w.Own || w.author.sent[0]["modified"] != worldtest.SecondTime || w.author.sent[0]["revoked"] != true {
		t.Errorf("published is %v in %v", w.author.sent, w.author.into)
	}
	if box := w.inbox(publisher, taxii.InboxQuery{All: true}); box.Open != 0 || box.Items[0].State != taxii.InboxRevoked {
		t.Errorf("revoked everywhere it is %+v", box)
	}
	if _, err = w.Respond(t.Context(), publisher, taxii.Response{Object: indicatorID(1), Answer: taxii.AnswerRevoke}); !errors.Is(err, errRevoked) {
		t.Errorf("once more: %v", err)
	}
}

func TestOfAFullInboxAThousandAreCounted(t *testing.T) {
	w := newWorld(t)
	w.disputes(w.Mallory, taxii.MostOpen)
	if box := w.inbox(publisher, taxii.InboxQuery{Limit: 1}); box.Open != taxii.MostOpen || box.OpenMore {
		t.Errorf("%d are %d, more: %t", taxii.MostOpen, box.Open, box.OpenMore)
	}
	w.says(w.Founder, indicatorID(1), taxii.Disagree)
	if box := w.inbox(publisher, taxii.InboxQuery{Limit: 1}); box.Open != taxii.MostOpen || !box.OpenMore || box.Items[0].Member != "founder" {
		t.Errorf("one more is %d, more: %t", box.Open, box.OpenMore)
	}
}

func TestWhatWasAnsweredIsLookedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.disputes(w.Mallory, 10)
	for i := range 9 {
		_, err := w.Respond(t.Context(), publisher, taxii.Response{Object: indicatorID(i), Answer: taxii.AnswerKeep})
		nodetest.Must(t, err)
	}
	for _, want := range []int{9, 0} { // voices that are looked at in vain
		l := w.look(publisher, "", false)
		if n, more, err := l.open(t.Context()); n != 1 || more || err != nil || l.idle != want {
			t.Errorf("%d, %t wait, %v; %d were looked at in vain, not %d", n, more, err, l.idle, want)
		}
	}
}

func TestWhatCantBeAnsweredSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.EnterBy(w.HostileWorld.State.Self, indicator(1, worldtest.SecondTime, ""))
	w.EnterBy(w.HostileWorld.State.Self, `{"type":"domain-name","spec_version":"2.1","id":"domain-name--bedb4899-d24b-5401-bc86-8f6b4cc18ec7","value":"x.example"}`)
	w.EnterBy(w.Founder.Address(), indicator(2, worldtest.FirstTime, ""))
	for name, c := range map[string]struct {
		r    taxii.Response
		says string
	}{
		"an observable":      {taxii.Response{Object: "domain-name--bedb4899-d24b-5401-bc86-8f6b4cc18ec7", Answer: taxii.AnswerRevoke}, "slnode withdraw"},
		"another's":          {taxii.Response{Object: indicatorID(2), Answer: taxii.AnswerRevoke}, "not found"},
		"a word":             {taxii.Response{Object: indicatorID(1), Answer: "hm"}, "none of revoke"},
		"no version":         {taxii.Response{Object: indicatorID(1), Answer: taxii.AnswerCorrect}, "next"},
		"an earlier version": {taxii.Response{Object: indicatorID(1), Answer: taxii.AnswerCorrect, Next: json.RawMessage(indicator(1, worldtest.FirstTime, ""))}, "later than"},
		"another object":     {taxii.Response{Object: indicatorID(1), Answer: taxii.AnswerCorrect, Next: json.RawMessage(indicator(2, worldtest.ThirdTime, ""))}, "another object"},
	} {
		if _, err := w.Respond(t.Context(), publisher, c.r); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.Respond(t.Context(), reader, taxii.Response{Object: indicatorID(1), Answer: taxii.AnswerRevoke}); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("a reader: %v", err)
	}
	next, err := w.Next(publisher, indicatorID(1))
	nodetest.Must(t, err)
	nodetest.Must(t, succeeds(mustEntry(t, w, 1), next))
}

func TestWhatIsSaidOfOursIsToldAndNothingElse(t *testing.T) {
	w := newWorld(t)
	w.EnterBy(w.HostileWorld.State.Self, indicator(1, worldtest.FirstTime, ""))
	w.EnterBy(w.Founder.Address(), indicator(2, worldtest.FirstTime, ""))
	w.says(w.Mallory, indicatorID(1), taxii.Disagree)
	w.says(w.Mallory, indicatorID(2), taxii.Disagree)
	w.says(w.Mallory, indicatorID(1), "nonsense")
	w.says(w.Mallory, indicatorID(1), taxii.Disagree, `"revoked":true,`)
	w.EnterBy(w.HostileWorld.State.Self, w.opinion("opinion--0000ffff-27d4-4cbf-938f-98ee46b3cd3f", "2026-03-01T00:00:00.000Z", indicatorID(1), taxii.Agree))
	var told []taxii.FeedbackEvent
	entries, _, err := w.View.Page(everyVersion)
	nodetest.Must(t, err)
	for _, e := range entries {
		some, err := w.About(e.Object, e.DateAdded)
		nodetest.Must(t, err)
		told = append(told, some...)
	}
	if len(told) != 1 || told[0].Object != indicatorID(1) || told[0].Member != "mallory" || told[0].Opinion != taxii.Disagree {
		t.Errorf("told is %+v", told)
	}
}

// However opinions come, change and leave: what is followed is what is read anew.
func TestFollowingOpinionsIsReadingThemAnew(t *testing.T) {
	w := newWorld(t, func(q *config.Quality) { q.DisputedBy = 1 })
	var assets []uint64
	times := 0
	rapid.Check(t, func(r *rapid.T) {
		for range rapid.IntRange(1, 6).Draw(r, "steps") {
			member := rapid.SampledFrom([]*nodetest.Org{w.Founder, w.Mallory}).Draw(r, "member")
			object := indicatorID(rapid.IntRange(1, 4).Draw(r, "object"))
			switch rapid.IntRange(0, 6).Draw(r, "step") {
			case 6:
				times++
				asset := w.EnterBy(w.HostileWorld.State.Self, indicator(rapid.IntRange(1, 4).Draw(r, "own"), time.Unix(1_800_000_000+int64(times), 0).UTC().Format("2006-01-02T15:04:05.000Z"), ""))
				assets = append(assets, asset)
			case 5:
				_, err := w.Respond(t.Context(), publisher, taxii.Response{Object: object, Answer: taxii.AnswerKeep})
				if err != nil && !errors.Is(err, taxii.ErrNotFound) {
					r.Fatal(err)
				}
			case 4:
				pages(r, w.Room, taxii.InboxQuery{}) // which notes what was answered
			case 0:
				if len(assets) > 0 {
					i := rapid.IntRange(0, len(assets)-1).Draw(r, "asset")
					w.withdraw(assets[i])
					assets = slices.Delete(assets, i, i+1)
				}
			case 1:
				assets = append(assets, w.says(member, object, rapid.SampledFrom(words).Draw(r, "word"), `"revoked":true,`))
			default:
				assets = append(assets, w.says(member, object, rapid.SampledFrom(words).Draw(r, "word")))
			}
			w.Room.mu.Lock()
			nodetest.Must(t, w.follow())
			w.Room.mu.Unlock()
		}
		w.Room.mu.Lock()
		w.Room.voices.read = time.Time{} // what leaves is read anew at once
		nodetest.Must(t, w.follow())
		followed := fmt.Sprint(w.disputed(1))
		w.Room.mu.Unlock()
		anew := &Room{View: w.View, Index: w.Index, State: w.HostileWorld.State, Outbox: w.Outbox}
		nodetest.Must(t, anew.follow())
		for _, q := range []taxii.InboxQuery{{}, {All: true}, {Object: indicatorID(1)}, {Object: indicatorID(2), All: true}} {
			if got, want := pages(r, w.Room, q), pages(r, anew, q); got != want {
				r.Fatalf("%+v: the inbox is %s, anew it is %s", q, got, want)
			}
		}
		if got := fmt.Sprint(anew.disputed(1)); got != followed {
			r.Fatalf("followed: %s, anew: %s", followed, got)
		}
	})
}

// pages reads the inbox to its end, by pages of different sizes, and holds that each is what there is of it.
func pages(t *rapid.T, r *Room, q taxii.InboxQuery) string {
	var list []string
	for q.Limit = rapid.IntRange(1, 3).Draw(t, "limit"); ; {
		box, err := r.Inbox(context.Background(), publisher, q)
		if err != nil || len(box.Items) > q.Limit {
			t.Fatal(box, err)
		}
		for _, i := range box.Items {
			list = append(list, fmt.Sprint(i.At.UnixMicro(), i.Object, i.Member, i.Opinion, i.State))
		}
		if q.Cursor = box.Next; q.Cursor == "" {
			return fmt.Sprint(box.Open, box.OpenMore, list)
		}
	}
}

func FuzzAnOpinionIsReadWithinBounds(f *testing.F) {
	f.Add([]byte(`{"type":"opinion","id":"opinion--0000ffff-27d4-4cbf-938f-98ee46b3cd3f","opinion":"agree","explanation":"x","object_refs":["indicator--0000ffff-27d4-4cbf-938f-98ee46b3cd3f"]}`))
	f.Add([]byte(`{"type":"opinion","opinion":"agree","object_refs":"indicator--x","labels":[1,null,"reason:ours"]}`))
	f.Fuzz(func(t *testing.T, object []byte) {
		s, is := read(object)
		if !is {
			return
		}
		if len(s.objects) > maxRefs || len(s.text) > 3*maxText || !slices.Contains(words, s.word) || strings.ContainsAny(s.text, "\x00\n\x1b\u202e") {
			t.Fatalf("%+v", s)
		}
	})
}
