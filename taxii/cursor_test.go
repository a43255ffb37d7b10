package taxii

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCursorsLeadBackToTheirPosition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := cursors{key: []byte("a key of sixteen bytes")}
		s := scope{rapid.String().Draw(t, "kind"), rapid.String().Draw(t, "collection"), rapid.String().Draw(t, "object")}
		after := rapid.Int64Min(0).Draw(t, "after")
		got, err := c.decode(s, c.encode(s, after))
		if err != nil || got != after {
			t.Fatalf("got %d, %v; want %d", got, err, after)
		}
	})
}

// Checklist 9.7, T7: cursors of other listings count as none, those of other servers are refused.
func TestCursorsAreGoodInTheirScopeOnly(t *testing.T) {
	c := cursors{key: []byte("a key of sixteen bytes")}
	home := scope{"objects", "one", ""}
	cursor := c.encode(home, 42)
	for _, other := range []scope{
		{"manifest", "one", ""}, {"objects", "two", ""}, {"objects", "one", "x"}, {"object", "sone", ""}, {"objects", "", "one"},
	} {
		if after, err := c.decode(other, cursor); err != nil || after != 0 {
			t.Errorf("a cursor of %v leads to %d in %v, %v", home, after, other, err)
		}
	}
	if _, err := (cursors{key: []byte("another node's own key")}).decode(home, cursor); err == nil {
		t.Error("a cursor is good at another node")
	}
}

func FuzzCursor(f *testing.F) {
	c := cursors{key: []byte("a key of sixteen bytes")}
	s := scope{"objects", "one", ""}
	valid := c.encode(s, 1767225600000000)
	for _, seed := range []string{valid, valid + "=", valid[:31], strings.ToLower(valid), "", "1", strings.Repeat("A", 32), valid + "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		after, err := c.decode(s, cursor)
		if err == nil && c.encode(s, after) != cursor {
			t.Errorf("%q is taken for %d, whose cursor is %q", cursor, after, c.encode(s, after))
		}
	})
}
