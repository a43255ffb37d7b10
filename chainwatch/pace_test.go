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
