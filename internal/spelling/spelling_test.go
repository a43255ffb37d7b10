package spelling

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTheDistanceOfWords(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"LISTN", "LISTEN", 1}} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
	word := rapid.StringMatching("[ab]{0,6}")
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		switch d := Distance(a, b); {
		case d != Distance(b, a), (d == 0) != (a == b), d > Distance(a, c)+Distance(c, b), d > max(len(a), len(b)), d < max(len(a), len(b))-min(len(a), len(b)):
			t.Fatalf("%q, %q, %q: %d", a, b, c, d)
		}
	})
}
