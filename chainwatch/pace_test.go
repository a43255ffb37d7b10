package chainwatch

import (
	"testing"
	"testing/synctest"
	"time"
)

// An indexer that gets everything a third of a second later is not asked before, once that is known.
func TestTheIndexersDelayIsLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(5 * time.Second)
		p.after(progress{whole: true})
		looks, late := 0, time.Duration(0)
		const publications = 20
		for i := range uint64(publications) {
			time.Sleep(9 * time.Second)
			p.after(progress{cursor: i, whole: true}) // a poll
			time.Sleep(time.Second)
			hinted := time.Now()
			p.hinted(hint{round: i + 1, from: "bravo"}, i)
			for pause := p.next(); ; looks++ {
				time.Sleep(pause)
				if since := time.Since(hinted); since >= 350*time.Millisecond {
					late += since - 350*time.Millisecond
					break
				}
				pause = p.after(progress{cursor: i, whole: true})
			}
			looks++
			p.after(progress{cursor: i, more: true}) // a page with it, and the last one
			p.after(progress{cursor: i + 1, events: 1, whole: true})
		}
		if looks > publications*8/5+4 || late > publications*300*time.Millisecond {
			t.Errorf("%d looks for %d rounds, which were seen %s late", looks, publications, late)
		}
	})
}

// What one member says must not keep the others' news back.
func TestWhoHintsAtNothingSlowsDownNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(5 * time.Second)
		p.after(progress{whole: true})
		for round := range uint64(10_000) { // for hours
			p.hinted(hint{round: 1_000_000 + round, from: "mallory"}, 0)
			time.Sleep(time.Second)
			p.after(progress{whole: true})
		}
		if p.hinted(hint{round: 2_000_000, from: "mallory"}, 0) {
			t.Error("who hints at nothing is still listened to")
		}
		time.Sleep(hintPatience)
		p.after(progress{whole: true})
		if !p.hinted(hint{round: 1, from: "bravo"}, 0) {
			t.Fatal("others aren't listened to")
		}
		if in := p.next(); in > time.Second {
			t.Errorf("their news is looked for in %s", in)
		}
	})
}

// paced is a pace whose last step has just ended.
func paced(poll time.Duration) *pace {
	p := newPace(poll)
	p.after(progress{whole: true})
	return &p
}

func TestAHintIsTakenUpWithinItsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := paced(5 * time.Second)
		for _, c := range []struct {
			round uint64
			from  string
			taken bool
		}{
			{10, "bravo", false}, {11, "bravo", true}, {11, "charlie", false}, {12, "bravo", true}, {13, "bravo", true}, {14, "bravo", true}, {15, "bravo", false},
			{15, "charlie", true}, {16, "", true}, {17, "", true}, {18, "", true}, {19, "", true}, {20, "", true},
		} {
			if taken := p.hinted(hint{c.round, c.from}, 10); taken != c.taken {
				t.Errorf("round %d from %q is taken up: %v", c.round, c.from, taken)
			}
		}
		for n := len(p.targets); n < 64; n++ {
			if !p.hinted(hint{uint64(100 + n), ""}, 10) {
				t.Fatalf("the hint after %d is not taken up", n)
			}
		}
		if p.hinted(hint{1000, ""}, 10) {
			t.Error("any number of rounds is looked for")
		}
	})
}

func TestEightHintsInARowMayLeadToNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := paced(5 * time.Second)
		barren := func() bool {
			if !p.hinted(hint{1000, "mallory"}, 0) {
				return false
			}
			time.Sleep(30*time.Second + 1)
			p.after(progress{whole: true})
			return len(p.targets) == 0
		}
		for n := range 7 {
			if !barren() {
				t.Fatalf("after %d it is not listened to", n)
			}
		}
		// One that leads to something makes up for all.
		p.hinted(hint{5, "mallory"}, 0)
		if p.after(progress{cursor: 5, events: 1, whole: true}); len(p.credits) != 0 || len(p.targets) != 0 {
			t.Errorf("%+v", p.credits)
		}
		for n := range 8 {
			if !barren() {
				t.Fatalf("then, after %d it is not listened to", n)
			}
		}
		if barren() {
			t.Error("after 8 it is listened to")
		}
		time.Sleep(10*time.Minute - 1)
		if barren() {
			t.Error("it is forgiven early")
		}
		time.Sleep(time.Nanosecond)
		if !barren() {
			t.Error("it is never forgiven")
		}
		if barren() {
			t.Error("it is forgiven more than one")
		}
	})
}

func TestAHintIsLookedForAsLongAsThereIsHope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := paced(time.Second)
		p.hinted(hint{5, "bravo"}, 0)
		time.Sleep(30 * time.Second)
		if p.after(progress{whole: true}); len(p.targets) != 1 {
			t.Error("it is given up early")
		}
		p.after(progress{cursor: 4, whole: true})
		if time.Sleep(time.Nanosecond); len(p.targets) != 1 {
			t.Error("a round before is taken for it")
		}
		if p.after(progress{whole: true}); len(p.targets) != 0 || p.credits["bravo"].barren != 1 {
			t.Errorf("%+v", p)
		}
		p.hinted(hint{5, "bravo"}, 0)
		p.hinted(hint{6, ""}, 0)
		p.after(progress{cursor: 6, whole: true}) // it came, and there was nothing in it
		if p.credits["bravo"].barren != 2 || len(p.credits) != 1 {
			t.Errorf("%+v", p.credits)
		}
	})
}

func TestLooksForWhatIsPromisedBecomeRarer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms := time.Millisecond
		p := paced(time.Second)
		p.hinted(hint{5, "bravo"}, 0)
		if in := p.next(); in != 0 {
			t.Errorf("at first it is looked for in %s", in)
		}
		for _, want := range []time.Duration{25, 50, 100, 200, 400, 500, 500} {
			if in := p.after(progress{whole: true}); in != want*ms {
				t.Errorf("it is looked for in %s, want %d ms", in, want)
			}
			time.Sleep(want * ms)
		}
		if in := p.after(progress{more: true}); in != 0 || p.pause != 500*ms {
			t.Errorf("more to read waits %s, with a pause of %s", in, p.pause)
		}
		if p.after(progress{cursor: 1, events: 1, whole: true}); p.pause != 0 {
			t.Errorf("after news the pause is %s", p.pause)
		}
		if p.after(progress{cursor: 5, whole: true}); p.pause != 0 {
			t.Errorf("after the promise was kept the pause is %s", p.pause)
		}
		p = paced(time.Second) // what takes its time is not looked for all the time
		p.expected = 400 * ms
		p.hinted(hint{5, "bravo"}, 0)
		if p.after(progress{whole: true}); p.pause != 100*ms {
			t.Errorf("what comes after 400 ms is looked for again in %s", p.pause)
		}
		if p.after(progress{whole: true}); p.pause != 200*ms {
			t.Errorf("then in %s", p.pause)
		}
		p = paced(20 * ms) // whoever asks often anyhow
		p.hinted(hint{5, "bravo"}, 0)
		if in := p.after(progress{whole: true}); in != 20*ms {
			t.Errorf("it is looked for in %s", in)
		}
	})
}

func TestTheNextLookIsTheEarliestThatAnythingAsksFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms := time.Millisecond
		p := paced(time.Second)
		if in := p.next(); in != time.Second {
			t.Errorf("nothing is promised, and it is asked in %s", in)
		}
		p.expected = 300 * ms
		p.hinted(hint{5, ""}, 0)
		if in := p.next(); in != 300*ms {
			t.Errorf("what comes in 300 ms is looked for in %s", in)
		}
		time.Sleep(200 * ms)
		p.hinted(hint{6, ""}, 0)
		if in := p.next(); in != 100*ms {
			t.Errorf("the earlier one is looked for in %s", in)
		}
		p.pause = 350 * ms // since the last look
		if in := p.next(); in != 150*ms {
			t.Errorf("with a pause it is looked for in %s", in)
		}
		p.pause, p.targets[0].looked = 0, true
		time.Sleep(100 * ms)
		p.last = time.Now()
		if in := p.next(); in != 25*ms {
			t.Errorf("what came late is looked for in %s", in)
		}
		time.Sleep(time.Second)
		if in := p.next(); in != 0 {
			t.Errorf("what is overdue is looked for in %s", in)
		}
		p.expected = time.Hour
		if in := p.next(); in != 0 {
			t.Errorf("the poll is overdue, and it is asked in %s", in)
		}
		p.last = time.Now()
		if in := p.next(); in != time.Second {
			t.Errorf("beyond the poll it is asked in %s", in)
		}
		for poll, want := range map[time.Duration]time.Duration{time.Second: 250 * ms, 100 * ms: 100 * ms} {
			p.poll = poll
			if in := p.after(progress{unsettled: true, whole: true}); in != want {
				t.Errorf("before the tip was reached it is asked in %s, want %s", in, want)
			}
			if in := p.after(progress{held: true, whole: true}); in != want {
				t.Errorf("what algod may have soon is looked for in %s, want %s", in, want)
			}
		}
	})
}

func TestADelayIsLearntFromWhatComesLateTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := paced(time.Second)
		comes := func(after time.Duration, looked bool) time.Duration {
			since := time.Now()
			time.Sleep(after)
			p.learn(target{since: since, looked: looked})
			return p.expected
		}
		ms := time.Millisecond
		for i, c := range []struct {
			after  time.Duration
			looked bool
			want   time.Duration
		}{
			{400 * ms, true, 0}, {400 * ms, true, 500 * ms}, {800 * ms, true, 1000 * ms}, {8 * time.Second, true, 3 * time.Second}, {80 * time.Second, true, 7 * time.Second},
			{80 * time.Second, true, 10 * time.Second}, {1, false, 9500 * ms}, {80 * time.Second, true, 9500 * ms}, {80 * time.Second, true, 10 * time.Second},
		} {
			if got := comes(c.after, c.looked); got != c.want {
				t.Errorf("%d: it is expected after %s, want %s", i, got, c.want)
			}
		}
		p.expected = 106 * ms
		if comes(0, false) != 106*ms*19/20 {
			t.Errorf("it is expected after %s", p.expected)
		}
		if comes(0, false) != 0 {
			t.Errorf("what is quick is expected after %s", p.expected)
		}
	})
}

// Half of each pause is random, so that nodes don't come back all at once.
func TestTheIndexerIsTriedAgainAtDoublingPauses(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: 250 * time.Millisecond, 1: 500 * time.Millisecond, 7: 32 * time.Second, 8: time.Minute, 10: time.Minute, 1000: time.Minute} {
		least, most := time.Hour, time.Duration(0)
		for range 2000 {
			pause := retryPause(failures)
			least, most = min(least, pause), max(most, pause)
		}
		if least < want/2 || most >= want || least > want*52/100 || most < want*98/100 {
			t.Errorf("after %d failures it is tried in %s to %s, want half of %s to that", failures, least, most, want)
		}
	}
}
