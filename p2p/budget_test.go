package p2p

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"
)

// However many authors there are and whatever each says: what is let in, in any stretch of time, is no more than all
// may say together, and no author is let in with more than one may say.
func TestWhatIsLetInIsBoundedHoweverManySpeak(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var l Limits
		l.complete()
		b := newBudgets(l)
		members := rapid.IntRange(1, 60).Draw(r, "members")
		now := time.Unix(1e9, 0)
		began := now
		all, own := 0, map[peer.ID]int{}
		for range rapid.IntRange(1, 2000).Draw(r, "messages") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(r, "pause")) * time.Millisecond)
			id := peer.ID(fmt.Sprint(rapid.IntRange(0, members-1).Draw(r, "author")))
			size := rapid.IntRange(0, maxMessage).Draw(r, "size")
			if b.afford(id, size, now) {
				all += max(size, smallMessage)
				own[id] += max(size, smallMessage)
			}
			seconds := now.Sub(began).Seconds() + 1e-6
			if most := float64(l.AllAnnouncedBytesBurst) + seconds*float64(l.AllAnnouncedBytesPerSecond); float64(all) > most {
				r.Fatalf("after %.3f s %d bytes were let in, of %.0f", seconds, all, most)
			}
			if most := float64(l.AnnouncedBytesBurst) + seconds*float64(l.AnnouncedBytesPerSecond); float64(own[id]) > most {
				r.Fatalf("after %.3f s %d bytes of one author were let in, of %.0f", seconds, own[id], most)
			}
		}
	})
}

// Who says no more than its share is always heard, whatever 24 others say; and those have nearly all of what all may
// say.
func TestWhoSaysLittleIsHeardWhileOthersSayAsMuchAsTheyCan(t *testing.T) {
	var l Limits
	l.complete()
	const loud, seconds = 24, 30
	b := newBudgets(l)
	now := time.Unix(1e9, 0)
	let := 0
	say := func(id peer.ID, n int) bool {
		if !b.afford(id, n, now) {
			return false
		}
		let += n
		return true
	}
	say("quiet", smallMessage)
	for n := range loud {
		say(peer.ID(fmt.Sprint(n)), smallMessage)
	}
	share := l.AllAnnouncedBytesPerSecond / 2 / (loud + 1) // a second: 160 kB
	const message = 16 << 10
	began, said := now, 0
	for now.Sub(began) < seconds*time.Second {
		for n := range loud {
			for range 20 { // 16 MiB a second each
				say(peer.ID(fmt.Sprint(n)), message)
			}
		}
		if due := int(now.Sub(began).Seconds() * float64(share)); said+message <= due {
			if !say("quiet", message) {
				t.Fatalf("who said %d bytes, of %d that are its share, is not heard after %s", said, due, now.Sub(began))
			}
			said += message
		}
		now = now.Add(20 * time.Millisecond)
	}
	if said < share*(seconds-1) {
		t.Errorf("only %d bytes were said", said)
	}
	most := l.AllAnnouncedBytesBurst + seconds*l.AllAnnouncedBytesPerSecond
	if let > most || let < most*8/10 {
		t.Errorf("%d bytes of all authors are let in, of %d that may be", let, most)
	}
}
