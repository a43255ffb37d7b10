package splice

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestSplice(t *testing.T) {
	for _, test := range []struct {
		at, cut uint16
		with    string
		want    string
	}{
		{0, 0, "", "abc"}, {0, 3, "", ""}, {0, 3, "xyz!", "xyz!"}, {1, 1, "X", "aXc"}, {3, 0, "d", "abcd"}, {4, 0, "X", "Xabc"}, {2, 2, "", "abc"},
	} {
		if got := Splice([]byte("abc"), test.at, test.cut, []byte(test.with)); string(got) != test.want {
			t.Errorf("%d, %d, %q: %q, want %q", test.at, test.cut, test.with, got, test.want)
		}
	}
}

func TestSpliceLeavesWhatItWasGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		valid, with := rapid.SliceOf(rapid.Byte()).Draw(t, "valid"), rapid.SliceOf(rapid.Byte()).Draw(t, "with")
		before := bytes.Clone(valid)
		got := Splice(valid, rapid.Uint16().Draw(t, "at"), rapid.Uint16().Draw(t, "cut"), with)
		if !bytes.Equal(valid, before) || !bytes.Contains(got, with) || len(got) > len(valid)+len(with) {
			t.Fatalf("%q became %q, and the result is %q", before, valid, got)
		}
		if all := Splice(valid, 0, uint16(len(valid)), with); !bytes.Equal(all, with) {
			t.Fatalf("%q", all)
		}
	})
}
