package chainwatch

import (
	"testing"
	"time"
)

func TestTheLagIsSinceTheFirstRoundThatIsLacking(t *testing.T) {
	began := time.Unix(1_000_000, 0)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	type told struct {
		cursor, round uint64
		second        int
	}
	for name, c := range map[string]struct {
		told        []told
		cursor, tip uint64
		second      int
		rounds      uint64
		seconds     float64
	}{
		"nothing is lacking":             {[]told{{10, 10, 0}}, 10, 10, 50, 0, 0},
		"a round ahead of the chain":     {[]told{{10, 10, 0}}, 12, 10, 50, 0, 0},
		"one round is":                   {[]told{{10, 10, 0}, {10, 11, 3}}, 10, 11, 5, 1, 2},
		"it stands":                      {[]told{{10, 10, 0}, {10, 11, 3}, {10, 12, 6}, {10, 40, 90}}, 10, 40, 100, 30, 97},
		"it goes on, behind":             {[]told{{10, 10, 0}, {10, 11, 3}, {10, 12, 6}, {11, 13, 9}}, 11, 13, 10, 2, 4},
		"several came at once":           {[]told{{10, 10, 0}, {10, 13, 60}}, 10, 13, 61, 3, 1 + 2*2.8},
		"several came at once, at speed": {[]told{{10, 10, 0}, {10, 1010, 1}}, 10, 1010, 2, 1000, 2},
		"nothing came for long":          {[]told{{10, 10, 0}, {10, 10, 100}, {10, 12, 101}}, 10, 12, 102, 2, 2},
		"what was before the start":      {[]told{{10, 111, 0}}, 10, 121, 20, 111, 20 + 100*2.8},
		"nobody has told yet":            {nil, 10, 12, 20, 2, 2.8},
		"the chain was told of wrongly":  {[]told{{10, 10, 0}, {10, 99_999, 1}, {10, 11, 50}}, 10, 11, 51, 1, 1},
		"an absurd round":                {nil, 10, 1 << 63, 0, 1<<63 - 10, 2.8e9},
	} {
		var h heard
		for _, one := range c.told {
			h.note(one.cursor, one.round, at(one.second))
		}
		got := h.behind(c.cursor, c.tip, at(c.second))
		if got.Rounds != c.rounds || (got.Time-time.Duration(c.seconds*float64(time.Second))).Abs() > time.Millisecond {
			t.Errorf("%s: %d rounds, %s; want %d, %v s", name, got.Rounds, got.Time, c.rounds, c.seconds)
		}
	}
}

// A node that stands for a month holds no more of it, and still knows since when.
func TestWhatIsRememberedOfAChainThatIsNotFollowedIsBounded(t *testing.T) {
	var h heard
	began := time.Unix(0, 0)
	h.note(10, 10, began)
	for i := range 100_000 {
		h.note(10, 11+uint64(i), began.Add(time.Duration(i+1)*3*time.Second))
		if len(h.list) > maxHeard {
			t.Fatalf("%d moments", len(h.list))
		}
	}
	now := began.Add(100_000 * 3 * time.Second)
	if got := h.behind(10, 100_010, now); got.Rounds != 100_000 || got.Time < 299_990*time.Second || got.Time > 300_000*time.Second {
		t.Errorf("%+v", got)
	}
	if got := h.behind(90_010, 100_010, now); got.Time < 27_000*time.Second || got.Time > 33_000*time.Second {
		t.Errorf("in the middle it is %s behind, want about 30,000 s", got.Time)
	}
}
